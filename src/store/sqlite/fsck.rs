//! The check of a whole store: everything that follows from the entries is derived from them again and compared
//! with what the store holds.
//!
//! It only reads, in one consistent view, beside a running server or without one. It goes on after a fault and
//! tells them all. What it covers, and what it can't, stands in `docs/audit-log.md`.

mod breaches;
mod changes;
mod collections;
mod disclosures;
mod disposals;
mod entries;
mod gallery;
mod heads;
mod history;
mod log_keys;
mod notices;
mod one_person;
mod people;
mod queries;
mod report;
mod subjects;
mod tag_index;
mod tags;
#[cfg(test)]
mod tests;
mod tree;
mod trees;
mod view;

pub(super) use view::{check_form, connect};

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, params};

use crate::audit::event::{Event, Fact, Kind};
use crate::audit::proof::inclusion_proof;
use crate::audit::receipt::Receipt;
use crate::clock::Timestamp;
use crate::ids::DisclosureId;
use crate::keys::RootKey;
use crate::store::{Journal, StoreError};

use super::log::SqlTiles;
use super::{DATABASE_FILE, KEY_STORE_FILE, database, files, holder};
use crate::authz::PayloadClass;
use changes::Changes;
use disclosures::{Against, Cases};
use entries::{Content, OTHER_TAGS, Opened, Opener, Reader};
use history::History;
use log_keys::Keys;
use people::PeopleKeys;
use queries::Queries;
pub use report::{Fault, FaultPlace, FsckCounts, FsckReport, JournalFound};
use tree::{HeadStated, Tree};
use view::View;

/// Checks the store in `folder`. `progress` is told what is looked at, and how much of it is done and there.
///
/// # Errors
/// [`StoreError`] when the check can't begin: no store, another root key, a newer form. What is wrong with a store
/// that can be opened stands in the report.
pub fn fsck(
    folder: &Path,
    root: RootKey,
    progress: &mut dyn FnMut(&str, u64, u64),
) -> Result<FsckReport, StoreError> {
    let mut report = FsckReport::default();
    let view = View::open(folder, root, &mut report)?;
    let mut check = Check {
        folder,
        view: &view,
        history: History::default(),
        queries: Queries::default(),
        looks: Vec::new(),
        gone: BTreeSet::new(),
        cases: BTreeMap::new(),
        disposed: Vec::new(),
        taken: BTreeMap::new(),
        trees: Vec::new(),
    };
    check.databases(progress, &mut report);
    let done = check.all(progress, &mut report);
    report.part(FaultPlace::Database(DATABASE_FILE), done);
    Ok(report)
}

/// A check on its way.
struct Check<'a> {
    folder: &'a Path,
    view: &'a View,
    history: History,
    queries: Queries,
    /// Entries whose tags follow from a request that stands elsewhere.
    looks: Vec<Look>,
    /// Entries whose openings are gone while their key is there: journal, index, class and day.
    gone: BTreeSet<(String, u64, u8, i64)>,
    /// Disclosures by partner.
    cases: BTreeMap<String, Cases>,
    /// What entries say was disposed of.
    disposed: Vec<disposals::Said>,
    /// By class, the entries of days that a disposal covers.
    taken: BTreeMap<u8, u64>,
    /// What entries state of whole trees.
    trees: Vec<trees::Said>,
}

/// A journal as its row says.
struct JournalRow {
    id: i64,
    /// A journal's name, or the origin of a tree that was left behind.
    name: String,
    origin: String,
    /// Whether the tree was left behind.
    retired: bool,
    /// The time of its first entry.
    begun: Option<Timestamp>,
}

impl Check<'_> {
    /// The heads that were stated of a tree: of several trees of one name, the newest that had begun by then.
    fn heads_of(&mut self, tree: &JournalRow, journals: &[JournalRow]) -> Vec<HeadStated> {
        let all: Vec<&JournalRow> = journals
            .iter()
            .filter(|journal| owner(&journal.name) == owner(&tree.name) && journal.begun.is_some())
            .collect();
        let is_of_tree = |head: &HeadStated| {
            let begun = all.iter().rfind(|journal| journal.begun.is_some_and(|begun| begun <= head.at));
            head.journal == owner(&tree.name)
                && begun.or_else(|| all.first()).is_none_or(|journal| journal.id == tree.id)
        };
        let (of_tree, others) = std::mem::take(&mut self.history.heads).into_iter().partition(is_of_tree);
        self.history.heads = others;
        of_tree
    }

    /// What SQLite itself finds.
    fn databases(&self, progress: &mut dyn FnMut(&str, u64, u64), report: &mut FsckReport) {
        for (file, sql) in [(DATABASE_FILE, &self.view.sql), (KEY_STORE_FILE, &self.view.keys_sql)] {
            progress("pages", 0, 1);
            let done = integrity(file, sql, report);
            report.part(FaultPlace::Database(file), done);
            progress("pages", 1, 1);
        }
    }

    fn all(
        &mut self,
        progress: &mut dyn FnMut(&str, u64, u64),
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        let mut journals = journals(&self.view.sql)?;
        // The holder's first: it says who had which key when, and what the others' heads were.
        // Of each owner the trees that were left behind come before the one that goes on.
        journals.sort_by(|one, other| {
            let key =
                |journal: &JournalRow| (owner(&journal.name) != HOLDER, owner(&journal.name).to_owned());
            let order = |journal: &JournalRow| (!journal.retired, journal.id);
            key(one).cmp(&key(other)).then_with(|| order(one).cmp(&order(other)))
        });
        let changes = Changes::read(self.view, report)?;
        let people = PeopleKeys::read(self.view, &changes)?;
        for journal in &journals {
            let done = self.journal(journal, &journals, progress, report);
            report.part(FaultPlace::Journal(journal.name.clone()), done);
        }
        self.strangers(&journals, report)?;
        self.origins(&journals, report)?;
        // A disclosure may go on from one tree of its partner in another.
        for partner in journals.iter().filter(|journal| !journal.retired).map(|journal| owner(&journal.name))
        {
            let cases = self.cases.remove(partner).unwrap_or_default();
            let against = Against { view: self.view, history: &self.history, keys: &people, partner };
            let done = cases.end(&against, report);
            report.part(FaultPlace::Journal(partner.to_owned()), done);
        }
        let part = |place: &'static str, done, report: &mut FsckReport| {
            report.part(FaultPlace::Row { table: place, row: "as a whole".to_owned() }, done);
        };
        self.looked_at(report)?;
        part("queries", self.queries.end(self.view, report), report);
        self.view.disposals.compare(&self.disposed, &self.taken, report);
        part("tag_runs", tag_index::compare(self.view, report), report);
        part("log_keys", log_keys::compare(self.view, report), report);
        part("journal_heads", heads::compare(self.view, &journals, &self.history, report), report);
        part("cosignatures", heads::cosignatures(self.view, &journals, report), report);
        part("journals", trees::compare(self.view, &journals, &self.trees, report), report);
        part("disclosures", disclosures::compare_all(self.view, report), report);
        changes.compare(&self.history, &self.view.disposals, &people, report);
        part("people", people::compare(self.view, &self.history, &changes, report), report);
        part("notices", notices::compare(self.view, &self.history, report), report);
        part("subject_requests", subjects::requests(self.view, &self.history, report), report);
        part("breaches", breaches::compare(self.view, &self.history, report), report);
        part("statements", subjects::statements(self.view, &self.history, report), report);
        part("one_person", one_person::of(self.view, &self.history, report), report);
        part("templates", subjects::enrolled(self.view, &self.history, report), report);
        part("batches", gallery::batches(self.view, &self.history, report), report);
        part("collections", collections::compare(self.view, &self.history, report), report);
        let [data, _] = files(self.folder);
        let all = self.view.sql.query_row("SELECT count(*) FROM subjects", [], |row| row.get(0));
        let all = database("counting subjects", all)?;
        let done = gallery::compare(
            self.view,
            &data,
            &mut |done| progress("templates and records", done, all),
            report,
        );
        part("subjects", done, report);
        for (journal, index, class, day) in &self.gone {
            if self.view.payload_key_is_there_now(self.folder, *class, *day) {
                let place = FaultPlace::Entry { journal: journal.clone(), index: *index };
                report.fault(place, "its openings are gone, and the key of its class and day is there");
            }
        }
        Ok(())
    }

    /// One journal: its entries once, from the first to the last.
    fn journal(
        &mut self,
        journal: &JournalRow,
        journals: &[JournalRow],
        progress: &mut dyn FnMut(&str, u64, u64),
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        let view = self.view;
        let keys = Keys::read(view, journal)?;
        let heads = self.heads_of(journal, journals);
        let mut tree = Tree::new(&view.sql, journal.id, &journal.name, &keys, heads)?;
        let of_holder = owner(&journal.name) == HOLDER;
        let opener = Opener {
            ring: &view.ring,
            payload: &view.payload,
            disposals: &view.disposals,
            journal: journal.id,
            named: Journal::parse(owner(&journal.name)).unwrap_or(Journal::Holder),
            owner: owner(&journal.name),
            of_holder,
        };
        let mut pass = Pass { opened: 0, disposed: 0, receipts: Vec::new(), rekeyed: Vec::new() };
        let all = size_of(&view.sql, journal.id)?;
        let what = format!("journal {}", journal.name);
        let mut reader = Reader::new(&view.sql, journal.id);
        let (mut stored, mut before) = (reader.next(ENTRIES_AT_ONCE)?, Vec::new());
        let mut done = 0_u64;
        while !stored.is_empty() || !before.is_empty() {
            let mut opened = Vec::new();
            // While all cores open these, this thread compares those before and reads those after.
            let next = rayon::in_place_scope(|scope| {
                scope.spawn(|_| opened = entries::open_all(&stored, &opener));
                for one in std::mem::take(&mut before) {
                    self.entry(journal, one, &opener, &mut tree, &mut pass, report)?;
                    done = done.saturating_add(1);
                }
                progress(&what, done, all);
                reader.next(ENTRIES_AT_ONCE)
            })?;
            (stored, before) = (next, opened);
        }
        if of_holder {
            self.history.end();
        }
        let mut found = tree.end(report)?;
        (found.opened, found.disposed) = (pass.opened, pass.disposed);
        let mut keys = keys;
        for (index, event) in std::mem::take(&mut pass.rekeyed) {
            keys.take(index, &event, report);
        }
        keys.end(report);
        receipts(view, journal, &keys, &opener, &found, &pass.receipts, report)?;
        report.journals.push(found);
        Ok(())
    }

    fn entry(
        &mut self,
        journal: &JournalRow,
        opened: Opened,
        opener: &Opener<'_>,
        tree: &mut Tree<'_>,
        pass: &mut Pass,
        report: &mut FsckReport,
    ) -> Result<(), StoreError> {
        let Ok(index) = u64::try_from(opened.index) else {
            let what = format!("an entry stands at {}, before the first", opened.index);
            report.fault(FaultPlace::Journal(journal.name.clone()), what);
            return Ok(());
        };
        let place = || FaultPlace::Entry { journal: journal.name.clone(), index };
        for fault in opened.faults {
            report.fault(place(), fault);
        }
        let at = match &opened.content {
            Content::Said(said) => said.holder.at,
            _ => opened.at,
        };
        tree.take(index, opened.leaf, at, report)?;
        self.queries.meet(&journal.name, index, &opened.query, report);
        let (class, day) = (opened.class, at.day());
        if self.view.disposals.covers_day(class, day) {
            let taken = self.taken.entry(class).or_default();
            *taken = taken.saturating_add(1);
        }
        let said = match opened.content {
            Content::Said(said) => said,
            Content::Disposed => {
                pass.disposed = pass.disposed.saturating_add(1);
                if opened.class == PayloadClass::Query.number() {
                    self.queries.take_disposed(owner(&journal.name), at);
                }
                if class == PayloadClass::Administration.number() {
                    self.history.forgotten = true;
                }
                return Ok(());
            }
            Content::Gone => {
                if opened.class == PayloadClass::Query.number() {
                    self.queries.take_disposed(owner(&journal.name), at);
                }
                if class == PayloadClass::Administration.number() {
                    self.history.forgotten = true;
                }
                self.gone.insert((journal.name.clone(), index, class, day));
                return Ok(());
            }
            Content::Closed => return Ok(()),
        };
        pass.opened = pass.opened.saturating_add(1);
        let tags = u64::try_from(opened.tag_count).unwrap_or(u64::MAX);
        report.counts.tags = report.counts.tags.saturating_add(tags);
        let event = &said.holder;
        let look = |id: &[u8], tags: &[u8]| {
            let id = DisclosureId::from_bytes(id.try_into().ok()?);
            let journal = opener.named.clone();
            Some(Look { place: place(), id, journal, event: event.clone(), tags: tags.to_vec() })
        };
        self.trees.extend(trees::Said::of(journal, index, event));
        if event.kind == Kind::LogKeyChanged {
            pass.rekeyed.push((index, event.clone()));
        }
        if event.kind == Kind::PayloadsDisposed {
            self.disposed.push(disposals::Said::new(place(), opener.of_holder, event));
        }
        if opener.of_holder {
            self.history.take(&journal.name, index, event);
            if let Some(tags) = &opened.tags {
                self.looks.extend(event.fact(Fact::Disclosure).and_then(|id| look(id, tags)));
            }
        } else {
            let partner = owner(&journal.name).to_owned();
            self.history.take_of_partner(&journal.name, &partner, index, event);
            if event.kind == Kind::QueryAnswered {
                let of = (journal.id, journal.name.as_str(), partner.as_str());
                self.queries.take(self.view, of, index, (event, opened.query), report)?;
                pass.receipts.push(index);
                if pass.receipts.len() > RECEIPTS_MOST {
                    // Every second one stays, so that those which are made lie over the whole journal.
                    let mut at = 0_usize;
                    pass.receipts.retain(|_| {
                        at = at.saturating_add(1);
                        at % 2 == 1
                    });
                }
            } else if is_of_disclosure(event.kind) {
                let tree = (journal.id, journal.name.as_str(), journal.origin.as_str());
                let cases = self.cases.entry(partner).or_default();
                let requested = cases.take(tree, index, event);
                match (&opened.tags, requested) {
                    (Some(tags), Some(requested)) => {
                        let due = tags::of_request(opener.ring.tags(), &opener.named, event, requested);
                        if !tags::are(tags, &due) {
                            report.fault(place(), OTHER_TAGS);
                        }
                    }
                    (Some(tags), None) => {
                        self.looks.extend(event.fact(Fact::Disclosure).and_then(|id| look(id, tags)));
                    }
                    (None, _) => {}
                }
            }
        }
        Ok(())
    }

    /// Tags of looks at fields: they follow from the request, which stands elsewhere.
    fn looked_at(&mut self, report: &mut FsckReport) -> Result<(), StoreError> {
        for look in std::mem::take(&mut self.looks) {
            let Some((subject, request)) = disclosures::request(self.view, look.id)? else { continue };
            let ask = request.ask();
            let requested = look
                .event
                .clone()
                .with(Fact::Query, ask.query().as_bytes())
                .text(Fact::Official, ask.official())
                .text(Fact::Partner, request.partner().as_str())
                .text(Fact::Agreement, request.agreement().as_str())
                .text(Fact::Purpose, ask.purpose().as_str())
                .with(Fact::Subject, &subject);
            let due = tags::of_request(self.view.ring.tags(), &look.journal, &look.event, &requested);
            if !tags::are(&look.tags, &due) {
                report.fault(look.place, OTHER_TAGS);
            }
        }
        Ok(())
    }

    /// Rows of the log whose journal is not there.
    fn strangers(&self, journals: &[JournalRow], report: &mut FsckReport) -> Result<(), StoreError> {
        for table in ["entries", "tiles", "checkpoints"] {
            let read = format!("SELECT min(journal) FROM {table} WHERE journal > ?1");
            let mut after = i64::MIN;
            loop {
                let next = self.view.sql.query_row(&read, params![after], |row| row.get::<_, Option<i64>>(0));
                let Some(next) = database("looking for journals", next)? else { break };
                if !journals.iter().any(|journal| journal.id == next) {
                    let place = FaultPlace::Row { table, row: format!("journal no. {next}") };
                    report.fault(place, "there is no such journal");
                }
                after = next;
            }
        }
        Ok(())
    }

    /// Names and origins of journals, and heads of journals that are not there.
    fn origins(&self, journals: &[JournalRow], report: &mut FsckReport) -> Result<(), StoreError> {
        let host = match self.history.host.clone() {
            // The entry that says it is disposed of; what the row says is held against every signed checkpoint.
            None if self.history.forgotten => holder::text_find(&self.view.sql, "host")?,
            said => said,
        };
        let host = host.unwrap_or_default();
        for journal in journals {
            let first = format!("{host}/onebit/{}", owner(&journal.name));
            if !follows(&journal.origin, &first, journals) {
                let what = format!("its origin is neither `{first}` nor the next after those that were left");
                report.fault(FaultPlace::Journal(journal.name.clone()), what);
            }
            if journal.retired != (journal.name == journal.origin) {
                let what = "its name and whether it was left behind contradict each other";
                report.fault(FaultPlace::Journal(journal.name.clone()), what);
            }
        }
        for head in &self.history.heads {
            let what = format!("it states a head of {}, and there is no such journal", head.journal);
            report.fault(head.place.clone(), what);
        }
        Ok(())
    }
}

/// An entry whose tags follow from a request that stands elsewhere.
struct Look {
    place: FaultPlace,
    id: DisclosureId,
    journal: Journal,
    event: Event,
    /// As they are stored.
    tags: Vec<u8>,
}

/// What one reading of a journal gathers.
struct Pass {
    opened: u64,
    disposed: u64,
    /// Entries whose receipts are made.
    receipts: Vec<u64>,
    /// Entries that say that the log's key was changed.
    rekeyed: Vec<(u64, Event)>,
}

/// Makes receipts as they would be handed out, from the stored tiles and checkpoints, and verifies them.
fn receipts(
    view: &View,
    journal: &JournalRow,
    keys: &Keys,
    opener: &Opener<'_>,
    found: &JournalFound,
    indices: &[u64],
    report: &mut FsckReport,
) -> Result<(), StoreError> {
    if keys.is_empty() {
        return Ok(());
    }
    let tiles = SqlTiles { sql: &view.sql, row: journal.id };
    for index in indices.iter().copied().filter(|index| *index < found.size) {
        let place = FaultPlace::Entry { journal: journal.name.clone(), index };
        let Some((entry, opening)) = opener.side(&view.sql, index)? else { continue };
        let Some((size, checkpoint)) = checkpoint_over(&view.sql, journal.id, index)? else { continue };
        report.counts.receipts = report.counts.receipts.saturating_add(1);
        let Ok(proof) = inclusion_proof(&tiles, index, size) else {
            report.fault(place, "no receipt can be made of it: tiles on its way are missing");
            continue;
        };
        let receipt = Receipt { entry, opening: Some(opening), index, proof, checkpoint };
        let text = receipt.to_text();
        let holds = Receipt::parse(&text).is_ok_and(|read| {
            // Where two keys signed, the one before counts as well.
            let mut keys = keys.at(index, size).iter();
            keys.any(|(_, key)| read.verify(key).is_ok())
        });
        if !holds {
            report.fault(place, "the receipt that would be handed out does not hold");
        }
    }
    Ok(())
}

fn checkpoint_over(sql: &Connection, journal: i64, index: u64) -> Result<Option<(u64, String)>, StoreError> {
    use rusqlite::OptionalExtension;
    let read = "SELECT size, note FROM checkpoints WHERE journal = ?1 AND size > ?2 ORDER BY size LIMIT 1";
    let found = sql.prepare_cached(read).and_then(|mut statement| {
        statement.query_row(params![journal, index], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    });
    database("reading a checkpoint", found)
}

fn integrity(file: &'static str, sql: &Connection, report: &mut FsckReport) -> Result<(), StoreError> {
    let found = sql.prepare("PRAGMA integrity_check(100)").and_then(|mut statement| {
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()
    });
    for line in database("looking at the pages", found)?.iter().filter(|line| *line != "ok") {
        report.fault(FaultPlace::Database(file), line.as_str());
    }
    let found = sql.prepare("PRAGMA foreign_key_check").and_then(|mut statement| {
        statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(2)?)))?
            .collect::<Result<Vec<_>, _>>()
    });
    for (table, parent) in database("looking at references", found)? {
        let what =
            format!("a row of `{table}` refers to one of `{}` that is not there", parent.unwrap_or_default());
        report.fault(FaultPlace::Database(file), what);
    }
    Ok(())
}

fn journals(sql: &Connection) -> Result<Vec<JournalRow>, StoreError> {
    let read = "SELECT id, name, origin, retired,
                  (SELECT at_ms FROM entries WHERE journal = journals.id AND idx = 0) FROM journals ORDER BY id";
    let rows = sql.prepare(read).and_then(|mut statement| {
        statement
            .query_map([], |row| {
                Ok(JournalRow {
                    id: row.get(0)?,
                    name: row.get(1)?,
                    origin: row.get(2)?,
                    retired: row.get::<_, i64>(3)? != 0,
                    begun: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_millis),
                })
            })?
            .collect::<Result<Vec<_>, _>>()
    });
    database("reading the journals", rows)
}

fn size_of(sql: &Connection, journal: i64) -> Result<u64, StoreError> {
    let newest = sql.query_row(
        "SELECT coalesce(max(idx), -1) + 1 FROM entries WHERE journal = ?1 AND idx >= 0",
        params![journal],
        |row| row.get::<_, i64>(0),
    );
    database("counting entries", newest).map(|size| u64::try_from(size).unwrap_or_default())
}

/// Whose a journal is: `holder`, or a partner's name. A tree that was left behind has its origin for a name.
fn owner(name: &str) -> &str {
    let named = name.split_once("/onebit/").map_or(name, |(_, rest)| rest);
    named.split('/').next().unwrap_or(named)
}

/// Whether an origin is the first of its journal, or one that follows on origins which were there before.
fn follows(origin: &str, first: &str, journals: &[JournalRow]) -> bool {
    if origin == first {
        return true;
    }
    let number = origin.strip_prefix(first).and_then(|rest| rest.strip_prefix('/'));
    let there = |origin: &str| journals.iter().any(|journal| journal.origin == origin);
    number.and_then(|number| number.parse::<u64>().ok()).is_some_and(|number| {
        let before =
            if number == 2 { first.to_owned() } else { format!("{first}/{}", number.saturating_sub(1)) };
        number >= 2 && *origin == format!("{first}/{number}") && there(&before)
    })
}

const fn is_of_disclosure(kind: Kind) -> bool {
    matches!(kind.number(), FIRST_DISCLOSURE_KIND..=LAST_DISCLOSURE_KIND)
        || matches!(
            kind,
            Kind::CorrectionAsked
                | Kind::CorrectionAnswered
                | Kind::CorrectionTold
                | Kind::CorrectionAcknowledged
        )
}

const FIRST_DISCLOSURE_KIND: u16 = Kind::DisclosureRequested.number();
const LAST_DISCLOSURE_KIND: u16 = Kind::DisclosureRevoked.number();
const HOLDER: &str = "holder";
/// Some megabytes: enough to keep all cores at work, little enough to be no matter.
const ENTRIES_AT_ONCE: u32 = 4_096;
/// Receipts made of a journal, spread over it. That all others hold follows from tiles, roots, signatures and
/// commitments, which are checked one by one; these are made by the way that a server takes.
const RECEIPTS_MOST: usize = 512;
