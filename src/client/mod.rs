//! How every role and tool talks to the chain, wherever the chain runs.
//!
//! Owns the [`ChainClient`] port, its remote implementation, wallets and nonces, and the decoding of logs into events.
//! Must not know node internals. Invariant: callers cannot tell a local from a remote chain.

mod events;
mod port;

pub use events::ChainEvent;
pub use port::{ChainClient, ChainError, ChainStatus, EventBatch, FileRecord, MinerRecord, TxOutcome};
