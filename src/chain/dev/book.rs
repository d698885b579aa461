//! The blocks of a developer's chain with the state after each.
//!
//! Owns the chain as it is now; a copy is a snapshot, for tries and blocks are shared. Invariants: heights run from genesis
//! without a gap; the indices name exactly the blocks that are there.

use crate::{
    chain::{
        api::backend::ChainBlock,
        records::{ExecutedBlock, TxPlace},
    },
    ledger::{
        commitment::{StateCommitment, StateTrie},
        executor::BlockEnv,
        state::StateDelta,
    },
    types::{B256, Height},
};
use alloy_primitives::Bytes;
use std::{collections::HashMap, sync::Arc};

/// A block, what it ran in, and what it left behind.
#[derive(Clone)]
pub struct DevBlock {
    /// Header, transactions, receipts.
    pub whole: Arc<ChainBlock>,
    /// Its surroundings.
    pub env: BlockEnv,
    /// The state after it, and after what was changed by hand since.
    pub trie: StateTrie,
    /// How that state differs from the one before.
    pub delta: StateDelta,
    /// RLP of what it touched (EIP-7928), if it was made here: neither genesis has one nor a block that was loaded.
    pub access_list: Option<Bytes>,
}

impl DevBlock {
    /// Its header.
    pub fn executed(&self) -> &ExecutedBlock {
        &self.whole.block
    }
}

/// All blocks.
#[derive(Clone)]
pub struct Book {
    blocks: Vec<Arc<DevBlock>>,
    heights: HashMap<B256, Height>,
    places: HashMap<B256, TxPlace>,
}

impl Book {
    /// Begins with genesis.
    pub fn new(genesis: DevBlock) -> Self {
        let mut book = Self { blocks: Vec::new(), heights: HashMap::new(), places: HashMap::new() };
        book.push(Arc::new(genesis));
        book
    }

    /// The newest block.
    pub fn newest(&self) -> &Arc<DevBlock> {
        self.blocks.last().expect("there is always genesis")
    }

    /// Its height.
    pub fn height(&self) -> Height {
        self.newest().env.height
    }

    /// The block of a height.
    pub fn at(&self, height: Height) -> Option<&Arc<DevBlock>> {
        self.blocks.get(usize::try_from(height).ok()?)
    }

    /// All of them from genesis on.
    pub fn blocks(&self) -> &[Arc<DevBlock>] {
        &self.blocks
    }

    /// Height of a block by its hash.
    pub fn find_block(&self, hash: &B256) -> Option<Height> {
        self.heights.get(hash).copied()
    }

    /// Where a transaction is.
    pub fn find_tx(&self, hash: &B256) -> Option<TxPlace> {
        self.places.get(hash).copied()
    }

    /// Adds the next block.
    pub fn push(&mut self, block: Arc<DevBlock>) {
        let height = block.env.height;
        assert_eq!(u64::try_from(self.blocks.len()), Ok(height), "blocks are added one after the other");
        self.heights.insert(block.executed().hash, height);
        for (index, receipt) in (0u32..).zip(&block.whole.receipts) {
            self.places.insert(receipt.tx, TxPlace { height, index });
        }
        self.blocks.push(block);
    }

    /// Removes the blocks above `height` and returns them, oldest first.
    pub fn cut(&mut self, height: Height) -> Vec<Arc<DevBlock>> {
        let keep = usize::try_from(height).map_or(usize::MAX, |height| height.saturating_add(1));
        let gone = self.blocks.split_off(keep.min(self.blocks.len()));
        for block in &gone {
            self.heights.remove(&block.executed().hash);
            for receipt in &block.whole.receipts {
                self.places.remove(&receipt.tx);
            }
        }
        gone
    }

    /// Changes the state after the newest block by hand. Its header keeps the root it had; the next block's covers the change.
    pub fn edit(&mut self, change: &StateDelta) {
        let newest = self.blocks.last_mut().expect("there is always genesis");
        let block = Arc::make_mut(newest);
        block.trie.apply(change);
        block.delta.merge(change.clone());
    }
}
