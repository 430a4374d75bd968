//! Everybody is found in both tiers, and whoever was forgotten in none.

use std::collections::HashMap;

use rand::RngExt as _;

use super::super::{connect, migrate, schema};
use super::*;
use crate::template::synthetic;

struct Site {
    sql: Connection,
    people: HashMap<Pseudonym, SubjectId>,
    _folder: tempfile::TempDir,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sql = connect(&folder.path().join("db.sqlite")).unwrap();
        migrate(&mut sql, &schema::migrations::runner().set_grouped(true)).unwrap();
        Self { sql, people: HashMap::new(), _folder: folder }
    }

    fn enter(&mut self, sources: impl IntoIterator<Item = [u8; 32]>, waiting_max: u64) {
        let new: Vec<_> = sources
            .into_iter()
            .map(|source| (Pseudonym::from_bytes(source), SubjectId::from_bytes(rand::random())))
            .collect();
        let step = self.sql.unchecked_transaction().unwrap();
        enter_within(&step, &new, waiting_max).unwrap();
        for (source, id) in new {
            let insert =
                "INSERT INTO subjects (id, source, restriction_set, enrolled_by) VALUES (?1, ?2, 0, 'a')";
            step.execute(insert, params![id.as_bytes(), source.as_bytes()]).unwrap();
            self.people.insert(source, id);
        }
        step.commit().unwrap();
    }

    fn forget(&mut self, source: &Pseudonym) {
        let (id, step) = (self.people.remove(source).unwrap(), self.sql.unchecked_transaction().unwrap());
        forget(&step, id).unwrap();
        step.execute("DELETE FROM subjects WHERE id = ?1", params![id.as_bytes()]).unwrap();
        step.commit().unwrap();
    }

    fn found(&self, sources: &[Pseudonym]) -> Vec<Option<SubjectId>> {
        let asked = Asked::read(&self.sql, sources.iter()).unwrap();
        sources.iter().map(|source| asked.find(&self.sql, source).unwrap().map(|known| known.id)).collect()
    }

    /// How many are in the tree, and how many wait, as the rows say.
    fn tiers(&self) -> (u64, u64) {
        let number = |query: &str| self.sql.query_row(query, [], |row| row.get::<_, u64>(0)).unwrap();
        let waiting = number("SELECT coalesce(sum(length(entries)), 0) / 24 FROM sources_waiting");
        assert_eq!(waiting, number("SELECT waiting FROM sources_tally"));
        (number("SELECT count(*) FROM sources"), waiting)
    }
}

#[test]
fn everybody_is_found_who_waits_or_was_poured_and_nobody_who_was_forgotten() {
    let (mut site, mut rng) = (Site::new(), synthetic::rng(1));
    let mut gone = Vec::new();
    for group in [1, 700, 3, 5_000, 1, 40, 2_000, 9] {
        site.enter((0..group).map(|_| rng.random()).collect::<Vec<_>>(), 1_500);
        assert!(site.tiers().1 <= 1_500, "whoever is too many is poured");
        let some: Vec<_> = site.people.keys().copied().step_by(97).collect();
        for source in some {
            site.forget(&source);
            gone.push(source);
        }
    }
    let (poured, waiting) = site.tiers();
    assert!(poured > 1_000 && waiting > 100, "{poured} poured, {waiting} waiting");
    let all: Vec<_> = site.people.keys().copied().collect();
    let due: Vec<_> = all.iter().map(|source| Some(site.people[source])).collect();
    assert!(site.found(&all) == due);
    assert!(site.found(&gone).iter().all(Option::is_none));
    let strangers: Vec<_> = (0..500).map(|_| Pseudonym::from_bytes(rng.random())).collect();
    assert!(site.found(&strangers).iter().all(Option::is_none));
    let entries = u64::try_from(site.people.len()).unwrap();
    assert_eq!(faults(&site.sql).unwrap(), (entries, Vec::new()), "nothing is left of those who are gone");
}

#[test]
fn sources_that_begin_alike_lead_to_their_own_subjects() {
    let mut site = Site::new();
    let alike = |last: u8| {
        let mut source = [7; 32];
        source[31] = last;
        source
    };
    site.enter([alike(1), alike(2)], 0);
    assert_eq!(site.tiers(), (2, 0));
    site.enter([alike(3), alike(4)], 100);
    assert_eq!(site.tiers(), (2, 2));
    let sources = [1, 2, 3, 4].map(|last| Pseudonym::from_bytes(alike(last)));
    assert_eq!(site.found(&sources), sources.map(|source| Some(site.people[&source])));
    site.forget(&sources[0]);
    site.forget(&sources[2]);
    let found = site.found(&sources);
    assert_eq!(found, [None, Some(site.people[&sources[1]]), None, Some(site.people[&sources[3]])]);
    assert_eq!(site.tiers(), (1, 1));
    assert_eq!(site.found(&[Pseudonym::from_bytes(alike(5))]), [None]);
}

#[test]
fn an_entry_whose_subject_is_gone_leads_to_nobody() {
    let mut site = Site::new();
    site.enter([[1; 32], [2; 32]], 100);
    site.sql.execute("DELETE FROM subjects WHERE source = ?1", params![[1_u8; 32]]).unwrap();
    let sources = [[1; 32], [2; 32]].map(Pseudonym::from_bytes);
    assert_eq!(site.found(&sources), [None, Some(site.people[&sources[1]])]);
}
