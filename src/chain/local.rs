//! The chain of this very node behind the port every role uses.
//!
//! Owns nothing but the translation. Must not know JSON-RPC. Invariant: answers are those the remote implementation would give
//! against this node.

use super::{
    calls::{CALL_GAS_MAX, CallFault},
    error::{NotKept, StoreError},
    full::FullChain,
    mempool::PoolError,
};
use crate::{
    client::{
        ChainClient, ChainError, ChainEvent, ChainStatus, EventBatch, FileRecord, MinerRecord, TxOutcome,
        check_event_span, file_record, miner_record, revert,
    },
    ledger::{
        abi::{FILES, IFiles, IMiners, MINERS},
        executor::CallRequest,
        modules::BEACON_RING,
    },
    network::Network,
    rpc::error::{INTERNAL, PRUNED, REVERTED, SERVER_ERROR, TX_REJECTED, UNAVAILABLE},
    types::{Address, B256, FileId, Height, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Miners read in one call.
const MINERS_PAGE: u64 = 500;
/// Miners a chain may have before this client refuses to list them all.
const MINERS_MAX: u64 = 100_000;
/// A node whose newest block is older than this many idle intervals is catching up.
const BEHIND_AFTER_INTERVALS: u64 = 5;

/// The local chain client.
#[derive(Clone)]
pub struct LocalChain {
    chain: Arc<FullChain>,
    net: Arc<dyn Network>,
    outbox: mpsc::Sender<bytes::Bytes>,
}

impl LocalChain {
    /// Over this node's chain; admitted transactions go to `outbox` for gossip.
    pub fn new(chain: Arc<FullChain>, net: Arc<dyn Network>, outbox: mpsc::Sender<bytes::Bytes>) -> Self {
        Self { chain, net, outbox }
    }

    /// The chain behind it.
    pub fn chain(&self) -> &Arc<FullChain> {
        &self.chain
    }

    /// Admits a transaction and lets others know of it.
    pub async fn hand_in(&self, raw: Bytes) -> Result<B256, PoolError> {
        let (chain, envelope) = (self.chain.clone(), raw.clone());
        let tx = self.chain.node().pool.run(move || chain.admit(&envelope, true)).await?;
        // A full outbox is fine: what still waits is announced again.
        let _ = self.outbox.try_send(raw.0);
        Ok(tx.hash)
    }

    /// As [`LocalChain::hand_in`] for many.
    pub async fn hand_in_all(&self, raws: Vec<Bytes>) -> Vec<Result<B256, PoolError>> {
        let chain = self.chain.clone();
        let job = move || {
            let admitted = chain.admit_all(&raws, true);
            (admitted, raws)
        };
        let (admitted, raws) = self.chain.node().pool.run(job).await;
        let fresh = admitted.iter().zip(raws).filter(|(one, _)| one.is_ok());
        for (_, raw) in fresh {
            // A full outbox is fine: what still waits is announced again.
            let _ = self.outbox.try_send(raw.0);
        }
        admitted.into_iter().map(|one| one.map(|tx| tx.hash)).collect()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce(&FullChain) -> Result<T, ChainError> + Send + 'static,
    ) -> Result<T, ChainError> {
        let chain = self.chain.clone();
        self.chain.node().pool.run(move || job(&chain)).await
    }

    fn status_now(&self) -> ChainStatus {
        let (head, spec) = (self.chain.head(), self.chain.spec());
        let age = self.chain.node().clock.unix_ms().saturating_sub(head.executed.time_ms);
        ChainStatus {
            chain_id: spec.chain_id,
            genesis: spec.genesis,
            height: head.height(),
            hash: head.executed.hash,
            beacon: head.executed.beacon,
            time_ms: head.executed.time_ms,
            profile: spec.params.profile,
            peers: self.net.peers().len(),
            syncing: age > BEHIND_AFTER_INTERVALS * spec.params.idle_block_interval_ms,
        }
    }
}

#[async_trait]
impl ChainClient for LocalChain {
    async fn status(&self) -> Result<ChainStatus, ChainError> {
        Ok(self.status_now())
    }

    async fn wait_above(&self, height: Height, deadline: Duration) -> Result<ChainStatus, ChainError> {
        let mut head = self.chain.watch();
        // Both a passed deadline and a closed chain end the wait; the status says where the chain stands.
        let _ = tokio::time::timeout(deadline, head.wait_for(|head| head.height() > height)).await;
        Ok(self.status_now())
    }

    async fn balance(&self, account: Address) -> Result<U256, ChainError> {
        self.blocking(move |chain| Ok(account_of(chain, &account)?.1)).await
    }

    async fn nonce(&self, account: Address) -> Result<u64, ChainError> {
        self.blocking(move |chain| Ok(chain.pool().next_nonce(&account, account_of(chain, &account)?.0))).await
    }

    async fn base_fee(&self) -> Result<u64, ChainError> {
        Ok(self.chain.head().next_base_fee)
    }

    async fn call(&self, to: Address, data: Bytes) -> Result<Bytes, ChainError> {
        self.blocking(move |chain| call(chain, to, data).map_err(refused)).await
    }

    async fn estimate_gas(&self, from: Address, to: Address, value: U256, data: Bytes) -> Result<u64, ChainError> {
        let request = CallRequest { from, to: Some(to), value, data, gas: CALL_GAS_MAX };
        self.blocking(move |chain| chain.estimate(&request).map_err(refused)).await
    }

    async fn submit(&self, raw: Bytes) -> Result<B256, ChainError> {
        match self.hand_in(raw).await {
            Ok(hash) | Err(PoolError::Known(hash)) => Ok(hash),
            Err(e) => Err(ChainError::Refused { code: TX_REJECTED, message: e.to_string() }),
        }
    }

    async fn outcome(&self, tx: B256) -> Result<Option<TxOutcome>, ChainError> {
        self.blocking(move |chain| outcome(chain, tx).map_err(internal)).await
    }

    async fn events(&self, from: Height, to: Height) -> Result<Vec<EventBatch>, ChainError> {
        self.blocking(move |chain| events(chain, from, to)).await
    }

    async fn beacon(&self, height: Height) -> Result<Option<B256>, ChainError> {
        let newest = self.chain.head().height();
        if height > newest || newest - height >= BEACON_RING {
            return Ok(None);
        }
        self.blocking(move |chain| Ok(chain.blocks().executed(height).map_err(internal)?.map(|block| block.beacon)))
            .await
    }

    async fn miners(&self) -> Result<Vec<MinerRecord>, ChainError> {
        self.blocking(miners).await
    }

    async fn file(&self, id: FileId) -> Result<Option<FileRecord>, ChainError> {
        self.blocking(move |chain| file(chain, id)).await
    }

    async fn manifest(&self, id: FileId) -> Result<Option<Bytes>, ChainError> {
        self.blocking(move |chain| manifest(chain, id)).await
    }

    async fn files_of(&self, owner: Address, skip: u64, limit: u64) -> Result<Vec<FileRecord>, ChainError> {
        self.blocking(move |chain| {
            let ids = module_call(chain, FILES, IFiles::listOfCall { owner, skip, limit })?;
            let found: Result<Vec<_>, _> = ids.into_iter().map(|id| file(chain, id.into())).collect();
            Ok(found?.into_iter().flatten().collect())
        })
        .await
    }
}

fn account_of(chain: &FullChain, account: &Address) -> Result<(u64, U256), ChainError> {
    let info = chain.read(|view, _| view.account(account)).map_err(internal)?;
    Ok(info.map_or((0, U256::ZERO), |info| (info.nonce, info.balance)))
}

fn call(chain: &FullChain, to: Address, data: Bytes) -> Result<Bytes, CallFault> {
    chain.call(&CallRequest { from: Address::ZERO, to: Some(to), value: U256::ZERO, data, gas: CALL_GAS_MAX })
}

fn module_call<C: SolCall>(chain: &FullChain, module: Address, request: C) -> Result<C::Return, ChainError> {
    let output = call(chain, module, request.abi_encode().into()).map_err(refused)?;
    C::abi_decode_returns(&output).map_err(|e| ChainError::Malformed(e.to_string()))
}

fn miners(chain: &FullChain) -> Result<Vec<MinerRecord>, ChainError> {
    let (mut miners, mut skip) = (Vec::new(), 0);
    while skip < MINERS_MAX {
        let page = module_call(chain, MINERS, IMiners::listCall { skip, limit: MINERS_PAGE })?;
        let last = page.len() < usize::try_from(MINERS_PAGE).unwrap_or(usize::MAX);
        miners.extend(page.into_iter().map(miner_record));
        if last {
            return Ok(miners);
        }
        skip += MINERS_PAGE;
    }
    Err(ChainError::Malformed(format!("the chain lists over {MINERS_MAX} miners")))
}

fn file(chain: &FullChain, id: FileId) -> Result<Option<FileRecord>, ChainError> {
    match call(chain, FILES, IFiles::getCall { id: id.into() }.abi_encode().into()) {
        Ok(output) => {
            let record = IFiles::getCall::abi_decode_returns(&output);
            record.map(|record| Some(file_record(record))).map_err(|e| ChainError::Malformed(e.to_string()))
        }
        Err(CallFault::Reverted(data)) if revert::is_unknown_file(&data) => Ok(None),
        Err(fault) => Err(refused(fault)),
    }
}

/// The manifest is in the event of the block that made the file active.
fn manifest(chain: &FullChain, id: FileId) -> Result<Option<Bytes>, ChainError> {
    let Some(record) = file(chain, id)? else { return Ok(None) };
    let stored = |(_, event)| match event {
        ChainEvent::FileStored { id: found, manifest, .. } if found == id => Some(manifest),
        _ => None,
    };
    check_kept(chain, record.stored_at, record.stored_at)?;
    let batch = events_at(chain, record.stored_at)?;
    Ok(batch.and_then(|batch| batch.events.into_iter().rev().find_map(stored)))
}

fn outcome(chain: &FullChain, tx: B256) -> Result<Option<TxOutcome>, StoreError> {
    let Some(place) = chain.blocks().find_tx(&tx)? else { return Ok(None) };
    let height = place.height;
    let missing = |what| StoreError::Missing { what, height };
    let index = usize::try_from(place.index).expect("32 bits fit a usize");
    let block = chain.blocks().executed(height)?.ok_or_else(|| missing("executed header"))?;
    let receipts = chain.blocks().receipts(height)?;
    let receipt = receipts.get(index).ok_or_else(|| missing("receipt"))?;
    let error = (!receipt.success).then(|| match &receipt.halt {
        Some(halt) => format!("{halt} after {} gas", receipt.gas_used),
        None => revert::explain(&receipt.output),
    });
    Ok(Some(TxOutcome {
        tx,
        height,
        block: block.hash,
        gas_used: receipt.gas_used,
        gas_price: U256::from(receipt.gas_price),
        success: receipt.success,
        error,
    }))
}

fn events(chain: &FullChain, from: Height, to: Height) -> Result<Vec<EventBatch>, ChainError> {
    let newest = chain.head().height();
    if to < from {
        return Ok(Vec::new());
    }
    check_event_span(from, to)?;
    if to > newest {
        let message = format!("block {to} is not executed here, block {newest} is");
        return Err(ChainError::Refused { code: UNAVAILABLE, message });
    }
    check_kept(chain, from, to)?;
    (from..=to).filter_map(|height| events_at(chain, height).transpose()).collect()
}

/// Refuses a range some of whose events this node does not have. Genesis has none.
fn check_kept(chain: &FullChain, from: Height, to: Height) -> Result<(), ChainError> {
    let first = chain.blocks().first_height().map_err(internal)?;
    NotKept::check(first, from.max(1), to)
        .map_err(|gone| ChainError::Refused { code: PRUNED, message: gone.to_string() })
}

fn events_at(chain: &FullChain, height: Height) -> Result<Option<EventBatch>, ChainError> {
    let Some(block) = chain.blocks().executed(height).map_err(internal)? else { return Ok(None) };
    if block.header.logs_bloom.is_zero() {
        return Ok(None);
    }
    let mut events = Vec::new();
    for receipt in chain.blocks().receipts(height).map_err(internal)? {
        let decoded =
            receipt.logs.iter().filter_map(|log| ChainEvent::decode(log.address, log.topics(), &log.data.data));
        events.extend(decoded.map(|event| (receipt.tx, event)));
    }
    Ok((!events.is_empty()).then_some(EventBatch { height, events }))
}

fn refused(fault: CallFault) -> ChainError {
    match fault {
        CallFault::Reverted(data) => {
            let message = format!("execution reverted: {}", revert::explain(&data));
            ChainError::Refused { code: REVERTED, message }
        }
        fault => ChainError::Refused { code: SERVER_ERROR, message: fault.to_string() },
    }
}

fn internal(e: impl std::fmt::Display) -> ChainError {
    ChainError::Refused { code: INTERNAL, message: e.to_string() }
}
