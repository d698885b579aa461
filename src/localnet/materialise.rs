//! Writes a plan out as node directories: settings, seeds and the genesis they share.

use super::{LocalnetError, NodePlan, Plan};
use crate::{
    client::dev_accounts,
    config::{CONFIG_FILE, Config, Flags},
    crypto::hash,
    ledger::genesis::{Genesis, GenesisAccount, GenesisTerritory, GenesisValidator, Overrides},
    roles::{SEED_FILE, write_seed},
    types::{Address, Amount, ByteCount, Params, Profile, Role, params::TERRITORY_MIN_BYTES},
};
use std::{collections::BTreeMap, fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

/// Tokens of each well-known account and of each node.
pub const DEV_BALANCE_TOKENS: u64 = 1_000_000;
/// Name of the territory that the well-known accounts and the gateways have.
const GIFT_NAME: &str = "default";
/// Database cache of one node: many share the machine.
const NODE_CACHE: ByteCount = ByteCount::mib(16);
/// Name of the secret in each gateway's directory that the localnet's gateways share.
const GROUP_KEY_FILE: &str = "gateway-group.key";
/// Only its owner reads a secret.
const SECRET_MODE: u32 = 0o600;
/// Name of the genesis document in each validator's directory.
const GENESIS_FILE: &str = "genesis.json";

/// Writes what is missing; existing seeds and genesis documents are never touched.
pub fn materialise(plan: &Plan, dir: &Path) -> Result<(), LocalnetError> {
    let genesis = serde_json::to_string_pretty(&genesis(plan)).map_err(|e| LocalnetError::file(dir, &e))?;
    for node in &plan.nodes {
        let own = node.dir(dir);
        fs::create_dir_all(&own).map_err(|e| LocalnetError::file(&own, &e))?;
        if !own.join(SEED_FILE).exists() {
            write_seed(&own, &node.seed).map_err(|e| LocalnetError::file(&own, &e))?;
        }
        let path = own.join(GENESIS_FILE);
        if node.role == Role::Consensus && !path.exists() {
            fs::write(&path, &genesis).map_err(|e| LocalnetError::file(&path, &e))?;
        }
        if node.role == Role::Gateway {
            write_group_key(plan, &own.join(GROUP_KEY_FILE))?;
        }
        let path = own.join(CONFIG_FILE);
        let config = config(plan, node, &own)?;
        fs::write(&path, config.to_toml()).map_err(|e| LocalnetError::file(&path, &e))?;
    }
    Ok(())
}

/// Writes what makes the gateways one group. It follows from the plan, so that every start writes the same.
fn write_group_key(plan: &Plan, path: &Path) -> Result<(), LocalnetError> {
    let seeds: Vec<&[u8]> = plan.of(Role::Gateway).map(|node| node.seed.as_slice()).collect();
    let secret = hash::tagged("cess 2026 localnet gateway group v1", &seeds);
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(SECRET_MODE).open(path);
    let written = file.and_then(|mut file| file.write_all(hex::encode(secret).as_bytes()));
    written.map_err(|e| LocalnetError::file(path, &e))
}

fn genesis(plan: &Plan) -> Genesis {
    let params = Params::dev();
    let balance = Amount::tokens(DEV_BALANCE_TOKENS);
    let known = || dev_accounts().into_iter().map(|account| account.address);
    let account = |address| (address, GenesisAccount { balance, ..GenesisAccount::default() });
    let nodes = plan.nodes.iter().map(|node| node.keys().address());
    let mut alloc: BTreeMap<Address, _> = known().chain(nodes).map(account).collect();
    for storing in known().chain(plan.of(Role::Gateway).map(|node| node.keys().address())) {
        alloc.entry(storing).and_modify(|account| account.territory = gift(plan, &params));
    }
    let validator = |node: &NodePlan| {
        let keys = node.keys();
        GenesisValidator {
            account: keys.address(),
            consensus_key: keys.consensus.public(),
            vrf_key: keys.vrf.public(),
            network_key: keys.network.public(),
            stake: params.validator_stake,
        }
    };
    Genesis {
        chain_id: plan.chain_id,
        profile: Profile::Dev,
        overrides: overrides(plan, &params),
        time_ms: plan.genesis_time_ms,
        extra_data: Default::default(),
        alloc,
        tee: Default::default(),
        deployments: plan.deployments.clone(),
        validators: plan.of(Role::Consensus).map(validator).collect(),
    }
}

/// A lease over all space of the localnet for as long as one may reach, so that files can be stored at once.
fn gift(plan: &Plan, params: &Params) -> Option<GenesisTerritory> {
    let miners = u64::try_from(plan.of(Role::Storage).count()).unwrap_or(u64::MAX);
    let size = plan.space.saturating_mul(miners);
    let territory = GenesisTerritory { name: GIFT_NAME.to_owned(), size, days: params.lease_max_days };
    (size >= TERRITORY_MIN_BYTES).then_some(territory)
}

/// Every validator of a large localnet keeps a seat; eras and blocks may be shorter than the profile's.
fn overrides(plan: &Plan, params: &Params) -> Overrides {
    let validators = plan.of(Role::Consensus).count();
    let (era_blocks, block_interval_ms) = (plan.era_blocks, plan.block_interval_ms);
    Overrides { era_blocks, seats: (validators > params.seats).then_some(validators), block_interval_ms }
}

fn config(plan: &Plan, node: &NodePlan, dir: &Path) -> Result<Config, LocalnetError> {
    // Validators know each other; everybody else knows the validators.
    let bootstrap = plan.of(Role::Consensus).filter(|other| other.name != node.name).map(NodePlan::listen);
    let http = format!("127.0.0.1:{}", node.http_port);
    let failed = |e: &dyn std::fmt::Display| LocalnetError::file(dir, e);
    let mut flags = Flags {
        name: Some(node.name.clone()),
        dir: Some(dir.to_owned()),
        roles: vec![node.role],
        // Without QUIC, whose handshake is the quicker one and whose streams are the slower ones on loopback.
        listen: vec![format!("/ip4/127.0.0.1/tcp/{}", node.p2p_port)],
        bootstrap: bootstrap.collect(),
        space: Some(ByteCount(plan.space)),
        idle: Some(plan.idle.parse().map_err(|e: String| failed(&e))?),
        ..Flags::default()
    };
    match node.role {
        Role::Gateway => {
            flags.gateway_listen = Some(http);
            // Gateways of earlier versions' plans have no port for it.
            flags.gateway_s3_listen = Some(node.s3_port.map(|port| format!("127.0.0.1:{port}")).unwrap_or_default());
            flags.rpc_listen = Some(String::new());
        }
        Role::Consensus | Role::Storage | Role::Tee => flags.rpc_listen = Some(http),
    }
    let mut config = Config::load_from(None, [], &flags).map_err(|e| failed(&e))?;
    config.node.cache = NODE_CACHE;
    if node.role == Role::Gateway {
        config.gateway.group_key = Some(dir.join(GROUP_KEY_FILE));
        let others = plan.of(Role::Gateway).filter(|other| other.name != node.name);
        config.gateway.group_members = others.map(|other| other.keys().address()).collect();
    }
    Ok(config)
}
