//! How templates were made and are compared.

use std::fmt;
use std::str::FromStr;

use super::calibration::Calibration;
use super::sample::QualityScore;
use crate::ids::SchemeName;

/// A part of a scheme that is not in its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemeError {
    /// A word that is not one of those known here.
    #[error("`{given}` is not a {what}; use one of {known}")]
    Word {
        /// What the word should name.
        what: &'static str,
        /// The word that was given, shortened.
        given: String,
        /// The words that would have been taken.
        known: String,
    },
    /// A number of components that templates can't have.
    #[error("`{0}` is not a dimension; use 2 to 4096")]
    Dimension(u64),
    /// An extractor's name or version that is empty, too long or not printable.
    #[error("`{0}` does not name an extractor; use 1 to 64 printable ASCII characters for name and version")]
    Extractor(String),
}

/// How templates were made and are compared. Every part is valid by its type; templates of two schemes are
/// never compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Scheme {
    /// What agreements, collections and partners call it.
    pub name: SchemeName,
    /// What was measured of the person.
    pub modality: Modality,
    /// The program that made the samples.
    pub extractor: Extractor,
    /// What a sample is.
    pub form: Form,
    /// The number of components of an embedding.
    pub dimension: Dimension,
    /// What is asked of an embedding's length.
    pub normalisation: Normalisation,
    /// How two templates are compared.
    pub comparison: Comparison,
    /// Which threshold keeps to which false match rate.
    pub calibration: Calibration,
    /// The quality below which a sample is refused.
    pub minimum_quality: MinimumQuality,
}

macro_rules! words {
    ($(#[$doc:meta])* $type:ident, $what:literal, $($(#[$variant_doc:meta])* $variant:ident = $word:literal),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $type {
            $($(#[$variant_doc])* $variant),+
        }

        impl $type {
            /// The word that files and messages use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl FromStr for $type {
            type Err = SchemeError;
            fn from_str(text: &str) -> Result<Self, SchemeError> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(SchemeError::Word {
                        what: $what,
                        given: shortened(text),
                        known: [$(concat!("`", $word, "`")),+].join(", "),
                    }),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(self.as_str())
            }
        }
    };
}

words!(
    /// What was measured of the person.
    Modality, "modality",
    /// A picture of the face.
    Face = "face",
    /// A recording of speech.
    Voice = "voice",
    /// A finger's ridges.
    Finger = "finger",
    /// The texture of an iris.
    Iris = "iris"
);
words!(
    /// What a sample is.
    Form, "form",
    /// A vector of real numbers, one per dimension.
    Embedding = "embedding"
);
words!(
    /// What is asked of an embedding's length (its Euclidean norm).
    Normalisation, "normalisation",
    /// The extractor gives unit vectors; another length means that something went wrong on the way.
    UnitLength = "unit-length",
    /// Any length but zero; it carries no meaning.
    Any = "any"
);
words!(
    /// How two templates are compared.
    Comparison, "comparison",
    /// The cosine of the angle between them.
    Cosine = "cosine"
);

/// The number of components of an embedding, 2 to 4,096.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dimension(u16);

impl Dimension {
    /// The dimension with this number of components.
    ///
    /// # Errors
    /// [`SchemeError::Dimension`] unless `2 <= components <= 4096`.
    pub fn new(components: u64) -> Result<Self, SchemeError> {
        match u16::try_from(components) {
            Ok(small) if (MIN_COMPONENTS..=MAX_COMPONENTS).contains(&small) => Ok(Self(small)),
            _ => Err(SchemeError::Dimension(components)),
        }
    }

    /// The number of components.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The number of components, as a length in memory.
    #[must_use]
    pub fn len(self) -> usize {
        usize::from(self.0)
    }

    /// Never: a dimension has at least two components.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        false
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The program that made the samples, with its version: another version makes another scheme.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Extractor {
    name: String,
    version: String,
}

impl Extractor {
    /// Takes a name and a version as the maker of the extractor writes them.
    ///
    /// # Errors
    /// [`SchemeError::Extractor`] when one is empty, longer than 64 characters or not printable ASCII.
    pub fn parse(name: &str, version: &str) -> Result<Self, SchemeError> {
        let fits = |text: &str| {
            (1..=EXTRACTOR_MAX_CHARS).contains(&text.len())
                && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
        };
        match [name, version].into_iter().find(|text| !fits(text)) {
            Some(bad) => Err(SchemeError::Extractor(shortened(bad))),
            None => Ok(Self { name: name.to_owned(), version: version.to_owned() }),
        }
    }

    /// The extractor's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The extractor's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }
}

/// The quality below which a sample is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MinimumQuality {
    /// Every sample is taken, also one of unknown quality.
    None,
    /// Samples below this score are refused, and so are samples of unknown quality.
    Score(QualityScore),
}

/// What an error may repeat of its input: enough to find it, not enough to flood a log.
fn shortened(text: &str) -> String {
    text.chars().take(EXTRACTOR_MAX_CHARS).collect()
}

/// Two components are the fewest that have an angle between them.
const MIN_COMPONENTS: u16 = 2;
/// Twice the largest embedding known to us (2,048 components). 4,096 products of two 16-bit numbers stay far
/// below 2^53, so that sums of them are exact as 64-bit floats too.
const MAX_COMPONENTS: u16 = 4096;
const EXTRACTOR_MAX_CHARS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_go_there_and_back() {
        for modality in [Modality::Face, Modality::Voice, Modality::Finger, Modality::Iris] {
            assert_eq!(modality.as_str().parse(), Ok(modality));
        }
        for normalisation in [Normalisation::UnitLength, Normalisation::Any] {
            assert_eq!(normalisation.to_string().parse(), Ok(normalisation));
        }
        assert_eq!("cosine".parse(), Ok(Comparison::Cosine));
    }

    #[test]
    fn an_unknown_word_is_answered_with_the_known_ones() {
        let error = "iris-code".parse::<Form>().unwrap_err();
        assert_eq!(error.to_string(), "`iris-code` is not a form; use one of `embedding`");
        let error = "Face".parse::<Modality>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "`Face` is not a modality; use one of `face`, `voice`, `finger`, `iris`"
        );
    }

    #[test]
    fn dimensions_have_bounds() {
        for good in [2, 3, 512, 4096] {
            assert_eq!(Dimension::new(good).map(|dimension| u64::from(dimension.get())), Ok(good));
        }
        for bad in [0, 1, 4097, 65_536 + 2, u64::MAX] {
            assert_eq!(Dimension::new(bad), Err(SchemeError::Dimension(bad)));
        }
    }

    #[test]
    fn extractors_have_a_printable_name_and_version() {
        let extractor = Extractor::parse("ecapa tdnn", "1.0.3").unwrap();
        assert_eq!((extractor.name(), extractor.version()), ("ecapa tdnn", "1.0.3"));
        for (name, version) in [("", "1"), ("a", ""), ("a\n", "1"), ("é", "1"), (&*"a".repeat(65), "1")] {
            assert!(Extractor::parse(name, version).is_err(), "`{name}` `{version}` should be refused");
        }
    }
}
