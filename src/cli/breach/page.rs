//! A notification as a page: one file, without scripts, drawn from `report.json` alone.

use super::document::{Document, Official, Told};
use crate::cli::sheet::{self, escaped, table};

/// Draws the page.
pub(super) fn draw(document: &Document) -> String {
    match &document.official {
        Some(official) => {
            let body = [
                opening(document),
                happened(document),
                affected(official),
                recipients(official),
                steps(document),
                people_told(official),
                assessment(official),
                agencies(official),
                contact(document),
            ];
            sheet::page("Notification of a privacy breach", &body.concat())
        }
        None => {
            let body = [
                opening(document),
                happened(document),
                whether_known(document),
                steps(document),
                advice(document),
                rights(document),
                contact(document),
            ];
            sheet::page("A privacy breach that affects you", &body.concat())
        }
    }
}

fn section(title: &str, body: &str) -> String {
    format!("<section>\n<h2>{title}</h2>\n{body}\n</section>\n")
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", escaped(text).replace('\n', "<br>"))
}

fn items(of: &[String], nothing: &str) -> String {
    if of.is_empty() {
        return format!("<p>{nothing}</p>");
    }
    let rows: Vec<String> = of.iter().map(|one| format!("<li>{}</li>", escaped(one))).collect();
    format!("<ul>\n{}\n</ul>", rows.join("\n"))
}

fn opening(document: &Document) -> String {
    let holder = escaped(&document.holder);
    match &document.official {
        Some(official) => format!(
            "<p>To the Privacy Commissioner, under section 114 of the Privacy Act 2020, from <strong>{holder}</strong>. Our case: \
             <code>{}</code>. <code>report.json</code> says the same for programs; <code>report.sig</code> signs both.</p>\n",
            escaped(&official.case)
        ),
        None => format!(
            "<p>From <strong>{holder}</strong>, which keeps a system for comparing faces and other features of the body. Information \
             about you was part of a breach of privacy. The Privacy Act 2020 (section 115) says that we tell you.</p>\n"
        ),
    }
}

fn happened(document: &Document) -> String {
    let fields = items(&document.fields, "No field of a record is known to be concerned.");
    let body = format!(
        "{}\n<p>{} We came to know of it at {}.</p>\n<p>Information concerned:</p>\n{fields}",
        paragraph(&document.description),
        escaped(&document.kind),
        escaped(&document.aware)
    );
    section("What happened", &body)
}

fn affected(official: &Official) -> String {
    let count = official.affected.map_or_else(
        || "<p>How many people are affected is not known yet.</p>".to_owned(),
        |count| format!("<p>People affected, as far as the log tells: <strong>{count}</strong>.</p>"),
    );
    section("Who is affected", &count)
}

fn recipients(official: &Official) -> String {
    let nobody = "Nobody is known to have obtained the information.";
    section("Who may have the information", &items(&official.recipients, nobody))
}

fn whether_known(document: &Document) -> String {
    let says = if document.recipients_known {
        "We have identified who may have the information."
    } else {
        "We have not identified anybody who may have the information."
    };
    section("Who may have the information", &format!("<p>{says}</p>"))
}

fn steps(document: &Document) -> String {
    section("What we have done", &items(&document.steps, "Nothing is kept yet of what was done."))
}

fn people_told(official: &Official) -> String {
    if official.people_told.is_empty() {
        return section("Telling those affected", "<p>They have not been told yet.</p>");
    }
    let row = |one: &Told| [&one.how, &one.at, &one.detail, &one.why].map(|text| escaped(text)).to_vec();
    let rows: Vec<Vec<String>> = official.people_told.iter().map(row).collect();
    section(
        "Telling those affected",
        &table("How those affected were told, or why not", &["How", "When", "Detail", "Why"], &rows),
    )
}

fn assessment(official: &Official) -> String {
    let rows: Vec<Vec<String>> =
        official.factors.iter().map(|one| one.iter().map(|text| escaped(text)).collect()).collect();
    let factors =
        table("The factors of section 113 of the Privacy Act 2020", &["Factor", "Considered"], &rows);
    let due = escaped(&official.due);
    let expected = format!("<p>72 hours after we came to know of it end at {due}.</p>");
    section("How likely serious harm is", &[factors, paragraph(&official.why), expected].join("\n"))
}

fn agencies(official: &Official) -> String {
    section("Other agencies told", &items(&official.agencies, "None."))
}

fn advice(document: &Document) -> String {
    section("What you can do", &items(&document.advice, "There is nothing that you need do."))
}

fn rights(document: &Document) -> String {
    let told = document.commissioner.as_ref().map_or_else(
        || "<p>The Privacy Commissioner is being told.</p>".to_owned(),
        |at| format!("<p>The Privacy Commissioner was told at {}.</p>", escaped(at)),
    );
    let body = "<p>You can complain to the Privacy Commissioner: <strong>privacy.org.nz</strong>.</p>";
    section("Your rights", &format!("{told}\n{body}"))
}

fn contact(document: &Document) -> String {
    section("Whom to ask", &paragraph(&document.contact))
}
