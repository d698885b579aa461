//! Signature checks on one core: what ed25519 costs alone and in batches, beside Ethereum's `ecrecover`.

use crate::{
    cli::output::{Output, table},
    crypto::{
        EcdsaKey, KnownKeys, PublicKey, SecretKey, Signature, Zip215Item, judge_zip215, recover_address,
        verify_all_zip215, verify_zip215,
    },
};
use alloy_primitives::keccak256;
use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use std::{hint::black_box, time::Instant};

/// Gas of Ethereum's `ecrecover`, the measure of the others.
const ECRECOVER_GAS: f64 = 3_000.0;
/// Sizes of the measured batches.
const BATCHES: [usize; 7] = [2, 8, 32, 128, 256, 512, 1_024];
/// Signatures a node checks at once while many transactions come in.
const NODES_BATCH: usize = 512;
/// Signatures of each key, where keys sign more than one.
const SHARING: usize = 4;

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

    let most = BATCHES[BATCHES.len() - 1];
    let own: Vec<_> = (0..most).map(|index| signed(index, index)).collect();
    let items = items(&own);
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
    let shared: Vec<_> = (0..most).map(|index| signed(index, index % (NODES_BATCH / SHARING))).collect();
    let mut forged = own.clone();
    forged[NODES_BATCH / 3].1.0[40] ^= 1;
    let cases =
        [("keys known", &own, 0), ("keys known, four of each", &shared, 0), ("keys known, one is bad", &forged, 1)];
    for (what, signed, bad) in cases {
        let (items, known) = (self::items(&signed[..NODES_BATCH]), KnownKeys::default());
        let whole = best(rounds, &mut || {
            let found = judge_zip215(black_box(&items), &known).into_iter().filter(|valid| !valid).count();
            ensure!(found == bad, "{found} of {NODES_BATCH} were refused, {bad} are bad");
            Ok(())
        })?;
        lines.push(line(format!("ed25519, {NODES_BATCH} at once, {what}"), whole / NODES_BATCH as f64));
    }
    Ok(lines)
}

/// A message, its signature and its key.
type Signed = (Vec<u8>, Signature, PublicKey);

fn items(signed: &[Signed]) -> Vec<Zip215Item<'_>> {
    signed.iter().map(|(message, signature, key)| (message.as_slice(), *signature, *key)).collect()
}

/// One of many messages, signed by one of many keys.
fn signed(message: usize, key: usize) -> Signed {
    let (message, seed) = (keccak256(message.to_le_bytes()).to_vec(), keccak256(key.to_be_bytes()));
    let key = SecretKey::from_bytes(&seed.0);
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
