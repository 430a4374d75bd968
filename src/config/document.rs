//! Reading a TOML file of ours so that all its faults come out at once, each with its line and its key.
//!
//! A section is read by serde into a struct whose keys are all optional and which refuses unknown ones. When a
//! key is not as it should be, its fault is noted, the key is taken out, and the section is read again.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The key with its section, `server.listen`; empty when the file as a whole is meant.
    pub key: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: ", self.file.display(), self.line)?;
        if !self.key.is_empty() {
            write!(out, "`{}`: ", self.key)?;
        }
        out.write_str(&self.message)
    }
}

/// All that is wrong in a file; one fault at least, in the order of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            let line_end = if place == 0 { "" } else { "\n" };
            write!(out, "{line_end}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Where a section stands.
#[derive(Debug, Clone)]
pub struct Place {
    name: String,
    offset: usize,
}

/// A file that is being read.
pub struct Document<'t> {
    file: PathBuf,
    text: &'t str,
    sections: DeTable<'t>,
    known: Vec<&'static str>,
    /// Keys that were there and had a fault, so that nobody is told that they are missing as well.
    broken: BTreeSet<String>,
    faults: Vec<Fault>,
}

impl<'t> Document<'t> {
    /// Takes the text of a file.
    ///
    /// # Errors
    /// What is no TOML in it.
    pub fn parse(file: &Path, text: &'t str) -> Result<Self, Faults> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut document = Self {
            file: file.to_owned(),
            text,
            sections: root.into_inner(),
            known: Vec::new(),
            broken: BTreeSet::new(),
            faults: Vec::new(),
        };
        for error in errors {
            document.note(
                error.span().map_or(0, |span| span.start),
                String::new(),
                error.message().to_owned(),
            );
        }
        if document.faults.is_empty() { Ok(document) } else { Err(document.sorted()) }
    }

    /// Reads the section `[name]`; one that is not there has the values of an empty one.
    pub fn section<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> (Place, T) {
        self.known.push(name);
        match self.sections.remove(name) {
            Some(value) => self.table(name, value),
            None => (Place { name: name.to_owned(), offset: 0 }, T::default()),
        }
    }

    /// Reads the sections `[[name]]`.
    pub fn items<T: DeserializeOwned + Default>(&mut self, name: &'static str) -> Vec<(Place, T)> {
        self.known.push(name);
        let Some(value) = self.sections.remove(name) else { return Vec::new() };
        let offset = value.span().start;
        match value.into_inner() {
            DeValue::Array(items) => items.into_iter().map(|item| self.table(name, item)).collect(),
            other => {
                let message =
                    format!("this is a TOML {}; write a section `[[{name}]]` for each", other.type_str());
                self.note(offset, name.to_owned(), message);
                Vec::new()
            }
        }
    }

    /// Reads a key that stands above all sections.
    pub fn key<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<Spanned<T>> {
        self.known.push(name);
        let value = self.sections.remove(name)?;
        match Spanned::<T>::deserialize_from(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.note(
                    error.span().map_or(0, |span| span.start),
                    name.to_owned(),
                    in_words(error.message()),
                );
                None
            }
        }
    }

    /// The value of a key that must be there; notes that it is missing when it is not.
    pub fn required<V>(&mut self, place: &Place, key: &'static str, value: Option<V>) -> Option<V> {
        if value.is_none() && !self.broken.contains(&place.key(key)) {
            let message = format!("the key is missing; add it to the section `{}`", place.name);
            self.note(place.offset, place.key(key), message);
        }
        value
    }

    /// Notes a fault of a value; gives nothing, so that it can stand for the value.
    pub fn fault<V, W>(
        &mut self,
        place: &Place,
        key: &str,
        value: &Spanned<V>,
        message: impl Into<String>,
    ) -> Option<W> {
        self.note(value.span().start, place.key(key), message.into());
        None
    }

    /// Notes a fault of a section as a whole.
    pub fn fault_of<W>(&mut self, place: &Place, message: impl Into<String>) -> Option<W> {
        self.note(place.offset, place.name.clone(), message.into());
        None
    }

    /// Notes a fault of the file as a whole.
    pub fn fault_of_file<W>(&mut self, message: impl Into<String>) -> Option<W> {
        self.note(0, String::new(), message.into());
        None
    }

    /// The end of reading: what was made of the file, if there is no fault in it.
    ///
    /// # Errors
    /// All faults, those of sections that nobody read included.
    pub fn finish<T>(mut self, made: Option<T>) -> Result<T, Faults> {
        let known: Vec<String> = self.known.iter().map(|name| format!("`{name}`")).collect();
        let strangers: Vec<(usize, String)> =
            self.sections.keys().map(|key| (key.span().start, key.get_ref().to_string())).collect();
        for (offset, name) in strangers {
            let message = format!("this does not belong here; what does is {}", known.join(", "));
            self.note(offset, name, message);
        }
        match made {
            Some(made) if self.faults.is_empty() => Ok(made),
            _ => {
                if self.faults.is_empty() {
                    let _: Option<()> = self.fault_of_file("the file is not complete");
                }
                Err(self.sorted())
            }
        }
    }

    fn table<T: DeserializeOwned + Default>(
        &mut self,
        name: &str,
        value: Spanned<DeValue<'t>>,
    ) -> (Place, T) {
        let span = value.span();
        let place = Place { name: name.to_owned(), offset: span.start };
        let mut table = match value.into_inner() {
            DeValue::Table(table) => table,
            other => {
                let message = format!("this is a TOML {}; write a section `[{name}]`", other.type_str());
                self.note(place.offset, name.to_owned(), message);
                return (place, T::default());
            }
        };
        loop {
            let whole = Spanned::new(span.clone(), DeValue::Table(table.clone()));
            let error = match T::deserialize(ValueDeserializer::from(whole)) {
                Ok(values) => return (place, values),
                Err(error) => error,
            };
            let offset = error.span().map_or(place.offset, |span| span.start);
            let Some(key) = key_at(&table, offset) else {
                self.note(offset, name.to_owned(), in_words(error.message()));
                return (place, T::default());
            };
            self.note(offset, place.key(&key), in_words(error.message()));
            self.broken.insert(place.key(&key));
            table.remove(key.as_str());
        }
    }

    fn note(&mut self, offset: usize, key: String, message: String) {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        let line = before.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        self.faults.push(Fault { file: self.file.clone(), line, key, message });
    }

    fn sorted(mut self) -> Faults {
        self.faults.sort();
        Faults(self.faults)
    }
}

impl Place {
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.name)
    }
}

/// Reading one value that stands by itself.
trait DeserializeFrom: Sized {
    fn deserialize_from(value: Spanned<DeValue<'_>>) -> Result<Self, toml::de::Error>;
}

impl<T: DeserializeOwned> DeserializeFrom for Spanned<T> {
    fn deserialize_from(value: Spanned<DeValue<'_>>) -> Result<Self, toml::de::Error> {
        let span = value.span();
        T::deserialize(ValueDeserializer::from(value)).map(|read| Self::new(span, read))
    }
}

/// The key whose name or value stands at an offset of the text.
fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    let holds = |span: std::ops::Range<usize>| span.contains(&offset);
    table
        .iter()
        .find(|(key, value)| holds(key.span()) || holds(value.span()))
        .map(|(key, _)| key.get_ref().to_string())
}

/// What serde says, without the names of Rust's types.
fn in_words(message: &str) -> String {
    let message = message.replacen("unknown field", "unknown key", 1);
    WORDS.iter().fold(message, |message, (from, to)| message.replacen(from, to, 1))
}

const WORDS: [(&str, &str); 4] = [
    ("expected u64", "expected a whole number"),
    ("expected path string", "expected a text in quotes"),
    ("expected a string", "expected a text in quotes"),
    ("expected a sequence", "expected a list in brackets"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Part {
        number: Option<Spanned<u64>>,
        text: Option<Spanned<String>>,
    }

    #[test]
    fn every_fault_is_told_at_once_with_line_and_key() {
        let text =
            "[part]\nnumber = 'seven'\nodd = 1\n\n[[item]]\ntext = 3\n[[item]]\ntext = 'x'\n[elsewhere]\n";
        let mut document = Document::parse(Path::new("f.toml"), text).unwrap();
        let (place, part): (Place, Part) = document.section("part");
        assert!(document.required(&place, "number", part.number).is_none());
        assert!(document.required(&place, "text", part.text).is_none());
        let items: Vec<(Place, Part)> = document.items("item");
        for (place, item) in items {
            if let Some(text) = document.required(&place, "text", item.text) {
                let _: Option<()> = document.fault(&place, "text", &text, "write `y`");
            }
        }
        let faults = document.finish(Some(())).unwrap_err();
        let lines: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
        let starts = [
            "f.toml:1: `part.text`: the key is missing",
            "f.toml:2: `part.number`: invalid type: string \"seven\", expected a whole number",
            "f.toml:3: `part.odd`: unknown key `odd`, expected ",
            "f.toml:6: `item.text`: invalid type: integer `3`, expected a text in quotes",
            "f.toml:8: `item.text`: write `y`",
            "f.toml:9: `elsewhere`: this does not belong here; what does is `part`, `item`",
        ];
        assert_eq!(lines.len(), starts.len(), "{lines:#?}");
        for (line, start) in lines.iter().zip(starts) {
            assert!(line.starts_with(start), "`{line}` should start with `{start}`");
        }
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let faults = Document::parse(Path::new("f.toml"), "a = 1\nb = \n").err().unwrap();
        assert_eq!(faults.0[0].line, 2, "{faults}");
        let text = "part = 3\n";
        let mut document = Document::parse(Path::new("f.toml"), text).unwrap();
        let _: (Place, Part) = document.section("part");
        let faults = document.finish(Some(())).unwrap_err();
        assert_eq!(faults.to_string(), "f.toml:1: `part`: this is a TOML integer; write a section `[part]`");
    }
}
