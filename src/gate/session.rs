//! Sessions of the holder's people at the console.

use std::time::Duration;

use crate::authz::{About, Action, Role, Standing};
use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::store::Registry;
use crate::store::session::Session;
use crate::store::{ProviderAccount, SessionNew, SignIn, SignedInBy};

use super::{Caller, Gate, GateError};

/// How long a session lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionTimes {
    /// Without being used.
    pub idle: Duration,
    /// At the most.
    pub longest: Duration,
}

impl SessionTimes {
    /// When a session ends unless it is used before.
    fn end(self, session: &Session) -> Timestamp {
        session.seen.after(self.idle).min(session.started.after(self.longest))
    }
}

/// A session that holds at this moment.
pub struct SessionHeld {
    /// Whose it is.
    pub caller: Caller,
    /// The passkey that opened it; empty where the agency's provider did.
    pub credential: Vec<u8>,
    /// When it ends unless it is used before.
    pub ends: Timestamp,
    /// Whether the agency's provider opened it.
    pub by_provider: bool,
}

/// Somebody whom the agency's provider recognised; its word was verified.
pub struct ProviderSignIn {
    /// Which account.
    pub account: ProviderAccount,
    /// How, as it says.
    pub acr: Option<String>,
    /// The session in whose place the new one begins.
    pub before: Option<Secret<32>>,
}

impl Gate {
    /// Finds the session behind a secret, and notes that it was used. One that has ended, or whose person may not act
    /// any more, is none.
    ///
    /// # Errors
    /// [`GateError::Store`].
    pub async fn session_find(
        &self,
        secret: &Secret<32>,
        times: SessionTimes,
    ) -> Result<Option<SessionHeld>, GateError> {
        let id = self.parts.keys.session_digest(secret);
        let Some(mut session) = self.parts.store.session_get(id).await? else { return Ok(None) };
        let now = self.now();
        let caller = signed_in(&self.live.load().registry, &session);
        let Some(caller) = caller.filter(|_| now < times.end(&session)) else {
            self.parts.store.session_end(id).await?;
            return Ok(None);
        };
        if now >= session.seen.after(SEEN_TO) {
            self.parts.store.session_seen(id, now).await?;
            session.seen = now;
        }
        Ok(Some(SessionHeld {
            caller,
            ends: times.end(&session),
            credential: session.credential,
            by_provider: session.by_provider,
        }))
    }

    /// Signs somebody in by their account at the agency's provider and gives the secret of their new session; nothing
    /// when the account is nobody's.
    ///
    /// # Errors
    /// [`GateError::Refused`] when the person may not act, and the others.
    pub async fn sign_in_by_provider(
        &self,
        ask: ProviderSignIn,
        times: SessionTimes,
    ) -> Result<Option<Secret<32>>, GateError> {
        let ProviderSignIn { account, acr, before } = ask;
        let Some(person) = self.parts.store.account_person(account.clone()).await? else { return Ok(None) };
        let actor = {
            let live = self.live.load();
            let person = live.registry.person(&person).ok_or(GateError::Unknown)?;
            live.registry.actor(person)
        };
        let content = self.content(account.digest().as_bytes());
        let permit = self.permit(&actor, Action::SignIn, About::Service, content).await?;
        let secret = Secret::<32>::random(self.parts.entropy.as_ref())?;
        let new = SessionNew {
            id: self.parts.keys.session_digest(&secret),
            before: before.map(|before| self.parts.keys.session_digest(&before)),
            signed: SignedInBy::Provider { account, acr },
            ended: self.now().before(times.longest),
        };
        let (begun, _receipt) = self.parts.store.session_start(permit, new).await?.open()?;
        Ok((begun == SignIn::Begun).then_some(secret))
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`GateError::Store`].
    pub async fn session_end(&self, secret: &Secret<32>) -> Result<(), GateError> {
        Ok(self.parts.store.session_end(self.parts.keys.session_digest(secret)).await?)
    }
}

/// The person of a session as a caller, as long as they may act at the console.
fn signed_in(registry: &Registry, session: &Session) -> Option<Caller> {
    let person = registry.person(&session.person)?;
    let actor = registry.actor(person);
    (actor.standing == Standing::Active && may_sign_in(actor.role))
        .then(|| Caller { actor, person: person.clone() })
}

/// Whose work is at the console: those who decide, advise and watch.
pub(super) const fn may_sign_in(role: Role) -> bool {
    matches!(role, Role::ApprovingOfficer | Role::Examiner | Role::PrivacyOfficer)
}

/// How exactly the store knows when a session was used: each note is a commit, and an idle time is many minutes.
const SEEN_TO: Duration = Duration::from_secs(60);
