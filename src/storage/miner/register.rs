//! Getting a miner onto the chain's list, and keeping its declared capacity true.
//!
//! Owns collateral arithmetic and its errors. Must not know fragments.

use super::{MinerError, MinerState};
use crate::{
    client::{ChainError, MinerRecord, Wallet},
    crypto::NodeKeys,
    ledger::abi::{IMiners, MINERS},
    types::{Address, Params, U256},
};
use alloy_sol_types::SolCall;
use std::time::Duration;

/// How long registration may take to be final.
const REGISTER_DEADLINE: Duration = Duration::from_secs(60);
const TIB: u64 = 1 << 40;

/// What a miner says of itself on the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// Display name.
    pub name: String,
    /// Who answers for the miner; its own account if `None`.
    pub operator: Option<Address>,
    /// Where its address is, by [`super::network_prefix`].
    pub prefix: u32,
    /// Bytes lent.
    pub capacity: u64,
}

/// The miner's record and state, after registering it or changing its capacity if that is needed. A miner that leaves or was
/// forced out changes nothing any more.
pub async fn ensure_registered(
    wallet: &Wallet,
    keys: &NodeKeys,
    declaration: &Declaration,
    params: &Params,
) -> Result<(MinerRecord, MinerState), MinerError> {
    if let Some(record) = find(wallet).await?.filter(|record| record.network_key == keys.network.public().0) {
        let state = MinerState::of(&record)?;
        if state != MinerState::Active {
            return Ok((record, state));
        }
    }
    Ok((active(wallet, keys, declaration, params).await?, MinerState::Active))
}

async fn active(
    wallet: &Wallet,
    keys: &NodeKeys,
    declaration: &Declaration,
    params: &Params,
) -> Result<MinerRecord, MinerError> {
    let account = wallet.address();
    let minimum = params.miner_min_capacity.0;
    if declaration.capacity < minimum {
        return Err(MinerError::TooSmall { capacity: declaration.capacity, minimum });
    }
    match find(wallet).await? {
        Some(record) if record.network_key != keys.network.public().0 => Err(MinerError::OtherNode { account }),
        Some(record) if record.capacity == declaration.capacity => Ok(record),
        Some(record) => {
            let more = collateral(declaration.capacity, params).saturating_sub(collateral(record.capacity, params));
            let call = IMiners::setCapacityCall { capacity: declaration.capacity };
            pay(wallet, more, call.abi_encode()).await?;
            recorded(wallet).await
        }
        None => {
            let call = IMiners::registerCall {
                operator: declaration.operator.unwrap_or(account),
                networkKey: keys.network.public().0.into(),
                accountKey: keys.account.public().0.into(),
                prefix: declaration.prefix,
                capacity: declaration.capacity,
                name: declaration.name.clone(),
            };
            pay(wallet, collateral(declaration.capacity, params), call.abi_encode()).await?;
            recorded(wallet).await
        }
    }
}

async fn find(wallet: &Wallet) -> Result<Option<MinerRecord>, ChainError> {
    let miners = wallet.chain().miners().await?;
    Ok(miners.into_iter().find(|miner| miner.address == wallet.address()))
}

async fn recorded(wallet: &Wallet) -> Result<MinerRecord, MinerError> {
    let missing = || ChainError::Malformed(format!("miner {} is not listed after its registration", wallet.address()));
    Ok(find(wallet).await?.ok_or_else(missing)?)
}

/// Sends a call with its collateral, or says what is missing before anything is paid.
async fn pay(wallet: &Wallet, value: U256, data: Vec<u8>) -> Result<(), MinerError> {
    let account = wallet.address();
    let balance = wallet.chain().balance(account).await?;
    if balance <= value {
        return Err(MinerError::Funds { account, balance, needed: value });
    }
    wallet.send_and_wait(MINERS, value, data.into(), REGISTER_DEADLINE).await?;
    Ok(())
}

/// The profile's amount for each started TiB.
fn collateral(capacity: u64, params: &Params) -> U256 {
    params.collateral_per_tib.0 * U256::from(capacity.div_ceil(TIB))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Amount;

    #[test]
    fn every_started_tib_costs() {
        let params = Params::mainnet();
        assert_eq!(collateral(1, &params), Amount::tokens(4_000).0);
        assert_eq!(collateral(TIB, &params), Amount::tokens(4_000).0);
        assert_eq!(collateral(TIB + 1, &params), Amount::tokens(8_000).0);
    }
}
