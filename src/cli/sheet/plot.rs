//! Small plots as SVG within a page: they take the page's colours, and differ by dashes as well as by colour.

use std::fmt::Write as _;

/// A plot from 0 to 1 across and up.
pub(in crate::cli) struct Plot<'a> {
    /// A name of its own within the page, for its title.
    pub(in crate::cli) id: &'a str,
    pub(in crate::cli) title: &'a str,
    /// What is to be seen, for those who don't see it.
    pub(in crate::cli) description: &'a str,
    pub(in crate::cli) x_name: &'a str,
    pub(in crate::cli) y_name: &'a str,
    pub(in crate::cli) across: Vec<(f64, String)>,
    pub(in crate::cli) up: Vec<(f64, String)>,
    pub(in crate::cli) series: Vec<Series>,
}

/// A line of a plot.
pub(in crate::cli) struct Series {
    pub(in crate::cli) ink: Ink,
    pub(in crate::cli) points: Vec<(f64, f64)>,
}

/// How a line looks.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) enum Ink {
    /// A whole line.
    First,
    /// A dashed line.
    Second,
    /// A dotted line.
    Third,
}

impl Ink {
    const fn class(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Second => "second",
            Self::Third => "third",
        }
    }
}

impl Plot<'_> {
    pub(in crate::cli) fn draw(&self) -> String {
        let Self { id, title, description, x_name, y_name, .. } = self;
        let mut svg = format!(
            "<svg viewBox=\"0 0 {FULL_WIDTH} {FULL_HEIGHT}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
             <title id=\"{id}-t\">{title}</title><desc id=\"{id}-d\">{description}</desc>\n"
        );
        let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
        for (at, label) in &self.across {
            let x = x(*at);
            // Writing to text does not fail.
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/><text class=\"middle\" x=\"{x:.1}\" \
                 y=\"{:.1}\">{label}</text>",
                bottom + 15.0
            );
        }
        for (at, label) in &self.up {
            let y = y(*at);
            let _ = writeln!(
                svg,
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/><text class=\"end\" x=\"{:.1}\" \
                 y=\"{:.1}\">{label}</text>",
                LEFT - 5.0,
                y + 4.0
            );
        }
        let middle = (LEFT + WIDTH / 2.0, TOP + HEIGHT / 2.0);
        let _ = writeln!(
            svg,
            "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>\n<text class=\"middle\" x=\"{:.1}\" \
             y=\"{:.1}\">{x_name}</text>\n<text class=\"middle\" transform=\"translate(12 {:.1}) \
             rotate(-90)\">{y_name}</text>",
            middle.0,
            bottom + 33.0,
            middle.1
        );
        for series in &self.series {
            let _ =
                writeln!(svg, "<path class=\"line {}\" d=\"{}\"/>", series.ink.class(), path(&series.points));
        }
        svg.push_str("</svg>\n");
        svg
    }
}

fn path(points: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (at, (across, up)) in points.iter().enumerate() {
        let command = if at == 0 { 'M' } else { 'L' };
        let _ = write!(text, "{command}{:.1} {:.1}", x(across.clamp(0.0, 1.0)), y(up.clamp(0.0, 1.0)));
    }
    text
}

fn x(across: f64) -> f64 {
    LEFT + across * WIDTH
}

fn y(up: f64) -> f64 {
    TOP + (1.0 - up) * HEIGHT
}

const FULL_WIDTH: f64 = 340.0;
const FULL_HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 10.0;
const WIDTH: f64 = 276.0;
const HEIGHT: f64 = 190.0;
