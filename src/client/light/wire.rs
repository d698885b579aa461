//! Shapes and bounds of the JSON-RPC answers that light clients verify. What is signed or proven travels in its own encoding, as
//! hexadecimal bytes.

use super::LightError;
use crate::codec::{self, Wire};
use crate::ledger::header::ExecutedHeader;
use crate::rpc::limits::TUNNEL_MAX_BYTES;
use crate::types::Address;
use alloy_primitives::Bytes;
use alloy_rlp::Decodable;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Changes of eras in one answer of `cess_eraHeaders`.
pub const ERA_CHANGES_MAX: u64 = 64;
/// Headers in one answer of `cess_executedHeaders`.
pub const EXECUTED_HEADERS_MAX: u64 = 256;
/// Bytes of a block's contents in one answer of `cess_proveReceipts`.
pub const PART_MAX_BYTES: usize = 4 << 20;
/// Largest executed header: 20 fixed fields and the bloom.
const EXECUTED_HEADER_MAX_BYTES: usize = 1_024;
const _: () = assert!(2 * PART_MAX_BYTES + 1_024 <= TUNNEL_MAX_BYTES);
const _: () = assert!(2 * EXECUTED_HEADER_MAX_BYTES * 256 <= TUNNEL_MAX_BYTES);
const _: () = assert!(2 * crate::ledger::witness::WITNESS_MAX_BYTES + 1_024 <= TUNNEL_MAX_BYTES);
const _: () = assert!(2 * crate::consensus::EraChange::MAX_BYTES * 64 + 1_024 <= TUNNEL_MAX_BYTES);

/// First parameter of `cess_proveCall`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallQuestion {
    /// Who calls.
    pub from: Address,
    /// Who is called.
    pub to: Address,
    /// Call data.
    #[serde(default)]
    pub data: Bytes,
}

/// Answer of `cess_proveReceipts`: a slice of the encoded [`crate::ledger::contents::BlockContents`].
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ContentsPart {
    /// Length of the whole encoding.
    pub total: usize,
    /// Its bytes from the offset that was asked for: [`PART_MAX_BYTES`], or all that is left.
    pub part: Bytes,
}

/// An answer in JSON.
pub(super) fn parse<T: DeserializeOwned>(method: &str, value: Value) -> Result<T, LightError> {
    serde_json::from_value(value).map_err(|e| LightError::Malformed(format!("`{method}`: {e}")))
}

/// An answer in hexadecimal of a type's own encoding.
pub(super) fn decode<T: Wire>(bytes: &[u8]) -> Result<T, LightError> {
    codec::decode(bytes).map_err(|e| LightError::Malformed(e.to_string()))
}

/// An executed header in RLP.
pub(super) fn executed(mut rlp: &[u8]) -> Result<ExecutedHeader, LightError> {
    let malformed = |reason: String| LightError::Malformed(format!("an executed header: {reason}"));
    if rlp.len() > EXECUTED_HEADER_MAX_BYTES {
        return Err(malformed(format!("{} B, the limit is {EXECUTED_HEADER_MAX_BYTES} B", rlp.len())));
    }
    let header = ExecutedHeader::decode(&mut rlp).map_err(|e| malformed(e.to_string()))?;
    if rlp.is_empty() { Ok(header) } else { Err(malformed(format!("{} B follow it", rlp.len()))) }
}
