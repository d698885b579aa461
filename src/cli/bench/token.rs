//! A token for benches: the transfers, balances and events of ERC-20, written by hand so that no compiler is needed.
//!
//! Balances lie where Solidity puts a mapping in slot 0. Whoever creates it owns 2¹²⁸ − 1 units.

use crate::types::{Address, U256};
use alloy_primitives::{Bytes, hex, keccak256};

/// `transfer(address,uint256)`.
const TRANSFER: [u8; 4] = hex!("a9059cbb");

/// Gives all units to the creator: `balances[caller] = 2^128 - 1`, then returns [`RUNTIME`], which follows it.
const CREATION: [u8; 36] = hex!(
    "335f5260405f20"                             // CALLER PUSH0 MSTORE; slot = keccak(memory[0..64])
    "6fffffffffffffffffffffffffffffffff" "9055" // PUSH16 SWAP1 SSTORE
    "608a60245f39" "608a5ff3"                    // copy 0x8a bytes from 0x24 and return them
);

/// The contract.
static RUNTIME: [u8; 138] = hex!(
    "5f3560e01c" "8063a9059cbb14602c57" // transfer(address,uint256) => 0x2c
    "6370a0823114601b57" "5f5ffd"       // balanceOf(address) => 0x1b; anything else reverts
    "5b6004355f52" "60405f20" "545f52" "60205ff3" // 0x1b: return balances[argument]
    "5b335f5260405f20" "8054" "602435" // 0x2c: slot of the caller, its balance, the amount
    "808210608657"                     // balance < amount => 0x86
    "809103" "909155"                  // balances[caller] = balance - amount
    "600435" "805f5260405f20" "8054" "8301" "9055" // balances[to] += amount
    "905f52" "33" "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
    "60205fa3"                         // Transfer(caller, to, amount)
    "60015f5260205ff3"                 // return true
    "5b5f5ffd"                         // 0x86: revert
);

/// What creates the token.
pub fn init_code() -> Bytes {
    [CREATION.as_slice(), &RUNTIME].concat().into()
}

/// The contract's code.
pub fn runtime() -> Bytes {
    Bytes::from_static(&RUNTIME)
}

/// Where `owner`'s balance lies.
pub fn slot(owner: &Address) -> U256 {
    let mut key = [0; 64];
    key[12..32].copy_from_slice(owner.as_slice());
    keccak256(key).into()
}

/// Call data that moves `amount` to `to`.
pub fn transfer(to: Address, amount: U256) -> Bytes {
    let mut data = Vec::with_capacity(68);
    data.extend(TRANSFER);
    data.extend(to.into_word());
    data.extend(amount.to_be_bytes::<32>());
    data.into()
}
