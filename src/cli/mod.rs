//! The command line: one tree of commands, human or JSON output, exit codes.
//!
//! Owns words and layout on the terminal. Knows services only through the chain client, the gateway's HTTP interface and
//! the localnet's control port. Invariants: exit code 0 done, 1 refused or failed, 2 wrong usage; with `--json` stdout holds
//! exactly one document.

mod accounts;
mod appeal;
mod audits;
mod bench;
mod call;
mod chunks;
mod desk;
mod dev;
mod download;
mod events;
mod explain;
mod files;
mod guide;
mod history;
mod import;
mod light;
mod local;
mod miner;
mod names;
mod output;
mod repair;
mod run;
mod s3;
mod space;
mod stake;
mod stat;
mod status;
mod target;
mod tee;
mod transfer;
mod validators;
mod verdicts;

use clap::{Args, Parser, Subcommand};
use output::Output;
use std::{path::PathBuf, process::ExitCode};

/// A decentralised storage cloud in one binary.
#[derive(Debug, Parser)]
#[command(name = "cess", version, about, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Node to talk to: a gateway's or an RPC node's URL. Default: the localnet in the default directory
    #[arg(long, global = true, env = "CESS_URL", value_name = "URL")]
    url: Option<String>,
    /// Secret key that signs transactions, 0x-hex of an Ethereum account. Default on a localnet: its first account
    #[arg(long, global = true, env = "CESS_KEY", value_name = "HEX", hide_env_values = true)]
    key: Option<String>,
    /// Print one JSON document on stdout, progress on stderr
    #[arg(long, global = true)]
    json: bool,
    /// No progress bars and hints
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a whole network on this machine, or act on a running one
    Localnet(local::LocalnetArgs),
    /// Run a chain for developers: one process, blocks on demand, the methods of anvil and Hardhat
    Dev(dev::DevArgs),
    /// Run one node
    Run(run::RunArgs),
    /// Import a published Ethereum chain and serve it
    ImportChain(import::ImportArgs),
    /// Store a file, or an object in a bucket
    Put(files::PutArgs),
    /// Fetch a file or an object
    Get(files::GetArgs),
    /// Show where a file's fragments are, how they are, how their audits went and what they cost
    Stat(stat::StatArgs),
    /// List files, or what is in a bucket
    Ls(files::LsArgs),
    /// Give up ownership of a file, the last owner's call deletes it; or remove objects
    Rm(files::RmArgs),
    /// Make, list, set up and remove buckets
    Bucket(s3::bucket::BucketArgs),
    /// Make, list and revoke keys of clients
    #[command(subcommand)]
    Keys(s3::keys::KeysCommand),
    /// Lease space for files, and trade it
    Space(space::SpaceArgs),
    /// List accounts and balances
    Accounts(accounts::AccountsArgs),
    /// Send tokens
    Send(accounts::SendArgs),
    /// Show the state of the chain, the miners and the gateway
    Status,
    /// Show the validators and candidates: scores, seats, turns, jail
    Validators,
    /// Show why something is as it is
    #[command(subcommand)]
    Explain(explain::ExplainCommand),
    /// Verify a block's header by certificates alone, from genesis on
    Light(light::LightArgs),
    /// Stake in the name of a node, and make it a candidate
    Stake(stake::StakeArgs),
    /// Show miners, and act in the name of one
    Miner(miner::MinerArgs),
    /// Show how a round of audits went
    Audits(audits::AuditsArgs),
    /// Show TEE workers and their keys, and act in the name of one
    Tee(tee::TeeArgs),
    /// Show what waits for repair
    #[command(subcommand)]
    Repair(repair::RepairCommand),
    /// Show what happens on the chain, in words
    Events(events::EventsArgs),
    /// Show background workers
    #[command(subcommand)]
    Worker(status::WorkerCommand),
    /// Measure this machine or the running network
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Print config.example.toml: every setting with its default and meaning
    Config,
}

/// Parses the arguments, runs the command and returns the process's exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let usage = error.use_stderr();
            // Printing fails only when the terminal is gone, and then nobody reads it.
            let _ = error.print();
            return ExitCode::from(if usage { 2 } else { 0 });
        }
    };
    let output = Output::new(cli.global.json, cli.global.quiet);
    match dispatch(cli, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

/// Marks an error of the caller's words rather than of the work.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

fn dispatch(cli: Cli, output: &Output) -> anyhow::Result<()> {
    let global = &cli.global;
    match cli.command {
        Command::Localnet(args) => local::run(args, output),
        Command::Dev(args) => dev::run(args, global, output),
        Command::Run(args) => run::run(args, output),
        Command::ImportChain(args) => import::import(args, output),
        Command::Config => output.text(crate::config::Config::example_toml().trim_end()),
        Command::Put(args) => block_on(files::put_anywhere(args, global, output)),
        Command::Get(args) => block_on(files::get(&args, global, output)),
        Command::Stat(args) => block_on(stat::stat(args, global, output)),
        Command::Ls(args) => block_on(files::ls(args, global, output)),
        Command::Rm(args) => block_on(files::rm(args, global, output)),
        Command::Bucket(args) => block_on(s3::bucket::bucket(args, global, output)),
        Command::Keys(command) => block_on(s3::keys::keys(command, global, output)),
        Command::Space(args) => block_on(space::space(args, global, output)),
        Command::Accounts(args) => block_on(accounts::list(args, global, output)),
        Command::Send(args) => block_on(accounts::send(args, global, output)),
        // One thread makes the load: what threads would tell each other costs as much as the requests.
        Command::Bench(command @ bench::BenchCommand::S3(_)) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(bench::run(command, global, output))
        }
        Command::Bench(command) => block_on(bench::run(command, global, output)),
        Command::Status => block_on(status::status(global, output)),
        Command::Validators => block_on(validators::validators(global, output)),
        Command::Explain(command) => block_on(explain::explain(command, global, output)),
        Command::Light(args) => block_on(light::light(args, global, output)),
        Command::Stake(args) => block_on(stake::stake(args, global, output)),
        Command::Miner(args) => block_on(miner::miner(args, global, output)),
        Command::Audits(args) => block_on(audits::audits(args, global, output)),
        Command::Tee(args) => block_on(tee::tee(args, global, output)),
        Command::Repair(command) => block_on(repair::repair(command, global, output)),
        Command::Events(args) => block_on(events::events(args, global, output)),
        Command::Worker(command) => block_on(status::worker(command, global, output)),
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(work)
}

/// `~/.cess`, where localnets and nodes live unless told otherwise.
fn home_dir() -> PathBuf {
    std::env::var_os("CESS_HOME").map(PathBuf::from).unwrap_or_else(|| {
        let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_else(|| PathBuf::from("."));
        home.join(".cess")
    })
}
