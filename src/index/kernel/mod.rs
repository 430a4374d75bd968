//! The inner loops of a search, chosen once for the processor: AVX-512, AVX2, or portable code. All of them give
//! the same numbers, bit for bit, because all of them only add integers.
//!
//! A *sketch* is the signs of a template's components, one bit each. It is scored against a probe by adding the
//! weights of those components whose signs differ: the less, the more alike. Sketches lie twice in memory: in
//! *planes*, one for each component, so that a probe reads those of its own largest components and no others
//! ([`plan`], [`lane`]); and in *blocks* of 64 templates with all their signs ([`blocks`]). Which of them is read
//! follows from the threshold, the dimension and the number of templates ([`super::reach`]).

#[cfg(target_arch = "x86_64")]
mod ahead;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod lane;
mod plan;
mod portable;
mod sink;
#[cfg(test)]
mod tests;

use zeroize::DefaultIsZeroes;

pub(super) use blocks::{Sketches, Tables};
pub(super) use lane::{COLUMNS, Part};
pub(super) use plan::{Plan, Ranking, STEP_PLANES, THREES, TWOS};
pub(super) use sink::{Sink, edge};

/// 64 bytes on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [u8; LINE_BYTES]);

impl Default for Line {
    fn default() -> Self {
        Self([0; LINE_BYTES])
    }
}

impl DefaultIsZeroes for Line {}

/// Which loops are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Proof),
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Proof),
}

impl Kernel {
    /// The fastest that this processor can run.
    pub(super) fn best() -> Self {
        Self::available().pop().unwrap_or(Self::Portable)
    }

    /// All that this processor can run, from the slowest to the fastest.
    pub(super) fn available() -> Vec<Self> {
        let all = [
            Some(Self::Portable),
            #[cfg(target_arch = "x86_64")]
            avx2::Proof::find().map(Self::Avx2),
            #[cfg(target_arch = "x86_64")]
            avx512::Proof::find().map(Self::Avx512),
        ];
        all.into_iter().flatten().collect()
    }

    /// Scores every template of `part` by every plan and keeps in each plan's sink the templates that score its
    /// bound or less, in ascending order. What a plan alone reads of the part that comes next is asked for meanwhile.
    pub(super) fn scan(self, part: Part<'_>, coming: Option<Part<'_>>, plans: &[&Plan], sinks: &mut [Sink]) {
        match self {
            Self::Portable => portable::scan(part, coming, plans, sinks),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => avx2::scan(proof, part, coming, plans, sinks),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => avx512::scan(proof, part, coming, plans, sinks),
        }
    }

    /// Scores every template of `sketches` against every probe and keeps in each probe's sink the templates that
    /// score its bound or less.
    pub(super) fn look_up(self, sketches: Sketches<'_>, probes: &[&Tables], sinks: &mut [Sink]) {
        match self {
            Self::Portable => blocks::portable::scan(sketches, probes, sinks),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => blocks::avx2::scan(proof, sketches, probes, sinks),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => blocks::avx512::scan(proof, sketches, probes, sinks),
        }
    }

    /// The inner product of each of these rows of 8-bit components with a probe of 16-bit ones.
    pub(super) fn dots(self, rows: &[&[Line]], probe: &[Wide], dots: &mut Vec<i64>) {
        match self {
            Self::Portable => portable::dots(rows, probe, dots),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(proof) => avx2::dots(proof, rows, probe, dots),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(proof) => avx512::dots(proof, rows, probe, dots),
        }
    }
}

/// 64 components of a probe, in two lines; the last are filled up with zeros.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Wide(pub(super) [i16; LINE_BYTES]);

impl Default for Wide {
    fn default() -> Self {
        Self([0; LINE_BYTES])
    }
}

impl DefaultIsZeroes for Wide {}

/// Bytes of a line: the templates of a block.
pub(super) const LINE_BYTES: usize = 64;
/// Templates whose signs one line holds.
pub(super) const LINE_BITS: usize = 8 * LINE_BYTES;
