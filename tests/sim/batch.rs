//! Runs many seeds, each in a process of its own, and adds up what happened.
//!
//! Owns what a batch prints. A seed that fails does not stop the others; the end names each with the command that repeats it.

use crate::{
    child,
    run::{Summary, summary},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Lines of a failure that a batch prints; its command gives the rest.
const FAILURE_MAX_LINES: usize = 30;

/// Runs to come.
pub struct Batch {
    /// Test whose children they are.
    pub test: &'static str,
    /// Test that runs a seed again.
    pub again: &'static str,
    /// Virtual seconds of trouble.
    pub seconds: u64,
    /// Processes at a time.
    pub parallel: usize,
}

/// What came of them.
#[derive(Default)]
pub struct Outcome {
    totals: BTreeMap<String, u64>,
    clean: usize,
    virtual_seconds: f64,
    commits: usize,
    failed: Vec<u64>,
}

impl Batch {
    /// Runs one seed. Returns its report.
    pub fn run_one(&self, seed: u64) -> Result<(String, Summary), String> {
        let started = Instant::now();
        let report = child::run(self.test, &format!("{seed} {}", self.seconds))?;
        let summary = summary(&report).map_err(|e| format!("{report}{e:#}"))?;
        let Summary { digest, seconds, commits, .. } = &summary;
        println!("seed {seed}: {digest}, {seconds:.3} virtual seconds, {commits} commits in {:.1?}", started.elapsed());
        Ok((report, summary))
    }

    /// The command that runs `seed` again, with the same build: another one asks for the time at other moments.
    pub fn command(&self, seed: u64) -> String {
        let (again, seconds, release) =
            (self.again, self.seconds, if cfg!(debug_assertions) { "" } else { "--release " });
        format!(
            "CESS_SIM_SEED={seed} CESS_SIM_SECONDS={seconds} cargo test {release}--test sim {again} -- --exact --nocapture"
        )
    }

    /// Runs all of `seeds`, a few at a time, and says what it took.
    pub fn run(&self, seeds: impl Iterator<Item = u64> + Send) -> Outcome {
        let (started, cpu) = (Instant::now(), cpu_of_children());
        let queue = Mutex::new(seeds);
        let outcome = Mutex::new(Outcome::default());
        std::thread::scope(|scope| {
            let work = || {
                while let Some(seed) = { queue.lock().next() } {
                    let result = self.run_one(seed);
                    outcome.lock().add(seed, result);
                }
            };
            (0..self.parallel).for_each(|_| drop(scope.spawn(work)));
        });
        let (outcome, cpu) = (outcome.into_inner(), cpu_of_children() - cpu);
        println!("{}", outcome.line(cpu, started.elapsed()));
        println!("{:?}", outcome.counted().collect::<Vec<_>>());
        for seed in &outcome.failed {
            println!("seed {seed} failed, to see it again: {}", self.command(*seed));
        }
        outcome
    }
}

impl Outcome {
    fn add(&mut self, seed: u64, result: Result<(String, Summary), String>) {
        match result {
            Ok((_, summary)) => {
                self.clean += 1;
                self.virtual_seconds += summary.seconds;
                self.commits += summary.commits;
                summary.counts.into_iter().for_each(|(what, count)| *self.totals.entry(what).or_default() += count);
            }
            Err(why) => {
                self.failed.push(seed);
                let skip = why.lines().count().saturating_sub(FAILURE_MAX_LINES);
                let end: Vec<&str> = why.lines().skip(skip).collect();
                println!("seed {seed} failed:\n{}", end.join("\n"));
            }
        }
    }

    fn line(&self, cpu: Duration, real: Duration) -> String {
        let Outcome { clean, failed, virtual_seconds, commits, .. } = self;
        let (cpu, real) = (cpu.as_secs_f64(), real.as_secs_f64());
        let runs = f64::from(u32::try_from(clean + failed.len()).unwrap_or(u32::MAX));
        format!(
            "{clean} seeds clean, {} failed: {virtual_seconds:.0} virtual seconds, {commits} commits, \
             {cpu:.0} CPU seconds, {real:.0} seconds, {:.1} seeds per CPU minute",
            failed.len(),
            runs * 60.0 / cpu
        )
    }

    /// How often each thing happened.
    pub fn counted(&self) -> impl Iterator<Item = (&str, u64)> {
        self.totals.iter().map(|(what, count)| (what.as_str(), *count))
    }

    /// Seeds that failed.
    pub fn failed(&self) -> &[u64] {
        &self.failed
    }
}

/// Processor time of all children that have ended.
fn cpu_of_children() -> Duration {
    // SAFETY: a zeroed usage is a valid one, and the call only writes to it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage
    };
    let time = |time: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(time.tv_sec).unwrap_or_default());
        seconds + Duration::from_micros(u64::try_from(time.tv_usec).unwrap_or_default())
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}
