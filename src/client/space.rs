//! Leased space as clients see it.
//!
//! Owns the records of territories and the calls that read them. Must not know how a call is answered. Invariant: an answer that does not
//! decode is an error, never a default.

use super::{ChainClient, ChainError};
use crate::{
    ledger::abi::{
        FILES, IFiles,
        ITerritory::{self, Territory},
        TERRITORY,
    },
    types::{Address, Height, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;

/// Territories asked for at a time; the interface's own bound.
const PAGE: u64 = 100;
/// Territories of one account that are listed at most.
const LIST_MAX: usize = 10_000;

/// Where a territory is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TerritoryState {
    /// Takes files.
    Active,
    /// Takes no files and keeps what it has.
    Frozen,
    /// Its files are being released.
    Lapsed,
}

impl TerritoryState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Frozen => "frozen",
            Self::Lapsed => "lapsed",
        }
    }
}

/// A territory as the `territory` module records it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TerritoryRecord {
    /// Its number.
    pub token: u64,
    /// Who stores files in it.
    pub owner: Address,
    /// Its name among the owner's.
    pub name: String,
    /// Leased bytes.
    pub size: u64,
    /// Bytes that files are charged with.
    pub used: u64,
    /// Everything paid for it.
    pub paid: U256,
    /// Height at which it was minted.
    pub start: Height,
    /// First height at which it is frozen.
    pub deadline: Height,
    /// First height at which it has lapsed.
    pub purge_from: Height,
    /// What it is at the height it was read.
    pub state: TerritoryState,
    /// What its owner asks for it, 0 if it is not on offer.
    pub asked: U256,
}

impl TerritoryRecord {
    /// Bytes that files may still be charged with.
    pub fn free(&self) -> u64 {
        self.size.saturating_sub(self.used)
    }
}

/// Asks the territory module.
pub async fn ask_territory<C: SolCall>(chain: &dyn ChainClient, call: &C) -> Result<C::Return, ChainError> {
    let answer = chain.call(TERRITORY, call.abi_encode().into()).await?;
    C::abi_decode_returns(&answer).map_err(|e| ChainError::Malformed(format!("{}: {e}", C::SIGNATURE)))
}

/// One territory.
pub async fn territory(chain: &dyn ChainClient, token: u64) -> Result<TerritoryRecord, ChainError> {
    record(ask_territory(chain, &ITerritory::getCall { token }).await?)
}

/// The owner's territory of a name.
pub async fn territory_named(
    chain: &dyn ChainClient,
    owner: Address,
    name: &str,
) -> Result<TerritoryRecord, ChainError> {
    record(ask_territory(chain, &ITerritory::findCall { owner, name: name.to_owned() }).await?)
}

/// The territory a file that is charged `needed` bytes goes to when its owner names none.
pub async fn territory_for(
    chain: &dyn ChainClient,
    owner: Address,
    needed: u64,
) -> Result<TerritoryRecord, ChainError> {
    let token = ask_territory(chain, &ITerritory::chooseCall { owner, needed }).await?;
    territory(chain, token).await
}

/// Territories of an account, in the module's order.
pub async fn territories_of(chain: &dyn ChainClient, owner: Address) -> Result<Vec<TerritoryRecord>, ChainError> {
    let (mut found, mut skip) = (Vec::new(), 0);
    while found.len() < LIST_MAX {
        let page = ask_territory(chain, &ITerritory::listOfCall { owner, skip, limit: PAGE }).await?;
        let count = u64::try_from(page.len()).expect("a length fits 64 bits");
        for territory in page {
            found.push(record(territory)?);
        }
        if count < PAGE {
            break;
        }
        skip += count;
    }
    Ok(found)
}

/// A call of `files.store` as one that charges a territory of the caller's choice.
pub fn store_in(token: u64, store: &[u8]) -> Result<Bytes, ChainError> {
    let call = IFiles::storeCall::abi_decode(store)
        .map_err(|e| ChainError::Malformed(format!("a call of files.store at {FILES}: {e}")))?;
    let IFiles::storeCall { manifest, beaconHeight, holders, receipts } = call;
    let call = IFiles::storeInCall { territory: token, manifest, beaconHeight, holders, receipts };
    Ok(call.abi_encode().into())
}

fn record(territory: Territory) -> Result<TerritoryRecord, ChainError> {
    let state = match territory.state {
        0 => TerritoryState::Active,
        1 => TerritoryState::Frozen,
        2 => TerritoryState::Lapsed,
        other => return Err(ChainError::Malformed(format!("territory {} is in state {other}", territory.token))),
    };
    Ok(TerritoryRecord {
        token: territory.token,
        owner: territory.owner,
        name: territory.name,
        size: territory.size,
        used: territory.used,
        paid: territory.paid,
        start: territory.start,
        deadline: territory.deadline,
        purge_from: territory.purgeFrom,
        state,
        asked: territory.asked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::B256;

    #[test]
    fn a_store_call_becomes_one_that_names_a_territory() {
        let store = IFiles::storeCall {
            manifest: vec![1; 40].into(),
            beaconHeight: 2,
            holders: vec![Address::repeat_byte(3)],
            receipts: vec![vec![4; 64].into()],
        };
        let data = store_in(7, &store.abi_encode()).unwrap();
        let call = IFiles::storeInCall::abi_decode(&data).unwrap();
        assert_eq!((call.territory, call.beaconHeight), (7, 2));
        assert_eq!((call.manifest, call.holders, call.receipts), (store.manifest, store.holders, store.receipts));
        let other = IFiles::removeCall { id: B256::ZERO }.abi_encode();
        assert!(matches!(store_in(7, &other), Err(ChainError::Malformed(_))));
    }
}
