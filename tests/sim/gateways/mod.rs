//! Deterministic simulation of several gateways that serve the same buckets, under crashes, cuts, frozen processes, lost journal miners,
//! a slow chain and upkeep at odd moments.
//!
//! The gateways are the product: its group, engines, journals with their miners' disks, objects and upkeep, each gateway and miner with its
//! runtime. Twins are the chain's names, the data miners with their files, and the network. A run is a function of its seed. Clients write
//! down what they did and saw; in the end one order must explain it, every acknowledged byte be there, and nothing else be left.
//!
//! More seeds: `CESS_SIM_SEEDS=100 CESS_SIM_SECONDS=60 cargo test --test sim gateways::long_run -- --nocapture`, and the other variables
//! of `main.rs`.

mod chain;
mod clients;
mod depot;
mod faults;
mod gateway;
mod history;
mod miners;
mod packer;
mod sessions;
mod sometimes;
mod story;
mod values;
mod witness;

use crate::{batch::Batch, child, from_env, parallel};
use gateway::Sabotage;
use std::time::Duration;
use story::World;

/// Seeds that every run of the tests goes through: together they see everything that must happen sometimes.
const FIXED_SEEDS: std::ops::Range<u64> = 1..21;
/// Virtual seconds of trouble of these.
const FIXED_SECONDS: u64 = 25;
/// Worlds tried until what was broken on purpose is noticed.
const SABOTAGED_MAX_SEEDS: u64 = 60;

fn world(order: &str, sabotage: Option<Sabotage>) -> World {
    let (seed, seconds) = order.split_once(' ').expect("the parent orders a seed and its seconds");
    let seconds = seconds.parse().expect("the parent orders seconds");
    World { seed: seed.parse().expect("the parent orders a seed"), trouble: Duration::from_secs(seconds), sabotage }
}

/// In a child: does what it was started for. Returns whether this is one.
fn is_child(sabotage: Option<Sabotage>) -> bool {
    let Some(order) = child::order() else { return false };
    crate::log_if_asked();
    child::report(&story::run(world(&order, sabotage)));
    true
}

fn batch(test: &'static str, seconds: u64) -> Batch {
    Batch { test, again: "gateways::long_run", seconds, parallel: parallel() }
}

#[test]
fn same_seed_same_digest() {
    if is_child(None) {
        return;
    }
    let batch = batch("gateways::same_seed_same_digest", FIXED_SECONDS);
    let [first, second] = [(); 2].map(|()| batch.run_one(FIXED_SEEDS.start).unwrap_or_else(|why| panic!("{why}")));
    let differing = first.0.lines().zip(second.0.lines()).find(|(a, b)| a != b);
    assert_eq!(differing, None, "seed {} went two ways", FIXED_SEEDS.start);
    assert_eq!(first.1.digest, second.1.digest);
}

#[test]
fn fixed_seeds() {
    if is_child(None) {
        return;
    }
    let outcome = batch("gateways::fixed_seeds", FIXED_SECONDS).run(FIXED_SEEDS);
    assert_eq!(outcome.failed(), [0; 0], "these seeds failed");
    for (what, total) in outcome.counted() {
        assert!(total > 0, "too tame: {what} never happened");
    }
}

/// Whether some world in which this is broken is found out, with these words.
fn is_noticed(test: &'static str, words: &str) -> bool {
    let run = |seed| child::run(test, &format!("{seed} {FIXED_SECONDS}"));
    let noticed = |seed: u64| run(seed).is_err_and(|why| why.contains("VIOLATION") && why.contains(words));
    (0..SABOTAGED_MAX_SEEDS).any(noticed)
}

/// The rules can fail: who renews its lease by itself goes on answering when another has taken over.
#[test]
fn a_lease_without_miners_is_noticed() {
    if !is_child(Some(Sabotage::LeaseWithoutMiners)) {
        assert!(is_noticed("gateways::a_lease_without_miners_is_noticed", "gateways serve"), "nobody noticed");
    }
}

/// The rules can fail: without a grace, contents are taken from those who read them.
#[test]
fn collecting_without_grace_is_noticed() {
    if !is_child(Some(Sabotage::NoGrace)) {
        assert!(is_noticed("gateways::collecting_without_grace_is_noticed", "is gone for good"), "nobody noticed");
    }
}

/// One fresh seed, or those that the environment asks for.
#[test]
fn long_run() {
    if is_child(None) {
        return;
    }
    let batch = batch("gateways::long_run", from_env("CESS_SIM_SECONDS").unwrap_or(FIXED_SECONDS));
    crate::run_asked(&batch);
}
