//! The report as a value: what `report.json` holds, and `report.html` shows.

use serde::Serialize;

/// A report.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) schema: &'static str,
    pub(super) program: String,
    pub(super) time: String,
    pub(super) input: About,
    pub(super) threshold: Limit,
    pub(super) verdict: Verdict,
    pub(super) unlinkability: Vec<Linkability>,
    pub(super) curve: Vec<Point>,
    pub(super) null_curve: Vec<Point>,
    pub(super) accuracy: Vec<FormAccuracy>,
    pub(super) search: Search,
    pub(super) known_pairs: Vec<KnownPairs>,
    pub(super) reconstruction: Vec<Stolen>,
    pub(super) collections: Vec<Linked>,
}

/// What was measured on.
#[derive(Debug, Serialize)]
pub(super) struct About {
    pub(super) kind: &'static str,
    pub(super) description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sha256: Option<String>,
    pub(super) people: usize,
    pub(super) samples: usize,
    pub(super) left_out: u64,
    pub(super) dimension: usize,
    pub(super) key_pairs: usize,
    pub(super) seed: u64,
    pub(super) resamplings: usize,
    pub(super) exchanges: usize,
}

/// From which cosine on an attack passes.
#[derive(Debug, Serialize)]
pub(super) struct Limit {
    pub(super) cosine: f64,
    pub(super) origin: String,
}

/// What the goals say.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    /// No D_sys lies above the interval of its null run, or above all that chance made.
    pub(super) unlinkable: bool,
    /// At least 9,999 of 10,000 decisions are those of the raw samples.
    pub(super) decisions_kept: bool,
}

/// One linkage function.
#[derive(Debug, Serialize)]
pub(super) struct Linkability {
    pub(super) function: &'static str,
    pub(super) mated_scores: usize,
    pub(super) d_sys: f64,
    pub(super) interval: [f64; 2],
    pub(super) null_d_sys: f64,
    pub(super) null_interval: [f64; 2],
    /// The share of exchanges between mated and non-mated scores that give as much.
    pub(super) chance: f64,
    pub(super) chance_interval: [f64; 2],
    pub(super) above_null: bool,
    /// No exchange gave as much.
    pub(super) above_chance: bool,
    pub(super) shared_key_d_sys: f64,
}

/// A bin of the local measure.
#[derive(Debug, Serialize)]
pub(super) struct Point {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) mated: f64,
    pub(super) non_mated: f64,
    pub(super) local: f64,
}

/// How often a form errs.
#[derive(Debug, Serialize)]
pub(super) struct FormAccuracy {
    pub(super) form: &'static str,
    pub(super) genuine: usize,
    pub(super) impostor: usize,
    pub(super) equal_fmr: f64,
    pub(super) equal_fnmr: f64,
    pub(super) rates: Vec<Rates>,
    pub(super) largest_difference: f64,
    pub(super) flips: u64,
    pub(super) pairs: u64,
    pub(super) flips_beyond_margin: u64,
    pub(super) pairs_beyond_margin: u64,
}

/// The errors at a rate.
#[derive(Debug, Serialize)]
pub(super) struct Rates {
    pub(super) fmr: f64,
    pub(super) threshold: f64,
    pub(super) fnmr: f64,
}

/// Decisions of a search.
#[derive(Debug, Serialize)]
pub(super) struct Search {
    pub(super) templates: usize,
    pub(super) probes: usize,
    pub(super) margin: f64,
    pub(super) beyond_margin: usize,
    pub(super) hits: usize,
    pub(super) alike: usize,
    pub(super) within_margin: usize,
    pub(super) alike_within: usize,
}

/// An attack with known pairs.
#[derive(Debug, Serialize)]
pub(super) struct KnownPairs {
    pub(super) pairs: usize,
    pub(super) attacked: usize,
    pub(super) median_cosine: f64,
    pub(super) pass: usize,
}

/// A stolen form.
#[derive(Debug, Serialize)]
pub(super) struct Stolen {
    pub(super) bits: u8,
    pub(super) with_key: bool,
    pub(super) tried: usize,
    pub(super) median_cosine: f64,
    pub(super) pass: usize,
}

/// Two stolen collections.
#[derive(Debug, Serialize)]
pub(super) struct Linked {
    pub(super) overlap: &'static str,
    pub(super) attack: &'static str,
    pub(super) templates: usize,
    pub(super) tried: usize,
    pub(super) linked: usize,
    pub(super) chance: f64,
}

impl Report {
    /// The linkage function that got furthest above what chance makes.
    pub(super) fn worst(&self) -> Option<&Linkability> {
        self.unlinkability.iter().min_by(|a, b| a.chance.total_cmp(&b.chance))
    }

    /// The fewest known pairs with which half of the attacked templates pass.
    pub(super) fn half_pass(&self) -> Option<&KnownPairs> {
        self.known_pairs.iter().find(|it| it.pass.saturating_mul(2) >= it.attacked)
    }

    /// In a few lines.
    pub(super) fn told(&self) -> String {
        let mut lines = vec![format!("measured      {}", self.input.description)];
        for it in &self.unlinkability {
            lines.push(format!(
                "D_sys         {:.4} by {}; null run {:.4}, up to {:.4}; chance {:.3}{}",
                it.d_sys,
                it.function,
                it.null_d_sys,
                it.null_interval[1],
                it.chance,
                if it.above_null || it.above_chance { "; ABOVE what chance makes" } else { "" }
            ));
        }
        lines.push(format!(
            "decisions     {} of {} as the raw samples, further than {} from the threshold {:.4}",
            self.search.alike, self.search.beyond_margin, self.search.margin, self.threshold.cosine
        ));
        for it in &self.known_pairs {
            lines.push(format!(
                "known pairs   {}: median cosine {:.3}, {} of {} pass",
                it.pairs, it.median_cosine, it.pass, it.attacked
            ));
        }
        for it in self.collections.iter().filter(|it| it.attack == "neighbours") {
            lines.push(format!(
                "collections   {} of {} linked by neighbours, {}",
                it.linked, it.tried, it.overlap
            ));
        }
        lines.join("\n")
    }
}
