//! Merging of tables, from the moment there are some to merge.
//!
//! Owns its bounds and when it begins: a compactor writes to the store as soon as it is there, and most buckets never need one. Must
//! not know keys. Invariant: it ends with its engine.

use super::{Engine, EngineError, EngineSettings};
use slatedb::{
    CompactorBuilder, DbStatus,
    config::{CompactionWorkerOptions, CompactorOptions},
};
use std::sync::Arc;

/// Tables that were not merged yet from which on merging begins: as many as are merged at once.
const BEGIN_TABLES: usize = 4;
/// Largest table that is written: a few segments of the storage layer.
const TABLE_MAX_BYTES: usize = 64 << 20;
const FETCH_BYTES: usize = 1 << 20;

impl Engine {
    /// Waits until there are tables to merge, and then merges them until the engine is closed. To be run beside it.
    pub fn compact(&self) -> impl Future<Output = Result<(), EngineError>> + Send + 'static {
        let mut status = self.db.subscribe();
        let (path, store, options) = (self.path.clone(), self.store.clone(), self.merging.clone());
        let closed = |status: &DbStatus| status.close_reason.is_some();
        let due = move |status: &DbStatus| closed(status) || status.current_manifest.l0().len() >= BEGIN_TABLES;
        async move {
            match status.wait_for(due).await.map(|status| closed(&status)) {
                Ok(false) => {}
                Ok(true) | Err(_) => return Ok(()),
            }
            let compactor = CompactorBuilder::new(path, Arc::new(store)).with_options(options).build();
            let end = async { drop(status.wait_for(closed).await) };
            tokio::select! {
                ended = compactor.run() => Ok(ended?),
                () = end => Ok(compactor.stop().await?),
            }
        }
    }

    /// Tables that were not merged yet.
    #[cfg(test)]
    pub fn unmerged(&self) -> usize {
        self.db.manifest().l0().len()
    }
}

/// How tables are merged.
pub(super) fn options(settings: &EngineSettings) -> CompactorOptions {
    let poll = settings.poll;
    CompactorOptions {
        checkpoint_lifetime: settings.table_age,
        poll_interval: poll,
        commit_compacted_interval: poll,
        max_concurrent_compactions: 1,
        worker: Some(CompactionWorkerOptions {
            compactions_poll_interval: poll,
            max_concurrent_compactions: 1,
            max_sst_size: TABLE_MAX_BYTES,
            max_fetch_tasks: 1,
            bytes_to_fetch: FETCH_BYTES,
            max_subcompactions: 1,
            ..CompactionWorkerOptions::default()
        }),
        ..CompactorOptions::default()
    }
}
