use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;

use super::super::day_key::mark;
use super::super::tests::founded_store;
use super::super::{SqliteStore, files};
use super::*;
use crate::store::disclosure::Requested;
use crate::store::{Answer, Verdict};

const PARTNERS: [&str; 2] = ["au-border", "ca-border"];
const PURPOSES: [&str; 2] = ["border-identity", "crime"];
const BASES: [&str; 2] = ["Customs Act", "Migration Act"];
const STATES: [State; 3] = [State::Pending, State::PartiallyApproved, State::Released];

/// What a row is found by.
#[derive(Debug, Clone)]
struct Facts {
    partner: usize,
    purpose: usize,
    basis: usize,
    state: usize,
    created: i64,
    lasts: i64,
}

#[derive(Debug, Clone)]
struct Asked {
    newest: bool,
    partner: Option<usize>,
    purpose: Option<usize>,
    basis: Option<usize>,
    states: BTreeSet<usize>,
    since: Option<i64>,
    before: Option<i64>,
    limit: u32,
}

fn facts() -> impl Strategy<Value = Facts> {
    (0..2_usize, 0..2_usize, 0..2_usize, 0..3_usize, 0..40_i64, 0..20_i64).prop_map(
        |(partner, purpose, basis, state, created, lasts)| Facts {
            partner,
            purpose,
            basis,
            state,
            created,
            lasts,
        },
    )
}

fn asked() -> impl Strategy<Value = Asked> {
    let some = || proptest::option::of(0..2_usize);
    let time = || proptest::option::of(0..40_i64);
    let states = proptest::collection::btree_set(0..3_usize, 0..3);
    (any::<bool>(), some(), some(), some(), states, time(), time(), 1..6_u32).prop_map(
        |(newest, partner, purpose, basis, states, since, before, limit)| Asked {
            newest,
            partner,
            purpose,
            basis,
            states,
            since,
            before,
            limit,
        },
    )
}

impl Asked {
    fn filter(&self) -> CaseFilter {
        CaseFilter {
            partner: self.partner.map(|at| PARTNERS[at].parse().unwrap()),
            states: self.states.iter().map(|at| STATES[*at]).collect(),
            purpose: self.purpose.map(|at| PURPOSES[at].parse().unwrap()),
            legal_basis: self.basis.map(|at| BASES[at].to_owned()),
            asked_since: self.since.map(Timestamp::from_millis),
            asked_before: self.before.map(Timestamp::from_millis),
            order: if self.newest { CaseOrder::Newest } else { CaseOrder::Queue },
            limit: self.limit,
            ..CaseFilter::default()
        }
    }

    fn wants(&self, row: &Facts) -> bool {
        self.partner.is_none_or(|at| at == row.partner)
            && self.purpose.is_none_or(|at| at == row.purpose)
            && self.basis.is_none_or(|at| at == row.basis)
            && (self.states.is_empty() || self.states.contains(&row.state))
            && self.since.is_none_or(|since| row.created >= since)
            && self.before.is_none_or(|before| row.created <= before)
    }
}

fn id_of(at: usize) -> [u8; 16] {
    // Not in the order of the rows.
    let mut id = [0; 16];
    id[0] = u8::try_from(at * 37 % 251).unwrap();
    id[1] = u8::try_from(at).unwrap();
    id
}

/// Rows as they are found; what is sealed in them is nothing, so none of them can be opened.
fn fill(store: &SqliteStore, folder: &Path, rows: &[Facts]) -> Connection {
    let sql = Connection::open(&files(folder)[0]).unwrap();
    sql.execute("DELETE FROM disclosures", []).unwrap();
    let tags = store.context.keys.ring.tags();
    let body = [mark(30_000).as_slice(), &[0; 32]].concat();
    for (at, row) in rows.iter().enumerate() {
        let id = id_of(at);
        let insert =
            "INSERT INTO disclosures (id, sequence, partner, request_tag, content, state, body, created_ms,
                        ends_ms, journal, idx, purpose_tag, basis_tag, subject_tag, official_tag, turn)
                      VALUES (?1, ?2, ?3, ?1, x'', ?4, ?5, ?6, ?7,
                        (SELECT journal FROM partners WHERE name = ?3), ?2, ?8, ?9, x'', x'', ?2 % 2)";
        let purpose = tags.tag(Domain::Purpose, PURPOSES[row.purpose].as_bytes());
        let basis = tags.tag(Domain::LegalBasis, BASES[row.basis].as_bytes());
        let values = params![
            id,
            at + 1,
            PARTNERS[row.partner],
            STATES[row.state].as_str(),
            body,
            row.created,
            row.created + row.lasts,
            purpose.as_bytes(),
            basis.as_bytes()
        ];
        sql.execute(insert, values).unwrap();
    }
    sql
}

fn ids(store: &SqliteStore, sql: &Connection, filter: &CaseFilter) -> Vec<[u8; 16]> {
    let mut found = Vec::new();
    for part in walks(filter) {
        found.extend(listed(&store.context, sql, filter, part).unwrap());
    }
    found.sort_unstable();
    found.truncate(usize::try_from(filter.limit).unwrap());
    found.into_iter().map(|row| row.id).collect()
}

#[test]
fn pages_of_every_filter_hold_each_case_once_in_its_order_also_when_cases_move_between_them() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (_bench, store) = runtime.block_on(founded_store(folder.path()));
    let rows = proptest::collection::vec(facts(), 0..24);
    proptest!(ProptestConfig::with_cases(120), |(rows in rows, asked in asked(), moved in any::<bool>())| {
        let sql = fill(&store, folder.path(), &rows);
        let mut due: Vec<(i64, i64, i64, [u8; 16])> = rows
            .iter()
            .enumerate()
            .filter(|(_, row)| asked.wants(row))
            .map(|(at, row)| {
                let sequence = i64::try_from(at + 1).unwrap();
                let place = if asked.newest { (-sequence, 0, 0) } else { (sequence % 2, row.created + row.lasts, sequence) };
                (place.0, place.1, place.2, id_of(at))
            })
            .collect();
        due.sort_unstable();
        let due: Vec<[u8; 16]> = due.into_iter().map(|(.., id)| id).collect();
        let mut seen = Vec::new();
        let mut filter = asked.filter();
        loop {
            let page = ids(&store, &sql, &filter);
            let Some(last) = page.last().copied() else { break };
            seen.extend(page);
            let ends = "SELECT ends_ms FROM disclosures WHERE id = ?1";
            let ends = sql.query_row(ends, [last], |row| row.get(0)).unwrap();
            filter.after = Some(DisclosureId::from_bytes(last));
            filter.after_ends = Some(Timestamp::from_millis(ends));
            // Where every state is walked, what moves is met again.
            if moved && !asked.states.is_empty() {
                // Somebody decides about the last one of the page before the next one is asked for.
                let moves = "UPDATE disclosures SET state = 'acknowledged', ends_ms = ends_ms + 1000 WHERE id = ?1";
                sql.execute(moves, [last]).unwrap();
            }
        }
        prop_assert_eq!(&seen, &due);
        let counted = count(&store.context, &sql, &CaseFilter { after: None, ..asked.filter() }).unwrap();
        if !moved {
            let (number, limit) = (u32::try_from(due.len()).unwrap(), asked.limit);
            prop_assert_eq!(counted, CaseCount { cases: number.min(limit), is_more: number > limit });
        }
    });
}

#[test]
fn every_filter_walks_an_index_that_begins_with_it_and_sorts_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (_bench, store) = runtime.block_on(founded_store(folder.path()));
    let sql = fill(&store, folder.path(), &[]);
    let plan = |statement: &str| -> Vec<String> {
        let mut statement = sql.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get(3)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    for bits in 0..64_u8 {
        let some = |bit: u8| (bits >> bit & 1 == 1).then_some(0);
        let asked = Asked {
            newest: false,
            partner: some(0),
            purpose: some(1),
            basis: some(2),
            states: BTreeSet::from([0]),
            since: some(3).map(|_| 5),
            before: some(4).map(|_| 9),
            limit: 25,
        };
        let mut filter = asked.filter();
        filter.after = some(5).map(|_| DisclosureId::from_bytes([1; 16]));
        let lines = plan(&Walk::of(&filter, Some((State::Pending, 0))).statement());
        let walk = &lines[0];
        let begins = match (asked.partner, asked.purpose, asked.basis) {
            (Some(_), _, Some(_)) => {
                "disclosures_by_partner_basis (partner=? AND basis_tag=? AND state=? AND turn=?"
            }
            (Some(_), Some(_), None) => {
                "disclosures_by_partner_purpose (partner=? AND purpose_tag=? AND state=? AND turn=?"
            }
            (Some(_), None, None) => "disclosures_by_partner (partner=? AND state=? AND turn=?",
            (None, _, Some(_)) => "disclosures_by_basis (basis_tag=? AND state=? AND turn=?",
            (None, Some(_), None) => "disclosures_by_purpose (purpose_tag=? AND state=? AND turn=?",
            (None, None, None) => "disclosures_by_turn (state=? AND turn=?",
        };
        assert!(walk.starts_with("SEARCH walked USING") && walk.contains(begins), "{walk}");
        if asked.since.is_some() || filter.after.is_some() {
            assert!(walk.contains("ends_ms>"), "the walk begins where it must: {walk}");
        }
        assert!(
            !lines.iter().any(|line| line.contains("TEMP B-TREE") || line.starts_with("SCAN")),
            "{lines:?}"
        );
        if asked.purpose.is_none() || asked.basis.is_none() {
            assert!(walk.contains("COVERING INDEX"), "no row is read that is not shown: {walk}");
        }
    }
    let newest =
        CaseFilter { partner: Some(PARTNERS[0].parse().unwrap()), limit: 5, ..CaseFilter::default() };
    let lines = plan(&Walk::of(&newest, None).statement());
    assert!(lines[0].contains("disclosures_by_asker (partner=?"), "{lines:?}");
    for (statement, index) in [
        (SAME_PERSON, "disclosures_by_subject (subject_tag=?"),
        (SAME_OFFICIAL, "disclosures_by_official (official_tag=?"),
    ] {
        let lines = plan(statement);
        assert!(
            lines[0].contains(index) && !lines.iter().any(|line| line.contains("TEMP B-TREE")),
            "{lines:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_else_was_asked_is_found_by_person_and_by_official_newest_first() {
    let folder = tempfile::tempdir().unwrap();
    let (bench, store) = founded_store(folder.path()).await;
    let mut rng = <rand_chacha::ChaCha8Rng as rand::SeedableRng>::seed_from_u64(7);
    let [one, other] = [bench.enrol(&mut rng, "P-1", &[]).await, bench.enrol(&mut rng, "P-2", &[]).await];
    let mut asked = Vec::new();
    for subject in [one, other, one, one] {
        let (query, ..) =
            bench.ask(Verdict { answer: Answer::Hit, subject: Some(subject), hidden: None }).await;
        let Requested::Kept(case) = bench.disclosure(query).await else { panic!("it is a hit") };
        asked.push(case.disclosure.request().disclosure());
    }
    let ids = |cases: &[Case]| -> Vec<_> {
        cases.iter().map(|case| case.disclosure.request().disclosure()).collect()
    };
    let related = bench.store.disclosure_related(asked[0], 10).await.unwrap();
    assert_eq!(ids(&related.person), [asked[3], asked[2]]);
    assert_eq!(ids(&related.official), [asked[3], asked[2], asked[1]]);
    let related = bench.store.disclosure_related(asked[1], 2).await.unwrap();
    assert!(related.person.is_empty());
    assert_eq!(ids(&related.official), [asked[3], asked[2]]);
    let nobody = DisclosureId::from_bytes([9; 16]);
    assert!(bench.store.disclosure_related(nobody, 2).await.unwrap().official.is_empty());
    drop((bench, store));
}
