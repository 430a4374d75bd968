//! Changes that take two people of different roles, and what stops somebody at once (promise 9).

use jiff::civil::Date;

use crate::audit::codec::{RecordReader, RecordWriter};
use crate::authz::{Bundle, Disposable, PayloadClass, Role, Standing};
use crate::clock::Timestamp;
use crate::ids::{
    ActorName, ChangeId, CollectionName, Digest, PartnerName, RestrictionName, SubjectId, UnitName,
};

use super::registry::{Partner, Person};
use super::session::ProviderAccount;
use super::{GalleryChange, StoreError};

/// What is to change.
#[derive(Clone)]
pub enum Change {
    /// Adds a person or a system, or gives one a new key.
    PutPerson(Person),
    /// Adds a partner, or changes its certificate authorities.
    PutPartner(Partner),
    /// Confirms a release key that a partner has proven.
    PutReleaseKey {
        /// Whose.
        partner: PartnerName,
        /// The X25519 public key.
        key: [u8; 32],
    },
    /// Makes a policy folder the active one.
    ActivatePolicy(Bundle),
    /// Shows a hidden subject again.
    LiftRestriction {
        /// The source system's id of the person.
        source_id: String,
        /// The restriction.
        restriction: RestrictionName,
    },
    /// Lets a suspended partner act again.
    RestorePartner(PartnerName),
    /// Lets a suspended person or system act again.
    RestorePerson(ActorName),
    /// Destroys payloads of the log whose retention is over.
    Dispose {
        /// Which payloads.
        class: PayloadClass,
        /// What is of earlier days (UTC) than this one.
        before: Date,
    },
    /// Has another key sign the log's checkpoints.
    ChangeLogKey,
    /// Moves the templates of a collection to new keys and another transform.
    RenewCollection(CollectionName),
    /// Invites a person of the holder to register a passkey, and adds them where they are not there yet.
    InvitePerson(Invitation),
    /// Has a passkey that an invited person registered stand for that person.
    PutPasskey {
        /// Whose.
        person: ActorName,
        /// The authenticator's name for it.
        credential: Vec<u8>,
        /// Its public key, DER SubjectPublicKeyInfo.
        public_key: Vec<u8>,
    },
    /// Has an account at the agency's OpenID provider sign a person in.
    BindAccount {
        /// Whom.
        person: ActorName,
        /// Which account.
        account: ProviderAccount,
    },
    /// Has an officer fill another officer's seat between two moments.
    PutDelegation(Delegating),
    /// Takes two subjects for one person.
    MergeSubjects([SubjectId; 2]),
    /// Parts a subject from the person it was made one with.
    SplitSubject(SubjectId),
}

/// Whose seat is delegated to whom, from when until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegating {
    /// Whose seat it is.
    pub delegator: ActorName,
    /// Who fills it.
    pub delegate: ActorName,
    /// From when on.
    pub since: Timestamp,
    /// Until when; not any more at that moment.
    pub until: Timestamp,
}

/// An invitation to register a passkey, for one use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Whom.
    pub person: ActorName,
    /// As what; a person that is there already keeps its role.
    pub role: Role,
    /// SHA-256 of the secret in the link.
    pub secret: Digest,
    /// When it ends.
    pub ends: Timestamp,
}

impl Change {
    /// What kind of change it is, as the log names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PutPerson(_) => "put-person",
            Self::PutPartner(_) => "put-partner",
            Self::PutReleaseKey { .. } => "put-release-key",
            Self::ActivatePolicy(_) => "activate-policy",
            Self::LiftRestriction { .. } => "lift-restriction",
            Self::RestorePartner(_) => "restore-partner",
            Self::RestorePerson(_) => "restore-person",
            Self::Dispose { .. } => "dispose",
            Self::ChangeLogKey => "log-key-change",
            Self::RenewCollection(_) => "renew-collection",
            Self::InvitePerson(_) => "invite-person",
            Self::PutPasskey { .. } => "put-passkey",
            Self::PutDelegation(_) => "put-delegation",
            Self::BindAccount { .. } => "bind-account",
            Self::MergeSubjects(_) => "merge-subjects",
            Self::SplitSubject(_) => "split-subject",
        }
    }

    /// What it changes, in a sentence for whoever confirms it.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::PutPerson(person) => {
                let unit =
                    person.unit.as_ref().map(|unit| format!(" of the unit `{unit}`")).unwrap_or_default();
                format!(
                    "add `{}` as {}{unit} with the certificate id `{}` and the key {}",
                    person.name,
                    person.role,
                    person.spiffe_id,
                    Digest::sha256(&person.public_key)
                )
            }
            Self::PutPartner(partner) => format!(
                "add the partner `{}` ({}) with the trust domain `{}` and {} certificate authorities",
                partner.name,
                partner.title,
                partner.trust_domain,
                partner.authorities.len()
            ),
            Self::PutReleaseKey { partner, key } => {
                format!("seal releases for `{partner}` to the key {}", Digest::sha256(key))
            }
            Self::ActivatePolicy(bundle) => {
                format!("make the policy folder {} the active one", bundle.digest())
            }
            Self::LiftRestriction { restriction, .. } => {
                format!("lift the restriction `{restriction}` of one subject")
            }
            Self::RestorePartner(partner) => format!("let the partner `{partner}` act again"),
            Self::RestorePerson(person) => format!("let `{person}` act again"),
            Self::Dispose { class, before } => {
                format!(
                    "destroy the payloads of `{class}` in the log from before {before}, and keep their totals"
                )
            }
            Self::ChangeLogKey => {
                "have a new key sign the log's checkpoints, and destroy the present one".to_owned()
            }
            Self::RenewCollection(collection) => format!(
                "move the templates of `{collection}` to new keys and another transform, and destroy the present ones; \
                 older backups give nobody's templates back then"
            ),
            Self::InvitePerson(invitation) => format!(
                "invite `{}` as {} to register a passkey, until {}",
                invitation.person, invitation.role, invitation.ends
            ),
            Self::PutPasskey { person, public_key, .. } => {
                format!("have the passkey with the key {} stand for `{person}`", Digest::sha256(public_key))
            }
            Self::PutDelegation(it) => format!(
                "let `{}` decide in the seat of `{}` from {} until {}",
                it.delegate, it.delegator, it.since, it.until
            ),
            Self::BindAccount { person, account } => format!(
                "have the account `{}` at {} sign `{person}` in, in place of any other there",
                account.subject, account.issuer
            ),
            Self::MergeSubjects([one, other]) => format!(
                "take {} and {} for one person: what restricts one restricts both",
                one.resource(),
                other.resource()
            ),
            Self::SplitSubject(subject) => format!(
                "part {} from the person it was made one with: only what restricts it on its own account stays",
                subject.resource()
            ),
        }
    }

    /// The canonical record: domain `onebit/change-body/v1`, 1: kind, then the fields of the kind.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let record = RecordWriter::new(BODY_DOMAIN).text(1, self.kind());
        let record = match self {
            Self::PutPerson(person) => record
                .text(2, person.name.as_str())
                .text(3, person.role.as_str())
                .text(4, &person.spiffe_id)
                .bytes(5, &person.public_key)
                .text(6, person.partner.as_ref().map_or("", PartnerName::as_str))
                .text(7, person.contact.as_deref().unwrap_or_default())
                .text(8, person.unit.as_ref().map_or("", UnitName::as_str)),
            Self::PutPartner(partner) => record
                .text(2, partner.name.as_str())
                .text(3, &partner.title)
                .text(4, &partner.trust_domain)
                .bytes(5, &authorities_encode(&partner.authorities))
                .text(6, partner.contact.as_deref().unwrap_or_default()),
            Self::PutReleaseKey { partner, key } => record.text(2, partner.as_str()).bytes(3, key),
            Self::ActivatePolicy(bundle) => record.bytes(2, &bundle.to_bytes()),
            Self::LiftRestriction { source_id, restriction } => {
                record.text(2, source_id).text(3, restriction.as_str())
            }
            Self::RestorePartner(partner) => record.text(2, partner.as_str()),
            Self::RestorePerson(person) => record.text(2, person.as_str()),
            Self::Dispose { class, before } => record.text(2, class.as_str()).text(3, &before.to_string()),
            Self::ChangeLogKey => record,
            Self::RenewCollection(collection) => record.text(2, collection.as_str()),
            Self::InvitePerson(invitation) => record
                .text(2, invitation.person.as_str())
                .text(3, invitation.role.as_str())
                .bytes(4, invitation.secret.as_bytes())
                .bytes(5, &invitation.ends.as_millis().to_be_bytes()),
            Self::PutPasskey { person, credential, public_key } => {
                record.text(2, person.as_str()).bytes(3, credential).bytes(4, public_key)
            }
            Self::PutDelegation(it) => record
                .text(2, it.delegator.as_str())
                .text(3, it.delegate.as_str())
                .bytes(4, &it.since.as_millis().to_be_bytes())
                .bytes(5, &it.until.as_millis().to_be_bytes()),
            Self::BindAccount { person, account } => {
                record.text(2, person.as_str()).text(3, &account.issuer).text(4, &account.subject)
            }
            Self::MergeSubjects([one, other]) => record.bytes(2, one.as_bytes()).bytes(3, other.as_bytes()),
            Self::SplitSubject(subject) => record.bytes(2, subject.as_bytes()),
        };
        // INVARIANT: the tags above ascend, so the record is always well formed.
        record.finish().unwrap_or_default()
    }

    /// Reads the canonical record.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the bytes are not one.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut fields = Fields(RecordReader::parse(BODY_DOMAIN, bytes).map_err(|_| DAMAGED)?);
        let kind = fields.text(1)?;
        let change = match kind.as_str() {
            "put-person" => Self::PutPerson(Person {
                name: fields.parsed(2)?,
                role: fields.parsed::<Role>(3)?,
                spiffe_id: fields.text(4)?,
                public_key: fields.bytes(5)?.to_vec(),
                partner: match fields.text(6)?.as_str() {
                    "" => None,
                    name => Some(PartnerName::parse(name).map_err(|_| DAMAGED)?),
                },
                standing: Standing::Active,
                contact: fields.filled(7)?,
                unit: fields
                    .filled(8)?
                    .map(|unit| UnitName::parse(&unit))
                    .transpose()
                    .map_err(|_| DAMAGED)?,
            }),
            "put-partner" => Self::PutPartner(Partner {
                name: fields.parsed(2)?,
                title: fields.text(3)?,
                trust_domain: fields.text(4)?,
                authorities: authorities_decode(fields.bytes(5)?)?,
                standing: Standing::Active,
                release_key: None,
                contact: fields.filled(6)?,
            }),
            "put-release-key" => Self::PutReleaseKey {
                partner: fields.parsed(2)?,
                key: fields.bytes(3)?.try_into().map_err(|_| DAMAGED)?,
            },
            "activate-policy" => {
                Self::ActivatePolicy(Bundle::from_bytes(fields.bytes(2)?).map_err(|_| DAMAGED)?)
            }
            "lift-restriction" => {
                Self::LiftRestriction { source_id: fields.text(2)?, restriction: fields.parsed(3)? }
            }
            "restore-partner" => Self::RestorePartner(fields.parsed(2)?),
            "restore-person" => Self::RestorePerson(fields.parsed(2)?),
            "log-key-change" => Self::ChangeLogKey,
            "renew-collection" => Self::RenewCollection(fields.parsed(2)?),
            "invite-person" => Self::InvitePerson(Invitation {
                person: fields.parsed(2)?,
                role: fields.parsed(3)?,
                secret: Digest::from_bytes(fields.bytes(4)?.try_into().map_err(|_| DAMAGED)?),
                ends: fields.time(5)?,
            }),
            "put-delegation" => Self::PutDelegation(Delegating {
                delegator: fields.parsed(2)?,
                delegate: fields.parsed(3)?,
                since: fields.time(4)?,
                until: fields.time(5)?,
            }),
            "put-passkey" => Self::PutPasskey {
                person: fields.parsed(2)?,
                credential: fields.bytes(3)?.to_vec(),
                public_key: fields.bytes(4)?.to_vec(),
            },
            "bind-account" => Self::BindAccount {
                person: fields.parsed(2)?,
                account: ProviderAccount { issuer: fields.text(3)?, subject: fields.text(4)? },
            },
            "merge-subjects" => Self::MergeSubjects([fields.subject(2)?, fields.subject(3)?]),
            "split-subject" => Self::SplitSubject(fields.subject(2)?),
            "dispose" => Self::Dispose { class: fields.parsed(2)?, before: fields.parsed(3)? },
            _ => return Err(DAMAGED),
        };
        fields.0.finish().map_err(|_| DAMAGED)?;
        Ok(change)
    }
}

/// The digest that both people sign: domain `onebit/change/v1`, 1: the change's id, 2: its canonical record,
/// 3: why.
#[must_use]
pub fn digest(id: ChangeId, change: &Change, reason: &str) -> Digest {
    let record = RecordWriter::new(CHANGE_DOMAIN)
        .bytes(1, id.as_bytes())
        .bytes(2, &change.to_bytes())
        .text(3, reason)
        .finish();
    // INVARIANT: the tags above ascend, so the record is always well formed.
    Digest::sha256(&record.unwrap_or_default())
}

/// A change as it is proposed.
pub struct ChangeNew {
    /// Its id: the caller's own UUID.
    pub id: ChangeId,
    /// What is to change.
    pub change: Change,
    /// Why.
    pub reason: String,
    /// The proposer's signature over its digest.
    pub signature: Vec<u8>,
}

/// How a change ends.
pub enum ChangeEnd {
    /// It takes effect.
    Confirm {
        /// Which.
        id: ChangeId,
        /// The second person's signature over its digest.
        signature: Vec<u8>,
        /// The rules' leave, for a disposal; `None` for anything else.
        leave: Option<Disposable>,
    },
    /// It was begun by a partner's system; the first person of the holder stands for it from now on.
    TakeOver {
        /// Which.
        id: ChangeId,
        /// That person's signature over its digest.
        signature: Vec<u8>,
    },
    /// It is over.
    Reject {
        /// Which.
        id: ChangeId,
        /// Why.
        reason: String,
    },
}

/// Where a change stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeState {
    /// Waits for a second person.
    Proposed,
    /// In effect.
    Confirmed,
    /// Over without effect.
    Rejected,
}

impl ChangeState {
    /// The word in the database and the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Proposed, Self::Confirmed, Self::Rejected].into_iter().find(|state| state.as_str() == text)
    }
}

/// A change with its state.
#[derive(Clone)]
pub struct ChangeRecord {
    /// Its id.
    pub id: ChangeId,
    /// What it changes.
    pub change: Change,
    /// Why.
    pub reason: String,
    /// Where it stands.
    pub state: ChangeState,
    /// The digest that signatures are over.
    pub digest: Digest,
    /// Who proposed it: a person of the registry, or a partner's system for its own release key.
    pub proposer: ActorName,
    /// Who ended it.
    pub decider: Option<ActorName>,
    /// When it was proposed.
    pub created: Timestamp,
}

impl ChangeRecord {
    /// Whether it has put a disposal into effect.
    pub(super) const fn is_disposed(&self) -> bool {
        matches!((&self.change, self.state), (Change::Dispose { .. }, ChangeState::Confirmed))
    }

    /// Whether it has put another key of the log into effect.
    pub(super) const fn is_rekeyed(&self) -> bool {
        matches!((&self.change, self.state), (Change::ChangeLogKey, ChangeState::Confirmed))
    }
}

/// What came of ending a change.
pub enum Ended {
    /// It ended; what changes in the live gallery with it.
    Done(Box<ChangeRecord>, GalleryChange),
    /// It had ended before.
    EndedAlready,
    /// It names something that is not there.
    NothingToChange,
    /// Something still needs what would be disposed of; says what.
    StillNeeded(String),
    /// There is no such change.
    NoChange,
}

/// Whether something to stop was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It was.
    Yes,
    /// It was not; the attempt is logged.
    No,
}

/// A release key that a partner offers.
pub struct ReleaseKeyOffer {
    /// The X25519 public key.
    pub public_key: [u8; 32],
    /// SHA-256 of the challenge that was sealed to it.
    pub challenge: Digest,
    /// When the challenge ends.
    pub expires: Timestamp,
}

/// A partner's proof that it holds the offered key.
pub struct ReleaseKeyProof {
    /// The X25519 public key.
    pub public_key: [u8; 32],
    /// SHA-256 of the challenge as the partner opened it.
    pub challenge: Digest,
    /// The id of the change that waits for two people then.
    pub change: ChangeId,
}

/// What came of a proof.
pub enum ReleaseKeyProven {
    /// The key waits for people of the holder.
    Proposed(ChangeId),
    /// There is no such challenge, it ended, or it was answered wrongly; it is used up.
    NotProven,
}

struct Fields<'a>(RecordReader<'a>);

impl<'a> Fields<'a> {
    fn bytes(&mut self, tag: u8) -> Result<&'a [u8], StoreError> {
        self.0.bytes(tag).ok_or(DAMAGED)
    }

    fn time(&mut self, tag: u8) -> Result<Timestamp, StoreError> {
        let millis = self.bytes(tag)?.try_into().map_err(|_| DAMAGED)?;
        Ok(Timestamp::from_millis(i64::from_be_bytes(millis)))
    }

    fn subject(&mut self, tag: u8) -> Result<SubjectId, StoreError> {
        self.bytes(tag)?.try_into().map(SubjectId::from_bytes).map_err(|_| DAMAGED)
    }

    fn text(&mut self, tag: u8) -> Result<String, StoreError> {
        self.0.text(tag).ok().flatten().map(str::to_owned).ok_or(DAMAGED)
    }

    fn filled(&mut self, tag: u8) -> Result<Option<String>, StoreError> {
        Ok(Some(self.text(tag)?).filter(|text| !text.is_empty()))
    }

    fn parsed<T: std::str::FromStr>(&mut self, tag: u8) -> Result<T, StoreError> {
        self.text(tag)?.parse().map_err(|_| DAMAGED)
    }
}

/// Certificates one after the other, each after its length.
pub(super) fn authorities_encode(authorities: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for authority in authorities {
        out.extend_from_slice(&u32::try_from(authority.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(authority);
    }
    out
}

/// The certificates that [`authorities_encode`] wrote.
pub(super) fn authorities_decode(mut bytes: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut authorities = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| DAMAGED)?;
        let (authority, rest) = rest.split_at_checked(length).ok_or(DAMAGED)?;
        authorities.push(authority.to_vec());
        bytes = rest;
    }
    if bytes.is_empty() { Ok(authorities) } else { Err(DAMAGED) }
}

const DAMAGED: StoreError = StoreError::Damaged { what: "a change" };
const BODY_DOMAIN: &str = "onebit/change-body/v1";
const CHANGE_DOMAIN: &str = "onebit/change/v1";
