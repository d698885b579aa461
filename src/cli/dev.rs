//! `dev`: a chain for developers in this process.

use super::{Global, Usage, local::deployment, output::Output};
use crate::{
    client::DevAccount,
    crypto::mnemonic_keys,
    roles::dev::{DevNode, DevOptions, Mining, Tell},
    runtime::{CpuPool, Node, Signals, telemetry},
    types::{Amount, params::BLOCK_GAS_LIMIT},
};
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// The words every development chain takes its accounts from.
const MNEMONIC: &str = "test test test test test test test test test test test junk";
/// Accounts one chain may have.
const ACCOUNTS_MAX: u32 = 1_000;

/// Arguments of `cess dev`.
#[derive(Debug, Args)]
pub struct DevArgs {
    /// Port of JSON-RPC; 0 takes a free one
    #[arg(short, long, default_value_t = 8545)]
    port: u16,
    /// Address it listens on
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// EIP-155 chain id
    #[arg(long, default_value_t = 31_337, value_name = "ID")]
    chain_id: u64,
    /// Number of funded accounts
    #[arg(short, long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=i64::from(ACCOUNTS_MAX)))]
    accounts: u32,
    /// Tokens of each account
    #[arg(long, default_value = "10000", value_name = "TOKENS")]
    balance: Amount,
    /// Words the accounts come from, at m/44'/60'/0'/0/index
    #[arg(short, long, default_value = MNEMONIC, value_name = "WORDS")]
    mnemonic: String,
    /// Seconds between blocks, instead of a block for each transaction
    #[arg(short, long, value_name = "SECONDS", conflicts_with = "no_mining")]
    block_time: Option<f64>,
    /// Make blocks only when asked by evm_mine
    #[arg(long, alias = "no-mine")]
    no_mining: bool,
    /// Gas of a block
    #[arg(long, default_value_t = BLOCK_GAS_LIMIT, value_name = "GAS")]
    gas_limit: u64,
    /// Base fee of the first block
    #[arg(long, alias = "block-base-fee-per-gas", value_name = "FEE")]
    base_fee: Option<u64>,
    /// Time of genesis, in Unix seconds
    #[arg(long, value_name = "SECONDS")]
    timestamp: Option<u64>,
    /// Contract to deploy in genesis: a file with its salt and init code in hexadecimal. May be given again
    #[arg(long, value_name = "FILE")]
    deploy: Vec<PathBuf>,
    /// File the chain is loaded from if it exists, and written to at the end
    #[arg(long, value_name = "FILE", conflicts_with_all = ["load_state", "dump_state"])]
    state: Option<PathBuf>,
    /// File the chain is loaded from
    #[arg(long, value_name = "FILE")]
    load_state: Option<PathBuf>,
    /// File the chain is written to at the end
    #[arg(long, value_name = "FILE")]
    dump_state: Option<PathBuf>,
    /// Accepted for scripts written for anvil: every transaction can be traced
    #[arg(long, hide = true)]
    steps_tracing: bool,
    /// Print nothing
    #[arg(long)]
    silent: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Ready {
    url: String,
    chain_id: u64,
    gas_limit: u64,
    base_fee: u64,
    balance: String,
    mnemonic: String,
    accounts: Vec<ReadyAccount>,
}

#[derive(Serialize)]
struct ReadyAccount {
    address: String,
    key: String,
}

/// Runs the chain until it is told to stop.
pub fn run(args: DevArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    telemetry::init(telemetry::Format::Text, telemetry::LOG_MANY_NODES)?;
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let node = Node::new("dev", CpuPool::new("cpu", threads));
    let result = runtime.block_on(serve(args, &node, global, output));
    runtime.shutdown_background();
    result
}

async fn serve(args: DevArgs, node: &Node, global: &Global, output: &Output) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    let options = options(&args)?;
    let load = args.load_state.as_ref().or(args.state.as_ref().filter(|path| path.exists()));
    let load =
        load.map(|path| std::fs::read(path).with_context(|| format!("reading {}", path.display()))).transpose()?;
    let silent = if args.silent { Output::silent() } else { *output };
    let lines = silent;
    // With --json standard output holds the one document.
    let tell: Tell = Arc::new(move |line: &str| drop(lines.text(line)));
    let tell = (!args.silent && !global.json && !global.quiet).then_some(tell);
    let ready = ready(&args, &options);
    let running = DevNode::start(node, SocketAddr::new(args.host, args.port), options, load, tell)?;
    let ready = Ready { url: format!("http://{}", running.addr()), base_fee: running.base_fee(), ..ready };
    silent.document(&ready, |ready| banner(ready, running.height(), running.addr()))?;
    let failure = tokio::select! {
        _ = signals.next() => None,
        why = node.tasks.failure() => Some(why),
    };
    signals.unless_forced(node.tasks.shutdown()).await;
    if let Some(path) = args.dump_state.as_ref().or(args.state.as_ref()) {
        std::fs::write(path, running.dump()).with_context(|| format!("writing {}", path.display()))?;
    }
    match failure {
        Some(why) => Err(anyhow::anyhow!("the chain went down: {why}")),
        None => Ok(()),
    }
}

fn options(args: &DevArgs) -> anyhow::Result<DevOptions> {
    let keys = mnemonic_keys(&args.mnemonic, args.accounts).map_err(|e| Usage(e.to_string()))?;
    let seconds = |seconds: f64| {
        let interval = Duration::try_from_secs_f64(seconds).ok().filter(|interval| !interval.is_zero());
        interval.map(Mining::Every).ok_or_else(|| Usage(format!("{seconds} is no time between blocks")))
    };
    let mining = match args.block_time {
        Some(given) => seconds(given)?,
        None if args.no_mining => Mining::Off,
        None => Mining::Instant,
    };
    Ok(DevOptions {
        chain_id: args.chain_id,
        accounts: keys.into_iter().map(|key| DevAccount { address: key.address(), key }).collect(),
        balance: args.balance,
        mining,
        gas_limit: args.gas_limit,
        base_fee: args.base_fee,
        genesis_time_ms: args.timestamp.map(|seconds| seconds.saturating_mul(1_000)),
        deployments: args.deploy.iter().map(|path| deployment(path)).collect::<anyhow::Result<_>>()?,
    })
}

fn ready(args: &DevArgs, options: &DevOptions) -> Ready {
    let account = |account: &DevAccount| ReadyAccount {
        address: account.address.to_string(),
        key: format!("0x{}", hex::encode(account.key.to_bytes())),
    };
    Ready {
        url: String::new(),
        chain_id: args.chain_id,
        gas_limit: args.gas_limit,
        base_fee: 0,
        balance: args.balance.to_string(),
        mnemonic: args.mnemonic.clone(),
        accounts: options.accounts.iter().map(account).collect(),
    }
}

fn banner(ready: &Ready, height: u64, addr: SocketAddr) -> String {
    let mut text =
        format!("cess dev {}: a chain for developers, with the storage modules\n", env!("CARGO_PKG_VERSION"));
    text.push_str("\nAvailable Accounts\n==================\n");
    for (index, account) in ready.accounts.iter().enumerate() {
        text.push_str(&format!("({index}) {} ({} tokens)\n", account.address, ready.balance));
    }
    text.push_str("\nPrivate Keys\n==================\n");
    for (index, account) in ready.accounts.iter().enumerate() {
        text.push_str(&format!("({index}) {}\n", account.key));
    }
    text.push_str(&format!("\nWallet\n==================\nMnemonic:          {}\n", ready.mnemonic));
    text.push_str("Derivation path:   m/44'/60'/0'/0/\n");
    text.push_str("The keys are public: never use them on a chain that matters.\n");
    text.push_str(&format!("\nChain ID:          {}\nBase Fee:          {}\n", ready.chain_id, ready.base_fee));
    text.push_str(&format!("Gas Limit:         {}\nBlock:             {height}\n", ready.gas_limit));
    text.push_str(&format!("\nListening on {addr}"));
    text
}
