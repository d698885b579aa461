//! The ABI face of the territory module.

use super::{
    deed, lapse,
    lease::{self, Request},
    orders, space, views,
};
use crate::{
    ledger::{
        abi::ITerritory::{self as abi, ITerritoryCalls as Calls},
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
    let call = decode::<Calls>(input, host)?;
    permit(access(&call), host)?;
    match access(&call) {
        Access::View => read(call, host),
        Access::Write | Access::Payable => write(call, host),
    }
}

fn access(call: &Calls) -> Access {
    match call {
        Calls::mint(_) | Calls::expand(_) | Calls::renew(_) | Calls::reactivate(_) | Calls::buy(_) | Calls::pay(_) => {
            Access::Payable
        }
        Calls::rename(_) | Calls::grant(_) | Calls::consign(_) | Calls::cancel(_) | Calls::order(_) => Access::Write,
        Calls::get(_)
        | Calls::find(_)
        | Calls::countOf(_)
        | Calls::listOf(_)
        | Calls::choose(_)
        | Calls::getOrder(_)
        | Calls::quote(_)
        | Calls::quoteExpand(_)
        | Calls::quoteRenew(_)
        | Calls::totals(_)
        | Calls::lapsed(_) => Access::View,
    }
}

fn write(call: Calls, host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    match call {
        Calls::mint(call) => {
            let owner = host.caller();
            let token = lease::mint(host, &request(owner, &call.name, call.size, call.leaseDays))?;
            return Ok(reply::<abi::mintCall>(&token));
        }
        Calls::order(call) => {
            let id = orders::place(host, &request(call.receiver, &call.name, call.size, call.leaseDays))?;
            return Ok(reply::<abi::orderCall>(&id));
        }
        Calls::pay(call) => return Ok(reply::<abi::payCall>(&orders::pay(host, call.id)?)),
        Calls::expand(call) => lease::expand(host, call.token, call.extra),
        Calls::renew(call) => lease::renew(host, call.token, call.leaseDays),
        Calls::reactivate(call) => lease::reactivate(host, call.token, call.leaseDays),
        Calls::rename(call) => deed::rename(host, call.token, &call.name),
        Calls::grant(call) => deed::grant(host, call.token, call.to),
        Calls::consign(call) => deed::consign(host, call.token, call.asked),
        Calls::cancel(call) => deed::cancel(host, call.token),
        Calls::buy(call) => deed::buy(host, call.token, &call.name),
        _ => Err(ModuleError::Fatal("a read was dispatched as a write".into())),
    }
    .map(|()| Bytes::new())
}

fn read(call: Calls, host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    Ok(match call {
        Calls::get(call) => reply::<abi::getCall>(&views::get(host, call.token)?),
        Calls::find(call) => reply::<abi::findCall>(&views::find(host, call.owner, &call.name)?),
        Calls::countOf(call) => reply::<abi::countOfCall>(&views::count_of(host, call.owner)?),
        Calls::listOf(call) => reply::<abi::listOfCall>(&views::list_of(host, call.owner, call.skip, call.limit)?),
        Calls::choose(call) => reply::<abi::chooseCall>(&space::choose(host, call.owner, call.needed)?),
        Calls::getOrder(call) => reply::<abi::getOrderCall>(&orders::get(host, call.id)?),
        Calls::quote(call) => reply::<abi::quoteCall>(&views::quote(host, call.size, call.leaseDays)?),
        Calls::quoteExpand(call) => reply::<abi::quoteExpandCall>(&views::quote_expand(host, call.token, call.extra)?),
        Calls::quoteRenew(call) => reply::<abi::quoteRenewCall>(&views::quote_renew(host, call.token, call.leaseDays)?),
        Calls::totals(_) => reply::<abi::totalsCall>(&views::totals(host)?),
        Calls::lapsed(_) => reply::<abi::lapsedCall>(&lapse::count(host)?),
        _ => return Err(ModuleError::Fatal("a write was dispatched as a read".into())),
    })
}

fn request(owner: Address, name: &str, size: u64, days: u32) -> Request<'_> {
    Request { owner, name, size, days }
}
