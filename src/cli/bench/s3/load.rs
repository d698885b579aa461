//! Requests, many at a time, and how long each took.
//!
//! Invariant: an object's bytes follow from its number, so that what comes back is compared without keeping what was sent.

use super::{LISTED_CONCURRENCY, Op, REMOVE_MAX};
use crate::{
    cli::bench::idle::Spent,
    client::s3::{Body, S3Client, S3Error},
    runtime::NodeRng,
    types::ByteCount,
};
use anyhow::{Context, ensure};
use bytes::Bytes;
use futures::{StreamExt, future::join_all};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How far apart contents begin at most; the next number begins elsewhere.
const OFFSETS: u64 = 1 << 16;
/// Odd, so that every offset comes up before one comes up again.
const OFFSET_STEP: u64 = 4_099;
/// Failures in a row after which a worker pauses.
const FAILURE_PAUSE: Duration = Duration::from_millis(20);

/// Random bytes that all contents are parts of.
pub struct Source(Bytes);

impl Source {
    /// For objects of up to `largest`.
    pub fn new(largest: ByteCount, rng: &NodeRng) -> Self {
        let len = usize::try_from(largest.0 + OFFSETS).expect("the size is bounded");
        let mut bytes = vec![0u8; len];
        rng.fill(&mut bytes);
        Self(bytes.into())
    }

    /// Content of an object.
    fn content(&self, number: u64, size: u64) -> Bytes {
        let index = |n: u64| usize::try_from(n).expect("the size is bounded");
        let start = index(number.wrapping_mul(OFFSET_STEP) % OFFSETS);
        self.0.slice(start..start + index(size))
    }
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Tally {
    /// How long each request took that succeeded.
    pub latencies: Vec<Duration>,
    /// Bytes of bodies, in or out.
    pub bytes: u64,
    /// Requests that failed.
    pub errors: u64,
    /// Words of the first that did.
    pub first_error: Option<String>,
    /// Gets whose content was compared.
    pub verified: u64,
    /// Objects whose numbers were given out, from 0 on.
    pub stored: u64,
    /// From the first request to the last answer.
    pub took: Duration,
    /// Processor seconds of this process.
    pub client_cpu: f64,
    /// Processor seconds of the server, if its processes are known.
    pub server_cpu: Option<f64>,
}

/// What is asked of a server.
pub struct Load<'a> {
    /// The server.
    pub client: &'a S3Client,
    /// Where objects lie.
    pub bucket: &'a str,
    /// Their contents.
    pub source: Source,
    /// How long one kind of request is measured.
    pub span: Duration,
    /// Bytes that the puts of one size store at most.
    pub most: u64,
    /// Which gets are compared.
    pub verify_every: u64,
    /// Processes of the server.
    pub pids: &'a [u32],
}

impl Load<'_> {
    /// Stores objects until time or room is over, or `count` of them.
    pub async fn put(&self, prefix: &str, size: u64, concurrency: usize, count: u64) -> anyhow::Result<Tally> {
        let room = (self.most / size.max(1)).max(1);
        let (count, span) = if count == u64::MAX { (room, self.span) } else { (count, Duration::MAX) };
        let put = async |number: u64| -> Result<Done, Failure> {
            let body = Body::Bytes(self.source.content(number, size));
            self.client.put(self.bucket, &key(prefix, number), body).await?;
            Ok(Done { bytes: size, verified: false })
        };
        self.measured(concurrency, count, span, put).await
    }

    /// Asks for the objects numbered below `stored`: in turn and again, or, to delete them, once.
    pub async fn ask(&self, op: Op, prefix: &str, size: u64, concurrency: usize, stored: u64) -> anyhow::Result<Tally> {
        ensure!(stored > 0, "no object of {} is there to ask for", ByteCount(size));
        let ask = async |turn: u64| -> Result<Done, Failure> {
            let number = turn % stored;
            let key = key(prefix, number);
            match op {
                Op::Get => return self.get(&key, number, size, turn.is_multiple_of(self.verify_every)).await,
                Op::Delete => self.client.delete(self.bucket, &key, None).await?,
                Op::Put | Op::Head | Op::List => drop(self.client.head(self.bucket, &key).await?),
            }
            Ok(Done::default())
        };
        let count = if op == Op::Delete { stored } else { u64::MAX };
        self.measured(concurrency, count, self.span, ask).await
    }

    async fn get(&self, key: &str, number: u64, size: u64, is_compared: bool) -> Result<Done, Failure> {
        let mut stream = Box::pin(self.client.get(self.bucket, key, None, None).await?);
        let content = self.source.content(number, size);
        let mut at = 0;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk?;
            let expected = content.get(at..at + chunk.len());
            if expected.is_none_or(|expected| is_compared && *expected != chunk[..]) {
                return Err(Failure::Wrong(format!("`{key}` came back with other bytes from byte {at} on")));
            }
            at += chunk.len();
        }
        match at == content.len() {
            true => Ok(Done { bytes: size, verified: is_compared }),
            false => Err(Failure::Wrong(format!("`{key}` came back with {at} of {size} B"))),
        }
    }

    /// Lists everything below a prefix, again and again.
    pub async fn list(&self, prefix: &str, expected: u64) -> anyhow::Result<Tally> {
        let list = async |_: u64| -> Result<Done, Failure> {
            let (mut token, mut listed) = (None, 0);
            loop {
                let page = self.client.list(self.bucket, prefix, "", token.as_deref()).await?;
                listed += page.objects.len() as u64;
                token = page.next;
                if token.is_none() {
                    break;
                }
            }
            match listed == expected {
                true => Ok(Done::default()),
                false => Err(Failure::Wrong(format!("{listed} of {expected} objects were listed"))),
            }
        };
        self.measured(1, u64::MAX, self.span, list).await
    }

    /// Removes everything below a prefix.
    pub async fn remove(&self, prefix: &str) -> anyhow::Result<()> {
        loop {
            let page = self.client.list(self.bucket, prefix, "", None).await?;
            if page.objects.is_empty() {
                return Ok(());
            }
            let keys: Vec<_> = page.objects.into_iter().map(|object| (object.key, None)).collect();
            let batches = keys.chunks(REMOVE_MAX.min(keys.len().div_ceil(LISTED_CONCURRENCY)).max(1));
            let removed = join_all(batches.map(|batch| self.client.delete_many(self.bucket, batch))).await;
            removed.into_iter().collect::<Result<(), _>>().context("the bench's objects were not removed")?;
        }
    }

    async fn measured(
        &self,
        concurrency: usize,
        count: u64,
        span: Duration,
        request: impl AsyncFn(u64) -> Result<Done, Failure>,
    ) -> anyhow::Result<Tally> {
        let next = AtomicU64::new(0);
        let spent = || Spent::of(self.pids.iter().copied());
        let (server, client, began) = (spent()?, Spent::read()?, Instant::now());
        let workers = (0..concurrency).map(|_| worker(&next, count, span, began, &request));
        let tallies = join_all(workers).await;
        let took = began.elapsed();
        let mut sum = Tally { took, stored: next.into_inner().min(count), ..Tally::default() };
        for tally in tallies {
            let tally = tally?;
            sum.latencies.extend(tally.latencies);
            sum.bytes += tally.bytes;
            sum.errors += tally.errors;
            sum.verified += tally.verified;
            sum.first_error = sum.first_error.or(tally.first_error);
        }
        sum.client_cpu = Spent::read()?.seconds() - client.seconds();
        sum.server_cpu = match self.pids {
            [] => None,
            _ => Some(spent()?.seconds() - server.seconds()),
        };
        Ok(sum)
    }
}

fn key(prefix: &str, number: u64) -> String {
    format!("{prefix}/{number:08}")
}

/// A request that succeeded.
#[derive(Default)]
struct Done {
    bytes: u64,
    verified: bool,
}

/// One that did not.
enum Failure {
    /// The server's or the connection's error, which is counted.
    Refused(S3Error),
    /// An answer that is wrong, which ends the bench.
    Wrong(String),
}

impl From<S3Error> for Failure {
    fn from(error: S3Error) -> Self {
        Self::Refused(error)
    }
}

async fn worker(
    next: &AtomicU64,
    count: u64,
    span: Duration,
    began: Instant,
    request: &impl AsyncFn(u64) -> Result<Done, Failure>,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    while began.elapsed() < span {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            break;
        }
        let sent = Instant::now();
        match request(number).await {
            Ok(done) => {
                tally.latencies.push(sent.elapsed());
                tally.bytes += done.bytes;
                tally.verified += u64::from(done.verified);
            }
            Err(Failure::Refused(error)) => {
                tally.errors += 1;
                tally.first_error.get_or_insert_with(|| error.to_string());
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
            Err(Failure::Wrong(words)) => anyhow::bail!(words),
        }
    }
    Ok(tally)
}
