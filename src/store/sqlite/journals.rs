//! The right edges of all journals' trees, kept in the writer between batches.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::audit::checkpoint::Checkpoint;
use crate::audit::proof::verify_inclusion;
use crate::audit::tree::{Edge, Hash, Mark};
use crate::store::{Journal, StoreError};

use super::heads::Head;
use super::{Context, count, database};

/// Every journal's edge.
pub(super) struct Journals {
    edges: BTreeMap<Journal, JournalEdge>,
}

struct JournalEdge {
    row: i64,
    origin: String,
    edge: Edge,
    /// The size and root that were last committed.
    committed: (u64, Hash),
}

/// Sizes to return to when a step is undone.
pub(super) struct Marks(BTreeMap<Journal, Mark>);

impl Journals {
    /// Reads the edges as they were committed, and compares their roots with the signed ones.
    pub(super) fn restore(context: &Context, sql: &Connection) -> Result<Self, StoreError> {
        let rows = sql.prepare("SELECT id, name, origin FROM journals WHERE retired = 0").and_then(
            |mut statement| {
                statement
                    .query_map([], |row| {
                        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
                    })?
                    .collect::<Result<Vec<_>, _>>()
            },
        );
        let mut edges = BTreeMap::new();
        for (row, name, origin) in database("reading the journals", rows)? {
            let journal =
                Journal::parse(&name).map_err(|_| StoreError::Damaged { what: "a journal's name" })?;
            let edge = restore_edge(sql, row)?;
            let committed = (edge.size(), edge.root());
            super::log::check_head(context, sql, row, &origin, committed)?;
            edges.insert(journal, JournalEdge { row, origin, edge, committed });
        }
        Ok(Self { edges })
    }

    /// Opens a journal that does not exist yet; an existing one is left alone.
    pub(super) fn open_new(
        &mut self,
        sql: &Connection,
        journal: &Journal,
        host: &str,
    ) -> Result<i64, StoreError> {
        if let Some(known) = self.edges.get(journal) {
            return Ok(known.row);
        }
        self.open_under(sql, journal, fresh_origin(sql, journal, host)?)
    }

    /// Leaves the journal's tree behind and opens an empty one under an origin that was never signed.
    pub(super) fn continue_anew(
        &mut self,
        sql: &Connection,
        journal: &Journal,
        host: &str,
    ) -> Result<i64, StoreError> {
        if let Some(old) = self.edges.remove(journal) {
            let retired =
                sql.execute("UPDATE journals SET retired = 1, name = origin WHERE id = ?1", params![old.row]);
            database("leaving a journal's tree", retired)?;
        }
        self.open_under(sql, journal, fresh_origin(sql, journal, host)?)
    }

    /// The origin of a journal.
    pub(super) fn origin(&self, journal: &Journal) -> Option<&str> {
        self.edges.get(journal).map(|known| known.origin.as_str())
    }

    /// The journals that are there.
    pub(super) fn names(&self) -> impl Iterator<Item = &Journal> {
        self.edges.keys()
    }

    fn open_under(&mut self, sql: &Connection, journal: &Journal, origin: String) -> Result<i64, StoreError> {
        let inserted = sql
            .execute("INSERT INTO journals (name, origin) VALUES (?1, ?2)", params![journal.name(), origin]);
        database("opening a journal", inserted)?;
        let row = sql.last_insert_rowid();
        let edge = Edge::new();
        let committed = (0, edge.root());
        self.edges.insert(journal.clone(), JournalEdge { row, origin, edge, committed });
        Ok(row)
    }

    /// Appends a leaf; returns the journal's row and the leaf's index.
    pub(super) fn append(&mut self, journal: &Journal, leaf: Hash) -> Result<(i64, u64), StoreError> {
        let known = self.edges.get_mut(journal).ok_or(StoreError::Tree { doing: "finding a journal" })?;
        let index = known.edge.size();
        known.edge.append(leaf);
        Ok((known.row, index))
    }

    /// The number of entries of all journals.
    pub(super) fn entries(&self) -> u64 {
        self.edges.values().map(|known| known.edge.size()).sum()
    }

    /// The present sizes.
    pub(super) fn mark(&self) -> Marks {
        Marks(self.edges.iter().map(|(journal, known)| (journal.clone(), known.edge.mark())).collect())
    }

    /// Undoes what was appended since; journals that were opened since are closed again.
    pub(super) fn rewind(&mut self, marks: &Marks) -> Result<(), StoreError> {
        self.edges.retain(|journal, _| marks.0.contains_key(journal));
        for (journal, mark) in &marks.0 {
            if let Some(known) = self.edges.get_mut(journal) {
                known.edge.rewind(*mark).map_err(|_| StoreError::Tree { doing: "undoing a step" })?;
            }
        }
        Ok(())
    }

    /// Writes the tiles that changed and signs one checkpoint for each journal that grew.
    pub(super) fn write_heads(
        &self,
        context: &Context,
        sql: &Connection,
    ) -> Result<BTreeMap<Journal, String>, StoreError> {
        let mut notes = BTreeMap::new();
        for (journal, known) in &self.edges {
            if known.edge.size() == known.committed.0 {
                continue;
            }
            write_tiles(sql, known)?;
            let checkpoint =
                Checkpoint { origin: known.origin.clone(), size: known.edge.size(), root: known.edge.root() };
            let note = context.signers.sign(sql, &checkpoint)?;
            let inserted = sql
                .prepare_cached("INSERT INTO checkpoints (journal, size, note) VALUES (?1, ?2, ?3)")
                .and_then(|mut statement| statement.execute(params![known.row, known.edge.size(), note]));
            database("writing a checkpoint", inserted)?;
            notes.insert(journal.clone(), note);
        }
        Ok(notes)
    }

    /// The signed heads of the journals that grew, by origin.
    pub(super) fn grown<'a>(
        &'a self,
        notes: &'a BTreeMap<Journal, String>,
    ) -> impl Iterator<Item = (String, Head)> + 'a {
        self.edges.iter().filter_map(|(journal, known)| {
            let note = notes.get(journal)?.clone();
            Some((known.origin.clone(), Head { size: known.edge.size(), note }))
        })
    }

    /// The batch is durable.
    pub(super) fn committed(&mut self) {
        for known in self.edges.values_mut() {
            known.committed = (known.edge.size(), known.edge.root());
        }
    }

    /// The next batch begins: proofs of the one before are no longer asked for.
    pub(super) fn settle(&mut self) {
        for known in self.edges.values_mut() {
            known.edge.settle();
        }
    }

    /// The trees of the journals that grew, as they were just committed and signed.
    pub(super) fn grown_trees(&self, notes: BTreeMap<Journal, String>) -> BTreeMap<Journal, GrownTree> {
        let grown = notes.into_iter().filter_map(|(journal, note)| {
            let known = self.edges.get(&journal)?;
            let tree = GrownTree { edge: known.edge.clone(), committed: known.committed, note };
            Some((journal, tree))
        });
        grown.collect()
    }

    /// The partners' journals with their size and root as they were last committed.
    pub(super) fn partner_heads(&self) -> Vec<(Journal, u64, Hash)> {
        self.edges
            .iter()
            .filter(|(journal, _)| **journal != Journal::Holder)
            .map(|(journal, known)| (journal.clone(), known.committed.0, known.committed.1))
            .collect()
    }
}

/// What proves the entries of one batch in one journal.
pub(super) struct GrownTree {
    edge: Edge,
    committed: (u64, Hash),
    note: String,
}

impl GrownTree {
    /// The signed checkpoint of the batch.
    pub(super) fn note(&self) -> &str {
        &self.note
    }

    /// The proof of an entry of the batch, verified before anybody gets it.
    pub(super) fn prove(&self, leaf: &Hash, index: u64) -> Result<Vec<Hash>, StoreError> {
        let wrong = StoreError::Tree { doing: "proving an entry" };
        let Some(proof) = self.edge.prove(index) else { return Err(wrong) };
        let (size, root) = self.committed;
        match verify_inclusion(leaf, index, size, &proof, &root) {
            Ok(()) => Ok(proof),
            Err(_) => Err(wrong),
        }
    }
}

/// `HOST/onebit/JOURNAL`, or the first of `HOST/onebit/JOURNAL/2`, `…/3` that no tree ever had.
fn fresh_origin(sql: &Connection, journal: &Journal, host: &str) -> Result<String, StoreError> {
    let base = format!("{host}/onebit/{journal}");
    let mut origin = base.clone();
    let mut next = 2_u64;
    loop {
        let taken = sql.query_row(
            "SELECT EXISTS (SELECT 1 FROM journals WHERE origin = ?1)",
            params![origin],
            |row| row.get::<_, bool>(0),
        );
        if !database("looking for a journal", taken)? {
            return Ok(origin);
        }
        origin = format!("{base}/{next}");
        next += 1;
    }
}

fn write_tiles(sql: &Connection, known: &JournalEdge) -> Result<(), StoreError> {
    for tile in known.edge.changed() {
        let bytes: Vec<u8> = tile.hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
        let written = sql
            .prepare_cached(
                "INSERT INTO tiles (journal, level, idx, hashes) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (journal, level, idx) DO UPDATE SET hashes = excluded.hashes",
            )
            .and_then(|mut statement| statement.execute(params![known.row, tile.level, tile.index, bytes]));
        database("writing a tile", written).map(count)?;
    }
    Ok(())
}

fn restore_edge(sql: &Connection, row: i64) -> Result<Edge, StoreError> {
    let size = sql.query_row(
        "SELECT coalesce(max(size), 0) FROM checkpoints WHERE journal = ?1",
        params![row],
        |row| row.get::<_, u64>(0),
    );
    let size = database("reading a journal's size", size)?;
    let mut failed = None;
    let edge = Edge::restore(size, &mut |level, index| match super::log::tile_read(sql, row, level, index) {
        Ok(hashes) => hashes,
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    match failed {
        Some(error) => Err(error),
        None => edge.map_err(|_| StoreError::Damaged { what: "the tiles of a journal" }),
    }
}
