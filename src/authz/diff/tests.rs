//! What a change of the shipped folder is told as: each key of an agreement has its word, and nothing is passed over.

use std::path::Path;

use super::*;
use crate::authz::Bundle;

fn shipped() -> Bundle {
    Bundle::read_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policy")).unwrap()
}

/// The shipped folder with one file's text changed; `None` takes it away.
fn changed(file: &str, change: impl FnOnce(&str) -> Option<String>) -> Bundle {
    let bundle = shipped();
    let text = std::str::from_utf8(bundle.file(file).unwrap_or_default()).unwrap();
    let new = change(text).map(|text| (file.to_owned(), text.into_bytes()));
    let rest = bundle.files().filter(|(path, _)| *path != file);
    let rest = rest.map(|(path, text)| (path.to_owned(), text.to_vec()));
    Bundle::from_files(rest.chain(new)).unwrap()
}

/// What is told of the shipped folder with `from` replaced by `to` in a file.
fn told(file: &str, from: &str, to: &str) -> Vec<RuleChange> {
    let newer = changed(file, |text| {
        assert!(text.contains(from), "`{from}` should stand in {file}");
        Some(text.replacen(from, to, 1))
    });
    rule_changes(&Rules::load(shipped()).unwrap(), &Rules::load(newer).unwrap())
}

fn lines(changes: &[RuleChange]) -> Vec<String> {
    changes.iter().map(|it| format!("{} {}: {}", it.bearing, it.whom, it.says)).collect()
}

#[test]
fn a_folder_changes_nothing_against_itself() {
    let rules = Rules::load(shipped()).unwrap();
    assert_eq!(rule_changes(&rules, &rules), []);
}

#[test]
fn what_a_change_opens_or_closes_is_told_in_words_and_for_whom() {
    for (file, from, to, expected) in [
        (
            AU,
            "[retention]",
            "[urgent]\ndecide_within_hours = 4\nreview_within_hours = 72\n\n[retention]",
            "opens the partner au-border: it may ask by an urgent path: 2 of the role approving-officer decide within 4 hours, and a review follows within 72 hours",
        ),
        (
            AU,
            "per_day = 2_000",
            "per_day = 3_000",
            "opens the partner au-border: questions a day: 3000, and not 2000",
        ),
        (
            AU,
            "per_day = 2_000",
            "per_day = 1_000",
            "closes the partner au-border: questions a day: 1000, and not 2000",
        ),
        (
            AU,
            "fpir = 1e-6",
            "fpir = 2e-6",
            "opens people of whom something is kept: strangers of a million who are taken for somebody: 2, and not 1",
        ),
        (
            AU,
            "visible_restrictions = []",
            "visible_restrictions = [\"witness\"]",
            "opens the partner au-border: it gets a HIT for people who are hidden by `witness`",
        ),
        (
            AU,
            "\"document-number\", \"case-number\"",
            "\"case-number\"",
            "closes the partner au-border: for `serious-crime` nobody may approve any more that it is told `document-number`",
        ),
        (
            AU,
            "number = 2",
            "number = 3",
            "closes the partner au-border: people of the role approving-officer who must approve what it is told: 3, and not 2",
        ),
        (
            AU,
            "number = 2",
            "number = 2\ncomparison = \"required\"",
            "closes the partner au-border: each approving-officer names a comparison made outside",
        ),
        (
            AU,
            "number = 2",
            "number = 2\n\n[[approval]]\nrole = \"examiner\"\nnumber = 1",
            "closes the partner au-border: 1 of the role examiner must approve what it is told, as well",
        ),
        (
            AU,
            "decide_within_hours = 48",
            "decide_within_working_days = 3",
            "changes the partner au-border: time to decide about its requests: “3 working days”, and not “48 hours”",
        ),
        (
            AU,
            "# decisions_signed_by",
            "decisions_signed_by",
            "closes the partner au-border: decisions about its requests may not be signed any more by `certificate`",
        ),
        (
            "retention.toml",
            "days = 2557",
            "days = 3000",
            "opens people of whom something is kept: days that `query-log` is kept: 3000, and not 2557",
        ),
    ] {
        let found = lines(&told(file, from, to));
        assert!(
            found.iter().any(|line| line == expected),
            "`{to}` should be told as `{expected}`: {found:#?}"
        );
    }
}

#[test]
fn agreements_that_come_and_go_are_told_to_their_partner() {
    let rules = Rules::load(shipped()).unwrap();
    let without = Rules::load(changed(AU, |_| None)).unwrap();
    let found = lines(&rule_changes(&rules, &without));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("closes the partner au-border: it may not ask under `au-border-identity`"));
    let found = lines(&rule_changes(&without, &rules));
    assert!(
        found[0].starts_with("opens the partner au-border: it may ask under `au-border-identity`"),
        "{found:#?}"
    );
}

#[test]
fn a_rule_that_is_gone_is_told_to_whom_it_stopped() {
    let newer = changed("rules/query.cedar", |text| {
        let (before, rule) = text.rsplit_once("@id(").unwrap();
        let (_, after) = rule.split_once(";\n").unwrap();
        Some(format!("{before}{after}"))
    });
    let newer = Rules::load(newer).unwrap();
    let found = rule_changes(&Rules::load(shipped()).unwrap(), &newer);
    assert!(found.iter().any(|it| it.bearing == Bearing::Opens && it.says.contains("is gone")), "{found:#?}");
}

#[test]
fn every_key_of_an_agreement_that_changes_is_told() {
    let bundle = shipped();
    let text = std::str::from_utf8(bundle.file(AU).unwrap()).unwrap();
    let mut tried = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((key, value)) = line.split_once(" = ") else { continue };
        // A name that changes is another thing; retention and collections name what must be there.
        if ["name", "role", "collections", "queries", "disclosures", "confirmation"].contains(&key) {
            continue;
        }
        let mut others = others(value);
        others.retain(|other| {
            Rules::load(changed(AU, |text| Some(text.replacen(line, &format!("{key} = {other}"), 1)))).is_ok()
        });
        let Some(other) = others.first() else {
            panic!("no other value of `{line}` is taken; add one to `others`")
        };
        let found = told(AU, line, &format!("{key} = {other}"));
        let decides = found.iter().filter(|it| it.file == AU && it.bearing != Bearing::Words);
        assert!(decides.count() > 0, "`{key} = {other}` should be told: {found:#?}");
        tried += 1;
    }
    assert!(tried > 25, "only {tried} keys were tried");
}

/// Values of the same form.
fn others(value: &str) -> Vec<String> {
    let plain = value.replace('_', "");
    let mut others = Vec::new();
    if let Ok(number) = plain.parse::<u32>() {
        others.extend([(number + 1).to_string(), number.saturating_sub(1).to_string()]);
    } else if let Ok(number) = plain.parse::<f64>() {
        others.push(format!("{:e}", number / 2.0));
    } else if let Ok(date) = plain.parse::<jiff::civil::Date>() {
        others.extend([date.tomorrow().unwrap().to_string(), date.yesterday().unwrap().to_string()]);
    } else if let Some(text) = value.strip_suffix('"') {
        others.extend(["\"required\"".to_owned(), format!("{text}x\"")]);
    } else if value == "[]" {
        others.push("[\"witness\"]".to_owned());
    } else if let Some((first, _)) = value.split_once(", ") {
        others.push(format!("{first}]"));
    }
    others
}

#[test]
fn what_decides_nothing_is_told_as_that() {
    let newer = changed(AU, |text| Some(format!("# A remark.\n{text}")));
    let found = rule_changes(&Rules::load(shipped()).unwrap(), &Rules::load(newer).unwrap());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!((found[0].bearing, found[0].file.as_str()), (Bearing::Words, AU));
}

const AU: &str = "agreements/au-border-identity.toml";
