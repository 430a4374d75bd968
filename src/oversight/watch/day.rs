//! A partner's days: how much, when, by whom, for how many cases, with how many hits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::odds;
use super::super::seen::{Place, Seen};
use super::{Alert, Detector, Finding, ODDS_OF_A_CASE, ODDS_OF_A_WINDOW, Whom};
use crate::clock::Timestamp;

/// What is known of a partner.
#[derive(Default)]
pub(super) struct Partner {
    today: Option<Day>,
    past: VecDeque<Past>,
    cases: BTreeMap<String, Case>,
}

/// A day that is not over.
struct Day {
    number: i64,
    journal: String,
    asked: Vec<(Place, Timestamp)>,
    cases: BTreeMap<String, CaseToday>,
    officials: BTreeMap<String, Official>,
    /// Each case once for each hour in which it asked.
    hours: BTreeSet<(usize, String)>,
}

#[derive(Default)]
struct CaseToday {
    has_hit: bool,
    first_hit: Option<(Place, Timestamp)>,
}

#[derive(Default)]
struct Official {
    cases: BTreeSet<String>,
    asked: Vec<(Place, Timestamp)>,
}

/// A case as long as it is remembered.
#[derive(Default)]
struct Case {
    asked: Vec<(Place, Timestamp)>,
    is_told: bool,
}

/// What is remembered of a day that is over.
struct Past {
    number: i64,
    questions: u32,
    /// The number of cases that asked in each hour.
    by_hour: [u32; HOURS],
    cases: u32,
    cases_with_hit: u32,
    /// The number of cases of each official who asked.
    of_officials: Vec<u32>,
}

impl Partner {
    pub(super) fn asked(
        &mut self,
        seen: &Seen,
        of: (&String, &String),
        is_hit: bool,
        alerts: &mut Vec<Alert>,
    ) {
        let number = seen.at.day();
        if self.today.as_ref().is_some_and(|day| day.number != number) {
            self.close(alerts);
        }
        let (case, official) = of;
        let journal = &seen.place.journal;
        let entry = (seen.place.clone(), seen.at);
        let day = self.today.get_or_insert_with(|| Day::new(number, journal));
        day.asked.push(entry.clone());
        let in_case = day.cases.entry(case.clone()).or_default();
        if is_hit && !in_case.has_hit {
            (in_case.has_hit, in_case.first_hit) = (true, Some(entry.clone()));
        }
        let by = day.officials.entry(official.clone()).or_default();
        by.cases.insert(case.clone());
        by.asked.push(entry.clone());
        day.hours.insert((hour_of(seen.at), case.clone()));
        alerts.extend(self.case(case, entry));
    }

    /// Ends the day if it is over.
    pub(super) fn turn(&mut self, now: Timestamp, alerts: &mut Vec<Alert>) {
        if self.today.as_ref().is_some_and(|day| day.number < now.day()) {
            self.close(alerts);
        }
    }

    /// Ends the day: looks at it, and remembers it.
    pub(super) fn close(&mut self, alerts: &mut Vec<Alert>) {
        let Some(day) = self.today.take() else { return };
        // Days without a question are days too.
        if let Some(last) = self.past.back().map(|past| past.number) {
            for number in
                (last + 1..day.number).rev().take(REMEMBERED_DAYS).collect::<Vec<_>>().into_iter().rev()
            {
                self.past.push_back(Past::quiet(number));
            }
        }
        while self.past.front().is_some_and(|past| past.number + REMEMBERED < day.number) {
            self.past.pop_front();
        }
        let found = [self.volume(&day), self.hours(&day), self.hit_rate(&day)];
        alerts.extend(found.into_iter().flatten());
        alerts.extend(self.fishing(&day));
        let oldest = Timestamp::at_day(day.number.saturating_sub(REMEMBERED));
        self.cases.retain(|_, case| case.asked.last().is_some_and(|(_, at)| *at >= oldest));
        self.past.push_back(day.past());
    }

    fn volume(&self, day: &Day) -> Option<Alert> {
        let before: Vec<u32> = self.alike(day).map(|past| past.questions).collect();
        let seen = number(day.asked.len());
        let odds = odds::count(&before, seen);
        if odds >= ODDS_OF_A_WINDOW {
            return None;
        }
        let says = format!("{seen} questions in a day; days of that kind had {}", spread(&before));
        let finding = Finding {
            detector: Detector::Volume,
            whom: Whom::Partner(day.journal.clone()),
            says,
            odds: Some(odds),
            entries: &day.asked,
        };
        finding.alert()
    }

    /// Cases count, not questions: one case that asks again and again at night is one reason to be awake.
    fn hours(&self, day: &Day) -> Option<Alert> {
        let mut by_hour = [0_u32; HOURS];
        for past in self.alike(day) {
            for (all, one) in by_hour.iter_mut().zip(past.by_hour) {
                *all = all.saturating_add(one);
            }
        }
        let all: u32 = by_hour.iter().sum();
        let is_busy = |hour: usize| {
            by_hour.get(hour).is_some_and(|count| f64::from(*count) >= QUIET_SHARE * f64::from(all))
        };
        // Clocks are put forward and back by an hour: a desk that opened at eight then opens at what was seven.
        let is_quiet = |hour: usize| [HOURS - 1, 0, 1].iter().all(|beside| !is_busy((hour + beside) % HOURS));
        let of_quiet = |counts: &[u32; HOURS]| -> u32 {
            counts.iter().enumerate().filter(|(hour, _)| is_quiet(*hour)).map(|(_, count)| count).sum()
        };
        let before: Vec<u32> = self.alike(day).map(|past| of_quiet(&past.by_hour)).collect();
        let entries: Vec<_> = day.asked.iter().filter(|(_, at)| is_quiet(hour_of(*at))).cloned().collect();
        let seen = number(day.hours.iter().filter(|(hour, _)| is_quiet(*hour)).count());
        let odds = odds::count(&before, seen);
        if odds >= ODDS_OF_A_WINDOW {
            return None;
        }
        let says = format!(
            "{seen} cases in a day at hours (UTC) at which days of that kind had {}",
            spread(&before)
        );
        let finding = Finding {
            detector: Detector::Hours,
            whom: Whom::Partner(day.journal.clone()),
            says,
            odds: Some(odds),
            entries: &entries,
        };
        finding.alert()
    }

    fn hit_rate(&self, day: &Day) -> Option<Alert> {
        let sum = |of: fn(&Past) -> u32| self.past.iter().map(of).sum::<u32>();
        let (hits_before, cases_before) = (sum(|past| past.cases_with_hit), sum(|past| past.cases));
        if self.past.len() < odds::WINDOWS_MIN {
            return None;
        }
        let entries: Vec<_> = day.cases.values().filter_map(|case| case.first_hit.clone()).collect();
        let (hits, cases) = (number(entries.len()), number(day.cases.len()));
        let odds = odds::share(hits_before, cases_before, hits, cases);
        if odds >= ODDS_OF_A_WINDOW {
            return None;
        }
        let says = format!(
            "{hits} of {cases} cases of a day with a hit; before it were {hits_before} of {cases_before}"
        );
        let finding = Finding {
            detector: Detector::HitRate,
            whom: Whom::Partner(day.journal.clone()),
            says,
            odds: Some(odds),
            entries: &entries,
        };
        finding.alert()
    }

    fn fishing(&self, day: &Day) -> Vec<Alert> {
        let before: Vec<u32> = self.past.iter().flat_map(|past| past.of_officials.iter().copied()).collect();
        // As many officials as there are, so many chances has the day.
        let limit = ODDS_OF_A_WINDOW / f64::from(number(day.officials.len()).max(1));
        let found = day.officials.iter().filter_map(|(name, official)| {
            let seen = number(official.cases.len());
            let odds = odds::count(&before, seen);
            let says = format!("{seen} cases in a day; officials of this partner had {}", spread(&before));
            let whom = Whom::Official { partner: day.journal.clone(), official: name.clone() };
            let finding = Finding {
                detector: Detector::Fishing,
                whom,
                says,
                odds: Some(odds),
                entries: &official.asked,
            };
            (odds < limit).then(|| finding.alert()).flatten()
        });
        found.collect()
    }

    /// One case with many questions, told once.
    fn case(&mut self, name: &str, entry: (Place, Timestamp)) -> Option<Alert> {
        let journal = entry.0.journal.clone();
        self.cases.entry(name.to_owned()).or_default().asked.push(entry);
        let others = self.cases.iter().filter(|(other, case)| other.as_str() != name && !case.is_told);
        let length = self.cases.get(name).map_or(0, |case| number(case.asked.len()));
        // Looked at only when it could be: most cases are short.
        if length < CASE_MIN {
            return None;
        }
        let (cases, questions) = others.fold((0_u32, 0_u32), |(cases, sum), (_, case)| {
            (cases + 1, sum.saturating_add(number(case.asked.len())))
        });
        if cases < CASES_MIN {
            return None;
        }
        let mean = f64::from(questions) / f64::from(cases);
        let odds = odds::run(mean.max(CASE_MEAN_MIN), length);
        let case = self.cases.get_mut(name).filter(|case| !case.is_told && odds < ODDS_OF_A_CASE)?;
        case.is_told = true;
        let says =
            format!("{length} questions in one case; the other {cases} cases have {mean:.1} on average");
        let whom = Whom::Case { partner: journal, case: name.to_owned() };
        let finding =
            Finding { detector: Detector::ManyPeople, whom, says, odds: Some(odds), entries: &case.asked };
        finding.alert()
    }

    /// Days of the same kind: Monday to Friday, or the weekend.
    fn alike(&self, day: &Day) -> impl Iterator<Item = &Past> {
        let kind = is_weekend(day.number);
        self.past.iter().filter(move |past| is_weekend(past.number) == kind)
    }
}

impl Day {
    fn new(number: i64, journal: &str) -> Self {
        let (cases, officials, hours) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { number, journal: journal.to_owned(), asked: Vec::new(), cases, officials, hours }
    }

    fn past(&self) -> Past {
        let mut by_hour = [0_u32; HOURS];
        for (hour, _) in &self.hours {
            if let Some(count) = by_hour.get_mut(*hour) {
                *count = count.saturating_add(1);
            }
        }
        Past {
            number: self.number,
            questions: number(self.asked.len()),
            by_hour,
            cases: number(self.cases.len()),
            cases_with_hit: number(self.cases.values().filter(|case| case.has_hit).count()),
            of_officials: self.officials.values().map(|official| number(official.cases.len())).collect(),
        }
    }
}

impl Past {
    const fn quiet(number: i64) -> Self {
        Self {
            number,
            questions: 0,
            by_hour: [0; HOURS],
            cases: 0,
            cases_with_hit: 0,
            of_officials: Vec::new(),
        }
    }
}

/// Day 0 of the count was a Thursday.
const fn is_weekend(day: i64) -> bool {
    matches!((day + 3).rem_euclid(7), 5 | 6)
}

fn hour_of(at: Timestamp) -> usize {
    let in_day = at.as_millis().rem_euclid(MILLIS_PER_HOUR * 24);
    usize::try_from(in_day / MILLIS_PER_HOUR).unwrap_or(0)
}

/// Least and most, as people read them.
fn spread(counts: &[u32]) -> String {
    match (counts.iter().min(), counts.iter().max()) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ => "none".to_owned(),
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

const HOURS: usize = 24;
const MILLIS_PER_HOUR: i64 = 3_600_000;
/// Ten weeks: twenty days of weekends, fifty of the others.
const REMEMBERED: i64 = 70;
const REMEMBERED_DAYS: usize = 70;
/// An hour with less than one question of two hundred is one in which the partner seldom asks.
const QUIET_SHARE: f64 = 0.005;
/// Fewer questions in one case are never told.
const CASE_MIN: u32 = 8;
/// Below it, a mean says nothing.
const CASES_MIN: u32 = 30;
/// A case may ask once more without being another kind of case.
const CASE_MEAN_MIN: f64 = 1.5;
