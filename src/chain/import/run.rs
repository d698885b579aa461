//! The import: what the database holds is taken up, the rest of the file is executed.

use super::{chain::ImportedChain, error::ImportError, file::BlockFile, store::ImportStore};
use crate::{
    kv::Kv,
    ledger::ethereum::{EthereumGenesis, process},
    runtime::{Node, Worker},
    types::{B256, Height},
};
use std::{path::Path, sync::Arc};

/// Blocks after which the worker tells how far the import is.
const REPORT_BLOCKS: Height = 100;

/// A finished import.
pub struct Imported {
    /// The chain, ready to be read.
    pub chain: ImportedChain,
    /// Blocks that were in the database already.
    pub known: Height,
}

/// Imports the blocks of `blocks` on the chain of the document at `genesis` into `kv`. Blocks on disk and computes.
pub fn import(node: &Node, kv: Arc<dyn Kv>, genesis: &Path, blocks: &Path) -> Result<Imported, ImportError> {
    let worker = node.workers.register("import");
    let imported = Import::begin(node, kv, genesis)?.run(blocks, &worker);
    match &imported {
        Ok(_) => worker.idle(),
        Err(e) => worker.error(e),
    }
    imported
}

struct Import {
    store: ImportStore,
    chain: ImportedChain,
    genesis: B256,
}

impl Import {
    fn begin(node: &Node, kv: Arc<dyn Kv>, path: &Path) -> Result<Self, ImportError> {
        let json = std::fs::read_to_string(path)
            .map_err(|e| ImportError::File { path: path.to_owned(), reason: e.to_string() })?;
        let document =
            EthereumGenesis::parse(&json).map_err(|fault| ImportError::Genesis { path: path.to_owned(), fault })?;
        let (genesis, chain_id) = (document.header.hash_slow(), document.forks.config().chain_id);
        let store = ImportStore::new(kv);
        store.claim(genesis, chain_id)?;
        Ok(Self { store, chain: ImportedChain::begin(node, document), genesis })
    }

    fn run(mut self, path: &Path, worker: &Worker) -> Result<Imported, ImportError> {
        let mut file = BlockFile::open(path)?;
        let known = self.store.height()?;
        for number in 1..=known {
            let stored = self.store.block(number)?;
            self.chain.append(stored.block, stored.receipts, &stored.delta, None);
        }
        while let Some((block, raw)) = file.next()? {
            let (number, hash) = (block.header.number, block.header.hash_slow());
            if number == 0 {
                if hash != self.genesis {
                    return Err(ImportError::ForeignBlocks { found: hash, expected: self.genesis });
                }
                continue;
            }
            if let Some(found) = self.chain.hash(number) {
                if found != hash {
                    return Err(ImportError::Fork { number, found, expected: hash });
                }
                continue;
            }
            let (parent, view, trie) = self.chain.tip();
            let came = process(self.chain.forks(), parent, &view, &trie, &block)
                .map_err(|fault| ImportError::Block { number, fault })?;
            self.store.append(number, raw, &came)?;
            if number.is_multiple_of(REPORT_BLOCKS) {
                worker.busy(format!("block {number}"));
            }
            self.chain.append(block, came.receipts, &came.delta, Some(came.trie));
        }
        self.store.sync()?;
        Ok(Imported { chain: self.chain, known })
    }
}
