//! Orders: a territory described by one account, for a second, to be paid by anybody.
//!
//! Invariants: an account has at most one open order; an order is paid once and only until it expires; its price is that of minting
//! it, which no passing of time changes.

use super::{
    super::host::{ModuleError, ModuleHost},
    lease::{self, Request},
    state,
};
use crate::{
    ledger::abi::{ITerritory, TERRITORY},
    types::Address,
};
use alloy_sol_types::SolEvent;

/// Places an order. The caller's former one, if it is still open, is dropped.
pub(super) fn place(host: &mut dyn ModuleHost, wanted: &Request<'_>) -> Result<u64, ModuleError> {
    if wanted.owner.is_zero() {
        return Err(ModuleError::revert(ITerritory::ReceiverInvalid { receiver: wanted.owner }));
    }
    lease::check_request(host, wanted)?;
    let placer = host.caller();
    let former = state().open_order.at_key(&placer).get(host)?;
    if former != 0 {
        close(host, former, placer)?;
    }
    let (minted, territories, orders, passed) = state().counts.get(host)?;
    let id = orders + 1;
    state().counts.set(host, &(minted, territories, id, passed))?;
    let expires = host.height().saturating_add(host.params().order_blocks);
    let slots = state().orders.at_key(&id);
    slots.what.set(host, &(wanted.owner, wanted.size, wanted.days))?;
    slots.who.set(host, &(placer, expires))?;
    slots.name.set(host, wanted.name.as_bytes())?;
    state().open_order.at_key(&placer).set(host, &id)?;
    let event = ITerritory::OrderPlaced {
        order: id,
        receiver: wanted.owner,
        placer,
        name: wanted.name.to_owned(),
        size: wanted.size,
        leaseDays: wanted.days,
        expires,
    };
    host.emit(TERRITORY, event.encode_log_data())?;
    Ok(id)
}

/// Pays an order.
pub(super) fn pay(host: &mut dyn ModuleHost, id: u64) -> Result<u64, ModuleError> {
    let order = get(host, id)?;
    let (expires, height) = (order.expires, host.height());
    if height > expires {
        return Err(ModuleError::revert(ITerritory::OrderExpired { id, expires, height }));
    }
    close(host, id, order.placer)?;
    let wanted = Request { owner: order.receiver, name: &order.name, size: order.size, days: order.leaseDays };
    let token = lease::mint(host, &wanted)?;
    let event = ITerritory::OrderPaid { order: id, token, payer: host.caller() };
    host.emit(TERRITORY, event.encode_log_data())?;
    Ok(token)
}

/// An open order.
pub(super) fn get(host: &mut dyn ModuleHost, id: u64) -> Result<ITerritory::Order, ModuleError> {
    let slots = state().orders.at_key(&id);
    let (placer, expires) = slots.who.get(host)?;
    if expires == 0 {
        return Err(ModuleError::revert(ITerritory::UnknownOrder { id }));
    }
    let (receiver, size, days) = slots.what.get(host)?;
    let name = slots.name.get(host)?;
    Ok(ITerritory::Order { placer, receiver, size, leaseDays: days, expires, name })
}

fn close(host: &mut dyn ModuleHost, id: u64, placer: Address) -> Result<(), ModuleError> {
    let slots = state().orders.at_key(&id);
    slots.what.clear(host)?;
    slots.who.clear(host)?;
    slots.name.set(host, b"")?;
    state().open_order.at_key(&placer).clear(host)
}
