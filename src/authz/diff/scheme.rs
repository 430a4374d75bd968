//! Schemes and collections of two folders.

use std::collections::BTreeMap;

use super::super::rules::Rules;
use super::super::scheme::{CollectionFile, SchemeFile, TestVector};
use super::{Bearing, Comparison, Concerned, Told, pairs};
use crate::template::{Extractor, MinimumQuality, Scheme};

/// Tells what is otherwise in schemes and collections.
pub(super) fn tell(told: &mut Told, older: &Rules, newer: &Rules) {
    let by_name = |rules: &Rules| -> BTreeMap<_, SchemeFile> {
        rules.schemes().map(|one| (one.scheme.name.clone(), one.clone())).collect()
    };
    for (name, old, new) in pairs(&by_name(older), &by_name(newer)) {
        let mut to = comparison(told, format!("schemes/{name}.toml"));
        match (old, new) {
            (Some(old), Some(new)) => of_one(&mut to, old, new),
            (None, _) => to.say(Bearing::Changes, format!("there is a scheme `{name}`")),
            (_, None) => to.say(Bearing::Changes, format!("there is no scheme `{name}` any more")),
        }
    }
    let by_name = |rules: &Rules| -> BTreeMap<_, CollectionFile> {
        rules.collections().map(|one| (one.name.clone(), one.clone())).collect()
    };
    for (name, old, new) in pairs(&by_name(older), &by_name(newer)) {
        let mut to = comparison(told, format!("collections/{name}.toml"));
        match (old, new) {
            (Some(old), Some(new)) => {
                let CollectionFile { name: _, title, scheme } = old;
                to.text("title of the collection", title, &new.title);
                to.text(
                    "scheme of its templates; the ones in it are compared by it no more",
                    scheme,
                    &new.scheme,
                );
            }
            (None, Some(_)) => to.say(Bearing::Opens, format!("people may be enrolled into `{name}`")),
            (_, None) => to.say(
                Bearing::Closes,
                format!("nobody can be enrolled into `{name}` or searched in it any more"),
            ),
        }
    }
}

fn comparison(told: &mut Told, file: String) -> Comparison<'_> {
    Comparison { told, file, whom: Concerned::Subjects }
}

fn of_one(to: &mut Comparison<'_>, old: &SchemeFile, new: &SchemeFile) {
    let SchemeFile { title, scheme, test_vectors } = old;
    to.text("title of the scheme", title, &new.title);
    let Scheme {
        name: _,
        modality,
        extractor,
        form,
        dimension,
        normalisation,
        comparison,
        calibration,
        minimum_quality,
    } = scheme;
    let new_scheme = &new.scheme;
    to.text("what is measured of a person", modality, &new_scheme.modality);
    let program = |it: &Extractor| format!("{} {}", it.name(), it.version());
    to.text("extractor", &program(extractor), &program(&new_scheme.extractor));
    to.text("form of a sample", form, &new_scheme.form);
    to.text("components of a sample", dimension, &new_scheme.dimension);
    to.text("length of a sample", normalisation, &new_scheme.normalisation);
    to.text("comparison of two templates", comparison, &new_scheme.comparison);
    if *calibration != new_scheme.calibration {
        to.say(
            Bearing::Changes,
            "the threshold of every question follows from other measurements".to_owned(),
        );
    }
    of_quality(to, *minimum_quality, new_scheme.minimum_quality);
    of_vectors(to, test_vectors, &new.test_vectors);
}

fn of_quality(to: &mut Comparison<'_>, old: MinimumQuality, new: MinimumQuality) {
    let rank = |quality| match quality {
        MinimumQuality::None => None,
        MinimumQuality::Score(score) => Some(score.get()),
    };
    let word = |rank: Option<u8>| {
        rank.map_or_else(
            || "none, and samples of unknown quality are taken".to_owned(),
            |rank| rank.to_string(),
        )
    };
    let (old, new) = (rank(old), rank(new));
    if old != new {
        let bearing = if new > old { Bearing::Closes } else { Bearing::Opens };
        let says = format!("quality below which a sample is refused: {}, and not {}", word(new), word(old));
        to.say(bearing, says);
    }
}

fn of_vectors(to: &mut Comparison<'_>, old: &[TestVector], new: &[TestVector]) {
    if old != new {
        to.say(Bearing::Changes, "the samples that prove an extractor are others".to_owned());
    }
}
