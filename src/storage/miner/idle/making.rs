//! Making the labels of a segment: to fill space, to prove a commitment whose layers were not kept, or to replace a lost segment.
//!
//! Owns the pace of the work. Must not know why it is done. Invariants: two layers are in memory, never more; between two steps
//! of some milliseconds others get the processor; who stops it waits for one step at most.

use super::{IdleError, SegmentFiles, system};
use crate::{
    codec,
    proofs::pois::{
        CHUNK_LABELS, CommitChallenge, CommitProver, Commitment, Crown, Generator, Label, LayerBuffer, PoisError,
        ReplicaId, Shape, Workspace,
    },
    runtime::CpuPool,
};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Labels made in one go: some 20 to 40 ms.
const STEP_LABELS: u32 = 1 << 15;
/// Longest sleep that is not interrupted.
const NAP: Duration = Duration::from_millis(50);

/// How hard the work goes.
#[derive(Clone)]
pub(super) struct Pace {
    pub pool: CpuPool,
    /// Rest for each part of work.
    pub tranquility: u32,
    pub stop: CancellationToken,
}

impl Pace {
    /// Rests after work that began at `begun`.
    fn rest(&self, begun: Instant) -> Result<(), IdleError> {
        let until = Instant::now() + begun.elapsed() * self.tranquility;
        loop {
            if self.stop.is_cancelled() {
                return Err(IdleError::Stopped);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}

/// Tells how many labels of all are made.
pub(super) type Report<'a> = &'a mut dyn FnMut(u64, u64);

/// Makes all layers of a segment one after the other and shows each to `layer` while it is whole. Blocks.
fn label(
    shape: Shape,
    replica: ReplicaId,
    pace: &Pace,
    report: Report<'_>,
    mut layer: impl FnMut(u32, &[Label], &Crown) -> Result<(), IdleError>,
) -> Result<(), IdleError> {
    let (mut even, mut odd) = (LayerBuffer::new(shape), LayerBuffer::new(shape));
    system::advise_huge(even.bytes_mut());
    system::advise_huge(odd.bytes_mut());
    let mut workspace = Workspace::new(shape, even.labels_mut(), odd.labels_mut())?;
    let mut generator = Generator::new(shape, replica);
    let total = u64::from(shape.labels()) * u64::from(shape.layers());
    while !generator.is_done() {
        let begun = Instant::now();
        let whole = pace.pool.install_in_background(|| generator.step(&mut workspace, STEP_LABELS))?;
        if let Some(number) = whole {
            let labels = workspace.layer(number);
            let crown = pace.pool.install_in_background(|| Crown::build(shape, labels))?;
            layer(number, labels, &crown)?;
        }
        let at = generator.progress();
        report(u64::from(at.layer) * u64::from(shape.labels()) + u64::from(at.next), total);
        pace.rest(begun)?;
    }
    Ok(())
}

/// Makes segment `number` and keeps it; with `layers` all its layers, which its commitment's proof will ask for.
pub(super) fn make(
    files: &SegmentFiles,
    shape: Shape,
    replica: ReplicaId,
    number: u64,
    layers: bool,
    pace: &Pace,
    report: Report<'_>,
) -> Result<(), IdleError> {
    files.begin()?;
    let mut layer_roots = Vec::new();
    label(shape, replica, pace, report, |layer, labels, crown| {
        layer_roots.push(crown.root());
        if layers || layer + 1 == shape.layers() { files.put_layer(layer, labels, crown) } else { Ok(()) }
    })?;
    files.finish(number, &Commitment { layer_roots })
}

/// Makes the proof that segment `number` was labelled by the graph, and keeps it.
pub(super) fn prove(
    files: &SegmentFiles,
    shape: Shape,
    replica: ReplicaId,
    number: u64,
    beacon: &[u8; 32],
    pace: &Pace,
    report: Report<'_>,
) -> Result<(), IdleError> {
    let challenge = CommitChallenge::draw(shape, replica, &files.commitment(number)?, beacon)?;
    let mut prover = CommitProver::new(&challenge);
    if files.has_layers(number) {
        for layer in 0..shape.layers() {
            let begun = Instant::now();
            let (crown, read) = files.layer(number, layer)?;
            prover.add(layer, &crown, read)?;
            report(u64::from(layer) + 1, u64::from(shape.layers()));
            pace.rest(begun)?;
        }
    } else {
        label(shape, replica, pace, report, |layer, labels, crown| prover.add(layer, crown, chunks_of(labels)))?;
    }
    files.put_proof(number, &codec::encode(&prover.finish()?))
}

/// Reads chunks of a layer in memory.
fn chunks_of(labels: &[Label]) -> impl FnMut(u32, &mut [Label]) -> Result<(), IdleError> {
    move |chunk, buffer| {
        let first = usize::try_from(chunk).unwrap_or(usize::MAX).saturating_mul(CHUNK_LABELS);
        let given = labels.get(first..first.saturating_add(CHUNK_LABELS));
        buffer.copy_from_slice(given.ok_or(PoisError::Damaged { chunk })?);
        Ok(())
    }
}
