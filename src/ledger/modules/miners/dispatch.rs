//! The ABI face of the miners module.

use super::{LIST_MAX_MINERS, idle, leaving, registration, registration::Registration, views};
use crate::ledger::{
    abi::IMiners::{
        IMinersCalls, addCollateralCall, commitIdleCall, countCall, exitCall, getCall, holdingsCall, idleBatchCall,
        idleCountsCall, idleCountsReturn, idleSeedCall, leavingCall, listCall, registerCall, requiredCollateralCall,
        segmentsCall, setCapacityCall, standingCall, withdrawCall,
    },
    modules::{
        calldata::{Access, decode, permit, reply},
        host::{ModuleError, ModuleHost},
    },
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<IMinersCalls>(input, host)?;
    let access = access(&call);
    permit(access, host)?;
    if access == Access::View { read(call, host) } else { write(call, host) }
}

fn write(call: IMinersCalls, host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    match call {
        IMinersCalls::register(call) => {
            registration::register(host, &call.into())?;
            Ok(reply::<registerCall>(&().into()))
        }
        IMinersCalls::setCapacity(call) => {
            registration::set_capacity(host, call.capacity)?;
            Ok(reply::<setCapacityCall>(&().into()))
        }
        IMinersCalls::addCollateral(_) => {
            registration::add_collateral(host)?;
            Ok(reply::<addCollateralCall>(&().into()))
        }
        IMinersCalls::exit(_) => {
            leaving::exit(host)?;
            Ok(reply::<exitCall>(&().into()))
        }
        IMinersCalls::withdraw(_) => {
            leaving::withdraw(host)?;
            Ok(reply::<withdrawCall>(&().into()))
        }
        IMinersCalls::commitIdle(call) => Ok(reply::<commitIdleCall>(&idle::commit(host, &call.commitments)?)),
        _ => Err(ModuleError::Fatal("a view is no write".into())),
    }
}

fn read(call: IMinersCalls, host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    match call {
        IMinersCalls::idleSeed(call) => Ok(reply::<idleSeedCall>(&views::idle_seed(host, call.account)?)),
        IMinersCalls::standing(call) => Ok(reply::<standingCall>(&views::standing_of(host, call.account, call.round)?)),
        IMinersCalls::segments(call) => {
            Ok(reply::<segmentsCall>(&views::segments(host, call.account, call.skip, call.limit)?))
        }
        IMinersCalls::idleCounts(call) => {
            let (batches, next) = idle::counts(host, call.account)?;
            Ok(reply::<idleCountsCall>(&idleCountsReturn { batches, next }))
        }
        IMinersCalls::idleBatch(call) => Ok(reply::<idleBatchCall>(&views::batch(host, call.account, call.batch)?)),
        IMinersCalls::holdings(call) => {
            Ok(reply::<holdingsCall>(&views::holdings(host, call.account, call.skip, call.limit)?))
        }
        IMinersCalls::leaving(call) => {
            let limit = call.limit.min(LIST_MAX_MINERS);
            Ok(reply::<leavingCall>(&leaving::leaving(host, call.skip, limit)?))
        }
        IMinersCalls::requiredCollateral(call) => {
            Ok(reply::<requiredCollateralCall>(&registration::required_collateral(host.params(), call.capacity)))
        }
        IMinersCalls::count(_) => Ok(reply::<countCall>(&views::list_len(host)?)),
        IMinersCalls::list(call) => Ok(reply::<listCall>(&views::list(host, call.skip, call.limit)?)),
        IMinersCalls::get(call) => Ok(reply::<getCall>(&views::get(host, call.account)?)),
        _ => Err(ModuleError::Fatal("a write is no view".into())),
    }
}

fn access(call: &IMinersCalls) -> Access {
    match call {
        IMinersCalls::register(_) | IMinersCalls::setCapacity(_) | IMinersCalls::addCollateral(_) => Access::Payable,
        IMinersCalls::exit(_) | IMinersCalls::withdraw(_) | IMinersCalls::commitIdle(_) => Access::Write,
        IMinersCalls::idleSeed(_)
        | IMinersCalls::standing(_)
        | IMinersCalls::segments(_)
        | IMinersCalls::idleCounts(_)
        | IMinersCalls::idleBatch(_)
        | IMinersCalls::holdings(_)
        | IMinersCalls::leaving(_)
        | IMinersCalls::requiredCollateral(_)
        | IMinersCalls::count(_)
        | IMinersCalls::list(_)
        | IMinersCalls::get(_) => Access::View,
    }
}

impl From<registerCall> for Registration {
    fn from(call: registerCall) -> Self {
        Self {
            operator: call.operator,
            network_key: call.networkKey,
            account_key: call.accountKey,
            prefix: call.prefix,
            capacity: call.capacity,
            name: call.name,
        }
    }
}
