//! What the module tells: territories, prices, totals.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        miners,
    },
    Deed, LIST_MAX_TERRITORIES, Standing, Terms,
    lease::{self, Request},
    named, state, token_of,
};
use crate::{
    ledger::abi::ITerritory,
    types::{Address, U256},
};

/// One territory.
pub(super) fn get(host: &mut dyn ModuleHost, token: u64) -> Result<ITerritory::Territory, ModuleError> {
    let deed = Deed::read(host, token)?;
    let slots = deed.slots();
    let Deed { owner, size, used, start, deadline, .. } = deed;
    Ok(ITerritory::Territory {
        token,
        owner,
        name: slots.name.get(host)?,
        size,
        used,
        paid: slots.paid.get(host)?,
        start,
        deadline,
        purgeFrom: Terms::of(host).purge_from(deadline),
        state: deed.standing(host).number(),
        asked: slots.asked.get(host)?,
    })
}

/// The owner's territory of a name.
pub(super) fn find(
    host: &mut dyn ModuleHost,
    owner: Address,
    name: &str,
) -> Result<ITerritory::Territory, ModuleError> {
    match named(owner, name).get(host)? {
        0 => Err(ModuleError::revert(ITerritory::UnknownName { owner, name: name.to_owned() })),
        token => get(host, token),
    }
}

/// Number of territories of an account.
pub(super) fn count_of(host: &mut dyn ModuleHost, owner: Address) -> Result<u64, ModuleError> {
    state().owned.at_key(&owner).len(host)
}

/// Territories of an account from `skip` on.
pub(super) fn list_of(
    host: &mut dyn ModuleHost,
    owner: Address,
    skip: u64,
    limit: u64,
) -> Result<Vec<ITerritory::Territory>, ModuleError> {
    let words = state().owned.at_key(&owner).page(host, skip, limit.min(LIST_MAX_TERRITORIES))?;
    words.into_iter().map(|word| get(host, token_of(word))).collect()
}

/// Price of a new territory.
pub(super) fn quote(host: &dyn ModuleHost, size: u64, days: u32) -> Result<U256, ModuleError> {
    let wanted = Request { owner: Address::ZERO, name: "quote", size, days };
    let deadline = lease::check_request(host, &wanted)?;
    Ok(Terms::of(host).price(size, deadline - host.height()))
}

/// Price of more bytes.
pub(super) fn quote_expand(host: &mut dyn ModuleHost, token: u64, extra: u64) -> Result<U256, ModuleError> {
    let deed = Deed::read(host, token)?;
    lease::expansion_price(host, &deed, extra)
}

/// Price of more days.
pub(super) fn quote_renew(host: &mut dyn ModuleHost, token: u64, days: u32) -> Result<U256, ModuleError> {
    let deed = Deed::read(host, token)?;
    if deed.standing(host) == Standing::Lapsed {
        deed.require_active(host)?;
    }
    Ok(lease::renewal(host, &deed, days)?.1)
}

/// The sums over everything.
pub(super) fn totals(host: &mut dyn ModuleHost) -> Result<ITerritory::Totals, ModuleError> {
    let (_, territories, _, _) = state().counts.get(host)?;
    let terms = Terms::of(host);
    Ok(ITerritory::Totals {
        territories,
        leased: state().leased.get(host)?,
        used: state().used.get(host)?,
        capacity: miners::total_capacity(host)?,
        available: lease::available(host)?,
        pool: state().pool.get(host)?,
        unitPrice: terms.unit_price(),
        dayBlocks: terms.day_blocks(),
    })
}
