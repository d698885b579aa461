//! Verified transactions by digest, so that no signature is checked twice.
//!
//! Owns a bounded memory of what was verified. Must not know where transactions come from. Invariants: an entry's key is the
//! digest of the very bytes that were verified; memory is bounded by entries and by bytes.

use crate::{
    crypto::hash::content,
    ledger::tx::{TxError, VerifiedTx},
    types::ChainId,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// Entries remembered.
const MEMO_MAX_ENTRIES: usize = 32_768;
/// Bytes of envelopes remembered. Entries that still wait in the pool share their memory with it.
const MEMO_MAX_BYTES: usize = 64 << 20;

type Digest = [u8; 32];
/// How a chain decodes an envelope and recovers its sender.
pub type Decode = fn(&[u8], ChainId) -> Result<VerifiedTx, TxError>;

/// Remembers verified transactions of one chain.
pub struct SignatureMemo {
    chain_id: ChainId,
    decode: Decode,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By BLAKE3, which takes a fraction of the time of the Keccak-256 that names transactions.
    verified: HashMap<Digest, Arc<VerifiedTx>>,
    order: VecDeque<Digest>,
    bytes: usize,
}

impl SignatureMemo {
    /// Remembers nothing yet.
    pub fn new(chain_id: ChainId, decode: Decode) -> Self {
        Self { chain_id, decode, inner: Mutex::default() }
    }

    /// The transaction in `raw`, verified now or earlier.
    pub fn verify(&self, raw: &[u8]) -> Result<Arc<VerifiedTx>, TxError> {
        let digest = content(raw);
        if let Some(known) = self.inner.lock().verified.get(&digest) {
            return Ok(known.clone());
        }
        let tx = Arc::new((self.decode)(raw, self.chain_id)?);
        self.inner.lock().remember(digest, tx.clone());
        Ok(tx)
    }
}

impl Inner {
    fn remember(&mut self, digest: Digest, tx: Arc<VerifiedTx>) {
        let size = tx.raw.len();
        if self.verified.insert(digest, tx).is_some() {
            return;
        }
        self.order.push_back(digest);
        self.bytes += size;
        while self.order.len() > MEMO_MAX_ENTRIES || self.bytes > MEMO_MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(gone) = self.verified.remove(&oldest) {
                self.bytes -= gone.raw.len();
            }
        }
    }
}
