//! The trait's methods: each takes its transaction to the writer, or its question to a reader.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio::sync::mpsc::Sender;

use crate::approval::{Approval, Deed, Eligible, SignedAnswer, SignedCorrectionAsk};
use crate::audit::cosignature::WitnessKey;
use crate::audit::tiles::{BundleId, TileId};
use crate::authz::{Action, Actor, Bundle, PayloadClass, Permit, Reason};
use crate::clock::Timestamp;
use crate::ids::{
    ActorName, AgreementName, BatchId, BreachId, ChangeId, CollectionName, Digest, DisclosureId, FieldName,
    PartnerName, QueryId, RequestId, SubjectId, SubjectRequestId,
};
use crate::keys::Pseudonym;
use crate::store::ProviderAccount;
use crate::store::alert::{Judged, JudgementNew};
use crate::store::backup::{BackupBegun, BackupMade};
use crate::store::breach::{
    Breach, BreachFilter, BreachNew, BreachStep, BreachStepped, BreachTraced, TraceNew,
};
use crate::store::change::{Ended, Found, ReleaseKeyOffer, ReleaseKeyProof, ReleaseKeyProven};
use crate::store::correction::{CorrectionTerms, CorrectionsAsk};
use crate::store::disclosure::{Decided, DecisionNew, FieldValue, ReleaseTerms, Requested, Stepped};
use crate::store::duplicates::{DuplicatesNew, ToCompare};
use crate::store::enrolment::{
    BatchStarted, CollectionFound, CollectionGeneration, CollectionNew, Erased, InOrder, Line, Loaded,
    RestrictionNew, RestrictionSet,
};
use crate::store::log::{Consistency, ExportPlan, Read};
use crate::store::notice::{Addressed, Delivery, DeliveryEnd, Notice};
use crate::store::query::{AskedUnder, HitTemplate};
use crate::store::receipt::Ticket;
use crate::store::renewal::{Renewal, RenewalStep};
use crate::store::search::{Followed, Search, Searched, Sought};
use crate::store::session::{
    Passkey, PasskeyEnd, PasskeyNew, PasskeyRegistered, Session, SessionNew, SignIn,
};
use crate::store::snapshot::{GalleryRead, Served, SnapshotBegun, SnapshotNew, Snapshots};
use crate::store::subject::{
    ReportNew, Stated, StatementNew, SubjectReport, SubjectRequest, SubjectRequestFilter, SubjectRequestNew,
    SubjectRequestStep, SubjectRequestStepped,
};
use crate::store::{
    AuditReceipt, Batch, BatchNew, Bundled, Case, CaseCount, CaseFilter, CasesRelated, ChangeEnd, ChangeNew,
    ChangeRecord, Chunk, ChunkDone, ChunksDone, Committed, DisclosureNew, DisclosureSeen, ExportFile,
    FieldFacts, Founding, GalleryChange, Given, HolderFacts, Journal, JournalHead, LoggedEntry, PayloadFacts,
    ProvenEntry, QueryNew, QueryRecorded, QuerySeen, Quorum, Registry, Release, ReleaseSeen, Released, Store,
    StoreError, SubjectFacts, Unwitnessed, Usage, Verdict, Withheld, Witnessed, WitnessedHead,
};

use super::chunks::{Foreseen, Planned, Written};
use super::disposal::Span;
use super::query::Recording;
use super::tx::Tx;
use super::writer::UNLOGGED;
use super::{
    SqliteStore, account, alert, backup, breach, case, change, correction, delegation, disclosure,
    disclosure_list, disclosure_row, disposal, duplicates, enrolment, export, gallery, holder, log, notice,
    passkey, query, renewal, review, search, session, snapshot, statement, subject, subject_request,
    suspension, witness,
};

#[async_trait]
impl Store for SqliteStore {
    async fn holder_found(&self, founding: Founding) -> Result<AuditReceipt, StoreError> {
        let founded = self.writer.logged(move |tx| holder::found(tx, &founding)).await?;
        receipt_of(founded)
    }

    async fn holder_get(&self) -> Result<Option<HolderFacts>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| holder::get(&context, sql)).await
    }

    async fn server_started(&self, version: &'static str) -> Result<AuditReceipt, StoreError> {
        self.key_notes_enter().await?;
        let started = self
            .writer
            .logged(move |tx| {
                let policy = holder::policy_active(tx.sql)?;
                let event = tx
                    .system_event(crate::audit::event::Kind::ServerStarted, policy)
                    .text(crate::audit::event::Fact::Version, version);
                tx.enter_private(&event, &[]).map(|_| ())
            })
            .await?;
        receipt_of(started)
    }

    async fn backup_begin(
        &self,
        permit: Option<Permit>,
        why: String,
    ) -> Result<Option<BackupBegun>, StoreError> {
        if self.backups.is_none() {
            return Ok(None);
        }
        let begun = self.writer.logged(move |tx| backup::begin(tx, permit.as_ref(), &why)).await?;
        let ((name, id), receipt) = begun.open().map_err(|_| UNLOGGED)?;
        Ok(Some(BackupBegun { name, id, receipt }))
    }

    async fn backup_make(&self, begun: BackupBegun) -> Result<BackupMade, StoreError> {
        self.backup(begun).await
    }

    async fn backup_newest(&self) -> Result<Option<Timestamp>, StoreError> {
        self.backups.as_ref().map_or(Ok(None), |backups| backups.newest())
    }

    async fn backup_keys_copy(&self) -> Result<(), StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        let copied = tokio::task::spawn_blocking(move || backup::keys_copy(&context));
        copied.await.map_err(|_| StoreError::Closed)?
    }

    async fn registry_load(&self) -> Result<Registry, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| holder::registry(&context, sql)).await
    }

    async fn policy_get(&self, digest: Digest) -> Result<Option<Bundle>, StoreError> {
        self.readers.read(move |sql| holder::policy_get(sql, digest)).await
    }

    async fn collections_sync(
        &self,
        collections: Vec<CollectionNew>,
    ) -> Result<Vec<CollectionFound>, StoreError> {
        self.writer.unlogged(move |tx| renewal::collections_sync(tx, &collections)).await
    }

    async fn renewal_step(&self, step: Renewal) -> Result<RenewalStep, StoreError> {
        self.renewal_move(step).await
    }

    async fn renewal_end(&self, collection: CollectionName) -> Result<bool, StoreError> {
        // What a crash from here on leaves is done by the next call of `renewals_finish`.
        self.writer.unlogged(move |tx| renewal::end(tx, &collection)).await
    }

    async fn renewals_finish(&self) -> Result<u32, StoreError> {
        let used = self.readers.read(renewal::oldest_used).await?;
        let context = std::sync::Arc::clone(&self.context);
        let destroyed = tokio::task::spawn_blocking(move || {
            used.into_iter().try_fold(0_usize, |sum, (collection, oldest)| {
                let destroyed = context.keys.collection_keys_destroy(&collection, oldest)?;
                Ok::<_, StoreError>(sum.saturating_add(destroyed))
            })
        });
        let destroyed = destroyed.await.map_err(|_| StoreError::Closed)??;
        if destroyed > 0 {
            self.log_truncate().await?;
        }
        Ok(u32::try_from(destroyed).unwrap_or(u32::MAX))
    }

    async fn change_propose(
        &self,
        permit: Permit,
        new: ChangeNew,
    ) -> Result<Committed<ChangeRecord>, StoreError> {
        self.writer.logged(move |tx| change::propose(tx, &permit, new)).await
    }

    async fn change_end(&self, permit: Permit, end: ChangeEnd) -> Result<Committed<Ended>, StoreError> {
        let ticket = Ticket::next();
        let ended = self.writer.with_ticket(ticket, move |tx| change::end(tx, &permit, &end)).await?;
        let (ended, receipt) = (ended.0, ended.1.ok_or(UNLOGGED)?);
        if matches!(&ended, Ended::Done(record, _) if record.is_disposed()) {
            // The entry stands; what fails from here on is done again by a job, and at the next start.
            if let Err(error) = self.disposals_end().await {
                let error = crate::telemetry::chain(&error);
                tracing::error!(%error, "payloads are not destroyed yet; it will be tried again");
            }
        }
        if matches!(&ended, Ended::Done(record, _) if record.is_rekeyed()) {
            // The new key signs; what is left of the old one is destroyed at the next start at the latest.
            if let Err(error) = self.log_keys_forget().await {
                let error = crate::telemetry::chain(&error);
                tracing::error!(%error, "the log's old key is not destroyed yet; restart the server");
            }
        }
        Ok(Committed { value: Withheld::with_ticket(ended, ticket), receipt })
    }

    async fn change_get(&self, id: ChangeId) -> Result<Option<ChangeRecord>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| change::get(&context, sql, id)).await
    }

    async fn change_list(
        &self,
        after: Option<ChangeId>,
        limit: u32,
    ) -> Result<Vec<ChangeRecord>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| change::list(&context, sql, after, limit)).await
    }

    async fn partner_suspend(
        &self,
        permit: Permit,
        partner: PartnerName,
        why: String,
    ) -> Result<Committed<Found>, StoreError> {
        self.writer.logged(move |tx| change::partner_suspend(tx, &permit, &partner, &why)).await
    }

    async fn person_suspend(
        &self,
        permit: Permit,
        person: ActorName,
        why: String,
    ) -> Result<Committed<Found>, StoreError> {
        self.writer.logged(move |tx| change::person_suspend(tx, &permit, &person, &why)).await
    }

    async fn official_suspend(
        &self,
        permit: Permit,
        partner: PartnerName,
        official: String,
        why: String,
    ) -> Result<Committed<Found>, StoreError> {
        let suspend =
            move |tx: &mut Tx<'_>| suspension::official_suspend(tx, &permit, (&partner, &official), &why);
        self.writer.logged(suspend).await
    }

    async fn agreement_suspend(
        &self,
        permit: Permit,
        agreement: AgreementName,
        why: String,
    ) -> Result<Committed<()>, StoreError> {
        self.writer.logged(move |tx| suspension::agreement_suspend(tx, &permit, &agreement, &why)).await
    }

    async fn alert_judge(&self, permit: Permit, new: JudgementNew) -> Result<Committed<Judged>, StoreError> {
        self.writer.logged(move |tx| alert::judge(tx, &permit, &new)).await
    }

    async fn delegation_end(
        &self,
        permit: Permit,
        change: ChangeId,
        why: String,
    ) -> Result<Committed<Found>, StoreError> {
        self.writer.logged(move |tx| delegation::end(tx, &permit, change, &why)).await
    }

    async fn release_key_start(
        &self,
        permit: Permit,
        offer: ReleaseKeyOffer,
    ) -> Result<Committed<()>, StoreError> {
        self.writer.logged(move |tx| change::release_key_start(tx, &permit, &offer)).await
    }

    async fn release_key_prove(
        &self,
        permit: Permit,
        proof: ReleaseKeyProof,
    ) -> Result<Committed<ReleaseKeyProven>, StoreError> {
        self.writer.logged(move |tx| change::release_key_prove(tx, &permit, &proof)).await
    }

    async fn invitation_get(&self, secret: Digest, now: Timestamp) -> Result<Option<ActorName>, StoreError> {
        self.readers.read(move |sql| passkey::invited(sql, secret, now)).await
    }

    async fn passkey_register(
        &self,
        permit: Permit,
        new: PasskeyNew,
    ) -> Result<Committed<PasskeyRegistered>, StoreError> {
        self.writer.logged(move |tx| passkey::register(tx, &permit, new)).await
    }

    async fn passkey_get(&self, credential: Vec<u8>) -> Result<Option<Passkey>, StoreError> {
        self.readers.read(move |sql| passkey::get(sql, &credential)).await
    }

    async fn passkey_list(&self, person: ActorName) -> Result<Vec<Passkey>, StoreError> {
        self.readers.read(move |sql| passkey::of_person(sql, &person)).await
    }

    async fn passkey_end(&self, permit: Permit, ask: PasskeyEnd) -> Result<Committed<Found>, StoreError> {
        self.writer.logged(move |tx| passkey::end(tx, &permit, &ask)).await
    }

    async fn account_person(&self, account: ProviderAccount) -> Result<Option<ActorName>, StoreError> {
        self.readers.read(move |sql| account::person_of(sql, &account)).await
    }

    async fn session_start(&self, permit: Permit, new: SessionNew) -> Result<Committed<SignIn>, StoreError> {
        self.writer.logged(move |tx| session::start(tx, &permit, &new)).await
    }

    async fn session_get(&self, id: Digest) -> Result<Option<Session>, StoreError> {
        self.readers.read(move |sql| session::get(sql, id)).await
    }

    async fn session_seen(&self, id: Digest, seen: Timestamp) -> Result<(), StoreError> {
        self.writer.unlogged(move |tx| session::seen(tx, id, seen)).await
    }

    async fn session_end(&self, id: Digest) -> Result<(), StoreError> {
        self.writer.unlogged(move |tx| session::end(tx, id)).await
    }

    async fn batch_start(&self, permit: Permit, new: BatchNew) -> Result<BatchStarted, StoreError> {
        self.writer.unlogged(move |tx| enrolment::batch_start(tx, &permit, &new)).await
    }

    async fn batch_get(&self, owner: ActorName, id: BatchId) -> Result<Option<Batch>, StoreError> {
        self.readers.read(move |sql| enrolment::batch_get(sql, &owner, id)).await
    }

    async fn chunks_enrol(
        &self,
        chunks: Vec<(Permit, Chunk)>,
        line: Line,
    ) -> Result<(ChunksDone, InOrder), StoreError> {
        // INVARIANT: kept until the place in line is taken, so that chunks are written in the order of their plans.
        let planning = self.enrolling.lock().await;
        let planned = self.chunks_plan(chunks, self.ahead.foreseen()).await?;
        let in_order = line.take().await;
        let mut planned = match planned {
            Planned::Ready(plan) => plan,
            // INVARIANT: whoever was ahead is written, or will never be.
            Planned::Meets(chunks) => self.chunks_plan(chunks, Foreseen::default()).await?.alone()?,
        };
        let _ahead = self.ahead.go(planned.after());
        drop(planning);
        for _ in 0..PLANS {
            let written = self.writer.with_ticket(Ticket::next(), move |tx| planned.write(tx)).await?;
            match written {
                (Written::Done(done, change), receipt) => {
                    let enrolled = |done: &ChunkDone| matches!(done, ChunkDone::Enrolled { .. });
                    if receipt.is_none() && done.iter().any(enrolled) {
                        return Err(UNLOGGED);
                    }
                    return Ok((ChunksDone { receipt, done, change }, in_order));
                }
                (Written::Stale(again), _) => {
                    planned = self.chunks_plan(again, Foreseen::default()).await?.alone()?;
                }
            }
        }
        Err(StoreError::Overloaded)
    }

    async fn subject_get(&self, source: Pseudonym) -> Result<Option<SubjectFacts>, StoreError> {
        self.readers.read(move |sql| enrolment::subject_get(sql, &source)).await
    }

    async fn subject_report(
        &self,
        permit: Permit,
        new: ReportNew,
    ) -> Result<Committed<SubjectReport>, StoreError> {
        let (context, new) = (std::sync::Arc::clone(&self.context), std::sync::Arc::new(new));
        let asked = std::sync::Arc::clone(&new);
        // Beside the writer, as a search of the log is; it is withheld until the entry is there.
        let read = move |sql: &_| subject::read(&context, sql, &asked);
        let (who, report) = self.readers.read_before_entry(read).await?;
        self.writer
            .logged(move |tx| {
                subject::enter(tx, &permit, &new, who)?;
                Ok(report)
            })
            .await
    }

    async fn duplicates_page(
        &self,
        generation: CollectionGeneration,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToCompare>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        let read = move |sql: &_| duplicates::page(&context, sql, &generation, after, limit);
        self.readers.read_before_entry(read).await
    }

    async fn duplicates_note(
        &self,
        permit: Permit,
        new: DuplicatesNew,
    ) -> Result<Committed<Vec<[SubjectId; 2]>>, StoreError> {
        self.writer.logged(move |tx| duplicates::note(tx, &permit, &new)).await
    }

    async fn statement_attach(
        &self,
        permit: Permit,
        new: StatementNew,
    ) -> Result<Committed<Stated>, StoreError> {
        self.writer.logged(move |tx| statement::attach(tx, &permit, &new)).await
    }

    async fn subject_request_open(
        &self,
        permit: Permit,
        new: SubjectRequestNew,
    ) -> Result<Committed<(SubjectRequest, GalleryChange)>, StoreError> {
        self.writer.logged(move |tx| subject_request::open(tx, &permit, &new)).await
    }

    async fn subject_request_step(
        &self,
        permit: Permit,
        id: SubjectRequestId,
        step: SubjectRequestStep,
    ) -> Result<Committed<SubjectRequestStepped>, StoreError> {
        self.writer.logged(move |tx| subject_request::step(tx, &permit, id, &step)).await
    }

    async fn breach_open(&self, permit: Permit, new: BreachNew) -> Result<Committed<Breach>, StoreError> {
        self.writer.logged(move |tx| breach::open(tx, &permit, &new)).await
    }

    async fn breach_step(
        &self,
        permit: Permit,
        id: BreachId,
        step: BreachStep,
    ) -> Result<Committed<BreachStepped>, StoreError> {
        self.writer.logged(move |tx| breach::step(tx, &permit, id, &step)).await
    }

    async fn breach_trace(
        &self,
        permit: Permit,
        id: BreachId,
        new: TraceNew,
    ) -> Result<Committed<BreachTraced>, StoreError> {
        let (context, new) = (std::sync::Arc::clone(&self.context), std::sync::Arc::new(new));
        let asked = std::sync::Arc::clone(&new);
        // Beside the writer, as a search of the log is; it is withheld until the entry is there.
        let read = move |sql: &_| breach::read(&context, sql, &asked);
        let affected = self.readers.read_before_entry(read).await?;
        self.writer.logged(move |tx| breach::trace(tx, &permit, id, &new, affected)).await
    }

    async fn breach_late(&self, id: BreachId) -> Result<bool, StoreError> {
        self.writer
            .unlogged(move |tx| {
                let policy = holder::policy_active(tx.sql)?;
                breach::late(tx, id, policy)
            })
            .await
    }

    async fn breach_get(&self, id: BreachId) -> Result<Option<Breach>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| breach::get(&context, sql, id)).await
    }

    async fn breach_list(&self, filter: BreachFilter) -> Result<Vec<Breach>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| breach::list(&context, sql, &filter)).await
    }

    async fn subject_request_late(&self, id: SubjectRequestId) -> Result<bool, StoreError> {
        self.writer
            .unlogged(move |tx| {
                let policy = holder::policy_active(tx.sql)?;
                subject_request::late(tx, id, policy)
            })
            .await
    }

    async fn subject_request_get(&self, id: SubjectRequestId) -> Result<Option<SubjectRequest>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| subject_request::get(&context, sql, id)).await
    }

    async fn subject_request_list(
        &self,
        filter: SubjectRequestFilter,
    ) -> Result<Vec<SubjectRequest>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| subject_request::list(&context, sql, &filter)).await
    }

    async fn restriction_add(
        &self,
        permit: Permit,
        new: RestrictionNew,
    ) -> Result<Committed<GalleryChange>, StoreError> {
        self.writer.logged(move |tx| enrolment::restriction_add(tx, &permit, &new)).await
    }

    async fn subject_erase(
        &self,
        permit: Permit,
        source: Pseudonym,
        why: String,
    ) -> Result<Committed<Erased>, StoreError> {
        let ticket = Ticket::next();
        let erased = self
            .writer
            .with_ticket(ticket, move |tx| enrolment::subject_erase(tx, &permit, &source, &why))
            .await?;
        let ((change, subject), receipt) = (erased.0, erased.1.ok_or(UNLOGGED)?);
        // The rows are gone and the entry stands; what a crash from here on leaves is finished at the next start.
        let bytes_gone = match subject {
            Some(subject) => self.erasure_finish(subject, change.removed.clone()).await,
            None => Ok(()),
        };
        Ok(Committed { value: Withheld::with_ticket(Erased { change, bytes_gone }, ticket), receipt })
    }

    async fn gallery_load(
        &self,
        collection: CollectionName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Loaded>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| enrolment::gallery_load(&context, sql, &collection, after, limit)).await
    }

    async fn gallery_read(
        &self,
        generation: CollectionGeneration,
        snapshots: Snapshots,
        pages: Sender<Vec<Served>>,
    ) -> Result<GalleryRead, StoreError> {
        let name = generation.clone();
        if snapshots == Snapshots::Destroyed {
            self.with_snapshots(move |context, folder| {
                let ranges = folder.counts(&name).into_keys();
                folder.destroy(context, &ranges.map(|range| (name.clone(), range)).collect())
            })
            .await?;
        }
        let (context, folder) =
            (std::sync::Arc::clone(&self.context), std::sync::Arc::clone(&self.snapshots));
        let reading =
            self.readers.read(move |sql| gallery::read(&context, &folder, sql, &generation, &pages)).await?;
        let gallery::Reading { read, unfit } = reading;
        self.with_snapshots(move |context, folder| folder.destroy(context, &unfit)).await?;
        Ok(read)
    }

    async fn snapshot_counts(
        &self,
        generation: CollectionGeneration,
    ) -> Result<BTreeMap<u64, u64>, StoreError> {
        Ok(self.snapshots.counts(&generation))
    }

    async fn snapshot_begin(
        &self,
        generation: CollectionGeneration,
        range: u64,
    ) -> Result<Option<SnapshotBegun>, StoreError> {
        Ok(self.snapshots.begin((generation, range)))
    }

    async fn snapshot_write(&self, new: SnapshotNew) -> Result<(), StoreError> {
        let name = new.begun.generation.collection.clone();
        // INVARIANT: after the copies were taken. Whatever they hold was committed before, and so is in the database
        // wherever this position is.
        let (dimension, position) = self
            .readers
            .read(move |sql| Ok((snapshot::dimension(sql, &name)?, snapshot::position(sql)?)))
            .await?;
        let dimension = dimension.ok_or(StoreError::Damaged { what: "a collection without its row" })?;
        self.with_snapshots(move |context, folder| folder.write(context, new, dimension, position)).await
    }

    async fn snapshots_forget(&self, slots: Vec<(CollectionGeneration, u64)>) -> Result<(), StoreError> {
        if slots.is_empty() {
            return Ok(());
        }
        self.with_snapshots(move |context, folder| folder.slots_gone(context, &slots)).await
    }

    async fn snapshots_keep(&self, generations: Vec<CollectionGeneration>) -> Result<(), StoreError> {
        self.with_snapshots(move |context, folder| folder.keep_only(context, &generations)).await
    }

    async fn restriction_sets(&self) -> Result<Vec<RestrictionSet>, StoreError> {
        self.readers.read(enrolment::restriction_sets).await
    }

    async fn slot_subject(&self, slots: Vec<u64>) -> Result<Vec<Option<SubjectId>>, StoreError> {
        self.readers.glance_before_entry(move |sql| enrolment::slot_subjects(sql, &slots)).await
    }

    async fn query_look_up(
        &self,
        partner: PartnerName,
        agreement: AgreementName,
        request: RequestId,
        content: Digest,
        (since, now): (Timestamp, Timestamp),
    ) -> Result<(QuerySeen, Usage), StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        let found = self.readers.glance_before_entry(move |sql| {
            let seen = query::seen(&context, sql, &partner, request, content, since)?;
            Ok((seen, query::usage(sql, &partner, &agreement, now)?))
        });
        let found = found.await?;
        if !matches!(found.0, QuerySeen::New) {
            // It is shown as it is, without an entry of its own.
            self.readers.settled().await?;
        }
        Ok(found)
    }

    async fn query_usage(
        &self,
        partner: PartnerName,
        agreement: AgreementName,
        now: Timestamp,
    ) -> Result<Usage, StoreError> {
        self.readers.read(move |sql| query::usage(sql, &partner, &agreement, now)).await
    }

    async fn query_record(
        &self,
        permit: Permit,
        new: QueryNew,
        verdict: Withheld<Verdict>,
    ) -> Result<QueryRecorded, StoreError> {
        let (id, request, content, since) = (new.id, new.request, new.content, new.window_start);
        let (partner, _) = query::partner_and_agreement(&permit)?;
        let (recorded, receipt) = self
            .writer
            .checked_first(verdict.ticket(), move |tx| {
                let recording = query::record(tx, &permit, &new, verdict.inside())?;
                Ok((recording, verdict))
            })
            .await?;
        Ok(match recorded {
            (Recording::New, verdict) => QueryRecorded::New(id, receipt.ok_or(UNLOGGED)?, verdict),
            (Recording::Seen, _) => {
                let context = std::sync::Arc::clone(&self.context);
                let seen = move |sql: &_| query::seen(&context, sql, &partner, request, content, since);
                QueryRecorded::Seen(self.readers.read(seen).await?)
            }
            (Recording::DayExhausted, _) => QueryRecorded::DayExhausted,
            (Recording::YearExhausted, _) => QueryRecorded::YearExhausted,
        })
    }

    async fn refusal_record(
        &self,
        actor: Actor,
        action: Action,
        reason: Reason,
        rule: String,
    ) -> Result<AuditReceipt, StoreError> {
        let refused = self.writer.checked_first(Ticket::next(), move |tx| {
            let policy = holder::policy_active(tx.sql)?;
            query::refusal(tx, policy, &actor, action, reason, &rule)
        });
        refused.await?.1.ok_or(UNLOGGED)
    }

    async fn disclosure_seen(
        &self,
        partner: PartnerName,
        request: RequestId,
        content: Digest,
        since: Timestamp,
    ) -> Result<DisclosureSeen, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| disclosure::seen(&context, sql, &partner, request, content, since)).await
    }

    async fn query_agreement(
        &self,
        partner: PartnerName,
        query: QueryId,
    ) -> Result<Option<AskedUnder>, StoreError> {
        self.readers.read(move |sql| query::asked_under(sql, &partner, query)).await
    }

    async fn hit_templates(&self, permit: &Permit, query: QueryId) -> Result<Vec<HitTemplate>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        let partner = permit.actor().partner.clone();
        let partner =
            partner.ok_or(StoreError::Damaged { what: "a permit of a partner without its name" })?;
        self.readers
            .glance_before_entry(move |sql| query::hit_templates(&context, sql, &partner, query))
            .await
    }

    async fn disclosure_request(
        &self,
        permit: Permit,
        new: DisclosureNew,
    ) -> Result<Committed<Requested>, StoreError> {
        self.writer.logged(move |tx| disclosure::request(tx, &permit, new)).await
    }

    async fn disclosure_get(&self, id: DisclosureId) -> Result<Option<Case>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| Ok(disclosure_row::get(&context, sql, id)?.map(|row| row.case))).await
    }

    async fn disclosure_list(&self, filter: CaseFilter) -> Result<Vec<Case>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| disclosure_list::list(&context, sql, &filter)).await
    }

    async fn disclosure_count(&self, filter: CaseFilter) -> Result<CaseCount, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| disclosure_list::count(&context, sql, &filter)).await
    }

    async fn disclosure_related(&self, id: DisclosureId, limit: u32) -> Result<CasesRelated, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| disclosure_list::related(&context, sql, id, limit)).await
    }

    async fn disclosure_fields(&self, id: DisclosureId) -> Result<Vec<FieldFacts>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| disclosure::fields(&context, sql, id)).await
    }

    async fn field_view(
        &self,
        permit: Permit,
        id: DisclosureId,
        field: FieldName,
    ) -> Result<Committed<Option<FieldValue>>, StoreError> {
        self.writer.logged(move |tx| disclosure::field_view(tx, &permit, id, &field)).await
    }

    async fn disclosure_decide(
        &self,
        permit: Permit,
        new: DecisionNew,
    ) -> Result<Committed<Decided>, StoreError> {
        self.writer.logged(move |tx| disclosure::decide(tx, &permit, new)).await
    }

    async fn disclosure_release(
        &self,
        approval: Approval,
        terms: ReleaseTerms,
    ) -> Result<Committed<Released>, StoreError> {
        self.writer.logged(move |tx| disclosure::release(tx, approval, &terms)).await
    }

    async fn release_fetch(
        &self,
        permit: Permit,
        id: DisclosureId,
    ) -> Result<Committed<Option<Release>>, StoreError> {
        self.writer.logged(move |tx| disclosure::fetch(tx, &permit, id)).await
    }

    async fn release_acknowledge(
        &self,
        permit: Permit,
        id: DisclosureId,
        ciphertext: Digest,
    ) -> Result<Committed<Stepped>, StoreError> {
        self.writer.logged(move |tx| disclosure::acknowledge(tx, &permit, id, ciphertext)).await
    }

    async fn disclosure_withdraw(
        &self,
        permit: Permit,
        id: DisclosureId,
    ) -> Result<Committed<Stepped>, StoreError> {
        self.writer.logged(move |tx| disclosure::withdraw(tx, &permit, id)).await
    }

    async fn disclosure_tend(
        &self,
        permit: Permit,
        id: DisclosureId,
        deed: Deed,
        eligible: Vec<Eligible>,
    ) -> Result<Committed<Stepped>, StoreError> {
        self.writer.logged(move |tx| case::tend(tx, &permit, id, deed, &eligible)).await
    }

    async fn disclosure_answer(
        &self,
        permit: Permit,
        answer: SignedAnswer,
    ) -> Result<Committed<Stepped>, StoreError> {
        self.writer.logged(move |tx| case::answer(tx, &permit, answer)).await
    }

    async fn review_late(&self, id: DisclosureId, now: Timestamp) -> Result<Committed<Stepped>, StoreError> {
        self.writer
            .logged(move |tx| {
                let policy = holder::policy_active(tx.sql)?;
                review::late(tx, id, policy, now)
            })
            .await
    }

    fn disclosure_changes(&self, id: DisclosureId) -> tokio::sync::watch::Receiver<u64> {
        self.context.changed.wait_for(id)
    }

    async fn correction_ask(
        &self,
        permit: Permit,
        ask: SignedCorrectionAsk,
    ) -> Result<Committed<Stepped>, StoreError> {
        self.writer.logged(move |tx| correction::ask(tx, &permit, ask)).await
    }

    async fn correction_acknowledge(
        &self,
        permit: Permit,
        id: DisclosureId,
        number: u32,
    ) -> Result<Committed<Stepped>, StoreError> {
        self.writer.logged(move |tx| correction::acknowledge(tx, &permit, id, number)).await
    }

    async fn correction_list(&self, ask: CorrectionsAsk) -> Result<Vec<Case>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| correction::list(&context, sql, &ask)).await
    }

    async fn correction_tell(&self, id: DisclosureId, terms: CorrectionTerms) -> Result<u32, StoreError> {
        self.writer.unlogged(move |tx| correction::tell(tx, id, &terms)).await
    }

    async fn correction_overdue(&self, id: DisclosureId) -> Result<u32, StoreError> {
        self.writer
            .unlogged(move |tx| {
                let policy = holder::policy_active(tx.sql)?;
                correction::overdue(tx, id, policy)
            })
            .await
    }

    async fn disclosure_expire(
        &self,
        id: DisclosureId,
        now: Timestamp,
    ) -> Result<Committed<Stepped>, StoreError> {
        self.writer
            .logged(move |tx| {
                let policy = holder::policy_active(tx.sql)?;
                disclosure::expire(tx, id, policy, now)
            })
            .await
    }

    async fn notice_list(&self, limit: u32) -> Result<Vec<Notice>, StoreError> {
        self.readers.read(move |sql| notice::list(sql, limit)).await
    }

    async fn notices_address(&self, addressed: Vec<Addressed>) -> Result<(), StoreError> {
        self.writer.unlogged(move |tx| notice::address(tx, &addressed)).await
    }

    async fn notices_remind(&self, now: Timestamp) -> Result<u32, StoreError> {
        // Most looks find nothing, and then nothing is written.
        if !self.readers.read(move |sql| notice::is_to_remind(sql, now)).await? {
            return Ok(0);
        }
        self.writer.unlogged(move |tx| notice::remind(tx, now)).await
    }

    async fn receivers_due(&self, now: Timestamp) -> Result<Vec<String>, StoreError> {
        self.readers.read(move |sql| notice::receivers_due(sql, now)).await
    }

    async fn deliveries_due(
        &self,
        receiver: String,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Delivery>, StoreError> {
        self.readers.read(move |sql| notice::due(sql, &receiver, now, limit)).await
    }

    async fn deliveries_end(
        &self,
        receiver: String,
        tried: Vec<(i64, DeliveryEnd)>,
    ) -> Result<(), StoreError> {
        self.writer.unlogged(move |tx| notice::end(tx, &receiver, &tried)).await
    }

    async fn deliveries_waiting(&self) -> Result<u64, StoreError> {
        self.readers.read(notice::waiting).await
    }

    async fn notice_signer(&self) -> Result<crate::keys::NoticeSigner, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        let made = tokio::task::spawn_blocking(move || {
            context.keys.notice_signer(context.clock.now(), context.entropy.as_ref())
        });
        made.await.map_err(|_| StoreError::Closed)?
    }

    async fn journal_list(&self) -> Result<Vec<JournalHead>, StoreError> {
        self.readers.read(log::journal_list).await
    }

    async fn checkpoint_get(&self, journal: Journal) -> Result<Option<Bundled>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| log::checkpoint_get(&context, sql, &journal)).await
    }

    async fn tile_get(&self, journal: Journal, tile: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        self.readers.read(move |sql| export::tile_get(sql, &journal, tile)).await
    }

    async fn bundle_get(&self, journal: Journal, bundle: BundleId) -> Result<Option<Vec<u8>>, StoreError> {
        self.readers.read(move |sql| export::bundle_get(sql, &journal, bundle)).await
    }

    async fn journal_read(
        &self,
        partner: PartnerName,
        from: u64,
        limit: u32,
    ) -> Result<Vec<LoggedEntry>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| log::journal_read(&context, sql, &partner, from, limit)).await
    }

    async fn log_read(&self, permit: Permit, read: Read) -> Result<Committed<Vec<ProvenEntry>>, StoreError> {
        self.writer.logged(move |tx| log::read(tx, &permit, &read)).await
    }

    async fn log_search(&self, permit: Permit, search: Search) -> Result<Committed<Searched>, StoreError> {
        // Beside the writer, which nobody has to wait for then. What was found is withheld until the entry is there.
        let (context, looked) = (std::sync::Arc::clone(&self.context), search.clone());
        let found = self.readers.read_before_entry(move |sql| search::find(&context, sql, &looked)).await?;
        self.writer
            .logged(move |tx| Ok(Searched { entry: search::enter(tx, &permit, &search)?, found }))
            .await
    }

    async fn search_recall(&self, entry: u64) -> Result<Option<Sought>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read_before_entry(move |sql| search::recall(&context, sql, entry)).await
    }

    async fn log_follow(&self, after: u64, limit: u32) -> Result<Followed, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| search::follow(&context, sql, after, limit)).await
    }

    async fn tags_index(&self) -> Result<u32, StoreError> {
        self.tags_index_all().await
    }

    async fn log_export(
        &self,
        permit: Permit,
        journal: Journal,
        why: String,
    ) -> Result<Committed<ExportPlan>, StoreError> {
        self.writer.logged(move |tx| export::plan(tx, &permit, &journal, &why)).await
    }

    async fn export_file(&self, plan: ExportPlan, file: ExportFile) -> Result<Vec<u8>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| export::file(&context, sql, &plan, &file)).await
    }

    async fn consistency_proof(
        &self,
        journal: Journal,
        from: u64,
        to: Option<u64>,
    ) -> Result<Option<Consistency>, StoreError> {
        self.readers.read(move |sql| log::consistency(sql, &journal, from, to)).await
    }

    async fn payloads_get(&self, class: PayloadClass, before: i64) -> Result<PayloadFacts, StoreError> {
        let (context, span) = (std::sync::Arc::clone(&self.context), Span { class, before });
        self.readers.read(move |sql| disposal::facts(&context, sql, span)).await
    }

    async fn disposals_finish(&self) -> Result<u32, StoreError> {
        self.disposals_end().await
    }

    async fn heads_record(&self) -> Result<u32, StoreError> {
        self.writer
            .unlogged(move |tx| {
                let policy = holder::policy_active(tx.sql)?;
                log::heads_record(tx, policy)
            })
            .await
    }

    async fn checkpoint_unwitnessed(&self, witnesses: Vec<WitnessKey>) -> Result<Unwitnessed, StoreError> {
        self.readers.read(move |sql| witness::unwitnessed(sql, &witnesses)).await
    }

    async fn cosignatures_keep(
        &self,
        size: u64,
        given: Vec<Given>,
        quorum: Quorum,
    ) -> Result<Option<u64>, StoreError> {
        self.writer
            .unlogged(move |tx| {
                let policy = holder::policy_active(tx.sql)?;
                witness::cosignatures_keep(tx, size, &given, &quorum, policy)
            })
            .await
    }

    async fn checkpoint_witnessed(&self, quorum: Quorum) -> Result<Option<Witnessed>, StoreError> {
        self.readers.read(move |sql| witness::witnessed(sql, &quorum)).await
    }

    async fn release_seen(
        &self,
        partner: PartnerName,
        id: DisclosureId,
        quorum: Quorum,
    ) -> Result<ReleaseSeen, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| witness::release_seen(&context, sql, &partner, id, &quorum)).await
    }

    async fn head_witnessed(
        &self,
        partner: PartnerName,
        quorum: Quorum,
        from: u64,
    ) -> Result<Option<WitnessedHead>, StoreError> {
        let context = std::sync::Arc::clone(&self.context);
        self.readers.read(move |sql| witness::witnessed_head(&context, sql, &partner, &quorum, from)).await
    }
}

fn receipt_of(committed: Committed<()>) -> Result<AuditReceipt, StoreError> {
    committed.open().map(|((), receipt)| receipt).map_err(|_| UNLOGGED)
}

/// Erasures and enrolments of the same people may come between a plan and its writing; as often as this they do not.
const PLANS: usize = 3;
