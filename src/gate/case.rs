//! What officers see and decide, and the release that follows an approval.

use crate::approval::{
    Choice, DeciderRole, Decision, DecisionParts, Deed, DeedKind, DeedParts, Fields, SignedDecision, State,
};
use crate::authz::{About, Action, Agreement, Ask, Force, SignedBy, Standing};
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, DisclosureId, FieldName, PartnerName, PurposeName};
use crate::keys::webauthn::WebAuthnError;
use crate::store::disclosure::{
    CaseOrder, Decided, DecisionNew, FieldValue, ReleaseTerms, ReviewsOwed, Stepped,
};
use crate::store::{Case, CaseCount, CaseFilter, CasesRelated, FieldFacts, Released};
use crate::telemetry;

use super::decision::DecisionProof;
use super::delegation::eligible;
use super::disclosure::decider_role;
use super::{Caller, Gate, GateError};

/// Which cases an officer wants to see.
#[derive(Debug, Clone, Default)]
pub struct CaseAsk {
    /// Only in this state; otherwise those that can be decided.
    pub state: Option<State>,
    /// Only of this partner.
    pub partner: Option<PartnerName>,
    /// Those that owe a review, in whatever state.
    pub reviews_owed: bool,
    /// Only for this purpose.
    pub purpose: Option<PurposeName>,
    /// Only on this legal basis, in the partner's own words.
    pub legal_basis: Option<String>,
    /// Only those asked for at this time or later.
    pub asked_since: Option<Timestamp>,
    /// Only those asked for at this time or before.
    pub asked_before: Option<Timestamp>,
    /// The last case of the page before, and when it ended as that page showed it.
    pub after: Option<(DisclosureId, Timestamp)>,
    /// How many at most.
    pub limit: u32,
}

impl CaseAsk {
    fn filter(self) -> CaseFilter {
        let states = match (self.state, self.reviews_owed) {
            (Some(state), _) => vec![state],
            (None, true) => Vec::new(),
            (None, false) => vec![State::Pending, State::PartiallyApproved],
        };
        CaseFilter {
            partner: self.partner,
            states,
            purpose: self.purpose,
            legal_basis: self.legal_basis,
            asked_since: self.asked_since,
            asked_before: self.asked_before,
            order: if self.reviews_owed { CaseOrder::Oldest } else { CaseOrder::Queue },
            reviews: self.reviews_owed.then_some(ReviewsOwed::All),
            after: self.after.map(|(id, _)| id),
            after_ends: self.after.map(|(_, ends)| ends),
            limit: self.limit,
            ..CaseFilter::default()
        }
    }
}

/// One case with what is known of the fields, without values.
pub struct CaseDetail {
    /// The case.
    pub case: Case,
    /// What is known of each field asked for.
    pub fields: Vec<FieldFacts>,
    /// What else was asked about the person, and by the official, as far as the rules show it.
    pub related: CasesRelated,
}

/// A decision as it arrived, in its form.
pub struct DecideAsk {
    /// The case.
    pub disclosure: DisclosureId,
    /// The digest of the request that the officer saw.
    pub request: Digest,
    /// In which role.
    pub role: DeciderRole,
    /// The fields granted; none for a denial.
    pub granted: Option<Vec<FieldName>>,
    /// Why.
    pub reason: String,
    /// When, by the officer's clock.
    pub at: Timestamp,
    /// The reference of the comparison outside that it rests on.
    pub comparison: Option<String>,
    /// In whose delegated seat; none for the officer's own.
    pub on_behalf: Option<ActorName>,
    /// How the officer signed it.
    pub proof: DecisionProof,
}

impl Gate {
    /// Cases: urgent ones first, then those that end soonest; or those that owe a review, oldest first.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn case_list(&self, caller: &Caller, ask: CaseAsk) -> Result<Vec<Case>, GateError> {
        let _permit =
            self.permit(&caller.actor, Action::ListCases, About::Service, self.content(b"")).await?;
        Ok(self.parts.store.disclosure_list(ask.filter()).await?)
    }

    /// How many cases there are, counted up to the limit; the page does not matter.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn case_count(&self, caller: &Caller, ask: CaseAsk) -> Result<CaseCount, GateError> {
        let _permit =
            self.permit(&caller.actor, Action::ListCases, About::Service, self.content(b"")).await?;
        Ok(self.parts.store.disclosure_count(CaseAsk { after: None, ..ask }.filter()).await?)
    }

    /// One case.
    ///
    /// # Errors
    /// [`GateError::NotFound`].
    pub async fn case_get(&self, caller: &Caller, id: DisclosureId) -> Result<CaseDetail, GateError> {
        let case = self.case_find(caller, id).await?;
        let asked: Vec<FieldName> = case.disclosure.request().ask().fields().iter().cloned().collect();
        let _permit = self.case_permit(caller, Action::GetCase, &case, &asked).await?;
        let fields = self.parts.store.disclosure_fields(id).await?;
        let related = self.case_related(caller, id).await?;
        Ok(CaseDetail { case, fields, related })
    }

    /// The value of one field; that it was seen is an entry first.
    ///
    /// # Errors
    /// [`GateError::NotFound`] when the case does not ask for the field or the record has none.
    pub async fn field_view(
        &self,
        caller: &Caller,
        id: DisclosureId,
        field: FieldName,
    ) -> Result<FieldValue, GateError> {
        let case = self.case_find(caller, id).await?;
        let permit = self.case_permit(caller, Action::ViewField, &case, std::slice::from_ref(&field)).await?;
        let (value, _receipt) = self.parts.store.field_view(permit, id, field).await?.open()?;
        value.ok_or(GateError::NotFound("field"))
    }

    /// Decides a case; when it was the last decision that approval took, the release follows.
    ///
    /// Returns the case and the index of the decision's entry in the partner's journal.
    ///
    /// # Errors
    /// [`GateError::Signature`], [`GateError::NotNow`] with the rule that stands against it, and the others.
    pub async fn case_decide(&self, caller: &Caller, ask: DecideAsk) -> Result<(Case, u64), GateError> {
        let case = self.case_find(caller, ask.disclosure).await?;
        // The rules first: whoever may not decide at all is told so, and the refusal is an entry.
        let granted = ask.granted.clone().unwrap_or_default();
        let permit = self.case_permit(caller, Action::DecideCase, &case, &granted).await?;
        let decision = decision(caller, &ask)?;
        let live = self.live.load_full();
        let agreement = live.rules.agreement(case.disclosure.request().agreement());
        let agreement = agreement.map(AsRef::as_ref);
        let signature = self.decision_signed(caller, &decision, agreement, ask.proof).await?;
        if decider_role(caller.actor.role) != Some(ask.role) {
            let what = format!("you act as {}; decide in that role", caller.actor.role);
            return Err(GateError::Invalid { field: "role", what });
        }
        let signed = SignedDecision { decision, signature };
        let eligible = eligible(&live.registry, &case, self.now());
        let visible = agreement.map(|agreement| agreement.visible_restrictions.iter().cloned().collect());
        let new = DecisionNew { signed, eligible, visible: visible.unwrap_or_default() };
        let (decided, receipt) = self.parts.store.disclosure_decide(permit, new).await?.open()?;
        let case = match decided {
            Decided::Kept(case) => *case,
            Decided::Refused(refused) => return Err(GateError::NotNow(refused.to_string())),
            Decided::NoCase => return Err(GateError::NotFound("case")),
            Decided::NotSigned => return Err(GateError::Passkey(WebAuthnError::Counter)),
        };
        let case = if case.disclosure.state() == State::Approved { self.release(case).await? } else { case };
        Ok((case, receipt.index()))
    }

    /// Does something else with a case than deciding it.
    ///
    /// # Errors
    /// [`GateError::NotNow`] with the rule that stands against it, [`GateError::Invalid`] for words that are missing or
    /// too long, and the others.
    pub async fn case_tend(
        &self,
        caller: &Caller,
        id: DisclosureId,
        kind: DeedKind,
        words: String,
    ) -> Result<Case, GateError> {
        let case = self.case_find(caller, id).await?;
        let permit = self.case_permit(caller, action(kind), &case, &[]).await?;
        // INVARIANT: the rules let only people of roles that decide do any of this.
        let role = decider_role(caller.actor.role).ok_or(GateError::Internal { doing: "reading a role" })?;
        let parts = DeedParts { kind, officer: caller.actor.name.clone(), role, words };
        let deed = Deed::new(parts)
            .map_err(|error| GateError::Invalid { field: words_field(kind), what: error.to_string() })?;
        let eligible = eligible(&self.live.load().registry, &case, self.now());
        let (stepped, _receipt) =
            self.parts.store.disclosure_tend(permit, id, deed, eligible).await?.open()?;
        self.corrections_due.notify_one();
        match stepped {
            Stepped::Done(case) => Ok(*case),
            Stepped::Refused(refused) => Err(GateError::NotNow(refused.to_string())),
            Stepped::NoCase | Stepped::OtherCiphertext => Err(GateError::NotFound("case")),
        }
    }

    /// Releases what is approved, if everything that was checked before still holds at this moment; otherwise
    /// it stays approved until it holds again or its time is over.
    pub(super) async fn release(&self, case: Case) -> Result<Case, GateError> {
        let live = self.live.load_full();
        let request = case.disclosure.request();
        let partner = live.registry.partner(request.partner());
        let agreement = live.rules.agreement(request.agreement());
        let (Some(partner), Some(agreement)) = (partner, agreement) else { return Ok(case) };
        let now = self.now();
        if partner.standing != Standing::Active || agreement.force(today(now)) != Force::InForce {
            return Ok(case);
        }
        let standings = self.standings(&live, Some(&partner.name), request.ask().official());
        if standings.official != Standing::Active || standings.suspended.contains(&agreement.name) {
            return Ok(case);
        }
        if !still_disclosable(&case, agreement) {
            return Ok(case);
        }
        // Without an urgent path nobody said by when an urgent release is reviewed.
        let urgent = request.ask().urgent().map(|_| agreement.urgent.as_ref());
        if matches!(urgent, Some(None)) {
            return Ok(case);
        }
        let Ok(approval) = case.disclosure.approval(&eligible(&live.registry, &case, self.now()), now) else {
            return Ok(case);
        };
        let terms = ReleaseTerms {
            partner: request.partner().clone(),
            purpose: request.ask().purpose().clone(),
            visible: agreement.visible_restrictions.iter().cloned().collect(),
            ends: now.after(agreement.clocks.release_kept),
            review_by: urgent.flatten().map(|urgent| urgent.review_within.after(now)),
            policy: live.rules.digest(),
        };
        let (released, _receipt) = self.parts.store.disclosure_release(approval, terms).await?.open()?;
        Ok(match released {
            Released::Sealed(case) | Released::Denied(case) => *case,
            Released::NoReleaseKey | Released::NotApproved => case,
        })
    }

    /// Releases what was approved while something stood against it, and ends what ran out of time. Returns how
    /// many cases moved.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn cases_tend(&self) -> Result<u32, GateError> {
        let mut moved: u32 = 0;
        let approved = CaseFilter {
            states: vec![State::Approved],
            order: CaseOrder::Queue,
            limit: TEND_CASES,
            ..CaseFilter::default()
        };
        for case in self.parts.store.disclosure_list(approved).await? {
            let before = case.disclosure.state();
            if self.release(case).await?.disclosure.state() != before {
                moved = moved.saturating_add(1);
            }
        }
        let now = self.now();
        let over = CaseFilter {
            states: vec![
                State::Pending,
                State::NeedsInformation,
                State::PartiallyApproved,
                State::Approved,
                State::Released,
            ],
            ended_before: Some(now),
            order: CaseOrder::Queue,
            limit: TEND_CASES,
            ..CaseFilter::default()
        };
        for case in self.parts.store.disclosure_list(over).await? {
            let id = case.disclosure.request().disclosure();
            let _done = self.parts.store.disclosure_expire(id, now).await?.open()?;
            moved = moved.saturating_add(1);
        }
        Ok(moved.saturating_add(self.reviews_tend(now).await?))
    }

    /// Notes reviews as late that were not closed in time, and counts those that are owed.
    async fn reviews_tend(&self, now: Timestamp) -> Result<u32, GateError> {
        let of = |reviews| CaseFilter {
            reviews: Some(reviews),
            order: CaseOrder::Oldest,
            limit: TEND_CASES,
            ..CaseFilter::default()
        };
        let mut noted: u32 = 0;
        for case in self.parts.store.disclosure_list(of(ReviewsOwed::DueAt(now))).await? {
            let id = case.disclosure.request().disclosure();
            let _done = self.parts.store.review_late(id, now).await?.open()?;
            tracing::warn!(
                "the review of an urgent release is late; see `onebit review list --reviews-owed`"
            );
            noted = noted.saturating_add(1);
        }
        let owed = self.parts.store.disclosure_list(of(ReviewsOwed::All)).await?;
        let is_late = |case: &&Case| case.disclosure.review().is_some_and(crate::approval::Review::is_late);
        let late = owed.iter().filter(is_late).count();
        for (reason, count) in [("late", late), ("in-time", owed.len().saturating_sub(late))] {
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            metrics::gauge!(telemetry::REVIEWS_OWED, "reason" => reason).set(f64::from(count));
        }
        Ok(noted)
    }

    /// Whether the agreement of a case takes decisions signed by a passkey alone.
    #[must_use]
    pub fn case_wants_passkey(&self, case: &Case) -> bool {
        let live = self.live.load();
        let agreement = live.rules.agreement(case.disclosure.request().agreement());
        agreement.is_some_and(|agreement| !agreement.decisions_signed_by.contains(&SignedBy::Certificate))
    }

    /// When a case is shown as late, where its agreement says so and people can still decide it.
    #[must_use]
    pub fn case_escalates(&self, case: &Case) -> Option<Timestamp> {
        let request = case.disclosure.request();
        let live = self.live.load();
        let agreement = live.rules.agreement(request.agreement())?;
        let received = request.received();
        let late = match request.ask().urgent() {
            None => agreement.clocks.escalate_after?.after(received),
            Some(_) => received.after(agreement.urgent.as_ref()?.escalate_after?),
        };
        case.disclosure.state().is_open().then_some(late)
    }

    async fn case_find(&self, caller: &Caller, id: DisclosureId) -> Result<Case, GateError> {
        match self.parts.store.disclosure_get(id).await? {
            Some(case) => Ok(case),
            None => {
                let content = self.content(id.as_bytes());
                let _permit = self.permit(&caller.actor, Action::ListCases, About::Service, content).await?;
                Err(GateError::NotFound("case"))
            }
        }
    }

    /// What else was asked about the person of a case, and by its official, as far as the rules let this caller see it.
    async fn case_related(&self, caller: &Caller, id: DisclosureId) -> Result<CasesRelated, GateError> {
        let mut related = self.parts.store.disclosure_related(id, RELATED_CASES).await?;
        for cases in [&mut related.person, &mut related.official] {
            cases.retain(|case| {
                let asked: Vec<FieldName> =
                    case.disclosure.request().ask().fields().iter().cloned().collect();
                self.case_may(caller, Action::GetCase, case, &asked)
            });
        }
        Ok(related)
    }

    /// What this caller can do with a case at this moment beside deciding it, by the rules and by where it stands. The
    /// gate asks again when somebody does.
    #[must_use]
    pub fn case_deeds(&self, caller: &Caller, case: &Case) -> Vec<DeedKind> {
        let Some(role) = decider_role(caller.actor.role) else { return Vec::new() };
        let eligible = eligible(&self.live.load().registry, case, self.now());
        let now = self.now();
        let fits = |kind: DeedKind| {
            let words = if kind.has_words() { "…".to_owned() } else { String::new() };
            let officer = caller.actor.name.clone();
            let deed = Deed::new(DeedParts { kind, officer, role, words });
            deed.is_ok_and(|deed| case.disclosure.tend(deed, &eligible, now).is_ok())
        };
        let kinds = DeedKind::ALL.into_iter();
        kinds.filter(|kind| fits(*kind) && self.case_may(caller, action(*kind), case, &[])).collect()
    }

    /// What the rules say of a call that nobody makes: no entry.
    fn case_may(&self, caller: &Caller, action: Action, case: &Case, fields: &[FieldName]) -> bool {
        let live = self.live.load();
        let request = case.disclosure.request();
        let standing = live.registry.partner(request.partner()).map(|partner| partner.standing);
        let about = About::Case {
            partner: request.partner(),
            standings: self.standings(&live, Some(request.partner()), request.ask().official()),
            standing: standing.unwrap_or(Standing::Suspended),
            agreement: request.agreement(),
            purpose: request.ask().purpose(),
            fields,
        };
        let asked = Ask { action, about, content: case.disclosure.digest(), now: self.now() };
        live.rules.permit(&caller.actor, &asked).is_ok()
    }

    async fn case_permit(
        &self,
        caller: &Caller,
        action: Action,
        case: &Case,
        fields: &[FieldName],
    ) -> Result<crate::authz::Permit, GateError> {
        let request = case.disclosure.request();
        let live = self.live.load_full();
        let standing = live.registry.partner(request.partner()).map(|partner| partner.standing);
        let about = About::Case {
            partner: request.partner(),
            standings: self.standings(&live, Some(request.partner()), request.ask().official()),
            standing: standing.unwrap_or(Standing::Suspended),
            agreement: request.agreement(),
            purpose: request.ask().purpose(),
            fields,
        };
        self.permit(&caller.actor, action, about, case.disclosure.digest()).await
    }
}

pub(super) fn decision(caller: &Caller, ask: &DecideAsk) -> Result<Decision, GateError> {
    let invalid =
        |error: crate::approval::FormError| GateError::Invalid { field: "decision", what: error.to_string() };
    let choice = match &ask.granted {
        None => Choice::Deny,
        Some(fields) => Choice::Grant(Fields::new(fields.iter().cloned()).map_err(invalid)?),
    };
    Decision::new(DecisionParts {
        disclosure: ask.disclosure,
        request: ask.request,
        officer: caller.actor.name.clone(),
        role: ask.role,
        choice,
        reason: ask.reason.clone(),
        at: ask.at,
        comparison: ask.comparison.clone(),
        on_behalf: ask.on_behalf.clone(),
    })
    .map_err(invalid)
}

/// The call by which something is done.
const fn action(kind: DeedKind) -> Action {
    match kind {
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
    }
}

/// The field of the call that its words come in.
const fn words_field(kind: DeedKind) -> &'static str {
    match kind {
        DeedKind::Question => "question",
        DeedKind::Note => "note",
        DeedKind::FindJustified | DeedKind::FindNotJustified => "words",
        DeedKind::AcceptCorrection | DeedKind::RefuseCorrection => "answer",
        DeedKind::StateCorrection => "statement",
        _ => "reason",
    }
}

fn still_disclosable(case: &Case, agreement: &Agreement) -> bool {
    let ask = case.disclosure.request().ask();
    let granted = case.disclosure.granted();
    agreement.purposes.get(ask.purpose()).is_some_and(|purpose| {
        granted.is_some_and(|fields| fields.iter().all(|field| purpose.discloses.contains(field)))
    })
}

/// The day (UTC) that a moment lies in.
pub(super) fn today(now: Timestamp) -> jiff::civil::Date {
    let instant = jiff::Timestamp::from_millisecond(now.as_millis()).unwrap_or(jiff::Timestamp::MAX);
    instant.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// More of a person, or by an official, is told by the log.
const RELATED_CASES: u32 = 20;
/// A round of tending handles as many as a queue ever holds at once; the next round takes the rest.
const TEND_CASES: u32 = 256;
