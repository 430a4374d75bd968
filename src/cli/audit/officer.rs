//! The log as privacy officers read it. Every read is an entry of the log itself.

use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::offline::kept;
use super::{CheckpointArgs, EntryArgs, ExportArgs, JournalsArgs, ListArgs};
use crate::cli::fault::CliError;
use crate::cli::print::{self, Output};
use crate::cli::{files, wire};
use crate::grpc::client::Client;
use crate::grpc::pb::oversight as pb;

/// Lists the journals.
pub(super) async fn journals(args: &JournalsArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.client).await?;
    let call = client.request(pb::ListJournalsRequest { reason: args.reason.clone() });
    let found = client.answer("the journals", client.log().list_journals(call)).await?.journals;
    let rows: Vec<_> =
        found.iter().map(|it| [it.name.clone(), it.size.to_string(), it.origin.clone()]).collect();
    let told = found.iter().map(|it| json!({ "journal": it.name, "size": it.size, "origin": it.origin }));
    args.output.show(|| print::table(["journal", "entries", "origin"], &rows), &told.collect::<Vec<_>>())
}

/// Shows the entries of a journal, page by page.
pub(super) async fn list(args: &ListArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.client).await?;
    let (mut page_token, mut left) = (String::new(), args.limit.unwrap_or(u64::MAX));
    loop {
        let call = client.request(pb::ListEntriesRequest {
            journal: wire::resource(JOURNALS, &args.journal),
            reason: args.reason.clone(),
            page_size: i32::try_from(left.min(PAGE_MAX)).unwrap_or(i32::MAX),
            page_token,
        });
        let page = client.answer("the entries", client.log().list_entries(call)).await?;
        for entry in &page.entries {
            if left == 0 {
                return Ok(());
            }
            left = left.saturating_sub(1);
            args.output.show(|| as_text(entry), &as_json(entry))?;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() || left == 0 {
            return Ok(());
        }
    }
}

/// Shows one entry, and keeps its proof.
pub(super) async fn entry(args: &EntryArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.client).await?;
    let call = client.request(pb::GetEntryRequest {
        journal: wire::resource(JOURNALS, &args.journal),
        index: args.index,
        reason: args.reason.clone(),
    });
    let found = client.answer("the entry", client.log().get_entry(call)).await?;
    let entry = found.entry.ok_or_else(|| CliError::incomplete("entry"))?;
    if let Some(path) = &args.out {
        files::write_private(path, found.proof.as_bytes())?;
        kept("the proof", path);
    }
    let mut told = as_json(&entry);
    if let Value::Object(fields) = &mut told {
        fields.insert("proof".to_owned(), json!(found.proof));
    }
    args.output.show(|| as_text(&entry), &told)
}

/// Shows the newest checkpoint of a journal.
pub(super) async fn checkpoint(args: &CheckpointArgs) -> Result<(), CliError> {
    let client = Client::connect(&args.client).await?;
    let call = client.request(pb::GetCheckpointRequest { journal: wire::resource(JOURNALS, &args.journal) });
    let found = client.answer("the checkpoint", client.log().get_checkpoint(call)).await?;
    if let Some(path) = &args.out {
        files::write_new(path, found.checkpoint.as_bytes())?;
        kept("the checkpoint", path);
    }
    args.output.show(
        || format!("{}\nverifier key: {}", found.checkpoint, found.verifier_key),
        &json!({ "checkpoint": found.checkpoint, "verifier_key": found.verifier_key }),
    )
}

/// Writes an export to a new folder.
pub(super) async fn export(args: &ExportArgs) -> Result<(), CliError> {
    std::fs::create_dir(&args.out).map_err(|source| CliError::write(&args.out, source))?;
    let client = Client::connect(&args.client).await?;
    // An export has no deadline of its own, but each of its files has.
    let message = pb::ExportJournalRequest {
        journal: wire::resource(JOURNALS, &args.journal),
        reason: args.reason.clone(),
    };
    let mut export = client.answer("the export", client.log().export_journal(message)).await?;
    let (mut count, mut bytes) = (0_u64, 0_u64);
    while let Some(file) = client.next("a file of the export", &mut export).await? {
        let path = place(&args.out, &file.path)?;
        if let Some(folder) = path.parent() {
            files::folder(folder)?;
        }
        files::write_private(&path, &file.content)?;
        count = count.saturating_add(1);
        bytes = bytes.saturating_add(u64::try_from(file.content.len()).unwrap_or(u64::MAX));
    }
    if args.output.output == Output::Text {
        print::note("whoever has the openings in it knows what the entries say: keep it as you keep records");
    }
    args.output.show(
        || {
            let out = args.out.display();
            format!(
                "{count} files, {bytes} bytes in {out}\nverify it with: onebit audit verify {out} --key KEY"
            )
        },
        &json!({ "folder": args.out, "files": count, "bytes": bytes }),
    )
}

/// Where a file of the export goes: nowhere but below the folder.
fn place(folder: &Path, path: &str) -> Result<PathBuf, CliError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    let normal = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !path.chars().all(plain) || !normal {
        return Err(CliError::Found(format!(
            "the server sent a file by the name `{path}`, which no export has"
        )));
    }
    Ok(folder.join(path))
}

pub(super) fn as_text(entry: &pb::Entry) -> String {
    let facts = entry.facts.iter().map(|fact| format!("\n  {}  {}", fact.name, fact.value));
    let when = wire::moment(entry.time.as_ref());
    if entry.payload() == pb::Payload::Disposed {
        return format!("{}  {when}  disposed of at the end of its retention", entry.index);
    }
    format!("{}  {when}  {}  by {}{}", entry.index, entry.kind, entry.actor, facts.collect::<String>())
}

pub(super) fn as_json(entry: &pb::Entry) -> Value {
    let facts = entry.facts.iter().map(|fact| (fact.name.clone(), json!(fact.value)));
    json!({
        "index": entry.index, "kind": entry.kind, "time": wire::moment(entry.time.as_ref()),
        "actor": entry.actor, "disposed": entry.payload() == pb::Payload::Disposed, "facts": facts.collect::<serde_json::Map<_, _>>(),
    })
}

const JOURNALS: &str = "journals";
/// What the server gives at most.
const PAGE_MAX: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_stays_in_its_folder() {
        let folder = Path::new("/export");
        for path in ["checkpoint", "tile/0/x001/234.p/5", "openings/000"] {
            assert_eq!(place(folder, path).unwrap(), folder.join(path));
        }
        for path in ["", "/etc/passwd", "../x", "tile/../../x", "a\nb", "a b"] {
            assert!(place(folder, path).is_err(), "`{path}` must be refused");
        }
    }
}
