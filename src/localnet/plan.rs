//! What a localnet consists of: names, seeds, ports and the genesis they share. Kept in its directory so that a stopped
//! localnet continues as it was.

use super::LocalnetError;
use crate::{
    client::s3::AccessKey,
    crypto::NodeKeys,
    runtime::NodeRng,
    types::{Role, params::CHAIN_ID_LOCALNET},
};
use alloy_primitives::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

/// Name of the plan in the localnet's directory.
pub const PLAN_FILE: &str = "localnet.json";
/// Most nodes of one role.
pub const NODES_MAX: usize = 64;
/// Where the first validator's JSON-RPC listens unless told otherwise.
pub const RPC_PORT: u16 = 8545;
/// Where the first gateway listens unless told otherwise.
pub const GATEWAY_PORT: u16 = 8580;

/// Where the first gateway's S3 endpoint listens unless told otherwise.
pub const S3_PORT: u16 = 8581;

/// Idle space each miner makes unless told otherwise: a few segments, so that laptops stay quiet.
pub const IDLE_SPACE: &str = "4 MiB";

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct LocalnetOptions {
    /// Directory of the localnet.
    pub dir: PathBuf,
    /// Number of validators.
    pub validators: usize,
    /// Number of storage miners.
    pub storage: usize,
    /// Number of TEE workers.
    pub tees: usize,
    /// Number of gateways.
    pub gateways: usize,
    /// Each node its own OS process.
    pub processes: bool,
    /// Remove what is in the directory first.
    pub fresh: bool,
    /// Space each miner lends.
    pub space: crate::types::ByteCount,
    /// Idle space each miner makes.
    pub idle: crate::config::IdleSpace,
    /// Blocks of an era, if not the profile's number.
    pub era_blocks: Option<u64>,
    /// Shortest time between blocks in milliseconds, if not the profile's number.
    pub block_interval_ms: Option<u64>,
    /// Contracts of the genesis beyond the protocol's: salt and init code of each.
    pub deployments: Vec<Bytes>,
    /// Nodes of this process check each signature once for all of them. For benches: on machines of their own they could not.
    pub shared_memo: bool,
    /// Port of the first validator's JSON-RPC; 0 takes a free one.
    pub rpc_port: u16,
    /// Port of the first gateway; 0 takes a free one.
    pub gateway_port: u16,
    /// Port of the first gateway's S3 endpoint; 0 takes a free one.
    pub s3_port: u16,
    /// Give the first well-known account an access key of S3 when the localnet is made, and wait at every start until it works.
    pub s3_key: bool,
}

/// A localnet on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Format of this file.
    pub version: u32,
    /// Chain id.
    pub chain_id: u64,
    /// Time of the genesis block.
    pub genesis_time_ms: u64,
    /// Bytes each miner lends.
    pub space: u64,
    /// Idle space each miner makes, as its settings say it.
    #[serde(default = "idle_default")]
    pub idle: String,
    /// Blocks of an era, if not the profile's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era_blocks: Option<u64>,
    /// Shortest time between blocks in milliseconds, if not the profile's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_interval_ms: Option<u64>,
    /// Contracts of the genesis beyond the protocol's: salt and init code of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<Bytes>,
    /// Access key of S3 that the first well-known account has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_key: Option<PlannedKey>,
    /// Its nodes: validators, then miners, then gateways.
    pub nodes: Vec<NodePlan>,
}

/// An access key on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedKey {
    /// Its id.
    pub id: String,
    /// What signs with it.
    pub secret: String,
}

impl PlannedKey {
    fn generate(rng: &NodeRng) -> Self {
        let key = AccessKey::generate(rng);
        Self { id: key.id().to_owned(), secret: key.secret().to_owned() }
    }

    /// The key.
    pub fn access_key(&self) -> AccessKey {
        AccessKey::new(&self.id, &self.secret)
    }
}

/// A node on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePlan {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Seed of all its keys.
    #[serde(with = "hex::serde")]
    pub seed: [u8; 32],
    /// Port of its network host.
    pub p2p_port: u16,
    /// Port of its JSON-RPC, or of its gateway.
    pub http_port: u16,
    /// Port of a gateway's S3 endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3_port: Option<u16>,
}

const PLAN_VERSION: u32 = 1;

/// Idle space of plans that did not know it.
fn idle_default() -> String {
    IDLE_SPACE.to_owned()
}

impl Plan {
    /// The plan in the directory, or a new one written there.
    pub fn load_or_create(options: &LocalnetOptions, now_ms: u64, rng: &NodeRng) -> Result<Self, LocalnetError> {
        check_counts(options)?;
        let path = options.dir.join(PLAN_FILE);
        if options.fresh && path.exists() {
            remove_contents(&options.dir)?;
        }
        if path.exists() {
            return Self::load(options, &path);
        }
        std::fs::create_dir_all(&options.dir).map_err(|e| LocalnetError::file(&options.dir, &e))?;
        let plan = Self::create(options, now_ms, rng)?;
        plan.save(&path)?;
        Ok(plan)
    }

    fn load(options: &LocalnetOptions, path: &Path) -> Result<Self, LocalnetError> {
        let text = std::fs::read_to_string(path).map_err(|e| LocalnetError::file(path, &e))?;
        let plan: Self = serde_json::from_str(&text).map_err(|e| LocalnetError::file(path, &e))?;
        if plan.version != PLAN_VERSION {
            let reason = format!("format {} is not {PLAN_VERSION}", plan.version);
            return Err(LocalnetError::File { path: path.to_owned(), reason });
        }
        let found = plan.shape();
        let asked = shape(options.validators, options.storage, options.tees, options.gateways);
        if found != asked {
            return Err(LocalnetError::Shape { dir: options.dir.clone(), found, asked });
        }
        Ok(plan)
    }

    /// Keeps other localnets away from the ports of this one for as long as the listener lives.
    pub(super) fn hold_ports(&self) -> Option<TcpListener> {
        let ports_of = |node: &NodePlan| [Some(node.p2p_port), Some(node.http_port), node.s3_port];
        let ports = self.nodes.iter().flat_map(ports_of).flatten();
        let start = self.nodes.first()?.p2p_port.checked_sub(PORT_MIN)? / PORT_STEP * PORT_STEP + PORT_MIN;
        // Plans of earlier versions gave the first port to a node.
        if ports.into_iter().any(|port| port == start) { None } else { listen(start) }
    }

    fn create(options: &LocalnetOptions, now_ms: u64, rng: &NodeRng) -> Result<Self, LocalnetError> {
        let mut ports = Ports::new(rng);
        let mut nodes = Vec::new();
        let roles = [
            (Role::Consensus, options.validators),
            (Role::Storage, options.storage),
            (Role::Tee, options.tees),
            (Role::Gateway, options.gateways),
        ];
        for (role, count) in roles {
            for index in 0..count {
                let mut seed = [0u8; 32];
                rng.fill(&mut seed);
                let http_port = match (role, index) {
                    (Role::Consensus, 0) if options.rpc_port != 0 => options.rpc_port,
                    (Role::Gateway, 0) if options.gateway_port != 0 => options.gateway_port,
                    _ => ports.free()?,
                };
                let s3_port = match (role, index) {
                    (Role::Gateway, 0) if options.s3_port != 0 => Some(options.s3_port),
                    (Role::Gateway, _) => Some(ports.free()?),
                    _ => None,
                };
                let p2p_port = ports.free()?;
                nodes.push(NodePlan { name: node_name(role, index), role, seed, p2p_port, http_port, s3_port });
            }
        }
        Ok(Self {
            version: PLAN_VERSION,
            chain_id: CHAIN_ID_LOCALNET,
            genesis_time_ms: now_ms,
            space: options.space.0,
            idle: options.idle.to_string(),
            era_blocks: options.era_blocks,
            block_interval_ms: options.block_interval_ms,
            deployments: options.deployments.clone(),
            s3_key: (options.s3_key && options.gateways > 0).then(|| PlannedKey::generate(rng)),
            nodes,
        })
    }

    fn save(&self, path: &Path) -> Result<(), LocalnetError> {
        let text = serde_json::to_string_pretty(self).map_err(|e| LocalnetError::file(path, &e))?;
        std::fs::write(path, text + "\n").map_err(|e| LocalnetError::file(path, &e))
    }

    fn shape(&self) -> String {
        let count = |role| self.nodes.iter().filter(|n| n.role == role).count();
        shape(count(Role::Consensus), count(Role::Storage), count(Role::Tee), count(Role::Gateway))
    }

    /// The nodes of a role, in order.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &NodePlan> {
        self.nodes.iter().filter(move |n| n.role == role)
    }
}

impl NodePlan {
    /// Its keys.
    pub fn keys(&self) -> NodeKeys {
        NodeKeys::derive(&self.seed)
    }

    /// Its directory below the localnet's.
    pub fn dir(&self, localnet: &Path) -> PathBuf {
        localnet.join(&self.name)
    }

    /// Address its network host listens on, with its identity.
    pub fn listen(&self) -> String {
        let peer =
            crate::network::peer_id_of(&self.keys().network.public()).expect("a derived key is a valid curve point");
        format!("/ip4/127.0.0.1/tcp/{}/p2p/{peer}", self.p2p_port)
    }

    /// Base URL of its JSON-RPC, or of its gateway.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.http_port)
    }

    /// Base URL of a gateway's S3 endpoint.
    pub fn s3_url(&self) -> Option<String> {
        self.s3_port.map(|port| format!("http://127.0.0.1:{port}"))
    }
}

fn node_name(role: Role, index: usize) -> String {
    match role {
        Role::Consensus => format!("validator-{index}"),
        other => format!("{other}-{index}"),
    }
}

fn shape(validators: usize, storage: usize, tees: usize, gateways: usize) -> String {
    format!("{validators} validators, {storage} miners, {tees} TEE workers, {gateways} gateways")
}

fn check_counts(options: &LocalnetOptions) -> Result<(), LocalnetError> {
    let check = |what, given, min| match given {
        n if (min..=NODES_MAX).contains(&n) => Ok(()),
        _ => Err(LocalnetError::Count { what, given, min, max: NODES_MAX }),
    };
    check("number of validators", options.validators, 1)?;
    check("number of storage miners", options.storage, 0)?;
    check("number of TEE workers", options.tees, 0)?;
    check("number of gateways", options.gateways, 0)
}

/// Removes what a localnet made, and only a directory that holds one.
fn remove_contents(dir: &Path) -> Result<(), LocalnetError> {
    for entry in std::fs::read_dir(dir).map_err(|e| LocalnetError::file(dir, &e))? {
        let path = entry.map_err(|e| LocalnetError::file(dir, &e))?.path();
        if path.ends_with(super::start::LOCK_FILE) {
            continue;
        }
        let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.map_err(|e| LocalnetError::file(&path, &e))?;
    }
    Ok(())
}

/// Ports that are free now and that the system does not hand out to outgoing connections, as it does with those above
/// 32,767: such a port could be taken while its node is down. They follow each other behind a multiple of [`PORT_STEP`] that
/// nobody listens on: a localnet that runs does, so that another one does not take the ports of its nodes that are down. The
/// listeners are held until the plan is complete, so that no port is given twice.
struct Ports {
    next: u16,
    held: Vec<TcpListener>,
}

const PORT_MIN: u16 = 15_000;
const PORT_COUNT: u16 = 17_000;
const PORT_STEP: u16 = 50;

impl Ports {
    fn new(rng: &NodeRng) -> Self {
        let steps = PORT_COUNT / PORT_STEP;
        let first = u16::try_from(rng.below(u64::from(steps))).expect("below the count");
        let mut starts = (0..steps).map(|step| (first + step) % steps * PORT_STEP);
        let mine = starts.find_map(|start| Some((start, listen(PORT_MIN + start)?)));
        // Without one that is free, any port has to do.
        let (start, held) = mine.map_or((first, Vec::new()), |(start, listener)| (start, vec![listener]));
        Self { next: start, held }
    }

    fn free(&mut self) -> Result<u16, LocalnetError> {
        for _ in 0..PORT_COUNT {
            let port = PORT_MIN + self.next;
            self.next = (self.next + 1) % PORT_COUNT;
            if let Some(listener) = listen(port) {
                self.held.push(listener);
                return Ok(port);
            }
        }
        let reason = format!("none of the {PORT_COUNT} ports from {PORT_MIN} on is free");
        Err(LocalnetError::NotReady { millis: 0, reason })
    }
}

fn listen(port: u16) -> Option<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ByteCount;

    #[test]
    fn a_running_localnet_keeps_its_ports_while_nodes_are_down() {
        let planned = || {
            let dir = tempfile::tempdir().unwrap();
            Plan::load_or_create(&options(dir.path()), 5, &NodeRng::from_seed(1)).unwrap()
        };
        let start = |plan: &Plan| (plan.nodes[0].p2p_port - PORT_MIN) / PORT_STEP;
        let plans: Vec<(Plan, Option<TcpListener>)> = (0..8)
            .map(|_| planned())
            .map(|plan| {
                let held = plan.hold_ports();
                (plan, held)
            })
            .collect();
        assert!(plans.iter().all(|(_, held)| held.is_some()));
        for (at, (one, _)) in plans.iter().enumerate() {
            assert!(
                plans[at + 1..].iter().all(|(other, _)| start(one) != start(other)),
                "nothing listens on the nodes' ports"
            );
        }
    }

    fn options(dir: &Path) -> LocalnetOptions {
        LocalnetOptions {
            dir: dir.to_owned(),
            validators: 2,
            storage: 3,
            tees: 0,
            gateways: 1,
            processes: false,
            fresh: false,
            space: ByteCount::mib(64),
            idle: crate::config::IdleSpace::UpTo(ByteCount::mib(4)),
            era_blocks: None,
            block_interval_ms: None,
            deployments: Vec::new(),
            shared_memo: false,
            rpc_port: 0,
            gateway_port: 0,
            s3_port: 0,
            s3_key: true,
        }
    }

    #[test]
    fn a_plan_is_kept_and_another_shape_refused() {
        let dir = tempfile::tempdir().unwrap();
        let rng = NodeRng::from_seed(1);
        let plan = Plan::load_or_create(&options(dir.path()), 5, &rng).unwrap();
        assert_eq!(plan.nodes.len(), 6);
        let ports_of = |n: &NodePlan| [Some(n.p2p_port), Some(n.http_port), n.s3_port];
        let mut ports: Vec<u16> = plan.nodes.iter().flat_map(ports_of).flatten().collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 13);
        assert!(plan.s3_key.is_some(), "the first account has a key where there is a gateway");
        assert_eq!(Plan::load_or_create(&options(dir.path()), 9, &rng).unwrap(), plan);

        let mut other = options(dir.path());
        other.storage = 4;
        let error = Plan::load_or_create(&other, 9, &rng).unwrap_err().to_string();
        assert!(error.contains("3 miners") && error.contains("4 miners"), "{error}");
        other.fresh = true;
        assert_eq!(Plan::load_or_create(&other, 9, &rng).unwrap().nodes.len(), 7);
        other.validators = 0;
        assert!(matches!(Plan::load_or_create(&other, 9, &rng), Err(LocalnetError::Count { given: 0, .. })));
    }
}
