//! How large an answer is and when it arrives, measured from the partner's side.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use prost::Message;

use crate::cli::fault::CliError;
use crate::cli::query::{About, Bit};
use crate::cli::{sample, wire};
use crate::grpc::client::{Client, ClientOptions};
use crate::grpc::pb::partner as pb;

/// Whom the questions are about.
pub(super) struct Probe {
    /// In words.
    pub(super) who: &'static str,
    /// The file with the sample.
    pub(super) sample: PathBuf,
}

/// What was measured of the answers about one person.
pub(super) struct Measured {
    /// In words, whom they are about.
    pub(super) who: &'static str,
    /// The bit.
    pub(super) bit: Bit,
    /// The sizes without the proof of the place in the journal, smallest and largest, in bytes.
    pub(super) bytes: Span<usize>,
    /// The sizes of that proof, smallest and largest, in bytes.
    pub(super) proof_bytes: Span<usize>,
    /// How long after its question each answer was there, shortest first.
    took: Vec<Duration>,
}

impl Measured {
    /// Within which time half of the answers were there.
    pub(super) fn half_within(&self) -> Duration {
        self.took.get(self.took.len().saturating_sub(1) / 2).copied().unwrap_or_default()
    }

    /// Within which time all of them were there.
    pub(super) fn all_within(&self) -> Duration {
        self.took.last().copied().unwrap_or_default()
    }
}

/// The least and the most of what was measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Span<T> {
    pub(super) least: T,
    pub(super) most: T,
}

impl<T: Copy + Ord> Span<T> {
    const fn of(value: T) -> Self {
        Self { least: value, most: value }
    }

    /// The span that holds both.
    pub(super) fn with(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }
}

/// Asks about each person so many times, in turns, over one connection.
///
/// # Errors
/// [`CliError`] when a question is refused, or the same one is answered in two ways.
pub(super) fn measure(
    connection: &ClientOptions,
    about: &About,
    probes: &[Probe],
    rounds: u32,
) -> Result<Vec<Measured>, CliError> {
    wire::calling(async {
        let client = Client::connect(connection).await?;
        let mut all: Vec<Measured> = Vec::new();
        for _ in 0..rounds {
            for probe in probes {
                let one = ask(&client, about, probe).await?;
                match all.iter_mut().find(|measured| measured.who == one.who) {
                    Some(before) if before.bit != one.bit => {
                        return Err(CliError::Found(format!(
                            "the question about {} was answered in two ways",
                            one.who
                        )));
                    }
                    Some(before) => {
                        before.bytes = before.bytes.with(one.bytes);
                        before.proof_bytes = before.proof_bytes.with(one.proof_bytes);
                        before.took.extend(one.took);
                        before.took.sort_unstable();
                    }
                    None => all.push(one),
                }
            }
        }
        Ok(all)
    })
}

async fn ask(client: &Client, about: &About, probe: &Probe) -> Result<Measured, CliError> {
    let samples = sample::read_json(&probe.sample)?
        .take_samples()
        .map_err(|what| CliError::Found(format!("`{}`: {what}", probe.sample.display())))?;
    let question = about.question(wire::request_id(None)?, samples);
    let request = client.request(pb::AskQueryRequest { question: Some(question) });
    let sent = Instant::now();
    let answered = client.answer("the query", client.query().ask_query(request)).await?;
    let took = vec![sent.elapsed()];
    let proof = proof_bytes(&answered.receipt);
    Ok(Measured {
        who: probe.who,
        bit: Bit::of(&answered)?,
        bytes: Span::of(answered.encoded_len().saturating_sub(proof)),
        proof_bytes: Span::of(proof),
        took,
    })
}

/// How many bytes of a receipt say where in the journal its entry stands: the index, the hashes of the proof, and
/// the size of the journal. They depend on that place alone.
fn proof_bytes(receipt: &str) -> usize {
    let mut lines = receipt.lines().skip_while(|line| !line.starts_with("index "));
    let proof: usize = lines.by_ref().take_while(|line| !line.is_empty()).map(line_bytes).sum();
    let size = lines.nth(1).map_or(0, line_bytes);
    proof.saturating_add(size)
}

fn line_bytes(line: &str) -> usize {
    line.len().saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_an_odd_and_of_an_even_number_of_answers() {
        let measured = |millis: &[u64]| Measured {
            who: "somebody",
            bit: Bit::Hit,
            bytes: Span::of(0),
            proof_bytes: Span::of(0),
            took: millis.iter().map(|millis| Duration::from_millis(*millis)).collect(),
        };
        assert_eq!(measured(&[1, 2, 9]).half_within(), Duration::from_millis(2));
        assert_eq!(measured(&[1, 2, 3, 9]).half_within(), Duration::from_millis(2));
        assert_eq!(measured(&[1, 2, 9]).all_within(), Duration::from_millis(9));
    }

    #[test]
    fn the_place_in_the_journal_is_counted_by_itself() {
        let receipt = "c2sp.org/tlog-proof@v1\nextra AAAA\nindex 12\nhash=\nhash=\n\norigin\n13\nroot=\n\n\u{2014} origin sig=\n";
        assert_eq!(proof_bytes(receipt), "index 12\nhash=\nhash=\n13\n".len());
        assert_eq!(proof_bytes("anything else"), 0);
    }
}
