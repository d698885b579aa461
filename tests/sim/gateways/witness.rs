//! Sees what happens among gateways and says what must not.
//!
//! Owns the trace of a run, its counters and its violations.

use super::sometimes::Sometimes;
use crate::machine::now;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    sync::Arc,
};

/// Violations that are kept: the first ones tell.
const VIOLATIONS_MAX: usize = 20;

/// Sees everything.
#[derive(Default)]
pub struct Witness(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    trace: String,
    counters: BTreeMap<Sometimes, u64>,
    violations: Vec<String>,
    /// Keys of the hosts of gateways that are up.
    standing: BTreeSet<[u8; 32]>,
}

impl Witness {
    /// One who has seen nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Writes down what happened.
    pub fn note(&self, what: &str) {
        let mut seen = self.0.lock();
        writeln!(seen.trace, "{:.6} {what}", now().as_secs_f64()).expect("writing to memory cannot fail");
    }

    /// A gateway came up, or went down.
    pub fn stands(&self, peer: [u8; 32], up: bool) {
        let standing = &mut self.0.lock().standing;
        if up {
            standing.insert(peer);
        } else {
            standing.remove(&peer);
        }
    }

    /// Whether a gateway is up, frozen and cut off or not.
    pub fn is_standing(&self, peer: &[u8; 32]) -> bool {
        self.0.lock().standing.contains(peer)
    }

    /// Something that has to happen sometimes did.
    pub fn count(&self, what: Sometimes) {
        *self.0.lock().counters.entry(what).or_default() += 1;
    }

    /// Something that must not happen did.
    pub fn violation(&self, what: &str) {
        self.note(&format!("VIOLATION: {what}"));
        let mut seen = self.0.lock();
        if seen.violations.len() < VIOLATIONS_MAX {
            seen.violations.push(what.to_owned());
        }
    }

    /// Fails if anything happened that must not.
    pub fn check(&self) -> anyhow::Result<()> {
        let seen = self.0.lock();
        anyhow::ensure!(
            seen.violations.is_empty(),
            "{}VIOLATION: {}",
            seen.trace,
            seen.violations.join("\nVIOLATION: ")
        );
        Ok(())
    }

    /// The trace so far.
    pub fn trace(&self) -> String {
        self.0.lock().trace.clone()
    }

    /// How often each thing happened, in the form of a report.
    pub fn counts(&self) -> String {
        let seen = self.0.lock();
        let count = |what: &Sometimes| format!("{what:?}={}", seen.counters.get(what).copied().unwrap_or_default());
        Sometimes::ALL.iter().map(count).collect::<Vec<_>>().join(" ")
    }
}
