//! Key epochs of the tagger group: opening one when there is none, getting its key, giving it to the others.
//!
//! Owns who acts when. Must not know tags. Invariants: a key leaves the enclave sealed to a worker the chain lists as active; a worker
//! hands each key to itself, too, so that it has it after a restart; an epoch whose key nobody has any more is replaced.

use super::{Enclave, EnclaveError, Handover};
use crate::{
    client::{ChainError, Wallet},
    ledger::abi::{
        ITee::{self, Worker},
        TEE,
    },
    runtime::{Criticality, Node, Phase, Worker as Report},
    storage::audit::{Holdings, IndexError, OpenEpoch, taggers, workers},
    types::{Address, ChainId, Height, U256},
};
use alloy_sol_types::SolCall;
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// How long a transaction may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Blocks that the next worker waits longer to do what the one before should have done.
const TURN_BLOCKS: Height = 16;
/// Rounds without anybody who hands the key over, after which it counts as lost.
const LOST_ROUNDS: u64 = 4;

/// Why the keys of the group are not in order.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The chain failed or refused.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The enclave failed.
    #[error(transparent)]
    Enclave(#[from] EnclaveError),
}

/// Looks after the keys of one worker.
#[derive(Clone)]
pub struct Keeper {
    /// Its account.
    pub wallet: Wallet,
    /// The chain.
    pub chain_id: ChainId,
    /// What events say of epochs and sealed keys.
    pub holdings: Holdings,
    /// Where the keys are.
    pub enclave: Arc<dyn Enclave>,
}

/// Since when the same thing has been missing.
#[derive(Debug, Default)]
struct Patience {
    /// Of which epoch; none if there is none at all.
    of: Option<Option<u64>>,
    since: Height,
}

impl Patience {
    /// Blocks for which this has been so.
    fn blocks(&mut self, of: Option<u64>, height: Height) -> Height {
        if self.of != Some(of) {
            (self.of, self.since) = (Some(of), height);
        }
        height.saturating_sub(self.since)
    }
}

impl Keeper {
    /// Starts to look after them.
    pub fn start(self, node: &Node) {
        let report = node.workers.register("tagger keys");
        let stop = node.tasks.stopping(Phase::Produce);
        node.tasks.spawn(Phase::Produce, "tagger keys", Criticality::Optional, async move {
            stop.run_until_cancelled_owned(self.run(report)).await;
            Ok(())
        });
    }

    async fn run(self, report: Report) {
        let (mut patience, mut height) = (Patience::default(), 0);
        loop {
            height = self.holdings.in_step(height + 1).await;
            match self.look(height, &mut patience, &report).await {
                Ok(()) => report.idle(),
                Err(error) => {
                    report.error(&error);
                    tracing::warn!(%error, "keys of the tagger group are not in order, trying again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Does what is to be done at `height`.
    async fn look(&self, height: Height, patience: &mut Patience, report: &Report) -> Result<(), KeeperError> {
        let epoch = self.holdings.read(|index| index.open_epoch()).await?;
        if let Some(epoch) = &epoch
            && self.take(epoch).await?
        {
            *patience = Patience::default();
            return self.give(epoch, height, report).await;
        }
        // There is no epoch, or its key is not to be had here.
        let waited = patience.blocks(epoch.as_ref().map(|epoch| epoch.number), height);
        let listed = workers(self.wallet.chain().as_ref()).await?;
        let Some(turn) = position(&taggers(&listed), &self.wallet.address()) else { return Ok(()) };
        let lost_after = match epoch {
            None => 0,
            Some(_) => LOST_ROUNDS.saturating_mul(self.holdings.index().params().audit_round_blocks),
        };
        if waited < lost_after.saturating_add(turn.saturating_mul(TURN_BLOCKS)) {
            return Ok(());
        }
        report.busy("opening a key epoch");
        self.open().await?;
        *patience = Patience::default();
        Ok(())
    }

    /// Whether the key of the epoch is here, after unsealing it if that is possible.
    async fn take(&self, epoch: &OpenEpoch) -> Result<bool, KeeperError> {
        if self.enclave.holds(&epoch.key.digest()) {
            return Ok(true);
        }
        let (number, own) = (epoch.number, self.wallet.address());
        let Some(sealed) = self.holdings.read(move |index| index.handed(number, &own)).await? else {
            return Ok(false);
        };
        match self.enclave.unseal(&epoch.key, &self.handover(number, own, self.enclave.seal_key()), &sealed) {
            Ok(()) => {
                tracing::info!(epoch = number, "the key of the tagger group is here");
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(epoch = number, %error, "a sealed key does not open");
                Ok(false)
            }
        }
    }

    /// Draws a key and opens an epoch with it, then hands the key to itself.
    async fn open(&self) -> Result<(), KeeperError> {
        let key = self.enclave.draw_key()?;
        let call = ITee::openEpochCall { key: key.group.encode().to_vec().into(), srs: key.srs.encode().into() };
        let opened = self.send(call.abi_encode()).await?;
        self.holdings.in_step(opened).await;
        let epoch = self.holdings.read(|index| index.open_epoch()).await?;
        let digest = key.group.digest();
        let Some(epoch) = epoch.filter(|epoch| epoch.key.digest() == digest) else {
            // Somebody opened one after it.
            self.enclave.forget(&digest);
            return Ok(());
        };
        tracing::info!(epoch = epoch.number, "opened a key epoch");
        self.hand_over(&epoch, self.wallet.address(), self.enclave.seal_key()).await
    }

    /// Hands the key to itself and to workers that do not have it, when it is this worker's turn.
    async fn give(&self, epoch: &OpenEpoch, height: Height, report: &Report) -> Result<(), KeeperError> {
        let own = self.wallet.address();
        let listed = workers(self.wallet.chain().as_ref()).await?;
        let tagging = taggers(&listed);
        let (number, asked) = (epoch.number, tagging.clone());
        let has = self.holdings.read(move |index| {
            asked.iter().map(|worker| Ok(index.handed(number, worker)?.is_some())).collect::<Result<Vec<bool>, _>>()
        });
        let has = has.await?;
        let (holders, missing): (Vec<_>, Vec<_>) = tagging.iter().zip(has).partition(|(_, has)| *has);
        let holders: Vec<Address> = holders.into_iter().map(|(worker, _)| *worker).collect();
        let is_turn = is_turn(&holders, &own, height);
        for (worker, _) in missing {
            if *worker != own && !is_turn {
                continue;
            }
            let Some(record) = listed.iter().find(|record| record.account == *worker) else { continue };
            report.busy(format!("handing the key of epoch {number} to {worker}"));
            self.hand_over(epoch, *worker, seal_key(record)).await?;
        }
        Ok(())
    }

    async fn hand_over(&self, epoch: &OpenEpoch, worker: Address, seal_key: [u8; 32]) -> Result<(), KeeperError> {
        let to = self.handover(epoch.number, worker, seal_key);
        let sealed = self.enclave.seal(&epoch.key.digest(), &to)?;
        let call = ITee::handOverCall { epoch: epoch.number, worker, sealed_: sealed.into() };
        let handed = self.send(call.abi_encode()).await?;
        tracing::info!(epoch = epoch.number, %worker, "handed the key of the tagger group over");
        self.holdings.in_step(handed).await;
        Ok(())
    }

    fn handover(&self, epoch: u64, receiver: Address, seal_key: [u8; 32]) -> Handover {
        Handover { chain: self.chain_id, epoch, receiver, seal_key }
    }

    /// Height of the block that took the call.
    async fn send(&self, data: Vec<u8>) -> Result<Height, ChainError> {
        Ok(self.wallet.send_and_wait(TEE, U256::ZERO, data.into(), FINAL_DEADLINE).await?.height)
    }
}

fn seal_key(worker: &Worker) -> [u8; 32] {
    worker.sealKey.0
}

fn position(workers: &[Address], own: &Address) -> Option<u64> {
    u64::try_from(workers.iter().position(|worker| worker == own)?).ok()
}

/// Holders take turns in handing over, so that one that is gone keeps nobody from the key.
fn is_turn(holders: &[Address], own: &Address, height: Height) -> bool {
    let count = u64::try_from(holders.len()).unwrap_or(u64::MAX).max(1);
    position(holders, own) == Some(height / TURN_BLOCKS % count)
}
