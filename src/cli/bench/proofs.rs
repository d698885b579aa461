//! Proofs that data is still stored: tagging, proving, verifying, and openings without tags.

use crate::{
    cli::output::{Output, table},
    crypto::hash,
    proofs::{
        AuditRound, Fragment,
        podr2::{
            BLOCK_BYTES, Challenge, Claim, GroupKey, Held, PROOF_BYTES, Proof, Srs, Tag, Tagged, TaggerKey, check_tags,
            prove, verify_all,
        },
        spot::{open, verify_opening},
    },
    types::{
        Address, FragmentId,
        params::{CHAIN_ID_LOCALNET, FRAGMENT_MAX_BYTES, PODR2_CHALLENGED_BLOCKS},
    },
};
use anyhow::{Context, ensure};
use clap::Args;
use rayon::prelude::*;
use serde::Serialize;
use std::{hint::black_box, time::Instant};

/// Fragments that are tagged at once: 1 MiB, so that a round is short and other load spoils few.
const TAGGED: usize = 4;
/// Fragments whose tags are checked at once: 8 MiB.
const CHECKED: usize = 32;
/// Miners among whom the fragments are divided for the check of many proofs at once.
const MINERS: usize = 20;
/// Openings of one measurement.
const OPENINGS: u64 = 256;

/// Arguments of `cess bench proofs`.
#[derive(Debug, Args)]
pub struct ProofsArgs {
    /// Fragments a miner proves at once; each has the blocks a round asks for and no others
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(32..=20_000))]
    fragments: u32,
    /// Threads that share the work
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Times each operation is run; the best counts, since other load only ever slows one down
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
}

/// One figure.
#[derive(Serialize)]
struct Line {
    what: String,
    value: f64,
    unit: &'static str,
}

/// A fragment with all it takes to prove it.
struct Stored {
    fragment: Fragment,
    data: Vec<u8>,
    tags: Vec<Tag>,
}

/// What all measurements work with.
struct Bench {
    rounds: u32,
    secret: TaggerKey,
    key: GroupKey,
    srs: Srs,
    store: Vec<Stored>,
}

/// Measures and prints.
pub fn run(args: &ProofsArgs, output: &Output) -> anyhow::Result<()> {
    let prepared = Bench::prepare(args)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(args.threads.into()).build()?;
    let mut lines = pool.install(|| prepared.tagging())?;
    lines.extend(pool.install(|| prepared.proving())?);
    lines.extend(openings(args.rounds)?);
    output.document(&lines, |lines| {
        let row = |line: &Line| vec![line.what.clone(), format!("{:.2}", line.value), line.unit.to_owned()];
        let threads = if args.threads == 1 { "one core".to_owned() } else { format!("{} threads", args.threads) };
        table(&[&threads, "", ""], &lines.iter().map(row).collect::<Vec<_>>())
    })
}

impl Bench {
    /// Tags everything on all cores.
    fn prepare(args: &ProofsArgs) -> anyhow::Result<Self> {
        let secret = TaggerKey::derive(&[1; 32]);
        let stored = |number: u32| {
            let mut data = vec![0; PODR2_CHALLENGED_BLOCKS * BLOCK_BYTES];
            hash::stream("cess 2026 proofs bench", &number.to_le_bytes()).fill(&mut data);
            let fragment = Fragment::new(FragmentId(hash::content(&data)), u64::try_from(data.len())?)?;
            let tags = secret.tag(fragment, &data)?;
            Ok(Stored { fragment, data, tags })
        };
        let store = (0..args.fragments).into_par_iter().map(stored).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { rounds: args.rounds, key: secret.public(), srs: secret.srs(), secret, store })
    }

    fn tagging(&self) -> anyhow::Result<Vec<Line>> {
        let rate = |what: &str, fragments: usize, seconds: f64| {
            let bytes = fragments * PODR2_CHALLENGED_BLOCKS * BLOCK_BYTES;
            Line { what: what.into(), value: bytes as f64 / seconds / 1e6, unit: "MB/s" }
        };
        let tag = best(self.rounds, || {
            self.store[..TAGGED].par_iter().try_for_each(|stored| {
                ensure!(self.secret.tag(stored.fragment, &stored.data)? == stored.tags, "other tags");
                Ok(())
            })
        })?;
        let tagged: Vec<Tagged<'_>> = self.store[..CHECKED].iter().map(Stored::tagged).collect();
        let check = best(self.rounds, || Ok(check_tags(&self.key, &self.srs, black_box(&tagged))?))?;
        let powers = self.srs.encode();
        let srs = best(self.rounds, || {
            ensure!(Srs::decode(&powers, &self.key)? == self.srs, "other powers");
            Ok(())
        })?;
        let powers = Line { what: "check of a group's powers".into(), value: srs * 1e3, unit: "ms" };
        Ok(vec![rate("tag", TAGGED, tag), rate("check tags on receipt", CHECKED, check), powers])
    }

    fn proving(&self) -> anyhow::Result<Vec<Line>> {
        let challenge = challenge(0, &self.key);
        let held = held(&self.store);
        let mut proof = None;
        let prove_time = best(self.rounds, || {
            proof = Some(prove(&challenge, &self.srs, black_box(&held))?);
            Ok(())
        })?;
        let proof = proof.context("at least one round")?;
        let fragments = fragments(&self.store);
        let claim = Claim { challenge: &challenge, fragments: &fragments, proof: &proof };
        let verify_time = self.accept(&[claim])?;

        let per_miner = self.store.len().div_ceil(MINERS);
        let shares: Vec<(Challenge, Vec<Fragment>, Proof)> = (1u8..)
            .zip(self.store.chunks(per_miner))
            .map(|(miner, share)| {
                let challenge = self::challenge(miner, &self.key);
                let proof = prove(&challenge, &self.srs, &self::held(share))?;
                Ok((challenge, self::fragments(share), proof))
            })
            .collect::<anyhow::Result<_>>()?;
        let claims: Vec<Claim<'_>> =
            shares.iter().map(|(challenge, fragments, proof)| Claim { challenge, fragments, proof }).collect();
        let many_time = self.accept(&claims)?;

        let count = self.store.len();
        let seconds = |what: String, value: f64| Line { what, value, unit: "s" };
        let per_block = verify_time * 1e6 / (count * PODR2_CHALLENGED_BLOCKS) as f64;
        Ok(vec![
            seconds(format!("prove {count} fragments of {PODR2_CHALLENGED_BLOCKS} blocks"), prove_time),
            seconds("verify them".into(), verify_time),
            seconds(format!("verify them as of {} miners", claims.len()), many_time),
            Line { what: "verify a block".into(), value: per_block, unit: "µs" },
            Line { what: "proof".into(), value: PROOF_BYTES as f64, unit: "B" },
        ])
    }

    /// Seconds until all claims are found good.
    fn accept(&self, claims: &[Claim<'_>]) -> anyhow::Result<f64> {
        best(self.rounds, || Ok(verify_all(&self.key, black_box(claims)).into_iter().collect::<Result<(), _>>()?))
    }
}

impl Stored {
    fn held(&self) -> Held<'_> {
        let answers = self.data.chunks(BLOCK_BYTES).zip(self.tags.iter().copied()).collect();
        Held { fragment: self.fragment, answers }
    }

    fn tagged(&self) -> Tagged<'_> {
        Tagged { fragment: self.fragment, data: &self.data, tags: &self.tags }
    }
}

/// What a round asks of a miner.
fn challenge(miner: u8, key: &GroupKey) -> Challenge {
    let (beacon, chain, miner) = ([7; 32], CHAIN_ID_LOCALNET, Address::repeat_byte(miner));
    Challenge::of(&AuditRound { beacon, chain, miner, round: 1, context: key.digest() })
}

/// All blocks of all fragments, since a round asks for as many as each has.
fn held(store: &[Stored]) -> Vec<Held<'_>> {
    store.iter().map(Stored::held).collect()
}

fn fragments(store: &[Stored]) -> Vec<Fragment> {
    store.iter().map(|stored| stored.fragment).collect()
}

/// Openings of the largest fragment.
fn openings(rounds: u32) -> anyhow::Result<Vec<Line>> {
    let mut data = vec![0; usize::try_from(FRAGMENT_MAX_BYTES)?];
    hash::stream("cess 2026 proofs bench", b"opening").fill(&mut data);
    let fragment = Fragment::new(FragmentId(hash::content(&data)), FRAGMENT_MAX_BYTES)?;
    let opened = best(rounds, || {
        black_box(open(&fragment, &data, 1)?);
        Ok(())
    })?;
    let step = fragment.length.chunks() / OPENINGS;
    let openings: Vec<(u64, Vec<u8>)> =
        (0..OPENINGS).map(|i| Ok((i * step, open(&fragment, &data, i * step)?))).collect::<anyhow::Result<_>>()?;
    let verified = best(rounds, || {
        openings.iter().try_for_each(|(chunk, opening)| {
            verify_opening(&fragment, *chunk, black_box(opening))?;
            Ok(())
        })
    })?;
    let longest = openings.iter().map(|(_, opening)| opening.len()).max().context("there are openings")?;
    Ok(vec![
        Line { what: "open a chunk of 8 MiB".into(), value: opened * 1e3, unit: "ms" },
        Line { what: "verify an opening".into(), value: verified * 1e6 / OPENINGS as f64, unit: "µs" },
        Line { what: "opening".into(), value: longest as f64, unit: "B" },
    ])
}

/// Seconds of the fastest of some rounds.
fn best(rounds: u32, mut work: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut best = f64::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        work()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(best)
}
