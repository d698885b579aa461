//! `put`, `get`, `ls`, `rm` of files; those of objects go to `s3`.

use super::{
    Global, Usage, chunks,
    download::{Download, PATIENCE, RETRY_PAUSE, describe, parse_range},
    output::{Output, short, table},
    s3::{Location, S3Options, objects},
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
    /// Place in a bucket, such as cess://bucket/key; without it the file is one of its own, found by its id
    #[arg(value_name = "cess://BUCKET/KEY")]
    to: Option<String>,
    /// Territory to charge. Default: of the account's active ones with room, the one that lasts longest
    #[arg(long, value_name = "NAME", conflicts_with = "to")]
    territory: Option<String>,
    #[command(flatten)]
    door: S3Options,
}

/// Arguments of `cess get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// File id, or an object's place such as cess://bucket/key
    id: String,
    /// Where to write it; `-` is stdout
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    /// Only these bytes, `START-END`, both included
    #[arg(long, value_name = "START-END")]
    range: Option<String>,
    /// Fetch a file from its miners, whatever the gateway keeps of it in memory
    #[arg(long)]
    no_cache: bool,
    #[command(flatten)]
    door: S3Options,
}

/// Arguments of `cess ls`.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Place in a bucket, such as cess://bucket/prefix; without it the account's files are listed
    #[arg(value_name = "cess://BUCKET/PREFIX")]
    at: Option<String>,
    /// Whose files. Default: the account that signs
    #[arg(long, value_name = "ADDRESS", conflicts_with = "at")]
    owner: Option<Address>,
    /// All objects of the bucket below the prefix, not one level of them
    #[arg(short, long, requires = "at")]
    recursive: bool,
    #[command(flatten)]
    door: S3Options,
}

/// Arguments of `cess rm`.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// File id, or an object's place such as cess://bucket/key
    id: String,
    /// Remove this version of the object for good
    #[arg(long, value_name = "ID", conflicts_with = "recursive")]
    version_id: Option<String>,
    /// Remove all objects whose keys begin like this
    #[arg(short, long)]
    recursive: bool,
    #[command(flatten)]
    door: S3Options,
}

impl PutArgs {
    /// Puts the file at `path`.
    pub fn new(path: PathBuf) -> Self {
        Self { path, to: None, territory: None, door: S3Options::default() }
    }
}

impl GetArgs {
    /// Gets the whole of a file.
    pub fn new(id: FileId, output: PathBuf) -> Self {
        Self { id: id.to_string(), output, range: None, no_cache: false, door: S3Options::default() }
    }
}

/// `cess put`: into a bucket, or as a file of its own.
pub async fn put_anywhere(args: PutArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    match &args.to {
        Some(to) => objects::put(&args.path, to, &args.door, global, output).await,
        None => put(&args, global, output).await.map(drop),
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
            Err(error) if error.is_transient() && last_progress.elapsed() < PATIENCE => {
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
    if Location::is_meant(&args.id) {
        if args.no_cache {
            return Err(
                Usage(format!("`--no-cache` is for files by their id, `{}` is a place in a bucket", args.id)).into()
            );
        }
        return objects::get(&args.id, &args.output, args.range.as_deref(), &args.door, global, output).await;
    }
    let id = file_id(&args.id)?;
    let target = Target::find(global)?;
    let gateway = target.gateway().await?.past_cache(args.no_cache);
    let record = target.chain.file(id).await?.ok_or_else(|| anyhow!("file {id} is not known to this network"))?;
    let range = match &args.range {
        Some(text) => parse_range(text, record.size)?,
        None => 0..record.size,
    };
    let size = range.end - range.start;
    let download = Download { what: id.to_string(), to: &args.output, range };
    let open = async |range| gateway.get(id, Some(range)).await;
    let Some(took) = download.run(open, output).await? else { return Ok(()) };
    let document =
        serde_json::json!({ "id": id, "size": size, "path": args.output, "millis": took.as_millis() as u64 });
    output.document(&document, |_| describe(size, &args.output, took))
}

/// Lists an account's files, or what is in a bucket.
pub async fn ls(args: LsArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    if let Some(at) = &args.at {
        return objects::ls(at, args.recursive, &args.door, global, output).await;
    }
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

/// Gives ownership of a file up, or removes objects.
pub async fn rm(args: RmArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    if Location::is_meant(&args.id) {
        let version = args.version_id.as_deref();
        return objects::rm(&args.id, version, args.recursive, &args.door, global, output).await;
    }
    if args.recursive || args.version_id.is_some() {
        return Err(
            Usage(format!("`{}` is no place in a bucket: it has no versions and nothing below it", args.id)).into()
        );
    }
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
            Err(error) if error.is_transient() && started.elapsed() < PATIENCE => {
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
