//! Repair: columns that look for a new holder.
//!
//! Owns the readings of IRepair. Must not know how a column is repaired.

use super::{ask_module, list_all, some};
use crate::{
    client::{ChainClient, ChainError},
    ledger::abi::{IRepair, REPAIR},
    types::{Address, FileId, Height, U256},
};
use serde::{Deserialize, Serialize};

/// An open order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairOrder {
    /// The file.
    pub file: FileId,
    /// Which of its columns.
    pub column: u8,
    /// Who leaves, is lost or gave it up.
    pub holder: Address,
    /// Who has claimed it.
    pub claimer: Option<Address>,
    /// Height of the claim.
    pub claimed_at: Height,
    /// Last block of the claim.
    pub until: Height,
    /// Bytes of the column.
    pub bytes: u64,
    /// Paid to who completes it.
    pub bounty: U256,
}

/// Every open order.
pub async fn repair_orders(chain: &dyn ChainClient) -> Result<Vec<RepairOrder>, ChainError> {
    let found = list_all(chain, REPAIR, |skip, limit| IRepair::ordersCall { skip, limit }).await?;
    Ok(found.into_iter().map(order).collect())
}

/// Blocks a claim lasts.
pub async fn repair_claim_blocks(chain: &dyn ChainClient) -> Result<u64, ChainError> {
    ask_module(chain, REPAIR, &IRepair::claimBlocksCall {}).await
}

fn order(order: IRepair::Order) -> RepairOrder {
    RepairOrder {
        file: order.file.into(),
        column: order.column,
        holder: order.holder,
        claimer: some(order.claimer),
        claimed_at: order.claimedAt,
        until: order.until,
        bytes: order.bytes_,
        bounty: order.bounty,
    }
}
