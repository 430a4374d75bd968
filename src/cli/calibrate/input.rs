//! What is measured, from whichever input was given.

use super::super::fault::CliError;
use super::super::labelled::{self, Labelled};
use super::{CalibrateArgs, scores};
use crate::template::{Accuracy, AccuracyError, LabelledSet, PairScores, Scores};

/// What was measured.
pub(super) struct Measured {
    pub(super) accuracy: Accuracy,
    /// Samples that were not compared.
    pub(super) left_out: u64,
}

/// Reads the input, and compares what is to be compared.
pub(super) fn measure(args: &CalibrateArgs) -> Result<Measured, CliError> {
    let (genuine, impostor, left_out) = match (&args.matrix, &args.genuine, &args.impostor) {
        (Some(matrix), ..) => {
            let (genuine, impostor) = scores::matrix(matrix, args.no_score)?;
            (genuine, impostor, 0)
        }
        (None, Some(genuine), Some(impostor)) => {
            let column = args.column.as_deref();
            let genuine = scores::list(genuine, column, args.no_score)?;
            (genuine, scores::list(impostor, column, args.no_score)?, 0)
        }
        _ => {
            let (compared, left_out) = compare(args)?;
            let read = |values| scores::Read { values, missing: 0 };
            (read(compared.genuine), read(compared.impostor), left_out)
        }
    };
    let kept = |read: scores::Read| Scores::new(read.values, read.missing);
    let accuracy = kept(genuine).and_then(|genuine| Accuracy::new(genuine, kept(impostor)?));
    let accuracy =
        accuracy.map_err(|error: AccuracyError| CliError::because("nothing was measured", error))?;
    Ok(Measured { accuracy, left_out })
}

/// Reads the templates and compares every one with every other; with how many samples were left out.
fn compare(args: &CalibrateArgs) -> Result<(PairScores, u64), CliError> {
    let labelled = Labelled {
        templates: args.templates.as_deref(),
        npy: args.npy.as_deref(),
        manifest: args.manifest.as_deref(),
        ark: args.ark.as_deref(),
        labels: args.labels.as_deref(),
        separator: args.source_id_separator,
    };
    let scheme = labelled::scheme(&args.policy, args.scheme.as_deref().unwrap_or_default())?;
    let mut set = LabelledSet::new(scheme);
    let left_out = labelled.read(|person, sample| set.add(person, sample).map(|()| set.len()))?;
    let scores = set.compare_pairs();
    let scores = scores.map_err(|error| CliError::because("the samples can't be compared", error))?;
    Ok((scores, left_out))
}
