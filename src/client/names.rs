//! Names of the chain as clients read and change them.
//!
//! Owns the records of names, the calls that read them and the transactions that change them. Must not know what values mean. Invariants: an
//! answer that does not decode is an error, never a default; a listing misses nothing that was there all the time it took; a change
//! that succeeded gives the version it made, whatever came after it.

use super::{ChainClient, ChainError, ChainEvent, TxOutcome, Wallet, ask_module};
use crate::{
    ledger::{
        abi::{INames, NAMES},
        modules::namespace,
        native::Call,
    },
    types::{Address, B256, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use std::{collections::BTreeMap, time::Duration};

/// Names asked for at a time: an answer of the largest ones is well below what a read may cost.
const PAGE: u64 = 100;
/// Names of one namespace that are listed at most.
const LIST_MAX: u64 = 100_000;

/// Where names lie, and in whose name they are changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace {
    /// Whose names they are.
    pub owner: Address,
    /// Which of the owner's namespaces; empty for the global one.
    pub label: Vec<u8>,
}

impl Namespace {
    /// The namespace all accounts share, for names of `owner`'s.
    pub fn global(owner: Address) -> Self {
        Self { owner, label: Vec::new() }
    }

    /// A namespace of `owner`'s alone.
    pub fn of(owner: Address, label: impl Into<Vec<u8>>) -> Self {
        Self { owner, label: label.into() }
    }

    /// What it is called on the chain.
    pub fn id(&self) -> B256 {
        namespace(self.owner, &self.label)
    }
}

/// A name that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRecord {
    /// The name.
    pub name: Bytes,
    /// Whose it is. In the global namespace anybody may have been first: compare.
    pub owner: Address,
    /// Changes with every change, and never repeats.
    pub version: u64,
    /// What it stands for.
    pub value: Bytes,
}

/// A change of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameChange {
    namespace: Namespace,
    name: Vec<u8>,
    expected: u64,
    value: Option<Vec<u8>>,
}

impl NameChange {
    /// Sets a name whose version is `expected`, 0 for one that is not there.
    pub fn set(namespace: &Namespace, name: &[u8], expected: u64, value: &[u8]) -> Self {
        Self { namespace: namespace.clone(), name: name.to_vec(), expected, value: Some(value.to_vec()) }
    }

    /// Removes a name whose version is `expected`.
    pub fn remove(namespace: &Namespace, name: &[u8], expected: u64) -> Self {
        Self { namespace: namespace.clone(), name: name.to_vec(), expected, value: None }
    }

    fn call(&self) -> Vec<u8> {
        let Namespace { owner, label } = self.namespace.clone();
        let (label, name, expected) = (label.into(), self.name.clone().into(), self.expected);
        match &self.value {
            Some(value) => {
                let value = value.clone().into();
                INames::setCall { owner, label, name, expectedVersion: expected, value }.abi_encode()
            }
            None => INames::removeCall { owner, label, name, expectedVersion: expected }.abi_encode(),
        }
    }
}

/// Why a name was not changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NameError {
    /// Somebody else changed it. Nothing was changed by this call.
    #[error("name `{name}` has version {}, {expected} was expected", .present.as_ref().map_or(0, |found| found.version))]
    Conflict { name: String, expected: u64, present: Option<NameRecord> },
    /// The chain refused, could not be asked, or does not tell yet ([`ChainError::NotFinal`]: the change may still happen).
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// The name that is there.
pub async fn name_record(
    chain: &dyn ChainClient,
    namespace: B256,
    name: &[u8],
) -> Result<Option<NameRecord>, ChainError> {
    let found = ask_module(chain, NAMES, &INames::getCall { namespace, name: name.to_vec().into() }).await?;
    Ok(record(found))
}

/// Names of a namespace, by name. What is set or removed meanwhile may be in it or not; everything else is, once.
pub async fn names_in(chain: &dyn ChainClient, namespace: B256) -> Result<Vec<NameRecord>, ChainError> {
    let mut end = name_count(chain, namespace).await?;
    if end > LIST_MAX {
        return Err(ChainError::Malformed(format!("namespace {namespace} lists {end} names, over {LIST_MAX}")));
    }
    // From the last one down: a removal moves the last name into its gap, so that nothing moves upwards past the page to come.
    let mut found = BTreeMap::new();
    while end > 0 {
        let skip = end.saturating_sub(PAGE);
        let page = ask_module(chain, NAMES, &INames::listCall { namespace, skip, limit: end - skip }).await?;
        for record in page.into_iter().filter_map(record) {
            match found.get(&record.name) {
                Some(NameRecord { version, .. }) if *version >= record.version => {}
                _ => drop(found.insert(record.name.clone(), record)),
            }
        }
        end = skip;
    }
    Ok(found.into_values().collect())
}

/// Number of names of a namespace.
pub async fn name_count(chain: &dyn ChainClient, namespace: B256) -> Result<u64, ChainError> {
    Ok(ask_module(chain, NAMES, &INames::countCall { namespace }).await?.names)
}

/// Whether `operator` may act for `owner`.
pub async fn is_operator(chain: &dyn ChainClient, owner: Address, operator: Address) -> Result<bool, ChainError> {
    Ok(owner == operator || ask_module(chain, NAMES, &INames::isOperatorCall { owner, operator }).await?)
}

/// Sets a name whose version is `expected` (0: that is not there) and waits until that is final; gives the new version.
pub async fn set_name(
    wallet: &Wallet,
    namespace: &Namespace,
    name: &[u8],
    expected: u64,
    value: &[u8],
    deadline: Duration,
) -> Result<u64, NameError> {
    let versions = change_names(wallet, &[NameChange::set(namespace, name, expected, value)], deadline).await?;
    Ok(versions[0])
}

/// Removes a name whose version is `expected` and waits until that is final.
pub async fn remove_name(
    wallet: &Wallet,
    namespace: &Namespace,
    name: &[u8],
    expected: u64,
    deadline: Duration,
) -> Result<(), NameError> {
    change_names(wallet, &[NameChange::remove(namespace, name, expected)], deadline).await.map(drop)
}

/// Changes names in one transaction, all of them or none, and waits until that is final. Gives their new versions, 0 for those that were
/// removed. More than one change is for native accounts, and none of them may need another one: see [`Wallet::send_batch_and_wait`].
pub async fn change_names(wallet: &Wallet, changes: &[NameChange], deadline: Duration) -> Result<Vec<u64>, NameError> {
    let call = |change: &NameChange| Call { to: NAMES, value: U256::ZERO, data: change.call().into() };
    let refused = match wallet.send_batch_and_wait(changes.iter().map(call).collect(), None, deadline).await {
        Ok(outcome) => return Ok(versions_set(&**wallet.chain(), &outcome, changes).await?),
        Err(refused @ (ChainError::Refused { .. } | ChainError::Reverted { .. })) => refused,
        Err(error) => return Err(error.into()),
    };
    // The chain says why in words; whether it was a version is seen in the names themselves.
    for NameChange { namespace, name, expected, .. } in changes {
        let present = name_record(&**wallet.chain(), namespace.id(), name).await?;
        if present.as_ref().map_or(0, |found| found.version) != *expected {
            let name = String::from_utf8_lossy(name).into_owned();
            return Err(NameError::Conflict { name, expected: *expected, present });
        }
    }
    Err(refused.into())
}

/// Says whether `operator` may act for the wallet's account, and waits until that is final.
pub async fn approve_operator(
    wallet: &Wallet,
    operator: Address,
    approved: bool,
    deadline: Duration,
) -> Result<TxOutcome, ChainError> {
    let call = INames::approveCall { operator, approved }.abi_encode();
    wallet.send_and_wait(NAMES, U256::ZERO, call.into(), deadline).await
}

/// The versions that a transaction set, from its events.
async fn versions_set(
    chain: &dyn ChainClient,
    outcome: &TxOutcome,
    changes: &[NameChange],
) -> Result<Vec<u64>, ChainError> {
    if changes.iter().all(|change| change.value.is_none()) {
        return Ok(vec![0; changes.len()]);
    }
    let batches = chain.events(outcome.height, outcome.height).await?;
    let events = batches.into_iter().flat_map(|batch| batch.events);
    let ours: Vec<ChainEvent> = events.filter(|(tx, _)| *tx == outcome.tx).map(|(_, event)| event).collect();
    let version = |change: &NameChange| {
        let id = change.namespace.id();
        let set = ours.iter().find_map(|event| match event {
            ChainEvent::NameSet { namespace, name, version, .. } if *namespace == id && **name == *change.name => {
                Some(*version)
            }
            _ => None,
        });
        let missing = || ChainError::Malformed(format!("transaction {} has no event of the name it set", outcome.tx));
        if change.value.is_none() { Ok(0) } else { set.ok_or_else(missing) }
    };
    changes.iter().map(version).collect()
}

fn record(found: INames::Name) -> Option<NameRecord> {
    let INames::Name { name, owner, version, value } = found;
    (version != 0).then_some(NameRecord { name, owner, version, value })
}
