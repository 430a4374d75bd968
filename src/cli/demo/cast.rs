//! Those who act in the story, as the ceremony names them.

use super::folder::Folder;
use super::stage::Actor;

/// Everybody who acts.
pub(super) struct Cast {
    /// An administrator of the holder.
    pub(super) administrator: Actor,
    /// The holder's privacy officer.
    pub(super) privacy: Actor,
    /// An approving officer of the holder.
    pub(super) officer: Actor,
    /// Another approving officer.
    pub(super) second_officer: Actor,
    /// The system that enrols.
    pub(super) enrolment: Actor,
    /// The system of Australia's border agency.
    pub(super) gateway: Actor,
}

impl Cast {
    /// Those whom the ceremony in this folder named.
    pub(super) fn of(folder: &Folder) -> Self {
        let holder = folder.holder();
        let of_holder = |name, title, place: &str| Actor {
            name,
            title,
            credentials: holder.join(place),
            log_key: holder.join(LOG_KEY_FILE),
        };
        let partner = holder.join("partners/au-border");
        Self {
            administrator: of_holder("ada", "administrator", "people/ada"),
            privacy: of_holder("mere", "privacy officer", "people/mere"),
            officer: of_holder("tama", "officer", "people/tama"),
            second_officer: of_holder("sina", "officer", "people/sina"),
            enrolment: of_holder("enrolment", "system", "systems/enrolment"),
            gateway: Actor {
                name: "au-border",
                title: "partner",
                credentials: partner.join("gateway"),
                log_key: partner.join(LOG_KEY_FILE),
            },
        }
    }

    /// All of them.
    pub(super) fn everybody(&self) -> [&Actor; 6] {
        [
            &self.administrator,
            &self.privacy,
            &self.officer,
            &self.second_officer,
            &self.enrolment,
            &self.gateway,
        ]
    }
}

/// The key by which a journal is verified: the holder's in the holder's folder, a partner's in the partner's.
const LOG_KEY_FILE: &str = "log-key.txt";
