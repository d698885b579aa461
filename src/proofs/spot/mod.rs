//! Spot openings: data is still stored, for those who trust nobody (docs/adr/0020-podr2.md).
//!
//! A fragment's id is the root of its BLAKE3 tree, so that a chunk of 1 KiB with its path shows that it is there, without tags
//! or keys. Each round asks a miner for a few chunks drawn evenly over all bytes it holds; the answer is their openings.
//!
//! Owns draws, openings and their bytes. Must not know disks or the chain. Invariant: the shape of an opening follows from the
//! registered length and the drawn index; every opening has exactly one encoding.

mod answer;
mod opening;
#[cfg(test)]
mod tests;

pub use answer::{ANSWER_MAX_BYTES, AnswerError, Holdings, Spot, answer, ask, verify};
pub use opening::{OPENING_MAX_BYTES, OpenError, open, opening_bytes, verify_opening};
