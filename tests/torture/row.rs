//! A row of the table: what was tried, how often, what was lost, and whether the controls failed as they must.

use std::fmt;

/// How much is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// What every change has to pass.
    Short,
    /// What the figures in `docs/reliability.md` are from.
    Long,
}

impl Form {
    /// `ONEBIT_TORTURE=long` asks for the long form.
    pub(crate) fn from_environment() -> Self {
        match std::env::var("ONEBIT_TORTURE").as_deref() {
            Ok("long") => Self::Long,
            Ok("short") | Err(_) => Self::Short,
            Ok(other) => panic!("`ONEBIT_TORTURE` is `{other}`; say `short` or `long`"),
        }
    }

    /// One number or the other.
    pub(crate) fn pick<T>(self, short: T, long: T) -> T {
        match self {
            Self::Short => short,
            Self::Long => long,
        }
    }

    /// What random choices are drawn from; `ONEBIT_TORTURE_SEED` sets it.
    pub(crate) fn seed(self) -> u64 {
        let told = std::env::var("ONEBIT_TORTURE_SEED").ok();
        told.map_or(self.pick(1, 2), |told| told.parse().expect("`ONEBIT_TORTURE_SEED` is a number"))
    }
}

/// What came of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    LeftOut,
}

/// A row of the table.
#[derive(Default)]
pub(crate) struct Row {
    /// How many of what were tried.
    pub(crate) tried: Vec<(u64, &'static str)>,
    /// What was found wrong: how often, and the first of each sort.
    pub(crate) wrong: u64,
    pub(crate) first_wrong: Vec<String>,
    pub(crate) controls: Vec<Control>,
    pub(crate) left_out: Option<String>,
}

/// A change for the worse, which the row must notice.
pub(crate) struct Control {
    /// What was made worse.
    pub(crate) what: &'static str,
    pub(crate) tried: u64,
    /// How often it was noticed.
    pub(crate) noticed: u64,
}

impl Row {
    /// A row that this machine does not permit.
    pub(crate) fn left_out(why: String) -> Self {
        Self { left_out: Some(why), ..Self::default() }
    }

    /// Notes something that is wrong.
    pub(crate) fn note(&mut self, wrong: String) {
        self.wrong += 1;
        if self.first_wrong.len() < SHOWN {
            self.first_wrong.push(wrong);
        }
    }

    /// Adds to a count.
    pub(crate) fn count(&mut self, how_many: u64, what: &'static str) {
        match self.tried.iter_mut().find(|(_, known)| *known == what) {
            Some((sum, _)) => *sum += how_many,
            None => self.tried.push((how_many, what)),
        }
    }

    /// Whether the row is passed.
    pub(crate) fn outcome(&self) -> Outcome {
        let is_blind = |control: &Control| control.noticed == 0;
        let tried_nothing = self.tried.iter().any(|(how_many, _)| *how_many == 0);
        match &self.left_out {
            Some(_) => Outcome::LeftOut,
            None if self.wrong > 0 || tried_nothing || self.controls.iter().any(is_blind) => Outcome::Failed,
            None => Outcome::Passed,
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(why) = &self.left_out {
            return write!(out, "LEFT OUT: {why}");
        }
        let word = if self.outcome() == Outcome::Passed { "ok" } else { "FAILED" };
        let tried: Vec<_> = self.tried.iter().map(|(how_many, what)| format!("{how_many} {what}")).collect();
        write!(out, "{word}: {}; {} wrong", tried.join(", "), self.wrong)?;
        for control in &self.controls {
            write!(out, "; control `{}` failed in {} of {}", control.what, control.noticed, control.tried)?;
            if control.noticed == 0 {
                write!(out, ", where it has to fail: this row would not notice a loss; mend the row first")?;
            }
        }
        if self.wrong > 0 {
            write!(
                out,
                "\n  an answer was given that does not hold; nothing may be released before that is mended:"
            )?;
        }
        self.first_wrong.iter().try_for_each(|wrong| write!(out, "\n  {wrong}"))
    }
}

/// The rest is more of the same.
const SHOWN: usize = 8;
