//! JSON Lines: one object a line.
//!
//! Templates: `{"source_id": "…", "embedding": [0.1, …], "quality": 80, "restrictions": ["minor"]}`, the last two
//! optional. Records: `{"source_id": "…", "fields": {"family-name": {"value": "…", "classification":
//! "IN-CONFIDENCE", "source": "…", "permitted_uses": ["…"]}, …}, "restrictions": ["minor"]}`, the last one
//! optional. Probes are described at [`probes`]. Anything else in an object is refused: a misspelt
//! `restriction` must not enrol a hidden person in the open.

use std::fmt;
use std::io::BufRead;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use zeroize::Zeroizing;

use super::lines::{Line, Lines};
use super::{About, DIMENSION_MAX, FieldRow, RecordRow, Reject, Row, TemplateRow, checked, names};
use crate::ids::SOURCE_ID_MAX_CHARS;

/// What a probe of a data set should be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Expected {
    /// `HIT`
    #[serde(rename = "HIT")]
    Hit,
    /// `NO_HIT`
    #[serde(rename = "NO_HIT")]
    NoHit,
}

/// A probe of a data set, with what it should be answered. It carries biometrics: no `Debug`, and its vector is
/// wiped.
pub struct ProbeRow {
    /// The line it came from, from 1.
    pub line: u64,
    /// What the data set calls it.
    pub probe: String,
    /// What it should be answered.
    pub expected: Expected,
    /// The source id of the person it was made of, if that person is in the gallery.
    pub mate_of: Option<String>,
    /// The components, 1 to 16,384.
    pub embedding: Zeroizing<Vec<f32>>,
    /// The quality of the sample, 0 to 100, where it is known.
    pub quality: Option<u8>,
}

/// Reads templates.
pub fn templates<R: BufRead>(input: R) -> impl Iterator<Item = Row<TemplateRow>> {
    rows(input, template)
}

/// Reads records.
pub fn records<R: BufRead>(input: R) -> impl Iterator<Item = Row<RecordRow>> {
    rows(input, record)
}

/// Reads the probes of a synthetic data set: `{"probe": "…", "expected": "HIT", "mate_of": "…", "quality": 80,
/// "embedding": [0.1, …]}`, `mate_of` and `quality` optional.
pub fn probes<R: BufRead>(input: R) -> impl Iterator<Item = Row<ProbeRow>> {
    rows(input, probe)
}

/// Parses a line of a manifest that stands beside an array; `row` is the array's.
pub(super) fn manifest_line(row: u64, text: &[u8]) -> Result<About, Reject> {
    let ManifestLine { source_id, quality, restrictions } = parse(row, text)?;
    About::new(source_id.clone(), quality, &restrictions)
        .map_err(|reason| Reject::new(row, Some(source_id), reason))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestLine {
    source_id: String,
    quality: Option<u8>,
    #[serde(default)]
    restrictions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TemplateLine {
    source_id: String,
    embedding: Vec<f32>,
    quality: Option<u8>,
    #[serde(default)]
    restrictions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProbeLine {
    probe: String,
    expected: Expected,
    mate_of: Option<String>,
    quality: Option<u8>,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    source_id: String,
    fields: FieldLines,
    #[serde(default)]
    restrictions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldLine {
    value: String,
    classification: String,
    source: String,
    permitted_uses: Vec<String>,
}

/// All fields as they stand in the line, so that one that is there twice is seen.
struct FieldLines(Vec<(String, FieldLine)>);

/// What is looked for in a line that could not be read, to find it again.
#[derive(Deserialize)]
struct Known {
    source_id: String,
}

fn template(line: u64, text: &[u8]) -> Result<TemplateRow, Reject> {
    let TemplateLine { source_id, embedding, quality, restrictions } = parse(line, text)?;
    let about = About::new(source_id.clone(), quality, &restrictions);
    match about.and_then(|about| wide(&embedding).map(|()| about)) {
        Ok(about) => Ok(about.with(line, embedding)),
        Err(reason) => Err(Reject::new(line, Some(source_id), reason)),
    }
}

fn probe(line: u64, text: &[u8]) -> Result<ProbeRow, Reject> {
    let ProbeLine { probe, expected, mate_of, quality, embedding } = parse(line, text)?;
    match wide(&embedding).and_then(|()| About::new(probe, quality, &[])) {
        Ok(About { source_id: probe, quality, .. }) => {
            Ok(ProbeRow { line, probe, expected, mate_of, embedding: Zeroizing::new(embedding), quality })
        }
        Err(reason) => Err(Reject::new(line, None, reason)),
    }
}

fn record(line: u64, text: &[u8]) -> Result<RecordRow, Reject> {
    let RecordLine { source_id, fields, restrictions } = parse(line, text)?;
    let reject = |reason: String| Reject::new(line, Some(source_id.clone()), reason);
    let about = About::new(source_id.clone(), None, &restrictions).map_err(reject)?;
    let fields = record_fields(fields).map_err(reject)?;
    Ok(RecordRow { line, source_id: about.source_id, fields, restrictions: about.restrictions })
}

fn record_fields(FieldLines(lines): FieldLines) -> Result<Vec<FieldRow>, String> {
    if !(1..=FIELDS_MAX).contains(&lines.len()) {
        return Err(format!("the record has {} fields; write 1 to {FIELDS_MAX}", lines.len()));
    }
    let keys: Vec<String> = lines.iter().map(|(name, _)| name.clone()).collect();
    names(&keys)?
        .into_iter()
        .zip(lines)
        .map(|(field, (name, line))| {
            let of = |reason: String| format!("field `{name}`: {reason}");
            let FieldLine { value, classification, source, permitted_uses } = line;
            let value = Zeroizing::new(value);
            if value.trim().is_empty() || value.chars().count() > VALUE_MAX_CHARS {
                return Err(of(format!("the value is empty or longer than {VALUE_MAX_CHARS} characters; leave the field out or shorten it")));
            }
            checked("classification", &classification, CLASSIFICATION_MAX_CHARS).map_err(of)?;
            checked("source", &source, SOURCE_MAX_CHARS).map_err(of)?;
            let permitted_uses = names(&permitted_uses).map_err(of)?;
            if permitted_uses.is_empty() {
                return Err(of("no permitted use is named; name at least one".to_owned()));
            }
            Ok(FieldRow { field, value, classification, source, permitted_uses })
        })
        .collect()
}

fn wide(embedding: &[f32]) -> Result<(), String> {
    if (1..=DIMENSION_MAX).contains(&embedding.len()) {
        Ok(())
    } else {
        Err(format!("the embedding has {} components; a template has 1 to {DIMENSION_MAX}", embedding.len()))
    }
}

fn rows<R: BufRead, T>(input: R, parse: fn(u64, &[u8]) -> Result<T, Reject>) -> impl Iterator<Item = Row<T>> {
    let mut lines = Lines::new(input);
    std::iter::from_fn(move || match lines.next() {
        Ok(Some(Line::Text(line, text))) => Some(Ok(parse(line, text))),
        Ok(Some(Line::TooLong(line))) => {
            Some(Ok(Err(Reject::new(line, None, "the line is longer than any row; write one object a line"))))
        }
        Ok(None) => None,
        Err(error) => Some(Err(error)),
    })
}

fn parse<T: DeserializeOwned>(line: u64, text: &[u8]) -> Result<T, Reject> {
    serde_json::from_slice(text).map(|Object(parsed)| parsed).map_err(|error| {
        let known = serde_json::from_slice(text).ok().map(|Object(Known { source_id })| source_id);
        let source_id = known.filter(|id| checked("source id", id, SOURCE_ID_MAX_CHARS).is_ok());
        Reject::new(line, source_id, reason(&error))
    })
}

/// Says what is wrong without repeating a value: parsers quote what they found, and that may be a name.
fn reason(error: &serde_json::Error) -> String {
    let column = error.column();
    if error.classify() != Category::Data {
        return format!("column {column}: not JSON; write one object a line");
    }
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
    if KEY_ERRORS.iter().any(|start| text.starts_with(start)) {
        return format!("column {column}: {}", text.chars().take(REASON_MAX_CHARS).collect::<String>());
    }
    let expected = text.rsplit_once(", expected ").map_or("", |(_, expected)| expected);
    let expected = match expected {
        "a string" | "a borrowed string" => "text in quotes",
        "f32" => "a number",
        "u8" => "a whole number from 0 to 100",
        "a sequence" => "a list",
        "`HIT` or `NO_HIT`" => "`HIT` or `NO_HIT`",
        "an object" => "an object",
        _ => "what belongs here",
    };
    format!("column {column}: this is not {expected}; correct the line")
}

/// A JSON object, and not a list in the order of the struct's fields, which serde takes as well.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OnlyMap<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
            type Value = Object<T>;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(OnlyMap(PhantomData))
    }
}

impl<'de> Deserialize<'de> for FieldLines {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllFields;
        impl<'de> Visitor<'de> for AllFields {
            type Value = FieldLines;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, Object(field))) = map.next_entry()? {
                    fields.push((name, field));
                }
                Ok(FieldLines(fields))
            }
        }
        deserializer.deserialize_map(AllFields)
    }
}

const FIELDS_MAX: usize = 64;
const VALUE_MAX_CHARS: usize = 4_096;
const CLASSIFICATION_MAX_CHARS: usize = 64;
const SOURCE_MAX_CHARS: usize = 256;
/// Room for the names that were expected.
const REASON_MAX_CHARS: usize = 200;
/// What serde says of keys; these name keys, never values.
const KEY_ERRORS: [&str; 3] = ["missing field", "unknown field", "duplicate field"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rejected<T>(row: Row<T>) -> Reject {
        row.unwrap().err().expect("this row should have been rejected")
    }

    #[test]
    fn templates_are_read_and_bad_lines_do_not_stop_the_rest() {
        let input = concat!(
            "{\"source_id\": \"a\", \"embedding\": [1, -0.5, 1e-3], \"quality\": 80, \"restrictions\": [\"minor\"]}\n",
            "{\"source_id\": \"b\", \"embedding\": [1, \"0.5\"]}\n",
            "{\"source_id\": \"c\", \"embedding\": [NaN]}\n",
            "{\"source_id\": \"d\", \"embedding\": []}\n",
            "{\"source_id\": \"e\", \"embedding\": [1], \"restriction\": [\"minor\"]}\n",
            "{\"source_id\": \"f\", \"embedding\": [1], \"quality\": 101}\n",
            "{\"source_id\": \"g\", \"embedding\": [1], \"quality\": 300}\n",
            "[\"h\", [1], 80, []]\n",
            "{\"source_id\": \"i\", \"source_id\": \"i\", \"embedding\": [1]}\n",
            "{\"embedding\": [1]}\n",
            "{\"source_id\": \"k\", \"embedding\": [1], \"restrictions\": [\"Minor\"]}\n",
            "\n{\"source_id\": \"l\", \"embedding\": [2]}",
        );
        let mut rows = templates(input.as_bytes());
        let first = rows.next().unwrap().unwrap().ok().unwrap();
        assert_eq!(first.embedding.as_slice(), [1.0, -0.5, 1e-3]);
        assert_eq!((first.line, first.quality, first.restrictions[0].as_str()), (1, Some(80), "minor"));
        let rejects: Vec<Reject> = rows.by_ref().take(10).map(rejected).collect();
        assert_eq!(
            rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(),
            (2..=11).collect::<Vec<_>>()
        );
        assert_eq!(rejects[0].reason, "column 41: this is not a number; correct the line");
        assert_eq!(rejects[0].source_id.as_deref(), Some("b"));
        assert!(rejects[3].reason.contains("unknown field `restriction`"), "{}", rejects[3].reason);
        assert!(rejects[5].reason.contains("a whole number from 0 to 100"), "{}", rejects[5].reason);
        assert!(rejects[6].reason.contains("an object"), "{}", rejects[6].reason);
        assert!(rejects[8].reason.contains("missing field `source_id`"), "{}", rejects[8].reason);
        let last = rows.next().unwrap().unwrap().ok().unwrap();
        assert_eq!((last.line, last.source_id.as_str()), (13, "l"));
        assert!(rows.next().is_none());
    }

    fn record_line(name: &str, field: &str) -> String {
        format!("{{\"source_id\": \"a\", \"fields\": {{\"{name}\": {field}}}}}\n")
    }

    const FIELD: &str = "{\"value\": \"Ngata\", \"classification\": \"IN-CONFIDENCE\", \"source\": \"passport\", \"permitted_uses\": [\"border-identity\"]}";

    #[test]
    fn records_are_read_field_by_field() {
        let line = record_line("family-name", FIELD);
        let row = records(line.as_bytes()).next().unwrap().unwrap().ok().unwrap();
        let field = &row.fields[0];
        assert_eq!((field.field.as_str(), field.value.as_str()), ("family-name", "Ngata"));
        assert_eq!((field.classification.as_str(), field.source.as_str()), ("IN-CONFIDENCE", "passport"));
        assert_eq!(field.permitted_uses[0].as_str(), "border-identity");
    }

    #[test]
    fn a_reject_never_repeats_a_value() {
        let bad = [
            record_line("family-name", &FIELD.replace("\"Ngata\"", "19870409")),
            record_line("family-name", &FIELD.replace("[\"border-identity\"]", "\"Ngata\"")),
            record_line("family-name", "\"Ngata, expected by nobody\""),
            record_line("family-name", "[\"Ngata\", \"IN-CONFIDENCE\", \"passport\", [\"border-identity\"]]"),
            record_line("family-name", &FIELD.replace("Ngata\"", "Ngata")),
            record_line("family-name", &FIELD.replace("[\"border-identity\"]", "[]")),
            record_line("family-name", &FIELD.replace("passport", "")),
            record_line("family_name", FIELD),
            record_line("family-name", &format!("{FIELD}, \"family-name\": {FIELD}")),
            "{\"source_id\": \"a\", \"fields\": {}}\n".to_owned(),
        ];
        for line in bad {
            let reject = rejected(records(line.as_bytes()).next().unwrap());
            assert!(!reject.reason.contains("Ngata") && !reject.reason.contains("1987"), "{}", reject.reason);
        }
    }

    #[test]
    fn probes_say_what_is_expected() {
        let line =
            "{\"probe\": \"mate-1\", \"expected\": \"HIT\", \"mate_of\": \"syn-1\", \"embedding\": [1.0]}";
        let row = probes(line.as_bytes()).next().unwrap().unwrap().ok().unwrap();
        assert_eq!((row.expected, row.mate_of.as_deref()), (Expected::Hit, Some("syn-1")));
        let reject = rejected(probes(line.replace("\"HIT\"", "\"MAYBE\"").as_bytes()).next().unwrap());
        assert!(!reject.reason.contains("MAYBE"), "{}", reject.reason);
    }

    proptest! {
        #[test]
        fn no_line_makes_the_readers_panic(text in "[\\[\\]{}:,\" a-e_0-9.\\-]{0,80}") {
            prop_assert!(templates(text.as_bytes()).count() <= 1);
            prop_assert!(records(text.as_bytes()).count() <= 1);
        }

        #[test]
        fn numbers_come_back_as_they_were_written(values in prop::collection::vec(-1e30_f32..1e30, 1..20)) {
            let line = format!("{{\"source_id\": \"a\", \"embedding\": {}}}", serde_json::to_string(&values).unwrap());
            let row = templates(line.as_bytes()).next().unwrap().unwrap().ok().unwrap();
            prop_assert_eq!(row.embedding.as_slice(), values.as_slice());
        }
    }
}
