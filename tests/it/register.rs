//! The register of disposals: a real server whose calendar goes on by three days disposes of what is kept for one, and the
//! register is made from an export, verified, and refused when it says something else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::holder::{Holder, HolderOptions, Who, repository, who};
use crate::story::answer_about;

const DAYS: i64 = 3;

/// What makes a program's calendar run ahead.
fn later() -> PathBuf {
    let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("later.so");
    let source = repository().join("tests/later.c");
    let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
    assert!(made.expect("`cc` should start; run `.ci/setup lint`").success());
    library
}

fn ahead<'a>(command: &'a mut Command, library: &Path) -> &'a mut Command {
    command.env("LD_PRELOAD", library).env("ONEBIT_TEST_LATER_S", (DAYS * 86_400).to_string())
}

#[tokio::test]
async fn what_is_disposed_of_stands_in_a_register_that_anyone_can_verify() {
    let days = ("retention.toml", "name = \"query-log\"\ndays = 2557", "name = \"query-log\"\ndays = 1");
    let mut holder = Holder::start(HolderOptions::people(2).policy(days.0, days.1, days.2)).await;
    answer_about(&holder.channel(who::AU).await, 0).await;
    let erase = ["subject", "erase", "--source-id", "syn-000001", "--reason", "asked to", "--output", "json"];
    let erased = holder.onebit(who::ENROLLER, &erase).json();
    assert_eq!(erased["kept"][0]["payloads"], "query", "{erased}");
    assert!(erased["kept"][1]["authority"].as_str().unwrap().contains("DA-000"), "{erased}");
    let nobody = ["subject", "erase", "--source-id", "nobody", "--reason", "asked to", "--output", "json"];
    let nobody = holder.onebit(who::ENROLLER, &nobody).json();
    assert_eq!(nobody["kept"], erased["kept"], "what is told is the same for whoever was not there");

    holder.stop().await;
    let library = later();
    let mut server = Command::new(env!("CARGO_BIN_EXE_onebit"));
    ahead(&mut server, &library);
    holder.serve_by(server).await;
    let run = |who: Who, args: &[&str]| {
        let mut command = holder.command(who);
        Holder::ran(who, ahead(&mut command, &library), args)
    };
    let before = (jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
        + jiff::Span::new().days(1))
    .to_string();
    let dispose = ["change", "propose", "dispose", "--class", "query", "--before", &before, "--reason"];
    let proposed =
        run(who::PRIVACY, &[&dispose[..], &["the end of its time", "--output", "json"]].concat()).json();
    let change = proposed["change"].as_str().unwrap();
    run(who::ADMIN, &["change", "confirm", change]).ok();
    run(who::PRIVACY, &["audit", "export", "--journal", "holder", "--reason", "register", "--out", "export"])
        .ok();

    let key = holder.log_key("holder");
    let [certificate, signing_key] = who::PRIVACY.credential();
    let policy = repository().join("policy");
    let make = |out: &str| {
        let (signing_key, policy) = (signing_key.to_str().unwrap(), policy.to_str().unwrap());
        let args = ["report", "disposals", "--journal", "export", "--key", &key, "--policy", policy];
        run(who::PRIVACY, &[&args[..], &["--signing-key", signing_key, "--out", out]].concat())
    };
    let told = make("register").ok();
    assert!(told.contains("1 disposals; 1 people were erased"), "{told}");
    assert!(make("register").failed().contains("is there already"));

    let register: Value =
        serde_json::from_str(&fs::read_to_string(holder.path("register/report.json")).unwrap()).unwrap();
    let disposal = &register["disposals"][0];
    assert_eq!(
        [&disposal["payloads"], &disposal["before"], &disposal["proposed_by"], &disposal["confirmed_by"]],
        ["query", &before, who::PRIVACY.name(), who::ADMIN.name()],
    );
    assert!(
        disposal["authority"]
            .as_str()
            .unwrap()
            .starts_with("query-log, 1 days: Example disposal authority DA-000")
    );
    let totals = disposal["totals"].to_string();
    assert!(totals.contains("query.answered 1") && totals.contains("hits 1"), "{totals}");
    assert_eq!(
        (&register["erasures"][0]["people"], register["erasures"].as_array().unwrap().len()),
        (&1.into(), 1)
    );
    let page = fs::read_to_string(holder.path("register/report.html")).unwrap();
    assert!(
        page.contains("Erased, and kept all the same") && !page.contains("syn-000001"),
        "nobody is named"
    );

    // The evidence alone, by the verifier of receipts.
    let evidence = &disposal["evidence"][0];
    fs::write(holder.path("one.receipt"), evidence["receipt"].as_str().unwrap()).unwrap();
    let receipt = run(who::PRIVACY, &["receipt", "verify", "one.receipt", "--key", &key]).ok();
    assert!(receipt.contains("payloads.disposed"), "{receipt}");

    let certificate = certificate.to_str().unwrap();
    let verify = |more: &[&str]| {
        let args = ["report", "verify-disposals", "register", "--signer", certificate, "--key", &key];
        run(who::PRIVACY, &[&args[..], more].concat())
    };
    let verified = verify(&["--journal", "export"]).ok();
    assert!(
        verified.contains("1 receipts") && verified.contains("nothing of the journal is left out"),
        "{verified}"
    );
    let other = holder.log_key("au-border");
    let args = ["report", "verify-disposals", "register", "--signer", certificate, "--key", &other];
    assert!(run(who::PRIVACY, &args).failed().contains("the receipt of entry"));

    let file = holder.path("register/report.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("the end of its time", "a whim of somebody")).unwrap();
    assert!(verify(&[]).failed().contains("is not as it was signed"));
}
