//! The funded accounts of a dev chain: the ten that Ethereum's own development chains derive from the mnemonic
//! "test test test test test test test test test test test junk", so that wallets and scripts know them already.

use crate::{crypto::EcdsaKey, types::Address};
use alloy_primitives::hex;

/// A well-known account. Its key is public: never use it on a chain that matters.
#[derive(Debug, Clone)]
pub struct DevAccount {
    /// The account.
    pub address: Address,
    /// Its key.
    pub key: EcdsaKey,
}

const DEV_KEYS: [[u8; 32]; 10] = [
    hex!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    hex!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    hex!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    hex!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    hex!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    hex!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    hex!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    hex!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    hex!("dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    hex!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
];

/// The accounts in their usual order.
pub fn dev_accounts() -> Vec<DevAccount> {
    DEV_KEYS
        .iter()
        .map(|bytes| {
            let key = EcdsaKey::from_bytes(bytes).expect("the table holds valid keys");
            DevAccount { address: key.address(), key }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::address;

    #[test]
    fn the_table_is_the_known_one() {
        let accounts = dev_accounts();
        assert_eq!(accounts[0].address, address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
        assert_eq!(accounts[9].address, address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"));
    }
}
