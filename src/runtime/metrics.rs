//! A node's metrics in the Prometheus text format.
//!
//! Owns the table of every metric: adding one is one row here. Must not be global: each node renders its own registry, and
//! every sample carries the node's name.

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter as PromCounter,
        gauge::Gauge as PromGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::{sync::Arc, time::Duration};

/// Fastest bucket of every timer, in seconds; each of the [`TIMER_BUCKETS`] is twice the one before.
const TIMER_FIRST_SECONDS: f64 = 0.000_5;
/// Buckets of a timer: 0.5 ms to 32 s.
const TIMER_BUCKETS: u16 = 17;

macro_rules! metrics {
    ($(#[$doc:meta])* $kind:ident { $($variant:ident, $name:literal, $help:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $kind {
            $(#[doc = $help] $variant,)+
        }

        impl $kind {
            /// Every metric of this kind, in the order of their discriminants.
            pub const ALL: &'static [$kind] = &[$($kind::$variant),+];

            /// Name as scraped, without the `cess_` prefix.
            pub const fn name(self) -> &'static str {
                match self { $($kind::$variant => $name,)+ }
            }

            /// What it says, for the scraper and the reader.
            pub const fn help(self) -> &'static str {
                match self { $($kind::$variant => $help,)+ }
            }
        }
    };
}

metrics! {
    /// Things counted since the node started. Scraped with the suffix `_total`.
    Counter {
        BlocksCommitted, "blocks_committed", "Blocks this node committed";
        BlocksProposed, "blocks_proposed", "Blocks this node proposed";
        ConsensusRoundsFailed, "consensus_rounds_failed", "Consensus rounds that ended without a decision";
        TxsExecuted, "txs_executed", "Transactions executed in committed blocks";
        TxsRejected, "txs_rejected", "Transactions refused by the mempool";
        GasUsed, "gas_used", "Gas used by executed transactions";
        FragmentsStored, "fragments_stored", "Fragments written and acknowledged";
        FragmentsServed, "fragments_served", "Fragments sent to a reader";
        FragmentsDeleted, "fragments_deleted", "Fragments removed from the store";
        FragmentsBad, "fragments_bad", "Fragments whose bytes did not match their id";
        FragmentsHealed, "fragments_healed", "Missing fragments this miner rebuilt from those of others";
        FragmentsReplaced, "fragments_replaced", "Pushes that went to a replacement holder";
        FilesStored, "files_stored", "Files this gateway stored";
        FilesServed, "files_served", "Files this gateway gave back";
        BytesIn, "bytes_in", "Bytes received from peers";
        BytesOut, "bytes_out", "Bytes sent to peers";
        UserBytesIn, "user_bytes_in", "Bytes of user data taken in by this gateway";
        UserBytesOut, "user_bytes_out", "Bytes of user data given back by this gateway";
        CachedBytesOut, "cached_bytes_out", "Stored bytes read from this node's memory instead of miners";
        RpcRequests, "rpc_requests", "Requests answered by the RPC server";
        RpcErrors, "rpc_errors", "Requests the RPC server answered with an error";
        BadFrames, "bad_frames", "Frames or messages from peers that were refused";
        StateSyncs, "state_syncs", "States taken over from snapshots of others";
        StatePartsFetched, "state_parts_fetched", "Parts of a state fetched and proven";
        StatePartsBad, "state_parts_bad", "Answers with parts of a state that were wrong";
        StatePartsServed, "state_parts_served", "Parts of a state sent to others";
        AuditsAnswered, "audits_answered", "Rounds of audits this miner answered";
        AuditsProven, "audits_proven", "Rounds of audits this miner proved its tagged data in";
        AuditsMissed, "audits_missed", "Rounds of audits this miner could not show everything in";
        AuditsPassed, "audits_passed", "Verdicts about this miner without a fault";
        AuditsFailed, "audits_failed", "Verdicts about this miner with a fault";
        RepairsCompleted, "repairs_completed", "Columns this miner took over";
        Panics, "panics", "Panics caught in requests and tasks";
        S3Requests, "s3_requests", "Requests that reached the S3 listener";
        S3Errors, "s3_errors", "Requests the S3 listener answered with a status of 500 or more";
    }
}

metrics! {
    /// Levels that go up and down.
    Gauge {
        Height, "height", "Height of the last committed block";
        Peers, "peers", "Connected peers";
        MempoolTxs, "mempool_txs", "Transactions waiting in the mempool";
        MempoolBytes, "mempool_bytes", "Bytes of the transactions waiting in the mempool";
        FragmentsHeld, "fragments_held", "Fragments in the store";
        SpaceUsedBytes, "space_used_bytes", "Bytes of the fragments in the store";
        SpaceDeclaredBytes, "space_declared_bytes", "Bytes this miner declared on the chain";
        IdleMadeBytes, "idle_made_bytes", "Bytes idle space takes on this miner's disk";
        IdleCertifiedBytes, "idle_certified_bytes", "Bytes of certified idle space that data has not taken";
        Uploads, "uploads", "Uploads in progress";
    }
}

metrics! {
    /// How long things take, in seconds.
    Timer {
        Finality, "finality_seconds", "From the acceptance of a transaction to its final block";
        Signatures, "signatures_seconds", "Checking the signatures of transactions that arrive together";
        BlockExecute, "block_execute_seconds", "Execution of a block";
        ExecutionWait, "execution_wait_seconds", "Waiting for the execution of a block before the ordering can go on";
        StoreWait, "store_wait_seconds", "Waiting of an executed block until the one before it is stored";
        StateRoot, "state_root_seconds", "Changing the commitment to the state after a block";
        BlockCommit, "block_commit_seconds", "Writing an executed block and its state";
        Put, "put_seconds", "Storing a file, from its first byte to its final transaction";
        Get, "get_seconds", "Giving a file back, from the request to its last byte";
        FragmentPush, "fragment_push_seconds", "Pushing a fragment until its receipt";
        FragmentWrite, "fragment_write_seconds", "Writing a fragment to the medium";
        RpcCall, "rpc_call_seconds", "Answering an RPC request";
    }
}

/// Handle of a node's metrics. Cheap to clone and lock-free to update.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    counters: Vec<PromCounter>,
    gauges: Vec<PromGauge>,
    timers: Vec<Histogram>,
}

impl Metrics {
    /// Fresh metrics of the node called `node`.
    pub fn new(node: &str) -> Self {
        let label = ("node".into(), node.to_owned().into());
        let mut registry = Registry::with_prefix_and_labels("cess", std::iter::once(label));
        let counters: Vec<PromCounter> = Counter::ALL.iter().map(|_| PromCounter::default()).collect();
        for (metric, counter) in Counter::ALL.iter().zip(&counters) {
            registry.register(metric.name(), metric.help(), counter.clone());
        }
        let gauges: Vec<PromGauge> = Gauge::ALL.iter().map(|_| PromGauge::default()).collect();
        for (metric, gauge) in Gauge::ALL.iter().zip(&gauges) {
            registry.register(metric.name(), metric.help(), gauge.clone());
        }
        let buckets = || exponential_buckets(TIMER_FIRST_SECONDS, 2.0, TIMER_BUCKETS);
        let timers: Vec<Histogram> = Timer::ALL.iter().map(|_| Histogram::new(buckets())).collect();
        for (metric, timer) in Timer::ALL.iter().zip(&timers) {
            registry.register(metric.name(), metric.help(), timer.clone());
        }
        Self { inner: Arc::new(Inner { registry, counters, gauges, timers }) }
    }

    /// Adds `n` to a counter.
    pub fn add(&self, counter: Counter, n: u64) {
        self.inner.counters[counter as usize].inc_by(n);
    }

    /// Sets a gauge.
    pub fn set(&self, gauge: Gauge, level: i64) {
        self.inner.gauges[gauge as usize].set(level);
    }

    /// Records one duration.
    pub fn observe(&self, timer: Timer, took: Duration) {
        self.inner.timers[timer as usize].observe(took.as_secs_f64());
    }

    /// Value of a counter.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.inner.counters[counter as usize].get()
    }

    /// Value of a gauge.
    pub fn gauge(&self, gauge: Gauge) -> i64 {
        self.inner.gauges[gauge as usize].get()
    }

    /// Every metric in the Prometheus text format.
    pub fn render(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.inner.registry).expect("writing to a string cannot fail");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_each_kind_with_the_node_name() {
        let metrics = Metrics::new("miner-3");
        metrics.add(Counter::FragmentsStored, 2);
        metrics.add(Counter::FragmentsStored, 3);
        metrics.set(Gauge::Peers, 7);
        metrics.observe(Timer::Put, Duration::from_millis(3));
        let text = metrics.render();
        assert!(text.contains("cess_fragments_stored_total{node=\"miner-3\"} 5"), "{text}");
        assert!(text.contains("cess_peers{node=\"miner-3\"} 7"), "{text}");
        assert!(text.contains("cess_put_seconds_count{node=\"miner-3\"} 1"), "{text}");
        assert_eq!(metrics.counter(Counter::FragmentsStored), 5);
        assert_eq!(metrics.gauge(Gauge::Peers), 7);
    }

    #[test]
    fn nodes_do_not_share_metrics() {
        let (one, two) = (Metrics::new("one"), Metrics::new("two"));
        one.add(Counter::BlocksCommitted, 1);
        assert_eq!(two.counter(Counter::BlocksCommitted), 0);
    }

    #[test]
    fn names_are_unique_and_indices_match() {
        let mut names: Vec<&str> = Counter::ALL.iter().map(|metric| metric.name()).collect();
        names.extend(Gauge::ALL.iter().map(|metric| metric.name()));
        names.extend(Timer::ALL.iter().map(|metric| metric.name()));
        let total = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), total);
        assert!(Counter::ALL.iter().enumerate().all(|(index, metric)| *metric as usize == index));
    }
}
