//! The names of a fake chain.

use crate::client::{ChainError, ChainEvent, revert};
use crate::ledger::{abi::INames, modules::namespace};
use crate::rpc::error::REVERTED;
use crate::types::B256;
use alloy_primitives::Bytes;
use alloy_sol_types::{SolCall, SolError};

/// Names in the order in which they were first set.
#[derive(Default)]
pub struct FakeNames {
    pub entries: Vec<(B256, INames::Name)>,
    changes: u64,
    /// Changes that were measured are handed in next.
    pub measured: Vec<Bytes>,
    /// Listings that are answered before the first name goes.
    pub first_goes_after: Option<u32>,
}

impl FakeNames {
    /// What a call answers, if it is one about names.
    pub fn answer(&mut self, data: &Bytes) -> Option<Bytes> {
        if let Ok(call) = INames::getCall::abi_decode(data) {
            let found = self.find(call.namespace, &call.name).map(|at| self.entries[at].1.clone());
            let found = found.unwrap_or(INames::Name { name: call.name, ..Default::default() });
            return Some(INames::getCall::abi_encode_returns(&found).into());
        }
        if let Ok(call) = INames::countCall::abi_decode(data) {
            let names = u64::try_from(self.of(call.namespace).len()).unwrap();
            let counts = INames::countReturn { names, changes: self.changes };
            return Some(INames::countCall::abi_encode_returns(&counts).into());
        }
        let call = INames::listCall::abi_decode(data).ok()?;
        let all = self.of(call.namespace);
        let page = all.into_iter().skip(call.skip as usize).take(call.limit as usize).collect();
        match self.first_goes_after.as_mut() {
            Some(0) => {
                self.first_goes_after = None;
                self.entries.swap_remove(0);
            }
            Some(more) => *more -= 1,
            None => {}
        }
        Some(INames::listCall::abi_encode_returns(&page).into())
    }

    /// Measures a change: it is refused as the chain would.
    pub fn measure(&mut self, data: &Bytes) -> Result<(), ChainError> {
        let (namespace, name, expected) = target(data);
        let present = self.find(namespace, &name).map_or(0, |at| self.entries[at].1.version);
        if present != expected {
            self.measured.clear();
            let data = INames::VersionMismatch { namespace, name, expected, present }.abi_encode();
            let message = format!("execution reverted: {}", revert::explain(&data));
            return Err(ChainError::Refused { code: REVERTED, message });
        }
        self.measured.push(data.clone());
        Ok(())
    }

    /// Makes the changes that were measured.
    pub fn apply(&mut self) -> Vec<ChainEvent> {
        let measured = std::mem::take(&mut self.measured);
        measured.iter().filter_map(|data| self.make(data)).collect()
    }

    /// Makes a change.
    pub fn make(&mut self, data: &Bytes) -> Option<ChainEvent> {
        let (namespace, name, _) = target(data);
        let at = self.find(namespace, &name);
        self.changes += 1;
        let Ok(set) = INames::setCall::abi_decode(data) else {
            let gone = self.entries.swap_remove(at?).1;
            return Some(ChainEvent::NameRemoved { namespace, owner: gone.owner, name, version: gone.version });
        };
        let (owner, version, value) = (set.owner, self.changes, set.value);
        let entry = INames::Name { name: name.clone(), owner, version, value: value.clone() };
        match at {
            Some(at) => self.entries[at].1 = entry,
            None => self.entries.push((namespace, entry)),
        }
        Some(ChainEvent::NameSet { namespace, owner, name, version, value })
    }

    fn find(&self, namespace: B256, name: &Bytes) -> Option<usize> {
        self.entries.iter().position(|(at, entry)| *at == namespace && entry.name == *name)
    }

    fn of(&self, namespace: B256) -> Vec<INames::Name> {
        self.entries.iter().filter(|(at, _)| *at == namespace).map(|(_, entry)| entry.clone()).collect()
    }
}

fn target(data: &Bytes) -> (B256, Bytes, u64) {
    if let Ok(set) = INames::setCall::abi_decode(data) {
        return (namespace(set.owner, &set.label), set.name, set.expectedVersion);
    }
    let remove = INames::removeCall::abi_decode(data).expect("a change of a name");
    (namespace(remove.owner, &remove.label), remove.name, remove.expectedVersion)
}
