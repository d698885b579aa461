//! Blocks of three kinds of transactions, and what may not be done to them.

use super::*;
use crate::{codec, ledger::header::receipts_root, types::Address};
use alloy_primitives::LogData;

fn receipt(tx_type: u8, before: u64, success: bool) -> Receipt {
    let log = |n| Log {
        address: Address::repeat_byte(n),
        data: LogData::new_unchecked(vec![B256::repeat_byte(n)], vec![n; 5].into()),
    };
    Receipt {
        tx: B256::ZERO,
        tx_type,
        from: Address::ZERO,
        to: None,
        contract: None,
        success,
        gas_used: 30_000,
        cumulative_gas_used: before + 30_000,
        gas_price: 0,
        logs: if success { vec![log(1), log(2)] } else { Vec::new() },
        output: Bytes::new(),
        halt: None,
        post_state: None,
    }
}

/// Legacy, EIP-1559, native.
fn block() -> (Vec<Vec<u8>>, Vec<Receipt>, ExecutedHeader) {
    let txs = vec![vec![0xc1, 1], vec![2, 2, 2], vec![0x6c, 3]];
    let receipts = vec![receipt(0, 0, true), receipt(2, 30_000, false), receipt(0x6c, 60_000, true)];
    let transactions_root = ordered_trie_root_encoded(&txs);
    let receipts_root = receipts_root(&receipts);
    let header = ExecutedHeader { number: 9, transactions_root, receipts_root, ..Default::default() };
    (txs, receipts, header)
}

#[test]
fn what_the_header_commits_to_comes_back() {
    let (txs, receipts, header) = block();
    let contents = BlockContents::new(txs.clone(), &receipts);
    assert_eq!(codec::decode::<BlockContents>(&codec::encode(&contents)), Ok(contents.clone()));
    let proven = contents.open(&header).unwrap();
    for ((proven, raw), receipt) in proven.iter().zip(&txs).zip(&receipts) {
        assert_eq!((proven.hash, &proven.raw[..]), (keccak256(raw), &raw[..]));
        assert_eq!((proven.success, proven.gas_used, &proven.logs), (receipt.success, 30_000, &receipt.logs));
    }
    let empty = ExecutedHeader::default();
    assert_eq!(BlockContents::default().open(&empty), Ok(Vec::new()));
}

#[test]
fn nothing_can_be_dropped_added_changed_or_moved() {
    let (txs, receipts, header) = block();
    let open = |txs: &[Vec<u8>], receipts: &[Receipt]| BlockContents::new(txs.to_vec(), receipts).open(&header);
    let mut fewer_logs = receipts.clone();
    fewer_logs[0].logs.pop();
    let mut other_log = receipts.clone();
    other_log[2].logs[1].data.data = vec![9].into();
    let mut failed = receipts.clone();
    failed[2].success = false;
    let swapped: Vec<Receipt> = receipts.iter().rev().cloned().collect();
    for lie in [&fewer_logs[..], &other_log, &failed, &swapped, &receipts[..2], &[]] {
        assert!(matches!(open(&txs, lie), Err(ContentsError::Receipts { height: 9, .. })));
    }
    let mut other_tx = txs.clone();
    other_tx[1].push(0);
    for lie in [&other_tx[..], &txs[1..], &[]] {
        assert!(matches!(open(lie, &receipts), Err(ContentsError::Transactions { height: 9, .. })));
    }
}
