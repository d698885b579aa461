//! Charging files to territories, to the byte.
//!
//! Must not know files: a charge is a number of bytes under an id. Invariants: a charge never exceeds what is free, and what is given
//! back was charged.

use super::{
    super::host::{ModuleError, ModuleHost},
    Deed, Standing, state, token_of,
};
use crate::{
    ledger::abi::{ITerritory, TERRITORY},
    types::{Address, FileId, U256},
};
use alloy_sol_types::SolEvent;

/// Territories of an account that are looked at when a call names none.
const CHOICE_MAX_TERRITORIES: u64 = 16;

/// Charges `bytes` of `file` to a territory of `owner`'s.
pub(in crate::ledger::modules) fn charge(
    host: &mut dyn ModuleHost,
    owner: Address,
    token: u64,
    file: FileId,
    bytes: u64,
) -> Result<(), ModuleError> {
    let mut deed = Deed::read(host, token)?;
    if deed.owner != owner {
        return Err(ModuleError::revert(ITerritory::NotLeaseholder { token, account: owner }));
    }
    deed.require_active(host)?;
    deed.require_unoffered(host)?;
    let free = deed.free();
    if free < bytes {
        return Err(ModuleError::revert(ITerritory::TerritoryFull { token, free, needed: bytes }));
    }
    deed.used += bytes;
    deed.write_lease(host)?;
    let used = state().used.get(host)?;
    state().used.set(host, &(used + U256::from(bytes)))?;
    let event = ITerritory::SpaceCharged { token, file: file.into(), amount: bytes, used: deed.used };
    host.emit(TERRITORY, event.encode_log_data())
}

/// Gives back what was charged, whatever has become of the lease.
pub(in crate::ledger::modules) fn free(
    host: &mut dyn ModuleHost,
    token: u64,
    file: FileId,
    bytes: u64,
) -> Result<(), ModuleError> {
    let mut deed = Deed::read(host, token)?;
    let total = state().used.get(host)?;
    let rest = deed.used.checked_sub(bytes).zip(total.checked_sub(U256::from(bytes)));
    let (used, total) = rest.ok_or_else(|| {
        ModuleError::Fatal(format!("territory {token} is charged {} B, {bytes} B are to be freed", deed.used))
    })?;
    deed.used = used;
    deed.write_lease(host)?;
    state().used.set(host, &total)?;
    let event = ITerritory::SpaceFreed { token, file: file.into(), amount: bytes, used };
    host.emit(TERRITORY, event.encode_log_data())
}

/// The territory that a file of `needed` bytes is charged to when its owner names none: the one that stays active longest, so that a gift
/// that soon ends never takes files from the owner's own space.
pub(in crate::ledger::modules) fn choose(
    host: &mut dyn ModuleHost,
    owner: Address,
    needed: u64,
) -> Result<u64, ModuleError> {
    let (mut best, mut roomiest): (Option<Deed>, Option<Deed>) = (None, None);
    for word in state().owned.at_key(&owner).page(host, 0, CHOICE_MAX_TERRITORIES)? {
        let deed = Deed::read(host, token_of(word))?;
        if deed.standing(host) != Standing::Active || !deed.slots().asked.get(host)?.is_zero() {
            continue;
        }
        if deed.free() >= needed && best.is_none_or(|best| deed.deadline > best.deadline) {
            best = Some(deed);
        }
        if roomiest.is_none_or(|roomiest| deed.free() > roomiest.free()) {
            roomiest = Some(deed);
        }
    }
    match (best, roomiest) {
        (Some(deed), _) => Ok(deed.token),
        (None, Some(deed)) => {
            let (token, free) = (deed.token, deed.free());
            Err(ModuleError::revert(ITerritory::TerritoryFull { token, free, needed }))
        }
        (None, None) => Err(ModuleError::revert(ITerritory::NoTerritory { account: owner, needed })),
    }
}
