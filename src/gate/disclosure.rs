//! Asking for fields after a hit, and taking what was released.

use std::num::NonZeroU8;

use crate::approval::{
    Answer, AskParts, DeciderRole, Factor, Factors, Fields, PartnerAsk, Refused, Request, RequestParts,
    SignedAnswer, State, sample_digest,
};
use crate::authz::{About, Action, Agreement, HitConfirmation, Permit, Role};
use crate::clock::Timestamp;
use crate::ids::{
    AgreementName, Digest, DisclosureId, FieldName, PartnerName, PurposeName, QueryId, RequestId,
};
use crate::keys::SignatureDomain;
use crate::matching::{self, Confirming};
use crate::secret::random_bytes;
use crate::store::disclosure::{AskSignature, CaseOrder, ConfirmationNew, Requested, Stepped};
use crate::store::query::AskedUnder;
use crate::store::{Case, CaseFilter, DisclosureNew, DisclosureSeen, Release};
use crate::template::{Sample, TemplateError};

use super::{Caller, Gate, GateError};

/// A request for fields as it arrived, in its form.
pub struct DisclosureAsk {
    /// The caller's id of the request.
    pub request_id: RequestId,
    /// The query that hit.
    pub query: QueryId,
    /// The fields asked for.
    pub fields: Vec<FieldName>,
    /// The purpose.
    pub purpose: PurposeName,
    /// The legal basis on the caller's side.
    pub legal_basis: String,
    /// Why these fields are needed.
    pub justification: String,
    /// The caller's pseudonym of the official who asks.
    pub official: String,
    /// Why it can't wait, where the urgent path is asked for.
    pub urgent: Option<String>,
    /// When the caller sent it.
    pub sent: Timestamp,
    /// The caller's signature over the digest of its request.
    pub signature: Vec<u8>,
    /// A fresh sample of the person, where the agreement wants one.
    pub sample: Option<Sample>,
}

/// A disclosure with the receipt of the entry that brought it there.
pub struct DisclosureDone {
    /// The disclosure.
    pub case: Case,
    /// The receipt (C2SP tlog-proof).
    pub receipt: String,
}

impl Gate {
    /// Asks for fields.
    ///
    /// # Errors
    /// [`GateError::NoHit`] without a hit of the caller's own, and the others.
    pub async fn disclosure_request(
        &self,
        caller: &Caller,
        ask: DisclosureAsk,
    ) -> Result<DisclosureDone, GateError> {
        self.check_sent(ask.sent)?;
        let partner = self.partner_of(caller, Action::RequestDisclosure).await?;
        let partner_ask = partner_ask(&ask)?;
        let digest = partner_ask.digest();
        caller.check_signature(SignatureDomain::DisclosureRequest, &digest, &ask.signature)?;
        let content = self.content(&partner_ask.to_bytes());
        let under = self.parts.store.query_agreement(partner.clone(), ask.query).await?;
        // A query that is not there is asked about like one that did not hit: the rules decide first.
        let agreement = under.as_ref().map(|under| &under.agreement);
        let live = self.live.load_full();
        let standings = self.standings(&live, Some(&partner), &ask.official);
        let about = About::NewDisclosure { agreement, purpose: &ask.purpose, fields: &ask.fields, standings };
        let permit = self.permit(&caller.actor, Action::RequestDisclosure, about, content).await?;
        let since = self.window_start(&permit)?;
        let seen = self.parts.store.disclosure_seen(partner.clone(), ask.request_id, content, since).await?;
        if let Some(done) = kept_before(seen)? {
            return Ok(done);
        }
        let confirmation = self.confirmation(&permit, under.as_ref(), ask.query, ask.sample).await?;
        let signature = AskSignature { digest, bytes: ask.signature };
        let request = self.request(caller, partner.clone(), &permit, partner_ask)?;
        let new = DisclosureNew {
            request,
            request_id: ask.request_id,
            content,
            signature,
            window_start: since,
            confirmation,
        };
        let (requested, receipt) = self.parts.store.disclosure_request(permit, new).await?.open()?;
        match requested {
            Requested::Kept(case) => Ok(DisclosureDone { case, receipt: receipt.to_text() }),
            Requested::NoHit => Err(GateError::NoHit),
            Requested::Seen => {
                let seen = self.parts.store.disclosure_seen(partner, ask.request_id, content, since).await?;
                kept_before(seen)?.ok_or(GateError::Internal { doing: "finding the first request" })
            }
        }
    }

    /// What a fresh sample says about a hit, if the agreement wants one. The sample is checked before anything is looked up,
    /// and is compared alike for whoever is hidden since; it is wiped whatever comes of it.
    async fn confirmation(
        &self,
        permit: &Permit,
        under: Option<&AskedUnder>,
        query: QueryId,
        sample: Option<Sample>,
    ) -> Result<Option<ConfirmationNew>, GateError> {
        let agreement = permit.agreement().ok_or(GateError::Internal { doing: "reading a permit" })?;
        let (rates, sample) = match (agreement.hit_confirmation, sample) {
            (HitConfirmation::Off, None) => return Ok(None),
            (HitConfirmation::Required(rates), Some(sample)) => (rates, sample),
            (HitConfirmation::Off, Some(_)) => {
                return Err(fresh_sample(agreement, "takes no fresh sample; ask without one"));
            }
            (HitConfirmation::Required(_), None) => {
                return Err(fresh_sample(
                    agreement,
                    "wants a fresh sample of the person with each request; send one and sign its digest",
                ));
            }
        };
        // A query that is nobody's has hit nobody: the store says so.
        let Some(under) = under else { return Ok(None) };
        let live = self.live.load_full();
        let collection = live.collections.get(&under.collection).cloned();
        let collection = collection.ok_or_else(|| {
            GateError::NotNow(
                "the collection of the query is not searched any more; ask about the person anew".to_owned(),
            )
        })?;
        let quality = sample.quality();
        let invalid =
            |error: TemplateError| GateError::Invalid { field: FRESH_SAMPLE, what: error.to_string() };
        let probe = collection.probe(sample).map_err(invalid)?;
        let asked = Confirming { collection: &collection, probe: &probe, query, changing: &self.publish };
        let word = matching::confirm(self.parts.store.as_ref(), permit, asked, rates).await;
        let word = word.map_err(GateError::Matching)?;
        let salt = random_bytes(self.parts.entropy.as_ref())?;
        Ok(Some(ConfirmationNew { word, quality, salt }))
    }

    fn request(
        &self,
        caller: &Caller,
        partner: PartnerName,
        permit: &Permit,
        ask: PartnerAsk,
    ) -> Result<Request, GateError> {
        let agreement = permit.agreement().ok_or(GateError::Internal { doing: "reading a permit" })?;
        let received = self.now();
        let (approval, decide_by) = match (ask.urgent(), &agreement.urgent) {
            (None, _) => (&agreement.approval, agreement.clocks.decide_within.after(received)),
            (Some(_), Some(urgent)) => (&urgent.approval, received.after(urgent.decide_within)),
            (Some(_), None) => return Err(no_urgent_path(&agreement.name)),
        };
        let parts = RequestParts {
            disclosure: DisclosureId::from_bytes(random_bytes(self.parts.entropy.as_ref())?),
            partner,
            requester: caller.actor.name.clone(),
            agreement: agreement.name.clone(),
            ask,
            factors: factors(approval)?,
            received,
            decide_by,
        };
        Request::new(parts).map_err(|_| GateError::Internal { doing: "making a request of an agreement" })
    }

    /// One disclosure of the caller's own.
    ///
    /// # Errors
    /// [`GateError::NotFound`] alike for another's and for none.
    pub async fn disclosure_get(&self, caller: &Caller, id: DisclosureId) -> Result<Case, GateError> {
        let (case, _permit) = self.disclosure_own(caller, Action::GetDisclosure, id).await?;
        Ok(case)
    }

    /// The caller's disclosures, newest first, after the one named.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn disclosure_list(
        &self,
        caller: &Caller,
        after: Option<DisclosureId>,
        limit: u32,
    ) -> Result<Vec<Case>, GateError> {
        let partner = self.partner_of(caller, Action::ListDisclosures).await?;
        let about = About::Partner { partner: &partner };
        let _permit = self.permit(&caller.actor, Action::ListDisclosures, about, self.content(b"")).await?;
        let filter = CaseFilter {
            partner: Some(partner),
            order: CaseOrder::Newest,
            after,
            limit,
            ..CaseFilter::default()
        };
        Ok(self.parts.store.disclosure_list(filter).await?)
    }

    /// Fetches a release.
    ///
    /// # Errors
    /// [`GateError::NotNow`] when nothing is released, or no longer; [`GateError::Unwitnessed`] as long as the rules
    /// demand witnesses and too few have seen that it stands in the log.
    pub async fn release_fetch(&self, caller: &Caller, id: DisclosureId) -> Result<Release, GateError> {
        let (case, permit) = self.disclosure_own(caller, Action::FetchRelease, id).await?;
        self.release_witnessed(case.disclosure.request().partner(), id).await?;
        let (release, _receipt) = self.parts.store.release_fetch(permit, id).await?.open()?;
        release.ok_or_else(|| {
            GateError::NotNow("nothing is there to fetch; see the disclosure's state".to_owned())
        })
    }

    /// Acknowledges a release.
    ///
    /// # Errors
    /// [`GateError::Invalid`] when the digest is of other bytes, [`GateError::NotNow`] out of its time.
    pub async fn release_acknowledge(
        &self,
        caller: &Caller,
        id: DisclosureId,
        ciphertext: Digest,
    ) -> Result<DisclosureDone, GateError> {
        let (_case, permit) = self.disclosure_own(caller, Action::AcknowledgeRelease, id).await?;
        let (stepped, receipt) =
            self.parts.store.release_acknowledge(permit, id, ciphertext).await?.open()?;
        stepped_to(stepped, receipt.to_text())
    }

    /// Answers what the holder's officers asked.
    ///
    /// # Errors
    /// [`GateError::Signature`], [`GateError::NotNow`] when nothing, or something else, is asked.
    pub async fn disclosure_answer(
        &self,
        caller: &Caller,
        answer: Answer,
        signature: Vec<u8>,
    ) -> Result<DisclosureDone, GateError> {
        let id = answer.disclosure();
        let (_case, permit) = self.disclosure_own(caller, Action::AnswerQuestion, id).await?;
        caller.check_signature(SignatureDomain::DisclosureAnswer, &answer.digest(), &signature)?;
        let signed = SignedAnswer { answer, signature, by: caller.actor.name.clone() };
        let (stepped, receipt) = self.parts.store.disclosure_answer(permit, signed).await?.open()?;
        stepped_to(stepped, receipt.to_text())
    }

    /// Takes a request back.
    ///
    /// # Errors
    /// [`GateError::NotNow`] after it was released or ended.
    pub async fn disclosure_withdraw(
        &self,
        caller: &Caller,
        id: DisclosureId,
    ) -> Result<DisclosureDone, GateError> {
        let (_case, permit) = self.disclosure_own(caller, Action::WithdrawDisclosure, id).await?;
        let (stepped, receipt) = self.parts.store.disclosure_withdraw(permit, id).await?.open()?;
        stepped_to(stepped, receipt.to_text())
    }

    /// A disclosure of the caller's own with the permit for what is to be done with it.
    pub(super) async fn disclosure_own(
        &self,
        caller: &Caller,
        action: Action,
        id: DisclosureId,
    ) -> Result<(Case, Permit), GateError> {
        let partner = self.partner_of(caller, action).await?;
        let case = self.parts.store.disclosure_get(id).await?;
        let case = case.filter(|case| *case.disclosure.request().partner() == partner);
        let Some(case) = case else {
            // The rules still say whether the caller may ask at all; then another's and none are alike.
            let about = About::Partner { partner: &partner };
            let _permit = self
                .permit(&caller.actor, Action::ListDisclosures, about, self.content(id.as_bytes()))
                .await?;
            return Err(GateError::NotFound("disclosure"));
        };
        let agreement: &AgreementName = case.disclosure.request().agreement();
        let live = self.live.load_full();
        let standings = self.standings(&live, Some(&partner), case.disclosure.request().ask().official());
        let about = About::Disclosure { partner: &partner, agreement, standings };
        let permit = self.permit(&caller.actor, action, about, self.content(id.as_bytes())).await?;
        Ok((case, permit))
    }
}

fn kept_before(seen: DisclosureSeen) -> Result<Option<DisclosureDone>, GateError> {
    match seen {
        DisclosureSeen::New => Ok(None),
        DisclosureSeen::Kept(case, receipt) => Ok(Some(DisclosureDone { case: *case, receipt })),
        DisclosureSeen::OtherContent => Err(GateError::RequestIdUsed),
        DisclosureSeen::WindowOver => Err(GateError::RequestIdOver),
    }
}

pub(super) fn stepped_to(stepped: Stepped, receipt: String) -> Result<DisclosureDone, GateError> {
    match stepped {
        Stepped::Done(case) => Ok(DisclosureDone { case: *case, receipt }),
        Stepped::Refused(refused) => Err(GateError::NotNow(partner_words(&refused))),
        Stepped::OtherCiphertext => Err(GateError::Invalid {
            field: "ciphertext_sha256",
            what: "it is not the SHA-256 of the ciphertext that was released; fetch it again".to_owned(),
        }),
        Stepped::NoCase => Err(GateError::NotFound("disclosure")),
    }
}

/// What a partner may read of a refused step: between asking and release there is one state, `PENDING`.
fn partner_words(refused: &Refused) -> String {
    match refused {
        Refused::Ended(_) => "the disclosure has ended; look at its state, and ask anew".to_owned(),
        Refused::NotNow { state: State::Released, .. } => {
            "the disclosure is released; fetch it, or acknowledge it".to_owned()
        }
        Refused::OtherQuestion | Refused::TooLate | Refused::NoCorrection | Refused::AskedAlready => {
            refused.to_string()
        }
        Refused::FieldNotAsked(field) => {
            format!("the field `{field}` was not released; name one that was")
        }
        _ => "the disclosure is not in a state for this; look at its state first".to_owned(),
    }
}

fn partner_ask(ask: &DisclosureAsk) -> Result<PartnerAsk, GateError> {
    let fields = Fields::new(ask.fields.iter().cloned())
        .map_err(|error| GateError::Invalid { field: "fields", what: error.to_string() })?;
    PartnerAsk::new(AskParts {
        request_id: ask.request_id,
        query: ask.query,
        purpose: ask.purpose.clone(),
        fields,
        justification: ask.justification.clone(),
        legal_basis: ask.legal_basis.clone(),
        official: ask.official.clone(),
        urgent: ask.urgent.clone(),
        sample: ask.sample.as_ref().map(|sample| sample_digest(ask.request_id, sample)),
    })
    .map_err(|error| GateError::Invalid { field: "request", what: error.to_string() })
}

fn fresh_sample(agreement: &Agreement, what: &str) -> GateError {
    GateError::Invalid { field: FRESH_SAMPLE, what: format!("the agreement `{}` {what}", agreement.name) }
}

fn no_urgent_path(agreement: &AgreementName) -> GateError {
    let what =
        format!("the agreement `{agreement}` has no urgent path; ask without a reason why it is urgent");
    GateError::Invalid { field: "urgent_reason", what }
}

fn factors(approval: &[crate::authz::Factor]) -> Result<Factors, GateError> {
    let broken = || GateError::Internal { doing: "reading the approval factors of an agreement" };
    let factors = approval
        .iter()
        .map(|factor| {
            let role = decider_role(factor.role).ok_or_else(broken)?;
            let small = |number| u8::try_from(number).ok().and_then(NonZeroU8::new).ok_or_else(broken);
            let (number, units) = (small(factor.number)?, small(factor.units)?);
            Ok(Factor { role, number, units, comparison: factor.comparison })
        })
        .collect::<Result<Vec<_>, GateError>>()?;
    Factors::new(factors).map_err(|_| broken())
}

/// The role in which somebody decides; none for those who never do.
pub(super) const fn decider_role(role: Role) -> Option<DeciderRole> {
    match role {
        Role::ApprovingOfficer => Some(DeciderRole::ApprovingOfficer),
        Role::Examiner => Some(DeciderRole::Examiner),
        Role::PrivacyOfficer => Some(DeciderRole::PrivacyOfficer),
        Role::PartnerSystem | Role::EnrolmentSystem | Role::Witness | Role::Administrator => None,
    }
}

const FRESH_SAMPLE: &str = "fresh_sample";
