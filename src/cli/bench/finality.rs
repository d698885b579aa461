//! Submit → final, one transaction after another.

use crate::{
    cli::{Global, output::Output, target::Target},
    types::U256,
};
use clap::Args;
use serde::Serialize;
use std::time::{Duration, Instant};

/// How long one transaction may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// Arguments of `cess bench finality`.
#[derive(Debug, Args)]
pub struct FinalityArgs {
    /// Transactions sent one after another
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Pause between transactions, so that they do not fall into step with the block interval
    #[arg(long, default_value_t = 37, value_name = "MILLIS")]
    pause: u64,
}

#[derive(Serialize)]
struct FinalityFigures {
    count: usize,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// Measures and prints.
pub async fn run(args: FinalityArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let wallet = target.wallet(global).await?;
    let mut samples = Vec::with_capacity(args.count as usize);
    for _ in 0..args.count {
        tokio::time::sleep(Duration::from_millis(args.pause)).await;
        let started = Instant::now();
        wallet.send_and_wait(wallet.address(), U256::from(1), Default::default(), DEADLINE).await?;
        samples.push(started.elapsed());
    }
    samples.sort_unstable();
    let at = |percent: usize| millis(samples[(samples.len() - 1) * percent / 100]);
    let figures = FinalityFigures { count: samples.len(), p50_ms: at(50), p99_ms: at(99), max_ms: at(100) };
    output.document(&figures, |f| {
        format!(
            "submit to final over {} transactions: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
            f.count, f.p50_ms, f.p99_ms, f.max_ms
        )
    })
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
