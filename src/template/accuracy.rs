//! How often a matcher errs, counted exactly, and the table of thresholds that follows from it.
//!
//! The terms are those of ISO/IEC 19795-1: a *false match* is an impostor comparison that is accepted, a *false
//! non-match* a genuine one that is not; their shares are FMR and FNMR, and both together, threshold by threshold,
//! are the detection error trade-off (DET). A comparison is accepted where `score >= threshold`.
//!
//! A comparison that was tried and gave no score is never accepted. It counts among the trials of FMR and FNMR, so a
//! genuine one is a false non-match. For the table it doesn't count: it says nothing about false matches.

use super::calibration::approximate;

/// Scores that say nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccuracyError {
    /// No score of this kind.
    #[error("there is no {0} score; give at least one")]
    Empty(&'static str),
    /// A score that can't be compared.
    #[error("a score is not a finite number; leave it out, or say which value means `no score`")]
    NotFinite,
    /// Too few impostor scores for two rows of a table.
    #[error("{0} impostor scores support no table; bring at least {IMPOSTORS_MIN}")]
    TooFew(u64),
}

/// The scores of one kind of comparison, genuine or impostor.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    ascending: Vec<f64>,
    missing: u64,
}

/// The errors at one threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ErrorCounts {
    /// Accepted is what reaches it.
    pub threshold: f64,
    /// Genuine comparisons below it, and those without a score.
    pub false_non_matches: u64,
    /// Genuine comparisons, those without a score included.
    pub genuine: u64,
    /// Impostor comparisons at or above it.
    pub false_matches: u64,
    /// Impostor comparisons, those without a score included.
    pub impostor: u64,
}

/// A row of the table: the threshold that keeps to a false match rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableRow {
    /// The rate that is kept to.
    pub false_match_rate: f64,
    /// From where on comparisons are accepted, rounded up.
    pub threshold: f64,
    /// How many impostor comparisons were accepted there.
    pub false_matches: u64,
}

/// Scores between two edges, the lower one included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// The lower edge.
    pub from: f64,
    /// The upper edge.
    pub to: f64,
    /// Genuine scores.
    pub genuine: u64,
    /// Impostor scores.
    pub impostor: u64,
}

/// What was measured of a matcher.
#[derive(Debug, Clone, PartialEq)]
pub struct Accuracy {
    genuine: Scores,
    impostor: Scores,
}

impl Scores {
    /// These scores, and this many comparisons that gave none.
    ///
    /// # Errors
    /// [`AccuracyError::NotFinite`].
    pub fn new(mut values: Vec<f64>, missing: u64) -> Result<Self, AccuracyError> {
        if values.iter().any(|value| !value.is_finite()) {
            return Err(AccuracyError::NotFinite);
        }
        values.sort_unstable_by(f64::total_cmp);
        Ok(Self { ascending: values, missing })
    }

    /// How many comparisons gave a score.
    #[must_use]
    pub fn compared(&self) -> u64 {
        count(self.ascending.len())
    }

    /// How many gave none.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.missing
    }

    /// How many comparisons were tried.
    #[must_use]
    pub fn trials(&self) -> u64 {
        self.compared().saturating_add(self.missing)
    }

    /// How many scores reach the threshold.
    #[must_use]
    pub fn at_least(&self, threshold: f64) -> u64 {
        let below = self.ascending.partition_point(|score| *score < threshold);
        count(self.ascending.len().saturating_sub(below))
    }

    /// This many of the scores as a share of them all.
    #[must_use]
    pub fn share(&self, of: u64) -> f64 {
        approximate(of) / approximate(self.compared())
    }

    /// The score that this many others stand above, in order; the greatest has rank 0.
    fn ranked(&self, rank: u64) -> Option<f64> {
        let from_end = usize::try_from(rank).ok()?.checked_add(1)?;
        self.ascending.get(self.ascending.len().checked_sub(from_end)?).copied()
    }

    fn bounds(&self) -> Option<(f64, f64)> {
        self.ascending.first().copied().zip(self.ascending.last().copied())
    }
}

impl ErrorCounts {
    /// The false match rate.
    #[must_use]
    pub fn fmr(&self) -> f64 {
        approximate(self.false_matches) / approximate(self.impostor)
    }

    /// The false non-match rate.
    #[must_use]
    pub fn fnmr(&self) -> f64 {
        approximate(self.false_non_matches) / approximate(self.genuine)
    }
}

impl Accuracy {
    /// What these scores tell.
    ///
    /// # Errors
    /// [`AccuracyError::Empty`] when there is no score of a kind.
    pub fn new(genuine: Scores, impostor: Scores) -> Result<Self, AccuracyError> {
        match (genuine.ascending.is_empty(), impostor.ascending.is_empty()) {
            (true, _) => Err(AccuracyError::Empty("genuine")),
            (_, true) => Err(AccuracyError::Empty("impostor")),
            _ => Ok(Self { genuine, impostor }),
        }
    }

    /// The genuine scores.
    #[must_use]
    pub const fn genuine(&self) -> &Scores {
        &self.genuine
    }

    /// The impostor scores.
    #[must_use]
    pub const fn impostor(&self) -> &Scores {
        &self.impostor
    }

    /// The errors at a threshold.
    #[must_use]
    pub fn errors_at(&self, threshold: f64) -> ErrorCounts {
        ErrorCounts {
            threshold,
            false_non_matches: self.genuine.trials().saturating_sub(self.genuine.at_least(threshold)),
            genuine: self.genuine.trials(),
            false_matches: self.impostor.at_least(threshold),
            impostor: self.impostor.trials(),
        }
    }

    /// Points of the DET by rising threshold, from accepting all scores to accepting none. Each is exact; of many
    /// scores some are passed over, closest where errors are rare.
    #[must_use]
    pub fn det(&self) -> Vec<ErrorCounts> {
        let ranks = |scores: &Scores| -> Vec<f64> {
            let last = scores.compared().saturating_sub(1);
            let from_above = rare_ranks(last);
            let from_below = from_above.iter().map(|rank| last.saturating_sub(*rank));
            from_above.iter().copied().chain(from_below).filter_map(|rank| scores.ranked(rank)).collect()
        };
        let mut thresholds = [ranks(&self.genuine), ranks(&self.impostor)].concat();
        thresholds.extend(self.bounds().map(|(_, greatest)| greatest.next_up()));
        thresholds.sort_unstable_by(f64::total_cmp);
        thresholds.dedup();
        thresholds.into_iter().map(|threshold| self.errors_at(threshold)).collect()
    }

    /// The smallest difference between the two rates is here: the point of the DET that is next to the equal error
    /// rate.
    #[must_use]
    pub fn equal_errors(&self) -> ErrorCounts {
        // FMR falls and FNMR rises with the threshold, so the first score at which FNMR is not below FMR is found by
        // halving; the crossing lies there or one score before.
        let all = |scores: &Scores| scores.ascending.clone();
        let mut thresholds = [all(&self.genuine), all(&self.impostor)].concat();
        thresholds.sort_unstable_by(f64::total_cmp);
        thresholds.dedup();
        let crossed = thresholds.partition_point(|threshold| {
            let errors = self.errors_at(*threshold);
            errors.fnmr() < errors.fmr()
        });
        let apart = |errors: &ErrorCounts| (errors.fmr() - errors.fnmr()).abs();
        let near = [crossed.checked_sub(1), Some(crossed)].into_iter().flatten();
        near.filter_map(|at| thresholds.get(at))
            .map(|threshold| self.errors_at(*threshold))
            .min_by(|a, b| apart(a).total_cmp(&apart(b)))
            .unwrap_or_else(|| self.errors_at(f64::NEG_INFINITY))
    }

    /// The smallest false match rate that the impostor scores support, rounded up to four digits: `3/n`, the rule of
    /// three. Where none of `n` independent comparisons was a false match, the rate is below `3/n` with 95 %
    /// confidence (Hanley and Lippman-Hand, "If nothing goes wrong, is everything all right?", JAMA 249(13), 1983;
    /// taken up in Mansfield and Wayman, "Best Practices in Testing and Reporting Performance of Biometric Devices",
    /// NPL 2002, and ISO/IEC 19795-1).
    #[must_use]
    pub fn least_rate(&self) -> f64 {
        let compared = u128::from(self.impostor.compared());
        let (mut digits, mut power) = (0, 0_i32);
        while digits < FOUR_DIGITS {
            power = power.saturating_add(1);
            let scaled = RULE_OF_THREE.saturating_mul(10_u128.saturating_pow(power.unsigned_abs()));
            digits = scaled.div_ceil(compared);
        }
        approximate(u64::try_from(digits).unwrap_or(u64::MAX)) / 10_f64.powi(power)
    }

    /// The table: 1, 5 and 2 of each decade from 1 in 10 on, and last the smallest rate that is supported, at a
    /// threshold that no impostor score reaches. Rates fall and thresholds rise from row to row.
    ///
    /// # Errors
    /// [`AccuracyError::TooFew`] when the scores do not support two rows.
    pub fn table(&self) -> Result<Vec<TableRow>, AccuracyError> {
        let compared = self.impostor.compared();
        let least = self.least_rate();
        let mut rows: Vec<TableRow> = Vec::new();
        let mut put = |false_match_rate, allowed| {
            if let Some(threshold) = self.threshold_above(allowed, rows.last().map(|row| row.threshold)) {
                let false_matches = self.impostor.at_least(threshold);
                rows.push(TableRow { false_match_rate, threshold, false_matches });
            }
        };
        for (digit, power) in steps() {
            let decade = 10_u128.saturating_pow(power.unsigned_abs());
            let rate = approximate(digit) / 10_f64.powi(power);
            if rate <= least {
                break;
            }
            let allowed = u128::from(compared).saturating_mul(digit.into()) / decade;
            put(rate, u64::try_from(allowed).unwrap_or(u64::MAX));
        }
        if least < 1.0 {
            put(least, 0);
        }
        if rows.len() < ROWS_MIN { Err(AccuracyError::TooFew(compared)) } else { Ok(rows) }
    }

    /// How the scores are spread, over at most `most` bins of one width, whose edges are round numbers.
    #[must_use]
    pub fn histogram(&self, most: u32) -> Vec<Bin> {
        let Some((least, greatest)) = self.bounds() else { return Vec::new() };
        let width =
            round_width((greatest - least) / f64::from(most.max(2).saturating_sub(1)), greatest.abs());
        let first = (least / width).floor();
        let mut bins = Vec::new();
        let mut step = 0.0;
        loop {
            let (from, to) = ((first + step) * width, (first + step + 1.0) * width);
            let within = |scores: &Scores| scores.at_least(from).saturating_sub(scores.at_least(to));
            bins.push(Bin { from, to, genuine: within(&self.genuine), impostor: within(&self.impostor) });
            if to > greatest {
                return bins;
            }
            step += 1.0;
        }
    }

    /// The smallest threshold on the grid of the scale that at most `allowed` impostor scores reach, and that lies
    /// above `last`.
    fn threshold_above(&self, allowed: u64, last: Option<f64>) -> Option<f64> {
        let (least, greatest) = self.bounds()?;
        let size = least.abs().max(greatest.abs());
        // A cosine may come out a rounding above 1.
        let digits = if size <= 1.0 + 1e-6 { 0.0 } else { size.log10().ceil() };
        let per_unit = 10_f64.powf(GRID_DIGITS - digits);
        let beaten = self.impostor.ranked(allowed)?;
        let floor = last.map_or(beaten, |last| last.max(beaten));
        let mut at = (floor * per_unit).floor() + 1.0;
        while at / per_unit <= floor {
            at += 1.0;
        }
        Some(at / per_unit)
    }

    fn bounds(&self) -> Option<(f64, f64)> {
        let (genuine, impostor) = (self.genuine.bounds()?, self.impostor.bounds()?);
        Some((genuine.0.min(impostor.0), genuine.1.max(impostor.1)))
    }
}

/// All ranks up to 64, then 32 a doubling, and the last.
fn rare_ranks(last: u64) -> Vec<u64> {
    let mut ranks = Vec::new();
    let mut rank = 0_u64;
    while rank < last {
        ranks.push(rank);
        rank = rank.saturating_add((rank / 32).max(1));
    }
    ranks.push(last);
    ranks
}

/// 1/10, 5/100, 2/100, 1/100, 5/1,000 and so on, as digit and power.
fn steps() -> impl Iterator<Item = (u64, i32)> {
    (1..POWER_MAX)
        .flat_map(|power: i32| [(1, power), (5, power.saturating_add(1)), (2, power.saturating_add(1))])
}

/// The next 1, 2 or 5 of a decade from `width` on; where all scores are one, a hundredth of their size.
fn round_width(width: f64, size: f64) -> f64 {
    let width = if width > 0.0 { width } else { (size / 100.0).max(f64::MIN_POSITIVE.sqrt()) };
    let power = width.log10().floor();
    let candidates = [1.0, 2.0, 5.0, 10.0].map(|digit| round_number(digit, power));
    candidates.into_iter().find(|candidate| *candidate >= width).unwrap_or(width)
}

/// Dividing by a power of ten is exact where multiplying with its inverse is not.
fn round_number(digit: f64, power: f64) -> f64 {
    if power < 0.0 { digit / 10_f64.powf(-power) } else { digit * 10_f64.powf(power) }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Where 3 errors are expected, none is seen with a probability of e^-3 = 0.0498 only.
const RULE_OF_THREE: u128 = 3;
/// From here on a number has four digits.
const FOUR_DIGITS: u128 = 1_000;
/// As a scheme's calibration needs.
const ROWS_MIN: usize = 2;
/// 3/31 is the first below 1/10.
const IMPOSTORS_MIN: u64 = 31;
/// Beyond what 64 bits can count.
const POWER_MAX: i32 = 20;
/// A millionth of the scale.
const GRID_DIGITS: f64 = 6.0;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::calibration::{Calibration, Rate, Threshold};
    use super::*;

    fn accuracy(genuine: &[f64], impostor: &[f64]) -> Accuracy {
        let scores = |values: &[f64]| Scores::new(values.to_vec(), 0).unwrap();
        Accuracy::new(scores(genuine), scores(impostor)).unwrap()
    }

    #[test]
    fn a_score_at_the_threshold_is_accepted() {
        let errors = accuracy(&[0.5, 0.6], &[0.4, 0.5, 0.5]).errors_at(0.5);
        assert_eq!((errors.false_non_matches, errors.false_matches), (0, 2));
        let errors = accuracy(&[0.5, 0.6], &[0.4, 0.5, 0.5]).errors_at(0.5_f64.next_up());
        assert_eq!((errors.false_non_matches, errors.false_matches), (1, 0));
    }

    #[test]
    fn a_comparison_without_a_score_is_a_trial_that_is_never_accepted() {
        let genuine = Scores::new(vec![0.9], 2).unwrap();
        let impostor = Scores::new(vec![0.1, 0.2, 0.3], 1).unwrap();
        let errors = Accuracy::new(genuine, impostor).unwrap().errors_at(-2.0);
        assert_eq!((errors.false_non_matches, errors.genuine), (2, 3));
        assert_eq!((errors.false_matches, errors.impostor), (3, 4));
    }

    #[test]
    fn without_scores_nothing_is_measured() {
        let one = || Scores::new(vec![0.5], 0).unwrap();
        let none = || Scores::new(Vec::new(), 7).unwrap();
        assert_eq!(Accuracy::new(none(), one()), Err(AccuracyError::Empty("genuine")));
        assert_eq!(Accuracy::new(one(), none()), Err(AccuracyError::Empty("impostor")));
        assert_eq!(Scores::new(vec![f64::NAN], 0), Err(AccuracyError::NotFinite));
        let few: Vec<f64> = (0..30).map(|at| f64::from(at) / 100.0).collect();
        assert_eq!(accuracy(&[0.5], &few).table(), Err(AccuracyError::TooFew(30)));
        let enough: Vec<f64> = (0..31).map(|at| f64::from(at) / 100.0).collect();
        assert_eq!(accuracy(&[0.5], &enough).table().unwrap().len(), 2, "the message says 31");
    }

    #[test]
    fn the_table_ends_at_three_in_all_comparisons() {
        let impostor: Vec<f64> = (0..1_000).map(|at| f64::from(at) / 2_000.0).collect();
        let rows = accuracy(&[0.9], &impostor).table().unwrap();
        let told: Vec<(f64, f64, u64)> =
            rows.iter().map(|row| (row.false_match_rate, row.threshold, row.false_matches)).collect();
        assert_eq!(
            told,
            [
                (0.1, 0.449_501, 100),
                (0.05, 0.474_501, 50),
                (0.02, 0.489_501, 20),
                (0.01, 0.494_501, 10),
                (0.005, 0.497_001, 5),
                (0.003, 0.499_501, 0),
            ]
        );
    }

    #[test]
    fn equal_errors_are_where_the_rates_cross() {
        let errors = accuracy(&[0.1, 0.6, 0.7, 0.8], &[0.0, 0.2, 0.3, 0.65]).equal_errors();
        assert_eq!((errors.false_non_matches, errors.false_matches), (1, 1));
    }

    #[test]
    fn edges_of_bins_are_round_and_hold_every_score() {
        let bins = accuracy(&[4.0, 246.0], &[0.0, 12.0, 45.0]).histogram(100);
        assert_eq!((bins[0].from, bins[0].to, bins.len()), (0.0, 5.0, 50));
        let bins = accuracy(&[0.5], &[0.5]).histogram(100);
        assert_eq!(bins.iter().map(|bin| bin.genuine + bin.impostor).sum::<u64>(), 2);
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_naive_count(
            genuine in prop::collection::vec(-20_i8..20, 1..60),
            impostor in prop::collection::vec(-20_i8..20, 1..60),
            missing in 0_u64..5,
            threshold in -21_i8..22,
        ) {
            let floats = |values: &[i8]| values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
            let measured = Accuracy::new(
                Scores::new(floats(&genuine), missing).unwrap(),
                Scores::new(floats(&impostor), missing).unwrap(),
            ).unwrap();
            let errors = measured.errors_at(threshold.into());
            let below = genuine.iter().filter(|score| **score < threshold).count();
            prop_assert_eq!(errors.false_non_matches, count(below) + missing);
            let reach = impostor.iter().filter(|score| **score >= threshold).count();
            prop_assert_eq!(errors.false_matches, count(reach));
            let bins = measured.histogram(30);
            prop_assert_eq!(bins.iter().map(|bin| bin.genuine).sum::<u64>(), count(genuine.len()));
            prop_assert_eq!(bins.iter().map(|bin| bin.impostor).sum::<u64>(), count(impostor.len()));
        }

        #[test]
        fn along_the_det_one_error_falls_and_the_other_rises(
            genuine in prop::collection::vec(-1.0_f64..1.0, 1..300),
            impostor in prop::collection::vec(-1.0_f64..1.0, 1..300),
        ) {
            let det = accuracy(&genuine, &impostor).det();
            prop_assert_eq!((det[0].false_non_matches, det[0].false_matches), (0, count(impostor.len())));
            let last = det[det.len() - 1];
            prop_assert_eq!((last.false_non_matches, last.false_matches), (count(genuine.len()), 0));
            for step in det.windows(2) {
                prop_assert!(step[0].threshold < step[1].threshold);
                prop_assert!(step[0].false_matches >= step[1].false_matches);
                prop_assert!(step[0].false_non_matches <= step[1].false_non_matches);
            }
        }

        #[test]
        fn every_row_of_the_table_keeps_to_its_rate_and_a_scheme_takes_it(
            impostor in prop::collection::vec(-90_i32..90, 31..2_000),
        ) {
            let impostor: Vec<f64> = impostor.into_iter().map(|score| f64::from(score) / 100.0).collect();
            let measured = accuracy(&[0.99], &impostor);
            let rows = measured.table().unwrap();
            let compared = approximate(count(impostor.len()));
            for row in &rows {
                prop_assert_eq!(row.false_matches, measured.errors_at(row.threshold).false_matches);
                let seen = approximate(row.false_matches) / compared;
                prop_assert!(seen <= row.false_match_rate * (1.0 + 1e-12), "{:?} lets more through", row);
                prop_assert!(row.false_match_rate >= 3.0 / compared, "{:?} is below the rule of three", row);
            }
            prop_assert_eq!(rows.last().map(|row| row.false_matches), Some(0));
            let points = rows.iter().map(|row| {
                (Rate::new(row.false_match_rate).unwrap(), Threshold::new(row.threshold).unwrap())
            });
            prop_assert!(Calibration::table(points.collect()).is_ok());
        }
    }
}
