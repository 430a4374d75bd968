//! A case as it is printed.

use serde_json::{Value, json};

use super::super::{print, wire};
use crate::clock::{Clock, SystemClock};
use crate::grpc::pb::officer as pb;
use crate::grpc::timestamp::timestamp_from_pb;

pub(super) fn row(case: &pb::CaseSummary) -> [String; 6] {
    let late = if is_late(case) { " (late)" } else { "" };
    let urgent = if case.urgent { " (urgent)" } else { "" };
    let review = case.review.as_ref().map(review_mark).unwrap_or_default();
    [
        case.disclosure.clone(),
        format!("{}{urgent}{late}{review}", state(case.state())),
        case.partner.clone(),
        case.purpose.clone(),
        wire::moment(case.create_time.as_ref()),
        wire::moment(case.decide_by.as_ref()),
    ]
}

/// Whether a review is owed, at one glance.
fn review_mark(review: &pb::Review) -> &'static str {
    match (review.finding(), review.late) {
        (pb::Finding::Unspecified, false) => " (review owed)",
        (pb::Finding::Unspecified, true) => " (review late)",
        _ => "",
    }
}

fn review_text(it: &pb::Review) -> String {
    let due = format!("  due {}{}", wire::moment(it.due_time.as_ref()), if it.late { ", late" } else { "" });
    match it.finding() {
        pb::Finding::Unspecified => due,
        finding => format!(
            "{due}\n  {} {}: {}\n{}",
            wire::moment(it.close_time.as_ref()),
            it.officer,
            finding_word(finding),
            print::indented(&it.words)
        ),
    }
}

const fn finding_word(finding: pb::Finding) -> &'static str {
    match finding {
        pb::Finding::Unspecified => "",
        pb::Finding::Justified => "justified",
        pb::Finding::NotJustified => "not-justified",
    }
}

fn review_json(it: &pb::Review) -> Value {
    json!({
        "due_time": wire::moment(it.due_time.as_ref()), "late": it.late, "finding": finding_word(it.finding()),
        "officer": it.officer, "words": it.words, "close_time": wire::moment(it.close_time.as_ref()),
    })
}

/// Whether the agreement's time for it to be decided comfortably is over.
fn is_late(case: &pb::CaseSummary) -> bool {
    let late = case.escalate_time.as_ref().and_then(timestamp_from_pb);
    late.is_some_and(|late| late <= SystemClock.now())
}

pub(super) fn case_text(summary: &pb::CaseSummary, case: &pb::GetCaseResponse) -> String {
    let [disclosure, state, partner, purpose, asked, decide_by] = row(summary);
    let fields = case.fields.iter().map(|field| match field.classification.as_str() {
        "" => format!("  {} (not in the record)", field.field),
        classification => format!(
            "  {} ({classification}, from {}; for {})",
            field.field,
            field.source,
            field.permitted_uses.join(", ")
        ),
    });
    let missing: Vec<&str> = case.missing().map(role).collect();
    format!(
        "disclosure   {disclosure}\nstate        {state}\npartner      {partner}\nofficial     {}\npurpose      {purpose}\n\
         agreement    {}\nlegal basis  {}\nasked        {asked}\ndecide by    {decide_by}\nasks for\n{}\nbecause\n{}\n\
         decisions\n{}\nstill needed\n{}\ndigest       {}",
        case.official,
        case.agreement,
        case.legal_basis,
        listed(fields),
        print::indented(&case.justification),
        listed(case.decisions.iter().map(decision_text)),
        listed(missing.iter().map(|role| format!("  {role}"))),
        wire::hex(&case.request_digest),
    ) + &around(summary, case)
}

fn decision_text(it: &pb::Decision) -> String {
    let what = match it.choice() {
        pb::Choice::Grant => format!("granted {}", it.fields.join(", ")),
        pb::Choice::Deny => "denied".to_owned(),
        pb::Choice::Unspecified => "unknown".to_owned(),
    };
    let when = wire::moment(it.decide_time.as_ref());
    let compared = match it.comparison.as_str() {
        "" => String::new(),
        reference => format!(" (comparison {reference})"),
    };
    let seat = match it.on_behalf_of.as_str() {
        "" => String::new(),
        delegator => format!(" in the seat of {delegator}"),
    };
    format!("  {when} {} ({}){seat} {what}{compared}: {}", it.officer, role(it.role()), it.reason)
}

/// What is there in some cases only, each part under its heading.
fn around(summary: &pb::CaseSummary, case: &pb::GetCaseResponse) -> String {
    let questions = case.questions.iter().map(|it| {
        let (asked, answered) = (wire::moment(it.ask_time.as_ref()), wire::moment(it.answer_time.as_ref()));
        let answer = match it.answer_time {
            None => "  not answered".to_owned(),
            Some(_) => format!("  {answered} {}\n{}", it.answer_official, print::indented(&it.answer)),
        };
        format!("  {asked} {} ({})\n{}\n{answer}", it.officer, role(it.role()), print::indented(&it.text))
    });
    let notes = case.notes.iter().map(|it| {
        let stepped_back = if it.recusal { " stepped back" } else { "" };
        let when = wire::moment(it.note_time.as_ref());
        format!("  {when} {} ({}){stepped_back}\n{}", it.officer, role(it.role()), print::indented(&it.text))
    });
    let claims = case.claims.iter().map(|it| {
        let since = wire::moment(it.claim_time.as_ref());
        format!("  {since} {}", it.officer)
    });
    let ending = case.ending.iter().map(|it| {
        format!("  {} by {} ({})\n{}", it.deed, it.officer, role(it.role()), print::indented(&it.reason))
    });
    let urgent = Some(&case.urgent_reason).filter(|why| !why.is_empty());
    let qualities = case.qualities.iter().map(quality).collect::<Vec<_>>();
    let qualities = Some(qualities.join(", ")).filter(|qualities| !qualities.is_empty());
    [
        (
            "quality of the samples asked about",
            qualities.map(|them| format!("  {them}")).into_iter().collect(),
        ),
        ("fresh sample", case.confirmation.iter().map(confirmation_text).collect()),
        ("urgent because", urgent.map(|why| print::indented(why)).into_iter().collect()),
        ("review", summary.review.iter().map(review_text).collect()),
        ("questions", questions.collect::<Vec<_>>()),
        ("count no longer", case.set_aside.iter().map(decision_text).collect()),
        ("claimed by", claims.collect()),
        ("notes", notes.collect()),
        ("ended by", ending.collect()),
        ("asked to correct", case.correction_requests.iter().map(asked_text).collect()),
        ("corrections", case.corrections.iter().map(super::corrections::as_text).collect()),
        (
            "decide at",
            Some(case.decide_at.as_str())
                .filter(|at| !at.is_empty())
                .map(|at| format!("  {at}"))
                .into_iter()
                .collect(),
        ),
        ("asked about the same person", case.same_person.iter().map(other_text).collect()),
        ("asked by the same official", case.same_official.iter().map(other_text).collect()),
    ]
    .into_iter()
    .filter(|(_, lines)| !lines.is_empty())
    .map(|(heading, lines)| format!("\n{heading}\n{}", lines.join("\n")))
    .collect()
}

fn quality(it: &pb::SampleQuality) -> String {
    it.score.map_or_else(|| "unknown".to_owned(), |score| score.to_string())
}

fn confirmation_text(it: &pb::HitConfirmation) -> String {
    let quality = it.quality.as_ref().map(quality).unwrap_or_default();
    format!("  {} (quality {quality})", confirmation_word(it.word()))
}

const fn confirmation_word(word: pb::ConfirmationWord) -> &'static str {
    match word {
        pb::ConfirmationWord::Confirms => "confirms",
        pb::ConfirmationWord::Inconclusive => "inconclusive",
        pb::ConfirmationWord::Contradicts => "contradicts",
        pb::ConfirmationWord::Unspecified => "unknown",
    }
}

fn asked_text(it: &pb::CaseCorrectionRequest) -> String {
    let what = if it.field.is_empty() { "withdraws its need" } else { &it.field };
    let answer = match it.outcome.as_str() {
        "" => "  not answered".to_owned(),
        outcome => format!("  {outcome} by {}\n{}", it.answered_by, print::indented(&it.answer)),
    };
    let asked = wire::moment(it.ask_time.as_ref());
    format!("  {asked} {} {what}\n{}\n{answer}", it.official, print::indented(&it.text))
}

fn asked_json(it: &pb::CaseCorrectionRequest) -> Value {
    json!({
        "field": it.field, "text": it.text, "official": it.official, "outcome": it.outcome,
        "ask_time": wire::moment(it.ask_time.as_ref()), "answer": it.answer, "answered_by": it.answered_by,
        "answer_time": wire::moment(it.answer_time.as_ref()),
    })
}

fn other_text(case: &pb::CaseSummary) -> String {
    format!("  {}", row(case).join("  "))
}

fn listed(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() { "  nothing".to_owned() } else { lines.join("\n") }
}

pub(super) fn summary_json(case: &pb::CaseSummary) -> Value {
    let [disclosure, _, partner, purpose, asked, decide_by] = row(case);
    json!({
        "disclosure": disclosure, "state": state(case.state()), "late": is_late(case),
        "escalate_time": wire::moment(case.escalate_time.as_ref()), "partner": partner, "purpose": purpose,
        "create_time": asked, "decide_by": decide_by, "claimed_by": case.claimed_by, "urgent": case.urgent,
        "review": case.review.as_ref().map(review_json),
    })
}

pub(super) fn case_json(summary: &pb::CaseSummary, case: &pb::GetCaseResponse) -> Value {
    let fields = case.fields.iter().map(|field| {
        json!({
            "field": field.field, "classification": field.classification, "source": field.source,
            "permitted_uses": field.permitted_uses,
        })
    });
    let ending = case.ending.as_ref().map(
        |it| json!({ "officer": it.officer, "role": role(it.role()), "deed": it.deed, "reason": it.reason }),
    );
    let decision = |it: &pb::Decision| {
        let choice = match it.choice() {
            pb::Choice::Grant => "grant",
            pb::Choice::Deny => "deny",
            pb::Choice::Unspecified => "unknown",
        };
        json!({
            "officer": it.officer, "role": role(it.role()), "choice": choice, "fields": it.fields,
            "reason": it.reason, "decide_time": wire::moment(it.decide_time.as_ref()),
            "comparison": it.comparison, "on_behalf_of": it.on_behalf_of,
        })
    };
    let questions = case.questions.iter().map(|it| {
        json!({
            "officer": it.officer, "role": role(it.role()), "text": it.text,
            "ask_time": wire::moment(it.ask_time.as_ref()), "answer": it.answer,
            "answer_official": it.answer_official, "answer_time": wire::moment(it.answer_time.as_ref()),
        })
    });
    let notes = case.notes.iter().map(|it| {
        json!({
            "officer": it.officer, "role": role(it.role()), "text": it.text, "recusal": it.recusal,
            "note_time": wire::moment(it.note_time.as_ref()),
        })
    });
    let factors = case.factors.iter().map(|it| {
        json!({
            "role": role(it.role()), "number": it.number, "units": it.units, "comparison": it.comparison,
        })
    });
    json!({
        "summary": summary_json(summary), "fields": fields.collect::<Vec<_>>(),
        "justification": case.justification, "legal_basis": case.legal_basis, "official": case.official,
        "urgent_reason": case.urgent_reason,
        "qualities": case.qualities.iter().map(|it| it.score).collect::<Vec<_>>(),
        "confirmation": case.confirmation.as_ref().map(|it| json!({
            "word": confirmation_word(it.word()), "quality": it.quality.and_then(|quality| quality.score),
        })),
        "agreement": case.agreement, "decisions": case.decisions.iter().map(decision).collect::<Vec<_>>(),
        "set_aside": case.set_aside.iter().map(decision).collect::<Vec<_>>(),
        "corrections": case.corrections.iter().map(super::corrections::as_json).collect::<Vec<_>>(),
        "correction_requests": case.correction_requests.iter().map(asked_json).collect::<Vec<_>>(),
        "questions": questions.collect::<Vec<_>>(), "notes": notes.collect::<Vec<_>>(),
        "claims": case.claims.iter().map(|it| {
            json!({ "officer": it.officer, "claim_time": wire::moment(it.claim_time.as_ref()) })
        }).collect::<Vec<_>>(),
        "recused": case.recused, "ending": ending, "factors": factors.collect::<Vec<_>>(),
        "missing": case.missing().map(role).collect::<Vec<_>>(),
        "decide_at": case.decide_at, "passkey_only": case.passkey_only,
        "same_person": case.same_person.iter().map(summary_json).collect::<Vec<_>>(),
        "same_official": case.same_official.iter().map(summary_json).collect::<Vec<_>>(),
        "request_digest": wire::hex(&case.request_digest),
    })
}

const fn role(role: pb::DecidingRole) -> &'static str {
    match role {
        pb::DecidingRole::Unspecified => "unknown",
        pb::DecidingRole::ApprovingOfficer => "approving-officer",
        pb::DecidingRole::Examiner => "examiner",
        pb::DecidingRole::PrivacyOfficer => "privacy-officer",
    }
}

pub(super) const fn state(state: pb::CaseState) -> &'static str {
    match state {
        pb::CaseState::Unspecified => "unknown",
        pb::CaseState::Pending => "pending",
        pb::CaseState::PartiallyApproved => "partially-approved",
        pb::CaseState::Approved => "approved",
        pb::CaseState::Released => "released",
        pb::CaseState::Acknowledged => "acknowledged",
        pb::CaseState::Denied => "denied",
        pb::CaseState::Withdrawn => "withdrawn",
        pb::CaseState::Expired => "expired",
        pb::CaseState::NeedsInformation => "needs-information",
        pb::CaseState::Lapsed => "lapsed",
        pb::CaseState::Revoked => "revoked",
        pb::CaseState::Locked => "locked",
    }
}
