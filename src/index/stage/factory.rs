//! Which indexes of Faiss may choose templates: those that look at every template for every probe, so that the work
//! is the same for everybody, and that any part of a gallery can be built of anew.

use std::fmt;
use std::str::FromStr;

use crate::template::Dimension;

/// An index of Faiss, by the text that its `index_factory` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factory(Family);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    /// 32-bit components.
    Flat,
    /// Each component rounded by itself.
    Scalar(&'static str),
    /// Signs; so many, one a component without a number, of turned components or of the components as they are.
    Signs { bits: Option<usize>, turned: bool },
    /// Parts of a template, each by the nearest of `2^bits` centres.
    Product { parts: usize, bits: u8 },
    /// The same with four bits, in registers.
    ProductFast { parts: usize },
}

/// Why a text names no index that may stand here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactoryError {
    /// A graph or inverted lists.
    #[error(
        "`faiss:{0}` looks at some templates only, and at which ones depends on the probe: the time of an answer would \
         tell about the gallery, and people would be missed; write one of {allowed}",
        allowed = ALLOWED
    )]
    NotExhaustive(String),
    /// More than an index.
    #[error(
        "`faiss:{0}` is more than a first stage: Onebit turns templates, keeps their ids and compares a second time \
         by itself; write the index alone, one of {allowed}",
        allowed = ALLOWED
    )]
    Composed(String),
    /// Anything else.
    #[error("`faiss:{0}` is no index that a search can begin with; write one of {allowed}", allowed = ALLOWED)]
    Unknown(String),
    /// A dimension that it can't be made for.
    #[error(
        "`faiss:{factory}` can't hold templates of {dimension} components; choose a number of parts that divides \
         them, or no more signs than there are components"
    )]
    Dimension {
        /// The index.
        factory: Factory,
        /// The dimension of a collection.
        dimension: Dimension,
    },
}

impl Factory {
    /// Whether it can be made for templates of this dimension.
    ///
    /// # Errors
    /// [`FactoryError::Dimension`].
    pub(super) fn check_dimension(self, dimension: Dimension) -> Result<(), FactoryError> {
        let components = dimension.len();
        let fits = match self.0 {
            Family::Flat | Family::Scalar(_) => true,
            Family::Signs { bits, turned } => turned || bits.is_none_or(|bits| bits <= components),
            Family::Product { parts, .. } | Family::ProductFast { parts } => components.is_multiple_of(parts),
        };
        if fits { Ok(()) } else { Err(FactoryError::Dimension { factory: self, dimension }) }
    }
}

#[cfg(feature = "faiss")]
impl Factory {
    /// The text that is handed to Faiss. Codes of a product are left in the order in which they are found: another
    /// order costs minutes and serves a way of searching that is not used here.
    pub(super) fn text(self) -> String {
        match self.0 {
            Family::Product { .. } => format!("{self}np"),
            _ => self.to_string(),
        }
    }

    /// How many templates its quantiser is trained on: for parts as many as Faiss uses of more.
    pub(super) fn training(self) -> usize {
        match self.0 {
            Family::Flat => 0,
            Family::Scalar(_) | Family::Signs { .. } => 4_096,
            Family::ProductFast { .. } => 16 * 256,
            // Faiss warns below 39 for each centre.
            Family::Product { bits, .. } => (40 << bits).max(4_096),
        }
    }

    /// Whether its scores count signs that differ.
    pub(super) const fn is_by_signs(self) -> bool {
        matches!(self.0, Family::Signs { .. })
    }

    /// What unit vectors of this dimension are multiplied by, and the largest magnitude that is kept of a component
    /// then; none for an index that finds its scale itself.
    pub(super) fn scale(self, dimension: Dimension) -> Option<(f32, f32)> {
        // Components of a turned unit vector have a spread of 1 / √d: four of them come to 128.
        let spread = f32::from(dimension.get()).sqrt();
        matches!(self.0, Family::Scalar(SIGNED)).then_some((32.0 * spread, 127.0))
    }
}

impl FromStr for Factory {
    type Err = FactoryError;

    fn from_str(text: &str) -> Result<Self, FactoryError> {
        if let Some(family) = family(text) {
            return Ok(Self(family));
        }
        let text = text.to_owned();
        // Inverted files are named before their codes, graphs before what they hold.
        let is_partial = text.split(',').any(|part| PARTIAL.iter().any(|name| part.starts_with(name)));
        Err(if is_partial {
            FactoryError::NotExhaustive(text)
        } else if text.contains(',') {
            FactoryError::Composed(text)
        } else {
            FactoryError::Unknown(text)
        })
    }
}

fn family(text: &str) -> Option<Family> {
    if text == "Flat" {
        return Some(Family::Flat);
    }
    if let Some(known) = SCALAR.iter().find(|known| **known == text) {
        return Some(Family::Scalar(known));
    }
    if let Some(rest) = text.strip_prefix("LSH") {
        let (bits, turned) = rest.strip_suffix('r').map_or((rest, false), |bits| (bits, true));
        let bits = if bits.is_empty() { None } else { Some(number(bits)?) };
        return Some(Family::Signs { bits, turned });
    }
    let rest = text.strip_prefix("PQ")?;
    if let Some(parts) = rest.strip_suffix("x4fs") {
        return Some(Family::ProductFast { parts: number(parts)? });
    }
    let rest = rest.strip_suffix("np").unwrap_or(rest);
    let (parts, bits) = rest.split_once('x').unwrap_or((rest, "8"));
    let bits = u8::try_from(number(bits)?).ok().filter(|bits| PRODUCT_BITS.contains(bits))?;
    Some(Family::Product { parts: number(parts)?, bits })
}

/// A whole number from 1 to the largest dimension, written without a sign and without zeros before it.
fn number(text: &str) -> Option<usize> {
    let number: usize = text.parse().ok()?;
    (number.to_string() == text && (1..=COMPONENTS_MAX).contains(&number)).then_some(number)
}

impl fmt::Display for Factory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Family::Flat => f.write_str("Flat"),
            Family::Scalar(name) => f.write_str(name),
            Family::Signs { bits, turned } => {
                f.write_str("LSH")?;
                bits.map_or(Ok(()), |bits| write!(f, "{bits}"))?;
                f.write_str(if turned { "r" } else { "" })
            }
            Family::Product { parts, bits } => write!(f, "PQ{parts}x{bits}"),
            Family::ProductFast { parts } => write!(f, "PQ{parts}x4fs"),
        }
    }
}

/// No embedding has more.
const COMPONENTS_MAX: usize = 4_096;
/// Whose components are whole numbers as they are.
const SIGNED: &str = "SQ8_direct_signed";
const SCALAR: [&str; 6] = ["SQ4", "SQ6", "SQ8", "SQfp16", "SQbf16", SIGNED];
/// Below four bits Faiss is not made for; above eight, training takes minutes.
const PRODUCT_BITS: std::ops::RangeInclusive<u8> = 4..=8;
/// How the names begin of indexes that don't look at every template: inverted files and their coarse quantisers,
/// graphs, and trees of cells.
const PARTIAL: [&str; 6] = ["IVF", "IMI", "HNSW", "NSG", "NNDescent", "BIVF"];
const ALLOWED: &str = "`Flat`, `SQ4`, `SQ6`, `SQ8`, `SQ8_direct_signed`, `SQfp16`, `SQbf16`, `LSH`, `LSHr` (with a \
                       number of bits: `LSH1024r`), `PQ64x4fs`, `PQ64x8` (with any number of parts; 4 to 8 bits)";
