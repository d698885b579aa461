//! A node's randomness as a port: from the operating system in production, from a seed in tests and simulations.
//!
//! Owns one ChaCha20 stream per node. Invariant: two nodes with the same seed draw the same bytes in the same order.

use parking_lot::Mutex;
use rand::{CryptoRng, Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use std::sync::Arc;

/// Handle of a node's generator. Clones share one stream.
#[derive(Clone)]
pub struct NodeRng {
    stream: Arc<Mutex<ChaCha20Rng>>,
}

impl NodeRng {
    /// Seeded by the operating system.
    pub fn from_os() -> Self {
        Self { stream: Arc::new(Mutex::new(ChaCha20Rng::from_entropy())) }
    }

    /// A reproducible stream. Never for keys that guard value.
    pub fn from_seed(seed: u64) -> Self {
        Self { stream: Arc::new(Mutex::new(ChaCha20Rng::seed_from_u64(seed))) }
    }

    /// Fills `out` with random bytes.
    pub fn fill(&self, out: &mut [u8]) {
        self.stream.lock().fill_bytes(out);
    }

    /// A number below `n`, each equally likely; 0 when `n` is 0.
    pub fn below(&self, n: u64) -> u64 {
        if n == 0 { 0 } else { self.stream.lock().gen_range(0..n) }
    }
}

impl RngCore for NodeRng {
    fn next_u32(&mut self) -> u32 {
        self.stream.lock().next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.stream.lock().next_u64()
    }

    fn fill_bytes(&mut self, out: &mut [u8]) {
        self.fill(out);
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), rand::Error> {
        self.fill(out);
        Ok(())
    }
}

impl CryptoRng for NodeRng {}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(rng: &NodeRng) -> [u8; 32] {
        let mut out = [0; 32];
        rng.fill(&mut out);
        out
    }

    #[test]
    fn same_seed_same_stream() {
        assert_eq!(draw(&NodeRng::from_seed(7)), draw(&NodeRng::from_seed(7)));
        assert_ne!(draw(&NodeRng::from_seed(7)), draw(&NodeRng::from_seed(8)));
        assert_ne!(draw(&NodeRng::from_os()), draw(&NodeRng::from_os()));
        let rng = NodeRng::from_seed(7);
        assert_ne!(draw(&rng), draw(&rng.clone()), "clones share one stream");
    }

    #[test]
    fn below_stays_below_and_reaches_everything() {
        let rng = NodeRng::from_seed(1);
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|_| rng.below(5)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(rng.below(0), 0);
    }
}
