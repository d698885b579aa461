//! Proofs that data is still stored and that space is really reserved: making and checking them.
//!
//! Owns the arithmetic only; disks, chain, clocks and chance stay outside. The same inputs give the same proofs and verdicts on
//! every machine. Invariant: a verifier takes from the prover nothing it can derive from what the chain registered.

mod fragment;
pub mod podr2;
pub mod pois;
mod round;
pub mod spot;

pub use fragment::{Fragment, FragmentLength, LengthError};
pub use round::AuditRound;
