//! From one generation of a collection to another: a protected template under another transform.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::protect::{Protected, TemplateError, turned};
use super::transform::Transform;

/// What makes templates of one transform into templates of another, without the samples: renewal (ISO/IEC 24745).
/// A template is turned back and turned anew, and rounded to 16 bits a second time; its similarities move by about one in
/// 32,767 of a component, which is far less than the rounding to the 8 bits that are searched.
#[derive(Clone)]
pub struct Turn {
    from: Arc<Transform>,
    to: Arc<Transform>,
}

impl Turn {
    /// The turn from one transform to another of the same dimension.
    ///
    /// # Errors
    /// [`TemplateError::Transform`] where the dimensions differ.
    pub fn new(from: Arc<Transform>, to: Arc<Transform>) -> Result<Self, TemplateError> {
        let (expected, given) = (from.dimension(), to.dimension());
        if expected == given {
            Ok(Self { from, to })
        } else {
            Err(TemplateError::Transform { expected, given })
        }
    }

    /// The template under the other transform.
    ///
    /// # Errors
    /// [`TemplateError::Incomparable`] for a template of another dimension.
    pub fn apply(&self, template: &Protected) -> Result<Protected, TemplateError> {
        let (expected, given) = (self.from.dimension(), template.dimension());
        if expected != given {
            return Err(TemplateError::Incomparable(expected, given));
        }
        let values = Zeroizing::new(template.unit_components().collect());
        Ok(turned(self.from.undo(values), &self.to))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::template::protection::{Resampling, ScoreTable, exchange, unlinkability};
    use crate::template::synthetic;

    fn transforms(dimension: u16, first: u8) -> [Arc<Transform>; 2] {
        [first, first + 1].map(|seed| Arc::new(synthetic::transform(dimension, seed)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_renewed_template_is_the_one_that_the_sample_would_have_given(
            dimension in prop::sample::select(vec![8_u16, 192, 256, 300, 512]), seed in 0..=250_u8
        ) {
            let [old, new] = transforms(dimension, seed);
            let turn = Turn::new(Arc::clone(&old), Arc::clone(&new)).unwrap();
            let values = synthetic::unit(&mut synthetic::rng(seed.into()), dimension);
            let (before, fresh) = (synthetic::protected(&values, &old), synthetic::protected(&values, &new));
            let renewed = turn.apply(&before).unwrap();
            let same = renewed.similarity(&fresh).unwrap().for_calibration();
            prop_assert!(same > 1.0 - 1e-6, "{same}");
            // Ten renewals on, it is still the same person.
            let back = Turn::new(new, old).unwrap();
            let mut long = before;
            for _ in 0..5 {
                long = back.apply(&turn.apply(&long).unwrap()).unwrap();
            }
            let first = synthetic::protected(&values, &turn.from);
            prop_assert!(long.similarity(&first).unwrap().for_calibration() > 1.0 - 1e-5);
        }
    }

    /// Scores between templates and what renewals make of them: of the same people, and of others.
    fn scores(keys: impl Fn(u8) -> [Transform; 2]) -> [ScoreTable; 2] {
        const PEOPLE: u64 = 300;
        let pairs = 30;
        let people: Vec<_> =
            (0..PEOPLE).map(|seed| synthetic::unit(&mut synthetic::rng(seed), 192)).collect();
        let (mut mated, mut others) = (Vec::new(), Vec::new());
        for pair in 0..pairs {
            let [old, new] = keys(pair).map(Arc::new);
            let before: Vec<_> = people.iter().map(|person| synthetic::protected(person, &old)).collect();
            let turn = Turn::new(old, new).unwrap();
            let after: Vec<_> = before.iter().map(|template| turn.apply(template).unwrap()).collect();
            let score = |a: usize, b: usize| before[a].similarity(&after[b]).unwrap().for_calibration();
            mated.extend((0..people.len()).map(|nth| score(nth, nth)));
            others.extend((0..people.len()).map(|nth| score(nth, (nth + 1) % people.len())));
        }
        // Person by person, as the tables want them.
        let by_person = |scores: Vec<f64>| {
            let people = people.len();
            let of = |nth: usize| scores.iter().skip(nth).step_by(people).copied().collect::<Vec<_>>();
            ScoreTable::new(pairs.into(), (0..people).flat_map(of).collect())
        };
        [by_person(mated), by_person(others)]
    }

    #[test]
    fn a_template_and_its_renewal_are_not_linked_by_their_score() {
        let resampling = Resampling { rounds: 500, seed: 1 };
        let [mated, others] =
            scores(|pair| [synthetic::transform(192, 2 * pair), synthetic::transform(192, 2 * pair + 1)]);
        let chance = exchange(&mated, &others, resampling);
        assert!(chance.share > 0.01, "as much by chance in only {} of all exchanges", chance.share);
        // A renewal to the same key would be noticed.
        let [mated, others] =
            scores(|pair| [synthetic::transform(192, pair), synthetic::transform(192, pair)]);
        let linked = unlinkability(&mated, &others, resampling).d_sys;
        assert!(linked > 0.99, "{linked}");
    }

    #[test]
    fn another_dimension_is_refused() {
        let ([a, _], [b, _]) = (transforms(8, 1), transforms(16, 1));
        assert!(Turn::new(Arc::clone(&a), Arc::clone(&b)).is_err());
        let turn = Turn::new(Arc::clone(&a), a).unwrap();
        let other = synthetic::protected(&synthetic::unit(&mut synthetic::rng(1), 16), &b);
        assert!(matches!(turn.apply(&other), Err(TemplateError::Incomparable(..))));
    }
}
