//! Notices in SQLite: written with what they tell, addressed and delivered afterwards.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::HEXLOWER;
use rusqlite::{Connection, OptionalExtension, params};

use crate::approval::State;
use crate::audit::event::{Fact, Kind};
use crate::clock::Timestamp;
use crate::ids::DisclosureId;
use crate::keys::{NoticeSigner, RootKey};
use crate::secret::random_bytes;
use crate::store::StoreError;
use crate::store::notice::{Addressed, Delivery, DeliveryEnd, Notice, NoticeKind};

use super::fsck::{check_form, connect};
use super::tx::Tx;
use super::{count, database, files, holder, key_schema, keystore, ring_keys, schema};

/// Keeps the notice of a step, if the step is told.
pub(super) fn of_step(tx: &Tx<'_>, id: DisclosureId, from: State, to: State) -> Result<(), StoreError> {
    if to.is_final() {
        let done =
            tx.sql.execute("DELETE FROM notice_reminders WHERE disclosure = ?1", params![id.as_bytes()]);
        database("forgetting a reminder", done)?;
    }
    NoticeKind::of_step(from, to).map_or(Ok(()), |kind| keep(tx, kind, id))
}

/// Keeps a notice; to whom it goes is found out afterwards.
pub(super) fn keep(tx: &Tx<'_>, kind: NoticeKind, disclosure: DisclosureId) -> Result<(), StoreError> {
    let id: [u8; 16] = random_bytes(tx.context.entropy.as_ref())?;
    let kept = tx.sql.execute(
        "INSERT INTO notices (id, kind, disclosure, at_ms) VALUES (?1, ?2, ?3, ?4)",
        params![id, kind.as_str(), disclosure.as_bytes(), tx.now.as_millis()],
    );
    database("writing a notice", kept).map(count)
}

/// Notices for which nobody is addressed yet, oldest first.
pub(super) fn list(sql: &Connection, limit: u32) -> Result<Vec<Notice>, StoreError> {
    let read = "SELECT sequence, id, kind, disclosure, at_ms FROM notices WHERE addressed = 0
                ORDER BY sequence LIMIT ?1";
    let rows = sql
        .prepare_cached(read)
        .and_then(|mut statement| statement.query_map(params![limit], row)?.collect::<Result<Vec<_>, _>>());
    database("reading notices", rows)?.into_iter().map(notice).collect()
}

type Row = (i64, [u8; 16], String, [u8; 16], i64);

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Row> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
}

fn notice((sequence, id, kind, disclosure, at): Row) -> Result<Notice, StoreError> {
    let kind = kind.parse().map_err(|_| StoreError::Damaged { what: "the kind of a notice" })?;
    let (disclosure, at) = (DisclosureId::from_bytes(disclosure), Timestamp::from_millis(at));
    Ok(Notice { sequence, id, kind, disclosure, at })
}

/// Keeps to whom notices go; those that go to nobody are done.
pub(super) fn address(tx: &Tx<'_>, addressed: &[Addressed]) -> Result<(), StoreError> {
    for one in addressed {
        let first = tx.sql.execute(
            "UPDATE notices SET addressed = 1 WHERE sequence = ?1 AND addressed = 0",
            params![one.sequence],
        );
        if database("addressing a notice", first)? == 0 {
            continue;
        }
        for (receiver, from) in &one.receivers {
            let kept = tx.sql.execute(
                "INSERT OR IGNORE INTO notice_deliveries (receiver, notice, begun_ms, tries, next_ms)
                 VALUES (?1, ?2, ?3, 0, ?3)",
                params![receiver, one.sequence, from.as_millis()],
            );
            database("addressing a notice", kept)?;
        }
        if let Some((disclosure, at)) = one.remind {
            let kept = tx.sql.execute(
                "INSERT OR IGNORE INTO notice_reminders (disclosure, at_ms)
                 SELECT id, ?2 FROM disclosures WHERE id = ?1",
                params![disclosure.as_bytes(), at.as_millis()],
            );
            database("keeping a reminder", kept)?;
        }
        forget(tx, one.sequence)?;
    }
    Ok(())
}

/// Forgets a notice of which no delivery is left.
fn forget(tx: &Tx<'_>, sequence: i64) -> Result<(), StoreError> {
    let done = tx.sql.execute(
        "DELETE FROM notices WHERE sequence = ?1 AND addressed = 1
           AND NOT EXISTS (SELECT 1 FROM notice_deliveries WHERE notice = ?1)",
        params![sequence],
    );
    database("forgetting a notice", done).map(count)
}

/// Whether [`remind`] would find anything.
pub(super) fn is_to_remind(sql: &Connection, now: Timestamp) -> Result<bool, StoreError> {
    let read = "SELECT EXISTS (SELECT 1 FROM notice_reminders WHERE at_ms <= ?1)
                    OR EXISTS (SELECT 1 FROM notice_deliveries WHERE given_up_ms < ?2)";
    let found = sql.query_row(read, params![now.as_millis(), long_ago(now)], |row| row.get(0));
    database("looking for what is late", found)
}

/// Makes notices of open disclosures that are late by now, and forgets what was given up long ago.
pub(super) fn remind(tx: &Tx<'_>, now: Timestamp) -> Result<u32, StoreError> {
    let read =
        "SELECT r.disclosure, d.state FROM notice_reminders r LEFT JOIN disclosures d ON d.id = r.disclosure
                WHERE r.at_ms <= ?1 ORDER BY r.at_ms LIMIT ?2";
    let rows = tx.sql.prepare_cached(read).and_then(|mut statement| {
        let row =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, [u8; 16]>(0)?, row.get::<_, Option<String>>(1)?));
        statement.query_map(params![now.as_millis(), AT_ONCE], row)?.collect::<Result<Vec<_>, _>>()
    });
    let mut made: u32 = 0;
    for (id, state) in database("looking for what is late", rows)? {
        let forgotten = tx.sql.execute("DELETE FROM notice_reminders WHERE disclosure = ?1", params![id]);
        database("forgetting a reminder", forgotten)?;
        if state.and_then(|state| state.parse::<State>().ok()).is_some_and(State::is_open) {
            keep(tx, NoticeKind::Expiring, DisclosureId::from_bytes(id))?;
            made = made.saturating_add(1);
        }
    }
    let gone = tx
        .sql
        .execute("DELETE FROM notice_deliveries WHERE given_up_ms < ?1", params![long_ago(now)])
        .and_then(|_| {
            tx.sql.execute(
                "DELETE FROM notices WHERE addressed = 1
                   AND NOT EXISTS (SELECT 1 FROM notice_deliveries WHERE notice = notices.sequence)",
                [],
            )
        });
    database("forgetting notices", gone)?;
    Ok(made)
}

fn long_ago(now: Timestamp) -> i64 {
    now.as_millis().saturating_sub(GIVEN_UP_KEPT_MS)
}

/// Who has a delivery due.
pub(super) fn receivers_due(sql: &Connection, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let read = "SELECT DISTINCT receiver FROM notice_deliveries WHERE given_up_ms IS NULL AND next_ms <= ?1";
    let rows = sql.prepare_cached(read).and_then(|mut statement| {
        statement.query_map(params![now.as_millis()], |row| row.get(0))?.collect::<Result<Vec<_>, _>>()
    });
    database("looking for notices that are due", rows)
}

/// The deliveries to a receiver that are due, oldest first.
pub(super) fn due(
    sql: &Connection,
    receiver: &str,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Delivery>, StoreError> {
    let read = "SELECT n.sequence, n.id, n.kind, n.disclosure, n.at_ms, d.begun_ms, d.tries
                FROM notice_deliveries d JOIN notices n ON n.sequence = d.notice
                WHERE d.receiver = ?1 AND d.given_up_ms IS NULL AND d.next_ms <= ?2
                ORDER BY d.next_ms, n.sequence LIMIT ?3";
    let rows = sql.prepare_cached(read).and_then(|mut statement| {
        let read = |found: &rusqlite::Row<'_>| Ok((row(found)?, found.get::<_, i64>(5)?, found.get(6)?));
        statement.query_map(params![receiver, now.as_millis(), limit], read)?.collect::<Result<Vec<_>, _>>()
    });
    database("reading notices that are due", rows)?
        .into_iter()
        .map(|(row, begun, tries)| {
            Ok(Delivery { notice: notice(row)?, begun: Timestamp::from_millis(begun), tries })
        })
        .collect()
}

/// Keeps what came of trying deliveries to a receiver; that one is given up is an entry.
pub(super) fn end(tx: &mut Tx<'_>, receiver: &str, tried: &[(i64, DeliveryEnd)]) -> Result<(), StoreError> {
    for (sequence, end) in tried {
        let done = match end {
            DeliveryEnd::Done => tx.sql.execute(
                "DELETE FROM notice_deliveries WHERE receiver = ?1 AND notice = ?2",
                params![receiver, sequence],
            ),
            DeliveryEnd::Again(next, why) => tx.sql.execute(
                "UPDATE notice_deliveries SET tries = tries + 1, next_ms = ?3, reason = ?4
                 WHERE receiver = ?1 AND notice = ?2",
                params![receiver, sequence, next.as_millis(), why],
            ),
            DeliveryEnd::GivenUp(why) => tx.sql.execute(
                "UPDATE notice_deliveries SET tries = tries + 1, given_up_ms = ?3, reason = ?4
                 WHERE receiver = ?1 AND notice = ?2",
                params![receiver, sequence, tx.now.as_millis(), why],
            ),
        };
        let changed = database("keeping what came of a notice", done)?;
        match end {
            DeliveryEnd::Done => forget(tx, *sequence)?,
            DeliveryEnd::GivenUp(why) if changed > 0 => given_up_enter(tx, receiver, *sequence, why)?,
            DeliveryEnd::GivenUp(_) | DeliveryEnd::Again(..) => {}
        }
    }
    Ok(())
}

fn given_up_enter(tx: &mut Tx<'_>, receiver: &str, sequence: i64, why: &str) -> Result<(), StoreError> {
    let read = "SELECT id, disclosure FROM notices WHERE sequence = ?1";
    let found = tx.sql.query_row(read, params![sequence], |row| Ok((row.get(0)?, row.get(1)?))).optional();
    let found: Option<([u8; 16], [u8; 16])> = database("reading a notice", found)?;
    let (id, disclosure) = found.ok_or(StoreError::Damaged { what: "a delivery without its notice" })?;
    let policy = holder::policy_active(tx.sql)?;
    let event = tx
        .system_event(Kind::NoticeGivenUp, policy)
        .with(Fact::Disclosure, &disclosure)
        .text(Fact::Reason, why)
        .text(Fact::Detail, &given_up_detail(receiver, &id));
    tx.enter_private(&event, &[]).map(|_| ())
}

/// What the entry about a notice that was given up says of it.
pub(super) fn given_up_detail(receiver: &str, id: &[u8; 16]) -> String {
    format!("{receiver} {}", HEXLOWER.encode(id))
}

/// How many deliveries wait.
pub(super) fn waiting(sql: &Connection) -> Result<u64, StoreError> {
    let read = "SELECT count(*) FROM notice_deliveries WHERE given_up_ms IS NULL";
    database("counting notices", sql.query_row(read, [], |row| row.get(0)))
}

/// What waits, and what was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoticesStatus {
    /// Notices that nobody is addressed for yet.
    pub unaddressed: u64,
    /// By name, each receiver that something waits for or was given up for.
    pub receivers: BTreeMap<String, ReceiverStatus>,
}

/// What waits for a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiverStatus {
    /// How many notices wait.
    pub waiting: u64,
    /// How many of them were tried and not taken.
    pub failing: u64,
    /// How many were given up in the last 30 days.
    pub given_up: u64,
    /// Since when the oldest that waits does.
    pub oldest: Option<Timestamp>,
    /// When one is tried next.
    pub next: Option<Timestamp>,
    /// Why the newest failure was one: a fixed word.
    pub reason: Option<String>,
}

/// Reads what waits in the store in `folder`, beside a running server or without one, and without the root key.
///
/// # Errors
/// [`StoreError`] when the database can't be read.
pub fn notices_status(folder: &Path) -> Result<NoticesStatus, StoreError> {
    let [data, _] = files(folder);
    let sql = connect(&data)?;
    check_form(&sql, &schema::migrations::runner())?;
    let counted = sql.query_row("SELECT count(*) FROM notices WHERE addressed = 0", [], |row| row.get(0));
    let unaddressed = database("counting notices", counted)?;
    let read = "SELECT receiver, sum(given_up_ms IS NULL), sum(given_up_ms IS NULL AND tries > 0),
                  sum(given_up_ms IS NOT NULL), min(iif(given_up_ms IS NULL, begun_ms, NULL)),
                  min(iif(given_up_ms IS NULL, next_ms, NULL)),
                  (SELECT reason FROM notice_deliveries o WHERE o.receiver = d.receiver AND reason IS NOT NULL
                   ORDER BY notice DESC LIMIT 1)
                FROM notice_deliveries d GROUP BY receiver";
    let rows = sql.prepare(read).and_then(|mut statement| {
        statement
            .query_map([], |row| {
                let at = |column| -> rusqlite::Result<Option<Timestamp>> {
                    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
                };
                let status = ReceiverStatus {
                    waiting: row.get(1)?,
                    failing: row.get(2)?,
                    given_up: row.get(3)?,
                    oldest: at(4)?,
                    next: at(5)?,
                    reason: row.get(6)?,
                };
                Ok((row.get::<_, String>(0)?, status))
            })?
            .collect::<Result<BTreeMap<_, _>, _>>()
    });
    Ok(NoticesStatus { unaddressed, receivers: database("counting notices", rows)? })
}

/// The key that signs webhooks, if it was made; for reading beside a running server.
///
/// # Errors
/// [`StoreError`] when the key store can't be read, or another root opens it.
pub fn notice_signer(folder: &Path, root: &RootKey) -> Result<Option<NoticeSigner>, StoreError> {
    let [_, keys] = files(folder);
    let sql = connect(&keys)?;
    check_form(&sql, &key_schema::migrations::runner())?;
    let ring = ring_keys::ring(ring_keys::load(&sql, root)?)?;
    keystore::notice_signer(&sql, &ring)
}

/// A round of the job looks at so many; the next takes the rest.
const AT_ONCE: u32 = 256;
/// Thirty days: long enough to be seen by somebody who comes back from leave. The entry stays.
const GIVEN_UP_KEPT_MS: i64 = 30 * 24 * 3_600 * 1_000;
