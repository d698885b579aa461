//! The TEE module: workers, attestations and keys of the tagger group.

use super::{
    calldata::decode,
    host::{ModuleError, ModuleHost},
};
use crate::ledger::abi::ITee::ITeeCalls;
use alloy_primitives::Bytes;

/// Runs one call.
pub(super) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let _ = decode::<ITeeCalls>(input, host)?;
    Err(ModuleError::reason("scaffold"))
}
