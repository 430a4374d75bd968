//! `onebit subject duplicates`: pairs of subjects that may be one person.

use serde_json::json;

use crate::cli::fault::CliError;
use crate::cli::print::table;
use crate::cli::way::Way;
use crate::cli::wire;
use crate::grpc::client::Client;
use crate::grpc::pb::oversight as pb;

/// What is compared.
#[derive(Debug, clap::Args)]
pub struct DuplicatesArgs {
    /// The collection
    #[arg(long, value_name = "NAME")]
    pub collection: String,
    /// Why; kept in the log, with an entry for each 2,048 templates
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The rest.
    #[command(flatten)]
    pub way: Way,
}

/// Has every template of a collection compared, some at a time, and shows the pairs.
pub(super) async fn run(args: &DuplicatesArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.way.client).await?;
    let (mut pairs, mut compared, mut expected) = (std::collections::BTreeSet::new(), 0_u64, 0.0);
    let mut page_token = String::new();
    loop {
        let call = client.request(pb::FindDuplicatesRequest {
            collection: wire::resource("collections", &args.collection),
            page_token,
            reason: args.reason.clone(),
        });
        let found = client.answer("the duplicates", client.subject().find_duplicates(call)).await?;
        pairs.extend(found.pairs.into_iter().map(|pair| (pair.subject, pair.other)));
        compared = compared.saturating_add(found.compared);
        expected += found.strangers_expected;
        if found.next_page_token.is_empty() {
            break;
        }
        page_token = found.next_page_token;
    }
    let heading = || {
        format!(
            "{compared} templates were compared; if nobody is held twice, about {expected:.3} pairs of strangers are alike"
        )
    };
    args.way.output.show(
        || {
            if pairs.is_empty() {
                return format!("nobody is suspected to be held twice\n{}", heading());
            }
            let rows: Vec<[String; 2]> =
                pairs.iter().map(|(one, other)| [one.clone(), other.clone()]).collect();
            format!("{}\n{}", table(["SUBJECT", "MAY BE THE SAME AS"], &rows), heading())
        },
        &json!({
            "pairs": pairs.iter().map(|(one, other)| json!({ "subject": one, "other": other })).collect::<Vec<_>>(),
            "compared": compared,
            "strangers_expected": expected,
        }),
    )
}
