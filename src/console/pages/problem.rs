//! What is wrong with a field of a form.

pub(super) struct Problem {
    /// The field's own anchor on the page.
    pub(super) anchor: &'static str,
    pub(super) words: String,
}

impl Problem {
    pub(super) fn new(anchor: &'static str, words: &str) -> Self {
        Self { anchor, words: words.to_owned() }
    }

    /// What is wrong with a field; empty when nothing is.
    pub(super) fn of<'a>(all: &'a [Self], field: &str) -> &'a str {
        all.iter().find(|problem| problem.anchor == field).map_or("", |problem| &problem.words)
    }
}
