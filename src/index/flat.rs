//! A flat index of Faiss whose lengths are checked, on a shared reference.

use std::ops::Range;

use faiss::index::ConcurrentIndex;
use faiss::{FlatIndex, Index};
use zeroize::Zeroizing;

use super::{IndexError, native};
use crate::template::{Dimension, Protected};

/// Rows of unit vectors, one for each template, wiped when dropped.
pub(super) struct Rows {
    dimension: Dimension,
    values: Zeroizing<Vec<f32>>,
}

impl Rows {
    /// The rows of these templates.
    pub(super) fn of<'a>(
        dimension: Dimension,
        templates: impl ExactSizeIterator<Item = &'a Protected>,
    ) -> Result<Self, IndexError> {
        // Reserved at once, so that growing leaves no copy behind.
        let components = templates.len().saturating_mul(dimension.len());
        let mut values = Zeroizing::new(Vec::with_capacity(components));
        for template in templates {
            if template.dimension() != dimension {
                return Err(IndexError::Dimension { expected: dimension, given: template.dimension() });
            }
            values.extend(template.unit_components());
        }
        Ok(Self { dimension, values })
    }

    fn get(&self, rows: &Range<usize>) -> Option<&[f32]> {
        let start = rows.start.checked_mul(self.dimension.len())?;
        let end = rows.end.checked_mul(self.dimension.len())?;
        self.values.get(start..end)
    }
}

/// A candidate as Faiss gives it: position in the index and approximate cosine.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) position: usize,
    pub(super) cosine: f32,
}

/// The exact (32-bit) inner-product index over the rows of one segment. Wipes its vectors when dropped.
pub(super) struct Flat {
    index: FlatIndex,
    dimension: Dimension,
    len: usize,
}

impl Flat {
    /// The index over these rows, added at once so that Faiss allocates once and leaves no copy behind.
    pub(super) fn build(rows: &Rows) -> Result<Self, IndexError> {
        let dimension = rows.dimension;
        let mut index = FlatIndex::new_ip(u32::from(dimension.get())).map_err(|_| IndexError::Build)?;
        index.add(&rows.values).map_err(|_| IndexError::Build)?;
        let len = usize::try_from(index.ntotal()).map_err(|_| IndexError::Build)?;
        if index.d() != u32::from(dimension.get())
            || len.checked_mul(dimension.len()) != Some(rows.values.len())
        {
            return Err(IndexError::Build);
        }
        Ok(Self { index, dimension, len })
    }

    /// The `count` nearest of each of `probes` (positions in `rows`), or all when there are fewer, nearest
    /// first. Every template is scanned for every probe.
    ///
    /// # Errors
    /// [`IndexError::Dimension`] and [`IndexError::Search`]; an answer with anything missing is an error.
    pub(super) fn nearest(
        &self,
        rows: &Rows,
        probes: &Range<usize>,
        count: usize,
    ) -> Result<Vec<Vec<Candidate>>, IndexError> {
        // Faiss cuts what does not fit its dimension in silence and answers with nothing: compare first.
        if rows.dimension != self.dimension {
            return Err(IndexError::Dimension { expected: self.dimension, given: rows.dimension });
        }
        let query = rows.get(probes).ok_or(IndexError::Search)?;
        let each = count.min(self.len);
        if probes.is_empty() || each == 0 {
            return Err(IndexError::Search);
        }
        let answer = ConcurrentIndex::search(&self.index, query, each).map_err(|_| IndexError::Search)?;
        if probes.len().checked_mul(each) != Some(answer.labels.len())
            || answer.distances.len() != answer.labels.len()
        {
            return Err(IndexError::Search);
        }
        let candidate = |(label, &cosine): (&faiss::Idx, &f32)| {
            let position = label.get().and_then(|label| usize::try_from(label).ok());
            match position {
                Some(position) if position < self.len && cosine.is_finite() => {
                    Ok(Candidate { position, cosine })
                }
                _ => Err(IndexError::Search),
            }
        };
        let (labels, cosines) = (answer.labels.chunks_exact(each), answer.distances.chunks_exact(each));
        labels
            .zip(cosines)
            .map(|(labels, cosines)| labels.iter().zip(cosines).map(candidate).collect())
            .collect()
    }
}

impl Drop for Flat {
    fn drop(&mut self) {
        native::wipe(&mut self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::synthetic;

    fn templates(count: usize, dimension: u16, seed: u64) -> Vec<Protected> {
        let mut rng = synthetic::rng(seed);
        let transform = synthetic::transform(dimension, 1);
        (0..count).map(|_| synthetic::protected(&synthetic::unit(&mut rng, dimension), &transform)).collect()
    }

    fn rows(templates: &[Protected]) -> Rows {
        Rows::of(templates[0].dimension(), templates.iter()).unwrap()
    }

    #[test]
    fn each_template_is_nearest_to_itself() {
        let all = rows(&templates(50, 24, 1));
        let flat = Flat::build(&all).unwrap();
        let nearest = flat.nearest(&all, &(10..40), 3).unwrap();
        assert_eq!(nearest.len(), 30);
        for (probe, candidates) in (10..40).zip(nearest) {
            assert_eq!((candidates.len(), candidates[0].position), (3, probe));
            assert!((candidates[0].cosine - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn fewer_templates_than_asked_for_are_all_given() {
        let all = rows(&templates(5, 24, 2));
        let nearest = Flat::build(&all).unwrap().nearest(&all, &(0..1), 32).unwrap();
        assert_eq!(nearest[0].len(), 5);
    }

    #[test]
    fn a_probe_of_another_dimension_is_an_error_and_not_an_empty_answer() {
        let flat = Flat::build(&rows(&templates(5, 24, 3))).unwrap();
        let short = rows(&templates(1, 12, 3));
        assert!(matches!(flat.nearest(&short, &(0..1), 2), Err(IndexError::Dimension { .. })));
    }

    #[test]
    fn probes_that_are_not_there_are_an_error() {
        let all = rows(&templates(5, 24, 4));
        let flat = Flat::build(&all).unwrap();
        assert!(matches!(flat.nearest(&all, &(4..6), 2), Err(IndexError::Search)));
        assert!(matches!(flat.nearest(&all, &(2..2), 2), Err(IndexError::Search)));
    }

    #[test]
    fn templates_of_another_dimension_make_no_rows() {
        let mut mixed = templates(2, 24, 5);
        mixed.extend(templates(1, 12, 5));
        assert!(matches!(Rows::of(mixed[0].dimension(), mixed.iter()), Err(IndexError::Dimension { .. })));
    }
}
