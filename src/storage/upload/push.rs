//! Pushing one segment to its twelve holders, and judging who is too slow.
//!
//! Owns deadlines and replacement while data is at hand. Invariant: returns only when twelve miners have acknowledged, or with
//! the reason why that cannot be.

use super::{
    UploadError, UploadLimits, Uploader,
    columns::{Columns, Seat},
};
use crate::{
    ledger::manifest::SegmentEntry,
    network::PeerId,
    runtime::{Counter, Timer},
    storage::{link::DataError, slicer::EncodedSegment, wire::Refusal},
    types::{
        FragmentId,
        params::{DATA_FRAGMENTS, FRAGMENTS},
    },
};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use std::time::Duration;
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

/// Acknowledgements after which the remaining miners are measured against the others.
const QUORUM: usize = FRAGMENTS - DATA_FRAGMENTS;
/// Pause before a failing miner that nobody can replace is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// A slow miner that nobody can replace is waited for so many times longer.
const STUCK_FACTOR: u32 = 4;

/// When an attempt is too slow: not known until most others are done.
type Allowance = watch::Receiver<Option<Duration>>;

impl Uploader {
    /// Has all twelve fragments acknowledged.
    pub(super) async fn push(&self, columns: &Columns, segment: EncodedSegment) -> Result<SegmentEntry, UploadError> {
        let start = Instant::now();
        let allowance = watch::Sender::new(None);
        let EncodedSegment { entry, fragments, .. } = segment;
        let mut running: FuturesUnordered<_> = fragments
            .into_iter()
            .enumerate()
            .map(|(column, bytes)| {
                self.push_fragment(columns, column, entry.fragments[column], bytes, allowance.subscribe())
            })
            .collect();
        let mut done = 0;
        while let Some(result) = running.next().await {
            result?;
            done += 1;
            if done == QUORUM {
                let usual = start.elapsed() * self.limits.slow_factor;
                allowance.send_replace(Some(usual.max(self.limits.slow_floor)));
            }
        }
        drop(running);
        self.node.metrics.observe(Timer::FragmentPush, start.elapsed());
        Ok(entry)
    }

    /// Has one fragment acknowledged by whoever holds its column in the end.
    async fn push_fragment(
        &self,
        columns: &Columns,
        column: usize,
        id: FragmentId,
        bytes: Bytes,
        allowance: Allowance,
    ) -> Result<(), UploadError> {
        let mut patience = Patience::default();
        loop {
            let seat = columns.seat(column);
            let failure = tokio::select! {
                result = self.data.put(seat.holder.peer, id, bytes.clone(), self.limits.put_deadline) => match result {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                },
                slow = too_slow(columns, &self.limits, allowance.clone(), seat.holder.peer) => {
                    self.data.reset(seat.holder.peer);
                    slow
                }
            };
            self.recover(columns, column, &seat, &failure, &mut patience).await?;
        }
    }

    /// After a failure: another holder for the column, or a pause if there is none and the failure may pass.
    pub(super) async fn recover(
        &self,
        columns: &Columns,
        column: usize,
        seat: &Seat,
        failure: &DataError,
        patience: &mut Patience,
    ) -> Result<(), UploadError> {
        let replaceable = columns.has_spare() || columns.seat(column).term != seat.term;
        if replaceable && columns.replace(column, seat.term, &failure.to_string()) {
            self.node.metrics.add(Counter::FragmentsReplaced, 1);
            *patience = Patience::default();
            return Ok(());
        }
        let since = *patience.since.get_or_insert_with(Instant::now);
        if may_pass(failure) && since.elapsed() < self.limits.patience {
            tracing::debug!(column, %failure, "nobody can take over, the holder is tried again");
            sleep(RETRY_PAUSE).await;
            return Ok(());
        }
        columns.replace(column, seat.term, &failure.to_string());
        Err(UploadError::MinersFailed { failures: columns.failures() })
    }
}

/// Since when a column fails without pause.
#[derive(Default)]
pub(super) struct Patience {
    since: Option<Instant>,
}

/// Whether trying the same miner again could help.
fn may_pass(failure: &DataError) -> bool {
    match failure {
        DataError::Refused { refusal, .. } => matches!(refusal, Refusal::Failed(_)),
        DataError::Protocol { .. } => false,
        DataError::Network(_) | DataError::Timeout { .. } | DataError::Busy => true,
    }
}

/// Resolves when this attempt takes much longer than most others did: at once if somebody could take over, later if not.
async fn too_slow(columns: &Columns, limits: &UploadLimits, mut allowance: Allowance, peer: PeerId) -> DataError {
    let start = Instant::now();
    let allowed = match allowance.wait_for(Option::is_some).await.map(|allowed| *allowed) {
        Ok(Some(allowed)) => allowed,
        _ => return std::future::pending().await,
    };
    let stuck = limits.stuck_floor.max(allowed * STUCK_FACTOR);
    sleep_until(start + allowed).await;
    while !columns.has_spare() && start.elapsed() < stuck {
        // Slow is better than nobody.
        sleep(allowed).await;
    }
    DataError::Timeout { peer, millis: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX) }
}
