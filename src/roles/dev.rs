//! A developer's chain with its JSON-RPC port, and what it tells of calls and blocks.

use crate::{
    chain::{
        api::{anvil, backend::ChainBlock},
        dev::{DevChain, DevError, DumpError, Observer, Told},
    },
    ledger::executor::Receipt,
    rpc::{RpcError, RpcModule, Server, ServerHandle, error},
    runtime::Node,
};
use jsonrpsee::core::{
    RegisterMethodError,
    server::{MethodCallback, Methods},
};
use std::{net::SocketAddr, sync::Arc};

pub use crate::chain::dev::{DevOptions, Mining};

/// Takes lines for a person to read.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// Why a developer's node does not start.
#[derive(Debug, thiserror::Error)]
pub enum DevNodeError {
    /// Its chain cannot begin.
    #[error(transparent)]
    Chain(#[from] DevError),
    /// Nor be continued.
    #[error("the state cannot be loaded: {0}")]
    Load(#[from] DumpError),
    /// Two methods of one name.
    #[error(transparent)]
    Methods(#[from] RegisterMethodError),
    /// Its port is not to be had.
    #[error("{addr} is not free ({source}): choose another port with --port, or --port 0 for any free one")]
    Port { addr: SocketAddr, source: RpcError },
}

/// A running developer's node.
pub struct DevNode {
    chain: DevChain,
    server: ServerHandle,
}

impl DevNode {
    /// Begins a chain, or continues the dumped one in `load`, and answers JSON-RPC at `addr`.
    pub fn start(
        node: &Node,
        addr: SocketAddr,
        options: DevOptions,
        load: Option<Vec<u8>>,
        tell: Option<Tell>,
    ) -> Result<Self, DevNodeError> {
        let observer = tell.clone().map(|tell| -> Observer {
            Box::new(move |told| match told {
                Told::Console(line) => tell(&format!("  {line}")),
                Told::Block(block) => tell(&described(block)),
            })
        });
        let chain = DevChain::new(node, options, observer)?;
        if let Some(bytes) = load {
            chain.load(&bytes)?;
        }
        let module = anvil::module(&chain)?;
        let module = match tell {
            Some(tell) => told(module, &tell)?,
            None => module,
        };
        let server = Server::start(addr, module, node.metrics.clone(), node);
        let server = server.map_err(|source| DevNodeError::Port { addr, source })?;
        chain.start();
        Ok(Self { chain, server })
    }

    /// Where it answers.
    pub fn addr(&self) -> SocketAddr {
        self.server.local_addr
    }

    /// Base fee of the next block.
    pub fn base_fee(&self) -> u64 {
        self.chain.next_base_fee()
    }

    /// Height of the newest block.
    pub fn height(&self) -> u64 {
        self.chain.newest().block.height()
    }

    /// The chain as bytes that continue it.
    pub fn dump(&self) -> Vec<u8> {
        self.chain.dump()
    }
}

/// The same methods, each of which is told of when it is called.
fn told(module: RpcModule<()>, tell: &Tell) -> Result<RpcModule<()>, RegisterMethodError> {
    let (inner, mut outer) = (Methods::from(module), Methods::new());
    for name in inner.method_names() {
        let Some(callback) = inner.method(name).cloned() else { continue };
        let tell = tell.clone();
        let callback = match callback {
            MethodCallback::Sync(run) => MethodCallback::Sync(Arc::new(move |id, params, most, extensions| {
                tell(name);
                run(id, params, most, extensions)
            })),
            MethodCallback::Async(run) => {
                MethodCallback::Async(Arc::new(move |id, params, connection, most, extensions| {
                    tell(name);
                    run(id, params, connection, most, extensions)
                }))
            }
            other => other,
        };
        outer.verify_and_insert(name, callback)?;
    }
    let mut module = RpcModule::new(());
    module.merge(outer)?;
    Ok(module)
}

/// A block and its transactions in a few lines.
fn described(block: &ChainBlock) -> String {
    let mut text = String::new();
    for receipt in &block.receipts {
        text.push_str(&described_tx(receipt));
    }
    let header = &block.block;
    for skipped in &header.skipped {
        text.push_str(&format!(
            "\n    Transaction: 0x{}\n    Left out: {}\n",
            hex::encode(skipped.hash),
            skipped.reason
        ));
    }
    text.push_str(&format!("\n    Block Number: {}\n    Block Hash: {}\n", header.height(), header.hash));
    text.push_str(&format!("    Block Time: {}\n", header.header.timestamp));
    text
}

fn described_tx(receipt: &Receipt) -> String {
    let mut text = format!("\n    Transaction: {}\n", receipt.tx);
    if let Some(contract) = receipt.contract {
        text.push_str(&format!("    Contract created: {contract}\n"));
    }
    text.push_str(&format!("    Gas used: {}\n", receipt.gas_used));
    match &receipt.halt {
        Some(halt) => text.push_str(&format!("    Error: {halt}\n")),
        None if !receipt.success => text.push_str(&format!("    Error: {}\n", error::revert_message(&receipt.output))),
        None => {}
    }
    text
}
