//! What the driver asks of the chain it orders blocks for.

use crate::{
    consensus::{Block, Certificate, Committee, Header},
    types::{B256, Height},
};
use async_trait::async_trait;

/// Where a chain stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Last decided height, 0 for genesis.
    pub height: Height,
    /// Committee that decides the next height.
    pub committee: Committee,
    /// Committee that follows that one, as far as it is known: its members are reached before it begins.
    pub upcoming: Committee,
    /// Beacon of `height`, the seed of the next height's rotation.
    pub seed: B256,
}

/// The chain behind the driver.
#[async_trait]
pub trait Application: Send + Sync + 'static {
    /// Where the chain stands now.
    async fn tip(&self) -> Tip;

    /// Returns when `height` may begin: transactions wait and the block interval has passed, or the idle interval has.
    /// The driver drops the future when others have begun already.
    async fn wait_to_start(&self, height: Height);

    /// Bytes of the transactions that wait for a block here, and most likely with the others too: how large the next block may be.
    fn waiting_bytes(&self) -> usize;

    /// Builds a block for `height`, to be proposed by this node in `round`.
    async fn propose(&self, height: Height, round: u32) -> anyhow::Result<Block>;

    /// Checks a block: parent, the executed block it names, body, beacon proof, that `header.round` is its proposer's turn, time after its
    /// parent's, sizes, and that transactions decode. Must be a function of the chain and the block alone: nodes that disagree
    /// here cannot decide. In which rounds the block may be proposed is `HeadedProposal::check`'s business.
    async fn validate(&self, block: &Block) -> Result<(), String>;

    /// Checks that a block nobody has voted for yet is not too far ahead of this node's clock.
    fn check_clock(&self, header: &Header) -> Result<(), String>;

    /// Stores a decided block durably and has it executed, which may go on after this returns: the next height can begin then. An
    /// error stops the node.
    async fn commit(&self, block: Block, certificate: Certificate) -> anyhow::Result<Tip>;

    /// About how many blocks others may have decided since the newest one here.
    async fn missing(&self) -> u64 {
        0
    }

    /// Stores and executes decided blocks that follow the newest one. The inner error says why they are refused: whoever sent them
    /// is to blame, and those before the wrong one may be stored. An outer error stops the node.
    async fn commit_many(&self, blocks: Vec<(Block, Certificate)>) -> anyhow::Result<Result<Tip, String>> {
        for (block, certificate) in blocks {
            self.commit(block, certificate).await?;
        }
        Ok(Ok(self.tip().await))
    }

    /// First height of which this node keeps the decided block.
    async fn first(&self) -> anyhow::Result<Height> {
        Ok(1)
    }

    /// A decided block with its certificate, or `None` if this node does not keep it.
    async fn decided(&self, height: Height) -> anyhow::Result<Option<(Block, Certificate)>>;
}
