//! `bucket`: making, listing, setting up and removing buckets.

use super::{Location, S3Options, location::bucket_name};
use crate::{
    access::{
        objects::{BucketName, ObjectsError},
        service::owner_bucket_key,
    },
    cli::{
        Global, Usage,
        output::{Output, table},
        target::Target,
    },
    client::s3::{BucketEntry, S3Client, VersionEntry},
    types::ByteCount,
};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use std::{io::Read, path::PathBuf};

/// Versions listed by one command.
const VERSIONS_MAX: usize = 10_000;
/// Objects removed by one request.
const REMOVE_MAX: usize = 1_000;
/// Longest policy, by the protocol.
const POLICY_MAX_BYTES: u64 = 20 << 10;

/// Arguments of `cess bucket`.
#[derive(Debug, Args)]
pub struct BucketArgs {
    #[command(subcommand)]
    command: BucketCommand,
}

#[derive(Debug, Subcommand)]
enum BucketCommand {
    /// Make a bucket
    Create {
        /// Its name, which nobody else has
        bucket: String,
        /// Keep old versions of objects
        #[arg(long)]
        versioning: bool,
        #[command(flatten)]
        door: S3Options,
    },
    /// List the account's buckets
    Ls {
        #[command(flatten)]
        door: S3Options,
    },
    /// Show or change who may do what in a bucket
    Policy {
        /// Its name
        bucket: String,
        /// Set it to this JSON document; `-` is stdin
        #[arg(long, value_name = "FILE", conflicts_with = "remove")]
        set: Option<PathBuf>,
        /// Remove it: only the owner may do anything then
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        door: S3Options,
    },
    /// List versions of objects, or say whether they are kept
    Versions {
        /// A bucket's name, or cess://bucket/prefix
        bucket: String,
        /// Keep versions from now on
        #[arg(long, conflicts_with = "suspend")]
        enable: bool,
        /// Keep no further versions; those there are stay
        #[arg(long)]
        suspend: bool,
        #[command(flatten)]
        door: S3Options,
    },
    /// Show the key of a bucket of the signing account: from the chain alone, without a gateway
    Key {
        /// Its name
        bucket: String,
    },
    /// Remove a bucket
    Rm {
        /// Its name
        bucket: String,
        /// Remove everything in it first, old versions too
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        door: S3Options,
    },
}

/// Makes, lists, changes or removes buckets.
pub async fn bucket(args: BucketArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    // Words are checked before a server is looked for.
    let name = |text: &str| bucket_name(text).map_err(|e| Usage(e.to_string()));
    match args.command {
        BucketCommand::Create { bucket, versioning, door } => {
            let bucket = name(&bucket)?;
            let client = door.open(global).await?;
            client.create_bucket(&bucket).await?;
            if versioning {
                client.set(&bucket, "versioning", versioning_document("Enabled")).await?;
            }
            let document = json!({ "bucket": bucket, "versioning": versioning });
            output.document(&document, |_| {
                format!("bucket {bucket} is there\n\nstore with:\n  cess put FILE cess://{bucket}/KEY")
            })
        }
        BucketCommand::Ls { door } => {
            let buckets = door.open(global).await?.buckets().await?;
            output.document(&buckets, |buckets| {
                let row = |bucket: &BucketEntry| vec![bucket.name.clone(), bucket.created.clone()];
                match buckets.is_empty() {
                    true => "no buckets; make one with `cess bucket create NAME`".to_owned(),
                    false => table(&["bucket", "made"], &buckets.iter().map(row).collect::<Vec<_>>()),
                }
            })
        }
        BucketCommand::Policy { bucket, set, remove, door } => {
            let bucket = name(&bucket)?;
            let text = set.map(|path| read_policy(&path)).transpose()?;
            let client = door.open(global).await?;
            policy(&client, &bucket, text, remove, output).await
        }
        BucketCommand::Versions { bucket, enable, suspend, door } => {
            let text = if Location::is_meant(&bucket) { bucket } else { format!("cess://{bucket}") };
            let location: Location = text.parse().map_err(|e: super::location::LocationError| Usage(e.to_string()))?;
            let client = door.open(global).await?;
            match (enable, suspend) {
                (true, _) => keep_versions(&client, &location.bucket, "Enabled", output).await,
                (_, true) => keep_versions(&client, &location.bucket, "Suspended", output).await,
                _ => versions(&client, &location, output).await,
            }
        }
        BucketCommand::Key { bucket } => {
            let bucket: BucketName = name(&bucket)?.parse().map_err(|e: ObjectsError| Usage(e.to_string()))?;
            let target = Target::find(global)?;
            let (id, key) = owner_bucket_key(&target.wallet(global).await?, &bucket).await?;
            let key = hex::encode(key.expose());
            let document = json!({ "bucket": bucket.to_string(), "id": hex::encode(id.0), "key": key });
            output.document(&document, |_| format!("bucket  {bucket}\nid      {}\nkey     {key}", hex::encode(id.0)))
        }
        BucketCommand::Rm { bucket, force, door } => {
            let bucket = name(&bucket)?;
            let client = door.open(global).await?;
            let removed = if force { empty(&client, &bucket).await? } else { 0 };
            client.delete_bucket(&bucket).await?;
            let document = json!({ "bucket": bucket, "removed": removed });
            output
                .document(&document, |_| format!("bucket {bucket} is gone, and {removed} versions of objects with it"))
        }
    }
}

fn read_policy(path: &std::path::Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let unreadable = || format!("cannot read `{}`", path.display());
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).with_context(unreadable)?),
    };
    source.take(POLICY_MAX_BYTES + 1).read_to_string(&mut text).with_context(unreadable)?;
    if text.len() as u64 > POLICY_MAX_BYTES {
        bail!("`{}` is over the limit of {POLICY_MAX_BYTES} B for a policy", path.display());
    }
    let parsed: Result<serde_json::Value, _> = serde_json::from_str(&text);
    parsed.with_context(|| format!("`{}` is not a JSON document", path.display())).map(|_| text)
}

async fn policy(
    client: &S3Client,
    bucket: &str,
    text: Option<String>,
    remove: bool,
    output: &Output,
) -> anyhow::Result<()> {
    if remove {
        client.unset(bucket, "policy").await?;
        return output
            .document(&json!({ "bucket": bucket, "policy": null }), |_| format!("{bucket} has no policy now"));
    }
    if let Some(text) = text {
        let document = json!({ "bucket": bucket, "policy": serde_json::from_str::<serde_json::Value>(&text)? });
        client.set(bucket, "policy", text).await?;
        return output.document(&document, |_| format!("{bucket} has a new policy"));
    }
    let text = match client.setting(bucket, "policy").await {
        Err(error) if error.code() == "NoSuchBucketPolicy" => {
            return output
                .document(&json!({ "bucket": bucket, "policy": null }), |_| format!("{bucket} has no policy"));
        }
        other => other?,
    };
    let policy: serde_json::Value = serde_json::from_str(&text).context("the policy is not a JSON document")?;
    let shown = serde_json::to_string_pretty(&policy)?;
    output.document(&json!({ "bucket": bucket, "policy": policy }), |_| shown)
}

fn versioning_document(status: &str) -> String {
    let space = "http://s3.amazonaws.com/doc/2006-03-01/";
    format!("<VersioningConfiguration xmlns=\"{space}\"><Status>{status}</Status></VersioningConfiguration>")
}

async fn keep_versions(client: &S3Client, bucket: &str, status: &str, output: &Output) -> anyhow::Result<()> {
    client.set(bucket, "versioning", versioning_document(status)).await?;
    let document = json!({ "bucket": bucket, "versioning": status });
    output.document(&document, |_| format!("versioning of {bucket}: {}", status.to_lowercase()))
}

async fn versions(client: &S3Client, at: &Location, output: &Output) -> anyhow::Result<()> {
    let status = client.versioning(&at.bucket).await?;
    let (mut found, mut after) = (Vec::new(), None);
    while found.len() < VERSIONS_MAX {
        let page = client.versions(&at.bucket, &at.key, after.as_ref()).await?;
        found.extend(page.versions);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let document = json!({ "bucket": at.bucket, "versioning": status, "versions": found });
    output.document(&document, |_| {
        let row = |version: &VersionEntry| {
            let size =
                if version.is_delete_marker { "deleted".to_owned() } else { ByteCount(version.size).to_string() };
            let latest = if version.is_latest { "latest" } else { "" };
            vec![version.key.clone(), version.version.clone(), size, version.modified.clone(), latest.to_owned()]
        };
        let rows: Vec<_> = found.iter().map(row).collect();
        let said = if status.is_empty() { "never enabled".to_owned() } else { status.to_lowercase() };
        format!("versioning of {}: {said}\n\n{}", at.bucket, table(&["key", "version", "size", "written", ""], &rows))
    })
}

/// Removes every version of every object, and unfinished uploads.
async fn empty(client: &S3Client, bucket: &str) -> anyhow::Result<usize> {
    let mut removed = 0;
    loop {
        let page = client.versions(bucket, "", None).await?;
        if page.versions.is_empty() {
            break;
        }
        let all: Vec<_> = page.versions.into_iter().map(|version| (version.key, Some(version.version))).collect();
        for batch in all.chunks(REMOVE_MAX) {
            client.delete_many(bucket, batch).await?;
        }
        removed += all.len();
    }
    loop {
        let uploads = client.uploads(bucket, "").await?;
        if uploads.is_empty() {
            return Ok(removed);
        }
        for upload in uploads {
            client.abort_upload((bucket, &upload.key, &upload.upload)).await?;
        }
    }
}
