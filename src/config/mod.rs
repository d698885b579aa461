//! Settings of a node: one table of documented keys, layered sources, one validated [`Config`].
//!
//! Owns the schema, the layers (default < file < `CESS_*` environment < flag) and the text of `config.example.toml`. Must
//! not know the services the settings are for.
//! Invariants: a key nobody knows is an error that names it, where it stands and what was probably meant; a [`Config`] that
//! exists is valid; adding a setting is one row of `keys.rs`, one field here and a line each way in `build.rs`.

mod build;
mod error;
mod flags;
mod history;
mod idle_space;
mod keys;
mod layers;
mod nearest;
mod render;
mod sync_mode;
mod tee_kind;

#[cfg(test)]
mod tests;

pub use error::{ConfigError, Source};
pub use flags::Flags;
pub use history::History;
pub use idle_space::IdleSpace;
pub use keys::{Key, SECTIONS, Section};
pub use sync_mode::SyncMode;
pub use tee_kind::TeeKind;

use crate::types::{Address, ByteCount, ExecutorChoice, Role, TrustedBlock};
use layers::Layers;
use libp2p::Multiaddr;
use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Name of the file in a node's directory.
pub const CONFIG_FILE: &str = "config.toml";
/// Largest config file.
pub const CONFIG_FILE_MAX_BYTES: u64 = 1 << 20;

/// Every setting of a node, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Who the node is and where it keeps its data.
    pub node: NodeConfig,
    /// Its libp2p host.
    pub network: NetworkConfig,
    /// Its JSON-RPC server.
    pub rpc: RpcConfig,
    /// Its HTTP gateway.
    pub gateway: GatewayConfig,
    /// The space it lends.
    pub storage: StorageConfig,
    /// The work it does in an enclave.
    pub tee: TeeConfig,
    /// The chain it follows.
    pub chain: ChainConfig,
    /// What may wait for a block of it.
    pub pool: PoolConfig,
}

/// Section `[node]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeConfig {
    /// Name in logs, metrics and listings.
    pub name: String,
    /// Directory of keys and data; already resolved against the folder of the config file.
    pub dir: PathBuf,
    /// What the node does; never empty, no role twice.
    pub roles: Vec<Role>,
    /// Log filter.
    pub log: String,
    /// Logs as JSON lines.
    pub log_json: bool,
    /// Memory for the database's block cache.
    pub cache: ByteCount,
}

/// Section `[network]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Addresses to listen on.
    pub listen: Vec<Multiaddr>,
    /// Further addresses others reach the host at.
    pub external: Vec<Multiaddr>,
    /// Peers to stay connected to, each ending in `/p2p/<peer>`.
    pub bootstrap: Vec<Multiaddr>,
    /// Limit of connections.
    pub max_connections: u32,
}

/// Section `[rpc]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RpcConfig {
    /// Where HTTP and WebSocket are served; none switches the server off.
    pub listen: Option<SocketAddr>,
    /// Limit of connections.
    pub max_connections: u32,
    /// Limit of calls in one batch.
    pub max_batch: u32,
}

/// Section `[gateway]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Where files are taken in and given back over HTTP.
    pub listen: SocketAddr,
    /// Where S3 is served; none switches it off.
    pub s3_listen: Option<SocketAddr>,
    /// Domain whose subdomains are buckets; empty for none.
    pub s3_domain: String,
    /// Region buckets are said to be in.
    pub s3_region: String,
    /// Limit of connections to S3.
    pub s3_max_connections: u32,
    /// Limit of requests to S3 at a time.
    pub s3_max_requests: u32,
    /// Limit of requests to S3 a second; 0 is none.
    pub s3_max_rate: u32,
    /// Memory of uploads under way, all together.
    pub s3_memory: ByteCount,
    /// Memory for what was read lately.
    pub read_cache: ByteCount,
    /// File with the group's secret, already resolved against the node's directory; none for a gateway of its own.
    pub group_key: Option<PathBuf>,
    /// Accounts of the group's other gateways.
    pub group_members: Vec<Address>,
}

/// Section `[storage]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// Space lent to the network.
    pub space: ByteCount,
    /// How much of it is filled with idle space.
    pub idle: IdleSpace,
    /// How much longer background jobs rest than they work.
    pub tranquility: u32,
}

/// Section `[tee]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TeeConfig {
    /// What the worker does.
    pub kind: TeeKind,
    /// DCAP collateral it publishes before it is attested, if it has hardware; already resolved against the node's directory.
    pub collateral: Option<PathBuf>,
}

/// How a node that does not execute the chain knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainMode {
    /// It believes the chain nodes it is connected to.
    Remote,
    /// It verifies their answers by certificates and proofs.
    Light,
}

impl fmt::Display for ChainMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Remote => "remote",
            Self::Light => "light",
        })
    }
}

impl FromStr for ChainMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "remote" => Ok(Self::Remote),
            "light" => Ok(Self::Light),
            "full" => Err("a node executes the chain if it has the role consensus; expected remote or light".into()),
            _ => Err("expected remote or light".into()),
        }
    }
}

/// Section `[chain]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// How a node without role consensus follows it.
    pub mode: ChainMode,
    /// The genesis file; already resolved against the node's directory.
    pub genesis: PathBuf,
    /// Block a light node insists on.
    pub trusted_block: Option<TrustedBlock>,
    /// Overrides the profile's shortest time between blocks.
    pub block_interval_ms: Option<u64>,
    /// Overrides the profile's time between blocks while nothing waits.
    pub idle_block_interval_ms: Option<u64>,
    /// How a node without a chain joins one.
    pub sync: SyncMode,
    /// Whose states stay readable.
    pub history: History,
    /// Blocks between two checkpoints of the state, 0 for none.
    pub checkpoint_blocks: u32,
    /// How blocks are run.
    pub executor: ExecutorChoice,
}

/// Section `[pool]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolConfig {
    /// Most transactions.
    pub max_txs: u32,
    /// Most bytes of them.
    pub max_bytes: ByteCount,
    /// Most transactions of one sender, at most as many as of all.
    pub sender_max_txs: u32,
    /// Most bytes of one sender's transactions, at most as many as of all; the largest transaction fits.
    pub sender_max_bytes: ByteCount,
}

impl Config {
    /// Loads the settings from `file` (if any), the environment of this process and the command line.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, ConfigError> {
        let environment =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::load_from(file, environment, flags)
    }

    /// As [`Config::load`], with the environment given.
    pub fn load_from(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: &Flags,
    ) -> Result<Self, ConfigError> {
        let mut layers = Layers::defaults();
        if let Some(path) = file {
            layers.read_file(path)?;
        }
        layers.add_environment(environment)?;
        layers.add_flags(flags)?;
        build::config(&layers)
    }

    /// The settings of a node that sets none.
    pub fn defaults() -> Self {
        build::config(&Layers::defaults()).expect("the defaults of the key table are valid, as a test asserts")
    }

    /// Text of `config.example.toml`: every key with its meaning and its default.
    pub fn example_toml() -> String {
        render::document(&Layers::defaults())
    }

    /// These settings as the documented text of [`CONFIG_FILE`] in the node's own directory, so that the directory can move.
    pub fn to_toml(&self) -> String {
        render::document(&build::layers(self))
    }
}
