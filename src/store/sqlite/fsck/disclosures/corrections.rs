//! What came after a release: each step has its entry, and who received what follows from release and fetches.

use rusqlite::{OptionalExtension, params};

use crate::approval::{self, CorrectionNew, Disclosure, SignedCorrectionAsk, State, Step};
use crate::audit::event::{Event, Fact, Kind};
use crate::ids::{Digest, SubjectId};
use crate::keys::{Domain, SignatureDomain};
use crate::store::StoreError;

use super::super::super::correction::{Open, joined, told_event};
use super::super::super::database;
use super::super::people::Signed;
use super::super::report::FaultPlace;
use super::Follow;

impl Follow<'_, '_> {
    /// A step that belongs after a release.
    pub(super) fn corrected(&mut self, number: usize, step: &Step, after: &Disclosure) {
        let named = format!("step {number}");
        let digest = Digest::sha256(&step.to_bytes());
        let (same, at) = match &step.event {
            approval::Event::CorrectionMade(new) => {
                let Some(event) = self.own_next(Kind::CorrectionMade, &named, step.at) else { return };
                (self.is_made(new, event, digest), event.at)
            }
            approval::Event::CorrectionOverdue { number } => {
                let Some(event) = self.own_next(Kind::CorrectionOverdue, &named, step.at) else { return };
                (event.text_of(Fact::Detail) == Some(&number.to_string()), event.at)
            }
            approval::Event::CorrectionTold { place, .. } => {
                let Some(said) = self.next(Kind::CorrectionTold, &named, step.at) else { return };
                let place = usize::try_from(*place).unwrap_or(usize::MAX);
                let told = after.corrections().get(place);
                let event = &said.event;
                let due = Event::new(event.kind, event.at, &event.actor, event.policy);
                let due = told.map(|told| told_event(due, self.id, told).with(Fact::Subject, &self.subject));
                (due.as_ref() == Some(event), event.at)
            }
            approval::Event::CorrectionAcknowledged { number, by } => {
                let Some(said) = self.next(Kind::CorrectionAcknowledged, &named, step.at) else { return };
                let event = &said.event;
                let same = event.actor == by.as_str();
                (same && event.text_of(Fact::Detail) == Some(&number.to_string()), event.at)
            }
            approval::Event::CorrectionAsked(signed) => {
                let Some(said) = self.next(Kind::CorrectionAsked, &named, step.at) else { return };
                (self.is_asked(&named, signed, &said.event), said.event.at)
            }
            _ => return,
        };
        self.must(same, &format!("its {named} is not what its entry states"));
        self.must(at == step.at, &format!("its {named} was not taken at the time of its entry"));
    }

    fn is_made(&self, new: &CorrectionNew, event: &Event, digest: Digest) -> bool {
        event.actor == new.by.as_str()
            && event.text_of(Fact::Fields) == Some(&joined(&new.fields))
            && event.text_of(Fact::Reason) == Some(new.kind.as_str())
            && event.fact(Fact::Subject) == Some(&self.subject)
            && event.fact(Fact::ContentDigest) == Some(digest.as_bytes())
    }

    fn is_asked(&mut self, named: &str, signed: &SignedCorrectionAsk, event: &Event) -> bool {
        let SignedCorrectionAsk { ask, signature, by } = signed;
        let checked = Signed {
            by: by.as_str(),
            role: Some("partner-system"),
            at: event.at,
            domain: SignatureDomain::DisclosureCorrection,
            digest: ask.digest(),
            signature,
        };
        let (what, place) = (format!("the signature of its {named}"), FaultPlace::Disclosure(self.id));
        self.against.keys.check(self.against.history, &checked, &what, place, self.report);
        event.actor == by.as_str()
            && event.fact(Fact::ContentDigest) == Some(ask.digest().as_bytes())
            && event.text_of(Fact::Official) == Some(ask.official())
            && event.fact(Fact::RequestSignature) == Some(signature)
    }

    /// The row of a recipient is there from the release on, and says what the steps and the fetches come to; the tags of
    /// the fields are those of fields that were granted.
    pub(super) fn recipient(&mut self, now: &Disclosure) -> Result<(), StoreError> {
        let sql = &self.against.view.sql;
        let read = "SELECT fetched, untold, due_ms, alert_ms FROM recipients WHERE disclosure = ?1";
        let row = sql.prepare_cached(read).and_then(|mut statement| {
            statement
                .query_row(params![self.id.as_bytes()], |row| {
                    // Any other number would be read as yes, and stand in no index.
                    let (fetched, untold): (i64, i64) = (row.get(0)?, row.get(1)?);
                    let is_bit = [fetched, untold].iter().all(|bit| matches!(bit, 0 | 1));
                    let open = Open { untold: untold == 1, due: row.get(2)?, alert: row.get(3)? };
                    Ok((fetched == 1, open, is_bit))
                })
                .optional()
        });
        let read = "SELECT tag FROM released_fields WHERE disclosure = ?1 ORDER BY tag";
        let tags = sql.prepare_cached(read).and_then(|mut statement| {
            statement
                .query_map(params![self.id.as_bytes()], |row| row.get::<_, Vec<u8>>(0))?
                .collect::<Result<Vec<_>, _>>()
        });
        let tags = database("reading recipients", tags)?;
        let Some((is_fetched, open, is_bit)) = database("reading a recipient", row)? else {
            self.must(now.fetch_by().is_none(), "it was released, and nothing says who received it");
            return Ok(());
        };
        self.must(now.fetch_by().is_some(), "it says who received it, and it was not released");
        let due = self.is_fetched || now.state() == State::Acknowledged;
        // Fetches that are disposed of leave what they noted.
        let same = is_fetched == due || is_fetched && self.partial;
        self.must(same, "whether it was fetched is not what its entries say");
        self.must(
            is_bit && open == Open::of(now),
            "what waits of its corrections is not what its steps come to",
        );
        let (subject, key) = (SubjectId::from_bytes(self.subject), self.against.view.ring.tags());
        let granted = now.granted();
        let granted = granted.iter().flat_map(approval::Fields::iter).map(|field| {
            let parts = [subject.as_bytes().as_slice(), field.as_str().as_bytes()];
            key.tag_of(Domain::Subject, &parts).as_bytes().to_vec()
        });
        let mut granted: Vec<Vec<u8>> = granted.collect();
        granted.sort_unstable();
        self.must(tags == granted, "the tags of its released fields are not those of the fields granted");
        Ok(())
    }
}
