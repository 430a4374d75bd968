//! Simulated traffic, seeded: five partners with weeks, hours, officials and cases of their own, four officers, and
//! misuses on request.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::super::seen::{Place, Seen, What};
use crate::clock::Timestamp;
use crate::ids::{DisclosureId, SubjectId};

pub(super) struct Traffic {
    pub(super) seed: u64,
    pub(super) days: i64,
    pub(super) misuse: Vec<Misuse>,
}

/// What somebody does from the hundredth day on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Misuse {
    /// An official looks up forty people, each under a case of its own, on five days.
    Fishing,
    /// Thirty questions a night for ten nights.
    AtNight,
    /// An officer grants everything within seconds.
    RubberStamp,
    /// Forty people under one case.
    ManyPeople,
    /// Fields of one person, four times, each refused.
    AskedAgain,
    /// Four times the questions of a day.
    Flood,
    /// A list of people who are known to be there.
    List,
    /// A sample that no person has.
    Canary,
}

impl Traffic {
    /// What was seen, oldest first.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let mut made =
            Made { random: ChaCha8Rng::seed_from_u64(self.seed), seen: Vec::new(), next: 0, free: [0; 4] };
        for day in 0..self.days {
            for partner in 0..PARTNERS.len() {
                made.day(partner, FIRST_DAY + day);
            }
            if (100..110).contains(&day) {
                self.misused(&mut made, day - 100);
            }
        }
        let is_stamped = self.misuse.contains(&Misuse::RubberStamp);
        made.decide(is_stamped, FIRST_DAY + 100);
        made.in_order()
    }

    fn misused(&self, made: &mut Made, day: i64) {
        let today = FIRST_DAY + 100 + day;
        for misuse in &self.misuse {
            match misuse {
                Misuse::Fishing if day < 5 => {
                    for number in 0..40 {
                        made.asked(
                            0,
                            (today, 8.0 + f64::from(number) / 5.0),
                            (&format!("f-{day}-{number}"), FISHER),
                            false,
                        );
                    }
                }
                Misuse::AtNight => {
                    for number in 0..30 {
                        made.asked(
                            1,
                            (today, 1.0 + f64::from(number) / 15.0),
                            (&format!("n-{day}-{number}"), "o-1"),
                            false,
                        );
                    }
                }
                Misuse::ManyPeople if day == 0 => {
                    for number in 0..40 {
                        made.asked(0, (today, 9.0 + f64::from(number) / 10.0), (BIG_CASE, "o-2"), false);
                    }
                }
                Misuse::AskedAgain if day < 4 => made.refused(2, today),
                Misuse::Flood if day == 1 => {
                    for number in 0..600_i32 {
                        let official = format!("o-{}", number % 12);
                        made.asked(
                            3,
                            (today, 8.0 + f64::from(number) / 80.0),
                            (&format!("x-{number}"), &official),
                            false,
                        );
                    }
                }
                Misuse::List if day == 1 => {
                    for number in 0..25 {
                        made.asked(
                            4,
                            (today, 9.0 + f64::from(number) / 10.0),
                            (&format!("l-{number}"), "o-3"),
                            true,
                        );
                    }
                }
                Misuse::Canary if day == 0 => made.push(
                    0,
                    (today, 10.0),
                    What::Asked {
                        case: "c-canary".to_owned(),
                        official: "o-1".to_owned(),
                        is_hit: true,
                        matched: vec![canary()],
                    },
                ),
                _ => {}
            }
        }
    }
}

struct Made {
    random: ChaCha8Rng,
    seen: Vec<Seen>,
    next: u128,
    /// When each officer has read the case before.
    free: [i64; 4],
}

impl Made {
    /// A day of a partner: a number of cases around what its weekday has, most of them in its working hours.
    fn day(&mut self, partner: usize, day: i64) {
        let is_weekend = matches!((day + 3).rem_euclid(7), 5 | 6);
        let usual = CASES_A_DAY[partner] * if is_weekend { 0.3 } else { 1.0 };
        let busy = (self.normal() * 0.15).exp();
        let cases = self.poisson(usual * busy);
        let officials = 4 + 3 * partner;
        for number in 0..cases {
            let hour = if self.chance(0.015) {
                self.random.random::<f64>() * 24.0
            } else {
                13.0 + 2.5 * self.normal()
            };
            // Some officials have more to do than others.
            let weight = self.random.random::<f64>() * self.random.random::<f64>();
            let official = format!("o-{}", to_index(weight * f64::from(u32::try_from(officials).unwrap())));
            let case = format!("c-{day}-{number}");
            let is_hit = self.chance(0.04);
            let hour = hour.clamp(0.0, 23.0);
            self.asked(partner, (day, hour), (&case, &official), is_hit);
            let mut again = 0.1;
            while self.chance(0.35) {
                self.asked(partner, (day, (hour + again).min(23.9)), (&case, &official), is_hit);
                again += 0.1;
            }
            if is_hit && self.chance(0.6) {
                let what = What::Requested { disclosure: self.disclosure(), subject: self.subject() };
                self.push(partner, (day, (hour + 0.5).min(23.9)), what);
            }
        }
    }

    fn asked(&mut self, partner: usize, when: (i64, f64), of: (&str, &str), is_hit: bool) {
        let matched = if is_hit { vec![self.subject()] } else { Vec::new() };
        let what = What::Asked { case: of.0.to_owned(), official: of.1.to_owned(), is_hit, matched };
        self.push(partner, when, what);
    }

    /// A request for the fields of one and the same person, which an officer refuses two hours later.
    fn refused(&mut self, partner: usize, day: i64) {
        let disclosure = self.disclosure();
        let subject = SubjectId::from_bytes([0xEE; 16]);
        self.push(partner, (day, 10.0), What::Requested { disclosure, subject });
        let officer = OFFICERS[0].to_owned();
        self.push(partner, (day, 12.0), What::Decided { disclosure, officer, is_granted: false });
    }

    /// Two officers read each request, one after the other, and refuse one of ten; the stamp grants at once.
    fn decide(&mut self, is_stamped: bool, from: i64) {
        let requests: Vec<(Seen, DisclosureId)> = self
            .seen
            .iter()
            .filter_map(|seen| match seen.what {
                What::Requested { disclosure, subject } if subject != SubjectId::from_bytes([0xEE; 16]) => {
                    Some((seen.clone(), disclosure))
                }
                _ => None,
            })
            .collect();
        let mut requests = requests;
        requests.sort_by_key(|(seen, _)| seen.at);
        for (request, disclosure) in requests {
            let first = self.random.random_range(0..OFFICERS.len());
            let second = (first + self.random.random_range(1..OFFICERS.len())) % OFFICERS.len();
            for number in [first, second] {
                let is_stamp = is_stamped && OFFICERS[number] == RUBBER_STAMP && request.at.day() >= from;
                let begun = self.free[number].max(request.at.as_millis());
                let read = if is_stamp { 8_000.0 } else { 60_000.0 * 12.0 * (self.normal() * 0.8).exp() };
                let at = begun + to_millis(read);
                self.free[number] = at;
                let is_granted = is_stamp || !self.chance(0.1);
                let what = What::Decided { disclosure, officer: OFFICERS[number].to_owned(), is_granted };
                let place = request.place.clone();
                self.seen.push(Seen { place, at: Timestamp::from_millis(at), what });
                if !is_granted {
                    break;
                }
            }
        }
    }

    fn push(&mut self, partner: usize, when: (i64, f64), what: What) {
        let at = Timestamp::from_millis(when.0 * 86_400_000 + to_millis(when.1 * 3_600_000.0));
        let place = Place { journal: PARTNERS[partner].to_owned(), index: 0 };
        self.seen.push(Seen { place, at, what });
    }

    /// In the order of time, with indexes by journal.
    fn in_order(mut self) -> Vec<Seen> {
        self.seen.sort_by_key(|seen| seen.at);
        let mut next = std::collections::BTreeMap::new();
        for seen in &mut self.seen {
            let index = next.entry(seen.place.journal.clone()).or_insert(0);
            seen.place.index = *index;
            *index += 1;
        }
        self.seen
    }

    fn disclosure(&mut self) -> DisclosureId {
        self.next += 1;
        DisclosureId::from_bytes(self.next.to_be_bytes())
    }

    fn subject(&mut self) -> SubjectId {
        SubjectId::from_bytes(self.random.random::<u128>().to_be_bytes())
    }

    fn chance(&mut self, of: f64) -> bool {
        self.random.random::<f64>() < of
    }

    /// Box and Muller (1958).
    fn normal(&mut self) -> f64 {
        let (one, two): (f64, f64) = (self.random.random(), self.random.random());
        (-2.0 * (1.0 - one).ln()).sqrt() * (std::f64::consts::TAU * two).cos()
    }

    fn poisson(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.random.random::<f64>(), 0);
        while product > limit {
            product *= self.random.random::<f64>();
            count += 1;
        }
        count
    }
}

pub(super) fn canary() -> SubjectId {
    SubjectId::from_bytes([0xCA; 16])
}

#[expect(clippy::as_conversions, clippy::cast_possible_truncation, reason = "small numbers of a simulation")]
fn to_millis(real: f64) -> i64 {
    real as i64
}

fn to_index(real: f64) -> i64 {
    to_millis(real)
}

pub(super) const PARTNERS: [&str; 5] = ["au-border", "ca-border", "uk-border", "us-border", "fj-police"];
pub(super) const OFFICERS: [&str; 4] = ["officer-1", "officer-2", "officer-3", "officer-4"];
pub(super) const FISHER: &str = "o-0";
pub(super) const AT_NIGHT: &str = "ca-border";
pub(super) const RUBBER_STAMP: &str = "officer-3";
pub(super) const BIG_CASE: &str = "c-big";
const CASES_A_DAY: [f64; 5] = [60.0, 45.0, 30.0, 100.0, 20.0];
/// A Monday in 2026.
const FIRST_DAY: i64 = 20_458;
