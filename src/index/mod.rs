//! Search over the protected templates of one collection. It knows no person: slots and compartments are
//! numbers that the store gives a meaning.
//!
//! Two stages, with the same work for every probe. First the *sketches* of all templates, the signs of their
//! components, are scored against the probe's largest components, and a fixed number of the nearest stay; how many
//! signs and how many templates follows from the threshold ([`Gallery::signs`], [`Gallery::kept`]). Then those are
//! compared by the exact integer product of their 8-bit components and the probe's 16-bit ones. What the first stage
//! could lose of a mate that passes is one in a million; [`Gallery::exact`] compares every template, for whoever
//! wants to check.
//!
//! Where the configuration names an index of Faiss, that one chooses what is compared in the place of the sketches
//! ([`FirstStage`]).
//!
//! Templates are turned by the collection's secret transform before they come here, and so their signs are as
//! well. Everything made of them is wiped before it is freed.

mod change;
mod findings;
mod gallery;
mod kernel;
mod lines;
mod pool;
mod reach;
mod scan;
mod segment;
mod snapshot;
mod stage;
mod together;

pub use findings::{Finding, Findings};
pub use gallery::{Asked, Compartment, Gallery, SearchTurn, Slot};
pub use pool::{Pool, pool};
pub use stage::{Factory, FactoryError, FirstStage, StageError};

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
    /// A search ended early or gave an answer that can't be right.
    #[error("the search failed; nothing was found out, try again")]
    Search,
    /// The threads of the pool did not start.
    #[error("the search threads did not start; allow more threads or configure fewer")]
    Pool(#[source] rayon::ThreadPoolBuildError),
    /// The configured first stage can't be had.
    #[error("searches can't begin as `search.index` says")]
    Stage(#[source] StageError),
}
