//! The spread of genuine and impostor scores as a drawing.

use super::chart::{Chart, Ink, Tick, percent};
use super::tables::edge;
use crate::template::{Accuracy, Bin};

/// Draws both kinds, each as shares of its own scores: there are far more impostors.
pub(super) fn draw(bins: &[Bin], accuracy: &Accuracy) -> String {
    let [genuine, impostor] = [
        bins.iter().map(|bin| accuracy.genuine().share(bin.genuine)).collect::<Vec<f64>>(),
        bins.iter().map(|bin| accuracy.impostor().share(bin.impostor)).collect::<Vec<f64>>(),
    ];
    let highest = genuine.iter().chain(&impostor).copied().fold(0.0, f64::max);
    let from = bins.first().map_or(0.0, |bin| bin.from);
    let to = bins.last().map_or(1.0, |bin| bin.to);
    let up_step = step(highest / UP_TICKS);
    let top = (highest / up_step).ceil().max(1.0) * up_step;
    let up = ticks(0.0, top, up_step, percent);
    let across = ticks(from, to, step((to - from) / ACROSS_TICKS), edge);
    let missing = accuracy.genuine().missing().saturating_add(accuracy.impostor().missing());
    let below = format!(
        "{} genuine and {} impostor scores; {missing} comparisons without a score are not shown",
        accuracy.genuine().compared(),
        accuracy.impostor().compared(),
    );
    let names = ["Similarity score", "Share of the scores of a kind"];
    let mut chart = Chart::new("Genuine and impostor scores", &below, names, &across, &up);
    for (ink, shares) in [(Ink::Impostor, &impostor), (Ink::Genuine, &genuine)] {
        let place = |score: f64| (score - from) / (to - from);
        let steps: Vec<(f64, f64)> = bins
            .iter()
            .zip(shares)
            .flat_map(|(bin, share)| [(place(bin.from), share / top), (place(bin.to), share / top)])
            .collect();
        chart.area(ink, &steps);
    }
    chart.key(&[(Ink::Genuine, "genuine"), (Ink::Impostor, "impostor")]);
    chart.finish()
}

/// Ticks at the multiples of `step` from `from` to `to`.
fn ticks(from: f64, to: f64, step: f64, label: fn(f64) -> String) -> Vec<Tick> {
    let mut ticks = Vec::new();
    let mut number = (from / step - TOLERANCE).ceil();
    while number * step <= to + step * TOLERANCE {
        ticks.push(Tick { at: (number * step - from) / (to - from), label: label(number * step) });
        number += 1.0;
    }
    ticks
}

/// The next 1, 2 or 5 of a decade.
fn step(about: f64) -> f64 {
    let decade = 10_f64.powf(about.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|digit| digit * decade)
        .find(|step| *step >= about)
        .unwrap_or(10.0 * decade)
}

const UP_TICKS: f64 = 6.0;
const ACROSS_TICKS: f64 = 8.0;
const TOLERANCE: f64 = 1e-6;
