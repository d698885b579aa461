//! A chain with names and files: each transaction is a block of its own, and all of them are counted.

use crate::{
    client::{
        ChainClient, ChainError, ChainEvent, ChainStatus, EventBatch, FileRecord, MinerRecord, TxOutcome,
        tests::fake_names::FakeNames,
    },
    ledger::{
        abi::{FILES, IFiles, INames, NAMES},
        manifest::Manifest,
        native::{self, Call},
    },
    rpc::error::REVERTED,
    storage::{cluster::FakeChain, upload::StoreCall},
    types::{Address, B256, FileId, Height, U256},
};
use alloy_primitives::{Bytes, keccak256};
use alloy_sol_types::SolCall;
use async_trait::async_trait;
use futures::FutureExt as _;
use parking_lot::Mutex;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// The chain.
pub struct TestChain {
    /// Its blocks, miners and files.
    pub files: Arc<FakeChain>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    names: FakeNames,
    nonces: BTreeMap<Address, u64>,
    outcomes: BTreeMap<B256, TxOutcome>,
    events: BTreeMap<Height, Vec<(B256, ChainEvent)>>,
    /// Transactions that were executed and for which somebody waits.
    awaited: u64,
    /// Transactions it takes before it refuses all.
    takes: Option<u64>,
}

impl TestChain {
    pub fn over(files: Arc<FakeChain>) -> Arc<Self> {
        Arc::new(Self { files, state: Mutex::default() })
    }

    /// Transactions so far, without those of the collectors of tables, which nobody waits for.
    pub fn transactions(&self) -> u64 {
        self.state.lock().awaited
    }

    /// Takes so many transactions from now on, and refuses what comes after them.
    pub fn take(&self, transactions: Option<u64>) {
        self.state.lock().takes = transactions;
    }

    /// Names that there are: namespaces with what they are called.
    pub fn names(&self) -> Vec<(B256, Bytes)> {
        self.state.lock().names.entries.iter().map(|(space, name)| (*space, name.name.clone())).collect()
    }

    /// Executes a transaction, all of its calls or none.
    fn execute(&self, raw: &Bytes) -> Result<B256, ChainError> {
        let (tx, batch) = (keccak256(raw), native::is_batch(raw));
        let (sender, nonce, calls) = if batch {
            let (batch, _) = native::decode_batch(raw).unwrap();
            (crate::crypto::native_address(&batch.key), batch.nonce, batch.calls)
        } else {
            let (tx, _) = native::decode(raw).unwrap();
            (tx.sender(), tx.nonce, vec![Call { to: tx.to, value: tx.value, data: tx.data }])
        };
        let mut state = self.state.lock();
        if state.outcomes.contains_key(&tx) {
            return Ok(tx);
        }
        match &mut state.takes {
            Some(0) => return Err(refused("the test pulled the plug")),
            Some(more) => *more -= 1,
            None => {}
        }
        let next = state.nonces.entry(sender).or_default();
        // Another life of a gateway used it a moment ago.
        if nonce < *next {
            return Err(refused("nonce too low"));
        }
        assert_eq!(nonce, *next, "nonces of one account are consecutive");
        *next += 1;
        state.awaited += u64::from(!calls.iter().all(is_collectors));
        let fits = calls.iter().all(|call| call.to != NAMES || state.names.measure(&call.data).is_ok());
        state.names.measured.clear();
        let done = fits && calls.iter().filter(|call| call.to == FILES).all(|call| self.file_call(&call.data));
        let height = if done && calls.iter().any(|call| call.to == FILES) {
            self.files.height()
        } else {
            self.files.height() + 1
        };
        if done {
            let names = calls.iter().filter(|call| call.to == NAMES);
            let events: Vec<_> = names.filter_map(|call| Some((tx, state.names.make(&call.data)?))).collect();
            state.events.entry(height).or_default().extend(events);
        }
        let error = (!done).then(|| "0x".to_owned());
        let (gas_used, gas_price) = (21_000, U256::ONE);
        let outcome = TxOutcome { tx, height, block: B256::ZERO, gas_used, gas_price, success: done, error };
        state.outcomes.insert(tx, outcome);
        drop(state);
        if self.files.height() < height {
            self.files.advance(1);
        }
        Ok(tx)
    }

    /// Stores or removes a file, which makes a block.
    fn file_call(&self, data: &[u8]) -> bool {
        if let Ok(call) = IFiles::storeForCall::abi_decode(data) {
            let manifest = Manifest::read(&call.manifest).unwrap();
            let receipt = |bytes: &Bytes| crate::crypto::Signature(bytes[..].try_into().unwrap());
            let store = StoreCall {
                file: manifest.id(),
                manifest,
                manifest_bytes: call.manifest,
                beacon_height: call.beaconHeight,
                holders: call.holders,
                receipts: call.receipts.iter().map(receipt).collect(),
            };
            return self.files.store(&store, call.owner).is_ok();
        }
        let call = IFiles::removeForCall::abi_decode(data).unwrap();
        let (id, owner) = (FileId::from(call.id), call.owner);
        let found = self.files.file(id).now_or_never().expect("it answers at once").unwrap();
        let owned = found.is_some_and(|record| record.owners == [owner]);
        if owned {
            self.files.delete(id);
        }
        owned
    }
}

/// Whether a call removes a name, or notes up to where a collector removes them.
fn is_collectors(call: &Call) -> bool {
    call.to == NAMES && (call.data.starts_with(&INames::removeCall::SELECTOR) || memmem(&call.data, b"/gc/"))
}

fn memmem(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn refused(message: &str) -> ChainError {
    ChainError::Refused { code: REVERTED, message: message.to_owned() }
}

#[async_trait]
impl ChainClient for TestChain {
    async fn status(&self) -> Result<ChainStatus, ChainError> {
        self.files.status().await
    }

    async fn wait_above(&self, height: Height, deadline: Duration) -> Result<ChainStatus, ChainError> {
        self.files.wait_above(height, deadline).await
    }

    async fn balance(&self, account: Address) -> Result<U256, ChainError> {
        self.files.balance(account).await
    }

    async fn nonce(&self, account: Address) -> Result<u64, ChainError> {
        Ok(self.state.lock().nonces.get(&account).copied().unwrap_or(0))
    }

    async fn base_fee(&self) -> Result<u64, ChainError> {
        Ok(1)
    }

    async fn call(&self, to: Address, data: Bytes) -> Result<Bytes, ChainError> {
        match to {
            NAMES => Ok(self.state.lock().names.answer(&data).unwrap_or_default()),
            to => self.files.call(to, data).await,
        }
    }

    async fn estimate_gas(&self, _: Address, to: Address, _: U256, data: Bytes) -> Result<u64, ChainError> {
        let mut state = self.state.lock();
        if state.takes == Some(0) {
            return Err(refused("the test pulled the plug"));
        }
        let measured = if to == NAMES { state.names.measure(&data) } else { Ok(()) };
        state.names.measured.clear();
        measured.map(|()| 100_000)
    }

    async fn submit(&self, raw: Bytes) -> Result<B256, ChainError> {
        self.execute(&raw)
    }

    async fn outcome(&self, tx: B256) -> Result<Option<TxOutcome>, ChainError> {
        Ok(self.state.lock().outcomes.get(&tx).cloned())
    }

    async fn events(&self, from: Height, to: Height) -> Result<Vec<EventBatch>, ChainError> {
        let mut batches: BTreeMap<Height, EventBatch> =
            self.files.events(from, to).await?.into_iter().map(|batch| (batch.height, batch)).collect();
        for (height, events) in self.state.lock().events.range(from..=to) {
            let batch = batches.entry(*height).or_insert(EventBatch { height: *height, events: Vec::new() });
            batch.events.extend(events.iter().cloned());
        }
        Ok(batches.into_values().collect())
    }

    async fn beacon(&self, height: Height) -> Result<Option<B256>, ChainError> {
        self.files.beacon(height).await
    }

    async fn miners(&self) -> Result<Vec<MinerRecord>, ChainError> {
        self.files.miners().await
    }

    async fn file(&self, id: FileId) -> Result<Option<FileRecord>, ChainError> {
        self.files.file(id).await
    }

    async fn manifest(&self, id: FileId) -> Result<Option<Bytes>, ChainError> {
        self.files.manifest(id).await
    }

    async fn files_of(&self, owner: Address, skip: u64, limit: u64) -> Result<Vec<FileRecord>, ChainError> {
        self.files.files_of(owner, skip, limit).await
    }
}
