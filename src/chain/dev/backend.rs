//! A developer's chain behind the port of the Ethereum methods.

use super::{DevChain, Told, console};
use crate::{
    chain::{
        api::backend::{Backend, ChainBlock, ChainState, StateGone},
        error::StoreError,
        mempool::{Mempool, PoolError},
        records::{ExecutedBlock, TxPlace},
    },
    ledger::{
        executor::{BlockEnv, Call, Receipt, Session},
        header::env_after,
        tx::{TxError, VerifiedTx},
        unsigned,
    },
    runtime::Node,
    types::{Address, B256, ChainId, Height},
};
use alloy_primitives::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use std::sync::Arc;

impl Backend for DevChain {
    fn chain_id(&self) -> ChainId {
        self.inner.state.read().settings.chain_id
    }

    fn node(&self) -> &Node {
        &self.inner.node
    }

    fn accounts(&self) -> Vec<Address> {
        let state = self.inner.state.read();
        let own = self.inner.options.accounts.iter().map(|account| account.address);
        own.chain(state.settings.impersonated.iter().copied()).collect()
    }

    fn latest(&self) -> Height {
        self.inner.state.read().book.height()
    }

    fn first_kept(&self) -> Result<Height, StoreError> {
        Ok(0)
    }

    fn header(&self, height: Height) -> Result<Option<ExecutedBlock>, StoreError> {
        Ok(self.inner.state.read().book.at(height).map(|block| block.executed().clone()))
    }

    fn block(&self, height: Height) -> Result<Option<Arc<ChainBlock>>, StoreError> {
        Ok(self.inner.state.read().book.at(height).map(|block| block.whole.clone()))
    }

    fn receipts(&self, height: Height) -> Result<Vec<Receipt>, StoreError> {
        Ok(self.block(height)?.map(|block| block.receipts.clone()).unwrap_or_default())
    }

    fn access_list(&self, height: Height) -> Result<Option<Bytes>, StoreError> {
        Ok(self.inner.state.read().book.at(height).and_then(|block| block.access_list.clone()))
    }

    fn find_block(&self, hash: &B256) -> Result<Option<Height>, StoreError> {
        Ok(self.inner.state.read().book.find_block(hash))
    }

    fn find_tx(&self, hash: &B256) -> Result<Option<TxPlace>, StoreError> {
        Ok(self.inner.state.read().book.find_tx(hash))
    }

    fn state(&self, height: Height) -> Result<ChainState, StateGone> {
        let state = self.inner.state.read();
        let block = state.book.at(height).ok_or(StateGone::Ahead(height))?;
        Ok(ChainState { trie: block.trie.clone(), code: self.inner.codes.clone() })
    }

    fn env_of(&self, block: &ExecutedBlock) -> Result<BlockEnv, StoreError> {
        let state = self.inner.state.read();
        let found = state.book.at(block.height()).filter(|found| found.executed().hash == block.hash);
        // It was there when the caller read it, and was taken back since.
        let missing = StoreError::Missing { what: "block", height: block.height() };
        found.map(|found| found.env.clone()).ok_or(missing)
    }

    fn env_after(&self, parent: &ExecutedBlock) -> BlockEnv {
        let state = self.inner.state.read();
        match state.book.newest().executed().hash == parent.hash {
            true => self.next_env(&state, self.now_ms()),
            false => env_after(&parent.header, state.settings.chain_id, &self.inner.params),
        }
    }

    fn decode(&self, raw: &[u8]) -> Result<VerifiedTx, TxError> {
        unsigned::decode(raw, self.chain_id())
    }

    fn tell_console(&self, session: &Session<'_>, call: &Call) {
        let Some(tell) = self.listener() else { return };
        match console::of_call(session, call) {
            Ok(lines) => lines.iter().for_each(|line| tell(Told::Console(line))),
            Err(error) => tracing::warn!(%error, "what a call logged to the console cannot be told"),
        }
    }

    fn pool(&self) -> &Mempool {
        &self.inner.pool
    }

    fn submit(&self, raw: Bytes) -> BoxFuture<'_, Result<B256, PoolError>> {
        let chain = self.clone();
        self.inner.node.pool.run(move || chain.take_signed(&raw)).boxed()
    }

    fn is_syncing(&self) -> BoxFuture<'_, bool> {
        futures::future::ready(false).boxed()
    }

    fn heights(&self) -> BoxStream<'static, Height> {
        let next = |mut heights: tokio::sync::watch::Receiver<Height>| async move {
            heights.changed().await.ok()?;
            let height = *heights.borrow_and_update();
            Some((height, heights))
        };
        stream::unfold(self.inner.heights.subscribe(), next).boxed()
    }
}
