//! The ABI face of the audits module.

use super::{answers, appeals, idle, refutation, views, votes};
use crate::ledger::{
    abi::IAudits::{self as abi, IAuditsCalls as Calls},
    modules::{
        calldata::{Access, decode, permit, reply},
        host::{ModuleError, ModuleHost},
    },
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<Calls>(input, host)?;
    permit(access(&call), host)?;
    match access(&call) {
        Access::View => read(call, host),
        Access::Write | Access::Payable => write(call, host),
    }
}

fn access(call: &Calls) -> Access {
    match call {
        Calls::appeal(_) => Access::Payable,
        Calls::answer(_)
        | Calls::prove(_)
        | Calls::vote(_)
        | Calls::voteIdle(_)
        | Calls::rule(_)
        | Calls::reclaim(_)
        | Calls::refute(_) => Access::Write,
        Calls::terms(_)
        | Calls::round(_)
        | Calls::roundAt(_)
        | Calls::committee(_)
        | Calls::idleCommittee(_)
        | Calls::verifiers(_)
        | Calls::verdict(_)
        | Calls::record(_)
        | Calls::basis(_)
        | Calls::appeals(_) => Access::View,
    }
}

fn write(call: Calls, host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    match call {
        Calls::appeal(call) => {
            let number = appeals::appeal(host, call.miner, call.round, call.verdict)?;
            return Ok(reply::<abi::appealCall>(&number));
        }
        Calls::answer(call) => answers::answer(host, call.round, call.spot, call.idle),
        Calls::prove(call) => answers::prove(host, call.round, call.epochs, call.proofs),
        Calls::vote(call) => votes::vote(host, call.round, &call.miners, &call.verdicts),
        Calls::voteIdle(call) => idle::vote_idle(host, &call.miners, &call.batches, &call.accepted),
        Calls::rule(call) => appeals::rule(host, call.number, call.verdict),
        Calls::reclaim(call) => appeals::reclaim(host, call.number),
        Calls::refute(call) => refutation::refute(host, call.miner, call.round, &call.evidence),
        _ => Err(ModuleError::Fatal("a read was dispatched as a write".into())),
    }
    .map(|()| Bytes::new())
}

fn read(call: Calls, host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    Ok(match call {
        Calls::terms(_) => reply::<abi::termsCall>(&views::terms(host)),
        Calls::round(_) => {
            let number = views::current(host);
            reply::<abi::roundCall>(&views::round_at(host, number)?)
        }
        Calls::roundAt(call) => reply::<abi::roundAtCall>(&views::round_at(host, call.number)?),
        Calls::committee(call) => reply::<abi::committeeCall>(&views::committee(host, call.round, call.miner)?),
        Calls::idleCommittee(call) => {
            reply::<abi::idleCommitteeCall>(&views::idle_committee(host, call.miner, call.batch)?)
        }
        Calls::verifiers(_) => reply::<abi::verifiersCall>(&views::verifiers(host)?),
        Calls::verdict(call) => reply::<abi::verdictCall>(&views::verdict(host, call.round, call.miner)?),
        Calls::record(call) => reply::<abi::recordCall>(&views::record(host, call.miner)?),
        Calls::basis(call) => reply::<abi::basisCall>(&views::basis(host, call.round, call.miner)?),
        Calls::appeals(call) => reply::<abi::appealsCall>(&views::appeals(host, call.skip, call.limit)?),
        _ => return Err(ModuleError::Fatal("a write was dispatched as a read".into())),
    })
}
