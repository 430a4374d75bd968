//! The rules of `policy/` as they are shipped: each rule matters, and nothing else is permitted.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::specimen::Specimen;
use super::*;
use crate::clock::Timestamp;
use crate::ids::{ActorName, AgreementName, CollectionName, Digest, PartnerName};

static SHIPPED: LazyLock<Rules> = LazyLock::new(|| load(shipped()).unwrap());

fn shipped() -> Bundle {
    Bundle::read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policy")).unwrap()
}

fn load(bundle: Bundle) -> Result<Rules, String> {
    Rules::load(bundle)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The shipped folder with one file's text changed.
fn changed(file: &str, change: impl FnOnce(&str) -> String) -> Bundle {
    let bundle = shipped();
    let text = std::str::from_utf8(bundle.file(file).unwrap_or_default()).unwrap();
    let new = (file.to_owned(), change(text).into_bytes());
    let rest =
        bundle.files().filter(|(path, _)| *path != file).map(|(path, text)| (path.to_owned(), text.to_vec()));
    Bundle::from_files(rest.chain([new])).unwrap()
}

/// The shipped rules without one of them.
fn without(id: &str) -> Rules {
    let bundle = shipped();
    let start = format!("@id(\"{id}\")");
    let (file, text) = bundle
        .files()
        .find_map(|(path, text)| {
            let text = std::str::from_utf8(text).unwrap();
            text.contains(&start).then_some((path, text))
        })
        .unwrap_or_else(|| panic!("no rule `{id}`"));
    let (before, rule) = text.split_once(&start).unwrap();
    let (_, after) = rule.split_once(";\n").unwrap();
    load(changed(file, |_| format!("{before}{after}"))).unwrap()
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// 2026-07-01T12:00Z, when both agreements are in force.
const NOON: Timestamp = Timestamp::from_millis(1_782_907_200_000);

fn after_days(days: u64) -> Timestamp {
    NOON.after(std::time::Duration::from_secs(days * 86_400))
}

fn someone(role: Role) -> Actor {
    let partner = (role == Role::PartnerSystem).then(|| name("au-border"));
    Actor { name: name("someone"), role, partner, standing: Standing::Active }
}

impl Default for Specimen {
    /// A question with nothing amiss.
    fn default() -> Self {
        Self {
            agreement: name("au-border-identity"),
            partner: name("au-border"),
            journal: Some(name("au-border")),
            collection: name("watch-face"),
            purpose: name("border-identity"),
            fields: vec![name("family-name")],
            proposed_by: name("another"),
            proposer_role: Role::Administrator,
            standings: Standings::all_active(),
        }
    }
}

impl Specimen {
    /// As an actor of this role would meet it: nobody confirms what somebody of the same role proposed, and a
    /// witness reads the holder's journal.
    fn for_role(role: Role) -> Self {
        let proposer_role =
            if role == Role::Administrator { Role::PrivacyOfficer } else { Role::Administrator };
        let journal = (role != Role::Witness).then(|| name("au-border"));
        Self { proposer_role, journal, ..Self::default() }
    }
}

const FRESH: Usage = Usage::Counted { today: 0, this_year: 0 };

fn ask(action: Action, about: About<'_>, now: Timestamp) -> Ask<'_> {
    Ask { action, about, content: Digest::from_bytes([7; 32]), now }
}

fn reason(rules: &Rules, actor: &Actor, ask: &Ask<'_>) -> Option<Reason> {
    rules.permit(actor, ask).err().map(|refusal| refusal.reason)
}

/// Refused for `wanted` by rule `id`, and no longer so without that rule.
#[track_caller]
fn holds(id: &str, wanted: Reason, actor: &Actor, ask: &Ask<'_>) {
    let refusal = SHIPPED.permit(actor, ask).expect_err(&format!("`{id}` should have refused"));
    assert_eq!((refusal.reason, refusal.rule.as_str()), (wanted, id));
    assert_ne!(
        reason(&without(id), actor, ask),
        Some(wanted),
        "without `{id}` the call is still refused for {wanted}: say in the test what the rule alone does"
    );
}

/// As [`holds`], and permitted without the rule: nothing but that rule was in the way.
#[track_caller]
fn holds_alone(id: &str, wanted: Reason, actor: &Actor, ask: &Ask<'_>) {
    holds(id, wanted, actor, ask);
    assert_eq!(reason(&without(id), actor, ask), None, "without `{id}` something else refuses");
}

#[test]
fn every_forbidding_rule_is_tested_here() {
    let source = include_str!("tests.rs");
    for rule in SHIPPED.book.rules().filter(|rule| rule.reason.is_some()) {
        let tested = [",", "]"].iter().any(|end| source.contains(&format!("\"{}\"{end}", rule.id)));
        assert!(tested, "add a test with `holds(\"{}\", …)` to src/authz/tests.rs", rule.id);
    }
}

#[test]
fn suspended_do_nothing() {
    for role in Role::ALL {
        let names = Specimen::for_role(role);
        for action in Action::ALL {
            let actor = Actor { standing: Standing::Suspended, ..someone(role) };
            let wanted =
                if role == Role::PartnerSystem { Reason::PartnerSuspended } else { Reason::PersonSuspended };
            let ask = ask(*action, names.about(*action), NOON);
            assert_eq!(reason(&SHIPPED, &actor, &ask), Some(wanted), "{role} calls {action}");
        }
    }
    let names = Specimen::default();
    let suspended = |role| Actor { standing: Standing::Suspended, ..someone(role) };
    let own = About::Partner { partner: &names.partner };
    let call = ask(Action::GetStanding, own, NOON);
    holds_alone("suspended-partner", Reason::PartnerSuspended, &suspended(Role::PartnerSystem), &call);
    let call = ask(Action::ListCases, About::Service, NOON);
    holds_alone("suspended-person", Reason::PersonSuspended, &suspended(Role::Examiner), &call);
}

#[test]
fn nobody_stands_on_both_sides() {
    let both = Actor { partner: Some(name("au-border")), ..someone(Role::ApprovingOfficer) };
    let list = ask(Action::ListCases, About::Service, NOON);
    holds_alone("one-side-only", Reason::NotPermitted, &both, &list);
    let stray = Actor { partner: None, ..someone(Role::PartnerSystem) };
    let open = ask(Action::AskQueries, About::Service, NOON);
    holds_alone("partner-named", Reason::NotPermitted, &stray, &open);
}

#[test]
fn queries_need_an_agreement_of_ones_own() {
    let actor = someone(Role::PartnerSystem);
    let theirs = Specimen {
        agreement: name("ca-border-identity"),
        purpose: name("visa-identity"),
        ..Specimen::default()
    };
    holds_alone(
        "query-agreement",
        Reason::AgreementUnknown,
        &actor,
        &ask(Action::AskQuery, theirs.query(1, FRESH), NOON),
    );
    let missing = Specimen { agreement: name("no-such"), ..Specimen::default() };
    let told = SHIPPED.permit(&actor, &ask(Action::AskQuery, missing.query(1, FRESH), NOON)).unwrap_err();
    let other = SHIPPED.permit(&actor, &ask(Action::AskQuery, theirs.query(1, FRESH), NOON)).unwrap_err();
    assert_eq!(told, other, "another's agreement and one that does not exist must be refused alike");
}

#[test]
fn queries_keep_to_the_agreement() {
    let actor = someone(Role::PartnerSystem);
    let good = Specimen::default();
    let query = |names, now| ask(Action::AskQuery, Specimen::query(names, 1, FRESH), now);
    let before = NOON.before(std::time::Duration::from_secs(182 * 86_400));
    holds_alone("query-term", Reason::AgreementNotInForce, &actor, &query(&good, before));
    // The review falls on the last day but one year; past the end both rules refuse, and the end is told.
    let overdue = after_days(365 * 3 + 365);
    holds_alone("query-review", Reason::AgreementReviewOverdue, &actor, &query(&good, overdue));
    assert_eq!(
        reason(&SHIPPED, &actor, &query(&good, after_days(365 * 5))),
        Some(Reason::AgreementNotInForce)
    );
    let elsewhere = Specimen { collection: name("elsewhere"), ..Specimen::default() };
    holds_alone("query-collection", Reason::CollectionNotInAgreement, &actor, &query(&elsewhere, NOON));
    let curious = Specimen { purpose: name("curiosity"), ..Specimen::default() };
    holds_alone("query-purpose", Reason::PurposeNotInAgreement, &actor, &query(&curious, NOON));
    for samples in [0, 4, u32::MAX] {
        let call = ask(Action::AskQuery, good.query(samples, FRESH), NOON);
        holds_alone("query-samples", Reason::SamplesOutsideAgreement, &actor, &call);
    }
}

#[test]
fn queries_stop_at_the_volume() {
    let actor = someone(Role::PartnerSystem);
    let names = Specimen::default();
    let used =
        |today, this_year| ask(Action::AskQuery, names.query(1, Usage::Counted { today, this_year }), NOON);
    assert_eq!(reason(&SHIPPED, &actor, &used(1_999, 399_999)), None, "the last of the volume may be used");
    holds_alone("query-volume-day", Reason::VolumeDayExhausted, &actor, &used(2_000, 2_000));
    holds_alone("query-volume-year", Reason::VolumeYearExhausted, &actor, &used(0, 400_000));
    let again = ask(Action::AskQuery, names.query(1, Usage::Repeated), NOON);
    assert_eq!(reason(&SHIPPED, &actor, &again), None, "a repeated question costs nothing");
    let late = ask(Action::AskQuery, names.query(1, Usage::Repeated), after_days(365 * 5));
    assert_eq!(
        reason(&SHIPPED, &actor, &late),
        Some(Reason::AgreementNotInForce),
        "the agreement comes first"
    );
}

#[test]
fn agreement_is_found_when_it_is_not_named() {
    let actor = someone(Role::PartnerSystem);
    let names = Specimen::default();
    let unnamed = |collection, purpose| About::Query {
        agreement: None,
        collection,
        purpose,
        samples: 1,
        usage: FRESH,
        standings: Standings::all_active(),
    };
    let call = ask(Action::AskQuery, unnamed(&names.collection, &names.purpose), NOON);
    let permit = SHIPPED.permit(&actor, &call).unwrap();
    assert_eq!(permit.agreement().unwrap().name, names.agreement);

    let (elsewhere, curiosity) = (name("elsewhere"), name("curiosity"));
    let call = ask(Action::AskQuery, unnamed(&elsewhere, &names.purpose), NOON);
    assert_eq!(reason(&SHIPPED, &actor, &call), Some(Reason::CollectionNotInAgreement));
    let call = ask(Action::AskQuery, unnamed(&names.collection, &curiosity), NOON);
    assert_eq!(reason(&SHIPPED, &actor, &call), Some(Reason::PurposeNotInAgreement));
    let nobody = Actor { partner: Some(name("xx-border")), ..actor };
    let call = ask(Action::AskQuery, unnamed(&names.collection, &names.purpose), NOON);
    assert_eq!(reason(&SHIPPED, &nobody, &call), Some(Reason::AgreementUnknown));
}

#[test]
fn agreement_must_be_named_where_several_fit() {
    let file = "agreements/au-border-identity.toml";
    let text = String::from_utf8(shipped().file(file).unwrap().to_vec()).unwrap();
    let second = text.replace("name = \"au-border-identity\"", "name = \"au-border-second\"");
    let two = |second: String| load(changed("agreements/au-border-second.toml", |_| second)).unwrap();
    let actor = someone(Role::PartnerSystem);
    let names = Specimen::default();
    let (collection, purpose) = (&names.collection, &names.purpose);
    let unnamed = About::Query {
        agreement: None,
        collection,
        purpose,
        samples: 1,
        usage: FRESH,
        standings: Standings::all_active(),
    };
    let call = ask(Action::AskQuery, unnamed, NOON);
    assert_eq!(reason(&two(second.clone()), &actor, &call), Some(Reason::AgreementUnknown));
    // One that has not begun is not in the way.
    let later = second.replace("from = 2026-01-01", "from = 2027-01-01");
    let permit = two(later).permit(&actor, &call).unwrap();
    assert_eq!(permit.agreement().unwrap().name, names.agreement);
}

#[test]
fn disclosures_are_ones_own() {
    let actor = someone(Role::PartnerSystem);
    let names = Specimen::default();
    let theirs: PartnerName = name("ca-border");
    for action in
        [Action::GetDisclosure, Action::FetchRelease, Action::AcknowledgeRelease, Action::WithdrawDisclosure]
    {
        let about = About::Disclosure {
            partner: &theirs,
            agreement: &names.agreement,
            standings: Standings::all_active(),
        };
        holds_alone("disclosure-own", Reason::NotYours, &actor, &ask(action, about, NOON));
    }
    let list = ask(Action::ListDisclosures, About::Partner { partner: &theirs }, NOON);
    holds_alone("disclosure-own", Reason::NotYours, &actor, &list);
}

#[test]
fn disclosures_keep_to_the_agreement() {
    let actor = someone(Role::PartnerSystem);
    let good = Specimen::default();
    let call = |action, names, now| ask(action, Specimen::about(names, action), now);
    let theirs = Specimen {
        agreement: name("ca-border-identity"),
        purpose: name("visa-identity"),
        ..Specimen::default()
    };
    let (ended, overdue) = (after_days(365 * 5), after_days(365 * 4));
    for action in [Action::RequestDisclosure, Action::FetchRelease] {
        holds_alone("disclosure-agreement", Reason::AgreementUnknown, &actor, &call(action, &theirs, NOON));
        holds("disclosure-term", Reason::AgreementNotInForce, &actor, &call(action, &good, ended));
        holds_alone(
            "disclosure-review",
            Reason::AgreementReviewOverdue,
            &actor,
            &call(action, &good, overdue),
        );
    }
    let request = |names, now| call(Action::RequestDisclosure, names, now);
    let curious = Specimen { purpose: name("curiosity"), ..Specimen::default() };
    holds("disclosure-purpose", Reason::PurposeNotInAgreement, &actor, &request(&curious, NOON));
    let warning = Specimen { fields: vec![name("family-name"), name("warning")], ..Specimen::default() };
    holds_alone("disclosure-fields", Reason::FieldNotDisclosable, &actor, &request(&warning, NOON));
    let nothing = Specimen { fields: Vec::new(), ..Specimen::default() };
    holds_alone("disclosure-fields", Reason::FieldNotDisclosable, &actor, &request(&nothing, NOON));
    let serious =
        Specimen { purpose: name("serious-crime"), fields: vec![name("warning")], ..Specimen::default() };
    assert_eq!(reason(&SHIPPED, &actor, &request(&serious, NOON)), None, "another purpose discloses it");
    let acknowledge = call(Action::AcknowledgeRelease, &good, ended);
    assert_eq!(
        reason(&SHIPPED, &actor, &acknowledge),
        None,
        "what was received can be acknowledged after the end"
    );
}

#[test]
fn partners_see_only_their_own() {
    let actor = someone(Role::PartnerSystem);
    let theirs: PartnerName = name("ca-border");
    for action in [
        Action::GetStanding,
        Action::ListAgreements,
        Action::GetOwnCheckpoint,
        Action::ListOwnEntries,
        Action::GetWitnessedHead,
    ] {
        let about = About::Partner { partner: &theirs };
        holds_alone("partner-only-own", Reason::NotYours, &actor, &ask(action, about, NOON));
    }
}

#[test]
fn approvals_keep_to_the_agreement() {
    let actor = someone(Role::ApprovingOfficer);
    let good = Specimen::default();
    for action in [Action::ViewField, Action::DecideCase] {
        let case = |names, now| ask(action, Specimen::case(names, Standing::Active), now);
        let theirs = Specimen {
            agreement: name("ca-border-identity"),
            purpose: name("visa-identity"),
            ..Specimen::default()
        };
        holds_alone("case-agreement", Reason::AgreementUnknown, &actor, &case(&theirs, NOON));
        holds("case-term", Reason::AgreementNotInForce, &actor, &case(&good, after_days(365 * 5)));
        holds_alone("case-review", Reason::AgreementReviewOverdue, &actor, &case(&good, after_days(365 * 4)));
        let suspended = ask(action, good.case(Standing::Suspended), NOON);
        holds_alone("case-requester", Reason::RequesterSuspended, &actor, &suspended);
        let warning = Specimen { fields: vec![name("warning")], ..Specimen::default() };
        holds_alone("case-fields", Reason::FieldNotDisclosable, &actor, &case(&warning, NOON));
    }
    let nothing = Specimen { fields: Vec::new(), ..Specimen::default() };
    let view = ask(Action::ViewField, nothing.case(Standing::Active), NOON);
    holds_alone("view-names-field", Reason::FieldNotDisclosable, &actor, &view);
}

#[test]
fn a_suspended_agreement_and_a_suspended_official_stop_what_leaves() {
    let (system, officer) = (someone(Role::PartnerSystem), someone(Role::ApprovingOfficer));
    let query = ["query-agreement-suspended", "query-official-suspended"];
    let disclosure = ["disclosure-agreement-suspended", "disclosure-official-suspended"];
    let case = ["case-agreement-suspended", "case-official-suspended"];
    for (action, [of_agreement, of_official], actor) in [
        (Action::AskQuery, query, &system),
        (Action::RequestDisclosure, disclosure, &system),
        (Action::FetchRelease, disclosure, &system),
        (Action::ViewField, case, &officer),
        (Action::DecideCase, case, &officer),
    ] {
        let with = |standings| Specimen { standings, ..Specimen::default() };
        let agreement = with(own_stopped());
        let call = ask(action, agreement.about(action), NOON);
        holds_alone(of_agreement, Reason::AgreementSuspended, actor, &call);
        let official = with(OFFICIAL_STOPPED);
        let call = ask(action, official.about(action), NOON);
        holds_alone(of_official, Reason::OfficialSuspended, actor, &call);
        let others = with(others_stopped());
        let call = ask(action, others.about(action), NOON);
        assert_eq!(reason(&SHIPPED, actor, &call), None, "another agreement's suspension is not this one's");
    }
    for standings in [own_stopped(), OFFICIAL_STOPPED] {
        let names = Specimen { standings, ..Specimen::default() };
        for action in [Action::GetDisclosure, Action::WithdrawDisclosure, Action::AcknowledgeRelease] {
            assert_eq!(reason(&SHIPPED, &system, &ask(action, names.about(action), NOON)), None, "{action}");
        }
        let denial = Specimen { fields: Vec::new(), ..names };
        let call = ask(Action::DecideCase, denial.case(Standing::Active), NOON);
        assert_eq!(reason(&SHIPPED, &officer, &call), None, "a denial is always possible");
    }
}

const OFFICIAL_STOPPED: Standings<'static> =
    Standings { official: Standing::Suspended, ..Standings::all_active() };

/// The agreement of [`Specimen::default`] is suspended.
fn own_stopped() -> Standings<'static> {
    static OWN: LazyLock<BTreeSet<AgreementName>> = LazyLock::new(|| [name("au-border-identity")].into());
    Standings { suspended: &OWN, official: Standing::Active }
}

fn others_stopped() -> Standings<'static> {
    static OTHERS: LazyLock<BTreeSet<AgreementName>> = LazyLock::new(|| [name("ca-border-identity")].into());
    Standings { suspended: &OTHERS, official: Standing::Active }
}

#[test]
fn denial_is_always_possible() {
    let actor = someone(Role::ApprovingOfficer);
    for agreement in ["au-border-identity", "ca-border-identity", "no-such"] {
        let denial = Specimen { agreement: name(agreement), fields: Vec::new(), ..Specimen::default() };
        for now in [NOON, after_days(365 * 4), after_days(365 * 5)] {
            let call = ask(Action::DecideCase, denial.case(Standing::Suspended), now);
            assert_eq!(reason(&SHIPPED, &actor, &call), None, "denying under `{agreement}`");
        }
    }
}

#[test]
fn a_journal_is_read_by_its_partner_by_privacy_officers_and_the_holders_by_witnesses() {
    let (own, other): (PartnerName, PartnerName) = (name("au-border"), name("ca-border"));
    let [own, other, holders] = [Some(&own), Some(&other), None].map(|partner| About::Journal { partner });
    for action in [Action::ReadCheckpoint, Action::ReadTile, Action::ReadBundle] {
        let read = |about| ask(action, about, NOON);
        for about in [other, holders] {
            let partner = someone(Role::PartnerSystem);
            holds_alone("journal-own", Reason::NotYours, &partner, &read(about));
        }
        for about in [own, other] {
            let witness = someone(Role::Witness);
            holds_alone("journal-holders", Reason::NotYours, &witness, &read(about));
        }
        for (role, about) in [
            (Role::PartnerSystem, own),
            (Role::Witness, holders),
            (Role::PrivacyOfficer, own),
            (Role::PrivacyOfficer, holders),
        ] {
            assert_eq!(reason(&SHIPPED, &someone(role), &read(about)), None, "{role} reads {about:?}");
        }
        for role in [Role::EnrolmentSystem, Role::ApprovingOfficer, Role::Examiner, Role::Administrator] {
            let refused = reason(&SHIPPED, &someone(role), &read(holders));
            assert_eq!(refused, Some(Reason::RoleNotAllowed), "{role} reads the holder's journal");
        }
    }
}

#[test]
fn enrolment_needs_a_known_collection() {
    let actor = someone(Role::EnrolmentSystem);
    let elsewhere: CollectionName = name("elsewhere");
    for action in [Action::StartBatch, Action::EnrolSubjects] {
        let about = About::Collection { collection: &elsewhere };
        holds_alone("enrolment-collection", Reason::CollectionUnknown, &actor, &ask(action, about, NOON));
    }
}

#[test]
fn changes_take_two_people_of_two_roles() {
    let actor = someone(Role::Administrator);
    let other: ActorName = name("another");
    let confirm = |proposed_by, proposer_role| {
        ask(Action::ConfirmChange, About::Change { kind: "put-person", proposed_by, proposer_role }, NOON)
    };
    // Who changed roles in between is still the same person.
    holds_alone(
        "change-two-people",
        Reason::ChangeIsYourOwn,
        &actor,
        &confirm(&actor.name, Role::PrivacyOfficer),
    );
    holds_alone(
        "change-two-roles",
        Reason::ChangeNeedsAnotherRole,
        &actor,
        &confirm(&other, Role::Administrator),
    );
    assert_eq!(reason(&SHIPPED, &actor, &confirm(&other, Role::PrivacyOfficer)), None);
    // Should the rules ever let a third role propose, a disposal still takes a privacy officer.
    let dispose = |proposer_role| {
        let about = About::Change { kind: "dispose", proposed_by: &other, proposer_role };
        ask(Action::ConfirmChange, about, NOON)
    };
    holds_alone(
        "disposal-privacy-officer",
        Reason::ChangeNeedsPrivacyOfficer,
        &actor,
        &dispose(Role::Examiner),
    );
    assert_eq!(reason(&SHIPPED, &actor, &dispose(Role::PrivacyOfficer)), None);
    assert_eq!(reason(&SHIPPED, &someone(Role::PrivacyOfficer), &dispose(Role::Administrator)), None);
}

#[test]
fn two_administrators_invite_and_a_privacy_officer_confirms_the_passkey() {
    let (administrator, privacy) = (someone(Role::Administrator), someone(Role::PrivacyOfficer));
    let other: ActorName = name("rawiri-p");
    let confirm = |kind, proposed_by, proposer_role| {
        ask(Action::ConfirmChange, About::Change { kind, proposed_by, proposer_role }, NOON)
    };
    let invited = confirm("invite-person", &other, Role::Administrator);
    assert_eq!(reason(&SHIPPED, &administrator, &invited), None);
    let own = confirm("invite-person", &administrator.name, Role::Administrator);
    holds_alone("change-two-people", Reason::ChangeIsYourOwn, &administrator, &own);
    for role in [Role::ApprovingOfficer, Role::PrivacyOfficer] {
        let passkey = confirm("put-passkey", &other, role);
        let needs = Reason::ChangeNeedsPrivacyOfficer;
        holds_alone("passkey-privacy-officer", needs, &administrator, &passkey);
        assert_eq!(reason(&SHIPPED, &privacy, &passkey), None);
    }
    let own = confirm("put-passkey", &privacy.name, Role::PrivacyOfficer);
    holds_alone("change-two-people", Reason::ChangeIsYourOwn, &privacy, &own);
}

#[test]
fn rules_that_cannot_be_evaluated_refuse() {
    let broken = load(changed("rules/everyone.cedar", |text| {
        format!(
            "{text}\n@id(\"broken\")\n@reason(\"NOT_PERMITTED\")\n@says(\"never\")\n\
             forbid (principal, action == Action::\"partner.QueryService/AskQuery\", resource)\n\
             when {{ context.used_today * 9223372036854775807 > 1 }};\n"
        )
    }))
    .unwrap();
    let names = Specimen::default();
    let call = ask(Action::AskQuery, names.query(1, Usage::Counted { today: 2, this_year: 2 }), NOON);
    let refusal = broken.permit(&someone(Role::PartnerSystem), &call).unwrap_err();
    assert_eq!((refusal.reason, refusal.rule.as_str()), (Reason::NotPermitted, "broken"));
}

#[test]
fn permit_tells_what_it_is_for() {
    let names = Specimen::default();
    let actor = someone(Role::PartnerSystem);
    let permit = SHIPPED.permit(&actor, &ask(Action::AskQuery, names.query(1, FRESH), NOON)).unwrap();
    assert_eq!(permit.actor(), &actor);
    assert_eq!(permit.action(), Action::AskQuery);
    assert_eq!(permit.content(), Digest::from_bytes([7; 32]));
    assert_eq!(permit.policy(), shipped().digest());
    assert_eq!((permit.rule(), permit.given()), ("partner-asks", NOON));
}

#[test]
fn well_formed_calls_are_permitted_exactly_as_the_table_says() {
    let table = who_may_call_what(&SHIPPED);
    for role in Role::ALL {
        let names = Specimen::for_role(role);
        for action in Action::ALL {
            let ask = ask(*action, names.about(*action), NOON);
            let refused = reason(&SHIPPED, &someone(role), &ask);
            // The example agreements ask for no examiner.
            let is_unasked = matches!(action, Action::DecideCase | Action::AskInformation);
            let wanted = match table.cell(role, *action) {
                May::No => Some(Reason::RoleNotAllowed),
                _ if role == Role::Examiner && is_unasked => Some(Reason::NotPermitted),
                _ => None,
            };
            assert_eq!(refused, wanted, "{role} calls {action}");
        }
    }
}

#[test]
fn powers_stay_apart() {
    let table = who_may_call_what(&SHIPPED);
    let powers = ["officer", "oversight", "administration", "partner", "tiles", "console"];
    let packages = |role| -> Vec<&str> {
        let may = |package: &str| {
            let mut own = Action::ALL.iter().filter(|action| action.package() == package);
            own.any(|action| *table.cell(role, *action) != May::No)
        };
        powers.into_iter().filter(|package| may(package)).collect()
    };
    assert_eq!(packages(Role::PartnerSystem), ["partner", "tiles"]);
    assert_eq!(packages(Role::Witness), ["tiles"]);
    assert_eq!(packages(Role::EnrolmentSystem), [""; 0]);
    assert_eq!(packages(Role::ApprovingOfficer), ["officer", "console"]);
    assert_eq!(packages(Role::Examiner), ["officer", "console"]);
    assert_eq!(
        packages(Role::PrivacyOfficer),
        ["officer", "oversight", "administration", "tiles", "console"]
    );
    // Of what is overseen, the cases about breaches alone: whoever runs the service may find one first.
    assert_eq!(packages(Role::Administrator), ["oversight", "administration"]);
    let may = |action: &&Action| *table.cell(Role::Administrator, **action) != May::No;
    let overseen = Action::ALL.iter().filter(|action| action.package() == "oversight").filter(may);
    assert_eq!(
        overseen.copied().collect::<Vec<_>>(),
        [Action::OpenBreach, Action::ConfirmBreach, Action::GetBreach]
    );
    for role in Role::ALL {
        assert_eq!(
            *table.cell(role, Action::DecideCase) != May::No,
            matches!(role, Role::ApprovingOfficer | Role::Examiner),
            "{role}"
        );
        for action in [Action::LockCase, Action::ReviewRelease] {
            assert_eq!(*table.cell(role, action) != May::No, role == Role::PrivacyOfficer, "{role}");
        }
    }
    // Who reads the log stops cases, and does nothing by which something could leave.
    for action in [Action::ViewField, Action::AskInformation, Action::ClaimCase, Action::MarkHitErroneous] {
        assert_eq!(*table.cell(Role::PrivacyOfficer, action), May::No, "{action}");
    }
}

#[test]
fn examiners_decide_where_the_agreement_asks_for_them() {
    let actor = someone(Role::Examiner);
    let good = Specimen::default();
    let bundle = changed("agreements/au-border-identity.toml", |text| {
        text.replacen("number = 2", "number = 2\n\n[[approval]]\nrole = \"examiner\"\nnumber = 1", 1)
    });
    let asked_for = Rules::load(bundle).unwrap();
    for action in [Action::DecideCase, Action::AskInformation] {
        let call = ask(action, good.case(Standing::Active), NOON);
        holds_alone("examiner-asked-for", Reason::NotPermitted, &actor, &call);
        assert_eq!(reason(&asked_for, &actor, &call), None, "{action}");
    }
}

#[test]
fn table_can_be_read() {
    let page = who_may_call_what(&SHIPPED).to_markdown();
    for action in Action::ALL {
        let (_, call) = action.id().split_once('.').unwrap();
        assert!(page.contains(&format!("| {call} |")), "no row for {action}");
    }
    for rule in SHIPPED.book.rules().filter(|rule| rule.reason.is_some()) {
        assert!(
            page.contains(&format!("- **{}**: {}", rule.id, rule.says)),
            "`{}` is not explained",
            rule.id
        );
    }
    assert!(
        page.lines()
            .any(|line| line.starts_with("| QueryService/AskQueries | yes | – | – | – | – | – | – |")),
        "{page}"
    );
}

#[test]
fn faults_have_file_and_line() {
    let cases: &[(&str, &str, &str, &str)] = &[
        ("rules/query.cedar", "context.samples < 1", "context.sample < 1", "sample"),
        ("rules/query.cedar", "Role::\"partner-system\"", "Role::\"partner-systems\"", "partner-systems"),
        ("rules/query.cedar", "@reason(\"VOLUME_DAY_EXHAUSTED\")", "@reason(\"LATER\")", "no such reason"),
        ("rules/query.cedar", "@says(\"the agreement names the purpose\")", "", "`@says"),
        ("rules/query.cedar", "@id(\"query-purpose\")", "@id(\"query-term\")", "stands twice"),
        (
            "rules/case.cedar",
            "principal in Role::\"examiner\"",
            "principal in ?principal",
            "applies to nobody",
        ),
        ("rules/partner.cedar", "forbid (", "forbid [", "unexpected"),
        ("rules/oversight.cedar", "/ExportJournal", "/ExportEverything", "ExportEverything"),
        ("onebit.cedarschema", "entity Partner;", "entity Partner", "unexpected"),
        (
            "onebit.cedarschema",
            "\"officer.CaseService/ListCases\"",
            "\"officer.CaseService/ListAll\"",
            "not a call",
        ),
        (
            "onebit.cedarschema",
            "  per_year: Long,",
            "  per_year: Long,\n  per_week: Long,",
            "does not describe agreements",
        ),
        (
            "onebit.cedarschema",
            "resource: Service, context: ChangeFacts",
            "resource: Partner, context: ChangeFacts",
            "ConfirmChange` as the",
        ),
        ("agreements/au-border-identity.toml", "[\"watch-face\"]", "[\"other-face\"]", "no collection"),
        ("agreements/au-border-identity.toml", "\"query-log\"", "\"forever\"", "no retention class"),
        (
            "agreements/au-border-identity.toml",
            "\"approving-officer\"",
            "\"privacy-officer\"",
            "no rule lets",
        ),
        (
            "agreements/au-border-identity.toml",
            "name = \"au-border-identity\"",
            "name = \"au-other\"",
            "name it",
        ),
        ("collections/watch-face.toml", "demo-face-256", "demo-face-512", "no scheme"),
        ("retention.toml", "days = 2557", "days = 0", "from 1"),
    ];
    for (file, from, to, message) in cases {
        let bundle = changed(file, |text| {
            assert!(text.contains(from), "`{from}` is not in {file}");
            text.replacen(from, to, 1)
        });
        let faults =
            Rules::load(bundle).err().unwrap_or_else(|| panic!("{file}: `{to}` should have been refused"));
        let line = std::str::from_utf8(shipped().file(file).unwrap())
            .unwrap()
            .split(from)
            .next()
            .unwrap()
            .matches('\n')
            .count()
            + 1;
        // A rule's fault may be told at its start, a few lines above.
        let near = |fault: &PolicyFault| {
            fault.file == *file && (line.saturating_sub(8)..=line + 2).contains(&fault.line)
        };
        let of_file = |fault: &PolicyFault| fault.file == *file && (fault.line, fault.column) == (1, 1);
        assert!(
            faults.iter().any(|fault| fault.message.contains(message) && (near(fault) || of_file(fault))),
            "{file}:{line}: `{to}` is told as {faults:#?}"
        );
    }
}

#[test]
fn files_that_nobody_reads_are_refused() {
    for file in ["agreement/au.toml", "agreements/au.tml", "rules/more/x.cedar", "rules/x.txt", "x"] {
        let faults = Rules::load(changed(file, |_| String::new())).err().expect("should have been refused");
        assert!(faults.iter().any(|fault| fault.file == file), "{file}: {faults:#?}");
    }
    assert!(
        load(changed("README.md", |_| "Notes.".to_owned())).is_ok(),
        "notes for people may lie beside the files"
    );
}

#[test]
fn faults_of_several_files_come_together() {
    let bundle = changed("retention.toml", |text| text.replace("days = 2557", "days = 0"));
    let text = bundle.file("rules/query.cedar").unwrap();
    let broken = String::from_utf8(text.to_vec()).unwrap().replace("context.purpose", "context.aim");
    let rest = bundle.files().filter(|(path, _)| *path != "rules/query.cedar");
    let files = rest.map(|(path, text)| (path.to_owned(), text.to_vec()));
    let bundle =
        Bundle::from_files(files.chain([("rules/query.cedar".to_owned(), broken.into_bytes())])).unwrap();
    let faults = Rules::load(bundle).err().unwrap();
    for file in ["retention.toml", "rules/query.cedar"] {
        assert!(faults.iter().any(|fault| fault.file == file), "{faults:#?}");
    }
}

#[test]
fn missing_files_are_told() {
    for file in ["onebit.cedarschema", "retention.toml"] {
        let bundle = shipped();
        let rest = bundle.files().filter(|(path, _)| *path != file);
        let bundle = Bundle::from_files(rest.map(|(path, text)| (path.to_owned(), text.to_vec()))).unwrap();
        let faults = Rules::load(bundle).err().unwrap();
        assert!(
            faults.iter().any(|fault| fault.file == file && fault.message.contains("missing")),
            "{faults:#?}"
        );
    }
    let faults = Rules::load(Bundle::from_files([]).unwrap()).err().unwrap();
    assert!(!faults.is_empty());
}

#[test]
fn without_rules_nothing_is_permitted() {
    let bundle = shipped();
    let kept =
        bundle.files().filter(|(path, _)| !path.starts_with("rules/") || *path == "rules/everyone.cedar");
    let bundle = Bundle::from_files(kept.map(|(path, text)| (path.to_owned(), text.to_vec()))).unwrap();
    let faults = Rules::load(bundle).err().unwrap();
    assert!(faults.iter().all(|fault| fault.message.contains("no rule lets")), "{faults:#?}");
}

fn any_role() -> impl Strategy<Value = Role> {
    proptest::sample::select(Role::ALL.to_vec())
}

fn any_action() -> impl Strategy<Value = Action> {
    proptest::sample::select(Action::ALL.to_vec())
}

proptest! {
    /// Whatever a call is about: a role that the table does not show is refused, and a permit is given only
    /// to an active actor of a role that it does show, for a call in its own form.
    #[test]
    fn what_the_table_does_not_show_is_refused(
        role in any_role(),
        action in any_action(),
        form in any_action(),
        suspended in any::<bool>(),
        partner in proptest::option::of(proptest::sample::select(vec!["au-border", "ca-border", "xx-border"])),
        whose in proptest::sample::select(vec!["au-border", "ca-border"]),
        agreement in proptest::sample::select(vec!["au-border-identity", "ca-border-identity", "no-such"]),
        purpose in proptest::sample::select(vec!["border-identity", "serious-crime", "visa-identity", "curiosity"]),
        fields in proptest::collection::vec(proptest::sample::select(vec!["family-name", "warning", "other"]), 0..3),
        days in 0_u64..2_500,
    ) {
        let standing = if suspended { Standing::Suspended } else { Standing::Active };
        let actor = Actor { name: name("someone"), role, partner: partner.map(name), standing };
        let names = Specimen {
            agreement: name(agreement),
            partner: name(whose),
            purpose: name(purpose),
            fields: fields.into_iter().map(name).collect(),
            ..Specimen::for_role(role)
        };
        let shown = *SHIPPED.may(role, action) != May::No;
        match SHIPPED.permit(&actor, &ask(action, names.about(form), after_days(days))) {
            Ok(permit) => {
                prop_assert!(shown && !suspended);
                prop_assert_eq!(actor.partner.is_some(), role == Role::PartnerSystem);
                prop_assert_eq!(std::mem::discriminant(&names.about(form)), std::mem::discriminant(&names.about(action)));
                if let (Some(own), Some(agreement)) = (&actor.partner, permit.agreement()) {
                    prop_assert!(agreement.partner == *own || action != Action::AskQuery);
                }
            }
            Err(refusal) => prop_assert!(shown || refusal.reason <= Reason::RoleNotAllowed, "{refusal:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Questions in any order, of a few systems, standings, days and counts: what was permitted before is permitted as if
    /// nobody had asked, and for this request.
    #[test]
    fn what_is_asked_again_is_decided_as_the_first_time(
        asked in prop::collection::vec((0_u64..3, any::<bool>(), 0_u32..4, 0_u64..2, 0_usize..3, 0_usize..4, any::<u8>()), 1..40),
    ) {
        let specimen = Specimen::default();
        let rules = &*SHIPPED;
        for (day, is_active, count, samples, purpose, stopped, content) in asked {
            let standing = if is_active { Standing::Active } else { Standing::Suspended };
            let actor = Actor { standing, ..someone(Role::PartnerSystem) };
            // At the end of the day's volume, of which the last is still permitted.
            let usage = match count {
                0 => Usage::Repeated,
                count => Usage::Counted { today: 1_997 + count, this_year: 1_997 + count },
            };
            let purposes = [specimen.purpose.clone(), name("missing-persons"), name("no-such-purpose")];
            let standings = [Standings::all_active(), OFFICIAL_STOPPED, own_stopped(), others_stopped()][stopped];
            let about = About::Query {
                agreement: None,
                collection: &specimen.collection,
                purpose: &purposes[purpose],
                samples: 1 + u32::try_from(samples).unwrap() * 100,
                usage,
                standings,
            };
            let content = Digest::from_bytes([content; 32]);
            let ask = Ask { action: Action::AskQuery, about, content, now: after_days(day * 400) };
            let (first, again) = (rules.evaluated_afresh(&actor, &ask), rules.permit(&actor, &ask));
            match (first, again) {
                (Ok((agreement, rule)), Ok(permit)) => {
                    prop_assert_eq!(permit.rule(), rule);
                    prop_assert_eq!(permit.agreement().map(|own| &own.name), agreement.as_ref());
                    prop_assert_eq!((permit.content(), permit.given()), (content, ask.now));
                    prop_assert_eq!((permit.actor(), permit.action()), (&actor, Action::AskQuery));
                }
                (Err(first), Err(again)) => prop_assert_eq!(first, again),
                (first, again) => prop_assert!(false, "first {first:?}, then {:?}", again.err()),
            }
        }
    }
}
