//! The pool's data structure: one lane of nonces per sender, bounded, evicting the cheapest tail.
//!
//! Owns order, bounds, replacement and eviction. Must not know state, signatures, gossip or clocks. Invariants: at most one
//! transaction per sender and nonce; no lane holds a nonce below the sender's next; totals never exceed [`Limits`]; only the
//! last transaction of a lane is ever evicted, so that no lane gets a hole by eviction; no batch holds a nonce that a block
//! which is not executed yet has taken.

use super::PoolError;
use crate::{
    config::{Config, PoolConfig},
    ledger::tx::VerifiedTx,
    types::{Address, B256, ByteCount, Height},
};
use alloy_primitives::map::{AddressMap, B256Map, B256Set};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
    sync::Arc,
    time::Instant,
};

/// A replacement must raise both fees by this many percent.
const REPLACEMENT_BUMP_PERCENT: u128 = 10;

/// Bounds of a pool.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Transactions in total.
    pub txs: usize,
    /// Bytes of envelopes in total.
    pub bytes: usize,
    /// Transactions of one sender.
    pub sender_txs: usize,
    /// Bytes of one sender's envelopes.
    pub sender_bytes: usize,
    /// How far a nonce may lie ahead of the sender's next.
    pub nonce_ahead: u64,
}

impl Default for Limits {
    /// Those of a node that sets none.
    fn default() -> Self {
        Self::from(&Config::defaults().pool)
    }
}

impl From<&PoolConfig> for Limits {
    fn from(config: &PoolConfig) -> Self {
        let bytes = |size: ByteCount| usize::try_from(size.0).unwrap_or(usize::MAX);
        Self {
            txs: count(config.max_txs),
            bytes: bytes(config.max_bytes),
            sender_txs: count(config.sender_max_txs),
            sender_bytes: bytes(config.sender_max_bytes),
            nonce_ahead: config.sender_max_txs.into(),
        }
    }
}

fn count(txs: u32) -> usize {
    usize::try_from(txs).unwrap_or(usize::MAX)
}

/// A transaction in the pool.
#[derive(Clone)]
pub struct Pooled {
    /// The transaction.
    pub tx: Arc<VerifiedTx>,
    /// Arrival number: among equal tips the earlier goes first.
    seq: u64,
    /// Height at which it arrived.
    pub since: Height,
    /// When it was handed in here; `None` if it was heard of.
    pub handed_in: Option<Instant>,
}

#[derive(Default)]
struct Lane {
    /// Next nonce of the sender in the newest state.
    next: u64,
    txs: BTreeMap<u64, Pooled>,
    bytes: usize,
}

/// Fee caps by which lanes are found: of the transaction whose turn it is, and of the last one.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Marks {
    head: Option<u128>,
    tail: Option<u128>,
}

/// Nonces of a sender that a decided block has taken.
#[derive(Clone, Copy)]
struct Taken {
    /// The block's height.
    height: Height,
    /// The nonce after them.
    next: u64,
}

impl Lane {
    /// The nonce whose turn it is, when those below `taken` are in a block.
    fn turn(&self, taken: u64) -> u64 {
        self.next.max(taken)
    }

    fn marks(&self, taken: u64) -> Marks {
        let head = self.txs.get(&self.turn(taken)).map(|pooled| pooled.tx.max_fee());
        Marks { head, tail: self.txs.last_key_value().map(|(_, pooled)| pooled.tx.max_fee()) }
    }
}

/// All lanes.
pub struct Lanes {
    limits: Limits,
    lanes: AddressMap<Lane>,
    by_hash: B256Map<(Address, u64)>,
    /// Fee cap of each lane's transaction whose turn it is: what blocks take.
    heads: BTreeSet<(u128, Address)>,
    /// Fee cap of each lane's last transaction, cheapest first: what eviction takes.
    tails: BTreeSet<(u128, Address)>,
    /// What decided blocks that are not executed yet have taken.
    taken: AddressMap<Taken>,
    bytes: usize,
    arrivals: u64,
}

impl Lanes {
    /// Without transactions.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            lanes: AddressMap::default(),
            by_hash: B256Map::default(),
            heads: BTreeSet::new(),
            tails: BTreeSet::new(),
            taken: AddressMap::default(),
            bytes: 0,
            arrivals: 0,
        }
    }

    /// Number of transactions.
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Bytes of their envelopes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A transaction by hash.
    pub fn get(&self, hash: &B256) -> Option<&Pooled> {
        let (sender, nonce) = self.by_hash.get(hash)?;
        self.lanes.get(sender)?.txs.get(nonce)
    }

    /// The nonce after `sender`'s unbroken run of waiting transactions, which starts at `next`.
    pub fn next_nonce(&self, sender: &Address, next: u64) -> u64 {
        let Some(lane) = self.lanes.get(sender) else { return next.max(self.taken(sender)) };
        let mut nonce = next.max(self.taken(sender));
        while lane.txs.contains_key(&nonce) {
            nonce += 1;
        }
        nonce
    }

    /// Takes `tx` in, given the sender's `next` nonce. Returns what it replaced.
    pub fn insert(
        &mut self,
        tx: Arc<VerifiedTx>,
        next: u64,
        since: Height,
        handed_in: Option<Instant>,
    ) -> Result<Option<B256>, PoolError> {
        let (sender, nonce, hash) = (tx.sender, tx.nonce, tx.hash);
        if self.by_hash.contains_key(&hash) {
            return Err(PoolError::Known(hash));
        }
        let unused = next.max(self.taken(&sender));
        if nonce < unused {
            return Err(PoolError::Replayed { nonce, next: unused });
        }
        if nonce - next >= self.limits.nonce_ahead {
            return Err(PoolError::NonceAhead { nonce, next, max: self.limits.nonce_ahead });
        }
        let replaced = self.replaceable(&tx)?;
        self.fits_sender(&tx, replaced.as_ref())?;
        let victims = self.victims(&tx, replaced.as_ref())?;
        for (sender, nonce) in victims {
            self.remove(&sender, nonce);
        }
        if replaced.is_some() {
            self.remove(&sender, nonce);
        }
        self.advance(&sender, next);
        self.arrivals += 1;
        let pooled = Pooled { tx, seq: self.arrivals, since, handed_in };
        self.link(pooled, next);
        Ok(replaced.map(|old| old.tx.hash))
    }

    /// A decided block of `height` holds `sender`'s transaction with this nonce, which waits for its execution then, not for another
    /// block. One whose turn it is not, as far as is known here, takes nothing: it will be skipped.
    pub fn take_turn(&mut self, height: Height, sender: Address, nonce: u64) {
        let turn = self.lanes.get(&sender).map(|lane| lane.turn(self.taken(&sender)));
        let turn = turn.or(self.taken.get(&sender).map(|taken| taken.next));
        if turn.is_some_and(|turn| turn != nonce) {
            return;
        }
        let before = self.marks(&sender);
        self.taken.insert(sender, Taken { height, next: nonce.saturating_add(1) });
        self.remark(&sender, before);
    }

    /// The blocks up to `height` are executed: what they took is gone, or free again.
    pub fn give_back(&mut self, height: Height) {
        let over = self.taken.iter().filter(|(_, taken)| taken.height <= height);
        for sender in over.map(|(sender, _)| *sender).collect::<Vec<_>>() {
            let before = self.marks(&sender);
            self.taken.remove(&sender);
            self.remark(&sender, before);
        }
    }

    /// The nonce below which decided blocks have taken `sender`'s.
    fn taken(&self, sender: &Address) -> u64 {
        self.taken.get(sender).map_or(0, |taken| taken.next)
    }

    fn marks(&self, sender: &Address) -> Marks {
        self.lanes.get(sender).map_or_else(Marks::default, |lane| lane.marks(self.taken(sender)))
    }

    /// Moves a lane in the sets by which it is found, where it stood by the marks `before`.
    fn remark(&mut self, sender: &Address, before: Marks) {
        let after = self.marks(sender);
        mark(&mut self.heads, sender, before.head, after.head);
        mark(&mut self.tails, sender, before.tail, after.tail);
    }

    /// Removes transactions of a committed block and moves every touched lane to its sender's new nonce. Returns what was mined.
    pub fn prune(&mut self, mined: &[B256], nonces: &[(Address, u64)]) -> Vec<Pooled> {
        // Most of what was mined goes with its lane's move, a whole run of nonces at a time.
        let mut found: Vec<Pooled> =
            nonces.iter().flat_map(|(sender, next)| self.advance(sender, *next).into_values()).collect();
        if !found.is_empty() {
            let mined: B256Set = mined.iter().copied().collect();
            found.retain(|pooled| mined.contains(&pooled.tx.hash));
        }
        for hash in mined {
            if let Some((sender, nonce)) = self.by_hash.get(hash).copied() {
                found.extend(self.remove(&sender, nonce));
            }
        }
        found
    }

    /// Removes what arrived before `height`.
    pub fn expire(&mut self, height: Height) {
        let old = |(sender, lane): (&Address, &Lane)| -> Vec<(Address, u64)> {
            let stale = lane.txs.iter().filter(|(_, pooled)| pooled.since < height);
            stale.map(|(nonce, _)| (*sender, *nonce)).collect()
        };
        let stale: Vec<_> = self.lanes.iter().flat_map(old).collect();
        for (sender, nonce) in stale {
            self.remove(&sender, nonce);
        }
    }

    /// Whether a block at `base_fee` could hold a transaction of `sender`.
    pub fn is_ready(&self, sender: &Address, base_fee: u64) -> bool {
        self.marks(sender).head.is_some_and(|fee| fee >= u128::from(base_fee))
    }

    /// Whether a block at `base_fee` could hold any transaction.
    pub fn any_ready(&self, base_fee: u64) -> bool {
        self.heads.last().is_some_and(|(fee, _)| *fee >= u128::from(base_fee))
    }

    /// Transactions for a block at `base_fee`: best tip first, each sender's in nonce order, within the bounds given.
    pub fn batch(&self, base_fee: u64, max_txs: usize, max_bytes: usize, max_gas: u64) -> Vec<Arc<VerifiedTx>> {
        let ready = self.heads.range((u128::from(base_fee), Address::ZERO)..).filter_map(|(_, sender)| {
            let lane = self.lanes.get(sender)?;
            rank(lane, lane.turn(self.taken(sender)), base_fee)
        });
        let mut heads: BinaryHeap<_> = ready.collect();
        let (mut batch, mut bytes, mut gas) = (Vec::new(), 0, 0u64);
        while let Some((_, _, sender, nonce)) = heads.pop() {
            let Some(lane) = self.lanes.get(&sender) else { continue };
            let Some(pooled) = lane.txs.get(&nonce) else { continue };
            let (size, limit) = (pooled.tx.raw.len(), pooled.tx.gas_limit());
            if bytes + size > max_bytes || gas.saturating_add(limit) > max_gas {
                continue;
            }
            (bytes, gas) = (bytes + size, gas + limit);
            batch.push(pooled.tx.clone());
            if batch.len() == max_txs {
                break;
            }
            heads.extend(rank(lane, nonce + 1, base_fee));
        }
        batch
    }

    /// Transactions handed in here that are still waiting since before `height`.
    pub fn local_before(&self, height: Height, max: usize) -> Vec<Arc<VerifiedTx>> {
        let waiting = self.lanes.values().flat_map(|lane| lane.txs.values());
        waiting.filter(|p| p.handed_in.is_some() && p.since < height).take(max).map(|p| p.tx.clone()).collect()
    }

    /// Every transaction, in the order of arrival.
    pub fn all(&self) -> Vec<Arc<VerifiedTx>> {
        let mut all: Vec<&Pooled> = self.lanes.values().flat_map(|lane| lane.txs.values()).collect();
        all.sort_unstable_by_key(|pooled| pooled.seq);
        all.into_iter().map(|pooled| pooled.tx.clone()).collect()
    }

    /// Takes a transaction out.
    pub fn take(&mut self, hash: &B256) -> Option<Pooled> {
        let (sender, nonce) = *self.by_hash.get(hash)?;
        self.remove(&sender, nonce)
    }

    /// The transaction `tx` would replace, if it bids enough more.
    fn replaceable(&self, tx: &VerifiedTx) -> Result<Option<Pooled>, PoolError> {
        let Some(old) = self.lanes.get(&tx.sender).and_then(|lane| lane.txs.get(&tx.nonce)) else { return Ok(None) };
        let required = |fee: u128| (fee.saturating_mul(100 + REPLACEMENT_BUMP_PERCENT)).div_ceil(100);
        let (fee, tip) = (required(old.tx.max_fee()), required(old.tx.max_priority_fee()));
        if tx.max_fee() < fee || tx.max_priority_fee() < tip {
            return Err(PoolError::Underpriced { nonce: tx.nonce, fee, tip });
        }
        Ok(Some(old.clone()))
    }

    fn fits_sender(&self, tx: &VerifiedTx, replaced: Option<&Pooled>) -> Result<(), PoolError> {
        let full = |what, max| Err(PoolError::SenderFull { sender: tx.sender, what, max });
        let (txs, bytes) = self.lanes.get(&tx.sender).map_or((0, 0), |lane| (lane.txs.len(), lane.bytes));
        if replaced.is_none() && txs >= self.limits.sender_txs {
            return full("transactions", self.limits.sender_txs);
        }
        let freed = replaced.map_or(0, |old| old.tx.raw.len());
        if bytes - freed + tx.raw.len() > self.limits.sender_bytes {
            return full("bytes", self.limits.sender_bytes);
        }
        Ok(())
    }

    /// The cheapest tails that must go for `tx` to fit; refused if one of them bids as much, or is the sender's own.
    fn victims(&self, tx: &VerifiedTx, replaced: Option<&Pooled>) -> Result<Vec<(Address, u64)>, PoolError> {
        let freed = replaced.map_or(0, |old| old.tx.raw.len());
        let mut bytes = self.bytes - freed + tx.raw.len();
        let mut count = self.len() - usize::from(replaced.is_some()) + 1;
        let mut victims = Vec::new();
        let mut tails = self.tails.iter().filter(|(_, sender)| *sender != tx.sender).copied().peekable();
        // Lanes that lost their tail already, with the next one to go.
        let mut opened: BTreeSet<(u128, Address, u64)> = BTreeSet::new();
        while bytes > self.limits.bytes || count > self.limits.txs {
            let from_opened = opened.first().copied();
            let from_tails = tails.peek().copied();
            let take_opened = match (from_opened, from_tails) {
                (Some((a, ..)), Some((b, _))) => a <= b,
                (Some(_), None) => true,
                _ => false,
            };
            let (fee, sender, nonce) = if take_opened {
                opened.pop_first().expect("its first element was just seen")
            } else {
                let (fee, sender) = tails.next().ok_or_else(|| self.full(u128::MAX))?;
                (fee, sender, self.last_nonce(&sender))
            };
            if fee >= tx.max_fee() {
                return Err(self.full(fee));
            }
            let lane = &self.lanes[&sender];
            bytes -= lane.txs[&nonce].tx.raw.len();
            count -= 1;
            victims.push((sender, nonce));
            opened.extend(lane.txs.range(..nonce).next_back().map(|(n, p)| (p.tx.max_fee(), sender, *n)));
        }
        Ok(victims)
    }

    fn full(&self, fee: u128) -> PoolError {
        PoolError::Full { txs: self.len(), bytes: self.bytes, fee }
    }

    fn last_nonce(&self, sender: &Address) -> u64 {
        let lane = self.lanes.get(sender).and_then(|lane| lane.txs.last_key_value());
        lane.map(|(nonce, _)| *nonce).expect("a lane with a tail has a last transaction")
    }

    /// Sets the next nonce of a lane and takes out what lies below it.
    fn advance(&mut self, sender: &Address, next: u64) -> BTreeMap<u64, Pooled> {
        let gone = self.change(sender, |lane| {
            lane.next = next;
            let rest = lane.txs.split_off(&next);
            std::mem::replace(&mut lane.txs, rest)
        });
        let gone = gone.unwrap_or_default();
        for pooled in gone.values() {
            self.forget(pooled);
        }
        gone
    }

    /// Changes a lane and everything by which it is found. Its bytes and hashes are the caller's.
    fn change<T>(&mut self, sender: &Address, change: impl FnOnce(&mut Lane) -> T) -> Option<T> {
        let before = self.marks(sender);
        let lane = self.lanes.get_mut(sender)?;
        let changed = change(lane);
        if lane.txs.is_empty() {
            self.lanes.remove(sender);
        }
        self.remark(sender, before);
        Some(changed)
    }

    /// Takes a transaction that has left its lane out of the totals.
    fn forget(&mut self, pooled: &Pooled) {
        let size = pooled.tx.raw.len();
        if let Some(lane) = self.lanes.get_mut(&pooled.tx.sender) {
            lane.bytes -= size;
        }
        self.bytes -= size;
        self.by_hash.remove(&pooled.tx.hash);
    }

    fn link(&mut self, pooled: Pooled, next: u64) {
        let (sender, nonce, hash, size) = (pooled.tx.sender, pooled.tx.nonce, pooled.tx.hash, pooled.tx.raw.len());
        self.lanes.entry(sender).or_insert_with(|| Lane { next, ..Lane::default() });
        self.change(&sender, |lane| {
            lane.txs.insert(nonce, pooled);
            lane.bytes += size;
        });
        self.bytes += size;
        self.by_hash.insert(hash, (sender, nonce));
    }

    fn remove(&mut self, sender: &Address, nonce: u64) -> Option<Pooled> {
        let removed = self.change(sender, |lane| lane.txs.remove(&nonce)).flatten();
        if let Some(pooled) = &removed {
            self.forget(pooled);
        }
        removed
    }

    /// Checks every invariant; used by property tests.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let count: usize = self.lanes.values().map(|lane| lane.txs.len()).sum();
        let bytes: usize = self.lanes.values().flat_map(|l| l.txs.values()).map(|p| p.tx.raw.len()).sum();
        assert_eq!((count, bytes), (self.by_hash.len(), self.bytes));
        assert!(count <= self.limits.txs && bytes <= self.limits.bytes);
        let tails: BTreeSet<_> = self.lanes.keys().map(|s| (self.marks(s).tail.unwrap(), *s)).collect();
        assert_eq!(tails, self.tails);
        let heads: BTreeSet<_> = self.lanes.keys().filter_map(|s| Some((self.marks(s).head?, *s))).collect();
        assert_eq!(heads, self.heads);
        for (sender, lane) in &self.lanes {
            assert!(lane.txs.len() <= self.limits.sender_txs && lane.bytes <= self.limits.sender_bytes);
            assert!(lane.txs.keys().all(|nonce| *nonce >= lane.next));
            assert!(lane.txs.iter().all(|(n, p)| p.tx.sender == *sender && p.tx.nonce == *n));
        }
    }
}

/// Moves a lane in one of the sets by which it is found.
fn mark(set: &mut BTreeSet<(u128, Address)>, sender: &Address, before: Option<u128>, after: Option<u128>) {
    if before == after {
        return;
    }
    if let Some(fee) = before {
        set.remove(&(fee, *sender));
    }
    set.extend(after.map(|fee| (fee, *sender)));
}

type Rank = (u128, Reverse<u64>, Address, u64);

/// Place of a lane's transaction in the race for a block, if it can pay `base_fee`.
fn rank(lane: &Lane, nonce: u64, base_fee: u64) -> Option<Rank> {
    let pooled = lane.txs.get(&nonce)?;
    let above = pooled.tx.max_fee().checked_sub(u128::from(base_fee))?;
    let tip = above.min(pooled.tx.max_priority_fee());
    Some((tip, Reverse(pooled.seq), pooled.tx.sender, nonce))
}
