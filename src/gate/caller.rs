//! Who calls: a certificate, matched with the registry at every call.

use crate::authz::{About, Action, Actor};
use crate::ids::{Digest, PartnerName};
use crate::keys::{PublicKey, SignatureDomain};
use crate::store::Person;

use super::{Gate, GateError};

/// What a connection proved: the id in its certificate and the hash of its key.
#[derive(Debug, Clone, Copy)]
pub struct Credential<'a> {
    /// The SPIFFE id in the certificate.
    pub spiffe_id: &'a str,
    /// SHA-256 of the certificate's public key (DER SubjectPublicKeyInfo).
    pub key_fingerprint: Digest,
}

/// A registered caller.
pub struct Caller {
    pub(super) actor: Actor,
    pub(super) person: Person,
}

impl Gate {
    /// Finds the caller behind a certificate. A certificate with a registered id and another key is nobody's.
    ///
    /// # Errors
    /// [`GateError::Unknown`].
    pub fn caller(&self, credential: Credential<'_>) -> Result<Caller, GateError> {
        let live = self.live.load();
        let person = live.registry.person_by_spiffe(credential.spiffe_id).ok_or(GateError::Unknown)?;
        if Digest::sha256(&person.public_key) != credential.key_fingerprint {
            return Err(GateError::Unknown);
        }
        Ok(Caller { actor: live.registry.actor(person), person: person.clone() })
    }
}

impl Gate {
    /// The partner whose system calls. Anybody else is refused by the rules, which makes the refusal an entry.
    pub(super) async fn partner_of(&self, caller: &Caller, action: Action) -> Result<PartnerName, GateError> {
        if let Some(partner) = &caller.actor.partner {
            return Ok(partner.clone());
        }
        let _permit = self.permit(&caller.actor, action, About::Service, self.content(b"")).await?;
        Err(GateError::Unknown)
    }
}

impl Caller {
    /// Who it is.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Checks the caller's signature over a digest.
    pub(super) fn check_signature(
        &self,
        domain: SignatureDomain,
        digest: &Digest,
        signature: &[u8],
    ) -> Result<(), GateError> {
        let key = PublicKey::from_spki_der(&self.person.public_key).map_err(|_| GateError::Signature)?;
        key.verify(domain, digest, signature).map_err(|_| GateError::Signature)
    }
}
