//! Users who send tokens to each other through whichever node answers.

use crate::{
    cluster::{CHAIN, Cluster, Doors},
    machine::{Dice, now, until},
};
use alloy_sol_types::SolCall;
use cess::{
    client::ChainClient,
    crypto::{SecretKey, native_address},
    ledger::{
        abi::{IStaking, MODULES, STAKING},
        executor::CallRequest,
        native::NativeTx,
        state::StateError,
    },
    types::{Address, U256},
};
use std::time::Duration;
use tokio::time::timeout;

/// How many.
const USERS: usize = 3;
const GWEI: u64 = 1_000_000_000;
/// How long a user waits for a node.
const PATIENCE: Duration = Duration::from_secs(3);

/// All users of a run.
pub struct Users {
    keys: Vec<SecretKey>,
}

impl Users {
    /// Their keys.
    pub fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed, "users");
        let key = |_| {
            let mut secret = [0; 32];
            dice.fill(&mut secret);
            SecretKey::from_bytes(&secret)
        };
        Self { keys: (0..USERS).map(key).collect() }
    }

    /// Their accounts.
    pub fn accounts(&self) -> Vec<Address> {
        self.keys.iter().map(|key| native_address(&key.public())).collect()
    }

    /// Lets everyone spend until the runtime ends.
    pub fn spend(&self, seed: u64, doors: &Doors) {
        for (i, key) in self.keys.iter().enumerate() {
            let (dice, doors) = (Dice::new(seed, &format!("user {i}")), doors.clone());
            tokio::spawn(spend(key.clone(), self.accounts(), dice, doors));
        }
    }
}

async fn spend(key: SecretKey, others: Vec<Address>, mut dice: Dice, doors: Doors) {
    loop {
        until(now() + dice.millis(100, 1_500)).await;
        let open: Vec<_> = doors.lock().iter().flatten().cloned().collect();
        if open.is_empty() {
            continue;
        }
        let (node, to) = (&open[dice.index(open.len())], others[dice.index(others.len())]);
        let value = dice.below(1_000_000_000_000);
        let attempt = async {
            let nonce = node.nonce(native_address(&key.public())).await?;
            let tx = NativeTx {
                chain_id: CHAIN,
                nonce,
                max_priority_fee: GWEI,
                max_fee: 100 * GWEI,
                gas_limit: 50_000,
                key: key.public(),
                to,
                value: U256::from(value),
                data: Vec::new().into(),
            };
            node.submit(tx.sign(&key)).await
        };
        // Nodes that crash or refuse are part of life: the user tries again with another one.
        let _ = timeout(PATIENCE, attempt).await;
    }
}

/// Tokens that exist on `node` less those its validators have earned, and those burnt as fees and punishments: together what
/// genesis made.
pub fn supply(cluster: &Cluster, node: usize, users: &[Address]) -> anyhow::Result<(U256, U256)> {
    let chain = cluster.chain(node).ok_or_else(|| anyhow::anyhow!("node {node} is down"))?;
    let chain = chain.chain();
    let validators = cluster.genesis.validators.iter().map(|validator| validator.account);
    let owners: Vec<Address> = users.iter().copied().chain(validators).chain(MODULES).collect();
    let (sum, height) = chain.read(|state, head| {
        let mut sum = U256::ZERO;
        for owner in &owners {
            sum += state.account(owner)?.map(|info| info.balance).unwrap_or_default();
        }
        Ok::<_, StateError>((sum, head.height()))
    })?;
    let mut burnt = U256::ZERO;
    for height in 1..=height {
        let block = chain.blocks().executed(height)?.ok_or_else(|| anyhow::anyhow!("no executed block {height}"))?;
        burnt += U256::from(block.base_fee()) * U256::from(block.header.gas_used);
    }
    let request = CallRequest {
        from: Address::ZERO,
        to: Some(STAKING),
        value: U256::ZERO,
        data: IStaking::supplyCall {}.abi_encode().into(),
        gas: 1_000_000,
    };
    let staking = IStaking::supplyCall::abi_decode_returns(&chain.call(&request)?)?;
    Ok((sum - staking.minted, burnt + staking.burnt))
}

/// Tokens of genesis.
pub fn genesis_supply(cluster: &Cluster) -> U256 {
    let held = cluster.genesis.alloc.values().map(|account| account.balance.0);
    let staked = cluster.genesis.validators.iter().map(|validator| validator.stake.0);
    held.chain(staked).fold(U256::ZERO, |sum, amount| sum + amount)
}
