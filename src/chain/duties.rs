//! What a validator owes the chain besides votes: its reveal for each era's election, and the evidence it comes across.
//!
//! Owns when these transactions are sent, from the node's own account. Must not know how elections count. Invariant: whatever
//! fails here costs the node a score or a report, never a block; reveals are tried while their window is open, once a block.

use super::{BlockFinalised, LocalChain, bft::Misbehaviour};
use crate::{
    client::{ChainClient, ChainError, Signer, Wallet},
    codec,
    consensus::{Calendar, Evidence},
    crypto::NodeKeys,
    ledger::{
        abi::{IStaking, STAKING},
        modules::staking_calls,
    },
    runtime::{BusError, Criticality, Node, Phase, Subscription, Worker},
    types::{Height, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use std::sync::Arc;

/// Starts the task.
pub(super) fn spawn(node: &Node, client: Arc<LocalChain>, keys: &NodeKeys) {
    let spec = client.chain().spec();
    let (calendar, chain_id) = (Calendar::of(&spec.params), spec.chain_id);
    let wallet = Wallet::new(client.clone(), Signer::Native(keys.account.clone()), chain_id);
    let worker = node.workers.register("validator duties");
    let duties = Duties { client, wallet, keys: keys.clone(), calendar, chain_id, settled: None, worker };
    let (blocks, faults) = (node.bus.subscribe::<BlockFinalised>(), node.bus.subscribe::<Misbehaviour>());
    let stop = node.tasks.stopping(Phase::Produce);
    node.tasks.spawn(Phase::Produce, "validator duties", Criticality::Optional, async move {
        stop.run_until_cancelled_owned(duties.run(blocks, faults)).await;
        Ok(())
    });
}

struct Duties {
    client: Arc<LocalChain>,
    wallet: Wallet,
    keys: NodeKeys,
    calendar: Calendar,
    chain_id: u64,
    /// Era whose reveal is sent, or not ours to send.
    settled: Option<u64>,
    worker: Worker,
}

impl Duties {
    async fn run(mut self, mut blocks: Subscription<BlockFinalised>, mut faults: Subscription<Misbehaviour>) {
        loop {
            let done = tokio::select! {
                block = blocks.recv() => match block {
                    Ok(block) => self.reveal(block.height).await,
                    // The next block is as good a moment.
                    Err(BusError::Lagged(_)) => Ok(()),
                    Err(BusError::Closed) => return,
                },
                fault = faults.recv() => match fault {
                    Ok(fault) => self.report(&fault).await,
                    Err(_) => Ok(()),
                },
            };
            match done {
                Ok(()) => self.worker.idle(),
                Err(error) => self.worker.error(error),
            }
        }
    }

    /// Sends this node's reveal if the election of the era of `height`, an executed block, waits for it. The seed of an era is in the
    /// state from the era's first block on.
    async fn reveal(&mut self, height: Height) -> Result<(), ChainError> {
        let era = self.calendar.era(height);
        if self.settled == Some(era) || height >= self.calendar.reveal_last(era) {
            return Ok(());
        }
        if !self.is_due(era).await? {
            self.settled = Some(era);
            return Ok(());
        }
        if self.client.balance(self.wallet.address()).await?.is_zero() {
            return Ok(());
        }
        self.worker.busy(format!("reveal for era {era}"));
        let seed = self.ask(&IStaking::eraCall { era }).await?.seed;
        self.send(&staking_calls::reveal(&self.keys.vrf, self.chain_id, era, &seed)).await?;
        self.settled = Some(era);
        Ok(())
    }

    /// Whether this node is a candidate with keys older than the era's seed and has not revealed.
    async fn is_due(&self, era: u64) -> Result<bool, ChainError> {
        let account = self.wallet.address();
        let Ok(candidate) = self.ask(&IStaking::candidateCall { account }).await else { return Ok(false) };
        if candidate.vrfKey != self.keys.vrf.public().0 || candidate.registeredAt > self.calendar.seed_height(era) {
            return Ok(false);
        }
        Ok(self.ask(&IStaking::activityCall { account, era }).await?.revealedAt == 0)
    }

    async fn report(&self, fault: &Misbehaviour) -> Result<(), ChainError> {
        let Some(evidence) = fault.evidence.iter().find(|evidence| convicts(evidence, fault)) else { return Ok(()) };
        self.worker.busy(format!("evidence against {} at height {}", fault.account, fault.height));
        self.send(&IStaking::reportEvidenceCall { evidence: evidence.clone() }).await
    }

    async fn ask<C: SolCall>(&self, call: &C) -> Result<C::Return, ChainError> {
        let data = self.client.call(STAKING, call.abi_encode().into()).await?;
        C::abi_decode_returns(&data).map_err(|e| ChainError::Malformed(format!("{}: {e}", C::SIGNATURE)))
    }

    async fn send(&self, call: &impl SolCall) -> Result<(), ChainError> {
        self.wallet.send(STAKING, U256::ZERO, Bytes::from(call.abi_encode()), None).await.map(drop)
    }
}

/// Whether the chain would take `evidence` of `fault`: it refuses two messages that one validator may both sign.
fn convicts(evidence: &Bytes, fault: &Misbehaviour) -> bool {
    let offence = codec::decode::<Evidence>(evidence).ok().and_then(|evidence| evidence.offence().ok());
    offence.is_some_and(|offence| (offence.account, offence.height) == (fault.account, fault.height))
}
