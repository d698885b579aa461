//! Code that was analysed before: jump tables outlive the block they were made for.
//!
//! Owns the bound on what is kept. Must not know accounts. Invariants: what is found under a hash is the analysed code with that
//! hash; the cache holds at most [`MAX_BYTES`] of code, twice, whatever is asked of it; what it holds changes the time an
//! execution takes and nothing else.

use crate::types::B256;
use alloy_primitives::map::B256Map;
use parking_lot::Mutex;
use revm::state::Bytecode;
use std::mem;

/// Code a generation holds before it becomes the old one, bytes.
const MAX_BYTES: usize = 32 << 20;

/// Analysed code by hash, the least recently used half of which goes when it is full.
#[derive(Default)]
pub(super) struct CodeCache(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: B256Map<Bytecode>,
    old: B256Map<Bytecode>,
    young_bytes: usize,
}

impl CodeCache {
    /// The code, if it is known.
    pub fn get(&self, hash: &B256) -> Option<Bytecode> {
        let mut known = self.0.lock();
        if let Some(code) = known.young.get(hash) {
            return Some(code.clone());
        }
        let code = known.old.remove(hash)?;
        known.add(*hash, code.clone());
        Some(code)
    }

    /// Remembers code that was read from the state and analysed.
    pub fn add(&self, hash: B256, code: Bytecode) {
        self.0.lock().add(hash, code);
    }
}

impl Generations {
    fn add(&mut self, hash: B256, code: Bytecode) {
        let bytes = code.len();
        if self.young_bytes + bytes > MAX_BYTES {
            self.old = mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        if self.young.insert(hash, code).is_none() {
            self.young_bytes += bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Bytes;

    fn code(bytes: usize) -> Bytecode {
        Bytecode::new_raw(Bytes::from(vec![0; bytes]))
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let cache = CodeCache::default();
        let hash = B256::repeat_byte;
        cache.add(hash(1), code(MAX_BYTES / 2));
        cache.add(hash(2), code(MAX_BYTES / 2));
        cache.add(hash(3), code(1));
        assert!(cache.get(&hash(1)).is_some(), "it is of the old generation, and now of the young one");
        cache.add(hash(4), code(MAX_BYTES / 2));
        assert!(cache.get(&hash(2)).is_none());
        assert!(cache.get(&hash(1)).is_some());
    }
}
