//! What a report is about: people who don't exist, or labelled samples.

use std::fs::File;
use std::io;
use std::path::Path;

use ring::digest;

use super::super::fault::CliError;
use super::super::labelled::{self, Labelled};
use super::super::synth::People;
use super::{ReportArgs, collection};
use crate::ids::Digest;
use crate::template::protection::Population;
use crate::template::{Dimension, TemplateError, Threshold};

/// People to measure on.
pub(super) struct Input {
    pub(super) population: Population,
    pub(super) origin: Origin,
}

/// Where they are from.
pub(super) enum Origin {
    /// Nowhere.
    Synthetic(People),
    /// A file, with its digest, and a scheme; so many samples were left out.
    Samples { name: String, digest: Digest, scheme: String, left_out: u64 },
    /// A collection of a store, with its generation; made-up second samples where nobody has two.
    Collection { name: String, scheme: String, made_up_mates: bool },
}

/// Reads the samples, or makes the people up.
pub(super) fn read(args: &ReportArgs) -> Result<Input, CliError> {
    let input = match (args.synthetic, &args.collection) {
        (Some(people), _) => synthetic(args, people)?,
        (None, Some(name)) => collection::read(args, name)?,
        (None, None) => samples(args)?,
    };
    let left_out = match &input.origin {
        Origin::Samples { left_out, .. } if *left_out > 0 => {
            format!("; {left_out} samples without a label or below the scheme's quality were left out")
        }
        _ => String::new(),
    };
    let checked = input.population.check();
    checked.map_err(|error| CliError::because(format!("nothing can be measured{left_out}"), error))?;
    Ok(input)
}

impl Input {
    /// What is enrolled and what is asked with, to compare decisions. Of people who don't exist as many are asked
    /// about as the goal speaks of, half of them enrolled ones whose samples lie on both sides of the threshold.
    pub(super) fn search(&self, threshold: Threshold) -> (Population, Population) {
        let Origin::Synthetic(people) = &self.origin else { return self.population.halves() };
        let (gallery, _) = self.population.halves();
        let mut probes = Population::new(self.population.dimension());
        let enrolled = u64::try_from(self.population.people()).unwrap_or(u64::MAX);
        for number in 0..SEARCHES {
            let person = usize::try_from(number).unwrap_or(usize::MAX);
            let step = f64::from(u32::try_from(number).unwrap_or(u32::MAX));
            let cosine = threshold.get() - AROUND + 2.0 * AROUND * step / f64::from(SEARCHES_HALF);
            let values = if number < u64::from(SEARCHES_HALF) {
                people.sample_of(number % enrolled, cosine, FURTHER.saturating_add(number))
            } else {
                people.embedding(FURTHER.saturating_add(number))
            };
            probes.add_synthetic(person, values);
        }
        (gallery, probes)
    }
}

fn synthetic(args: &ReportArgs, count: u64) -> Result<Input, CliError> {
    let dimension =
        Dimension::new(args.dimension.into()).map_err(|error| CliError::Usage(error.to_string()))?;
    let people = People::new(args.seed, dimension.len());
    let mut population = Population::new(dimension);
    for (person, number) in (0..count).zip(0_usize..) {
        population.add_synthetic(number, people.embedding(person));
        population.add_synthetic(number, people.sample_of(person, MATE_COSINE, 1));
    }
    Ok(Input { population, origin: Origin::Synthetic(people) })
}

fn samples(args: &ReportArgs) -> Result<Input, CliError> {
    let labelled = Labelled {
        templates: args.templates.as_deref(),
        npy: args.npy.as_deref(),
        manifest: args.manifest.as_deref(),
        ark: args.ark.as_deref(),
        labels: args.labels.as_deref(),
        separator: args.source_id_separator,
    };
    let name = args.scheme.as_deref().unwrap_or_default();
    let scheme = labelled::scheme(&args.policy, name)?;
    let mut population = Population::new(scheme.dimension);
    let left_out = labelled.read(|person, sample| {
        population.add(person, sample, &scheme)?;
        Ok::<_, TemplateError>(population.samples())
    })?;
    let file = [&args.templates, &args.npy, &args.ark].into_iter().flatten().next();
    let path = file.map_or_else(|| Path::new(""), |path| path.as_path());
    let origin = Origin::Samples {
        name: super::file_name(path),
        digest: digest_of(path)?,
        scheme: name.to_owned(),
        left_out,
    };
    Ok(Input { population, origin })
}

/// SHA-256 of a file that may be large.
fn digest_of(path: &Path) -> Result<Digest, CliError> {
    struct Hashing(digest::Context);
    impl io::Write for Hashing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hashing = Hashing(digest::Context::new(&digest::SHA256));
    let copied = File::open(path).and_then(|mut file| io::copy(&mut file, &mut hashing));
    copied.map_err(|source| CliError::read(path, source))?;
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(hashing.0.finish().as_ref()).for_each(|(to, from)| *to = *from);
    Ok(Digest::from_bytes(bytes))
}

/// In the middle of where mates of usable extractors lie.
pub(super) const MATE_COSINE: f64 = 0.7;
/// As many probes as the goal is stated for.
const SEARCHES: u64 = 10_000;
const SEARCHES_HALF: u32 = 5_000;
/// How far to either side of the threshold the samples of enrolled people lie.
const AROUND: f64 = 0.1;
/// People and samples beyond those of the population.
const FURTHER: u64 = 1_000_000;
