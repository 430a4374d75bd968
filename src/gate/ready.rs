//! What the server does for itself: it notes its start, asks whether it is ready, and records the heads of
//! partners' journals.

use std::sync::Arc;

use crate::matching::{self, Collection};
use crate::secret::random_bytes;
use crate::store::AuditReceipt;
use crate::template::{Quality, QualityScore, Sample};

use super::{Gate, GateError};

impl Gate {
    /// Notes that the server was started; nothing is answered before.
    ///
    /// # Errors
    /// [`GateError::Store`].
    pub async fn server_started(&self) -> Result<AuditReceipt, GateError> {
        Ok(self.parts.store.server_started(VERSION).await?)
    }

    /// Whether a question could be answered now: the writer takes work, and a canary, a random direction that
    /// is nobody's, is protected and searched for in every gallery. What the search finds is not looked at.
    ///
    /// # Errors
    /// [`GateError`] says what stands against it.
    pub async fn ready(&self) -> Result<(), GateError> {
        // Nothing to make known: it only goes the way of every change, and fails when the store has stopped.
        self.parts.store.collections_sync(Vec::new()).await?;
        let collections: Vec<Arc<Collection>> = self.live.load().collections.values().cloned().collect();
        for collection in collections {
            let canary = collection.probe(self.canary(&collection)?);
            let canary = canary.map_err(|_| GateError::Internal { doing: "protecting the canary" })?;
            matching::try_search(&collection, canary).await.map_err(GateError::Matching)?;
        }
        Ok(())
    }

    /// Writes the head of each partner's journal that grew into the holder's journal; gives their number.
    ///
    /// # Errors
    /// [`GateError::Store`].
    pub async fn heads_record(&self) -> Result<u32, GateError> {
        Ok(self.parts.store.heads_record().await?)
    }

    /// A sample of the collection's scheme that no camera made: each component 1 or -1 by a coin, so that any
    /// two are next to orthogonal, brought to unit length.
    fn canary(&self, collection: &Collection) -> Result<Sample, GateError> {
        let length = collection.scheme.dimension.len();
        let component = unit_component(length);
        let mut values = Vec::with_capacity(length);
        while values.len() < length {
            let [coins] = random_bytes::<1>(self.parts.entropy.as_ref())?;
            let left = length.saturating_sub(values.len());
            values.extend(
                (0..left.min(8)).map(|bit| if coins >> bit & 1 == 1 { component } else { -component }),
            );
        }
        let best = QualityScore::new(100).map_or(Quality::Unknown, Quality::Score);
        Ok(Sample::embedding(values, best))
    }
}

/// The component of a unit vector of this length whose components are all of one size.
#[expect(
    clippy::as_conversions,
    reason = "a dimension is far below 2^24, and the nearest 32-bit float is meant"
)]
fn unit_component(length: usize) -> f32 {
    1.0 / (length as f32).sqrt()
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
