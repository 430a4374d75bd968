//! The log, for privacy officers.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::call::{Call, Desk, Reply};
use super::change_form::{FormFault, partner_name, person_name};
use super::in_order::Answers;
use super::page::{self, PageSizes};
use super::parse::{self, JOURNALS};
use super::pb::oversight as pb;
use super::pb::oversight::judge_alert_request::Stop as Stopped;
use super::pb::oversight::log_service_server::LogService;
use super::status::CallError;
use super::timestamp::timestamp_to_pb;
use crate::audit::event::Event;
use crate::authz::Action;
use crate::clock::Timestamp;
use crate::gate::{ReadAsk, SearchAsk};
use crate::oversight::{Alert, Judgement};
use crate::store::alert::{JudgementNew, Stop};
use crate::store::log::{ExportPlan, LogKey};
use crate::store::search::{Attribute, Sought, SoughtError};
use crate::store::subject::WordError;
use crate::store::{FoundEntry, JournalHead, ProvenEntry, Searched};

/// Shows the log to those who watch over it.
#[derive(Clone)]
pub(super) struct Logs {
    pub(super) desk: Desk,
}

#[tonic::async_trait]
impl LogService for Logs {
    async fn list_journals(
        &self,
        request: Request<pb::ListJournalsRequest>,
    ) -> Reply<pb::ListJournalsResponse> {
        let call = self.desk.call(Action::ListJournals, &request);
        call.reply(async {
            let caller = call.caller()?;
            let heads = self.desk.gate().journal_list(&caller, request.into_inner().reason).await?;
            Ok(pb::ListJournalsResponse { journals: heads.into_iter().map(journal).collect() })
        })
        .await
    }

    async fn get_checkpoint(
        &self,
        request: Request<pb::GetCheckpointRequest>,
    ) -> Reply<pb::GetCheckpointResponse> {
        let call = self.desk.call(Action::GetCheckpoint, &request);
        call.reply(async {
            let caller = call.caller()?;
            let journal = parse::journal(JOURNAL, &request.get_ref().journal)?;
            let bundled = self.desk.gate().checkpoint_get(&caller, journal).await?;
            Ok(pb::GetCheckpointResponse {
                checkpoint: bundled.checkpoint,
                verifier_key: bundled.verifier_key,
                keys: bundled.keys.into_iter().map(log_key).collect(),
            })
        })
        .await
    }

    async fn list_entries(&self, request: Request<pb::ListEntriesRequest>) -> Reply<pb::ListEntriesResponse> {
        let call = self.desk.call(Action::ListEntries, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let from = page::first_index(&sent.page_token)?;
            let limit = page::size(sent.page_size, PAGE)?;
            let journal = parse::journal(JOURNAL, &sent.journal)?;
            // No item to spare: whatever is read here is said to be read, so nothing is read that is not shown.
            let ask = ReadAsk { journal, from, limit, why: sent.reason };
            let read = self.desk.gate().entry_list(&caller, ask).await?.entries;
            Ok(entries(read.iter().map(entry).collect(), limit))
        })
        .await
    }

    async fn get_entry(&self, request: Request<pb::GetEntryRequest>) -> Reply<pb::GetEntryResponse> {
        let call = self.desk.call(Action::GetEntry, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let journal = parse::journal(JOURNAL, &sent.journal)?;
            let ask = ReadAsk { journal, from: sent.index, limit: 1, why: sent.reason };
            let read = self.desk.gate().entry_get(&caller, ask).await?;
            Ok(pb::GetEntryResponse { entry: Some(entry(&read)), proof: read.proof.unwrap_or_default() })
        })
        .await
    }

    async fn search_entries(
        &self,
        request: Request<pb::SearchEntriesRequest>,
    ) -> Reply<pb::SearchEntriesResponse> {
        let call = self.desk.call(Action::SearchEntries, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let limit = page::size(sent.page_size, PAGE)?;
            let before = Some(page::first_index(&sent.page_token)?).filter(|before| *before > 0);
            let ask = SearchAsk { sought: sought(&sent)?, before, limit, why: sent.reason };
            let searched = self.desk.gate().entry_search(&caller, ask).await?;
            Ok(found(&searched, limit))
        })
        .await
    }

    async fn get_consistency_proof(
        &self,
        request: Request<pb::GetConsistencyProofRequest>,
    ) -> Reply<pb::GetConsistencyProofResponse> {
        let call = self.desk.call(Action::GetConsistencyProof, &request);
        call.reply(async {
            let caller = call.caller()?;
            let sent = request.get_ref();
            let journal = parse::journal(JOURNAL, &sent.journal)?;
            let from = parse::at_least_one("from_size", sent.from_size)?;
            let to = Some(sent.to_size).filter(|size| *size > 0);
            let proof = self.desk.gate().consistency_proof(&caller, journal, from, to).await?;
            let hashes = proof.hashes.iter().map(|hash| hash.0.to_vec()).collect();
            Ok(pb::GetConsistencyProofResponse { hashes, to_size: proof.to })
        })
        .await
    }

    async fn list_alerts(&self, request: Request<pb::ListAlertsRequest>) -> Reply<pb::ListAlertsResponse> {
        let call = self.desk.call(Action::ListAlerts, &request);
        call.reply(async {
            let caller = call.caller()?;
            let watched = self.desk.gate().alert_list(&caller, request.into_inner().reason).await?;
            let alerts = watched.alerts.into_iter().take(ALERTS_MAX).map(alert);
            Ok(pb::ListAlertsResponse {
                alerts: alerts.collect(),
                entries: watched.looked_at,
                current: watched.is_current,
            })
        })
        .await
    }

    async fn judge_alert(&self, request: Request<pb::JudgeAlertRequest>) -> Reply<pb::JudgeAlertResponse> {
        let call = self.desk.call(Action::JudgeAlert, &request);
        call.reply(async {
            let caller = call.caller()?;
            let new = judgement(request.into_inner())?;
            let receipt = self.desk.gate().alert_judge(&caller, new).await?;
            Ok(pb::JudgeAlertResponse { receipt })
        })
        .await
    }

    type ExportJournalStream = Answers<pb::ExportJournalResponse>;

    async fn export_journal(
        &self,
        request: Request<pb::ExportJournalRequest>,
    ) -> Reply<Self::ExportJournalStream> {
        let call = self.desk.call(Action::ExportJournal, &request);
        let planned = call.done(async {
            let caller = call.caller()?;
            let sent = request.into_inner();
            let journal = parse::journal(JOURNAL, &sent.journal)?;
            Ok(self.desk.gate().export_plan(&caller, journal, sent.reason).await?)
        });
        let plan = planned.await.map_err(Status::from)?;
        let (files, taken) = mpsc::channel(FILES_AHEAD);
        tokio::spawn(export(self.desk.clone(), call, plan, files));
        Ok(Response::new(Box::pin(ReceiverStream::new(taken))))
    }
}

fn alert((alert, judgement): (Alert, Option<Judgement>)) -> pb::Alert {
    pb::Alert {
        alert_sha256: alert.id().as_bytes().to_vec(),
        detector: alert.detector.to_string(),
        whom: alert.whom.to_string(),
        says: alert.says,
        odds: alert.odds,
        start_time: Some(timestamp_to_pb(alert.from)),
        end_time: Some(timestamp_to_pb(alert.until)),
        entries: alert.entries.iter().map(|place| format!("{}/{}", place.journal, place.index)).collect(),
        entries_total: u64::try_from(alert.entries_total).unwrap_or(u64::MAX),
        judgement: judgement.map(|it| pb::AlertJudgement {
            finding: it.finding,
            person: format!("people/{}", it.by),
            time: Some(timestamp_to_pb(it.at)),
            reason: it.why,
        }),
    }
}

fn judgement(sent: pb::JudgeAlertRequest) -> Result<JudgementNew, FormFault> {
    let alert = parse::digest("alert_sha256", &sent.alert_sha256)?;
    let finding =
        sent.finding.parse().map_err(|error: WordError| FormFault::new("finding", error.to_string()))?;
    let stop = sent.stop.map(|stop| match stop {
        Stopped::Partner(name) => partner_name("partner", &name).map(Stop::Partner),
        Stopped::Official(of) => {
            partner_name("official.partner", &of.partner).map(|partner| Stop::Official(partner, of.official))
        }
        Stopped::Agreement(name) => {
            parse::held("agreement", parse::agreement("agreement", &name)?).map(Stop::Agreement)
        }
        Stopped::Person(name) => person_name("person", &name).map(Stop::Person),
    });
    Ok(JudgementNew {
        alert,
        detector: sent.detector,
        whom: sent.whom,
        entries: sent.entries,
        finding,
        why: sent.reason,
        stop: stop.transpose()?,
    })
}

/// Sends the files one by one, as fast as they are taken. The caller is looked up before each of them: an
/// export of a long journal may take longer than its caller is trusted.
async fn export(
    desk: Desk,
    call: Call,
    plan: ExportPlan,
    files: mpsc::Sender<Result<pb::ExportJournalResponse, Status>>,
) {
    for file in &plan.files {
        let content = async {
            call.caller()?;
            Ok::<_, CallError>(desk.gate().export_file(&plan, file).await?)
        };
        let (sent, ended) = match content.await {
            Ok(content) => (Ok(pb::ExportJournalResponse { path: file.path.clone(), content }), false),
            Err(error) => {
                error.log(Action::ExportJournal);
                (Err(error.status()), true)
            }
        };
        if files.send(sent).await.is_err() || ended {
            return;
        }
    }
}

fn log_key(key: LogKey) -> pb::LogKey {
    let handover = key.handover.map(|(_, text)| text).unwrap_or_default();
    pb::LogKey { verifier_key: key.key.to_string(), from_size: key.from_size, handover }
}

fn journal(head: JournalHead) -> pb::Journal {
    pb::Journal { name: format!("{JOURNALS}{}", head.journal), origin: head.origin, size: head.size }
}

fn entry(read: &ProvenEntry) -> pb::Entry {
    opened(read.index, read.at, read.event.as_ref())
}

fn opened(index: u64, at: Timestamp, event: Option<&Event>) -> pb::Entry {
    let left = pb::Entry { index, time: Some(timestamp_to_pb(at)), ..pb::Entry::default() };
    let Some(event) = event else {
        return pb::Entry { payload: pb::Payload::Disposed.into(), ..left };
    };
    let facts = event.render().into_iter();
    pb::Entry {
        kind: event.kind.to_string(),
        actor: event.actor.clone(),
        facts: facts.map(|(name, value)| pb::Fact { name: name.to_owned(), value }).collect(),
        payload: pb::Payload::Kept.into(),
        ..left
    }
}

/// What is searched for, in its form.
fn sought(sent: &pb::SearchEntriesRequest) -> Result<Sought, FormFault> {
    let attribute = match sent.attribute() {
        pb::Attribute::Partner => Attribute::Partner,
        pb::Attribute::Agreement => Attribute::Agreement,
        pb::Attribute::Purpose => Attribute::Purpose,
        pb::Attribute::Case => Attribute::Case,
        pb::Attribute::Official => Attribute::Official,
        pb::Attribute::Officer => Attribute::Officer,
        pb::Attribute::Request => Attribute::Request,
        pb::Attribute::Disclosure => Attribute::Disclosure,
        pb::Attribute::Query => Attribute::Query,
        pb::Attribute::Index => Attribute::Index,
        pb::Attribute::Kind => Attribute::Kind,
        pb::Attribute::Unspecified => {
            return Err(FormFault::new(
                "attribute",
                "is missing or unknown; send one of the schema".to_owned(),
            ));
        }
    };
    let moment = |field, sent: Option<&_>| match sent {
        Some(sent) => parse::moment(field, Some(sent)).map(Some),
        None => Ok(None),
    };
    let since = moment("start_time", sent.start_time.as_ref())?;
    let until = moment("end_time", sent.end_time.as_ref())?;
    Sought::new(attribute, &sent.value, since, until).map_err(|error| {
        let field = if error == SoughtError::Range { "end_time" } else { "value" };
        FormFault::new(field, error.to_string())
    })
}

fn found(searched: &Searched, limit: u32) -> pb::SearchEntriesResponse {
    let mut entries: Vec<pb::FoundEntry> = searched.found.iter().map(found_entry).collect();
    let is_full = u32::try_from(entries.len()).is_ok_and(|length| length >= limit);
    let fitting = usize::try_from(page::fitting(&entries, limit)).unwrap_or(usize::MAX);
    let is_cut = entries.len() > fitting;
    entries.truncate(fitting);
    let last = searched.found.get(entries.len().saturating_sub(1)).filter(|_| is_full || is_cut);
    let next_page_token = last.map_or_else(String::new, |last| page::index_token(last.place));
    pb::SearchEntriesResponse { entries, next_page_token, search_index: searched.entry }
}

fn found_entry(found: &FoundEntry) -> pb::FoundEntry {
    let entry = opened(found.index, found.at, Some(&found.event));
    pb::FoundEntry { journal: format!("{JOURNALS}{}", found.journal), entry: Some(entry) }
}

/// A page that is not full is the last; a full one may be followed by an empty one.
fn entries(mut entries: Vec<pb::Entry>, limit: u32) -> pb::ListEntriesResponse {
    let full = u32::try_from(entries.len()).is_ok_and(|length| length >= limit);
    let fitting = page::fitting(&entries, limit);
    let first_cut = page::cut_by_index(&mut entries, fitting, |entry| entry.index);
    let next_page_token = match entries.last() {
        Some(last) if full && first_cut.is_empty() => page::index_token(last.index.saturating_add(1)),
        _ => first_cut,
    };
    pb::ListEntriesResponse { entries, next_page_token }
}

const JOURNAL: &str = "journal";
/// As the schema says: some two megabytes at most.
const ALERTS_MAX: usize = 500;
/// As the schema says.
const PAGE: PageSizes = PageSizes { usual: 100, most: 1_000 };
/// One file is sent while the next is read; files have 256 entries or hashes at most.
const FILES_AHEAD: usize = 1;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(count: u64, bytes: usize) -> Vec<pb::Entry> {
        let fact = || pb::Fact { name: "detail".to_owned(), value: "x".repeat(bytes) };
        (0..count).map(|index| pb::Entry { index, facts: vec![fact()], ..pb::Entry::default() }).collect()
    }

    #[test]
    fn a_page_that_is_not_full_is_the_last() {
        assert_eq!(entries(read(3, 1), 4).next_page_token, "");
        assert_eq!(entries(Vec::new(), 4).next_page_token, "");
        assert_eq!(page::first_index(&entries(read(4, 1), 4).next_page_token), Ok(4));
    }

    #[test]
    fn what_does_not_fit_begins_the_next_page() {
        let page = entries(read(10, 1_024 * 1_024 - 64), 100);
        assert_eq!((page.entries.len(), page::first_index(&page.next_page_token)), (3, Ok(3)));
    }
}
