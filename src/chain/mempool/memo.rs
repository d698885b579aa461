//! Verified transactions by digest, so that no signature is checked twice.
//!
//! Owns a bounded memory of what was verified, and of the keys that sign. Must not know where transactions come from. Invariants: an entry's key is the
//! digest of the very bytes that were verified; memory is bounded by entries and by bytes.

use crate::{
    crypto::{KnownKeys, hash::content},
    ledger::tx::{TxError, VerifiedTx, decode_and_recover_all},
    types::ChainId,
};
use parking_lot::Mutex;
use rayon::prelude::*;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::Arc,
};

/// Entries remembered.
const MEMO_MAX_ENTRIES: usize = 131_072;
/// Transactions verified as one batch: the more, the less each of them costs, by ever less; and the longer one thread works alone.
const BATCH_TXS: usize = 512;
/// Digests computed by one thread at least.
const DIGEST_MIN_TXS: usize = 256;
/// Bytes of envelopes remembered. Entries that still wait in the pool share their memory with it.
const MEMO_MAX_BYTES: usize = 128 << 20;

type Digest = [u8; 32];
/// How a chain decodes envelopes and recovers their senders.
pub type Decode = fn(&[&[u8]], ChainId, &KnownKeys) -> Vec<Result<Arc<VerifiedTx>, TxError>>;

/// Remembers verified transactions of one chain. Nodes of one process may share it: what it answers follows from the bytes alone.
pub struct SignatureMemo {
    chain_id: ChainId,
    decode: Decode,
    keys: KnownKeys,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// By BLAKE3, which takes a fraction of the time of the Keccak-256 that names transactions.
    verified: HashMap<Digest, Arc<VerifiedTx>>,
    order: VecDeque<Digest>,
    bytes: usize,
}

impl fmt::Debug for SignatureMemo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignatureMemo").field("chain_id", &self.chain_id).finish_non_exhaustive()
    }
}

impl SignatureMemo {
    /// Remembers nothing yet.
    pub fn new(chain_id: ChainId, decode: Decode) -> Self {
        Self { chain_id, decode, keys: KnownKeys::default(), inner: Mutex::default() }
    }

    /// For this protocol's own transactions.
    pub fn of_chain(chain_id: ChainId) -> Self {
        Self::new(chain_id, decode_and_recover_all)
    }

    /// The transaction in `raw`, verified now or earlier.
    pub fn verify(&self, raw: &[u8]) -> Result<Arc<VerifiedTx>, TxError> {
        self.verify_all(&[raw]).pop().expect("one answer for one transaction")
    }

    /// The transactions in `raws`, verified now or earlier: those that are new in batches, on all threads of the pool this runs in.
    pub fn verify_all<T: AsRef<[u8]> + Sync>(&self, raws: &[T]) -> Vec<Result<Arc<VerifiedTx>, TxError>> {
        let digests: Vec<Digest> = match raws {
            [one] => vec![content(one.as_ref())],
            many => many.par_iter().with_min_len(DIGEST_MIN_TXS).map(|raw| content(raw.as_ref())).collect(),
        };
        let known: Vec<Option<Arc<VerifiedTx>>> = {
            let inner = self.inner.lock();
            digests.iter().map(|digest| inner.verified.get(digest).cloned()).collect()
        };
        let fresh: Vec<&[u8]> =
            known.iter().zip(raws).filter(|(known, _)| known.is_none()).map(|(_, raw)| raw.as_ref()).collect();
        let decode = |batch: &[&[u8]]| (self.decode)(batch, self.chain_id, &self.keys);
        let decoded = match fresh.len() {
            0..=1 => decode(&fresh),
            _ => fresh.par_chunks(BATCH_TXS).flat_map_iter(decode).collect(),
        };
        let mut decoded = decoded.into_iter();
        let mut inner = self.inner.lock();
        let answer = |(known, digest): (Option<Arc<VerifiedTx>>, Digest)| match known {
            Some(tx) => Ok(tx),
            None => {
                let tx = decoded.next().expect("an answer for each that is new")?;
                inner.remember(digest, tx.clone());
                Ok(tx)
            }
        };
        known.into_iter().zip(digests).map(answer).collect()
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
