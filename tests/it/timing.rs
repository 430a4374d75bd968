//! Promise 1: no time tells. Questions about people who hit, strangers and hidden people are asked in random order
//! from outside, and what is compared is whether their times come from one distribution.
//!
//! Two samples are called different when the Kolmogorov–Smirnov distance says so at a level of one in a million: so
//! often each comparison is wrong about equal times. That it would see a leak is shown on the very times that were
//! taken: those of one kind, a tenth of their median later, must be told apart from the others. And on a real early
//! exit: what was asked before is answered without a search, which must be told from what was not.

use onebit::grpc::pb::partner::Question;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tonic::transport::Channel;

use crate::holder::{Holder, HolderOptions, who};
use crate::story::{HIDDEN, STRANGER, question_about};
use crate::times::{Compared, asked_often, times};

#[tokio::test]
async fn the_work_behind_an_answer_takes_as_long_for_a_hit_a_stranger_and_a_hidden_person() {
    let holder = Holder::start(asked_often(HolderOptions::people(PEOPLE))).await;
    let au = holder.channel(who::AU).await;
    let kinds: [&dyn Fn(u64) -> Question; 3] =
        [&|number| question_about(number % HIDDEN), &|number| question_about(STRANGER + number), &|_| {
            question_about(HIDDEN)
        }];
    let asked = kinds.map(|kind| (&au, kind));
    let [hits, strangers, hidden] = times(asked, 1_500).await;
    assert_alike("hits and strangers", &hits, &strangers);
    assert_alike("strangers and hidden people", &strangers, &hidden);
    assert_alike("hits and hidden people", &hits, &hidden);
    let leak = Compared::of(&strangers, &hits).medians[0] / 10.0;
    let leaking: Vec<f64> = strangers.iter().map(|time| time + leak).collect();
    let control = Compared::of(&hits, &leaking);
    assert!(control.differ(), "a leak of a tenth of the time would not be noticed: {control}");
}

#[tokio::test]
async fn an_answer_that_takes_a_shorter_way_is_told_apart() {
    let holder = Holder::start(asked_often(HolderOptions::people(PEOPLE))).await;
    let au = holder.channel(who::AU).await;
    let asked_before = question_about(STRANGER);
    let kinds: [(&Channel, &dyn Fn(u64) -> Question); 2] =
        [(&au, &|number| question_about(STRANGER + 1 + number)), (&au, &|_| asked_before.clone())];
    let [fresh, repeated] = times(kinds, 300).await;
    let compared = Compared::of(&fresh, &repeated);
    println!("fresh and repeated: {compared}");
    assert!(compared.differ(), "an early exit would not be noticed: {compared}");
}

#[tokio::test]
async fn answers_leave_at_a_time_that_tells_neither_outcome_nor_gallery() {
    let start = |people| {
        let options = asked_often(HolderOptions::people(people));
        Holder::start(options.config("server", "answer_after_ms", 40))
    };
    let (small, large) = (start(PEOPLE).await, start(50 * PEOPLE).await);
    let (of_small, of_large) = (small.channel(who::AU).await, large.channel(who::AU).await);
    let hit = |number| question_about(number % HIDDEN);
    let stranger = |number| question_about(STRANGER + 10_000 + number);
    let asked: [(&Channel, &dyn Fn(u64) -> Question); 4] =
        [(&of_small, &hit), (&of_small, &stranger), (&of_large, &hit), (&of_large, &stranger)];
    let [hits, strangers, large_hits, large_strangers] = times(asked, 100).await;
    assert_alike("hits and strangers", &hits, &strangers);
    assert_alike("a small gallery and a large one, hits", &hits, &large_hits);
    assert_alike("a small gallery and a large one, strangers", &strangers, &large_strangers);
    assert!(hits.iter().all(|time| *time >= 0.040), "an answer left before its time");
}

fn assert_alike(what: &str, one: &[f64], other: &[f64]) {
    let compared = Compared::of(one, other);
    println!("{what}: {compared}");
    assert!(!compared.differ(), "the time tells {what} apart: {compared}");
}

/// The hidden one and those before it among others.
const PEOPLE: u64 = HIDDEN + 7;

#[test]
fn the_comparison_sees_a_shift_and_passes_what_is_alike() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut drawn = |shift: f64| (0..1_500).map(|_| rng.random::<f64>() + shift).collect::<Vec<_>>();
    let (one, other, shifted) = (drawn(0.0), drawn(0.0), drawn(0.2));
    assert!(!Compared::of(&one, &other).differ());
    assert!(Compared::of(&one, &shifted).differ());
}
