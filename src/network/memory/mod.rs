//! The in-memory twin of the network: many hosts in one process, with links that can be slow, lossy or cut.
//!
//! Owns links between hosts and what happens on them. Must not know what a message means.
//! Invariants: under a single-threaded runtime the same seed and the same calls give the same run: randomness comes from
//! the hub's seed, every map is ordered, every choice between futures is biased. Every queue is bounded.

mod gossip;
mod host;
mod hub;

#[cfg(test)]
mod tests;

pub use host::MemoryNetwork;
pub use hub::{LinkRule, MemoryHub};
