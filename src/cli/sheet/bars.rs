//! Lengths beside each other as SVG within a page: each bar has its words and its number in text, so that it is read without
//! colours, and printed.

use std::fmt::Write as _;

/// Bars, from the top down.
pub(in crate::cli) struct Bars<'a> {
    /// A name of its own within the page, for its title.
    pub(in crate::cli) id: &'a str,
    pub(in crate::cli) title: &'a str,
    /// What is to be seen, for those who don't see it.
    pub(in crate::cli) description: &'a str,
    pub(in crate::cli) bars: Vec<Bar>,
}

/// One of them.
pub(in crate::cli) struct Bar {
    /// What it is of, escaped.
    pub(in crate::cli) name: String,
    /// Its length, 0 to 1.
    pub(in crate::cli) length: f64,
    /// The number that it stands for.
    pub(in crate::cli) value: String,
}

impl Bars<'_> {
    /// Draws them, with their name before and the description under them.
    pub(in crate::cli) fn draw(&self) -> String {
        let Self { id, title, description, bars } = self;
        let mut svg = String::new();
        let mut top = 0.0;
        for Bar { name, length, value } in bars {
            let width = (length.clamp(0.0, 1.0) * LONGEST).max(THINNEST);
            let (words, bar) = (top + WORDS_DOWN, top + BAR_DOWN);
            // Writing to text does not fail.
            let _ = writeln!(
                svg,
                "<text x=\"0\" y=\"{words:.1}\">{name}</text>\n<rect class=\"bar\" x=\"0\" y=\"{bar:.1}\" width=\"{width:.1}\" \
                 height=\"{THICK}\"/><text x=\"{:.1}\" y=\"{:.1}\">{value}</text>",
                width + GAP,
                bar + THICK - 2.0
            );
            top += ROW;
        }
        format!(
            "<figure>\n<p class=\"name\">{title}</p>\n<svg viewBox=\"0 0 {FULL_WIDTH} {top}\" role=\"img\" aria-labelledby=\"{id}-t \
             {id}-d\">\n<title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{description}</desc>\n{svg}</svg>\n\
             <figcaption>{description}</figcaption>\n</figure>\n"
        )
    }
}

const FULL_WIDTH: f64 = 340.0;
/// What is left beside the longest holds a number of seven digits.
const LONGEST: f64 = 275.0;
/// A bar of nothing is a line, not a gap.
const THINNEST: f64 = 1.0;
const ROW: f64 = 36.0;
const WORDS_DOWN: f64 = 11.0;
const BAR_DOWN: f64 = 16.0;
const THICK: f64 = 12.0;
const GAP: f64 = 5.0;
