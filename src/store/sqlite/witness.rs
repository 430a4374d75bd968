//! Cosignatures of witnesses, and which heads of partners' journals they cover.

use rusqlite::{Connection, OptionalExtension, params};

use crate::audit::checkpoint::Checkpoint;
use crate::audit::cosignature::{WitnessKey, cosigners};
use crate::audit::event::{Fact, Kind};
use crate::audit::proof::{consistency_proof, inclusion_proof};
use crate::audit::receipt::Receipt;
use crate::audit::tree::Hash;
use crate::ids::{Digest, DisclosureId, PartnerName};
use crate::store::witness::{Given, Quorum, ReleaseSeen, Unwitnessed, Witnessed, WitnessedHead};
use crate::store::{Journal, StoreError};

use super::log::{self, Column, SqlTiles};
use super::tx::Tx;
use super::{Context, count, database, release};

/// The newest checkpoint of the holder's journal, and what each witness is known to have cosigned of it.
pub(super) fn unwitnessed(sql: &Connection, witnesses: &[WitnessKey]) -> Result<Unwitnessed, StoreError> {
    let row = holder_row(sql)?;
    let newest = sql
        .prepare_cached("SELECT size, note FROM checkpoints WHERE journal = ?1 ORDER BY size DESC LIMIT 1")
        .and_then(|mut statement| statement.query_row(params![row], |row| Ok((row.get(0)?, row.get(1)?))));
    let (size, note) = database("reading a checkpoint", newest)?;
    let cosigned = witnesses
        .iter()
        .map(|witness| {
            let last = sql
                .prepare_cached(
                    "SELECT coalesce(max(size), 0) FROM cosignatures WHERE journal = ?1 AND witness = ?2",
                )
                .and_then(|mut statement| {
                    statement.query_row(params![row, witness.to_string()], |row| row.get(0))
                });
            database("reading a cosignature", last)
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Unwitnessed { size, note, cosigned })
}

/// Keeps what witnesses gave for the checkpoint of a size. The first quorum over heads that no earlier one covered
/// is an entry.
pub(super) fn cosignatures_keep(
    tx: &mut Tx<'_>,
    size: u64,
    given: &[Given],
    quorum: &Quorum,
    policy: Digest,
) -> Result<Option<u64>, StoreError> {
    let row = holder_row(tx.sql)?;
    let before = witnessed(tx.sql, quorum)?.map_or(0, |before| before.size);
    for Given { witness, cosignature } in given {
        let inserted = tx.sql.prepare_cached(
            "INSERT INTO cosignatures (journal, size, witness, line) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (journal, size, witness) DO UPDATE SET line = excluded.line",
        );
        let values = params![row, size, witness.to_string(), witness.line(cosignature)];
        let inserted = inserted.and_then(|mut statement| statement.execute(values));
        database("keeping a cosignature", inserted)?;
    }
    let now = witnessed(tx.sql, quorum)?;
    // Only the newest quorum and what each witness saw last are asked for again.
    let forgotten = tx.sql.execute(
        "DELETE FROM cosignatures WHERE journal = ?1 AND size <> ?2 AND size <
           (SELECT max(size) FROM cosignatures AS newer
            WHERE newer.journal = cosignatures.journal AND newer.witness = cosignatures.witness)",
        params![row, now.as_ref().map_or(0, |now| now.size)],
    );
    database("forgetting cosignatures", forgotten).map(count)?;
    let Some(now) = now else { return Ok(None) };
    if now.size > before && heads_between(tx.sql, before, now.size)? {
        let names = cosigners(&now.note, &quorum.witnesses).unwrap_or_default().join(",");
        let root = root_of(&now.note)?;
        let event = tx
            .system_event(Kind::JournalWitnessed, policy)
            .text(Fact::Journal, Journal::Holder.name())
            .number(Fact::TreeSize, now.size)
            .with(Fact::Root, root.as_bytes())
            .text(Fact::Witnesses, &names);
        tx.enter_private(&event, &[])?;
    }
    Ok(Some(now.size))
}

/// The newest checkpoint of the holder's journal that a quorum cosigned. Each line is verified again.
pub(super) fn witnessed(sql: &Connection, quorum: &Quorum) -> Result<Option<Witnessed>, StoreError> {
    if quorum.needed == 0 {
        return Ok(None);
    }
    let row = holder_row(sql)?;
    let sizes = sql
        .prepare_cached(
            "SELECT size FROM cosignatures WHERE journal = ?1 GROUP BY size HAVING count(*) >= ?2
             ORDER BY size DESC",
        )
        .and_then(|mut statement| {
            statement
                .query_map(params![row, quorum.needed], |row| row.get::<_, u64>(0))?
                .collect::<Result<Vec<_>, _>>()
        });
    for size in database("looking for cosignatures", sizes)? {
        let note = note_with_lines(sql, row, size, &quorum.witnesses)?;
        let names = cosigners(&note, &quorum.witnesses);
        let names = names.map_err(|_| StoreError::Damaged { what: "a cosignature" })?;
        if names.len() >= quorum.needed {
            return Ok(Some(Witnessed { size, note }));
        }
    }
    Ok(None)
}

fn note_with_lines(
    sql: &Connection,
    row: i64,
    size: u64,
    witnesses: &[WitnessKey],
) -> Result<String, StoreError> {
    let note = sql
        .prepare_cached("SELECT note FROM checkpoints WHERE journal = ?1 AND size = ?2")
        .and_then(|mut statement| statement.query_row(params![row, size], |row| row.get::<_, String>(0)));
    let mut note = database("reading a checkpoint", note)?;
    for witness in witnesses {
        let line = sql
            .prepare_cached("SELECT line FROM cosignatures WHERE journal = ?1 AND size = ?2 AND witness = ?3")
            .and_then(|mut statement| {
                statement
                    .query_row(params![row, size, witness.to_string()], |row| row.get::<_, String>(0))
                    .optional()
            });
        note.push_str(&database("reading a cosignature", line)?.unwrap_or_default());
    }
    Ok(note)
}

/// Whether heads of partners' journals stand at these indices of the holder's journal.
fn heads_between(sql: &Connection, from: u64, to: u64) -> Result<bool, StoreError> {
    let there = sql
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM journal_heads WHERE idx >= ?1 AND idx < ?2)")
        .and_then(|mut statement| statement.query_row(params![from, to], |row| row.get(0)));
    database("looking for heads", there)
}

/// The size of a partner's journal at its last head in the holder's journal; zero when there is none.
pub(super) fn head_last(sql: &Connection, journal: &Journal) -> Result<u64, StoreError> {
    let last = sql
        .prepare_cached(
            "SELECT coalesce(max(size), 0) FROM journal_heads
             WHERE journal = (SELECT id FROM journals WHERE name = ?1)",
        )
        .and_then(|mut statement| statement.query_row(params![journal.name()], |row| row.get(0)));
    database("reading a head", last)
}

/// Notes where in the holder's journal a head stands.
pub(super) fn head_keep(
    sql: &Connection,
    journal: &Journal,
    size: u64,
    index: u64,
) -> Result<(), StoreError> {
    let kept = sql
        .prepare_cached(
            "INSERT INTO journal_heads (journal, size, idx)
             VALUES ((SELECT id FROM journals WHERE name = ?1), ?2, ?3)",
        )
        .and_then(|mut statement| statement.execute(params![journal.name(), size, index]));
    database("keeping a head", kept).map(count)
}

/// Whether the entry of a release is covered by a head that a quorum of witnesses saw.
pub(super) fn release_seen(
    context: &Context,
    sql: &Connection,
    partner: &PartnerName,
    id: DisclosureId,
    quorum: &Quorum,
) -> Result<ReleaseSeen, StoreError> {
    let Some(kept) = release::get(context, sql, id)? else { return Ok(ReleaseSeen::NoRelease) };
    let Some(witnessed) = witnessed(sql, quorum)? else { return Ok(ReleaseSeen::NotYet) };
    let journal = Journal::Partner(partner.clone());
    let head = head_below(sql, &journal, witnessed.size)?;
    let covers = head.is_some_and(|(size, _)| size > kept.index);
    Ok(if covers { ReleaseSeen::Seen } else { ReleaseSeen::NotYet })
}

/// The newest head of a partner's journal, with its index, among the first entries of the holder's journal.
fn head_below(sql: &Connection, journal: &Journal, below: u64) -> Result<Option<(u64, u64)>, StoreError> {
    let head = sql
        .prepare_cached(
            "SELECT size, idx FROM journal_heads
             WHERE journal = (SELECT id FROM journals WHERE name = ?1) AND idx < ?2
             ORDER BY size DESC LIMIT 1",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![journal.name(), below], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        });
    database("reading a head", head)
}

/// The newest head of a partner's journal that a quorum saw, proven; `None` when there is none yet.
pub(super) fn witnessed_head(
    context: &Context,
    sql: &Connection,
    partner: &PartnerName,
    quorum: &Quorum,
    from: u64,
) -> Result<Option<WitnessedHead>, StoreError> {
    let Some(witnessed) = witnessed(sql, quorum)? else { return Ok(None) };
    let journal = Journal::Partner(partner.clone());
    let Some((size, index)) = head_below(sql, &journal, witnessed.size)? else { return Ok(None) };
    let receipt = head_receipt(context, sql, index, &witnessed)?;
    let (row, _) = log::journal_find(sql, &journal)?.ok_or(StoreError::Damaged { what: "a journal" })?;
    let proof = if from > log::committed_size(sql, row)? {
        None
    } else {
        let proof = consistency_proof(&SqlTiles { sql, row }, from.min(size), from.max(size));
        Some(proof.map_err(|_| StoreError::Tree { doing: "proving consistency" })?)
    };
    let verifier_key = log::verifier_key(context, &log::origin(sql, &Journal::Holder)?)?.to_string();
    Ok(Some(WitnessedHead { size, receipt, proof, verifier_key }))
}

/// The receipt of an entry of the holder's journal under a checkpoint that a quorum cosigned.
fn head_receipt(
    context: &Context,
    sql: &Connection,
    index: u64,
    witnessed: &Witnessed,
) -> Result<String, StoreError> {
    let row = holder_row(sql)?;
    let stored =
        log::entries_read(sql, row, index, 1)?.pop().ok_or(StoreError::Damaged { what: "an entry" })?;
    let proof = inclusion_proof(&SqlTiles { sql, row }, index, witnessed.size)
        .map_err(|_| StoreError::Tree { doing: "proving an entry" })?;
    let opening = stored.open(context, sql, row, Column::Holder)?;
    let checkpoint = witnessed.note.clone();
    Ok(Receipt { entry: stored.entry, opening, index, proof, checkpoint }.to_text())
}

fn root_of(note: &str) -> Result<Hash, StoreError> {
    let damaged = || StoreError::Damaged { what: "a checkpoint" };
    let (text, _) = note.split_once("\n\n").ok_or_else(damaged)?;
    Checkpoint::parse_any(&format!("{text}\n")).map(|checkpoint| checkpoint.root).map_err(|_| damaged())
}

fn holder_row(sql: &Connection) -> Result<i64, StoreError> {
    log::journal_find(sql, &Journal::Holder)?
        .map(|(row, _)| row)
        .ok_or(StoreError::Damaged { what: "the holder's journal" })
}
