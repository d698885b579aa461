//! Signature checks on one core: what ed25519 costs alone and in batches, beside Ethereum's `ecrecover`.

use crate::{
    cli::output::{Output, table},
    crypto::{EcdsaKey, PublicKey, SecretKey, Signature, recover_address, verify_all_zip215, verify_zip215},
};
use alloy_primitives::keccak256;
use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use std::{hint::black_box, time::Instant};

/// Gas of Ethereum's `ecrecover`, the measure of the others.
const ECRECOVER_GAS: f64 = 3_000.0;
/// Sizes of the measured batches.
const BATCHES: [usize; 5] = [2, 8, 32, 128, 1_024];

/// Arguments of `cess bench signatures`.
#[derive(Debug, Args)]
pub struct SignaturesArgs {
    /// Times each check is run; the best counts, since other load only ever slows one down
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
}

/// One kind of check.
#[derive(Serialize)]
struct Line {
    what: String,
    us_per_signature: f64,
    gas_at_ecrecover_speed: f64,
}

/// Measures and prints.
pub fn run(args: &SignaturesArgs, output: &Output) -> anyhow::Result<()> {
    let lines = measure(args.rounds)?;
    output.document(&lines, |lines| {
        let row = |line: &Line| {
            let (us, gas) = (line.us_per_signature, line.gas_at_ecrecover_speed);
            vec![line.what.clone(), format!("{us:.1}"), format!("{gas:.0}")]
        };
        table(&["one core", "µs a signature", "gas at ecrecover's speed"], &lines.iter().map(row).collect::<Vec<_>>())
    })
}

fn measure(rounds: u32) -> anyhow::Result<Vec<Line>> {
    let key = EcdsaKey::from_bytes(&[1; 32]).context("a valid key")?;
    let digest = keccak256(b"cess");
    let signature = key.sign(&digest);
    let ecrecover = best(rounds, &mut || {
        ensure!(recover_address(black_box(&digest), &signature) == Some(key.address()), "another signer");
        Ok(())
    })?;
    let line = |what: String, seconds: f64| {
        let gas = ECRECOVER_GAS * seconds / ecrecover;
        Line { what, us_per_signature: seconds * 1e6, gas_at_ecrecover_speed: gas }
    };
    let mut lines = vec![line("ecrecover".into(), ecrecover)];

    let signed: Vec<_> = (0..BATCHES[BATCHES.len() - 1]).map(signed).collect();
    let items: Vec<(&[u8], Signature, PublicKey)> =
        signed.iter().map(|(message, signature, key)| (message.as_slice(), *signature, *key)).collect();
    let single = best(rounds, &mut || {
        ensure!(verify_zip215(black_box(&items[0])), "a good signature was refused");
        Ok(())
    })?;
    lines.push(line("ed25519 alone".into(), single));
    for size in BATCHES {
        let whole = best(rounds, &mut || {
            ensure!(verify_all_zip215(black_box(&items[..size])), "a good batch was refused");
            Ok(())
        })?;
        lines.push(line(format!("ed25519, {size} at once"), whole / size as f64));
    }
    Ok(lines)
}

/// A message, its signature and a key of its own.
fn signed(index: usize) -> (Vec<u8>, Signature, PublicKey) {
    let seed = keccak256(index.to_le_bytes());
    let (key, message) = (SecretKey::from_bytes(&seed.0), seed.to_vec());
    let signature = key.sign(&message);
    (message, signature, key.public())
}

/// Seconds of the fastest of some rounds.
fn best(rounds: u32, work: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}
