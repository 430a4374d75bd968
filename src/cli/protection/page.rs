//! The report as a page: one file, without scripts and without anything from elsewhere.

use super::report::{Point, Report};
use crate::cli::sheet::{self, Ink, Plot, Series, escaped, figure, table};

/// Draws the page.
pub(super) fn draw(report: &Report) -> String {
    let parts = [
        in_short(report),
        unlinkability(report),
        accuracy(report),
        known_pairs(report),
        reconstruction(report),
        collections(report),
        LIMITS.to_owned(),
    ];
    let input = &report.input;
    let body = format!(
        "<p>Measured on {}, by {}, {}. Seed {}; each person under {} pairs of keys that were made for this measurement.{} \
         The figures are in <code>report.json</code>; <code>report.sig</code> signs both files.</p>\n{}",
        escaped(&input.description),
        escaped(&report.program),
        escaped(&report.time),
        input.seed,
        input.key_pairs,
        if input.people < FEW_PEOPLE {
            " <strong>These are few people: what is said of people in general rests on them alone.</strong>"
        } else {
            ""
        },
        parts.join("\n")
    );
    sheet::page("Protection report", &body)
}

fn in_short(report: &Report) -> String {
    let verdict = |met: bool| if met { "met" } else { "<strong>not met</strong>" };
    let mut rows = Vec::new();
    if let Some(worst) = report.worst() {
        let plain = report.unlinkability.first().map_or(0.0, |it| it.d_sys);
        rows.push((
            "Can two templates of one person under two keys be told from those of two people?",
            format!(
                "D<sub>sys</sub> {plain:.4} by the plain comparison. Of all that was tried {} came furthest, and chance \
                 alone gives as much in {} of 100 cases.",
                attack_words(worst.function),
                percent(worst.chance)
            ),
            format!("Goal, not above the null run: {}.", verdict(report.verdict.unlinkable)),
        ));
    }
    let search = &report.search;
    rows.push((
        "Do searches decide as on the raw samples?",
        format!(
            "{} of {} probes further than {} from the threshold do; {} of {} nearer ones.",
            search.alike, search.beyond_margin, search.margin, search.alike_within, search.within_margin
        ),
        format!("Goal, 9,999 of 10,000: {}.", verdict(report.verdict.decisions_kept)),
    ));
    let known = report.half_pass().map_or_else(
        || "No number that was tried is enough.".to_owned(),
        |it| format!("{} pairs of sample and template.", it.pairs),
    );
    rows.push((
        "With how many known pairs do half of other stolen templates give a sample that passes?",
        known,
        "No goal: the transform is not encryption.".to_owned(),
    ));
    if let Some(it) = report.reconstruction.iter().find(|it| it.bits == 1 && it.with_key) {
        rows.push((
            "Do stolen signs with the stolen key give samples that pass?",
            format!("{} of {}, at a cosine of {:.3}.", it.pass, it.tried, it.median_cosine),
            "No goal: the key is what keeps them.".to_owned(),
        ));
    }
    if let Some(it) = report.collections.iter().find(|it| it.attack == "neighbours") {
        rows.push((
            "Can people be linked when two whole collections with the same samples are stolen?",
            format!("{} of {} are.", it.linked, it.tried),
            "No goal: angles within a collection are kept.".to_owned(),
        ));
    }
    let rows = rows.iter().map(|(question, found, goal)| {
        format!("<dt>{question}</dt><dd>{found}</dd><dd class=\"goal\">{goal}</dd>\n")
    });
    format!(
        "<section>\n<h2>In short</h2>\n<dl>\n{}</dl>\n<p>A sample passes at a cosine of {:.4} ({}).</p>\n</section>",
        rows.collect::<String>(),
        report.threshold.cosine,
        escaped(&report.threshold.origin)
    )
}

fn unlinkability(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .unlinkability
        .iter()
        .map(|it| {
            vec![
                attack_words(it.function).to_owned(),
                format!("{:.4}", it.d_sys),
                format!("{:.4}–{:.4}", it.interval[0], it.interval[1]),
                format!("{:.4}", it.null_d_sys),
                format!("{:.4}–{:.4}", it.null_interval[0], it.null_interval[1]),
                format!("{:.4}–{:.4}", it.chance_interval[0], it.chance_interval[1]),
                format!("{:.3}", it.chance),
                format!("{:.4}", it.shared_key_d_sys),
            ]
        })
        .collect();
    let heads = [
        "Comparison",
        "D<sub>sys</sub>",
        "95 % interval",
        "Null run",
        "95 % interval of it",
        "By chance",
        "As much",
        "With one key for both",
    ];
    let scores = report.unlinkability.first().map_or(0, |it| it.mated_scores);
    format!(
        "<section>\n<h2>Unlinkability</h2>\n\
         <p>Two templates under two keys: are they of one person? {scores} mated scores (the very same sample under two \
         keys, the easiest case for whoever links) and as many of two people. D<sub>sys</sub> is 0 where nothing can be \
         told and 1 where everything can (Gomez-Barrero and others, IEEE TIFS 2018; ω = 1; histograms of at most 100 \
         bins). Noise counts as linkability in it, so it is above 0 for any finite number of scores. The null run says \
         how much: both sets from different people, of the same size. The intervals draw people and keys again {} times; \
         drawing again adds noise of its own, so they lie above their value and are to be held against each other. By \
         chance, in 95 of 100 of {} random exchanges between the two sets, D<sub>sys</sub> lies where the next column \
         says, and “as much” is the share of exchanges with which it is as large: a real link would make that small. \
         With one key for both collections, which Onebit never has, the measure must come near 1: it does notice.</p>\n\
         {}\n{}{}</section>",
        report.input.resamplings,
        report.input.exchanges,
        table("Unlinkability by comparison", &heads, &rows),
        curve("curve", "Mated and non-mated scores, and the local measure", &report.curve),
        curve("null", "The null run: both sets from different people", &report.null_curve),
    )
}

fn curve(id: &str, title: &str, points: &[Point]) -> String {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return String::new() };
    let most = points.iter().map(|it| it.mated.max(it.non_mated)).fold(f64::MIN_POSITIVE, f64::max);
    let across = |score: f64| (score - first.from) / (last.to - first.from);
    let middle = |it: &Point| across(f64::midpoint(it.from, it.to));
    let line = |ink, of: &dyn Fn(&Point) -> f64| Series {
        ink,
        points: points.iter().map(|it| (middle(it), of(it))).collect(),
    };
    let ticks = (0..5_u32).map(|step| {
        let at = f64::from(step) / 4.0;
        (at, format!("{:.2}", first.from + at * (last.to - first.from)))
    });
    let plot = Plot {
        id,
        title,
        description: "The two densities lie upon one another where templates can't be linked; the local measure then \
                      is near 0 except at both ends, where few scores are.",
        x_name: "Score (cosine)",
        y_name: "Share of the fullest bin; D",
        across: ticks.collect(),
        up: fractions(),
        series: vec![
            line(Ink::First, &|it| it.mated / most),
            line(Ink::Second, &|it| it.non_mated / most),
            line(Ink::Third, &|it| it.local),
        ],
    };
    let rows: Vec<Vec<String>> = points
        .iter()
        .map(|it| {
            vec![
                format!("{:.4}", it.from),
                format!("{:.4}", it.to),
                format!("{:.5}", it.mated),
                format!("{:.5}", it.non_mated),
                format!("{:.3}", it.local),
            ]
        })
        .collect();
    figure(
        &plot,
        "Whole line: mated. Dashed: non-mated. Dotted: the local measure D, which is noise at both ends, where few \
         scores lie.",
        &table(title, &["From", "To", "Mated share", "Non-mated share", "D"], &rows),
    )
}

fn accuracy(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .accuracy
        .iter()
        .map(|it| {
            vec![
                form_words(it.form).to_owned(),
                format!("{} %, {} %", percent(it.equal_fmr), percent(it.equal_fnmr)),
                format!("{:.6}", it.largest_difference),
                format!("{} of {}", it.flips, it.pairs),
                format!("{} of {}", it.flips_beyond_margin, it.pairs_beyond_margin),
            ]
        })
        .collect();
    let heads = [
        "Form",
        "FMR and FNMR nearest to equal",
        "Largest change of a score",
        "Decided otherwise",
        "Further off",
    ];
    let decades: Vec<f64> =
        report.accuracy.first().map(|it| it.rates.iter().map(|rate| rate.fmr).collect()).unwrap_or_default();
    let least = decades.last().copied().unwrap_or(0.1).log10();
    let across = |rate: f64| (rate.log10() - least) / (FIRST_DECADE - least);
    let inks = [Ink::First, Ink::Second, Ink::Third];
    let series = report.accuracy.iter().zip(inks).map(|(it, ink)| Series {
        ink,
        points: it.rates.iter().map(|rate| (across(rate.fmr), rate.fnmr)).collect(),
    });
    let whole = decades.iter().filter(|rate| (rate.log10() - rate.log10().round()).abs() < 1e-9);
    let plot = Plot {
        id: "det",
        title: "False non-matches by false match rate, before and after",
        description: "The three lines lie upon one another where protection changes nothing.",
        x_name: "False match rate (FMR)",
        y_name: "False non-match rate (FNMR)",
        across: whole.map(|rate| (across(*rate), format!("{rate:e}"))).collect(),
        up: fractions(),
        series: series.collect(),
    };
    let first = report.accuracy.first();
    let rates: Vec<Vec<String>> = first
        .map(|it| it.rates.iter().enumerate())
        .into_iter()
        .flatten()
        .map(|(at, rate)| {
            let of_form = report.accuracy.iter().filter_map(|it| it.rates.get(at));
            let fnmrs = of_form.map(|it| format!("{} %", percent(it.fnmr)));
            [format!("{:e}", rate.fmr)].into_iter().chain(fnmrs).collect()
        })
        .collect();
    let counts = first.map_or((0, 0), |it| (it.genuine, it.impostor));
    format!(
        "<section>\n<h2>Change of accuracy</h2>\n\
         <p>The same {} genuine and {} impostor pairs, raw and protected. “Decided otherwise” counts pairs that fall on the \
         other side of the threshold than the raw ones do; “further off” only those whose raw score lies more than {} from \
         it. A false match rate is measured for each form by itself, and none below 3 in all impostor pairs.</p>\n{}\n{}\
         <p>A search through {} templates with {} probes, sketches first and then 8 bits, as the service does it: {} of {} \
         decisions as exact search of the raw samples makes them ({} of these are hits), and {} of {} within {} of the \
         threshold.</p>\n</section>",
        counts.0,
        counts.1,
        report.search.margin,
        table("Change of accuracy by form", &heads, &rows),
        figure(
            &plot,
            "Whole line: raw. Dashed: 16 bits. Dotted: 8 bits.",
            &table("FNMR by FMR", &["FMR", "Raw", "16 bits", "8 bits"], &rates)
        ),
        report.search.templates,
        report.search.probes,
        report.search.alike,
        report.search.beyond_margin,
        report.search.hits,
        report.search.alike_within,
        report.search.within_margin,
        report.search.margin,
    )
}

fn known_pairs(report: &Report) -> String {
    let dimension = f64::from(u32::try_from(report.input.dimension).unwrap_or(u32::MAX));
    let float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let across = |pairs: usize| float(pairs) / (2.0 * dimension);
    let ticks = [0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, format!("{:.0}", at * 2.0 * dimension))).to_vec();
    let plot = Plot {
        id: "pairs",
        title: "What known pairs give",
        description: "The cosine rises as the root of the number of pairs over the dimension, and is whole from as many \
                      pairs as dimensions on.",
        x_name: "Known pairs",
        y_name: "Cosine; share that passes",
        across: ticks,
        up: fractions(),
        series: vec![
            Series {
                ink: Ink::First,
                points: report.known_pairs.iter().map(|it| (across(it.pairs), it.median_cosine)).collect(),
            },
            Series {
                ink: Ink::Second,
                points: report
                    .known_pairs
                    .iter()
                    .map(|it| (across(it.pairs), float(it.pass) / float(it.attacked)))
                    .collect(),
            },
        ],
    };
    let rows: Vec<Vec<String>> = report
        .known_pairs
        .iter()
        .map(|it| {
            vec![
                it.pairs.to_string(),
                format!("{:.3}", it.median_cosine),
                format!("{} of {}", it.pass, it.attacked),
            ]
        })
        .collect();
    format!(
        "<section>\n<h2>Attack: known pairs</h2>\n\
         <p>Somebody has raw samples together with their stolen templates, and wants the sample behind another template. \
         Least squares gives it: in part from the first pair on, and wholly from as many pairs as there are \
         dimensions ({}). A sample need not be whole to pass. An attack that uses the inner structure of the transform \
         may need far fewer pairs; none was run. What keeps pairs away is sealing, not the transform.</p>\n{}</section>",
        report.input.dimension,
        figure(
            &plot,
            "Whole line: median cosine of what was recovered and the raw sample. Dashed: share that passes.",
            &table("Known pairs", &["Pairs", "Median cosine", "Pass"], &rows)
        )
    )
}

fn reconstruction(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .reconstruction
        .iter()
        .map(|it| {
            vec![
                match it.bits {
                    1 => "Signs (1 bit)".to_owned(),
                    bits => format!("{bits} bits"),
                },
                if it.with_key { "stolen as well" } else { "not known" }.to_owned(),
                format!("{:.3}", it.median_cosine),
                format!("{} of {}", it.pass, it.tried),
            ]
        })
        .collect();
    format!(
        "<section>\n<h2>Attack: reconstruction</h2>\n\
         <p>Somebody has what a gallery holds of a person. With the collection’s key it is turned back; of signs alone \
         that gives a cosine of about √(2/π) = 0.798, whatever the dimension. Without the key there is nothing better to \
         do than to take it for the sample.</p>\n{}\n</section>",
        table("Reconstruction", &["Form", "Key", "Median cosine", "Pass"], &rows)
    )
}

fn collections(report: &Report) -> String {
    let rows: Vec<Vec<String>> = report
        .collections
        .iter()
        .map(|it| {
            vec![
                match it.overlap {
                    "same-samples" => "the same samples",
                    "other-samples" => "other samples of the same people",
                    _ => "other samples, half of the people",
                }
                .to_owned(),
                attack_words(it.attack).to_owned(),
                it.templates.to_string(),
                format!("{} of {}", it.linked, it.tried),
                format!("{} %", percent(it.chance)),
            ]
        })
        .collect();
    let heads = ["In both", "By", "Templates", "Linked", "By guessing"];
    format!(
        "<section>\n<h2>Attack: two whole collections</h2>\n\
         <p>Somebody has two collections with two keys and looks, for each template of one, for the most alike of the \
         other. Template by template that is guessing. By its neighbours a template can be found again: a transform keeps \
         all angles within a collection, or nothing could be searched, and the list of its similarities to all others says \
         who it is where the very same samples lie in both. <strong>New keys alone do not unlink a stolen collection \
         from its renewal.</strong> Sealing is what protects a collection as a whole.</p>\n{}\n</section>",
        table("Two whole collections", &heads, &rows)
    )
}

fn fractions() -> Vec<(f64, String)> {
    [0.0, 0.25, 0.5, 0.75, 1.0].map(|at| (at, at.to_string())).to_vec()
}

fn attack_words(name: &str) -> &'static str {
    match name {
        "cosine" => "plain cosine",
        "sorted-magnitudes" => "sorted magnitudes",
        "last-step-undone" => "last step undone",
        "peak" => "largest component",
        _ => "neighbours",
    }
}

fn form_words(name: &str) -> &'static str {
    match name {
        "raw" => "raw",
        "16-bit" => "16 bits, as sealed",
        _ => "8 bits, as searched",
    }
}

fn percent(share: f64) -> String {
    let text = format!("{:.3}", share * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Below it a report says that its people are few.
const FEW_PEOPLE: usize = 100;
/// The logarithm of the greatest rate of a table.
const FIRST_DECADE: f64 = -1.0;
const LIMITS: &str = "<section>\n<h2>What this does not show</h2>\n<ul>\n\
<li>The figures are of these people and these attacks. That an attack failed does not show that none succeeds.</li>\n\
<li>Whoever has a collection’s key has its samples. Keys are derived from the root and lie in the server’s memory.</li>\n\
<li>How accurate an extractor is, and whether it errs alike for everybody, is for calibration to say.</li>\n\
<li>No key of a real collection was used: keys are derived in the same way from the seed.</li>\n</ul>\n</section>";
