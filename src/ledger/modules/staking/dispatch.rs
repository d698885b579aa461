//! The ABI face of the staking module.

use crate::ledger::{
    abi::IStaking::{IStakingCalls, beaconCall, committeeCall},
    modules::{
        calldata::{Access, decode, permit, reply},
        host::{ModuleError, ModuleHost},
    },
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    match decode::<IStakingCalls>(input, host)? {
        IStakingCalls::committee(_) => {
            permit(Access::View, host)?;
            Ok(reply::<committeeCall>(&super::committee(host)?))
        }
        IStakingCalls::beacon(call) => {
            permit(Access::View, host)?;
            Ok(reply::<beaconCall>(&super::beacon(host, call.height)?))
        }
    }
}
