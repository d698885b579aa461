//! `put`, `get`, `ls` and `rm` of `cess://bucket/key`.

use super::{Location, S3Options, location::LocationError, upload};
use crate::{
    cli::{
        Global, Usage,
        download::{Download, describe, parse_range},
        output::{Output, table},
    },
    client::s3::{Listing, ObjectEntry},
    types::ByteCount,
};
use anyhow::bail;
use serde_json::json;
use std::path::Path;

/// Entries listed by one `ls`.
const LIST_MAX: usize = 10_000;

fn place(text: &str) -> Result<Location, Usage> {
    text.parse().map_err(|e: LocationError| Usage(e.to_string()))
}

fn object(text: &str) -> Result<Location, Usage> {
    place(text)?.of_object().map_err(|e| Usage(e.to_string()))
}

/// Stores a file as an object. A place that ends with a slash gets the file's name.
pub async fn put(path: &Path, to: &str, door: &S3Options, global: &Global, output: &Output) -> anyhow::Result<()> {
    let mut location = place(to)?;
    if location.key.is_empty() || location.key.ends_with('/') {
        let name = path.file_name().and_then(|name| name.to_str());
        location.key += name.ok_or_else(|| Usage(format!("`{}` has no name to store it under", path.display())))?;
    }
    upload::put(&door.open(global).await?, path, &location, output).await
}

/// Fetches an object. It appears under its name only when it is complete.
pub async fn get(
    from: &str,
    to: &Path,
    range: Option<&str>,
    door: &S3Options,
    global: &Global,
    output: &Output,
) -> anyhow::Result<()> {
    let location = object(from)?;
    let client = door.open(global).await?;
    let head = client.head(&location.bucket, &location.key).await?;
    let range = match range {
        Some(text) => parse_range(text, head.size)?,
        None => 0..head.size,
    };
    let size = range.end - range.start;
    let download = Download { what: location.to_string(), to, range };
    // One version throughout, however often the connection breaks.
    let open = async |range| client.get(&location.bucket, &location.key, Some(range), Some(&head.etag)).await;
    let Some(took) = download.run(open, output).await? else { return Ok(()) };
    let document = json!({
        "bucket": location.bucket, "key": location.key, "size": size, "path": to, "millis": took.as_millis() as u64,
    });
    output.document(&document, |_| describe(size, to, took))
}

/// Lists what is in a bucket, one level below a prefix or all of it.
pub async fn ls(
    at: &str,
    is_recursive: bool,
    door: &S3Options,
    global: &Global,
    output: &Output,
) -> anyhow::Result<()> {
    let location = place(at)?;
    let client = door.open(global).await?;
    let delimiter = if is_recursive { "" } else { "/" };
    let (mut found, mut is_cut) = (Listing::default(), false);
    loop {
        let page = client.list(&location.bucket, &location.key, delimiter, found.next.as_deref()).await?;
        found.objects.extend(page.objects);
        found.prefixes.extend(page.prefixes);
        found.next = page.next;
        if found.next.is_none() {
            break;
        }
        if found.objects.len() + found.prefixes.len() >= LIST_MAX {
            is_cut = true;
            break;
        }
    }
    let document = json!({ "objects": found.objects, "prefixes": found.prefixes, "truncated": is_cut });
    output.document(&document, |_| {
        if found.objects.is_empty() && found.prefixes.is_empty() {
            return format!("nothing is in {location}");
        }
        let prefix = |prefix: &String| vec![String::new(), String::new(), prefix.clone()];
        let row = |o: &ObjectEntry| vec![ByteCount(o.size).to_string(), o.modified.clone(), o.key.clone()];
        let rows: Vec<_> = found.prefixes.iter().map(prefix).chain(found.objects.iter().map(row)).collect();
        let more = if is_cut { format!("… more than {LIST_MAX}: name a longer prefix\n") } else { String::new() };
        table(&["size", "written", "key"], &rows) + &more
    })
}

/// Removes an object, one version of it, or everything below a prefix.
pub async fn rm(
    at: &str,
    version: Option<&str>,
    is_recursive: bool,
    door: &S3Options,
    global: &Global,
    output: &Output,
) -> anyhow::Result<()> {
    if !is_recursive {
        let location = object(at)?;
        let client = door.open(global).await?;
        if version.is_none() {
            // The protocol does not tell an absent object from one that was removed.
            client.head(&location.bucket, &location.key).await?;
        }
        client.delete(&location.bucket, &location.key, version).await?;
        let document = json!({ "bucket": location.bucket, "key": location.key, "version": version, "removed": 1 });
        return output.document(&document, |_| format!("{location} is removed"));
    }
    let location = place(at)?;
    let client = door.open(global).await?;
    let mut removed = 0;
    loop {
        let page = client.list(&location.bucket, &location.key, "", None).await?;
        if page.objects.is_empty() {
            break;
        }
        let keys: Vec<_> = page.objects.into_iter().map(|object| (object.key, None)).collect();
        client.delete_many(&location.bucket, &keys).await?;
        removed += keys.len();
    }
    if removed == 0 {
        bail!("nothing is in {location}");
    }
    let document = json!({ "bucket": location.bucket, "prefix": location.key, "removed": removed });
    output.document(&document, |_| format!("{removed} objects of {location} are removed"))
}
