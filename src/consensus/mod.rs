//! R²S: committee, proposer rotation, beacon, headers and certificates, and the vocabulary of the BFT engine.
//!
//! Owns what the validators agree on and how a decision is proven. Must not know transactions, disks or sockets.
//! Invariants: everything here is a pure function of its arguments; the seed of a height is fixed before the height starts;
//! a [`Certificate`] can be checked with nothing but the chain id and the committee.

pub mod beacon;
mod certificate;
mod committee;
pub mod context;
mod error;
#[cfg(test)]
mod golden;
mod header;
pub mod messages;
pub mod rotation;
pub mod sign_bytes;
mod wire;

pub use certificate::Certificate;
#[cfg(test)]
pub(crate) use committee::tests::committee_of;
pub use committee::{COMMITTEE_MAX_MEMBERS, Committee, ValidatorInfo};
pub use error::ConsensusError;
pub use header::{BLOCK_MAX_TXS, Block, HEADER_MAX_BYTES, Header};
