//! Verified transactions by hash, so that no signature is checked twice.
//!
//! Owns a bounded memory of what was verified. Must not know where transactions come from. Invariants: an entry's key is the
//! hash of the very bytes that were verified; memory is bounded by entries and by bytes.

use crate::{
    ledger::tx::{TxError, VerifiedTx, decode_and_recover},
    types::{B256, ChainId},
};
use alloy_primitives::keccak256;
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Entries remembered.
const MEMO_MAX_ENTRIES: usize = 32_768;
/// Bytes of envelopes remembered. Entries that still wait in the pool share their memory with it.
const MEMO_MAX_BYTES: usize = 64 << 20;

/// Remembers verified transactions of one chain.
pub struct SignatureMemo {
    chain_id: ChainId,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    verified: HashMap<B256, Arc<VerifiedTx>>,
    order: VecDeque<B256>,
    bytes: usize,
}

impl SignatureMemo {
    /// Remembers nothing yet.
    pub fn new(chain_id: ChainId) -> Self {
        Self { chain_id, inner: Mutex::default() }
    }

    /// The transaction in `raw`, verified now or earlier.
    pub fn verify(&self, raw: &[u8]) -> Result<Arc<VerifiedTx>, TxError> {
        let hash = keccak256(raw);
        if let Some(known) = self.inner.lock().verified.get(&hash) {
            return Ok(known.clone());
        }
        let tx = Arc::new(decode_and_recover(raw, self.chain_id)?);
        self.inner.lock().remember(hash, tx.clone());
        Ok(tx)
    }
}

impl Inner {
    fn remember(&mut self, hash: B256, tx: Arc<VerifiedTx>) {
        let size = tx.raw.len();
        if self.verified.insert(hash, tx).is_some() {
            return;
        }
        self.order.push_back(hash);
        self.bytes += size;
        while self.order.len() > MEMO_MAX_ENTRIES || self.bytes > MEMO_MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(gone) = self.verified.remove(&oldest) {
                self.bytes -= gone.raw.len();
            }
        }
    }
}
