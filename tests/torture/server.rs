//! Kills of the real server with partners asking over TLS: whoever had an answer gets the same one, byte for byte,
//! when it asks again after the next start.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use onebit::grpc::pb::partner::{AskQueryResponse, Question};

use crate::disk::mix;
use crate::holder::{Holder, HolderOptions, until, who};
use crate::row::{Control, Form, Row};
use crate::story::{ask, question_about};

/// Kills servers.
pub(crate) fn run(form: Form) -> Row {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(kills(form))
}

async fn kills(form: Form) -> Row {
    let mut row = Row::default();
    let mut holder = Holder::start(HolderOptions::people(PEOPLE)).await;
    let mut known: Vec<(Question, AskQueryResponse)> = Vec::new();
    for round in 0..form.pick(3, 25) {
        let seed = mix(form.seed(), "server", round);
        known.extend(ask_until_killed(&mut holder, 1 + seed % 40).await);
        holder.serve().await;
        row.count(1, "kills of the server");
        let au = holder.channel(who::AU).await;
        for (question, answer) in known.split_off(known.len().saturating_sub(ASKED_AGAIN)) {
            row.count(1, "answers asked for again");
            match ask(&au, question.clone()).await {
                Ok(second) if same(&second, &answer) => {}
                Ok(_) => row.note(format!("round {round}: another answer than before the kill")),
                Err(status) => row.note(format!("round {round}: an answer is gone: {status}")),
            }
            known.push((question, answer));
        }
    }
    // What was never asked before must not be taken for it.
    let au = holder.channel(who::AU).await;
    let (mut control, number) =
        (Control { what: "another question", tried: 0, noticed: 0 }, known.len().min(5));
    for (_, answer) in known.iter().take(number) {
        control.tried += 1;
        let other = ask(&au, question_about(0)).await.expect("an answer");
        control.noticed += u64::from(!same(&other, answer));
    }
    row.controls.push(control);
    row
}

/// The parts of an answer that a repetition repeats: everything.
fn same(one: &AskQueryResponse, other: &AskQueryResponse) -> bool {
    one == other
}

/// Lets partners ask until so many answers are there, and kills the server while they go on.
async fn ask_until_killed(holder: &mut Holder, wanted: u64) -> Vec<(Question, AskQueryResponse)> {
    let (answered, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let known = Arc::new(Mutex::new(Vec::new()));
    let mut partners = Vec::new();
    for _ in 0..PARTNERS {
        let channel = holder.channel(who::AU).await;
        let (answered, stop, known) = (Arc::clone(&answered), Arc::clone(&stop), Arc::clone(&known));
        partners.push(tokio::spawn(async move {
            let mut person = 0;
            while !stop.load(Ordering::Acquire) {
                person += 1;
                let question = question_about(person % PEOPLE);
                let Ok(answer) = ask(&channel, question.clone()).await else { break };
                known.lock().unwrap().push((question, answer));
                answered.fetch_add(1, Ordering::AcqRel);
            }
        }));
    }
    until("the server answers", || async { answered.load(Ordering::Acquire) >= wanted }).await;
    tokio::time::sleep(Duration::from_micros(wanted * 37)).await;
    holder.kill();
    stop.store(true, Ordering::Release);
    for partner in partners {
        partner.await.unwrap();
    }
    std::mem::take(&mut *known.lock().unwrap())
}

const PEOPLE: u64 = 30;
const PARTNERS: usize = 4;
/// The newest answers: those that a kill could have taken.
const ASKED_AGAIN: usize = 60;
