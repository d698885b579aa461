//! Which files a miner holds a column of: an order for repair exists as soon as the holder leaves, without a call for it.
//!
//! Must not know which column: the files module keeps a file's place in this list beside its holder. Invariant: a miner that leaves is
//! among those listed as long as it holds something.

use super::{
    super::{
        host::{ModuleError, ModuleHost},
        storage::{Slot, Vector},
    },
    Entry, leaving, state,
};
use crate::types::{Address, B256, FileId};

/// Adds a file; gives its place.
pub(in crate::ledger::modules) fn hold(
    host: &mut dyn ModuleHost,
    account: Address,
    file: FileId,
) -> Result<u64, ModuleError> {
    list(account).push(host, &file.into())
}

/// Removes the file at `place`; gives the file that is there now, if another moved.
pub(in crate::ledger::modules) fn drop_holding(
    host: &mut dyn ModuleHost,
    account: Address,
    place: u64,
) -> Result<Option<FileId>, ModuleError> {
    let moved = list(account).swap_remove(host, place)?;
    if list(account).len(host)? == 0 {
        let entry = Entry::read(host, account)?;
        leaving::unlist(host, &entry)?;
    }
    Ok(moved.map(FileId::from))
}

/// The file at `place`.
pub(in crate::ledger::modules) fn holding(
    host: &mut dyn ModuleHost,
    account: Address,
    place: u64,
) -> Result<FileId, ModuleError> {
    Ok(list(account).item(place).get(host)?.into())
}

/// Number of files a miner holds a column of.
pub(in crate::ledger::modules) fn holdings_len(
    host: &mut dyn ModuleHost,
    account: Address,
) -> Result<u64, ModuleError> {
    list(account).len(host)
}

pub(super) fn list(account: Address) -> Vector<Slot<B256>> {
    state().miners.at_key(&account).holdings
}
