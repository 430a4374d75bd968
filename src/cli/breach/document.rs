//! What a notification says: `report.json`, from which the page follows. Section 117 of the Privacy Act 2020 says what it must.

use serde::{Deserialize, Serialize};

use super::notification::{Addressee, NotificationArgs};
use crate::cli::wire;
use crate::grpc::pb::oversight as pb;
use crate::store::breach::{BreachException, BreachKind, BreachTold, Factor};

/// The whole of it. The page says no more.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// The form and its version.
    form: String,
    /// `commissioner` or `individuals`.
    pub(super) to: String,
    /// By whose service.
    pub(super) holder: String,
    /// By which program.
    program: String,
    /// What kind of breach, in words.
    pub(super) kind: String,
    /// What happened.
    pub(super) description: String,
    /// When the holder came to know of it.
    pub(super) aware: String,
    /// What was done.
    pub(super) steps: Vec<String>,
    /// Which kinds of information.
    pub(super) fields: Vec<String>,
    /// Whether somebody is known who may have the information.
    pub(super) recipients_known: bool,
    /// Whether the Commissioner was told, and when.
    pub(super) commissioner: Option<String>,
    /// Whom to ask.
    pub(super) contact: String,
    /// What affected people can do.
    pub(super) advice: Vec<String>,
    /// What the Commissioner alone is told.
    pub(super) official: Option<Official>,
}

/// What the Commissioner alone is told.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Official {
    /// The case.
    pub(super) case: String,
    /// When the Commissioner was to be told.
    pub(super) due: String,
    /// How many people are affected, as far as it is known.
    pub(super) affected: Option<i64>,
    /// Who may have the information.
    pub(super) recipients: Vec<String>,
    /// What was considered: the factor in words, and what was said of it.
    pub(super) factors: Vec<[String; 2]>,
    /// Why it is notifiable.
    pub(super) why: String,
    /// How affected people were or are told, with reasons.
    pub(super) people_told: Vec<Told>,
    /// Other agencies that were told, and why.
    pub(super) agencies: Vec<String>,
}

/// How affected people were told, or are not.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Told {
    /// In words.
    pub(super) how: String,
    /// When.
    pub(super) at: String,
    /// The detail of it; of an exception, its section in words.
    pub(super) detail: String,
    /// Why.
    pub(super) why: String,
}

impl Document {
    /// Puts it together. What affected people are given names nobody: no recipient, no case and no person of the holder.
    pub(super) fn of(breach: &pb::Breach, holder: &str, args: &NotificationArgs) -> Self {
        // The newest look through the log.
        let trace = breach.traces.last();
        let fields = trace.map(|trace| trace.fields.clone()).unwrap_or_default();
        let recipients = trace.map(|trace| trace.recipients.clone()).unwrap_or_default();
        let told = |who: BreachTold| breach.notifications.iter().find(move |one| one.told == who.as_str());
        let commissioner = told(BreachTold::Commissioner);
        let description = args.description.clone().unwrap_or_else(|| breach.description.clone());
        Self {
            form: FORM.to_owned(),
            to: args.to.as_str().to_owned(),
            holder: holder.to_owned(),
            program: format!("onebit {}", env!("CARGO_PKG_VERSION")),
            kind: says(breach.kind.parse::<BreachKind>().map(BreachKind::says), &breach.kind),
            description,
            aware: wire::moment(breach.aware_time.as_ref()),
            steps: breach.contained.iter().map(|note| note.words.clone()).collect(),
            recipients_known: !recipients.is_empty(),
            commissioner: commissioner.map(|one| wire::moment(one.tell_time.as_ref())),
            contact: args.contact.clone(),
            advice: args.advice.clone(),
            official: (args.to == Addressee::Commissioner).then(|| official(breach, recipients, args)),
            fields,
        }
    }

    /// Whether this version can draw it.
    pub(super) fn is_known_form(&self) -> bool {
        self.form == FORM
    }
}

fn official(breach: &pb::Breach, recipients: Vec<String>, args: &NotificationArgs) -> Official {
    let assessment = breach.assessment.as_ref();
    let factors = assessment.map(|one| one.factors.as_slice()).unwrap_or_default();
    let factor = |one: &pb::BreachFactor| {
        [says(one.factor.parse::<Factor>().map(Factor::says), &one.factor), one.words.clone()]
    };
    let people = breach.notifications.iter().filter(|one| one.told != BreachTold::Commissioner.as_str());
    Official {
        case: breach.name.clone(),
        due: wire::moment(breach.due_time.as_ref()),
        affected: breach.traces.last().map(|trace| trace.people),
        recipients,
        factors: factors.iter().map(factor).collect(),
        why: assessment.and_then(|one| one.note.as_ref()).map(|note| note.words.clone()).unwrap_or_default(),
        people_told: people.map(told).collect(),
        agencies: args.agencies.clone(),
    }
}

fn told(one: &pb::BreachNotification) -> Told {
    let detail = match one.detail.parse::<BreachException>() {
        Ok(exception) if one.told == BreachTold::Exception.as_str() => {
            format!("Section {exception}: {}", exception.says())
        }
        _ => one.detail.clone(),
    };
    Told {
        how: says(one.told.parse::<BreachTold>().map(BreachTold::says), &one.told),
        at: wire::moment(one.tell_time.as_ref()),
        detail,
        why: one.note.as_ref().map(|note| note.words.clone()).unwrap_or_default(),
    }
}

/// What a word says; the word itself where this version does not know it.
fn says<E>(known: Result<&'static str, E>, word: &str) -> String {
    known.map_or_else(|_| word.to_owned(), str::to_owned)
}

const FORM: &str = "onebit/breach-notification/1";
