//! Whether the server serves: a canary question now and then, and the answer in the standard health service.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, interval_at, timeout};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::gate::{Gate, GateError};
use crate::telemetry;

/// Says whether the server serves.
pub(super) struct Health {
    reporter: HealthReporter,
    /// The same for whoever asks within the server.
    serving: watch::Sender<bool>,
}

impl Health {
    /// Says yes from the start: the first canary came back before the door was opened.
    pub(super) fn new(reporter: HealthReporter) -> Self {
        Self { reporter, serving: watch::Sender::new(true) }
    }

    /// Whether the server serves, as it was said last.
    pub(super) fn serving(&self) -> watch::Receiver<bool> {
        self.serving.subscribe()
    }

    /// Says what the canaries find out, one after each pause, until dropped.
    pub(super) async fn watch(self: Arc<Self>, gate: Arc<Gate>) {
        let mut last = ServingStatus::Serving;
        let mut turns = interval_at(Instant::now() + CANARY_EVERY, CANARY_EVERY);
        loop {
            turns.tick().await;
            let status = match canary(&gate).await {
                Ok(()) => ServingStatus::Serving,
                Err(error) => {
                    tracing::error!(error = %telemetry::chain(&error), "the server is not ready");
                    ServingStatus::NotServing
                }
            };
            if status != last {
                self.say(status).await;
                tracing::info!(kind = word(status), "health changed");
                last = status;
            }
        }
    }

    /// Says that nobody should come any more.
    pub(super) async fn close(&self) {
        self.say(ServingStatus::NotServing).await;
    }

    /// Every service shares one fate, so only the server as a whole has a status.
    async fn say(&self, status: ServingStatus) {
        self.serving.send_replace(status == ServingStatus::Serving);
        self.reporter.set_service_status("", status).await;
    }
}

/// One question that is nobody's, the way of every question up to its decision.
pub(super) async fn canary(gate: &Gate) -> Result<(), GateError> {
    match timeout(CANARY_LONGEST, gate.ready()).await {
        Ok(ready) => ready,
        Err(_) => Err(GateError::Internal { doing: "waiting for the canary" }),
    }
}

const fn word(status: ServingStatus) -> &'static str {
    match status {
        ServingStatus::Serving => "serving",
        ServingStatus::NotServing | ServingStatus::Unknown => "not_serving",
    }
}

/// Two of them and a balancer knows within half a minute; a canary costs as much as one query.
const CANARY_EVERY: Duration = Duration::from_secs(10);
/// A question of a partner would have been given up by then.
const CANARY_LONGEST: Duration = Duration::from_secs(10);
