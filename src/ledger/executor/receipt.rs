//! Receipts of executed transactions.

use crate::{
    ledger::tx::VerifiedTx,
    types::{Address, B256},
};
use alloy_consensus::{Eip658Value, Receipt as ConsensusReceipt, RlpEncodableReceipt};
use alloy_primitives::{Bloom, Bytes, Log, logs_bloom};
use revm::context_interface::result::{ExecutionResult, Output};

/// What became of one transaction. Status, gas and logs are committed to by the block; the rest is for whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Hash of the transaction.
    pub tx: B256,
    /// Its EIP-2718 type.
    pub tx_type: u8,
    /// Its sender.
    pub from: Address,
    /// Its callee, unless it was to create a contract.
    pub to: Option<Address>,
    /// The contract it created.
    pub contract: Option<Address>,
    /// Whether it did what it should.
    pub success: bool,
    /// Gas it used.
    pub gas_used: u64,
    /// Gas used by it and all before it in the block.
    pub cumulative_gas_used: u64,
    /// Price it paid for each unit.
    pub gas_price: u128,
    /// What it logged.
    pub logs: Vec<Log>,
    /// Revert data, if it reverted.
    pub output: Bytes,
    /// Why it used up its gas without an answer, if it did.
    pub halt: Option<String>,
    /// State root after it, where receipts say that instead of a status: on Ethereum before Byzantium.
    pub post_state: Option<B256>,
}

impl Receipt {
    pub(super) fn new(tx: &VerifiedTx, base_fee: u64, gas_before: u64, result: ExecutionResult) -> Self {
        let gas_used = result.tx_gas_used();
        let mut receipt = Self {
            tx: tx.hash,
            tx_type: tx.tx_type(),
            from: tx.sender,
            to: tx.to(),
            contract: None,
            success: false,
            gas_used,
            cumulative_gas_used: gas_before + gas_used,
            gas_price: tx.effective_gas_price(base_fee),
            logs: Vec::new(),
            output: Bytes::new(),
            halt: None,
            post_state: None,
        };
        match result {
            ExecutionResult::Success { logs, output, .. } => {
                (receipt.success, receipt.logs) = (true, logs);
                if let Output::Create(_, contract) = output {
                    receipt.contract = contract;
                }
            }
            ExecutionResult::Revert { output, .. } => receipt.output = output,
            ExecutionResult::Halt { reason, .. } => receipt.halt = Some(reason.to_string()),
        }
        receipt
    }

    /// Filter over its logs.
    pub fn bloom(&self) -> Bloom {
        logs_bloom(&self.logs)
    }

    /// Its leaf in the block's receipt trie: the type unless legacy, then Ethereum's receipt.
    pub fn leaf(&self) -> Vec<u8> {
        let consensus = ConsensusReceipt {
            status: self.post_state.map_or(Eip658Value::Eip658(self.success), Eip658Value::PostState),
            cumulative_gas_used: self.cumulative_gas_used,
            logs: self.logs.clone(),
        };
        let mut leaf = Vec::new();
        if self.tx_type != 0 {
            leaf.push(self.tx_type);
        }
        consensus.rlp_encode_with_bloom(&self.bloom(), &mut leaf);
        leaf
    }
}
