//! Key epochs of the tagger group: opening one when there is none or the open one is old, getting its key, giving it to the others.
//!
//! Owns who acts when; from when on an epoch may be opened is the chain's rule. Must not know tags. Invariants: a key leaves the enclave sealed
//! to a worker the chain lists as active; a worker hands each key to itself, too, so that it has it after a restart; who has the key replaces
//! its epoch only when that is old; a secret that makes no tags any more is given up.

use super::{Enclave, EnclaveError, Handover, KeyDigest};
use crate::{
    client::{ChainError, Wallet},
    ledger::abi::{
        ITee::{self, Worker},
        TEE,
    },
    runtime::{Criticality, Node, Phase, Worker as Report},
    storage::audit::{Handed, Holdings, IndexError, OpenEpoch, ask, taggers, workers},
    types::{Address, ChainId, Height, U256, params::KEY_LOST_ROUNDS},
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

/// What a keeper remembers from look to look.
#[derive(Debug, Default)]
struct Memory {
    /// What is the matter: the epoch whose key is not here, if one is open, and whether nobody has it.
    missing: Option<(Option<u64>, bool)>,
    since: Height,
    /// The key that makes tags.
    held: Option<KeyDigest>,
}

impl Memory {
    /// Since when the same thing has been the matter.
    fn since(&mut self, missing: (Option<u64>, bool), height: Height) -> Height {
        if self.missing != Some(missing) {
            (self.missing, self.since) = (Some(missing), height);
        }
        self.since
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
        let (mut memory, mut height) = (Memory::default(), 0);
        loop {
            height = self.holdings.in_step(height + 1).await;
            match self.look(height, &mut memory, &report).await {
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
    async fn look(&self, height: Height, memory: &mut Memory, report: &Report) -> Result<(), KeeperError> {
        let epoch = self.holdings.read(|index| index.open_epoch()).await?;
        let held = match &epoch {
            Some(epoch) => self.take(epoch).await?.then(|| epoch.key.digest()),
            None => None,
        };
        self.give_up(memory, epoch.as_ref(), held);
        let listed = workers(self.wallet.chain().as_ref()).await?;
        if let Some(epoch) = epoch.as_ref().filter(|_| held.is_some()) {
            self.give(epoch, &listed, height, report).await?;
        }
        let next = ask(self.wallet.chain().as_ref(), TEE, ITee::nextEpochCall {}).await?;
        let from = self.opens_from(&next, epoch.as_ref().map(|epoch| epoch.number), held.is_some(), height, memory);
        match turn(&taggers(&listed), &self.wallet.address(), next.number) {
            Some(turn) if height >= from.saturating_add(turn.saturating_mul(TURN_BLOCKS)) => {
                report.busy(format!("opening key epoch {}", next.number));
                self.open().await
            }
            _ => Ok(()),
        }
    }

    /// Block from which on the first of the workers should open the next epoch.
    fn opens_from(
        &self,
        next: &ITee::nextEpochReturn,
        open: Option<u64>,
        held: bool,
        height: Height,
        memory: &mut Memory,
    ) -> Height {
        if held {
            memory.missing = None;
            return next.due;
        }
        let since = memory.since((open, next.lost == 0), height);
        if next.lost == 0 {
            return since;
        }
        // Somebody has the key, as far as the chain knows, and this worker gives it time to hand it over.
        let patience = KEY_LOST_ROUNDS.saturating_mul(self.holdings.index().params().audit_round_blocks);
        next.due.min(next.lost.max(since.saturating_add(patience)))
    }

    /// Gives up the secret of an epoch that makes no tags any more.
    fn give_up(&self, memory: &mut Memory, open: Option<&OpenEpoch>, held: Option<KeyDigest>) {
        let open = open.map(|epoch| epoch.key.digest());
        if let Some(before) = memory.held
            && open != Some(before)
        {
            self.enclave.forget(&before);
            tracing::info!(key = hex::encode(&before[..4]), "gave up the secret of a key epoch that has ended");
        }
        memory.held = held;
    }

    /// Whether the key of the epoch is here, after unsealing it if that is possible.
    async fn take(&self, epoch: &OpenEpoch) -> Result<bool, KeeperError> {
        if self.enclave.holds(&epoch.key.digest()) {
            return Ok(true);
        }
        let (number, own) = (epoch.number, self.wallet.address());
        let (handed, seal_key) =
            (self.holdings.read(move |index| index.handed(number, &own)).await?, self.enclave.seal_key());
        // What was sealed to a key of an earlier start opens no more: others seal it anew.
        let Some(Handed { sealed, .. }) = handed.filter(|handed| handed.seal_key == seal_key) else {
            return Ok(false);
        };
        match self.enclave.unseal(&epoch.key, &self.handover(number, own, seal_key), &sealed) {
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
        let digest = key.group.digest();
        let opened = match self.send(call.abi_encode()).await {
            Err(error @ ChainError::Refused { .. }) => {
                self.enclave.forget(&digest);
                return Err(error.into());
            }
            sent => sent?,
        };
        self.holdings.in_step(opened).await;
        let epoch = self.holdings.read(|index| index.open_epoch()).await?;
        let Some(epoch) = epoch.filter(|epoch| epoch.key.digest() == digest) else {
            // Somebody opened one after it.
            self.enclave.forget(&digest);
            return Ok(());
        };
        tracing::info!(epoch = epoch.number, "opened a key epoch");
        self.hand_over(&epoch, self.wallet.address(), self.enclave.seal_key()).await
    }

    /// Hands the key to itself and to workers that do not have it, when it is this worker's turn.
    async fn give(
        &self,
        epoch: &OpenEpoch,
        listed: &[Worker],
        height: Height,
        report: &Report,
    ) -> Result<(), KeeperError> {
        let (number, own, tagging) = (epoch.number, self.wallet.address(), taggers(listed));
        let tagging = listed.iter().filter(|record| tagging.contains(&record.account));
        let asked: Vec<(Address, [u8; 32])> = tagging.map(|record| (record.account, record.sealKey.0)).collect();
        let has = self.holdings.read(move |index| {
            let has = |(account, seal_key): (Address, [u8; 32])| {
                let handed = index.handed(number, &account)?;
                Ok((account, seal_key, handed.is_some_and(|handed| handed.seal_key == seal_key)))
            };
            asked.into_iter().map(has).collect::<Result<Vec<_>, IndexError>>()
        });
        let (holders, missing): (Vec<_>, Vec<_>) = has.await?.into_iter().partition(|(_, _, has)| *has);
        let holders: Vec<Address> = holders.into_iter().map(|(account, ..)| account).collect();
        let is_turn = is_turn(&holders, &own, height);
        for (worker, seal_key, _) in missing {
            if worker == own || is_turn {
                report.busy(format!("handing the key of epoch {number} to {worker}"));
                self.hand_over(epoch, worker, seal_key).await?;
            }
        }
        Ok(())
    }

    async fn hand_over(&self, epoch: &OpenEpoch, worker: Address, seal_key: [u8; 32]) -> Result<(), KeeperError> {
        let to = self.handover(epoch.number, worker, seal_key);
        let sealed = self.enclave.seal(&epoch.key.digest(), &to)?;
        let call = ITee::handOverCall { epoch: epoch.number, worker, sealKey: seal_key.into(), sealed_: sealed.into() };
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

fn position(workers: &[Address], own: &Address) -> Option<u64> {
    u64::try_from(workers.iter().position(|worker| worker == own)?).ok()
}

/// How many of `workers` come before `own` for epoch `number`. Each epoch begins with another one, so that no worker opens all of them.
fn turn(workers: &[Address], own: &Address, number: u64) -> Option<u64> {
    let count = u64::try_from(workers.len()).unwrap_or(u64::MAX).max(1);
    Some((position(workers, own)? + count - number % count) % count)
}

/// Holders take turns in handing over, so that one that is gone keeps nobody from the key.
fn is_turn(holders: &[Address], own: &Address, height: Height) -> bool {
    let count = u64::try_from(holders.len()).unwrap_or(u64::MAX).max(1);
    position(holders, own) == Some(height / TURN_BLOCKS % count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_epoch_begins_with_another_worker() {
        let workers: Vec<Address> = (1..=3).map(Address::repeat_byte).collect();
        let turns = |number| workers.iter().map(|own| turn(&workers, own, number).unwrap()).collect::<Vec<_>>();
        assert_eq!([turns(0), turns(1), turns(2), turns(3)], [[0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 1, 2]]);
        assert_eq!(turn(&workers, &Address::ZERO, 0), None);
    }

    #[test]
    fn the_time_of_something_else_does_not_count() {
        let mut memory = Memory::default();
        assert_eq!([memory.since((None, true), 5), memory.since((None, true), 9)], [5, 5]);
        assert_eq!([memory.since((Some(0), false), 11), memory.since((Some(0), false), 12)], [11, 11]);
        assert_eq!(memory.since((Some(0), true), 20), 20, "since then nobody has the key");
    }
}
