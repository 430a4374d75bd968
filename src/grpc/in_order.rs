//! Work on the items of a stream: some at a time, answers in the order of the questions.
//!
//! An item is read only when there is room for its work, so that a caller who does not take its answers, or
//! sends faster than it is answered, is held back by the stream's own flow control.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

/// The answers of a stream.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers each question by the work that `begin` makes of it, at most `under_way` at a time and each in a place of the
/// `room`, which it keeps until its answer is taken. What stands beside the work is the answer when it ends before its
/// time. The stream ends with that of the questions, or with the status that broke it or that an answer is; work that
/// nobody waits for any more is dropped.
pub(super) fn answered<Q, A, F, R, P>(
    mut questions: impl Stream<Item = Result<Q, Status>> + Send + Unpin + 'static,
    under_way: usize,
    room: impl Fn() -> R + Send + 'static,
    begin: impl Fn(Q) -> (A, F) + Send + 'static,
) -> Answers<A>
where
    Q: Send + 'static,
    A: Send + 'static,
    F: Future<Output = Result<A, Status>> + Send + 'static,
    R: Future<Output = P> + Send,
    P: Send + 'static,
{
    let (places, taken) = mpsc::channel(under_way.max(1));
    tokio::spawn(async move {
        // Whoever takes the answers waits for one outside the channel.
        while let Ok(place) = places.reserve().await {
            let question = tokio::select! {
                () = places.closed() => break,
                question = questions.next() => question,
            };
            match question {
                Some(Ok(question)) => {
                    let room = tokio::select! {
                        () = places.closed() => break,
                        room = room() => room,
                    };
                    let (failed, work) = begin(question);
                    place.send(Ok((failed, Working(tokio::spawn(work)), room)));
                }
                Some(Err(broken)) => {
                    place.send(Err(broken));
                    break;
                }
                None => break,
            }
        }
    });
    Box::pin(ReceiverStream::new(taken).then(|begun: Result<_, Status>| async move {
        let (failed, working, room): (A, Working<Result<A, Status>>, P) = begun?;
        let answer = working.answer().await.unwrap_or_else(|_| {
            tracing::error!(reason = "worker", "the work on an item of a stream ended before its time");
            Ok(failed)
        });
        drop(room);
        answer
    }))
}

/// Work under way, which ends when nobody waits for it.
struct Working<A>(JoinHandle<A>);

impl<A> Working<A> {
    async fn answer(mut self) -> Result<A, tokio::task::JoinError> {
        (&mut self.0).await
    }
}

impl<A> Drop for Working<A> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::{Notify, Semaphore};

    use super::*;

    const FAILED: u32 = u32::MAX;

    /// Room without end.
    async fn everywhere() {}

    fn questions(count: u32) -> impl Stream<Item = Result<u32, Status>> + Send + Unpin + 'static {
        tokio_stream::iter((0..count).map(Ok))
    }

    #[tokio::test]
    async fn answers_come_in_the_order_of_the_questions() {
        let last = Arc::new(Notify::new());
        let begin = {
            let last = Arc::clone(&last);
            move |question| {
                let last = Arc::clone(&last);
                let work = async move {
                    // The first is done only after the last.
                    if question == 0 {
                        last.notified().await;
                    } else if question == 3 {
                        last.notify_one();
                    }
                    Ok(question)
                };
                (FAILED, work)
            }
        };
        let answers = answered(questions(4), 4, everywhere, begin);
        let answers: Vec<u32> = answers.map(Result::unwrap).collect().await;
        assert_eq!(answers, [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn no_more_are_under_way_than_allowed() {
        const UNDER_WAY: usize = 3;
        let (open, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let begin = {
            let (open, most) = (Arc::clone(&open), Arc::clone(&most));
            move |question| {
                let (open, most) = (Arc::clone(&open), Arc::clone(&most));
                let work = async move {
                    most.fetch_max(open.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    for _ in 0..16 {
                        tokio::task::yield_now().await;
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                    Ok(question)
                };
                (FAILED, work)
            }
        };
        let answers: Vec<_> = answered(questions(100), UNDER_WAY, everywhere, begin).collect().await;
        assert_eq!(answers.len(), 100);
        // One more may be in the hands of whoever takes the answers.
        assert!(most.load(Ordering::SeqCst) <= UNDER_WAY + 1, "{most:?} were under way");
    }

    #[tokio::test]
    async fn work_that_ends_before_its_time_is_answered_as_failed() {
        let begin = |question| {
            let work = async move {
                assert_ne!(question, 1, "this work fails on purpose");
                Ok(question)
            };
            (FAILED, work)
        };
        let answers: Vec<u32> =
            answered(questions(3), 2, everywhere, begin).map(Result::unwrap).collect().await;
        assert_eq!(answers, [0, FAILED, 2]);
    }

    #[tokio::test]
    async fn a_broken_stream_ends_after_what_was_asked() {
        let broken = tokio_stream::iter([Ok(7), Err(Status::cancelled("gone")), Ok(8)]);
        let mut answers = answered(broken, 2, everywhere, |question| (FAILED, async move { Ok(question) }));
        assert_eq!(answers.next().await.unwrap().unwrap(), 7);
        assert_eq!(answers.next().await.unwrap().unwrap_err().message(), "gone");
        assert!(answers.next().await.is_none(), "nothing should follow on a broken stream");
    }

    #[tokio::test]
    async fn work_ends_when_nobody_takes_the_answers() {
        let (gone, started) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        struct Told(Arc<Semaphore>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.add_permits(1);
            }
        }
        let begin = {
            let (gone, started) = (Arc::clone(&gone), Arc::clone(&started));
            move |_| {
                let told = Told(Arc::clone(&gone));
                started.add_permits(1);
                let work = async move {
                    std::future::pending::<()>().await;
                    drop(told);
                    Ok(0)
                };
                (FAILED, work)
            }
        };
        let answers = answered(questions(2), 2, everywhere, begin);
        let _started = started.acquire_many(2).await.unwrap();
        drop(answers);
        let _gone = gone.acquire_many(2).await.unwrap();
    }

    #[tokio::test]
    async fn an_answer_keeps_its_room_until_it_is_taken() {
        const ROOM: usize = 2;
        let (room, begun) = (Arc::new(Semaphore::new(ROOM)), Arc::new(AtomicUsize::new(0)));
        let begin = {
            let begun = Arc::clone(&begun);
            move |question| {
                begun.fetch_add(1, Ordering::SeqCst);
                (FAILED, async move { Ok(question) })
            }
        };
        let place = {
            let room = Arc::clone(&room);
            move || Arc::clone(&room).acquire_owned()
        };
        let mut answers = answered(questions(50), 16, place, begin);
        for taken in 0..50 {
            while room.available_permits() > 0 && begun.load(Ordering::SeqCst) < 50 {
                tokio::task::yield_now().await;
            }
            assert!(begun.load(Ordering::SeqCst) <= taken + ROOM, "more were begun than there is room for");
            assert!(answers.next().await.unwrap().is_ok());
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_a_status_is_the_last() {
        let begin = |question| {
            (
                FAILED,
                async move { if question == 1 { Err(Status::cancelled("suspended")) } else { Ok(question) } },
            )
        };
        let mut answers = answered(questions(9), 4, everywhere, begin);
        assert_eq!(answers.next().await.unwrap().unwrap(), 0);
        assert_eq!(answers.next().await.unwrap().unwrap_err().message(), "suspended");
    }
}
