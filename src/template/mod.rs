//! The sole reader of biometric bytes: what a scheme is, what a sample must be, and how a sample becomes a
//! protected template that can be kept and compared but does not show the person.
//!
//! A [`Sample`] comes in raw, is checked against its [`Scheme`], turned by the collection's secret
//! [`Transform`], rounded to 16 bits a component and wiped; what is left is a [`Protected`] template. Two of
//! those of one collection give a [`Similarity`], which can be held against a [`Threshold`] and against
//! another similarity, and shows itself to nobody.
//!
//! Not protected against here: about as many known pairs of sample and template as there are dimensions give
//! the transform away. It is for renewal and for unlinkability between collections; secrecy at rest comes
//! from sealing the bytes of [`Protected::to_bytes`].

mod accuracy;
mod array;
mod calibration;
mod compact;
mod labelled;
mod protect;
pub mod protection;
mod sample;
mod scheme;
mod similarity;
mod transform;
mod turn;

#[cfg(test)]
pub(crate) mod synthetic;

pub use accuracy::{Accuracy, AccuracyError, Bin, ErrorCounts, Scores, TableRow};
pub use array::{ArrayError, ArrayHeader, array_embedding};
pub use calibration::{Calibration, CalibrationError, Rate, Supported, Threshold, fmr_for};
pub use compact::Compact;
pub(crate) use compact::Length;
pub use labelled::{LabelledSet, PairScores};
pub use protect::{Protected, TemplateError, protect};
pub use sample::{Quality, QualityScore, Sample, SampleError};
pub use scheme::{
    Comparison, Dimension, Extractor, Form, MinimumQuality, Modality, Normalisation, Scheme, SchemeError,
};
pub use similarity::Similarity;
pub use transform::Transform;
pub use turn::Turn;
