//! A small store with something of everything in it, made through the store's own transactions with real keys.

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use ring::rand::SystemRandom;
use ring::signature::Ed25519KeyPair;

use crate::approval::{
    Answer as PartnerAnswer, AskParts, Choice, ConfirmationWord, CorrectionAsk, DeciderRole, DeciderStanding,
    Decision, DecisionParts, DecisionSignature, Deed, DeedKind, DeedParts, Eligible, Factor, Factors, Fields,
    PartnerAsk, Request, RequestParts, SALT_BYTES, SignedAnswer, SignedCorrectionAsk, SignedDecision,
};
use crate::audit::cosignature::WitnessKey;
use crate::audit::note::{Ed25519Signer, NoteSigner as _};
use crate::authz::{
    About, Action, Ask, Bundle, Disposable, PayloadClass, Permit, Reason, Role, Rules, Standing, Usage,
};
use crate::clock::{Clock, ManualClock, Timestamp, date_of, day_of};
use crate::ids::{
    BatchId, BreachId, ChangeId, Digest, DisclosureId, FieldName, QueryId, RequestId, SubjectId,
    SubjectRequestId,
};
use crate::keys::{ReleaseSecretKey, RootKey, SignatureDomain, SigningKey};
use crate::secret::{Secret, SystemEntropy, random_bytes};
use crate::store::breach::{
    BreachFinding, BreachKind, BreachNew, BreachStep, BreachStepped, BreachTold, BreachTraced,
    Factor as BreachFactor, TraceNew,
};
use crate::store::change::{self, ReleaseKeyOffer, ReleaseKeyProof, ReleaseKeyProven};
use crate::store::conformance::first_generation;
use crate::store::correction::CorrectionTerms;
use crate::store::disclosure::{
    AskSignature, ConfirmationNew, Decided, DecisionNew, ReleaseTerms, Released, Requested, Stepped,
};
use crate::store::disposal::Unfinished;
use crate::store::enrolment::{
    BatchNew, BatchStarted, Chunk, ChunkDone, ChunksDone, CollectionNew, FieldNew, Line, SubjectNew,
};
use crate::store::query::QueryRecorded;
use crate::store::search::{Attribute, Sought};
use crate::store::sqlite::SqliteStore;
use crate::store::subject::{
    Ground, ReportNew, ReportOf, Stated, StatementNew, SubjectOutcome, SubjectRequestKind, SubjectRequestNew,
    SubjectRequestStep, SubjectRequestStepped,
};
use crate::store::witness::{Given, Quorum};
use crate::store::{
    Answer, Case, Change, ChangeEnd, ChangeNew, DisclosureNew, Founding, Partner, Person, QueryNew, Store,
    Verdict, Withheld,
};
use crate::template::{Quality, synthetic};

/// The root key of the store.
pub(super) fn root() -> RootKey {
    RootKey::new(Secret::take(&mut [1; 32]))
}

/// Makes the store in a folder.
pub(super) async fn tell(folder: &Path) {
    let story = Story::found(folder, NOW.before(DAY * EARLY_DAYS)).await;
    story.dispose().await;
    story.change_people().await;
    story.release_key().await;
    let (one, two) = (story.enrol("P-1").await, story.enrol("P-2").await);
    let hit = |subject| Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None };
    let mut cases = Vec::new();
    for subject in [one, two, one, two, one, two] {
        let query = story.ask(hit(subject)).await;
        let _stranger = story.ask(Verdict { answer: Answer::NoHit, subject: None, hidden: None }).await;
        cases.push(story.request(query).await);
    }
    let _hidden = story.ask(Verdict { answer: Answer::NoHit, subject: None, hidden: Some(two) }).await;
    story.refuse().await;
    // Released and there to fetch; released, fetched and acknowledged; denied; waiting for a second officer.
    for case in &cases[..2] {
        let half = story.decide(case, "sione", true).await;
        let whole = story.decide(&half, "grace", true).await;
        story.release(&whole).await;
    }
    story.acknowledge(&cases[1]).await;
    let half = story.decide(&cases[2], "sione", true).await;
    story.decide(&half, "grace", false).await;
    story.tended(&cases).await;
    for is_closed in [false, true] {
        story.reviewed(one, is_closed).await;
    }
    story.corrected(&cases[..2]).await;
    story.people_ask().await;
    story.breaches().await;
    assert!(story.store.heads_record().await.unwrap() > 0);
    story.later();
    story.witness().await;
    assert!(story.store.tags_index().await.unwrap() > 0, "the story is too short for the index of tags");
    let id = story.propose(Change::MergeSubjects([one, two])).await;
    story.confirmed(id, None).await;
    let id = story.propose(Change::ChangeLogKey).await;
    story.confirmed(id, None).await;
    story.refuse().await;
}

pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// A day inside the terms of the agreements in policy/.
pub(super) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
/// So much earlier the story begins: what is entered on its first day is disposed of before the rest happens.
const EARLY_DAYS: u32 = 4_000;

/// A store on its way.
pub(super) struct Story {
    pub(super) store: SqliteStore,
    pub(super) clock: Arc<ManualClock>,
    pub(super) rules: Rules,
    keys: BTreeMap<&'static str, SigningKey>,
    release_key: ReleaseSecretKey,
}

const PEOPLE: [(&str, Role); 9] = [
    ("ana", Role::Administrator),
    ("rawiri", Role::Administrator),
    ("mere", Role::PrivacyOfficer),
    ("sione", Role::ApprovingOfficer),
    ("grace", Role::ApprovingOfficer),
    ("intake", Role::EnrolmentSystem),
    ("border", Role::PartnerSystem),
    ("hemi", Role::Examiner),
    ("tama", Role::ApprovingOfficer),
];

impl Story {
    pub(super) async fn found(folder: &Path, now: Timestamp) -> Self {
        let clock = Arc::new(ManualClock::at(now));
        let entropy = Arc::new(SystemEntropy::new());
        let shown: Arc<dyn Clock> = clock.clone();
        let store = SqliteStore::open(folder, &folder.join("heads"), root(), shown, entropy.clone()).unwrap();
        let keys: BTreeMap<_, _> = PEOPLE.map(|(name, _)| (name, signing_key())).into();
        let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("policy");
        let bundle = Bundle::read_folder(&policy).unwrap();
        let founding = Founding {
            host: "holder.example".to_owned(),
            trust_domain: "holder.example".to_owned(),
            authorities: vec![vec![4, 5, 6]],
            people: PEOPLE[..7].iter().map(|(name, role)| person(name, *role, &keys[name])).collect(),
            partners: vec![partner("au-border"), partner("ca-border")],
            bundle: bundle.clone(),
        };
        let _receipt = store.holder_found(founding).await.unwrap();
        let collection =
            CollectionNew { name: name("watch-face"), scheme: name("demo-face-256"), dimension: 256 };
        store.collections_sync(vec![collection]).await.unwrap();
        let release_key = ReleaseSecretKey::random(entropy.as_ref()).unwrap();
        let story = Self { store, clock, rules: Rules::load(bundle).unwrap(), keys, release_key };
        story.later();
        story
    }

    /// Closes the store, lets something happen to it, and opens it again.
    pub(super) fn reopened(self, folder: &Path, meanwhile: impl FnOnce(Arc<dyn Clock>)) -> Self {
        let Self { store, clock, rules, keys, release_key } = self;
        drop(store);
        meanwhile(clock.clone());
        let (shown, entropy): (Arc<dyn Clock>, _) = (clock.clone(), Arc::new(SystemEntropy::new()));
        let store = SqliteStore::open(folder, &folder.join("heads"), root(), shown, entropy).unwrap();
        Self { store, clock, rules, keys, release_key }
    }

    /// Each step has a time of its own, as batches of a server have.
    pub(super) fn later(&self) {
        self.clock.advance(Duration::from_millis(1_500));
    }

    pub(super) async fn permit(
        &self,
        actor: &str,
        action: Action,
        about: About<'_>,
        content: Digest,
    ) -> Permit {
        let registry = self.store.registry_load().await.unwrap();
        let person = registry.person(&name(actor)).unwrap();
        let ask = Ask { action, about, content, now: self.clock.now() };
        self.rules.permit(&registry.actor(person), &ask).unwrap()
    }

    /// Two refusals, and years later their disposal.
    async fn dispose(&self) {
        self.refuse().await;
        self.refuse().await;
        let before = date_of(self.clock.now().day() + 1);
        self.clock.advance(DAY * (EARLY_DAYS - 1));
        self.dispose_of(PayloadClass::Query, before).await;
        self.clock.advance(DAY);
    }

    /// Disposes of a class and finishes it.
    pub(super) async fn dispose_of(&self, class: PayloadClass, before: Date) {
        let id = self.propose(Change::Dispose { class, before }).await;
        let leave = self.rules.disposable(class, before, self.clock.now()).expect("it is time");
        self.confirmed(id, Some(leave)).await;
        let _finished = self.store.disposals_finish().await.unwrap();
        assert_eq!(self.store.payloads_get(class, day_of(before)).await.unwrap().unfinished, Unfinished::No);
    }

    /// The years after which what is from before a day may go.
    pub(super) fn years_later(&self, class: PayloadClass, before: Date) {
        let days = i64::from(self.rules.payload_retention(class).days);
        let due = day_of(before) + days - self.clock.now().day();
        self.clock.advance(DAY * u32::try_from(due.max(0)).unwrap());
    }

    pub(super) async fn propose(&self, change: Change) -> ChangeId {
        let id = ChangeId::from_bytes(random());
        let digest = change::digest(id, &change, "for a test");
        let signature = self.keys["ana"].sign(SignatureDomain::Change, &digest).unwrap();
        let new = ChangeNew { id, change, reason: "for a test".to_owned(), signature };
        let permit = self.permit("ana", Action::ProposeChange, About::Service, digest).await;
        let _proposed = self.store.change_propose(permit, new).await.unwrap();
        self.later();
        id
    }

    pub(super) async fn confirmed(&self, id: ChangeId, leave: Option<Disposable>) {
        let record = self.store.change_get(id).await.unwrap().unwrap();
        let signature = self.keys["mere"].sign(SignatureDomain::Change, &record.digest).unwrap();
        let kind = record.change.kind();
        let proposed_by = name("ana");
        let about = About::Change { kind, proposed_by: &proposed_by, proposer_role: Role::Administrator };
        let permit = self.permit("mere", Action::ConfirmChange, about, record.digest).await;
        let end = ChangeEnd::Confirm { id, signature, leave };
        let (ended, _) = self.store.change_end(permit, end).await.unwrap().open().ok().unwrap();
        assert!(matches!(ended, change::Ended::Done(..)));
        self.later();
    }

    /// Two witnesses cosign the head that was recorded.
    pub(super) async fn witness(&self) {
        let signers = [1, 2].map(|seed| Ed25519Signer::from_seed(&[seed; 32]));
        let keys: Vec<WitnessKey> = signers
            .iter()
            .zip(["one.example", "two.example"])
            .map(|(signer, name)| WitnessKey::new(name, signer.public_key()).unwrap())
            .collect();
        let newest = self.store.checkpoint_unwitnessed(keys.clone()).await.unwrap();
        let (text, _) = newest.note.split_once("\n\n").unwrap();
        let given = keys.iter().zip(&signers).map(|(key, signer)| {
            let line = key.cosign(&format!("{text}\n"), 1_790_000_000, signer);
            let cosignature = key.on(&format!("{}{line}", newest.note)).unwrap().unwrap();
            Given { witness: key.clone(), cosignature }
        });
        let given = given.collect();
        let quorum = Quorum { witnesses: keys, needed: 2 };
        assert!(self.store.cosignatures_keep(newest.size, given, quorum).await.unwrap().is_some());
        self.later();
    }

    /// One who asks for access, is told that it takes longer, and is given a part; one who is not told in time; a report,
    /// and a statement beside a field.
    async fn people_ask(&self) {
        let source = self.store.keys().pseudonym("P-1");
        let permit = async |action| self.permit("mere", action, About::Service, Digest::sha256(b"")).await;
        let now = self.clock.now();
        let new = |source, due| SubjectRequestNew {
            id: SubjectRequestId::from_bytes(random()),
            kind: SubjectRequestKind::Access,
            source,
            reference: "R-12".to_owned(),
            received: now.before(DAY),
            due,
            disputed: None,
        };
        let first = new(Some(source), now.after(DAY));
        let (id, late) = (first.id, new(None, now));
        let (late_id, open) = (late.id, Action::OpenSubjectRequest);
        for new in [first, late] {
            let _opened = self.store.subject_request_open(permit(open).await, new).await.unwrap();
            self.later();
        }
        let extend = SubjectRequestStep::Extend { due: now.after(DAY * 2), why: "many questions".to_owned() };
        let close = SubjectRequestStep::Close {
            outcome: SubjectOutcome::GrantedInPart,
            grounds: vec![Ground::MaintenanceOfLaw],
            why: "an investigation".to_owned(),
        };
        for (action, step) in [(Action::ExtendSubjectRequest, extend), (Action::CloseSubjectRequest, close)] {
            let stepped = self.store.subject_request_step(permit(action).await, id, step).await.unwrap();
            assert!(matches!(stepped.open().ok().unwrap().0, SubjectRequestStepped::Done(_)));
            self.later();
        }
        assert!(self.store.subject_request_late(late_id).await.unwrap());
        assert!(!self.store.subject_request_late(late_id).await.unwrap(), "it is noted once");
        self.later();
        let (field, text) = (name("family-name"), "It is spelt with one l.".to_owned());
        let new = StatementNew { source, field, text, request: Some(id) };
        let stated = self.store.statement_attach(permit(Action::AttachStatement).await, new).await.unwrap();
        assert_eq!(stated.open().ok().unwrap().0, Stated::Attached);
        self.later();
        let (of, why) = (ReportOf::Source(source), "R-12".to_owned());
        let new = ReportNew { of, withheld: Vec::new(), request: Some(id), why };
        let made = self.store.subject_report(permit(Action::ReportSubject).await, new).await.unwrap();
        let report = made.open().ok().unwrap().0;
        assert!(report.is_known && !report.queries.is_empty() && report.disclosures.len() > 1);
        self.later();
    }

    /// One breach that is contained, traced, assessed, told and closed; one of which the Commissioner is told too late.
    async fn breaches(&self) {
        let permit = async |action| self.permit("mere", action, About::Service, Digest::sha256(b"")).await;
        let now = self.clock.now();
        let new = |aware| BreachNew {
            id: BreachId::from_bytes(random()),
            kind: BreachKind::Disclosure,
            what: "fields went to the wrong unit".to_owned(),
            aware,
            found_by: vec!["au-border/1".to_owned()],
        };
        let (first, late) = (new(now), new(now.before(DAY * 3)));
        let (id, late_id) = (first.id, late.id);
        for new in [first, late] {
            let _opened = self.store.breach_open(permit(Action::OpenBreach).await, new).await.unwrap();
            self.later();
        }
        let sought = Sought::new(Attribute::Partner, "au-border", None, None).unwrap();
        let trace = TraceNew { sought: vec![sought], why: "who is it".to_owned() };
        let traced = self.store.breach_trace(permit(Action::TraceBreach).await, id, trace).await.unwrap();
        let BreachTraced::Done(_, affected) = traced.open().ok().unwrap().0 else { panic!("it is open") };
        assert!(affected.people.values().any(|one| one.hits > 0 && !one.disclosed.is_empty()));
        self.later();
        let at = self.clock.now();
        let why = "a test".to_owned();
        let told = |told| BreachStep::Notify { told, at, detail: "NPB-1".to_owned(), why: why.clone() };
        let factors = BreachFactor::ALL.iter().map(|factor| (*factor, "considered".to_owned())).collect();
        let assess = BreachStep::Assess { factors, finding: BreachFinding::Notifiable, why: why.clone() };
        for (action, step) in [
            (Action::ContainBreach, BreachStep::Contain { what: "the release was revoked".to_owned() }),
            (Action::AssessBreach, assess),
            (Action::NotifyBreach, told(BreachTold::Commissioner)),
            (Action::NotifyBreach, told(BreachTold::Individuals)),
            (Action::CloseBreach, BreachStep::Close { why: why.clone() }),
        ] {
            let stepped = self.store.breach_step(permit(action).await, id, step).await.unwrap();
            assert!(matches!(stepped.open().ok().unwrap().0, BreachStepped::Done(_)));
            self.later();
        }
        assert!(self.store.breach_late(late_id).await.unwrap());
        assert!(!self.store.breach_late(late_id).await.unwrap(), "it is noted once");
        assert!(!self.store.breach_late(id).await.unwrap(), "it is closed");
        self.later();
    }

    async fn change_people(&self) {
        let hemi = person("hemi", Role::Examiner, &self.keys["hemi"]);
        for (change, end) in [
            (Change::PutPerson(hemi), Some(true)),
            (Change::RestorePerson(name("sione")), Some(false)),
            (Change::RestorePartner(name("ca-border")), None),
        ] {
            let id = ChangeId::from_bytes(random());
            let digest = change::digest(id, &change, "for a test");
            let signature = self.keys["ana"].sign(SignatureDomain::Change, &digest).unwrap();
            let new = ChangeNew { id, change, reason: "for a test".to_owned(), signature };
            let permit = self.permit("ana", Action::ProposeChange, About::Service, digest).await;
            let _proposed = self.store.change_propose(permit, new).await.unwrap();
            self.later();
            match end {
                Some(true) => self.confirm("mere", "ana", Role::Administrator, id, digest, true).await,
                Some(false) => {
                    let permit = self.permit("mere", Action::RejectChange, About::Service, digest).await;
                    let end = ChangeEnd::Reject { id, reason: "not needed".to_owned() };
                    let _ended = self.store.change_end(permit, end).await.unwrap();
                }
                None => {}
            }
            self.later();
        }
        let permit = self.permit("ana", Action::SuspendPartner, About::Service, Digest::sha256(b"")).await;
        let why = "for a test".to_owned();
        let _found = self.store.partner_suspend(permit, name("ca-border"), why).await.unwrap();
        self.later();
    }

    async fn confirm(&self, by: &str, proposer: &str, role: Role, id: ChangeId, digest: Digest, ends: bool) {
        let signature = self.keys[by].sign(SignatureDomain::Change, &digest).unwrap();
        let proposed_by = name(proposer);
        let record = self.store.change_get(id).await.unwrap().unwrap();
        let kind = record.change.kind();
        let about = About::Change { kind, proposed_by: &proposed_by, proposer_role: role };
        let permit = self.permit(by, Action::ConfirmChange, about, digest).await;
        let end = if ends {
            ChangeEnd::Confirm { id, signature, leave: None }
        } else {
            ChangeEnd::TakeOver { id, signature }
        };
        let (ended, _) = self.store.change_end(permit, end).await.unwrap().open().ok().unwrap();
        assert!(matches!(ended, change::Ended::Done(..)));
        self.later();
    }

    pub(super) async fn release_key(&self) {
        let au = name("au-border");
        let about = About::Partner { partner: &au };
        let challenge = Digest::sha256(b"a challenge");
        let ours = *self.release_key.public_key().as_bytes();
        let other = *ReleaseSecretKey::random(&SystemEntropy::new()).unwrap().public_key().as_bytes();
        for public_key in [ours, other] {
            let permit = self.permit("border", Action::StartReleaseKey, about, challenge).await;
            let expires = self.clock.now().after(Duration::from_secs(60));
            let offer = ReleaseKeyOffer { public_key, challenge, expires };
            let _kept = self.store.release_key_start(permit, offer).await.unwrap();
            self.later();
        }
        let permit = self.permit("border", Action::ProveReleaseKey, about, challenge).await;
        let change = ChangeId::from_bytes(random());
        let proof = ReleaseKeyProof { public_key: ours, challenge, change };
        let (proven, _) = self.store.release_key_prove(permit, proof).await.unwrap().open().ok().unwrap();
        assert!(matches!(proven, ReleaseKeyProven::Proposed(_)));
        self.later();
        let record = self.store.change_get(change).await.unwrap().unwrap();
        self.confirm("ana", "border", Role::PartnerSystem, change, record.digest, false).await;
        self.confirm("mere", "ana", Role::Administrator, change, record.digest, true).await;
    }

    pub(super) async fn enrol(&self, source: &str) -> SubjectId {
        let batch = self.batch_start().await;
        self.chunk_enrol(batch, 0, source).await
    }

    pub(super) async fn batch_start(&self) -> BatchId {
        let collection = name("watch-face");
        let about = About::Collection { collection: &collection };
        let permit = self.permit("intake", Action::StartBatch, about, Digest::sha256(b"")).await;
        let new = BatchNew {
            request: RequestId::from_bytes(random()),
            collection: name("watch-face"),
            official: "registrar-1".to_owned(),
            created: self.clock.now(),
        };
        let BatchStarted::Batch(batch) = self.store.batch_start(permit, new).await.unwrap() else {
            panic!("a new batch is started")
        };
        self.later();
        batch.id
    }

    pub(super) async fn chunk_enrol(&self, batch: BatchId, first_row: u64, source: &str) -> SubjectId {
        self.chunk_enrol_with(batch, first_row, (source, "Aroha")).await
    }

    async fn chunk_enrol_with(
        &self,
        batch: BatchId,
        first_row: u64,
        (source, value): (&str, &str),
    ) -> SubjectId {
        let collection = name("watch-face");
        let about = About::Collection { collection: &collection };
        let field = |field: &str| FieldNew {
            field: name(field),
            value: value.to_owned(),
            classification: "IN-CONFIDENCE".to_owned(),
            source: "passport".to_owned(),
            permitted_uses: vec!["border-identity".to_owned()],
        };
        let subject = SubjectNew {
            source: self.store.keys().pseudonym(source),
            templates: vec![synthetic::protected(
                &synthetic::unit(&mut synthetic::rng(7), 256),
                &synthetic::transform(256, 7),
            )],
            fields: vec![field("family-name"), field("given-names")],
            restrictions: Vec::new(),
        };
        let chunk = Chunk {
            batch,
            generation: first_generation(),
            first_row,
            rows: 2,
            content: self.store.keys().content_digest(source.as_bytes()),
            subjects: vec![subject],
            rejected: vec![(1, "no template".to_owned())],
        };
        let permit = self.permit("intake", Action::EnrolSubjects, about, Digest::sha256(b"")).await;
        let (line, _) = Line::new(Arc::default());
        let (ChunksDone { done, change, .. }, _) =
            self.store.chunks_enrol(vec![(permit, chunk)], line).await.unwrap();
        assert!(matches!(done[..], [ChunkDone::Enrolled { .. }]), "a first chunk is enrolled");
        self.later();
        self.store.slot_subject(vec![change.added[0].slot]).await.unwrap().pop().flatten().unwrap()
    }

    pub(super) async fn ask(&self, verdict: Verdict) -> QueryId {
        let (collection, purpose) = (name("watch-face"), name("border-identity"));
        let id: [u8; 16] = random();
        let content = self.store.keys().content_digest(&id);
        let usage = Usage::Counted { today: 0, this_year: 0 };
        let about =
            About::Query { agreement: None, collection: &collection, purpose: &purpose, samples: 1, usage };
        let permit = self.permit("border", Action::AskQuery, about, content).await;
        let received = self.clock.now();
        self.clock.advance(Duration::from_millis(20));
        let new = QueryNew {
            id: QueryId::from_bytes(id),
            request: RequestId::from_bytes(random()),
            content,
            collection: name("watch-face"),
            purpose: name("border-identity"),
            case: "C-1".to_owned(),
            official: "official-2".to_owned(),
            legal_basis: "Customs Act".to_owned(),
            urgency: "routine",
            qualities: vec![Quality::Unknown],
            received,
            window_start: received.before(Duration::from_secs(3_600)),
        };
        let recorded = self.store.query_record(permit, new, Withheld::new(verdict)).await.unwrap();
        assert!(matches!(recorded, QueryRecorded::New(..)));
        self.later();
        QueryId::from_bytes(id)
    }

    pub(super) async fn refuse(&self) {
        let registry = self.store.registry_load().await.unwrap();
        let actor = registry.actor(registry.person(&name("border")).unwrap());
        let rule = "a rule".to_owned();
        let refused =
            self.store.refusal_record(actor, Action::AskQuery, Reason::PurposeNotInAgreement, rule).await;
        let _receipt = refused.unwrap();
        self.later();
    }

    pub(super) async fn request(&self, query: QueryId) -> Case {
        self.request_by(query, None).await
    }

    /// By the urgent path.
    pub(super) async fn request_urgent(&self, query: QueryId) -> Case {
        self.request_by(query, Some("the flight leaves within the hour".to_owned())).await
    }

    async fn request_by(&self, query: QueryId, urgent: Option<String>) -> Case {
        let fields: Vec<FieldName> = vec![name("family-name"), name("given-names")];
        let request_id = RequestId::from_bytes(random());
        let ask = PartnerAsk::new(AskParts {
            request_id,
            query,
            purpose: name("border-identity"),
            fields: Fields::new(fields.clone()).unwrap(),
            justification: "the traveller gave two different names at the counter".to_owned(),
            legal_basis: "Customs Act".to_owned(),
            official: "official-2".to_owned(),
            urgent,
            sample: Some(Digest::sha256(b"a fresh sample")),
        })
        .unwrap();
        let content = self.store.keys().content_digest(&ask.to_bytes());
        let bytes = self.keys["border"].sign(SignatureDomain::DisclosureRequest, &ask.digest()).unwrap();
        let signature = AskSignature { digest: ask.digest(), bytes };
        let purpose = name("border-identity");
        let about = About::NewDisclosure { agreement: None, purpose: &purpose, fields: &fields };
        let permit = self.permit("border", Action::RequestDisclosure, about, content).await;
        let now = self.clock.now();
        let request = Request::new(RequestParts {
            disclosure: DisclosureId::from_bytes(random()),
            partner: name("au-border"),
            requester: name("border"),
            agreement: name("au-border-identity"),
            ask,
            factors: Factors::new([Factor::of(DeciderRole::ApprovingOfficer, NonZeroU8::new(2).unwrap())])
                .unwrap(),
            received: now,
            decide_by: now.after(Duration::from_secs(48 * 3_600)),
        })
        .unwrap();
        let window_start = now.before(Duration::from_secs(3_600));
        let word = Withheld::new(ConfirmationWord::Confirms);
        let confirmation = ConfirmationNew { word, quality: Quality::Unknown, salt: [7; SALT_BYTES] };
        let new = DisclosureNew {
            request,
            request_id,
            content,
            signature,
            window_start,
            confirmation: Some(confirmation),
        };
        let (requested, _) = self.store.disclosure_request(permit, new).await.unwrap().open().ok().unwrap();
        let Requested::Kept(case) = requested else { panic!("a hit of one's own is kept") };
        self.later();
        self.view(&case).await;
        case
    }

    /// An officer looks at the first field that is asked for.
    pub(super) async fn view(&self, case: &Case) {
        let request = case.disclosure.request();
        let fields: Vec<FieldName> = request.ask().fields().iter().cloned().collect();
        let about = About::Case {
            partner: request.partner(),
            standing: Standing::Active,
            agreement: request.agreement(),
            purpose: request.ask().purpose(),
            fields: &fields[..1],
        };
        let permit = self.permit("sione", Action::ViewField, about, Digest::sha256(b"")).await;
        let viewed = self.store.field_view(permit, request.disclosure(), fields[0].clone()).await;
        let _seen = viewed.unwrap();
        self.later();
    }

    pub(super) async fn decide(&self, case: &Case, officer: &str, grant: bool) -> Case {
        let Decided::Kept(case) = self.decide_as(case, (officer, None), grant, eligible()).await else {
            panic!("an officer decides")
        };
        *case
    }

    /// Decides in one's own seat or another's, where these were found eligible before.
    pub(super) async fn decide_as(
        &self,
        case: &Case,
        (officer, seat): (&str, Option<&str>),
        grant: bool,
        eligible: Vec<Eligible>,
    ) -> Decided {
        let request = case.disclosure.request();
        let fields = request.ask().fields().clone();
        let granted: Vec<FieldName> = if grant { fields.iter().cloned().collect() } else { Vec::new() };
        let about = About::Case {
            partner: request.partner(),
            standing: Standing::Active,
            agreement: request.agreement(),
            purpose: request.ask().purpose(),
            fields: &granted,
        };
        let decision = Decision::new(DecisionParts {
            disclosure: request.disclosure(),
            request: case.disclosure.digest(),
            officer: name(officer),
            role: DeciderRole::ApprovingOfficer,
            choice: if grant { Choice::Grant(fields) } else { Choice::Deny },
            reason: "the documents agree".to_owned(),
            at: self.clock.now(),
            comparison: None,
            on_behalf: seat.map(name),
        })
        .unwrap();
        let signature = self.keys[officer].sign(SignatureDomain::Decision, &decision.digest()).unwrap();
        let permit = self.permit(officer, Action::DecideCase, about, decision.digest()).await;
        let signed = SignedDecision { decision, signature: DecisionSignature::Certificate(signature) };
        let new = DecisionNew { signed, eligible, visible: Vec::new() };
        let decided = self.store.disclosure_decide(permit, new).await.unwrap();
        self.later();
        decided.open().ok().unwrap().0
    }

    pub(super) async fn release(&self, case: &Case) {
        let released = self.release_as(case, &eligible()).await;
        assert!(matches!(released, Released::Sealed(_)));
    }

    /// Releases what is approved by those who were found eligible before.
    pub(super) async fn release_as(&self, case: &Case, eligible: &[Eligible]) -> Released {
        let approval = case.disclosure.approval(eligible, self.clock.now()).unwrap();
        self.clock.advance(Duration::from_millis(20));
        let urgent = case.disclosure.request().ask().urgent();
        let terms = ReleaseTerms {
            partner: name("au-border"),
            purpose: name("border-identity"),
            visible: Vec::new(),
            ends: self.clock.now().after(Duration::from_secs(3_600)),
            review_by: urgent.map(|_| self.clock.now().after(Duration::from_secs(60))),
            policy: self.rules.digest(),
        };
        let released = self.store.disclosure_release(approval, terms).await.unwrap();
        self.later();
        released.open().ok().unwrap().0
    }

    /// Two people put somebody into a unit; whoever is not there yet is added.
    pub(super) async fn put_into(&self, who: &str, unit: &str) {
        let person = person(who, Role::ApprovingOfficer, &self.keys[who]);
        let id = self.propose(Change::PutPerson(Person { unit: Some(name(unit)), ..person })).await;
        self.confirmed(id, None).await;
    }

    /// An urgent release whose review is owed, or was closed when it was late.
    async fn reviewed(&self, subject: SubjectId, is_closed: bool) {
        let hit = Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None };
        let case = self.request_urgent(self.ask(hit).await).await;
        let half = self.decide(&case, "sione", true).await;
        let whole = self.decide(&half, "grace", true).await;
        self.release(&whole).await;
        if is_closed {
            self.clock.advance(Duration::from_secs(60));
            let id = case.disclosure.request().disclosure();
            let late = self.store.review_late(id, self.clock.now()).await.unwrap().open().ok().unwrap().0;
            let Stepped::Done(late) = late else { panic!("it is late") };
            self.later();
            self.tend(&late, "mere", DeedKind::FindNotJustified).await;
        }
    }

    /// What else can be done with cases: asked about and answered, claimed, stepped back from, noted, and left waiting;
    /// released and taken back; locked.
    async fn tended(&self, cases: &[Case]) {
        use DeedKind as Kind;
        self.tend(&cases[3], "sione", Kind::Claim).await;
        let granted = self.decide(&cases[3], "grace", true).await;
        let asked = self.tend(&granted, "sione", Kind::Question).await;
        let answered = self.answer(&asked).await;
        self.tend(&answered, "sione", Kind::Note).await;
        self.decide(&answered, "grace", true).await;
        self.tend(&answered, "sione", Kind::PutBack).await;
        self.tend(&answered, "sione", Kind::Recuse).await;
        let half = self.decide(&cases[4], "sione", true).await;
        let whole = self.decide(&half, "grace", true).await;
        self.release(&whole).await;
        self.tend(&whole, "sione", Kind::Revoke).await;
        self.tend(&whole, "grace", Kind::Note).await;
        self.tend(&cases[5], "sione", Kind::HitErroneous).await;
    }

    /// What comes after a release: a record is corrected and its recipients are told; one acknowledges, and one is late;
    /// the partner asks for more and is answered; a statement, and a hit that was erroneous after all.
    async fn corrected(&self, cases: &[Case]) {
        let ids: Vec<DisclosureId> =
            cases.iter().map(|case| case.disclosure.request().disclosure()).collect();
        for (source, value) in [("P-1", "Arohanui"), ("P-2", "Arohanui"), ("P-2", "Aroha")] {
            let batch = self.batch_start().await;
            self.chunk_enrol_with(batch, 0, (source, value)).await;
        }
        for (id, due) in [(ids[0], 1), (ids[1], 1), (ids[1], 0)] {
            assert_eq!(self.tell(id).await, due);
        }
        let permit = self.own(Action::AcknowledgeCorrection, &cases[1]).await;
        let _done = self.store.correction_acknowledge(permit, ids[1], 1).await.unwrap();
        self.later();
        self.clock.advance(DAY);
        assert_eq!(self.store.correction_overdue(ids[0]).await.unwrap(), 1);
        assert_eq!(self.store.correction_overdue(ids[0]).await.unwrap(), 0, "it is noted once");
        self.later();
        let ask =
            CorrectionAsk::new(ids[1], None, "the matter is closed".to_owned(), "official-2".to_owned());
        let ask = ask.unwrap();
        let signature =
            self.keys["border"].sign(SignatureDomain::DisclosureCorrection, &ask.digest()).unwrap();
        let permit = self.own(Action::RequestCorrection, &cases[1]).await;
        let signed = SignedCorrectionAsk { ask, signature, by: name("border") };
        let done = self.store.correction_ask(permit, signed).await.unwrap();
        let Stepped::Done(case) = done.open().ok().unwrap().0 else { panic!("a partner asks") };
        self.later();
        self.tend(&case, "sione", DeedKind::AcceptCorrection).await;
        self.tend(&case, "grace", DeedKind::StateCorrection).await;
        assert_eq!(self.tell(ids[1]).await, 1);
        self.tend(&case, "grace", DeedKind::HitErroneous).await;
    }

    async fn tell(&self, id: DisclosureId) -> u32 {
        let terms = CorrectionTerms {
            visible: Vec::new(),
            acknowledge_within: Duration::from_secs(3_600),
            policy: self.rules.digest(),
        };
        let told = self.store.correction_tell(id, terms).await.unwrap();
        self.later();
        told
    }

    async fn tend(&self, case: &Case, officer: &str, kind: DeedKind) -> Case {
        let request = case.disclosure.request();
        let about = About::Case {
            partner: request.partner(),
            standing: Standing::Active,
            agreement: request.agreement(),
            purpose: request.ask().purpose(),
            fields: &[],
        };
        let action = match kind {
            DeedKind::Question => Action::AskInformation,
            DeedKind::Claim => Action::ClaimCase,
            DeedKind::PutBack => Action::PutBackCase,
            DeedKind::Recuse => Action::RecuseFromCase,
            DeedKind::Note => Action::AddNote,
            DeedKind::HitErroneous => Action::MarkHitErroneous,
            DeedKind::Revoke => Action::RevokeRelease,
            DeedKind::Lock => Action::LockCase,
            DeedKind::FindJustified | DeedKind::FindNotJustified => Action::ReviewRelease,
            DeedKind::AcceptCorrection | DeedKind::RefuseCorrection => Action::AnswerCorrection,
            DeedKind::StateCorrection => Action::StateCorrection,
        };
        let permit = self.permit(officer, action, about, case.disclosure.digest()).await;
        let words = if kind.has_words() { "the birth record differs" } else { "" }.to_owned();
        let role = match kind.finding() {
            Some(_) => DeciderRole::PrivacyOfficer,
            None => DeciderRole::ApprovingOfficer,
        };
        let parts = DeedParts { kind, officer: name(officer), role, words };
        let deed = Deed::new(parts).unwrap();
        let done = self.store.disclosure_tend(permit, request.disclosure(), deed, eligible()).await.unwrap();
        let Stepped::Done(case) = done.open().ok().unwrap().0 else { panic!("an officer may do this") };
        self.later();
        *case
    }

    async fn answer(&self, case: &Case) -> Case {
        let (id, question) =
            (case.disclosure.request().disclosure(), case.disclosure.open_question().unwrap());
        let text = "the record of 1987 holds".to_owned();
        let answer = PartnerAnswer::new(id, question.digest, text, "official-2".to_owned()).unwrap();
        let signature =
            self.keys["border"].sign(SignatureDomain::DisclosureAnswer, &answer.digest()).unwrap();
        let permit = self.own(Action::AnswerQuestion, case).await;
        let signed = SignedAnswer { answer, signature, by: name("border") };
        let done = self.store.disclosure_answer(permit, signed).await.unwrap();
        let Stepped::Done(case) = done.open().ok().unwrap().0 else { panic!("a partner answers") };
        self.later();
        *case
    }

    /// Fetches a release and says that it is there.
    pub(super) async fn acknowledge(&self, case: &Case) {
        let id = case.disclosure.request().disclosure();
        let permit = self.own(Action::FetchRelease, case).await;
        let (fetched, _) = self.store.release_fetch(permit, id).await.unwrap().open().ok().unwrap();
        let digest = Digest::sha256(&fetched.unwrap().ciphertext);
        self.later();
        let permit = self.own(Action::AcknowledgeRelease, case).await;
        let _done = self.store.release_acknowledge(permit, id, digest).await.unwrap();
        self.later();
    }

    pub(super) async fn own(&self, action: Action, case: &Case) -> Permit {
        let request = case.disclosure.request();
        let about = About::Disclosure { partner: request.partner(), agreement: request.agreement() };
        self.permit("border", action, about, Digest::sha256(b"")).await
    }
}

fn person(name_of: &str, role: Role, key: &SigningKey) -> Person {
    Person {
        name: name(name_of),
        role,
        spiffe_id: format!("spiffe://holder.example/{name_of}"),
        public_key: key.public_key().spki_der().to_vec(),
        partner: (role == Role::PartnerSystem).then(|| name("au-border")),
        standing: Standing::Active,
        contact: Some("desk@holder.example".to_owned()),
        unit: None,
    }
}

fn partner(name_of: &str) -> Partner {
    Partner {
        name: name(name_of),
        title: name_of.to_uppercase(),
        trust_domain: format!("{name_of}.example"),
        authorities: vec![vec![1, 2, 3]],
        standing: Standing::Active,
        release_key: None,
        contact: Some("desk@partner.example".to_owned()),
    }
}

pub(super) fn eligible() -> Vec<Eligible> {
    let officer = |officer| Eligible {
        officer: name(officer),
        role: DeciderRole::ApprovingOfficer,
        standing: DeciderStanding::Active,
        unit: None,
        on_behalf: None,
    };
    ["sione", "grace"].map(officer).to_vec()
}

fn signing_key() -> SigningKey {
    let der = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    SigningKey::from_pkcs8_der(der.as_ref()).unwrap()
}

fn name<T: std::str::FromStr>(text: &str) -> T
where
    T::Err: std::fmt::Debug,
{
    text.parse().unwrap()
}

fn random() -> [u8; 16] {
    random_bytes(&SystemEntropy::new()).unwrap()
}
