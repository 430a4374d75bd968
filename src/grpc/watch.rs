//! A disclosure watched: where it stands now, and again whenever what its partner sees of it changes.
//!
//! Nothing is asked again and again: a watch sleeps until the store says that the disclosure has changed and that this
//! is durable, or that people, partners or rules have. Each look asks for the caller and the rules anew.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::call::{Call, OpenStream, Reply};
use super::disclosure::{Disclosures, disclosure};
use super::parse;
use super::pb::partner as pb;
use super::status::CallError;
use crate::authz::Action;
use crate::ids::{Digest, DisclosureId};

/// The messages of a watch.
pub(super) type Watched = Pin<Box<dyn Stream<Item = Result<pb::WatchDisclosureResponse, Status>> + Send>>;

/// Opens a watch. Whoever may not see the disclosure is refused like by `GetDisclosure`, and at once.
pub(super) async fn disclosure_watch(
    disclosures: &Disclosures,
    request: Request<pb::WatchDisclosureRequest>,
) -> Reply<Watched> {
    let call = disclosures.desk.call(Action::WatchDisclosure, &request);
    let deadline = call.arrival() + longest(request.metadata());
    let opened = call
        .done(async {
            let caller = call.caller()?;
            let place = disclosures.watching.take(&call)?;
            let id = parse::disclosure("name", &request.get_ref().name)?;
            let changes = disclosures.desk.gate().disclosure_watch(&caller, id).await?;
            Ok((id, changes, place))
        })
        .await;
    let (id, changes, place) = opened.map_err(|error| error.status())?;
    let (messages, taken) = mpsc::channel(1);
    let seen = Some(request.get_ref().seen_version.clone()).filter(|seen| !seen.is_empty());
    let watcher = Watcher {
        disclosures: disclosures.clone(),
        stream: call.stream(),
        id,
        seen,
        stays: request.get_ref().stay,
        messages,
    };
    drop(call);
    let registry = disclosures.desk.gate().changes();
    tokio::spawn(async move {
        watcher.run(changes, registry, deadline).await;
        drop(place);
    });
    Ok(Response::new(Box::pin(ReceiverStream::new(taken))))
}

struct Watcher {
    disclosures: Disclosures,
    stream: OpenStream,
    id: DisclosureId,
    /// The version that was sent last.
    seen: Option<Vec<u8>>,
    stays: bool,
    messages: mpsc::Sender<Result<pb::WatchDisclosureResponse, Status>>,
}

impl Watcher {
    async fn run(
        mut self,
        mut changes: watch::Receiver<u64>,
        mut registry: watch::Receiver<u64>,
        end: Instant,
    ) {
        loop {
            // INVARIANT: before the look, so that a change during it is looked at again.
            changes.mark_unchanged();
            registry.mark_unchanged();
            match self.look().await {
                Ok(Next::Wait) => {}
                Ok(Next::End) => return,
                Err(error) => {
                    let _gone = self.messages.send(Err(error.status())).await;
                    return;
                }
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                changed = registry.changed() => if changed.is_err() { return },
                () = self.messages.closed() => return,
                () = sleep_until(end) => {
                    let over = "the watch has come to its end; go on from the version that you saw last";
                    let _gone = self.messages.send(Err(Status::deadline_exceeded(over))).await;
                    return;
                }
            }
        }
    }

    /// Looks as `GetDisclosure` would at this moment, and says what is new.
    async fn look(&mut self) -> Result<Next, CallError> {
        // It waits for room as items of streams do; when there is none left while it waits, nobody listens any more.
        let room = tokio::select! {
            room = self.disclosures.desk.room(&self.stream) => room,
            () = self.messages.closed() => return Ok(Next::End),
        };
        let call: Call = self.disclosures.desk.item_in_room(&self.stream);
        let looked = call.done(async {
            let caller = call.caller()?;
            let case = self.disclosures.desk.gate().disclosure_look(&caller, self.id).await?;
            Ok((disclosure(&case), case.disclosure.state().is_final()))
        });
        let (shown, is_final) = looked.await?;
        drop((call, room));
        let version = Digest::sha256(&shown.encode_to_vec()).as_bytes().to_vec();
        if self.seen.as_ref() != Some(&version) {
            let message = pb::WatchDisclosureResponse { disclosure: Some(shown), version: version.clone() };
            if self.messages.send(Ok(message)).await.is_err() {
                return Ok(Next::End);
            }
            self.seen = Some(version);
        }
        Ok(if is_final && !self.stays { Next::End } else { Next::Wait })
    }
}

enum Next {
    Wait,
    End,
}

/// How long a watch lasts: as long as its connection may, or as the caller said.
fn longest(metadata: &MetadataMap) -> Duration {
    let asked = metadata.get("grpc-timeout").and_then(|value| value.to_str().ok()).and_then(timeout);
    asked.unwrap_or(WATCH_LONGEST).min(WATCH_LONGEST)
}

/// A `grpc-timeout`, as the protocol has it.
fn timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number.saturating_mul(3_600))),
        "M" => Some(Duration::from_secs(number.saturating_mul(60))),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

/// The watches that are open, by trust domain.
#[derive(Clone, Default)]
pub(super) struct Watching(Arc<std::sync::Mutex<std::collections::HashMap<String, usize>>>);

/// A place of a watch, given back when it ends.
pub(super) struct WatchPlace {
    watching: Watching,
    domain: String,
}

impl Watching {
    fn take(&self, call: &Call) -> Result<WatchPlace, CallError> {
        let domain = call.trust_domain().ok_or(CallError::NoPeer)?;
        let mut open = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let number = open.entry(domain.clone()).or_default();
        if *number >= WATCHES_PER_DOMAIN {
            return Err(crate::door::SlotsError::Domain.into());
        }
        *number = number.saturating_add(1);
        drop(open);
        Ok(WatchPlace { watching: self.clone(), domain })
    }
}

impl Drop for WatchPlace {
    fn drop(&mut self) {
        let mut open = self.watching.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(number) = open.get_mut(&self.domain) {
            *number = number.saturating_sub(1);
            if *number == 0 {
                open.remove(&self.domain);
            }
        }
    }
}

/// A connection lives no longer.
const WATCH_LONGEST: Duration = Duration::from_secs(15 * 60);
/// A watch costs some kilobytes while it sleeps; who has more under way polls the list.
const WATCHES_PER_DOMAIN: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_lasts_as_long_as_the_caller_says_and_no_longer_than_a_connection() {
        let longest_of = |text: &'static str| {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            longest(&metadata)
        };
        assert_eq!(longest_of("250m"), Duration::from_millis(250));
        assert_eq!(longest_of("3S"), Duration::from_secs(3));
        assert_eq!(longest_of("9H"), WATCH_LONGEST);
        for odd in ["", "S", "3", "x3S"] {
            assert_eq!(longest_of(odd), WATCH_LONGEST, "{odd}");
        }
        assert_eq!(longest(&MetadataMap::new()), WATCH_LONGEST);
    }
}
