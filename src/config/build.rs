//! From layered values to a validated [`Config`], and back.

use super::{
    ChainConfig, Config, ConfigError, GatewayConfig, NetworkConfig, NodeConfig, PoolConfig, RpcConfig, Source,
    StorageConfig, TeeConfig,
    flags::{path_value, size_value, texts},
    layers::Layers,
};
use crate::types::{Address, ByteCount, Role, params::TX_MAX_BYTES};
use libp2p::{Multiaddr, multiaddr::Protocol};
use std::{
    fmt::Display,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str::FromStr,
};
use toml::Value;

/// Longest name of a node, in characters.
const NAME_MAX_CHARS: usize = 64;
/// Most addresses in one list.
const ADDRESSES_MAX: usize = 64;
/// Least memory of a gateway's uploads: a segment with its parity, and a browser's form.
const S3_MEMORY_MIN: ByteCount = ByteCount::mib(256);
/// Smallest size of a cache or of lent space.
const SIZE_MIN: ByteCount = ByteCount::mib(1);
/// Smallest pool: the largest transaction must fit.
const POOL_MIN: ByteCount = ByteCount(TX_MAX_BYTES as u64);

/// Checks every value and builds the config.
pub(super) fn config(layers: &Layers) -> Result<Config, ConfigError> {
    let at = |section, key| Setting::of(layers, section, key);
    let dir = at("node", "dir").dir();
    Ok(Config {
        node: NodeConfig {
            name: at("node", "name").name()?,
            roles: at("node", "roles").roles()?,
            log: at("node", "log").text().to_owned(),
            log_json: at("node", "log_json").switch(),
            cache: at("node", "cache").size()?,
            dir: dir.clone(),
        },
        network: NetworkConfig {
            listen: at("network", "listen").addresses()?,
            external: at("network", "external").addresses()?,
            bootstrap: at("network", "bootstrap").peers()?,
            max_connections: at("network", "max_connections").number(8..=65_536)?,
        },
        rpc: RpcConfig {
            listen: at("rpc", "listen").unless_empty().map(|setting| setting.parse()).transpose()?,
            max_connections: at("rpc", "max_connections").number(1..=65_536)?,
            max_batch: at("rpc", "max_batch").number(1..=10_000)?,
        },
        gateway: GatewayConfig {
            listen: at("gateway", "listen").parse()?,
            s3_listen: at("gateway", "s3_listen").unless_empty().map(|setting| setting.parse()).transpose()?,
            s3_domain: at("gateway", "s3_domain").text().to_owned(),
            s3_region: at("gateway", "s3_region").text().to_owned(),
            s3_max_connections: at("gateway", "s3_max_connections").number(1..=65_536)?,
            s3_max_requests: at("gateway", "s3_max_requests").number(1..=65_536)?,
            s3_max_rate: at("gateway", "s3_max_rate").number(0..=1_000_000)?,
            s3_memory: at("gateway", "s3_memory").size_from(S3_MEMORY_MIN)?,
            read_cache: at("gateway", "read_cache").size_from(ByteCount(0))?,
            group_key: at("gateway", "group_key").unless_empty().map(|setting| dir.join(setting.text())),
            group_members: at("gateway", "group_members").accounts()?,
        },
        storage: StorageConfig {
            space: at("storage", "space").size()?,
            idle: at("storage", "idle").parse()?,
            tranquility: at("storage", "tranquility").number(0..=100)?,
        },
        tee: TeeConfig {
            kind: at("tee", "kind").parse()?,
            collateral: at("tee", "collateral").unless_empty().map(|setting| dir.join(setting.text())),
        },
        chain: ChainConfig {
            mode: at("chain", "mode").parse()?,
            genesis: dir.join(at("chain", "genesis").text()),
            trusted_block: at("chain", "trusted_block").unless_empty().map(|setting| setting.parse()).transpose()?,
            block_interval_ms: at("chain", "block_interval_ms").number_or_none(60_000)?,
            idle_block_interval_ms: at("chain", "idle_block_interval_ms").number_or_none(600_000)?,
            sync: at("chain", "sync").parse()?,
            history: at("chain", "history").parse()?,
            checkpoint_blocks: at("chain", "checkpoint_blocks").number(0..=1_000_000)?,
            executor: at("chain", "executor").parse()?,
        },
        pool: pool(layers)?,
    })
}

fn pool(layers: &Layers) -> Result<PoolConfig, ConfigError> {
    let at = |key| Setting::of(layers, "pool", key);
    let (max_txs, max_bytes) = (at("max_txs").number(16..=1_000_000)?, at("max_bytes").size_from(POOL_MIN)?);
    let (sender_max_txs, sender_max_bytes) =
        (at("sender_max_txs").number(1..=1_000_000)?, at("sender_max_bytes").size_from(POOL_MIN)?);
    if sender_max_txs > max_txs {
        return Err(
            at("sender_max_txs").refuse(sender_max_txs, format!("it is above `pool.max_txs`, which is {max_txs}"))
        );
    }
    if sender_max_bytes > max_bytes {
        let reason = format!("it is above `pool.max_bytes`, which is {max_bytes}");
        return Err(at("sender_max_bytes").refuse(sender_max_bytes, reason));
    }
    Ok(PoolConfig { max_txs, max_bytes, sender_max_txs, sender_max_bytes })
}

/// The values of a config, from which [`config`] builds the same again when they stand in a file of the node's directory.
pub(super) fn layers(config: &Config) -> Layers {
    let Config { node, network, rpc, gateway, storage, tee, chain, pool } = config;
    let text = |value: &dyn Display| Value::String(value.to_string());
    let list = |values: &[Multiaddr]| texts(values.iter().map(Multiaddr::to_string));
    let number = |value: u32| Value::Integer(i64::from(value));
    let own = |path: &Path| path_value(path.strip_prefix(&node.dir).unwrap_or(path));
    let optional = |value: Option<u64>| Value::Integer(i64::try_from(value.unwrap_or(0)).unwrap_or(i64::MAX));
    let values = [
        ("node", "name", text(&node.name)),
        ("node", "dir", Value::String(".".to_owned())),
        ("node", "roles", texts(node.roles.iter().map(Role::to_string))),
        ("node", "log", text(&node.log)),
        ("node", "log_json", Value::Boolean(node.log_json)),
        ("node", "cache", size_value(node.cache)),
        ("network", "listen", list(&network.listen)),
        ("network", "external", list(&network.external)),
        ("network", "bootstrap", list(&network.bootstrap)),
        ("network", "max_connections", number(network.max_connections)),
        ("rpc", "listen", Value::String(rpc.listen.map(|addr| addr.to_string()).unwrap_or_default())),
        ("rpc", "max_connections", number(rpc.max_connections)),
        ("rpc", "max_batch", number(rpc.max_batch)),
        ("gateway", "listen", text(&gateway.listen)),
        ("gateway", "s3_listen", Value::String(gateway.s3_listen.map(|addr| addr.to_string()).unwrap_or_default())),
        ("gateway", "s3_domain", text(&gateway.s3_domain)),
        ("gateway", "s3_region", text(&gateway.s3_region)),
        ("gateway", "s3_max_connections", number(gateway.s3_max_connections)),
        ("gateway", "s3_max_requests", number(gateway.s3_max_requests)),
        ("gateway", "s3_max_rate", number(gateway.s3_max_rate)),
        ("gateway", "s3_memory", size_value(gateway.s3_memory)),
        ("gateway", "read_cache", size_value(gateway.read_cache)),
        ("gateway", "group_key", gateway.group_key.as_deref().map_or_else(|| Value::String(String::new()), own)),
        ("gateway", "group_members", texts(gateway.group_members.iter().map(Address::to_string))),
        ("storage", "space", size_value(storage.space)),
        ("storage", "idle", text(&storage.idle)),
        ("storage", "tranquility", number(storage.tranquility)),
        ("tee", "kind", text(&tee.kind)),
        ("tee", "collateral", tee.collateral.as_deref().map_or_else(|| Value::String(String::new()), own)),
        ("chain", "mode", text(&chain.mode)),
        ("chain", "genesis", own(&chain.genesis)),
        ("chain", "trusted_block", Value::String(chain.trusted_block.map(|b| b.to_string()).unwrap_or_default())),
        ("chain", "block_interval_ms", optional(chain.block_interval_ms)),
        ("chain", "idle_block_interval_ms", optional(chain.idle_block_interval_ms)),
        ("chain", "sync", text(&chain.sync)),
        ("chain", "history", text(&chain.history)),
        ("chain", "checkpoint_blocks", number(chain.checkpoint_blocks)),
        ("chain", "executor", text(&chain.executor)),
        ("pool", "max_txs", number(pool.max_txs)),
        ("pool", "max_bytes", size_value(pool.max_bytes)),
        ("pool", "sender_max_txs", number(pool.sender_max_txs)),
        ("pool", "sender_max_bytes", size_value(pool.sender_max_bytes)),
    ];
    let mut layers = Layers::defaults();
    for (section, key, value) in values {
        layers.set(section, key, value, Source::Default).expect("every field is a key of the table, as a test asserts");
    }
    layers
}

/// One key's value, with what an error about it must name.
struct Setting<'a> {
    section: &'static str,
    key: &'static str,
    value: &'a Value,
    from: &'a Source,
}

impl<'a> Setting<'a> {
    fn of(layers: &'a Layers, section: &'static str, key: &'static str) -> Self {
        let (value, from) = layers.get(section, key);
        Self { section, key, value, from }
    }

    fn refuse(&self, value: impl Display, reason: impl Display) -> ConfigError {
        ConfigError::Value {
            from: self.from.clone(),
            key: format!("{}.{}", self.section, self.key),
            value: value.to_string(),
            reason: reason.to_string(),
        }
    }

    fn text(&self) -> &'a str {
        self.value.as_str().expect("layers hold values of the key's type")
    }

    fn switch(&self) -> bool {
        self.value.as_bool().expect("layers hold values of the key's type")
    }

    fn items(&self) -> Result<Vec<&'a str>, ConfigError> {
        let items = self.value.as_array().expect("layers hold values of the key's type");
        if items.len() > ADDRESSES_MAX {
            return Err(self.refuse(format!("{} entries", items.len()), format!("at most {ADDRESSES_MAX} are allowed")));
        }
        Ok(items.iter().map(|item| item.as_str().expect("layers hold lists of texts")).collect())
    }

    fn unless_empty(self) -> Option<Self> {
        (!self.text().is_empty()).then_some(self)
    }

    fn parse<T: FromStr<Err: Display>>(&self) -> Result<T, ConfigError> {
        self.text().parse().map_err(|error| self.refuse(self.text(), error))
    }

    fn number(&self, allowed: RangeInclusive<u32>) -> Result<u32, ConfigError> {
        let number = self.value.as_integer().expect("layers hold values of the key's type");
        let inside = u32::try_from(number).ok().filter(|number| allowed.contains(number));
        inside.ok_or_else(|| self.refuse(number, format!("expected {} to {}", allowed.start(), allowed.end())))
    }

    fn number_or_none(&self, most: u32) -> Result<Option<u64>, ConfigError> {
        Ok(Some(u64::from(self.number(0..=most)?)).filter(|number| *number > 0))
    }

    fn size(&self) -> Result<ByteCount, ConfigError> {
        self.size_from(SIZE_MIN)
    }

    fn size_from(&self, least: ByteCount) -> Result<ByteCount, ConfigError> {
        let size: ByteCount = self.parse()?;
        if size < least {
            return Err(self.refuse(self.text(), format!("expected at least {least}")));
        }
        Ok(size)
    }

    fn name(&self) -> Result<String, ConfigError> {
        let name = self.text();
        let fits = (1..=NAME_MAX_CHARS).contains(&name.len())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        match fits {
            true => Ok(name.to_owned()),
            false => Err(self.refuse(
                name.chars().take(NAME_MAX_CHARS).collect::<String>(),
                format!("expected 1 to {NAME_MAX_CHARS} letters, digits, dots, dashes or underscores"),
            )),
        }
    }

    fn roles(&self) -> Result<Vec<Role>, ConfigError> {
        let mut roles = Vec::new();
        for name in self.items()? {
            let role: Role = name.parse().map_err(|error: String| self.refuse(name, error))?;
            if roles.contains(&role) {
                return Err(self.refuse(name, "the role is listed twice"));
            }
            roles.push(role);
        }
        if roles.is_empty() {
            return Err(self.refuse("[]", "a node needs at least one role"));
        }
        Ok(roles)
    }

    fn addresses(&self) -> Result<Vec<Multiaddr>, ConfigError> {
        self.items()?.into_iter().map(|text| text.parse().map_err(|error| self.refuse(text, error))).collect()
    }

    fn accounts(&self) -> Result<Vec<Address>, ConfigError> {
        let parse = |text: &str| text.parse().map_err(|_| self.refuse(text, "not the address of an account"));
        self.items()?.into_iter().map(parse).collect()
    }

    fn peers(&self) -> Result<Vec<Multiaddr>, ConfigError> {
        let peers = self.addresses()?;
        match peers.iter().find(|peer| !matches!(peer.iter().last(), Some(Protocol::P2p(_)))) {
            Some(peer) => Err(self.refuse(peer, "the address must end in /p2p/<peer id>")),
            None => Ok(peers),
        }
    }

    /// A directory of a config file starts at the file's folder.
    fn dir(&self) -> PathBuf {
        let dir = Path::new(self.text());
        match self.from {
            Source::File(file) => file.parent().unwrap_or(Path::new("")).join(dir).components().collect(),
            _ => dir.to_owned(),
        }
    }
}
