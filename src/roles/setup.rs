//! A node's directory: settings, seed of its keys, genesis. Created on the first start, read on every later one.

use crate::{
    chain::SignatureMemo,
    config::{CONFIG_FILE, ChainMode, Config, Flags},
    crypto::NodeKeys,
    ledger::genesis::Genesis,
    runtime::NodeRng,
    types::{ByteCount, Role},
};
use anyhow::{Context, bail};
use std::{
    fs,
    io::{ErrorKind, Write},
    net::TcpListener,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};
use zeroize::Zeroizing;

/// The seed of all the node's keys, 64 hexadecimal digits, readable by its owner alone.
pub const SEED_FILE: &str = "node.key";
/// Who may read the seed: its owner.
const SEED_MODE: u32 = 0o600;
/// Who may read the settings: everybody, unless the process's mask says otherwise.
const CONFIG_MODE: u32 = 0o644;
/// Where wallets look for a node of their own.
const WALLETS_LOOK_AT: &str = "127.0.0.1:8545";
/// Largest genesis document.
const GENESIS_MAX_BYTES: u64 = 16 << 20;

/// Everything a node needs to start.
pub struct Setup {
    /// Its settings.
    pub config: Config,
    /// Its keys.
    pub keys: NodeKeys,
    /// The chain's first block; present where the chain is executed or verified.
    pub genesis: Option<Genesis>,
    /// Signatures checked already, where nodes of one process share that.
    pub memo: Option<Arc<SignatureMemo>>,
}

/// What `cess run` asks for.
#[derive(Debug, Clone, Default)]
pub struct SetupRequest {
    /// Role of a new node.
    pub role: Option<Role>,
    /// Name of a new node.
    pub name: Option<String>,
    /// Peers to join through.
    pub join: Vec<String>,
    /// Space to lend.
    pub space: Option<ByteCount>,
    /// Addresses to listen on.
    pub listen: Vec<String>,
    /// Whether to verify the chain instead of believing others.
    pub light: bool,
    /// The genesis file.
    pub genesis: Option<PathBuf>,
}

impl Setup {
    /// Reads a node's directory.
    pub fn load(dir: &Path) -> anyhow::Result<Self> {
        let flags = Flags { dir: Some(dir.to_owned()), ..Flags::default() };
        let config = Config::load(Flags::file_in(dir).as_deref(), &flags)?;
        let keys = NodeKeys::derive(&read_seed(dir)?);
        Self::complete(config, keys)
    }

    /// Reads a node's directory, or makes it from what the command line says.
    pub fn load_or_create(dir: &Path, request: SetupRequest) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
        let dir = dir.canonicalize().with_context(|| format!("cannot open `{}`", dir.display()))?;
        let fresh = !dir.join(CONFIG_FILE).is_file();
        if fresh && request.role.is_none() {
            bail!("`{}` holds no node yet; give --role the first time", dir.display());
        }
        if !dir.join(SEED_FILE).is_file() {
            let mut seed = [0u8; 32];
            NodeRng::from_os().fill(&mut seed);
            write_seed(&dir, &seed)?;
        }
        let keys = NodeKeys::derive(&read_seed(&dir)?);
        let flags = flags_of(&dir, &request, fresh, &keys);
        let config = Config::load(Flags::file_in(&dir).as_deref(), &flags)?;
        if let Some(role) = request.role.filter(|role| !config.node.roles.contains(role)) {
            bail!("`{}` holds a node without the role {role}; use another --dir", dir.display());
        }
        keep_config(&dir.join(CONFIG_FILE), &config.to_toml())?;
        Self::complete(config, keys)
    }

    fn complete(config: Config, keys: NodeKeys) -> anyhow::Result<Self> {
        let needed = config.node.roles.contains(&Role::Consensus) || config.chain.mode == ChainMode::Light;
        let genesis = needed.then(|| read_genesis(&config.chain.genesis)).transpose()?;
        Ok(Self { config, keys, genesis, memo: None })
    }
}

fn flags_of(dir: &Path, request: &SetupRequest, fresh: bool, keys: &NodeKeys) -> Flags {
    let mut flags = Flags {
        dir: Some(dir.to_owned()),
        name: request.name.clone(),
        bootstrap: request.join.clone(),
        space: request.space,
        listen: request.listen.clone(),
        light: request.light,
        // The settings' path starts at the node's directory, that of the command line where the command was given.
        genesis: request.genesis.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone())),
        ..Flags::default()
    };
    if fresh && let Some(role) = request.role {
        flags.roles = vec![role];
        let account = hex::encode(&keys.address()[..3]);
        flags.name.get_or_insert_with(|| format!("{role}-{account}"));
        if flags.listen.is_empty() {
            // Any free port: several nodes on one machine must not collide, and a home node is dialled back over its own connections.
            flags.listen = vec!["/ip4/0.0.0.0/tcp/0".into(), "/ip4/0.0.0.0/udp/0/quic-v1".into()];
        }
        flags.rpc_listen = rpc_of(role);
    }
    flags
}

/// Where a new node answers JSON-RPC: the first validator of a machine where wallets look for it, which is the setting's default,
/// everybody else on any free port.
fn rpc_of(role: Role) -> Option<String> {
    let is_free = role == Role::Consensus && TcpListener::bind(WALLETS_LOOK_AT).is_ok();
    (!is_free).then(|| "127.0.0.1:0".into())
}

/// Writes the settings if they are new. A start that is cut short leaves the old ones or the new ones, never a part.
fn keep_config(path: &Path, text: &str) -> anyhow::Result<()> {
    if fs::read_to_string(path).is_ok_and(|known| known == text) {
        return Ok(());
    }
    let part = path.with_extension("part");
    let written = write_synced(&part, text, CONFIG_MODE).and_then(|()| fs::rename(&part, path));
    written.with_context(|| format!("cannot write `{}`", path.display()))
}

/// Writes the seed so that only its owner can read it, all of it or nothing, and never over another.
pub fn write_seed(dir: &Path, seed: &[u8; 32]) -> anyhow::Result<()> {
    let (path, part) = (dir.join(SEED_FILE), dir.join(SEED_FILE).with_extension("part"));
    let written = write_synced(&part, &hex::encode(seed), SEED_MODE).and_then(|()| fs::hard_link(&part, &path));
    written.and_then(|()| fs::remove_file(&part)).with_context(|| format!("cannot write `{}`", path.display()))
}

fn write_synced(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    // What an earlier start left there may have another mode.
    fs::remove_file(path).or_else(|e| if e.kind() == ErrorKind::NotFound { Ok(()) } else { Err(e) })?;
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all())
}

/// The keys of the node in a directory.
pub fn read_keys(dir: &Path) -> anyhow::Result<NodeKeys> {
    Ok(NodeKeys::derive(&read_seed(dir)?))
}

fn read_seed(dir: &Path) -> anyhow::Result<[u8; 32]> {
    Ok(*read_secret(&dir.join(SEED_FILE))?)
}

/// A file with 32 secret bytes.
pub fn read_secret(path: &Path) -> anyhow::Result<Zeroizing<[u8; 32]>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut secret = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(text.trim(), &mut secret[..])
        .with_context(|| format!("`{}` is not a secret of 64 hexadecimal digits", path.display()))?;
    Ok(secret)
}

/// Reads a genesis document.
pub fn read_genesis(path: &Path) -> anyhow::Result<Genesis> {
    let meta = fs::metadata(path).with_context(|| format!("cannot read the genesis file `{}`", path.display()))?;
    if meta.len() > GENESIS_MAX_BYTES {
        bail!("the genesis file `{}` is {} B, the limit is {GENESIS_MAX_BYTES} B", path.display(), meta.len());
    }
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read the genesis file `{}`", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("the genesis file `{}` is malformed", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_further_validator_of_a_machine_answers_elsewhere() {
        // Held here, or by somebody else already.
        let _held = TcpListener::bind(WALLETS_LOOK_AT);
        assert_eq!(rpc_of(Role::Consensus).as_deref(), Some("127.0.0.1:0"));
        assert_eq!(rpc_of(Role::Storage).as_deref(), Some("127.0.0.1:0"));
        let default = Config::load(None, &Flags { dir: Some(".".into()), ..Flags::default() }).unwrap().rpc.listen;
        assert_eq!(default.map(|listen| listen.to_string()).as_deref(), Some(WALLETS_LOOK_AT));
    }

    /// A validator that was killed between the truncation and the write came back as a miner without a chain.
    #[test]
    fn settings_are_replaced_whole_and_only_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let with = |space| SetupRequest { role: Some(Role::Storage), space: Some(space), ..SetupRequest::default() };
        Setup::load_or_create(dir.path(), with(ByteCount::gib(3))).unwrap();
        let (path, old) = (dir.path().join(CONFIG_FILE), dir.path().join("old"));
        let before = fs::read_to_string(&path).unwrap();
        fs::hard_link(&path, &old).unwrap();
        let links = || std::os::unix::fs::MetadataExt::nlink(&fs::metadata(&path).unwrap());
        Setup::load_or_create(dir.path(), with(ByteCount::gib(3))).unwrap();
        assert_eq!(links(), 2, "the same settings stay in the same file");
        fs::write(path.with_extension("part"), "left by a start that was cut short").unwrap();
        Setup::load_or_create(dir.path(), with(ByteCount::gib(4))).unwrap();
        assert_eq!((links(), fs::read_to_string(&old).unwrap()), (1, before), "new ones come in a new file");
        assert_eq!(Setup::load(dir.path()).unwrap().config.storage.space, ByteCount::gib(4));
        assert!(write_seed(dir.path(), &[1; 32]).is_err(), "a seed is never written over");
    }

    #[test]
    fn a_new_node_keeps_its_seed_and_settings() {
        let dir = tempfile::tempdir().unwrap();
        let request = |role| SetupRequest { role, space: Some(ByteCount::gib(3)), ..SetupRequest::default() };
        assert!(Setup::load_or_create(dir.path(), request(None)).is_err());
        let first = Setup::load_or_create(dir.path(), request(Some(Role::Storage))).unwrap();
        assert_eq!(first.config.storage.space, ByteCount::gib(3));
        let again = Setup::load_or_create(dir.path(), SetupRequest::default()).unwrap();
        assert_eq!(again.keys.address(), first.keys.address());
        assert_eq!(again.config, first.config);
        assert!(Setup::load_or_create(dir.path(), request(Some(Role::Gateway))).is_err());
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(dir.path().join(SEED_FILE)).unwrap());
        assert_eq!(mode & 0o777, 0o600);
        fs::write(dir.path().join(SEED_FILE), "zz").unwrap();
        let refused = Setup::load(dir.path()).err().unwrap().to_string();
        assert!(refused.contains("node.key` is not a secret of 64 hexadecimal digits"), "{refused}");
    }

    #[test]
    fn a_light_node_needs_a_genesis_file() {
        let dir = tempfile::tempdir().unwrap();
        let request = SetupRequest { role: Some(Role::Storage), light: true, ..SetupRequest::default() };
        let refused = format!("{:#}", Setup::load_or_create(dir.path(), request.clone()).err().unwrap());
        assert!(refused.contains("genesis.json"), "{refused}");
        let elsewhere = tempfile::tempdir().unwrap();
        let file = elsewhere.path().join("g.json");
        let genesis = Genesis {
            chain_id: 11_332,
            profile: crate::types::Profile::Dev,
            overrides: Default::default(),
            time_ms: 1,
            extra_data: Default::default(),
            alloc: Default::default(),
            tee: Default::default(),
            deployments: Vec::new(),
            validators: Vec::new(),
        };
        fs::write(&file, serde_json::to_vec(&genesis).unwrap()).unwrap();
        let request = SetupRequest { genesis: Some(file), ..request };
        assert_eq!(Setup::load_or_create(dir.path(), request).unwrap().genesis, Some(genesis.clone()));
        let again = Setup::load(dir.path()).unwrap();
        assert_eq!((again.config.chain.mode, again.genesis), (ChainMode::Light, Some(genesis)));
    }
}
