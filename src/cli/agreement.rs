//! `onebit agreement`: what the caller may ask, as a partner.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::fault::CliError;
use super::print;
use super::way::Way;
use super::{files, wire};
use crate::grpc::client::Client;
use crate::grpc::pb::partner as pb;

/// Shows your standing, your agreements, and the schemes that samples must follow
#[derive(Debug, clap::Args)]
pub struct AgreementArgs {
    /// What to show.
    #[command(subcommand)]
    pub command: AgreementCommand,
}

/// What can be shown.
#[derive(Debug, clap::Subcommand)]
pub enum AgreementCommand {
    /// Shows whether you may ask, and how many queries are left
    Standing(Way),
    /// Shows your agreements: purposes, collections, volumes, fields, dates
    List(Way),
    /// Shows how samples are made for each collection
    ///
    /// Each scheme has test vectors: inputs with the embedding that its extractor gives. Run yours on the same
    /// inputs; if the cosine is less than the least one, yours is another extractor, and its samples match nobody.
    Schemes {
        /// Write all of it, test vectors too, to a new JSON file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// The rest.
        #[command(flatten)]
        way: Way,
    },
}

/// Shows it.
///
/// # Errors
/// [`CliError`] when the server refuses.
pub fn run(args: &AgreementArgs) -> Result<(), CliError> {
    wire::calling(async {
        match &args.command {
            AgreementCommand::Standing(way) => standing(way).await,
            AgreementCommand::List(way) => list(way).await,
            AgreementCommand::Schemes { out, way } => schemes(out.as_ref(), way).await,
        }
    })
}

async fn standing(way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::GetStandingRequest {});
    let found = client.answer("your standing", client.agreement().get_standing(call)).await?;
    let standing = match found.standing() {
        pb::Standing::Unspecified => "unknown",
        pb::Standing::Active => "active",
        pb::Standing::Suspended => "suspended",
    };
    let key = found.release_key.as_deref().map(|key| crate::ids::Digest::sha256(key).to_string());
    let remaining = found
        .remaining
        .iter()
        .map(|it| json!({ "agreement": it.agreement, "today": it.today, "this_year": it.this_year }));
    let remaining: Vec<_> = remaining.collect();
    way.output.show(
        || {
            let left = found.remaining.iter().map(|it| {
                format!("\nleft         {} today, {} this year by {}", it.today, it.this_year, it.agreement)
            });
            format!(
                "partner      {}\nstanding     {standing}\nrelease key  {}{}",
                found.partner,
                key.as_deref().unwrap_or("none is confirmed"),
                left.collect::<String>()
            )
        },
        &json!({
            "partner": found.partner, "standing": standing, "release_key_fingerprint": key, "remaining": remaining,
        }),
    )
}

async fn list(way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::ListAgreementsRequest {});
    let found = client.answer("your agreements", client.agreement().list_agreements(call)).await?.agreements;
    let text = |it: &pb::Agreement| {
        let fields = it.disclosable.iter().map(|of| format!("\n  {}: {}", of.purpose, of.fields.join(", ")));
        format!(
            "{}\ninstrument   {}\npurposes     {}\ncollections  {}\nvolumes      {} a day, {} a year\n\
             fpir         {}\nin force     {} to {}, reviewed by {}\nurgent path  {}\nfresh sample {}\nfields{}",
            it.name,
            it.instrument,
            it.purposes.join(", "),
            it.collections.join(", "),
            it.queries_a_day,
            it.queries_a_year,
            it.fpir,
            it.valid_from,
            it.valid_until,
            it.review_by,
            it.urgent.map_or_else(
                || "none".to_owned(),
                |path| { format!("decided within {} hours", path.decide_within_seconds / 3_600) }
            ),
            if it.fresh_sample { "wanted with each request for fields" } else { "none" },
            fields.collect::<String>()
        )
    };
    let told = found.iter().map(|it| {
        let fields = it.disclosable.iter().map(|of| (of.purpose.clone(), json!(of.fields)));
        json!({
            "agreement": it.name, "instrument": it.instrument, "purposes": it.purposes,
            "collections": it.collections, "queries_a_day": it.queries_a_day, "queries_a_year": it.queries_a_year,
            "disclosable": fields.collect::<serde_json::Map<_, _>>(), "valid_from": it.valid_from,
            "valid_until": it.valid_until, "review_by": it.review_by, "fpir": it.fpir,
            "urgent_decide_within_seconds": it.urgent.map(|path| path.decide_within_seconds),
            "fresh_sample": it.fresh_sample,
        })
    });
    let told: Vec<_> = told.collect();
    way.output.show(|| found.iter().map(text).collect::<Vec<_>>().join("\n\n"), &told)
}

async fn schemes(out: Option<&PathBuf>, way: &Way) -> Result<(), CliError> {
    let client = Client::connect(&way.client).await?;
    let call = client.request(pb::ListSchemesRequest {});
    let found = client.answer("the schemes", client.agreement().list_schemes(call)).await?.schemes;
    let told: Vec<Value> = found.iter().map(scheme_json).collect();
    if let Some(path) = out {
        let text = serde_json::to_vec_pretty(&told).map_err(|error| CliError::Output(error.into()))?;
        files::write_new(path, &text)?;
        print::note(&format!("all of it, test vectors too, is in {}", path.display()));
    }
    way.output.show(|| found.iter().map(scheme_text).collect::<Vec<_>>().join("\n\n"), &told)
}

fn scheme_text(scheme: &pb::Scheme) -> String {
    let quality = scheme.minimum_quality.map_or_else(|| "none".to_owned(), |least| least.to_string());
    format!(
        "{}\ncollections    {}\nmodality       {}\nextractor      {} {}\ndimension      {}\n\
         normalisation  {}\nleast quality  {quality}\ntest vectors   {}",
        scheme.name,
        scheme.collections.join(", "),
        scheme.modality,
        scheme.extractor,
        scheme.extractor_version,
        scheme.dimension,
        scheme.normalisation,
        scheme.test_vectors.len()
    )
}

fn scheme_json(scheme: &pb::Scheme) -> Value {
    let vectors = scheme.test_vectors.iter().map(|it| {
        json!({
            "input": it.input, "input_sha256": wire::hex(&it.input_sha256), "embedding": it.embedding,
            "minimum_cosine": it.minimum_cosine,
        })
    });
    json!({
        "scheme": scheme.name, "collections": scheme.collections, "modality": scheme.modality,
        "extractor": scheme.extractor, "extractor_version": scheme.extractor_version,
        "dimension": scheme.dimension, "normalisation": scheme.normalisation,
        "minimum_quality": scheme.minimum_quality, "test_vectors": vectors.collect::<Vec<_>>(),
    })
}
