//! What TEE workers ask of every validator, on one core and beside Ethereum's `ecrecover`: verification of a quote, and the check of a new
//! key of the tagger group with its powers.

use crate::{
    cli::output::{Output, table},
    crypto::{EcdsaKey, recover_address},
    ledger::modules::{TeeRules, verify_quote},
    proofs::podr2::{GroupKey, Srs, TaggerKey},
};
use alloy_primitives::keccak256;
use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use std::{hint::black_box, time::Instant};

/// Gas of Ethereum's `ecrecover`, the measure of the others.
const ECRECOVER_GAS: f64 = 3_000.0;
/// Checks of `ecrecover` in a round, since one of them is short.
const ECRECOVER_CHECKS: u32 = 50;
/// A time at which the sample's collateral is valid: 2025-07-01.
const SAMPLE_TIME: u64 = 1_751_328_000;
const QUOTE: &[u8] = include_bytes!("../../../tests/golden/tee/tdx_quote");
const COLLATERAL: &[u8] = include_bytes!("../../../tests/golden/tee/tdx_quote_collateral.json");

/// Arguments of `cess bench quote`.
#[derive(Debug, Args)]
pub struct QuoteArgs {
    /// Times each check is run; the best counts, since other load only ever slows one down
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
}

#[derive(Serialize)]
struct Figures {
    us_per_ecrecover: f64,
    ms_per_quote: f64,
    gas_at_ecrecover_speed: f64,
    ms_per_key: f64,
    key_gas_at_ecrecover_speed: f64,
}

/// Measures and prints.
pub fn run(args: &QuoteArgs, output: &Output) -> anyhow::Result<()> {
    let figures = measure(args.rounds)?;
    output.document(&figures, |figures| {
        let row = |what: &str, ms: f64, gas: f64| vec![what.to_owned(), format!("{ms:.3}"), format!("{gas:.0}")];
        let rows = [
            row("ecrecover", figures.us_per_ecrecover / 1e3, ECRECOVER_GAS),
            row("TDX quote with its collateral", figures.ms_per_quote, figures.gas_at_ecrecover_speed),
            row("key of an epoch with its powers", figures.ms_per_key, figures.key_gas_at_ecrecover_speed),
        ];
        table(&["one core", "ms", "gas at ecrecover's speed"], &rows)
    })
}

fn measure(rounds: u32) -> anyhow::Result<Figures> {
    let key = EcdsaKey::from_bytes(&[1; 32]).context("a valid key")?;
    let digest = keccak256(b"cess");
    let signature = key.sign(&digest);
    let ecrecover = best(rounds, &mut || {
        for _ in 0..ECRECOVER_CHECKS {
            ensure!(recover_address(black_box(&digest), &signature) == Some(key.address()), "another signer");
        }
        Ok(())
    })? / f64::from(ECRECOVER_CHECKS);
    let rules = TeeRules { smt: true, dynamic_platform: true, cached_keys: true, ..TeeRules::default() };
    let quote = best(rounds, &mut || {
        verify_quote(black_box(QUOTE), COLLATERAL, SAMPLE_TIME, rules.platform())?;
        Ok(())
    })?;
    let key = key_check(rounds)?;
    Ok(Figures {
        us_per_ecrecover: ecrecover * 1e6,
        ms_per_quote: quote * 1e3,
        gas_at_ecrecover_speed: ECRECOVER_GAS * quote / ecrecover,
        ms_per_key: key * 1e3,
        key_gas_at_ecrecover_speed: ECRECOVER_GAS * key / ecrecover,
    })
}

/// Seconds to read a key and its powers as the chain does, on one thread.
fn key_check(rounds: u32) -> anyhow::Result<f64> {
    let secret = TaggerKey::derive(&[1; 32]);
    let (key, powers) = (secret.public().encode(), secret.srs().encode());
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;
    pool.install(|| {
        best(rounds, &mut || {
            let key = GroupKey::decode(black_box(&key))?;
            Srs::decode(black_box(&powers), &key)?;
            Ok(())
        })
    })
}

fn best(rounds: u32, run: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}
