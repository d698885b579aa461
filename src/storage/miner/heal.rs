//! Getting claimed fragments back that are missing or damaged: from the other holders, without a word to the chain.
//!
//! Owns the search for what is missing and the pace. Must not know why it went. Invariants: a rebuilt fragment is stored only if its
//! bytes hash to its id; a column that cannot be rebuilt for long is given up, so that somebody else takes it.

use super::{Inner, MinerState, follow::run};
use crate::{
    client::ChainError,
    ledger::{
        abi::{IRepair, REPAIR},
        manifest::{Manifest, ManifestError},
    },
    runtime::{Counter, Phase, Worker},
    storage::{
        fetch::{FetchError, FileSource},
        fragments::FragmentError,
    },
    types::{FileId, FragmentId, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Columns looked at in one pass.
const PASS_MAX_FILES: usize = 256;
/// Rounds of audits after which a column that cannot be rebuilt is given up.
const HEAL_MAX_ROUNDS: u64 = 3;
/// How long a surrender may take to be final.
const SURRENDER_DEADLINE: Duration = Duration::from_secs(60);
/// Longest rest after a fragment.
const REST_MAX: Duration = Duration::from_secs(5);

/// Why a column could not be rebuilt.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum RebuildError {
    /// The chain does not know the file.
    #[error("the chain has no file {0}")]
    NoFile(FileId),
    /// The manifest is not one.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The chain failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The other holders do not have enough.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The fragment cannot be kept.
    #[error(transparent)]
    Store(#[from] FragmentError),
    /// The answers to the chain's spots cannot be made.
    #[error("{0}")]
    Spots(String),
}

/// A column of which something is missing.
struct Wound {
    file: FileId,
    column: u8,
    missing: BTreeSet<FragmentId>,
}

pub(super) fn start(inner: &Arc<Inner>) {
    let this = inner.clone();
    inner.spawn(Phase::Produce, "miner-self-heal", async move { this.heal_forever().await });
}

impl Inner {
    async fn heal_forever(&self) -> Result<(), FragmentError> {
        let worker = self.node.workers.register("self-heal");
        let mut height = self.height.subscribe();
        let mut failing = BTreeMap::new();
        loop {
            let round = self.rounds.at(*height.borrow());
            self.heal_all(round, &mut failing, &worker).await?;
            worker.idle();
            tokio::select! {
                () = self.heal.notified() => {}
                ended = height.wait_for(|height| self.rounds.at(*height) > round) => if ended.is_err() { return Ok(()) },
            }
        }
    }

    /// Rebuilds what is missing. `failing` has the round since which a file cannot be healed.
    async fn heal_all(
        &self,
        round: u64,
        failing: &mut BTreeMap<FileId, u64>,
        worker: &Worker,
    ) -> Result<(), FragmentError> {
        let store = self.store.clone();
        let wounds = run(move || {
            let (mut wounds, mut failed) = (Vec::new(), None);
            store.index().each_claim(|file, claim| {
                let missing: Result<BTreeSet<FragmentId>, FragmentError> = claim
                    .fragments
                    .iter()
                    .filter_map(|claimed| match store.index().holds(claimed.id) {
                        Ok(true) => None,
                        Ok(false) => Some(Ok(claimed.id)),
                        Err(error) => Some(Err(error)),
                    })
                    .collect();
                match missing {
                    Ok(missing) if missing.is_empty() => {}
                    Ok(missing) => wounds.push(Wound { file, column: claim.column, missing }),
                    Err(error) => failed = Some(error),
                }
                failed.is_none() && wounds.len() < PASS_MAX_FILES
            })?;
            failed.map_or(Ok(wounds), Err)
        })
        .await?;
        failing.retain(|file, _| wounds.iter().any(|wound| wound.file == *file));
        for Wound { file, column, missing } in wounds {
            worker.busy(format!("{} fragments of file {file}", missing.len()));
            match self.rebuild(file, column, Some(&missing), worker).await {
                Ok(_) => {
                    failing.remove(&file);
                    self.node.metrics.add(Counter::FragmentsHealed, u64::try_from(missing.len()).unwrap_or(0));
                    tracing::info!(%file, fragments = missing.len(), "missing fragments rebuilt");
                }
                Err(RebuildError::Store(FragmentError::Closed)) => return Err(FragmentError::Closed),
                Err(error) => {
                    worker.error(&error);
                    tracing::error!(%file, %error, "missing fragments cannot be rebuilt");
                    if round.saturating_sub(*failing.entry(file).or_insert(round)) >= HEAL_MAX_ROUNDS {
                        self.surrender(file, worker).await;
                    }
                }
            }
        }
        Ok(())
    }

    /// Fetches and stores fragments of a column: those of `only`, or all. Returns the file's manifest, read and as it is.
    pub(super) async fn rebuild(
        &self,
        file: FileId,
        column: u8,
        only: Option<&BTreeSet<FragmentId>>,
        worker: &Worker,
    ) -> Result<(Arc<Manifest>, Bytes), RebuildError> {
        let record = self.chain.file(file).await?.ok_or(RebuildError::NoFile(file))?;
        let bytes = self.chain.manifest(file).await?.ok_or(RebuildError::NoFile(file))?;
        let manifest = Arc::new(Manifest::read(&bytes)?);
        let mut source = FileSource::resolve(&self.directory, manifest.clone(), &record.holders).await?;
        source.columns.iter_mut().for_each(|peers| peers.retain(|peer| *peer != self.peer));
        let column = usize::from(column);
        let wanted: Vec<(usize, FragmentId)> = manifest
            .segments
            .iter()
            .enumerate()
            .filter_map(|(index, segment)| Some((index, *segment.fragments.get(column)?)))
            .filter(|(_, id)| only.is_none_or(|only| only.contains(id)))
            .collect();
        let total = u64::try_from(wanted.len()).unwrap_or(u64::MAX);
        for ((segment, id), done) in wanted.into_iter().zip(1..) {
            let begun = Instant::now();
            let bytes = self.fetcher.fragment(&source, segment, column).await?;
            self.store.put(id, bytes, self.now()).await?;
            self.show_space();
            worker.progress(done, total);
            sleep((begun.elapsed() * self.tranquility).min(REST_MAX)).await;
        }
        Ok((manifest, bytes))
    }

    async fn surrender(&self, file: FileId, worker: &Worker) {
        if self.state_now() != MinerState::Active {
            return;
        }
        let call = IRepair::surrenderCall { file: file.into() }.abi_encode();
        match self.wallet.send_and_wait(REPAIR, U256::ZERO, call.into(), SURRENDER_DEADLINE).await {
            Ok(_) => tracing::error!(%file, "a column that cannot be rebuilt was given up"),
            Err(error) => worker.error(format!("file {file} cannot be given up: {error}")),
        }
    }
}
