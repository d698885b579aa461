//! Users who send tokens to each other through whichever node answers.

use crate::{
    cluster::{CHAIN, Doors},
    machine::{Dice, now, until},
};
use cess::{
    client::ChainClient,
    crypto::{SecretKey, native_address},
    ledger::native::NativeTx,
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
