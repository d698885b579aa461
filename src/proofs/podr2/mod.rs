//! PoDR²: data is still stored. Compact, aggregate, publicly verifiable (docs/adr/0020-podr2.md).
//!
//! A tagger group tags the 32 KiB blocks of fragments once. Each round a miner proves with 128 bytes, whatever it holds, that it
//! has the blocks that were drawn, and anybody verifies from what the chain registered: ids, lengths, the group's key, the round.
//!
//! Owns tags, keys, challenges, proofs and their bytes. Must not know disks, chain or enclaves. Invariants: tags are made of
//! bytes that hash to the id they name; nothing a miner or a tagger sends is used before it is checked; work is shared on the
//! threads of the caller's pool, and the result does not depend on their number.

mod challenge;
mod curve;
mod fixed_base;
mod keys;
mod polynomial;
mod prove;
mod tag;
#[cfg(test)]
mod tests;
mod verify;

pub use challenge::{Asked, Challenge};
pub use curve::PointError;
pub use keys::{GROUP_KEY_BYTES, GroupKey, KeyError, SRS_BYTES, Srs, TaggerKey};
pub use polynomial::{BLOCK_BYTES, SECTORS};
pub use prove::{Aggregate, Answer, Held, PROOF_BYTES, Proof, ProofError, ProveError, prove};
pub use tag::{TAG_BYTES, Tag, TagError, Tagged, Tagger, check_tags};
pub use verify::{Claim, VerifyError, verify, verify_all};
