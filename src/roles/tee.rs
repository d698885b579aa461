//! A TEE worker: tags data and verifies audits.

use super::base::Base;

/// Starts the worker.
pub async fn start(base: &mut Base) -> anyhow::Result<()> {
    base.need_peers()?;
    anyhow::bail!("scaffold")
}
