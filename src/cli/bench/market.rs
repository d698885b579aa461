//! A storage market of many miners over many eras, with the chain's own modules in memory: who is paid what, what cheating costs, what a round
//! costs.

use crate::{
    cli::output::{Output, table},
    ledger::market::{Market, MarketReport, MarketSettings, MinerReport},
    types::{TOKEN, U256},
};
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::time::Instant;

/// Arguments of `cess bench market`.
#[derive(Debug, Args)]
pub struct MarketArgs {
    /// Synthetic miners
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(12..=100_000))]
    miners: u32,
    /// Eras they are paid for, of three rounds each
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(10..=10_000))]
    eras: u64,
    /// Files stored at the beginning
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    files: u32,
    /// Miners that drop their data after a tenth of the eras
    #[arg(long, default_value_t = 1)]
    cheaters: u32,
}

/// What was found.
#[derive(Serialize)]
struct Figures {
    miners: usize,
    rounds: u64,
    /// Pay for what honest power should earn, smallest and largest over the honest.
    pay_to_share_min: f64,
    pay_to_share_max: f64,
    /// Pearson's correlation of pay and what power should earn over the honest.
    correlation: f64,
    cheaters_forced_out: usize,
    cheaters: usize,
    cheater_fined_tokens: f64,
    cheater_lost_in_era: Option<u64>,
    supply_exact: bool,
    rent_paid_tokens: f64,
    rent_missing_units: String,
    gas_a_miner_round: u64,
    ms_a_round: f64,
}

/// Runs a market and prints.
pub fn run(args: &MarketArgs, output: &Output) -> anyhow::Result<()> {
    let MarketArgs { miners, eras, files, cheaters } = *args;
    let mut market =
        Market::new(MarketSettings { miners, eras, files, cheaters }).context("the market could not be set up")?;
    let start = Instant::now();
    for round in 0..market.rounds() {
        market.run_round().with_context(|| format!("round {round} failed"))?;
        let (found, counted) = market.supply()?;
        anyhow::ensure!(found == counted, "supply is {found} after round {round}, the modules count {counted}");
    }
    let elapsed = start.elapsed().as_secs_f64();
    let figures = figures(&market.finish()?, elapsed)?;
    output.document(&figures, |figures| table(&["market", ""], &rows(figures)))
}

fn figures(report: &MarketReport, elapsed: f64) -> anyhow::Result<Figures> {
    let (cheaters, honest): (Vec<&MinerReport>, Vec<&MinerReport>) =
        report.miners.iter().partition(|miner| miner.cheats);
    let paid: Vec<(f64, f64)> = honest
        .iter()
        .map(|miner| (number(miner.pay), number(miner.expected)))
        .filter(|(_, expected)| *expected > 0.0)
        .collect();
    let ratios = || paid.iter().map(|(paid, due)| paid / due);
    let cheater = cheaters.first();
    Ok(Figures {
        miners: report.miners.len(),
        rounds: report.rounds,
        pay_to_share_min: ratios().fold(f64::MAX, f64::min),
        pay_to_share_max: ratios().fold(0.0, f64::max),
        correlation: correlation(&paid),
        cheaters_forced_out: cheaters.iter().filter(|miner| miner.state == 2).count(),
        cheaters: cheaters.len(),
        cheater_fined_tokens: cheater.map_or(0.0, |miner| in_tokens(miner.fined)),
        cheater_lost_in_era: cheater.and_then(|miner| miner.lost_in_era),
        supply_exact: report.supply.0 == report.supply.1,
        rent_paid_tokens: in_tokens(report.rent.0),
        rent_missing_units: report.rent.0.saturating_sub(report.rent.1).to_string(),
        gas_a_miner_round: report.gas.checked_div(report.verified).context("nobody was verified")?,
        ms_a_round: elapsed * 1e3 / report.rounds as f64,
    })
}

fn rows(figures: &Figures) -> Vec<Vec<String>> {
    let row = |what: &str, value: String| vec![what.to_owned(), value];
    let era = figures.cheater_lost_in_era.map_or_else(|| "never".to_owned(), |era| format!("era {era}"));
    vec![
        row("miners, rounds", format!("{}, {}", figures.miners, figures.rounds)),
        row(
            "pay / what power should earn",
            format!("{:.9} to {:.9}", figures.pay_to_share_min, figures.pay_to_share_max),
        ),
        row("correlation of the two", format!("{:.9}", figures.correlation)),
        row(
            "cheaters forced out",
            format!("{} of {}, the first in {era}", figures.cheaters_forced_out, figures.cheaters),
        ),
        row("fines of the first", format!("{:.3} tokens", figures.cheater_fined_tokens)),
        row(
            "supply = genesis + minted − burnt",
            if figures.supply_exact { "yes, after each round" } else { "no" }.into(),
        ),
        row(
            "rent paid",
            format!("{:.3} tokens, {} units not out", figures.rent_paid_tokens, figures.rent_missing_units),
        ),
        row("gas a miner and round", figures.gas_a_miner_round.to_string()),
        row("time a round", format!("{:.1} ms", figures.ms_a_round)),
    ]
}

fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let count = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
    let (left, right) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let product = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let both = product(&|pair| (pair.0 - left) * (pair.1 - right));
    let spread = product(&|pair| (pair.0 - left).powi(2)) * product(&|pair| (pair.1 - right).powi(2));
    both / spread.sqrt()
}

fn in_tokens(amount: U256) -> f64 {
    number(amount) / TOKEN as f64
}

fn number(amount: U256) -> f64 {
    f64::from(amount)
}
