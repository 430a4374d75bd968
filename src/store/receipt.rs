//! What is withheld until its entry is durable, and the receipt that says it is.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::audit::entry::{Entry, Opening};
use crate::audit::receipt::Receipt;
use crate::audit::tree::Hash;

use super::Journal;

/// A value that may only leave with an entry of the log.
///
/// It is made closed, travels through the transaction that writes its entry, and opens only against the
/// [`AuditReceipt`] of that very transaction.
#[must_use = "what is withheld is lost unless its entry is committed and it is opened against the receipt"]
pub struct Withheld<T> {
    value: T,
    ticket: Ticket,
}

impl<T> Withheld<T> {
    /// Withholds `value`.
    pub fn new(value: T) -> Self {
        Self { value, ticket: Ticket::next() }
    }

    /// Opens the value against the receipt of its entry.
    ///
    /// # Errors
    /// [`WrongReceipt`] when the receipt is of another transaction.
    pub fn open(self, receipt: &AuditReceipt) -> Result<T, WrongReceipt> {
        if receipt.covers == self.ticket { Ok(self.value) } else { Err(WrongReceipt) }
    }

    /// Looks inside, for the transaction that writes the entry.
    pub(super) const fn inside(&self) -> &T {
        &self.value
    }

    pub(super) const fn ticket(&self) -> Ticket {
        self.ticket
    }

    pub(super) const fn with_ticket(value: T, ticket: Ticket) -> Self {
        Self { value, ticket }
    }
}

/// A receipt was shown that is not the one of this value's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the receipt belongs to another entry; nothing was opened")]
pub struct WrongReceipt;

/// The proof that an entry is durable, minted by the store after the commit.
#[must_use]
pub struct AuditReceipt {
    pub(super) journal: Journal,
    pub(super) index: u64,
    pub(super) entry: Entry,
    pub(super) partner: Opening,
    pub(super) proof: Vec<Hash>,
    pub(super) checkpoint: String,
    pub(super) covers: Ticket,
}

impl AuditReceipt {
    /// The journal that the entry stands in.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The index of the entry in its journal.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The receipt as a C2SP tlog-proof. A partner's receipt carries what opens the partner's commitment;
    /// one of the holder's journal opens nothing.
    #[must_use]
    pub fn to_text(&self) -> String {
        let opening = match self.journal {
            Journal::Holder => None,
            Journal::Partner(_) => Some(self.partner.clone()),
        };
        Receipt {
            entry: self.entry,
            opening,
            index: self.index,
            proof: self.proof.clone(),
            checkpoint: self.checkpoint.clone(),
        }
        .to_text()
    }
}

/// Ties a withheld value to the transaction that logged it; never leaves the process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket(u64);

impl Ticket {
    pub(super) fn next() -> Self {
        Self(NEXT_TICKET.fetch_add(1, Ordering::Relaxed))
    }
}

static NEXT_TICKET: AtomicU64 = AtomicU64::new(1);
