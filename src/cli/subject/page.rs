//! The report as a page for the person: one file, without scripts, drawn from `report.json` alone.

use super::document::{Correction, Disclosure, Document, Query};
use crate::cli::sheet::{self, escaped, table};
use crate::store::subject::ReportPart;

/// Draws the page.
pub(super) fn draw(document: &Document) -> String {
    let opening = format!(
        "<p>What <strong>{}</strong> holds of you in its system for comparing faces and other features of the body, who asked \
         about you, and what they were told. Put together at {}. <code>report.json</code> says the same for programs; \
         <code>report.sig</code> signs both.</p>\n",
        escaped(&document.holder),
        time(&document.made)
    );
    let body = if document.known {
        [
            opening,
            withheld(document),
            templates(document),
            record(document),
            statements(document),
            restrictions(document),
            queries(document),
            disclosures(document),
            retention(document),
            rights(),
        ]
        .concat()
    } else {
        let nothing = "<p>Nothing was found under what you gave us. The system holds no template and no record of you that can be \
                       found this way (Privacy Act 2020, section 53(a)).</p>\n";
        [opening, nothing.to_owned(), rights()].concat()
    };
    sheet::page("What is held of you", &body)
}

fn section(title: &str, body: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n{body}\n</section>\n")
}

/// A section of a part: withheld as a whole, empty, or what it holds.
fn of_part(
    document: &Document,
    part: ReportPart,
    title: &str,
    nothing: &str,
    body: impl FnOnce() -> Option<String>,
) -> String {
    let inside = if document.is_withheld(part) {
        "<p>Withheld. The ground stands under <a href=\"#withheld\">What is withheld</a>.</p>".to_owned()
    } else {
        body().unwrap_or_else(|| format!("<p>{nothing}</p>"))
    };
    section(title, &inside)
}

fn withheld(document: &Document) -> String {
    if document.withheld.is_empty() {
        return section("What is withheld", "<p id=\"withheld\">Nothing.</p>");
    }
    let rows: Vec<Vec<String>> = document
        .withheld
        .iter()
        .map(|one| {
            let what = if one.one_thing { "One of: " } else { "" };
            let says = part_says(&one.part);
            vec![
                format!("{what}{says}"),
                format!("Section {}: {}", escaped(&one.section), escaped(&one.section_says)),
                text(&one.reason),
            ]
        })
        .collect();
    let table = table(
        "What is withheld, and by which section of the Privacy Act 2020",
        &["What", "Ground", "Reason"],
        &rows,
    );
    section("What is withheld", &format!("<div id=\"withheld\">{table}</div>"))
}

fn part_says(part: &str) -> String {
    part.parse::<ReportPart>().map_or_else(|_| escaped(part), |part| part.says().to_owned())
}

fn templates(document: &Document) -> String {
    let nothing = "No template of you is held.";
    of_part(document, ReportPart::Templates, "Templates", nothing, || {
        let rows = document.templates.iter().map(|it| {
            vec![escaped(&it.collection), escaped(&it.scheme), time(&it.enrolled), escaped(&it.enrolled_by)]
        });
        let heads = ["Collection", "How it was made", "Enrolled", "By the system"];
        let what = "<p>A template is numbers made of a picture, by which two pictures are compared. It is held protected and is not \
                    shown to anybody. It is kept as long as you are enrolled: the rules name no other day.</p>\n";
        filled(&rows.collect::<Vec<_>>(), "Templates of you", &heads).map(|table| format!("{what}{table}"))
    })
}

fn record(document: &Document) -> String {
    let nothing = "No field of a record is held.";
    of_part(document, ReportPart::Record, "Your record", nothing, || {
        let rows = document.record.iter().map(|it| {
            vec![
                words(&it.field),
                text(&it.value),
                escaped(&it.classification),
                escaped(&it.source),
                escaped(&it.permitted_uses.join(", ")),
            ]
        });
        let heads = ["Field", "Value", "Classification", "Where it came from", "What it may be used for"];
        filled(&rows.collect::<Vec<_>>(), "Fields of your record", &heads)
    })
}

fn statements(document: &Document) -> String {
    let nothing = "None.";
    of_part(document, ReportPart::Statements, "Your statements of correction", nothing, || {
        let rows = document.statements.iter();
        let rows = rows.map(|it| vec![words(&it.field), text(&it.statement), time(&it.attached)]);
        filled(
            &rows.collect::<Vec<_>>(),
            "Statements beside your record",
            &["Field", "Statement", "Attached"],
        )
    })
}

fn restrictions(document: &Document) -> String {
    let nothing = "None: agreements that cover you let their partners be told of a match.";
    of_part(document, ReportPart::Restrictions, "Restrictions", nothing, || {
        let rows = document.restrictions.iter().map(|it| {
            let given = it.given.as_deref().map_or_else(|| "With enrolment".to_owned(), time);
            vec![words(&it.restriction), given, text(&it.reason)]
        });
        let heads = ["Restriction", "Since", "Why"];
        let table =
            filled(&rows.collect::<Vec<_>>(), "Reasons for which you are hidden from partners", &heads)?;
        Some(format!(
            "<p>A partner that a restriction hides you from is told that there is no match.</p>\n{table}"
        ))
    })
}

fn queries(document: &Document) -> String {
    let rows = |of: &[Query]| {
        let row = |it: &Query| {
            vec![
                time(&it.asked),
                escaped(&it.partner),
                escaped(&it.agreement),
                words(&it.purpose),
                text(&it.legal_basis),
                escaped(&it.kept_until),
            ]
        };
        of.iter().map(row).collect::<Vec<_>>()
    };
    let heads = ["When", "Who asked", "Agreement", "Purpose", "Legal basis", "Kept until"];
    let seen = of_part(
        document,
        ReportPart::Queries,
        "Questions that matched you",
        "No question that is still on record matched you.",
        || filled(&rows(&document.queries), "Questions that were answered with a match", &heads),
    );
    let hidden = of_part(
        document,
        ReportPart::HiddenQueries,
        "Questions from which you were hidden",
        "No question that is still on record would have matched you.",
        || {
            filled(
                &rows(&document.hidden_queries),
                "Questions that were answered with no match because you are hidden",
                &heads,
            )
        },
    );
    seen + &hidden
}

fn disclosures(document: &Document) -> String {
    let nothing = "Nobody asked for your record.";
    of_part(document, ReportPart::Disclosures, "What was asked for and disclosed", nothing, || {
        let each = document.disclosures.iter().zip(1_u32..).map(|(it, number)| of_disclosure(it, number));
        let each = each.collect::<String>();
        Some(each).filter(|each| !each.is_empty())
    })
}

fn of_disclosure(it: &Disclosure, number: u32) -> String {
    let or_never = |at: &Option<String>| at.as_deref().map_or_else(|| "Never".to_owned(), time);
    let listed = |fields: &[String]| {
        if fields.is_empty() {
            "None".to_owned()
        } else {
            fields.iter().map(|one| words(one)).collect::<Vec<_>>().join(", ")
        }
    };
    let rows = [
        ("Who asked", escaped(&it.partner)),
        ("Agreement", escaped(&it.agreement)),
        ("Rule", escaped(&it.rule)),
        ("Purpose", words(&it.purpose)),
        ("Legal basis", text(&it.legal_basis)),
        ("Fields asked for", listed(&it.fields_asked)),
        ("Asked", time(&it.asked)),
        ("Where it stands", words(&it.state)),
        ("Fields released", listed(&it.fields_released)),
        ("Released", or_never(&it.released)),
        ("Fetched by the recipient", or_never(&it.fetched)),
        ("Acknowledged by the recipient", or_never(&it.acknowledged)),
        ("Record kept until", escaped(&it.kept_until)),
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
    let request = table(&format!("Request {number}"), &["What", "Value"], &rows);
    let heads = ["What", "Fields", "Statement", "Made", "Recipient told", "Acknowledged"];
    let corrections: Vec<_> = it.corrections.iter().map(of_correction).collect();
    let corrections = filled(&corrections, &format!("Corrections after request {number}"), &heads);
    request + &corrections.unwrap_or_default()
}

fn of_correction(it: &Correction) -> Vec<String> {
    let told = it.told.as_deref().map_or_else(|| "Not yet".to_owned(), time);
    let acknowledged = match (&it.acknowledged, it.overdue) {
        (Some(at), _) => time(at),
        (None, true) => "Not in time".to_owned(),
        (None, false) => "Not yet".to_owned(),
    };
    let fields = it.fields.iter().map(|one| words(one)).collect::<Vec<_>>().join(", ");
    vec![words(&it.kind), fields, text(&it.statement), time(&it.made), told, acknowledged]
}

fn retention(document: &Document) -> String {
    let gone = [
        ("Questions", &document.disposed.queries_before),
        ("Requests and disclosures", &document.disposed.disclosures_before),
        ("Enrolment and restrictions", &document.disposed.enrolment_before),
    ];
    let gone: String = gone
        .into_iter()
        .filter_map(|(what, before)| Some((what, before.as_deref()?)))
        .map(|(what, before)| {
            format!("<p>{what} from before {} were disposed of and are not told here.</p>\n", escaped(before))
        })
        .collect();
    let body = format!(
        "<p>Your templates and your record are kept as long as you are enrolled. Each question and each request above names the day \
         until which the record of it is kept; an inquiry or a court case may keep it longer.</p>\n{gone}"
    );
    section("How long it is kept", &body)
}

fn rights() -> String {
    section(
        "What you can do",
        "<p>You may ask for a correction. If it is refused you may have a statement attached, which goes wherever the field goes. \
         You may complain to the Privacy Commissioner about anything that was withheld or refused, or that took too long.</p>",
    )
}

fn filled(rows: &[Vec<String>], caption: &str, heads: &[&str]) -> Option<String> {
    (!rows.is_empty()).then(|| table(caption, heads, rows))
}

/// A name of the rules in words.
fn words(name: &str) -> String {
    let plain = name.replace('-', " ");
    let mut letters = plain.chars();
    let upper = letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>());
    escaped(&upper.unwrap_or_default())
}

/// What people wrote, without marks that would turn the direction of what follows.
fn text(words: &str) -> String {
    format!("<bdi>{}</bdi>", escaped(words))
}

/// A moment as people read it.
fn time(moment: &str) -> String {
    let short = moment.get(..16).map(|short| short.replace('T', " "));
    format!(
        "<time datetime=\"{}\">{} UTC</time>",
        escaped(moment),
        escaped(short.as_deref().unwrap_or(moment))
    )
}
