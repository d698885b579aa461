//! The repair module: columns whose holder leaves find a new one.

use super::{
    calldata::decode,
    host::{ModuleError, ModuleHost},
};
use crate::ledger::abi::IRepair::IRepairCalls;
use alloy_primitives::Bytes;

/// Runs one call.
pub(super) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let _ = decode::<IRepairCalls>(input, host)?;
    Err(ModuleError::reason("scaffold"))
}
