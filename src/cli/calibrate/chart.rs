//! A frame for small charts as SVG: title, axes, grid, key. Colours follow the reader's choice of light or dark.

use std::fmt::Write as _;

/// A chart that is being drawn; positions are in pixels from the upper left corner.
pub(super) struct Chart {
    body: String,
}

/// Which of the two kinds of scores, or what else, something in the chart is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    /// Genuine comparisons.
    Genuine,
    /// Impostor comparisons.
    Impostor,
    /// Neither.
    Plain,
}

/// A line across the chart and what is written at its end.
pub(super) struct Tick {
    /// From 0, left or bottom, to 1, right or top.
    pub(super) at: f64,
    /// What is written.
    pub(super) label: String,
}

impl Ink {
    const fn class(self) -> &'static str {
        match self {
            Self::Genuine => "genuine",
            Self::Impostor => "impostor",
            Self::Plain => "plain",
        }
    }
}

impl Chart {
    /// A chart with its title, the line below it, the names of its axes, and their ticks.
    pub(super) fn new(title: &str, below: &str, axes: [&str; 2], across: &[Tick], up: &[Tick]) -> Self {
        let mut chart = Self { body: String::new() };
        let (title, below) = (escaped(title), escaped(below));
        let [x_name, y_name] = axes.map(escaped);
        let (right, bottom) = (LEFT + WIDTH, TOP + HEIGHT);
        chart.put(&format!("<title>{title}</title>\n<desc>{below}</desc>\n<style>{STYLE}</style>"));
        chart.put(&format!("<rect class=\"paper\" width=\"{FULL_WIDTH}\" height=\"{FULL_HEIGHT}\"/>"));
        chart.put(&format!("<text class=\"title\" x=\"{LEFT}\" y=\"30\">{title}</text>"));
        chart.put(&format!("<text x=\"{LEFT}\" y=\"51\">{below}</text>"));
        for tick in across {
            let (x, label) = (x(tick.at), escaped(&tick.label));
            chart.put(&format!("<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
            chart.put(&format!(
                "<text class=\"middle\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>",
                bottom + 20.0
            ));
        }
        for tick in up {
            let (y, label) = (y(tick.at), escaped(&tick.label));
            chart.put(&format!("<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>"));
            chart.put(&format!(
                "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
                LEFT - 8.0,
                y + 4.5
            ));
        }
        chart.put(&format!("<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>"));
        let middle = (LEFT + WIDTH / 2.0, TOP + HEIGHT / 2.0);
        chart.put(&format!(
            "<text class=\"name middle\" x=\"{:.1}\" y=\"{:.1}\">{x_name}</text>",
            middle.0,
            bottom + 46.0
        ));
        chart.put(&format!(
            "<text class=\"name middle\" transform=\"translate(24 {:.1}) rotate(-90)\">{y_name}</text>",
            middle.1
        ));
        chart
    }

    /// A line through points, each from 0 to 1 across and up.
    pub(super) fn line(&mut self, ink: Ink, points: &[(f64, f64)]) {
        self.put(&format!("<path class=\"line {}\" d=\"{}\"/>", ink.class(), path(points)));
    }

    /// The area below a line.
    pub(super) fn area(&mut self, ink: Ink, points: &[(f64, f64)]) {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        let closed: Vec<(f64, f64)> =
            [(first.0, 0.0)].into_iter().chain(points.iter().copied()).chain([(last.0, 0.0)]).collect();
        self.put(&format!("<path class=\"area {}\" d=\"{}Z\"/>", ink.class(), path(&closed)));
        self.line(ink, points);
    }

    /// A broken line from edge to edge, upright, with what it means beside it.
    pub(super) fn limit(&mut self, at: f64, label: &str) {
        let (x, bottom) = (x(at), TOP + HEIGHT);
        self.put(&format!("<path class=\"limit\" d=\"M{x:.1} {TOP}V{bottom}\"/>"));
        let (class, x) = if at < 0.6 { ("start", x + 6.0) } else { ("end", x - 6.0) };
        let label = escaped(label);
        self.put(&format!(
            "<text class=\"{class} halo\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>",
            TOP + 16.0
        ));
    }

    /// A dot, with what it means beside it.
    pub(super) fn dot(&mut self, at: (f64, f64), label: &str) {
        let (x, y, label) = (x(at.0), y(at.1), escaped(label));
        self.put(&format!("<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"));
        self.put(&format!(
            "<text class=\"start halo\" x=\"{:.1}\" y=\"{:.1}\">{label}</text>",
            x + 8.0,
            y - 7.0
        ));
    }

    /// The key, in the upper right corner, from the top.
    pub(super) fn key(&mut self, entries: &[(Ink, &str)]) {
        let mut top = TOP + 18.0;
        for (ink, label) in entries {
            let (right, label) = (LEFT + WIDTH - 8.0, escaped(label));
            self.put(&format!(
                "<path class=\"line {}\" d=\"M{:.1} {:.1}h22\"/>",
                ink.class(),
                right - 22.0,
                top - 4.5
            ));
            self.put(&format!(
                "<text class=\"end halo\" x=\"{:.1}\" y=\"{top:.1}\">{label}</text>",
                right - 30.0
            ));
            top += 20.0;
        }
    }

    /// The finished file.
    pub(super) fn finish(self) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {FULL_WIDTH} {FULL_HEIGHT}\" \
             width=\"{FULL_WIDTH}\" height=\"{FULL_HEIGHT}\" role=\"img\">\n{}</svg>\n",
            self.body
        )
    }

    fn put(&mut self, element: &str) {
        // Writing to text does not fail.
        let _ = writeln!(self.body, "{element}");
    }
}

/// A number on an axis, as short as it is told apart from its neighbours.
pub(super) fn percent(rate: f64) -> String {
    let percent = rate * 100.0;
    if percent == 0.0 {
        "0%".to_owned()
    } else if percent >= PERCENT_LEAST {
        format!("{}%", rounded(percent))
    } else {
        format!("{}%", exponent(percent))
    }
}

fn rounded(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn exponent(value: f64) -> String {
    format!("{value:.0e}")
}

fn path(points: &[(f64, f64)]) -> String {
    let mut text = String::new();
    for (at, (across, up)) in points.iter().enumerate() {
        let command = if at == 0 { 'M' } else { 'L' };
        let _ = write!(text, "{command}{:.1} {:.1}", x(*across), y(*up));
    }
    text
}

fn x(across: f64) -> f64 {
    LEFT + across * WIDTH
}

fn y(up: f64) -> f64 {
    TOP + (1.0 - up) * HEIGHT
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const FULL_WIDTH: f64 = 760.0;
const FULL_HEIGHT: f64 = 620.0;
const LEFT: f64 = 96.0;
const TOP: f64 = 72.0;
const WIDTH: f64 = 630.0;
const HEIGHT: f64 = 480.0;
/// Below it a percentage has more zeros than can be counted at a glance.
const PERCENT_LEAST: f64 = 0.0005;
/// Colours that people who are colour-blind tell apart (Okabe and Ito, 2008).
const STYLE: &str = "
:root{--paper:#fff;--ink:#1b1f24;--grid:#d9dde2;--genuine:#0072b2;--impostor:#d55e00}
@media (prefers-color-scheme:dark){:root{--paper:#14171a;--ink:#e8eaed;--grid:#363c43;--genuine:#56b4e9;--impostor:#e69f00}}
.paper{fill:var(--paper)}
text{font:14px system-ui,sans-serif;fill:var(--ink)}
.title{font-size:19px;font-weight:600}
.name{font-size:15px}
.middle{text-anchor:middle}.end{text-anchor:end}.start{text-anchor:start}
.halo{paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round}
.grid{stroke:var(--grid);fill:none}
.axis{stroke:var(--ink);fill:none}
.line{fill:none;stroke-width:2;stroke-linejoin:round}
.line.genuine{stroke:var(--genuine)}.line.impostor{stroke:var(--impostor)}.line.plain{stroke:var(--genuine)}
.area{fill-opacity:.25;stroke:none}.area.genuine{fill:var(--genuine)}.area.impostor{fill:var(--impostor)}
.limit{stroke:var(--ink);stroke-dasharray:5 4;fill:none}
.dot{fill:var(--impostor);stroke:var(--paper)}
";
