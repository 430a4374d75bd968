//! Search over the protected templates of one collection. It knows no person: slots and compartments are
//! numbers that the store gives a meaning.
//!
//! Faiss proposes, the templates decide: every segment's flat index scans all of its templates for every
//! probe and names the nearest; those are compared again exactly, 16 bits a component, by
//! [`Protected::similarity`](crate::template::Protected::similarity). The result equals that of comparing
//! every template, none excepted ([`Gallery::exact`] does so, for whoever wants to check).
//!
//! Faiss only ever receives protected templates, its error texts (which carry paths of the build) stay here,
//! and its copies are wiped before they are freed. The linear-algebra library below it packs protected
//! vectors into buffers of its own, which are not wiped.

mod findings;
mod flat;
mod gallery;
mod native;
mod pool;
mod processor;
mod segment;

pub use findings::{Finding, Findings};
pub use gallery::{Compartment, Gallery, Slot};
pub use pool::{Pool, pool};
pub use processor::require_processor;

use crate::template::Dimension;

/// What kept a gallery from being changed or searched. A search that failed has no findings: it must never
/// be taken for one that found nothing.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// A template or a probe of another dimension than the gallery's.
    #[error("a template has `{given}` components where the gallery has `{expected}`; check its collection")]
    Dimension {
        /// The gallery's dimension.
        expected: Dimension,
        /// The template's dimension.
        given: Dimension,
    },
    /// A template for a slot that has one, or two for the same slot.
    #[error("slot `{}` is taken; remove its template first or give a new slot", .0.0)]
    SlotTaken(Slot),
    /// A slot without a template.
    #[error("slot `{}` has no template; insert one first", .0.0)]
    SlotUnknown(Slot),
    /// The search library could not take the templates.
    #[error("the search library did not take the templates; check how much memory is free, then try again")]
    Build,
    /// The search library failed or gave an answer that can't be right.
    #[error("the search library failed; nothing was found out, try again")]
    Search,
    /// The threads of the pool did not start.
    #[error("the search threads did not start; allow more threads or configure fewer")]
    Pool(#[source] rayon::ThreadPoolBuildError),
    /// An older processor than this program was built for.
    #[error(
        "this program needs a processor of level x86-64-v3 and this one lacks `{0}`; use one from 2015 or later"
    )]
    Processor(&'static str),
}
