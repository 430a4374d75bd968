//! A model of a disk that is told what was written and synchronised, and says what may be left after a power cut.
//!
//! - A file's bytes are durable from the end of an `fsync` or `fdatasync` of it on, as they were when it began.
//! - What was written since is kept or lost sector by sector (512 bytes), each sector at any of its versions, in
//!   any order. A file's size is kept at any of its values since.
//! - A name (made, renamed, removed) is durable after an `fsync` of its folder, and not before: not even when the
//!   file itself was synchronised. Changes of one folder are kept in their order.
//! - Bytes within the kept size that never reached the disk are zeros, or what lay there before.
//! - A failed `fsync` wrote nothing, and what it should have written counts as clean: no later `fsync` writes it,
//!   unless its sector is written to again (as Linux does).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::trace::{Event, Opened, Synced};

/// What is on the disk, and what is not yet.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    files: Vec<Node>,
    /// Names as processes see them.
    live: BTreeMap<String, usize>,
    /// Names as a power cut leaves them.
    durable: BTreeMap<String, usize>,
    changes: Vec<(u64, String, NameChange)>,
    now: u64,
    begun: BTreeMap<usize, u64>,
}

#[derive(Clone)]
enum Node {
    Folder,
    File(Contents),
}

#[derive(Clone)]
enum NameChange {
    Set(usize),
    Gone,
    /// From the name, to another of the same folder.
    To(String),
}

#[derive(Clone, Default)]
struct Contents {
    durable: Arc<Vec<u8>>,
    sectors: BTreeMap<u64, Vec<Piece>>,
    sizes: Vec<(u64, Size)>,
}

#[derive(Clone, Copy)]
enum Size {
    AtLeast(u64),
    Exactly(u64),
}

/// What one write left in one sector.
#[derive(Clone)]
struct Piece {
    at: u64,
    place: u64,
    bytes: Arc<[u8]>,
    part: Range<usize>,
    fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pending,
    /// An `fsync` that failed was to write it.
    Forgotten,
}

/// Which of the unsynchronised writes reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Nothing,
    Everything,
    /// The first writes up to a random one, in order.
    InOrder(u64),
    /// Any sectors, sizes and names, drawn from this seed.
    Torn(u64),
}

impl Disk {
    /// A disk with durable files and folders, by their names.
    pub(crate) fn with(folders: &[&str], files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let mut disk = Self::default();
        let contents = |bytes| Node::File(Contents { durable: Arc::new(bytes), ..Contents::default() });
        let folders = folders.iter().map(|name| ((*name).to_owned(), Node::Folder));
        for (name, node) in folders.chain(files.into_iter().map(|(name, bytes)| (name, contents(bytes)))) {
            disk.live.insert(name.clone(), disk.files.len());
            disk.durable.insert(name, disk.files.len());
            disk.files.push(node);
        }
        disk
    }

    /// Takes note of what happened.
    pub(crate) fn apply(&mut self, event: &Event) {
        self.now += 1;
        match event {
            Event::Made(name, how) => {
                if !self.live.contains_key(name) {
                    self.make(name, Node::File(Contents::default()));
                }
                if *how == Opened::Fresh {
                    self.truncate(name, 0);
                }
            }
            Event::Folder(name) => self.make(name, Node::Folder),
            Event::Write(name, place, bytes) => self.write(name, *place, bytes),
            Event::Truncate(name, length) => self.truncate(name, *length),
            Event::Rename(from, to) => {
                let node = self.live.remove(from).expect("what is renamed is there");
                self.live.insert(to.clone(), node);
                assert_eq!(folder_of(from), folder_of(to), "the model knows no renames between folders");
                self.changes.push((self.now, from.clone(), NameChange::To(to.clone())));
            }
            Event::Unlink(name) => {
                if self.live.remove(name).is_some() {
                    self.changes.push((self.now, name.clone(), NameChange::Gone));
                }
            }
            Event::SyncBegun(_, number) => {
                self.begun.insert(*number, self.now);
            }
            Event::SyncEnded(name, number, end) => {
                let begun = self.begun.remove(number).expect("a synchronisation begins before it ends");
                self.sync(name, begun, *end);
            }
            Event::Acked(_) => {}
        }
    }

    /// Whether a power cut at this moment can leave one thing only.
    pub(crate) fn is_settled(&self) -> bool {
        let is_clean = |node: &Node| match node {
            Node::Folder => true,
            Node::File(file) => file.sectors.is_empty() && file.sizes.is_empty(),
        };
        self.changes.is_empty() && self.live.values().all(|node| is_clean(&self.files[*node]))
    }

    /// The files and folders that a power cut at this moment leaves.
    pub(crate) fn left(&self, cut: Cut) -> BTreeMap<String, Option<Vec<u8>>> {
        let chosen = Chosen { cut, now: self.now, first: self.first_pending() };
        let mut names = self.durable.clone();
        for (at, name, change) in &self.changes {
            if *at < chosen.of(&["names", folder_of(name)].concat(), 0) {
                rename(&mut names, name, change);
            }
        }
        let mut left = BTreeMap::new();
        for (name, node) in &names {
            // A file in a folder whose own name was lost is lost with it. Folders come before what is in them.
            let folder = folder_of(name);
            if !folder.is_empty() && !left.contains_key(folder) {
                continue;
            }
            let contents = match &self.files[*node] {
                Node::Folder => None,
                Node::File(file) => Some(file.left(name, &chosen)),
            };
            left.insert(name.clone(), contents);
        }
        left
    }

    fn first_pending(&self) -> u64 {
        let pieces = self.live.values().flat_map(|node| match &self.files[*node] {
            Node::Folder => Vec::new(),
            Node::File(file) => file.sectors.values().flatten().map(|piece| piece.at).collect(),
        });
        pieces.chain(self.changes.iter().map(|change| change.0)).min().unwrap_or(self.now)
    }

    fn make(&mut self, name: &str, node: Node) {
        self.live.insert(name.to_owned(), self.files.len());
        self.changes.push((self.now, name.to_owned(), NameChange::Set(self.files.len())));
        self.files.push(node);
    }

    fn file(&mut self, name: &str) -> &mut Contents {
        let node = *self.live.get(name).unwrap_or_else(|| panic!("`{name}` was never opened"));
        match &mut self.files[node] {
            Node::File(file) => file,
            Node::Folder => panic!("`{name}` is a folder"),
        }
    }

    fn write(&mut self, name: &str, place: u64, bytes: &Arc<[u8]>) {
        let now = self.now;
        let file = self.file(name);
        let end = place + length(bytes);
        file.sizes.push((now, Size::AtLeast(end)));
        let mut at = place;
        while at < end {
            let stop = end.min((at / SECTOR + 1) * SECTOR);
            let part = usize::try_from(at - place).expect("an index")
                ..usize::try_from(stop - place).expect("an index");
            let piece = Piece { at: now, place: at, bytes: Arc::clone(bytes), part, fate: Fate::Pending };
            file.sectors.entry(at / SECTOR).or_default().push(piece);
            at = stop;
        }
    }

    fn truncate(&mut self, name: &str, size: u64) {
        let now = self.now;
        let file = self.file(name);
        let end = file.end();
        let zeros: Arc<[u8]> = vec![0; usize::try_from(SECTOR).expect("an index")].into();
        let mut at = size;
        while at < end {
            let stop = (at / SECTOR + 1) * SECTOR;
            let part = 0..usize::try_from(stop - at).expect("an index");
            let piece = Piece { at: now, place: at, bytes: Arc::clone(&zeros), part, fate: Fate::Pending };
            file.sectors.entry(at / SECTOR).or_default().push(piece);
            at = stop;
        }
        file.sizes.push((now, Size::Exactly(size)));
    }

    fn sync(&mut self, name: &str, begun: u64, end: Synced) {
        match (self.live.get(name).map(|node| &self.files[*node]), end) {
            // A file that lost its name meanwhile is nobody's.
            (Some(Node::File(_)), _) => self.file(name).sync(begun, end),
            (_, Synced::Durable) => {
                let durable = &mut self.durable;
                self.changes.retain(|(at, changed, change)| {
                    let is_kept = folder_of(changed) == name && *at < begun;
                    if is_kept {
                        rename(durable, changed, change);
                    }
                    !is_kept
                });
            }
            (_, Synced::Failed) => {}
        }
    }
}

impl Contents {
    fn sync(&mut self, begun: u64, end: Synced) {
        if end == Synced::Failed {
            let pieces = self.sectors.values_mut().flatten();
            pieces.filter(|piece| piece.at < begun).for_each(|piece| piece.fate = Fate::Forgotten);
            return;
        }
        let durable = Arc::make_mut(&mut self.durable);
        for pieces in self.sectors.values_mut() {
            // The newest that is written takes along what lies in the same sector.
            let newest = pieces.iter().rposition(|piece| piece.at < begun && piece.fate == Fate::Pending);
            for piece in pieces.drain(..newest.map_or(0, |newest| newest + 1)) {
                piece.put(durable);
            }
        }
        self.sectors.retain(|_, pieces| !pieces.is_empty());
        let mut size = length(durable);
        self.sizes.retain(|(at, change)| {
            if *at < begun {
                size = change.of(size);
            }
            *at >= begun
        });
        durable.resize(usize::try_from(size).expect("a size"), 0);
    }

    fn left(&self, name: &str, chosen: &Chosen) -> Vec<u8> {
        let mut bytes = self.durable.as_ref().clone();
        // What a cut leaves in a file that grew and whose bytes did not arrive: zeros, or what was there before.
        let grown = self.sizes.iter().fold(length(&bytes), |most, (_, change)| most.max(change.of(most)));
        let was_there = if chosen.is_junk(name) { JUNK } else { 0 };
        let whole = length(&bytes);
        bytes.resize(usize::try_from(grown.max(whole)).expect("a size"), was_there);
        for (sector, pieces) in &self.sectors {
            let until = chosen.of(name, sector + 1);
            let newest = pieces.iter().rposition(|piece| piece.at < until && piece.fate == Fate::Pending);
            if newest.is_some() && sector * SECTOR >= whole {
                let from = usize::try_from(sector * SECTOR).expect("an index");
                let to = bytes.len().min(from + usize::try_from(SECTOR).expect("an index"));
                bytes[from.min(to)..to].fill(0);
            }
            for piece in &pieces[..newest.map_or(0, |newest| newest + 1)] {
                piece.put(&mut bytes);
            }
        }
        let until = chosen.of(name, 0);
        let sizes = self.sizes.iter().filter(|(at, _)| *at < until);
        let size = sizes.fold(whole, |size, (_, change)| change.of(size));
        bytes.resize(usize::try_from(size).expect("a size"), was_there);
        bytes
    }

    fn end(&self) -> u64 {
        self.sizes.iter().fold(length(&self.durable), |size, (_, change)| change.of(size))
    }
}

impl Piece {
    fn put(&self, bytes: &mut Vec<u8>) {
        let from = usize::try_from(self.place).expect("an index");
        let to = from + self.part.len();
        if bytes.len() < to {
            bytes.resize(to, 0);
        }
        bytes[from..to].copy_from_slice(&self.bytes[self.part.clone()]);
    }
}

impl Size {
    fn of(self, before: u64) -> u64 {
        match self {
            Self::AtLeast(size) => before.max(size),
            Self::Exactly(size) => size,
        }
    }
}

/// A cut of one moment.
struct Chosen {
    cut: Cut,
    now: u64,
    first: u64,
}

impl Chosen {
    /// What happened to this before the number reached the disk.
    fn of(&self, name: &str, part: u64) -> u64 {
        let span = self.now - self.first + 2;
        match self.cut {
            Cut::Nothing => 0,
            Cut::Everything => u64::MAX,
            Cut::InOrder(seed) => self.first + mix(seed, "all", 0) % span,
            Cut::Torn(seed) => match mix(seed, name, part) % 4 {
                0 => 0,
                1 => self.first + mix(seed, name, !part) % span,
                // Whole more often than not, so that some states hang by one sector.
                _ => u64::MAX,
            },
        }
    }

    fn is_junk(&self, name: &str) -> bool {
        matches!(self.cut, Cut::Torn(seed) if mix(seed, name, u64::MAX / 2).is_multiple_of(2))
    }
}

fn rename(names: &mut BTreeMap<String, usize>, name: &str, change: &NameChange) {
    match change {
        NameChange::Set(node) => {
            names.insert(name.to_owned(), *node);
        }
        NameChange::Gone => {
            names.remove(name);
        }
        NameChange::To(to) => {
            if let Some(node) = names.remove(name) {
                names.insert(to.clone(), node);
            }
        }
    }
}

/// A number from a seed, a name and a number: FNV-1a, then the finaliser of SplitMix64.
pub(crate) fn mix(seed: u64, name: &str, part: u64) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let bytes = seed.to_le_bytes().into_iter().chain(name.bytes()).chain(part.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325, step);
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length")
}

/// What a disk writes whole or not at all.
const SECTOR: u64 = 512;
/// Neither a header nor a zero.
const JUNK: u8 = 0x5a;
