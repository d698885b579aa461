//! Why a state could not be taken over.

use crate::{chain::StoreError, client::light::LightError, types::Height};
use std::time::Duration;

/// A failed state sync.
#[derive(Debug, thiserror::Error)]
pub enum StateSyncError {
    /// The node's own database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nobody offers a state.
    #[error("no peer offered a snapshot of the state within {0:?}")]
    NoSnapshot(Duration),
    /// The certificates do not lead to the target.
    #[error("block {height} is not proven by certificates: {source}")]
    Unproven { height: Height, source: LightError },
    /// Snapshots vanish faster than they are downloaded.
    #[error("{0} snapshots in a row were no longer offered before they were complete")]
    Vanished(usize),
}
