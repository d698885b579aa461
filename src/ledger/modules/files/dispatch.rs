//! The ABI face of the files module.

use super::Deposit;
use crate::{
    ledger::{
        abi::IFiles::{
            IFilesCalls, chargeOfCall, chargeOfReturn, countOfCall, getCall, listInCall, listOfCall, purgeCall,
            reassignCall, removeCall, removeForCall, storeCall, storeForCall, storeInCall, totalsCall, totalsReturn,
        },
        modules::{
            calldata::{Access, decode, permit, reply},
            host::{ModuleError, ModuleHost},
        },
    },
    types::Address,
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<IFilesCalls>(input, host)?;
    permit(access(&call), host)?;
    let caller = host.caller();
    match call {
        IFilesCalls::store(call) => {
            let id = super::store(host, &deposit(&call, caller))?;
            Ok(reply::<storeCall>(&id.into()))
        }
        IFilesCalls::storeIn(call) => {
            let id = super::store(host, &deposit_in(&call, caller))?;
            Ok(reply::<storeInCall>(&id.into()))
        }
        IFilesCalls::storeFor(call) => {
            let id = super::store_for(host, &deposit_for(&call))?;
            Ok(reply::<storeForCall>(&id.into()))
        }
        IFilesCalls::reassign(call) => {
            super::reassign(host, call.id.into(), call.territory)?;
            Ok(reply::<reassignCall>(&().into()))
        }
        IFilesCalls::purge(call) => Ok(reply::<purgeCall>(&super::purge(host, call.steps)?)),
        IFilesCalls::remove(call) => {
            super::release(host, call.id.into(), caller)?;
            Ok(reply::<removeCall>(&().into()))
        }
        IFilesCalls::removeFor(call) => {
            super::remove_for(host, call.owner, call.id.into())?;
            Ok(reply::<removeForCall>(&().into()))
        }
        IFilesCalls::get(call) => Ok(reply::<getCall>(&super::get(host, call.id.into())?)),
        IFilesCalls::countOf(call) => Ok(reply::<countOfCall>(&super::count_of(host, call.owner)?)),
        IFilesCalls::listOf(call) => Ok(reply::<listOfCall>(&super::list_of(host, call.owner, call.skip, call.limit)?)),
        IFilesCalls::chargeOf(call) => {
            let (territory, amount) = super::charge_of(host, call.id.into(), call.owner)?;
            Ok(reply::<chargeOfCall>(&chargeOfReturn { territory, amount }))
        }
        IFilesCalls::listIn(call) => {
            Ok(reply::<listInCall>(&super::list_in(host, call.territory, call.skip, call.limit)?))
        }
        IFilesCalls::totals(_) => {
            let (files, bytes) = super::totals(host)?;
            Ok(reply::<totalsCall>(&totalsReturn { files, bytes_: bytes }))
        }
    }
}

fn access(call: &IFilesCalls) -> Access {
    match call {
        IFilesCalls::store(_)
        | IFilesCalls::storeIn(_)
        | IFilesCalls::storeFor(_)
        | IFilesCalls::removeFor(_)
        | IFilesCalls::reassign(_)
        | IFilesCalls::purge(_)
        | IFilesCalls::remove(_) => Access::Write,
        IFilesCalls::get(_)
        | IFilesCalls::countOf(_)
        | IFilesCalls::listOf(_)
        | IFilesCalls::chargeOf(_)
        | IFilesCalls::listIn(_)
        | IFilesCalls::totals(_) => Access::View,
    }
}

fn deposit(call: &storeCall, owner: Address) -> Deposit<'_> {
    Deposit {
        owner,
        territory: None,
        manifest: &call.manifest,
        beacon_height: call.beaconHeight,
        holders: &call.holders,
        receipts: &call.receipts,
    }
}

fn deposit_in(call: &storeInCall, owner: Address) -> Deposit<'_> {
    Deposit {
        owner,
        territory: Some(call.territory),
        manifest: &call.manifest,
        beacon_height: call.beaconHeight,
        holders: &call.holders,
        receipts: &call.receipts,
    }
}

fn deposit_for(call: &storeForCall) -> Deposit<'_> {
    Deposit {
        owner: call.owner,
        territory: (call.territory != 0).then_some(call.territory),
        manifest: &call.manifest,
        beacon_height: call.beaconHeight,
        holders: &call.holders,
        receipts: &call.receipts,
    }
}
