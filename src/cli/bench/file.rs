//! `put` and `get` of a random file, beside a plain write of the bytes that a put really stores (three times the file).

use super::machine::{random_file, write_and_sync};
use crate::{
    cli::{
        Global,
        files::{GetArgs, PutArgs, get, put},
        output::{Output, short},
    },
    runtime::NodeRng,
    types::ByteCount,
};
use anyhow::{Context, ensure};
use clap::Args;
use serde::Serialize;
use std::{path::PathBuf, time::Instant};

/// Arguments of `cess bench file`.
#[derive(Debug, Args)]
pub struct FileArgs {
    /// Size of the file
    #[arg(long, default_value = "1GiB")]
    size: ByteCount,
    /// Directory for the file; on the disk the miners use, for the comparison to mean something
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

#[derive(Serialize)]
struct FileFigures {
    id: String,
    size: u64,
    plain_write_mb_s: f64,
    put_mb_s: f64,
    get_mb_s: f64,
    put_to_plain_write: f64,
}

/// Measures and prints.
pub async fn run(args: FileArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let dir = args.dir.unwrap_or_else(std::env::temp_dir).join(format!("cess-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    let figures = measure(&dir, args.size.0, global).await;
    std::fs::remove_dir_all(&dir)?;
    output.document(&figures?, |f| {
        format!(
            "{} of random data as {}\nput          {:>8.1} MB/s of user data\nget          {:>8.1} MB/s\nplain write  {:>8.1} MB/s (3x the \
             file, one fsync)\nput against a plain write of the bytes it stores: {:.2}",
            ByteCount(f.size),
            short(&f.id),
            f.put_mb_s,
            f.get_mb_s,
            f.plain_write_mb_s,
            f.put_to_plain_write
        )
    })
}

async fn measure(dir: &std::path::Path, size: u64, global: &Global) -> anyhow::Result<FileFigures> {
    let mut seed = [0u8; 8];
    NodeRng::from_os().fill(&mut seed);
    let seed = u64::from_le_bytes(seed);
    let (source, back) = (dir.join("source"), dir.join("back"));
    random_file(&source, size, seed)?;
    let plain = write_and_sync(dir, size * 3, seed)?;

    let started = Instant::now();
    let stored = put(&PutArgs::new(source.clone()), global, &Output::silent()).await?;
    let put_took = started.elapsed();
    let started = Instant::now();
    get(&GetArgs::new(stored.id, back.clone()), global, &Output::silent()).await?;
    let get_took = started.elapsed();
    ensure!(same_bytes(&source, &back)?, "the file that came back differs from the one stored");

    let rate = |bytes: u64, took: std::time::Duration| bytes as f64 / 1e6 / took.as_secs_f64();
    Ok(FileFigures {
        id: stored.id.to_string(),
        size,
        plain_write_mb_s: rate(size * 3, plain),
        put_mb_s: rate(size, put_took),
        get_mb_s: rate(size, get_took),
        put_to_plain_write: rate(size * 3, put_took) / rate(size * 3, plain),
    })
}

fn same_bytes(a: &std::path::Path, b: &std::path::Path) -> anyhow::Result<bool> {
    let digest = |path: &std::path::Path| -> anyhow::Result<blake3::Hash> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(std::fs::File::open(path)?)?;
        Ok(hasher.finalize())
    };
    Ok(digest(a)? == digest(b)?)
}
