//! The ABI face of the repair module.

use super::{claims, complete, orders, surrender};
use crate::ledger::{
    abi::IRepair::{
        IRepairCalls, claimBlocksCall, claimCall, claimDepositCall, completeCall, orderCall, ordersCall, settleCall,
        surrenderCall,
    },
    modules::{
        calldata::{Access, decode, permit, reply},
        host::{ModuleError, ModuleHost},
    },
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<IRepairCalls>(input, host)?;
    permit(access(&call), host)?;
    match call {
        IRepairCalls::surrender(call) => {
            surrender::surrender(host, call.file.into())?;
            Ok(reply::<surrenderCall>(&().into()))
        }
        IRepairCalls::claim(call) => Ok(reply::<claimCall>(&claims::claim(host, call.file.into(), call.column)?)),
        IRepairCalls::complete(call) => {
            Ok(reply::<completeCall>(&complete::complete(host, &call.manifest, call.column, &call.spots)?))
        }
        IRepairCalls::settle(call) => {
            claims::settle(host, call.file.into(), call.column)?;
            Ok(reply::<settleCall>(&().into()))
        }
        IRepairCalls::claimDeposit(call) => {
            Ok(reply::<claimDepositCall>(&claims::deposit(host, call.file.into(), call.column)?))
        }
        IRepairCalls::order(call) => Ok(reply::<orderCall>(&orders::get(host, call.file.into(), call.column)?)),
        IRepairCalls::orders(call) => Ok(reply::<ordersCall>(&orders::list(host, call.skip, call.limit)?)),
        IRepairCalls::claimBlocks(_) => Ok(reply::<claimBlocksCall>(&host.params().repair_claim_blocks)),
    }
}

fn access(call: &IRepairCalls) -> Access {
    match call {
        IRepairCalls::claim(_) => Access::Payable,
        IRepairCalls::surrender(_) | IRepairCalls::complete(_) | IRepairCalls::settle(_) => Access::Write,
        IRepairCalls::order(_)
        | IRepairCalls::orders(_)
        | IRepairCalls::claimBlocks(_)
        | IRepairCalls::claimDeposit(_) => Access::View,
    }
}
