//! Deterministic simulation of validators, some of which lie, under loss, partitions, crashes, loss of power and wrong clocks.
//!
//! The nodes are the product as it is: its chain, its BFT engine with its write-ahead log, its runtime and threads. Only the
//! network is the in-memory twin, the database the in-memory twin, and libc lies about time, randomness and fsync. A run is a
//! function of its seed. Every block of every node is checked from outside; in the end the chain must live on.
//!
//! More seeds: `CESS_SIM_SEEDS=100 CESS_SIM_SECONDS=60 cargo test --test sim long_run -- --exact --nocapture`, from
//! `CESS_SIM_FIRST` on instead of random ones, `CESS_SIM_PARALLEL` at a time; `cargo test --release` runs several times as many. One
//! seed: `CESS_SIM_SEED=…` instead; with `CESS_SIM_TRACE=1` it prints every event.

mod batch;
mod child;
mod clock;
mod cluster;
mod faults;
mod gateways;
mod machine;
mod rules;
mod run;
mod selftest;
mod slow_kv;
mod sometimes;
mod users;
mod witness;
mod world;
mod zoo;

use batch::Batch;
use std::time::Duration;
use world::World;

/// Seeds that every run of the tests goes through: together they see everything that must happen sometimes.
const FIXED_SEEDS: std::ops::Range<u64> = 1..41;
/// A seed in which a member lies.
const LYING_SEED: u64 = 1;
/// Virtual seconds of trouble of these.
const FIXED_SECONDS: u64 = 30;
/// Worlds tried until too many liars have forked one.
const OVERRUN_MAX_SEEDS: u64 = 20;
/// Processes at a time.
const PARALLEL: usize = 2;

/// In a child: does what it was started for. Returns whether this is one.
fn is_child() -> bool {
    let Some(order) = child::order() else { return false };
    log_if_asked();
    let (seed, seconds) = order.split_once(' ').expect("the parent orders a seed and its seconds");
    let seconds = Duration::from_secs(seconds.parse().expect("the parent orders seconds"));
    child::report(&run::run(World::new(seed.parse().expect("the parent orders a seed"), seconds)));
    true
}

/// Has a child log what `RUST_LOG` names.
fn log_if_asked() {
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    }
}

fn from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn parallel() -> usize {
    from_env("CESS_SIM_PARALLEL").and_then(|n| usize::try_from(n).ok()).unwrap_or(PARALLEL)
}

fn batch(test: &'static str, seconds: u64) -> Batch {
    Batch { test, again: "long_run", seconds, parallel: parallel() }
}

/// Runs one fresh seed, or those that the environment asks for.
fn run_asked(batch: &Batch) {
    if let Some(seed) = from_env("CESS_SIM_SEED") {
        let (report, _) = batch.run_one(seed).unwrap_or_else(|why| panic!("{why}\nseed {seed} failed"));
        if std::env::var_os("CESS_SIM_TRACE").is_some() {
            println!("{report}");
        }
        return;
    }
    let count = from_env("CESS_SIM_SEEDS").unwrap_or(1);
    let first = from_env("CESS_SIM_FIRST");
    let seeds = (0..count).map(|i| first.map_or_else(rand::random::<u64>, |first| first + i));
    assert_eq!(batch.run(seeds).failed(), [0; 0], "these seeds failed");
}

#[test]
fn same_seed_same_digest() {
    if is_child() {
        return;
    }
    let batch = batch("same_seed_same_digest", FIXED_SECONDS);
    let [first, second] = [(); 2].map(|()| batch.run_one(LYING_SEED).unwrap_or_else(|why| panic!("{why}")));
    assert!(first.0.contains(" lies "), "nobody lies in the world of seed {LYING_SEED}");
    let differing = first.0.lines().zip(second.0.lines()).find(|(a, b)| a != b);
    assert_eq!(differing, None, "seed {LYING_SEED} went two ways");
    assert_eq!(first.1.digest, second.1.digest);
}

#[test]
fn fixed_seeds() {
    if is_child() {
        return;
    }
    let outcome = batch("fixed_seeds", FIXED_SECONDS).run(FIXED_SEEDS);
    assert_eq!(outcome.failed(), [0; 0], "these seeds failed");
    for (what, total) in outcome.counted() {
        assert!(total > 0, "too tame: {what} never happened");
    }
}

/// The witness can fail: with half of the power in the hands of liars there are forks, and it sees them.
#[test]
fn too_many_liars_are_noticed() {
    const NAME: &str = "too_many_liars_are_noticed";
    if let Some(seed) = child::order() {
        return child::report(&run::run(World::overrun(seed.parse().expect("the parent orders a seed"))));
    }
    let noticed = |seed: &u64| child::run(NAME, &seed.to_string()).is_err_and(|why| why.contains("VIOLATION"));
    let found = (0..OVERRUN_MAX_SEEDS).find(noticed);
    assert!(found.is_some(), "no fork in {OVERRUN_MAX_SEEDS} worlds in which half of the members lie");
}

/// One fresh seed, or those that the environment asks for.
#[test]
fn long_run() {
    if is_child() {
        return;
    }
    run_asked(&batch("long_run", from_env("CESS_SIM_SECONDS").unwrap_or(FIXED_SECONDS)));
}
