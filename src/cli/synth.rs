//! `onebit synth`: data sets of people who do not exist, the same bytes wherever they are made.
//!
//! A data set is a folder: `gallery.npy` (float32, one row a person) with `gallery.manifest.jsonl` beside it,
//! `records.jsonl`, `probes.jsonl` (samples of enrolled, hidden and unknown people, with the answer that each
//! should get), and `MANIFEST.toml`, which comes last and names the SHA-256 of each.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use ring::digest;
use serde::{Deserialize, Serialize};

mod names;
mod people;

pub use people::{People, SynthField};

/// Makes a data set of synthetic people: gallery, records and probes, for demonstrations and tests.
#[derive(Debug, Clone, clap::Args)]
pub struct SynthArgs {
    /// How many people are in the gallery
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=PEOPLE_MAX))]
    pub people: u64,
    /// How many components an embedding has
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(2..=4_096))]
    pub dimension: u16,
    /// Which people: the same seed makes the same ones
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=SEED_MAX))]
    pub seed: u64,
    /// How many probes to make: half of enrolled people, a fifth of hidden ones, the rest of strangers
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(..=PEOPLE_MAX))]
    pub probes: u64,
    /// The folder to write to; it is made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Why a data set was not written.
#[derive(Debug, thiserror::Error)]
pub enum SynthError {
    /// A file could not be written.
    #[error("can't write `{}`; check the folder's permissions and the free space", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The manifest could not be put into words.
    #[error("can't describe the data set in `{MANIFEST}`")]
    Describe(#[source] toml::ser::Error),
}

/// Writes a data set. Files that are there are replaced; `MANIFEST.toml` is written last, so that a folder
/// without it is not whole.
///
/// # Errors
/// [`SynthError`] with the file that could not be written.
pub fn run(args: &SynthArgs) -> Result<(), SynthError> {
    let out = args.out.as_path();
    let failed = |path: &Path, source| SynthError::Write { path: path.to_owned(), source };
    fs::create_dir_all(out).map_err(|source| failed(out, source))?;
    let last = out.join(MANIFEST);
    match fs::remove_file(&last) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(&last, source)),
        Ok(()) | Err(_) => {}
    }
    let manifest = write_data_set(args, |name| File::create(out.join(name)).map(BufWriter::new))
        .map_err(|(name, source)| failed(&out.join(name), source))?;
    let text = format!("{MANIFEST_HEAD}{}", toml::to_string(&manifest).map_err(SynthError::Describe)?);
    fs::write(&last, text).map_err(|source| failed(&last, source))
}

/// What `MANIFEST.toml` says of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    command: String,
    seed: u64,
    people: u64,
    dimension: u16,
    probes: u64,
    /// SHA-256 by name, lowercase hexadecimal.
    files: BTreeMap<String, String>,
}

/// Writes each file to what `open` gives for its name; an error comes with the name of its file.
fn write_data_set<W: Write>(
    args: &SynthArgs,
    mut open: impl FnMut(&'static str) -> io::Result<W>,
) -> Result<Manifest, (&'static str, io::Error)> {
    let people = People::new(args.seed, usize::from(args.dimension));
    let mut files = BTreeMap::new();
    let mut write =
        |name: &'static str, count: u64, head: &[u8], part: &(dyn Fn(u64) -> io::Result<Vec<u8>> + Sync)| {
            let digest = open(name).and_then(|file| write_parts(Hashed::new(file), count, head, part));
            digest.map(|digest| files.insert(name.to_owned(), digest)).map_err(|source| (name, source))
        };
    let head = npy_header(args.people, args.dimension);
    write(GALLERY, args.people, &head, &|person| Ok(little_endian(&people.embedding(person))))?;
    write(GALLERY_MANIFEST, args.people, &[], &|person| manifest_line(&people, person))?;
    write(RECORDS, args.people, &[], &|person| record_line(&people, person))?;
    let plan = plan_probes(&people, args.people, args.probes);
    let probe = |number: u64| {
        let probe = usize::try_from(number).ok().and_then(|number| plan.get(number));
        probe.map_or_else(|| Ok(Vec::new()), |probe| probe_line(&people, number, probe))
    };
    write(PROBES, args.probes, &[], &probe)?;
    let SynthArgs { people, dimension, seed, probes, .. } = args;
    let command = format!(
        "onebit synth --people {people} --dimension {dimension} --seed {seed} --probes {probes} --out DIR"
    );
    Ok(Manifest { command, seed: *seed, people: *people, dimension: *dimension, probes: *probes, files })
}

/// Makes the parts on all cores, some at a time, and writes them in their order.
fn write_parts<W: Write>(
    mut file: Hashed<W>,
    count: u64,
    head: &[u8],
    part: &(dyn Fn(u64) -> io::Result<Vec<u8>> + Sync),
) -> io::Result<String> {
    file.write(head)?;
    let mut first = 0;
    while first < count {
        let end = count.min(first.saturating_add(PARTS_AT_ONCE));
        let parts: Vec<Vec<u8>> = (first..end).into_par_iter().map(part).collect::<io::Result<_>>()?;
        for part in &parts {
            file.write(part)?;
        }
        first = end;
    }
    file.finish()
}

/// A file that is hashed while it is written.
struct Hashed<W> {
    file: W,
    hash: digest::Context,
}

impl<W: Write> Hashed<W> {
    fn new(file: W) -> Self {
        Self { file, hash: digest::Context::new(&digest::SHA256) }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        self.file.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<String> {
        self.file.flush()?;
        Ok(HEXLOWER.encode(self.hash.finish().as_ref()))
    }
}

/// The header of a float32 array in C order (NEP 1, version 1.0), padded so that the data is aligned to 64 bytes.
fn npy_header(rows: u64, columns: u16) -> Vec<u8> {
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    while !text.len().saturating_add(NPY_AROUND_TEXT_BYTES).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [b"\x93NUMPY\x01\x00".as_slice(), &length.to_le_bytes(), text.as_bytes()].concat()
}

fn little_endian(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[derive(Serialize)]
struct ManifestLine<'a> {
    source_id: String,
    quality: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    restrictions: Option<[&'a str; 1]>,
}

fn manifest_line(people: &People, person: u64) -> io::Result<Vec<u8>> {
    json_line(&ManifestLine {
        source_id: people.source_id(person),
        quality: people.quality(person),
        restrictions: people.restriction(person).map(|restriction| [restriction]),
    })
}

#[derive(Serialize)]
struct RecordLine<'a> {
    source_id: String,
    fields: BTreeMap<&'static str, SynthField>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restrictions: Option<[&'a str; 1]>,
}

fn record_line(people: &People, person: u64) -> io::Result<Vec<u8>> {
    json_line(&RecordLine {
        source_id: people.source_id(person),
        fields: people.record(person),
        restrictions: people.restriction(person).map(|restriction| [restriction]),
    })
}

/// What a probe is made of.
#[derive(Clone, Copy)]
enum Probe {
    /// Another sample of an enrolled person, at this cosine.
    Mate { person: u64, cosine: f64 },
    /// Another sample of a person who is hidden, at this cosine.
    Hidden { person: u64, cosine: f64 },
    /// A person who is not enrolled.
    Stranger { person: u64 },
}

/// Enrolled people spread over the gallery, hidden ones, then people beyond its end.
fn plan_probes(people: &People, enrolled: u64, probes: u64) -> Vec<Probe> {
    let hidden: Vec<u64> = (0..enrolled)
        .filter(|person| people.restriction(*person).is_some())
        .take(usize::try_from(probes / 5).unwrap_or_default())
        .collect();
    let hidden_count = u64::try_from(hidden.len()).unwrap_or_default();
    let strangers = probes - probes / 5 - probes / 2;
    let mates = probes.saturating_sub(hidden_count).saturating_sub(strangers);
    let mate = |number: u64| {
        let at = u128::from(number) * u128::from(enrolled) / u128::from(mates.max(1));
        let person = u64::try_from(at).unwrap_or_default();
        // No two neighbours are hidden, and the first person is not.
        let person = if people.restriction(person).is_some() { (person + 1) % enrolled } else { person };
        Probe::Mate { person, cosine: spread(number, mates) }
    };
    let hide = |(person, number)| Probe::Hidden { person, cosine: spread(number, hidden_count) };
    (0..mates)
        .map(mate)
        .chain(hidden.into_iter().zip(0..).map(hide))
        .chain((0..strangers).map(|number| Probe::Stranger { person: enrolled.saturating_add(number) }))
        .collect()
}

/// Cosines from the lowest to the highest, evenly.
fn spread(number: u64, of: u64) -> f64 {
    let steps = u32::try_from(of.saturating_sub(1).max(1)).unwrap_or(u32::MAX);
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    MATE_COSINE_MIN + (MATE_COSINE_MAX - MATE_COSINE_MIN) * f64::from(number) / f64::from(steps)
}

#[derive(Serialize)]
struct ProbeLine {
    probe: String,
    expected: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    mate_of: Option<String>,
    quality: u8,
    embedding: Vec<f32>,
}

fn probe_line(people: &People, number: u64, probe: &Probe) -> io::Result<Vec<u8>> {
    let (kind, expected, mate_of, embedding) = match *probe {
        Probe::Mate { person, cosine } => ("mate", "HIT", Some(person), people.sample_of(person, cosine, 1)),
        Probe::Hidden { person, cosine } => {
            ("hidden", "NO_HIT", Some(person), people.sample_of(person, cosine, 1))
        }
        Probe::Stranger { person } => ("stranger", "NO_HIT", None, people.embedding(person)),
    };
    json_line(&ProbeLine {
        probe: format!("{kind}-{number:03}"),
        expected,
        mate_of: mate_of.map(|person| people.source_id(person)),
        quality: PROBE_QUALITY,
        embedding,
    })
}

fn json_line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

const GALLERY: &str = "gallery.npy";
const GALLERY_MANIFEST: &str = "gallery.manifest.jsonl";
const RECORDS: &str = "records.jsonl";
const PROBES: &str = "probes.jsonl";
const MANIFEST: &str = "MANIFEST.toml";
const MANIFEST_HEAD: &str =
    "# Synthetic people: nobody in this data set exists. Made by the command below.\n";
/// The largest gallery that has been measured on one machine.
const PEOPLE_MAX: u64 = 10_000_000;
/// TOML's integers end here.
const SEED_MAX: u64 = u64::MAX >> 1;
/// Rows of 4,096 components are 16 KiB: at most 64 MiB in memory at once.
const PARTS_AT_ONCE: u64 = 4_096;
/// Magic, version and length before the header's text, and the line feed after it.
const NPY_AROUND_TEXT_BYTES: usize = 11;
/// Where mates of usable extractors lie; the same range as in the measurements of search.
const MATE_COSINE_MIN: f64 = 0.55;
const MATE_COSINE_MAX: f64 = 0.80;
const PROBE_QUALITY: u8 = 80;

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use clap::Parser;

    use super::super::formats::jsonl::Expected;
    use super::super::formats::{jsonl, npy};
    use super::*;
    use crate::ids::RestrictionName;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: SynthArgs,
    }

    fn args(line: &str) -> SynthArgs {
        Cli::try_parse_from(line.split(' ').skip(1)).unwrap_or_else(|error| panic!("{error}")).args
    }

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/people").join(name)
    }

    #[test]
    fn the_committed_data_set_is_what_the_generator_makes() {
        let text = fs::read_to_string(fixture(MANIFEST)).unwrap();
        let committed: Manifest = toml::from_str(&text).unwrap();
        let made = write_data_set(&args(&committed.command), |_| Ok(io::sink())).unwrap();
        assert_eq!(
            made, committed,
            "make it anew with the command in fixtures/README.md, and say why in the commit"
        );
        for (name, digest) in &committed.files {
            let bytes = fs::read(fixture(name)).unwrap();
            let found = HEXLOWER.encode(digest::digest(&digest::SHA256, &bytes).as_ref());
            assert_eq!(&found, digest, "`{name}` was changed by hand; make the data set anew");
        }
    }

    #[test]
    fn a_data_set_reads_back_as_it_was_made() {
        let folder = tempfile::tempdir().unwrap();
        let mut args = args("onebit synth --people 90 --dimension 16 --seed 5 --probes 10 --out DIR");
        args.out = folder.path().join("set");
        run(&args).unwrap();
        run(&args).unwrap();
        let open = |name: &str| BufReader::new(File::open(args.out.join(name)).unwrap());
        let people = People::new(5, 16);
        let rows = npy::templates(open(GALLERY), open(GALLERY_MANIFEST)).unwrap();
        assert_eq!(rows.rows(), 90);
        for (row, person) in rows.map(|row| row.unwrap().ok().unwrap()).zip(0..) {
            assert_eq!(row.source_id, people.source_id(person));
            assert_eq!(row.embedding.as_slice(), people.embedding(person));
            assert_eq!(row.restrictions.first().map(RestrictionName::as_str), people.restriction(person));
        }
        let records: Vec<_> = jsonl::records(open(RECORDS))
            .map(|row| row.unwrap().unwrap_or_else(|no| panic!("{no:?}")))
            .collect();
        assert_eq!(records.len(), 90);
        let probes: Vec<_> = jsonl::probes(open(PROBES))
            .map(|row| row.unwrap().unwrap_or_else(|no| panic!("{no:?}")))
            .collect();
        let hits = probes.iter().filter(|probe| probe.expected == Expected::Hit).count();
        let hidden = probes
            .iter()
            .filter(|probe| probe.expected == Expected::NoHit && probe.mate_of.is_some())
            .count();
        assert_eq!((probes.len(), hits, hidden), (10, 5, 2));
        assert!(args.out.join(MANIFEST).exists());
    }

    #[test]
    fn small_galleries_get_all_their_probes() {
        for (enrolled, probes) in [(1, 0), (1, 7), (14, 20), (40, 3), (200, 21)] {
            let people = People::new(1, 4);
            let plan = plan_probes(&people, enrolled, probes);
            assert_eq!(u64::try_from(plan.len()).unwrap(), probes, "{enrolled} people");
            for probe in plan {
                match probe {
                    Probe::Mate { person, .. } => {
                        assert!(person < enrolled && people.restriction(person).is_none());
                    }
                    Probe::Hidden { person, .. } => {
                        assert!(person < enrolled && people.restriction(person).is_some());
                    }
                    Probe::Stranger { person } => assert!(person >= enrolled),
                }
            }
        }
    }
}
