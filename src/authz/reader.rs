//! Reading TOML so that all faults come out at once, each with its line, and no key is passed over.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use jiff::civil::Date;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::fault::PolicyFault;

/// What another file must have for this one to make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mentioned {
    /// A collection of `collections/`.
    Collection,
    /// A scheme of `schemes/`.
    Scheme,
    /// A class of `retention.toml`.
    Retention,
    /// A role that some rule lets decide.
    Decider,
}

/// A name that stands in this file and must stand in another.
#[derive(Debug, Clone)]
pub(super) struct Mention {
    pub(super) what: Mentioned,
    pub(super) name: String,
    /// Where it stands; its message is empty.
    pub(super) place: PolicyFault,
}

/// Reads a file with `read`, which sees the top of it.
///
/// # Errors
/// All the faults of the file: of its form, of its keys, and those that `read` reports.
pub(super) fn read_document<T>(
    file: &str,
    bytes: &[u8],
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Result<(T, Vec<Mention>), Vec<PolicyFault>> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(vec![PolicyFault::of_file(file, "this is not UTF-8; save the file as UTF-8")]);
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let fault = |error: toml::de::Error| {
            PolicyFault::at(file, text, error.span().map_or(0, |span| span.start), error.message())
        };
        return Err(errors.into_iter().map(fault).collect());
    }
    let notes = Notes { file, text, faults: RefCell::default(), mentions: RefCell::default() };
    let section = Section {
        notes: &notes,
        table: root.get_ref(),
        name: String::new(),
        offset: 0,
        asked: RefCell::default(),
    };
    let value = read(&section);
    section.refuse_unknown_keys();
    let mut faults = notes.faults.into_inner();
    faults.sort();
    match value {
        Some(value) if faults.is_empty() => Ok((value, notes.mentions.into_inner())),
        _ if faults.is_empty() => Err(vec![PolicyFault::of_file(file, "the file is not complete")]),
        _ => Err(faults),
    }
}

struct Notes<'a> {
    file: &'a str,
    text: &'a str,
    faults: RefCell<Vec<PolicyFault>>,
    mentions: RefCell<Vec<Mention>>,
}

/// A table of the file. Each reading gives `None` after noting what is wrong, so that the next can go on.
pub(super) struct Section<'a> {
    notes: &'a Notes<'a>,
    table: &'a DeTable<'a>,
    /// Its keys from the top, `volumes`; empty at the top.
    name: String,
    offset: usize,
    asked: RefCell<BTreeSet<&'static str>>,
}

impl<'a> Section<'a> {
    /// A text of at least one visible character.
    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        let value = self.required(key)?;
        self.text_of(key, value).map(str::to_owned)
    }

    /// A text in the form of `T`.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self, key: &'static str) -> Option<T> {
        let value = self.required(key)?;
        self.parsed_of(key, value)
    }

    /// A text in the form of `T` that must also be known elsewhere in the folder.
    pub(super) fn mentioned<T: FromStr<Err: Display> + Display>(
        &self,
        key: &'static str,
        what: Mentioned,
    ) -> Option<T> {
        let value = self.required(key)?;
        let name: T = self.parsed_of(key, value)?;
        self.mention(what, name.to_string(), value.span().start);
        Some(name)
    }

    /// A text that may be missing: `Some(None)` then.
    pub(super) fn optional_text(&self, key: &'static str) -> Option<Option<String>> {
        match self.value(key) {
            None => Some(None),
            Some(value) => self.text_of(key, value).map(|text| Some(text.to_owned())),
        }
    }

    /// One of these words.
    pub(super) fn word(&self, key: &'static str, words: &[&str]) -> Option<String> {
        let value = self.required(key)?;
        let text = self.text_of(key, value)?;
        if words.contains(&text) {
            return Some(text.to_owned());
        }
        let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        self.fault(value.span().start, format!("`{text}` is not a {key} here; write {}", words.join(" or ")))
    }

    /// One of these words, or `default` when the key is missing.
    pub(super) fn word_or(&self, key: &'static str, default: &str, words: &[&str]) -> Option<String> {
        self.value(key).map_or_else(|| Some(default.to_owned()), |_| self.word(key, words))
    }

    /// A whole number in the range.
    pub(super) fn number(&self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.required(key)?;
        self.number_of(key, value, &range)
    }

    /// A whole number in the range, or `default` when the key is missing.
    pub(super) fn number_or(
        &self,
        key: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Option<u32> {
        self.value(key).map_or(Some(default), |value| self.number_of(key, value, &range))
    }

    /// A whole number in the range, if the key is there.
    pub(super) fn optional_number(
        &self,
        key: &'static str,
        range: RangeInclusive<u32>,
    ) -> Option<Option<u32>> {
        self.value(key).map_or(Some(None), |value| self.number_of(key, value, &range).map(Some))
    }

    /// A number in the range, written as a decimal or whole number.
    pub(super) fn real(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let value = self.required(key)?;
        let text = match value.get_ref() {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            other => return self.other_kind(key, "a number", other, value.span().start),
        };
        match text.parse::<f64>() {
            Ok(number) if range.contains(&number) => Some(number),
            _ => self.fault(
                value.span().start,
                format!("`{key}` is `{text}`; write a number from {:e} to {:e}", range.start(), range.end()),
            ),
        }
    }

    /// A date, `2026-07-01`, without quotes.
    pub(super) fn date(&self, key: &'static str) -> Option<Date> {
        let value = self.required(key)?;
        let at = value.span().start;
        let DeValue::Datetime(given) = value.get_ref() else {
            return self.other_kind(key, "a date as 2026-07-01, without quotes", value.get_ref(), at);
        };
        match (given.date, given.time) {
            (Some(date), None) => {
                let parts = (i16::try_from(date.year), i8::try_from(date.month), i8::try_from(date.day));
                let (Ok(year), Ok(month), Ok(day)) = parts else {
                    return self.fault(at, format!("`{key}` is not a day of the calendar"));
                };
                Date::new(year, month, day)
                    .ok()
                    .or_else(|| self.fault(at, format!("`{key}` is not a day of the calendar")))
            }
            _ => self.fault(at, format!("`{key}` has a time; write the date alone, as 2026-07-01")),
        }
    }

    /// A list of distinct names; `least` of them at least.
    pub(super) fn names<T>(&self, key: &'static str, least: usize) -> Option<BTreeSet<T>>
    where
        T: FromStr<Err: Display> + Ord + Display,
    {
        self.names_with(key, least, |_, _| ())
    }

    /// A list of distinct names that must also be known elsewhere in the folder.
    pub(super) fn mentioned_names<T>(
        &self,
        key: &'static str,
        least: usize,
        what: Mentioned,
    ) -> Option<BTreeSet<T>>
    where
        T: FromStr<Err: Display> + Ord + Display,
    {
        self.names_with(key, least, |name: &T, at| self.mention(what, name.to_string(), at))
    }

    /// The table `[key]`.
    pub(super) fn inside<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let value = self.required(key)?;
        self.inside_of(key, value, read)
    }

    /// The tables `[[key]]`, one at least.
    pub(super) fn each<T>(
        &self,
        key: &'static str,
        read: impl Fn(&Section<'_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let value = self.required(key)?;
        let array = self.array_of(key, value)?;
        if array.is_empty() {
            return self.fault(value.span().start, format!("`{key}` is empty; write one at least"));
        }
        // All are read before any is missed, so that each tells its faults.
        let read: Vec<Option<T>> = array.iter().map(|item| self.inside_of(key, item, &read)).collect();
        read.into_iter().collect()
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.value(key).is_some()
    }

    /// Takes what was made of a key, or notes why nothing could be made of it.
    pub(super) fn kept<T>(&self, key: &'static str, made: Result<T, impl Display>) -> Option<T> {
        made.map_or_else(|error| self.fault_at(key, error.to_string()), Some)
    }

    /// Notes a fault at a key, or at the section when the key is missing.
    pub(super) fn fault_at<T>(&self, key: &str, message: impl Into<String>) -> Option<T> {
        let offset = self.table.get(key).map_or(self.offset, |value| value.span().start);
        self.fault(offset, message)
    }

    fn inside_of<T>(
        &self,
        key: &'static str,
        value: &Spanned<DeValue<'_>>,
        read: impl FnOnce(&Section<'_>) -> Option<T>,
    ) -> Option<T> {
        let DeValue::Table(table) = value.get_ref() else {
            return self.other_kind(key, "a table", value.get_ref(), value.span().start);
        };
        let name = if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) };
        let section =
            Section { notes: self.notes, table, name, offset: value.span().start, asked: RefCell::default() };
        let value = read(&section);
        section.refuse_unknown_keys();
        value
    }

    fn names_with<T>(&self, key: &'static str, least: usize, note: impl Fn(&T, usize)) -> Option<BTreeSet<T>>
    where
        T: FromStr<Err: Display> + Ord + Display,
    {
        let value = self.required(key)?;
        let array = self.array_of(key, value)?;
        let mut names = BTreeSet::new();
        let mut sound = true;
        for item in array {
            let Some(name) = self.parsed_of::<T>(key, item) else {
                sound = false;
                continue;
            };
            note(&name, item.span().start);
            if names.contains(&name) {
                sound = self
                    .fault(item.span().start, format!("`{name}` stands twice; keep one"))
                    .unwrap_or(false);
            }
            names.insert(name);
        }
        if sound && names.len() < least {
            return self.fault(value.span().start, format!("`{key}` needs {least} at least"));
        }
        sound.then_some(names)
    }

    fn number_of(
        &self,
        key: &'static str,
        value: &Spanned<DeValue<'_>>,
        range: &RangeInclusive<u32>,
    ) -> Option<u32> {
        let DeValue::Integer(given) = value.get_ref() else {
            return self.other_kind(key, "a whole number", value.get_ref(), value.span().start);
        };
        match u32::from_str_radix(given.as_str(), given.radix()) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => self.fault(
                value.span().start,
                format!(
                    "`{key}` is `{given}`; write a whole number from {} to {}",
                    range.start(),
                    range.end()
                ),
            ),
        }
    }

    fn parsed_of<T: FromStr<Err: Display>>(
        &self,
        key: &'static str,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<T> {
        let text = self.text_of(key, value)?;
        text.parse().map_or_else(|error: T::Err| self.fault(value.span().start, error.to_string()), Some)
    }

    fn text_of<'v>(&self, key: &'static str, value: &'v Spanned<DeValue<'_>>) -> Option<&'v str> {
        let at = value.span().start;
        let DeValue::String(text) = value.get_ref() else {
            return self.other_kind(key, "a text in quotes", value.get_ref(), at);
        };
        if text.trim().is_empty() {
            return self.fault(at, format!("`{key}` is empty; write it out"));
        }
        if text.len() > TEXT_MAX_BYTES {
            return self.fault(at, format!("`{key}` is longer than {TEXT_MAX_BYTES} bytes; shorten it"));
        }
        Some(text.trim())
    }

    fn array_of<'v>(&self, key: &'static str, value: &'v Spanned<DeValue<'v>>) -> Option<&'v DeArray<'v>> {
        match value.get_ref() {
            DeValue::Array(array) => Some(array),
            other => self.other_kind(key, "a list", other, value.span().start),
        }
    }

    fn required(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.value(key).or_else(|| {
            let owner = if self.name.is_empty() { "the file" } else { &self.name };
            self.fault(self.offset, format!("`{key}` is missing in {owner}; add it"))
        })
    }

    fn value(&self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.asked.borrow_mut().insert(key);
        self.table.get(key)
    }

    fn other_kind<T>(&self, key: &str, wanted: &str, given: &DeValue<'_>, offset: usize) -> Option<T> {
        self.fault(offset, format!("`{key}` is a TOML {}; write {wanted}", given.type_str()))
    }

    fn mention(&self, what: Mentioned, name: String, offset: usize) {
        let place = PolicyFault::at(self.notes.file, self.notes.text, offset, "");
        self.notes.mentions.borrow_mut().push(Mention { what, name, place });
    }

    fn fault<T>(&self, offset: usize, message: impl Into<String>) -> Option<T> {
        let fault = PolicyFault::at(self.notes.file, self.notes.text, offset, message);
        self.notes.faults.borrow_mut().push(fault);
        None
    }

    /// A key that nobody asked for is a misspelling or a wish that would not come true.
    fn refuse_unknown_keys(&self) {
        let asked = self.asked.borrow();
        for key in self.table.keys().filter(|key| !asked.contains(key.get_ref().as_ref())) {
            let known: Vec<String> = asked.iter().map(|key| format!("`{key}`")).collect();
            let message =
                format!("`{}` is not a key here; the keys here are {}", key.get_ref(), known.join(", "));
            let _: Option<()> = self.fault(key.span().start, message);
        }
    }
}

/// An embedding of 4,096 components in base64 is 22 KiB.
const TEXT_MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::FieldName;

    fn faults_of<T>(text: &str, read: impl FnOnce(&Section<'_>) -> Option<T>) -> Vec<String> {
        match read_document("f.toml", text.as_bytes(), read) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_line() {
        let text = "title = ''\nnumber = 7\nday = 2026-13-01\n";
        assert_eq!(faults_of(text, |_| Some(())).len(), 1, "a file that is no TOML stops there");

        let text =
            "title = ''\nnumber = 70\nday = '2026-01-01'\nodd = 1\n[part]\nfields = ['ok', 'ok', 'No']\n";
        let faults = faults_of(text, |top| {
            let title = top.text("title");
            let number = top.number("number", 1..=9);
            let day = top.date("day");
            let real = top.real("rate", 0.0..=1.0);
            let fields = top.inside("part", |part| part.names::<FieldName>("fields", 1));
            title.zip(number).zip(day).zip(real).zip(fields)
        });
        let starts = [
            "policy/f.toml:1:1: `rate` is missing",
            "policy/f.toml:1:9: `title` is empty",
            "policy/f.toml:2:10: `number` is `70`",
            "policy/f.toml:3:7: `day` is a TOML string",
            "policy/f.toml:4:1: `odd` is not a key here",
            "policy/f.toml:6:17: `ok` stands twice",
            "policy/f.toml:6:23: `No` is not a name",
        ];
        assert_eq!(faults.len(), starts.len(), "{faults:#?}");
        for (fault, start) in faults.iter().zip(starts) {
            assert!(fault.starts_with(start), "`{fault}` should start with `{start}`");
        }
    }

    #[test]
    fn numbers_outside_their_range_are_refused() {
        for bad in ["-1", "0", "10", "1.0", "'1'", "99999999999", "0xff"] {
            let faults = faults_of(&format!("n = {bad}\n"), |top| top.number("n", 1..=9));
            assert_eq!(faults.len(), 1, "`{bad}` should have been refused");
        }
        for bad in ["nan", "inf", "-0.1", "2", "'0.5'"] {
            let faults = faults_of(&format!("n = {bad}\n"), |top| top.real("n", 0.0..=1.0));
            assert_eq!(faults.len(), 1, "`{bad}` should have been refused");
        }
        assert!(faults_of("n = 0x9", |top| top.number("n", 1..=9)).is_empty());
    }
}
