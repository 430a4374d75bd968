//! The log as SQLite keeps it: entries, tiles, checkpoints, and the proofs made of them.

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::checkpoint::Checkpoint;
use crate::audit::entry::{Entry, Opening};
use crate::audit::event::{Event, Fact, Kind};
use crate::audit::note::VerifierKey;
use crate::audit::proof::{consistency_proof, inclusion_proof};
use crate::audit::receipt::Receipt;
use crate::audit::tiles::TileReader;
use crate::audit::tree::Hash;
use crate::authz::Permit;
use crate::clock::Timestamp;
use crate::ids::{Digest, PartnerName};
use crate::store::log::{Bundled, Consistency, JournalHead, LoggedEntry, Proofs, ProvenEntry, Read};
use crate::store::{Journal, StoreError};

use super::disposal::disposed_before;
use super::tx::{Tx, entry_place, entry_row};
use super::{Context, database, log_key, opened, witness};

/// A journal's row and origin; `None` for an unknown journal.
pub(super) fn journal_find(sql: &Connection, journal: &Journal) -> Result<Option<(i64, String)>, StoreError> {
    let row = sql.prepare_cached("SELECT id, origin FROM journals WHERE name = ?1 AND retired = 0").and_then(
        |mut statement| {
            statement.query_row(params![journal.name()], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        },
    );
    database("looking for a journal", row)
}

/// The origin of a journal that must exist.
pub(super) fn origin(sql: &Connection, journal: &Journal) -> Result<String, StoreError> {
    journal_find(sql, journal)?.map(|(_, origin)| origin).ok_or(StoreError::Damaged { what: "a journal" })
}

/// The origin of the tree in this row.
fn origin_of(sql: &Connection, row: i64) -> Result<String, StoreError> {
    let origin = sql
        .prepare_cached("SELECT origin FROM journals WHERE id = ?1")
        .and_then(|mut statement| statement.query_row(params![row], |row| row.get(0)));
    database("looking for a journal", origin)
}

/// The journals with their sizes.
pub(super) fn journal_list(sql: &Connection) -> Result<Vec<JournalHead>, StoreError> {
    let rows = sql
        .prepare_cached(
            "SELECT name, origin, (SELECT coalesce(max(size), 0) FROM checkpoints WHERE journal = id)
             FROM journals WHERE retired = 0 ORDER BY name",
        )
        .and_then(|mut statement| {
            statement
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get(1)?, row.get(2)?)))?
                .collect::<Result<Vec<_>, _>>()
        });
    database("listing the journals", rows)?
        .into_iter()
        .map(|(name, origin, size)| {
            let journal =
                Journal::parse(&name).map_err(|_| StoreError::Damaged { what: "a journal's name" })?;
            Ok(JournalHead { journal, origin, size })
        })
        .collect()
}

/// The newest checkpoint of a journal.
pub(super) fn checkpoint_get(
    context: &Context,
    sql: &Connection,
    journal: &Journal,
) -> Result<Option<Bundled>, StoreError> {
    let Some((row, _)) = journal_find(sql, journal)? else { return Ok(None) };
    let note = sql
        .query_row(
            "SELECT note FROM checkpoints WHERE journal = ?1 ORDER BY size DESC LIMIT 1",
            params![row],
            |row| row.get::<_, String>(0),
        )
        .optional();
    let keys = log_key::of_journal(context, sql, journal)?;
    let verifier_key = keys.last().map(|key| key.key.to_string()).unwrap_or_default();
    Ok(database("reading a checkpoint", note)?.map(|checkpoint| Bundled { checkpoint, verifier_key, keys }))
}

/// The key that verifies a journal's newest checkpoint.
pub(super) fn verifier_key(context: &Context, origin: &str) -> Result<VerifierKey, StoreError> {
    VerifierKey::new(origin, context.signers.public_key())
        .map_err(|_| StoreError::Damaged { what: "a journal's origin" })
}

/// The smallest checkpoint that covers an entry: the one of its batch.
fn checkpoint_over(sql: &Connection, row: i64, index: u64) -> Result<(u64, String), StoreError> {
    let found = sql
        .prepare_cached(
            "SELECT size, note FROM checkpoints WHERE journal = ?1 AND size > ?2 ORDER BY size LIMIT 1",
        )
        .and_then(|mut statement| {
            statement.query_row(params![row, index], |row| Ok((row.get(0)?, row.get(1)?)))
        });
    database("reading a checkpoint", found)
}

/// The receipt of an entry of a partner's journal as it was handed out: from the entry and the checkpoint of its
/// batch alone. `row` is the journal's.
pub(super) fn receipt_text(
    context: &Context,
    sql: &Connection,
    row: i64,
    index: u64,
) -> Result<String, StoreError> {
    receipt(context, sql, row, index, Column::Partner).map(|receipt| receipt.to_text())
}

/// The hand-over that an entry made: its receipt with what both sides say, and the size of the checkpoint over it.
pub(super) fn handover(
    context: &Context,
    sql: &Connection,
    journal: &Journal,
    index: u64,
) -> Result<(u64, String), StoreError> {
    let (row, _) = journal_find(sql, journal)?.ok_or(StoreError::Damaged { what: "a journal" })?;
    let (size, _) = checkpoint_over(sql, row, index)?;
    let receipt = receipt(context, sql, row, index, Column::Partner)?;
    Ok((size, receipt.to_text()))
}

fn receipt(
    context: &Context,
    sql: &Connection,
    row: i64,
    index: u64,
    side: Column,
) -> Result<Receipt, StoreError> {
    let stored = entries_read(sql, row, index, 1)?.pop().ok_or(StoreError::Damaged { what: "an entry" })?;
    let (size, checkpoint) = checkpoint_over(sql, row, index)?;
    let proof = inclusion_proof(&SqlTiles { sql, row }, index, size)
        .map_err(|_| StoreError::Tree { doing: "proving an entry" })?;
    let opening = stored.open(context, sql, row, side)?;
    let receipt = Receipt { entry: stored.entry, opening, index, proof, checkpoint };
    // Nobody is handed a proof that does not hold.
    let keys = log_key::verifiers(context, sql, &origin_of(sql, row)?)?;
    if keys.iter().any(|key| receipt.verify(key).is_ok()) {
        Ok(receipt)
    } else {
        Err(StoreError::Tree { doing: "proving an entry" })
    }
}

/// An entry as it is stored, its openings sealed.
pub(super) struct Stored {
    pub(super) index: u64,
    pub(super) entry: Entry,
    pub(super) at: Timestamp,
    pub(super) class: u8,
    pub(super) partner_opening: Option<Vec<u8>>,
    pub(super) holder_opening: Option<Vec<u8>>,
}

/// Which side's opening.
#[derive(Clone, Copy)]
pub(super) enum Column {
    Partner,
    Holder,
}

impl Stored {
    /// What opens a side; `None` when its payload is disposed of.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is not there and was not disposed of.
    pub(super) fn open(
        &self,
        context: &Context,
        sql: &Connection,
        row: i64,
        column: Column,
    ) -> Result<Option<Opening>, StoreError> {
        let (sealed, column) = match column {
            Column::Partner => (&self.partner_opening, "partner_opening"),
            Column::Holder => (&self.holder_opening, "holder_opening"),
        };
        let key = context.keys.payload_key_find(self.class, self.at.day())?;
        let (Some(sealed), Some(key)) = (sealed, key) else {
            return match self.at.day() < disposed_before(sql, self.class)? {
                true => Ok(None),
                false => {
                    Err(StoreError::Damaged { what: "an entry's opening is gone that was not disposed of" })
                }
            };
        };
        let place_row = entry_row(row, self.index);
        let bytes = opened("opening an entry", key.sealing().open(entry_place(&place_row, column), sealed))?;
        Opening::decode(bytes.expose())
            .map(Some)
            .map_err(|_| StoreError::Damaged { what: "an entry's opening" })
    }
}

/// Entries of a journal from an index on.
pub(super) fn entries_read(
    sql: &Connection,
    row: i64,
    from: u64,
    limit: u32,
) -> Result<Vec<Stored>, StoreError> {
    let rows = sql
        .prepare_cached(
            "SELECT idx, entry, at_ms, class, partner_opening, holder_opening FROM entries
             WHERE journal = ?1 AND idx >= ?2 ORDER BY idx LIMIT ?3",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![row, from, limit], |row| {
                    Ok((
                        row.get(0)?,
                        row.get::<_, Vec<u8>>(1)?,
                        row.get(2)?,
                        row.get(3)?,
                        row.get(4)?,
                        row.get(5)?,
                    ))
                })?
                .collect::<Result<Vec<_>, _>>()
        });
    database("reading entries", rows)?
        .into_iter()
        .map(|(index, entry, at, class, partner_opening, holder_opening)| {
            let entry = Entry::decode(&entry).map_err(|_| StoreError::Damaged { what: "an entry" })?;
            let at = Timestamp::from_millis(at);
            Ok(Stored { index, entry, at, class, partner_opening, holder_opening })
        })
        .collect()
}

/// What the holder's side of an entry says; `None` for one that was disposed of.
pub(super) fn event_at(
    context: &Context,
    sql: &Connection,
    journal: i64,
    index: u64,
) -> Result<Option<Event>, StoreError> {
    let stored = entries_read(sql, journal, index, 1)?.pop().filter(|stored| stored.index == index);
    let stored = stored.ok_or(StoreError::Damaged { what: "an entry" })?;
    let opening = stored.open(context, sql, journal, Column::Holder)?;
    let damaged = |_| StoreError::Damaged { what: "an entry's opening" };
    opening.map(|opening| opening.event().map_err(damaged)).transpose()
}

/// Entries of a partner's own journal with what opens its side.
pub(super) fn journal_read(
    context: &Context,
    sql: &Connection,
    partner: &PartnerName,
    from: u64,
    limit: u32,
) -> Result<Vec<LoggedEntry>, StoreError> {
    let journal = Journal::Partner(partner.clone());
    let (row, _) = journal_find(sql, &journal)?.ok_or(StoreError::Damaged { what: "a journal" })?;
    entries_read(sql, row, from, limit)?
        .into_iter()
        .map(|stored| {
            let opening = stored.open(context, sql, row, Column::Partner)?;
            Ok(LoggedEntry { index: stored.index, entry: stored.entry, opening })
        })
        .collect()
}

/// Reads the log for a privacy officer: the entry of the read first, then what was there before it.
pub(super) fn read(tx: &mut Tx<'_>, permit: &Permit, read: &Read) -> Result<Vec<ProvenEntry>, StoreError> {
    let found = journal_find(tx.sql, &read.journal)?;
    let size = match &found {
        Some((row, _)) => committed_size(tx.sql, *row)?,
        None => 0,
    };
    let event = tx
        .event(Kind::LogRead, permit)
        .text(Fact::Journal, read.journal.name())
        .number(Fact::RangeStart, read.from)
        .number(Fact::RangeCount, u64::from(read.limit))
        .text(Fact::Reason, &read.why);
    tx.enter_private(&event, &[])?;
    let Some((row, _)) = found else { return Ok(Vec::new()) };
    entries_read(tx.sql, row, read.from, read.limit)?
        .into_iter()
        .filter(|stored| stored.index < size)
        .map(|stored| {
            let opening = stored.open(tx.context, tx.sql, row, Column::Holder)?;
            let event = opening.map(|opening| opening.event()).transpose();
            let event = event.map_err(|_| StoreError::Damaged { what: "an entry's opening" })?;
            let proof = match read.proofs {
                Proofs::Without => None,
                Proofs::Each => {
                    Some(receipt(tx.context, tx.sql, row, stored.index, Column::Holder)?.to_text())
                }
            };
            Ok(ProvenEntry { index: stored.index, at: stored.at, event, proof })
        })
        .collect()
}

/// The size of a journal as its newest checkpoint says.
pub(super) fn committed_size(sql: &Connection, row: i64) -> Result<u64, StoreError> {
    let size = sql
        .prepare_cached("SELECT coalesce(max(size), 0) FROM checkpoints WHERE journal = ?1")
        .and_then(|mut statement| statement.query_row(params![row], |row| row.get(0)));
    database("reading a journal's size", size)
}

/// The proof that a journal only grew.
pub(super) fn consistency(
    sql: &Connection,
    journal: &Journal,
    from: u64,
    to: Option<u64>,
) -> Result<Option<Consistency>, StoreError> {
    let Some((row, _)) = journal_find(sql, journal)? else { return Ok(None) };
    let size = committed_size(sql, row)?;
    let to = to.unwrap_or(size);
    if from == 0 || from > to || to > size {
        return Ok(None);
    }
    let hashes = consistency_proof(&SqlTiles { sql, row }, from, to)
        .map_err(|_| StoreError::Tree { doing: "proving consistency" })?;
    Ok(Some(Consistency { hashes, to }))
}

/// Writes the head of each partner's journal that grew since its last head into the holder's journal.
pub(super) fn heads_record(tx: &mut Tx<'_>, policy: Digest) -> Result<u32, StoreError> {
    let mut written = 0;
    for (journal, size, root) in tx.partner_heads() {
        if size == 0 || size == witness::head_last(tx.sql, &journal)? {
            continue;
        }
        let event = tx
            .system_event(Kind::JournalHead, policy)
            .text(Fact::Journal, journal.name())
            .number(Fact::TreeSize, size)
            .with(Fact::Root, root.as_bytes());
        let index = tx.enter_private(&event, &[])?;
        witness::head_keep(tx.sql, &journal, size, index)?;
        written += 1;
    }
    Ok(written)
}

/// Compares a journal's head with the checkpoint that was signed over it.
pub(super) fn check_head(
    context: &Context,
    sql: &Connection,
    row: i64,
    origin: &str,
    head: (u64, Hash),
) -> Result<(), StoreError> {
    let (size, root) = head;
    if size == 0 {
        return Ok(());
    }
    let note = sql.query_row(
        "SELECT note FROM checkpoints WHERE journal = ?1 AND size = ?2",
        params![row, size],
        |row| row.get::<_, String>(0),
    );
    let note = database("reading a checkpoint", note)?;
    match Checkpoint::open(&note, &verifier_key(context, origin)?) {
        Ok(signed) if signed.size == size && signed.root == root => Ok(()),
        _ => Err(StoreError::Damaged { what: "the head of a journal does not match its signed checkpoint" }),
    }
}

/// A tile as it is stored; `None` when it is not there.
pub(super) fn tile_read(
    sql: &Connection,
    row: i64,
    level: u8,
    index: u64,
) -> Result<Option<Vec<Hash>>, StoreError> {
    let bytes = sql
        .prepare_cached("SELECT hashes FROM tiles WHERE journal = ?1 AND level = ?2 AND idx = ?3")
        .and_then(|mut statement| {
            statement.query_row(params![row, level, index], |row| row.get::<_, Vec<u8>>(0)).optional()
        });
    let Some(bytes) = database("reading a tile", bytes)? else { return Ok(None) };
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() {
        Ok(Some(hashes.iter().map(|hash| Hash(*hash)).collect()))
    } else {
        Err(StoreError::Damaged { what: "a tile" })
    }
}

/// Tiles out of the database, for proofs.
pub(super) struct SqlTiles<'a> {
    pub(super) sql: &'a Connection,
    pub(super) row: i64,
}

impl TileReader for SqlTiles<'_> {
    type Error = StoreError;

    fn tile(&self, level: u8, index: u64, width: u16) -> Result<Vec<Hash>, StoreError> {
        let missing = StoreError::Damaged { what: "a tile" };
        let mut hashes = tile_read(self.sql, self.row, level, index)?.ok_or(missing)?;
        hashes.truncate(usize::from(width));
        Ok(hashes)
    }
}
