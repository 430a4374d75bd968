//! What an old copy of `onebit.sqlite` still opens, beside the present keys: each kind of sealed value on its own.

use std::path::{Path, PathBuf};

use super::*;
use crate::ids::{BatchId, RequestId};
use crate::keys::{DataKey, Place, Purpose, RootKey};
use crate::secret::{Secret, SystemEntropy, random_bytes};
use crate::store::enrolment::{BatchNew, BatchStarted};
use crate::store::sqlite::keystore::{payload_place, payload_row};
use crate::store::sqlite::{change, disclosure_row, enrolment, release, ring_keys};

/// Whether a key opens a value in a place.
type Opener<'a> = Box<dyn Fn(Place<'_>, &[u8]) -> bool + 'a>;

/// A kind of sealed value.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Request,
    Step,
    Release,
    Change,
    Batch,
}

impl Kind {
    const fn class(self) -> PayloadClass {
        match self {
            Self::Request | Self::Step | Self::Release => PayloadClass::Disclosure,
            Self::Change => PayloadClass::Administration,
            Self::Batch => PayloadClass::Enrolment,
        }
    }

    /// Its values as they are stored, with their rows.
    const fn values(self) -> &'static str {
        match self {
            Self::Request => "SELECT body, id, 0 FROM disclosures",
            Self::Step => "SELECT step, disclosure, sequence FROM disclosure_steps",
            Self::Release => "SELECT ciphertext, disclosure, 0 FROM releases",
            Self::Change => "SELECT body, id, 0 FROM changes",
            Self::Batch => "SELECT official, id, 0 FROM batches",
        }
    }

    fn opens(self, key: &Opener<'_>, row: [u8; 16], sequence: u64, value: &[u8]) -> bool {
        let open = |place: Place<'_>| key(place, value);
        let id = DisclosureId::from_bytes(row);
        match self {
            Self::Request => open(disclosure_row::body_place(&id)),
            Self::Step => open(disclosure_row::step_place(&disclosure_row::step_row(id, sequence))),
            Self::Release => open(release::place(&id)),
            Self::Change => open(change::body_place(&ChangeId::from_bytes(row))),
            Self::Batch => open(enrolment::official_place(&BatchId::from_bytes(row))),
        }
    }
}

/// A copy of the database as a backup makes it.
fn copied(folder: &Path, name: &str) -> PathBuf {
    let to = folder.join(name);
    let sql = Connection::open(&files(folder)[0]).unwrap();
    sql.execute("VACUUM INTO ?1", params![to.to_str().unwrap()]).unwrap();
    to
}

/// How many values of a kind there are in a copy, and how many of them open with anything that whoever has the root
/// key and the present `keys.sqlite` can come by.
fn opened(folder: &Path, copy: &Path, kind: Kind) -> (usize, usize) {
    let keys = Connection::open(&files(folder)[1]).unwrap();
    let root = RootKey::new(Secret::take(&mut [1; 32]));
    let ring = ring_keys::ring(ring_keys::load(&keys, &root).unwrap()).unwrap();
    let mut statement = keys.prepare("SELECT class, day, wrapped FROM payload_keys").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)));
    let payload: Vec<DataKey> = rows
        .unwrap()
        .map(|row| {
            let (class, day, wrapped) = row.unwrap();
            let row = payload_row(class, day);
            DataKey::unwrap(ring.sealing(Purpose::PayloadKeys), payload_place(&row), &wrapped).unwrap()
        })
        .collect();
    let of_ring = Purpose::ALL.into_iter().map(|purpose| -> Opener<'_> {
        let keys = ring.sealing(purpose);
        Box::new(move |place, value| keys.open(place, value).is_ok())
    });
    let of_days = payload
        .iter()
        .map(|key| -> Opener<'_> { Box::new(move |place, value| key.sealing().open(place, value).is_ok()) });
    let all: Vec<Opener<'_>> = of_days.chain(of_ring).collect();
    let sql = Connection::open(copy).unwrap();
    let mut statement = sql.prepare(kind.values()).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get(2)?)));
    let (mut there, mut open) = (0, 0);
    for row in rows.unwrap() {
        let (stored, id, sequence) = row.unwrap();
        let value = split(&stored).unwrap().1;
        let opens = |value| all.iter().any(|key| kind.opens(key, id, sequence, value));
        there += 1;
        open += usize::from(opens(value) || opens(&stored));
    }
    (there, open)
}

/// A disclosure and a change that are touched on each of three days, and runs of enrolment that begin on each. Gives
/// the copy of each day, and the day after it.
async fn three_days(bench: &Bench, folder: &Path) -> Vec<(PathBuf, Date)> {
    let mut copies = Vec::new();
    let mut night = || {
        let copy = copied(folder, &format!("copy-{}", copies.len()));
        bench.clock.advance(DAY);
        copies.push((copy, date_of(bench.clock.now().day())));
    };
    let subject = bench.enrol(&mut synthetic::rng(1), "P-1", &[]).await;
    let (query, ..) = bench.ask(hit(subject)).await;
    let Requested::Kept(case) = bench.disclosure(query).await else { panic!("a hit is kept") };
    let Decided::Kept(case) = bench.decide(&case, "sione", true).await else { panic!("a first decides") };
    let change = change_propose(bench).await;
    night();
    let Decided::Kept(case) = bench.decide(&case, "grace", true).await else { panic!("a second decides") };
    let Released::Sealed(case) = bench.release(&case).await else { panic!("it is released") };
    change_take_over(bench, change).await;
    batch_begin(bench).await;
    night();
    acknowledge(bench, &case).await;
    change_reject(bench, change).await;
    batch_begin(bench).await;
    night();
    copies
}

async fn change_propose(bench: &Bench) -> ChangeId {
    let id = ChangeId::from_bytes([5; 16]);
    let change = Change::RestorePartner("ca-border".parse().unwrap());
    let new = ChangeNew { id, change, reason: "a test".to_owned(), signature: vec![1; 64] };
    let permit = bench.permit("ana", Action::ProposeChange, About::Service).await;
    let _proposed = bench.store.change_propose(permit, new).await.unwrap();
    id
}

async fn change_take_over(bench: &Bench, id: ChangeId) {
    let proposed_by: ActorName = "ana".parse().unwrap();
    let proposer_role = Role::Administrator;
    let about = About::Change { kind: "restore-partner", proposed_by: &proposed_by, proposer_role };
    let permit = bench.permit("mere", Action::ConfirmChange, about).await;
    let end = ChangeEnd::TakeOver { id, signature: vec![2; 64] };
    let (ended, _) = bench.store.change_end(permit, end).await.unwrap().open().ok().unwrap();
    assert!(matches!(ended, Ended::Done(..)));
}

async fn change_reject(bench: &Bench, id: ChangeId) {
    let permit = bench.permit("mere", Action::RejectChange, About::Service).await;
    let end = ChangeEnd::Reject { id, reason: "a test".to_owned() };
    let (ended, _) = bench.store.change_end(permit, end).await.unwrap().open().ok().unwrap();
    assert!(matches!(ended, Ended::Done(..)));
}

async fn batch_begin(bench: &Bench) {
    let collection = "watch-face".parse().unwrap();
    let about = About::Collection { collection: &collection };
    let permit = bench.permit("intake", Action::StartBatch, about).await;
    let new = BatchNew {
        request: RequestId::from_bytes(random_bytes(&SystemEntropy::new()).unwrap()),
        collection,
        official: "registrar-1".to_owned(),
        created: bench.clock.now(),
    };
    let begun = bench.store.batch_start(permit, new).await.unwrap();
    assert!(matches!(begun, BatchStarted::Batch(_)));
}

/// Day by day: what lies under the keys that are left opens and nothing else does, whichever copy it stands in.
async fn copies_close_with_their_days(kind: Kind) {
    let folder = tempfile::tempdir().unwrap();
    let bench = founded(folder.path()).await;
    let copies = three_days(&bench, folder.path()).await;
    let there: Vec<(usize, usize)> =
        copies.iter().map(|(copy, _)| opened(folder.path(), copy, kind)).collect();
    assert!(there.iter().all(|(there, open)| there == open), "all of it opens at first: {there:?}");
    assert!(there.iter().any(|(there, _)| *there > 0), "there is nothing to open");
    for (last, (_, before)) in copies.iter().enumerate() {
        years_later(&bench, kind.class(), *before);
        assert!(matches!(dispose(&bench, kind.class(), *before).await, Ended::Done(..)));
        for (day, (copy, _)) in copies.iter().enumerate() {
            let (all, open) = opened(folder.path(), copy, kind);
            let told = format!("{kind:?} in the copy of day {day}, disposed of up to day {last}");
            assert_eq!(open, all - under_keys_before(copy, kind, *before), "{told}");
            assert!(open == 0 || day > last, "{told}: an old copy still opens {open} of {all}");
        }
        let (all, open) = opened(folder.path(), &files(folder.path())[0], kind);
        assert_eq!(all, open, "{kind:?}: no row outlives its key, before {before}");
    }
}

fn under_keys_before(copy: &Path, kind: Kind, before: Date) -> usize {
    let sql = Connection::open(copy).unwrap();
    let mut statement = sql.prepare(kind.values()).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
    rows.filter(|stored| split(stored.as_ref().unwrap()).unwrap().0 < day_of(before)).count()
}

macro_rules! kinds {
    ($($name:ident: $kind:ident),+ $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                copies_close_with_their_days(Kind::$kind).await;
            }
        )+
    };
}

kinds!(
    an_old_copy_opens_no_request_of_a_disposed_day: Request,
    an_old_copy_opens_no_step_of_a_disposed_day: Step,
    an_old_copy_opens_no_release_of_a_disposed_day: Release,
    an_old_copy_opens_no_change_of_a_disposed_day: Change,
    an_old_copy_opens_no_batch_of_a_disposed_day: Batch,
);
