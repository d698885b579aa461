//! The ABI face of the names module.

use super::{Named, operators};
use crate::ledger::{
    abi::INames::{
        INamesCalls, approveCall, countCall, countReturn, getCall, isOperatorCall, listCall, ownerOfCall, removeCall,
        setCall,
    },
    modules::{
        calldata::{Access, decode, permit, reply},
        host::{ModuleError, ModuleHost},
    },
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<INamesCalls>(input, host)?;
    permit(access(&call), host)?;
    match call {
        INamesCalls::set(call) => {
            let named = Named::of(host, call.owner, &call.label, &call.name)?;
            Ok(reply::<setCall>(&super::set(host, &named, call.expectedVersion, &call.value)?))
        }
        INamesCalls::remove(call) => {
            let named = Named::of(host, call.owner, &call.label, &call.name)?;
            super::remove(host, &named, call.expectedVersion)?;
            Ok(reply::<removeCall>(&().into()))
        }
        INamesCalls::approve(call) => {
            operators::approve(host, call.operator, call.approved)?;
            Ok(reply::<approveCall>(&().into()))
        }
        INamesCalls::get(call) => Ok(reply::<getCall>(&super::get(host, call.namespace, &call.name)?)),
        INamesCalls::ownerOf(call) => Ok(reply::<ownerOfCall>(&super::owner_of(host, call.namespace, &call.name)?)),
        INamesCalls::count(call) => {
            let (names, changes) = super::count(host, call.namespace)?;
            Ok(reply::<countCall>(&countReturn { names, changes }))
        }
        INamesCalls::list(call) => Ok(reply::<listCall>(&super::list(host, call.namespace, call.skip, call.limit)?)),
        INamesCalls::isOperator(call) => {
            Ok(reply::<isOperatorCall>(&operators::is_operator(host, call.owner, call.operator)?))
        }
    }
}

fn access(call: &INamesCalls) -> Access {
    match call {
        INamesCalls::set(_) | INamesCalls::remove(_) | INamesCalls::approve(_) => Access::Write,
        INamesCalls::get(_)
        | INamesCalls::ownerOf(_)
        | INamesCalls::count(_)
        | INamesCalls::list(_)
        | INamesCalls::isOperator(_) => Access::View,
    }
}
