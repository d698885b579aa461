//! The territory module: who leases how much space until when, and what for it was paid.
//!
//! Owns leases, their price, their charges and the rent. Must not know files, only how many bytes one is charged. Invariants: a territory's
//! `used` is the sum of its charges and at most its size; the totals are the sums over all territories; the module's balance is the
//! pool, which is rent of eras to come; what is sold never exceeds what miners declare times the oversell; whether a territory is active follows from its
//! deadline and the height, so that nothing has to happen for it to freeze.

mod deed;
mod dispatch;
mod lapse;
mod lease;
mod orders;
mod rent;
mod space;
mod terms;
mod views;

use super::{
    host::{ModuleError, ModuleHost},
    storage::{Mapping, Place, Slot, Text, Vector, layout},
};
use crate::{
    ledger::abi::{ITerritory, TERRITORY},
    types::{Address, B256, Height, U256, params::TERRITORY_NAME_MAX_BYTES},
};
use alloy_primitives::keccak256;
pub(super) use dispatch::dispatch;
pub(super) use lapse::{LapseStep, next as next_lapse, pass_era, purge};
pub(super) use lease::{Request, install};
pub(super) use rent::close_era;
pub(super) use space::{charge, choose, free};
pub use terms::day_blocks;
use terms::{Standing, Terms};

/// Most territories one `listOf` answers with.
pub const LIST_MAX_TERRITORIES: u64 = 100;

layout! {
    /// `struct { address owner; uint64 place; uint64 size; uint64 used; uint64 start; uint64 deadline; uint64 endingPlace;
    /// uint256 paid; uint256 asked; string name; }`: `place` is its index among its owner's, `endingPlace` among those whose deadline
    /// lies in the same era. No owner means that there is no such territory.
    struct TerritorySlots {
        head: Slot<(Address, u64)>,
        lease: Slot<(u64, u64, u64, u64)>,
        ending_place: Slot<u64>,
        paid: Slot<U256>,
        asked: Slot<U256>,
        name: Text,
    }
}

layout! {
    /// `struct { address receiver; uint64 size; uint32 leaseDays; address placer; uint64 expires; string name; }`
    struct OrderSlots {
        what: Slot<(Address, u64, u32)>,
        who: Slot<(Address, u64)>,
        name: Text,
    }
}

layout! {
    /// The module's variables from slot 0: `struct Counts { uint64 minted; uint64 territories; uint64 orders; uint64 passedEras; }`
    struct State {
        counts: Slot<(u64, u64, u64, u64)>,
        leased: Slot<U256>,
        used: Slot<U256>,
        pool: Slot<U256>,
        territories: Mapping<u64, TerritorySlots>,
        owned: Mapping<Address, Vector<Slot<U256>>>,
        names: Mapping<Address, Mapping<B256, Slot<u64>>>,
        ending: Mapping<u64, Vector<Slot<U256>>>,
        orders: Mapping<u64, OrderSlots>,
        open_order: Mapping<Address, Slot<u64>>,
        rent_rate: Slot<U256>,
        rents: Mapping<u64, rent::RentSlots>,
    }
}

fn state() -> State {
    State::at(TERRITORY, U256::ZERO)
}

/// A territory as found in storage, without what few calls need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Deed {
    token: u64,
    owner: Address,
    place: u64,
    size: u64,
    used: u64,
    start: Height,
    deadline: Height,
}

impl Deed {
    /// A territory. Reverts if there is none.
    fn read(host: &mut dyn ModuleHost, token: u64) -> Result<Self, ModuleError> {
        let slots = state().territories.at_key(&token);
        let (owner, place) = slots.head.get(host)?;
        if owner.is_zero() {
            return Err(ModuleError::revert(ITerritory::UnknownTerritory { token }));
        }
        let (size, used, start, deadline) = slots.lease.get(host)?;
        Ok(Self { token, owner, place, size, used, start, deadline })
    }

    /// A territory of the caller's. Reverts if it is another's.
    fn of_caller(host: &mut dyn ModuleHost, token: u64) -> Result<Self, ModuleError> {
        let (deed, account) = (Self::read(host, token)?, host.caller());
        match deed.owner == account {
            true => Ok(deed),
            false => Err(ModuleError::revert(ITerritory::NotLeaseholder { token, account })),
        }
    }

    fn slots(&self) -> TerritorySlots {
        state().territories.at_key(&self.token)
    }

    /// Writes size, use and term back.
    fn write_lease(&self, host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
        self.slots().lease.set(host, &(self.size, self.used, self.start, self.deadline))
    }

    fn free(&self) -> u64 {
        self.size.saturating_sub(self.used)
    }

    fn standing(&self, host: &dyn ModuleHost) -> Standing {
        Terms::of(host).standing(self.deadline, host.height())
    }

    /// Reverts unless it is active.
    fn require_active(&self, host: &dyn ModuleHost) -> Result<(), ModuleError> {
        let (token, deadline, height) = (self.token, self.deadline, host.height());
        match self.standing(host) {
            Standing::Active => Ok(()),
            _ => Err(ModuleError::revert(ITerritory::NotActive { token, deadline, height })),
        }
    }

    /// Reverts if it is for sale: a buyer gets what was on offer.
    fn require_unoffered(&self, host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
        match self.slots().asked.get(host)?.is_zero() {
            true => Ok(()),
            false => Err(ModuleError::revert(ITerritory::OnOffer { token: self.token })),
        }
    }

    /// Reverts if files are charged to it: space changes hands, files do not.
    fn require_empty(&self) -> Result<(), ModuleError> {
        match self.used {
            0 => Ok(()),
            used => Err(ModuleError::revert(ITerritory::NotEmpty { token: self.token, used })),
        }
    }
}

/// Enters a territory among its owner's, under a name that is free.
fn enter(host: &mut dyn ModuleHost, owner: Address, token: u64, name: &str) -> Result<(), ModuleError> {
    claim_name(host, owner, token, name)?;
    let place = state().owned.at_key(&owner).push(host, &U256::from(token))?;
    state().territories.at_key(&token).head.set(host, &(owner, place))
}

/// Takes a territory from its owner's list; the last one fills the gap. Its name becomes free.
fn leave(host: &mut dyn ModuleHost, deed: &Deed) -> Result<(), ModuleError> {
    if let Some(moved) = state().owned.at_key(&deed.owner).swap_remove(host, deed.place)? {
        let head = state().territories.at_key(&token_of(moved)).head;
        head.set(host, &(deed.owner, deed.place))?;
    }
    release_name(host, deed)?;
    deed.slots().head.clear(host)
}

fn claim_name(host: &mut dyn ModuleHost, owner: Address, token: u64, name: &str) -> Result<(), ModuleError> {
    check_name(name)?;
    let entry = named(owner, name);
    if entry.get(host)? != 0 {
        return Err(ModuleError::revert(ITerritory::NameTaken { owner, name: name.to_owned() }));
    }
    entry.set(host, &token)?;
    state().territories.at_key(&token).name.set(host, name.as_bytes())
}

fn release_name(host: &mut dyn ModuleHost, deed: &Deed) -> Result<(), ModuleError> {
    let name = deed.slots().name.get(host)?;
    named(deed.owner, &name).clear(host)?;
    deed.slots().name.set(host, b"")
}

fn check_name(name: &str) -> Result<(), ModuleError> {
    let length = name.len();
    if length == 0 || length > TERRITORY_NAME_MAX_BYTES || name.chars().any(char::is_control) {
        let (length, maximum) = (U256::from(length), U256::from(TERRITORY_NAME_MAX_BYTES));
        return Err(ModuleError::revert(ITerritory::TerritoryNameInvalid { length, maximum }));
    }
    Ok(())
}

fn named(owner: Address, name: &str) -> Slot<u64> {
    state().names.at_key(&owner).at_key(&keccak256(name))
}

fn token_of(word: U256) -> u64 {
    u64::try_from(word).expect("tokens are counted in 64 bits")
}

#[cfg(test)]
mod tests;
