//! What the chain keeps on disk besides blocks: executed headers, receipts and small singletons.
//!
//! Owns their encodings. Must not know keys or columns. Invariant: a record of another version is refused, never misread.

use crate::{
    codec::Wire,
    ledger::executor::Receipt,
    types::{Address, B256, BlockId, Height},
};
use alloy_consensus::Header;
use alloy_primitives::{Log, LogData};
use alloy_rlp::{Decodable, Encodable};
use borsh::{BorshDeserialize, BorshSerialize};

/// Bytes of a failed transaction's output that are kept: enough for every revert reason the modules give.
pub const OUTPUT_MAX_BYTES: usize = 4 << 10;

/// Which chain a database belongs to.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GenesisRecord {
    /// Hash of the executed genesis header.
    pub hash: [u8; 32],
    /// EIP-155 chain id.
    pub chain_id: u64,
}

impl Wire for GenesisRecord {
    const NAME: &'static str = "genesis record";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

/// A height up to which something is done.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeightRecord(pub Height);

impl Wire for HeightRecord {
    const NAME: &'static str = "height marker";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 9;
}

/// Where a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct TxPlace {
    /// Its block.
    pub height: Height,
    /// Its index among the executed transactions of that block.
    pub index: u32,
}

impl Wire for TxPlace {
    const NAME: &'static str = "transaction index entry";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 13;
}

/// A transaction of a decided block that could not be executed.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SkippedTx {
    /// Its index in the block body.
    pub index: u32,
    /// Its hash.
    pub hash: [u8; 32],
    /// Why.
    pub reason: String,
}

/// An executed block's header with what the consensus header adds to it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeaderRecord {
    /// RLP of the Ethereum header.
    rlp: Vec<u8>,
    beacon: [u8; 32],
    block: BlockId,
    time_ms: u64,
    skipped: Vec<SkippedTx>,
}

impl Wire for HeaderRecord {
    const NAME: &'static str = "executed header record";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 4 << 20;
}

/// An executed block without its receipts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecutedBlock {
    /// The Ethereum header.
    pub header: Header,
    /// Its hash.
    pub hash: B256,
    /// The beacon R_height.
    pub beacon: B256,
    /// Id of the consensus header, all zeroes for genesis.
    pub block: BlockId,
    /// Time of the consensus header in milliseconds; the Ethereum header has seconds.
    pub time_ms: u64,
    /// Transactions of the body that are not part of the executed block.
    pub skipped: Vec<SkippedTx>,
}

impl ExecutedBlock {
    /// A header alone, of a chain whose headers say everything.
    pub fn bare(header: Header) -> Self {
        let time_ms = header.timestamp.saturating_mul(1_000);
        Self {
            hash: header.hash_slow(),
            beacon: header.mix_hash,
            header,
            block: BlockId::default(),
            time_ms,
            skipped: Vec::new(),
        }
    }

    /// Its height.
    pub fn height(&self) -> Height {
        self.header.number
    }

    /// The base fee every transaction of this block paid.
    pub fn base_fee(&self) -> u64 {
        self.header.base_fee_per_gas.unwrap_or_default()
    }

    /// Its disk form.
    pub fn record(&self) -> HeaderRecord {
        let mut rlp = Vec::with_capacity(self.header.length());
        self.header.encode(&mut rlp);
        let (beacon, block) = (self.beacon.0, self.block);
        HeaderRecord { rlp, beacon, block, time_ms: self.time_ms, skipped: self.skipped.clone() }
    }

    /// From its disk form.
    pub fn from_record(record: HeaderRecord) -> Result<Self, alloy_rlp::Error> {
        let header = Header::decode(&mut record.rlp.as_slice())?;
        Ok(Self {
            hash: header.hash_slow(),
            header,
            beacon: B256::from(record.beacon),
            block: record.block,
            time_ms: record.time_ms,
            skipped: record.skipped,
        })
    }
}

/// A log as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct LogRecord {
    address: [u8; 20],
    topics: Vec<[u8; 32]>,
    data: Vec<u8>,
}

/// A receipt as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReceiptRecord {
    tx: [u8; 32],
    tx_type: u8,
    success: bool,
    gas_used: u64,
    cumulative_gas_used: u64,
    gas_price: u128,
    from: [u8; 20],
    to: Option<[u8; 20]>,
    contract: Option<[u8; 20]>,
    logs: Vec<LogRecord>,
    output: Vec<u8>,
    halt: Option<String>,
}

/// All receipts of a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ReceiptsRecord(pub Vec<ReceiptRecord>);

impl Wire for ReceiptsRecord {
    const NAME: &'static str = "receipts record";
    const VERSION: u8 = 1;
    /// Logs cost at least 8 gas a byte, so that a full block emits at most 15 MB; the rest is headers of receipts.
    const MAX_BYTES: usize = 64 << 20;
}

impl From<&Receipt> for ReceiptRecord {
    fn from(r: &Receipt) -> Self {
        let log = |log: &Log| LogRecord {
            address: log.address.into_array(),
            topics: log.data.topics().iter().map(|topic| topic.0).collect(),
            data: log.data.data.to_vec(),
        };
        Self {
            tx: r.tx.0,
            tx_type: r.tx_type,
            success: r.success,
            gas_used: r.gas_used,
            cumulative_gas_used: r.cumulative_gas_used,
            gas_price: r.gas_price,
            from: r.from.into_array(),
            to: r.to.map(Address::into_array),
            contract: r.contract.map(Address::into_array),
            logs: r.logs.iter().map(log).collect(),
            output: r.output[..r.output.len().min(OUTPUT_MAX_BYTES)].to_vec(),
            halt: r.halt.clone(),
        }
    }
}

impl From<ReceiptRecord> for Receipt {
    fn from(r: ReceiptRecord) -> Self {
        let log = |log: LogRecord| Log {
            address: Address::from(log.address),
            data: LogData::new_unchecked(log.topics.into_iter().map(B256::from).collect(), log.data.into()),
        };
        Self {
            tx: B256::from(r.tx),
            tx_type: r.tx_type,
            success: r.success,
            gas_used: r.gas_used,
            cumulative_gas_used: r.cumulative_gas_used,
            gas_price: r.gas_price,
            from: Address::from(r.from),
            to: r.to.map(Address::from),
            contract: r.contract.map(Address::from),
            logs: r.logs.into_iter().map(log).collect(),
            output: r.output.into(),
            halt: r.halt,
            post_state: None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::codec;
    use alloy_primitives::Bytes;

    pub(in crate::chain) fn receipt() -> Receipt {
        Receipt {
            tx: B256::repeat_byte(1),
            tx_type: 2,
            success: false,
            gas_used: 21_000,
            cumulative_gas_used: 42_000,
            gas_price: 7,
            from: Address::repeat_byte(2),
            to: Some(Address::repeat_byte(3)),
            contract: None,
            logs: vec![Log {
                address: Address::repeat_byte(4),
                data: LogData::new_unchecked(vec![B256::repeat_byte(5)], Bytes::from_static(b"data")),
            }],
            output: Bytes::from_static(b"revert"),
            halt: Some("out of gas".into()),
            post_state: None,
        }
    }

    pub(in crate::chain) fn executed() -> ExecutedBlock {
        let header = Header { number: 9, gas_limit: 30, base_fee_per_gas: Some(7), ..Header::default() };
        ExecutedBlock {
            hash: header.hash_slow(),
            header,
            beacon: B256::repeat_byte(1),
            block: BlockId([2; 32]),
            time_ms: 1_234,
            skipped: vec![SkippedTx { index: 3, hash: [4; 32], reason: "nonce".into() }],
        }
    }

    #[test]
    fn receipts_round_trip_and_long_outputs_are_cut() {
        let mut long = receipt();
        long.output = vec![1; OUTPUT_MAX_BYTES + 1].into();
        let record = ReceiptsRecord(vec![ReceiptRecord::from(&receipt()), ReceiptRecord::from(&long)]);
        let back = codec::decode::<ReceiptsRecord>(&codec::encode(&record)).unwrap();
        let receipts: Vec<Receipt> = back.0.into_iter().map(Receipt::from).collect();
        assert_eq!(receipts[0], receipt());
        assert_eq!(receipts[1].output.len(), OUTPUT_MAX_BYTES);
    }

    #[test]
    fn executed_blocks_round_trip() {
        let block = executed();
        let record = codec::decode::<HeaderRecord>(&codec::encode(&block.record())).unwrap();
        assert_eq!(ExecutedBlock::from_record(record).unwrap(), block);
    }
}
