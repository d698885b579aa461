//! Money for a node's own account on a dev chain.

use super::base::Base;
use crate::{client::ChainStatus, types::Profile};
use serde_json::json;

/// Asks the dev chain's faucet; elsewhere, and where it is refused, the node goes on with what it has and says so when it matters.
pub async fn request(base: &Base, status: &ChainStatus) {
    if status.profile != Profile::Dev {
        return;
    }
    let account = base.keys.address();
    if let Err(error) = base.tunnel.call("cess_faucet", json!([account])).await {
        tracing::info!(node = base.node.name, %account, %error, "the faucet gave nothing");
    }
}
