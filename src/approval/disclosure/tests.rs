//! Disclosures step by step.

use crate::ids::{ActorName, FieldName};

use super::super::deed::{Answer, DeedKind, DeedParts};
use super::super::factors::DeciderRole;
use super::super::model::{Office, deed, grant};
use super::super::state::DeciderStanding;
use super::*;

#[test]
fn two_roles_approve_and_the_common_fields_are_released_once() {
    let office = Office::new(&[(DeciderRole::ApprovingOfficer, 1), (DeciderRole::Examiner, 1)]);
    let new = office.disclosure();
    let (half, first) = new
        .decide(grant(&new, 0, DeciderRole::ApprovingOfficer, 0b011, 1), &office.all(), office.at(1))
        .unwrap();
    assert_eq!((first.from, first.to), (State::Pending, State::PartiallyApproved));
    assert_eq!(
        half.approval(&office.all(), office.at(2)).err(),
        Some(Missing::State(State::PartiallyApproved))
    );
    let (whole, _) =
        half.decide(grant(&half, 1, DeciderRole::Examiner, 0b110, 2), &office.all(), office.at(2)).unwrap();
    assert_eq!(whole.state(), State::Approved);
    let approval = whole.approval(&office.all(), office.at(3)).unwrap();
    let names: Vec<&str> = approval.fields().iter().map(FieldName::as_str).collect();
    assert_eq!(names, ["date-of-birth"], "what leaves is what both grant");
    assert_eq!(approval.deciders().len(), 2);
    let again = whole.approval(&office.all(), office.at(3)).unwrap();
    let (released, _) = whole.release(approval, office.at(90), None).unwrap();
    assert_eq!(
        released.release(again, office.at(90), None).err(),
        Some(Refused::NotNow { state: State::Released, operation: "released" })
    );
    let (done, _) = released.acknowledge(office.at(5)).unwrap();
    assert_eq!(done.withdraw(office.at(6)).err(), Some(Refused::Ended(State::Acknowledged)));
}

#[test]
fn an_approval_by_somebody_suspended_since_does_not_count_at_release() {
    let office = Office::new(&[(DeciderRole::ApprovingOfficer, 1)]);
    let new = office.disclosure();
    let (approved, _) = new
        .decide(grant(&new, 0, DeciderRole::ApprovingOfficer, 0b001, 1), &office.all(), office.at(1))
        .unwrap();
    let missing = approved.approval(&office.all_but(0), office.at(2)).err();
    assert_eq!(missing, Some(Missing::Factor { role: DeciderRole::ApprovingOfficer, have: 0, need: 1 }));
    let wider = grant(&approved, 1, DeciderRole::ApprovingOfficer, 0b111, 2);
    let (again, _) = approved.decide(wider, &office.all(), office.at(2)).unwrap();
    let approval = again.approval(&office.all_but(0), office.at(3)).unwrap();
    assert_eq!(approval.fields().iter().count(), 1, "fields must not grow because somebody left");
    assert_eq!(approval.deciders().len(), 1);
}

#[test]
fn an_approval_older_than_a_decision_or_of_another_request_releases_nothing() {
    let office = Office::new(&[(DeciderRole::ApprovingOfficer, 1)]);
    let new = office.disclosure();
    let role = DeciderRole::ApprovingOfficer;
    let (one, _) = new.decide(grant(&new, 0, role, 0b111, 1), &office.all(), office.at(1)).unwrap();
    let old = one.approval(&office.all(), office.at(1)).unwrap();
    let (two, _) = one.decide(grant(&one, 1, role, 0b001, 2), &office.all(), office.at(2)).unwrap();
    assert_eq!(two.release(old, office.at(90), None).err(), Some(Refused::StaleApproval));
    let other = Office::new(&[(role, 1), (DeciderRole::Examiner, 1)]).disclosure();
    let approval = two.approval(&office.all(), office.at(3)).unwrap();
    assert_eq!(other.release(approval, office.at(90), None).err(), Some(Refused::OtherRequest));
}

#[test]
fn approvals_with_nothing_in_common_end_as_denied() {
    let office = Office::new(&[(DeciderRole::ApprovingOfficer, 3)]);
    let new = office.disclosure();
    let role = DeciderRole::ApprovingOfficer;
    let (one, _) = new.decide(grant(&new, 0, role, 0b001, 1), &office.all(), office.at(1)).unwrap();
    let (two, _) = one.decide(grant(&one, 1, role, 0b110, 2), &office.all(), office.at(2)).unwrap();
    assert_eq!((two.state(), two.denial()), (State::Denied, Some(Denial::NothingInCommon)));
}

#[test]
fn a_hidden_subject_ends_as_denied_and_a_late_one_as_expired() {
    let office = Office::new(&[(DeciderRole::ApprovingOfficer, 1)]);
    let new = office.disclosure();
    let (hidden, _) = new.withhold(office.at(1)).unwrap();
    assert_eq!((hidden.state(), hidden.denial()), (State::Denied, Some(Denial::Withheld)));
    assert_eq!(new.expire(office.at(99)).err(), Some(Refused::TooEarly));
    let late = grant(&new, 0, DeciderRole::ApprovingOfficer, 0b001, 100);
    assert_eq!(new.decide(late, &office.all(), office.at(100)).err(), Some(Refused::TooLate));
    assert_eq!(new.expire(office.at(100)).unwrap().0.state(), State::Expired);
    let in_time = grant(&new, 0, DeciderRole::ApprovingOfficer, 0b001, 99);
    let (approved, _) = new.decide(in_time, &office.all(), office.at(99)).unwrap();
    assert_eq!(approved.approval(&office.all(), office.at(100)).err(), Some(Missing::TooLate));
    let approval = approved.approval(&office.all(), office.at(99)).unwrap();
    assert_eq!(approved.release(approval, office.at(99), None).err(), Some(Refused::FetchBy));
}

#[test]
fn the_requester_the_enroller_and_the_unasked_decide_nothing() {
    let role = DeciderRole::ApprovingOfficer;
    let office = Office::new(&[(role, 1)]);
    let new = office.disclosure();
    let try_it =
        |signed: SignedDecision, eligible: &[Eligible]| new.decide(signed, eligible, office.at(1)).err();
    let mine = grant(&new, 0, role, 0b001, 1);
    let standing = DeciderStanding::Enroller;
    let enroller = Eligible { officer: Office::officer(0), role, standing, unit: None, on_behalf: None };
    let not = Some(Refused::NotEligible { officer: Office::officer(0), role });
    assert_eq!(try_it(mine.clone(), std::slice::from_ref(&enroller)), not);
    assert_eq!(try_it(mine.clone(), &[]), not);
    let active = Eligible { standing: DeciderStanding::Active, ..enroller.clone() };
    assert_eq!(try_it(mine, &[active, enroller]), not, "one entry against it is enough");
    let examiner = grant(&new, 0, DeciderRole::Examiner, 0b001, 1);
    assert_eq!(try_it(examiner, &office.all()), Some(Refused::RoleNotAsked(DeciderRole::Examiner)));
    for requester in ["au-border-gateway", "officer-7f3a"] {
        let officer: ActorName = requester.parse().unwrap();
        let signed = Office::signed(&new, &officer, role, Some(0b001), office.at(1));
        let standing = DeciderStanding::Active;
        let eligible = Eligible { officer: officer.clone(), role, standing, unit: None, on_behalf: None };
        assert_eq!(try_it(signed, &[eligible]), Some(Refused::Requester(officer)));
    }
    let skewed = grant(&new, 0, role, 0b001, 7);
    assert_eq!(try_it(skewed, &office.all()), Some(Refused::Clock));
}

#[test]
fn a_delegated_seat_is_filled_once_counts_for_its_own_unit_and_only_while_it_is_delegated() {
    let role = DeciderRole::ApprovingOfficer;
    let office = Office::of_units(&[(role, 2)], 2);
    let new = office.disclosure();
    // 0, 2: Wellington; 1, 3: Auckland. 2 fills the seat of 1.
    let (who, now) = (office.all_and(2, 1), office.at(1));
    let sits = |about: &Disclosure, person: usize, seat: usize| {
        let sat = (&Office::officer(person), Some(Office::officer(seat)));
        Office::decision_for(about, sat, role, (Some(0b111), false), now)
    };
    let nobodys = new.decide(sits(&new, 0, 1), &who, now).err();
    assert_eq!(nobodys, Some(Refused::NotDelegated(Office::officer(1))));
    let (one, _) = new.decide(grant(&new, 0, role, 0b111, 1), &who, now).unwrap();
    let (own, _) = one.decide(grant(&one, 2, role, 0b111, 1), &who, now).unwrap();
    assert_eq!(own.state(), State::PartiallyApproved, "both are of Wellington");
    let (two, _) = one.decide(sits(&one, 2, 1), &who, now).unwrap();
    assert_eq!(two.state(), State::Approved);
    assert!(two.approval(&who, now).is_ok());
    assert!(two.approval(&office.all(), now).is_err(), "it is delegated no more");
    let (seat, _) = new.decide(sits(&new, 2, 1), &who, now).unwrap();
    let owner = seat.decide(grant(&seat, 1, role, 0b111, 1), &who, now).err();
    assert_eq!(owner, Some(Refused::SeatFilled(Office::officer(1))));
    let (owner, _) = new.decide(grant(&new, 1, role, 0b111, 1), &who, now).unwrap();
    assert_eq!(
        owner.decide(sits(&owner, 2, 1), &who, now).err(),
        Some(Refused::SeatFilled(Office::officer(1)))
    );
    // Whoever stepped back is not there by somebody else either.
    let (stepped, _) = new.tend(deed(DeedKind::Recuse, 1), &who, now).unwrap();
    assert_eq!(
        stepped.decide(sits(&stepped, 2, 1), &who, now).err(),
        Some(Refused::Recused(Office::officer(1)))
    );
    let (after, _) = two.tend(deed(DeedKind::Recuse, 1), &who, now).unwrap();
    assert_eq!(after.state(), State::PartiallyApproved);
}

#[test]
fn a_question_sets_approvals_aside_and_its_answer_is_part_of_what_is_decided() {
    let role = DeciderRole::ApprovingOfficer;
    let office = Office::new(&[(role, 2)]);
    let new = office.disclosure();
    let (half, _) = new.decide(grant(&new, 0, role, 0b111, 1), &office.all(), office.at(1)).unwrap();
    let (asked, step) = half.tend(deed(DeedKind::Question, 1), &office.all(), office.at(2)).unwrap();
    assert_eq!((step.from, step.to), (State::PartiallyApproved, State::NeedsInformation));
    assert_eq!((asked.decisions().len(), asked.set_aside().count()), (0, 1));
    let early = asked.decide(grant(&asked, 2, role, 0b111, 3), &office.all(), office.at(3)).err();
    assert!(matches!(early, Some(Refused::NotNow { .. })), "nobody decides while the partner is asked");
    let again = asked.tend(deed(DeedKind::Question, 2), &office.all(), office.at(3)).err();
    assert!(matches!(again, Some(Refused::NotNow { .. })), "one question at a time");

    let answer = |question| SignedAnswer {
        answer: Answer::new(
            asked.request().disclosure(),
            question,
            "Born in Otaki.".to_owned(),
            "o-1".to_owned(),
        )
        .unwrap(),
        signature: vec![1],
        by: "au-border-gateway".parse().unwrap(),
    };
    let other = asked.answer(answer(asked.digest()), office.at(4)).err();
    assert_eq!(other, Some(Refused::OtherQuestion));
    let question = asked.open_question().unwrap().digest;
    let (told, _) = asked.answer(answer(question), office.at(4)).unwrap();
    assert_eq!(told.state(), State::Pending);
    assert_ne!(told.digest(), new.digest(), "what is decided about has changed");
    let old = grant(&new, 2, role, 0b111, 5);
    assert_eq!(told.decide(old, &office.all(), office.at(5)).err(), Some(Refused::OtherRequest));
    let (one, _) = told.decide(grant(&told, 0, role, 0b111, 5), &office.all(), office.at(5)).unwrap();
    let (two, _) = one.decide(grant(&one, 1, role, 0b111, 5), &office.all(), office.at(5)).unwrap();
    assert_eq!(two.state(), State::Approved, "who approved before may approve again");
    assert_eq!(two.approval(&office.all(), office.at(6)).unwrap().request(), told.digest());
    assert!(matches!(told.answer(answer(question), office.at(6)).err(), Some(Refused::NotNow { .. })));
    assert_eq!(asked.expire(office.at(100)).unwrap().0.state(), State::Expired, "the time runs on");
}

#[test]
fn who_steps_back_counts_no_longer_and_does_nothing_more() {
    let role = DeciderRole::ApprovingOfficer;
    let office = Office::new(&[(role, 2)]);
    let new = office.disclosure();
    let (one, _) = new.decide(grant(&new, 0, role, 0b001, 1), &office.all(), office.at(1)).unwrap();
    let (two, _) = one.decide(grant(&one, 1, role, 0b011, 1), &office.all(), office.at(1)).unwrap();
    let approval = two.approval(&office.all(), office.at(1)).unwrap();
    let (left, step) = two.tend(deed(DeedKind::Recuse, 0), &office.all(), office.at(2)).unwrap();
    assert_eq!((step.from, step.to), (State::Approved, State::PartiallyApproved));
    assert!(left.release(approval, office.at(90), None).is_err(), "the approval is older than the recusal");
    let gone = Some(Refused::Recused(Office::officer(0)));
    assert_eq!(left.decide(grant(&left, 0, role, 1, 3), &office.all(), office.at(3)).err(), gone);
    for kind in DeedKind::ALL {
        let refused = left.tend(deed(kind, 0), &office.all(), office.at(3)).err();
        // Before a release there is nothing to be reviewed or corrected.
        let nothing =
            matches!(refused, Some(Refused::NoReview | Refused::NoCorrection | Refused::NotNow { .. }));
        assert!(refused == gone || is_afterwards(kind) && nothing, "{kind}: {refused:?}");
    }
    let (again, _) = left.decide(grant(&left, 2, role, 0b111, 3), &office.all(), office.at(3)).unwrap();
    let approval = again.approval(&office.all(), office.at(3)).unwrap();
    assert_eq!(approval.fields().iter().count(), 1, "what was withheld stays withheld");
    let (alone, _) = one.tend(deed(DeedKind::Recuse, 0), &office.all(), office.at(2)).unwrap();
    assert_eq!(alone.state(), State::Pending);
}

#[test]
fn units_are_counted_at_the_decision_and_again_at_the_release() {
    let role = DeciderRole::ApprovingOfficer;
    let office = Office::of_units(&[(role, 2)], 2);
    let new = office.disclosure();
    // Officers 0 and 2 are of one unit, 1 of another, 4 of none.
    let decided = |before: &Disclosure, who| {
        before.decide(grant(before, who, role, 0b111, 1), &office.all(), office.at(1)).unwrap().0
    };
    assert_eq!(decided(&decided(&new, 0), 2).state(), State::PartiallyApproved);
    assert_eq!(
        decided(&decided(&new, 0), 4).state(),
        State::PartiallyApproved,
        "no unit is not another unit"
    );
    let approved = decided(&decided(&new, 0), 1);
    assert_eq!(approved.state(), State::Approved);
    let moved: Vec<Eligible> = office
        .all()
        .into_iter()
        .map(|one| Eligible { unit: Some("auckland".parse().unwrap()), ..one })
        .collect();
    let missing = approved.approval(&moved, office.at(2)).err();
    assert_eq!(missing, Some(Missing::Units { role, have: 1, need: 2 }));
    assert!(approved.approval(&office.all(), office.at(2)).is_ok());
}

#[test]
fn an_approval_that_rests_on_a_comparison_names_it() {
    let role = DeciderRole::Examiner;
    let office = Office::comparing(&[(DeciderRole::ApprovingOfficer, 1), (role, 1)]);
    let new = office.disclosure();
    let without = new.decide(grant(&new, 0, role, 0b111, 1), &office.all(), office.at(1)).err();
    assert_eq!(without, Some(Refused::ComparisonMissing(role)));
    let denial = Office::signed(&new, &Office::officer(0), role, None, office.at(1));
    assert_eq!(new.decide(denial, &office.all(), office.at(1)).unwrap().0.state(), State::Denied);
    let named = Office::compared(&new, 0, role, 1);
    let (half, _) = new.decide(named, &office.all(), office.at(1)).unwrap();
    assert_eq!(half.state(), State::PartiallyApproved);
}

#[test]
fn a_release_is_revoked_locked_or_lapses_and_takes_notes_unless_locked() {
    let role = DeciderRole::ApprovingOfficer;
    let office = Office::new(&[(role, 1)]);
    let new = office.disclosure();
    let (one, _) = new.decide(grant(&new, 0, role, 0b001, 1), &office.all(), office.at(1)).unwrap();
    let early = one.tend(deed(DeedKind::Revoke, 1), &office.all(), office.at(1)).err();
    assert!(matches!(early, Some(Refused::NotNow { .. })), "nothing to revoke yet");
    let approval = one.approval(&office.all(), office.at(2)).unwrap();
    let (released, _) = one.release(approval, office.at(90), None).unwrap();
    assert_eq!(released.expire(office.at(90)).unwrap().0.state(), State::Lapsed);
    let done = |kind| released.tend(deed(kind, 1), &office.all(), office.at(3));
    let (revoked, _) = done(DeedKind::Revoke).unwrap();
    assert_eq!(revoked.ended_by().map(Deed::kind), Some(DeedKind::Revoke));
    assert!(revoked.acknowledge(office.at(4)).is_err());
    let (noted, step) = revoked.tend(deed(DeedKind::Note, 1), &office.all(), office.at(5)).unwrap();
    assert_eq!((step.from, step.to, noted.notes().len()), (State::Revoked, State::Revoked, 1));
    let (locked, _) = done(DeedKind::Lock).unwrap();
    for kind in DeedKind::ALL {
        let late = locked.tend(deed(kind, 1), &office.all(), office.at(5)).err();
        let refused = match kind {
            // What was released is corrected, whatever became of the release.
            DeedKind::StateCorrection | DeedKind::HitErroneous => None,
            DeedKind::AcceptCorrection | DeedKind::RefuseCorrection => Some(Refused::NoCorrection),
            DeedKind::FindJustified | DeedKind::FindNotJustified => Some(Refused::NoReview),
            _ => Some(Refused::Ended(State::Locked)),
        };
        assert_eq!(late, refused, "{kind}");
    }
    let (told, step) = done(DeedKind::HitErroneous).unwrap();
    assert_eq!(
        (step.to, told.corrections().len()),
        (State::Released, 1),
        "what was released stays, and is corrected"
    );
    let (wrong, _) = one.tend(deed(DeedKind::HitErroneous, 1), &office.all(), office.at(3)).unwrap();
    assert_eq!((wrong.state(), wrong.denial()), (State::Denied, Some(Denial::HitErroneous)));
}

#[test]
fn claims_are_seen_and_end_with_the_decision() {
    let role = DeciderRole::ApprovingOfficer;
    let office = Office::new(&[(role, 2)]);
    let new = office.disclosure();
    let claim =
        |before: &Disclosure, who| before.tend(deed(DeedKind::Claim, who), &office.all(), office.at(1));
    let (both, _) = claim(&claim(&new, 0).unwrap().0, 1).unwrap();
    assert_eq!(both.claims().len(), 2);
    assert!(matches!(claim(&both, 1), Err(Refused::DoneAlready { .. })));
    let (back, _) = both.tend(deed(DeedKind::PutBack, 1), &office.all(), office.at(2)).unwrap();
    let unclaimed = back.tend(deed(DeedKind::PutBack, 1), &office.all(), office.at(2)).err();
    assert_eq!(unclaimed, Some(Refused::NotClaimed(Office::officer(1))));
    let (decided, _) = back.decide(grant(&back, 0, role, 1, 2), &office.all(), office.at(2)).unwrap();
    assert!(decided.claims().is_empty());
    let examiner = DeedParts {
        kind: DeedKind::Claim,
        officer: Office::officer(3),
        role: DeciderRole::Examiner,
        words: String::new(),
    };
    let unasked = new.tend(Deed::new(examiner).unwrap(), &office.all(), office.at(1)).err();
    assert_eq!(unasked, Some(Refused::RoleNotAsked(DeciderRole::Examiner)));
    assert!(matches!(
        new.tend(deed(DeedKind::Claim, 0), &office.all_but(0), office.at(1)),
        Err(Refused::NotEligible { .. })
    ));
}

#[test]
fn an_urgent_release_owes_a_review_that_a_lock_does_not_end() {
    let role = DeciderRole::ApprovingOfficer;
    let office = Office::urgent(&[(role, 1)]);
    let new = office.disclosure();
    let (one, _) = new.decide(grant(&new, 0, role, 0b001, 1), &office.all(), office.at(1)).unwrap();
    let early = one.tend(finding(1), &office.all(), office.at(1)).err();
    assert_eq!(early, Some(Refused::NoReview), "nothing was released");
    for due in [None, Some(office.at(2))] {
        let approval = one.approval(&office.all(), office.at(2)).unwrap();
        assert_eq!(one.release(approval, office.at(90), due).err(), Some(Refused::ReviewBy));
    }
    let approval = one.approval(&office.all(), office.at(2)).unwrap();
    let (released, _) = one.release(approval, office.at(90), Some(office.at(20))).unwrap();
    assert_eq!(released.review_late(office.at(19)).err(), Some(Refused::TooEarly));
    let (locked, _) = released.tend(deed(DeedKind::Lock, 2), &office.all(), office.at(3)).unwrap();
    let (late, _) = locked.review_late(office.at(20)).unwrap();
    assert_eq!(late.review_late(office.at(21)).err(), Some(Refused::NoReview), "it is noted once");
    let by_decider = late.tend(finding(0), &office.all(), office.at(22)).err();
    assert_eq!(by_decider, Some(Refused::Reviewer(Office::officer(0))));
    let by_officer = late.tend(deed(DeedKind::FindJustified, 1), &office.all(), office.at(22)).err();
    assert_eq!(by_officer, Some(Refused::Reviewer(Office::officer(1))), "a colleague is no privacy officer");
    let (closed, step) = late.tend(finding(1), &office.all(), office.at(22)).unwrap();
    assert_eq!((step.from, step.to), (State::Locked, State::Locked));
    assert!(closed.review().is_some_and(|review| review.is_late() && !review.is_owed()));
    assert_eq!(closed.tend(finding(1), &office.all(), office.at(23)).err(), Some(Refused::NoReview), "once");
}

/// One of the people finds, as a privacy officer, that the urgent path was not justified.
fn finding(person: usize) -> Deed {
    let words = "it could have waited for the morning".to_owned();
    let (kind, role) = (DeedKind::FindNotJustified, DeciderRole::PrivacyOfficer);
    Deed::new(DeedParts { kind, officer: Office::officer(person), role, words }).unwrap()
}

/// What is about a release that was made: its review, and its corrections.
fn is_afterwards(kind: DeedKind) -> bool {
    use DeedKind::{AcceptCorrection, FindJustified, FindNotJustified, RefuseCorrection, StateCorrection};
    [AcceptCorrection, RefuseCorrection, StateCorrection, FindJustified, FindNotJustified].contains(&kind)
}
