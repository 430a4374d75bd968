//! Rows to people: rows of one source id that stand together, joined with their record.

use std::collections::HashMap;

use crate::cli::formats::{FieldRow, FormatError, RecordRow, Reject, Row, TemplateRow};
use crate::grpc::pb::enrolment as pb;
use crate::ids::{PurposeName, RestrictionName};

/// Somebody to enrol.
pub(super) struct Person {
    /// The line or row that the person begins at, from 1.
    pub line: u64,
    /// What is sent.
    pub subject: pb::SubjectInput,
}

/// People and rejects, in the order of the input, which is the same every time: rows of a batch are counted in it.
pub(super) struct People<I> {
    rows: I,
    records: Records,
    separator: Option<char>,
    /// The person whose rows are being read.
    open: Option<Person>,
    /// What is left to say once the rows are over.
    unused: Option<std::vec::IntoIter<Reject>>,
}

impl<I: Iterator<Item = Row<TemplateRow>>> People<I> {
    /// Joins rows of templates with records; of source ids only what stands before `separator` counts.
    pub(super) const fn new(rows: I, records: Records, separator: Option<char>) -> Self {
        Self { rows, records, separator, open: None, unused: None }
    }

    /// Takes a row: into the open person, or as the beginning of the next one.
    fn take(&mut self, mut row: TemplateRow) -> Option<Person> {
        let source_id = match self.separator.and_then(|separator| row.source_id.split_once(separator)) {
            Some((before, _)) => before.to_owned(),
            None => std::mem::take(&mut row.source_id),
        };
        let template = pb::TemplateInput {
            quality: row.quality.map(u32::from),
            form: Some(pb::template_input::Form::Embedding(pb::Embedding {
                values: std::mem::take(&mut *row.embedding),
            })),
        };
        match &mut self.open {
            Some(open) if open.subject.source_id == source_id => {
                open.subject.templates.push(template);
                restrict(&mut open.subject, &row.restrictions);
                None
            }
            _ => {
                let mut subject = pb::SubjectInput { source_id, ..pb::SubjectInput::default() };
                subject.templates.push(template);
                restrict(&mut subject, &row.restrictions);
                self.open.replace(Person { line: row.line, subject })
            }
        }
    }

    fn joined(&mut self, mut person: Person) -> Result<Person, Reject> {
        match self.records.take(&person.subject.source_id) {
            Ok(Some(record)) => {
                restrict(&mut person.subject, &record.restrictions);
                person.subject.fields = record.fields.into_iter().map(field).collect();
                Ok(person)
            }
            Ok(None) => Ok(person),
            Err(reason) => {
                Err(Reject { line: person.line, source_id: Some(person.subject.source_id), reason })
            }
        }
    }
}

impl<I: Iterator<Item = Row<TemplateRow>>> Iterator for People<I> {
    type Item = Result<Result<Person, Reject>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(unused) = &mut self.unused {
            return unused.next().map(|reject| Ok(Err(reject)));
        }
        loop {
            match self.rows.next() {
                // A bad row does not part the rows around it: the later ones would replace the earlier ones.
                Some(Ok(Err(reject))) => return Some(Ok(Err(reject))),
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(Ok(row))) => {
                    if let Some(person) = self.take(row) {
                        return Some(Ok(self.joined(person)));
                    }
                }
                None => match self.open.take() {
                    Some(person) => return Some(Ok(self.joined(person))),
                    None => {
                        let mut unused = self.records.unused().into_iter();
                        let first = unused.next();
                        self.unused = Some(unused);
                        return first.map(|reject| Ok(Err(reject)));
                    }
                },
            }
        }
    }
}

/// All records of an input, by source id.
#[derive(Default)]
pub(super) struct Records {
    by_source_id: HashMap<String, Record>,
    /// Records that were rejected when they were read.
    rejects: Vec<Reject>,
    /// The first line of a record of which nobody can say whose it is.
    nameless: Option<u64>,
}

enum Record {
    Read(Box<RecordRow>),
    Rejected(u64),
    Taken,
}

impl Records {
    /// Reads all records.
    pub(super) fn read(rows: impl Iterator<Item = Row<RecordRow>>) -> Result<Self, FormatError> {
        let mut records = Self::default();
        for row in rows {
            match row? {
                Ok(row) => {
                    let (line, source_id) = (row.line, row.source_id.clone());
                    let twice = records.by_source_id.contains_key(&source_id);
                    let record = if twice { Record::Rejected(line) } else { Record::Read(Box::new(row)) };
                    if twice {
                        records.reject(
                            line,
                            Some(&source_id),
                            "this person has another record above; keep one",
                        );
                    }
                    records.by_source_id.insert(source_id, record);
                }
                Err(Reject { line, source_id, reason }) => {
                    records.reject(line, source_id.as_deref(), &reason);
                    match source_id {
                        Some(source_id) => {
                            records.by_source_id.insert(source_id, Record::Rejected(line));
                        }
                        None => records.nameless = records.nameless.or(Some(line)),
                    }
                }
            }
        }
        Ok(records)
    }

    /// The record of a person; nothing for somebody without one, and why not when one could not be read: a person
    /// must not be enrolled in the open because the line that hides them is damaged.
    fn take(&mut self, source_id: &str) -> Result<Option<RecordRow>, String> {
        let Some(record) = self.by_source_id.get_mut(source_id) else {
            return match self.nameless {
                Some(line) => Err(format!(
                    "nobody can say whose record line {line} of the records is, and this person has no other; correct \
                     that line"
                )),
                None => Ok(None),
            };
        };
        match std::mem::replace(record, Record::Taken) {
            Record::Read(row) => Ok(Some(*row)),
            Record::Taken => Ok(None),
            Record::Rejected(line) => {
                *record = Record::Rejected(line);
                Err(format!(
                    "the record in line {line} of the records was rejected; correct it, and enrol both again"
                ))
            }
        }
    }

    /// What is to say of the records in the end: those that were rejected, and those of people who are not there.
    fn unused(&mut self) -> Vec<Reject> {
        let mut unused = std::mem::take(&mut self.rejects);
        for (source_id, record) in self.by_source_id.drain() {
            if let Record::Read(row) = record {
                let reason = "in the records: no template of this person is in the input; give both together";
                unused.push(Reject { line: row.line, source_id: Some(source_id), reason: reason.to_owned() });
            }
        }
        // A map has no order, and the same input must be told in the same order.
        unused.sort_by_key(|reject| reject.line);
        unused
    }

    fn reject(&mut self, line: u64, source_id: Option<&str>, reason: &str) {
        let reason = format!("in the records: {reason}");
        self.rejects.push(Reject { line, source_id: source_id.map(str::to_owned), reason });
    }
}

fn restrict(subject: &mut pb::SubjectInput, restrictions: &[RestrictionName]) {
    for restriction in restrictions {
        if !subject.restrictions.iter().any(|own| own == restriction.as_str()) {
            subject.restrictions.push(restriction.as_str().to_owned());
        }
    }
}

fn field(mut row: FieldRow) -> pb::FieldInput {
    pb::FieldInput {
        field: row.field.as_str().to_owned(),
        value: std::mem::take(&mut *row.value),
        classification: std::mem::take(&mut row.classification),
        source: std::mem::take(&mut row.source),
        permitted_uses: row.permitted_uses.iter().map(|it| PurposeName::as_str(it).to_owned()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::formats::jsonl;

    use super::*;

    fn people(templates: &str, records: &str, separator: Option<char>) -> Vec<Result<Person, Reject>> {
        let records = Records::read(jsonl::records(records.as_bytes())).unwrap();
        let rows: Vec<_> = jsonl::templates(templates.as_bytes()).collect();
        People::new(rows.into_iter(), records, separator).map(Result::unwrap).collect()
    }

    fn template(source_id: &str) -> String {
        format!("{{\"source_id\": \"{source_id}\", \"embedding\": [1, 0]}}\n")
    }

    fn record(source_id: &str, restriction: &str) -> String {
        format!(
            "{{\"source_id\": \"{source_id}\", \"restrictions\": [\"{restriction}\"], \"fields\": {{\"family-name\": \
             {{\"value\": \"x\", \"classification\": \"C\", \"source\": \"s\", \"permitted_uses\": [\"border-identity\"]}}}}}}\n"
        )
    }

    fn told(people: &[Result<Person, Reject>]) -> Vec<String> {
        let one = |it: &Result<Person, Reject>| match it {
            Ok(Person { line, subject }) => format!(
                "{line} {} {}t {}f {}",
                subject.source_id,
                subject.templates.len(),
                subject.fields.len(),
                subject.restrictions.join(",")
            ),
            Err(reject) => format!("{} {} rejected", reject.line, reject.source_id.as_deref().unwrap_or("?")),
        };
        people.iter().map(one).collect()
    }

    #[test]
    fn rows_that_stand_together_are_one_person_even_around_a_bad_row() {
        let input =
            [&template("a-1"), &template("a-2"), "bad\n", &template("a-3"), &template("b-1")].concat();
        let people = people(&input, "", Some('-'));
        assert_eq!(told(&people), ["3 ? rejected", "1 a 3t 0f ", "5 b 1t 0f "]);
    }

    #[test]
    fn records_are_joined_by_source_id() {
        let input = [template("a"), template("b")].concat();
        let people = people(&input, &[record("b", "minor"), record("c", "minor")].concat(), None);
        assert_eq!(told(&people), ["1 a 1t 0f ", "2 b 1t 1f minor", "2 c rejected"]);
    }

    #[test]
    fn somebody_whose_record_cannot_be_read_is_not_enrolled() {
        let input = [template("a"), template("b")].concat();
        let misspelt = record("b", "minor").replace("restrictions", "restriction");
        for bad in ["not json\n", &misspelt, &[record("b", "minor"), record("b", "minor")].concat()] {
            let people = people(&input, &[&record("a", "minor"), bad].concat(), None);
            let told = told(&people);
            assert_eq!(told.first().map(String::as_str), Some("1 a 1t 1f minor"));
            assert_eq!(told.get(1).map(String::as_str), Some("2 b rejected"), "{bad}");
        }
    }
}
