//! The record of everything: one trait of named transactions, each of which writes its entry of the log with
//! the change itself.
//!
//! What a transaction gives back is withheld until its entry is durable: see [`Withheld`] and
//! [`AuditReceipt`]. The store maps the index's slots to subjects; nothing else knows both.

pub mod alert;
pub mod backup;
pub mod breach;
pub mod change;
#[cfg(test)]
pub(crate) mod conformance;
pub mod correction;
mod derived;
pub mod disclosure;
pub mod disposal;
pub mod duplicates;
pub mod enrolment;
pub mod holder;
pub mod log;
pub mod notice;
pub mod query;
mod receipt;
pub mod registry;
pub mod renewal;
pub mod search;
pub mod session;
pub mod snapshot;
pub mod sqlite;
pub mod subject;
pub mod witness;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use crate::approval::{Approval, Deed, Eligible, SignedAnswer, SignedCorrectionAsk};
use crate::audit::cosignature::WitnessKey;
use crate::audit::tiles::{BundleId, TileId};
use crate::authz::{Action, Actor, Bundle, PayloadClass, Permit, Reason};
use crate::clock::Timestamp;
use crate::ids::{
    AgreementName, BatchId, BreachId, ChangeId, CollectionName, Digest, DisclosureId, IdError, PartnerName,
    QueryId, RequestId, SubjectRequestId,
};
use crate::keys::Pseudonym;

pub use backup::{BackupBegun, BackupError, BackupMade, BackupPlace};
pub use change::{Change, ChangeEnd, ChangeNew, ChangeRecord};
pub use correction::{CorrectionFilter, CorrectionTerms, CorrectionsAsk};
pub use derived::StoreKeys;
pub use disclosure::{
    Case, CaseCount, CaseFilter, CasesRelated, DisclosureNew, DisclosureSeen, FieldFacts, Release, Released,
};
pub use disposal::PayloadFacts;
pub use enrolment::{Batch, BatchNew, Chunk, ChunkDone, ChunksDone, GalleryChange, SubjectFacts};
pub use holder::{Founding, HolderFacts};
pub use log::{Bundled, ExportFile, JournalHead, LoggedEntry, ProvenEntry};
pub use notice::{Addressed, Delivery, DeliveryEnd, Notice, NoticeKind};
pub use query::{Answer, QueryNew, QueryRecorded, QuerySeen, StoredAnswer, Usage, Verdict};
pub use receipt::{AuditReceipt, Withheld, WrongReceipt};
pub use registry::{Partner, Person, Registry};
pub use search::{FoundEntry, Searched};
pub use session::{
    Passkey, PasskeyEnd, PasskeyNew, PasskeyRegistered, PasskeySigned, ProviderAccount, Session, SessionNew,
    SignIn, SignedInBy,
};
pub use witness::{Given, Quorum, ReleaseSeen, Unwitnessed, Witnessed, WitnessedHead};

/// A value with the receipt that opens it.
pub struct Committed<T> {
    receipt: AuditReceipt,
    value: Withheld<T>,
}

impl<T> Committed<T> {
    /// Opens the value against its receipt.
    ///
    /// # Errors
    /// [`WrongReceipt`], which would be a fault of the store.
    pub fn open(self) -> Result<(T, AuditReceipt), WrongReceipt> {
        let value = self.value.open(&self.receipt)?;
        Ok((value, self.receipt))
    }
}

/// A journal: one for each partner, one for the holder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Journal {
    /// What concerns no partner, and the heads of all partners' journals.
    Holder,
    /// Everything that concerns one partner.
    Partner(PartnerName),
}

impl Journal {
    /// Parses a journal's name.
    ///
    /// # Errors
    /// [`IdError::Name`] when it is neither `holder` nor a name.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        if text == HOLDER_JOURNAL { Ok(Self::Holder) } else { PartnerName::parse(text).map(Self::Partner) }
    }

    /// The name: `holder` or the partner's.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Holder => HOLDER_JOURNAL,
            Self::Partner(partner) => partner.as_str(),
        }
    }
}

impl fmt::Display for Journal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// The store's transactions. Each that changes or shows something takes the proof that it may, and writes its
/// entry in the same transaction.
///
/// Names are noun_verb. Every method fails with [`StoreError::Stopped`] after the log could once not be
/// written: from then on nothing is answered until the process is started again.
#[async_trait]
pub trait Store: Send + Sync {
    // The holder ------------------------------------------------------------------------------------------

    /// Founds the holder: people, first rules, journals. Only on an empty store.
    async fn holder_found(&self, founding: Founding) -> Result<AuditReceipt, StoreError>;
    /// What the store says of its holder; `None` before the founding.
    async fn holder_get(&self) -> Result<Option<HolderFacts>, StoreError>;
    /// Notes that the server was started.
    async fn server_started(&self, version: &'static str) -> Result<AuditReceipt, StoreError>;
    /// Notes that a backup is made, by whom and why; by the system itself without a permit. `None` where the store was
    /// opened without a place for backups.
    async fn backup_begin(
        &self,
        permit: Option<Permit>,
        why: String,
    ) -> Result<Option<BackupBegun>, StoreError>;
    /// Makes the backup that was begun, while everything goes on.
    async fn backup_make(&self, begun: BackupBegun) -> Result<BackupMade, StoreError>;
    /// When the newest backup was made; `None` where there is none, or no place for any.
    async fn backup_newest(&self) -> Result<Option<Timestamp>, StoreError>;
    /// Takes out of the key store's copy what is not in the key store any more, and puts in what is new there.
    async fn backup_keys_copy(&self) -> Result<(), StoreError>;
    /// Everybody who may act.
    async fn registry_load(&self) -> Result<Registry, StoreError>;
    /// The policy folder of this digest.
    async fn policy_get(&self, digest: Digest) -> Result<Option<Bundle>, StoreError>;
    /// Makes the collections of the active rules known, and says what there is of each, in their order.
    async fn collections_sync(
        &self,
        collections: Vec<enrolment::CollectionNew>,
    ) -> Result<Vec<enrolment::CollectionFound>, StoreError>;

    // Renewal of a collection, begun by a change ------------------------------------------------------------

    /// Moves some templates of a collection to its next generation. The caller holds the order of changes, publishes
    /// what moved before it lets go, and then has the snapshots of what is gone forgotten.
    async fn renewal_step(&self, step: renewal::Renewal) -> Result<renewal::RenewalStep, StoreError>;
    /// Enters that a collection is renewed; `false` where templates are left, or nothing is renewed.
    async fn renewal_end(&self, collection: CollectionName) -> Result<bool, StoreError>;
    /// Destroys the keys of generations that no collection uses any more; gives their number.
    async fn renewals_finish(&self) -> Result<u32, StoreError>;

    // Changes that take two people --------------------------------------------------------------------------

    /// Keeps a proposed change.
    async fn change_propose(
        &self,
        permit: Permit,
        new: ChangeNew,
    ) -> Result<Committed<ChangeRecord>, StoreError>;
    /// Puts a change into effect, or rejects it.
    async fn change_end(
        &self,
        permit: Permit,
        end: ChangeEnd,
    ) -> Result<Committed<change::Ended>, StoreError>;
    /// One change.
    async fn change_get(&self, id: ChangeId) -> Result<Option<ChangeRecord>, StoreError>;
    /// Changes, newest first, after the change named.
    async fn change_list(&self, after: Option<ChangeId>, limit: u32)
    -> Result<Vec<ChangeRecord>, StoreError>;
    /// Suspends a partner.
    async fn partner_suspend(
        &self,
        permit: Permit,
        partner: PartnerName,
        why: String,
    ) -> Result<Committed<change::Found>, StoreError>;
    /// Suspends a person or a system.
    async fn person_suspend(
        &self,
        permit: Permit,
        person: crate::ids::ActorName,
        why: String,
    ) -> Result<Committed<change::Found>, StoreError>;
    /// Suspends an official of a partner.
    async fn official_suspend(
        &self,
        permit: Permit,
        partner: PartnerName,
        official: String,
        why: String,
    ) -> Result<Committed<change::Found>, StoreError>;
    /// Suspends an agreement.
    async fn agreement_suspend(
        &self,
        permit: Permit,
        agreement: AgreementName,
        why: String,
    ) -> Result<Committed<()>, StoreError>;
    /// Keeps what came of looking at an alert, and stops whom it says, in one transaction.
    async fn alert_judge(
        &self,
        permit: Permit,
        new: alert::JudgementNew,
    ) -> Result<Committed<alert::Judged>, StoreError>;
    /// Ends a delegation before its time, by the change that made it.
    async fn delegation_end(
        &self,
        permit: Permit,
        change: ChangeId,
        why: String,
    ) -> Result<Committed<change::Found>, StoreError>;
    /// Keeps the challenge to a release key that a partner offered.
    async fn release_key_start(
        &self,
        permit: Permit,
        offer: change::ReleaseKeyOffer,
    ) -> Result<Committed<()>, StoreError>;
    /// Checks the answer to a challenge and, when it is right, proposes the key.
    async fn release_key_prove(
        &self,
        permit: Permit,
        proof: change::ReleaseKeyProof,
    ) -> Result<Committed<change::ReleaseKeyProven>, StoreError>;

    // Sessions ----------------------------------------------------------------------------------------------

    /// The person whom the secret with this SHA-256 invites to register a passkey, as long as it does.
    async fn invitation_get(
        &self,
        secret: Digest,
        now: Timestamp,
    ) -> Result<Option<crate::ids::ActorName>, StoreError>;
    /// Keeps the passkey that an invited person registered, and proposes it.
    async fn passkey_register(
        &self,
        permit: Permit,
        new: PasskeyNew,
    ) -> Result<Committed<PasskeyRegistered>, StoreError>;
    /// The passkey of this name.
    async fn passkey_get(&self, credential: Vec<u8>) -> Result<Option<Passkey>, StoreError>;
    /// The passkeys of a person, also those that wait and those that ended, in the order in which they came.
    async fn passkey_list(&self, person: crate::ids::ActorName) -> Result<Vec<Passkey>, StoreError>;
    /// Ends one passkey, and the sessions that it opened.
    async fn passkey_end(
        &self,
        permit: Permit,
        ask: PasskeyEnd,
    ) -> Result<Committed<change::Found>, StoreError>;
    /// The person whom an account at the agency's provider signs in.
    async fn account_person(
        &self,
        account: ProviderAccount,
    ) -> Result<Option<crate::ids::ActorName>, StoreError>;
    /// Begins the session of somebody who signed in.
    async fn session_start(&self, permit: Permit, new: SessionNew) -> Result<Committed<SignIn>, StoreError>;
    /// The session with this keyed hash.
    async fn session_get(&self, id: Digest) -> Result<Option<Session>, StoreError>;
    /// Notes that a session was used.
    async fn session_seen(&self, id: Digest, seen: Timestamp) -> Result<(), StoreError>;
    /// Ends a session.
    async fn session_end(&self, id: Digest) -> Result<(), StoreError>;

    // Enrolment ---------------------------------------------------------------------------------------------

    /// Starts a batch or finds it again.
    async fn batch_start(&self, permit: Permit, new: BatchNew)
    -> Result<enrolment::BatchStarted, StoreError>;
    /// A batch of this owner.
    async fn batch_get(&self, owner: crate::ids::ActorName, id: BatchId)
    -> Result<Option<Batch>, StoreError>;
    /// Enrols what was accepted of these chunks, one after the other, each with an entry of its own: all of them that
    /// follow on what was answered, or none. What lines up behind is planned meanwhile; the place in line comes back with
    /// what changed.
    async fn chunks_enrol(
        &self,
        chunks: Vec<(Permit, Chunk)>,
        line: enrolment::Line,
    ) -> Result<(ChunksDone, enrolment::InOrder), StoreError>;
    /// What is held of a subject, without values.
    async fn subject_get(&self, source: Pseudonym) -> Result<Option<SubjectFacts>, StoreError>;
    /// Puts together what is held of a person, as far as it is not withheld; that it was is an entry first.
    async fn subject_report(
        &self,
        permit: Permit,
        new: subject::ReportNew,
    ) -> Result<Committed<subject::SubjectReport>, StoreError>;
    /// Templates of a collection to compare with the others there, after a slot, in slot order: what comes of it is withheld
    /// until the entry is there.
    async fn duplicates_page(
        &self,
        generation: enrolment::CollectionGeneration,
        after: u64,
        limit: u32,
    ) -> Result<Vec<duplicates::ToCompare>, StoreError>;
    /// Enters that templates were compared; opens the pairs of subjects that are there and not one person yet.
    async fn duplicates_note(
        &self,
        permit: Permit,
        new: duplicates::DuplicatesNew,
    ) -> Result<Committed<Vec<[crate::ids::SubjectId; 2]>>, StoreError>;
    /// Attaches a statement to a field of a record; whoever received the field is told.
    async fn statement_attach(
        &self,
        permit: Permit,
        new: subject::StatementNew,
    ) -> Result<Committed<subject::Stated>, StoreError>;
    /// Opens a person's request, and hides the person where they dispute what is held.
    async fn subject_request_open(
        &self,
        permit: Permit,
        new: subject::SubjectRequestNew,
    ) -> Result<Committed<(subject::SubjectRequest, GalleryChange)>, StoreError>;
    /// Opens a case about a breach.
    async fn breach_open(
        &self,
        permit: Permit,
        new: breach::BreachNew,
    ) -> Result<Committed<breach::Breach>, StoreError>;
    /// Takes a step of a case about a breach.
    async fn breach_step(
        &self,
        permit: Permit,
        id: BreachId,
        step: breach::BreachStep,
    ) -> Result<Committed<breach::BreachStepped>, StoreError>;
    /// Looks through the log for whom a breach affects; that it was looked through is an entry first.
    async fn breach_trace(
        &self,
        permit: Permit,
        id: BreachId,
        new: breach::TraceNew,
    ) -> Result<Committed<breach::BreachTraced>, StoreError>;
    /// Notes that the Commissioner was not told of a breach in time; `false` where there is nothing to note.
    async fn breach_late(&self, id: BreachId) -> Result<bool, StoreError>;
    /// A case about a breach.
    async fn breach_get(&self, id: BreachId) -> Result<Option<breach::Breach>, StoreError>;
    /// Cases about breaches.
    async fn breach_list(&self, filter: breach::BreachFilter) -> Result<Vec<breach::Breach>, StoreError>;
    /// Extends or closes a person's request.
    async fn subject_request_step(
        &self,
        permit: Permit,
        id: SubjectRequestId,
        step: subject::SubjectRequestStep,
    ) -> Result<Committed<subject::SubjectRequestStepped>, StoreError>;
    /// Notes that a person's request was not decided in time, once; whether it was noted now.
    async fn subject_request_late(&self, id: SubjectRequestId) -> Result<bool, StoreError>;
    /// A person's request.
    async fn subject_request_get(
        &self,
        id: SubjectRequestId,
    ) -> Result<Option<subject::SubjectRequest>, StoreError>;
    /// Persons' requests that a filter lets through.
    async fn subject_request_list(
        &self,
        filter: subject::SubjectRequestFilter,
    ) -> Result<Vec<subject::SubjectRequest>, StoreError>;
    /// Hides a subject.
    async fn restriction_add(
        &self,
        permit: Permit,
        new: enrolment::RestrictionNew,
    ) -> Result<Committed<GalleryChange>, StoreError>;
    /// Erases a subject.
    async fn subject_erase(
        &self,
        permit: Permit,
        source: Pseudonym,
        why: String,
    ) -> Result<Committed<enrolment::Erased>, StoreError>;
    /// Templates of a collection after a slot, in slot order, to fill a gallery.
    async fn gallery_load(
        &self,
        collection: CollectionName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<enrolment::Loaded>, StoreError>;
    /// Reads all templates of a generation as a gallery serves them, page by page in slot order, with the help of
    /// snapshots. Snapshots that are not fit, or hold what is gone, are destroyed.
    async fn gallery_read(
        &self,
        generation: enrolment::CollectionGeneration,
        snapshots: snapshot::Snapshots,
        pages: tokio::sync::mpsc::Sender<Vec<snapshot::Served>>,
    ) -> Result<snapshot::GalleryRead, StoreError>;
    /// How many templates each snapshot of a generation holds, by its range of slots.
    async fn snapshot_counts(
        &self,
        generation: enrolment::CollectionGeneration,
    ) -> Result<BTreeMap<u64, u64>, StoreError>;
    /// The leave to write the snapshot of a range of slots; `None` while another is being written. From here on
    /// nothing that is erased stays in it, so take the copies of templates afterwards.
    async fn snapshot_begin(
        &self,
        generation: enrolment::CollectionGeneration,
        range: u64,
    ) -> Result<Option<snapshot::SnapshotBegun>, StoreError>;
    /// Seals and writes a snapshot, in place of the one before. Not written when one of its templates was erased
    /// meanwhile.
    async fn snapshot_write(&self, new: snapshot::SnapshotNew) -> Result<(), StoreError>;
    /// Destroys the snapshots that hold templates of these slots, which are gone; an erasure does so by itself.
    async fn snapshots_forget(
        &self,
        slots: Vec<(enrolment::CollectionGeneration, u64)>,
    ) -> Result<(), StoreError>;
    /// Destroys the snapshots of all others.
    async fn snapshots_keep(
        &self,
        generations: Vec<enrolment::CollectionGeneration>,
    ) -> Result<(), StoreError>;
    /// The names of every set of restrictions, by its label.
    async fn restriction_sets(&self) -> Result<Vec<enrolment::RestrictionSet>, StoreError>;
    /// The subject behind a slot, `None` when it is gone; for an answer that is then recorded, since this may be ahead
    /// of what is durable.
    async fn slot_subject(&self, slots: Vec<u64>) -> Result<Vec<Option<crate::ids::SubjectId>>, StoreError>;

    // Queries -----------------------------------------------------------------------------------------------

    /// Whether a request id was seen before, and the answer it got; and what the partner used of the agreement, for
    /// a query that is then recorded or refused: this may be ahead of what is durable, and is shown to nobody.
    async fn query_look_up(
        &self,
        partner: PartnerName,
        agreement: AgreementName,
        request: RequestId,
        content: Digest,
        (since, now): (Timestamp, Timestamp),
    ) -> Result<(QuerySeen, Usage), StoreError>;
    /// What a partner used of an agreement.
    async fn query_usage(
        &self,
        partner: PartnerName,
        agreement: AgreementName,
        now: Timestamp,
    ) -> Result<Usage, StoreError>;
    /// Records a query, its outcome and its entry. The verdict opens against the receipt.
    async fn query_record(
        &self,
        permit: Permit,
        new: QueryNew,
        verdict: Withheld<Verdict>,
    ) -> Result<QueryRecorded, StoreError>;
    /// Notes that an authenticated caller was refused.
    async fn refusal_record(
        &self,
        actor: Actor,
        action: Action,
        reason: Reason,
        rule: String,
    ) -> Result<AuditReceipt, StoreError>;

    // Disclosures -------------------------------------------------------------------------------------------

    /// Whether a request id was seen before.
    async fn disclosure_seen(
        &self,
        partner: PartnerName,
        request: RequestId,
        content: Digest,
        since: Timestamp,
    ) -> Result<DisclosureSeen, StoreError>;
    /// Under which agreement a query of this partner was asked, whatever its outcome.
    async fn query_agreement(
        &self,
        partner: PartnerName,
        query: QueryId,
    ) -> Result<Option<query::AskedUnder>, StoreError>;
    /// The templates of whoever a query of the caller's own matched, for a word about the hit that is then recorded, since
    /// this may be ahead of what is durable; none without a hit, or when nothing is held any more.
    async fn hit_templates(
        &self,
        permit: &Permit,
        query: QueryId,
    ) -> Result<Vec<query::HitTemplate>, StoreError>;
    /// Keeps a request, if its query hit.
    async fn disclosure_request(
        &self,
        permit: Permit,
        new: DisclosureNew,
    ) -> Result<Committed<disclosure::Requested>, StoreError>;
    /// One case.
    async fn disclosure_get(&self, id: DisclosureId) -> Result<Option<Case>, StoreError>;
    /// Cases that a filter lets through.
    async fn disclosure_list(&self, filter: CaseFilter) -> Result<Vec<Case>, StoreError>;
    /// How many disclosures there are for a filter, counted up to its limit.
    async fn disclosure_count(&self, filter: CaseFilter) -> Result<CaseCount, StoreError>;
    /// What else was asked about the person of a disclosure, and by its official; this many of each at most.
    async fn disclosure_related(&self, id: DisclosureId, limit: u32) -> Result<CasesRelated, StoreError>;
    /// What is known of the fields asked for, without their values.
    async fn disclosure_fields(&self, id: DisclosureId) -> Result<Vec<FieldFacts>, StoreError>;
    /// The value of one field, which opens after the entry that says it was seen.
    async fn field_view(
        &self,
        permit: Permit,
        id: DisclosureId,
        field: crate::ids::FieldName,
    ) -> Result<Committed<Option<disclosure::FieldValue>>, StoreError>;
    /// Keeps a decision.
    async fn disclosure_decide(
        &self,
        permit: Permit,
        new: disclosure::DecisionNew,
    ) -> Result<Committed<disclosure::Decided>, StoreError>;
    /// Opens the approved fields, seals them to the partner, and keeps the one ciphertext.
    async fn disclosure_release(
        &self,
        approval: Approval,
        terms: disclosure::ReleaseTerms,
    ) -> Result<Committed<Released>, StoreError>;
    /// Fetches a release; the same bytes each time.
    async fn release_fetch(
        &self,
        permit: Permit,
        id: DisclosureId,
    ) -> Result<Committed<Option<Release>>, StoreError>;
    /// Acknowledges a release and deletes its ciphertext.
    async fn release_acknowledge(
        &self,
        permit: Permit,
        id: DisclosureId,
        ciphertext: Digest,
    ) -> Result<Committed<disclosure::Stepped>, StoreError>;
    /// Takes a request back.
    async fn disclosure_withdraw(
        &self,
        permit: Permit,
        id: DisclosureId,
    ) -> Result<Committed<disclosure::Stepped>, StoreError>;
    /// Keeps what an officer did with a case beside deciding it.
    async fn disclosure_tend(
        &self,
        permit: Permit,
        id: DisclosureId,
        deed: Deed,
        eligible: Vec<Eligible>,
    ) -> Result<Committed<disclosure::Stepped>, StoreError>;
    /// Keeps the partner's answer to the open question.
    async fn disclosure_answer(
        &self,
        permit: Permit,
        answer: SignedAnswer,
    ) -> Result<Committed<disclosure::Stepped>, StoreError>;
    /// Tells when a disclosure has changed and that is durable.
    fn disclosure_changes(&self, id: DisclosureId) -> tokio::sync::watch::Receiver<u64>;
    /// Keeps what the partner asks for after a release.
    async fn correction_ask(
        &self,
        permit: Permit,
        ask: SignedCorrectionAsk,
    ) -> Result<Committed<disclosure::Stepped>, StoreError>;
    /// Keeps that the partner acknowledged the correction of this number.
    async fn correction_acknowledge(
        &self,
        permit: Permit,
        id: DisclosureId,
        number: u32,
    ) -> Result<Committed<disclosure::Stepped>, StoreError>;
    /// Disclosures with corrections that wait for something.
    async fn correction_list(&self, ask: CorrectionsAsk) -> Result<Vec<Case>, StoreError>;
    /// Tells the partner of what it may be told of one disclosure; gives how many corrections that were.
    async fn correction_tell(&self, id: DisclosureId, terms: CorrectionTerms) -> Result<u32, StoreError>;
    /// Notes the corrections of one disclosure that were not acknowledged in time; gives how many.
    async fn correction_overdue(&self, id: DisclosureId) -> Result<u32, StoreError>;
    /// Ends a disclosure whose time is over.
    async fn disclosure_expire(
        &self,
        id: DisclosureId,
        now: Timestamp,
    ) -> Result<Committed<disclosure::Stepped>, StoreError>;
    /// Notes that the review which a disclosure owes was not closed in time.
    async fn review_late(
        &self,
        id: DisclosureId,
        now: Timestamp,
    ) -> Result<Committed<disclosure::Stepped>, StoreError>;

    // Notices -----------------------------------------------------------------------------------------------

    /// Notices for which nobody is addressed yet, oldest first.
    async fn notice_list(&self, limit: u32) -> Result<Vec<Notice>, StoreError>;
    /// Keeps to whom notices go, and when their disclosures are late; those that go to nobody are done.
    async fn notices_address(&self, addressed: Vec<Addressed>) -> Result<(), StoreError>;
    /// Makes notices of open disclosures that are late by now, and forgets what was given up long ago.
    async fn notices_remind(&self, now: Timestamp) -> Result<u32, StoreError>;
    /// Who has a delivery due.
    async fn receivers_due(&self, now: Timestamp) -> Result<Vec<String>, StoreError>;
    /// The deliveries to a receiver that are due, oldest first.
    async fn deliveries_due(
        &self,
        receiver: String,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError>;
    /// Keeps what came of trying deliveries to a receiver; that one is given up is an entry.
    async fn deliveries_end(
        &self,
        receiver: String,
        tried: Vec<(i64, DeliveryEnd)>,
    ) -> Result<(), StoreError>;
    /// How many deliveries wait.
    async fn deliveries_waiting(&self) -> Result<u64, StoreError>;
    /// The key that signs webhooks, made when it is asked for first.
    async fn notice_signer(&self) -> Result<crate::keys::NoticeSigner, StoreError>;

    // The log -----------------------------------------------------------------------------------------------

    /// The journals with their sizes.
    async fn journal_list(&self) -> Result<Vec<JournalHead>, StoreError>;
    /// The newest checkpoint of a journal; `None` for an unknown journal.
    async fn checkpoint_get(&self, journal: Journal) -> Result<Option<Bundled>, StoreError>;
    /// A tile of a journal, encoded (C2SP tlog-tiles); `None` when the newest checkpoint does not cover it, and for
    /// an unknown journal.
    async fn tile_get(&self, journal: Journal, tile: TileId) -> Result<Option<Vec<u8>>, StoreError>;
    /// An entry bundle of a journal, without what opens its entries; `None` as for [`Store::tile_get`].
    async fn bundle_get(&self, journal: Journal, bundle: BundleId) -> Result<Option<Vec<u8>>, StoreError>;
    /// Entries of a partner's own journal with what opens its side.
    async fn journal_read(
        &self,
        partner: PartnerName,
        from: u64,
        limit: u32,
    ) -> Result<Vec<LoggedEntry>, StoreError>;
    /// Notes a read of the log and gives it.
    async fn log_read(
        &self,
        permit: Permit,
        read: log::Read,
    ) -> Result<Committed<Vec<ProvenEntry>>, StoreError>;
    /// Notes a search of the log and gives what it found.
    async fn log_search(
        &self,
        permit: Permit,
        search: search::Search,
    ) -> Result<Committed<Searched>, StoreError>;
    /// What was searched for by the search that is this entry of the holder's journal. It is shown to nobody before
    /// [`Store::log_search`] noted that somebody searched for it again.
    async fn search_recall(&self, entry: u64) -> Result<Option<search::Sought>, StoreError>;
    /// What was written into all journals after a place, the oldest first, from so many entries at the most. For the
    /// watch of the system itself: it is shown to nobody before a read is noted.
    async fn log_follow(&self, after: u64, limit: u32) -> Result<search::Followed, StoreError>;
    /// Indexes the entries that became many since it was last done; gives the number of runs that were written.
    async fn tags_index(&self) -> Result<u32, StoreError>;
    /// Notes an export of a journal; files follow by [`Store::export_file`].
    async fn log_export(
        &self,
        permit: Permit,
        journal: Journal,
        why: String,
    ) -> Result<Committed<log::ExportPlan>, StoreError>;
    /// One file of an export.
    async fn export_file(&self, plan: log::ExportPlan, file: ExportFile) -> Result<Vec<u8>, StoreError>;
    /// The proof that a journal only grew from one size to another.
    async fn consistency_proof(
        &self,
        journal: Journal,
        from: u64,
        to: Option<u64>,
    ) -> Result<Option<log::Consistency>, StoreError>;
    /// What is kept of a class of payloads, and how much of it is from before a day (from 1970-01-01).
    async fn payloads_get(&self, class: PayloadClass, before: i64) -> Result<PayloadFacts, StoreError>;
    /// Destroys what disposals that are in effect have left; gives the number of those that are finished now.
    async fn disposals_finish(&self) -> Result<u32, StoreError>;
    /// Writes the head of each partner's journal that grew into the holder's journal.
    async fn heads_record(&self) -> Result<u32, StoreError>;

    // Witnesses of the holder's journal -----------------------------------------------------------------------

    /// The newest checkpoint of the holder's journal, and what each of these witnesses is known to have cosigned.
    async fn checkpoint_unwitnessed(&self, witnesses: Vec<WitnessKey>) -> Result<Unwitnessed, StoreError>;
    /// Keeps what witnesses gave for the checkpoint of a size of the holder's journal, and gives the size of the
    /// newest one that a quorum cosigned.
    async fn cosignatures_keep(
        &self,
        size: u64,
        given: Vec<Given>,
        quorum: Quorum,
    ) -> Result<Option<u64>, StoreError>;
    /// The newest checkpoint of the holder's journal that a quorum cosigned, with their lines.
    async fn checkpoint_witnessed(&self, quorum: Quorum) -> Result<Option<Witnessed>, StoreError>;
    /// Whether the entry of a partner's release is covered by what a quorum saw.
    async fn release_seen(
        &self,
        partner: PartnerName,
        id: DisclosureId,
        quorum: Quorum,
    ) -> Result<ReleaseSeen, StoreError>;
    /// The newest head of a partner's journal that a quorum saw, with a proof between it and another size.
    async fn head_witnessed(
        &self,
        partner: PartnerName,
        quorum: Quorum,
        from: u64,
    ) -> Result<Option<WitnessedHead>, StoreError>;
}

/// What went wrong in the store; what a caller may do about it is the gate's to say.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The log could once not be written.
    #[error(
        "the log could not be written; nothing is answered until the disk is mended and the server restarted"
    )]
    Stopped,
    /// The writer's queue is full.
    #[error("too much is waiting to be written; ask again in a moment")]
    Overloaded,
    /// The database failed.
    #[error("the database failed while {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: rusqlite::Error,
    },
    /// A migration failed.
    #[error("the database could not be brought to this version's form")]
    Migration(#[source] Box<refinery::Error>),
    /// The database was written by a newer version.
    #[error("the database has form {found}, this version knows {known}; start the version that wrote it")]
    TooNew {
        /// The number of the newest migration in the database.
        found: i64,
        /// The number of the newest migration of this version.
        known: i64,
    },
    /// The root key is not the one that the database was founded with.
    #[error(
        "the root key is none that opens this store, or its databases are of two stores; point `root_key.file` at the right one"
    )]
    WrongRootKey,
    /// A change of keys that must not be made.
    #[error("{0}")]
    KeysRefused(String),
    /// The second place holds no heads.
    #[error(
        "there are no heads in `{path}`, so nobody knows whether this database is the newest; correct \
         `store.heads_folder`, or see \"When the server refuses to sign\" in docs/operating.md"
    )]
    NoHeads {
        /// Where they were looked for.
        path: String,
    },
    /// The database has less than was signed.
    #[error(
        "the journal `{origin}` has {stored} entries here, but a checkpoint over {signed} was signed: this database \
         is older than what others hold. Nothing is signed; put the newest database back, or see \"When the server \
         refuses to sign\" in docs/operating.md"
    )]
    Behind {
        /// The journal's origin.
        origin: String,
        /// The size in the database.
        stored: u64,
        /// The size that was signed.
        signed: u64,
    },
    /// The database has something else than what was signed.
    #[error(
        "the journal `{origin}` is not the one whose checkpoint over {size} entries was signed. Nothing is signed; \
         put the right database back, or see \"When the server refuses to sign\" in docs/operating.md"
    )]
    Forked {
        /// The journal's origin.
        origin: String,
        /// The size of the checkpoint that does not fit.
        size: u64,
    },
    /// A file or folder could not be used.
    #[error("cannot use `{path}`")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The root key lies beside what it protects.
    #[error(
        "the root key lies in the database's folder; move it elsewhere, and back it up apart from the data"
    )]
    RootKeyBesideData,
    /// The holder was founded already.
    #[error("this store was founded already; the ceremony is held once")]
    AlreadyFounded,
    /// Sealed bytes did not open.
    #[error("sealed bytes did not open while {doing}")]
    Sealed {
        /// What was being done.
        doing: &'static str,
        /// What the key said.
        #[source]
        source: crate::keys::SealError,
    },
    /// An entry could not be made.
    #[error("an entry could not be made while {doing}")]
    Entry {
        /// What was being done.
        doing: &'static str,
        /// What the entry's form said.
        #[source]
        source: crate::audit::entry::EntryError,
    },
    /// A key could not be made or used.
    #[error("a key could not be used while {doing}")]
    Key {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Stored bytes are not in their form.
    #[error("stored bytes are damaged: {what}")]
    Damaged {
        /// What is damaged.
        what: &'static str,
    },
    /// The log's own arithmetic failed.
    #[error("the log's tree does not add up while {doing}")]
    Tree {
        /// What was being done.
        doing: &'static str,
    },
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] crate::secret::EntropyError),
    /// The store's worker ended.
    #[error("the store is closed")]
    Closed,
}

const HOLDER_JOURNAL: &str = "holder";
