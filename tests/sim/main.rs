//! Deterministic simulation of four validators under loss, partitions, crashes and loss of power.
//!
//! The nodes are the product as it is: its chain, its BFT engine with its write-ahead log, its runtime and threads. Only the
//! network is the in-memory twin, the database the in-memory twin, and libc lies about time, randomness and fsync. A run is a
//! function of its seed. Every run checks agreement, certificates, durability, supply and, in the end, liveness.
//!
//! More seeds: `CESS_SIM_SEEDS=100 cargo test --test sim long_run -- --nocapture`. One seed: `CESS_SIM_SEED=…` instead; with
//! `CESS_SIM_TRACE=1` it prints every event.

mod child;
mod cluster;
mod faults;
mod machine;
mod run;
mod selftest;
mod users;
mod witness;

use run::{Summary, summary};
use std::sync::Mutex;
use witness::Sometimes;

/// Seeds that every run of the tests goes through.
const FIXED_SEEDS: std::ops::Range<u64> = 1..7;
/// Processes at a time.
const PARALLEL: usize = 2;

/// Runs `seed` in a process of its own.
fn run_seed(test: &str, seed: u64) -> (String, Summary) {
    let started = std::time::Instant::now();
    let report = child::run(test, &seed.to_string()).unwrap_or_else(|why| {
        let again = format!("CESS_SIM_SEED={seed} cargo test --test sim long_run -- --nocapture");
        panic!("{why}\nseed {seed} failed, to see it again: {again}")
    });
    let summary = summary(&report).expect("a child that succeeds ends with its summary");
    println!("seed {seed}: {}, {} in {:.1?}", summary.digest, summary.extent, started.elapsed());
    (report, summary)
}

/// Runs the seeds, a few at a time, and adds up what happened.
fn run_seeds(test: &str, seeds: Vec<u64>) -> Vec<u64> {
    let queue = Mutex::new(seeds.into_iter());
    let totals = Mutex::new(vec![0; Sometimes::ALL.len()]);
    std::thread::scope(|scope| {
        let work = || {
            while let Some(seed) = { queue.lock().expect("no holder panics").next() } {
                let (_, summary) = run_seed(test, seed);
                let mut totals = totals.lock().expect("no holder panics");
                totals.iter_mut().zip(summary.counts).for_each(|(total, count)| *total += count);
            }
        };
        (0..PARALLEL).for_each(|_| drop(scope.spawn(work)));
    });
    totals.into_inner().expect("no holder panics")
}

/// In a child: does what it was started for. Returns whether this is one.
fn is_child() -> bool {
    let Some(order) = child::order() else { return false };
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    }
    child::report(&run::run(order.parse().expect("the parent orders a seed")));
    true
}

fn from_env(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn same_seed_same_digest() {
    if is_child() {
        return;
    }
    let seed = FIXED_SEEDS.start;
    let (first, second) = (run_seed("same_seed_same_digest", seed), run_seed("same_seed_same_digest", seed));
    let differing = first.0.lines().zip(second.0.lines()).find(|(a, b)| a != b);
    assert_eq!(differing, None, "seed {seed} went two ways");
    assert_eq!(first.1.digest, second.1.digest);
}

#[test]
fn fixed_seeds() {
    if is_child() {
        return;
    }
    let totals = run_seeds("fixed_seeds", FIXED_SEEDS.collect());
    for (what, total) in Sometimes::ALL.into_iter().zip(totals) {
        println!("{what:?}: {total}");
        assert!(total > 0, "too tame: {what:?} never happened");
    }
}

/// One fresh seed, or those that the environment asks for.
#[test]
fn long_run() {
    if is_child() {
        return;
    }
    if let Some(seed) = from_env("CESS_SIM_SEED") {
        let (report, _) = run_seed("long_run", seed);
        if std::env::var_os("CESS_SIM_TRACE").is_some() {
            println!("{report}");
        }
        return;
    }
    let seeds = (0..from_env("CESS_SIM_SEEDS").unwrap_or(1)).map(|_| rand::random::<u64>()).collect();
    let totals = run_seeds("long_run", seeds);
    println!("{:?}", Sometimes::ALL.into_iter().zip(totals).collect::<Vec<_>>());
}
