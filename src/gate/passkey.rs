//! Passkeys: an invited person registers one, a privacy officer confirms it, and then it signs them in.

use crate::authz::{About, Action, Role, Standing};
use crate::ids::{ActorName, ChangeId, Digest};
use crate::keys::PublicKey;
use crate::keys::webauthn::{Assertion, Registration, RelyingParty, WebAuthnError};
use crate::secret::{Secret, random_bytes};
use crate::store::change::Found;
use crate::store::session::PasskeyState;
use crate::store::{
    Passkey, PasskeyEnd, PasskeyNew, PasskeyRegistered, PasskeySigned, SessionNew, SignIn, SignedInBy,
};

use super::session::SessionTimes;
use super::{Caller, Gate, GateError, text};

/// Somebody who is invited to register a passkey.
#[derive(Debug, Clone)]
pub struct Invited {
    /// Who.
    pub person: ActorName,
    /// As what.
    pub role: Role,
    /// What authenticators know the person by: a keyed hash that tells nothing.
    pub user: Digest,
}

/// A sign-in as it arrived, in its form.
pub struct SignInAsk {
    /// Which passkey signed.
    pub credential: Vec<u8>,
    /// Whom the authenticator takes it for, where it says so.
    pub user: Option<Vec<u8>>,
    /// What it said.
    pub assertion: Assertion,
    /// The session in whose place the new one begins.
    pub before: Option<Secret<32>>,
}

impl Gate {
    /// The person whom a secret invites, as long as it does and they may act.
    ///
    /// # Errors
    /// [`GateError::Store`].
    pub async fn invitation_find(&self, secret: &Secret<32>) -> Result<Option<Invited>, GateError> {
        let digest = Digest::sha256(secret.expose());
        let Some(person) = self.parts.store.invitation_get(digest, self.now()).await? else {
            return Ok(None);
        };
        let live = self.live.load();
        let found = live.registry.person(&person).filter(|found| found.standing == Standing::Active);
        Ok(found.map(|found| Invited {
            person: person.clone(),
            role: found.role,
            user: self.passkey_user(&person),
        }))
    }

    /// Registers the passkey of an invited person; it waits for a privacy officer from then on.
    ///
    /// # Errors
    /// [`GateError::Passkey`], [`GateError::NotNow`] when the invitation is over, and the others.
    pub async fn passkey_register(
        &self,
        secret: &Secret<32>,
        (party, challenge): (&RelyingParty, &[u8]),
        registration: &Registration,
        title: String,
    ) -> Result<ChangeId, GateError> {
        let title = text("title", title, 1, TITLE_MAX_CHARS)?;
        let over = || {
            GateError::NotNow(
                "the invitation is over or was used already; ask an administrator for another".to_owned(),
            )
        };
        let invited = self.invitation_find(secret).await?.ok_or_else(over)?;
        let registered = registration.verify(party, challenge)?;
        let actor = {
            let live = self.live.load();
            let person = live.registry.person(&invited.person).ok_or_else(over)?;
            live.registry.actor(person)
        };
        let content = self.content(&registered.credential);
        let permit = self.permit(&actor, Action::RegisterPasskey, About::Service, content).await?;
        let new = PasskeyNew {
            invitation: Digest::sha256(secret.expose()),
            credential: registered.credential,
            public_key: registered.public_key.spki_der().to_vec(),
            sign_count: registered.sign_count,
            title,
            change: ChangeId::from_bytes(random_bytes(self.parts.entropy.as_ref())?),
        };
        let (done, _receipt) = self.parts.store.passkey_register(permit, new).await?.open()?;
        match done {
            PasskeyRegistered::Proposed(change) => Ok(change),
            PasskeyRegistered::Refused => Err(over()),
        }
    }

    /// Signs somebody in by their passkey and gives the secret of their new session.
    ///
    /// # Errors
    /// [`GateError::Passkey`], [`GateError::NotNow`] while nobody confirmed the passkey, and the others.
    pub async fn sign_in(
        &self,
        ask: SignInAsk,
        (party, challenge): (&RelyingParty, &[u8]),
        times: SessionTimes,
    ) -> Result<Secret<32>, GateError> {
        // A passkey that nobody knows is told as one whose signature does not fit.
        let refused = GateError::Passkey(WebAuthnError::Signature);
        let Some(passkey) = self.parts.store.passkey_get(ask.credential).await? else { return Err(refused) };
        if ask.user.is_some_and(|user| user != self.passkey_user(&passkey.person).as_bytes()) {
            return Err(refused);
        }
        let key = PublicKey::from_spki_der(&passkey.public_key)
            .map_err(|_| GateError::Internal { doing: "reading a passkey" })?;
        let sign_count = ask.assertion.verify(party, challenge, &key, passkey.sign_count)?;
        match passkey.state {
            PasskeyState::Confirmed => {}
            PasskeyState::Registered => {
                return Err(GateError::NotNow(
                    "your passkey waits for a privacy officer to confirm it; tell them that you registered it"
                        .to_owned(),
                ));
            }
            PasskeyState::Ended => {
                return Err(GateError::NotNow(
                    "this passkey was ended, or you were suspended; ask an administrator for an invitation"
                        .to_owned(),
                ));
            }
        }
        let actor = {
            let live = self.live.load();
            let person = live.registry.person(&passkey.person).ok_or(GateError::Unknown)?;
            live.registry.actor(person)
        };
        let content = self.content(&passkey.credential);
        let permit = self.permit(&actor, Action::SignIn, About::Service, content).await?;
        let secret = Secret::<32>::random(self.parts.entropy.as_ref())?;
        let new = SessionNew {
            id: self.parts.keys.session_digest(&secret),
            before: ask.before.map(|before| self.parts.keys.session_digest(&before)),
            signed: SignedInBy::Passkey(PasskeySigned { credential: passkey.credential, sign_count }),
            ended: self.now().before(times.longest),
        };
        let (begun, _receipt) = self.parts.store.session_start(permit, new).await?.open()?;
        match begun {
            SignIn::Begun => Ok(secret),
            SignIn::Refused => Err(GateError::Passkey(WebAuthnError::Counter)),
        }
    }

    /// The caller's own passkeys, also those that wait and those that ended.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn passkeys_own(&self, caller: &Caller) -> Result<Vec<Passkey>, GateError> {
        let _permit =
            self.permit(&caller.actor, Action::ListOwnPasskeys, About::Service, self.content(b"")).await?;
        Ok(self.parts.store.passkey_list(caller.actor.name.clone()).await?)
    }

    /// The passkeys of somebody.
    ///
    /// # Errors
    /// [`GateError::NotFound`], and the others.
    pub async fn passkeys_of(&self, caller: &Caller, person: ActorName) -> Result<Vec<Passkey>, GateError> {
        let content = self.content(person.as_str().as_bytes());
        let _permit = self.permit(&caller.actor, Action::ListPasskeys, About::Service, content).await?;
        if self.live.load().registry.person(&person).is_none() {
            return Err(GateError::NotFound("person"));
        }
        Ok(self.parts.store.passkey_list(person).await?)
    }

    /// Ends a passkey of the caller's own; so does the session that it opened.
    ///
    /// # Errors
    /// [`GateError::NotFound`], and the others.
    pub async fn passkey_end_own(
        &self,
        caller: &Caller,
        fingerprint: Digest,
        why: String,
    ) -> Result<(), GateError> {
        let ask = PasskeyEnd { person: caller.actor.name.clone(), fingerprint, why };
        self.passkey_ended(caller, Action::EndOwnPasskey, ask).await.map(|_receipt| ())
    }

    /// Ends a passkey of somebody, who neither signs in nor decides with it from then on. Gives the receipt.
    ///
    /// # Errors
    /// [`GateError::NotFound`], and the others.
    pub async fn passkey_end(&self, caller: &Caller, ask: PasskeyEnd) -> Result<String, GateError> {
        self.passkey_ended(caller, Action::EndPasskey, ask).await
    }

    async fn passkey_ended(
        &self,
        caller: &Caller,
        action: Action,
        ask: PasskeyEnd,
    ) -> Result<String, GateError> {
        let why = text("reason", ask.why, 1, REASON_MAX_CHARS)?;
        let ask = PasskeyEnd { why, ..ask };
        let content = self.content(ask.fingerprint.as_bytes());
        let permit = self.permit(&caller.actor, action, About::Service, content).await?;
        let (found, receipt) = self.parts.store.passkey_end(permit, ask).await?.open()?;
        match found {
            Found::Yes => Ok(receipt.to_text()),
            Found::No => Err(GateError::NotFound("passkey")),
        }
    }

    /// The passkeys that may sign for somebody.
    pub(super) async fn passkeys_standing(&self, caller: &Caller) -> Result<Vec<Passkey>, GateError> {
        let mut passkeys = self.parts.store.passkey_list(caller.actor.name.clone()).await?;
        passkeys.retain(Passkey::stands);
        Ok(passkeys)
    }

    fn passkey_user(&self, person: &ActorName) -> Digest {
        self.content(&[PASSKEY_USER, person.as_str().as_bytes()].concat())
    }
}

const PASSKEY_USER: &[u8] = b"passkey-user\0";
/// As a device is called; the database holds as much.
const TITLE_MAX_CHARS: usize = 40;
const REASON_MAX_CHARS: usize = 512;
