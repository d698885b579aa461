//! How long a node needs to join a long chain: by executing its blocks, and by taking over a recent state.
//!
//! Runs a validator of its own that decides one small block after the other, and then lets two newcomers catch up with it.

use crate::{
    cli::output::Output,
    client::{ChainClient, ChainError, HttpTransport, RemoteChain},
    config::{Config, SyncMode},
    crypto::{NodeKeys, SecretKey, native_address},
    ledger::{
        genesis::{Genesis, GenesisAccount, GenesisValidator, Overrides},
        native::NativeTx,
    },
    localnet::NodePlan,
    roles::{self, Setup},
    rpc::error::TX_REJECTED,
    runtime::{CpuPool, NodeRuntime},
    types::{Address, Amount, Height, Profile, Role, U256, params::CHAIN_ID_LOCALNET},
};
use alloy_primitives::{Bytes, keccak256};
use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Longest time without a new block before the bench gives up.
const STALL_MAX: Duration = Duration::from_secs(60);
/// Pause between two looks at a node that catches up.
const LOOK_PAUSE: Duration = Duration::from_millis(5);
/// Fee every transfer offers: a hundred times what empty blocks ask for at first.
const FEE: u64 = 100_000_000_000;
/// Seed of the validator's keys.
const VALIDATOR_SEED: [u8; 32] = [1; 32];
/// Gas of a plain transfer.
const TRANSFER_GAS: u64 = 21_000;

/// Arguments of `cess bench catch-up`.
#[derive(Debug, Args)]
pub struct CatchUpArgs {
    /// Blocks the newcomers have missed
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..=10_000_000))]
    blocks: u64,
    /// Directory for the databases [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct CatchUpFigures {
    blocks: u64,
    decide_seconds: f64,
    decided_blocks_s: f64,
    by_blocks_seconds: f64,
    by_blocks_blocks_s: f64,
    by_state_seconds: f64,
    state_height: Height,
}

/// Measures and prints.
pub async fn run(args: CatchUpArgs, output: &Output) -> anyhow::Result<()> {
    let root =
        args.dir.clone().unwrap_or_else(std::env::temp_dir).join(format!("cess-catch-up-{}", std::process::id()));
    std::fs::create_dir_all(&root).with_context(|| format!("cannot create `{}`", root.display()))?;
    let figures = measure(&args, &root, output).await;
    std::fs::remove_dir_all(&root)?;
    output.document(&figures?, |f| {
        format!(
            "{} blocks decided by one validator in {:.1} s: {:.0} blocks/s\ncaught up by blocks  {:>8.2} s: {:.0} blocks/s\n\
             caught up by state   {:>8.2} s: state of block {}, blocks from there on",
            f.blocks,
            f.decide_seconds,
            f.decided_blocks_s,
            f.by_blocks_seconds,
            f.by_blocks_blocks_s,
            f.by_state_seconds,
            f.state_height
        )
    })
}

async fn measure(args: &CatchUpArgs, root: &Path, output: &Output) -> anyhow::Result<CatchUpFigures> {
    let site = Site::new(root)?;
    let validator = site.start("validator", VALIDATOR_SEED, SyncMode::Blocks, &[]).await?;
    output.note(&format!("deciding {} blocks", args.blocks));
    let started = Instant::now();
    load(&validator.chain, args.blocks).await?;
    let decide_seconds = started.elapsed().as_secs_f64();

    output.note("a newcomer executes them");
    let started = Instant::now();
    let newcomer = site.start("by-blocks", [2; 32], SyncMode::Blocks, &[&validator]).await?;
    reach(&newcomer.chain, args.blocks).await?;
    let by_blocks_seconds = started.elapsed().as_secs_f64();
    newcomer.runtime.stop().await;

    output.note("another one takes over a state");
    let started = Instant::now();
    let newcomer = site.start("by-state", [3; 32], SyncMode::State, &[&validator]).await?;
    reach(&newcomer.chain, args.blocks).await?;
    let by_state_seconds = started.elapsed().as_secs_f64();
    let state_height = beginning(&newcomer.chain).await?;
    newcomer.runtime.stop().await;
    validator.runtime.stop().await;

    let rate = |seconds: f64| args.blocks as f64 / seconds;
    Ok(CatchUpFigures {
        blocks: args.blocks,
        decide_seconds,
        decided_blocks_s: rate(decide_seconds),
        by_blocks_seconds,
        by_blocks_blocks_s: rate(by_blocks_seconds),
        by_state_seconds,
        state_height,
    })
}

/// Nodes of one chain below one directory.
struct Site {
    root: PathBuf,
    genesis: Genesis,
    pool: CpuPool,
}

struct Started {
    runtime: NodeRuntime,
    chain: RemoteChain,
    plan: NodePlan,
}

fn payer() -> SecretKey {
    SecretKey::from_bytes(&[0x42; 32])
}

impl Site {
    fn new(root: &Path) -> anyhow::Result<Self> {
        let keys = NodeKeys::derive(&VALIDATOR_SEED);
        let rich = GenesisAccount { balance: Amount::tokens(1_000_000), ..GenesisAccount::default() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
        let genesis = Genesis {
            chain_id: CHAIN_ID_LOCALNET,
            profile: Profile::Dev,
            overrides: Overrides { block_interval_ms: Some(0), ..Overrides::default() },
            time_ms: u64::try_from(now.as_millis())?,
            extra_data: Bytes::new(),
            alloc: BTreeMap::from([(native_address(&payer().public()), rich)]),
            tee: Default::default(),
            deployments: Vec::new(),
            validators: vec![GenesisValidator {
                account: keys.address(),
                consensus_key: keys.consensus.public(),
                vrf_key: keys.vrf.public(),
                network_key: keys.network.public(),
                stake: Amount::tokens(1_000),
            }],
        };
        let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Ok(Self { root: root.to_owned(), genesis, pool: CpuPool::new("cpu", threads) })
    }

    async fn start(&self, name: &str, seed: [u8; 32], sync: SyncMode, peers: &[&Started]) -> anyhow::Result<Started> {
        let [p2p_port, http_port] = free_ports()?;
        let (own, role) = (name.to_owned(), Role::Consensus);
        let plan = NodePlan { name: own, role, seed, p2p_port, http_port, s3_port: None };
        let mut config = Config::defaults();
        config.node.name = name.to_owned();
        config.node.dir = plan.dir(&self.root);
        config.node.roles = vec![plan.role];
        config.network.listen = vec![format!("/ip4/127.0.0.1/tcp/{p2p_port}").parse()?];
        config.network.bootstrap = peers.iter().map(|peer| peer.plan.listen().parse()).collect::<Result<_, _>>()?;
        config.rpc.listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, http_port)));
        config.chain.sync = sync;
        std::fs::create_dir_all(&config.node.dir)?;
        let setup = Setup { config, keys: plan.keys(), genesis: Some(self.genesis.clone()), memo: None };
        let builder = move |node| async move { roles::start(&node, setup).await };
        let (runtime, ()) = NodeRuntime::start(name, self.pool.clone(), builder).await?;
        let chain = RemoteChain::new(Arc::new(HttpTransport::new(&plan.url())?));
        Ok(Started { runtime, chain, plan })
    }
}

/// Two ports that are free now.
fn free_ports() -> anyhow::Result<[u16; 2]> {
    let listeners = [TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?];
    Ok([listeners[0].local_addr()?.port(), listeners[1].local_addr()?.port()])
}

/// Sends transfers, each to an account of its own, so that blocks follow each other until `height`.
async fn load(chain: &RemoteChain, height: Height) -> anyhow::Result<()> {
    let (mut nonce, mut reached, mut moved) = (0u64, 0, Instant::now());
    while reached < height {
        let to = Address::from_word(keccak256(nonce.to_be_bytes()));
        let tx = NativeTx {
            chain_id: CHAIN_ID_LOCALNET,
            nonce,
            max_priority_fee: 1,
            max_fee: FEE,
            gas_limit: TRANSFER_GAS,
            key: payer().public(),
            to,
            value: U256::from(1),
            data: Bytes::new(),
        };
        match chain.submit(tx.sign(&payer())).await {
            Ok(_) => nonce += 1,
            // So many wait already that blocks have to come first.
            Err(ChainError::Refused { code: TX_REJECTED, .. }) => tokio::time::sleep(LOOK_PAUSE).await,
            Err(error) => return Err(error.into()),
        }
        let now = chain.status().await?.height;
        if now > reached {
            (reached, moved) = (now, Instant::now());
        }
        ensure!(moved.elapsed() < STALL_MAX, "no block followed block {reached} within {STALL_MAX:?}");
    }
    Ok(())
}

/// Waits until a node is at `height`.
async fn reach(chain: &RemoteChain, height: Height) -> anyhow::Result<()> {
    let (mut reached, mut moved) = (0, Instant::now());
    while reached < height {
        let now = chain.status().await?.height;
        if now > reached {
            (reached, moved) = (now, Instant::now());
        }
        ensure!(moved.elapsed() < STALL_MAX, "no block followed block {reached} within {STALL_MAX:?}");
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Ok(())
}

/// The block whose state a node began with: its events are the first that it does not have.
async fn beginning(chain: &RemoteChain) -> anyhow::Result<Height> {
    let (mut low, mut high) = (1, chain.status().await?.height + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match chain.events(middle, middle).await {
            Ok(_) => high = middle,
            Err(_) => low = middle + 1,
        }
    }
    Ok(low - 1)
}
