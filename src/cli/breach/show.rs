//! A case about a breach, as people and programs read it.

use serde_json::{Value, json};

use super::Way;
use crate::cli::fault::CliError;
use crate::cli::print::{indented, table};
use crate::cli::wire;
use crate::grpc::client::Client;
use crate::grpc::pb::oversight as pb;

/// Lists cases, page by page.
pub(super) async fn list(closed: bool, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let (mut breaches, mut page_token) = (Vec::new(), String::new());
    loop {
        let call = client.request(pb::ListBreachesRequest { closed, page_size: 0, page_token });
        let page = client.answer("the cases", client.breach().list_breaches(call)).await?;
        breaches.extend(page.breaches);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let row = |one: &pb::Breach| {
        let [aware, due] = [&one.aware_time, &one.due_time].map(|at| wire::moment(at.as_ref()));
        [one.name.clone(), one.kind.clone(), aware, due, state(one).to_owned()]
    };
    let json: Vec<Value> = breaches.iter().map(as_json).collect();
    way.output.show(
        || {
            if breaches.is_empty() {
                return "no cases".to_owned();
            }
            let rows: Vec<_> = breaches.iter().map(row).collect();
            table(["case", "kind", "known since", "Commissioner by", "state"], &rows)
        },
        &json!({ "breaches": json }),
    )
}

/// Where a case stands, in a word.
fn state(one: &pb::Breach) -> &'static str {
    match (&one.closed, one.running, &one.late_time) {
        (Some(_), ..) => "closed",
        (None, true, Some(_)) => "late",
        (None, true, None) => "open",
        (None, false, _) => "told",
    }
}

/// Shows a case.
pub(super) fn shown(way: &Way, breach: &pb::Breach) -> Result<(), CliError> {
    way.output.show(|| as_text(breach), &as_json(breach))
}

fn as_text(one: &pb::Breach) -> String {
    let moment = |at: &Option<prost_types::Timestamp>| wire::moment(at.as_ref());
    let mut text = format!(
        "case          {}\nkind          {}\nstate         {}\nknown since   {}\nopened        {}  by {}\n\
         Commissioner  by {}\nfound by      {}\nwhat happened\n{}",
        one.name,
        one.kind,
        state(one),
        moment(&one.aware_time),
        moment(&one.open_time),
        one.opened_by,
        moment(&one.due_time),
        if one.found_by.is_empty() { "not said".to_owned() } else { one.found_by.join(", ") },
        indented(&one.description)
    );
    for note in &one.contained {
        text.push_str(&noted("contained", Some(note), ""));
    }
    for trace in &one.traces {
        text.push_str(&noted("traced", trace.note.as_ref(), &traced(trace)));
    }
    if let Some(assessment) = &one.assessment {
        text.push_str(&noted("assessed", assessment.note.as_ref(), &assessment.finding));
        for factor in &assessment.factors {
            text.push_str(&format!("\n  {:<12}{}", factor.factor, factor.words));
        }
        if let Some(note) = &assessment.confirmation {
            text.push_str(&noted("confirmed", Some(note), ""));
        }
    }
    for one in &one.notifications {
        let told = format!("{} at {}: {}", one.told, moment(&one.tell_time), one.detail);
        text.push_str(&noted("told", one.note.as_ref(), &told));
    }
    if let Some(at) = &one.late_time {
        text.push_str(&format!(
            "\nlate          the Commissioner was not told in time, noted {}",
            wire::moment(Some(at))
        ));
    }
    if let Some(note) = &one.closed {
        text.push_str(&noted("closed", Some(note), ""));
    }
    text
}

fn traced(trace: &pb::BreachTrace) -> String {
    format!("{}: {} people, list {}", trace.scope, trace.people, trace.digest)
}

fn noted(what: &str, note: Option<&pb::BreachNote>, more: &str) -> String {
    let Some(note) = note else { return String::new() };
    let more = if more.is_empty() { String::new() } else { format!("  {more}") };
    let (at, by) = (wire::moment(note.time.as_ref()), &note.by);
    format!("\n{what:<14}{at}  by {by}{more}\n{}", indented(&note.words))
}

/// A case for programs.
pub(super) fn as_json(one: &pb::Breach) -> Value {
    let moment = |at: &Option<prost_types::Timestamp>| at.as_ref().map(|at| wire::moment(Some(at)));
    let note =
        |note: &pb::BreachNote| json!({ "at": moment(&note.time), "by": note.by, "words": note.words });
    let noted = |one: &Option<pb::BreachNote>| one.as_ref().map(note);
    let trace = |one: &pb::BreachTrace| {
        json!({
            "note": noted(&one.note), "scope": one.scope, "affected": one.people, "fields": one.fields,
            "recipients": one.recipients, "digest": one.digest,
        })
    };
    let assessment = one.assessment.as_ref().map(|it| {
        let factors = it.factors.iter().map(|one| (one.factor.clone(), json!(one.words)));
        json!({
            "note": noted(&it.note), "role": it.role, "finding": it.finding,
            "factors": factors.collect::<serde_json::Map<_, _>>(), "confirmation": noted(&it.confirmation),
        })
    });
    let told = one.notifications.iter().map(|it| {
        json!({ "note": noted(&it.note), "told": it.told, "at": moment(&it.tell_time), "detail": it.detail })
    });
    json!({
        "breach": one.name,
        "kind": one.kind,
        "state": state(one),
        "description": one.description,
        "aware": moment(&one.aware_time),
        "found_by": one.found_by,
        "opened": moment(&one.open_time),
        "opened_by": one.opened_by,
        "due": moment(&one.due_time),
        "running": one.running,
        "contained": one.contained.iter().map(note).collect::<Vec<_>>(),
        "traces": one.traces.iter().map(trace).collect::<Vec<_>>(),
        "assessment": assessment,
        "notifications": told.collect::<Vec<_>>(),
        "late": moment(&one.late_time),
        "closed": noted(&one.closed),
    })
}

/// Whom it affects, for people.
pub(super) fn people_as_text(trace: &pb::BreachTrace, people: &[pb::AffectedPerson]) -> String {
    let listed = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let mut text = format!(
        "looked through  {}\naffected        {}\nfields          {}\nrecipients      {}\nlist            {}",
        trace.scope,
        trace.people,
        listed(&trace.fields),
        listed(&trace.recipients),
        trace.digest
    );
    if people.is_empty() {
        return text;
    }
    let row = |one: &pb::AffectedPerson| {
        [
            one.subject.clone(),
            one.hits.to_string(),
            listed(&one.viewed_fields),
            listed(&one.disclosed_fields),
            one.changes.to_string(),
            listed(&one.recipients),
        ]
    };
    let rows: Vec<_> = people.iter().map(row).collect();
    text.push_str("\n\n");
    text.push_str(&table(["person", "hits", "viewed", "disclosed", "changed", "received by"], &rows));
    text
}

/// Somebody whom it affects, for programs.
pub(super) fn people_as_json(one: &pb::AffectedPerson) -> Value {
    json!({
        "subject": one.subject, "hits": one.hits, "views": one.views, "disclosures": one.disclosures,
        "changes": one.changes, "viewed": one.viewed_fields, "disclosed": one.disclosed_fields,
        "recipients": one.recipients,
    })
}
