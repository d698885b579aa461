//! An imported chain, served as a node serves its own.

use super::base::open_database_at;
use crate::{
    chain::{
        api::{self, Eth, backend::Backend},
        import,
    },
    rpc::Server,
    runtime::Node,
    types::{B256, ByteCount, Height},
};
use anyhow::Context;
use std::{net::SocketAddr, path::PathBuf, sync::Arc};

/// Blocks are read once, in order: a small cache is enough.
const IMPORT_CACHE: ByteCount = ByteCount(16 << 20);

/// What to import, and where to.
pub struct ImportRequest {
    /// A geth genesis document.
    pub genesis: PathBuf,
    /// RLP blocks one after the other.
    pub blocks: PathBuf,
    /// Directory of the database.
    pub dir: PathBuf,
}

/// A chain that was imported.
pub struct ImportedNode {
    node: Node,
    eth: Eth,
    /// Its id.
    pub chain_id: u64,
    /// Its newest block.
    pub height: Height,
    /// Hash of that.
    pub hash: B256,
    /// Blocks that were in the database already.
    pub known: Height,
}

/// Imports the chain.
pub async fn import_chain(node: &Node, request: ImportRequest) -> anyhow::Result<ImportedNode> {
    let kv = open_database_at(node, &request.dir, IMPORT_CACHE).await?;
    let context = node.clone();
    let imported = node.pool.run(move || import::import(&context, kv, &request.genesis, &request.blocks)).await?;
    let chain = imported.chain;
    let height = chain.latest();
    let hash = chain.hash(height).context("a chain has a newest block")?;
    let (chain_id, known) = (chain.chain_id(), imported.known);
    Ok(ImportedNode { node: node.clone(), eth: Arc::new(chain), chain_id, height, hash, known })
}

impl ImportedNode {
    /// Serves the chain until the node stops; returns where.
    pub fn serve(&self, listen: SocketAddr) -> anyhow::Result<SocketAddr> {
        let methods = api::ethereum(&self.eth)?;
        let handle = Server::start(listen, methods, self.node.metrics.clone(), &self.node)?;
        Ok(handle.local_addr)
    }
}
