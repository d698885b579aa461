//! Executed headers: Ethereum's block header over what the executor did.
//!
//! Owns which field says what on this chain. Invariant: the header covers only transactions that ran, so that transactions and
//! receipts pair up as Ethereum tooling expects; those the executor skipped are in the ordered block alone.

use super::{
    executor::{BlockEnv, Execution, Receipt, Rules, next_base_fee},
    tx::VerifiedTx,
};
use crate::types::{Address, B256, ChainId, Params};
use alloy_consensus::constants::{EMPTY_OMMER_ROOT_HASH, EMPTY_WITHDRAWALS};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_primitives::{Bytes, U256};
use alloy_trie::root::ordered_trie_root_encoded;
use std::borrow::Borrow;

/// An executed header; its hash is `hash_slow()`.
pub use alloy_consensus::Header as ExecutedHeader;

/// Longest `extra_data`, as in Ethereum.
pub const EXTRA_DATA_MAX_BYTES: usize = 32;

/// Root of the trie of envelopes. A native transaction's leaf is its raw envelope, as for every other type.
pub fn transactions_root<'a>(included: impl Iterator<Item = &'a VerifiedTx>) -> B256 {
    let raw: Vec<&Bytes> = included.map(|tx| &tx.raw).collect();
    ordered_trie_root_encoded(&raw)
}

/// Root of the trie of receipts.
pub fn receipts_root(receipts: &[Receipt]) -> B256 {
    let leaves: Vec<Vec<u8>> = receipts.iter().map(Receipt::leaf).collect();
    ordered_trie_root_encoded(&leaves)
}

/// Base fee of the block after `header`.
pub fn base_fee_after(header: &ExecutedHeader) -> u64 {
    next_base_fee(header.gas_used, header.gas_limit, header.base_fee_per_gas.unwrap_or_default())
}

/// Surroundings of a call on the state after `header`, as if in the next block. They follow from the header alone, so that two
/// who know it run the same call alike.
pub fn env_after(header: &ExecutedHeader, chain_id: ChainId, params: &Params) -> BlockEnv {
    BlockEnv {
        chain_id,
        height: header.number + 1,
        time_ms: header.timestamp.saturating_mul(1_000) + 1,
        beacon: header.mix_hash,
        proposer: Address::ZERO,
        round: 0,
        parent_hash: header.hash_slow(),
        base_fee: base_fee_after(header),
        gas_limit: header.gas_limit,
        params: params.clone(),
        rules: Rules::CESS,
    }
}

impl Execution {
    /// The header of the block this is the outcome of. `txs` is what was handed to the executor.
    pub fn header<T: Borrow<VerifiedTx>>(&self, env: &BlockEnv, state_root: B256, txs: &[T]) -> ExecutedHeader {
        ExecutedHeader {
            parent_hash: env.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: env.proposer,
            state_root,
            transactions_root: transactions_root(self.included.iter().map(|index| txs[*index].borrow())),
            receipts_root: receipts_root(&self.receipts),
            logs_bloom: self.bloom,
            difficulty: U256::ZERO,
            number: env.height,
            gas_limit: env.gas_limit,
            gas_used: self.gas_used,
            timestamp: env.time_ms / 1_000,
            extra_data: Bytes::new(),
            mix_hash: env.beacon,
            base_fee_per_gas: Some(env.base_fee),
            withdrawals_root: Some(EMPTY_WITHDRAWALS),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            // Genesis is not executed and has no list.
            block_access_list_hash: (env.height > 0).then(|| self.access_list.hash()),
            ..Default::default()
        }
    }
}
