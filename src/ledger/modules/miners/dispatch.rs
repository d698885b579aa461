//! The ABI face of the miners module.

use super::Registration;
use crate::ledger::{
    abi::IMiners::{IMinersCalls, countCall, exitCall, getCall, listCall, registerCall, setCapacityCall},
    modules::{
        calldata::{Access, decode, permit, reply},
        host::{ModuleError, ModuleHost},
    },
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<IMinersCalls>(input, host)?;
    permit(access(&call), host)?;
    match call {
        IMinersCalls::register(call) => {
            super::register(host, &call.into())?;
            Ok(reply::<registerCall>(&().into()))
        }
        IMinersCalls::setCapacity(call) => {
            super::set_capacity(host, call.capacity)?;
            Ok(reply::<setCapacityCall>(&().into()))
        }
        IMinersCalls::exit(_) => {
            super::exit(host)?;
            Ok(reply::<exitCall>(&().into()))
        }
        IMinersCalls::count(_) => Ok(reply::<countCall>(&super::count(host)?)),
        IMinersCalls::list(call) => Ok(reply::<listCall>(&super::list(host, call.skip, call.limit)?)),
        IMinersCalls::get(call) => Ok(reply::<getCall>(&super::get(host, call.account)?)),
        _ => Err(ModuleError::reason("scaffold")),
    }
}

fn access(call: &IMinersCalls) -> Access {
    match call {
        IMinersCalls::register(_) | IMinersCalls::setCapacity(_) => Access::Payable,
        IMinersCalls::exit(_) => Access::Write,
        IMinersCalls::count(_) | IMinersCalls::list(_) | IMinersCalls::get(_) => Access::View,
        _ => Access::Write,
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
