//! The key store's copy beside the backups: what is destroyed in the key store is destroyed in it too, so that no
//! backup opens what was erased or disposed of.
//!
//! It holds what the backups need and, after each of them, all that the key store holds. Between two backups keys are
//! only taken away: what was enrolled since is in no backup.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, ToSql};

use crate::store::StoreError;

use super::{database, shown};

/// A copy of the key store.
pub(super) struct KeyCopy {
    sql: Mutex<Connection>,
}

impl KeyCopy {
    /// Opens the copy, made if it is not there, beside the key store that it is of.
    pub(super) fn open(path: &Path, of: &Path) -> Result<Self, StoreError> {
        let mut sql = super::connect(path)?;
        super::migrate(&mut sql, &super::key_schema::migrations::runner().set_grouped(true))?;
        // One file, whole after each commit, for whoever copies it elsewhere.
        let journal = sql.pragma_update(None, "journal_mode", "TRUNCATE");
        database("setting up the copy of the key store", journal)?;
        // Rows go table by table, all in one transaction.
        let references = sql.pragma_update(None, "foreign_keys", false);
        database("setting up the copy of the key store", references)?;
        let attached = sql.execute("ATTACH ?1 AS live", [shown(of)]);
        database("attaching the key store", attached)?;
        Ok(Self { sql: Mutex::new(sql) })
    }

    /// Does to the copy what was done to the key store. Durable when it returns.
    ///
    /// INVARIANT: after it was done there. A copy that is being brought up to date then either reads the key store as it
    /// is afterwards, or is over before this begins.
    pub(super) fn follow(&self, statement: &str, values: &[&dyn ToSql]) -> Result<(), StoreError> {
        let done = self.lock().execute(statement, values);
        database("destroying keys in the copy of the key store", done).map(super::count)
    }

    /// Makes the copy what the key store is now.
    pub(super) fn bring_up_to_date(&self) -> Result<(), StoreError> {
        let mut sql = self.lock();
        let doing = "bringing the copy of the key store up to date";
        let step = database(doing, sql.transaction())?;
        for (table, same, value) in TABLES {
            for statement in [
                format!(
                    "DELETE FROM main.{table} AS a WHERE NOT EXISTS (SELECT 1 FROM live.{table} AS b WHERE {same})"
                ),
                format!(
                    "INSERT OR REPLACE INTO main.{table} SELECT * FROM live.{table} AS b WHERE NOT EXISTS
                     (SELECT 1 FROM main.{table} AS a WHERE {same} AND a.{value} = b.{value})"
                ),
            ] {
                database(doing, step.execute(&statement, []))?;
            }
        }
        database(doing, step.commit())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.sql.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a backup needs: what tells that two rows are of one key, and what a row says of it. Keys of search snapshots,
/// which are in no backup, stay out.
const TABLES: [(&str, &str, &str); 7] = [
    ("roots", "a.id = b.id", "since_ms"),
    ("ring_keys", "a.root = b.root AND a.class = b.class AND a.generation = b.generation", "wrapped"),
    ("subject_keys", "a.subject = b.subject", "wrapped"),
    ("payload_keys", "a.class = b.class AND a.day = b.day", "wrapped"),
    ("collection_keys", "a.collection = b.collection AND a.generation = b.generation", "wrapped"),
    ("named_keys", "a.name = b.name", "wrapped"),
    ("backup_keys", "a.id = b.id", "wrapped"),
];
