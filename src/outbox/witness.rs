//! The holder's side of C2SP tlog-witness: hands the newest checkpoint to a witness, and believes nothing of the
//! answer but a cosignature that holds.

use std::io;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::tls::connector;
use crate::audit::cosignature::{Cosignature, WitnessKey};
use crate::audit::note::NoteError;
use crate::audit::submission::{SIZE_CONTENT_TYPE, Submission, parse_size};
use crate::authz::{WitnessFile, WitnessScheme};
use crate::store::{Journal, Store, StoreError, Unwitnessed};

/// A witness that gave nothing of use.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// No answer in time.
    #[error("the witness did not answer within {} s", WAIT_LONGEST.as_secs())]
    TimedOut,
    /// No connection.
    #[error("the witness can't be reached")]
    Connect(#[source] io::Error),
    /// Its certificate, or what the policy folder says of it.
    #[error(
        "no TLS with the witness comes about; check its certificate and the authority in the policy folder"
    )]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The exchange broke.
    #[error("the exchange with the witness broke off")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused, in a way that says nothing about the journal.
    #[error("the witness answered with status {0}; does it know this journal and its key?")]
    Status(u16),
    /// An answer that is none of the specification's.
    #[error("the answer of the witness is not in its form")]
    Answer,
    /// A cosignature that is missing or does not hold.
    #[error("the answer of the witness holds no cosignature of its key; check the key in the policy folder")]
    NoCosignature,
    /// A note that is not in its form.
    #[error("the witness's cosignature was refused")]
    Cosignature(#[source] NoteError),
    /// The store.
    #[error("the journal could not be read")]
    Store(#[from] StoreError),
}

impl OutboxError {
    /// A fixed word for metrics and log lines.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Connect(_) => "unreachable",
            Self::Tls(_) => "tls",
            Self::Http(_) => "broken",
            Self::Status(_) => "refused",
            Self::Answer => "malformed",
            Self::NoCosignature | Self::Cosignature(_) => "bad-cosignature",
            Self::Store(_) => "store",
        }
    }
}

/// A witness of the policy folder, ready to be asked.
#[derive(Debug, Clone)]
pub struct Addressee {
    /// What the policy folder says of it.
    pub file: WitnessFile,
    /// The key that verifies its cosignatures.
    pub key: WitnessKey,
}

impl Addressee {
    /// The witness of a policy folder.
    ///
    /// # Errors
    /// [`NoteError`] for a key that the rules should not have let through.
    pub fn new(file: &WitnessFile) -> Result<Self, NoteError> {
        Ok(Self { key: file.key.as_str().parse()?, file: file.clone() })
    }
}

/// What came of asking a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// It cosigned the checkpoint.
    Cosigned(Cosignature),
    /// It saw a larger journal than there is here.
    Ahead(u64),
    /// It saw another journal of this size, which the one here did not grow out of.
    Forked(u64),
}

/// What a witness answers to one submission.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Cosigned(Cosignature),
    /// 409: the size that it saw last.
    Size(u64),
    /// 422.
    Inconsistent,
}

/// Asks a witness for its cosignature of the newest checkpoint, from the size that it is known to have cosigned. When
/// it tells another size, it is asked once more from there.
///
/// # Errors
/// [`OutboxError`] when it can't be asked, or its answer is of no use.
pub async fn witness_ask(
    store: &dyn Store,
    witness: &Addressee,
    newest: &Unwitnessed,
    known: u64,
) -> Result<Asked, OutboxError> {
    let mut old = known.min(newest.size);
    for _ in 0..TRIES {
        let submission = submission(store, newest, old).await?;
        match checkpoint_add(witness, &submission).await? {
            Told::Cosigned(cosignature) => return Ok(Asked::Cosigned(cosignature)),
            Told::Inconsistent => return Ok(Asked::Forked(old)),
            Told::Size(size) if size > newest.size => return Ok(Asked::Ahead(size)),
            Told::Size(size) if size == old && size == newest.size => return Ok(Asked::Forked(size)),
            Told::Size(size) => old = size,
        }
    }
    Err(OutboxError::Answer)
}

async fn submission(store: &dyn Store, newest: &Unwitnessed, old: u64) -> Result<Submission, OutboxError> {
    let proof = match old {
        0 => Vec::new(),
        old => {
            let proof = store.consistency_proof(Journal::Holder, old, Some(newest.size)).await?;
            proof.ok_or(StoreError::Tree { doing: "proving to a witness" })?.hashes
        }
    };
    Ok(Submission { old_size: old, proof, checkpoint: newest.note.clone() })
}

async fn checkpoint_add(witness: &Addressee, submission: &Submission) -> Result<Told, OutboxError> {
    let (status, kind, body) = checkpoint_hand_in(witness, submission).await?;
    match status {
        StatusCode::OK => cosignature(witness, submission, &body).map(Told::Cosigned),
        StatusCode::CONFLICT if kind == SIZE_CONTENT_TYPE => {
            parse_size(&body).map(Told::Size).ok_or(OutboxError::Answer)
        }
        StatusCode::UNPROCESSABLE_ENTITY => Ok(Told::Inconsistent),
        other => Err(OutboxError::Status(other.as_u16())),
    }
}

/// Takes the witness's own cosignature out of its answer; lines of other keys are passed over.
fn cosignature(witness: &Addressee, submission: &Submission, body: &str) -> Result<Cosignature, OutboxError> {
    // Anything else could move the place where the note's text ends.
    if !body.ends_with('\n') || !body.lines().all(|line| line.starts_with(SIGNATURE_START)) {
        return Err(OutboxError::Answer);
    }
    let note = format!("{}{body}", submission.checkpoint);
    witness.key.on(&note).map_err(OutboxError::Cosignature)?.ok_or(OutboxError::NoCosignature)
}

/// Hands a submission to a witness: the status, the content type and the text of its answer, whatever they are.
///
/// # Errors
/// [`OutboxError`] when no answer comes.
pub async fn checkpoint_hand_in(
    witness: &Addressee,
    submission: &Submission,
) -> Result<(StatusCode, String, String), OutboxError> {
    let exchange = async {
        let place = (witness.file.url.host.as_str(), witness.file.url.port);
        let tcp = TcpStream::connect(place).await.map_err(OutboxError::Connect)?;
        tcp.set_nodelay(true).map_err(OutboxError::Connect)?;
        match (witness.file.url.scheme, &witness.file.authority) {
            (WitnessScheme::Http, _) => exchange(tcp, witness, submission).await,
            (WitnessScheme::Https, authority) => {
                let connector = connector(authority.as_deref().unwrap_or_default()).map_err(tls)?;
                let name =
                    ServerName::try_from(witness.file.url.host.clone()).map_err(|error| tls(error.into()))?;
                let stream = connector.connect(name, tcp).await.map_err(|error| tls(error.into()))?;
                exchange(stream, witness, submission).await
            }
        }
    };
    timeout(WAIT_LONGEST, exchange).await.map_err(|_| OutboxError::TimedOut)?
}

async fn exchange<S>(
    stream: S,
    witness: &Addressee,
    submission: &Submission,
) -> Result<(StatusCode, String, String), OutboxError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.into()))?;
    // It ends when the sender is dropped, or with the exchange itself.
    let connection = tokio::spawn(connection);
    let request = Request::post(format!("{}/add-checkpoint", witness.file.url.prefix))
        .header(header::HOST, witness.file.url.authority())
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .body(Full::new(Bytes::from(submission.to_text())))
        .map_err(|error| broken(error.into()))?;
    let response = sender.send_request(request).await.map_err(|error| broken(error.into()))?;
    let status = response.status();
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    let body = Limited::new(response.into_body(), ANSWER_MAX_BYTES).collect().await;
    let body = body.map_err(broken)?.to_bytes();
    drop(sender);
    connection.abort();
    let text = String::from_utf8(body.to_vec()).map_err(|_| OutboxError::Answer)?;
    Ok((status, kind, text))
}

fn tls(source: Box<dyn std::error::Error + Send + Sync>) -> OutboxError {
    OutboxError::Tls(source)
}

fn broken(source: Box<dyn std::error::Error + Send + Sync>) -> OutboxError {
    OutboxError::Http(source)
}

/// As the specification says, from the size that is known and from the one that is told.
const TRIES: usize = 2;
/// For connection, handshake and answer together: a witness writes one file, and the next run is a minute away.
const WAIT_LONGEST: Duration = Duration::from_secs(10);
/// A dozen cosignatures, of the longest kind.
const ANSWER_MAX_BYTES: usize = 64 * 1_024;
/// An em dash and a space.
const SIGNATURE_START: &str = "\u{2014} ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::checkpoint::Checkpoint;
    use crate::audit::note::{Ed25519Signer, NoteSigner};
    use crate::audit::tree::Hash;
    use crate::authz::WitnessKeyText;

    fn signer(seed: u8) -> Ed25519Signer {
        Ed25519Signer::from_seed(&[seed; 32])
    }

    fn key(name: &str, seed: u8) -> WitnessKey {
        WitnessKey::new(name, signer(seed).public_key()).unwrap()
    }

    fn addressee() -> Addressee {
        let (name, url) = ("one".parse().unwrap(), "http://127.0.0.1:1".parse().unwrap());
        let key = key("witness.example/w1", 2).to_string().parse().unwrap();
        Addressee::new(&WitnessFile { name, url, key, authority: None }).unwrap()
    }

    #[test]
    fn only_a_cosignature_of_the_witness_over_this_checkpoint_is_believed() {
        let head = Checkpoint { origin: "o".to_owned(), size: 1, root: Hash([1; 32]) };
        let submission = Submission { old_size: 0, proof: Vec::new(), checkpoint: head.sign(&signer(1)) };
        let heard = |body: &str| cosignature(&addressee(), &submission, body);
        let line = addressee().key.cosign(&head.body(), 7, &signer(2));
        let other = key("witness.example/w2", 3).cosign(&head.body(), 7, &signer(3));
        assert_eq!(heard(&line).unwrap().seconds, 7);
        assert_eq!(heard(&format!("{other}{line}")).unwrap().seconds, 7, "lines of others are passed over");
        assert!(matches!(heard(&other), Err(OutboxError::NoCosignature)));
        let elsewhere = addressee().key.cosign("another text\n", 7, &signer(2));
        assert!(matches!(heard(&elsewhere), Err(OutboxError::Cosignature(_))));
        for bad in ["", "fine\n", line.trim_end(), &format!("{line}\n"), &format!("\n{line}")] {
            assert!(matches!(heard(bad), Err(OutboxError::Answer)), "{bad:?}");
        }
        // What would be signed here is the checkpoint and more: it must not be taken for one over the checkpoint.
        let longer = format!("{}\u{2014} x AAAAAAA=\n", submission.checkpoint);
        let moved = format!("\u{2014} x AAAAAAA=\n\n{}", addressee().key.cosign(&longer, 7, &signer(2)));
        assert!(matches!(heard(&moved), Err(OutboxError::Answer)));
    }

    #[test]
    fn keys_of_the_policy_folder_are_those_of_the_log() {
        let text = key("witness.example/w1", 2).to_string();
        assert!(text.parse::<WitnessKeyText>().is_ok());
        let log = crate::audit::note::VerifierKey::new("o", signer(1).public_key()).unwrap().to_string();
        for bad in ["", "a+b", &log, &text.replacen("w1", "w2", 1), text.trim_end_matches(|_: char| true)] {
            assert!(bad.parse::<WitnessKeyText>().is_err(), "`{bad}` should have been refused");
        }
    }

    proptest! {
        #[test]
        fn a_key_is_taken_by_the_rules_exactly_when_it_is_one(
            name in "[a-z.+ ]{0,6}", at in any::<prop::sample::Index>(), flip in 0..0x80u8
        ) {
            let public = signer(2).public_key();
            let text = WitnessKey::new(&name, public).unwrap_or_else(|_| key("w", 2)).to_string();
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let text = String::from_utf8(bytes).unwrap();
            prop_assert_eq!(text.parse::<WitnessKeyText>().is_ok(), text.parse::<WitnessKey>().is_ok(), "{}", text);
        }
    }
}
