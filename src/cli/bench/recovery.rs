//! A large state on its way to the disk and back: what a block writes, and how long a start takes after a kill.

use super::recovery_kill::{self, Kills};
use crate::{
    cli::output::Output,
    roles::trial::{BlockTimes, StartTimes, StateTrial},
    types::ByteCount,
};
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Arguments of `cess bench recovery`.
#[derive(Debug, Args)]
pub struct RecoveryArgs {
    /// Accounts of the state
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    accounts: u64,
    /// Accounts a block changes
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    touched: u64,
    /// Receipts and index entries of a block
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(0..=1_000_000))]
    receipts: u64,
    /// Blocks before the kill, half of them after the checkpoint
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=100_000))]
    blocks: u64,
    /// Directory for the database [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Instead kill a validator's process under load so many times, on a localnet of its own, and check that nothing final is lost
    #[arg(
        long,
        value_name = "TIMES",
        value_parser = clap::value_parser!(u32).range(1..=1_000),
        conflicts_with_all = ["touched", "receipts", "blocks", "dir"]
    )]
    kill: Option<u32>,
    /// Seed of when it is killed [default: a new one, which is printed]
    #[arg(long, value_name = "S", requires = "kill")]
    seed: Option<u64>,
}

#[derive(Serialize)]
struct RecoveryFigures {
    accounts: u64,
    touched: u64,
    receipts: u64,
    blocks: u64,
    /// Medians over the blocks.
    root_ms: f64,
    stage_ms: f64,
    write_ms: f64,
    block_bytes: usize,
    rebuild: StartFigures,
    checkpoint_write_ms: f64,
    checkpoint: StartFigures,
}

#[derive(Serialize)]
struct StartFigures {
    database_ms: f64,
    trie_ms: f64,
}

/// Measures and prints.
pub async fn run(args: RecoveryArgs, output: &Output) -> anyhow::Result<()> {
    if let Some(times) = args.kill {
        return recovery_kill::run(Kills { times, accounts: args.accounts, seed: args.seed }, output).await;
    }
    let dir = args.dir.clone().unwrap_or_else(std::env::temp_dir).join(format!("cess-recovery-{}", std::process::id()));
    let place = dir.clone();
    let measured = tokio::task::spawn_blocking(move || measure(&args, &place)).await?;
    let removed = std::fs::remove_dir_all(&dir);
    let figures = measured?;
    removed.with_context(|| format!("cannot remove `{}`", dir.display()))?;
    output.document(&figures, |f| {
        let start = |s: &StartFigures| format!("{:.0} ms, of it the database {:.0} ms", s.database_ms + s.trie_ms, s.database_ms);
        format!(
            "a block of {} changed accounts and {} receipts, of {} accounts: root {:.1} ms, encoding {:.1} ms, write of {} {:.1} ms\n\
             start after a kill, from the flat state: {}\nstart after a kill, from a checkpoint and {} blocks: {}\n\
             writing the checkpoint: {:.0} ms in the background",
            f.touched,
            f.receipts,
            f.accounts,
            f.root_ms,
            f.stage_ms,
            ByteCount(f.block_bytes as u64),
            f.write_ms,
            start(&f.rebuild),
            f.blocks / 2,
            start(&f.checkpoint),
            f.checkpoint_write_ms
        )
    })
}

fn measure(args: &RecoveryArgs, dir: &Path) -> anyhow::Result<RecoveryFigures> {
    let mut trial = StateTrial::fill(dir, args.accounts)?;
    let mut times = Vec::new();
    for _ in 0..args.blocks.div_ceil(2) {
        times.push(trial.block(args.touched, args.receipts)?);
    }
    let (mut trial, rebuild) = trial.restart()?;
    let checkpoint_write = trial.checkpoint()?;
    for _ in 0..args.blocks / 2 {
        times.push(trial.block(args.touched, args.receipts)?);
    }
    anyhow::ensure!(trial.checkpointed()?.is_some(), "the checkpoint was not written");
    let (_, checkpoint) = trial.restart()?;
    let median = |of: fn(&BlockTimes) -> Duration| {
        let mut all: Vec<f64> = times.iter().map(|times| millis(of(times))).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let start = |times: StartTimes| StartFigures { database_ms: millis(times.database), trie_ms: millis(times.trie) };
    Ok(RecoveryFigures {
        accounts: args.accounts,
        touched: args.touched,
        receipts: args.receipts,
        blocks: args.blocks,
        root_ms: median(|times| times.root),
        stage_ms: median(|times| times.stage),
        write_ms: median(|times| times.write),
        block_bytes: times.last().map_or(0, |times| times.bytes),
        rebuild: start(rebuild),
        checkpoint_write_ms: millis(checkpoint_write),
        checkpoint: start(checkpoint),
    })
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
