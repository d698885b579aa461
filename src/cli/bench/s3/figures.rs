//! What `bench s3` says: rates, latencies and processor time of each kind of request.

use super::{Op, load::Tally};
use crate::{cli::output::table, types::ByteCount};
use serde::Serialize;
use std::time::Duration;

/// All that was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    /// The server.
    pub endpoint: String,
    /// Whether bodies were signed.
    pub signed: bool,
    /// One for each size, concurrency and kind of request.
    pub rows: Vec<Row>,
}

/// Figures of one kind of request.
#[derive(Debug, Serialize)]
pub struct Row {
    op: Op,
    /// Bytes of an object; of a listing its objects.
    size: u64,
    concurrency: usize,
    count: usize,
    errors: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_error: Option<String>,
    /// Gets that were compared with what was put.
    verified: u64,
    seconds: f64,
    ops_s: f64,
    mb_s: f64,
    latency: Latency,
    /// Seconds of the client's processes.
    client_cpu_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_cpu: Option<ServerCpu>,
}

/// Processor time of the server.
#[derive(Debug, PartialEq, Serialize)]
pub struct ServerCpu {
    seconds: f64,
    ms_per_op: f64,
    mb_per_cpu_s: f64,
}

/// Where latencies lie, in milliseconds: the smallest that so many of a hundred do not exceed. All zero without samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

impl Latency {
    /// Of these samples, in any order.
    pub fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let at = |percent: usize| {
            let rank = (samples.len() * percent).div_ceil(100);
            samples.get(rank.saturating_sub(1)).map_or(0.0, |took| took.as_secs_f64() * 1_000.0)
        };
        Self { p50_ms: at(50), p90_ms: at(90), p99_ms: at(99), max_ms: at(100) }
    }
}

impl Row {
    /// Figures of what was counted.
    pub(super) fn of(op: Op, size: u64, concurrency: usize, tally: Tally) -> Self {
        let (count, seconds, mb) = (tally.latencies.len(), tally.took.as_secs_f64(), tally.bytes as f64 / 1e6);
        let per = |amount: f64, of: f64| if of > 0.0 { amount / of } else { 0.0 };
        let server_cpu = tally.server_cpu.map(|cpu| ServerCpu {
            seconds: cpu,
            ms_per_op: per(cpu * 1_000.0, count as f64),
            mb_per_cpu_s: per(mb, cpu),
        });
        Self {
            op,
            size,
            concurrency,
            count,
            errors: tally.errors,
            first_error: tally.first_error,
            verified: tally.verified,
            seconds,
            ops_s: per(count as f64, seconds),
            mb_s: per(mb, seconds),
            latency: Latency::of(tally.latencies),
            client_cpu_s: tally.client_cpu,
            server_cpu,
        }
    }
}

/// The table a person reads.
pub fn describe(figures: &Figures) -> String {
    let header = [
        "request",
        "size",
        "at a time",
        "count",
        "errors",
        "ops/s",
        "MB/s",
        "p50 ms",
        "p90",
        "p99",
        "max",
        "ms CPU/op",
        "MB/CPU-s",
    ];
    let rows: Vec<_> = figures.rows.iter().map(cells).collect();
    let mut out = table(&header, &rows);
    for row in &figures.rows {
        if let Some(error) = &row.first_error {
            out.push_str(&format!("\nfirst of {} errors of {}: {error}", row.errors, word(row.op)));
        }
    }
    let verified: u64 = figures.rows.iter().map(|row| row.verified).sum();
    let bodies = if figures.signed { "signed" } else { "not signed" };
    out.push_str(&format!("\n{} with bodies {bodies}; {verified} gets compared with what was put", figures.endpoint));
    out
}

fn cells(row: &Row) -> Vec<String> {
    let size = match row.op {
        Op::List => format!("{} keys", row.size),
        _ => ByteCount(row.size).to_string(),
    };
    let moved = |rate: f64| if rate > 0.0 { format!("{rate:.1}") } else { String::new() };
    let cpu = row.server_cpu.as_ref();
    let latency = &row.latency;
    vec![
        word(row.op).to_owned(),
        size,
        row.concurrency.to_string(),
        row.count.to_string(),
        row.errors.to_string(),
        format!("{:.1}", row.ops_s),
        moved(row.mb_s),
        format!("{:.2}", latency.p50_ms),
        format!("{:.2}", latency.p90_ms),
        format!("{:.2}", latency.p99_ms),
        format!("{:.2}", latency.max_ms),
        cpu.map_or(String::new(), |cpu| format!("{:.3}", cpu.ms_per_op)),
        cpu.map_or(String::new(), |cpu| moved(cpu.mb_per_cpu_s)),
    ]
}

fn word(op: Op) -> &'static str {
    match op {
        Op::Put => "put",
        Op::Get => "get",
        Op::Head => "head",
        Op::Delete => "delete",
        Op::List => "list",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let millis = |from: u64, to: u64| (from..=to).rev().map(Duration::from_millis).collect::<Vec<_>>();
        let hundred = Latency { p50_ms: 50.0, p90_ms: 90.0, p99_ms: 99.0, max_ms: 100.0 };
        assert_eq!(Latency::of(millis(1, 100)), hundred);
        let ten = Latency { p50_ms: 5.0, p90_ms: 9.0, p99_ms: 10.0, max_ms: 10.0 };
        assert_eq!(Latency::of(millis(1, 10)), ten);
        let one = Latency { p50_ms: 7.0, p90_ms: 7.0, p99_ms: 7.0, max_ms: 7.0 };
        assert_eq!(Latency::of(millis(7, 7)), one);
        assert_eq!(Latency::of(Vec::new()).max_ms, 0.0);
    }

    #[test]
    fn rates_are_of_what_was_counted() {
        let tally = Tally {
            latencies: vec![Duration::from_millis(10); 40],
            bytes: 40_000_000,
            took: Duration::from_secs(2),
            server_cpu: Some(0.5),
            ..Tally::default()
        };
        let row = Row::of(Op::Put, 1_000_000, 4, tally);
        assert_eq!((row.ops_s, row.mb_s), (20.0, 20.0));
        assert_eq!(row.server_cpu, Some(ServerCpu { seconds: 0.5, ms_per_op: 12.5, mb_per_cpu_s: 80.0 }));
        let none = Row::of(Op::Get, 1, 1, Tally::default());
        assert_eq!((none.ops_s, none.mb_s, none.server_cpu), (0.0, 0.0, None));
    }
}
