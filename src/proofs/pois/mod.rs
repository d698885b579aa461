//! Proofs of idle space: a segment is filled with labels that only a long sequential computation yields, so that who answers within a few
//! blocks must have kept it.
//!
//! A life of a segment: [`Generator`] fills it layer by layer, [`Crown`] commits to each layer, [`CommitChallenge`] spot-checks the
//! roots against the graph, and from then on [`AuditChallenge`] asks for leaves of the last layer that are still idle.
//! Must not know who stores labels, when a challenge is due or what a failure costs. Invariants: the verifier derives every index
//! itself, so that no proof carries one; a value has one encoding and one size for its challenge.

mod audit;
mod buffer;
mod commit;
mod error;
mod floor;
mod generate;
#[cfg(test)]
mod golden;
mod graph;
mod label;
mod replica;
mod shape;
#[cfg(test)]
mod tests;
mod tree;

pub use audit::{AuditChallenge, AuditProof, LiveSegment, Transcript};
pub use buffer::LayerBuffer;
pub use commit::{CommitChallenge, CommitProof, CommitProver, Commitment};
pub use error::{Place, PoisError};
pub use floor::{ANSWER_WINDOW_MAX_MS, Machine, sequential_compressions};
pub use generate::{Generator, Progress, Workspace};
pub use graph::{Graph, Parents};
pub use label::Label;
pub use replica::ReplicaId;
pub use shape::Shape;
pub use tree::{CHUNK_LABELS, Crown, Digest, Leaf, Opening, chunk_root};
