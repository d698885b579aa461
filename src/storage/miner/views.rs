//! What a miner asks the protocol modules, typed.
//!
//! Owns the questions. Must not know what follows from the answers. Invariant: an answer that does not decode is an error.

use super::Inner;
use crate::{
    client::{ChainClient, ChainError, ChainEvent, MinerRecord},
    ledger::abi::{IMiners, IRepair, ITee, MINERS, REPAIR, TEE},
    types::{Address, B256, U256},
};
use alloy_sol_types::SolCall;

/// Most entries one listing of a module answers with.
const LIST_MAX: u64 = 1_000;

/// Whether a miner takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinerState {
    /// It does.
    Active,
    /// It leaves: it takes nothing new and keeps what it has until that is repaired elsewhere.
    Exiting,
    /// It was forced out.
    Lost,
}

/// Asks a module.
pub(super) async fn view<C: SolCall>(
    chain: &dyn ChainClient,
    module: Address,
    question: C,
) -> Result<C::Return, ChainError> {
    let answer = chain.call(module, question.abi_encode().into()).await?;
    C::abi_decode_returns(&answer).map_err(|e| ChainError::Malformed(format!("{}: {e}", C::SIGNATURE)))
}

impl MinerState {
    /// A registered miner's state.
    pub(super) fn of(record: &MinerRecord) -> Result<Self, ChainError> {
        match record.state {
            0 => Ok(Self::Active),
            1 => Ok(Self::Exiting),
            2 => Ok(Self::Lost),
            other => {
                Err(ChainError::Malformed(format!("miner {} has state {other}, 0 to 2 are known", record.address)))
            }
        }
    }
}

impl Inner {
    /// What this miner had just before a round opened.
    pub(super) async fn standing(&self, round: u64) -> Result<IMiners::Standing, ChainError> {
        view(&*self.chain, MINERS, IMiners::standingCall { account: self.account, round }).await
    }

    /// What claiming an order of repair costs now.
    pub(super) async fn claim_deposit(&self, order: &IRepair::Order) -> Result<U256, ChainError> {
        let question = IRepair::claimDepositCall { file: order.file, column: order.column };
        view(&*self.chain, REPAIR, question).await
    }

    /// Beacon its segments of idle space are bound to.
    pub(super) async fn idle_seed(&self) -> Result<B256, ChainError> {
        view(&*self.chain, MINERS, IMiners::idleSeedCall { account: self.account }).await
    }

    /// Number of batches it committed, and of its next segment.
    pub(super) async fn idle_counts(&self) -> Result<(u64, u64), ChainError> {
        let counts = view(&*self.chain, MINERS, IMiners::idleCountsCall { account: self.account }).await?;
        Ok((counts.batches, counts.next))
    }

    /// One of its batches.
    pub(super) async fn idle_batch(&self, batch: u64) -> Result<IMiners::Batch, ChainError> {
        view(&*self.chain, MINERS, IMiners::idleBatchCall { account: self.account, batch }).await
    }

    /// Its certified segments from number `skip` of the list on.
    pub(super) async fn certified(&self, skip: u64) -> Result<Vec<IMiners::Segment>, ChainError> {
        let (mut all, mut skip) = (Vec::new(), skip);
        loop {
            let question = IMiners::segmentsCall { account: self.account, skip, limit: LIST_MAX };
            let page = view(&*self.chain, MINERS, question).await?;
            let count = u64::try_from(page.len()).unwrap_or(LIST_MAX);
            all.extend(page);
            if count < LIST_MAX {
                return Ok(all);
            }
            skip += count;
        }
    }

    /// Columns that want a new holder, as many as one listing has.
    pub(super) async fn repair_orders(&self) -> Result<Vec<IRepair::Order>, ChainError> {
        view(&*self.chain, REPAIR, IRepair::ordersCall { skip: 0, limit: LIST_MAX }).await
    }

    /// A key epoch.
    pub(super) async fn tee_epoch(&self, number: u64) -> Result<ITee::Epoch, ChainError> {
        view(&*self.chain, TEE, ITee::epochCall { number }).await
    }

    /// The powers of a key epoch, which its event carries.
    pub(super) async fn epoch_powers(&self, epoch: &ITee::Epoch) -> Result<alloy_primitives::Bytes, ChainError> {
        let batches = self.chain.events(epoch.openedAt, epoch.openedAt).await?;
        let events = batches.into_iter().flat_map(|batch| batch.events);
        let powers = events.filter_map(|(_, event)| match event {
            ChainEvent::EpochOpened { epoch: number, srs, .. } if number == epoch.number => Some(srs),
            _ => None,
        });
        let missing = || format!("block {} opened no key epoch {}", epoch.openedAt, epoch.number);
        powers.last().ok_or_else(|| ChainError::Malformed(missing()))
    }
}
