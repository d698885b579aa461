//! A simulated block as Ethereum would have encoded, hashed and shown it.
//!
//! Owns its transactions, which nobody signed and whose signatures are zero, its header and its JSON. Must not run anything.

use super::{
    Answer,
    backend::ChainBlock,
    objects::{block_rlp, header_object, hex, to_json},
    overrides::BlockOverrides,
};
use crate::{
    chain::records::ExecutedBlock,
    ledger::{
        executor::{BlockEnv, Call, Receipt},
        header::{ExecutedHeader, receipts_root},
    },
    types::{B256, U256},
};
use alloy_consensus::{
    TxEip1559, TxEip4844, TxEip7702, constants::EMPTY_OMMER_ROOT_HASH, transaction::RlpEcdsaEncodableTx,
};
use alloy_eips::{eip4844::DATA_GAS_PER_BLOB, eip4895::Withdrawal};
use alloy_primitives::{Address, Bloom, Bytes, Log, Signature, TxKind, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::root::ordered_trie_root_encoded;
use revm::primitives::hardfork::SpecId;
use serde_json::{Value, json};

/// A call that ran.
pub struct CallResult {
    /// What ran.
    pub call: Call,
    /// Gas it used.
    pub gas_used: u64,
    /// The most it held.
    pub peak_gas: u64,
    /// What it returned.
    pub returned: Bytes,
    /// Logs of contracts, as its receipt has them.
    pub emitted: Vec<Log>,
    /// Logs as the answer tells them.
    pub shown: Vec<Log>,
    /// Index of its first log in the block.
    pub first_log: u64,
    /// Code, message and data of its failure.
    pub error: Option<(i32, String, Option<Bytes>)>,
}

/// The calls of a block so far.
#[derive(Default)]
pub struct Made {
    /// In order.
    pub calls: Vec<CallResult>,
    /// Gas used by all.
    pub gas_used: u64,
}

impl Made {
    /// One more.
    pub fn push(&mut self, call: CallResult) {
        self.gas_used += call.gas_used;
        self.calls.push(call);
    }

    /// Envelopes of all.
    fn envelopes(&self, env: &BlockEnv) -> Vec<Bytes> {
        self.calls.iter().map(|made| envelope(&made.call, env.chain_id)).collect()
    }

    /// Receipts of all.
    pub fn receipts(&self, env: &BlockEnv) -> Vec<Receipt> {
        let mut gas = 0;
        let one = |(call, raw): (&CallResult, Bytes)| {
            gas += call.gas_used;
            receipt(call, &raw, env, gas)
        };
        self.calls.iter().zip(self.envelopes(env)).map(one).collect()
    }

    /// Logs told so far.
    pub fn logs(&self) -> u64 {
        self.calls.last().map_or(0, |call| call.first_log + wide(call.shown.len()))
    }
}

/// What a block's header says besides its calls.
pub struct Ends {
    /// Root of the state after it.
    pub state_root: B256,
    /// Hash of its requests.
    pub requests: B256,
    /// Root of the beacon block before.
    pub beacon_root: Option<B256>,
}

/// A finished block.
pub struct Built {
    /// Header, envelopes and receipts.
    pub block: ChainBlock,
    calls: Vec<CallResult>,
}

impl Built {
    /// The block of `made`.
    pub fn new(made: Made, receipts: Vec<Receipt>, env: &BlockEnv, ends: &Ends, overrides: &BlockOverrides) -> Self {
        let txs = made.envelopes(env);
        let since = |fork| env.rules.spec.is_enabled_in(fork);
        let withdrawals = since(SpecId::SHANGHAI).then(|| overrides.withdrawals.clone().unwrap_or_default());
        let blobs: usize = made.calls.iter().map(|made| made.call.blobs.as_ref().map_or(0, Vec::len)).sum();
        let header = ExecutedHeader {
            parent_hash: env.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: env.proposer,
            state_root: ends.state_root,
            transactions_root: ordered_trie_root_encoded(&txs),
            receipts_root: receipts_root(&receipts),
            logs_bloom: receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom()),
            difficulty: env.rules.difficulty,
            number: env.height,
            gas_limit: env.gas_limit,
            gas_used: made.gas_used,
            timestamp: env.time_ms / 1_000,
            mix_hash: env.beacon,
            base_fee_per_gas: since(SpecId::LONDON).then_some(env.base_fee),
            withdrawals_root: withdrawals.as_deref().map(withdrawals_root),
            blob_gas_used: since(SpecId::CANCUN).then(|| wide(blobs) * DATA_GAS_PER_BLOB),
            excess_blob_gas: since(SpecId::CANCUN).then(|| env.rules.blobs.map_or(0, |blobs| blobs.excess_gas)),
            parent_beacon_block_root: ends.beacon_root,
            requests_hash: since(SpecId::PRAGUE).then_some(ends.requests),
            ..ExecutedHeader::default()
        };
        let block = ExecutedBlock::bare(header);
        Self { block: ChainBlock { block, txs, receipts, ommers: Vec::new(), withdrawals }, calls: made.calls }
    }

    /// As `eth_simulateV1` answers it.
    pub fn json(&self, env: &BlockEnv, full: bool) -> Answer<Value> {
        let size = U256::from(block_rlp(&self.block).len());
        let mut object = to_json(&header_object(&self.block.block).with_size(Some(size)))?;
        object["uncles"] = json!([]);
        if let Some(withdrawals) = &self.block.withdrawals {
            object["withdrawals"] = to_json(withdrawals)?;
        }
        object["transactions"] = match full {
            true => (0..self.calls.len()).map(|index| self.tx_json(index, env)).collect(),
            false => self.block.receipts.iter().map(|receipt| json!(receipt.tx)).collect(),
        };
        object["calls"] = (0..self.calls.len()).map(|index| self.call_json(index)).collect();
        Ok(object)
    }

    fn call_json(&self, index: usize) -> Value {
        let call = &self.calls[index];
        let logs: Vec<Value> =
            (call.first_log..).zip(&call.shown).map(|(at, log)| self.log_json(index, at, log)).collect();
        let mut object = json!({
            "returnData": call.returned,
            "logs": logs,
            "gasUsed": hex(call.gas_used),
            "maxUsedGas": hex(call.peak_gas),
            "status": hex(u8::from(call.error.is_none())),
        });
        if let Some((code, message, data)) = &call.error {
            object["error"] = json!({"code": code, "message": message});
            if let Some(data) = data {
                object["error"]["data"] = json!(data);
            }
        }
        object
    }

    fn log_json(&self, index: usize, at: u64, log: &Log) -> Value {
        let (block, receipt) = (&self.block.block, &self.block.receipts[index]);
        json!({
            "address": log.address,
            "topics": log.topics(),
            "data": log.data.data,
            "blockNumber": hex(block.height()),
            "blockHash": block.hash,
            "blockTimestamp": hex(block.header.timestamp),
            "transactionHash": receipt.tx,
            "transactionIndex": hex(index),
            "logIndex": hex(at),
            "removed": false,
        })
    }

    fn tx_json(&self, index: usize, env: &BlockEnv) -> Value {
        let (call, block, receipt) = (&self.calls[index].call, &self.block.block, &self.block.receipts[index]);
        let mut object = json!({
            "type": hex(receipt.tx_type),
            "hash": receipt.tx,
            "blockHash": block.hash,
            "blockNumber": hex(block.height()),
            "blockTimestamp": hex(block.header.timestamp),
            "transactionIndex": hex(index),
            "from": call.from,
            "to": call.to,
            "nonce": hex(call.nonce),
            "gas": hex(call.gas),
            "gasPrice": hex(receipt.gas_price),
            "value": call.value,
            "input": call.data,
            "v": "0x0",
            "r": "0x0",
            "s": "0x0",
        });
        if let Some(tip) = call.priority_fee {
            object["maxFeePerGas"] = json!(hex(call.max_fee));
            object["maxPriorityFeePerGas"] = json!(hex(tip));
        }
        if receipt.tx_type != 0 {
            object["chainId"] = json!(hex(env.chain_id));
            object["accessList"] = json!(call.access_list.clone().unwrap_or_default());
            object["yParity"] = json!("0x0");
        }
        if let Some(blobs) = &call.blobs {
            object["blobVersionedHashes"] = json!(blobs);
            object["maxFeePerBlobGas"] = json!(hex(call.max_blob_fee.unwrap_or_default()));
        }
        if let Some(list) = &call.authorizations {
            object["authorizationList"] = json!(list);
        }
        object
    }
}

fn withdrawals_root(withdrawals: &[Withdrawal]) -> B256 {
    let leaves: Vec<Vec<u8>> = withdrawals.iter().map(alloy_rlp::encode).collect();
    ordered_trie_root_encoded(&leaves)
}

fn receipt(made: &CallResult, raw: &Bytes, env: &BlockEnv, cumulative_gas_used: u64) -> Receipt {
    let call = &made.call;
    Receipt {
        tx: keccak256(raw),
        // A legacy transaction begins like the list it is.
        tx_type: raw.first().copied().filter(|first| *first < 0xc0).unwrap_or(0),
        from: call.from,
        to: call.to,
        contract: None,
        success: made.error.is_none(),
        gas_used: made.gas_used,
        cumulative_gas_used,
        gas_price: call.gas_price(env.base_fee),
        logs: made.emitted.clone(),
        output: Bytes::new(),
        halt: None,
        post_state: None,
    }
}

/// The envelope of a call with a signature of zeroes.
fn envelope(call: &Call, chain_id: u64) -> Bytes {
    let Some(tip) = call.priority_fee else { return legacy(call) };
    let none = Signature::new(U256::ZERO, U256::ZERO, false);
    let (to, access_list) = (call.to.unwrap_or(Address::ZERO), call.access_list.clone().unwrap_or_default());
    let (nonce, gas_limit, value, input) = (call.nonce, call.gas, call.value, call.data.clone());
    let (max_fee_per_gas, max_priority_fee_per_gas) = (call.max_fee, tip);
    let mut raw = Vec::new();
    if let Some(authorization_list) = call.authorizations.clone() {
        let tx = TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            authorization_list,
            input,
        };
        tx.eip2718_encode(&none, &mut raw);
    } else if let Some(blob_versioned_hashes) = call.blobs.clone() {
        let max_fee_per_blob_gas = call.max_blob_fee.unwrap_or_default();
        let tx = TxEip4844 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            blob_versioned_hashes,
            max_fee_per_blob_gas,
            input,
        };
        tx.eip2718_encode(&none, &mut raw);
    } else {
        let to = call.to.map_or(TxKind::Create, TxKind::Call);
        let tx = TxEip1559 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to,
            value,
            access_list,
            input,
        };
        tx.eip2718_encode(&none, &mut raw);
    }
    raw.into()
}

/// A legacy transaction whose `v`, `r` and `s` are all zero, which no signature encodes to.
fn legacy(call: &Call) -> Bytes {
    let mut fields = Vec::new();
    call.nonce.encode(&mut fields);
    call.max_fee.encode(&mut fields);
    call.gas.encode(&mut fields);
    call.to.map_or(TxKind::Create, TxKind::Call).encode(&mut fields);
    call.value.encode(&mut fields);
    call.data.encode(&mut fields);
    (0..3).for_each(|_| U256::ZERO.encode(&mut fields));
    let mut raw = Vec::new();
    alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut raw);
    raw.extend(fields);
    raw.into()
}

fn wide(n: usize) -> u64 {
    u64::try_from(n).expect("a usize fits 64 bits")
}
