//! Witnesses of the holder's journal: asking them, comparing with them, and what waits for them.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::authz::{Action, BeforeRelease, TwoFaces, Witnesses};
use crate::ids::{DisclosureId, PartnerName, WitnessName};
use crate::outbox::{Addressee, Asked, OutboxError, witness_ask};
use crate::store::{Given, Quorum, ReleaseSeen, Unwitnessed, WitnessedHead};
use crate::telemetry;

use super::{Caller, Gate, GateError};

/// A witness saw what is not in this database.
#[derive(Debug, thiserror::Error)]
pub enum WitnessRefusal {
    /// A larger journal.
    #[error(
        "the witness `{witness}` saw {theirs} entries of the holder's journal, and this database has {ours}: it fell behind what was published, perhaps because it was restored; bring back the newer one, see `Witnesses` in docs/operating.md"
    )]
    Ahead {
        /// The witness.
        witness: WitnessName,
        /// What it saw.
        theirs: u64,
        /// What is here.
        ours: u64,
    },
    /// Another journal.
    #[error(
        "the witness `{witness}` saw another journal of {size} entries than the one in this database: two databases went on from one, or this one was changed; find the right one, see `Witnesses` in docs/operating.md"
    )]
    Forked {
        /// The witness.
        witness: WitnessName,
        /// The size at which they differ.
        size: u64,
    },
    /// The gate's own.
    #[error("the witnesses could not be asked")]
    Gate(#[from] GateError),
}

/// What one of the witnesses answered.
struct Heard {
    witness: Addressee,
    asked: Result<Asked, OutboxError>,
}

impl Gate {
    /// Says in the log what is claimed of the witnesses.
    pub fn witnesses_claim(&self) {
        let witnesses = self.witnesses();
        let (count, needed) = (witnesses.all.len(), witnesses.needed);
        match witnesses.two_faces() {
            TwoFaces::Noticed => {
                tracing::info!(count, needed, "witnesses protect against two faces of the journal");
            }
            TwoFaces::NotClaimed if count == 0 => {
                tracing::info!("no witnesses: no protection against two faces of the journal is claimed");
            }
            TwoFaces::NotClaimed => {
                tracing::warn!(
                    count,
                    needed,
                    "no protection against two faces of the journal is claimed: two quorums need not have an honest witness in common"
                );
            }
        }
    }

    /// Compares the holder's journal with what each witness saw, before anything new is signed. Witnesses that can't be
    /// asked are told of and passed over, and so are those that a person disbelieves.
    ///
    /// # Errors
    /// [`WitnessRefusal`] when a witness saw more than there is here, or something else.
    pub async fn witnesses_compare(&self, disbelieved: &[WitnessName]) -> Result<(), WitnessRefusal> {
        let witnesses = self.witnesses();
        if witnesses.all.is_empty() {
            return Ok(());
        }
        let quorum = quorum(&witnesses)?;
        let newest = self.checkpoint_unwitnessed(&quorum).await?;
        let all = addressees(&witnesses)?.into_iter().zip(newest.cosigned.iter().copied()).collect();
        let heard = self.witnesses_hear(all, &newest).await;
        for Heard { witness, asked } in &heard {
            let Ok(asked) = asked else { continue };
            let refusal = match asked {
                Asked::Cosigned(_) => continue,
                Asked::Ahead(theirs) => {
                    let (witness, theirs) = (witness.file.name.clone(), *theirs);
                    WitnessRefusal::Ahead { witness, theirs, ours: newest.size }
                }
                Asked::Forked(size) => {
                    WitnessRefusal::Forked { witness: witness.file.name.clone(), size: *size }
                }
            };
            if !disbelieved.contains(&witness.file.name) {
                return Err(refusal);
            }
            tracing::warn!(
                witness = witness.file.name.as_str(),
                "a witness that contradicts this database is disbelieved, as configured"
            );
        }
        self.cosignatures_keep(quorum, &newest, heard).await?;
        Ok(())
    }

    /// Asks every witness that has not cosigned the newest checkpoint of the holder's journal; gives the number of
    /// those that did. One that fails is told of and asked again the next time.
    ///
    /// # Errors
    /// [`GateError::Store`].
    pub async fn witnesses_ask(&self) -> Result<u32, GateError> {
        let witnesses = self.witnesses();
        if witnesses.all.is_empty() {
            return Ok(0);
        }
        let quorum = quorum(&witnesses)?;
        let newest = self.checkpoint_unwitnessed(&quorum).await?;
        let asked = addressees(&witnesses)?.into_iter().zip(newest.cosigned.iter().copied());
        let asked = asked.filter(|(_, cosigned)| *cosigned < newest.size).collect();
        let heard = self.witnesses_hear(asked, &newest).await;
        self.cosignatures_keep(quorum, &newest, heard).await
    }

    async fn checkpoint_unwitnessed(&self, quorum: &Quorum) -> Result<Unwitnessed, GateError> {
        Ok(self.parts.store.checkpoint_unwitnessed(quorum.witnesses.clone()).await?)
    }

    /// Asks witnesses at once, so that a slow one holds up nobody but itself.
    async fn witnesses_hear(&self, asked: Vec<(Addressee, u64)>, newest: &Unwitnessed) -> Vec<Heard> {
        let mut asking = JoinSet::new();
        for (witness, known) in asked {
            let (store, newest) = (Arc::clone(&self.parts.store), newest.clone());
            asking.spawn(async move {
                let asked = witness_ask(store.as_ref(), &witness, &newest, known).await;
                Heard { witness, asked }
            });
        }
        let heard = asking.join_all().await;
        for one in &heard {
            one.tell();
        }
        heard
    }

    async fn cosignatures_keep(
        &self,
        quorum: Quorum,
        newest: &Unwitnessed,
        heard: Vec<Heard>,
    ) -> Result<u32, GateError> {
        for one in heard.iter().filter(|one| matches!(one.asked, Ok(Asked::Cosigned(_)))) {
            telemetry::witness_size(one.witness.file.name.as_str(), newest.size);
        }
        let given = heard.into_iter().filter_map(Heard::given).collect::<Vec<_>>();
        let count = u32::try_from(given.len()).unwrap_or(u32::MAX);
        if given.is_empty() {
            return Ok(0);
        }
        let kept = self.parts.store.cosignatures_keep(newest.size, given, quorum).await?;
        if let Some(size) = kept {
            telemetry::witnessed_size(size);
        }
        Ok(count)
    }

    /// Refuses, where the rules demand witnesses, what they have not seen yet. It depends on nothing but time and
    /// witnesses.
    pub(super) async fn release_witnessed(
        &self,
        partner: &PartnerName,
        id: DisclosureId,
    ) -> Result<(), GateError> {
        let witnesses = self.witnesses();
        if witnesses.before_release == BeforeRelease::NotRequired {
            return Ok(());
        }
        match self.parts.store.release_seen(partner.clone(), id, quorum(&witnesses)?).await? {
            ReleaseSeen::Seen | ReleaseSeen::NoRelease => Ok(()),
            ReleaseSeen::NotYet => Err(GateError::Unwitnessed),
        }
    }

    /// The newest head of the caller's own journal that the witnesses saw, with a proof between it and a size that
    /// the caller knows.
    ///
    /// # Errors
    /// [`GateError::NotFound`] when the caller's journal has not so many entries, [`GateError::NotNow`] when there are
    /// no witnesses, [`GateError::Unwitnessed`] when they have seen no head of it yet.
    pub async fn own_head_witnessed(&self, caller: &Caller, from: u64) -> Result<WitnessedHead, GateError> {
        let partner = self.own(caller, Action::GetWitnessedHead).await?;
        let witnesses = self.witnesses();
        if witnesses.needed == 0 {
            return Err(GateError::NotNow(
                "the holder's journal has no witnesses; ask the holder why".to_owned(),
            ));
        }
        let head = self.parts.store.head_witnessed(partner, quorum(&witnesses)?, from).await?;
        let head = head.ok_or(GateError::Unwitnessed)?;
        if head.proof.is_none() { Err(GateError::NotFound("size")) } else { Ok(head) }
    }

    fn witnesses(&self) -> Arc<Witnesses> {
        Arc::clone(self.live.load().rules.witnesses())
    }
}

impl Heard {
    /// Logs and counts what is not a cosignature.
    fn tell(&self) {
        let witness = self.witness.file.name.as_str();
        let reason = match &self.asked {
            Ok(Asked::Cosigned(_)) => return,
            Ok(Asked::Ahead(size)) => {
                tracing::error!(witness, size, "a witness saw a larger journal than this database has");
                "ahead"
            }
            Ok(Asked::Forked(size)) => {
                tracing::error!(witness, size, "a witness saw another journal than the one in this database");
                "forked"
            }
            Err(error) => {
                let reason = error.reason();
                tracing::warn!(witness, reason, error = %telemetry::chain(error), "a witness gave no cosignature; it will be asked again");
                reason
            }
        };
        telemetry::witness_failed(witness, reason);
    }

    fn given(self) -> Option<Given> {
        match self.asked {
            Ok(Asked::Cosigned(cosignature)) => Some(Given { witness: self.witness.key, cosignature }),
            _ => None,
        }
    }
}

fn addressees(witnesses: &Witnesses) -> Result<Vec<Addressee>, GateError> {
    let all = witnesses.all.iter().map(Addressee::new).collect::<Result<_, _>>();
    all.map_err(|_| GateError::Internal { doing: "reading the key of a witness" })
}

fn quorum(witnesses: &Witnesses) -> Result<Quorum, GateError> {
    let keys = addressees(witnesses)?.into_iter().map(|witness| witness.key).collect();
    Ok(Quorum { witnesses: keys, needed: witnesses.needed })
}
