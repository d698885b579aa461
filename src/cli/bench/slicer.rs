//! A long stream through slicing, erasure coding and hashing as a gateway does it, into nothing: speed, and the memory it takes.

use crate::{
    cli::output::Output,
    runtime::CpuPool,
    storage::{
        BufferPool,
        slicer::{ManifestBuilder, Slicer, encoded},
        upload::UPLOAD_BUFFERS,
    },
    types::ByteCount,
};
use anyhow::Context;
use clap::Args;
use futures::TryStreamExt;
use serde::Serialize;
use std::{
    io,
    pin::{Pin, pin},
    task::{Context as Poller, Poll},
    time::Instant,
};
use tokio::io::{AsyncRead, ReadBuf};

/// Noise that is made once and given again and again, each time with another beginning, so that making it costs next to nothing.
const NOISE_BYTES: usize = 1 << 20;

/// Arguments of `cess bench slicer`.
#[derive(Debug, Args)]
pub struct SlicerArgs {
    /// Bytes that go through
    #[arg(long, default_value = "10GiB")]
    size: ByteCount,
}

#[derive(Serialize)]
struct SlicerFigures {
    size: u64,
    segments: usize,
    file: String,
    seconds: f64,
    gb_s: f64,
    threads: usize,
    buffers_peak: usize,
    peak_rss_bytes: u64,
}

/// Measures and prints.
pub async fn run(args: SlicerArgs, output: &Output) -> anyhow::Result<()> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let (pool, buffers) = (CpuPool::new("cpu", threads), BufferPool::new(UPLOAD_BUFFERS));
    let bar = output.bytes_bar("slice", args.size.0);
    let started = Instant::now();
    let slicer = Slicer::new(Generated::new(args.size.0), buffers.clone(), 0, 0, Some(args.size.0));
    let mut segments = pin!(encoded(slicer, pool));
    let mut manifest = ManifestBuilder::default();
    while let Some(segment) = segments.try_next().await? {
        bar.inc(u64::from(segment.entry.len));
        manifest.push(segment.entry);
    }
    let manifest = manifest.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let figures = SlicerFigures {
        size: manifest.size,
        segments: manifest.segments.len(),
        file: manifest.id().to_string(),
        seconds,
        gb_s: manifest.size as f64 / 1e9 / seconds,
        threads,
        buffers_peak: buffers.peak(),
        peak_rss_bytes: peak_rss_bytes()?,
    };
    output.document(&figures, |f| {
        format!(
            "{} in {} segments sliced, encoded and hashed in {:.1} s on {} threads: {:.2} GB/s\npeak memory of the process {}, of \
             it {} buffers of 8 MiB",
            ByteCount(f.size),
            f.segments,
            f.seconds,
            f.threads,
            f.gb_s,
            ByteCount(f.peak_rss_bytes),
            f.buffers_peak
        )
    })
}

/// The most memory this process ever had resident, as Linux counts it.
fn peak_rss_bytes() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read `/proc/self/status`")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")).and_then(|digits| digits.trim().parse::<u64>().ok());
    Ok(kib.context("`/proc/self/status` has no VmHWM in kB")? * 1024)
}

/// A stream of so many bytes whose segments all differ.
struct Generated {
    noise: Vec<u8>,
    at: usize,
    round: u64,
    left: u64,
}

impl Generated {
    fn new(bytes: u64) -> Self {
        let mut noise = vec![0; NOISE_BYTES];
        crate::crypto::hash::stream("cess 2026 slicer bench", b"").fill(&mut noise);
        Self { noise, at: 0, round: 0, left: bytes }
    }
}

impl AsyncRead for Generated {
    fn poll_read(self: Pin<&mut Self>, _: &mut Poller<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.at == NOISE_BYTES {
            this.round += 1;
            this.noise[..8].copy_from_slice(&this.round.to_le_bytes());
            this.at = 0;
        }
        let most = usize::try_from(this.left).unwrap_or(usize::MAX);
        let n = out.remaining().min(NOISE_BYTES - this.at).min(most);
        out.put_slice(&this.noise[this.at..this.at + n]);
        this.at += n;
        this.left -= n as u64;
        Poll::Ready(Ok(()))
    }
}
