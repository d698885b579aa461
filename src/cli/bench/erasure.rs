//! Erasure coding of one full segment on one core: GB/s of segment data, ours beside plain `reed-solomon-simd`.

use crate::{
    cli::output::{Output, table},
    storage::erasure,
    types::params::{DATA_FRAGMENTS, FRAGMENT_MAX_BYTES, FRAGMENTS, PARITY_FRAGMENTS},
};
use anyhow::Context;
use clap::Args;
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use serde::Serialize;
use std::time::Instant;

/// Arguments of `cess bench erasure`.
#[derive(Debug, Args)]
pub struct ErasureArgs {
    /// Times each operation is run; the best counts, since other load only ever slows one down
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
}

/// One operation.
#[derive(Serialize)]
struct Line {
    what: String,
    gb_s: f64,
    plain_gb_s: Option<f64>,
}

/// Measures and prints.
pub fn run(args: &ErasureArgs, output: &Output) -> anyhow::Result<()> {
    let lines = measure(args.rounds)?;
    output.document(&lines, |lines| {
        let shown = |rate: Option<f64>| rate.map_or_else(|| "–".to_owned(), |rate| format!("{rate:.2}"));
        let rows: Vec<_> =
            lines.iter().map(|line| vec![line.what.clone(), shown(Some(line.gb_s)), shown(line.plain_gb_s)]).collect();
        table(&["one core", "GB/s of segment", "plain"], &rows)
    })
}

fn measure(rounds: u32) -> anyhow::Result<Vec<Line>> {
    let fragment = usize::try_from(FRAGMENT_MAX_BYTES).context("a fragment fits memory")?;
    let len = DATA_FRAGMENTS * fragment;
    let mut segment = vec![0; len];
    crate::crypto::hash::stream("cess 2026 erasure bench", b"").fill(&mut segment);
    let data: [&[u8]; DATA_FRAGMENTS] = std::array::from_fn(|i| &segment[i * fragment..(i + 1) * fragment]);
    let mut parity: [Vec<u8>; PARITY_FRAGMENTS] = std::array::from_fn(|_| vec![0; fragment]);
    let rate = |work: &mut dyn FnMut() -> anyhow::Result<()>| best_rate(rounds, len, work);

    let ours = rate(&mut || {
        erasure::encode_parity(data, parity.each_mut().map(|fragment| &mut fragment[..]));
        Ok(())
    })?;
    let plain = rate(&mut || plain_encode(data))?;
    let mut lines = vec![Line { what: "encode".into(), gb_s: ours, plain_gb_s: Some(plain) }];

    let fragments: Vec<&[u8]> = data.into_iter().chain(parity.iter().map(|p| &p[..])).collect();
    let four_from = |first: usize| (first..first + DATA_FRAGMENTS).map(|i| (i, fragments[i])).collect::<Vec<_>>();
    for lost in 0..=DATA_FRAGMENTS {
        let given = four_from(lost);
        let ours = rate(&mut || check(erasure::decode(len, &given)? == segment))?;
        let plain = rate(&mut || plain_decode(&given))?;
        lines.push(Line { what: format!("decode, {lost} lost"), gb_s: ours, plain_gb_s: Some(plain) });
    }
    let (given, last) = (four_from(DATA_FRAGMENTS), FRAGMENTS - 1);
    let ours = rate(&mut || check(erasure::rebuild_one(last, &given)? == fragments[last]))?;
    lines.push(Line { what: "rebuild one".into(), gb_s: ours, plain_gb_s: None });
    Ok(lines)
}

/// GB/s of the fastest of some rounds over `bytes`.
fn best_rate(rounds: u32, bytes: usize, work: &mut dyn FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(bytes as f64 / best / 1e9)
}

fn check(same: bool) -> anyhow::Result<()> {
    anyhow::ensure!(same, "the code gave other bytes back");
    Ok(())
}

fn plain_encode(data: [&[u8]; DATA_FRAGMENTS]) -> anyhow::Result<()> {
    let mut encoder = ReedSolomonEncoder::new(DATA_FRAGMENTS, PARITY_FRAGMENTS, data[0].len())?;
    for fragment in data {
        encoder.add_original_shard(fragment)?;
    }
    check(encoder.encode()?.recovery_iter().count() == PARITY_FRAGMENTS)
}

fn plain_decode(given: &[(usize, &[u8])]) -> anyhow::Result<()> {
    let mut decoder = ReedSolomonDecoder::new(DATA_FRAGMENTS, PARITY_FRAGMENTS, given[0].1.len())?;
    for (index, fragment) in given {
        match index.checked_sub(DATA_FRAGMENTS) {
            None => decoder.add_original_shard(*index, fragment)?,
            Some(index) => decoder.add_recovery_shard(index, fragment)?,
        }
    }
    decoder.decode()?;
    Ok(())
}
