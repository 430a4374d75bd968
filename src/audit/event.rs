//! What happened: the contents of an entry, before they are hidden.
//!
//! Numbers of kinds and tags of facts are kept in logs for decades: they are never given to anything else.

use std::collections::BTreeMap;
use std::fmt;

use super::codec::{CodecError, RecordReader, RecordWriter};
pub use super::fact::{Fact, Form};
use crate::clock::Timestamp;
use crate::ids::Digest;

/// Bytes that are no event, or an event that can't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The record around the event.
    #[error("the event is not a canonical record")]
    Record(#[from] CodecError),
    /// A kind that this version does not know.
    #[error("kind {0} of an event is not known here; use the version that wrote the log, or a newer one")]
    Kind(u64),
    /// An actor's name that is too long.
    #[error("the actor of an event has {0} bytes; use a name of at most {ACTOR_MAX_BYTES}")]
    Actor(usize),
    /// A fact that is not of its form.
    #[error("the fact `{fact}` of an event is not {}; correct what states it", .fact.form().wanted())]
    Form {
        /// Which fact.
        fact: Fact,
    },
    /// A fact that is too long.
    #[error("the fact `{fact}` of an event has {bytes} bytes; shorten it to {FACT_MAX_BYTES}")]
    TooLong {
        /// Which fact.
        fact: Fact,
        /// Its length.
        bytes: usize,
    },
}

macro_rules! kinds {
    ($($number:literal $variant:ident $name:literal: $doc:literal;)*) => {
        /// What kind of thing happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u16)]
        pub enum Kind {
            $(#[doc = $doc] $variant = $number,)*
        }

        impl Kind {
            /// Every kind, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number in the log.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The kind with this number.
            #[must_use]
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)* _ => None }
            }

            /// What happened, as a sentence.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }

            /// The name that people read, a noun and what happened to it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

kinds! {
    1 Founding "founding": "The first start: who the first people are and which rules hold.";
    2 PrivateEntry "journal.private": "Something of the holder's own happened; this is all that a partner's side would see of it.";
    16 QueryAnswered "query.answered": "A query was answered.";
    17 QueryRefused "query.refused": "A query was refused.";
    18 RequestRefused "request.refused": "Another request of an authenticated caller was refused.";
    32 DisclosureRequested "disclosure.requested": "A partner asked for fields after a hit.";
    33 DisclosureDecided "disclosure.decided": "A person decided about a disclosure.";
    34 DisclosureApproved "disclosure.approved": "All factors of a disclosure's approval are there.";
    35 DisclosureReleased "disclosure.released": "The approved fields were sealed for the partner.";
    36 DisclosureFetched "disclosure.fetched": "The partner fetched a release.";
    37 DisclosureAcknowledged "disclosure.acknowledged": "The partner said that it has the release; it was deleted.";
    38 DisclosureDenied "disclosure.denied": "A disclosure was denied.";
    39 DisclosureWithdrawn "disclosure.withdrawn": "The partner took its request back.";
    40 DisclosureExpired "disclosure.expired": "The time of a disclosure or its release ran out.";
    41 DisclosureQuestioned "disclosure.questioned": "Officers asked the partner for information; approvals before no longer count.";
    42 DisclosureAnswered "disclosure.answered": "The partner answered.";
    43 DisclosureRevoked "disclosure.revoked": "A release was taken back before it was acknowledged; it was deleted.";
    48 FieldViewed "field.viewed": "A person looked at a field of a record.";
    49 DisclosureClaimed "disclosure.claimed": "A person said that they work on a disclosure.";
    50 DisclosurePutBack "disclosure.put-back": "A person took such a claim back.";
    51 DisclosureRecused "disclosure.recused": "A person stepped back from a disclosure for good.";
    52 DisclosureNoted "disclosure.noted": "A person left a note about a disclosure.";
    64 EnrolmentBatch "enrolment.batch": "A run of enrolment began or ended.";
    65 EnrolmentChunk "enrolment.chunk": "Rows of a run of enrolment were taken over.";
    66 SubjectRestricted "subject.restricted": "A subject was given a restriction.";
    67 SubjectUnrestricted "subject.unrestricted": "A restriction of a subject was lifted.";
    68 SubjectErased "subject.erased": "A subject was erased.";
    80 ChangeProposed "change.proposed": "A change that takes two people was proposed.";
    81 ChangeConfirmed "change.confirmed": "A second person confirmed a change.";
    82 ChangeRejected "change.rejected": "A second person rejected a change.";
    83 PartnerAdded "partner.added": "A partner was added, or its keys were changed.";
    84 PartnerSuspended "partner.suspended": "A partner was suspended.";
    85 PartnerRestored "partner.restored": "A partner's suspension was lifted.";
    86 PersonAdded "person.added": "A person or a system was added, or its keys were changed.";
    87 PersonSuspended "person.suspended": "A person or a system was suspended.";
    88 PersonRestored "person.restored": "The suspension of a person or a system was lifted.";
    89 PolicyActivated "policy.activated": "Other rules came into force.";
    90 PersonInvited "person.invited": "A person was invited to register a passkey.";
    91 PasskeyRegistered "passkey.registered": "An invited person registered a passkey, which waits for a privacy officer.";
    92 PasskeyConfirmed "passkey.confirmed": "A privacy officer confirmed a passkey; its person signs in and decides with it.";
    93 SignedIn "person.signed-in": "A person signed in at the console.";
    94 PasskeyEnded "passkey.ended": "A passkey was ended; its person neither signs in nor decides with it any more.";
    96 ReleaseKeyStarted "release-key.started": "A partner offered a key for releases.";
    97 ReleaseKeyProven "release-key.proven": "The partner proved that it holds the offered key.";
    98 ReleaseKeyConfirmed "release-key.confirmed": "The holder confirmed the key; releases are sealed to it.";
    112 JournalHead "journal.head": "The head of a partner's journal at this time.";
    113 LogRead "log.read": "A person read entries of the log.";
    114 LogExported "log.exported": "A person exported a journal.";
    115 LogKeyChanged "log-key.changed": "The key that signs checkpoints was changed; both keys sign the checkpoint over this entry.";
    116 JournalContinued "journal.continued": "A journal goes on under a new origin, because its database had fallen behind what was signed.";
    117 JournalWitnessed "journal.witnessed": "Witnesses cosigned a checkpoint of the holder's journal.";
    120 PayloadsDisposed "payloads.disposed": "Payloads of a class were destroyed at the end of their time; their totals stay.";
    128 ServerStarted "server.started": "The server started.";
    129 KeyOperation "key.operation": "A key was made, changed or destroyed.";
    130 BackupMade "backup.made": "A backup was made.";
    131 CollectionRenewing "collection.renewing": "The templates of a collection begin to move to another generation of its keys.";
    132 CollectionRenewed "collection.renewed": "Every template of a collection is in the newer generation; the keys of the older one are destroyed.";
    133 CollectionMeasured "collection.measured": "Templates of a collection were read to measure what their protection does.";
    145 ReviewOwed "review.owed": "An urgent release owes a review from now on.";
    146 ReviewClosed "review.closed": "A person who decided nothing in the case closed the review of an urgent release.";
    147 ReviewLate "review.late": "The review of an urgent release was not closed in time.";
    148 DelegationMade "delegation.made": "An officer may fill another officer's seat between two moments.";
    149 DelegationEnded "delegation.ended": "A person ended a delegation before its time.";
    155 AccountBound "account.bound": "An account at the agency's provider was bound to a person; it signs them in at the console.";
    160 NoticeGivenUp "notice.given-up": "A notice could not be delivered in time and is not tried any more.";
    165 CorrectionAsked "disclosure.correction-asked": "A partner asked that something released is corrected, or withdrew its need.";
    166 CorrectionAnswered "disclosure.correction-answered": "Officers answered what the partner asked for after a release.";
    167 CorrectionMade "disclosure.correction-made": "Something that a partner received was corrected; it is to be told.";
    168 CorrectionTold "disclosure.correction-told": "A partner was told that something it received was corrected.";
    169 CorrectionAcknowledged "disclosure.correction-acknowledged": "The partner said that it acted on a correction.";
    170 CorrectionOverdue "disclosure.correction-overdue": "A correction was not acknowledged in time.";
    180 LogSearched "log.searched": "A person searched the log.";
    190 SubjectReported "subject.reported": "What is held of a person was put together for the person.";
    191 SubjectRequestOpened "subject.request-opened": "A person asked for access or for a correction.";
    192 SubjectRequestExtended "subject.request-extended": "The time to decide a person's request was extended.";
    193 SubjectRequestOverdue "subject.request-overdue": "A person's request was not decided in time.";
    194 SubjectRequestClosed "subject.request-closed": "A person's request was decided.";
    195 SubjectStated "subject.stated": "A person's statement was attached to a field of the record.";
    200 OfficialSuspended "official.suspended": "An official of a partner was suspended.";
    201 OfficialRestored "official.restored": "The suspension of an official of a partner was lifted.";
    202 AgreementSuspended "agreement.suspended": "An agreement was suspended.";
    203 AgreementRestored "agreement.restored": "The suspension of an agreement was lifted.";
    204 AlertJudged "alert.judged": "A person judged an alert that a detector found in the journals.";
    210 BreachOpened "breach.opened": "A case was opened about a breach of privacy.";
    211 BreachContained "breach.contained": "Something was done to contain a breach.";
    212 BreachTraced "breach.traced": "A person had the log looked through for whom a breach affects.";
    213 BreachAssessed "breach.assessed": "A breach was assessed: whether it is to be notified.";
    214 BreachConfirmed "breach.confirmed": "A second person confirmed that a breach is not to be notified.";
    215 BreachNotified "breach.notified": "Somebody was told of a breach, or a reason was given not to tell.";
    216 BreachOverdue "breach.overdue": "72 hours after the holder knew of a breach the Commissioner was not told of it.";
    217 BreachClosed "breach.closed": "A case about a breach was closed.";
    220 SubjectsMerged "subject.merged": "Two people found two subjects to be one person; what restricts one restricts both.";
    221 SubjectSplit "subject.split": "Two people parted a subject from a person it was made one with.";
    222 DuplicatesSought "subject.duplicates-sought": "Templates of a collection were compared with the others for people who are held twice.";
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// Something that happened, as one side of an entry states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing happened.
    pub kind: Kind,
    /// When it was entered.
    pub at: Timestamp,
    /// Who did it: the name of a person or a system.
    pub actor: String,
    /// The digest of the rules that were in force.
    pub policy: Digest,
    facts: BTreeMap<Fact, Vec<u8>>,
}

impl Event {
    /// An event without facts.
    #[must_use]
    pub fn new(kind: Kind, at: Timestamp, actor: &str, policy: Digest) -> Self {
        Self { kind, at, actor: actor.to_owned(), policy, facts: BTreeMap::new() }
    }

    /// States a fact; a second value of the same fact replaces the first. Its form is checked by
    /// [`Event::encode`].
    #[must_use]
    pub fn with(mut self, fact: Fact, value: &[u8]) -> Self {
        self.facts.insert(fact, value.to_vec());
        self
    }

    /// States a fact in text.
    #[must_use]
    pub fn text(self, fact: Fact, value: &str) -> Self {
        self.with(fact, value.as_bytes())
    }

    /// States a fact in numbers: one byte where the fact is a small number, otherwise eight.
    #[must_use]
    pub fn number(self, fact: Fact, value: u64) -> Self {
        match (fact.form(), u8::try_from(value)) {
            (Form::Count, Ok(count)) => self.with(fact, &[count]),
            _ => self.with(fact, &value.to_be_bytes()),
        }
    }

    /// The bytes of a fact; `None` when it is not stated.
    #[must_use]
    pub fn fact(&self, fact: Fact) -> Option<&[u8]> {
        self.facts.get(&fact).map(Vec::as_slice)
    }

    /// The text of a fact; `None` when it is not stated or is not text.
    #[must_use]
    pub fn text_of(&self, fact: Fact) -> Option<&str> {
        self.fact(fact)
            .filter(|_| fact.form() == Form::Text)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The number of a fact; `None` when it is not stated or is not a number.
    #[must_use]
    pub fn number_of(&self, fact: Fact) -> Option<u64> {
        self.fact(fact)
            .filter(|_| matches!(fact.form(), Form::Number | Form::Count))
            .and_then(super::fact::number)
    }

    /// The facts with their bytes, in the order of their tags.
    pub fn facts(&self) -> impl Iterator<Item = (Fact, &[u8])> {
        self.facts.iter().map(|(fact, value)| (*fact, value.as_slice()))
    }

    /// The policy digest and the facts as people read them, in the order of their tags. Kind, time and actor
    /// are for the caller to show. Control characters and marks that turn the direction of text are escaped,
    /// so that a text can't pretend to be another line.
    #[must_use]
    pub fn render(&self) -> Vec<(&'static str, String)> {
        let policy = (POLICY_NAME, self.policy.to_string());
        let facts = self.facts.iter().map(|(fact, value)| (fact.name(), fact.form().shown(value)));
        std::iter::once(policy).chain(facts).collect()
    }

    /// The canonical bytes.
    ///
    /// # Errors
    /// [`EventError`] when the actor's name or a fact is too long, or a fact is not of its form.
    pub fn encode(&self) -> Result<Vec<u8>, EventError> {
        self.check()?;
        let head = RecordWriter::new(DOMAIN)
            .u64(TAG_KIND, u64::from(self.kind.number()))
            .i64(TAG_AT, self.at.as_millis())
            .text(TAG_ACTOR, &self.actor)
            .bytes(TAG_POLICY, self.policy.as_bytes());
        let whole = self.facts.iter().fold(head, |writer, (fact, value)| writer.bytes(fact.tag(), value));
        Ok(whole.finish()?)
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`EventError`] when they are not the canonical bytes of an event that this version knows.
    pub fn decode(bytes: &[u8]) -> Result<Self, EventError> {
        let mut reader = RecordReader::parse(DOMAIN, bytes)?;
        let missing = |tag| CodecError::Missing { tag };
        let kind = reader.u64(TAG_KIND)?.ok_or(missing(TAG_KIND))?;
        let at = reader.i64(TAG_AT)?.ok_or(missing(TAG_AT))?;
        let actor = reader.text(TAG_ACTOR)?.ok_or(missing(TAG_ACTOR))?;
        let policy = reader.array(TAG_POLICY)?.ok_or(missing(TAG_POLICY))?;
        let known = u16::try_from(kind).ok().and_then(Kind::from_number);
        let mut event = Self::new(
            known.ok_or(EventError::Kind(kind))?,
            Timestamp::from_millis(at),
            actor,
            Digest::from_bytes(policy),
        );
        for fact in Fact::ALL {
            if let Some(value) = reader.bytes(fact.tag()) {
                event = event.with(*fact, value);
            }
        }
        reader.finish()?;
        event.check()?;
        Ok(event)
    }

    fn check(&self) -> Result<(), EventError> {
        if self.actor.len() > ACTOR_MAX_BYTES {
            return Err(EventError::Actor(self.actor.len()));
        }
        for (fact, value) in &self.facts {
            if value.len() > FACT_MAX_BYTES {
                return Err(EventError::TooLong { fact: *fact, bytes: value.len() });
            }
            if !fact.form().accepts(value) {
                return Err(EventError::Form { fact: *fact });
            }
        }
        Ok(())
    }
}

const DOMAIN: &str = "onebit/event/v1";
const TAG_KIND: u8 = 1;
const TAG_AT: u8 = 2;
const TAG_ACTOR: u8 = 3;
const TAG_POLICY: u8 = 4;
const POLICY_NAME: &str = "policy";
/// A partner's name and a name of it, 63 characters each, with room to spare.
pub const ACTOR_MAX_BYTES: usize = 256;
/// The names of 64 fields with their commas, 4 KiB, twice over. Requests end at 64 KiB, but what is logged of
/// one is its digest and short texts.
pub const FACT_MAX_BYTES: usize = 8_192;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn event() -> Event {
        Event::new(
            Kind::QueryAnswered,
            Timestamp::from_millis(1_767_225_599_999),
            "au-border",
            Digest::sha256(b"p"),
        )
        .with(Fact::Query, &[0xab; 16])
        .text(Fact::Case, "C-1")
        .number(Fact::Samples, 2)
        .with(Fact::Outcome, &[1])
        .with(Fact::Subject, &[0; 16])
        .number(Fact::TreeSize, 9)
        .with(Fact::Root, &[0; 32])
    }

    #[test]
    fn numbers_tags_and_names_are_given_once() {
        let numbers: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.number()).collect();
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!((numbers.len(), names.len()), (Kind::ALL.len(), Kind::ALL.len()));
        assert!(Kind::ALL.iter().all(|kind| Kind::from_number(kind.number()) == Some(*kind)));
        assert_eq!(Kind::from_number(0), None, "zero must stay unassigned");
        let names: BTreeSet<_> = Fact::ALL.iter().map(|fact| fact.name()).collect();
        assert_eq!(names.len(), Fact::ALL.len());
        assert!(
            Fact::ALL.is_sorted_by(|a, b| a.tag() < b.tag()) && Fact::ALL.is_sorted(),
            "list facts by tag"
        );
        assert!(Fact::ALL.iter().all(|fact| fact.tag() >= 16), "tags below 16 belong to the event's head");
    }

    #[test]
    fn numbers_and_tags_never_move() {
        let kinds: Vec<_> =
            Kind::ALL.iter().map(|kind| format!("{}={}", kind.number(), kind.name())).collect();
        let facts: Vec<_> = Fact::ALL
            .iter()
            .map(|fact| format!("{}={}:{:?}", fact.tag(), fact.name(), fact.form()))
            .collect();
        let digest =
            Digest::sha256(format!("{}\n{}", kinds.join("\n"), facts.join("\n")).as_bytes()).to_string();
        assert_eq!(
            digest, TABLES_DIGEST,
            "logs are kept for decades: undo what moved; only if you added to the end, write the new digest here"
        );
    }

    const TABLES_DIGEST: &str = "052619b78726cab07f4a02b81b0e16d57a8778763323dc74b98aacf8c3db6f5c";

    #[test]
    fn facts_are_rendered_for_people() {
        let rendered =
            event().text(Fact::Detail, "a\nb\u{202e}c \u{1b}[1m").with(Fact::Signature, b"sig").render();
        let value = |name| rendered.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str());
        assert_eq!(rendered[0], ("policy", Digest::sha256(b"p").to_string()));
        assert_eq!(value("query"), Some("abababababababababababababababab"));
        assert_eq!(
            (value("outcome"), value("samples"), value("subject")),
            (Some("HIT"), Some("2"), Some("nobody"))
        );
        assert_eq!(value("tree-size"), Some("9"));
        assert_eq!(value("root"), Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
        assert_eq!((value("case"), value("signature")), (Some("C-1"), Some("c2ln")));
        assert_eq!(value("detail"), Some("a\\u{a}b\\u{202e}c \\u{1b}[1m"));
        let no_hit = event().with(Fact::Outcome, &[0]).with(Fact::Subject, &[1; 16]).render();
        assert!(no_hit.contains(&("outcome", "NO_HIT".to_owned())));
        assert!(no_hit.contains(&("subject", "01".repeat(16))));
    }

    #[test]
    fn facts_are_read_by_their_forms() {
        let event = event();
        assert_eq!((event.text_of(Fact::Case), event.text_of(Fact::Query)), (Some("C-1"), None));
        assert_eq!((event.number_of(Fact::Samples), event.number_of(Fact::TreeSize)), (Some(2), Some(9)));
        assert_eq!((event.number_of(Fact::Query), event.fact(Fact::Disclosure)), (None, None));
    }

    #[test]
    fn facts_out_of_form_are_not_written() {
        let refused = |fact, value: &[u8]| event().with(fact, value).encode();
        for (fact, value) in [
            (Fact::Case, vec![0xff]),
            (Fact::Query, vec![0; 15]),
            (Fact::Subject, vec![0; 17]),
            (Fact::RequestDigest, vec![0; 31]),
            (Fact::Outcome, vec![2]),
            (Fact::Outcome, vec![]),
            (Fact::Samples, vec![0; 8]),
            (Fact::Rows, vec![0]),
        ] {
            assert_eq!(refused(fact, &value), Err(EventError::Form { fact }));
        }
        assert!(refused(Fact::Detail, &vec![b'a'; FACT_MAX_BYTES]).is_ok());
        let bytes = FACT_MAX_BYTES + 1;
        assert_eq!(
            refused(Fact::Detail, &vec![b'a'; bytes]),
            Err(EventError::TooLong { fact: Fact::Detail, bytes })
        );
        let long =
            Event::new(Kind::Founding, Timestamp::from_millis(0), &"a".repeat(257), Digest::sha256(b""));
        assert_eq!(long.encode(), Err(EventError::Actor(257)));
    }

    #[test]
    fn bytes_of_no_event_are_not_read() {
        let head =
            |kind: u64| RecordWriter::new(DOMAIN).u64(1, kind).i64(2, 0).text(3, "a").bytes(4, &[0; 32]);
        let decoded = |writer: RecordWriter| Event::decode(&writer.finish().unwrap());
        assert!(decoded(head(16)).is_ok());
        assert_eq!(decoded(head(15)), Err(EventError::Kind(15)));
        assert_eq!(decoded(head(0x1_0010)), Err(EventError::Kind(0x1_0010)));
        assert_eq!(decoded(head(16).u64(250, 0)), Err(CodecError::Unknown { tag: 250 }.into()));
        assert_eq!(decoded(head(16).bytes(30, &[3])), Err(EventError::Form { fact: Fact::Outcome }));
        let headless = RecordWriter::new(DOMAIN).u64(1, 16).i64(2, 0).text(3, "a");
        assert_eq!(decoded(headless), Err(CodecError::Missing { tag: 4 }.into()));
    }

    fn value_of(form: Form) -> BoxedStrategy<Vec<u8>> {
        let sized = |bytes| vec(any::<u8>(), bytes).boxed();
        match form {
            Form::Text => ".{0,30}".prop_map(String::into_bytes).boxed(),
            Form::Number => sized(8),
            Form::Count => sized(1),
            Form::Id | Form::Subject => sized(16),
            Form::Digest | Form::Root => sized(32),
            Form::Outcome => (0..=1u8).prop_map(|byte| vec![byte]).boxed(),
            Form::Bytes => vec(any::<u8>(), 0..100).boxed(),
        }
    }

    fn events() -> impl Strategy<Value = Event> {
        let facts =
            prop::sample::subsequence(Fact::ALL.to_vec(), 0..=Fact::ALL.len()).prop_flat_map(|facts| {
                facts.into_iter().map(|fact| (Just(fact), value_of(fact.form()))).collect::<Vec<_>>()
            });
        (prop::sample::select(Kind::ALL), any::<i64>(), ".{0,20}", any::<[u8; 32]>(), facts).prop_map(
            |(kind, at, actor, policy, facts)| {
                let head = Event::new(kind, Timestamp::from_millis(at), &actor, Digest::from_bytes(policy));
                facts.into_iter().fold(head, |event, (fact, value)| event.with(fact, &value))
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(event in events()) {
            prop_assert_eq!(Event::decode(&event.encode().unwrap()), Ok(event));
        }

        #[test]
        fn a_flipped_byte_is_another_event_or_none(
            event in events(), at in any::<prop::sample::Index>(), flip in 1..=u8::MAX
        ) {
            let mut bytes = event.encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(read) = Event::decode(&bytes) {
                prop_assert_ne!(&read, &event);
                prop_assert_eq!(read.encode().unwrap(), bytes, "what parses must encode to the same bytes");
            }
        }

        #[test]
        fn rendering_holds_no_control_characters(event in events()) {
            prop_assert!(event.render().iter().all(|(_, value)| !value.chars().any(char::is_control)));
        }
    }
}
