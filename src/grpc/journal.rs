//! A partner's own journal.

use tonic::Request;

use super::call::{Desk, Reply};
use super::page::{self, PageSizes};
use super::pb::partner as pb;
use super::pb::partner::journal_service_server::JournalService;
use crate::audit::entry::Opening;
use crate::authz::Action;
use crate::store::LoggedEntry;
use crate::store::log::LogKey;

/// Shows partners their journals.
#[derive(Clone)]
pub(super) struct Journals {
    pub(super) desk: Desk,
}

#[tonic::async_trait]
impl JournalService for Journals {
    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Reply<pb::GetCheckpointResponse> {
        let call = self.desk.call(Action::GetOwnCheckpoint, &request);
        call.reply(async {
            let bundled = self.desk.gate().own_checkpoint(&call.caller()?).await?;
            Ok(pb::GetCheckpointResponse {
                checkpoint: bundled.checkpoint,
                verifier_key: bundled.verifier_key,
                keys: bundled.keys.into_iter().map(log_key).collect(),
            })
        })
        .await
    }

    async fn list_entries(&self, request: Request<pb::ListEntriesRequest>) -> Reply<pb::ListEntriesResponse> {
        let call = self.desk.call(Action::ListOwnEntries, &request);
        call.reply(async {
            let caller = call.caller()?;
            let size = page::size(request.get_ref().page_size, PAGE)?;
            let from = page::first_index(&request.get_ref().page_token)?;
            let limit = page::with_one_to_spare(size);
            let mut entries = self.desk.gate().own_entries(&caller, from, limit).await?;
            let size = page::fitting(&entries.iter().map(entry).collect::<Vec<_>>(), size);
            let next_page_token = page::cut_by_index(&mut entries, size, |entry| entry.index);
            Ok(pb::ListEntriesResponse { entries: entries.iter().map(entry).collect(), next_page_token })
        })
        .await
    }

    async fn get_witnessed_head(
        &self,
        request: Request<pb::GetWitnessedHeadRequest>,
    ) -> Reply<pb::GetWitnessedHeadResponse> {
        let call = self.desk.call(Action::GetWitnessedHead, &request);
        call.reply(async {
            let caller = call.caller()?;
            let head = self.desk.gate().own_head_witnessed(&caller, request.get_ref().known_size).await?;
            let proof = head.proof.unwrap_or_default();
            Ok(pb::GetWitnessedHeadResponse {
                receipt: head.receipt,
                consistency_proof: proof.iter().map(|hash| hash.as_bytes().to_vec()).collect(),
                verifier_key: head.verifier_key,
            })
        })
        .await
    }
}

fn log_key(key: LogKey) -> pb::LogKey {
    let handover = key.handover.map(|(_, text)| text).unwrap_or_default();
    pb::LogKey { verifier_key: key.key.to_string(), from_size: key.from_size, handover }
}

fn entry(logged: &LoggedEntry) -> pb::Entry {
    let opening = logged.opening.as_ref().map(Opening::encode).unwrap_or_default();
    pb::Entry { index: logged.index, entry: logged.entry.encode().to_vec(), opening }
}

/// As the schema says.
const PAGE: PageSizes = PageSizes { usual: 256, most: 1_000 };
