//! The journals this miner keeps for gateways.
//!
//! Owns their start. Must not know what is in them. Invariant: their bytes count as taken of the space that is lent.

use super::{Inner, MinerError};
use crate::{
    network::Network,
    storage::journal::{JOURNALS_MAX_BYTES, JournalStore, serve},
};
use std::{path::PathBuf, sync::Arc};
use tokio::task::spawn_blocking;

/// Of the space lent at most this part is for journals.
const SPACE_PART: u64 = 4;

/// Opens the journals in `root` and serves them.
pub(super) async fn start(inner: &Arc<Inner>, network: Arc<dyn Network>, root: PathBuf) -> Result<(), MinerError> {
    let (node, index) = (inner.node.clone(), inner.store.index().clone());
    let limit = JOURNALS_MAX_BYTES.min(index.space().limit / SPACE_PART);
    let opened = spawn_blocking(move || {
        let on_size = Box::new(move |bytes| index.set_journals(bytes));
        JournalStore::open(&node, &root, limit, on_size)
    });
    let store = opened.await.map_err(|_| MinerError::Stopped)??;
    serve(&inner.node, network, store);
    Ok(())
}
