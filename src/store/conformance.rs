//! What every store must do, asked of each implementation alike.
//!
//! A suite test takes an opened, founded store and speaks only the trait. What belongs to one implementation (its
//! files, its damage) is tested beside it.

mod enrolment;
mod notice;
mod witness;

use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use super::alert::{AlertFinding, Judged, JudgementNew, Stop};
use super::disclosure::{AskSignature, Decided, DecisionNew, ReleaseTerms, Requested, Stepped};
use super::enrolment::{
    BatchStarted, CollectionGeneration, CollectionNew, FieldNew, Line, RestrictionNew, SubjectNew,
};
use super::query::QueryRecorded;
use super::*;
use crate::approval::{
    AskParts, Choice, DeciderRole, DeciderStanding, Decision, DecisionParts, DecisionSignature, Factor,
    Factors, Fields, PartnerAsk, Request, RequestParts, SignedDecision, State,
};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::note::VerifierKey;
use crate::audit::receipt::Receipt;
use crate::audit::tiles::{parse_bundle, parse_tile};
use crate::audit::tree::Edge;
use crate::authz::{About, Ask, Role, Rules, Standing, Standings, Usage as AskedUsage};
use crate::clock::{Clock, ManualClock};
use crate::ids::{ActorName, AgreementName, FieldName, PurposeName, RestrictionName, SubjectId};
use crate::keys::{ReleaseSecretKey, open_release_with_info};
use crate::secret::{SystemEntropy, random_bytes};
use crate::template::{Quality, synthetic};

pub(crate) use enrolment::*;
pub(crate) use notice::*;
pub(crate) use witness::*;

/// A store under test with what its users hold.
pub(crate) struct Bench {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) keys: StoreKeys,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) rules: Rules,
    pub(crate) release_key: ReleaseSecretKey,
}

impl Bench {
    /// The founding that every suite test begins with.
    pub(crate) fn founding(release_key: &ReleaseSecretKey) -> Founding {
        let person = |name: &str, role, partner: Option<&str>| Person {
            name: name.parse().unwrap(),
            role,
            spiffe_id: format!("spiffe://holder.example/{name}"),
            public_key: name.as_bytes().to_vec(),
            partner: partner.map(|partner| partner.parse().unwrap()),
            standing: Standing::Active,
            contact: Some(CONTACT.to_owned()),
            unit: None,
        };
        let partner = |name: &str| Partner {
            name: name.parse().unwrap(),
            title: name.to_uppercase(),
            trust_domain: format!("{name}.example"),
            authorities: vec![vec![1, 2, 3]],
            standing: Standing::Active,
            release_key: Some(*release_key.public_key().as_bytes()),
            contact: Some(CONTACT.to_owned()),
        };
        Founding {
            host: "holder.example".to_owned(),
            trust_domain: "holder.example".to_owned(),
            authorities: vec![vec![4, 5, 6]],
            people: vec![
                person("ana", Role::Administrator, None),
                person("rawiri", Role::Administrator, None),
                person("mere", Role::PrivacyOfficer, None),
                person("sione", Role::ApprovingOfficer, None),
                person("grace", Role::ApprovingOfficer, None),
                person("intake", Role::EnrolmentSystem, None),
                person("border", Role::PartnerSystem, Some("au-border")),
                person("visa", Role::PartnerSystem, Some("ca-border")),
            ],
            partners: vec![partner("au-border"), partner("ca-border")],
            bundle: bundle(),
        }
    }

    pub(crate) fn rules() -> Rules {
        Rules::load(bundle()).expect("the policy folder must hold; run `onebit policy check policy`")
    }

    pub(crate) async fn permit(&self, actor: &str, action: Action, about: About<'_>) -> Permit {
        let registry = self.store.registry_load().await.unwrap();
        let person = registry.person(&actor.parse().unwrap()).expect("the founding names this person");
        let ask = Ask { action, about, content: Digest::sha256(b"a request"), now: self.clock.now() };
        self.rules.permit(&registry.actor(person), &ask).expect("the rules of policy/ permit this")
    }

    pub(crate) async fn ask_permit(&self) -> Permit {
        let (collection, purpose) = (collection(), purpose());
        let usage = AskedUsage::Counted { today: 0, this_year: 0 };
        let about = About::Query {
            agreement: None,
            collection: &collection,
            purpose: &purpose,
            samples: 1,
            usage,
            standings: Standings::all_active(),
        };
        self.permit("border", Action::AskQuery, about).await
    }

    pub(crate) fn question(&self, request: RequestId, content: &[u8]) -> QueryNew {
        QueryNew {
            id: QueryId::from_bytes(random_bytes(&SystemEntropy::new()).unwrap()),
            request,
            content: self.keys.content_digest(content),
            collection: collection(),
            purpose: purpose(),
            case: CASE.to_owned(),
            official: OFFICIAL.to_owned(),
            legal_basis: "Customs Act".to_owned(),
            urgency: "routine",
            qualities: vec![Quality::Unknown],
            received: self.clock.now(),
            window_start: self.clock.now().before(Duration::from_secs(3_600)),
        }
    }

    /// The same as another partner's system, under its own agreement and purpose.
    pub(crate) async fn ask_of(
        &self,
        system: &str,
        agreement: &str,
        purpose: &str,
        verdict: Verdict,
    ) -> QueryId {
        let (agreement, collection) = (agreement.parse().unwrap(), collection());
        let purpose: PurposeName = purpose.parse().unwrap();
        let usage = AskedUsage::Counted { today: 0, this_year: 0 };
        let (samples, agreement) = (1, Some(&agreement));
        let about = About::Query {
            agreement,
            collection: &collection,
            purpose: &purpose,
            samples,
            usage,
            standings: Standings::all_active(),
        };
        let permit = self.permit(system, Action::AskQuery, about).await;
        let new = QueryNew { purpose, ..self.question(request_id(), b"a question") };
        let id = new.id;
        let recorded = self.store.query_record(permit, new, Withheld::new(verdict)).await.unwrap();
        assert!(matches!(recorded, QueryRecorded::New(..)), "a new query is recorded");
        id
    }

    /// Asks and records; the verdict is made here since no gallery is searched.
    pub(crate) async fn ask(&self, verdict: Verdict) -> (QueryId, Answer, AuditReceipt) {
        let new = self.question(request_id(), b"a question");
        let recorded = self.store.query_record(self.ask_permit().await, new, Withheld::new(verdict)).await;
        let QueryRecorded::New(query, receipt, verdict) = recorded.unwrap() else {
            panic!("a new query is recorded")
        };
        let answer = verdict
            .open(&receipt)
            .map(|verdict| verdict.answer)
            .expect("the receipt of its own entry opens it");
        (query, answer, receipt)
    }

    pub(crate) async fn enrol(
        &self,
        rng: &mut ChaCha8Rng,
        source_id: &str,
        restrictions: &[&str],
    ) -> SubjectId {
        let (batch, request) = (collection(), request_id());
        let permit =
            self.permit("intake", Action::StartBatch, About::Collection { collection: &batch }).await;
        let new = BatchNew {
            request,
            collection: batch.clone(),
            official: OFFICIAL.to_owned(),
            created: self.clock.now(),
        };
        let BatchStarted::Batch(started) = self.store.batch_start(permit, new).await.unwrap() else {
            panic!("a new batch is started")
        };
        let chunk = Chunk {
            batch: started.id,
            generation: first_generation(),
            first_row: 0,
            rows: 1,
            content: self.keys.content_digest(source_id.as_bytes()),
            subjects: vec![self.subject(rng, source_id, restrictions)],
            rejected: Vec::new(),
        };
        let permit =
            self.permit("intake", Action::EnrolSubjects, About::Collection { collection: &batch }).await;
        let ChunksDone { done, change, receipt } = self.chunks_enrol(vec![(permit, chunk)]).await.unwrap();
        assert!(matches!(done[..], [ChunkDone::Enrolled { .. }]), "a first chunk is enrolled");
        assert!(receipt.is_some(), "what is enrolled has an entry");
        let slot = change.added.first().expect("the subject has a template").slot;
        self.store.slot_subject(vec![slot]).await.unwrap().pop().flatten().expect("the slot has a subject")
    }

    /// Has one person propose a change and another confirm it.
    pub(crate) async fn confirmed(&self, change: Change) {
        let (id, kind) = (ChangeId::from_bytes(random_bytes(&SystemEntropy::new()).unwrap()), change.kind());
        let new = ChangeNew { id, change, reason: "a test".to_owned(), signature: vec![1; 64] };
        let permit = self.permit("ana", Action::ProposeChange, About::Service).await;
        let _ = self.store.change_propose(permit, new).await.unwrap();
        let proposed_by: ActorName = "ana".parse().unwrap();
        let about = About::Change { kind, proposed_by: &proposed_by, proposer_role: Role::Administrator };
        let permit = self.permit("mere", Action::ConfirmChange, about).await;
        let end = ChangeEnd::Confirm { id, signature: vec![2; 64], leave: None };
        let (ended, _) = self.store.change_end(permit, end).await.unwrap().open().ok().unwrap();
        assert!(matches!(ended, change::Ended::Done(..)), "the change found nothing to change");
    }

    /// Enrols chunks that nothing else is in line with.
    pub(crate) async fn chunks_enrol(&self, chunks: Vec<(Permit, Chunk)>) -> Result<ChunksDone, StoreError> {
        let (line, _) = Line::new(Arc::default());
        self.store.chunks_enrol(chunks, line).await.map(|(done, _)| done)
    }

    fn subject(&self, rng: &mut ChaCha8Rng, source_id: &str, restrictions: &[&str]) -> SubjectNew {
        let transform = synthetic::transform(256, 7);
        let field = |field: &str, value: &str| FieldNew {
            field: field.parse().unwrap(),
            value: value.to_owned(),
            classification: "IN-CONFIDENCE".to_owned(),
            source: "passport".to_owned(),
            permitted_uses: vec!["border-identity".to_owned()],
        };
        SubjectNew {
            source: self.keys.pseudonym(source_id),
            templates: vec![synthetic::protected(&synthetic::unit(rng, 256), &transform)],
            fields: vec![field("family-name", FAMILY_NAME), field("given-names", "Aroha Jane")],
            restrictions: restrictions.iter().map(|name| name.parse().unwrap()).collect(),
        }
    }

    pub(crate) async fn disclosure(&self, query: QueryId) -> Requested {
        let fields = vec!["family-name".parse::<FieldName>().unwrap(), "given-names".parse().unwrap()];
        let purpose = purpose();
        let about = About::NewDisclosure {
            agreement: None,
            purpose: &purpose,
            fields: &fields,
            standings: Standings::all_active(),
        };
        let permit = self.permit("border", Action::RequestDisclosure, about).await;
        let request_id = request_id();
        let ask = PartnerAsk::new(AskParts {
            request_id,
            query,
            purpose: purpose.clone(),
            fields: Fields::new(fields).unwrap(),
            justification: JUSTIFICATION.to_owned(),
            legal_basis: "Customs Act".to_owned(),
            official: OFFICIAL.to_owned(),
            urgent: None,
            sample: None,
        })
        .unwrap();
        let signature = AskSignature { digest: ask.digest(), bytes: vec![1; 64] };
        let now = self.clock.now();
        let request = Request::new(RequestParts {
            disclosure: DisclosureId::from_bytes(random_bytes(&SystemEntropy::new()).unwrap()),
            partner: "au-border".parse().unwrap(),
            requester: "border".parse().unwrap(),
            agreement: agreement(),
            factors: Factors::new([Factor::of(DeciderRole::ApprovingOfficer, NonZeroU8::new(2).unwrap())])
                .unwrap(),
            received: now,
            decide_by: now.after(Duration::from_secs(48 * 3_600)),
            ask,
        })
        .unwrap();
        let content = self.keys.content_digest(&request.to_bytes());
        let window_start = now.before(Duration::from_secs(3_600));
        let new = DisclosureNew { request, request_id, content, signature, window_start, confirmation: None };
        self.store.disclosure_request(permit, new).await.unwrap().open().ok().unwrap().0
    }

    pub(crate) async fn decide(&self, case: &Case, officer: &str, grant: bool) -> Decided {
        let request = case.disclosure.request();
        let fields = request.ask().fields().clone();
        let granted: Vec<FieldName> = if grant { fields.iter().cloned().collect() } else { Vec::new() };
        let about = About::Case {
            partner: request.partner(),
            standing: Standing::Active,
            agreement: request.agreement(),
            purpose: request.ask().purpose(),
            fields: &granted,
            standings: Standings::all_active(),
        };
        let permit = self.permit(officer, Action::DecideCase, about).await;
        let decision = Decision::new(DecisionParts {
            disclosure: request.disclosure(),
            request: case.disclosure.digest(),
            officer: officer.parse().unwrap(),
            role: DeciderRole::ApprovingOfficer,
            choice: if grant { Choice::Grant(fields) } else { Choice::Deny },
            reason: "the documents agree".to_owned(),
            at: self.clock.now(),
            comparison: None,
            on_behalf: None,
        })
        .unwrap();
        let signed = SignedDecision { decision, signature: DecisionSignature::Certificate(vec![2; 64]) };
        let new = DecisionNew { signed, eligible: eligible(), visible: Vec::new() };
        let decided = self.store.disclosure_decide(permit, new).await.unwrap();
        decided.open().ok().unwrap().0
    }

    /// A case about a hit of somebody who is enrolled for it, granted by two officers.
    async fn approved(&self, source: &str) -> Case {
        let subject = self.enrol(&mut synthetic::rng(2), source, &[]).await;
        let (query, ..) =
            self.ask(Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None }).await;
        let Requested::Kept(case) = self.disclosure(query).await else {
            panic!("a hit of one's own is kept")
        };
        let Decided::Kept(half) = self.decide(&case, "sione", true).await else {
            panic!("a first officer decides")
        };
        let Decided::Kept(whole) = self.decide(&half, "grace", true).await else {
            panic!("a second officer decides")
        };
        assert_eq!(whole.disclosure.state(), State::Approved);
        *whole
    }

    pub(crate) async fn release(&self, case: &Case) -> Released {
        let approval = case.disclosure.approval(&eligible(), self.clock.now()).expect("it is approved");
        let terms = ReleaseTerms {
            partner: "au-border".parse().unwrap(),
            purpose: purpose(),
            visible: Vec::new(),
            ends: self.clock.now().after(Duration::from_secs(3_600)),
            review_by: None,
            policy: self.rules.digest(),
        };
        self.store.disclosure_release(approval, terms).await.unwrap().open().ok().unwrap().0
    }

    pub(crate) async fn own_permit(&self, action: Action, case: &Case) -> Permit {
        let request = case.disclosure.request();
        let about = About::Disclosure {
            partner: request.partner(),
            agreement: request.agreement(),
            standings: Standings::all_active(),
        };
        self.permit("border", action, about).await
    }

    pub(crate) async fn verifier(&self, journal: Journal) -> VerifierKey {
        let checkpoint = self.store.checkpoint_get(journal).await.unwrap();
        checkpoint.expect("the journal has entries").verifier_key.parse().unwrap()
    }
}

/// A hit's receipt verifies with the journal's key and opens to what was answered.
pub(crate) async fn every_answer_has_an_entry_that_anyone_can_verify(bench: Bench) {
    let subject = SubjectId::from_bytes([9; 16]);
    let hit = Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None };
    let (query, answer, receipt) = bench.ask(hit).await;
    assert_eq!(answer, Answer::Hit);
    let key = bench.verifier(Journal::Partner("au-border".parse().unwrap())).await;
    let text = receipt.to_text();
    let verified = Receipt::parse(&text).unwrap().verify(&key).expect("the receipt proves its entry");
    let event = verified.event.expect("the receipt opens the partner's side");
    assert_eq!(event.fact(crate::audit::event::Fact::Query), Some(query.as_bytes().as_slice()));
    let subject_fact = event.fact(crate::audit::event::Fact::Subject);
    assert_eq!(subject_fact, None, "the partner's side must not say who it was");
}

/// Hit, no-hit and hidden leave receipts of one size and rows of one size.
pub(crate) async fn outcomes_are_alike_in_size(bench: Bench) {
    let someone = Some(SubjectId::from_bytes([3; 16]));
    let mut sizes = Vec::new();
    for verdict in [
        Verdict { answer: Answer::Hit, subject: someone, hidden: None },
        Verdict { answer: Answer::NoHit, subject: None, hidden: None },
        Verdict { answer: Answer::NoHit, subject: None, hidden: someone },
        Verdict { answer: Answer::Hit, subject: someone, hidden: someone },
    ] {
        let (_, _, receipt) = bench.ask(verdict).await;
        let opening = Receipt::parse(&receipt.to_text()).unwrap().opening.expect("it opens").encode();
        sizes.push(opening.len());
    }
    assert!(sizes.windows(2).all(|pair| pair[0] == pair[1]), "openings differ in size: {sizes:?}");
}

/// A withheld verdict opens only against the receipt of its own entry.
pub(crate) async fn a_verdict_opens_only_against_its_own_receipt(bench: Bench) {
    let (_, _, other) = bench.ask(Verdict { answer: Answer::NoHit, subject: None, hidden: None }).await;
    let verdict = Withheld::new(Verdict { answer: Answer::Hit, subject: None, hidden: None });
    let new = bench.question(request_id(), b"another question");
    let recorded = bench.store.query_record(bench.ask_permit().await, new, verdict).await.unwrap();
    let QueryRecorded::New(_, _own, verdict) = recorded else { panic!("a new query is recorded") };
    assert!(verdict.open(&other).is_err(), "a verdict was opened with the receipt of another query");
}

/// The same question gets the first answer byte for byte; other content and an id past its window are refused.
pub(crate) async fn the_same_question_gets_the_same_answer(bench: Bench) {
    let request = request_id();
    let new = bench.question(request, b"a question");
    let content = new.content;
    let verdict = Withheld::new(Verdict { answer: Answer::NoHit, subject: None, hidden: None });
    let recorded = bench.store.query_record(bench.ask_permit().await, new, verdict).await.unwrap();
    let QueryRecorded::New(query, receipt, _) = recorded else { panic!("a new query is recorded") };
    let first = receipt.to_text();
    // Later entries must not change what is answered again.
    let _later = bench.ask(Verdict { answer: Answer::NoHit, subject: None, hidden: None }).await;
    let since = bench.clock.now().before(Duration::from_secs(3_600));
    let seen = bench.seen(request, content, since).await;
    let QuerySeen::Answered(again) = seen else { panic!("the same question is answered again") };
    assert_eq!((again.query, again.answer, again.receipt), (query, Answer::NoHit, first));
    let other = bench.keys.content_digest(b"another question");
    let seen = bench.seen(request, other, since).await;
    assert!(matches!(seen, QuerySeen::OtherContent));
    bench.clock.advance(Duration::from_secs(7_200));
    let since = bench.clock.now().before(Duration::from_secs(3_600));
    let seen = bench.seen(request, content, since).await;
    assert!(matches!(seen, QuerySeen::WindowOver));
}

impl Bench {
    /// What a look-up says of a request id.
    pub(crate) async fn seen(&self, request: RequestId, content: Digest, since: Timestamp) -> QuerySeen {
        let (partner, times) = ("au-border".parse().unwrap(), (since, self.clock.now()));
        let looked_up = self.store.query_look_up(partner, agreement(), request, content, times);
        let (seen, used) = looked_up.await.unwrap();
        let (partner, now) = ("au-border".parse().unwrap(), self.clock.now());
        assert_eq!(used, self.store.query_usage(partner, agreement(), now).await.unwrap());
        seen
    }
}

/// Two requests of one id at once: one is recorded, the other gets the first answer.
pub(crate) async fn an_id_that_comes_twice_at_once_counts_once(bench: Bench) {
    let record = async |bench: &Bench, request| {
        let verdict = Withheld::new(Verdict { answer: Answer::NoHit, subject: None, hidden: None });
        let new = bench.question(request, b"a question");
        bench.store.query_record(bench.ask_permit().await, new, verdict).await.unwrap()
    };
    for round in 1..=5 {
        // While another question is committed the two wait, and are written in one transaction.
        let (request, other) = (request_id(), request_id());
        let (_, one, two) =
            tokio::join!(record(&bench, other), record(&bench, request), record(&bench, request));
        let new = [&one, &two].iter().filter(|each| matches!(each, QueryRecorded::New(..))).count();
        let seen = [&one, &two]
            .iter()
            .filter(|each| matches!(each, QueryRecorded::Seen(QuerySeen::Answered(_))))
            .count();
        assert_eq!((new, seen), (1, 1));
        let (partner, now) = ("au-border".parse().unwrap(), bench.clock.now());
        let used = bench.store.query_usage(partner, agreement(), now).await.unwrap();
        assert_eq!(used, Usage { today: 2 * round, this_year: 2 * round }, "a repetition costs nothing");
    }
}

/// From a hit through two officers to one ciphertext, which opens, stays the same, and goes when acknowledged.
pub(crate) async fn a_release_takes_two_officers_and_is_one_ciphertext(bench: Bench) {
    let subject = bench.enrol(&mut synthetic::rng(1), "P-1", &[]).await;
    let (query, ..) = bench.ask(Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None }).await;
    let Requested::Kept(case) = bench.disclosure(query).await else { panic!("a hit of one's own is kept") };
    let Decided::Kept(half) = bench.decide(&case, "sione", true).await else {
        panic!("a first officer decides")
    };
    assert_eq!(half.disclosure.state(), State::PartiallyApproved);
    assert!(
        matches!(bench.decide(&half, "sione", true).await, Decided::Refused(_)),
        "one person decides once"
    );
    let Decided::Kept(whole) = bench.decide(&half, "grace", true).await else {
        panic!("a second officer decides")
    };
    assert_eq!(whole.disclosure.state(), State::Approved);
    let Released::Sealed(released) = bench.release(&whole).await else { panic!("an approval is released") };
    assert_eq!(released.disclosure.state(), State::Released);
    let id = released.disclosure.request().disclosure();
    let mut fetched = Vec::new();
    for _ in 0..2 {
        let permit = bench.own_permit(Action::FetchRelease, &released).await;
        let (release, _) = bench.store.release_fetch(permit, id).await.unwrap().open().ok().unwrap();
        fetched.push(release.expect("it is there to fetch"));
    }
    assert_eq!(fetched[0].ciphertext, fetched[1].ciphertext, "a release is one ciphertext");
    assert_eq!(fetched[0].receipt, fetched[1].receipt);
    let plain = open_release_with_info(&bench.release_key, &fetched[0].info, &fetched[0].ciphertext).unwrap();
    assert!(String::from_utf8_lossy(plain.expose()).contains(FAMILY_NAME));
    let digest = Digest::sha256(&fetched[0].ciphertext);
    let permit = bench.own_permit(Action::AcknowledgeRelease, &released).await;
    let (stepped, _) =
        bench.store.release_acknowledge(permit, id, digest).await.unwrap().open().ok().unwrap();
    assert!(matches!(stepped, Stepped::Done(case) if case.disclosure.state() == State::Acknowledged));
    let permit = bench.own_permit(Action::FetchRelease, &released).await;
    let (gone, _) = bench.store.release_fetch(permit, id).await.unwrap().open().ok().unwrap();
    assert!(gone.is_none(), "an acknowledged ciphertext is deleted");
    let rebuilt = bench.store.disclosure_get(id).await.unwrap().unwrap().disclosure.state();
    assert_eq!(rebuilt, State::Acknowledged, "the state is what the steps come to");
}

/// Without a hit of the caller's own nothing is kept; a stranger's and a hidden person's query are alike.
pub(crate) async fn no_hit_no_disclosure(bench: Bench) {
    let hidden = Some(SubjectId::from_bytes([5; 16]));
    for verdict in [
        Verdict { answer: Answer::NoHit, subject: None, hidden: None },
        Verdict { answer: Answer::NoHit, subject: None, hidden },
    ] {
        let (query, ..) = bench.ask(verdict).await;
        assert!(matches!(bench.disclosure(query).await, Requested::NoHit));
    }
    let unknown = QueryId::from_bytes([1; 16]);
    assert!(matches!(bench.disclosure(unknown).await, Requested::NoHit));
}

/// Somebody who was hidden or erased after the hit: the approval ends as a refusal by people does.
pub(crate) async fn hidden_or_erased_since_the_hit_ends_as_denied(bench: Bench) {
    for erased in [false, true] {
        let source = if erased { "P-erased" } else { "P-hidden" };
        let subject = bench.enrol(&mut synthetic::rng(2), source, &[]).await;
        let (query, ..) =
            bench.ask(Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None }).await;
        let Requested::Kept(case) = bench.disclosure(query).await else {
            panic!("a hit of one's own is kept")
        };
        let Decided::Kept(half) = bench.decide(&case, "sione", true).await else {
            panic!("a first officer decides")
        };
        let source = bench.keys.pseudonym(source);
        if erased {
            let permit = bench.permit("intake", Action::EraseSubject, About::Service).await;
            let _done = bench.store.subject_erase(permit, source, "asked to".to_owned()).await.unwrap();
        } else {
            let permit = bench.permit("intake", Action::AddRestriction, About::Service).await;
            let restriction: RestrictionName = "protected-identity".parse().unwrap();
            let new = RestrictionNew { source, restriction, why: "court order".to_owned() };
            let _done = bench.store.restriction_add(permit, new).await.unwrap();
        }
        let Decided::Kept(denied) = bench.decide(&half, "grace", true).await else {
            panic!("a second officer decides")
        };
        assert_eq!(denied.disclosure.state(), State::Denied, "it ends with the decision, as a refusal does");
    }
}

/// The same between approval and release.
pub(crate) async fn hidden_between_approval_and_release_ends_as_denied(bench: Bench) {
    let whole = bench.approved("P-hidden").await;
    let permit = bench.permit("intake", Action::AddRestriction, About::Service).await;
    let source = bench.keys.pseudonym("P-hidden");
    let restriction: RestrictionName = "protected-identity".parse().unwrap();
    let new = RestrictionNew { source, restriction, why: "court order".to_owned() };
    let _done = bench.store.restriction_add(permit, new).await.unwrap();
    let Released::Denied(denied) = bench.release(&whole).await else { panic!("nothing of them is released") };
    assert_eq!(denied.disclosure.state(), State::Denied);
}

/// Whom or what a privacy officer stops between the gate's look and the release: nothing leaves, and the case stays approved.
pub(crate) async fn stopped_between_approval_and_release_nothing_leaves(bench: Bench, stop: Stop) {
    let whole = bench.approved("P-1").await;
    let permit = bench.permit("mere", Action::JudgeAlert, About::Service).await;
    let judgement = JudgementNew {
        alert: Digest::sha256(b"an alert"),
        detector: "volume".to_owned(),
        whom: "somebody".to_owned(),
        entries: vec!["holder/0".to_owned()],
        finding: AlertFinding::Misuse,
        why: "under investigation".to_owned(),
        stop: Some(stop),
    };
    let judged = bench.store.alert_judge(permit, judgement).await.unwrap().open().ok().unwrap().0;
    assert!(matches!(judged, Judged::Kept), "there is somebody to stop");
    assert!(matches!(bench.release(&whole).await, Released::NotApproved), "it left all the same");
    let id = whole.disclosure.request().disclosure();
    let kept = bench.store.disclosure_get(id).await.unwrap().unwrap();
    assert_eq!(kept.disclosure.state(), State::Approved);
}

/// A chunk that was answered is answered again; one that does not follow is refused; nothing is enrolled twice.
pub(crate) async fn a_broken_off_batch_goes_on_where_it_was(bench: Bench) {
    let name = collection();
    let request = request_id();
    let start = async || {
        let permit =
            bench.permit("intake", Action::StartBatch, About::Collection { collection: &name }).await;
        let new = BatchNew {
            request,
            collection: name.clone(),
            official: OFFICIAL.to_owned(),
            created: bench.clock.now(),
        };
        match bench.store.batch_start(permit, new).await.unwrap() {
            BatchStarted::Batch(batch) => batch,
            BatchStarted::OtherContent => panic!("it is the same batch"),
        }
    };
    let batch = start().await;
    let chunk = |first_row, content: &[u8]| Chunk {
        batch: batch.id,
        generation: first_generation(),
        first_row,
        rows: 2,
        content: bench.keys.content_digest(content),
        subjects: vec![bench.subject(&mut synthetic::rng(first_row), &format!("B-{first_row}"), &[])],
        rejected: vec![(first_row + 1, "not finite".to_owned())],
    };
    let enrol = async |chunk| {
        let permit =
            bench.permit("intake", Action::EnrolSubjects, About::Collection { collection: &name }).await;
        bench.chunks_enrol(vec![(permit, chunk)]).await.unwrap().done.pop().expect("one answer")
    };
    assert!(matches!(enrol(chunk(0, b"one")).await, ChunkDone::Enrolled { .. }));
    let ChunkDone::Repeated { rejected, batch: same } = enrol(chunk(0, b"one")).await else {
        panic!("the same chunk is answered again")
    };
    assert_eq!((rejected.len(), same.rows_done), (1, 2));
    assert!(matches!(enrol(chunk(0, b"other")).await, ChunkDone::OutOfOrder { rows_done: 2 }));
    assert!(matches!(enrol(chunk(4, b"two")).await, ChunkDone::OutOfOrder { rows_done: 2 }));
    assert!(matches!(enrol(chunk(2, b"two")).await, ChunkDone::Enrolled { .. }));
    assert_eq!(start().await.rows_done, 4);
    let loaded = bench.store.gallery_load(collection(), 0, 10).await.unwrap();
    assert_eq!(loaded.len(), 2, "two subjects, one template each");
}

/// Enrolling the same source id again updates; restrictions are a set that moves the templates.
pub(crate) async fn enrolling_again_updates(bench: Bench) {
    let mut rng = synthetic::rng(3);
    let first = bench.enrol(&mut rng, "P-7", &[]).await;
    let again = bench.enrol(&mut rng, "P-7", &["minor"]).await;
    assert_eq!(first, again, "one source id is one subject");
    let facts = bench.store.subject_get(bench.keys.pseudonym("P-7")).await.unwrap().expect("it is there");
    assert_eq!((facts.templates, facts.fields.len(), facts.restrictions.len()), (1, 2, 1));
    let loaded = bench.store.gallery_load(collection(), 0, 10).await.unwrap();
    let sets = bench.store.restriction_sets().await.unwrap();
    let set = sets.iter().find(|set| set.id == loaded[0].restriction_set).expect("its set is known");
    assert_eq!(set.names, ["minor".parse().unwrap()]);
}

/// What a partner's journal holds is whole, and its openings are the partner's alone.
pub(crate) async fn a_partner_reads_its_own_journal(bench: Bench) {
    for _ in 0..3 {
        let _ = bench.ask(Verdict { answer: Answer::NoHit, subject: None, hidden: None }).await;
    }
    let entries = bench.store.journal_read("au-border".parse().unwrap(), 0, 100).await.unwrap();
    assert_eq!(entries.len(), 3);
    for entry in &entries {
        assert!(entry.entry.opens(entry.opening.as_ref().expect("it is kept")).is_ok());
    }
    let others = bench.store.journal_read("ca-border".parse().unwrap(), 0, 100).await.unwrap();
    assert!(others.is_empty(), "one partner's volume shows in nobody else's journal");
    let written = bench.store.heads_record().await.unwrap();
    assert_eq!(
        (written, bench.store.heads_record().await.unwrap()),
        (1, 0),
        "a head is written when it grew"
    );
}

/// What the newest checkpoint covers is served as files, at every width that it ever had, and nothing else.
pub(crate) async fn files_of_a_journal_are_what_its_checkpoint_covers(bench: Bench) {
    let journal = Journal::Partner("au-border".parse().unwrap());
    let (tile, bundle) = (
        async |level, index, width| {
            let tile = TileId::new(level, index, width).unwrap();
            bench.store.tile_get(journal.clone(), tile).await.unwrap()
        },
        async |index, width| {
            let bundle = BundleId::new(index, width).unwrap();
            bench.store.bundle_get(journal.clone(), bundle).await.unwrap()
        },
    );
    assert!(tile(0, 0, 1).await.is_none() && bundle(0, 1).await.is_none(), "an empty journal has no file");
    let mut kept = Vec::new();
    let mut edge = Edge::new();
    for size in 1..=258_u64 {
        let _ = bench.ask(Verdict { answer: Answer::NoHit, subject: None, hidden: None }).await;
        if [1, 5, 255].contains(&size) {
            let width = u16::try_from(size).unwrap();
            kept.push((width, tile(0, 0, width).await.unwrap(), bundle(0, width).await.unwrap()));
            assert!(tile(0, 0, width + 1).await.is_none(), "a tile beyond the checkpoint");
            assert!(bundle(0, width + 1).await.is_none(), "a bundle beyond the checkpoint");
        }
    }
    let (whole, all) = (tile(0, 0, 256).await.unwrap(), bundle(0, 256).await.unwrap());
    for (width, hashes, entries) in kept {
        assert!(whole.starts_with(&hashes) && all.starts_with(&entries), "width {width}");
        assert_eq!(tile(0, 0, width).await.unwrap(), hashes, "what was due once is there for ever");
        assert_eq!(bundle(0, width).await.unwrap(), entries, "what was due once is there for ever");
    }
    for (bytes, width) in [(all, 256), (bundle(1, 2).await.unwrap(), 2)] {
        for entry in parse_bundle(&bytes, width).unwrap() {
            edge.append(crate::audit::entry::Entry::decode(entry).unwrap().leaf_hash());
        }
    }
    assert_eq!(parse_tile(&tile(1, 0, 1).await.unwrap(), 1).unwrap().len(), 1);
    assert!(tile(1, 0, 2).await.is_none() && tile(2, 0, 1).await.is_none(), "tiles that are not whole yet");
    assert!(tile(0, 1, 3).await.is_none() && tile(0, 2, 1).await.is_none(), "a tile beyond the checkpoint");
    let key = bench.verifier(journal.clone()).await;
    let note = bench.store.checkpoint_get(journal).await.unwrap().unwrap().checkpoint;
    let signed = Checkpoint::open(&note, &key).unwrap();
    assert_eq!((edge.size(), edge.root()), (signed.size, signed.root), "the files lead to the signed root");
    let nobodys = Journal::Partner("nobody".parse().unwrap());
    assert!(bench.store.tile_get(nobodys, TileId::new(0, 0, 1).unwrap()).await.unwrap().is_none());
}

/// The four eyes of promise 9: what is confirmed takes effect once.
pub(crate) async fn a_change_takes_effect_once(bench: Bench) {
    let change = Change::PutPerson(Person {
        name: "hemi".parse().unwrap(),
        role: Role::ApprovingOfficer,
        spiffe_id: "spiffe://holder.example/hemi".to_owned(),
        public_key: vec![7; 91],
        partner: None,
        standing: Standing::Active,
        contact: Some(CONTACT.to_owned()),
        unit: None,
    });
    let id = ChangeId::from_bytes([8; 16]);
    let new = ChangeNew { id, change, reason: "a new officer".to_owned(), signature: vec![1; 64] };
    let permit = bench.permit("ana", Action::ProposeChange, About::Service).await;
    let (record, _) = bench.store.change_propose(permit, new).await.unwrap().open().ok().unwrap();
    assert_eq!(record.digest, change::digest(id, &record.change, &record.reason));
    let proposed_by: ActorName = "ana".parse().unwrap();
    let proposer_role = Role::Administrator;
    let about = About::Change { kind: "put-person", proposed_by: &proposed_by, proposer_role };
    for first in [true, false] {
        let permit = bench.permit("mere", Action::ConfirmChange, about).await;
        let end = ChangeEnd::Confirm { id, signature: vec![2; 64], leave: None };
        let (ended, _) = bench.store.change_end(permit, end).await.unwrap().open().ok().unwrap();
        assert_eq!(matches!(ended, change::Ended::Done(..)), first, "a change is confirmed once");
    }
    let registry = bench.store.registry_load().await.unwrap();
    let hemi = registry.person(&"hemi".parse().unwrap()).expect("the change added this person");
    assert_eq!(hemi.contact.as_deref(), Some(CONTACT));
}

fn eligible() -> Vec<Eligible> {
    ["sione", "grace"]
        .map(|officer| Eligible {
            officer: officer.parse().unwrap(),
            role: DeciderRole::ApprovingOfficer,
            standing: DeciderStanding::Active,
            unit: None,
            on_behalf: None,
        })
        .to_vec()
}

fn bundle() -> Bundle {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("policy");
    Bundle::read_folder(&folder).expect("the policy folder can be read")
}

pub(crate) fn collection_new() -> CollectionNew {
    CollectionNew { name: collection(), scheme: "demo-face-256".parse().unwrap(), dimension: 256 }
}

pub(super) fn collection() -> CollectionName {
    "watch-face".parse().unwrap()
}

/// The collection before any renewal.
pub(crate) fn first_generation() -> CollectionGeneration {
    CollectionGeneration { collection: collection(), number: 1 }
}

fn purpose() -> PurposeName {
    "border-identity".parse().unwrap()
}

fn agreement() -> AgreementName {
    "au-border-identity".parse().unwrap()
}

fn request_id() -> RequestId {
    RequestId::from_bytes(random_bytes(&SystemEntropy::new()).unwrap())
}

/// Words that must be found nowhere in a file.
pub(crate) const SECRETS: [&str; 5] = [CASE, OFFICIAL, FAMILY_NAME, JUSTIFICATION, CONTACT];
const CONTACT: &str = "desk-ZQXJ@holder.example";
const CASE: &str = "case-ZQXJ-kumara-1";
pub(super) const OFFICIAL: &str = "official-ZQXJ-kererū-2";
const FAMILY_NAME: &str = "Ngāti-ZQXJ-Harakeke";
const JUSTIFICATION: &str = "the traveller ZQXJ gave two different names at the counter";
