//! Bytes of objects: encrypted, packed into files of the chain, read back in ranges.
//!
//! Owns the cipher of bodies and the real [`Blobs`](super::blobs::Blobs). Must not know buckets or keys of objects. Invariants: what is
//! stored is on twelve miners' disks before anybody hears of it; what is read was checked.

mod body;
pub mod keys;
mod ledger;
mod packs;
pub mod seal;

pub use body::{SEALING_MAX_BYTES, opened, sealed};
pub use ledger::{ChainLedger, Ledger, LedgerError};
pub use packs::{FoundPack, PackLimits, PackPage, Packs, PacksParts};
