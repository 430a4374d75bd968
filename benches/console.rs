//! The officers' pages over a store of many cases: a real store, written by a real server over mutual TLS, one signed
//! request after the other; and the pages of that server over TLS, as a browser asks for them.
//!
//! ```sh
//! make bench-console                            # 100,000 cases
//! ONEBIT_BENCH_CASES=1000000 make bench-console
//! ```
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::as_conversions,
    reason = "a bench that can't go on should stop, and prints what it measured"
)]

// The harness of the tests: a holder with the real server, and a visitor of its console.
#[path = "../tests/it/authenticator.rs"]
#[allow(dead_code, clippy::expect_used, reason = "written for the tests, which need more of it")]
mod authenticator;
#[path = "../tests/it/console.rs"]
#[allow(
    dead_code,
    unused_imports,
    clippy::expect_used,
    clippy::string_slice,
    reason = "written for the tests, which need more of it"
)]
mod console;
#[path = "../tests/it/holder.rs"]
#[allow(dead_code, clippy::expect_used, reason = "written for the tests, which need more of it")]
mod holder;
#[path = "../tests/it/story.rs"]
#[allow(dead_code, clippy::expect_used, reason = "written for the tests, which need more of it")]
mod story;

use std::sync::Arc;
use std::time::Instant;

use onebit::grpc::pb::partner::WithdrawDisclosureRequest;
use onebit::grpc::pb::partner::disclosure_service_client::DisclosureServiceClient;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use console::{Visitor, passkey_of, with_console};
use holder::{Holder, HolderOptions, who};
use story::{FIELDS, signed, wanted};

#[tokio::main]
async fn main() {
    let cases = std::env::var("ONEBIT_BENCH_CASES").map_or(100_000, |text| text.parse::<u64>().unwrap());
    let (holder, origin) = with_console(HolderOptions::people(PEOPLE)).await;
    let begun = Instant::now();
    let [first, rare] = fill(&holder, cases).await;
    println!("{cases} cases asked for over the wire in {:.0?}\n", begun.elapsed());
    let key = passkey_of(&holder, &origin, who::OFFICER).await;
    let mut visitor = Visitor::new(&holder, &origin);
    visitor.sign_in(&key).await;
    let queue = visitor.get("/cases").await.body;
    let next = queue.split_once("rel=\"next\"").unwrap().0.rsplit_once("href=\"").unwrap().1;
    let next = next.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
    let id = |name: &str| name.split_once('/').unwrap().1.to_owned();
    let pages = [
        ("health, for comparison", "/health".to_owned()),
        ("queue", "/cases".to_owned()),
        ("queue, next page", next),
        ("queue, one partner", "/cases?partner=au-border".to_owned()),
        ("queue, a partner without cases", "/cases?partner=ca-border".to_owned()),
        ("queue, one purpose", "/cases?purpose=border-identity".to_owned()),
        ("queue, a rare legal basis", format!("/cases?legal-basis={RARE_IN_ADDRESS}")),
        (
            "queue, one partner, purpose, legal basis",
            format!("/cases?partner=au-border&purpose=border-identity&legal-basis={RARE_IN_ADDRESS}"),
        ),
        ("queue, withdrawn", "/cases?state=withdrawn".to_owned()),
        ("queue, asked in the last day", "/cases?age=day-1".to_owned()),
        ("queue, asked more than a day ago (none)", "/cases?age=over-day-1".to_owned()),
        ("case", format!("/cases/{}", id(&first))),
        ("case of a rare legal basis", format!("/cases/{}", id(&rare))),
        ("decide", format!("/cases/{}/decide", id(&first))),
        ("leave a note", format!("/cases/{}/deeds/note", id(&first))),
    ];
    println!("| page | median | p99 |\n| --- | --- | --- |");
    for (name, address) in pages {
        let mut took = Vec::new();
        for turn in 0..WARM_UP + MEASURED {
            let begun = Instant::now();
            let shown = visitor.get(&address).await;
            assert_eq!(shown.status, 200, "{address}: {}", shown.body);
            if turn >= WARM_UP {
                took.push(begun.elapsed().as_secs_f64() * 1e3);
            }
        }
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[(took.len() as f64 * share) as usize];
        println!("| {name} | {:.1} ms | {:.1} ms |", at(0.5), at(0.99));
    }
}

/// Asks for fields so often, each request signed by the partner; each tenth is taken back. Gives the first case and one of
/// the rare legal basis.
async fn fill(holder: &Holder, cases: u64) -> [String; 2] {
    let mut queries = Vec::new();
    for person in 0..PEOPLE {
        queries.push(holder.hit(person).await);
    }
    let key = Arc::new(holder.signing_key(who::AU));
    let room = Arc::new(Semaphore::new(UNDER_WAY));
    let (mut tasks, mut found) = (JoinSet::new(), [String::new(), String::new()]);
    let service = DisclosureServiceClient::new(holder.channel(who::AU).await);
    for number in 0..cases {
        let place = Arc::clone(&room).acquire_owned().await.unwrap();
        let (mut service, key) = (service.clone(), Arc::clone(&key));
        let mut parts = wanted(&queries[(number % PEOPLE) as usize], &FIELDS);
        let is_rare = number % 5_000 == 7;
        if is_rare {
            parts.legal_basis = RARE.to_owned();
        }
        parts.official = format!("officer-{}", number % 500);
        tasks.spawn(async move {
            let _place = place;
            let asked = service.request_disclosure(signed(parts, &key)).await.unwrap().into_inner();
            let name = asked.disclosure.unwrap().name;
            if number % 10 == 9 {
                let message = WithdrawDisclosureRequest { name: name.clone() };
                service.withdraw_disclosure(message).await.unwrap();
            }
            (number, is_rare, name)
        });
        while let Some(done) = tasks.try_join_next() {
            note(done.unwrap(), &mut found);
        }
    }
    while let Some(done) = tasks.join_next().await {
        note(done.unwrap(), &mut found);
    }
    found
}

fn note((number, is_rare, name): (u64, bool, String), found: &mut [String; 2]) {
    match (number, is_rare) {
        (0, _) => found[0] = name,
        (_, true) => found[1] = name,
        _ => {}
    }
}

const RARE: &str = "Rare Act, s 1";
const RARE_IN_ADDRESS: &str = "Rare%20Act%2C%20s%201";
const PEOPLE: u64 = 12;
const UNDER_WAY: usize = 48;
const WARM_UP: usize = 10;
const MEASURED: usize = 200;
