//! Changes that take two people of different roles, suspensions, and release keys.

use std::sync::Arc;

use crate::authz::{About, Action, Bundle, Role, Rules};
use crate::ids::{ActorName, ChangeId, Digest, PartnerName};
use crate::keys::{PublicKey, ReleasePublicKey, SUBJECT_MAX_BYTES, SignatureDomain, seal_challenge};
use crate::secret::{Secret, random_bytes};
use crate::store::change::{
    self, Change, ChangeRecord, Ended, Found, Invitation, ReleaseKeyOffer, ReleaseKeyProof, ReleaseKeyProven,
};
use crate::store::{ChangeEnd, ChangeNew, Partner, Person, ProviderAccount};

use super::retention::still_needed;
use super::session::may_sign_in;
use super::{Caller, Gate, GateError, text};

/// A change as it arrived, in its form.
pub struct ChangeAsk {
    /// The caller's own UUID for it, which becomes its id.
    pub id: ChangeId,
    /// What is to change.
    pub change: Change,
    /// Why.
    pub reason: String,
    /// The caller's signature over its digest.
    pub signature: Vec<u8>,
}

/// A challenge to an offered release key.
pub struct ReleaseKeyChallenge {
    /// 32 random bytes, sealed to the offered key.
    pub sealed: Vec<u8>,
    /// When it ends.
    pub expires: crate::clock::Timestamp,
}

impl Gate {
    /// Proposes a change.
    ///
    /// # Errors
    /// [`GateError::Signature`], [`GateError::Invalid`] for a change that can't take effect, and the others.
    pub async fn change_propose(&self, caller: &Caller, ask: ChangeAsk) -> Result<ChangeRecord, GateError> {
        let reason = text("reason", ask.reason, 1, REASON_MAX_CHARS)?;
        let digest = change::digest(ask.id, &ask.change, &reason);
        // The rules first: what is wrong with a change tells about partners, which is not for everybody.
        let permit = self.permit(&caller.actor, Action::ProposeChange, About::Service, digest).await?;
        self.check_change(&ask.change)?;
        // Asked again when it is confirmed; a proposal that can't be is of no use to anybody.
        let _leave = self.disposal_leave(&ask.change).await?;
        caller.check_signature(SignatureDomain::Change, &digest, &ask.signature)?;
        let new = ChangeNew { id: ask.id, change: ask.change, reason, signature: ask.signature };
        let (record, _receipt) = self.parts.store.change_propose(permit, new).await?.open()?;
        if record.digest == digest { Ok(record) } else { Err(GateError::RequestIdUsed) }
    }

    /// Confirms a change that somebody of another role proposed; it takes effect before this returns.
    ///
    /// # Errors
    /// [`GateError::SameRole`], [`GateError::Signature`], [`GateError::NotNow`], and the others.
    pub async fn change_confirm(
        self: &Arc<Self>,
        caller: &Caller,
        id: ChangeId,
        signature: Vec<u8>,
    ) -> Result<ChangeRecord, GateError> {
        let record = self.change_find(caller, id).await?;
        let proposer_role = self.proposer_role(&record)?;
        let kind = record.change.kind();
        let about = About::Change { kind, proposed_by: &record.proposer, proposer_role };
        let permit = self.permit(&caller.actor, Action::ConfirmChange, about, record.digest).await?;
        caller.check_signature(SignatureDomain::Change, &record.digest, &signature)?;
        // A partner's own proof is nobody's proposal at the holder: the first person who confirms it takes it
        // over as proposer, and a second one of another role is still needed.
        let end = match proposer_role {
            Role::PartnerSystem => ChangeEnd::TakeOver { id, signature },
            _ => {
                let leave = self.disposal_leave(&record.change).await?;
                ChangeEnd::Confirm { id, signature, leave }
            }
        };
        self.change_end(permit, end).await
    }

    fn proposer_role(&self, record: &ChangeRecord) -> Result<Role, GateError> {
        let live = self.live.load();
        live.registry.person(&record.proposer).map(|person| person.role).ok_or(GateError::SameRole)
    }

    /// Rejects a change.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn change_reject(
        self: &Arc<Self>,
        caller: &Caller,
        id: ChangeId,
        reason: String,
    ) -> Result<ChangeRecord, GateError> {
        let reason = text("reason", reason, 1, REASON_MAX_CHARS)?;
        let record = self.change_find(caller, id).await?;
        let permit = self.permit(&caller.actor, Action::RejectChange, About::Service, record.digest).await?;
        self.change_end(permit, ChangeEnd::Reject { id, reason }).await
    }

    async fn change_end(
        self: &Arc<Self>,
        permit: crate::authz::Permit,
        end: ChangeEnd,
    ) -> Result<ChangeRecord, GateError> {
        let gate = Arc::clone(self);
        self.to_its_end(async move { gate.change_end_in_order(permit, end).await }).await
    }

    async fn change_end_in_order(
        &self,
        permit: crate::authz::Permit,
        end: ChangeEnd,
    ) -> Result<ChangeRecord, GateError> {
        let (ended, _receipt) = self.parts.store.change_end(permit, end).await?.open()?;
        match ended {
            Ended::Done(record, gallery) => {
                self.gallery_apply(gallery).await?;
                self.reload_in_order().await?;
                self.renewal_due.notify_one();
                Ok(*record)
            }
            Ended::EndedAlready => {
                Err(GateError::NotNow("the change has ended already; see the list of changes".to_owned()))
            }
            Ended::NothingToChange => Err(GateError::NotNow(
                "what the change names is not there, or stands against it; see people and partners"
                    .to_owned(),
            )),
            Ended::StillNeeded(what) => Err(still_needed(&what)),
            Ended::NoChange => Err(GateError::NotFound("change")),
        }
    }

    /// Changes, newest first, after the one named.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn change_list(
        &self,
        caller: &Caller,
        after: Option<ChangeId>,
        limit: u32,
    ) -> Result<Vec<ChangeRecord>, GateError> {
        let _permit =
            self.permit(&caller.actor, Action::ListChanges, About::Service, self.content(b"")).await?;
        Ok(self.parts.store.change_list(after, limit).await?)
    }

    async fn change_find(&self, caller: &Caller, id: ChangeId) -> Result<ChangeRecord, GateError> {
        match self.parts.store.change_get(id).await? {
            Some(record) => Ok(record),
            None => {
                let content = self.content(id.as_bytes());
                let _permit =
                    self.permit(&caller.actor, Action::ListChanges, About::Service, content).await?;
                Err(GateError::NotFound("change"))
            }
        }
    }

    /// Suspends a partner: refused at its next call.
    ///
    /// # Errors
    /// [`GateError::NotFound`], and the others.
    pub async fn partner_suspend(
        self: &Arc<Self>,
        caller: &Caller,
        partner: PartnerName,
        why: String,
    ) -> Result<String, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(partner.as_str().as_bytes());
        let permit = self.permit(&caller.actor, Action::SuspendPartner, About::Service, content).await?;
        let gate = Arc::clone(self);
        self.to_its_end(async move {
            let (found, receipt) = gate.parts.store.partner_suspend(permit, partner, why).await?.open()?;
            gate.suspended(found, "partner").await?;
            Ok(receipt.to_text())
        })
        .await
    }

    /// Suspends a person or a system: refused at the next call.
    ///
    /// # Errors
    /// [`GateError::NotFound`], and the others.
    pub async fn person_suspend(
        self: &Arc<Self>,
        caller: &Caller,
        person: ActorName,
        why: String,
    ) -> Result<String, GateError> {
        let why = text("reason", why, 1, REASON_MAX_CHARS)?;
        let content = self.content(person.as_str().as_bytes());
        let permit = self.permit(&caller.actor, Action::SuspendPerson, About::Service, content).await?;
        let gate = Arc::clone(self);
        self.to_its_end(async move {
            let (found, receipt) = gate.parts.store.person_suspend(permit, person, why).await?.open()?;
            gate.suspended(found, "person").await?;
            Ok(receipt.to_text())
        })
        .await
    }

    async fn suspended(&self, found: Found, what: &'static str) -> Result<(), GateError> {
        match found {
            Found::Yes => self.reload_in_order().await,
            Found::No => Err(GateError::NotFound(what)),
        }
    }

    /// People and systems.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn people_list(&self, caller: &Caller) -> Result<Vec<Person>, GateError> {
        let _permit =
            self.permit(&caller.actor, Action::ListPeople, About::Service, self.content(b"")).await?;
        Ok(self.live.load().registry.people.clone())
    }

    /// Partners.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn partners_list(&self, caller: &Caller) -> Result<Vec<Partner>, GateError> {
        let _permit =
            self.permit(&caller.actor, Action::ListPartners, About::Service, self.content(b"")).await?;
        Ok(self.live.load().registry.partners.clone())
    }

    /// The active rules.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn policy_get(&self, caller: &Caller) -> Result<(Digest, Bundle), GateError> {
        let _permit =
            self.permit(&caller.actor, Action::GetPolicy, About::Service, self.content(b"")).await?;
        let live = self.live.load();
        Ok((live.rules.digest(), live.rules.bundle().clone()))
    }

    /// Refuses a change that could be confirmed but never work.
    fn check_change(&self, change: &Change) -> Result<(), GateError> {
        let invalid = |field, what: String| Err(GateError::Invalid { field, what });
        match change {
            Change::PutPerson(person) => self.check_person(person),
            Change::PutPartner(partner) if partner.name.as_str() == HOLDER_JOURNAL => {
                let what = "`holder` is the name of the holder's own journal; choose another".to_owned();
                invalid("change.put_partner.partner", what)
            }
            Change::ActivatePolicy(bundle) => match Rules::load(bundle.clone()) {
                Ok(_) => Ok(()),
                Err(faults) => {
                    let told = faults.iter().take(FAULTS_TOLD).map(ToString::to_string).collect::<Vec<_>>();
                    invalid("change.activate_policy", told.join("; "))
                }
            },
            Change::InvitePerson(invitation) => self.check_invitation(invitation),
            Change::PutDelegation(delegating) => self.check_delegation(delegating),
            Change::PutPasskey { .. } => {
                let what = "a passkey is proposed by whoever registers it, at the console".to_owned();
                invalid("change.put_passkey", what)
            }
            Change::BindAccount { person, account } => self.check_account(person, account),
            Change::PutPartner(_)
            | Change::PutReleaseKey { .. }
            | Change::LiftRestriction { .. }
            | Change::RestorePartner(_)
            | Change::RestorePerson(_)
            | Change::Dispose { .. }
            | Change::MergeSubjects(_)
            | Change::SplitSubject(_)
            | Change::ChangeLogKey => Ok(()),
            Change::RenewCollection(collection) => self.check_renewal(collection),
        }
    }

    /// A person whose work is at the console, and an end that is near.
    fn check_invitation(&self, invitation: &Invitation) -> Result<(), GateError> {
        let invalid = |field, what: String| Err(GateError::Invalid { field, what });
        if !may_sign_in(invitation.role) {
            let what =
                "only approving officers, examiners and privacy officers sign in at the console".to_owned();
            return invalid("change.invite_person.role", what);
        }
        let live = self.live.load();
        let known = live.registry.person(&invitation.person);
        if let Some(known) = known.filter(|known| known.role != invitation.role) {
            let what = format!("`{}` is {}; nobody has two roles", known.name, known.role);
            return invalid("change.invite_person.role", what);
        }
        let now = self.now();
        if invitation.ends <= now || invitation.ends > now.after(INVITATION_LONGEST) {
            let what = "it is not within the next 31 days".to_owned();
            return invalid("change.invite_person.ends_millis", what);
        }
        Ok(())
    }

    /// A person whose work is at the console, and an account as the provider's tokens can name it.
    fn check_account(&self, person: &ActorName, account: &ProviderAccount) -> Result<(), GateError> {
        let invalid = |field, what: String| Err(GateError::Invalid { field, what });
        let live = self.live.load();
        match live.registry.person(person) {
            None => {
                let what = format!("there is no `{person}`; invite them first");
                return invalid("change.bind_account.person", what);
            }
            Some(known) if !may_sign_in(known.role) => {
                let what = "only approving officers, examiners and privacy officers sign in at the console";
                return invalid("change.bind_account.person", what.to_owned());
            }
            Some(_) => {}
        }
        let is_visible = |text: &str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !account.issuer.starts_with("https://") || !is_visible(&account.issuer) {
            let what = "write the provider's issuer as its tokens have it, `https://…`".to_owned();
            return invalid("change.bind_account.issuer", what);
        }
        if !(1..=SUBJECT_MAX_BYTES).contains(&account.subject.len()) || !is_visible(&account.subject) {
            let what =
                "write the subject (`sub`) as the provider's tokens have it, 1 to 255 visible characters";
            return invalid("change.bind_account.subject", what.to_owned());
        }
        Ok(())
    }

    /// A key that can sign, and an id in the trust domain of whoever the person belongs to.
    fn check_person(&self, person: &Person) -> Result<(), GateError> {
        let invalid = |field, what: String| Err(GateError::Invalid { field, what });
        if let Err(error) = PublicKey::from_spki_der(&person.public_key) {
            return invalid("change.put_person.public_key", error.to_string());
        }
        let live = self.live.load();
        let domain = match (&person.partner, person.role) {
            (Some(name), Role::PartnerSystem) => match live.registry.partner(name) {
                Some(partner) => partner.trust_domain.as_str(),
                None => {
                    return invalid(
                        "change.put_person.partner",
                        format!("there is no partner `{name}`; add it first"),
                    );
                }
            },
            (None, Role::PartnerSystem) | (Some(_), _) => {
                let what = "name a partner for a partner system, and for nobody else".to_owned();
                return invalid("change.put_person.partner", what);
            }
            (None, _) => live.holder.trust_domain.as_str(),
        };
        if is_of_domain(&person.spiffe_id, domain) {
            return Ok(());
        }
        invalid("change.put_person.spiffe_id", format!("it does not begin with `spiffe://{domain}/`"))
    }

    /// Offers a release key: seals a challenge to it.
    ///
    /// # Errors
    /// [`GateError::Invalid`] for a key that is none, and the others.
    pub async fn release_key_start(
        &self,
        caller: &Caller,
        key: [u8; 32],
    ) -> Result<ReleaseKeyChallenge, GateError> {
        let partner = self.partner_of(caller, Action::StartReleaseKey).await?;
        let public = ReleasePublicKey::from_bytes(key)
            .map_err(|error| GateError::Invalid { field: "public_key", what: error.to_string() })?;
        let about = About::Partner { partner: &partner };
        let permit = self.permit(&caller.actor, Action::StartReleaseKey, about, self.content(&key)).await?;
        let entropy = self.parts.entropy.as_ref();
        let challenge = Secret::<32>::random(entropy)?;
        let sealed = seal_challenge(&public, &partner, &challenge, entropy)
            .map_err(|_| GateError::Internal { doing: "sealing a challenge" })?;
        let expires = self.now().after(CHALLENGE_KEPT);
        let offer =
            ReleaseKeyOffer { public_key: key, challenge: Digest::sha256(challenge.expose()), expires };
        let ((), _receipt) = self.parts.store.release_key_start(permit, offer).await?.open()?;
        Ok(ReleaseKeyChallenge { sealed, expires })
    }

    /// Proves possession of an offered key; it then waits for two people of the holder.
    ///
    /// # Errors
    /// [`GateError::NotNow`] when the challenge ended or the proof is wrong, and the others.
    pub async fn release_key_prove(
        &self,
        caller: &Caller,
        key: [u8; 32],
        challenge: &Secret<32>,
    ) -> Result<(ChangeId, String), GateError> {
        let partner = self.partner_of(caller, Action::ProveReleaseKey).await?;
        let about = About::Partner { partner: &partner };
        let permit = self.permit(&caller.actor, Action::ProveReleaseKey, about, self.content(&key)).await?;
        let proof = ReleaseKeyProof {
            public_key: key,
            challenge: Digest::sha256(challenge.expose()),
            change: ChangeId::from_bytes(random_bytes(self.parts.entropy.as_ref())?),
        };
        let (proven, receipt) = self.parts.store.release_key_prove(permit, proof).await?.open()?;
        match proven {
            ReleaseKeyProven::Proposed(change) => Ok((change, receipt.to_text())),
            ReleaseKeyProven::NotProven => Err(GateError::NotNow(
                "the challenge has ended or was opened to something else; start again".to_owned(),
            )),
        }
    }
}

/// The ids of a trust domain begin so (SPIFFE-ID, section 2).
fn is_of_domain(spiffe_id: &str, trust_domain: &str) -> bool {
    let rest = spiffe_id.strip_prefix("spiffe://").and_then(|rest| rest.strip_prefix(trust_domain));
    rest.is_some_and(|path| path.starts_with('/') && path.len() > 1)
}

/// A month: long enough for leave, short enough that a link in an old mailbox opens nothing.
const INVITATION_LONGEST: std::time::Duration = std::time::Duration::from_secs(31 * 24 * 3_600);
const REASON_MAX_CHARS: usize = 512;
const HOLDER_JOURNAL: &str = "holder";
/// Enough to mend a folder by; `onebit policy check` tells them all.
const FAULTS_TOLD: usize = 8;
/// Long enough for somebody to copy it by hand, short enough that it does not lie about.
const CHALLENGE_KEPT: std::time::Duration = std::time::Duration::from_secs(60 * 60);
