//! An imported chain behind the port of the Ethereum methods: every block with its state, in memory.
//!
//! Owns the indexes. Must not know the database. Invariant: blocks are consecutive from genesis on, each with the state after it.
//! The states share what they have in common; a chain must fit in memory with the changes of all of its blocks.

use crate::{
    chain::{
        api::backend::{Backend, ChainBlock, ChainState, CodeSource, StateGone},
        error::StoreError,
        mempool::{Limits, Mempool, PoolError},
        records::{ExecutedBlock, TxPlace},
    },
    ledger::{
        commitment::{StateCommitment, StateTrie},
        ethereum::{
            EthereumBlock, EthereumGenesis, Forks, Parent, base_fee_after, decode, decode_all, environment,
            excess_blob_gas_after,
        },
        executor::{BlockEnv, Receipt},
        header::ExecutedHeader,
        state::{StateDelta, StateError},
        tx::{TxError, VerifiedTx},
    },
    runtime::Node,
    types::{B256, ChainId, Height, U256},
};
use alloy_primitives::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use parking_lot::RwLock;
use std::{collections::HashMap, sync::Arc};

/// Seconds between the newest block and the one that would follow.
const SLOT_SECONDS: u64 = 12;

/// Code of all blocks, and their hashes.
#[derive(Default)]
struct Shared {
    code: RwLock<HashMap<B256, Bytes>>,
    hashes: RwLock<Vec<B256>>,
}

impl CodeSource for Shared {
    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        if *hash == alloy_primitives::KECCAK256_EMPTY || hash.is_zero() {
            return Ok(Bytes::new());
        }
        self.code.read().get(hash).cloned().ok_or(StateError::Code(*hash))
    }

    fn block_hash(&self, number: Height) -> Option<B256> {
        // A block that does not exist has no hash, wherever the rules look for one.
        let found = usize::try_from(number).ok().and_then(|number| self.hashes.read().get(number).copied());
        Some(found.unwrap_or_default())
    }
}

/// A chain that only reads.
pub struct ImportedChain {
    node: Node,
    forks: Forks,
    blocks: Vec<Arc<ChainBlock>>,
    /// Total difficulty up to and with each block.
    difficulties: Vec<U256>,
    states: Vec<StateTrie>,
    shared: Arc<Shared>,
    by_hash: HashMap<B256, Height>,
    txs: HashMap<B256, TxPlace>,
    pool: Mempool,
}

impl ImportedChain {
    /// Block zero.
    pub(super) fn begin(node: &Node, genesis: EthereumGenesis) -> Self {
        let EthereumGenesis { forks, header, delta } = genesis;
        let pool = Mempool::decoding(forks.config().chain_id, Limits::default(), decode_all);
        let mut chain = Self {
            node: node.clone(),
            forks,
            blocks: Vec::new(),
            difficulties: Vec::new(),
            states: Vec::new(),
            shared: Arc::default(),
            by_hash: HashMap::new(),
            txs: HashMap::new(),
            pool,
        };
        let withdrawals = header.withdrawals_root.map(|_| Vec::new());
        let block = EthereumBlock { header, txs: Vec::new(), ommers: Vec::new(), withdrawals };
        chain.append(
            block,
            Vec::new(),
            &delta,
            Some(StateTrie::default()).map(|mut trie| {
                trie.apply(&delta);
                trie
            }),
        );
        chain
    }

    /// The next block and what came of it; its state is computed where it is not at hand.
    pub(super) fn append(
        &mut self,
        block: EthereumBlock,
        receipts: Vec<Receipt>,
        delta: &StateDelta,
        state: Option<StateTrie>,
    ) {
        let EthereumBlock { header, txs, ommers, withdrawals } = block;
        let height = header.number;
        let state = state.unwrap_or_else(|| {
            let mut state = self.states.last().cloned().unwrap_or_default();
            state.apply(delta);
            state
        });
        let before = self.difficulties.last().copied().unwrap_or_default();
        self.difficulties.push(before.saturating_add(header.difficulty));
        self.states.push(state);
        self.shared.code.write().extend(delta.code.iter().map(|(hash, code)| (*hash, code.clone())));
        let block = ExecutedBlock::bare(header);
        self.shared.hashes.write().push(block.hash);
        self.by_hash.insert(block.hash, height);
        let places = (0u32..).map(|index| TxPlace { height, index });
        self.txs.extend(receipts.iter().map(|receipt| receipt.tx).zip(places));
        self.blocks.push(Arc::new(ChainBlock { block, txs, receipts, ommers, withdrawals }));
    }

    /// When which rules are in force.
    pub(super) fn forks(&self) -> &Forks {
        &self.forks
    }

    /// Hash of a block, if it is here.
    pub fn hash(&self, height: Height) -> Option<B256> {
        self.at(height).map(|block| block.block.hash)
    }

    /// What the next block follows on, with its state.
    pub(super) fn tip(&self) -> (Parent<'_>, ChainState, StateTrie) {
        let height = self.latest();
        let block = self.at(height).expect("genesis is always there");
        let trie = self.states.last().expect("genesis is always there").clone();
        (self.parent(&block.block.header, block.block.hash), self.view(trie.clone()), trie)
    }

    fn view(&self, trie: StateTrie) -> ChainState {
        ChainState { trie, code: self.shared.clone() }
    }

    fn at(&self, height: Height) -> Option<&Arc<ChainBlock>> {
        usize::try_from(height).ok().and_then(|height| self.blocks.get(height))
    }

    fn parent<'a>(&self, header: &'a ExecutedHeader, hash: B256) -> Parent<'a> {
        let total = usize::try_from(header.number).ok().and_then(|number| self.difficulties.get(number));
        // A block beyond the newest is a simulated one, to which no work was added.
        let total = total.or(self.difficulties.last());
        Parent { header, hash, total_difficulty: total.copied().unwrap_or_default() }
    }
}

impl Backend for ImportedChain {
    fn chain_id(&self) -> ChainId {
        self.forks.config().chain_id
    }

    fn node(&self) -> &Node {
        &self.node
    }

    fn latest(&self) -> Height {
        u64::try_from(self.blocks.len()).expect("a length fits 64 bits") - 1
    }

    fn first_kept(&self) -> Result<Height, StoreError> {
        Ok(0)
    }

    fn header(&self, height: Height) -> Result<Option<ExecutedBlock>, StoreError> {
        Ok(self.at(height).map(|block| block.block.clone()))
    }

    fn block(&self, height: Height) -> Result<Option<Arc<ChainBlock>>, StoreError> {
        Ok(self.at(height).cloned())
    }

    fn receipts(&self, height: Height) -> Result<Vec<Receipt>, StoreError> {
        Ok(self.at(height).map(|block| block.receipts.clone()).unwrap_or_default())
    }

    fn access_list(&self, _height: Height) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    fn find_block(&self, hash: &B256) -> Result<Option<Height>, StoreError> {
        Ok(self.by_hash.get(hash).copied())
    }

    fn find_tx(&self, hash: &B256) -> Result<Option<TxPlace>, StoreError> {
        Ok(self.txs.get(hash).copied())
    }

    fn state(&self, height: Height) -> Result<ChainState, StateGone> {
        let trie = usize::try_from(height).ok().and_then(|height| self.states.get(height));
        trie.map(|trie| self.view(trie.clone())).ok_or(StateGone::Ahead(height))
    }

    fn forks(&self) -> Option<&Forks> {
        Some(&self.forks)
    }

    fn env_of(&self, block: &ExecutedBlock) -> Result<BlockEnv, StoreError> {
        let header = &block.header;
        let before = header.number.checked_sub(1).and_then(|number| self.at(number));
        let parent = match before {
            Some(before) => self.parent(&before.block.header, before.block.hash),
            // Nothing comes before genesis; it is under the rules its own difficulty gives.
            None => self.parent(header, block.hash),
        };
        Ok(environment(&self.forks, parent, header))
    }

    fn env_after(&self, parent: &ExecutedBlock) -> BlockEnv {
        let before = self.parent(&parent.header, parent.hash);
        let (number, timestamp) = (parent.header.number + 1, parent.header.timestamp + SLOT_SECONDS);
        let header = ExecutedHeader {
            parent_hash: parent.hash,
            number,
            timestamp,
            gas_limit: parent.header.gas_limit,
            base_fee_per_gas: base_fee_after(&self.forks, before, number, timestamp),
            excess_blob_gas: excess_blob_gas_after(&self.forks, before, number, timestamp),
            ..Default::default()
        };
        environment(&self.forks, before, &header)
    }

    fn decode(&self, raw: &[u8]) -> Result<VerifiedTx, TxError> {
        decode(raw, self.chain_id())
    }

    fn pool(&self) -> &Mempool {
        &self.pool
    }

    fn submit(&self, raw: Bytes) -> BoxFuture<'_, Result<B256, PoolError>> {
        let height = self.latest();
        let (_, view, _) = self.tip();
        async move { self.pool.admit(&raw, &view, height, true).map(|tx| tx.hash) }.boxed()
    }

    fn is_syncing(&self) -> BoxFuture<'_, bool> {
        async { false }.boxed()
    }

    fn heights(&self) -> BoxStream<'static, Height> {
        stream::pending().boxed()
    }
}
