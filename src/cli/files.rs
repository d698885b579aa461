//! `put`, `get`, `ls`, `rm`.

use super::{
    Global, Usage, chunks,
    output::{Output, short, table},
    space,
    target::Target,
};
use crate::{
    client::{
        ChainClient, FileRecord, TxOutcome, Wallet,
        gateway::{GatewayClient, GatewayError, StoreCall, StoredFile, UploadRequest, UploadState},
        store_in,
    },
    crypto::hash,
    ledger::abi::{FILES, IFiles},
    types::{Address, ByteCount, FileId, U256, format_tokens},
};
use alloy_sol_types::SolCall;
use anyhow::{Context, anyhow, bail};
use clap::Args;
use futures::StreamExt;
use indicatif::ProgressBar;
use std::{
    fs::File,
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long a put or get keeps trying while the gateway is away.
const GATEWAY_PATIENCE: Duration = Duration::from_secs(60);
/// Pause between tries.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// How long a transaction may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);
/// Files listed by one `ls`.
const LIST_MAX: u64 = 10_000;
/// Files asked for at a time.
const LIST_PAGE: u64 = 500;

/// Arguments of `cess put`.
#[derive(Debug, Args)]
pub struct PutArgs {
    /// File to store
    path: PathBuf,
    /// Territory to charge. Default: of the account's active ones with room, the one that lasts longest
    #[arg(long, value_name = "NAME")]
    territory: Option<String>,
}

/// Arguments of `cess get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// File id
    id: String,
    /// Where to write it; `-` is stdout
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    /// Only these bytes, `START-END`, both included
    #[arg(long, value_name = "START-END")]
    range: Option<String>,
}

/// Arguments of `cess ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Whose files. Default: the account that signs
    #[arg(long, value_name = "ADDRESS")]
    owner: Option<Address>,
}

/// Arguments of `cess rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// File id
    id: String,
}

impl PutArgs {
    /// Puts the file at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path, territory: None }
    }
}

impl GetArgs {
    /// Gets the whole of a file.
    pub fn new(id: FileId, output: PathBuf) -> Self {
        Self { id: id.to_string(), output, range: None }
    }
}

/// Stores a file and makes the signing account its owner.
pub async fn put(args: &PutArgs, global: &Global, output: &Output) -> anyhow::Result<StoredFile> {
    let path = &args.path;
    let meta = tokio::fs::metadata(path).await.with_context(|| format!("cannot read `{}`", path.display()))?;
    if !meta.is_file() {
        bail!("`{}` is not a regular file", path.display());
    }
    if meta.len() == 0 {
        bail!("`{}` is empty; a stored file has at least 1 B", path.display());
    }
    // Opened before anything is asked of the network, so that an unreadable file fails at once.
    File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;

    let target = Target::find(global)?;
    let gateway = target.gateway().await?;
    let wallet = target.wallet(global).await?;
    let charged = args.territory.as_deref();
    let territory = space::with_room(target.chain.as_ref(), wallet.address(), charged, meta.len()).await?;
    let request = UploadRequest { size: meta.len(), idempotency_key: Some(resume_key(path, &meta, wallet.address())) };
    let started = Instant::now();
    let bar = output.bytes_bar("storing", meta.len());
    let upload = disperse(&gateway, path, &request, &bar).await?;
    let mut call = patiently(|| gateway.prepare(&upload.upload)).await?;
    bar.finish_and_clear();
    if charged.is_some() {
        call.data = store_in(territory.token, &call.data)?;
    }

    let outcome = activate(&target, &wallet, &call).await?;
    let stored =
        StoredFile { id: call.id, size: meta.len(), segments: call.segments, tx: outcome.tx, block: outcome.height };
    let took = started.elapsed();
    output.document(&stored, |stored| describe_put(stored, &call, &outcome, took))?;
    Ok(stored)
}

/// Sends the file from wherever the gateway stands, again and again until all of it is dispersed.
async fn disperse(
    gateway: &GatewayClient,
    path: &Path,
    request: &UploadRequest,
    bar: &ProgressBar,
) -> anyhow::Result<UploadState> {
    let mut state = patiently(|| gateway.begin(request)).await?;
    let mut last_progress = Instant::now();
    while state.offset < state.size {
        bar.set_position(state.offset);
        let mut file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
        file.seek(SeekFrom::Start(state.offset))?;
        let counted = bar.clone();
        let body = chunks::read(file, state.size - state.offset)
            .inspect(move |chunk| counted.inc(chunk.as_ref().map_or(0, |c| c.len() as u64)));
        let before = state.offset;
        match gateway.send(&state.upload, state.offset, body).await {
            Ok(next) => state = next,
            Err(error) if error.is_transient() && last_progress.elapsed() < GATEWAY_PATIENCE => {
                tokio::time::sleep(RETRY_PAUSE).await;
                // A gateway that lost the session starts it again under the same key.
                state = patiently(|| gateway.begin(request)).await?;
            }
            Err(error) => return Err(error).with_context(|| format!("storing `{}` failed", path.display())),
        }
        if state.offset > before {
            last_progress = Instant::now();
        }
    }
    Ok(state)
}

/// Signs and sends the store call; a file this account owns already is not an error.
async fn activate(target: &Target, wallet: &Wallet, call: &StoreCall) -> anyhow::Result<TxOutcome> {
    if let Some(record) = target.chain.file(call.id).await?
        && record.owners.contains(&wallet.address())
        && let Some(tx) = stored_by(target.chain.as_ref(), &record).await?
    {
        return Ok(tx);
    }
    let outcome = wallet
        .send_and_wait(call.to, U256::ZERO, call.data.clone(), FINAL_DEADLINE)
        .await
        .with_context(|| format!("file {} is dispersed but not active", call.id))?;
    Ok(outcome)
}

async fn stored_by(chain: &dyn ChainClient, record: &FileRecord) -> anyhow::Result<Option<TxOutcome>> {
    for batch in chain.events(record.stored_at, record.stored_at).await? {
        for (tx, event) in batch.events {
            if matches!(event, crate::client::ChainEvent::FileStored { id, .. } if id == record.id) {
                return Ok(chain.outcome(tx).await?);
            }
        }
    }
    Ok(None)
}

fn describe_put(stored: &StoredFile, call: &StoreCall, outcome: &TxOutcome, took: Duration) -> String {
    let cost = U256::from(outcome.gas_used) * outcome.gas_price;
    let rate = ByteCount((stored.size as u128 * 1_000 / took.as_millis().max(1)) as u64);
    let holders: Vec<String> = call.holders.iter().map(|h| short(&h.to_string())).collect();
    format!(
        "stored   {}\nsize     {} in {} segment(s), {} fragments\ncost     {} CESS ({} gas)\nholders  {}\nblock    {} \
         (transaction {})\ntook     {:.2} s, {rate}/s\n\nget it back with:\n  cess get {} -o FILE",
        stored.id,
        ByteCount(stored.size),
        stored.segments,
        stored.segments as usize * call.holders.len(),
        format_tokens(cost),
        outcome.gas_used,
        holders.join(" "),
        stored.block,
        short(&stored.tx.to_string()),
        took.as_secs_f64(),
        stored.id,
    )
}

/// Fetches a file. It appears under its name only when it is complete.
pub async fn get(args: &GetArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let id = file_id(&args.id)?;
    let target = Target::find(global)?;
    let gateway = target.gateway().await?;
    let record = target.chain.file(id).await?.ok_or_else(|| anyhow!("file {id} is not known to this network"))?;
    let range = match &args.range {
        Some(text) => parse_range(text, record.size)?,
        None => 0..record.size,
    };
    let total = range.end - range.start;
    let started = Instant::now();
    let bar = output.bytes_bar("fetching", total);
    if args.output.as_os_str() == "-" {
        receive(&gateway, id, range, chunks::Writer::new(std::io::stdout()), &bar).await?;
        bar.finish_and_clear();
        return Ok(());
    }
    let part = part_path(&args.output);
    let file = File::create(&part).with_context(|| format!("cannot write `{}`", part.display()))?;
    if let Err(error) = receive(&gateway, id, range, chunks::Writer::new(file), &bar).await {
        // Best effort: the error that matters is the one above.
        let _ = std::fs::remove_file(&part);
        return Err(error);
    }
    // Not synced, as with any other download: the network still has the file.
    std::fs::rename(&part, &args.output).with_context(|| format!("cannot write `{}`", args.output.display()))?;
    bar.finish_and_clear();
    let took = started.elapsed();
    let document =
        serde_json::json!({ "id": id, "size": total, "path": args.output, "millis": took.as_millis() as u64 });
    output.document(&document, |_| {
        let rate = ByteCount((total as u128 * 1_000 / took.as_millis().max(1)) as u64);
        format!("fetched {} into {} in {:.2} s, {rate}/s", ByteCount(total), args.output.display(), took.as_secs_f64())
    })
}

/// Streams a range into `sink`, continuing where a broken answer stopped.
async fn receive(
    gateway: &GatewayClient,
    id: FileId,
    range: std::ops::Range<u64>,
    mut sink: chunks::Writer,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    let mut at = range.start;
    let mut last_progress = Instant::now();
    while at < range.end {
        let before = at;
        let broken = match gateway.get(id, Some(at..range.end)).await {
            Err(error) => Some(error),
            Ok(mut stream) => loop {
                match stream.next().await {
                    None => break None,
                    Some(Err(error)) => break Some(error),
                    Some(Ok(chunk)) => {
                        at += chunk.len() as u64;
                        sink.write(chunk).await.context("cannot write the output")?;
                        bar.set_position(at - range.start);
                    }
                }
            },
        };
        if at > before {
            last_progress = Instant::now();
        }
        match broken {
            Some(error) if !error.is_transient() || last_progress.elapsed() > GATEWAY_PATIENCE => {
                return Err(error).with_context(|| format!("fetching {id} failed at byte {at}"));
            }
            None if at < range.end && last_progress.elapsed() > GATEWAY_PATIENCE => {
                bail!("fetching {id} stopped at byte {at} of {}", range.end);
            }
            _ if at < range.end => tokio::time::sleep(RETRY_PAUSE).await,
            _ => {}
        }
    }
    sink.finish().await.context("cannot write the output")
}

/// Lists an account's files.
pub async fn ls(args: LsArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let owner = match args.owner {
        Some(owner) => owner,
        None => target.wallet(global).await?.address(),
    };
    let mut files: Vec<FileRecord> = Vec::new();
    while (files.len() as u64) < LIST_MAX {
        let page = target.chain.files_of(owner, files.len() as u64, LIST_PAGE).await?;
        let last = (page.len() as u64) < LIST_PAGE;
        files.extend(page);
        if last {
            break;
        }
    }
    output.document(&files, |files| {
        if files.is_empty() {
            return format!("{owner} owns no files");
        }
        let row = |f: &FileRecord| vec![f.id.to_string(), ByteCount(f.size).to_string(), f.stored_at.to_string()];
        table(&["id", "size", "block"], &files.iter().map(row).collect::<Vec<_>>())
    })
}

/// Gives ownership up.
pub async fn rm(args: RmArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let id = file_id(&args.id)?;
    let target = Target::find(global)?;
    let wallet = target.wallet(global).await?;
    let data = IFiles::removeCall { id: id.into() }.abi_encode();
    let outcome = wallet.send_and_wait(FILES, U256::ZERO, data.into(), FINAL_DEADLINE).await?;
    let deleted = target.chain.file(id).await?.is_none();
    let document = serde_json::json!({ "id": id, "deleted": deleted, "tx": outcome.tx, "block": outcome.height });
    output.document(&document, |_| {
        let what = if deleted { "deleted" } else { "still owned by others, your ownership is gone" };
        format!("{id} {what} (block {})", outcome.height)
    })
}

async fn patiently<T, F>(mut request: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, GatewayError>>,
{
    let started = Instant::now();
    loop {
        match request().await {
            Ok(value) => return Ok(value),
            Err(error) if error.is_transient() && started.elapsed() < GATEWAY_PATIENCE => {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The same file put again by the same account continues the same upload.
fn resume_key(path: &Path, meta: &std::fs::Metadata, owner: Address) -> String {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let modified = meta
        .modified()
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos());
    let digest = hash::tagged(
        "cess 2026 upload resume key v1",
        &[
            absolute.as_os_str().as_encoded_bytes(),
            &meta.len().to_le_bytes(),
            &modified.to_le_bytes(),
            owner.as_slice(),
        ],
    );
    hex::encode(digest)
}

/// Reads a file's id.
pub fn file_id(text: &str) -> anyhow::Result<FileId> {
    text.parse().map_err(|e: crate::types::IdError| Usage(e.to_string()).into())
}

fn parse_range(text: &str, size: u64) -> anyhow::Result<std::ops::Range<u64>> {
    let bad = || Usage(format!("range `{text}` is not START-END within the file's {size} B"));
    let (start, end) = text.split_once('-').ok_or_else(bad)?;
    let start: u64 = start.parse().map_err(|_| bad())?;
    let last: u64 = if end.is_empty() { size.saturating_sub(1) } else { end.parse().map_err(|_| bad())? };
    if start > last || last >= size {
        return Err(bad().into());
    }
    Ok(start..last + 1)
}

fn part_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".cess-part");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_inclusive_and_bounded() {
        assert_eq!(parse_range("0-9", 10).unwrap(), 0..10);
        assert_eq!(parse_range("5-", 10).unwrap(), 5..10);
        for bad in ["", "5", "9-3", "0-10", "a-b"] {
            assert!(parse_range(bad, 10).is_err(), "{bad}");
        }
    }
}
