//! A year of simulated traffic in one real store: written by the store's own transactions under a clock that runs as fast as
//! they do, and then served, exported, searched, watched and reported by the real executable.
//!
//! 50,000 questions by default; `ONEBIT_TEST_YEAR_QUESTIONS=1000000 make test TEST='--test year -- --nocapture'` writes a
//! million, asks 20,000 more, and prints what `docs/performance.md` quotes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test that can't be set up, or finds something else than it says, has to stop"
)]

mod asking;
mod browser;
#[path = "../it/chromium.rs"]
#[allow(clippy::expect_used, reason = "written for the tests")]
mod chromium;
mod founding;
// The harness of the tests: a holder with the real server.
#[path = "../it/holder.rs"]
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "written for the tests, which need more of it"
)]
mod holder;
mod looking;
#[path = "../it/story.rs"]
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::as_conversions,
    clippy::string_slice,
    reason = "written for the tests, which need more of it"
)]
mod story;
mod writing;
#[path = "../../fixtures/year/mod.rs"]
mod year;

use std::sync::Arc;
use std::time::Instant;

use founding::Agency;
use holder::{Holder, HolderOptions};
use looking::Exports;
use year::Year;

/// The same everywhere.
const SEED: u64 = 1;

fn questions() -> u64 {
    std::env::var("ONEBIT_TEST_YEAR_QUESTIONS").map_or(50_000, |text| text.parse().unwrap())
}

#[test]
fn a_seed_makes_the_same_year_on_every_machine() {
    let year = Year::new(SEED, 50_000);
    assert_eq!(year.totals.iter().map(|totals| totals.questions).sum::<u64>(), 50_000);
    assert_eq!(
        year.digest(),
        "e30ad0dc24df7aaf95a7e68ebc41eff0c34cf41d9388deaaedab9c3d3f0de589",
        "the year of this seed is another one: say why in fixtures/README.md, and put the new digest here"
    );
    assert_ne!(Year::new(SEED + 1, 50_000).digest(), year.digest());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_hidden_misuses_of_a_year_are_named_and_the_report_and_the_searches_say_what_was_written() {
    let (questions, asked) = (questions(), asked_for_real());
    let year = Arc::new(Year::new(SEED, questions));
    let (options, origin) = HolderOptions::default().console();
    let mut holder = Holder::prepared(&options);
    let begun = Instant::now();
    let agency = Arc::new(Agency::found(&holder, year.people).await);
    println!("{} people enrolled in {:.1?}", year.people, begun.elapsed());
    let begun = Instant::now();
    agency.write(&year).await;
    println!("{questions} questions, {} steps in all, written in {:.1?}", year.steps.len(), begun.elapsed());
    drop(agency);
    println!("the store takes {} MB", looking::bytes(&holder.store_folder()) / 1_000_000);
    looking::store_is_whole(&holder, questions);

    let begun = Instant::now();
    holder.serve().await;
    println!("the server started in {:.1?}", begun.elapsed());
    let begun = Instant::now();
    let exports = Exports::of(&holder);
    println!("six journals exported in {:.1?}", begun.elapsed());
    let begun = Instant::now();
    let alerts = looking::alerts(&holder, &exports);
    println!("alerts in {:.1?}", begun.elapsed());
    looking::misuses_are_named(&alerts);
    let begun = Instant::now();
    looking::server_found(&holder, &alerts);
    println!("and the same by the server's own watch, {:.1?} later", begun.elapsed());
    let log = holder.log_output();
    for line in log.lines().filter(|line| line.contains("listening") || line.contains("caught up")) {
        println!("{line}");
    }
    let begun = Instant::now();
    looking::report_agrees(&holder, &exports, &year);
    println!("report made and verified in {:.1?}", begun.elapsed());
    looking::searches_answer(&holder, &year);
    browser::pages_hold(&holder, &origin, &year);

    let begun = Instant::now();
    asking::ask_all(&holder, &year, asked).await;
    println!("{asked} questions asked for real in {:.1?}", begun.elapsed());
    holder.stop().await;
    looking::store_is_whole(&holder, questions + asked);
}

/// How many questions go through the server, as a partner's system sends them.
fn asked_for_real() -> u64 {
    questions() / 50
}
