//! R²S: eras, election, committee, proposer rotation, beacon, evidence, headers and certificates, and the vocabulary of the BFT
//! engine.
//!
//! Owns what the validators agree on and how a decision is proven. Must not know transactions, disks or sockets.
//! Invariants: everything here is a pure function of its arguments; the seed of a height is fixed before the height starts;
//! a [`Certificate`] can be checked with nothing but the chain id and the committee.

pub mod beacon;
mod certificate;
mod committee;
pub mod context;
pub mod election;
mod era;
mod error;
mod evidence;
#[cfg(test)]
mod golden;
mod header;
pub mod light;
pub mod messages;
mod possession;
mod proposal;
pub mod rotation;
pub mod sign_bytes;
pub mod slashing;
mod wire;

pub use certificate::{Certificate, check_round};
#[cfg(test)]
pub(crate) use committee::tests::committee_of;
pub use committee::{COMMITTEE_MAX_MEMBERS, Committee, ValidatorInfo};
pub use era::{Calendar, ELECTION_LEAD_ERAS};
pub use error::ConsensusError;
#[cfg(test)]
pub(crate) use evidence::tests::double_vote;
pub use evidence::{Conflict, EVIDENCE_MAX_BYTES, Evidence, EvidenceError, Offence, SignedProposal, SignedVote};
pub use header::{BLOCK_MAX_TXS, Block, EXECUTION_LAG_MAX, Executed, HEADER_MAX_BYTES, Header};
#[cfg(test)]
pub(crate) use light::tests::sign as sign_header;
pub use light::{Checkpoint, EraChange, HeaderFault, LightRules, SignedHeader, TrustedEra};
pub use possession::{Possession, ValidatorKeys, prove as prove_possession};
pub use proposal::{HeadedProposal, ProposalFault};
