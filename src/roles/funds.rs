//! Money for a node's own account on a dev chain.

use super::base::Base;
use crate::{
    client::{ChainError, ChainStatus},
    types::{B256, Profile},
};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// How long the gift may take until this node sees it: a light node sees a block when the next one certifies it.
const SEEN_DEADLINE: Duration = Duration::from_secs(20);

/// Asks the dev chain's faucet; elsewhere, and where it is refused, the node goes on with what it has and says so when it matters.
pub async fn request(base: &Base, status: &ChainStatus) {
    if status.profile != Profile::Dev {
        return;
    }
    let account = base.keys.address();
    let given = match base.tunnel.call("cess_faucet", json!([account])).await {
        Ok(answer) => until_seen(base, serde_json::from_value(answer).unwrap_or_default()).await,
        Err(error) => Err(error),
    };
    if let Err(error) = given {
        tracing::info!(node = base.node.name, %account, %error, "the faucet gave nothing");
    }
}

/// Waits until the gift is part of the chain as this node sees it.
async fn until_seen(base: &Base, gift: Option<B256>) -> Result<(), ChainError> {
    let Some(tx) = gift else { return Ok(()) };
    let end = Instant::now() + SEEN_DEADLINE;
    while base.chain.outcome(tx).await?.is_none() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let millis = u64::try_from(SEEN_DEADLINE.as_millis()).unwrap_or(u64::MAX);
            return Err(ChainError::NotFinal { tx, millis });
        }
        let height = base.chain.status().await?.height;
        base.chain.wait_above(height, left).await?;
    }
    Ok(())
}
