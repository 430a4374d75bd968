//! What is handed to a witness to be cosigned: the body of `add-checkpoint` (C2SP tlog-witness,
//! <https://c2sp.org/tlog-witness>).

use super::checkpoint::decimal;
use super::note::NOTE_MAX_BYTES;
use super::tree::Hash;

/// A checkpoint with the proof that it grew out of what the witness saw last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// The size that the witness saw last, as whoever submits believes.
    pub old_size: u64,
    /// The consistency proof (RFC 6962, section 2.1.2) from there.
    pub proof: Vec<Hash>,
    /// The checkpoint, a signed note that nobody has looked into yet.
    pub checkpoint: String,
}

/// A body that is no submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionError {
    /// A line that is not what stands there.
    #[error("line {0} is not what stands there in a submission; see c2sp.org/tlog-witness")]
    Line(usize),
    /// More hashes than any proof has.
    #[error("there are more than {PROOF_MAX_HASHES} hashes, more than any consistency proof has")]
    Proof,
    /// More bytes than a submission may have.
    #[error("there are {0} bytes and {SUBMISSION_MAX_BYTES} are allowed")]
    TooLong(usize),
}

impl Submission {
    /// The body of the request.
    #[must_use]
    pub fn to_text(&self) -> String {
        let proof: String = self.proof.iter().map(|hash| format!("{hash}\n")).collect();
        format!("{OLD}{}\n{proof}\n{}", self.old_size, self.checkpoint)
    }

    /// Reads the body of a request. Nothing in it is verified.
    ///
    /// # Errors
    /// [`SubmissionError`] when it is not in its form.
    pub fn parse(text: &str) -> Result<Self, SubmissionError> {
        if text.len() > SUBMISSION_MAX_BYTES {
            return Err(SubmissionError::TooLong(text.len()));
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(SubmissionError::Line(1))?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix(OLD)).and_then(decimal);
        let old_size = old.ok_or(SubmissionError::Line(1))?;
        let mut proof = Vec::new();
        for (line, number) in lines.zip(2..) {
            if proof.len() >= PROOF_MAX_HASHES {
                return Err(SubmissionError::Proof);
            }
            proof.push(Hash::parse(line).map_err(|_| SubmissionError::Line(number))?);
        }
        Ok(Self { old_size, proof, checkpoint: checkpoint.to_owned() })
    }
}

/// The content type of the size that a witness answers a wrong old size with.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// The size that a witness answers with: a decimal number and a line feed.
#[must_use]
pub fn size_text(size: u64) -> String {
    format!("{size}\n")
}

/// Reads what [`size_text`] wrote.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    text.strip_suffix('\n').and_then(decimal)
}

/// As the specification says.
const PROOF_MAX_HASHES: usize = 63;
/// A checkpoint of full size, and 64 lines of 45 bytes, rounded up.
pub const SUBMISSION_MAX_BYTES: usize = NOTE_MAX_BYTES + 4 * 1_024;
const OLD: &str = "old ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The beginning of the specification's example.
    const EXAMPLE: &str = "old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\nexample.com/behind-the-sofa\n20852163\n";

    #[test]
    fn the_example_of_the_specification_is_read() {
        let read = Submission::parse(EXAMPLE).unwrap();
        assert_eq!((read.old_size, read.proof.len()), (20_852_014, 2));
        assert_eq!(read.checkpoint, "example.com/behind-the-sofa\n20852163\n");
        assert_eq!(read.to_text(), EXAMPLE);
    }

    #[test]
    fn bodies_out_of_form_are_refused() {
        let refused = |from: &str, to: &str| Submission::parse(&EXAMPLE.replacen(from, to, 1)).err();
        for (line, from, to) in [
            (1, "old ", "old"),
            (1, "old ", "Old "),
            (1, "old 2", "old 02"),
            (1, "old 2", "old +2"),
            (1, "old 20852014", "old "),
            (2, "PlRN", "PlR"),
            (2, "PlRN", " PlRN"),
            (3, "jrJZ", "\u{2014}rJZ"),
        ] {
            assert_eq!(refused(from, to), Some(SubmissionError::Line(line)), "`{from}` to `{to}`");
        }
        assert_eq!(Submission::parse("old 0\n").err(), Some(SubmissionError::Line(1)));
        let hash = format!("{}\n", Hash([1; 32]));
        let with = |count: usize| format!("old 1\n{}\nnote", hash.repeat(count));
        assert!(Submission::parse(&with(63)).is_ok());
        assert_eq!(Submission::parse(&with(64)), Err(SubmissionError::Proof));
        let long = "x".repeat(SUBMISSION_MAX_BYTES + 1);
        assert_eq!(Submission::parse(&long), Err(SubmissionError::TooLong(long.len())));
    }

    #[test]
    fn sizes_are_plain_decimals() {
        assert_eq!(parse_size(&size_text(20_852_014)), Some(20_852_014));
        for bad in ["", "\n", "1", "01\n", "1\n\n", "-1\n", "1 \n"] {
            assert_eq!(parse_size(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn submissions_go_there_and_back(
            old_size in any::<u64>(), proof in prop::collection::vec(any::<[u8; 32]>(), 0..=63), note in "(.|\n){0,80}"
        ) {
            let sent = Submission { old_size, proof: proof.into_iter().map(Hash).collect(), checkpoint: note };
            prop_assert_eq!(Submission::parse(&sent.to_text()), Ok(sent));
        }
    }
}
