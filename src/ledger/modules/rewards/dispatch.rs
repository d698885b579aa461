//! The ABI face of the rewards module.

use super::{claim, views};
use crate::ledger::{
    abi::IRewards::{self as abi, IRewardsCalls as Calls},
    modules::{
        calldata::{Access, decode, permit, reply},
        host::{ModuleError, ModuleHost},
    },
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<Calls>(input, host)?;
    let access = if matches!(call, Calls::claim(_)) { Access::Write } else { Access::View };
    permit(access, host)?;
    Ok(match call {
        Calls::claim(call) => reply::<abi::claimCall>(&claim::claim(host, call.miner, call.eras)?),
        Calls::era(call) => reply::<abi::eraCall>(&views::era(host, call.number)?),
        Calls::share(call) => reply::<abi::shareCall>(&views::share(host, call.miner, call.era)?),
        Calls::account(call) => reply::<abi::accountCall>(&views::account(host, call.miner)?),
        Calls::pools(_) => reply::<abi::poolsCall>(&views::pools(host)?),
    })
}
