//! Schemes and collections, as files that agreements refer to.

use super::fault::PolicyFault;
use super::reader::{Mention, Mentioned, Section, read_document};
use crate::ids::{CollectionName, Digest, SchemeName};
use crate::template::{
    Calibration, Dimension, Extractor, MinimumQuality, QualityScore, Rate, Scheme, Threshold,
};

/// A file of `policy/schemes/`.
#[derive(Debug, Clone, PartialEq)]
pub struct SchemeFile {
    /// What people call it.
    pub title: String,
    /// The scheme; it has the name of the file.
    pub scheme: Scheme,
    /// Samples whose templates are known, so that a partner can prove that its extractor is the scheme's.
    pub test_vectors: Vec<TestVector>,
}

/// A medium of which the extractor's output is known; synthetic or published, nobody's in the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct TestVector {
    /// Its name.
    pub name: String,
    /// SHA-256 of the medium.
    pub media_sha256: Digest,
    /// What the extractor should make of it; as many components as the scheme's dimension.
    pub embedding: Vec<f32>,
    /// How near an extractor must come to it.
    pub minimum_cosine: f64,
}

/// A collection as its file of `policy/collections/` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionFile {
    /// Its name, and that of its file.
    pub name: CollectionName,
    /// What people call it.
    pub title: String,
    /// The scheme of all its templates.
    pub scheme: SchemeName,
}

impl SchemeFile {
    pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<(Self, Vec<Mention>), Vec<PolicyFault>> {
        read_document(file, bytes, scheme)
    }
}

impl CollectionFile {
    pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<(Self, Vec<Mention>), Vec<PolicyFault>> {
        read_document(file, bytes, |top| {
            let name = top.parsed("name");
            let title = top.text("title");
            let scheme = top.mentioned("scheme", Mentioned::Scheme);
            Some(Self { name: name?, title: title?, scheme: scheme? })
        })
    }
}

fn scheme(top: &Section<'_>) -> Option<SchemeFile> {
    let title = top.text("title");
    let name = top.parsed("name");
    let modality = top.parsed("modality");
    let extractor = extractor(top);
    let form = top.parsed("form");
    let dimension = top.number("dimension", DIMENSION_MIN..=DIMENSION_MAX);
    let normalisation = top.parsed("normalisation");
    let comparison = top.parsed("comparison");
    let minimum_quality = minimum_quality(top);
    let calibration = calibration(top);
    let test_vectors = top.each("test_vectors", |part| test_vector(part, dimension));
    let dimension = top.kept("dimension", Dimension::new(u64::from(dimension?)));
    let scheme = Scheme {
        name: name?,
        modality: modality?,
        extractor: extractor?,
        form: form?,
        dimension: dimension?,
        normalisation: normalisation?,
        comparison: comparison?,
        calibration: calibration?,
        minimum_quality: minimum_quality?,
    };
    Some(SchemeFile { title: title?, scheme, test_vectors: test_vectors? })
}

fn extractor(top: &Section<'_>) -> Option<Extractor> {
    let name = top.text("extractor");
    let version = top.text("extractor_version");
    top.kept("extractor", Extractor::parse(&name?, &version?))
}

/// Without the key every sample is taken.
fn minimum_quality(top: &Section<'_>) -> Option<MinimumQuality> {
    if !top.has("minimum_quality") {
        return Some(MinimumQuality::None);
    }
    let score = top.number("minimum_quality", 0..=QUALITY_MAX)?;
    top.kept("minimum_quality", QualityScore::new(score)).map(MinimumQuality::Score)
}

/// A table, or one threshold for schemes that were not measured.
fn calibration(top: &Section<'_>) -> Option<Calibration> {
    if top.has("fixed_threshold") {
        if top.has("calibration") {
            return top.fault_at("fixed_threshold", "there is a `calibration` as well; keep one of the two");
        }
        let threshold = top.real("fixed_threshold", -1.0..=1.0)?;
        return top.kept("fixed_threshold", Threshold::new(threshold)).map(Calibration::fixed);
    }
    let points = top.each("calibration", |part| {
        let rate = part.real("false_match_rate", 0.0..=1.0);
        let threshold = part.real("threshold", -1.0..=1.0);
        let rate = part.kept("false_match_rate", Rate::new(rate?));
        let threshold = part.kept("threshold", Threshold::new(threshold?));
        rate.zip(threshold)
    })?;
    top.kept("calibration", Calibration::table(points))
}

fn test_vector(part: &Section<'_>, dimension: Option<u32>) -> Option<TestVector> {
    let name = part.text("name");
    let media_sha256 = part.parsed("media_sha256");
    let minimum_cosine = part.real("minimum_cosine", 0.0..=1.0);
    let text = part.text("embedding")?;
    let Ok(bytes) = data_encoding::BASE64.decode(text.as_bytes()) else {
        return part.fault_at("embedding", "this is not base64 with padding (RFC 4648); encode it again");
    };
    let (floats, rest) = bytes.as_chunks::<4>();
    let embedding: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let dimension = dimension?;
    if !rest.is_empty() || u32::try_from(embedding.len()) != Ok(dimension) {
        let given = bytes.len();
        return part.fault_at(
            "embedding",
            format!("the embedding has {given} bytes; {dimension} little-endian 32-bit floats are needed"),
        );
    }
    if !embedding.iter().all(|component| component.is_finite()) || embedding.iter().all(|c| *c == 0.0) {
        return part
            .fault_at("embedding", "the embedding is zero or not finite; take it from the extractor again");
    }
    Some(TestVector { name: name?, media_sha256: media_sha256?, embedding, minimum_cosine: minimum_cosine? })
}

/// As `template::Dimension`.
const DIMENSION_MIN: u32 = 2;
const DIMENSION_MAX: u32 = 4_096;
/// ISO/IEC 29794-1.
const QUALITY_MAX: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    const DEMO: &str = include_str!("../../policy/schemes/demo-face-256.toml");

    fn parse(text: &str) -> Result<SchemeFile, Vec<String>> {
        SchemeFile::parse("schemes/s.toml", text.as_bytes())
            .map(|(scheme, _)| scheme)
            .map_err(|faults| faults.iter().map(ToString::to_string).collect())
    }

    /// The extractor that the demo scheme's file describes.
    fn demo_extractor(media: &[u8], dimension: u16) -> Vec<f64> {
        let component = |index: u16| {
            let digest = Digest::sha256(&[media, &index.to_be_bytes()].concat());
            let half =
                |from: usize| u32::from_be_bytes(digest.as_bytes()[from..from + 4].try_into().unwrap());
            (f64::from(half(0)) * 2_f64.powi(32) + f64::from(half(4))) / 2_f64.powi(63) - 1.0
        };
        let raw: Vec<f64> = (0..dimension).map(component).collect();
        let norm = raw.iter().map(|x| x * x).sum::<f64>().sqrt();
        raw.iter().map(|x| x / norm).collect()
    }

    #[test]
    fn demo_extractor_proves_itself_on_the_test_vectors() {
        let scheme = parse(DEMO).unwrap();
        assert_eq!(scheme.test_vectors.len(), 2);
        for vector in &scheme.test_vectors {
            assert_eq!(Digest::sha256(vector.name.as_bytes()), vector.media_sha256);
            let made = demo_extractor(vector.name.as_bytes(), 256);
            let cosine: f64 = made.iter().zip(&vector.embedding).map(|(a, b)| a * f64::from(*b)).sum();
            assert!(cosine >= vector.minimum_cosine, "`{}` comes out at cosine {cosine}", vector.name);
        }
    }

    #[test]
    fn demo_calibration_spans_ten_decades() {
        let scheme = parse(DEMO).unwrap().scheme;
        let threshold = |rate| scheme.calibration.threshold_for(Rate::new(rate).unwrap()).unwrap().get();
        // Q(x) is 10^-2, 10^-6 and 10^-12 at x = 2.326348, 4.753424 and 7.034484.
        for (rate, deviations) in [(1e-2, 2.326_348), (1e-6, 4.753_424), (1e-12, 7.034_484)] {
            assert!((threshold(rate) - deviations / 16.0).abs() < 2e-6, "at {rate}: {}", threshold(rate));
        }
    }

    #[test]
    fn fixed_threshold_stands_in_for_a_table() {
        let (before, table) = DEMO.split_once("calibration = [").unwrap();
        let (_, after) = table.split_once("\n]\n").unwrap();
        let fixed = format!("{before}fixed_threshold = 0.35\n{after}");
        let scheme = parse(&fixed).unwrap().scheme;
        assert_eq!(scheme.calibration, Calibration::fixed(Threshold::new(0.35).unwrap()));
        let both = DEMO.replace("form = ", "fixed_threshold = 0.35\nform = ");
        assert!(parse(&both).unwrap_err().iter().any(|fault| fault.contains("keep one of the two")));
    }

    #[test]
    fn samples_of_any_quality_are_taken_without_a_minimum() {
        let scheme = parse(&DEMO.replace("minimum_quality = 40\n", "")).unwrap().scheme;
        assert_eq!(scheme.minimum_quality, MinimumQuality::None);
    }

    #[test]
    fn faults_stand_where_they_are() {
        let cases = [
            ("dimension = 256", "dimension = 0", "from 2 to 4096"),
            ("dimension = 256", "dimension = 128", "128 little-endian"),
            ("form = \"embedding\"", "form = \"iris-code\"", "is not a form"),
            ("modality = \"face\"", "modality = \"gait\"", "is not a modality"),
            ("threshold = 0.170654", "threshold = 0.1", "out of order"),
            ("minimum_quality = 40", "minimum_quality = 101", "from 0 to 100"),
        ];
        for (from, to, message) in cases {
            let faults =
                parse(&DEMO.replace(from, to)).expect_err(&format!("`{to}` should have been refused"));
            assert!(faults.iter().any(|fault| fault.contains(message)), "{faults:#?}");
        }
    }

    #[test]
    fn embeddings_that_are_no_directions_are_refused() {
        for (component, count) in [(0.0_f32, 256), (f32::NAN, 256), (1.0, 255)] {
            let bytes: Vec<u8> = std::iter::repeat_n(component.to_le_bytes(), count).flatten().collect();
            let head = DEMO.split("[[test_vectors]]").next().unwrap();
            let text = format!(
                "{head}[[test_vectors]]\nname = \"v\"\nmedia_sha256 = \"{}\"\nminimum_cosine = 0.9\nembedding = \"{}\"\n",
                Digest::sha256(b"v"),
                data_encoding::BASE64.encode(&bytes)
            );
            let faults = parse(&text).unwrap_err();
            assert!(faults.len() == 1 && faults[0].contains("embedding"), "{faults:#?}");
        }
    }
}
