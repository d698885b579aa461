//! Who owns a file: three lists, each file's owners, each owner's files and each territory's files, and where an ownership stands in
//! all of them.
//!
//! Invariant: `ownership[file][owner]` holds the owner's index among the file's owners, the file's index among the owner's files,
//! the territory that is charged and the file's index among that one's, each index plus one, and is 0 for everybody else.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        storage::{Slot, Vector, layout},
    },
    file, state,
};
use crate::{
    ledger::abi::IFiles,
    types::{Address, B256, FileId},
};

layout! {
    /// `struct { uint64 amongOwners; uint64 amongFiles; uint64 territory; uint64 amongCharged; }`, the places plus one.
    pub(super) struct OwnerSlots {
        places: Slot<(u64, u64, u64, u64)>,
    }
}

/// An ownership that exists. Places count from 0.
struct Places {
    owner: u64,
    file: u64,
    territory: u64,
    charged: u64,
}

impl Places {
    fn read(host: &mut dyn ModuleHost, id: FileId, account: Address) -> Result<Self, ModuleError> {
        let (owner, file, territory, charged) = ownership(id, account).places.get(host)?;
        let places = owner.checked_sub(1).zip(file.checked_sub(1)).zip(charged.checked_sub(1));
        match places {
            Some(((owner, file), charged)) => Ok(Self { owner, file, territory, charged }),
            None => Err(ModuleError::revert(IFiles::NotOwner { id: id.into(), account })),
        }
    }

    fn write(&self, host: &mut dyn ModuleHost, id: FileId, account: Address) -> Result<(), ModuleError> {
        let places = (self.owner + 1, self.file + 1, self.territory, self.charged + 1);
        ownership(id, account).places.set(host, &places)
    }
}

/// Reverts if the account is an owner.
pub(super) fn refuse(host: &mut dyn ModuleHost, id: FileId, account: Address) -> Result<(), ModuleError> {
    match ownership(id, account).places.get(host)?.0 {
        0 => Ok(()),
        _ => Err(ModuleError::revert(IFiles::AlreadyOwner { id: id.into(), account })),
    }
}

/// Adds an owner that is none yet and whose `territory` is charged.
pub(super) fn add(host: &mut dyn ModuleHost, id: FileId, account: Address, territory: u64) -> Result<(), ModuleError> {
    let owner = file(id).owners.push(host, &account)?;
    let file = state().owned.at_key(&account).push(host, &id.into())?;
    let charged = charged_to(territory).push(host, &id.into())?;
    Places { owner, file, territory, charged }.write(host, id, account)
}

/// Removes an owner; gives the number of those that remain and the territory that was charged. Reverts if it is none.
pub(super) fn remove(host: &mut dyn ModuleHost, id: FileId, account: Address) -> Result<(u64, u64), ModuleError> {
    let places = Places::read(host, id, account)?;
    let owners = file(id).owners;
    if let Some(moved) = owners.swap_remove(host, places.owner)? {
        let other = Places::read(host, id, moved)?;
        Places { owner: places.owner, ..other }.write(host, id, moved)?;
    }
    if let Some(moved) = state().owned.at_key(&account).swap_remove(host, places.file)? {
        let other = Places::read(host, moved.into(), account)?;
        Places { file: places.file, ..other }.write(host, moved.into(), account)?;
    }
    uncharge(host, account, &places)?;
    ownership(id, account).places.clear(host)?;
    Ok((owners.len(host)?, places.territory))
}

/// Charges an owner's file to another territory; gives the former one.
pub(super) fn reassign(
    host: &mut dyn ModuleHost,
    id: FileId,
    account: Address,
    territory: u64,
) -> Result<u64, ModuleError> {
    let places = Places::read(host, id, account)?;
    uncharge(host, account, &places)?;
    let charged = charged_to(territory).push(host, &id.into())?;
    let former = places.territory;
    Places { territory, charged, ..places }.write(host, id, account)?;
    Ok(former)
}

/// The territory that is charged for an owner's file.
pub(super) fn territory(host: &mut dyn ModuleHost, id: FileId, account: Address) -> Result<u64, ModuleError> {
    Ok(Places::read(host, id, account)?.territory)
}

/// Takes a file off its territory's list. All files there are of the territory's one owner.
fn uncharge(host: &mut dyn ModuleHost, account: Address, places: &Places) -> Result<(), ModuleError> {
    if let Some(moved) = charged_to(places.territory).swap_remove(host, places.charged)? {
        let other = Places::read(host, moved.into(), account)?;
        Places { charged: places.charged, ..other }.write(host, moved.into(), account)?;
    }
    Ok(())
}

fn charged_to(territory: u64) -> Vector<Slot<B256>> {
    state().charged.at_key(&territory)
}

fn ownership(id: FileId, owner: Address) -> OwnerSlots {
    state().ownership.at_key(&B256::from(id)).at_key(&owner)
}
