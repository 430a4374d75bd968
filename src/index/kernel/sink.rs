//! Where a scan keeps the templates that it finds near.

use zeroize::Zeroizing;

/// Where a scan keeps the templates that it finds near, in the order in which it meets them.
pub(in crate::index) struct Sink {
    /// The greatest score that is kept.
    pub(super) bound: u16,
    /// Score (above 32 bits) and template (below) of each one kept.
    pub(in crate::index) hits: Zeroizing<Vec<u64>>,
    /// So many are cut back.
    full: usize,
}

impl Sink {
    /// Room for as many as there are likely to be of the `kept` nearest on one of two threads: what has to grow is
    /// copied, and wiped behind.
    pub(in crate::index) fn new(bound: u16, kept: usize) -> Self {
        Self { bound, hits: Zeroizing::new(Vec::with_capacity(kept)), full: 0 }
    }

    /// Lets go of what can't be among the `kept` nearest any more, once there is much of it.
    pub(in crate::index) fn cut(&mut self, kept: usize) {
        if self.hits.len() <= self.full.max(kept.saturating_mul(4)) {
            return;
        }
        let Some(edge) = edge(&self.hits, kept) else { return };
        self.bound = u16::try_from(edge).unwrap_or(self.bound);
        self.hits.retain(|hit| hit >> 32 <= edge);
        // Where very many score the same, not all of them are looked through again each time.
        self.full = self.hits.len().saturating_mul(2);
    }

    /// Keeps a template, if it is before `end`.
    #[inline]
    pub(super) fn keep(&mut self, score: u64, template: u32, end: u32) {
        if template < end {
            self.hits.push((score << 32) | u64::from(template));
        }
    }
}

/// The score of the `kept`th nearest of these; none where there are fewer.
pub(in crate::index) fn edge(hits: &[u64], kept: usize) -> Option<u64> {
    if hits.iter().any(|hit| hit >> 32 > u64::from(u16::MAX)) {
        // Of another first stage, whose scores may be anything of 32 bits.
        let mut hits = Zeroizing::new(hits.to_vec());
        let nth = kept.checked_sub(1).filter(|nth| *nth < hits.len())?;
        return Some(*hits.select_nth_unstable(nth).1 >> 32);
    }
    // Scores of sketches are few, so counting them is quicker than any sort.
    let mut counts: Zeroizing<Vec<usize>> = Zeroizing::new(Vec::new());
    for hit in hits {
        let score = usize::try_from(hit >> 32).ok()?;
        if counts.len() <= score {
            counts.resize(score.saturating_add(1).max(SCORES), 0);
        }
        if let Some(count) = counts.get_mut(score) {
            *count = count.saturating_add(1);
        }
    }
    let mut nearer = 0_usize;
    (0..).zip(counts.iter()).find_map(|(score, count)| {
        nearer = nearer.saturating_add(*count);
        (nearer >= kept).then_some(score)
    })
}

/// More scores than most plans have.
const SCORES: usize = 1 << 10;
