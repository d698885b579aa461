//! The data plane: segments, fragments, and the miners that keep them.
//!
//! Owns slicing, erasure coding, the fragment store, the data protocol, upload and fetch. Must not know how blocks are made:
//! it speaks to the chain through [`crate::client::ChainClient`] alone.
//! Invariants: a fragment is acknowledged only when it is on disk for good; nothing that arrives is used before its hash is
//! checked; memory is bounded by a buffer pool, never by the size of a file.

mod buffers;
pub mod erasure;
pub mod fragments;
pub mod slicer;

pub use buffers::{Buffer, BufferPool, Reservation};
