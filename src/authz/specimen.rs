//! One question for each action in the form that callers give it, to hold a policy folder's schema to.

use super::action::Action;
use super::actor::{Actor, Role, Standing};
use super::fault::PolicyFault;
use super::permit::{About, Standings, Usage};
use super::rulebook::SCHEMA_FILE;
use super::rules::Rules;
use crate::ids::{ActorName, AgreementName, CollectionName, FieldName, IdError, PartnerName, PurposeName};

/// The names that a question refers to.
#[derive(Debug, Clone)]
pub(super) struct Specimen {
    pub(super) agreement: AgreementName,
    pub(super) partner: PartnerName,
    /// Whose journal; the holder's when nobody's.
    pub(super) journal: Option<PartnerName>,
    pub(super) collection: CollectionName,
    pub(super) purpose: PurposeName,
    pub(super) fields: Vec<FieldName>,
    pub(super) proposed_by: ActorName,
    pub(super) proposer_role: Role,
    pub(super) standings: Standings<'static>,
}

impl Specimen {
    fn new() -> Result<Self, IdError> {
        Ok(Self {
            agreement: ANY_NAME.parse()?,
            partner: ANY_NAME.parse()?,
            journal: Some(ANY_NAME.parse()?),
            collection: ANY_NAME.parse()?,
            purpose: ANY_NAME.parse()?,
            fields: vec![ANY_NAME.parse()?],
            proposed_by: ANY_NAME.parse()?,
            proposer_role: Role::Administrator,
            standings: Standings::all_active(),
        })
    }

    /// The form of each action.
    pub(super) fn about(&self, action: Action) -> About<'_> {
        use Action as A;
        match action {
            A::AskQuery => self.query(1, Usage::Counted { today: 0, this_year: 0 }),
            A::RequestDisclosure => About::NewDisclosure {
                agreement: Some(&self.agreement),
                purpose: &self.purpose,
                fields: &self.fields,
                standings: self.standings,
            },
            A::GetDisclosure
            | A::FetchRelease
            | A::AcknowledgeRelease
            | A::AnswerQuestion
            | A::WatchDisclosure
            | A::RequestCorrection
            | A::AcknowledgeCorrection
            | A::WithdrawDisclosure => About::Disclosure {
                partner: &self.partner,
                agreement: &self.agreement,
                standings: self.standings,
            },
            A::ListDisclosures
            | A::ListCorrections
            | A::GetStanding
            | A::ListAgreements
            | A::ListSchemes
            | A::StartReleaseKey
            | A::ProveReleaseKey
            | A::GetOwnCheckpoint
            | A::ListOwnEntries
            | A::GetWitnessedHead => About::Partner { partner: &self.partner },
            A::GetCase
            | A::ViewField
            | A::DecideCase
            | A::AskInformation
            | A::ClaimCase
            | A::PutBackCase
            | A::RecuseFromCase
            | A::AddNote
            | A::MarkHitErroneous
            | A::RevokeRelease
            | A::LockCase
            | A::ReviewRelease
            | A::AnswerCorrection
            | A::StateCorrection => self.case(Standing::Active),
            A::ReadCheckpoint | A::ReadTile | A::ReadBundle => {
                About::Journal { partner: self.journal.as_ref() }
            }
            A::StartBatch | A::EnrolSubjects => About::Collection { collection: &self.collection },
            A::ConfirmChange => {
                let (proposed_by, proposer_role) = (&self.proposed_by, self.proposer_role);
                About::Change { kind: ANY_NAME, proposed_by, proposer_role }
            }
            A::AskQueries
            | A::ListCases
            | A::ListOpenCorrections
            | A::ListJournals
            | A::GetCheckpoint
            | A::ListEntries
            | A::GetEntry
            | A::SearchEntries
            | A::GetConsistencyProof
            | A::ExportJournal
            | A::ListAlerts
            | A::JudgeAlert
            | A::ReportSubject
            | A::OpenSubjectRequest
            | A::ExtendSubjectRequest
            | A::CloseSubjectRequest
            | A::GetSubjectRequest
            | A::ListSubjectRequests
            | A::AttachStatement
            | A::FindDuplicates
            | A::OpenBreach
            | A::ContainBreach
            | A::TraceBreach
            | A::AssessBreach
            | A::ConfirmBreach
            | A::NotifyBreach
            | A::CloseBreach
            | A::GetBreach
            | A::ListBreaches
            | A::GetBatch
            | A::GetSubject
            | A::AddRestriction
            | A::EraseSubject
            | A::ProposeChange
            | A::RejectChange
            | A::ListChanges
            | A::SuspendPartner
            | A::SuspendPerson
            | A::SuspendOfficial
            | A::SuspendAgreement
            | A::ListPeople
            | A::ListPartners
            | A::GetPolicy
            | A::ListRetention
            | A::MakeBackup
            | A::SignIn
            | A::RegisterPasskey
            | A::ListOwnPasskeys
            | A::EndOwnPasskey
            | A::ListPasskeys
            | A::EndPasskey
            | A::ListDelegations
            | A::EndDelegation => About::Service,
        }
    }

    pub(super) fn query(&self, samples: u32, usage: Usage) -> About<'_> {
        About::Query {
            agreement: Some(&self.agreement),
            collection: &self.collection,
            purpose: &self.purpose,
            samples,
            usage,
            standings: self.standings,
        }
    }

    pub(super) fn case(&self, standing: Standing) -> About<'_> {
        About::Case {
            partner: &self.partner,
            standing,
            standings: self.standings,
            agreement: &self.agreement,
            purpose: &self.purpose,
            fields: &self.fields,
        }
    }
}

impl Rules {
    /// The actions whose questions do not fit the schema: every one of them would be refused.
    pub(super) fn misfits(&self) -> Vec<PolicyFault> {
        let file = self.bundle().file(SCHEMA_FILE).and_then(|content| std::str::from_utf8(content).ok());
        let text = file.unwrap_or_default();
        let fault = |action: &Action| {
            let offset = text.find(&format!("\"{action}\"")).unwrap_or(0);
            let message = format!(
                "the schema does not describe `{action}` as the service asks about it; keep its principal, resource and context"
            );
            PolicyFault::at(SCHEMA_FILE, text, offset, message)
        };
        Action::ALL.iter().filter(|action| !self.fits(**action)).map(fault).collect()
    }

    fn fits(&self, action: Action) -> bool {
        let Ok(specimen) = Specimen::new() else { return false };
        let Ok(name) = ANY_NAME.parse() else { return false };
        let partner = Some(specimen.partner.clone());
        let actor = Actor { name, role: Role::PartnerSystem, partner, standing: Standing::Active };
        let about = specimen.about(action);
        let agreement = match about {
            About::Query { .. }
            | About::NewDisclosure { .. }
            | About::Disclosure { .. }
            | About::Case { .. } => self.agreements().next(),
            About::Service
            | About::Partner { .. }
            | About::Journal { .. }
            | About::Collection { .. }
            | About::Change { .. } => None,
        };
        [None, agreement]
            .iter()
            .all(|agreement| self.question(&actor, action, &about, *agreement, 0).is_some())
    }
}

const ANY_NAME: &str = "specimen";
