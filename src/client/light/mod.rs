//! The chain as a light client sees it: headers by their certificates, state by Merkle proofs, logs by the receipts' root.
//!
//! Owns the walk over eras, the checks of every answer and the [`LightChain`] port over them. Must not know the node's internals.
//! Invariants: what a chain node answers is used only after it was verified against a committee that the chain itself named,
//! from genesis or a checkpoint on; a node caught lying is named in the log and asked last for a while.
//!
//! Passed through unverified, since a wrong answer only makes a transaction fail: the next nonce, gas estimates, submission, the
//! words of a revert, how many peers the node has. A node can also hold things back: it can claim that a transaction is not
//! included yet, or that there is no newer block. The newest header's time then falls behind the clock, and [`LightChain`] reports
//! `syncing`.

mod chain;
mod error;
mod head;
mod prover;
mod walk;
mod wire;

pub use chain::LightChain;
pub use error::LightError;
pub use walk::{Certified, LightClient};
pub use wire::{CallQuestion, ContentsPart, ERA_CHANGES_MAX, EXECUTED_HEADERS_MAX, PART_MAX_BYTES};
