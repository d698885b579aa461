//! Vocabulary of the whole program: ids, units, roles and the protocol's numbers.
//!
//! Owns the newtypes every other folder speaks in. Knows nothing of encoding, keys, disks or sockets.
//! Invariant: every type here is plain data with a canonical text form that parses back to the same value.

mod executor;
mod ids;
pub(crate) mod keyword;
pub mod params;
mod role;
mod units;

pub use alloy_primitives::{Address, B256, Bytes as EthBytes, U256};
pub use executor::ExecutorChoice;
pub use ids::{BlockId, FileId, FragmentId, IdError, SegmentId, TrustedBlock};
pub use params::{Params, Profile};
pub use role::Role;
pub use units::{Amount, ByteCount, ChainId, Height, TOKEN, UnitError, format_tokens};
