//! Tagging: giving stored data the tags it is audited by.
//!
//! Owns who tags which file, the work itself, and the certificate of it. Must not know enclaves: tags come through [`TagMaker`].
//! Invariants: one segment is in memory at a time; nothing is certified that its holder did not sign for; a file that cannot be tagged
//! now is tried again later, by others too.

mod file;
mod queue;
#[cfg(test)]
mod tests;

pub use queue::{Tagging, rank};

use crate::proofs::{Fragment, podr2::Tag};

/// Makes tags with secret keys.
pub trait TagMaker: Send + Sync + 'static {
    /// Whether the key with this digest is here.
    fn holds(&self, key: &[u8; 32]) -> bool;
    /// The tags of a fragment under the key with this digest. Blocks, and shares its work on the threads it is called on.
    fn tag(&self, key: &[u8; 32], fragment: Fragment, data: &[u8]) -> Result<Vec<Tag>, String>;
}
