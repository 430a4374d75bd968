//! What is measured, from whichever input was given.

use super::super::fault::CliError;
use super::{CalibrateArgs, labelled, scores};
use crate::template::{Accuracy, AccuracyError, Scores};

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
            let compared = labelled::compare(args)?;
            let read = |values| scores::Read { values, missing: 0 };
            (read(compared.scores.genuine), read(compared.scores.impostor), compared.left_out)
        }
    };
    let kept = |read: scores::Read| Scores::new(read.values, read.missing);
    let accuracy = kept(genuine).and_then(|genuine| Accuracy::new(genuine, kept(impostor)?));
    let accuracy =
        accuracy.map_err(|error: AccuracyError| CliError::because("nothing was measured", error))?;
    Ok(Measured { accuracy, left_out })
}
