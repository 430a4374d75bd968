//! Signing a decision: what the page has to show to the passkey, and what comes of the answer.
//!
//! A page makes a draft and shows it; [`decision_ask`] makes the challenge and remembers the draft for this session;
//! the page hands the [`PasskeyData`] to the script; the form comes back, and [`decision_sign`] decides. What is decided is
//! what was remembered: the form carries nothing but the passkey's answer.

use super::passkey::{self, PasskeyData};
use super::pending::Asked;
use super::{Console, Fault, SignedForm, SignedIn};
use crate::gate::{DecisionDraft, PasskeyProof};
use crate::store::Case;

/// What a page shows of a decision that waits for its passkey.
#[derive(Debug, Clone)]
pub struct DecisionAsked {
    /// For the script.
    pub passkey: PasskeyData,
    /// The digest of the decision, in hexadecimal, for whoever wants to compare it.
    pub digest: String,
}

/// What came of an answer.
pub enum DecisionSigned {
    /// It is decided: the case after it, and the index of its entry in the partner's journal.
    Decided(Box<Case>, u64),
    /// The challenge is over, was used, or another page of the session asked since; show the draft again.
    AskAgain,
}

/// Makes the challenge of a draft for the passkeys of whoever is signed in.
///
/// # Errors
/// [`Fault::Gate`] for a draft that can't become a decision, and without a passkey.
pub async fn decision_ask(
    console: &Console,
    who: &SignedIn,
    draft: DecisionDraft,
) -> Result<DecisionAsked, Fault> {
    let asked = console.gate().decision_to_sign(who.caller(), draft).await?;
    let passkey = PasskeyData::new(console, asked.challenge.as_bytes(), &asked.credentials);
    let digest = asked.digest.to_string();
    console.pending().keep(who.token(), Asked::Decision(Box::new(asked)));
    Ok(DecisionAsked { passkey, digest })
}

/// Decides what was asked last in this session, by the passkey's answer in the form.
///
/// # Errors
/// [`Fault::Form`] without an answer, [`Fault::Gate`] for one that does not fit and for whatever stands against the
/// decision.
pub async fn decision_sign(console: &Console, form: &SignedForm) -> Result<DecisionSigned, Fault> {
    let (credential, assertion) = passkey::assertion(&form.fields)?;
    let Some(Asked::Decision(asked)) = console.pending().take(form.who.token()) else {
        return Ok(DecisionSigned::AskAgain);
    };
    let proof = PasskeyProof { party: passkey::party(console), credential, nonce: asked.nonce, assertion };
    let (case, index) = console.gate().case_decide_by_passkey(form.who.caller(), *asked, proof).await?;
    Ok(DecisionSigned::Decided(Box::new(case), index))
}
