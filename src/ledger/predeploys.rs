//! Contracts that every chain of ours has from its first block on, at the addresses Ethereum's tools look for them.
//!
//! Owns their addresses and code, and the form of further deployments that a genesis document asks for. Must not know how a
//! state is built. Invariant: the code is the canonical one. Its proof is Ethereum's own: both contracts were created by signed
//! transactions whose signers, and with them the addresses, follow from the code (see the tests); what is created through the
//! CREATE2 deployer has an address that is a hash of its code.

use crate::types::Address;
use alloy_primitives::{Bytes, address, hex};
use revm::primitives::eip3860::MAX_INITCODE_SIZE;

/// Creates contracts at addresses that depend on salt and code alone. Public domain, by N. Johnson and others.
pub const CREATE2_DEPLOYER: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");
/// Many calls in one. MIT, by M. Solomon and others; compiled with solc 0.8.12, optimised for 10,000,000 runs.
pub const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");

const CREATE2_DEPLOYER_CODE: [u8; 69] = hex!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b"
    "8082525050506014600cf3"
);
static MULTICALL3_CODE: [u8; 3_808] = match hex::const_decode_to_array(include_bytes!("predeploys/multicall3.hex")) {
    Ok(code) => code,
    Err(_) => panic!("the file beside holds hexadecimal digits alone"),
};

/// Every such contract and its code.
pub const PREDEPLOYS: [(Address, Bytes); 2] = [
    (CREATE2_DEPLOYER, Bytes::from_static(&CREATE2_DEPLOYER_CODE)),
    (MULTICALL3, Bytes::from_static(&MULTICALL3_CODE)),
];

/// Most deployments one genesis may ask for.
pub const DEPLOYMENTS_MAX: usize = 64;
/// Longest deployment: a salt and the longest init code.
pub const DEPLOYMENT_MAX_BYTES: usize = SALT_BYTES + MAX_INITCODE_SIZE;
const SALT_BYTES: usize = 32;

/// Where a deployment (salt and init code, as the CREATE2 deployer takes it) puts its contract; `None` if it has no salt.
pub fn deployed_address(deployment: &[u8]) -> Option<Address> {
    let (salt, code) = deployment.split_first_chunk::<SALT_BYTES>()?;
    Some(CREATE2_DEPLOYER.create2_from_code(salt, code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{EcdsaSignature, recover_address};
    use alloy_consensus::{SignableTransaction, TxLegacy};
    use alloy_primitives::{U256, b256, keccak256, uint};

    /// Who signed the transaction, before there were chain ids in signatures, that created a contract.
    fn creator(gas_limit: u64, init_code: Vec<u8>, r: U256, s: U256, y_odd: bool) -> Option<Address> {
        let tx = TxLegacy { gas_price: 100_000_000_000, gas_limit, input: init_code.into(), ..TxLegacy::default() };
        recover_address(&tx.signature_hash(), &EcdsaSignature { r, s, y_odd })
    }

    #[test]
    fn the_code_is_what_ethereum_runs_at_these_addresses() {
        // Its signature was made up, so that nobody has the key of whoever signed it.
        let init_code = [&hex!("604580600e600039806000f350fe")[..], &CREATE2_DEPLOYER_CODE].concat();
        let twos = U256::from_be_bytes([0x22; 32]);
        let signer = creator(100_000, init_code, twos, twos, false).unwrap();
        assert_eq!(signer.create(0), CREATE2_DEPLOYER);

        let init_code =
            [&hex!("608060405234801561001057600080fd5b50610ee0806100206000396000f3fe")[..], &MULTICALL3_CODE].concat();
        let r = uint!(0xedce47092c0f398cebf3ffc267f05c8e7076e3b89445e0fe50f6332273d4569b_U256);
        let s = uint!(0x1b0b9d000e19b24c5869b0fc3b22b0d6fa47cd63316875cbbd577d76e6fde086_U256);
        let signer = creator(1_000_000, init_code.clone(), r, s, true).unwrap();
        assert_eq!(signer.create(0), MULTICALL3);
        let mut bent = init_code;
        bent[100] ^= 1;
        assert_ne!(creator(1_000_000, bent, r, s, true).map(|signer| signer.create(0)), Some(MULTICALL3));
        // The hash block explorers show.
        let hash = b256!("d5c15df687b16f2ff992fc8d767b4216323184a2bbc6ee2f9c398c318e770891");
        assert_eq!(keccak256(MULTICALL3_CODE), hash);
    }

    #[test]
    fn a_deployment_names_its_address() {
        // The second example of EIP-1014 computed for our deployer: init code 0x00, salt zero.
        let deployment = [0u8; 33];
        let hash = keccak256([&[0xff][..], CREATE2_DEPLOYER.as_slice(), &[0; 32], keccak256([0]).as_slice()].concat());
        assert_eq!(deployed_address(&deployment), Some(Address::from_slice(&hash[12..])));
        assert_eq!(deployed_address(&deployment[..31]), None);
    }
}
