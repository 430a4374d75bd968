//! Who is one person: against the entries that made them so, and what restricts one against what restricts the others.

use std::collections::{BTreeMap, BTreeSet};

use crate::authz::PayloadClass;
use crate::clock::Timestamp;
use crate::ids::{ChangeId, RestrictionName, SubjectId};
use crate::store::StoreError;

use super::super::{database, enrolment};
use super::history::History;
use super::report::{FaultPlace, FsckReport};
use super::view::View;

/// Holds who is one person against the entries.
pub(super) fn of(view: &View, history: &History, report: &mut FsckReport) -> Result<(), StoreError> {
    let read = "SELECT p.subject, p.person, p.own_set, p.joined_ms, s.restriction_set
                FROM one_person p LEFT JOIN subjects s ON s.id = p.subject ORDER BY p.subject";
    let rows = view.sql.prepare(read).and_then(|mut statement| {
        let row = |row: &rusqlite::Row<'_>| {
            let ids = (SubjectId::from_bytes(row.get(0)?), ChangeId::from_bytes(row.get(1)?));
            Ok((
                ids,
                row.get::<_, u64>(2)?,
                Timestamp::from_millis(row.get(3)?),
                row.get::<_, Option<u64>>(4)?,
            ))
        };
        statement.query_map([], row)?.collect::<Result<Vec<_>, _>>()
    });
    let mut found = BTreeMap::new();
    let mut people: BTreeMap<ChangeId, Person> = BTreeMap::new();
    for ((subject, person), own, joined, set) in database("reading who is one person", rows)? {
        let Some(set) = set else {
            report.fault(place(subject), "its subject is not there");
            continue;
        };
        let all = people.entry(person).or_default();
        all.restricted_by.extend(enrolment::restriction_names(&view.sql, own)?);
        all.members.push((subject, set));
        found.insert(subject, (person, joined));
    }
    for person in people.values() {
        for (subject, set) in &person.members {
            if enrolment::restriction_names(&view.sql, *set)? != person.restricted_by {
                report.fault(place(*subject), "it is not restricted by what restricts the one person");
            }
        }
    }
    for subject in found.keys().chain(history.one_person.keys()).collect::<BTreeSet<_>>() {
        let (is, said) = (found.get(subject), history.one_person.get(subject));
        let is_sound = match (is, said) {
            (Some((_, joined)), None) => view.disposals.covers(PayloadClass::Enrolment, *joined),
            // Whom the others left is one with nobody.
            (None, Some((person, _))) => {
                let all = found.iter().chain(&history.one_person);
                all.filter(|(one, of)| *one != subject && of.0 == *person).count() == 0
            }
            _ => is == said,
        };
        if !is_sound {
            report.fault(place(*subject), "it is not the person that its entries say");
        }
    }
    Ok(())
}

/// All who are one.
#[derive(Default)]
struct Person {
    /// What restricts any of them on its own account.
    restricted_by: BTreeSet<RestrictionName>,
    /// Each, with the set that its templates lie under.
    members: Vec<(SubjectId, u64)>,
}

fn place(subject: SubjectId) -> FaultPlace {
    FaultPlace::Row { table: "one_person", row: subject.resource() }
}
