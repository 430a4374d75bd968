//! People who do not exist: person `i` of a seed is the same wherever it is made, without the others.

use std::collections::BTreeMap;

use serde::Serialize;

use super::names::{NAMES, Names};

/// The people of a seed.
#[derive(Clone)]
pub struct People {
    key: [u8; blake3::KEY_LEN],
    dimension: usize,
}

/// A field of a synthetic record, in the form that enrolment reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SynthField {
    /// The value.
    pub value: String,
    /// The classification.
    pub classification: &'static str,
    /// Where the value came from.
    pub source: &'static str,
    /// What it may be used for: the purposes of the example agreements in `policy/`.
    pub permitted_uses: &'static [&'static str],
}

impl People {
    /// The people of `seed`, with embeddings of so many components.
    #[must_use]
    pub fn new(seed: u64, dimension: usize) -> Self {
        Self { key: blake3::derive_key(KEY_CONTEXT, &seed.to_le_bytes()), dimension }
    }

    /// The source system's id of a person.
    #[must_use]
    pub fn source_id(&self, person: u64) -> String {
        format!("syn-{person:06}")
    }

    /// The embedding of a person: a unit vector in a direction that is equally likely everywhere, so that two
    /// people are at a cosine of 0 give or take 1/√dimension.
    #[must_use]
    pub fn embedding(&self, person: u64) -> Vec<f32> {
        rounded(&self.direction(person))
    }

    /// Another sample of a person: a unit vector at this cosine (−1 to 1) to the embedding, otherwise in a direction
    /// of its own. The embedding must have two components or more.
    #[must_use]
    pub fn sample_of(&self, person: u64, cosine: f64, sample: u64) -> Vec<f32> {
        let cosine = cosine.clamp(-1.0, 1.0);
        let own = self.direction(person);
        let mut other = self.draws(SAMPLE, person, sample).gaussians(self.dimension);
        let along = dot(&own, &other);
        subtract(&mut other, along, &own);
        let other = unit(other);
        let sine = (1.0 - cosine * cosine).sqrt();
        let mixed = own.iter().zip(&other).map(|(own, other)| cosine * own + sine * other).collect();
        rounded(&unit(mixed))
    }

    /// The quality of the sample that was enrolled, 60 to 99.
    #[must_use]
    pub fn quality(&self, person: u64) -> u8 {
        self.draws(QUALITY, person, 0).below(40).saturating_add(60)
    }

    /// Why a person is hidden, if so: one in 40 is, the 14th, the 54th, and so on.
    #[must_use]
    pub fn restriction(&self, person: u64) -> Option<&'static str> {
        let nth = usize::try_from(person.checked_div(HIDDEN_EVERY)?).ok()?;
        (person % HIDDEN_EVERY == HIDDEN_FIRST)
            .then(|| RESTRICTIONS.iter().copied().cycle().nth(nth % RESTRICTIONS.len()))
            .flatten()
    }

    /// The record of a person, by field. Document and case numbers begin with `SYN`, so that nobody takes them
    /// for real ones.
    #[must_use]
    pub fn record(&self, person: u64) -> BTreeMap<&'static str, SynthField> {
        let mut draws = self.draws(RECORD, person, 0);
        let (given, family) = full_name(&mut draws);
        let (from, years) = if self.restriction(person) == Some("minor") { (2012, 7) } else { (1940, 65) };
        let year = from + u16::from(draws.below(years));
        let (month, day) = (draws.below(12) + 1, draws.below(28) + 1);
        let opened = 2018 + u16::from(draws.below(8));
        let mut record = BTreeMap::from([
            ("family-name", field(family, "passport", ALL_USES)),
            ("given-names", field(given, "passport", ALL_USES)),
            ("date-of-birth", field(format!("{year}-{month:02}-{day:02}"), "passport", ALL_USES)),
            ("document-number", field(format!("SYN{person:07}"), "passport", BORDER_USES)),
            ("case-number", field(format!("SYN-CASE-{opened}-{person:06}"), "case-system", CRIME_USES)),
        ]);
        if draws.below(10) == 0 {
            let warning =
                field("Synthetic warning: none of this is real".to_owned(), "case-system", CRIME_USES);
            record.insert("warning", SynthField { classification: "SENSITIVE", ..warning });
        }
        record
    }

    fn direction(&self, person: u64) -> Vec<f64> {
        unit(self.draws(EMBEDDING, person, 0).gaussians(self.dimension))
    }

    /// Numbers that depend on nothing but the seed and these arguments.
    fn draws(&self, what: u8, person: u64, number: u64) -> Draws {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&[what]).update(&person.to_le_bytes()).update(&number.to_le_bytes());
        Draws { stream: hasher.finalize_xof(), block: [0; BLOCK_BYTES], next: BLOCK_BYTES / WORD_BYTES }
    }
}

/// Random numbers from BLAKE3's extendable output.
struct Draws {
    stream: blake3::OutputReader,
    block: [u8; BLOCK_BYTES],
    next: usize,
}

impl Draws {
    fn word(&mut self) -> u32 {
        if self.next >= BLOCK_BYTES / WORD_BYTES {
            self.stream.fill(&mut self.block);
            self.next = 0;
        }
        let (words, _) = self.block.as_chunks::<WORD_BYTES>();
        let word = words.get(self.next).copied().unwrap_or_default();
        self.next = self.next.saturating_add(1);
        u32::from_le_bytes(word)
    }

    /// A whole number from 0 to `end` − 1.
    fn below(&mut self, end: u8) -> u8 {
        let scaled = u64::from(self.word()) * u64::from(end);
        u8::try_from(scaled >> 32).unwrap_or_default()
    }

    /// One of these, which are at least one and at most 255.
    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(usize::from(self.below(u8::try_from(from.len()).unwrap_or(u8::MAX))))
    }

    /// Evenly between −1 and 1, and neither of them nor 0.
    fn even(&mut self) -> f64 {
        (f64::from(self.word()) + 0.5) * TWO_TO_MINUS_31 - 1.0
    }

    /// Normally distributed numbers: Marsaglia and Bray's polar method (SIAM Review 6, 1964).
    fn gaussians(&mut self, count: usize) -> Vec<f64> {
        let mut values = Vec::with_capacity(count.saturating_add(1));
        while values.len() < count {
            let (u, v) = (self.even(), self.even());
            let square = u * u + v * v;
            if square < 1.0 {
                let factor = (-2.0 * natural_logarithm(square) / square).sqrt();
                values.extend([u * factor, v * factor]);
            }
        }
        values.truncate(count);
        values
    }
}

/// One or two given names, and a family name that is mostly from the same list.
fn full_name(draws: &mut Draws) -> (String, String) {
    let [first_list, ..] = &NAMES;
    let list = draws.pick(&NAMES).unwrap_or(first_list);
    let other: &Names = if draws.below(8) == 0 { draws.pick(&NAMES).unwrap_or(list) } else { list };
    let first = draws.pick(list.given).copied().unwrap_or_default();
    let second = draws.pick(list.given).copied().filter(|second| *second != first);
    let given = match second {
        Some(second) if draws.below(3) == 0 => format!("{first} {second}"),
        _ => first.to_owned(),
    };
    (given, draws.pick(other.family).copied().unwrap_or_default().to_owned())
}

const fn field(value: String, source: &'static str, permitted_uses: &'static [&'static str]) -> SynthField {
    SynthField { value, classification: "IN-CONFIDENCE", source, permitted_uses }
}

/// ln x for normal x > 0. Made of exactly rounded operations alone, so that a data set is the same bytes
/// whatever the machine's mathematical library: x = m · 2^e with m near 1, and ln m = 2 artanh((m−1)/(m+1)) as
/// its series, whose first term left out is below 2^-60.
fn natural_logarithm(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent =
        i32::try_from((bits >> MANTISSA_BITS) & EXPONENT_MASK).unwrap_or_default() - EXPONENT_BIAS;
    let mut mantissa = f64::from_bits((bits & MANTISSA_MASK) | 1.0_f64.to_bits());
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let z = s * s;
    let series = (0..SERIES_TERMS).rev().fold(0.0, |sum, k| sum * z + 1.0 / f64::from(2 * k + 1));
    2.0 * s * series + f64::from(exponent) * std::f64::consts::LN_2
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b)
}

fn subtract(from: &mut [f64], factor: f64, what: &[f64]) {
    for (from, what) in from.iter_mut().zip(what) {
        *from -= factor * what;
    }
}

/// Scales to length 1; a vector without length stays as it is.
fn unit(mut vector: Vec<f64>) -> Vec<f64> {
    let length = dot(&vector, &vector).sqrt();
    if length > 0.0 {
        for value in &mut vector {
            *value /= length;
        }
    }
    vector
}

fn rounded(vector: &[f64]) -> Vec<f32> {
    #[expect(clippy::as_conversions, reason = "rounds to nearest (IEEE 754); there is no other way in core")]
    vector.iter().map(|value| *value as f32).collect()
}

const KEY_CONTEXT: &str = "onebit synthetic people v1";
const EMBEDDING: u8 = 1;
const SAMPLE: u8 = 2;
const QUALITY: u8 = 3;
const RECORD: u8 = 4;
/// Sixteen blocks of BLAKE3, which it makes several at a time.
const BLOCK_BYTES: usize = 1_024;
const WORD_BYTES: usize = 4;
const TWO_TO_MINUS_31: f64 = 1.0 / 2_147_483_648.0;
const MANTISSA_BITS: u32 = 52;
const MANTISSA_MASK: u64 = (1 << MANTISSA_BITS) - 1;
const EXPONENT_MASK: u64 = 0x7ff;
const EXPONENT_BIAS: i32 = 1_023;
/// |s| ≤ 0.1716, and 0.1716^23 / 23 < 2^-60.
const SERIES_TERMS: u32 = 11;
const HIDDEN_EVERY: u64 = 40;
const HIDDEN_FIRST: u64 = 13;
const RESTRICTIONS: [&str; 4] = ["minor", "victim", "witness", "protected-identity"];
const ALL_USES: &[&str] = &["border-identity", "serious-crime", "visa-identity"];
const BORDER_USES: &[&str] = &["border-identity", "serious-crime"];
const CRIME_USES: &[&str] = &["serious-crime"];

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    #[test]
    fn strangers_are_far_apart_in_every_direction() {
        let people = People::new(1, 256);
        let all: Vec<Vec<f32>> = (0..400).map(|person| people.embedding(person)).collect();
        let mut cosines = Vec::new();
        for (number, one) in all.iter().enumerate() {
            assert!((cosine(one, one) - 1.0).abs() < 1e-6);
            cosines.extend(all[..number].iter().map(|other| cosine(one, other)));
        }
        let count = f64::from(u32::try_from(cosines.len()).unwrap());
        let mean = cosines.iter().sum::<f64>() / count;
        let spread = (cosines.iter().map(|cosine| cosine * cosine).sum::<f64>() / count).sqrt();
        // 79,800 pairs: the standard errors are 0.0002 and 0.00016.
        assert!(mean.abs() < 0.001 && (spread - 1.0 / 16.0).abs() < 0.001, "mean {mean}, spread {spread}");
        assert!(cosines.iter().all(|cosine| cosine.abs() < 0.4));
    }

    #[test]
    fn samples_are_at_the_cosine_that_was_asked_for() {
        let people = People::new(7, 512);
        for (cos, sample) in [(0.3, 0), (0.55, 1), (0.8, 2), (1.0, 3), (-0.5, 4)] {
            let mate = people.sample_of(3, cos, sample);
            assert!((cosine(&people.embedding(3), &mate) - cos).abs() < 1e-6, "{cos}");
        }
        let (one, other) = (people.sample_of(3, 0.6, 0), people.sample_of(3, 0.6, 1));
        assert!((cosine(&one, &other) - 0.36).abs() < 0.25, "samples must differ in directions of their own");
        assert!(People::new(1, 1).sample_of(0, 0.5, 0)[0].is_finite());
    }

    #[test]
    fn a_person_depends_on_seed_and_number_alone() {
        let (one, same, other) = (People::new(1, 8), People::new(1, 8), People::new(2, 8));
        assert_eq!(one.embedding(5), same.embedding(5));
        assert_eq!(one.record(5), same.record(5));
        assert_ne!(one.embedding(5), other.embedding(5));
        assert_ne!(one.embedding(5), one.embedding(6));
        assert_eq!(one.embedding(5), People::new(1, 8).embedding(5));
    }

    #[test]
    fn logarithms_are_those_of_the_library() {
        for x in [1e-18, 0.1, 0.25, 0.5, 0.707, 0.708, 0.999_999, 1.0, 1.5, 3.0] {
            let difference = (natural_logarithm(x) - x.ln()).abs();
            assert!(difference <= 1e-15 * x.ln().abs().max(1.0), "ln {x} is off by {difference}");
        }
    }

    #[test]
    fn records_are_plainly_synthetic_and_minors_are_young() {
        let people = People::new(1, 2);
        assert_eq!((people.restriction(12), people.restriction(13)), (None, Some("minor")));
        assert_eq!((people.restriction(53), people.restriction(173)), (Some("victim"), Some("minor")));
        for person in 0..500 {
            let record = people.record(person);
            assert!(record["document-number"].value.starts_with("SYN"));
            assert!(record["case-number"].value.starts_with("SYN-"));
            let born = &record["date-of-birth"].value;
            let year: u16 = born.split('-').next().unwrap().parse().unwrap();
            let young = people.restriction(person) == Some("minor");
            assert_eq!(young, year >= 2012, "person {person} was born in {year}");
            assert!(record.values().all(|field| !field.value.is_empty() && !field.permitted_uses.is_empty()));
        }
    }
}
