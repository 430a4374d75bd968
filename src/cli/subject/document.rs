//! What a person is given: `report.json`, from which the page follows.

use serde::{Deserialize, Serialize};

use crate::cli::wire;
use crate::grpc::pb::oversight as pb;
use crate::store::subject::{Ground, ReportPart};

/// The whole of it. The page says no more.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    /// The form and its version.
    form: String,
    /// When it was put together.
    pub(super) made: String,
    /// By whose service.
    pub(super) holder: String,
    /// By which program.
    pub(super) program: String,
    /// Whether anybody was found.
    pub(super) known: bool,
    pub(super) templates: Vec<Template>,
    pub(super) record: Vec<Field>,
    pub(super) statements: Vec<Statement>,
    pub(super) restrictions: Vec<Restriction>,
    pub(super) queries: Vec<Query>,
    pub(super) hidden_queries: Vec<Query>,
    pub(super) disclosures: Vec<Disclosure>,
    pub(super) withheld: Vec<Withheld>,
    pub(super) disposed: Disposed,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Template {
    pub(super) collection: String,
    pub(super) scheme: String,
    pub(super) enrolled: String,
    pub(super) enrolled_by: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) field: String,
    pub(super) value: String,
    pub(super) classification: String,
    pub(super) source: String,
    pub(super) permitted_uses: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Statement {
    pub(super) field: String,
    pub(super) statement: String,
    pub(super) attached: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restriction {
    pub(super) restriction: String,
    /// `null`: it came with enrolment.
    pub(super) given: Option<String>,
    pub(super) reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub(super) query: String,
    pub(super) partner: String,
    pub(super) agreement: String,
    pub(super) purpose: String,
    pub(super) legal_basis: String,
    pub(super) collection: String,
    pub(super) asked: String,
    pub(super) kept_until: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disclosure {
    pub(super) disclosure: String,
    pub(super) partner: String,
    pub(super) agreement: String,
    pub(super) rule: String,
    pub(super) purpose: String,
    pub(super) legal_basis: String,
    pub(super) fields_asked: Vec<String>,
    pub(super) asked: String,
    pub(super) state: String,
    pub(super) fields_released: Vec<String>,
    pub(super) released: Option<String>,
    pub(super) fetched: Option<String>,
    pub(super) acknowledged: Option<String>,
    pub(super) corrections: Vec<Correction>,
    pub(super) kept_until: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Correction {
    pub(super) kind: String,
    pub(super) fields: Vec<String>,
    pub(super) statement: String,
    pub(super) made: String,
    pub(super) told: Option<String>,
    pub(super) acknowledged: Option<String>,
    pub(super) overdue: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Withheld {
    pub(super) part: String,
    /// Whether it is one thing of the part; which one, the person is not told.
    pub(super) one_thing: bool,
    pub(super) section: String,
    pub(super) section_says: String,
    pub(super) reason: String,
}

/// Dates before which records were disposed of; `null` where none were.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Disposed {
    pub(super) queries_before: Option<String>,
    pub(super) disclosures_before: Option<String>,
    pub(super) enrolment_before: Option<String>,
}

impl Document {
    /// Of what the server put together.
    pub(super) fn of(report: &pb::ReportSubjectResponse) -> Self {
        Self {
            form: FORM.to_owned(),
            made: wire::moment(report.report_time.as_ref()),
            holder: report.holder.clone(),
            program: format!("Onebit {}", env!("CARGO_PKG_VERSION")),
            known: report.known,
            templates: report.templates.iter().map(template).collect(),
            record: report.fields.iter().map(field).collect(),
            statements: report.statements.iter().map(statement).collect(),
            restrictions: report.restrictions.iter().map(restriction).collect(),
            queries: report.queries.iter().map(query).collect(),
            hidden_queries: report.hidden_queries.iter().map(query).collect(),
            disclosures: report.disclosures.iter().map(disclosure).collect(),
            withheld: report.withheld.iter().map(withheld).collect(),
            disposed: Disposed {
                queries_before: given(&report.queries_disposed_before),
                disclosures_before: given(&report.disclosures_disposed_before),
                enrolment_before: given(&report.enrolment_disposed_before),
            },
        }
    }

    /// Whether this version reads it.
    pub(super) fn is_known_form(&self) -> bool {
        self.form == FORM
    }

    /// Whether a part was withheld as a whole.
    pub(super) fn is_withheld(&self, part: ReportPart) -> bool {
        self.withheld.iter().any(|one| one.part == part.as_str() && !one.one_thing)
    }

    /// In numbers, for whoever made it.
    pub(super) fn told(&self) -> String {
        format!(
            "templates     {}\nfields        {}\nstatements    {}\nrestrictions  {}\nqueries       {}\nhidden        {}\n\
             disclosures   {}\nwithheld      {}",
            self.templates.len(),
            self.record.len(),
            self.statements.len(),
            self.restrictions.len(),
            self.queries.len(),
            self.hidden_queries.len(),
            self.disclosures.len(),
            self.withheld.len()
        )
    }
}

fn given(text: &str) -> Option<String> {
    Some(text.to_owned()).filter(|text| !text.is_empty())
}

fn moment(sent: Option<&prost_types::Timestamp>) -> Option<String> {
    sent.map(|sent| wire::moment(Some(sent)))
}

fn template(held: &pb::HeldTemplate) -> Template {
    Template {
        collection: wire::last_part(&held.collection).to_owned(),
        scheme: wire::last_part(&held.scheme).to_owned(),
        enrolled: wire::moment(held.enrol_time.as_ref()),
        enrolled_by: held.enrolled_by.clone(),
    }
}

fn field(held: &pb::HeldField) -> Field {
    Field {
        field: held.field.clone(),
        value: held.value.clone(),
        classification: held.classification.clone(),
        source: held.source.clone(),
        permitted_uses: held.permitted_uses.clone(),
    }
}

fn statement(held: &pb::HeldStatement) -> Statement {
    let (field, statement) = (held.field.clone(), held.statement.clone());
    Statement { field, statement, attached: wire::moment(held.attach_time.as_ref()) }
}

fn restriction(held: &pb::HeldRestriction) -> Restriction {
    Restriction {
        restriction: held.restriction.clone(),
        given: moment(held.restrict_time.as_ref()),
        reason: held.reason.clone(),
    }
}

fn query(told: &pb::ToldQuery) -> Query {
    Query {
        query: told.query.clone(),
        partner: told.partner.clone(),
        agreement: wire::last_part(&told.agreement).to_owned(),
        purpose: told.purpose.clone(),
        legal_basis: told.legal_basis.clone(),
        collection: wire::last_part(&told.collection).to_owned(),
        asked: wire::moment(told.ask_time.as_ref()),
        kept_until: told.kept_until.clone(),
    }
}

fn disclosure(told: &pb::ToldDisclosure) -> Disclosure {
    Disclosure {
        disclosure: told.disclosure.clone(),
        partner: told.partner.clone(),
        agreement: wire::last_part(&told.agreement).to_owned(),
        rule: told.rule.clone(),
        purpose: told.purpose.clone(),
        legal_basis: told.legal_basis.clone(),
        fields_asked: told.fields_asked.clone(),
        asked: wire::moment(told.ask_time.as_ref()),
        state: told.state.clone(),
        fields_released: told.fields_released.clone(),
        released: moment(told.release_time.as_ref()),
        fetched: moment(told.fetch_time.as_ref()),
        acknowledged: moment(told.acknowledge_time.as_ref()),
        corrections: told.corrections.iter().map(correction).collect(),
        kept_until: told.kept_until.clone(),
    }
}

fn correction(told: &pb::ToldCorrection) -> Correction {
    Correction {
        kind: told.kind.clone(),
        fields: told.fields.clone(),
        statement: told.statement.clone(),
        made: wire::moment(told.make_time.as_ref()),
        told: moment(told.tell_time.as_ref()),
        acknowledged: moment(told.acknowledge_time.as_ref()),
        overdue: told.overdue,
    }
}

fn withheld(one: &pb::Withholding) -> Withheld {
    Withheld {
        part: one.part.clone(),
        one_thing: !one.item.is_empty(),
        section: one.ground.clone(),
        section_says: one.ground.parse().map(Ground::says).unwrap_or_default().to_owned(),
        reason: one.reason.clone(),
    }
}

const FORM: &str = "onebit/subject-report/1";
