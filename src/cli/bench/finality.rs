//! Submit → final, one transaction after another.

use super::sample::Spread;
use crate::{
    cli::{Global, output::Output, target::Target},
    types::U256,
};
use clap::Args;
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
    output.document(&Spread::of(samples), |f| format!("submit to final, transactions one after another: {f}"))
}
