//! Power cuts, replayed: the driver's system calls are recorded, and at every synchronisation and every
//! acknowledgement the disk is rebuilt as a cut could have left it, opened, and looked at.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use onebit::store::Store;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::audit::{Depth, Wrong, audit, chain, database_names, heads_name, rollback_is_seen};
use crate::disk::{Cut, Disk, mix};
use crate::driver::{Ack, Work, store_open};
use crate::recording::{Founded, Recording, put_back, put_database_back, record_founding, runtime, scratch};
use crate::row::{Control, Form, Row};
use crate::trace::{Event, Fault, Synced, cannot_trace};

/// The server's life after its founding: sessions, batches, checkpoints of SQLite.
pub(crate) fn run(form: Form) -> Row {
    if let Some(why) = cannot_trace() {
        return Row::left_out(why);
    }
    let founded = Founded::new();
    let work = Work { folder: "".into(), sessions: 2, tasks: 4, entries: form.pick(12, 40) };
    let recording = founded.record(&work, &[None]);
    let mut row = Row::default();
    for (what, edit) in CONTROLS {
        row.controls.push(control(what, edit, &recording, form));
    }
    let enough = form.pick(1_200, 100_000);
    let mut replay = Replay::new(form, form.pick(4, 12), 1);
    replay.states(&recording, enough);
    while replay.tried() < enough {
        let seed = mix(form.seed(), "work", replay.tried());
        let tasks = u32::try_from(1 + seed % 6).unwrap();
        let sessions = u32::try_from(1 + seed / 8 % 3).unwrap();
        // Short ones: what a state costs grows with the log. The first was long enough for SQLite's own checkpoints.
        let work = Work { tasks, sessions, entries: 8, ..work.clone() };
        replay.states(&founded.record(&work, &[None]), enough);
    }
    replay.end(row)
}

/// The founding, from an empty folder on.
pub(crate) fn founding(form: Form) -> Row {
    if let Some(why) = cannot_trace() {
        return Row::left_out(why);
    }
    let recording = record_founding();
    let mut row = Row::default();
    row.controls.push(control("no fsync at all", Edit::Nothing, &recording, form));
    let mut replay = Replay::new(form, form.pick(3, 40), 1);
    replay.states(&recording, u64::MAX);
    replay.end(row)
}

/// An `fsync` that failed, a start without a reboot, more entries, and then a power cut.
pub(crate) fn after_failed_fsync(form: Form) -> Row {
    if let Some(why) = cannot_trace() {
        return Row::left_out(why);
    }
    let founded = Founded::new();
    let work = Work { folder: "".into(), sessions: 1, tasks: 2, entries: 6 };
    let mut replay = Replay::new(form, form.pick(1, 3), form.pick(4, 1));
    let mut row = Row::default();
    let mut unwritten = Control { what: "the log not written once more at a start", tried: 0, noticed: 0 };
    for when in (1..=form.pick(7, 40)).step_by(form.pick(3, 1)) {
        for call in ["fdatasync", "fsync"] {
            let fault = Fault { call, what: "error=EIO", when };
            let recording = founded.record(&work, &[Some(fault), None]);
            let failed = recording.events.iter();
            let failed = failed.filter(|event| matches!(event, Event::SyncEnded(.., Synced::Failed))).count();
            if failed > 0 {
                row.count(1, "recordings with a failed fsync");
                let found = control(unwritten.what, Edit::LogOnce, &recording, form);
                unwritten.tried += found.tried;
                unwritten.noticed += found.noticed;
                replay.states(&recording, u64::MAX);
            }
        }
    }
    row.controls.push(unwritten);
    replay.end(row)
}

/// What a control takes out of a recording.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edit {
    /// Every synchronisation.
    Nothing,
    /// Those that `synchronous=OFF` would not make.
    DatabaseOff,
    /// Those that `synchronous=NORMAL` would not make.
    DatabaseNormal,
    /// Those of the second place.
    Heads,
    /// No synchronisation, but what a start writes to the log once more.
    LogOnce,
}

const CONTROLS: [(&str, Edit); 3] = [
    ("synchronous=OFF", Edit::DatabaseOff),
    ("synchronous=NORMAL", Edit::DatabaseNormal),
    ("heads not synchronised, database put back", Edit::Heads),
];

/// Counts in how many states of an edited recording something is missing.
fn control(what: &'static str, edit: Edit, recording: &Recording, form: Form) -> Control {
    let events = edited(&recording.events, edit);
    let (mut disk, mut acks) = (recording.before.clone(), recording.acks.clone());
    let (scratch, runtime) = (scratch(), runtime());
    let folder = scratch.path().join("state");
    let (mut tried, mut noticed) = (0, 0);
    for (at, event) in events.iter().enumerate() {
        disk.apply(event);
        let Event::Acked(ack) = event else { continue };
        acks.push(ack.clone());
        if matches!(events.get(at + 1), Some(Event::Acked(_))) || tried >= form.pick(40, 1_000) {
            continue;
        }
        for cut in [Cut::Nothing, Cut::Torn(mix(form.seed(), what, tried))] {
            put_back(&folder, &disk.left(cut));
            tried += 1;
            noticed += u64::from(match edit {
                Edit::Heads => {
                    put_database_back(&folder, &recording.database);
                    !rollback_is_seen(&folder)
                }
                _ => audit(&runtime, &folder, &acks, Depth::Entries).is_err(),
            });
        }
    }
    Control { what, tried, noticed }
}

fn edited(events: &[Event], edit: Edit) -> Vec<Event> {
    let [_, log, ..] = database_names();
    let is_database =
        |name: &str| database_names().iter().any(|one| one == name) || name == crate::driver::STORE;
    let keeps = |at: usize, name: &str| match edit {
        Edit::Nothing => false,
        Edit::DatabaseOff => !is_database(name),
        Edit::DatabaseNormal => name != log || is_of_checkpoint(events, at),
        Edit::Heads => name != heads_name() && name != "heads/heads.new",
        Edit::LogOnce => true,
    };
    // SQLite itself writes a page at most.
    let is_once_more = |name: &str, bytes: &[u8]| *name == log && bytes.len() > 4_096;
    let kept = |(at, event): (usize, &Event)| match event {
        Event::SyncBegun(name, _) | Event::SyncEnded(name, ..) => keeps(at, name).then(|| event.clone()),
        Event::Write(name, _, bytes) if edit == Edit::LogOnce && is_once_more(name, bytes) => None,
        _ => Some(event.clone()),
    };
    events.iter().enumerate().filter_map(kept).collect()
}

/// SQLite synchronises its log before it copies pages into the database, and after it began the log anew, whatever
/// the setting; the others are those of commits.
fn is_of_checkpoint(events: &[Event], at: usize) -> bool {
    let [database, log, ..] = database_names();
    let ours = |event: &&Event| match event {
        Event::Write(name, ..) => *name == database || *name == log,
        Event::SyncBegun(name, _) => *name == log,
        _ => false,
    };
    let from = if matches!(&events[at], Event::SyncEnded(..)) { at } else { at + 1 };
    let next = events[from..].iter().find(ours);
    let before =
        events[..at].iter().rev().find(|event| matches!(event, Event::Write(name, ..) if *name == log));
    matches!(next, Some(Event::Write(name, ..)) if *name == database)
        || matches!(before, Some(Event::Write(_, 0, bytes)) if bytes.len() == 32)
}

/// Two threads that rebuild, open and look.
struct Replay {
    form: Form,
    torn: u64,
    /// One of so many moments is looked at.
    every: u64,
    tried: u64,
    found: Arc<Mutex<Row>>,
}

/// A moment of a recording.
struct Moment {
    disk: Disk,
    acks: Vec<Ack>,
    database: Arc<BTreeMap<String, Vec<u8>>>,
    what: String,
    cuts: Vec<Cut>,
    number: u64,
}

impl Replay {
    fn new(form: Form, torn: u64, every: u64) -> Self {
        Self { form, torn, every, tried: 0, found: Arc::default() }
    }

    fn tried(&self) -> u64 {
        self.tried
    }

    /// Tries states of a recording until there are enough of them in all.
    fn states(&mut self, recording: &Recording, enough: u64) {
        let (send, receive) = sync_channel::<Moment>(4);
        let receive = Arc::new(Mutex::new(receive));
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                let (receive, found) = (Arc::clone(&receive), Arc::clone(&self.found));
                std::thread::spawn(move || Worker::new(found).work(&receive))
            })
            .collect();
        let database = Arc::new(recording.database.clone());
        let (mut disk, mut acks) = (recording.before.clone(), recording.acks.clone());
        for (at, event) in recording.events.iter().enumerate() {
            if let Event::Acked(ack) = event {
                acks.push(ack.clone());
            }
            let is_next_acked = matches!(recording.events.get(at + 1), Some(Event::Acked(_)));
            let is_moment = match event {
                // The disk is then as it was at the first of them.
                Event::Acked(_) => !is_next_acked,
                Event::SyncEnded(..) => true,
                _ => false,
            };
            let draw = mix(self.form.seed(), "moment", u64::try_from(at).unwrap());
            let is_chosen = draw.is_multiple_of(self.every);
            if is_moment && is_chosen && self.tried < enough {
                let cuts = self.cuts(&disk);
                self.tried += u64::try_from(cuts.len()).unwrap();
                let what = match event {
                    Event::SyncEnded(name, ..) => format!("before the end of an fsync of `{name}`"),
                    _ => "after an acknowledgement".to_owned(),
                };
                let what = format!("{what}, event {at} of {}", recording.events.len());
                let (disk, acks, database) = (disk.clone(), acks.clone(), Arc::clone(&database));
                let moment = Moment { disk, acks, database, what, cuts, number: self.tried };
                send.send(moment).expect("the workers go on");
            }
            disk.apply(event);
        }
        drop(send);
        for worker in workers {
            worker.join().expect("a worker must not stop");
        }
        if self.form == Form::Long {
            println!("  so far {}", self.found.lock().unwrap());
        }
    }

    fn cuts(&self, disk: &Disk) -> Vec<Cut> {
        if disk.is_settled() {
            return vec![Cut::Everything];
        }
        let seed = |number: u64| mix(self.form.seed(), "cut", self.tried + number);
        let torn = (0..self.torn).map(|number| Cut::Torn(seed(number)));
        let in_order = (0..self.torn.div_ceil(3)).map(|number| Cut::InOrder(seed(number)));
        [Cut::Nothing, Cut::Everything].into_iter().chain(in_order).chain(torn).collect()
    }

    fn end(self, mut row: Row) -> Row {
        let found = std::mem::take(&mut *self.found.lock().unwrap());
        for (how_many, what) in found.tried {
            row.count(how_many, what);
        }
        row.wrong += found.wrong;
        row.first_wrong.extend(found.first_wrong);
        row
    }
}

struct Worker {
    scratch: TempDir,
    runtime: Runtime,
    found: Arc<Mutex<Row>>,
}

impl Worker {
    fn new(found: Arc<Mutex<Row>>) -> Self {
        Self { scratch: scratch(), runtime: runtime(), found }
    }

    fn work(self, moments: &Mutex<Receiver<Moment>>) {
        loop {
            let moment = moments.lock().unwrap().recv();
            let Ok(moment) = moment else { return };
            for (number, cut) in moment.cuts.iter().enumerate() {
                self.state(&moment, *cut, moment.number + u64::try_from(number).unwrap());
            }
            self.put_back_databases(&moment);
        }
    }

    fn state(&self, moment: &Moment, cut: Cut, number: u64) {
        let folder = self.folder();
        put_back(&folder, &moment.disk.left(cut));
        let depth = if number.is_multiple_of(WHOLE_EVERY) { Depth::Whole } else { Depth::Entries };
        let looked = audit(&self.runtime, &folder, &moment.acks, depth);
        self.count("crash states");
        if let Err(wrong) = looked {
            self.note(moment, cut, &wrong);
        }
    }

    /// A database that is older than what was told is recognised: as it was at the beginning, and as it was before
    /// the last batch when a start has shown that.
    fn put_back_databases(&self, moment: &Moment) {
        let folder = self.folder();
        let is_newer =
            !moment.database.is_empty() && moment.acks.iter().any(|ack| ack.leaf.is_some() && ack.index > 2);
        if is_newer {
            put_back(&folder, &moment.disk.left(Cut::Nothing));
            put_database_back(&folder, &moment.database);
            self.count("databases put back");
            if !rollback_is_seen(&folder) {
                self.note(
                    moment,
                    Cut::Nothing,
                    &Wrong::Damaged("an old database was taken for the newest".to_owned()),
                );
            }
        }
        if moment.disk.is_settled() {
            return;
        }
        let older = moment.disk.left(Cut::Nothing);
        put_back(&folder, &moment.disk.left(Cut::Everything));
        let Ok(shown) = self.sizes(&folder) else { return };
        let older: BTreeMap<_, _> = older
            .into_iter()
            .filter(|(name, _)| database_names().contains(name))
            .filter_map(|(name, contents)| Some((name, contents?)))
            .collect();
        put_database_back(&folder, &older);
        self.count("databases put back");
        if let Ok(sizes) = self.sizes(&folder)
            && sizes.iter().any(|(journal, size)| shown.get(journal).is_some_and(|shown| size < shown))
        {
            let wrong = format!("a start showed {shown:?}, and the next took {sizes:?} for the newest");
            self.note(moment, Cut::Everything, &Wrong::Damaged(wrong));
        }
    }

    fn sizes(&self, folder: &Path) -> Result<BTreeMap<String, u64>, String> {
        let store = store_open(folder).map_err(|error| chain(&error))?;
        let heads = self.runtime.block_on(store.journal_list()).map_err(|error| chain(&error))?;
        Ok(heads.into_iter().map(|head| (head.journal.to_string(), head.size)).collect())
    }

    fn folder(&self) -> std::path::PathBuf {
        self.scratch.path().join("state")
    }

    fn count(&self, what: &'static str) {
        self.found.lock().unwrap().count(1, what);
    }

    fn note(&self, moment: &Moment, cut: Cut, wrong: &Wrong) {
        self.found.lock().unwrap().note(format!("{}, {cut:?}: {wrong}", moment.what));
    }
}

const WORKERS: usize = 2;
/// Checking the integrity of the database costs as much as everything else.
const WHOLE_EVERY: u64 = 8;
