//! `bench blocks`: how many bytes a second a network of four commits in full blocks, and how long a small transaction takes
//! meanwhile.
//!
//! The figure includes what feeds it: every transaction comes by JSON-RPC, is gossiped, proposed, executed and stored by every
//! node, all on this machine.

use super::{
    net::{BenchNet, BenchNode, Shape, validators_arg, with_net},
    sample::{Spread, secs_arg},
};
use crate::{
    cli::output::Output,
    client::{ChainClient, RemoteChain, Signer, Wallet, dev_accounts},
    crypto::{SecretKey, native_address},
    ledger::native::NativeTx,
    runtime::NodeRng,
    types::{
        Address, Amount, B256, ByteCount, Height, U256,
        params::{BLOCK_GAS_LIMIT, BLOCK_MAX_BYTES, CHAIN_ID_LOCALNET},
    },
};
use alloy_primitives::Bytes;
use anyhow::{Context, bail, ensure};
use clap::Args;
use futures::{StreamExt, TryStreamExt, future::try_join_all, stream};
use serde::Serialize;
use serde_json::json;
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Call data of one large transaction. With the rest of its envelope it stays below [`TX_BYTES`].
const DATA_BYTES: usize = TX_BYTES - 250;
/// Most bytes of one large transaction.
const TX_BYTES: usize = 125_000;
/// One byte in so many is not zero: dearer call data would let full blocks drive the base fee up without end.
const NOISE_EVERY: usize = 8;
/// Accounts that send large transactions.
const SENDERS: usize = 8;
/// Tokens each of them gets.
const SENDER_TOKENS: u64 = 10_000;
/// Fee cap of a large transaction; the base fee never rises under this load.
const FEE_CAP: u64 = 10_000_000_000;
/// Blocks' worth of transactions that wait at a time.
const BLOCKS_AHEAD: usize = 4;
/// Where transactions go.
const SINK: Address = Address::repeat_byte(0x5b);
/// How long anything small may take.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long the load runs before anything is counted.
const WARM_UP: Duration = Duration::from_secs(3);
/// Questions at a time.
const PARALLEL_QUESTIONS: usize = 8;

/// Arguments of `cess bench blocks`.
#[derive(Debug, Args)]
pub struct BlocksArgs {
    /// Bytes of a full block
    #[arg(long, default_value = "1MB")]
    size: ByteCount,
    /// Each validator its own OS process
    #[arg(long)]
    processes: bool,
    /// How long is measured
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = secs_arg())]
    seconds: u32,
    /// Shortest time between blocks; the localnet's own is 250
    #[arg(long, default_value_t = 0, value_name = "MILLIS")]
    interval: u64,
    /// Number of validators
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = validators_arg())]
    validators: usize,
}

#[derive(Serialize)]
struct BlocksFigures {
    processes: bool,
    block_bytes: u64,
    seconds: f64,
    blocks: usize,
    mb_s: f64,
    blocks_s: f64,
    /// Mean of the blocks' bytes.
    mean_bytes: f64,
    /// Submit to final of small transactions meanwhile.
    small_tx: Spread,
}

/// Measures and prints.
pub async fn run(args: BlocksArgs, output: &Output) -> anyhow::Result<()> {
    let size = usize::try_from(args.size.0).unwrap_or(usize::MAX);
    ensure!(
        (TX_BYTES..=BLOCK_MAX_BYTES).contains(&size),
        "a block of {size} B is out of bounds, expected {TX_BYTES} B to {BLOCK_MAX_BYTES} B"
    );
    let shape = Shape {
        validators: args.validators,
        processes: args.processes,
        block_interval_ms: Some(args.interval),
        ..Shape::default()
    };
    let figures = with_net(&shape, output, async |net| measure(net, size, &args).await).await?;
    output.document(&figures, |f| {
        format!(
            "{:.1} MB/s in {} blocks of {:.2} MB over {:.1} s ({:.1} blocks/s), {}\nsmall transactions meanwhile: {}",
            f.mb_s,
            f.blocks,
            f.mean_bytes / 1e6,
            f.seconds,
            f.blocks_s,
            if f.processes { "validators as processes" } else { "validators in one process" },
            f.small_tx
        )
    })
}

async fn measure(net: &BenchNet, size: usize, args: &BlocksArgs) -> anyhow::Result<BlocksFigures> {
    let senders = fund(&net.nodes).await?;
    let plan = LoadPlan::new(size);
    let load = try_join_all(senders.iter().enumerate().map(|(index, key)| {
        let node = &net.nodes[index % net.nodes.len()];
        feed(node, key, &plan)
    }));
    let small = small_wallet(&net.nodes[0]);
    let story = async {
        sleep(WARM_UP).await;
        let span = Duration::from_secs(args.seconds.into());
        let (counted, latencies) = tokio::join!(count(&net.nodes[0], span), small_txs(&small, span));
        anyhow::Ok((counted?, latencies?))
    };
    let (counted, latencies) = tokio::select! {
        told = story => told?,
        failed = load => {
            let never = failed.context("the load failed")?;
            match never[0] {}
        }
    };
    let (blocks, seconds) = (counted.bytes.len(), counted.took.as_secs_f64());
    let bytes = counted.bytes.iter().sum::<u64>() as f64;
    Ok(BlocksFigures {
        processes: args.processes,
        block_bytes: args.size.0,
        seconds,
        blocks,
        mb_s: bytes / 1e6 / seconds,
        blocks_s: blocks as f64 / seconds,
        mean_bytes: bytes / blocks.max(1) as f64,
        small_tx: Spread::of(latencies),
    })
}

/// Fresh native accounts with tokens, which every node knows of.
async fn fund(nodes: &[BenchNode]) -> anyhow::Result<Vec<SecretKey>> {
    let rng = NodeRng::from_os();
    let keys: Vec<SecretKey> = (0..SENDERS)
        .map(|_| {
            let mut seed = [0u8; 32];
            rng.fill(&mut seed);
            SecretKey::from_bytes(&seed)
        })
        .collect();
    let wallet = Wallet::new(chain_of(&nodes[0]), Signer::Ecdsa(dev_accounts().swap_remove(0).key), CHAIN_ID_LOCALNET);
    let tokens = Amount::tokens(SENDER_TOKENS).0;
    let gifts =
        keys.iter().map(|key| wallet.send_and_wait(native_address(&key.public()), tokens, Bytes::new(), DEADLINE));
    let given = try_join_all(gifts).await?.iter().map(|gift| gift.height).max().unwrap_or(0);
    let known = nodes.iter().map(|node| async { chain_of(node).wait_above(given.saturating_sub(1), DEADLINE).await });
    try_join_all(known).await?;
    Ok(keys)
}

fn chain_of(node: &BenchNode) -> Arc<dyn ChainClient> {
    Arc::new(RemoteChain::new(node.rpc.clone()))
}

fn small_wallet(node: &BenchNode) -> Wallet {
    Wallet::new(chain_of(node), Signer::Ecdsa(dev_accounts().swap_remove(1).key), CHAIN_ID_LOCALNET)
}

/// What large transactions look like, so that blocks come out at the size asked for.
struct LoadPlan {
    data: Bytes,
    /// So much that the gas limits of a full block's transactions add up to the block's.
    gas_limit: u64,
    /// Transactions of one sender that wait at a time.
    waiting: u64,
}

impl LoadPlan {
    fn new(size: usize) -> Self {
        let mut noise = vec![0u8; DATA_BYTES.div_ceil(NOISE_EVERY)];
        NodeRng::from_seed(size as u64).fill(&mut noise);
        let mut data = vec![0u8; DATA_BYTES];
        data.iter_mut().step_by(NOISE_EVERY).zip(noise).for_each(|(byte, noise)| *byte = noise | 1);
        let per_block = (size / TX_BYTES) as u64;
        let waiting = (per_block * BLOCKS_AHEAD as u64).div_ceil(SENDERS as u64);
        Self { data: data.into(), gas_limit: BLOCK_GAS_LIMIT / per_block, waiting }
    }

    fn transaction(&self, key: &SecretKey, nonce: u64) -> Bytes {
        let tx = NativeTx {
            chain_id: CHAIN_ID_LOCALNET,
            nonce,
            max_priority_fee: 0,
            max_fee: FEE_CAP,
            gas_limit: self.gas_limit,
            key: key.public(),
            to: SINK,
            value: U256::ZERO,
            data: self.data.clone(),
        };
        tx.sign(key)
    }
}

/// Keeps large transactions of one sender waiting at `node`. Ends only with an error.
async fn feed(node: &BenchNode, key: &SecretKey, plan: &LoadPlan) -> anyhow::Result<Infallible> {
    let (chain, account) = (RemoteChain::new(node.rpc.clone()), native_address(&key.public()));
    let mut nonce = 0;
    loop {
        let height = chain.status().await?.height;
        let mined: U256 = node.ask("eth_getTransactionCount", json!([account, "latest"])).await?;
        while U256::from(nonce) < mined + U256::from(plan.waiting) {
            let _: B256 = node.ask("eth_sendRawTransaction", json!([plan.transaction(key, nonce)])).await?;
            nonce += 1;
        }
        chain.wait_above(height, DEADLINE).await?;
    }
}

struct Counted {
    bytes: Vec<u64>,
    took: Duration,
}

/// The blocks `node` executes within `span`, begun and ended by the arrival of a block.
async fn count(node: &BenchNode, span: Duration) -> anyhow::Result<Counted> {
    let chain = RemoteChain::new(node.rpc.clone());
    let height = chain.status().await?.height;
    let first = chain.wait_above(height, DEADLINE).await?.height;
    let began = Instant::now();
    let (mut last, mut took) = (first, Duration::ZERO);
    while took < span {
        let status = chain.wait_above(last, DEADLINE).await?;
        ensure!(status.height > last, "no block after height {last} for {} s", DEADLINE.as_secs());
        (last, took) = (status.height, began.elapsed());
    }
    let bytes = stream::iter(first + 1..=last).map(|height| bytes_of(node, height)).buffered(PARALLEL_QUESTIONS);
    Ok(Counted { bytes: bytes.try_collect().await?, took })
}

async fn bytes_of(node: &BenchNode, height: Height) -> anyhow::Result<u64> {
    match node.block(height).await? {
        Some(block) => Ok(block.bytes),
        None => bail!("block {height} is gone"),
    }
}

/// Small transfers one after another; how long each took to be final.
async fn small_txs(wallet: &Wallet, span: Duration) -> anyhow::Result<Vec<Duration>> {
    let (end, mut samples) = (Instant::now() + span, Vec::new());
    while Instant::now() < end {
        let began = Instant::now();
        wallet.send_and_wait(SINK, U256::from(1), Bytes::new(), DEADLINE).await?;
        samples.push(began.elapsed());
    }
    Ok(samples)
}
