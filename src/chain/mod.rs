//! The chain of a full node: agreement on blocks, their execution and storage, and the local chain client.
//!
//! Owns blocks, state and memory pool. Must not know the storage data plane.

pub mod bft;
