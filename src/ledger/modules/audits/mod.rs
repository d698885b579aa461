//! The audits module: rounds, answers, verdicts and appeals.

use super::{
    calldata::decode,
    host::{ModuleError, ModuleHost},
};
use crate::ledger::abi::IAudits::IAuditsCalls;
use alloy_primitives::Bytes;

/// Runs one call.
pub(super) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let _ = decode::<IAuditsCalls>(input, host)?;
    Err(ModuleError::reason("scaffold"))
}
