//! Who verifies miners, and how: what each of them has to show, whether it did, and what is done about wrong verdicts.
//!
//! Owns the index of holdings, the judgement of rounds and of new idle space, votes and appeals. Must not know blocks or enclaves: it reads
//! events and asks the chain through [`crate::client::ChainClient`]. Invariants: everybody who has the same bytes comes to the same
//! verdict; the index survives restarts; memory is bounded by one miner's fragments and [`judge`]'s batch of proofs.

mod appeals;
mod batches;
mod effects;
mod findings;
mod follow;
mod index;
mod judge;
mod records;
mod refute;
mod restore;
mod sources;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod twin;
mod verifier;
mod views;
mod votes;

pub use findings::{Finding, Findings};
pub use follow::Holdings;
pub use index::{Audited, Handed, HoldingsIndex, IndexError, OpenEpoch, group_key};
pub use judge::{Asked, Judge, JudgeError, Look, Round};
pub use records::{EpochEntry, FileEntry, OwnVote, RoundEntry};
pub use restore::MANIFESTS;
pub use sources::{EVIDENCE, Sources};
pub use verifier::Verifier;
pub use views::{ask, taggers, workers};
pub use votes::send_all;
