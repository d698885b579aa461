//! Golden bytes of what the chain keeps on disk.

use super::{
    checkpoint::{CheckpointAccount, CheckpointChunk, CheckpointRecord, CheckpointWord},
    mempool::TxBundle,
    records::{
        GenesisRecord, HeightRecord, ReceiptRecord, ReceiptsRecord, TxPlace,
        tests::{executed, receipt},
    },
    state_store::{AccountRecord, WordRecord},
};
use crate::{
    codec::golden::check,
    ledger::state::AccountInfo,
    types::{B256, U256},
};

#[test]
fn genesis_record() {
    check(&GenesisRecord { hash: [1; 32], chain_id: 11_332 });
}

#[test]
fn height_marker() {
    check(&HeightRecord(7));
}

#[test]
fn transaction_index_entry() {
    check(&TxPlace { height: 7, index: 3 });
}

#[test]
fn executed_header_record() {
    check(&executed().record());
}

#[test]
fn receipts_record() {
    check(&ReceiptsRecord(vec![ReceiptRecord::from(&receipt())]));
}

#[test]
fn account_record() {
    check(&AccountRecord(AccountInfo { nonce: 3, balance: U256::from(9), code_hash: B256::repeat_byte(4) }));
}

#[test]
fn storage_word_record() {
    check(&WordRecord([5; 32]));
}

#[test]
fn checkpoint_record() {
    check(&CheckpointRecord { height: 7, root: [1; 32], chunks: 3 });
}

#[test]
fn checkpoint_chunk() {
    let info = AccountInfo { nonce: 3, balance: U256::from(9), code_hash: B256::repeat_byte(4) };
    let words = vec![CheckpointWord { key: [5; 32], slot: [6; 32], value: [7; 32] }];
    check(&CheckpointChunk(vec![CheckpointAccount { key: [1; 32], address: [2; 20], info, continued: true, words }]));
}

#[test]
fn transaction_bundle() {
    check(&TxBundle(vec![vec![1, 2], vec![0x6c]]));
}
