//! The names module: small values under names, changed by compare-and-swap, and who may act for whom.
//!
//! Owns names, their namespaces and the approvals of operators. Must not know what values mean. Invariants: a name's version is that of
//! the change of its namespace that set it, so no version of a namespace comes twice; only a name's owner and its operators change it, and in a
//! namespace of an account every name is that account's; a namespace's list has each of its names once, and each name knows its place there.

mod dispatch;
mod operators;

use super::{
    host::{ModuleError, ModuleHost},
    storage::{Mapping, Place, Slot, Text, Vector, layout},
};
use crate::{
    ledger::abi::{INames, NAMES},
    types::{Address, B256, U256},
};
use alloy_primitives::{Bytes, keccak256};
use alloy_sol_types::SolEvent;
pub(super) use dispatch::dispatch;
pub(super) use operators::require_actor;

/// Most names one `list` answers with.
pub const LIST_MAX_NAMES: u64 = 1_000;
/// Longest name.
pub const NAME_MAX_BYTES: usize = 256;
/// Longest value.
pub const VALUE_MAX_BYTES: usize = 256;
/// Longest label of a namespace.
pub const LABEL_MAX_BYTES: usize = 256;

/// Names a namespace may have: places are kept in 32 bits.
const NAMESPACE_MAX_NAMES: u64 = u32::MAX as u64 - 1;
/// Gas of a Keccak hash, and of each started 32 bytes of what it hashes: what the EVM charges.
const HASH_GAS: u64 = 30;
const HASH_WORD_GAS: u64 = 6;

layout! {
    /// `struct { address owner; uint64 version; uint32 place; bytes name; bytes value; }`: `place` is its index among its namespace's
    /// names plus one. A version of 0 means that there is no such name.
    struct NameSlots {
        head: Slot<(Address, u64, u32)>,
        name: Text,
        value: Text,
    }
}

layout! {
    /// `struct { uint64 changes; bytes32[] keys; mapping(bytes32 => Name) names; }`, by the hashes of the names.
    struct NamespaceSlots {
        changes: Slot<u64>,
        keys: Vector<Slot<B256>>,
        names: Mapping<B256, NameSlots>,
    }
}

layout! {
    /// The module's variables from slot 0.
    struct State {
        namespaces: Mapping<B256, NamespaceSlots>,
        operators: Mapping<Address, Mapping<Address, Slot<u64>>>,
    }
}

fn state() -> State {
    State::at(NAMES, U256::ZERO)
}

/// The namespace of an owner's label. The empty label's is the global one.
pub fn namespace(owner: Address, label: &[u8]) -> B256 {
    match label {
        [] => B256::ZERO,
        label => keccak256([owner.as_slice(), label].concat()),
    }
}

/// The fixed part of a name.
struct Head {
    owner: Address,
    version: u64,
    place: u64,
}

/// A name as a call means it.
struct Named<'a> {
    owner: Address,
    namespace: B256,
    key: B256,
    name: &'a Bytes,
}

impl<'a> Named<'a> {
    /// Checks lengths and that the caller may act for the owner.
    fn of(host: &mut dyn ModuleHost, owner: Address, label: &[u8], name: &'a Bytes) -> Result<Self, ModuleError> {
        require_actor(host, owner)?;
        if label.len() > LABEL_MAX_BYTES {
            let (length, maximum) = (U256::from(label.len()), U256::from(LABEL_MAX_BYTES));
            return Err(ModuleError::revert(INames::LabelLength { length, maximum }));
        }
        if name.is_empty() || name.len() > NAME_MAX_BYTES {
            let (length, maximum) = (U256::from(name.len()), U256::from(NAME_MAX_BYTES));
            return Err(ModuleError::revert(INames::NameLength { length, maximum }));
        }
        charge_hash(host, owner.len() + label.len())?;
        let namespace = namespace(owner, label);
        Ok(Self { owner, namespace, key: key(host, name)?, name })
    }

    fn slots(&self) -> NameSlots {
        space(self.namespace).names.at_key(&self.key)
    }

    /// What there is under the name. Reverts unless it is the owner's and of this version.
    fn require(&self, host: &mut dyn ModuleHost, expected: u64) -> Result<Option<Head>, ModuleError> {
        let (namespace, name) = (self.namespace, self.name.clone());
        let head = self.slots().head(host)?;
        if let Some(owner) = head.as_ref().map(|head| head.owner).filter(|owner| *owner != self.owner) {
            return Err(ModuleError::revert(INames::NotNameOwner { namespace, name, owner }));
        }
        let present = head.as_ref().map_or(0, |head| head.version);
        if present != expected {
            return Err(ModuleError::revert(INames::VersionMismatch { namespace, name, expected, present }));
        }
        Ok(head)
    }
}

impl NameSlots {
    fn head(&self, host: &mut dyn ModuleHost) -> Result<Option<Head>, ModuleError> {
        let (owner, version, place) = self.head.get(host)?;
        Ok(u64::from(place).checked_sub(1).map(|place| Head { owner, version, place }))
    }

    fn set_head(&self, host: &mut dyn ModuleHost, head: &Head) -> Result<(), ModuleError> {
        let place = u32::try_from(head.place + 1).expect("a namespace has fewer names than 32 bits count");
        self.head.set(host, &(head.owner, head.version, place))
    }

    fn read(&self, host: &mut dyn ModuleHost) -> Result<INames::Name, ModuleError> {
        let (owner, version, _) = self.head.get(host)?;
        let (name, value) = (self.name.get_bytes(host)?, self.value.get_bytes(host)?);
        Ok(INames::Name { name: name.into(), owner, version, value: value.into() })
    }
}

/// Sets a name whose version is the expected one, and gives the new one.
fn set(host: &mut dyn ModuleHost, named: &Named<'_>, expected: u64, value: &Bytes) -> Result<u64, ModuleError> {
    if value.len() > VALUE_MAX_BYTES {
        let (length, maximum) = (U256::from(value.len()), U256::from(VALUE_MAX_BYTES));
        return Err(ModuleError::revert(INames::ValueLength { length, maximum }));
    }
    let (present, slots) = (named.require(host, expected)?, named.slots());
    let version = change(host, named.namespace)?;
    let place = match present {
        Some(head) => head.place,
        None => {
            slots.name.set(host, named.name)?;
            enlist(host, named)?
        }
    };
    slots.set_head(host, &Head { owner: named.owner, version, place })?;
    slots.value.set(host, value)?;
    let Named { owner, namespace, key, name } = named;
    let (name, value) = ((*name).clone(), value.clone());
    let event = INames::NameSet { namespace: *namespace, key: *key, owner: *owner, name, version, value };
    host.emit(NAMES, event.encode_log_data())?;
    Ok(version)
}

/// Removes a name whose version is the expected one.
fn remove(host: &mut dyn ModuleHost, named: &Named<'_>, expected: u64) -> Result<(), ModuleError> {
    let (space, slots) = (space(named.namespace), named.slots());
    let Some(head) = named.require(host, expected)? else {
        // The expected version is 0, and so is the one there is: there is nothing to remove.
        let (namespace, name) = (named.namespace, named.name.clone());
        return Err(ModuleError::revert(INames::VersionMismatch { namespace, name, expected, present: 0 }));
    };
    change(host, named.namespace)?;
    if let Some(moved) = space.keys.swap_remove(host, head.place)? {
        let other = space.names.at_key(&moved);
        let broken = || ModuleError::Fatal(format!("namespace {} lists {moved}, which is no name", named.namespace));
        let found = other.head(host)?.ok_or_else(broken)?;
        other.set_head(host, &Head { place: head.place, ..found })?;
    }
    slots.head.clear(host)?;
    slots.name.set(host, &[])?;
    slots.value.set(host, &[])?;
    let Named { owner, namespace, key, name } = named;
    let (name, version) = ((*name).clone(), head.version);
    let event = INames::NameRemoved { namespace: *namespace, key: *key, owner: *owner, name, version };
    host.emit(NAMES, event.encode_log_data())
}

/// One name; its version is 0 if there is none.
fn get(host: &mut dyn ModuleHost, namespace: B256, name: &Bytes) -> Result<INames::Name, ModuleError> {
    let slots = space(namespace).names.at_key(&key(host, name)?);
    let (owner, version, _) = slots.head.get(host)?;
    let value = slots.value.get_bytes(host)?.into();
    Ok(INames::Name { name: name.clone(), owner, version, value })
}

/// Whose a name is.
fn owner_of(host: &mut dyn ModuleHost, namespace: B256, name: &Bytes) -> Result<Address, ModuleError> {
    let key = key(host, name)?;
    Ok(space(namespace).names.at_key(&key).head.get(host)?.0)
}

/// Names of a namespace, and its changes.
fn count(host: &mut dyn ModuleHost, namespace: B256) -> Result<(u64, u64), ModuleError> {
    let space = space(namespace);
    Ok((space.keys.len(host)?, space.changes.get(host)?))
}

/// Names of a namespace from `skip` on.
fn list(host: &mut dyn ModuleHost, namespace: B256, skip: u64, limit: u64) -> Result<Vec<INames::Name>, ModuleError> {
    let space = space(namespace);
    let keys = space.keys.page(host, skip, limit.min(LIST_MAX_NAMES))?;
    keys.iter().map(|key| space.names.at_key(key).read(host)).collect()
}

/// Counts a change of a namespace; the count is the version of what it sets.
fn change(host: &mut dyn ModuleHost, namespace: B256) -> Result<u64, ModuleError> {
    let slot = space(namespace).changes;
    let changes = slot.get(host)? + 1;
    slot.set(host, &changes)?;
    Ok(changes)
}

/// Puts a new name onto its namespace's list and gives its place.
fn enlist(host: &mut dyn ModuleHost, named: &Named<'_>) -> Result<u64, ModuleError> {
    let keys = space(named.namespace).keys;
    if keys.len(host)? >= NAMESPACE_MAX_NAMES {
        let (namespace, maximum) = (named.namespace, NAMESPACE_MAX_NAMES);
        return Err(ModuleError::revert(INames::NamespaceFull { namespace, maximum }));
    }
    keys.push(host, &named.key)
}

fn space(namespace: B256) -> NamespaceSlots {
    state().namespaces.at_key(&namespace)
}

fn key(host: &mut dyn ModuleHost, name: &[u8]) -> Result<B256, ModuleError> {
    charge_hash(host, name.len())?;
    Ok(keccak256(name))
}

fn charge_hash(host: &mut dyn ModuleHost, bytes: usize) -> Result<(), ModuleError> {
    let words = u64::try_from(bytes.div_ceil(32)).expect("call data fits memory");
    host.charge(HASH_GAS + words * HASH_WORD_GAS)
}

#[cfg(test)]
mod tests;
