//! The ABI face of the files module.

use super::Deposit;
use crate::ledger::{
    abi::IFiles::{IFilesCalls, countOfCall, getCall, listOfCall, removeCall, storeCall, totalsCall, totalsReturn},
    modules::{
        calldata::{Access, decode, permit, reply},
        host::{ModuleError, ModuleHost},
    },
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<IFilesCalls>(input, host)?;
    permit(access(&call), host)?;
    match call {
        IFilesCalls::store(call) => {
            let id = super::store(host, &deposit(&call))?;
            Ok(reply::<storeCall>(&id.into()))
        }
        IFilesCalls::remove(call) => {
            super::remove(host, call.id.into())?;
            Ok(reply::<removeCall>(&().into()))
        }
        IFilesCalls::get(call) => Ok(reply::<getCall>(&super::get(host, call.id.into())?)),
        IFilesCalls::countOf(call) => Ok(reply::<countOfCall>(&super::count_of(host, call.owner)?)),
        IFilesCalls::listOf(call) => Ok(reply::<listOfCall>(&super::list_of(host, call.owner, call.skip, call.limit)?)),
        IFilesCalls::totals(_) => {
            let (files, bytes) = super::totals(host)?;
            Ok(reply::<totalsCall>(&totalsReturn { files, bytes_: bytes }))
        }
    }
}

fn access(call: &IFilesCalls) -> Access {
    match call {
        IFilesCalls::store(_) | IFilesCalls::remove(_) => Access::Write,
        IFilesCalls::get(_) | IFilesCalls::countOf(_) | IFilesCalls::listOf(_) | IFilesCalls::totals(_) => Access::View,
    }
}

fn deposit(call: &storeCall) -> Deposit<'_> {
    Deposit {
        manifest: &call.manifest,
        beacon_height: call.beaconHeight,
        holders: &call.holders,
        receipts: &call.receipts,
    }
}
