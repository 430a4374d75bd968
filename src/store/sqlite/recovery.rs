//! The way on after a database fell behind what was signed: a journal whose newest entries are lost goes on as a new
//! tree, under an origin that was never signed, and its first entry says where the old one stood.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, params};

use crate::audit::checkpoint::Checkpoint;
use crate::audit::event::{Event, Fact, Kind};
use crate::audit::note::VerifierKey;
use crate::clock::{Clock, Timestamp};
use crate::ids::{Digest, SubjectId};
use crate::keys::RootKey;
use crate::secret::Entropy;
use crate::store::{Journal, StoreError};

use super::heads::{Head, Heads};
use super::journals::Journals;
use super::tx::Tx;
use super::{Context, Parts, database, enrolment, fork, holder, log};

/// A journal that goes on, or would go on, under a new origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalContinued {
    /// Which.
    pub journal: Journal,
    /// The origin that is never signed again.
    pub origin: String,
    /// The size that was signed under it; `None` where nobody knows, because the heads are lost.
    pub signed: Option<u64>,
    /// The number of its entries that are still here.
    pub stored: u64,
    /// The key that verifies the new tree; `None` before it is there.
    pub verifier_key: Option<VerifierKey>,
}

/// Which journals of a store that nobody serves are behind what was signed. Changes nothing.
///
/// # Errors
/// [`StoreError`] when the store or the heads can't be read.
pub fn journals_behind(
    folder: &Path,
    heads: &Path,
    root: RootKey,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<Vec<JournalContinued>, StoreError> {
    let parts = Parts::open(folder, root, None, clock, entropy)?;
    let heads = Heads::open(heads)?;
    behind(&parts, heads.as_ref())
}

/// Lets every journal that is behind go on under a new origin. Whatever is not behind is left alone.
///
/// # Errors
/// [`StoreError`]; nothing is changed then.
pub fn journals_continue(
    folder: &Path,
    heads_folder: &Path,
    root: RootKey,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    why: &str,
) -> Result<Vec<JournalContinued>, StoreError> {
    let mut parts = Parts::open(folder, root, None, clock, entropy)?;
    let known = Heads::open(heads_folder)?;
    let mut continued = behind(&parts, known.as_ref())?;
    if !continued.is_empty() {
        commit(&mut parts, known.as_ref(), &continued, why)?;
    }
    let mut heads = match known {
        Some(heads) => heads,
        None => Heads::create(heads_folder)?,
    };
    for one in &mut continued {
        heads.retire(heads_folder, &one.origin)?;
        let origin =
            parts.journals.origin(&one.journal).ok_or(StoreError::Tree { doing: "finding a journal" })?;
        one.verifier_key = Some(log::verifier_key(&parts.context, origin)?);
        let found = log::checkpoint_get(&parts.context, &parts.sql, &one.journal)?;
        let note = found.ok_or(StoreError::Damaged { what: "a journal that goes on" })?.checkpoint;
        heads.put([(origin.to_owned(), Head { size: 1, note })])?;
    }
    for lost in strangers(&parts, &heads) {
        heads.retire(heads_folder, &lost)?;
    }
    Ok(continued)
}

pub(super) fn behind(parts: &Parts, heads: Option<&Heads>) -> Result<Vec<JournalContinued>, StoreError> {
    let Parts { context, sql, journals, .. } = parts;
    let mut behind = Vec::new();
    for journal in journals.names() {
        let Some((row, origin)) = log::journal_find(sql, journal)? else { continue };
        let stored = log::committed_size(sql, row)?;
        let head = heads.and_then(|heads| heads.newest().find(|(known, _)| *known == origin));
        let signed = match (heads, head) {
            (None, _) => None,
            (Some(_), None) => continue,
            (Some(_), Some((_, head))) => match fork::compare(context, sql, &origin, head) {
                Ok(()) => continue,
                Err(StoreError::Behind { .. } | StoreError::Forked { .. }) => Some(head.size),
                Err(error) => return Err(error),
            },
        };
        behind.push(JournalContinued {
            journal: journal.clone(),
            origin,
            signed,
            stored,
            verifier_key: None,
        });
    }
    Ok(behind)
}

fn commit(
    parts: &mut Parts,
    heads: Option<&Heads>,
    continued: &[JournalContinued],
    why: &str,
) -> Result<(), StoreError> {
    let lost = heads.map(|heads| strangers(parts, heads)).unwrap_or_default();
    let Parts { context, sql, journals, .. } = parts;
    let now = context.clock.now();
    let sql = database("beginning to write", sql.transaction())?;
    for origin in lost {
        // A partner that was added after the backup: when it is added again, its journal needs another origin.
        let kept = sql.execute(
            "INSERT OR IGNORE INTO journals (name, origin, retired) VALUES (?1, ?1, 1)",
            params![origin],
        );
        database("keeping an origin", kept)?;
    }
    let (host, policy) = (holder::text(&sql, "host")?, holder::policy_active(&sql)?);
    for one in continued {
        let row = journals.continue_anew(&sql, &one.journal, &host)?;
        let moved =
            sql.execute("UPDATE partners SET journal = ?2 WHERE name = ?1", params![one.journal.name(), row]);
        database("moving a journal", moved)?;
    }
    for one in continued {
        let mut tx = Tx::new(context, &sql, journals, now);
        let event = with_head(tx.system_event(Kind::JournalContinued, policy), context, one, heads)
            .text(Fact::Reason, why);
        match &one.journal {
            Journal::Holder => tx.enter_private(&event, &[])?,
            Journal::Partner(_) => tx.enter(one.journal.clone(), &event, &event, &[])?,
        };
    }
    erased_anew(context, &sql, journals, policy, now)?;
    journals.write_heads(context, &sql)?;
    database("committing", sql.commit())?;
    journals.committed();
    Ok(())
}

/// Takes out whoever was erased after the backup was made: their data keys are gone, and the entries that said so are
/// lost with the journal's end.
fn erased_anew(
    context: &Context,
    sql: &Connection,
    journals: &mut Journals,
    policy: Digest,
    now: Timestamp,
) -> Result<(), StoreError> {
    for subject in keyless(context, sql)? {
        enrolment::subject_remove(sql, subject)?;
        let mut tx = Tx::new(context, sql, journals, now);
        let event = tx
            .system_event(Kind::SubjectErased, policy)
            .with(Fact::Subject, subject.as_bytes())
            .text(Fact::Reason, "its data key was destroyed after the backup was made");
        tx.enter_private(&event, &enrolment::subject_tags(context, Some(subject)))?;
    }
    Ok(())
}

/// Subjects whose data keys are gone.
fn keyless(context: &Context, sql: &Connection) -> Result<Vec<SubjectId>, StoreError> {
    let all = sql.prepare("SELECT id FROM subjects").and_then(|mut statement| {
        statement.query_map([], |row| row.get::<_, [u8; 16]>(0))?.collect::<Result<Vec<_>, _>>()
    });
    let mut keyless = Vec::new();
    for subject in database("looking for subjects", all)?.into_iter().map(SubjectId::from_bytes) {
        if context.keys.subject_key(&subject)?.is_none() {
            keyless.push(subject);
        }
    }
    Ok(keyless)
}

/// States which tree is left behind, and how far it was signed.
fn with_head(event: Event, context: &Context, one: &JournalContinued, heads: Option<&Heads>) -> Event {
    let event = event.text(Fact::Journal, one.journal.name());
    let head = heads.and_then(|heads| heads.newest().find(|(origin, _)| *origin == one.origin));
    let key = log::verifier_key(context, &one.origin).ok();
    let signed = head.zip(key).and_then(|((_, head), key)| Checkpoint::open(&head.note, &key).ok());
    let event = match signed {
        Some(signed) => event.number(Fact::TreeSize, signed.size).with(Fact::Root, signed.root.as_bytes()),
        None => event,
    };
    event.text(Fact::Origin, &one.origin)
}

/// Origins that were signed and that this database does not know as a living journal's.
pub(super) fn strangers(parts: &Parts, heads: &Heads) -> Vec<String> {
    let living: Vec<&str> =
        parts.journals.names().filter_map(|journal| parts.journals.origin(journal)).collect();
    heads
        .newest()
        .map(|(origin, _)| origin)
        .filter(|origin| !living.contains(origin))
        .map(str::to_owned)
        .collect()
}
