//! The rewards module: what storage miners are paid.

use super::{
    calldata::decode,
    host::{ModuleError, ModuleHost},
};
use crate::ledger::abi::IRewards::IRewardsCalls;
use alloy_primitives::Bytes;

/// Runs one call.
pub(super) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let _ = decode::<IRewardsCalls>(input, host)?;
    Err(ModuleError::reason("scaffold"))
}
