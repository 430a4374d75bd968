//! Seats of officers that others fill for a time: two people make one, one person ends it, and a decision says whose it is.

use data_encoding::BASE64URL_NOPAD;
use onebit::grpc::pb::officer::CaseState;

use crate::console::{Visitor, passkey_of, with_console};
use crate::holder::{Holder, HolderOptions, Who, who};
use crate::story::{Choice, FIELDS, fact, of_kind};

/// The agreement asks for officers of two units. Both officers of the ceremony are of Auckland; Hemi, of Wellington, is away.
async fn two_units_and_one_away() -> (Holder, String) {
    let factor = "number = 2\nunits = 2\n";
    let options =
        HolderOptions::people(3).policy("agreements/au-border-identity.toml", "number = 2\n", factor);
    let (holder, origin) = with_console(options).await;
    holder.release_key();
    let uri = "spiffe://immigration.example/person/hemi";
    let issue = ["cert", "issue", "--authority", "authorities/holder", "--uri", uri, "--out", "hemi"];
    holder.onebit(who::ADMIN, &issue).ok();
    for officer in [who::OFFICER, who::OTHER_OFFICER] {
        let [certificate, _] = holder.credential(officer);
        std::fs::write(holder.path("unit.pem"), certificate).unwrap();
        put(&holder, officer.name(), "unit.pem", "auckland");
    }
    put(&holder, "hemi", "hemi/hemi.pem", "wellington");
    (holder, origin)
}

fn put(holder: &Holder, name: &str, certificate: &str, unit: &str) {
    let role = "approving-officer";
    let person = ["person", "--name", name, "--role", role, "--certificate", certificate, "--unit", unit];
    holder.change(who::ADMIN, who::PRIVACY, &person);
}

fn proposal<'a>(seat_of: &'a str, to: &'a str, since: &'a str, until: &'a str) -> Vec<&'a str> {
    vec!["delegation", "--seat-of", seat_of, "--to", to, "--since", since, "--until", until]
}

const ALWAYS: &str = "2020-01-01T00:00:00Z";

/// A year from now at most, and not yet over.
fn until() -> String {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    soon.to_string()
}

fn approve(holder: &Holder, officer: Who, disclosure: &str, seat_of: Option<&str>) -> Result<String, String> {
    let mut args = vec!["review", "approve", disclosure, "--all-fields", "--reason", "the same person"];
    args.extend(seat_of.iter().flat_map(|name| ["--seat-of", name]));
    let ran = holder.onebit(officer, &args);
    if ran.code() == Some(0) { Ok(ran.ok()) } else { Err(ran.failed()) }
}

fn delegation(holder: &Holder) -> String {
    let (since, until) = (jiff::Timestamp::now().to_string(), until());
    let to = who::OTHER_OFFICER.name();
    holder.change(who::ADMIN, who::PRIVACY, &proposal("hemi", to, &since, &until));
    let listed = holder.onebit(who::ADMIN, &["delegation", "list", "--output", "json"]).json();
    let standing = listed.as_array().unwrap().iter().find(|it| it["ended"] == false).unwrap().clone();
    assert_eq!((&standing["seatOf"], &standing["to"]), (&"hemi".into(), &to.into()));
    standing["change"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delegate_decides_once_for_the_unit_of_the_seat_until_one_person_ends_it() {
    let (holder, _) = two_units_and_one_away().await;
    let (officer, other) = (who::OFFICER, who::OTHER_OFFICER);
    let ask = async || holder.request(&holder.hit(0).await, &FIELDS).await;
    let first = ask().await;
    let early = approve(&holder, other, &first, Some("hemi")).unwrap_err();
    assert!(early.contains("is not delegated to you now"), "{early}");

    let change = delegation(&holder);
    assert!(approve(&holder, officer, &first, None).unwrap().contains("partially-approved"));
    let taken = approve(&holder, officer, &first, Some("hemi")).unwrap_err();
    assert!(taken.contains("is not delegated to you now"), "a seat of somebody else's delegate: {taken}");
    assert!(approve(&holder, other, &first, Some("hemi")).unwrap().contains("released"));
    let shown = holder.onebit(officer, &["review", "show", &first]).ok();
    assert!(shown.contains("in the seat of people/hemi"), "{shown}");

    // Without the seat both are of one unit, and nothing leaves.
    let second = ask().await;
    for one in [officer, other] {
        assert!(approve(&holder, one, &second, None).unwrap().contains("partially-approved"));
    }
    let twice = approve(&holder, other, &second, Some("hemi")).unwrap_err();
    assert!(twice.contains("has decided already"), "{twice}");

    // What was decided in a seat counts no longer once the delegation is over.
    let third = ask().await;
    assert!(approve(&holder, other, &third, Some("hemi")).unwrap().contains("partially-approved"));
    let denied = ["delegation", "end", &change, "--reason", "Hemi is back"];
    holder.onebit(officer, &denied).failed();
    holder.onebit(who::PRIVACY, &denied).ok();
    let again = holder.onebit(who::PRIVACY, &denied).failed();
    assert!(again.contains("NOT_FOUND"), "{again}");
    assert!(approve(&holder, officer, &third, None).unwrap().contains("approved"));
    let state = holder.case_state(&third).await;
    assert_eq!(state, CaseState::Approved, "one of the two counts no longer, and nothing was released");

    let entries = holder.entries("holder").await;
    let made = of_kind(&entries, "delegation.made");
    assert_eq!(
        (made.len(), fact(made[0], "person"), fact(made[0], "on-behalf-of")),
        (1, other.name(), "hemi")
    );
    assert_eq!(
        of_kind(&entries, "delegation.ended").len(),
        2,
        "the attempt on one that was over is there too"
    );
    let entries = holder.entries("au-border").await;
    let decided = of_kind(&entries, "disclosure.decided");
    let seats: Vec<_> =
        decided.iter().filter(|entry| entry.facts.iter().any(|it| it.name == "on-behalf-of")).collect();
    assert_eq!(seats.len(), 2);
    let approved = of_kind(&entries, "disclosure.approved");
    assert!(
        fact(approved[0], "officer").contains(&format!("{} as approving-officer for hemi", other.name()))
    );
    holder.whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seat_is_delegated_by_two_people_to_an_officer_of_another_unit_and_for_a_time() {
    let (holder, _) = two_units_and_one_away().await;
    let (officer, other, until) = (who::OFFICER.name(), who::OTHER_OFFICER.name(), until());
    let now = jiff::Timestamp::now().to_string();
    for (args, says) in [
        (proposal("nobody", other, &now, &until), "there is nobody"),
        (proposal("hemi", "hemi", &now, &until), "their own seat"),
        (proposal("hemi", who::EXAMINER.name(), &now, &until), "gives a seat and not a role"),
        (proposal(who::PRIVACY.name(), other, &now, &until), "only seats of approving officers"),
        (proposal(officer, other, &now, &until), "both are of one unit"),
        (proposal("hemi", other, &until, &now), "over before it begins"),
        (proposal("hemi", other, ALWAYS, &until), "longer than 366 days"),
        (proposal("hemi", other, ALWAYS, "2020-02-01T00:00:00Z"), "or already"),
    ] {
        let args = [&["change", "propose"], &args[..], &["--reason", "leave"]].concat();
        let refused = holder.onebit(who::ADMIN, &args).failed();
        assert!(refused.contains(says), "`{says}` should be in: {refused}");
    }
    let change = holder.propose(who::ADMIN, &proposal("hemi", other, &now, &until));
    let listed = holder.onebit(who::PRIVACY, &["change", "list"]).ok();
    assert!(listed.contains("decide in the seat of `hemi`"), "{listed}");
    for one in [who::ADMIN, who::OTHER_ADMIN] {
        holder.onebit(one, &["change", "confirm", &change]).failed();
    }
    holder.onebit(who::PRIVACY, &["change", "confirm", &change]).ok();

    // A suspension ends it for good, of whichever of the two.
    holder.onebit(who::ADMIN, &["suspend", "person", "hemi", "--reason", "for a test"]).ok();
    holder.change(who::ADMIN, who::PRIVACY, &["restore-person", "hemi"]);
    let listed = holder.onebit(who::ADMIN, &["delegation", "list", "--output", "json"]).json();
    assert_eq!(listed[0]["ended"], true, "{listed:#}");
    let disclosure = holder.request(&holder.hit(1).await, &FIELDS).await;
    approve(&holder, who::OTHER_OFFICER, &disclosure, Some("hemi")).unwrap_err();
    holder.whole();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_offers_a_delegated_seat_and_what_is_signed_names_it() {
    let (holder, origin) = two_units_and_one_away().await;
    let disclosure = holder.request(&holder.hit(2).await, &FIELDS).await;
    let case = format!("/cases/{}", disclosure.split_once('/').unwrap().1);
    let (decide, check) = (format!("{case}/decide"), format!("{case}/check"));
    let passkey = passkey_of(&holder, &origin, who::OTHER_OFFICER).await;
    let mut visitor = Visitor::new(&holder, &origin);
    visitor.sign_in(&passkey).await;
    assert!(!visitor.get(&decide).await.body.contains("In whose seat"), "nothing is delegated");
    let change = delegation(&holder);
    let page = visitor.get(&decide).await;
    assert!(page.body.contains("In that of hemi, of Wellington, until "), "{}", page.body);
    let mut form = vec![
        ("token", page.field("token")),
        ("officer", who::OTHER_OFFICER.name().to_owned()),
        ("mark", page.field("mark")),
        ("decisions-seen", page.field("decisions-seen")),
        ("reason", "Hemi is away, and the same person.".to_owned()),
        ("seat", "hemi".to_owned()),
    ];
    form.extend(FIELDS.map(|field| ("field", field.to_owned())));
    let choices = FIELDS.map(|field| (format!("choice.{field}"), "release".to_owned()));
    form.extend(choices.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let strange: Vec<_> = form
        .iter()
        .map(
            |(name, value)| {
                if *name == "seat" { (*name, "nikau".to_owned()) } else { (*name, value.clone()) }
            },
        )
        .collect();
    let refused = visitor.post(&decide, &strange).await;
    assert!(refused.status == 422 && refused.body.contains("Select another seat"), "{}", refused.body);
    assert_eq!(visitor.post(&decide, &form).await.header("location"), check);
    let page = visitor.get(&check).await;
    assert!(page.body.contains("In the seat of"), "{}", page.body);

    // It ends while the page is open: nothing is signed.
    holder.onebit(who::ADMIN, &["delegation", "end", &change, "--reason", "Hemi is back"]).ok();
    let signed = |page: &crate::console::Shown| passkey.signs(&page.data("party"), &page.data("challenge"));
    let credential = BASE64URL_NOPAD.decode(page.data("credentials").as_bytes()).unwrap();
    assert!(!credential.is_empty());
    let fields = signed(&page);
    let late = visitor.post_with(&check, &page, fields).await;
    assert!(late.body.contains("is not delegated to you now"), "{}", late.body);
    assert_eq!(holder.case(who::OFFICER, &disclosure).await.decisions.len(), 0);

    delegation(&holder);
    visitor.post(&decide, &form).await;
    let page = visitor.get(&check).await;
    let fields = signed(&page);
    let done = visitor.post_with(&check, &page, fields).await;
    assert_eq!(done.header("location"), format!("{case}/done"), "{}", done.body);
    assert!(visitor.get(&case).await.body.contains("in the seat of hemi"));
    let decided = holder.decide(who::OFFICER, &disclosure, Choice::Grant(&FIELDS)).await.unwrap();
    assert_eq!(decided, CaseState::Released);
    holder.whole();
}
