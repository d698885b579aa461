//! `bench idle`: what a localnet of validators costs while nobody asks anything of it.

use super::{
    net::{BenchNet, Shape, validators_arg, with_net},
    sample::secs_arg,
};
use crate::{cli::output::Output, types::Height};
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// How long the network is left alone first.
const SETTLE: Duration = Duration::from_secs(10);
/// Threads that are named.
const THREADS_SHOWN: usize = 8;

/// Arguments of `cess bench idle`.
#[derive(Debug, Args)]
pub struct IdleArgs {
    /// How long the processor's time is counted
    #[arg(long, default_value_t = 30, value_name = "N", value_parser = secs_arg())]
    seconds: u32,
    /// Number of validators, all in this process
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = validators_arg())]
    validators: usize,
}

#[derive(Serialize)]
struct IdleFigures {
    validators: usize,
    seconds: f64,
    /// Blocks decided meanwhile.
    blocks: Height,
    /// Percent of one core.
    cpu_percent: f64,
    user_percent: f64,
    system_percent: f64,
    /// Percent of one core by name of thread, the largest ones.
    threads: Vec<(String, f64)>,
}

/// Measures and prints.
pub async fn run(args: IdleArgs, output: &Output) -> anyhow::Result<()> {
    let shape = Shape { validators: args.validators, ..Shape::default() };
    let figures =
        with_net(&shape, output, async |net| measure(net, Duration::from_secs(args.seconds.into())).await).await?;
    output.document(&figures, |f| {
        let threads: Vec<String> = f.threads.iter().map(|(name, percent)| format!("{name} {percent:.1}")).collect();
        format!(
            "{} idle validators in one process over {:.0} s and {} blocks: {:.1} % of one core ({:.1} user, {:.1} system)\nby thread: {}",
            f.validators,
            f.seconds,
            f.blocks,
            f.cpu_percent,
            f.user_percent,
            f.system_percent,
            threads.join(", ")
        )
    })
}

async fn measure(net: &BenchNet, span: Duration) -> anyhow::Result<IdleFigures> {
    sleep(SETTLE).await;
    let height =
        || async { net.nodes[0].ask::<crate::client::ChainStatus>("cess_status", serde_json::json!([])).await };
    let (first, began, before) = (height().await?.height, Instant::now(), Spent::read()?);
    sleep(span).await;
    let (after, seconds) = (Spent::read()?, began.elapsed().as_secs_f64());
    let percent = |ticks: u64| ticks as f64 / ticks_per_second() / seconds * 100.0;
    let (user, system) = (percent(after.user - before.user), percent(after.system - before.system));
    let mut threads: Vec<(String, f64)> = after
        .threads
        .iter()
        .map(|(name, ticks)| (name.clone(), percent(ticks.saturating_sub(*before.threads.get(name).unwrap_or(&0)))))
        .collect();
    threads.sort_by(|a, b| b.1.total_cmp(&a.1));
    threads.truncate(THREADS_SHOWN);
    Ok(IdleFigures {
        validators: net.nodes.len(),
        seconds,
        blocks: height().await?.height - first,
        cpu_percent: user + system,
        user_percent: user,
        system_percent: system,
        threads,
    })
}

/// Processor time of processes in clock ticks.
#[derive(Default)]
pub(super) struct Spent {
    user: u64,
    system: u64,
    threads: BTreeMap<String, u64>,
}

impl Spent {
    /// Of this process.
    pub(super) fn read() -> anyhow::Result<Self> {
        Self::of([std::process::id()])
    }

    /// Of these processes together.
    pub(super) fn of(pids: impl IntoIterator<Item = u32>) -> anyhow::Result<Self> {
        let mut spent = Self::default();
        for pid in pids {
            spent.add(&PathBuf::from(format!("/proc/{pid}")))?;
        }
        Ok(spent)
    }

    fn add(&mut self, process: &Path) -> anyhow::Result<()> {
        let (_, user, system) = stat(&process.join("stat"))?;
        let tasks = process.join("task");
        for entry in std::fs::read_dir(&tasks).with_context(|| format!("cannot list `{}`", tasks.display()))? {
            // A thread may end between the listing and the look at it.
            if let Ok((name, user, system)) = stat(&entry?.path().join("stat")) {
                *self.threads.entry(name).or_default() += user + system;
            }
        }
        (self.user, self.system) = (self.user + user, self.system + system);
        Ok(())
    }

    /// All of it in seconds.
    pub(super) fn seconds(&self) -> f64 {
        (self.user + self.system) as f64 / ticks_per_second()
    }

    /// Seconds of the threads of each name since `before`.
    pub(super) fn threads_since(&self, before: &Self) -> Vec<(String, f64)> {
        let since = |name: &str, ticks: u64| ticks.saturating_sub(*before.threads.get(name).unwrap_or(&0));
        let seconds = |ticks: u64| ticks as f64 / ticks_per_second();
        self.threads.iter().map(|(name, ticks)| (name.clone(), seconds(since(name, *ticks)))).collect()
    }
}

/// Name, user and system ticks of a `stat` file of proc(5).
fn stat(path: &Path) -> anyhow::Result<(String, u64, u64)> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    parse_stat(&text).with_context(|| format!("`{}` is not as proc(5) describes it", path.display()))
}

fn parse_stat(text: &str) -> Option<(String, u64, u64)> {
    let (head, rest) = text.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    // Fields 14 and 15 of the line; the name is the second, the state after it the third.
    let mut fields = rest.split_whitespace().skip(11);
    Some((name.to_owned(), fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn ticks_per_second() -> f64 {
    // SAFETY: sysconf takes a number and touches no memory of ours.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    ticks.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_thread_is_called() {
        let line = "7 (a (b) c) S 1 2 3 4 5 6 7 8 9 10 31 12 0 0 20 0 9 0 100 0 0";
        assert_eq!(parse_stat(line), Some(("a (b) c".to_owned(), 31, 12)));
        assert_eq!(parse_stat("7 nonsense"), None);
    }
}
