//! Writing a year: each step by the transaction that a served one takes, at its time.
//!
//! Questions go without a search: who matches is known from the year, and the verdict is made of it where the search would
//! have made it. Rules, counters, entries, requests, signed decisions and releases are what they always are.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use onebit::approval::{AskParts, Choice, DeciderRole, Decision, DecisionParts, Fields, PartnerAsk};
use onebit::authz::{About, Action, Actor, Ask, Standings, Usage};
use onebit::clock::{Clock, Timestamp};
use onebit::gate::{DecideAsk, DecisionProof, DisclosureAsk};
use onebit::ids::{
    AgreementName, CollectionName, Digest, DisclosureId, FieldName, PurposeName, QueryId, RequestId,
};
use onebit::keys::SignatureDomain;
use onebit::secret::{SystemEntropy, random_bytes};
use onebit::store::{Answer, QueryNew, QueryRecorded, Store, Verdict, Withheld};
use onebit::template::{Quality, QualityScore};
use tokio::task::JoinSet;

use crate::founding::Agency;
use crate::year::{Case, FIELDS, Found, OFFICERS, PARTNERS, What, Year};

/// What is known of what was written.
#[derive(Default)]
struct Written {
    /// The last query of each case with a hit.
    queries: HashMap<usize, QueryId>,
    /// The disclosure of each case in which fields were asked for, and the digest of the request.
    disclosures: HashMap<usize, (DisclosureId, Digest)>,
}

impl Agency {
    /// Writes the year, and what follows on its last day.
    pub(crate) async fn write(self: &Arc<Self>, year: &Arc<Year>) {
        let (mut written, mut tended) = (Written::default(), self.clock.now());
        let mut steps = year.steps.as_slice();
        while let Some(first) = steps.first() {
            let now = Timestamp::from_millis(first.at);
            while tended.after(TENDED_EVERY) <= now {
                tended = tended.after(TENDED_EVERY);
                self.until(tended);
                self.tend().await;
            }
            self.until(now);
            // Questions of one moment come at once, and are written together.
            let at_once = steps
                .iter()
                .take_while(|step| step.at == first.at && matches!(step.what, What::Asked { .. }));
            let at_once = at_once.count();
            if at_once == 0 {
                self.step(&mut written, &year.cases, first.what).await;
                steps = &steps[1..];
                continue;
            }
            let mut asking = JoinSet::new();
            for step in &steps[..at_once] {
                let What::Asked { case } = step.what else { panic!("questions alone are written at once") };
                let (agency, year) = (Arc::clone(self), Arc::clone(year));
                asking.spawn(async move { (case, agency.ask(&year.cases[case]).await) });
            }
            let asked = asking.join_all().await;
            written.queries.extend(asked.into_iter().filter_map(|(case, query)| Some((case, query?))));
            steps = &steps[at_once..];
        }
        self.until(self.clock.now().after(AFTERWARDS));
        self.tend().await;
    }

    fn until(&self, at: Timestamp) {
        let ahead = at.as_millis() - self.clock.now().as_millis();
        self.clock.advance(Duration::from_millis(u64::try_from(ahead).unwrap_or(0)));
    }

    /// What a server does by the clock.
    async fn tend(&self) {
        self.gate.heads_record().await.unwrap();
        self.gate.cases_tend().await.unwrap();
        while self.gate.tags_index().await.unwrap() > 0 {}
    }

    async fn step(&self, written: &mut Written, cases: &[Case], what: What) {
        match what {
            What::Asked { .. } => panic!("questions are written at once"),
            What::AskedForNoPurpose { case } => self.refused(&cases[case]).await,
            What::Requested { case } => {
                let query = written.queries.remove(&case).unwrap();
                let done = self.request(&cases[case], query).await;
                written.disclosures.insert(case, done);
            }
            What::Decided { case, officer, is_granted } => {
                self.decide(written.disclosures[&case], officer, is_granted).await;
            }
            What::Withdrawn { case } => {
                let system = self.caller(&self.systems[cases[case].partner]);
                self.gate.disclosure_withdraw(&system, written.disclosures[&case].0).await.unwrap();
            }
            What::Acknowledged { case } => {
                let (id, _) = written.disclosures[&case];
                let system = self.caller(&self.systems[cases[case].partner]);
                let release = self.gate.release_fetch(&system, id).await.unwrap();
                let digest = Digest::sha256(&release.ciphertext);
                self.gate.release_acknowledge(&system, id, digest).await.unwrap();
            }
        }
    }

    /// Asks, and gives the query when it hit.
    async fn ask(&self, case: &Case) -> Option<QueryId> {
        let id: [u8; 16] = random_bytes(&SystemEntropy::new()).unwrap();
        let (request, now) = (RequestId::from_bytes(id), self.clock.now());
        let content = self.keys.content_digest(&id);
        let actor = self.caller(&self.systems[case.partner]).actor().clone();
        let (collection, purpose) = names(case.purpose);
        let partner = PARTNERS[case.partner].name;
        let agreement: AgreementName = format!("{partner}-identity").parse().unwrap();
        let since = now.before(WINDOW);
        let seen =
            self.store.query_look_up(partner.parse().unwrap(), agreement, request, content, (since, now));
        let (_new, used) = seen.await.unwrap();
        let usage = Usage::Counted {
            today: u32::try_from(used.today).unwrap(),
            this_year: u32::try_from(used.this_year).unwrap(),
        };
        let permit = self.permit(&actor, (&collection, &purpose), usage, content).unwrap();
        let subject = |person: u64| Some(self.subjects[usize::try_from(person).unwrap()]);
        let verdict = match case.found {
            Found::Nobody => Verdict { answer: Answer::NoHit, subject: None, hidden: None },
            Found::Seen(person) => Verdict { answer: Answer::Hit, subject: subject(person), hidden: None },
            Found::Hidden(person) => {
                Verdict { answer: Answer::NoHit, subject: None, hidden: subject(person) }
            }
        };
        let new = QueryNew {
            id: QueryId::from_bytes(random_bytes(&SystemEntropy::new()).unwrap()),
            request,
            content,
            collection,
            purpose,
            case: case.reference.clone(),
            official: case.official.clone(),
            legal_basis: LEGAL_BASIS.to_owned(),
            urgency: "routine",
            qualities: vec![Quality::Score(QualityScore::new(80).unwrap())],
            received: now,
            window_start: since,
        };
        match self.store.query_record(permit, new, Withheld::new(verdict)).await.unwrap() {
            QueryRecorded::New(query, receipt, verdict) => {
                let Verdict { answer, .. } = verdict.open(&receipt).unwrap();
                (answer == Answer::Hit).then_some(query)
            }
            QueryRecorded::Seen(_) => panic!("a new id was taken for one that was seen"),
            QueryRecorded::DayExhausted | QueryRecorded::YearExhausted => {
                panic!("the volumes of the agreements must be enough for the year")
            }
        }
    }

    /// Asks for a purpose that the agreement does not have, and is refused.
    async fn refused(&self, case: &Case) {
        let actor = self.caller(&self.systems[case.partner]).actor().clone();
        let (collection, purpose) = names("traffic-offence");
        let content = self.keys.content_digest(case.reference.as_bytes());
        let refusal = self.permit(&actor, (&collection, &purpose), Usage::Repeated, content);
        let Err(refusal) = refusal else { panic!("the agreement should not have this purpose") };
        let refused = self.store.refusal_record(actor, Action::AskQuery, refusal.reason, refusal.rule).await;
        let _receipt = refused.unwrap();
    }

    fn permit(
        &self,
        actor: &Actor,
        (collection, purpose): (&CollectionName, &PurposeName),
        usage: Usage,
        content: Digest,
    ) -> Result<onebit::authz::Permit, onebit::authz::Refusal> {
        let standings = Standings::all_active();
        let about = About::Query { agreement: None, collection, purpose, samples: 1, usage, standings };
        let ask = Ask { action: Action::AskQuery, about, content, now: self.clock.now() };
        self.rules.permit(actor, &ask)
    }

    /// Asks for fields after a hit.
    async fn request(&self, case: &Case, query: QueryId) -> (DisclosureId, Digest) {
        let system = &self.systems[case.partner];
        let parts = AskParts {
            request_id: RequestId::from_bytes(random_bytes(&SystemEntropy::new()).unwrap()),
            query,
            purpose: case.purpose.parse().unwrap(),
            fields: Fields::new(fields()).unwrap(),
            justification: "Two identities with one face; which of them is on record?".to_owned(),
            legal_basis: LEGAL_BASIS.to_owned(),
            official: case.official.clone(),
            urgent: None,
            sample: None,
        };
        let (request_id, purpose, justification) =
            (parts.request_id, parts.purpose.clone(), parts.justification.clone());
        let asked = PartnerAsk::new(parts).unwrap();
        let signature = system.key.sign(SignatureDomain::DisclosureRequest, &asked.digest()).unwrap();
        let ask = DisclosureAsk {
            request_id,
            query,
            fields: fields(),
            purpose,
            legal_basis: LEGAL_BASIS.to_owned(),
            justification,
            official: case.official.clone(),
            urgent: None,
            sent: self.clock.now(),
            signature,
            sample: None,
        };
        let done = self.gate.disclosure_request(&self.caller(system), ask).await.unwrap();
        (done.case.disclosure.request().disclosure(), done.case.disclosure.digest())
    }

    /// An officer decides, signed.
    async fn decide(&self, (disclosure, request): (DisclosureId, Digest), officer: usize, is_granted: bool) {
        let acting = &self.officers[officer];
        let (role, at) = (DeciderRole::ApprovingOfficer, self.clock.now());
        let reason =
            if is_granted { "the case is well founded" } else { "the case is not founded" }.to_owned();
        let granted = is_granted.then(fields);
        let choice = match &granted {
            Some(fields) => Choice::Grant(Fields::new(fields.iter().cloned()).unwrap()),
            None => Choice::Deny,
        };
        let decision = Decision::new(DecisionParts {
            disclosure,
            request,
            officer: OFFICERS[officer].parse().unwrap(),
            role,
            choice,
            reason: reason.clone(),
            at,
            comparison: None,
            on_behalf: None,
        });
        let signature = acting.key.sign(SignatureDomain::Decision, &decision.unwrap().digest()).unwrap();
        let proof = DecisionProof::Certificate(signature);
        let (comparison, on_behalf) = (None, None);
        let ask = DecideAsk { disclosure, request, role, granted, reason, at, comparison, on_behalf, proof };
        self.gate.case_decide(&self.caller(acting), ask).await.unwrap();
    }
}

fn fields() -> Vec<FieldName> {
    FIELDS.map(|field| field.parse().unwrap()).to_vec()
}

fn names(purpose: &str) -> (CollectionName, PurposeName) {
    ("watch-face".parse().unwrap(), purpose.parse().unwrap())
}

const LEGAL_BASIS: &str = "Example Act, s 10";
/// As the agreements have it.
const WINDOW: Duration = Duration::from_secs(24 * 3_600);
/// A server tends every half minute and records heads every minute; by the hour is enough for a year.
const TENDED_EVERY: Duration = Duration::from_secs(3_600);
/// What was asked for last runs out of time, and what was released last is fetched.
const AFTERWARDS: Duration = Duration::from_secs(10 * 86_400);
