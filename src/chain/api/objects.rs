//! Blocks, transactions, receipts and logs in the shapes Ethereum tools expect.
//!
//! Native transactions appear as type `0x6c` with a zero signature: tools that do not know the type still show them.

use super::{Answer, broken};
use crate::{
    chain::{full::FullChain, records::ExecutedBlock},
    ledger::{
        executor::Receipt,
        native::NATIVE_TX_TYPE,
        tx::{VerifiedTx, decode_and_recover},
    },
    types::{Address, B256, Height, U256},
};
use alloy_consensus::{ReceiptEnvelope, ReceiptWithBloom, TxEnvelope, transaction::Recovered};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::Bloom;
use alloy_rlp::Encodable;
use alloy_rpc_types_eth::{
    Block, BlockTransactions, Header, Log, Transaction, TransactionInfo, TransactionReceipt, Withdrawals,
};
use serde_json::{Value, json};

/// An executed block with its transactions and receipts, in step.
pub struct Assembled {
    /// The chain's id.
    chain_id: u64,
    /// The executed block.
    pub block: ExecutedBlock,
    /// Raw envelopes of its executed transactions.
    pub txs: Vec<Vec<u8>>,
    /// Their receipts.
    pub receipts: Vec<Receipt>,
}

impl Assembled {
    /// Reads a block; `None` if the height is not executed.
    pub fn read(chain: &FullChain, height: Height) -> Answer<Option<Self>> {
        let chain_id = chain.spec().chain_id;
        let Some(block) = chain.blocks().executed(height).map_err(broken)? else { return Ok(None) };
        let receipts = chain.blocks().receipts(height).map_err(broken)?;
        let body = match chain.blocks().block(height).map_err(broken)? {
            Some(block) => block.txs,
            None if height == 0 => Vec::new(),
            // The state of this block was taken over, without its transactions.
            None => return Ok(None),
        };
        let skipped = |index: u32| block.skipped.iter().any(|skip| skip.index == index);
        let txs: Vec<_> = (0u32..).zip(body).filter(|(index, _)| !skipped(*index)).map(|(_, raw)| raw).collect();
        if txs.len() != receipts.len() {
            let (txs, receipts) = (txs.len(), receipts.len());
            return Err(broken(format_args!("block {height} has {txs} transactions and {receipts} receipts")));
        }
        Ok(Some(Self { chain_id, block, txs, receipts }))
    }

    /// The block as `eth_getBlockBy…` gives it.
    pub fn block_json(&self, full: bool) -> Answer<Value> {
        let transactions = match full {
            true => BlockTransactions::Full((0..self.txs.len()).map(|i| self.tx_json(i)).collect::<Answer<_>>()?),
            false => BlockTransactions::Hashes(self.receipts.iter().map(|receipt| receipt.tx).collect()),
        };
        let withdrawals = self.block.header.withdrawals_root.map(|_| Withdrawals::default());
        let block: Block<Value> = Block { header: self.header(), uncles: Vec::new(), transactions, withdrawals };
        let mut block = to_json(&block)?;
        block["totalDifficulty"] = json!("0x0");
        Ok(block)
    }

    /// A transaction by index as `eth_getTransactionByHash` gives it.
    pub fn tx_json(&self, index: usize) -> Answer<Value> {
        let (raw, receipt, header) = (&self.txs[index], &self.receipts[index], &self.block.header);
        let info = TransactionInfo {
            hash: Some(receipt.tx),
            index: Some(wide(index)),
            block_hash: Some(self.block.hash),
            block_number: Some(header.number),
            base_fee: header.base_fee_per_gas,
            block_timestamp: Some(header.timestamp),
        };
        if receipt.tx_type == NATIVE_TX_TYPE {
            let tx = decode_and_recover(raw, self.chain_id).map_err(broken)?;
            return Ok(native_json(&tx, Some((&info, receipt.gas_price))));
        }
        ethereum_json(raw, receipt.from, info)
    }

    /// A receipt by index as `eth_getTransactionReceipt` gives it.
    pub fn receipt_json(&self, index: usize) -> Answer<Value> {
        let receipt = &self.receipts[index];
        let logs = self.logs(index);
        let with_bloom = ReceiptWithBloom {
            logs_bloom: receipt.logs.iter().collect::<Bloom>(),
            receipt: alloy_consensus::Receipt {
                status: receipt.success.into(),
                cumulative_gas_used: receipt.cumulative_gas_used,
                logs,
            },
        };
        let object = TransactionReceipt {
            inner: ReceiptEnvelope::Eip1559(with_bloom),
            transaction_hash: receipt.tx,
            transaction_index: Some(wide(index)),
            block_hash: Some(self.block.hash),
            block_number: Some(self.block.height()),
            gas_used: receipt.gas_used,
            effective_gas_price: receipt.gas_price,
            blob_gas_used: None,
            blob_gas_price: None,
            from: receipt.from,
            to: receipt.to,
            contract_address: receipt.contract,
        };
        let mut object = to_json(&object)?;
        object["type"] = json!(format!("{:#x}", receipt.tx_type));
        if !receipt.output.is_empty() {
            object["revertReason"] = json!(receipt.output);
        }
        Ok(object)
    }

    /// Logs of a transaction by index, placed in the chain.
    fn logs(&self, index: usize) -> Vec<Log> {
        let before: usize = self.receipts[..index].iter().map(|receipt| receipt.logs.len()).sum();
        let place = |(log_index, log)| placed_log(&self.block, &self.receipts[index], wide(index), log_index, log);
        (wide(before)..).zip(&self.receipts[index].logs).map(place).collect()
    }

    fn header(&self) -> Header {
        let body: usize = self.txs.iter().map(Vec::len).sum();
        header_object(&self.block).with_size(Some(U256::from(self.block.header.length() + body)))
    }
}

/// A header as blocks and `newHeads` carry it.
pub fn header_object(block: &ExecutedBlock) -> Header {
    Header { hash: block.hash, inner: block.header.clone(), total_difficulty: None, size: None }
}

/// Logs of a block that pass `wanted`, placed in the chain.
pub fn placed_logs<'a>(
    block: &'a ExecutedBlock,
    receipts: &'a [Receipt],
    wanted: impl Fn(&alloy_primitives::Log) -> bool + 'a,
) -> impl Iterator<Item = Log> + 'a {
    let of = |(at, receipt): (u64, &'a Receipt)| receipt.logs.iter().map(move |log| (at, receipt, log));
    let numbered = (0u64..).zip((0u64..).zip(receipts).flat_map(of));
    let found = numbered.filter(move |(_, (_, _, log))| wanted(log));
    found.map(|(log_index, (at, receipt, log))| placed_log(block, receipt, at, log_index, log))
}

fn placed_log(block: &ExecutedBlock, receipt: &Receipt, at: u64, log_index: u64, log: &alloy_primitives::Log) -> Log {
    Log {
        inner: log.clone(),
        block_hash: Some(block.hash),
        block_number: Some(block.height()),
        block_timestamp: Some(block.header.timestamp),
        transaction_hash: Some(receipt.tx),
        transaction_index: Some(at),
        log_index: Some(log_index),
        removed: false,
    }
}

/// A transaction that still waits.
pub fn pending_json(tx: &VerifiedTx) -> Answer<Value> {
    match tx.tx_type() {
        NATIVE_TX_TYPE => Ok(native_json(tx, None)),
        _ => ethereum_json(&tx.raw, tx.sender, TransactionInfo::default()),
    }
}

fn ethereum_json(raw: &[u8], sender: Address, info: TransactionInfo) -> Answer<Value> {
    let envelope = TxEnvelope::decode_2718_exact(raw).map_err(broken)?;
    to_json(&Transaction::from_transaction(Recovered::new_unchecked(envelope, sender), info))
}

fn native_json(tx: &VerifiedTx, mined: Option<(&TransactionInfo, u128)>) -> Value {
    let info = mined.map(|(info, _)| *info).unwrap_or_default();
    json!({
        "type": format!("{NATIVE_TX_TYPE:#x}"),
        "hash": tx.hash,
        "chainId": hex(tx.chain_id()),
        "nonce": hex(tx.nonce),
        "from": tx.sender,
        "to": tx.to(),
        "value": tx.value(),
        "input": tx.input(),
        "gas": hex(tx.gas_limit()),
        "gasPrice": hex(mined.map_or(tx.max_fee(), |(_, price)| price)),
        "maxFeePerGas": hex(tx.max_fee()),
        "maxPriorityFeePerGas": hex(tx.max_priority_fee()),
        "accessList": [],
        "blockHash": info.block_hash,
        "blockNumber": info.block_number.map(hex),
        "transactionIndex": info.index.map(hex),
        "v": "0x0",
        "r": "0x0",
        "s": "0x0",
        "yParity": "0x0",
    })
}

/// A quantity.
pub fn hex(n: impl std::fmt::LowerHex) -> String {
    format!("{n:#x}")
}

/// Any object as JSON.
pub fn to_json(object: &impl serde::Serialize) -> Answer<Value> {
    serde_json::to_value(object).map_err(broken)
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).expect("a usize fits 64 bits")
}

/// Where a transaction is, as an object's coordinates.
pub fn find(chain: &FullChain, hash: &B256) -> Answer<Option<(Assembled, usize)>> {
    let Some(place) = chain.blocks().find_tx(hash).map_err(broken)? else { return Ok(None) };
    let assembled = Assembled::read(chain, place.height)?;
    let index = usize::try_from(place.index).expect("32 bits fit a usize");
    Ok(assembled.filter(|block| index < block.txs.len()).map(|block| (block, index)))
}
