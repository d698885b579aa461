//! The memory pool: transactions that are not yet in a block.
//!
//! Owns admission, the memo of verified signatures, order, bounds and gossip of transactions. Must not know blocks.
//! Invariants: every transaction held was verified once and paid for by its sender's balance at admission; memory is bounded.

mod gossip;
mod lanes;
mod memo;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub use gossip::TxBundle;
pub use gossip::{TOPIC_TX, spawn_gossip};
pub use lanes::Limits;
pub use memo::{Decode, SignatureMemo};

use crate::{
    ledger::{
        state::{StateError, StateView},
        tx::{TxError, VerifiedTx},
    },
    types::{Address, B256, ChainId, Height, U256},
};
use lanes::Lanes;
use parking_lot::{Mutex, MutexGuard};
use std::{sync::Arc, time::Instant};
use tokio::sync::{broadcast, watch};

/// Blocks after which a transaction that never became executable is dropped.
const MAX_AGE_BLOCKS: Height = 4_096;
/// How often the age is checked, in blocks.
const EXPIRY_INTERVAL_BLOCKS: Height = 64;
/// Admitted transactions a slow listener may be behind before it misses some.
const ANNOUNCED_MAX_TXS: usize = 4_096;
/// Transactions taken in before others who wait for the pool have their turn.
const TURN_MAX_TXS: usize = 64;
/// Smallest fee cap admitted: the lowest base fee the chain can reach.
pub const FEE_FLOOR: u128 = 7;

/// Why a transaction was not admitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Not a valid transaction of this chain.
    #[error(transparent)]
    Invalid(#[from] TxError),
    /// It is here already.
    #[error("transaction {0} is already known")]
    Known(B256),
    /// Its nonce was used.
    #[error("replayed transaction: nonce {nonce} is used, next is {next}")]
    Replayed { nonce: u64, next: u64 },
    /// Its nonce lies too far ahead.
    #[error("nonce {nonce} is too far ahead: next is {next}, at most {max} may wait")]
    NonceAhead { nonce: u64, next: u64, max: u64 },
    /// Another transaction with this nonce waits, and the bid is too low to replace it.
    #[error("replacement of nonce {nonce} is underpriced: it needs a fee cap of {fee} and a tip of {tip}")]
    Underpriced { nonce: u64, fee: u128, tip: u128 },
    /// One sender has too much waiting.
    #[error("sender {sender} has too many {what} waiting, the limit is {max}")]
    SenderFull { sender: Address, what: &'static str, max: usize },
    /// Everything that waits bids more.
    #[error("the pool is full with {txs} transactions of {bytes} B, a fee cap above {fee} is needed")]
    Full { txs: usize, bytes: usize, fee: u128 },
    /// The sender cannot pay.
    #[error("insufficient funds: account {sender} has {balance}, the transaction may cost {cost}")]
    Funds { sender: Address, balance: U256, cost: U256 },
    /// A fee no block will ever accept.
    #[error("fee cap {fee} is below the floor of {floor}")]
    FeeTooLow { fee: u128, floor: u128 },
    /// The executor would not run it.
    #[error("transaction cannot run: {0}")]
    Refused(String),
    /// State could not be read.
    #[error("state cannot be read: {0}")]
    State(String),
}

impl From<StateError> for PoolError {
    fn from(e: StateError) -> Self {
        Self::State(e.to_string())
    }
}

/// Transactions waiting for a block.
pub struct Mempool {
    chain_id: ChainId,
    memo: Arc<SignatureMemo>,
    lanes: Mutex<Lanes>,
    ready: watch::Sender<bool>,
    base_fee: Mutex<u64>,
    admitted: broadcast::Sender<Arc<VerifiedTx>>,
}

impl Mempool {
    /// An empty pool for one chain.
    pub fn new(chain_id: ChainId, limits: Limits) -> Self {
        Self::remembering(chain_id, limits, Arc::new(SignatureMemo::of_chain(chain_id)))
    }

    /// An empty pool for a chain with transactions of its own.
    pub fn decoding(chain_id: ChainId, limits: Limits, decode: Decode) -> Self {
        Self::remembering(chain_id, limits, Arc::new(SignatureMemo::new(chain_id, decode)))
    }

    /// An empty pool that remembers in `memo` whose signatures it checked.
    pub fn remembering(chain_id: ChainId, limits: Limits, memo: Arc<SignatureMemo>) -> Self {
        Self {
            chain_id,
            memo,
            lanes: Mutex::new(Lanes::new(limits)),
            ready: watch::Sender::new(false),
            base_fee: Mutex::new(0),
            admitted: broadcast::Sender::new(ANNOUNCED_MAX_TXS),
        }
    }

    /// The chain whose transactions it takes.
    pub fn chain_id(&self) -> ChainId {
        self.chain_id
    }

    /// The memo of verified transactions, for checking proposed blocks.
    pub fn memo(&self) -> &SignatureMemo {
        &self.memo
    }

    /// Verifies and admits an envelope. `local` transactions are announced until they are mined. Takes up to a millisecond.
    pub fn admit(
        &self,
        raw: &[u8],
        state: &dyn StateView,
        height: Height,
        local: bool,
    ) -> Result<Arc<VerifiedTx>, PoolError> {
        self.admit_all(&[raw], state, height, local).pop().expect("one answer for one transaction")
    }

    /// As [`Mempool::admit`] for many, whose signatures are verified in batches on the pool this runs in.
    pub fn admit_all<T: AsRef<[u8]> + Sync>(
        &self,
        raws: &[T],
        state: &dyn StateView,
        height: Height,
        local: bool,
    ) -> Vec<Result<Arc<VerifiedTx>, PoolError>> {
        self.admit_checked(self.memo.verify_all(raws), state, height, local)
    }

    /// As [`Mempool::admit_all`], with the answers of the memo given.
    pub fn admit_checked(
        &self,
        checked: Vec<Result<Arc<VerifiedTx>, TxError>>,
        state: &dyn StateView,
        height: Height,
        local: bool,
    ) -> Vec<Result<Arc<VerifiedTx>, PoolError>> {
        self.take_in(checked, FEE_FLOOR, state, height, local)
    }

    /// Admits a transaction whose sender is known, whatever it pays.
    pub fn admit_verified(
        &self,
        tx: Arc<VerifiedTx>,
        state: &dyn StateView,
        height: Height,
        local: bool,
    ) -> Result<Arc<VerifiedTx>, PoolError> {
        self.take_in(vec![Ok(tx)], 0, state, height, local).pop().expect("one answer for one transaction")
    }

    fn take_in(
        &self,
        checked: Vec<Result<Arc<VerifiedTx>, TxError>>,
        floor: u128,
        state: &dyn StateView,
        height: Height,
        local: bool,
    ) -> Vec<Result<Arc<VerifiedTx>, PoolError>> {
        let entry = Entry { floor, state, height, handed_in: local.then(Instant::now) };
        let (mut admitted, mut checked) = (Vec::with_capacity(checked.len()), checked.into_iter());
        let mut lanes = self.lanes.lock();
        while checked.len() > 0 {
            let turn = checked.by_ref().take(TURN_MAX_TXS);
            self.take_turn(&mut lanes, turn, &entry, &mut admitted);
            // A proposal, a block or another who hands in must not wait for all of them.
            MutexGuard::bump(&mut lanes);
        }
        admitted
    }

    /// State is read under the lock: a block that lands in between prunes after this insertion, never before it.
    fn take_turn(
        &self,
        lanes: &mut Lanes,
        turn: impl Iterator<Item = Result<Arc<VerifiedTx>, TxError>>,
        entry: &Entry<'_>,
        admitted: &mut Vec<Result<Arc<VerifiedTx>, PoolError>>,
    ) {
        let base_fee = *self.base_fee.lock();
        let mut is_ready = false;
        for checked in turn {
            let inserted = checked.map_err(PoolError::from).and_then(|tx| entry.insert(lanes, tx));
            if let Ok(tx) = &inserted {
                is_ready = is_ready || lanes.is_ready(&tx.sender, base_fee);
                // Nobody may be listening.
                let _ = self.admitted.send(tx.clone());
            }
            admitted.push(inserted);
        }
        if is_ready {
            self.ready.send_replace(true);
        }
    }

    /// Every waiting transaction, in the order of arrival.
    pub fn all(&self) -> Vec<Arc<VerifiedTx>> {
        self.lanes.lock().all()
    }

    /// Forgets a waiting transaction; those of its sender that come after it stay.
    pub fn forget(&self, hash: &B256) -> Option<Arc<VerifiedTx>> {
        let mut lanes = self.lanes.lock();
        let found = lanes.take(hash);
        self.ready.send_replace(lanes.any_ready(*self.base_fee.lock()));
        found.map(|pooled| pooled.tx)
    }

    /// Transactions as they are admitted from now on.
    pub fn admitted(&self) -> broadcast::Receiver<Arc<VerifiedTx>> {
        self.admitted.subscribe()
    }

    /// Drops what a block mined or made stale, given the new nonces of the accounts it touched and the next base fee.
    /// Returns when the mined ones among those handed in here were.
    pub fn prune(&self, height: Height, mined: &[B256], nonces: &[(Address, u64)], base_fee: u64) -> Vec<Instant> {
        *self.base_fee.lock() = base_fee;
        let mut lanes = self.lanes.lock();
        let found = lanes.prune(mined, nonces);
        lanes.give_back(height);
        if height.is_multiple_of(EXPIRY_INTERVAL_BLOCKS) {
            lanes.expire(height.saturating_sub(MAX_AGE_BLOCKS));
        }
        let ready = lanes.any_ready(base_fee);
        self.ready.send_replace(ready);
        found.iter().filter_map(|pooled| pooled.handed_in).collect()
    }

    /// A decided block of `height` holds `txs`: they stay until it is executed, but no other block may take them.
    pub fn order(&self, height: Height, txs: &[Arc<VerifiedTx>]) {
        let base_fee = *self.base_fee.lock();
        let mut lanes = self.lanes.lock();
        txs.iter().for_each(|tx| lanes.take_turn(height, tx.sender, tx.nonce));
        self.ready.send_replace(lanes.any_ready(base_fee));
    }

    /// Transactions for the next block: best tip first, each sender's in nonce order, within the bounds.
    pub fn pending(&self, base_fee: u64, max_txs: usize, max_bytes: usize, max_gas: u64) -> Vec<Arc<VerifiedTx>> {
        self.lanes.lock().batch(base_fee, max_txs, max_bytes, max_gas)
    }

    /// Whether the next block could hold a transaction.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Resolves when the next block could hold a transaction.
    pub async fn wait_ready(&self) {
        // An error would mean that the sender is gone, which `self` owns.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// A waiting transaction.
    pub fn get(&self, hash: &B256) -> Option<Arc<VerifiedTx>> {
        self.lanes.lock().get(hash).map(|pooled| pooled.tx.clone())
    }

    /// The nonce `sender` should use next, given its `next` in state.
    pub fn next_nonce(&self, sender: &Address, next: u64) -> u64 {
        self.lanes.lock().next_nonce(sender, next)
    }

    /// Number of waiting transactions and their bytes.
    pub fn size(&self) -> (usize, usize) {
        let lanes = self.lanes.lock();
        (lanes.len(), lanes.bytes())
    }

    /// Transactions handed in here that still wait since before `height`.
    pub fn local_before(&self, height: Height, max: usize) -> Vec<Arc<VerifiedTx>> {
        self.lanes.lock().local_before(height, max)
    }
}

/// What transactions that come in together are judged by.
struct Entry<'a> {
    /// Smallest fee cap.
    floor: u128,
    state: &'a dyn StateView,
    height: Height,
    handed_in: Option<Instant>,
}

impl Entry<'_> {
    /// Takes a transaction into the lanes if its sender can pay for it.
    fn insert(&self, lanes: &mut Lanes, tx: Arc<VerifiedTx>) -> Result<Arc<VerifiedTx>, PoolError> {
        if tx.max_fee() < self.floor {
            return Err(PoolError::FeeTooLow { fee: tx.max_fee(), floor: self.floor });
        }
        let account = self.state.account(&tx.sender)?;
        let (next, balance) = account.map_or((0, U256::ZERO), |info| (info.nonce, info.balance));
        if tx.nonce < next {
            return Err(PoolError::Replayed { nonce: tx.nonce, next });
        }
        let cost = tx.max_cost();
        if cost > balance {
            return Err(PoolError::Funds { sender: tx.sender, balance, cost });
        }
        lanes.insert(tx.clone(), next, self.height, self.handed_in)?;
        Ok(tx)
    }
}
