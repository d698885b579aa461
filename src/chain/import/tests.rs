//! A chain through all forks, made here, imported, opened again and asked; and files that must be refused.

use super::*;
use crate::{
    chain::api,
    crypto::{EcdsaKey, EcdsaSignature},
    kv::{Kv, MemoryKv},
    ledger::{
        ethereum::{EthereumBlock, EthereumGenesis, base_fee_after, excess_blob_gas_after, execute},
        header::ExecutedHeader,
    },
    rpc::call_raw,
    runtime::{CpuPool, Node},
    types::{Address, B256, Height, U256},
};
use alloy_consensus::{
    SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy, transaction::RlpEcdsaEncodableTx,
};
use alloy_eips::{eip4895::Withdrawal, eip7702::Authorization};
use alloy_primitives::{Bytes, Signature, TxKind};
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

mod execution;

const CHAIN: u64 = 77;
const GWEI: u128 = 1_000_000_000;
const SINK: Address = Address::repeat_byte(0x51);
const MINER: Address = Address::repeat_byte(0x99);
/// Slot of one block.
const SLOT: u64 = 10;
/// Stores the first word of call data in slot 0 and logs one topic.
const KEEPER: Address = Address::repeat_byte(0xcc);

fn key() -> EcdsaKey {
    EcdsaKey::from_bytes(&[7; 32]).unwrap()
}

/// Homestead from block 1 on, one fork every block up to London at 8; proof of stake from block 10 on, then one fork a block.
fn genesis_json() -> String {
    let keeper = "0x600035600055600160006000a100";
    json!({
        "config": {
            "chainId": CHAIN, "homesteadBlock": 1, "eip150Block": 2, "eip155Block": 3, "eip158Block": 3, "byzantiumBlock": 4,
            "constantinopleBlock": 5, "petersburgBlock": 5, "istanbulBlock": 6, "berlinBlock": 7, "londonBlock": 8,
            "terminalTotalDifficulty": 10_000, "shanghaiTime": 120, "cancunTime": 130, "pragueTime": 140, "osakaTime": 150,
            "blobSchedule": {
                "cancun": {"target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477},
                "prague": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716},
                "osaka": {"target": 6, "max": 9, "baseFeeUpdateFraction": 5_007_716}
            }
        },
        "nonce": "0x0", "timestamp": "0x0", "extraData": "0x", "gasLimit": "0x1c9c380", "difficulty": "0x3e8",
        "alloc": {
            key().address().to_string(): {"balance": "0x3635c9adc5dea00000"},
            KEEPER.to_string(): {"balance": "0x0", "code": keeper}
        }
    })
    .to_string()
}

fn signed<T: SignableTransaction<Signature> + RlpEcdsaEncodableTx>(tx: &T) -> Bytes {
    let EcdsaSignature { r, s, y_odd } = key().sign(&tx.signature_hash());
    let mut raw = Vec::new();
    tx.eip2718_encode(&Signature::new(r, s, y_odd), &mut raw);
    raw.into()
}

fn legacy(nonce: u64, chain_id: Option<u64>, to: Address, input: Vec<u8>) -> Bytes {
    let (gas_price, gas_limit, value) = (10 * GWEI, 100_000, U256::from(5));
    signed(&TxLegacy { chain_id, nonce, gas_price, gas_limit, to: TxKind::Call(to), value, input: input.into() })
}

/// One transaction of the newest type each fork knows.
fn newest(number: Height, nonce: u64) -> Bytes {
    let (gas_limit, max_fee_per_gas) = (200_000, 10 * GWEI);
    let (to, value, input) = (TxKind::Call(SINK), U256::from(1), Bytes::new());
    match number {
        0..=2 => legacy(nonce, None, SINK, vec![]),
        3..=6 => legacy(nonce, Some(CHAIN), KEEPER, vec![u8::try_from(number).unwrap(); 32]),
        7 => signed(&TxEip2930 {
            chain_id: CHAIN,
            nonce,
            gas_price: 10 * GWEI,
            gas_limit,
            to,
            value,
            ..Default::default()
        }),
        8..=12 => signed(&TxEip1559 {
            chain_id: CHAIN,
            nonce,
            gas_limit,
            max_fee_per_gas,
            to,
            value,
            input,
            ..Default::default()
        }),
        13 => {
            let mut hash = B256::repeat_byte(4);
            hash.0[0] = 1;
            let blob_versioned_hashes = vec![hash];
            let (max_fee_per_blob_gas, to) = (GWEI, SINK);
            signed(&TxEip4844 {
                chain_id: CHAIN,
                nonce,
                gas_limit,
                max_fee_per_gas,
                to,
                value,
                blob_versioned_hashes,
                max_fee_per_blob_gas,
                ..Default::default()
            })
        }
        _ => {
            let authorization = Authorization { chain_id: U256::from(CHAIN), address: KEEPER, nonce: nonce + 1 };
            let EcdsaSignature { r, s, y_odd } = key().sign(&authorization.signature_hash());
            let authorization_list = vec![authorization.into_signed(Signature::new(r, s, y_odd))];
            signed(&TxEip7702 {
                chain_id: CHAIN,
                nonce,
                gas_limit,
                max_fee_per_gas,
                to: SINK,
                value,
                authorization_list,
                ..Default::default()
            })
        }
    }
}

/// The blocks of the chain, sealed one by one.
fn blocks() -> Vec<EthereumBlock> {
    let node = Node::new("test", CpuPool::new("test", 1));
    let mut chain = ImportedChain::begin(&node, EthereumGenesis::parse(&genesis_json()).unwrap());
    let (mut made, mut nonce) = (Vec::new(), 0);
    for number in 1..=16 {
        let (parent, view, trie) = chain.tip();
        let timestamp = number * SLOT;
        let merged = chain.forks().is_merged(parent.total_difficulty);
        let (cancun, shanghai) = (merged && timestamp >= 130, merged && timestamp >= 120);
        let header = ExecutedHeader {
            parent_hash: parent.hash,
            beneficiary: MINER,
            number,
            timestamp,
            gas_limit: 30_000_000,
            difficulty: if merged { U256::ZERO } else { U256::from(1_000) },
            base_fee_per_gas: base_fee_after(chain.forks(), parent, number, timestamp),
            excess_blob_gas: excess_blob_gas_after(chain.forks(), parent, number, timestamp),
            parent_beacon_block_root: cancun.then(|| B256::repeat_byte(0xbe)),
            ..Default::default()
        };
        let ommers =
            if number == 5 { vec![ExecutedHeader { number: 4, beneficiary: SINK, ..header.clone() }] } else { vec![] };
        let ommers_hash = alloy_consensus::proofs::calculate_ommers_root(&ommers);
        let withdrawal = Withdrawal { index: number, validator_index: 1, address: SINK, amount: 3 };
        let withdrawals = shanghai.then(|| vec![withdrawal]);
        let txs = vec![newest(number, nonce)];
        // A set-code transaction's own authorization takes a nonce as well.
        nonce += if number >= 14 { 2 } else { 1 };
        let draft = EthereumBlock { header: ExecutedHeader { ommers_hash, ..header }, txs, ommers, withdrawals };
        let (header, came) = execute(chain.forks(), parent, &view, &trie, &draft).unwrap();
        let block = EthereumBlock { header, ..draft };
        assert!(came.receipts.iter().all(|receipt| receipt.success), "block {number}");
        chain.append(block.clone(), came.receipts, &came.delta, Some(came.trie));
        made.push(block);
    }
    made
}

fn rlp(block: &EthereumBlock) -> Vec<u8> {
    let shown = api::backend::ChainBlock {
        block: crate::chain::ExecutedBlock::bare(block.header.clone()),
        txs: block.txs.clone(),
        receipts: Vec::new(),
        ommers: block.ommers.clone(),
        withdrawals: block.withdrawals.clone(),
    };
    api::block_rlp(&shown)
}

struct Files {
    dir: tempfile::TempDir,
    node: Node,
    kv: Arc<dyn Kv>,
}

impl Files {
    fn new(blocks: &[EthereumBlock]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("genesis.json"), genesis_json()).unwrap();
        let node = Node::new("test", CpuPool::new("test", 1));
        let files = Self { dir, node, kv: Arc::new(MemoryKv::new()) };
        files.write(blocks);
        files
    }

    fn write(&self, blocks: &[EthereumBlock]) {
        let bytes: Vec<u8> = blocks.iter().flat_map(rlp).collect();
        std::fs::write(self.path("chain.rlp"), bytes).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn import(&self) -> Result<Imported, ImportError> {
        import(&self.node, self.kv.clone(), &self.path("genesis.json"), &self.path("chain.rlp"))
    }
}

async fn ask(module: &crate::rpc::RpcModule<()>, method: &'static str, params: Value) -> Value {
    let question = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let answer: Value = serde_json::from_slice(&call_raw(module, question.as_bytes(), &[method]).await).unwrap();
    if answer["error"].is_null() { answer["result"].clone() } else { answer["error"].clone() }
}

#[tokio::test]
async fn a_chain_through_all_forks_is_imported_opened_again_and_asked() {
    let blocks = blocks();
    let files = Files::new(&blocks[..9]);
    assert_eq!(files.import().unwrap().known, 0);
    files.write(&blocks);
    let first = files.import().unwrap();
    assert_eq!(
        (first.known, first.chain.hash(16)),
        (9, Some(blocks[15].header.hash_slow())),
        "it went on where it was"
    );
    let again = files.import().unwrap();
    assert_eq!(again.known, 16);
    for chain in [first.chain, again.chain] {
        let eth: api::Eth = Arc::new(chain);
        let module = api::ethereum(&eth).unwrap();
        for (number, block) in (1u64..).zip(&blocks) {
            let shown = ask(&module, "eth_getBlockByNumber", json!([format!("{number:#x}"), true])).await;
            assert_eq!(shown["hash"], json!(block.header.hash_slow()));
            assert_eq!(shown["size"], format!("{:#x}", rlp(block).len()));
            assert_eq!(shown.get("baseFeePerGas").is_some(), number >= 8, "{shown}");
            assert_eq!(shown.get("withdrawals").is_some(), number >= 12, "{shown}");
            assert_eq!(shown.get("blobGasUsed").is_some(), number >= 13, "{shown}");
            assert_eq!(shown.get("requestsHash").is_some(), number >= 14, "{shown}");
            let hash = shown["transactions"][0]["hash"].clone();
            let receipt = ask(&module, "eth_getTransactionReceipt", json!([hash])).await;
            assert_eq!(
                (receipt.get("root").is_some(), receipt.get("status").is_some()),
                (number < 4, number >= 4),
                "{receipt}"
            );
            assert_eq!(receipt.get("blobGasPrice").is_some(), number == 13, "{receipt}");
        }
        let first = ask(&module, "eth_getTransactionByBlockNumberAndIndex", json!(["0x1", "0x0"])).await;
        assert!(first.get("chainId").is_none_or(Value::is_null), "{first}");
        assert_eq!(ask(&module, "eth_getUncleCountByBlockNumber", json!(["0x5"])).await, "0x1");
        let uncle = ask(&module, "eth_getUncleByBlockNumberAndIndex", json!(["0x5", "0x0"])).await;
        assert_eq!(uncle["number"], "0x4");
        // Two ethers, a thirty-second of them for the ommer; seven eighths of two for the ommer's own miner.
        let balance = async |account: Address, number: &'static str| -> U256 {
            serde_json::from_value(ask(&module, "eth_getBalance", json!([account, number])).await).unwrap()
        };
        let ether = U256::from(10).pow(U256::from(18));
        let mined = balance(MINER, "0x5").await - balance(MINER, "0x4").await;
        assert!(mined > ether * U256::from(2) + ether / U256::from(16) && mined < ether * U256::from(3), "{mined}");
        assert_eq!(balance(SINK, "0x5").await - balance(SINK, "0x4").await, ether * U256::from(7) / U256::from(4));
        let slot = ask(&module, "eth_getStorageAt", json!([KEEPER, "0x0", "0x4"])).await;
        assert_eq!(slot, json!(B256::repeat_byte(4)));
        assert_eq!(ask(&module, "eth_getStorageAt", json!([KEEPER, "0x0", "0x6"])).await, json!(B256::repeat_byte(6)));
        assert_eq!(
            ask(&module, "eth_getLogs", json!([{"fromBlock": "0x0", "toBlock": "latest"}]))
                .await
                .as_array()
                .unwrap()
                .len(),
            4
        );
        let waiting = newest(16, 19);
        let sent = ask(&module, "eth_sendRawTransaction", json!([waiting])).await;
        assert_eq!(ask(&module, "eth_getTransactionByHash", json!([sent])).await["blockHash"], Value::Null);
    }
}

#[test]
fn files_that_must_be_refused_name_what_is_wrong() {
    let blocks = blocks();
    let refusal = |files: &Files| files.import().err().expect("it must be refused").to_string();
    let mut wrong = blocks.clone();
    wrong[5].header.state_root = B256::repeat_byte(1);
    let found = refusal(&Files::new(&wrong));
    assert!(found.starts_with("block 6 is refused: its state root is 0x0101"), "{found}");
    let mut wrong = blocks.clone();
    wrong[13].header.requests_hash = Some(B256::ZERO);
    assert!(refusal(&Files::new(&wrong)).contains("block 14 is refused: its requests hash"));
    // An ommer's number is part of what its miner gets: the fifth block has one, of block 4.
    for number in [u64::MAX, 5] {
        let mut wrong = blocks.clone();
        wrong[4].ommers[0].number = number;
        wrong[4].header.ommers_hash = alloy_consensus::proofs::calculate_ommers_root(&wrong[4].ommers);
        let found = refusal(&Files::new(&wrong));
        assert!(
            found.contains(&format!("block 5 is refused: its ommers are not valid: one has number {number}")),
            "{found}"
        );
    }
    let found = refusal(&Files::new(&blocks[1..]));
    assert!(found.contains("block 2 is refused: its number is 2, execution says 1"), "{found}");
    let files = Files::new(&blocks);
    let bytes = std::fs::read(files.path("chain.rlp")).unwrap();
    std::fs::write(files.path("chain.rlp"), &bytes[..bytes.len() - 3]).unwrap();
    let found = refusal(&files);
    assert!(found.contains("holds no block at byte") && found.ends_with("the file ends within it"), "{found}");
    files.write(&blocks);
    assert_eq!(files.import().unwrap().known, 15, "what came before the cut stayed");
    std::fs::write(files.path("genesis.json"), genesis_json().replace("0x1c9c380", "0x1c9c381")).unwrap();
    assert!(refusal(&files).contains("the database holds a chain with genesis"));
    std::fs::write(files.path("genesis.json"), "{}").unwrap();
    assert!(refusal(&files).contains("is not a geth genesis document"));
    std::fs::remove_file(files.path("genesis.json")).unwrap();
    assert!(refusal(&files).contains("cannot be read"));
}
