//! Notices, by the clock: addressed one after the other, delivered side by side, so that a receiver that is slow holds
//! up nobody but itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};

use super::Jobs;
use crate::gate::{Gate, GateError, Heard};
use crate::outbox::{NoticeSettings, Receiver};
use crate::telemetry;

/// Deliveries under way: one task a lane, and no second one of the same.
#[derive(Default)]
struct Lanes {
    running: HashMap<String, AbortHandle>,
    tasks: JoinSet<()>,
}

impl Jobs {
    /// Starts the job that tells people and systems what happened.
    pub fn start_notices(&mut self, gate: &Arc<Gate>, settings: NoticeSettings, every: Duration) {
        let (gate, settings) = (Arc::clone(gate), Arc::new(settings));
        let lanes = Arc::new(Mutex::new(Lanes::default()));
        self.spawn("notices", every, Arc::default(), move || {
            let (gate, settings, lanes) = (Arc::clone(&gate), Arc::clone(&settings), Arc::clone(&lanes));
            async move { run(gate, settings, &lanes).await }
        });
    }
}

async fn run(gate: Arc<Gate>, settings: Arc<NoticeSettings>, lanes: &Mutex<Lanes>) -> Result<u32, GateError> {
    let count = gate.notices_address(&settings).await?;
    let mut due: BTreeMap<String, Vec<Receiver>> = BTreeMap::new();
    for receiver in gate.notices_due().await? {
        due.entry(receiver.lane()).or_default().push(receiver);
    }
    let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
    while lanes.tasks.try_join_next().is_some() {}
    lanes.running.retain(|_, task| !task.is_finished());
    for (lane, receivers) in due {
        if !lanes.running.contains_key(&lane) {
            let task = lanes.tasks.spawn(deliver(Arc::clone(&gate), Arc::clone(&settings), receivers));
            lanes.running.insert(lane, task);
        }
    }
    Ok(count)
}

async fn deliver(gate: Arc<Gate>, settings: Arc<NoticeSettings>, receivers: Vec<Receiver>) {
    for receiver in receivers {
        match gate.notices_send(&settings, &receiver).await {
            Ok(Heard::Something) => {}
            // Whoever is behind it in the same lane would hear nothing either, and is first the next time.
            Ok(Heard::Nothing) => return,
            Err(error) => {
                tracing::error!(
                    job = "notices",
                    error = %telemetry::chain(&error),
                    "what came of notices could not be kept; they are tried again"
                );
                return;
            }
        }
    }
}
