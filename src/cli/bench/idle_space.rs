//! Idle space on one core: making a segment, committing to it, proving the commitment and answering audits.
//!
//! Everything stays in memory, so that disks do not count. The labels are made twice, as by a miner that keeps no lower layer until its
//! challenge is known.

use crate::{
    cli::output::{Output, table},
    codec,
    proofs::pois::{
        AuditChallenge, CHUNK_LABELS, CommitChallenge, CommitProver, Commitment, Crown, Digest, Generator, Label,
        LayerBuffer, LiveSegment, PoisError, ReplicaId, Shape, Transcript, Workspace, chunk_root,
    },
    types::{Address, params::CHAIN_ID_LOCALNET},
};
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Labels made at a time: what a miner does between two looks at its other work.
const STEP_LABELS: u32 = 1 << 16;
/// Segments of the audited miner: enough that nearly every leaf asked for lies in another one.
const AUDITED_SEGMENTS: u64 = 4_096;
/// Bytes of a segment on the main network.
const GIB: f64 = (1u64 << 30) as f64;

/// Arguments of `cess bench idle-space`.
#[derive(Debug, Args)]
pub struct IdleSpaceArgs {
    /// Labels of a layer, as a power of two; 25 is the main network's segment of 1 GiB and needs 2 GiB of memory
    #[arg(long, default_value_t = 22, value_name = "N", value_parser = clap::value_parser!(u32).range(12..=25))]
    labels_log2: u32,
    /// Layers
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=8))]
    layers: u32,
    /// Times audits are answered and checked; the best counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Leave memory in small pages
    #[arg(long)]
    small_pages: bool,
}

#[derive(Serialize)]
struct IdleSpaceFigures {
    segment_bytes: u64,
    layers: u32,
    /// Bytes of finished segment, trees left out.
    generate_mb_s: f64,
    generate_ns_per_label: f64,
    trees_ns_per_label: f64,
    /// Labels and trees of 1 GiB at these speeds.
    gib_seconds: f64,
    commit_prove_ms: f64,
    commit_verify_ms: f64,
    commit_bytes: usize,
    audit_prove_us: f64,
    audit_verify_us: f64,
    audit_bytes: usize,
    audited_segments: usize,
}

/// Measures and prints.
pub fn run(args: &IdleSpaceArgs, output: &Output) -> anyhow::Result<()> {
    let shape = Shape::new(args.labels_log2, args.layers)?;
    output.note(&format!("making {} MiB in {} layers twice", shape.bytes() >> 20, shape.layers()));
    let figures = measure(shape, args)?;
    output.document(&figures, |f| {
        let row = |what: &str, value: String| vec![what.to_owned(), value];
        let rows = [
            row("labels", format!("{:.2} MB/s of segment, {:.0} ns a label", f.generate_mb_s, f.generate_ns_per_label)),
            row("trees", format!("{:.0} ns a label", f.trees_ns_per_label)),
            row("1 GiB at that speed", format!("{:.0} s", f.gib_seconds)),
            row("commitment, prove", format!("{:.0} ms, {} B", f.commit_prove_ms, f.commit_bytes)),
            row("commitment, verify", format!("{:.1} ms", f.commit_verify_ms)),
            row("audit, prove", format!("{:.0} µs, {} B", f.audit_prove_us, f.audit_bytes)),
            row("audit, verify", format!("{:.0} µs, {} segments", f.audit_verify_us, f.audited_segments)),
        ];
        table(&["one core", ""], &rows)
    })
}

/// A layer's memory.
fn buffer(shape: Shape, small_pages: bool) -> LayerBuffer {
    let mut buffer = LayerBuffer::new(shape);
    if !small_pages {
        ask_for_huge_pages(buffer.bytes_mut());
    }
    buffer
}

/// Parents lie all over a layer: with pages of 4 KiB most of them miss the translation caches as well.
fn ask_for_huge_pages(bytes: &mut [u8]) {
    #[cfg(target_os = "linux")]
    {
        let (start, len) = (bytes.as_mut_ptr().cast(), bytes.len());
        // SAFETY: the range is an exclusive borrow; the advice changes how it is mapped, never what it holds. A refusal, also that of a start
        // within a page, leaves everything as it is.
        let _refused = unsafe { libc::madvise(start, len, libc::MADV_HUGEPAGE) };
    }
    #[cfg(not(target_os = "linux"))]
    let _ = bytes;
}

/// A segment in the making and what it took.
struct Making<'a> {
    shape: Shape,
    workspace: Workspace<'a>,
    labels: Duration,
    trees: Duration,
}

impl Making<'_> {
    /// Makes all labels; `with` gets every layer when it is whole, with its crown.
    fn make(
        &mut self,
        replica: ReplicaId,
        mut with: impl FnMut(u32, &[Label], &Crown) -> Result<(), PoisError>,
    ) -> anyhow::Result<()> {
        let mut generator = Generator::new(self.shape, replica);
        while !generator.is_done() {
            let start = Instant::now();
            let whole = generator.step(&mut self.workspace, STEP_LABELS)?;
            self.labels += start.elapsed();
            let Some(layer) = whole else { continue };
            let start = Instant::now();
            let labels = self.workspace.layer(layer);
            let row = labels.chunks_exact(CHUNK_LABELS).map(chunk_root).collect::<Result<Vec<Digest>, _>>()?;
            let crown = Crown::from_row(self.shape, &row)?;
            self.trees += start.elapsed();
            with(layer, labels, &crown)?;
        }
        Ok(())
    }
}

/// Reads chunks of a layer in memory.
fn chunks(labels: &[Label]) -> impl FnMut(u32, &mut [Label]) -> Result<(), PoisError> {
    move |chunk, buffer| {
        let chunk = labels.chunks_exact(CHUNK_LABELS).nth(chunk as usize);
        buffer.copy_from_slice(chunk.expect("a challenge asks for leaves there are"));
        Ok(())
    }
}

fn measure(shape: Shape, args: &IdleSpaceArgs) -> anyhow::Result<IdleSpaceFigures> {
    let (mut even, mut odd) = (buffer(shape, args.small_pages), buffer(shape, args.small_pages));
    let workspace = Workspace::new(shape, even.labels_mut(), odd.labels_mut())?;
    let mut making = Making { shape, workspace, labels: Duration::ZERO, trees: Duration::ZERO };
    let replica = ReplicaId::new(CHAIN_ID_LOCALNET, &Address::repeat_byte(1), 0, &[2; 32]);

    let mut layer_roots = Vec::new();
    making.make(replica, |_, _, crown| {
        layer_roots.push(crown.root());
        Ok(())
    })?;
    let challenge = CommitChallenge::draw(shape, replica, &Commitment { layer_roots }, &[3; 32])?;

    let (mut prover, mut proving, mut last_row) = (CommitProver::new(&challenge), Duration::ZERO, Vec::new());
    making.make(replica, |layer, labels, crown| {
        let start = Instant::now();
        prover.add(layer, crown, chunks(labels))?;
        proving += start.elapsed();
        last_row = crown.row().to_vec();
        Ok(())
    })?;
    let proof = prover.finish()?;
    let start = Instant::now();
    challenge.verify(&proof)?;
    let verifying = start.elapsed();

    let audit = audit(shape, making.workspace.layer(shape.layers() - 1), &last_row, args.rounds)?;
    let (count, segment_bytes) = (2.0 * f64::from(shape.labels()) * f64::from(shape.layers()), shape.bytes());
    Ok(IdleSpaceFigures {
        segment_bytes,
        layers: shape.layers(),
        generate_mb_s: 2.0 * segment_bytes as f64 / 1e6 / making.labels.as_secs_f64(),
        generate_ns_per_label: making.labels.as_secs_f64() * 1e9 / count,
        trees_ns_per_label: making.trees.as_secs_f64() * 1e9 / count,
        gib_seconds: (making.labels + making.trees).as_secs_f64() / 2.0 * GIB / segment_bytes as f64,
        commit_prove_ms: proving.as_secs_f64() * 1e3,
        commit_verify_ms: verifying.as_secs_f64() * 1e3,
        commit_bytes: codec::encode(&proof).len(),
        audit_prove_us: audit.prove.as_secs_f64() * 1e6,
        audit_verify_us: audit.verify.as_secs_f64() * 1e6,
        audit_bytes: audit.bytes,
        audited_segments: audit.segments,
    })
}

struct AuditTimes {
    prove: Duration,
    verify: Duration,
    bytes: usize,
    segments: usize,
}

/// Audits of a miner whose segments are all the same one, which costs what different ones in memory cost. Crowns are rebuilt from
/// their rows each time.
fn audit(shape: Shape, labels: &[Label], row: &[Digest], rounds: u32) -> anyhow::Result<AuditTimes> {
    let root = Crown::from_row(shape, row)?.root();
    let segments: Vec<_> = (0..AUDITED_SEGMENTS).map(|number| LiveSegment { number, root, live_from: 0 }).collect();
    let transcript = |round| Transcript { beacon: [4; 32], chain: CHAIN_ID_LOCALNET, miner: Address::ZERO, round };
    let mut best: Option<AuditTimes> = None;
    for round in 0..u64::from(rounds) {
        let challenge = AuditChallenge::draw(shape, &transcript(round), &segments)?;
        let start = Instant::now();
        let proof = challenge.prove(|_, leaves| Crown::from_row(shape, row)?.open(leaves, chunks(labels)))?;
        let prove = start.elapsed();
        let start = Instant::now();
        challenge.verify(&proof)?;
        let verify = start.elapsed();
        let (bytes, segments) = (codec::encode(&proof).len(), challenge.asked().len());
        best = Some(match best {
            Some(best) => AuditTimes { prove: best.prove.min(prove), verify: best.verify.min(verify), bytes, segments },
            None => AuditTimes { prove, verify, bytes, segments },
        });
    }
    best.context("no round was asked for")
}
