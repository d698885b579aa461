//! A chain made of maps, and a JSON-RPC module in front of it.

use super::fake_names::FakeNames;
use crate::client::{
    ChainClient, ChainError, ChainEvent, ChainStatus, EventBatch, FileRecord, MinerRecord, TxOutcome, register,
};
use crate::ledger::abi::{FILES, IFiles, IMiners, MINERS, NAMES};
use crate::rpc::{ErrorObjectOwned, RpcModule, error};
use crate::types::{Address, B256, FileId, Height, Profile, U256};
use alloy_primitives::{Bytes, keccak256};
use alloy_sol_types::{SolCall, SolError};
use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// The chain.
pub struct FakeChain {
    pub height: watch::Sender<Height>,
    pub state: Mutex<State>,
}

/// What it holds.
#[derive(Default)]
pub struct State {
    pub events: BTreeMap<Height, EventBatch>,
    pub files: Vec<FileRecord>,
    pub miners: Vec<MinerRecord>,
    pub nonce: u64,
    pub submitted: Vec<Bytes>,
    /// Submissions, repeated ones included.
    pub submissions: usize,
    pub outcomes: BTreeMap<B256, TxOutcome>,
    /// Answers of the next submissions, after the transaction was noted if the flag says so.
    pub faults: Vec<(bool, ChainError)>,
    /// Whether a block is made for each submission.
    pub mines: bool,
    pub names: FakeNames,
    /// The fault of the next read-only call.
    pub call_fails: Option<ChainError>,
    /// Revert data of every call, if set.
    pub reverts_with: Option<Bytes>,
}

impl FakeChain {
    pub fn new() -> Arc<Self> {
        Arc::new(Self { height: watch::Sender::new(0), state: Mutex::default() })
    }

    /// Adds a block with `events`.
    pub fn block(&self, events: Vec<ChainEvent>) -> Height {
        let height = *self.height.borrow() + 1;
        if !events.is_empty() {
            let events = events.into_iter().map(|event| (B256::repeat_byte(7), event)).collect();
            self.state.lock().events.insert(height, EventBatch { height, events });
        }
        self.height.send_replace(height);
        height
    }

    fn note(&self, raw: &Bytes) -> B256 {
        let tx = keccak256(raw);
        let mut state = self.state.lock();
        state.submissions += 1;
        if !state.submitted.contains(raw) {
            state.submitted.push(raw.clone());
            state.nonce += 1;
        }
        if state.mines {
            let events: Vec<_> = state.names.apply().into_iter().map(|event| (tx, event)).collect();
            drop(state);
            let height = self.block(Vec::new());
            if !events.is_empty() {
                self.state.lock().events.insert(height, EventBatch { height, events });
            }
            self.state.lock().outcomes.entry(tx).or_insert(outcome(tx, height, None));
        }
        tx
    }
}

/// An outcome of `tx`.
pub fn outcome(tx: B256, height: Height, error: Option<&str>) -> TxOutcome {
    let (gas_used, gas_price, success) = (21_000, U256::from(1), error.is_none());
    let error = error.map(str::to_owned);
    TxOutcome { tx, height, block: B256::ZERO, gas_used, gas_price, success, error }
}

/// A miner numbered `n`.
pub fn miner(n: u64) -> MinerRecord {
    let address = Address::from_word(B256::from(U256::from(n + 1)));
    MinerRecord {
        address,
        operator: address,
        network_key: [1; 32],
        account_key: [2; 32],
        prefix: 3,
        capacity: n,
        used: 0,
        since: 1,
        name: format!("miner-{n}"),
        ..MinerRecord::default()
    }
}

/// A file whose id is `n` repeated.
pub fn file(n: u8) -> FileRecord {
    let owners = vec![Address::repeat_byte(9)];
    FileRecord { id: FileId([n; 32]), owners, size: u64::from(n), segments: 1, holders: Vec::new(), stored_at: 1 }
}

#[async_trait]
impl ChainClient for FakeChain {
    async fn status(&self) -> Result<ChainStatus, ChainError> {
        Ok(ChainStatus {
            chain_id: 11_332,
            genesis: B256::repeat_byte(1),
            height: *self.height.borrow(),
            hash: B256::repeat_byte(2),
            beacon: B256::repeat_byte(3),
            time_ms: 4,
            profile: Profile::Dev,
            peers: 5,
            syncing: false,
        })
    }

    async fn wait_above(&self, height: Height, deadline: Duration) -> Result<ChainStatus, ChainError> {
        let mut watch = self.height.subscribe();
        let _ = tokio::time::timeout(deadline, watch.wait_for(|now| *now > height)).await;
        self.status().await
    }

    async fn balance(&self, _: Address) -> Result<U256, ChainError> {
        Ok(U256::MAX)
    }

    async fn nonce(&self, _: Address) -> Result<u64, ChainError> {
        Ok(self.state.lock().nonce)
    }

    async fn base_fee(&self) -> Result<u64, ChainError> {
        Ok(1_000_000_000)
    }

    async fn call(&self, to: Address, data: Bytes) -> Result<Bytes, ChainError> {
        let mut state = self.state.lock();
        if let Some(fault) = state.call_fails.take() {
            return Err(fault);
        }
        let answer = if to == NAMES { state.names.answer(&data) } else { None };
        Ok(answer.unwrap_or_default())
    }

    async fn estimate_gas(&self, _: Address, to: Address, _: U256, data: Bytes) -> Result<u64, ChainError> {
        if to == NAMES {
            self.state.lock().names.measure(&data)?;
        }
        Ok(21_000)
    }

    async fn submit(&self, raw: Bytes) -> Result<B256, ChainError> {
        let fault = {
            let mut state = self.state.lock();
            let any = !state.faults.is_empty();
            any.then(|| state.faults.remove(0))
        };
        match fault {
            Some((true, fault)) => {
                self.note(&raw);
                Err(fault)
            }
            Some((false, fault)) => Err(fault),
            None => Ok(self.note(&raw)),
        }
    }

    async fn outcome(&self, tx: B256) -> Result<Option<TxOutcome>, ChainError> {
        Ok(self.state.lock().outcomes.get(&tx).cloned())
    }

    async fn events(&self, from: Height, to: Height) -> Result<Vec<EventBatch>, ChainError> {
        Ok(self.state.lock().events.range(from..=to).map(|(_, batch)| batch.clone()).collect())
    }

    async fn beacon(&self, height: Height) -> Result<Option<B256>, ChainError> {
        Ok((height < 10).then_some(B256::repeat_byte(8)))
    }

    async fn miners(&self) -> Result<Vec<MinerRecord>, ChainError> {
        Ok(self.state.lock().miners.clone())
    }

    async fn file(&self, id: FileId) -> Result<Option<FileRecord>, ChainError> {
        Ok(self.state.lock().files.iter().find(|file| file.id == id).cloned())
    }

    async fn manifest(&self, id: FileId) -> Result<Option<Bytes>, ChainError> {
        Ok(self.file(id).await?.map(|_| Bytes::from_static(b"manifest")))
    }

    async fn files_of(&self, _: Address, _: u64, _: u64) -> Result<Vec<FileRecord>, ChainError> {
        Ok(self.state.lock().files.clone())
    }
}

/// The module a node with this chain would serve.
pub fn module(chain: &Arc<FakeChain>) -> RpcModule<()> {
    let mut module = RpcModule::new(());
    register(&mut module, chain.clone()).unwrap();
    let mut eth = |name: &'static str, answer: fn(&FakeChain, Value) -> Result<Value, ErrorObjectOwned>| {
        let chain = chain.clone();
        module.register_method(name, move |params, _, _| answer(&chain, params.parse()?)).unwrap();
    };
    eth("eth_getBalance", |_, _| Ok(json!(U256::MAX)));
    eth("eth_getTransactionCount", |chain, _| Ok(json!(U256::from(chain.state.lock().nonce))));
    eth("eth_feeHistory", |_, _| Ok(json!({"baseFeePerGas": ["0x1", "0x3b9aca00"]})));
    eth("eth_estimateGas", |_, _| Ok(json!("0x5208")));
    eth("eth_call", eth_call);
    eth("eth_sendRawTransaction", |chain, params| {
        let (raw,): (Bytes,) = serde_json::from_value(params).unwrap();
        if chain.state.lock().submitted.contains(&raw) {
            return Err(error::rejected("transaction is already known"));
        }
        Ok(json!(chain.note(&raw)))
    });
    module
}

fn eth_call(chain: &FakeChain, params: Value) -> Result<Value, ErrorObjectOwned> {
    let to: Address = serde_json::from_value(params[0]["to"].clone()).unwrap();
    let data: Bytes = serde_json::from_value(params[0]["data"].clone()).unwrap();
    let state = chain.state.lock();
    if let Some(data) = &state.reverts_with {
        return Err(error::reverted(data));
    }
    let bytes = |bytes: Vec<u8>| Ok(json!(Bytes::from(bytes)));
    if let (MINERS, Ok(call)) = (to, IMiners::listCall::abi_decode(&data)) {
        let page = state.miners.iter().skip(call.skip as usize).take(call.limit as usize).map(to_miner).collect();
        return bytes(IMiners::listCall::abi_encode_returns(&page));
    }
    if let (FILES, Ok(call)) = (to, IFiles::listOfCall::abi_decode(&data)) {
        let ids = state.files.iter().map(|file| B256::from(file.id)).skip(call.skip as usize);
        return bytes(IFiles::listOfCall::abi_encode_returns(&ids.take(call.limit as usize).collect()));
    }
    let call = IFiles::getCall::abi_decode(&data).unwrap();
    match state.files.iter().find(|file| file.id == FileId::from(call.id)) {
        Some(file) => bytes(IFiles::getCall::abi_encode_returns(&to_file(file))),
        None => Err(error::reverted(IFiles::UnknownFile { id: call.id }.abi_encode())),
    }
}

fn to_miner(miner: &MinerRecord) -> IMiners::Miner {
    IMiners::Miner {
        account: miner.address,
        operator: miner.operator,
        networkKey: miner.network_key.into(),
        accountKey: miner.account_key.into(),
        prefix: miner.prefix,
        capacity: miner.capacity,
        used: miner.used,
        since: miner.since,
        collateral: miner.collateral,
        name: miner.name.clone(),
        state: miner.state,
        held: miner.held,
        leftAt: miner.left_at,
        strikes: miner.strikes,
        segments: miner.segments,
        consumed: miner.consumed,
        idle: miner.idle,
        weight: miner.weight,
    }
}

fn to_file(file: &FileRecord) -> IFiles::File {
    IFiles::File {
        id: file.id.into(),
        owners: file.owners.clone(),
        size: file.size,
        segments: file.segments,
        holders: file.holders.clone(),
        storedAt: file.stored_at,
    }
}
