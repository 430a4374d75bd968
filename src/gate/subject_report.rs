//! What is held of a person, put together for the person.

use std::sync::Arc;

use crate::authz::{About, Action, PayloadClass};
use crate::clock::date_of;
use crate::ids::{CollectionName, FieldName, SubjectId, SubjectRequestId};
use crate::matching::{self, Question};
use crate::store::subject::{ReportNew, ReportOf, Stated, StatementNew, SubjectReport, Withholding};
use crate::template::Sample;

use super::{Caller, Gate, GateError, Live, text};

/// Of whom a report is asked for.
pub enum ReportWho {
    /// Whoever has this id in the source system.
    Source(String),
    /// Whoever has this id here.
    Subject(SubjectId),
    /// Whoever these samples of one person match in a collection.
    Samples(CollectionName, Vec<Sample>),
}

/// A report as it was asked for, in its form.
pub struct ReportAsk {
    /// Of whom.
    pub who: ReportWho,
    /// What is withheld.
    pub withheld: Vec<Withholding>,
    /// Upon which request.
    pub request: Option<SubjectRequestId>,
    /// Why.
    pub why: String,
}

/// A report with what the rules say of how long things are kept.
pub struct ReportMade {
    /// The report.
    pub report: SubjectReport,
    /// What was withheld.
    pub withheld: Vec<Withholding>,
    /// The holder's host.
    pub holder: String,
    /// Days for which records of queries, and of disclosures, are kept.
    pub kept_days: [u32; 2],
    /// The receipt of the entry in the holder's journal.
    pub receipt: String,
}

impl ReportMade {
    /// The date until which a record of this class from this day is kept, a legal hold aside.
    #[must_use]
    pub fn kept_until(&self, class: PayloadClass, day: i64) -> String {
        let [query, disclosure] = self.kept_days;
        let days = if class == PayloadClass::Query { query } else { disclosure };
        date_of(day.saturating_add(i64::from(days))).to_string()
    }
}

impl Gate {
    /// Puts together what is held of a person. A sample is wiped whatever comes of it; whoever it finds is found at the
    /// lowest rate of false hits that an agreement names for the collection.
    ///
    /// # Errors
    /// [`GateError`].
    pub async fn subject_report(&self, caller: &Caller, ask: ReportAsk) -> Result<ReportMade, GateError> {
        let why = text("reason", ask.why, 1, REASON_MAX_CHARS)?;
        for one in &ask.withheld {
            text("withheld.reason", one.reason.clone(), 1, REASON_MAX_CHARS)?;
        }
        if ask.withheld.len() > WITHHELD_MAX {
            let what = format!("{} parts are withheld; name {WITHHELD_MAX} at most", ask.withheld.len());
            return Err(GateError::Invalid { field: "withheld", what });
        }
        let content = self.content(why.as_bytes());
        // INVARIANT: whoever may not is refused before anybody is looked for.
        let permit = self.permit(&caller.actor, Action::ReportSubject, About::Service, content).await?;
        let of = match ask.who {
            ReportWho::Source(source) => ReportOf::Source(self.parts.keys.pseudonym(&source)),
            ReportWho::Subject(subject) => ReportOf::Subject(subject),
            ReportWho::Samples(collection, samples) => self.identify(&permit, &collection, samples).await?,
        };
        let new = ReportNew { of, withheld: ask.withheld.clone(), request: ask.request, why };
        let (report, receipt) = self.parts.store.subject_report(permit, new).await?.open()?;
        let live = self.live.load();
        let days = |class| live.rules.payload_retention(class).days;
        Ok(ReportMade {
            report,
            withheld: ask.withheld,
            holder: live.holder.host.clone(),
            kept_days: [days(PayloadClass::Query), days(PayloadClass::Disclosure)],
            receipt: receipt.to_text(),
        })
    }

    async fn identify(
        &self,
        permit: &crate::authz::Permit,
        name: &CollectionName,
        samples: Vec<Sample>,
    ) -> Result<ReportOf, GateError> {
        if samples.is_empty() || samples.len() > SAMPLES_MAX {
            let what =
                format!("{} samples were sent; send 1 to {SAMPLES_MAX} of the one person", samples.len());
            return Err(GateError::Invalid { field: "samples", what });
        }
        let live = self.live.load_full();
        let collection = live.collections.get(name).map(Arc::clone);
        let collection = collection.ok_or(GateError::NotFound("collection"))?;
        let rate = rate(&live, name)?;
        let probes = samples
            .into_iter()
            .map(|sample| {
                let wrong = |error: crate::template::TemplateError| GateError::Invalid {
                    field: "samples",
                    what: error.to_string(),
                };
                collection.probe(sample).map_err(wrong)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let question = Question { collection, probes, sets: &live.sets, changing: &self.publish };
        let found = matching::identify(self.parts.store.as_ref(), permit, question, rate).await;
        Ok(ReportOf::Sample(found.map_err(GateError::Matching)?))
    }

    /// Attaches a person's statement to a field of their record; whoever received the field is told of it.
    ///
    /// # Errors
    /// [`GateError::NotFound`] when nobody is there, [`GateError::NotNow`] for a field that the record does not have.
    pub async fn statement_attach(
        &self,
        caller: &Caller,
        source_id: &str,
        field: FieldName,
        words: String,
        request: Option<SubjectRequestId>,
    ) -> Result<String, GateError> {
        let words = text("statement", words, 1, STATEMENT_MAX_CHARS)?;
        let content = self.content(source_id.as_bytes());
        let permit = self.permit(&caller.actor, Action::AttachStatement, About::Service, content).await?;
        let source = self.parts.keys.pseudonym(source_id);
        let new = StatementNew { source, field, text: words, request };
        let (stated, receipt) = self.parts.store.statement_attach(permit, new).await?.open()?;
        self.corrections_due.notify_one();
        match stated {
            Stated::Attached => Ok(receipt.to_text()),
            Stated::NoSubject => Err(GateError::NotFound("subject")),
            Stated::NoField => Err(GateError::NotNow(NO_FIELD.to_owned())),
        }
    }
}

/// The lowest rate of false hits that an agreement names for a collection: what the holder itself looks for there by.
pub(super) fn rate(live: &Live, collection: &CollectionName) -> Result<f64, GateError> {
    let rates = live.rules.agreements().filter(|one| one.collections.contains(collection));
    let rate = rates.map(|one| one.accuracy.fpir).min_by(f64::total_cmp);
    rate.ok_or_else(|| GateError::NotNow(NO_RATE.to_owned()))
}

const REASON_MAX_CHARS: usize = 512;
const STATEMENT_MAX_CHARS: usize = 2_000;
const WITHHELD_MAX: usize = 12;
const SAMPLES_MAX: usize = 4;
const NO_RATE: &str = "no agreement names this collection, so that nobody has said how often a stranger may be taken for \
                       somebody in it; name the person by the source system's id";
const NO_FIELD: &str = "the record has no such field; `onebit subject show` lists those that it has";
