//! What a named transaction works with: the database inside a savepoint, the keys, and the log.

use rusqlite::{Connection, params};

use crate::audit::entry::{Draft, EntryError, Opening};
use crate::audit::event::{Event, Fact, Kind};
use crate::audit::tree::Hash;
use crate::authz::{PayloadClass, Permit};
use crate::clock::Timestamp;
use crate::ids::Digest;
use crate::keys::Tag;
use crate::store::{Journal, StoreError};

use super::journals::Journals;
use super::{Context, database, sealed, tags};

/// One step of a batch.
pub(super) struct Tx<'a> {
    pub(super) context: &'a Context,
    pub(super) sql: &'a Connection,
    pub(super) now: Timestamp,
    journals: &'a mut Journals,
    entry: Option<EntryRef>,
}

/// An entry of this batch.
pub(super) struct EntryRef {
    pub(super) journal: Journal,
    pub(super) index: u64,
    pub(super) draft: Draft,
}

impl<'a> Tx<'a> {
    pub(super) const fn new(
        context: &'a Context,
        sql: &'a Connection,
        journals: &'a mut Journals,
        now: Timestamp,
    ) -> Self {
        Self { context, sql, now, journals, entry: None }
    }

    /// The entry that the step's receipt will be of: the last one it made.
    pub(super) fn take_entry(&mut self) -> Option<EntryRef> {
        self.entry.take()
    }

    /// Begins an event of a permitted action.
    pub(super) fn event(&self, kind: Kind, permit: &Permit) -> Event {
        Event::new(kind, self.now, permit.actor().name.as_str(), permit.policy())
            .text(Fact::Action, permit.action().id())
            .text(Fact::Rule, permit.rule())
    }

    /// Begins an event of the system itself.
    pub(super) fn system_event(&self, kind: Kind, policy: Digest) -> Event {
        Event::new(kind, self.now, SYSTEM_ACTOR, policy)
    }

    /// Enters an event that concerns a partner, with what each side may see of it.
    pub(super) fn enter(
        &mut self,
        journal: Journal,
        partner: &Event,
        holder: &Event,
        tags: &[Tag],
    ) -> Result<u64, StoreError> {
        let draft = drafted(Draft::blind(partner, holder, self.context.entropy.as_ref()))?;
        self.append(journal, draft, holder, tags)
    }

    /// Enters an event of the holder's own.
    pub(super) fn enter_private(&mut self, holder: &Event, tags: &[Tag]) -> Result<u64, StoreError> {
        let draft = drafted(Draft::private(holder, self.context.entropy.as_ref()))?;
        self.append(Journal::Holder, draft, holder, tags)
    }

    /// Opens a journal that does not exist yet.
    pub(super) fn journal_open(&mut self, journal: &Journal, host: &str) -> Result<i64, StoreError> {
        self.journals.open_new(self.sql, journal, host)
    }

    /// The partners' journals with their size and root as they were last committed.
    pub(super) fn partner_heads(&self) -> Vec<(Journal, u64, Hash)> {
        self.journals.partner_heads()
    }

    fn append(
        &mut self,
        journal: Journal,
        draft: Draft,
        event: &Event,
        tags: &[Tag],
    ) -> Result<u64, StoreError> {
        let (row, index) = self.journals.append(&journal, draft.entry.leaf_hash())?;
        let tags = tags::bytes(&tags::of_entry(self.context.keys.ring.tags(), &journal, event, tags));
        let class = sealed_under(event.kind);
        let key = self.context.keys.payload_key(class, self.now.day(), self.context.entropy.as_ref())?;
        let place_row = entry_row(row, index);
        let seal = |column, opening: &Opening| {
            sealed(
                "sealing an entry",
                key.sealing().seal(
                    entry_place(&place_row, column),
                    &opening.encode(),
                    self.context.entropy.as_ref(),
                ),
            )
        };
        let (partner, holder) =
            (seal("partner_opening", &draft.partner)?, seal("holder_opening", &draft.holder)?);
        let inserted = self.sql.prepare_cached(
            "INSERT INTO entries (journal, idx, entry, at_ms, class, tags, partner_opening, holder_opening)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        );
        let (entry, at) = (draft.entry.encode(), self.now.as_millis());
        let values = params![row, index, entry, at, class, tags, partner, holder];
        database("writing an entry", inserted.and_then(|mut statement| statement.execute(values)))?;
        self.entry = Some(EntryRef { journal, index, draft });
        Ok(index)
    }
}

fn drafted(draft: Result<Draft, EntryError>) -> Result<Draft, StoreError> {
    draft.map_err(|source| StoreError::Entry { doing: "writing an entry", source })
}

impl PayloadClass {
    /// The class of a kind of event.
    fn of(kind: Kind) -> Self {
        match kind.name().split_once('.').map(|(noun, _)| noun) {
            Some("query" | "request") => Self::Query,
            Some("disclosure" | "field" | "review") => Self::Disclosure,
            Some("enrolment" | "subject") => Self::Enrolment,
            Some("log" | "journal") => Self::Access,
            _ => Self::Administration,
        }
    }

    /// Its number in the databases.
    pub(super) const fn number(self) -> u8 {
        match self {
            Self::Query => 1,
            Self::Disclosure => 2,
            Self::Enrolment => 3,
            Self::Administration => 4,
            Self::Access => 5,
        }
    }
}

/// The number of the class that an entry's openings are sealed under.
pub(super) fn sealed_under(kind: Kind) -> u8 {
    match kind {
        // What is left when payloads are gone, and what later checkpoints are verified by: never disposed of.
        Kind::PayloadsDisposed | Kind::LogKeyChanged => LASTING,
        _ => PayloadClass::of(kind).number(),
    }
}

/// The row of an entry, as its sealed columns are bound to it.
pub(super) fn entry_row(journal: i64, index: u64) -> [u8; 16] {
    let mut row = [0; 16];
    let (left, right) = row.split_at_mut(8);
    left.copy_from_slice(&journal.to_be_bytes());
    right.copy_from_slice(&index.to_be_bytes());
    row
}

/// The place of an entry's sealed column.
pub(super) const fn entry_place<'a>(row: &'a [u8], column: &'static str) -> crate::keys::Place<'a> {
    crate::keys::Place { table: "entries", row, column, version: 1 }
}

/// The actor of what no person did.
pub(super) const SYSTEM_ACTOR: &str = "onebit";
/// No class of the rules has this number, so no disposal takes it.
const LASTING: u8 = 6;
