//! From the rate of false hits that an agreement allows to the threshold that keeps to it.

use std::num::{NonZeroU32, NonZeroU64};

/// A rate or a threshold that can't be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// A rate that is not strictly between 0 and 1.
    #[error("`{0}` is not a rate; use a number above 0 and below 1")]
    Rate(f64),
    /// A threshold that is not strictly between -1 and 1.
    #[error("`{0}` is not a threshold; use a cosine above -1 and below 1")]
    Threshold(f64),
    /// A table with fewer than two points.
    #[error("a calibration table of `{0}` points says nothing; give at least 2, or one fixed threshold")]
    TooFewPoints(usize),
    /// A table whose rates do not fall, or whose thresholds do not rise, from each point to the next.
    #[error(
        "point `{0}` of the calibration table is out of order; let each rate fall and each threshold rise"
    )]
    Order(usize),
    /// A rate for which the table was never measured.
    #[error(
        "a false match rate of `{asked}` lies outside the calibration, `{least}` to `{greatest}`; \
         calibrate on more comparisons or allow another rate"
    )]
    OutsideTable {
        /// The rate asked for.
        asked: f64,
        /// The smallest rate in the table.
        least: f64,
        /// The greatest rate in the table.
        greatest: f64,
    },
}

/// A probability strictly between 0 and 1: a false match rate (FMR) or a false positive identification rate
/// (FPIR), terms of ISO/IEC 19795-1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// The rate with this value.
    ///
    /// # Errors
    /// [`CalibrationError::Rate`] unless `0 < value < 1`.
    pub fn new(value: f64) -> Result<Self, CalibrationError> {
        if value > 0.0 && value < 1.0 { Ok(Self(value)) } else { Err(CalibrationError::Rate(value)) }
    }

    /// The value, above 0 and below 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// The cosine from which on two templates count as the same person's.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Threshold(f64);

impl Threshold {
    /// The threshold with this value.
    ///
    /// # Errors
    /// [`CalibrationError::Threshold`] unless `-1 < value < 1`: at -1 everyone passes, at 1 nobody does.
    pub fn new(value: f64) -> Result<Self, CalibrationError> {
        if value > -1.0 && value < 1.0 { Ok(Self(value)) } else { Err(CalibrationError::Threshold(value)) }
    }

    /// The value, above -1 and below 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// For which galleries a calibration supports the rate of false hits that an agreement allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supported {
    /// Any, since there is one threshold for all: nothing was measured, and nothing is promised.
    Unmeasured,
    /// From this many templates to that many, both included.
    Between(NonZeroU64, NonZeroU64),
    /// None: a query would be refused whatever the size of the gallery.
    Never,
}

/// Which threshold keeps to which false match rate, for one scheme.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration(Kind);

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Fixed(Threshold),
    Table(Vec<(Rate, Threshold)>),
}

impl Calibration {
    /// One threshold for every rate, for schemes that were not measured. Nothing is promised about false hits.
    #[must_use]
    pub const fn fixed(threshold: Threshold) -> Self {
        Self(Kind::Fixed(threshold))
    }

    /// A measured table of false match rates and the thresholds that gave them, from the greatest rate to
    /// the smallest.
    ///
    /// # Errors
    /// [`CalibrationError::TooFewPoints`] below two points; [`CalibrationError::Order`] with the position
    /// (from 0) of the first point whose rate does not fall or whose threshold does not rise.
    pub fn table(points: Vec<(Rate, Threshold)>) -> Result<Self, CalibrationError> {
        if points.len() < 2 {
            return Err(CalibrationError::TooFewPoints(points.len()));
        }
        let in_order = |((rate, threshold), (next_rate, next_threshold)): (_, _)| {
            next_rate < rate && next_threshold > threshold
        };
        let mut steps = points.iter().copied().zip(points.iter().copied().skip(1));
        match steps.position(|step: ((Rate, Threshold), (Rate, Threshold))| !in_order(step)) {
            Some(step) => Err(CalibrationError::Order(step.saturating_add(1))),
            None => Ok(Self(Kind::Table(points))),
        }
    }

    /// The threshold whose false match rate is `fmr`: a point of the table as it stands there, between two
    /// points linear in the logarithm of the rate.
    ///
    /// # Errors
    /// [`CalibrationError::OutsideTable`] beyond the first or the last point: nothing was measured there, and
    /// a guess could only be wrong in silence.
    pub fn threshold_for(&self, fmr: Rate) -> Result<Threshold, CalibrationError> {
        match &self.0 {
            Kind::Fixed(threshold) => Ok(*threshold),
            Kind::Table(points) => interpolated(points, fmr),
        }
    }

    /// The smallest rate that was measured; none without a table.
    #[must_use]
    pub fn least_rate(&self) -> Option<Rate> {
        match &self.0 {
            Kind::Fixed(_) => None,
            Kind::Table(points) => points.last().map(|(rate, _)| *rate),
        }
    }

    /// The galleries in which queries of one to `samples` samples can keep to `fpir`.
    #[must_use]
    pub fn supported(&self, fpir: Rate, samples: NonZeroU32) -> Supported {
        let Kind::Table(points) = &self.0 else { return Supported::Unmeasured };
        let (Some((greatest, _)), Some((least, _))) = (points.first(), points.last()) else {
            return Supported::Never;
        };
        // The rate of a comparison falls with the gallery and with the number of samples.
        let low = |size| fmr_for(fpir, size, NonZeroU32::MIN).is_ok_and(|fmr| fmr > *greatest);
        let high = |size| fmr_for(fpir, size, samples).is_ok_and(|fmr| fmr >= *least);
        let from = 1_u64.saturating_add(last_with(low));
        match (NonZeroU64::new(from), NonZeroU64::new(last_with(high))) {
            (Some(from), Some(to)) if from <= to => Supported::Between(from, to),
            _ => Supported::Never,
        }
    }
}

/// The greatest size with a property that all smaller ones have; 0 when none has it.
fn last_with(has: impl Fn(NonZeroU64) -> bool) -> u64 {
    let (mut with, mut without) = (0_u64, u64::MAX);
    while without.saturating_sub(with) > 1 {
        let middle = with.midpoint(without);
        if NonZeroU64::new(middle).is_some_and(&has) {
            with = middle;
        } else {
            without = middle;
        }
    }
    with
}

/// The false match rate that one comparison may have, so that a query of `samples` samples over `gallery`
/// templates has a false positive identification rate of at most `fpir`:
/// `FMR = 1 - (1 - FPIR/samples)^(1/gallery)`.
///
/// It is the relation `FPIR = 1 - (1 - FMR)^N` of independent comparisons (ISO/IEC 19795-1, used so in NIST's
/// reports on one-to-many face recognition), solved for FMR. A query of several samples is a hit if any of
/// them passes, so each gets its share of the rate (Bonferroni).
///
/// # Errors
/// [`CalibrationError::Rate`] when the result is too small for a 64-bit float.
pub fn fmr_for(fpir: Rate, gallery: NonZeroU64, samples: NonZeroU32) -> Result<Rate, CalibrationError> {
    let share = fpir.get() / f64::from(samples.get());
    // exp_m1 and ln_1p keep the digits that 1 - (1 - x) would lose: FMR is about 1e-9 for a large gallery.
    Rate::new(-f64::exp_m1(f64::ln_1p(-share) / approximate(gallery.get())))
}

fn interpolated(points: &[(Rate, Threshold)], fmr: Rate) -> Result<Threshold, CalibrationError> {
    for step in points.windows(2) {
        let &[(greater, low), (smaller, high)] = step else { continue };
        if fmr == greater {
            return Ok(low);
        }
        if fmr == smaller {
            return Ok(high);
        }
        if fmr < greater && fmr > smaller {
            let way = (fmr.0.ln() - greater.0.ln()) / (smaller.0.ln() - greater.0.ln());
            // INVARIANT: clamped between two thresholds, so it is one.
            return Ok(Threshold((low.0 + way * (high.0 - low.0)).clamp(low.0, high.0)));
        }
    }
    let bound = |point: Option<&(Rate, Threshold)>| point.map_or(f64::NAN, |(rate, _)| rate.0);
    Err(CalibrationError::OutsideTable {
        asked: fmr.0,
        least: bound(points.last()),
        greatest: bound(points.first()),
    })
}

#[expect(clippy::as_conversions, reason = "above 2^53 the nearest float is meant")]
pub(super) fn approximate(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(value: f64) -> Rate {
        Rate::new(value).unwrap()
    }

    fn threshold(value: f64) -> Threshold {
        Threshold::new(value).unwrap()
    }

    fn table() -> Calibration {
        let points = [(1e-2, 0.2), (1e-4, 0.4), (1e-6, 0.5)];
        Calibration::table(points.map(|(fmr, cosine)| (rate(fmr), threshold(cosine))).to_vec()).unwrap()
    }

    #[test]
    fn thresholds_and_rates_have_bounds() {
        for bad in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(Rate::new(bad).is_err(), "`{bad}` should not be a rate");
        }
        for bad in [-1.0, 1.0, 1.5, f64::NAN, f64::NEG_INFINITY] {
            assert!(Threshold::new(bad).is_err(), "`{bad}` should not be a threshold");
        }
    }

    #[test]
    fn points_of_the_table_are_kept_exactly() {
        for (fmr, cosine) in [(1e-2, 0.2), (1e-4, 0.4), (1e-6, 0.5)] {
            assert_eq!(table().threshold_for(rate(fmr)), Ok(threshold(cosine)));
        }
    }

    #[test]
    fn between_points_the_threshold_is_linear_in_the_logarithm() {
        let middle = table().threshold_for(rate(1e-3)).unwrap().get();
        assert!((middle - 0.3).abs() < 1e-12, "1e-3 lies half-way between 1e-2 and 1e-4, got {middle}");
        let quarter = table().threshold_for(rate(1e-5)).unwrap().get();
        assert!((quarter - 0.45).abs() < 1e-12, "1e-5 lies half-way between 1e-4 and 1e-6, got {quarter}");
    }

    #[test]
    fn rates_outside_the_table_are_refused() {
        for asked in [0.011, 0.99e-6] {
            assert_eq!(
                table().threshold_for(rate(asked)),
                Err(CalibrationError::OutsideTable { asked, least: 1e-6, greatest: 1e-2 }),
                "never extrapolate a calibration"
            );
        }
    }

    #[test]
    fn a_table_says_for_which_galleries_it_is_good() {
        for (fpir, samples) in [(1e-3, 1), (1e-2, 3), (1e-5, 2), (0.5, 1)] {
            let (fpir, samples) = (rate(fpir), NonZeroU32::new(samples).unwrap());
            let Supported::Between(from, to) = table().supported(fpir, samples) else {
                panic!("`{fpir:?}` should be supported for some gallery");
            };
            let served = |size: u64, samples| {
                NonZeroU64::new(size).is_none_or(|size| {
                    fmr_for(fpir, size, samples).and_then(|fmr| table().threshold_for(fmr)).is_ok()
                })
            };
            assert!(served(to.get(), samples) && !served(to.get() + 1, samples), "{to} is not the last");
            assert!(served(from.get(), NonZeroU32::MIN), "{from} is not served");
            assert!(from.get() == 1 || !served(from.get() - 1, NonZeroU32::MIN), "{from} is not the first");
        }
        assert_eq!(table().supported(rate(0.9e-6), NonZeroU32::MIN), Supported::Never);
        let fixed = Calibration::fixed(threshold(0.35));
        assert_eq!(fixed.supported(rate(1e-12), NonZeroU32::MIN), Supported::Unmeasured);
    }

    #[test]
    fn a_fixed_threshold_serves_every_rate() {
        let fixed = Calibration::fixed(threshold(0.35));
        assert_eq!(fixed.threshold_for(rate(1e-12)), Ok(threshold(0.35)));
    }

    #[test]
    fn tables_out_of_order_are_refused() {
        let make = |points: &[(f64, f64)]| {
            Calibration::table(points.iter().map(|&(fmr, cosine)| (rate(fmr), threshold(cosine))).collect())
        };
        assert_eq!(make(&[(0.1, 0.2)]), Err(CalibrationError::TooFewPoints(1)));
        assert_eq!(make(&[(0.1, 0.2), (0.1, 0.3)]), Err(CalibrationError::Order(1)));
        assert_eq!(make(&[(0.1, 0.2), (0.01, 0.3), (0.001, 0.3)]), Err(CalibrationError::Order(2)));
    }

    #[test]
    fn the_rate_of_a_comparison_gives_back_the_rate_of_the_search() {
        for (fpir, gallery, samples) in [(0.01, 1, 1), (0.001, 100_000, 1), (0.003, 20_000_000, 3)] {
            let fmr = fmr_for(rate(fpir), gallery.try_into().unwrap(), samples.try_into().unwrap()).unwrap();
            let per_sample = -f64::exp_m1(f64::ln_1p(-fmr.get()) * approximate(gallery));
            let back = per_sample * f64::from(samples);
            assert!((back / fpir - 1.0).abs() < 1e-9, "{fpir} over {gallery} templates came back as {back}");
        }
    }

    #[test]
    fn the_rate_for_a_small_gallery_is_the_textbook_one() {
        let fmr = fmr_for(rate(0.19), 2.try_into().unwrap(), NonZeroU32::MIN).unwrap().get();
        assert!((fmr - 0.1).abs() < 1e-12, "1 - sqrt(1 - 0.19) = 0.1, got {fmr}");
    }
}
