//! `bench s3`: what an S3 server does in a second, ours or another one, so that peers are measured in the same run.
//!
//! Must not know whose server it is. Invariants: a bucket that was not made by the bench is not removed; of the gets a sample is
//! compared with what was put, and one wrong byte fails the bench.

mod figures;
mod load;

use crate::{
    cli::{Usage, bench::sample::secs_arg, output::Output},
    client::s3::{AccessKey, Payload, REGION, S3Client},
    runtime::NodeRng,
    types::ByteCount,
};
use anyhow::Context;
use clap::{Args, ValueEnum, builder::RangedU64ValueParser};
use figures::{Figures, Row, describe};
use load::{Load, Source, Tally};
use serde::Serialize;
use std::time::Duration;

/// Largest object: it is held in memory.
const SIZE_MAX: ByteCount = ByteCount::mib(1024);
/// Objects removed by one request.
const REMOVE_MAX: usize = 1_000;
/// Length of the objects that are listed.
const LISTED_BYTES: ByteCount = ByteCount(16);
/// Requests at a time that make the objects to list.
const LISTED_CONCURRENCY: usize = 16;

/// Arguments of `cess bench s3`.
#[derive(Debug, Args)]
pub struct S3Args {
    /// Server to measure, such as http://127.0.0.1:8581
    #[arg(long, value_name = "URL", env = "CESS_S3_ENDPOINT")]
    endpoint: String,
    /// Id of the key to sign with
    #[arg(long, value_name = "ID", env = "CESS_S3_ACCESS_KEY")]
    access_key: String,
    /// Secret of the key
    #[arg(long, value_name = "SECRET", env = "CESS_S3_SECRET_KEY", hide_env_values = true)]
    secret_key: String,
    /// Region to sign for
    #[arg(long, default_value = REGION)]
    region: String,
    /// Bucket to work in, which has to exist [default: a new one, removed afterwards]
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,
    /// Lengths of objects
    #[arg(long, default_value = "1KiB,1MiB,64MiB", value_delimiter = ',', value_name = "SIZE")]
    sizes: Vec<ByteCount>,
    /// Requests at a time; every size is measured with each
    #[arg(long, default_value = "16", value_delimiter = ',', value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..=1_024))]
    concurrency: Vec<usize>,
    /// How long each kind of request is measured
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = secs_arg())]
    seconds: u32,
    /// Bytes the puts of one size store at most
    #[arg(long, default_value = "2GiB", value_name = "SIZE")]
    most: ByteCount,
    /// Objects in the listing
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    list_keys: u64,
    /// What is measured
    #[arg(long, default_value = "put,get,head,delete,list", value_delimiter = ',', value_name = "OP")]
    ops: Vec<Op>,
    /// Sign bodies, too; without, the client costs less beside the server
    #[arg(long)]
    signed: bool,
    /// Compare every n-th get with what was put
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    verify_every: u64,
    /// Processes of the server, whose processor time is counted. May be given again
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Op {
    /// Store an object.
    Put,
    /// Fetch it.
    Get,
    /// Ask for it.
    Head,
    /// Remove it.
    Delete,
    /// List all objects.
    List,
}

/// Measures and prints.
pub async fn run(args: S3Args, output: &Output) -> anyhow::Result<()> {
    let figures = measure(&args, output).await?;
    output.document(&figures, describe)
}

async fn measure(args: &S3Args, output: &Output) -> anyhow::Result<Figures> {
    if let Some(size) = args.sizes.iter().find(|size| **size > SIZE_MAX) {
        return Err(Usage(format!("objects of {size} are over the limit of {SIZE_MAX}")).into());
    }
    let payload = if args.signed { Payload::Signed } else { Payload::Unsigned };
    let key = AccessKey::new(&args.access_key, &args.secret_key);
    let client = S3Client::new(&args.endpoint, key, &args.region, payload)?;
    let rng = NodeRng::from_os();
    let bucket = match &args.bucket {
        Some(bucket) => bucket.clone(),
        None => {
            let bucket = format!("cess-bench-{:08x}", rng.below(1 << 32));
            client.create_bucket(&bucket).await.context("no bucket to work in")?;
            bucket
        }
    };
    let largest = args.sizes.iter().copied().max().unwrap_or(LISTED_BYTES).max(LISTED_BYTES);
    let load = Load {
        client: &client,
        bucket: &bucket,
        source: Source::new(largest, &rng),
        span: Duration::from_secs(args.seconds.into()),
        most: args.most.0,
        verify_every: args.verify_every,
        pids: &args.pid,
    };
    let rows = rows(args, &load, output).await;
    if args.bucket.is_none() {
        // Also after a failure, whose cause is the better error.
        let removed = client.delete_bucket(&bucket).await;
        if rows.is_ok() {
            removed.context("the bench's bucket was not removed")?;
        }
    }
    Ok(Figures { endpoint: args.endpoint.clone(), signed: args.signed, rows: rows? })
}

async fn rows(args: &S3Args, load: &Load<'_>, output: &Output) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let wants = |op| args.ops.contains(&op);
    if args.ops.iter().any(|op| *op != Op::List) {
        for size in &args.sizes {
            for concurrency in &args.concurrency {
                output.note(&format!("measuring objects of {size}, {concurrency} at a time"));
                let prefix = format!("o/{}/{concurrency}", size.0);
                // Without puts there is nothing to ask for: they are made, and shown, whatever is asked.
                let put = load.put(&prefix, size.0, *concurrency, u64::MAX).await?;
                let stored = put.stored;
                rows.push(Row::of(Op::Put, size.0, *concurrency, put));
                for op in [Op::Get, Op::Head, Op::Delete].into_iter().filter(|op| wants(*op)) {
                    let tally = load.ask(op, &prefix, size.0, *concurrency, stored).await?;
                    rows.push(Row::of(op, size.0, *concurrency, tally));
                }
                load.remove(&prefix).await?;
            }
        }
    }
    if wants(Op::List) {
        output.note(&format!("measuring the listing of {} objects", args.list_keys));
        let made = load.put("l", LISTED_BYTES.0, LISTED_CONCURRENCY, args.list_keys).await?;
        anyhow::ensure!(made.errors == 0, "objects to list were not stored: {}", made.first_error.unwrap_or_default());
        let tally: Tally = load.list("l", made.stored).await?;
        rows.push(Row::of(Op::List, made.stored, 1, tally));
        load.remove("l").await?;
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
