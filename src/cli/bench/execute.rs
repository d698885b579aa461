//! Time of executing a block's transactions, alone: no signatures, no trie, no disk. All executors run the same block.

use super::execute_load::{self, Kind, Workload};
use crate::{
    cli::output::{Output, table},
    ledger::executor::{BlockEnv, BlockStm, Execution, Executor, INITIAL_BASE_FEE, Replay, Rules, Serial},
    types::{Address, B256, Params},
};
use anyhow::ensure;
use clap::Args;
use serde::Serialize;
use std::time::Instant;

/// Arguments of `cess bench execute`.
#[derive(Debug, Args)]
pub struct ExecuteArgs {
    /// What the transactions do
    #[arg(long, value_enum, default_value_t = Kind::Transfer)]
    tx: Kind,
    /// Accounts that send in turn
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    accounts: u32,
    /// Transactions of a block
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    txs: u32,
    /// Times the block is run; the best counts, since other load only ever slows one down
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Threads of the executors that have several, a figure for each
    #[arg(long, value_delimiter = ',', default_value = "2,4,8", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Vec<u16>,
}

/// One way of executing the block.
#[derive(Serialize)]
struct Line {
    executor: String,
    best_us_per_tx: f64,
    median_us_per_tx: f64,
}

/// Measures and prints.
pub fn run(args: &ExecuteArgs, output: &Output) -> anyhow::Result<()> {
    let lines = measure(args)?;
    output.document(&lines, |lines| {
        let row = |line: &Line| {
            let (best, median) = (line.best_us_per_tx, line.median_us_per_tx);
            vec![line.executor.clone(), format!("{best:.2}"), format!("{median:.2}")]
        };
        table(&["executor", "best µs a transaction", "median"], &lines.iter().map(row).collect::<Vec<_>>())
    })
}

fn measure(args: &ExecuteArgs) -> anyhow::Result<Vec<Line>> {
    let load = execute_load::build(args.tx, args.accounts as usize, args.txs as usize)?;
    let env = env(&load.txs);
    let serial: &dyn Executor = &Serial::default();
    let oracle = serial.execute(&load.state, &env, &load.txs)?;
    ensure!(oracle.receipts.iter().filter(|receipt| receipt.success).count() == load.txs.len(), "not all succeeded");
    let bench = Bench { load: &load, env: &env, oracle: &oracle, rounds: args.rounds };
    let mut lines = vec![bench.line("serial".into(), serial)?];
    for threads in args.threads.iter().copied().map(usize::from) {
        lines.push(bench.line(format!("block-stm, threads: {threads}"), &BlockStm::new(threads)?)?);
    }
    for threads in args.threads.iter().copied().map(usize::from) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
        let replay = Replay::new(oracle.access_list.clone());
        lines.push(pool.install(|| bench.line(format!("replay, threads: {threads}"), &replay))?);
    }
    Ok(lines)
}

/// A block and what every executor has to make of it.
struct Bench<'a> {
    load: &'a Workload,
    env: &'a BlockEnv,
    oracle: &'a Execution,
    rounds: u32,
}

impl Bench<'_> {
    fn line(&self, name: String, executor: &dyn Executor) -> anyhow::Result<Line> {
        let Workload { state, txs } = self.load;
        let mut times = Vec::new();
        for _ in 0..self.rounds {
            let started = Instant::now();
            let run = executor.execute(state, self.env, txs)?;
            times.push(started.elapsed().as_secs_f64() * 1e6 / txs.len() as f64);
            ensure!(run == *self.oracle, "{name} does not give the serial outcome");
        }
        times.sort_by(f64::total_cmp);
        Ok(Line { executor: name, best_us_per_tx: times[0], median_us_per_tx: times[times.len() / 2] })
    }
}

/// A block without the protocol's own work that has room for all of `txs`.
fn env(txs: &[crate::ledger::tx::VerifiedTx]) -> BlockEnv {
    BlockEnv {
        chain_id: execute_load::CHAIN,
        height: 1,
        time_ms: 1_000,
        beacon: B256::repeat_byte(1),
        proposer: Address::repeat_byte(0xbb),
        round: 0,
        parent_hash: B256::repeat_byte(2),
        base_fee: INITIAL_BASE_FEE,
        gas_limit: txs.iter().map(|tx| tx.gas_limit()).sum(),
        params: Params::dev(),
        rules: Rules { protocol: false, ..Rules::CESS },
    }
}
