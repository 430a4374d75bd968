//! What every page has around it.

use crate::authz::Role;
use crate::console::SignedIn;
use crate::console::assets::{AssetPaths, paths};

use super::words;

/// Title, files and the person at the top of a page.
pub(in crate::console) struct Frame {
    pub(in crate::console) title: String,
    pub(in crate::console) assets: AssetPaths,
    pub(in crate::console) person: Option<FramePerson>,
}

/// Who is signed in, as the top of a page says it.
pub(in crate::console) struct FramePerson {
    pub(in crate::console) name: String,
    pub(in crate::console) role: String,
    pub(in crate::console) token: String,
    /// Whether cases are their work; the rules are asked in any case.
    pub(in crate::console) has_cases: bool,
    /// Whether the log is.
    pub(in crate::console) has_log: bool,
}

impl Frame {
    /// Of a page for whoever comes.
    pub(in crate::console) fn guest(title: &str) -> Self {
        Self { title: title.to_owned(), assets: paths(), person: None }
    }

    /// Of a page for somebody who is signed in.
    pub(in crate::console) fn of(who: &SignedIn, title: &str) -> Self {
        let actor = who.caller().actor();
        let person = FramePerson {
            name: actor.name.as_str().to_owned(),
            role: words::of_name(actor.role.as_str()),
            token: who.token().as_str().to_owned(),
            has_cases: matches!(actor.role, Role::ApprovingOfficer | Role::Examiner | Role::PrivacyOfficer),
            has_log: actor.role == Role::PrivacyOfficer,
        };
        Self { person: Some(person), ..Self::guest(title) }
    }

    /// The token of the session's forms; empty for a guest.
    pub(in crate::console) fn token(&self) -> &str {
        self.person.as_ref().map_or("", |person| person.token.as_str())
    }

    /// Whether the way to the log is shown.
    pub(in crate::console) fn has_log(&self) -> bool {
        self.person.as_ref().is_some_and(|person| person.has_log)
    }

    /// Whether the way to the cases is shown.
    pub(in crate::console) fn has_cases(&self) -> bool {
        self.person.as_ref().is_some_and(|person| person.has_cases)
    }
}
