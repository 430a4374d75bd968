//! How a decision is signed: by the key of a certificate, or by a passkey over the decision and a nonce.

use std::collections::BTreeSet;

use crate::approval::{Decision, DecisionSignature, PasskeySignature};
use crate::authz::{Agreement, SignedBy};
use crate::clock::Timestamp;
use crate::ids::{ActorName, Digest, DisclosureId, FieldName};
use crate::keys::webauthn::{Assertion, NONCE_BYTES, RelyingParty, WebAuthnError, decision_challenge};
use crate::keys::{PublicKey, SignatureDomain};
use crate::secret::random_bytes;
use crate::store::Case;

use super::case::{DecideAsk, decision};
use super::disclosure::decider_role;
use super::{Caller, Gate, GateError};

/// A decision that is not signed yet.
#[derive(Debug, Clone)]
pub struct DecisionDraft {
    /// The case.
    pub disclosure: DisclosureId,
    /// The digest of the request that the officer saw.
    pub request: Digest,
    /// The fields granted; none for a denial.
    pub granted: Option<Vec<FieldName>>,
    /// Why.
    pub reason: String,
    /// The reference of the comparison outside that it rests on.
    pub comparison: Option<String>,
    /// In whose delegated seat; none for the officer's own.
    pub on_behalf: Option<ActorName>,
}

/// What a passkey has to sign.
#[derive(Debug, Clone)]
pub struct DecisionToSign {
    /// The draft.
    pub draft: DecisionDraft,
    /// When the officer decides.
    pub at: Timestamp,
    /// The digest of the decision.
    pub digest: Digest,
    /// The random part of the challenge.
    pub nonce: [u8; NONCE_BYTES],
    /// The challenge.
    pub challenge: Digest,
    /// The passkeys that can sign it.
    pub credentials: Vec<Vec<u8>>,
}

/// How a decision is signed, as it arrived.
pub enum DecisionProof {
    /// A signature of the certificate's key over the decision's digest.
    Certificate(Vec<u8>),
    /// A passkey's answer to the decision's challenge.
    Passkey(PasskeyProof),
}

/// A passkey's answer to a decision's challenge.
pub struct PasskeyProof {
    /// Whose passkeys count.
    pub party: RelyingParty,
    /// Which passkey signed.
    pub credential: Vec<u8>,
    /// The random part of the challenge.
    pub nonce: [u8; NONCE_BYTES],
    /// What it said.
    pub assertion: Assertion,
}

impl Gate {
    /// Makes the challenge of a decision for the caller's passkeys. Nothing is kept; the rules are asked when it comes back.
    ///
    /// # Errors
    /// [`GateError::Invalid`] for a decision that could not be taken, [`GateError::NotNow`] without a passkey.
    pub async fn decision_to_sign(
        &self,
        caller: &Caller,
        draft: DecisionDraft,
    ) -> Result<DecisionToSign, GateError> {
        let at = self.now();
        let role = decider_role(caller.actor.role).ok_or(GateError::SameRole)?;
        let ask = DecideAsk {
            disclosure: draft.disclosure,
            request: draft.request,
            role,
            granted: draft.granted.clone(),
            reason: draft.reason.clone(),
            comparison: draft.comparison.clone(),
            on_behalf: draft.on_behalf.clone(),
            at,
            proof: DecisionProof::Certificate(Vec::new()),
        };
        let digest = decision(caller, &ask)?.digest();
        let passkeys = self.passkeys_standing(caller).await?;
        if passkeys.is_empty() {
            return Err(GateError::NotNow(
                "you have no passkey that was confirmed; ask an administrator for an invitation".to_owned(),
            ));
        }
        let nonce = random_bytes(self.parts.entropy.as_ref())?;
        let credentials = passkeys.into_iter().map(|passkey| passkey.credential).collect();
        Ok(DecisionToSign {
            draft,
            at,
            digest,
            nonce,
            challenge: decision_challenge(&digest, &nonce),
            credentials,
        })
    }

    /// Decides a case by what a passkey said to the challenge of [`Gate::decision_to_sign`].
    ///
    /// # Errors
    /// Those of [`Gate::case_decide`].
    pub async fn case_decide_by_passkey(
        &self,
        caller: &Caller,
        asked: DecisionToSign,
        proof: PasskeyProof,
    ) -> Result<(Case, u64), GateError> {
        self.check_sent(asked.at)?;
        let DecisionDraft { disclosure, request, granted, reason, comparison, on_behalf } = asked.draft;
        let role = decider_role(caller.actor.role).ok_or(GateError::SameRole)?;
        let proof = DecisionProof::Passkey(proof);
        let at = asked.at;
        let ask = DecideAsk { disclosure, request, role, granted, reason, comparison, on_behalf, at, proof };
        self.case_decide(caller, ask).await
    }

    /// Verifies how a decision is signed, if its agreement has decisions signed so.
    pub(super) async fn decision_signed(
        &self,
        caller: &Caller,
        decision: &Decision,
        agreement: Option<&Agreement>,
        proof: DecisionProof,
    ) -> Result<DecisionSignature, GateError> {
        let by = match &proof {
            DecisionProof::Certificate(_) => SignedBy::Certificate,
            DecisionProof::Passkey(_) => SignedBy::Passkey,
        };
        // An agreement that is not there any more has nothing granted; a denial is taken either way.
        let allowed = |allowed: &BTreeSet<SignedBy>| allowed.contains(&by);
        if agreement.is_some_and(|agreement| !allowed(&agreement.decisions_signed_by)) {
            return Err(GateError::NotNow(format!(
                "decisions under this agreement are not signed by a {by}; use the other way"
            )));
        }
        match proof {
            DecisionProof::Certificate(signature) => {
                caller.check_signature(SignatureDomain::Decision, &decision.digest(), &signature)?;
                Ok(DecisionSignature::Certificate(signature))
            }
            DecisionProof::Passkey(proof) => self.passkey_signed(caller, decision, proof).await,
        }
    }

    async fn passkey_signed(
        &self,
        caller: &Caller,
        decision: &Decision,
        proof: PasskeyProof,
    ) -> Result<DecisionSignature, GateError> {
        let passkeys = self.passkeys_standing(caller).await?;
        let passkey = passkeys.into_iter().find(|passkey| passkey.credential == proof.credential);
        let passkey = passkey.ok_or(GateError::Passkey(WebAuthnError::Signature))?;
        let key = PublicKey::from_spki_der(&passkey.public_key)
            .map_err(|_| GateError::Internal { doing: "reading a passkey" })?;
        let challenge = decision_challenge(&decision.digest(), &proof.nonce);
        proof.assertion.verify(&proof.party, challenge.as_bytes(), &key, passkey.sign_count)?;
        let Assertion { client_data, authenticator_data, signature } = proof.assertion;
        Ok(DecisionSignature::Passkey(Box::new(PasskeySignature {
            credential: passkey.credential,
            nonce: proof.nonce,
            client_data,
            authenticator_data,
            signature,
        })))
    }
}
