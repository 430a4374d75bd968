//! The detection error trade-off as a drawing, on normal-deviate axes.

use super::chart::{Chart, Ink, Tick, percent};
use crate::template::{Accuracy, ErrorCounts};

/// Draws the DET (ISO/IEC 19795-1; Martin et al., "The DET curve in assessment of detection task performance",
/// Eurospeech 1997). Points at which one of the rates is 0 or 1 have no place on such axes and are left out.
pub(super) fn draw(points: &[ErrorCounts], accuracy: &Accuracy) -> String {
    let shown: Vec<(f64, f64)> = points
        .iter()
        .map(|it| (it.fmr(), it.fnmr()))
        .filter(|(fmr, fnmr)| [fmr, fnmr].iter().all(|rate| **rate > 0.0 && **rate < 1.0))
        .collect();
    let least_rate = accuracy.least_rate().min(RATE_MAX);
    let fmr = Axis::holding(shown.iter().map(|point| point.0).chain([least_rate]));
    let fnmr = Axis::holding(shown.iter().map(|point| point.1));
    let below = format!(
        "{} genuine and {} impostor comparisons; accepted where score ≥ threshold",
        accuracy.genuine().trials(),
        accuracy.impostor().trials()
    );
    let mut chart = Chart::new(
        "Detection error trade-off (DET)",
        &below,
        ["False match rate (FMR)", "False non-match rate (FNMR)"],
        &fmr.ticks(),
        &fnmr.ticks(),
    );
    let curve: Vec<(f64, f64)> =
        shown.iter().map(|(across, up)| (fmr.place(*across), fnmr.place(*up))).collect();
    chart.line(Ink::Plain, &curve);
    chart.limit(fmr.place(least_rate), "rule of three");
    let equal = accuracy.equal_errors();
    if let (rate @ 0.0..1.0, true) =
        (equal.fmr(), equal.fmr() > 0.0 && equal.fnmr() > 0.0 && equal.fnmr() < 1.0)
    {
        chart.dot(
            (fmr.place(rate), fnmr.place(equal.fnmr())),
            &format!("FMR {:.2}%, FNMR {:.2}%", rate * 100.0, equal.fnmr() * 100.0),
        );
    }
    chart.finish()
}

/// An axis from one round rate to another, linear in the normal deviate.
struct Axis {
    least: f64,
    greatest: f64,
}

impl Axis {
    /// The axis on which all these rates have a place.
    fn holding(rates: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut greatest) = (LEAST_SHOWN, GREATEST_SHOWN);
        for rate in rates {
            least = least.min(rate);
            greatest = greatest.max(rate);
        }
        Self {
            least: marks().rev().find(|mark| *mark <= least).unwrap_or(least),
            greatest: marks().find(|mark| *mark >= greatest).unwrap_or(greatest),
        }
    }

    fn place(&self, rate: f64) -> f64 {
        let (least, greatest) = (normal_deviate(self.least), normal_deviate(self.greatest));
        (normal_deviate(rate) - least) / (greatest - least)
    }

    /// From the greatest down; where there is no room for its number a line stands alone.
    fn ticks(&self) -> Vec<Tick> {
        let within = marks().rev().filter(|mark| *mark >= self.least && *mark <= self.greatest);
        let mut ticks = Vec::new();
        let mut taken = f64::INFINITY;
        for mark in within {
            let (at, label) = (self.place(mark), percent(mark));
            let half = if label.len() > SHORT_CHARS { LONG_HALF } else { SHORT_HALF };
            if at + half <= taken {
                taken = at - half;
                ticks.push(Tick { at, label });
            } else {
                ticks.push(Tick { at, label: String::new() });
            }
        }
        ticks
    }
}

/// The rates that are written at an axis.
fn marks() -> impl DoubleEndedIterator<Item = f64> {
    MARKS.into_iter()
}

/// The point below which a standard normal number lies with this probability, within 0.00045 (Abramowitz and
/// Stegun, "Handbook of Mathematical Functions", 26.2.23).
fn normal_deviate(probability: f64) -> f64 {
    let tail = probability.min(1.0 - probability);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let size = t - above / below;
    if probability < 0.5 { -size } else { size }
}

const MARKS: [f64; 20] = [
    1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 0.001, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9,
    0.99, 0.999,
];
/// Half of what a number takes of an axis, short as `10%` or long as `0.001%`.
const SHORT_HALF: f64 = 0.025;
const LONG_HALF: f64 = 0.042;
const SHORT_CHARS: usize = 4;
/// What every axis shows at least.
const LEAST_SHOWN: f64 = 0.01;
const GREATEST_SHOWN: f64 = 0.4;
/// The greatest rate that has a place.
const RATE_MAX: f64 = 0.999;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_deviates_are_those_of_the_tables() {
        for (probability, deviate) in [(0.5, 0.0), (0.158_655, -1.0), (0.01, -2.326_348), (0.975, 1.959_964)]
        {
            let got = normal_deviate(probability);
            assert!((got - deviate).abs() < 5e-4, "`{probability}` has the deviate {got}, not {deviate}");
        }
    }

    #[test]
    fn rates_without_a_place_leave_a_chart_that_can_be_drawn() {
        let scores = |values: &[f64]| crate::template::Scores::new(values.to_vec(), 0).unwrap();
        let apart = Accuracy::new(scores(&[0.9]), scores(&[0.1])).unwrap();
        let svg = draw(&apart.det(), &apart);
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}
