//! Who holds a territory and under which name: rename, grant, consign, cancel, buy.
//!
//! Invariants: only active, empty territories change hands, so that files never change owners with their space; what is on offer does
//! not change until it is bought or taken back.

use super::{
    super::host::{ModuleError, ModuleHost},
    Deed, claim_name, enter,
    lease::settle,
    leave, release_name,
};
use crate::{
    ledger::abi::{ITerritory, TERRITORY},
    types::{Address, U256},
};
use alloy_sol_types::SolEvent;

/// Gives a territory another name.
pub(super) fn rename(host: &mut dyn ModuleHost, token: u64, name: &str) -> Result<(), ModuleError> {
    let deed = Deed::of_caller(host, token)?;
    deed.require_unoffered(host)?;
    release_name(host, &deed)?;
    claim_name(host, deed.owner, token, name)?;
    host.emit(TERRITORY, ITerritory::TerritoryRenamed { token, name: name.to_owned() }.encode_log_data())
}

/// Gives a territory away.
pub(super) fn grant(host: &mut dyn ModuleHost, token: u64, to: Address) -> Result<(), ModuleError> {
    let deed = Deed::of_caller(host, token)?;
    deed.require_unoffered(host)?;
    require_transferable(host, &deed)?;
    if to.is_zero() || to == deed.owner {
        return Err(ModuleError::revert(ITerritory::ReceiverInvalid { receiver: to }));
    }
    let name = deed.slots().name.get(host)?;
    hand_over(host, &deed, to, &name)?;
    host.emit(TERRITORY, ITerritory::TerritoryGranted { token, from: deed.owner, to }.encode_log_data())
}

/// Offers a territory for a price.
pub(super) fn consign(host: &mut dyn ModuleHost, token: u64, asked: U256) -> Result<(), ModuleError> {
    let deed = Deed::of_caller(host, token)?;
    deed.require_unoffered(host)?;
    require_transferable(host, &deed)?;
    if asked.is_zero() {
        return Err(ModuleError::revert(ITerritory::AskedTooLow { token }));
    }
    deed.slots().asked.set(host, &asked)?;
    host.emit(TERRITORY, ITerritory::TerritoryConsigned { token, asked }.encode_log_data())
}

/// Takes an offer back.
pub(super) fn cancel(host: &mut dyn ModuleHost, token: u64) -> Result<(), ModuleError> {
    let deed = Deed::of_caller(host, token)?;
    asked(host, &deed)?;
    deed.slots().asked.clear(host)?;
    host.emit(TERRITORY, ITerritory::ConsignmentCancelled { token }.encode_log_data())
}

/// Buys what is on offer.
pub(super) fn buy(host: &mut dyn ModuleHost, token: u64, name: &str) -> Result<(), ModuleError> {
    let (deed, buyer) = (Deed::read(host, token)?, host.caller());
    let price = asked(host, &deed)?;
    require_transferable(host, &deed)?;
    if deed.owner == buyer {
        return Err(ModuleError::revert(ITerritory::OwnOffer { token }));
    }
    deed.slots().asked.clear(host)?;
    hand_over(host, &deed, buyer, name)?;
    settle(host, price, deed.owner)?;
    let (seller, name) = (deed.owner, name.to_owned());
    let event = ITerritory::ConsignmentBought { token, seller, buyer, name, price };
    host.emit(TERRITORY, event.encode_log_data())
}

/// What is asked for it. Reverts if it is not on offer.
fn asked(host: &mut dyn ModuleHost, deed: &Deed) -> Result<U256, ModuleError> {
    let asked = deed.slots().asked.get(host)?;
    match asked.is_zero() {
        true => Err(ModuleError::revert(ITerritory::NotOnOffer { token: deed.token })),
        false => Ok(asked),
    }
}

fn require_transferable(host: &dyn ModuleHost, deed: &Deed) -> Result<(), ModuleError> {
    deed.require_active(host)?;
    deed.require_empty()
}

fn hand_over(host: &mut dyn ModuleHost, deed: &Deed, to: Address, name: &str) -> Result<(), ModuleError> {
    leave(host, deed)?;
    enter(host, to, deed.token, name)
}
