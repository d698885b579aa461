//! A state in parts: how all of it travels in pieces, each of which is proven by the state root.
//!
//! Owns the division of the tries into parts, the encodings of parts and their checks. Must not know peers or databases.
//! Invariants: a part is accepted only if the trie rebuilt from it has the reference that its parent, or the certified root,
//! gives it; what an accepted part leaves open is named with the references it must have; a part has a bounded size.

mod check;
mod cut;
mod part;

#[cfg(test)]
mod tests;

pub use check::{PartFault, Verified, check};
pub use part::{AccountEntry, Open, PART_MAX_BYTES, PartBody, PartId, PartLimits, Path, Reference, SlotEntry};
