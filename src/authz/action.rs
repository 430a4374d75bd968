//! What is asked for: one action for each call of the interface, and for each kind of file of the log.

use std::fmt;

macro_rules! actions {
    ($($wire:ident $package:literal, $service:literal { $($variant:ident = $method:literal),+ $(,)? })+) => {
        /// A call of the interface, or a read of the log over HTTPS; each is exactly one action.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action {
            $($(
                #[doc = concat!("`", $package, ".", $service, "/", $method, "`")]
                $variant,
            )+)+
        }

        impl Action {
            /// Every action, in the order of the documents.
            pub const ALL: &'static [Self] = &[$($(Self::$variant,)+)+];

            /// The action's id in rules and in the log, `partner.QueryService/AskQuery`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $($(Self::$variant => concat!($package, ".", $service, "/", $method),)+)+
                }
            }

            /// The path of the call on the wire, `/onebit.partner.v1.QueryService/AskQuery`; `None` for a read over
            /// HTTPS, which is no call.
            #[must_use]
            pub const fn rpc_path(self) -> Option<&'static str> {
                match self {
                    $($(Self::$variant => actions!(@path $wire $package, $service, $method),)+)+
                }
            }

            /// The package of the call: `partner`, `officer`, `oversight`, `enrolment` or `administration`; `tiles` for
            /// reads over HTTPS.
            #[must_use]
            pub const fn package(self) -> &'static str {
                match self {
                    $($(Self::$variant => $package,)+)+
                }
            }
        }
    };
    (@path rpc $package:literal, $service:literal, $method:literal) => {
        Some(concat!("/onebit.", $package, ".v1.", $service, "/", $method))
    };
    (@path https $package:literal, $service:literal, $method:literal) => {
        None
    };
}

actions! {
    rpc "partner", "QueryService" {
        AskQuery = "AskQuery",
        AskQueries = "AskQueries",
    }
    rpc "partner", "DisclosureService" {
        RequestDisclosure = "RequestDisclosure",
        GetDisclosure = "GetDisclosure",
        ListDisclosures = "ListDisclosures",
        FetchRelease = "FetchRelease",
        AcknowledgeRelease = "AcknowledgeRelease",
        AnswerQuestion = "AnswerQuestion",
        WithdrawDisclosure = "WithdrawDisclosure",
        WatchDisclosure = "WatchDisclosure",
        RequestCorrection = "RequestCorrection",
        ListCorrections = "ListCorrections",
        AcknowledgeCorrection = "AcknowledgeCorrection",
    }
    rpc "partner", "AgreementService" {
        GetStanding = "GetStanding",
        ListAgreements = "ListAgreements",
        ListSchemes = "ListSchemes",
        StartReleaseKey = "StartReleaseKey",
        ProveReleaseKey = "ProveReleaseKey",
    }
    rpc "partner", "JournalService" {
        GetOwnCheckpoint = "GetCheckpoint",
        ListOwnEntries = "ListEntries",
        GetWitnessedHead = "GetWitnessedHead",
    }
    rpc "officer", "CaseService" {
        ListCases = "ListCases",
        GetCase = "GetCase",
        ViewField = "ViewField",
        DecideCase = "DecideCase",
        AskInformation = "AskInformation",
        ClaimCase = "ClaimCase",
        PutBackCase = "PutBackCase",
        RecuseFromCase = "RecuseFromCase",
        AddNote = "AddNote",
        MarkHitErroneous = "MarkHitErroneous",
        RevokeRelease = "RevokeRelease",
        LockCase = "LockCase",
        ReviewRelease = "ReviewRelease",
        AnswerCorrection = "AnswerCorrection",
        StateCorrection = "StateCorrection",
        ListOpenCorrections = "ListOpenCorrections",
    }
    rpc "oversight", "LogService" {
        ListJournals = "ListJournals",
        GetCheckpoint = "GetCheckpoint",
        ListEntries = "ListEntries",
        GetEntry = "GetEntry",
        SearchEntries = "SearchEntries",
        GetConsistencyProof = "GetConsistencyProof",
        ExportJournal = "ExportJournal",
        ListAlerts = "ListAlerts",
        JudgeAlert = "JudgeAlert",
    }
    rpc "oversight", "SubjectService" {
        ReportSubject = "ReportSubject",
        OpenSubjectRequest = "OpenRequest",
        ExtendSubjectRequest = "ExtendRequest",
        CloseSubjectRequest = "CloseRequest",
        GetSubjectRequest = "GetRequest",
        ListSubjectRequests = "ListRequests",
        AttachStatement = "AttachStatement",
        FindDuplicates = "FindDuplicates",
    }
    rpc "oversight", "BreachService" {
        OpenBreach = "OpenBreach",
        ContainBreach = "ContainBreach",
        TraceBreach = "TraceBreach",
        AssessBreach = "AssessBreach",
        ConfirmBreach = "ConfirmBreach",
        NotifyBreach = "NotifyBreach",
        CloseBreach = "CloseBreach",
        GetBreach = "GetBreach",
        ListBreaches = "ListBreaches",
    }
    https "tiles", "Journal" {
        ReadCheckpoint = "ReadCheckpoint",
        ReadTile = "ReadTile",
        ReadBundle = "ReadBundle",
    }
    https "console", "Session" {
        SignIn = "SignIn",
        RegisterPasskey = "RegisterPasskey",
        ListOwnPasskeys = "ListPasskeys",
        EndOwnPasskey = "EndPasskey",
    }
    rpc "enrolment", "EnrolmentService" {
        StartBatch = "StartBatch",
        EnrolSubjects = "EnrolSubjects",
        GetBatch = "GetBatch",
        GetSubject = "GetSubject",
        AddRestriction = "AddRestriction",
        EraseSubject = "EraseSubject",
    }
    rpc "administration", "AdministrationService" {
        ProposeChange = "ProposeChange",
        ConfirmChange = "ConfirmChange",
        RejectChange = "RejectChange",
        ListChanges = "ListChanges",
        SuspendPartner = "SuspendPartner",
        SuspendPerson = "SuspendPerson",
        SuspendOfficial = "SuspendOfficial",
        SuspendAgreement = "SuspendAgreement",
        ListPeople = "ListPeople",
        ListPartners = "ListPartners",
        GetPolicy = "GetPolicy",
        ListRetention = "ListRetention",
        MakeBackup = "MakeBackup",
        ListPasskeys = "ListPasskeys",
        EndPasskey = "EndPasskey",
        ListDelegations = "ListDelegations",
        EndDelegation = "EndDelegation",
    }
}

impl Action {
    /// The action of a call's path, or `None` for a path that is not one of ours: no action, no permission.
    #[must_use]
    pub fn from_rpc_path(path: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.rpc_path() == Some(path))
    }

    /// The action with this id.
    #[must_use]
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|action| action.id() == id)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn actions_are_found_by_path_and_by_id() {
        for action in Action::ALL {
            if let Some(path) = action.rpc_path() {
                assert_eq!(Action::from_rpc_path(path), Some(*action));
            }
            assert_eq!(Action::from_id(action.id()), Some(*action));
        }
        assert_eq!(
            Action::from_rpc_path("/onebit.partner.v1.QueryService/AskQuery").map(Action::id),
            Some("partner.QueryService/AskQuery")
        );
    }

    #[test]
    fn ids_are_distinct() {
        let ids: BTreeSet<_> = Action::ALL.iter().map(|action| action.id()).collect();
        assert_eq!(ids.len(), Action::ALL.len());
    }

    #[test]
    fn unknown_paths_are_no_action() {
        for path in [
            "",
            "/",
            "/onebit.tiles.v1.Journal/ReadTile",
            "/onebit.partner.v2.QueryService/AskQuery",
            "/onebit.partner.v1.QueryService/askquery",
        ] {
            assert_eq!(Action::from_rpc_path(path), None, "`{path}` must not be an action");
        }
    }
}
