//! Delegated seats that end between the look at the registry and the transaction.

use std::time::Duration;

use super::story::{NOW, Story, eligible};
use crate::approval::{DeciderRole, DeciderStanding, Eligible, Refused, State};
use crate::authz::{About, Action};
use crate::ids::{ChangeId, Digest};
use crate::store::change::{Change, Delegating, Found};
use crate::store::disclosure::Decided;
use crate::store::{Answer, Case, Released, Store, Verdict};

/// A case, and the seat of tama, who is of Wellington, delegated to sione of Auckland for an hour.
struct Seat {
    _folder: tempfile::TempDir,
    story: Story,
    case: Case,
    delegation: ChangeId,
}

impl Seat {
    async fn delegated() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let story = Story::found(folder.path(), NOW).await;
        story.put_into("tama", "wellington").await;
        story.put_into("sione", "auckland").await;
        story.release_key().await;
        let subject = story.enrol("P-1").await;
        let verdict = Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None };
        let case = story.request(story.ask(verdict).await).await;
        let (since, until) = (NOW, NOW.after(HOUR));
        let what = Delegating {
            delegator: "tama".parse().unwrap(),
            delegate: "sione".parse().unwrap(),
            since,
            until,
        };
        let delegation = story.propose(Change::PutDelegation(what)).await;
        story.confirmed(delegation, None).await;
        Self { _folder: folder, story, case, delegation }
    }

    /// As the registry says it while the seat is delegated.
    fn eligible() -> Vec<Eligible> {
        let seat = Eligible {
            officer: "sione".parse().unwrap(),
            role: DeciderRole::ApprovingOfficer,
            standing: DeciderStanding::Active,
            unit: Some("wellington".parse().unwrap()),
            on_behalf: Some("tama".parse().unwrap()),
        };
        [vec![seat], eligible()].concat()
    }

    async fn sit(&self) -> Decided {
        self.story.decide_as(&self.case, ("sione", Some("tama")), true, Self::eligible()).await
    }

    /// Approved by sione in the seat and by grace.
    async fn approved(&self) -> Case {
        let Decided::Kept(half) = self.sit().await else { panic!("the seat is delegated") };
        let whole = self.story.decide(&half, "grace", true).await;
        assert_eq!(whole.disclosure.state(), State::Approved);
        whole
    }

    async fn end(&self, by: End) {
        match by {
            End::Person => {
                let about = (Action::EndDelegation, About::Service, Digest::sha256(b""));
                let permit = self.story.permit("mere", about.0, about.1, about.2).await;
                let ended =
                    self.story.store.delegation_end(permit, self.delegation, "back at work".to_owned());
                assert!(matches!(ended.await.unwrap().open().ok().unwrap().0, Found::Yes));
                self.story.later();
            }
            End::Date => self.story.clock.advance(HOUR),
        }
    }
}

#[derive(Clone, Copy)]
enum End {
    Person,
    Date,
}

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_ended_after_the_look_decides_nothing() {
    for by in [End::Person, End::Date] {
        let seat = Seat::delegated().await;
        seat.end(by).await;
        let Decided::Refused(refused) = seat.sit().await else { panic!("nobody sits there any more") };
        assert!(matches!(refused, Refused::NotDelegated(delegator) if delegator.as_str() == "tama"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_ended_after_the_look_releases_nothing() {
    for by in [End::Person, End::Date] {
        let seat = Seat::delegated().await;
        let case = seat.approved().await;
        seat.end(by).await;
        let released = seat.story.release_as(&case, &Seat::eligible()).await;
        assert!(matches!(released, Released::NotApproved), "an approval from a seat that is over was used");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seat_that_stands_decides_and_releases() {
    let seat = Seat::delegated().await;
    let case = seat.approved().await;
    assert!(matches!(seat.story.release_as(&case, &Seat::eligible()).await, Released::Sealed(_)));
    let folder = seat._folder;
    drop(seat.story);
    let report = super::checked(folder.path()).unwrap();
    assert_eq!(report.faults, [], "what was decided in a delegated seat has a fault");
}
