//! What every store must do with notices.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt as _;

use super::*;
use crate::audit::event::{Fact, Kind};

impl Bench {
    async fn hit(&self) -> Case {
        let subject = self.enrol(&mut synthetic::rng(1), "P-1", &[]).await;
        let (query, ..) =
            self.ask(Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None }).await;
        match self.disclosure(query).await {
            Requested::Kept(case) => case,
            _ => panic!("a hit of one's own is kept"),
        }
    }

    async fn told(&self) -> Vec<NoticeKind> {
        self.store.notice_list(100).await.unwrap().into_iter().map(|notice| notice.kind).collect()
    }
}

/// Each change is told by a notice that is there with it, and what ended in no way that is told is not.
pub(crate) async fn a_change_is_told_in_its_own_transaction(bench: Bench) {
    let case = bench.hit().await;
    assert_eq!(bench.told().await, [NoticeKind::New]);
    let Decided::Kept(half) = bench.decide(&case, "sione", true).await else {
        panic!("a first officer decides")
    };
    assert_eq!(bench.told().await.len(), 1, "half of an approval is nothing that a partner could read");
    let Decided::Kept(whole) = bench.decide(&half, "grace", true).await else { panic!("a second decides") };
    assert_eq!(bench.told().await.len(), 1, "neither is the whole of it");
    let Released::Sealed(released) = bench.release(&whole).await else { panic!("an approval is released") };
    assert_eq!(bench.told().await, [NoticeKind::New, NoticeKind::Decided]);
    let id = released.disclosure.request().disclosure();
    let other = bench.own_permit(Action::AcknowledgeRelease, &released).await;
    let wrong = bench.store.release_acknowledge(other, id, Digest::sha256(b"x")).await.unwrap();
    assert!(matches!(wrong.open().ok().unwrap().0, Stepped::OtherCiphertext));
    assert_eq!(bench.told().await.len(), 2, "what was refused is not told");
    let permit = bench.own_permit(Action::FetchRelease, &released).await;
    let (release, _) = bench.store.release_fetch(permit, id).await.unwrap().open().ok().unwrap();
    let digest = Digest::sha256(&release.unwrap().ciphertext);
    let permit = bench.own_permit(Action::AcknowledgeRelease, &released).await;
    bench.store.release_acknowledge(permit, id, digest).await.unwrap();
    assert_eq!(bench.told().await, [NoticeKind::New, NoticeKind::Decided, NoticeKind::Collected]);
    let all = bench.store.notice_list(100).await.unwrap();
    assert!(all.iter().all(|notice| notice.disclosure == id));
    assert_eq!(
        all.iter().map(|notice| notice.id).collect::<BTreeSet<_>>().len(),
        3,
        "each has an id of its own"
    );
}

/// Whatever happens to deliveries, each receiver has each notice once or it is given up, with an entry.
pub(crate) async fn every_notice_is_delivered_once_or_given_up_with_an_entry(bench: Bench) {
    let case = bench.hit().await;
    bench.decide(&case, "sione", false).await;
    let start = bench.clock.now();
    let names = ["system/a", "system/b", "person/c"];
    let mut rng = synthetic::rng(7);
    let mut open: BTreeSet<(String, i64)> = BTreeSet::new();
    for notice in bench.store.notice_list(100).await.unwrap() {
        let receivers: Vec<_> = names.iter().map(|name| ((*name).to_owned(), start)).collect();
        open.extend(names.iter().map(|name| ((*name).to_owned(), notice.sequence)));
        let addressed =
            || Addressed { sequence: notice.sequence, receivers: receivers.clone(), remind: None };
        // Twice is once.
        bench.store.notices_address(vec![addressed(), addressed()]).await.unwrap();
        bench.store.notices_address(vec![addressed()]).await.unwrap();
    }
    assert!(bench.told().await.is_empty() && open.len() == 6);
    let (mut now, mut given_up, mut tries) = (start, 0, BTreeMap::<(String, i64), u32>::new());
    while !open.is_empty() {
        assert_eq!(bench.store.deliveries_waiting().await.unwrap(), u64::try_from(open.len()).unwrap());
        let due = bench.store.receivers_due(now).await.unwrap();
        let expected: BTreeSet<&String> = open.iter().map(|(name, _)| name).collect();
        assert!(due.iter().all(|name| expected.contains(name)), "{due:?} of {open:?}");
        for name in due {
            let mut tried = Vec::new();
            for delivery in bench.store.deliveries_due(name.clone(), now, 100).await.unwrap() {
                let key = (name.clone(), delivery.notice.sequence);
                assert!(open.contains(&key), "{key:?} was done, and is due again");
                assert_eq!(delivery.tries, tries.get(&key).copied().unwrap_or(0));
                let end = match rng.random_range(0..4_u8) {
                    0 => DeliveryEnd::Done,
                    1 => DeliveryEnd::GivenUp("refused"),
                    _ => DeliveryEnd::Again(now.after(Duration::from_secs(1)), "timed-out"),
                };
                given_up += usize::from(matches!(end, DeliveryEnd::GivenUp(_)));
                if matches!(end, DeliveryEnd::Again(..)) {
                    *tries.entry(key).or_default() += 1;
                } else {
                    open.remove(&key);
                }
                tried.push((delivery.notice.sequence, end));
            }
            bench.store.deliveries_end(name, tried).await.unwrap();
        }
        now = now.after(Duration::from_secs(1));
    }
    assert!(bench.store.receivers_due(now).await.unwrap().is_empty());
    let read = log::Read {
        journal: Journal::Holder,
        from: 0,
        limit: 1_000,
        proofs: log::Proofs::Without,
        why: "a test".to_owned(),
    };
    let permit = bench.permit("mere", Action::ListEntries, About::Service).await;
    let (entries, _) = bench.store.log_read(permit, read).await.unwrap().open().ok().unwrap();
    let said = entries
        .iter()
        .filter(|entry| entry.event.as_ref().is_some_and(|event| event.kind == Kind::NoticeGivenUp));
    let details: BTreeSet<_> = said.filter_map(|entry| entry.event.as_ref()?.text_of(Fact::Detail)).collect();
    assert_eq!(details.len(), given_up, "each that is given up is an entry");
}

/// A disclosure that is late is told once while it is open, and never after its end.
pub(crate) async fn what_is_late_is_told_once_and_only_while_it_is_open(bench: Bench) {
    let case = bench.hit().await;
    let id = case.disclosure.request().disclosure();
    let sequence = bench.store.notice_list(1).await.unwrap()[0].sequence;
    let late = bench.clock.now().after(Duration::from_secs(60));
    let addressed = Addressed { sequence, receivers: Vec::new(), remind: Some((id, late)) };
    bench.store.notices_address(vec![addressed]).await.unwrap();
    assert!(bench.told().await.is_empty(), "one that goes to nobody is done");
    assert_eq!(bench.store.notices_remind(bench.clock.now()).await.unwrap(), 0);
    assert_eq!(bench.store.notices_remind(late).await.unwrap(), 1);
    assert_eq!(bench.store.notices_remind(late).await.unwrap(), 0, "once");
    assert_eq!(bench.told().await, [NoticeKind::Expiring]);
    let sequence = bench.store.notice_list(1).await.unwrap()[0].sequence;
    let again = Addressed { sequence, receivers: Vec::new(), remind: Some((id, late)) };
    bench.store.notices_address(vec![again]).await.unwrap();
    bench.decide(&case, "sione", false).await;
    assert_eq!(bench.store.notices_remind(late).await.unwrap(), 0, "it has ended");
    assert_eq!(bench.told().await, [NoticeKind::Decided]);
}
