//! Who owns a file: two lists, each file's owners and each owner's files, and where an ownership stands in both.
//!
//! Invariant: `ownership[file][owner]` holds the owner's index among the file's owners and the file's index among the owner's
//! files, each plus one, and is 0 for everybody else.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        storage::{Slot, layout},
    },
    file, state,
};
use crate::{
    ledger::abi::IFiles,
    types::{Address, B256, FileId},
};

layout! {
    /// `struct { uint64 amongOwners; uint64 amongFiles; }`, both plus one.
    pub(super) struct OwnerSlots {
        places: Slot<(u64, u64)>,
    }
}

/// Adds an owner. Reverts if it is one already.
pub(super) fn add(host: &mut dyn ModuleHost, id: FileId, owner: Address) -> Result<(), ModuleError> {
    let entry = ownership(id, owner);
    if entry.places.get(host)? != (0, 0) {
        return Err(ModuleError::revert(IFiles::AlreadyOwner { id: id.into(), account: owner }));
    }
    let among_owners = file(id).owners.push(host, &owner)? + 1;
    let among_files = state().owned.at_key(&owner).push(host, &id.into())? + 1;
    entry.places.set(host, &(among_owners, among_files))
}

/// Removes an owner and gives the number of those that remain. Reverts if it is none.
pub(super) fn remove(host: &mut dyn ModuleHost, id: FileId, owner: Address) -> Result<u64, ModuleError> {
    let entry = ownership(id, owner);
    let (among_owners, among_files) = entry.places.get(host)?;
    let (Some(owner_index), Some(file_index)) = (among_owners.checked_sub(1), among_files.checked_sub(1)) else {
        return Err(ModuleError::revert(IFiles::NotOwner { id: id.into(), account: owner }));
    };
    let owners = file(id).owners;
    if let Some(moved) = owners.swap_remove(host, owner_index)? {
        let other = ownership(id, moved).places;
        let (_, files_place) = other.get(host)?;
        other.set(host, &(among_owners, files_place))?;
    }
    if let Some(moved) = state().owned.at_key(&owner).swap_remove(host, file_index)? {
        let other = ownership(moved.into(), owner).places;
        let (owners_place, _) = other.get(host)?;
        other.set(host, &(owners_place, among_files))?;
    }
    entry.places.clear(host)?;
    owners.len(host)
}

fn ownership(id: FileId, owner: Address) -> OwnerSlots {
    state().ownership.at_key(&B256::from(id)).at_key(&owner)
}
