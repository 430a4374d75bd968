//! A journal as files, for offline verification: C2SP tlog-tiles with the openings of both sides beside.

use rusqlite::{Connection, params};

use crate::audit::event::{Fact, Kind};
use crate::audit::journal::{encode_openings, handover_path};
use crate::audit::tiles::{
    BundleId, Resource, TileId, TileReader, bundles_of, encode_bundle, encode_tile, tiles_of,
};
use crate::authz::Permit;
use crate::store::log::{ExportFile, ExportPart, ExportPlan};
use crate::store::{Journal, StoreError};

use super::log::{Column, SqlTiles, Stored, committed_size, entries_read, journal_find};
use super::tx::Tx;
use super::{Context, database, log, log_key};

/// Notes an export and says which files it has: the journal as it stood before that note.
pub(super) fn plan(
    tx: &mut Tx<'_>,
    permit: &Permit,
    journal: &Journal,
    why: &str,
) -> Result<ExportPlan, StoreError> {
    let size = match journal_find(tx.sql, journal)? {
        Some((row, _)) => committed_size(tx.sql, row)?,
        None => 0,
    };
    let handovers = log_key::of_journal(tx.context, tx.sql, journal)?;
    let handovers = handovers.into_iter().filter(|key| key.from_size <= size);
    let handovers: Vec<u64> = handovers.filter_map(|key| key.handover.map(|(index, _)| index)).collect();
    let event = tx
        .event(Kind::LogExported, permit)
        .text(Fact::Journal, journal.name())
        .number(Fact::TreeSize, size)
        .text(Fact::Reason, why);
    tx.enter_private(&event, &[])?;
    Ok(ExportPlan { journal: journal.clone(), size, files: files(size, &handovers) })
}

/// The checkpoint last: whoever finds it knows that the files before it are there.
fn files(size: u64, handovers: &[u64]) -> Vec<ExportFile> {
    let key = ExportFile { path: "key".to_owned(), part: ExportPart::VerifierKey };
    let checkpoint = ExportFile { path: "checkpoint".to_owned(), part: ExportPart::Checkpoint };
    let bundles = bundles_of(size).flat_map(|bundle| {
        let (index, width) = (bundle.index(), bundle.width());
        [
            ExportFile { path: bundle.path(), part: ExportPart::Entries { index, width } },
            ExportFile { path: bundle.openings_path(), part: ExportPart::Openings { index, width } },
        ]
    });
    let tiles = tiles_of(size).map(|tile| ExportFile {
        path: tile.path(),
        part: ExportPart::Tile { level: tile.level(), index: tile.index(), width: tile.width() },
    });
    let handovers = handovers.iter().zip(0..).map(|(index, number)| ExportFile {
        path: handover_path(number),
        part: ExportPart::HandOver { index: *index },
    });
    [key].into_iter().chain(handovers).chain(bundles).chain(tiles).chain([checkpoint]).collect()
}

/// One file of an export.
pub(super) fn file(
    context: &Context,
    sql: &Connection,
    plan: &ExportPlan,
    file: &ExportFile,
) -> Result<Vec<u8>, StoreError> {
    let found = journal_find(sql, &plan.journal)?;
    let (row, _) = found.ok_or(StoreError::Damaged { what: "a journal that is exported" })?;
    match file.part {
        ExportPart::VerifierKey => {
            let key = log_key::at_size(context, sql, &plan.journal, plan.size)?;
            Ok(format!("{key}\n").into_bytes())
        }
        ExportPart::HandOver { index } => {
            log::handover(context, sql, &plan.journal, index).map(|(_, text)| text.into_bytes())
        }
        ExportPart::Checkpoint => {
            let note = sql.query_row(
                "SELECT note FROM checkpoints WHERE journal = ?1 AND size = ?2",
                params![row, plan.size],
                |row| row.get::<_, String>(0),
            );
            database("reading a checkpoint", note).map(String::into_bytes)
        }
        ExportPart::Tile { level, index, width } => {
            SqlTiles { sql, row }.tile(level, index, width).map(|hashes| encode_tile(&hashes))
        }
        ExportPart::Entries { index, width } => entries_encoded(sql, row, index, width),
        ExportPart::Openings { index, width } => {
            let openings = bundle(sql, row, index, width)?
                .iter()
                .map(|stored| {
                    let sides = [
                        stored.open(context, sql, row, Column::Partner)?,
                        stored.open(context, sql, row, Column::Holder)?,
                    ];
                    Ok(sides.into_iter().flatten().collect())
                })
                .collect::<Result<Vec<Vec<_>>, StoreError>>()?;
            Ok(encode_openings(&openings))
        }
    }
}

/// A tile as far as the newest checkpoint covers it.
pub(super) fn tile_get(
    sql: &Connection,
    journal: &Journal,
    tile: TileId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(row) = covered(sql, journal, &Resource::Tile(tile))? else { return Ok(None) };
    let hashes = SqlTiles { sql, row }.tile(tile.level(), tile.index(), tile.width())?;
    if hashes.len() == usize::from(tile.width()) {
        Ok(Some(encode_tile(&hashes)))
    } else {
        Err(StoreError::Damaged { what: "a tile" })
    }
}

/// An entry bundle as far as the newest checkpoint covers it.
pub(super) fn bundle_get(
    sql: &Connection,
    journal: &Journal,
    bundle: BundleId,
) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(row) = covered(sql, journal, &Resource::Bundle(bundle))? else { return Ok(None) };
    entries_encoded(sql, row, bundle.index(), bundle.width()).map(Some)
}

/// The row of a journal whose newest checkpoint covers a file.
fn covered(sql: &Connection, journal: &Journal, file: &Resource) -> Result<Option<i64>, StoreError> {
    let Some((row, _)) = journal_find(sql, journal)? else { return Ok(None) };
    Ok(file.is_within(committed_size(sql, row)?).then_some(row))
}

fn entries_encoded(sql: &Connection, row: i64, index: u64, width: u16) -> Result<Vec<u8>, StoreError> {
    let entries: Vec<_> = bundle(sql, row, index, width)?.iter().map(|one| one.entry.encode()).collect();
    encode_bundle(entries.iter().map(<[u8; 65]>::as_slice))
        .map_err(|_| StoreError::Damaged { what: "an entry" })
}

fn bundle(sql: &Connection, row: i64, index: u64, width: u16) -> Result<Vec<Stored>, StoreError> {
    let stored = entries_read(sql, row, index.saturating_mul(BUNDLE_ENTRIES), u32::from(width))?;
    if stored.len() == usize::from(width) {
        Ok(stored)
    } else {
        Err(StoreError::Damaged { what: "a bundle of entries" })
    }
}

/// Entries of a whole bundle (C2SP tlog-tiles).
const BUNDLE_ENTRIES: u64 = 256;
