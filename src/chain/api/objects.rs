//! Blocks, transactions, receipts and logs in the shapes Ethereum tools expect.
//!
//! Native transactions appear as type `0x6c` with a zero signature: tools that do not know the type still show them.

use super::{Answer, Eth, backend::ChainBlock, broken};
use crate::{
    chain::records::ExecutedBlock,
    ledger::{
        executor::Receipt,
        header::ExecutedHeader,
        native::{Call, NATIVE_TX_TYPE},
        tx::VerifiedTx,
    },
    types::{Address, U256},
};
use alloy_consensus::{
    Eip658Value, ReceiptEnvelope, ReceiptWithBloom, Transaction as _, TxEnvelope, transaction::Recovered,
};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::Bloom;
use alloy_rlp::Encodable;
use alloy_rpc_types_eth::{
    Block, BlockTransactions, Header, Log, Transaction, TransactionInfo, TransactionReceipt, Withdrawals,
};
use serde_json::{Value, json};

/// A block of a chain, ready to be shown.
pub struct Assembled<'a> {
    /// The chain it is of.
    pub eth: &'a Eth,
    /// The block.
    pub block: &'a ChainBlock,
}

impl Assembled<'_> {
    /// The block as `eth_getBlockBy…` gives it.
    pub fn block_json(&self, full: bool) -> Answer<Value> {
        let ChainBlock { txs, receipts, ommers, withdrawals, .. } = self.block;
        let transactions = match full {
            true => BlockTransactions::Full((0..txs.len()).map(|i| self.tx_json(i)).collect::<Answer<_>>()?),
            false => BlockTransactions::Hashes(receipts.iter().map(|receipt| receipt.tx).collect()),
        };
        let uncles = ommers.iter().map(ExecutedHeader::hash_slow).collect();
        let withdrawals = withdrawals.clone().map(Withdrawals::new);
        let block: Block<Value> = Block { header: self.header(), uncles, transactions, withdrawals };
        to_json(&block)
    }

    /// The block's header as `eth_getHeaderBy…` gives it.
    pub fn header_json(&self) -> Answer<Value> {
        to_json(&header_object(&self.block.block))
    }

    /// A transaction by index as `eth_getTransactionByHash` gives it.
    pub fn tx_json(&self, index: usize) -> Answer<Value> {
        let ChainBlock { block, txs, receipts, .. } = self.block;
        let (raw, receipt, header) = (&txs[index], &receipts[index], &block.header);
        let info = TransactionInfo {
            hash: Some(receipt.tx),
            index: Some(wide(index)),
            block_hash: Some(block.hash),
            block_number: Some(header.number),
            base_fee: header.base_fee_per_gas,
            block_timestamp: Some(header.timestamp),
        };
        if receipt.tx_type == NATIVE_TX_TYPE {
            let tx = self.eth.decode(raw).map_err(broken)?;
            return Ok(native_json(&tx, Some((&info, receipt.gas_price))));
        }
        ethereum_json(raw, receipt.from, info)
    }

    /// A receipt by index as `eth_getTransactionReceipt` gives it.
    pub fn receipt_json(&self, index: usize) -> Answer<Value> {
        let (receipt, block) = (&self.block.receipts[index], &self.block.block);
        let with_bloom = ReceiptWithBloom {
            logs_bloom: receipt.logs.iter().collect::<Bloom>(),
            receipt: alloy_consensus::Receipt {
                status: receipt.post_state.map_or(receipt.success.into(), Eip658Value::PostState),
                cumulative_gas_used: receipt.cumulative_gas_used,
                logs: self.logs(index),
            },
        };
        let (blob_gas_used, blob_gas_price) = self.blobs(index)?.unzip();
        let object = TransactionReceipt {
            inner: ReceiptEnvelope::Eip1559(with_bloom),
            transaction_hash: receipt.tx,
            transaction_index: Some(wide(index)),
            block_hash: Some(block.hash),
            block_number: Some(block.height()),
            gas_used: receipt.gas_used,
            effective_gas_price: receipt.gas_price,
            blob_gas_used,
            blob_gas_price,
            from: receipt.from,
            to: receipt.to,
            contract_address: receipt.contract,
        };
        let mut object = to_json(&object)?;
        object["type"] = json!(format!("{:#x}", receipt.tx_type));
        Ok(object)
    }

    /// Blob gas a transaction used and its price, if it carried blobs.
    fn blobs(&self, index: usize) -> Answer<Option<(u64, u128)>> {
        const BLOB_TX_TYPE: u8 = 3;
        let ChainBlock { block, txs, receipts, .. } = self.block;
        if receipts[index].tx_type != BLOB_TX_TYPE {
            return Ok(None);
        }
        let envelope = TxEnvelope::decode_2718_exact(&txs[index]).map_err(broken)?;
        let env = self.eth.env_of(block).map_err(broken)?;
        let price = env.rules.blobs.map_or(0, |blobs| blobs.price());
        Ok(envelope.blob_gas_used().map(|gas| (gas, price)))
    }

    /// Logs of a transaction by index, placed in the chain.
    fn logs(&self, index: usize) -> Vec<Log> {
        let ChainBlock { block, receipts, .. } = self.block;
        let before: usize = receipts[..index].iter().map(|receipt| receipt.logs.len()).sum();
        let place = |(log_index, log)| placed_log(block, &receipts[index], wide(index), log_index, log);
        (wide(before)..).zip(&receipts[index].logs).map(place).collect()
    }

    fn header(&self) -> Header {
        header_object(&self.block.block).with_size(Some(U256::from(block_rlp(self.block).len())))
    }
}

/// A block as Ethereum encodes it.
pub fn block_rlp(block: &ChainBlock) -> Vec<u8> {
    let mut txs = Vec::new();
    for raw in &block.txs {
        match raw.first() {
            // A legacy transaction is a list of its own.
            Some(0xc0..) => txs.extend_from_slice(raw),
            _ => raw.encode(&mut txs),
        }
    }
    let mut body = Vec::new();
    block.block.header.encode(&mut body);
    alloy_rlp::Header { list: true, payload_length: txs.len() }.encode(&mut body);
    body.extend(txs);
    block.ommers.encode(&mut body);
    if let Some(withdrawals) = &block.withdrawals {
        withdrawals.encode(&mut body);
    }
    let mut rlp = Vec::new();
    alloy_rlp::Header { list: true, payload_length: body.len() }.encode(&mut rlp);
    rlp.extend(body);
    rlp
}

/// A header as blocks and `newHeads` carry it.
pub fn header_object(block: &ExecutedBlock) -> Header {
    Header { hash: block.hash, inner: block.header.clone(), total_difficulty: None, size: None }
}

/// An ommer: a block of which only the header is known.
pub fn ommer_json(header: &ExecutedHeader) -> Answer<Value> {
    let bare = ChainBlock {
        block: ExecutedBlock::bare(header.clone()),
        txs: Vec::new(),
        receipts: Vec::new(),
        ommers: Vec::new(),
        withdrawals: None,
    };
    let size = block_rlp(&bare).len();
    let header = Header {
        hash: header.hash_slow(),
        inner: header.clone(),
        total_difficulty: None,
        size: Some(U256::from(size)),
    };
    let mut object = to_json(&header)?;
    object["uncles"] = json!([]);
    Ok(object)
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
    if tx.tx_type() == NATIVE_TX_TYPE {
        return Ok(native_json(tx, None));
    }
    let mut object = ethereum_json(&tx.raw, tx.sender, TransactionInfo::default())?;
    // Like everything else a block would say.
    object["blockTimestamp"] = Value::Null;
    Ok(object)
}

fn ethereum_json(raw: &[u8], sender: Address, info: TransactionInfo) -> Answer<Value> {
    let envelope = TxEnvelope::decode_2718_exact(raw).map_err(broken)?;
    to_json(&Transaction::from_transaction(Recovered::new_unchecked(envelope, sender), info))
}

fn native_json(tx: &VerifiedTx, mined: Option<(&TransactionInfo, u128)>) -> Value {
    let info = mined.map(|(info, _)| *info).unwrap_or_default();
    let mut object = json!({
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
        "blockTimestamp": info.block_timestamp.map(hex),
        "transactionIndex": info.index.map(hex),
        "v": "0x0",
        "r": "0x0",
        "s": "0x0",
        "yParity": "0x0",
    });
    if !tx.calls().is_empty() {
        let call = |call: &Call| json!({ "to": call.to, "value": call.value, "input": call.data });
        object["calls"] = tx.calls().iter().map(call).collect();
    }
    object
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
