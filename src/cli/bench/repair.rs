//! `bench repair`: how long the death of a miner goes unnoticed, and how fast what it held is rebuilt by others.

use super::{
    load::Load,
    net::{BenchNet, Shape, with_net},
};
use crate::{
    cli::output::Output,
    client::{
        ChainClient, ChainEvent, EventFollower, RemoteChain, Signer, Wallet, dev_accounts,
        gateway::{GatewayClient, UploadRequest},
    },
    ledger::audit::Verdict,
    localnet::Action,
    runtime::NodeRng,
    types::{Address, ByteCount, FileId, Height, U256, params::CHAIN_ID_LOCALNET},
};
use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// How long the whole story may take.
const STORY_DEADLINE: Duration = Duration::from_secs(1_200);
/// How long a transaction may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of one piece of an upload.
const PIECE_BYTES: usize = 1 << 20;
/// Transactions a second while blocks are to come quickly.
const BUSY_RATE: u32 = 8;
/// Miners beyond the twelve that hold a file, to take over what is lost.
const SPARE_MINERS: usize = 2;

/// Arguments of `cess bench repair`.
#[derive(Debug, Args)]
pub struct RepairArgs {
    /// Size of the file whose column is lost
    #[arg(long, default_value = "64MiB")]
    size: ByteCount,
    /// Send transactions all the while, so that blocks come as quickly as they may
    #[arg(long)]
    busy: bool,
}

/// A moment after the kill.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
struct Moment {
    seconds: f64,
    blocks: Height,
}

#[derive(Debug, Default, Serialize)]
struct RepairFigures {
    /// First verdict that the miner did not answer.
    found: Moment,
    /// First fine.
    fined: Moment,
    /// Forced out: what it held is open for repair.
    lost: Moment,
    /// The last column it held has a new holder.
    repaired: Moment,
    /// Columns and bytes that were rebuilt.
    columns: usize,
    bytes: u64,
    /// Rebuilt bytes a second from the first claim to the last completion.
    mb_s: f64,
}

/// Measures and prints.
pub async fn run(args: RepairArgs, output: &Output) -> anyhow::Result<()> {
    let miners = crate::types::params::FRAGMENTS + SPARE_MINERS;
    let shape = Shape { validators: 4, miners, ..Shape::default() };
    let figures = with_net(&shape, output, async |net| {
        let file = store(net, args.size).await?;
        let story = async { timeout(STORY_DEADLINE, measure(net, file, output)).await.context("took too long")? };
        let rng = NodeRng::from_os();
        let load = Load { nodes: &net.nodes, rate: BUSY_RATE, rng: &rng };
        tokio::select! {
            told = story => told,
            () = load.run(|_| ()), if args.busy => bail!("the load ended by itself"),
        }
    })
    .await?;
    output.document(&figures, |f| {
        let line = |what: &str, at: Moment| format!("{what:<24} {:>7.1} s {:>6} blocks\n", at.seconds, at.blocks);
        format!(
            "after the kill\n{}{}{}{}{} column(s), {} rebuilt at {:.1} MB/s from the first claim on",
            line("first fault", f.found),
            line("first fine", f.fined),
            line("forced out", f.lost),
            line("repaired", f.repaired),
            f.columns,
            ByteCount(f.bytes),
            f.mb_s
        )
    })
}

async fn measure(net: &BenchNet, file: FileId, output: &Output) -> anyhow::Result<RepairFigures> {
    let chain = chain_of(net)?;
    let record = chain.file(file).await?.context("the file that was stored is gone")?;
    let victim = *record.holders.first().context("a stored file has holders")?;
    output.note(&format!("file {file} is stored; waiting until {victim} has passed an audit"));
    let mut follower = EventFollower::new(chain.clone(), record.stored_at);
    while !passes(&follower.next().await.batches, victim) {}

    let name = chain.miners().await?.into_iter().find(|miner| miner.address == victim).context("the miner is gone")?;
    net.localnet().act(Action::Kill, &name.name).await?;
    let (killed, from) = (Instant::now(), chain.status().await?.height);
    output.note(&format!("{} is killed at block {from}", name.name));
    let mut story = Story { victim, killed, from, left: 0, claimed: None, figures: Default::default() };
    while !story.is_told() {
        for batch in follower.next().await.batches {
            for (_, event) in batch.events {
                story.take(batch.height, &event);
            }
        }
    }
    let healthy = GatewayClient::new(&net.gateway).stat(file).await?;
    let healthy = healthy.segments.iter().flat_map(|segment| &segment.fragments).filter(|one| !one.healthy).count();
    ensure!(healthy == 0, "{healthy} fragments are not healthy after the repair");
    story.figures.bytes = name.used;
    let took = story.figures.repaired.seconds - story.claimed.unwrap_or_default();
    story.figures.mb_s = name.used as f64 / 1e6 / took.max(f64::MIN_POSITIVE);
    Ok(story.figures)
}

fn chain_of(net: &BenchNet) -> anyhow::Result<Arc<dyn ChainClient>> {
    let observer = net.nodes.first().context("there are no validators")?;
    Ok(Arc::new(RemoteChain::new(observer.rpc.clone())))
}

fn passes(batches: &[crate::client::EventBatch], wanted: Address) -> bool {
    batches.iter().flat_map(|batch| &batch.events).any(|(_, event)| match event {
        ChainEvent::AuditDecided { miner, verdict, .. } if *miner == wanted => {
            Verdict::decode(*verdict).is_some_and(|verdict| !verdict.is_fault())
        }
        _ => false,
    })
}

/// What is known of the victim so far.
struct Story {
    victim: Address,
    killed: Instant,
    from: Height,
    /// Columns that have no new holder yet.
    left: usize,
    /// Seconds until the first claim.
    claimed: Option<f64>,
    figures: RepairFigures,
}

impl Story {
    fn take(&mut self, height: Height, event: &ChainEvent) {
        let now = Moment { seconds: self.killed.elapsed().as_secs_f64(), blocks: height.saturating_sub(self.from) };
        let figures = &mut self.figures;
        match event {
            ChainEvent::AuditDecided { miner, strikes: 1, .. } if *miner == self.victim => figures.found = now,
            ChainEvent::MinerFined { account, .. } if *account == self.victim && figures.fined == Moment::default() => {
                figures.fined = now;
            }
            ChainEvent::MinerLost { account, held } if *account == self.victim => {
                figures.lost = now;
                figures.columns = usize::try_from(*held).unwrap_or(usize::MAX);
                self.left = figures.columns;
            }
            ChainEvent::RepairClaimed { .. } => {
                self.claimed.get_or_insert(now.seconds);
            }
            ChainEvent::RepairCompleted { from, .. } if *from == self.victim => {
                figures.repaired = now;
                self.left = self.left.saturating_sub(1);
            }
            _ => {}
        }
    }

    fn is_told(&self) -> bool {
        self.figures.lost != Moment::default() && self.left == 0
    }
}

/// Stores random bytes for a well-known account.
async fn store(net: &BenchNet, size: ByteCount) -> anyhow::Result<FileId> {
    let gateway = GatewayClient::new(&net.gateway);
    let mut bytes = vec![0; usize::try_from(size.0).context("the file does not fit memory")?];
    NodeRng::from_os().fill(&mut bytes);
    let bytes = Bytes::from(bytes);
    let state = gateway.begin(&UploadRequest { size: size.0, idempotency_key: None }).await?;
    let pieces: Vec<Result<Bytes, std::io::Error>> = (0..bytes.len())
        .step_by(PIECE_BYTES)
        .map(|at| Ok(bytes.slice(at..bytes.len().min(at + PIECE_BYTES))))
        .collect();
    let state = gateway.send(&state.upload, 0, futures::stream::iter(pieces)).await?;
    let call = gateway.prepare(&state.upload).await?;
    let key = dev_accounts().swap_remove(0).key;
    let wallet = Wallet::new(chain_of(net)?, Signer::Ecdsa(key), CHAIN_ID_LOCALNET);
    wallet.send_and_wait(call.to, U256::ZERO, call.data.clone(), FINAL_DEADLINE).await?;
    Ok(call.id)
}
