//! A full node's chain behind the port of the Ethereum methods.
//!
//! Owns nothing but the translation. Must not know JSON.

use super::{
    api::backend::{Backend, ChainBlock, ChainState, CodeSource, StateGone},
    error::StoreError,
    full::FullChain,
    local::LocalChain,
    log_index::LogRow,
    mempool::{Mempool, PoolError},
    records::{ExecutedBlock, TxPlace},
};
use crate::{
    client::ChainClient,
    ledger::{
        executor::{BlockEnv, Receipt, Rules},
        header::env_after,
        state::StateError,
        tx::{TxError, VerifiedTx, decode_and_recover},
    },
    network::Network,
    runtime::Node,
    types::{B256, ChainId, Height},
};
use alloy_primitives::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use std::sync::Arc;

/// The chain of this node.
pub struct FullBackend {
    chain: Arc<FullChain>,
    client: Arc<LocalChain>,
    net: Arc<dyn Network>,
}

impl FullBackend {
    /// Over this node's chain, submitting through its client.
    pub fn new(chain: Arc<FullChain>, client: Arc<LocalChain>, net: Arc<dyn Network>) -> Self {
        Self { chain, client, net }
    }
}

/// The newest state knows every code there ever was.
struct NewestCode(Arc<FullChain>);

impl CodeSource for NewestCode {
    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.0.read(|view, _| view.code(hash))
    }
}

impl Backend for FullBackend {
    fn chain_id(&self) -> ChainId {
        self.chain.spec().chain_id
    }

    fn node(&self) -> &Node {
        self.chain.node()
    }

    fn peers(&self) -> usize {
        self.net.peers().len()
    }

    fn is_listening(&self) -> bool {
        !self.net.listen_addrs().is_empty()
    }

    fn latest(&self) -> Height {
        self.chain.head().height()
    }

    fn first_kept(&self) -> Result<Height, StoreError> {
        // Genesis is always kept.
        self.chain.blocks().first_height().map(|first| if first == 1 { 0 } else { first })
    }

    fn header(&self, height: Height) -> Result<Option<ExecutedBlock>, StoreError> {
        self.chain.blocks().executed(height)
    }

    fn block(&self, height: Height) -> Result<Option<Arc<ChainBlock>>, StoreError> {
        chain_block(&self.chain, height).map(|block| block.map(Arc::new))
    }

    fn receipts(&self, height: Height) -> Result<Vec<Receipt>, StoreError> {
        self.chain.blocks().receipts(height)
    }

    fn log_heights(&self, row: &LogRow, from: Height, limit: usize) -> Result<Vec<Height>, StoreError> {
        self.chain.blocks().log_heights(row, from, limit)
    }

    fn logs_from(&self) -> Result<Height, StoreError> {
        Ok(self.chain.blocks().logs_from()?.unwrap_or(Height::MAX))
    }

    fn access_list(&self, height: Height) -> Result<Option<Bytes>, StoreError> {
        self.chain.blocks().access_list(height)
    }

    fn find_block(&self, hash: &B256) -> Result<Option<Height>, StoreError> {
        self.chain.blocks().find_block(hash)
    }

    fn find_tx(&self, hash: &B256) -> Result<Option<TxPlace>, StoreError> {
        self.chain.blocks().find_tx(hash)
    }

    fn state(&self, height: Height) -> Result<ChainState, StateGone> {
        if let Some(trie) = self.chain.past_state(height)? {
            return Ok(ChainState { trie, code: Arc::new(NewestCode(self.chain.clone())) });
        }
        Err(match height > self.latest() {
            true => StateGone::Ahead(height),
            false => StateGone::Pruned { height, oldest: self.chain.oldest_state() },
        })
    }

    fn env_of(&self, executed: &ExecutedBlock) -> Result<BlockEnv, StoreError> {
        let header = &executed.header;
        let round = self.chain.blocks().block(header.number)?.map_or(0, |block| block.header.round);
        let spec = self.chain.spec();
        Ok(BlockEnv {
            chain_id: spec.chain_id,
            height: header.number,
            time_ms: executed.time_ms,
            beacon: executed.beacon,
            proposer: header.beneficiary,
            round,
            parent_hash: header.parent_hash,
            base_fee: executed.base_fee(),
            gas_limit: header.gas_limit,
            params: spec.params.clone(),
            rules: Rules::CESS,
        })
    }

    fn env_after(&self, parent: &ExecutedBlock) -> BlockEnv {
        let spec = self.chain.spec();
        env_after(&parent.header, spec.chain_id, &spec.params)
    }

    fn decode(&self, raw: &[u8]) -> Result<VerifiedTx, TxError> {
        decode_and_recover(raw, self.chain_id())
    }

    fn pool(&self) -> &Mempool {
        self.chain.pool()
    }

    fn submit(&self, raw: Bytes) -> BoxFuture<'_, Result<B256, PoolError>> {
        self.client.hand_in(raw).boxed()
    }

    fn is_syncing(&self) -> BoxFuture<'_, bool> {
        // A status that cannot be told is that of a node in trouble.
        async { self.client.status().await.is_ok_and(|status| status.syncing) }.boxed()
    }

    fn heights(&self) -> BoxStream<'static, Height> {
        let next = |mut heads: tokio::sync::watch::Receiver<Arc<super::head::Head>>| async move {
            heads.changed().await.ok()?;
            let height = heads.borrow_and_update().height();
            Some((height, heads))
        };
        stream::unfold(self.chain.watch(), next).boxed()
    }
}

/// A block of this node's chain; `None` if it is not executed, or its transactions are not kept.
pub(super) fn chain_block(chain: &FullChain, height: Height) -> Result<Option<ChainBlock>, StoreError> {
    let blocks = chain.blocks();
    let Some(block) = blocks.executed(height)? else { return Ok(None) };
    let body = match blocks.block(height)? {
        Some(block) => block.txs,
        None if height == 0 => Vec::new(),
        // The state of this block was taken over, without its transactions.
        None => return Ok(None),
    };
    let receipts = blocks.receipts(height)?;
    let skipped = |index: u32| block.skipped.iter().any(|skip| skip.index == index);
    let txs: Vec<Bytes> = (0u32..).zip(body).filter(|(index, _)| !skipped(*index)).map(|(_, raw)| raw.into()).collect();
    if txs.len() != receipts.len() {
        return Err(StoreError::Uneven { height, txs: txs.len(), receipts: receipts.len() });
    }
    let withdrawals = block.header.withdrawals_root.map(|_| Vec::new());
    Ok(Some(ChainBlock { block, txs, receipts, ommers: Vec::new(), withdrawals }))
}
