//! The data plane: segments, fragments, and the miners that keep them.
//!
//! Owns slicing, erasure coding, the fragment store, the data protocol, upload and fetch. Must not know how blocks are made:
//! it speaks to the chain through [`crate::client::ChainClient`] alone.
//! Invariants: a fragment is acknowledged only when it is on disk for good; nothing that arrives is used before its hash is
//! checked; memory is bounded by a buffer pool, never by the size of a file.

pub mod audit;
mod buffers;
#[cfg(test)]
pub(crate) mod cluster;
mod directory;
pub mod erasure;
pub mod fetch;
pub mod fragments;
mod guests;
pub mod journal;
mod link;
mod links;
pub mod miner;
pub mod peers;
pub mod slicer;
pub mod tagging;
pub mod upload;
pub mod wire;

pub use buffers::{Buffer, BufferPool, Reservation, Sharer};
pub use directory::{MinerDirectory, peer_of};
pub use link::{DataClient, DataError};
