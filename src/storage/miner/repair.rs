//! Taking over columns of miners that leave, were forced out, or gave them up.
//!
//! Owns the choice among orders and the course of a repair. Must not know who is paid what. Invariants: one repair at a time; every
//! miner tries orders in an order of its own, so that not all claim the same; a column is claimed only if there is room for it.

use super::{Inner, MinerState, follow::run, heal::RebuildError};
use crate::{
    client::ChainError,
    crypto::hash,
    ledger::{
        abi::{IRepair, REPAIR},
        manifest::Manifest,
        repair::Claim,
    },
    proofs::spot,
    runtime::{Counter, Phase, Worker},
    storage::fragments::FragmentError,
    types::{Address, FileId, FragmentId, Height, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

/// Orders tried in one pass.
const PASS_MAX_ORDERS: usize = 16;
/// How long a claim or a completion may take to be final.
const SEND_DEADLINE: Duration = Duration::from_secs(60);

pub(super) fn start(inner: &Arc<Inner>) {
    let this = inner.clone();
    inner.spawn(Phase::Produce, "miner-repair", async move { this.repair_forever().await });
}

impl Inner {
    async fn repair_forever(&self) -> Result<(), FragmentError> {
        let worker = self.node.workers.register("repair");
        let mut height = self.height.subscribe();
        loop {
            let round = self.rounds.at(*height.borrow());
            match self.repair_pass(&worker).await {
                Err(RebuildError::Store(FragmentError::Closed)) => return Ok(()),
                Err(error) => {
                    worker.error(&error);
                    tracing::debug!(%error, "orders of repair cannot be read");
                }
                Ok(()) => {}
            }
            worker.idle();
            tokio::select! {
                () = self.repair.notified() => {}
                ended = height.wait_for(|height| self.rounds.at(*height) > round) => if ended.is_err() { return Ok(()) },
            }
        }
    }

    async fn repair_pass(&self, worker: &Worker) -> Result<(), RebuildError> {
        if self.state_now() != MinerState::Active {
            return Ok(());
        }
        for order in self.eligible().await?.into_iter().take(PASS_MAX_ORDERS) {
            let file = FileId::from(order.file);
            match self.repair(&order, worker).await {
                Ok(true) => {
                    self.node.metrics.add(Counter::RepairsCompleted, 1);
                    tracing::info!(%file, column = order.column, from = %order.holder, "column repaired");
                }
                Ok(false) => {}
                Err(RebuildError::Store(FragmentError::Closed)) => return Err(FragmentError::Closed.into()),
                Err(error) => {
                    worker.error(&error);
                    tracing::warn!(%file, column = order.column, %error, "a repair failed");
                }
            }
        }
        Ok(())
    }

    /// Orders this miner may take, in its own order.
    async fn eligible(&self) -> Result<Vec<IRepair::Order>, RebuildError> {
        let mut orders = self.repair_orders().await?;
        let (now, room) = (self.now(), self.store.index().space().free());
        orders.retain(|order| {
            let open = order.claimer == Address::ZERO || order.claimer == self.account || order.until < now;
            open && order.holder != self.account && order.bytes_ <= room
        });
        let store = self.store.clone();
        let mut orders = run(move || {
            let holds = |order: &IRepair::Order| Ok(store.index().claim_of(FileId::from(order.file))?.is_some());
            let keep = |order: IRepair::Order| match holds(&order) {
                Ok(true) => None,
                Ok(false) => Some(Ok(order)),
                Err(error) => Some(Err(error)),
            };
            orders.into_iter().filter_map(keep).collect::<Result<Vec<_>, FragmentError>>()
        })
        .await?;
        let place = |order: &IRepair::Order| {
            hash::content(&[self.account.as_slice(), order.file.as_slice(), &[order.column]].concat())
        };
        orders.sort_by_cached_key(place);
        Ok(orders)
    }

    /// Claims, rebuilds and takes over a column. False if another was faster or the chain does not want this miner for it.
    async fn repair(&self, order: &IRepair::Order, worker: &Worker) -> Result<bool, RebuildError> {
        let file = FileId::from(order.file);
        worker.busy(format!("column {} of file {file}", order.column));
        let mine = order.claimer == self.account && order.until >= self.now();
        let deposit = self.claim_deposit(order).await?;
        let mut rebuilt = None;
        if !mine && deposit > self.params.repair_claim_deposit.0 {
            // Others have let it lapse: perhaps it cannot be rebuilt, which is better known before the deposit is paid.
            rebuilt = Some(self.rebuild(file, order.column, None, worker).await?);
        }
        let claimed_at = match mine {
            true => order.claimedAt,
            false => match self.claim_order(order, deposit).await {
                Ok(height) => height,
                Err(error @ ChainError::Unreachable(_)) => return Err(error.into()),
                Err(error) => {
                    tracing::debug!(%file, %error, "a column cannot be claimed");
                    return Ok(false);
                }
            },
        };
        let (manifest, bytes) = match rebuilt {
            Some(rebuilt) => rebuilt,
            None => self.rebuild(file, order.column, None, worker).await?,
        };
        let spots = self.repair_spots(file, order.column, &manifest, claimed_at).await?;
        let call = IRepair::completeCall { manifest: bytes, column: order.column, spots: Bytes::from(spots) };
        self.wallet.send_and_wait(REPAIR, U256::ZERO, call.abi_encode().into(), SEND_DEADLINE).await?;
        Ok(true)
    }

    /// Claims with the deposit, which comes back with the completion.
    async fn claim_order(&self, order: &IRepair::Order, deposit: U256) -> Result<Height, ChainError> {
        let call = IRepair::claimCall { file: order.file, column: order.column }.abi_encode();
        Ok(self.wallet.send_and_wait(REPAIR, deposit, call.into(), SEND_DEADLINE).await?.height)
    }

    /// Openings of chunks of the column that the beacon of the block after the claim draws.
    async fn repair_spots(
        &self,
        file: FileId,
        column: u8,
        manifest: &Manifest,
        claimed_at: Height,
    ) -> Result<Vec<u8>, RebuildError> {
        let claim = Claim { chain: self.chain_id, claimer: self.account, height: claimed_at, file };
        let drawn_at = claim.beacon_height();
        let mut height = self.height.subscribe();
        if height.wait_for(|height| *height >= drawn_at).await.is_err() {
            return Err(FragmentError::Closed.into());
        }
        let beacon = self.chain.beacon(drawn_at).await?;
        let beacon =
            beacon.ok_or_else(|| RebuildError::Spots(format!("the chain has no beacon of block {drawn_at}")))?;
        let spots = claim.spots(beacon.0, manifest, column);
        let mut here = BTreeMap::new();
        for id in spots.iter().map(|spot| spot.fragment.id).collect::<BTreeSet<FragmentId>>() {
            here.insert(id, self.store.get(id).await?);
        }
        let opened = self.node.pool.run(move || spot::answer(&spots, |fragment| here.get(&fragment.id)));
        opened.await.map_err(|error| RebuildError::Spots(error.to_string()))
    }
}
