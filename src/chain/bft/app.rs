//! What the driver asks of the chain it orders blocks for.

use crate::{
    consensus::{Block, Certificate, Committee},
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

    /// Builds a block for `height`, to be proposed by this node in `round`.
    async fn propose(&self, height: Height, round: u32) -> anyhow::Result<Block>;

    /// Checks a block proposed in `round`: parent, executed parent, body, beacon proof, proposer of `header.round` ≤ `round`,
    /// time, sizes, and that transactions decode. `pol_round` is the round in which two thirds prevoted for it earlier.
    /// Must be a function of the chain and the block alone: nodes that disagree here cannot decide.
    async fn validate(&self, block: &Block, round: u32, pol_round: Option<u32>) -> Result<(), String>;

    /// Stores and executes a decided block. Both are durable when it returns. An error stops the node.
    async fn commit(&self, block: Block, certificate: Certificate) -> anyhow::Result<Tip>;

    /// A decided block with its certificate, or `None` if this node does not keep it.
    async fn decided(&self, height: Height) -> anyhow::Result<Option<(Block, Certificate)>>;
}
