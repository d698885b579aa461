//! An [`ObjectStore`] over files of the chain, with names on the chain that change by compare-and-swap.
//!
//! Owns what a name stands for, conditions, and encryption of what is stored. Must not know what the objects are for. Invariants: an object
//! appears under its name as a whole or not at all, after its bytes are final; of two who put under one condition, one succeeds; a name has
//! a file of its own, or none if its bytes have room in its value, so that removing one takes nothing from another; what is kept near is
//! checked like what comes from far.

mod cache;
mod held;
mod ports;
mod read;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod twins;
mod upload;
mod value;

pub use cache::FileCache;
pub use held::HeldNames;
pub use ports::{ChainNames, Files, NameEntry, NameFault, Names, PackFiles};

use crate::{
    access::{
        blobs::{BlobError, BodyStream, body_of},
        data::{
            seal::{DataKey, Envelope, SHORT_GROWTH_BYTES, seal_short},
            sealed,
        },
    },
    runtime::{Criticality, Node, Phase},
    types::FileId,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{
    FutureExt, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    Attributes, CopyMode, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UpdateVersion,
    path::Path,
};
use parking_lot::Mutex;
use read::Filling;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
    time::Duration,
};
use upload::Upload;
use value::{Content, Stored, meta};

/// Name of the store in errors.
const STORE: &str = "cess";
/// Times a put without condition starts over because somebody else changed the name.
const OVERWRITE_ATTEMPTS: usize = 16;
/// Names that are remembered.
const KNOWN_MAX: usize = 8_192;
/// Removals under way at once in one call.
const DELETES_AT_ONCE: usize = 8;

/// How the store behaves.
#[derive(Debug, Clone)]
pub struct StoreSettings {
    /// Encrypts what is stored; nothing for a store whose objects are everybody's.
    pub key: Option<DataKey>,
    /// How long the file of an object that was removed or replaced stays for those who are reading it.
    pub grace: Duration,
    /// Endings of names that never stand for anything else than at first, so that the chain is asked for them once.
    pub fixed: &'static [&'static str],
}

/// Objects under names. Cheap to clone.
#[derive(Clone)]
pub struct SegmentStore {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    files: Arc<dyn Files>,
    names: Arc<dyn Names>,
    cache: Option<FileCache>,
    settings: StoreSettings,
    filling: Filling,
    known: Mutex<BTreeMap<String, NameEntry>>,
}

impl SegmentStore {
    /// A store over files and names, with what was written or read lately kept in `cache`.
    pub fn new(
        node: &Node,
        files: Arc<dyn Files>,
        names: Arc<dyn Names>,
        cache: Option<FileCache>,
        settings: StoreSettings,
    ) -> Self {
        let (filling, known) = (Filling::default(), Mutex::default());
        Self { inner: Arc::new(Inner { node: node.clone(), files, names, cache, settings, filling, known }) }
    }

    /// Stores bytes without a name yet: as a file, or in what will be the name's value if they have room there.
    async fn store(&self, location: &Path, plain: Bytes, notes: Vec<(String, String)>) -> Result<Stored> {
        let inner = &self.inner;
        let (size, modified_ms) = (plain.len() as u64, inner.node.clock.unix_ms());
        let content = match self.content_here(location, &plain, &notes) {
            Some(content) => content,
            None => self.content_of(location, plain).await?,
        };
        Ok(Stored { content, size, modified_ms, notes })
    }

    /// Content that needs no file.
    fn content_here(&self, location: &Path, plain: &Bytes, notes: &[(String, String)]) -> Option<Content> {
        match &self.inner.settings.key {
            None if plain.is_empty() => Some(Content::Empty),
            None => Stored::has_room(plain.len(), notes).then(|| Content::Plain(plain.to_vec())),
            Some(key) => Stored::has_room(plain.len() + SHORT_GROWTH_BYTES, notes)
                .then(|| Content::Sealed(seal_short(&self.inner.node.rng, key, location.as_ref().as_bytes(), plain))),
        }
    }

    /// Content in a file.
    async fn content_of(&self, location: &Path, plain: Bytes) -> Result<Content> {
        let inner = &self.inner;
        let (envelope, bytes) = match &inner.settings.key {
            Some(key) => {
                let (envelope, cipher) = Envelope::new(&inner.node.rng, key, location.as_ref().as_bytes());
                let bytes = inner.node.pool.run(move || Bytes::from(cipher.seal(&plain))).await;
                (Some(envelope), bytes)
            }
            None => (None, plain),
        };
        let file = inner.files.store(Some(bytes.len() as u64), body_of(bytes.clone())).await.map_err(failed)?;
        if let Some(cache) = &inner.cache {
            cache.put(file, bytes).await;
        }
        Ok(Content::File(file, envelope))
    }

    /// Stores a stream as a file, without a name yet.
    async fn store_stream(&self, location: &Path, body: BodyStream, size: Arc<upload::Counted>) -> Result<Stored> {
        let inner = &self.inner;
        let (envelope, body) = match &inner.settings.key {
            Some(key) => {
                let (envelope, cipher) = Envelope::new(&inner.node.rng, key, location.as_ref().as_bytes());
                (Some(envelope), sealed(cipher, body))
            }
            None => (None, body),
        };
        let mut body = body.peekable();
        let is_empty = std::pin::Pin::new(&mut body).peek().await.is_none();
        let content = match is_empty {
            true => Content::Empty,
            false => Content::File(inner.files.store(None, body.boxed()).await.map_err(failed)?, envelope),
        };
        Ok(Stored { content, size: size.bytes(), modified_ms: inner.node.clock.unix_ms(), notes: Vec::new() })
    }

    /// Gives a stored file its name. If it cannot have it, the file is removed.
    async fn name(&self, location: &Path, stored: Stored, mode: PutMode) -> Result<PutResult> {
        self.inner.known.lock().remove(location.as_ref());
        match self.try_name(location, &stored, mode).await {
            Ok(version) => {
                Ok(PutResult { e_tag: Some(value::tag(version)), version: None, extensions: Default::default() })
            }
            Err(error) => {
                // Where the chain did not answer, the name may still get it.
                if matches!(error, Error::AlreadyExists { .. } | Error::Precondition { .. }) {
                    self.retire(stored.file(), Duration::ZERO);
                }
                Err(error)
            }
        }
    }

    async fn try_name(&self, location: &Path, stored: &Stored, mode: PutMode) -> Result<u64> {
        let (name, value) = (location.as_ref(), stored.encode());
        let names = &self.inner.names;
        for _ in 0..OVERWRITE_ATTEMPTS {
            let present = names.get(name).await.map_err(|fault| named(location, fault))?;
            let version = present.as_ref().map_or(0, |entry| entry.version);
            if !allows(location, &mode, version)? {
                return Err(unmet(location, &mode));
            }
            match names.set(name, version, value.clone()).await {
                Ok(version) => {
                    if let Some(replaced) = present.and_then(|entry| Stored::read(&entry.value).ok()) {
                        self.retire(replaced.file(), self.inner.settings.grace);
                    }
                    return Ok(version);
                }
                // Somebody else was faster: the condition is looked at again.
                Err(NameFault::Conflict { .. }) => {}
                Err(fault) => {
                    // It may have been done all the same.
                    let present = names.get(name).await.ok().flatten().filter(|_| stored.is_unique());
                    let done = present.filter(|entry| entry.value == value);
                    return done.map(|entry| entry.version).ok_or_else(|| named(location, fault));
                }
            }
        }
        Err(generic(format!("name `{location}` is changed by others all the time")))
    }

    async fn find(&self, location: &Path) -> Result<(NameEntry, Stored)> {
        let name = location.as_ref();
        let known = self.inner.known.lock().get(name).cloned();
        let entry = match known {
            Some(entry) => entry,
            None => {
                let entry = self.inner.names.get(name).await.map_err(|fault| named(location, fault))?;
                let entry = entry.ok_or_else(|| missing(location))?;
                self.remember(name, &entry);
                entry
            }
        };
        let stored = Stored::read(&entry.value).map_err(generic)?;
        Ok((entry, stored))
    }

    /// Keeps a name that never changes.
    fn remember(&self, name: &str, entry: &NameEntry) {
        if self.inner.settings.fixed.iter().any(|ending| name.ends_with(ending)) {
            let mut known = self.inner.known.lock();
            if known.len() >= KNOWN_MAX {
                known.clear();
            }
            known.insert(name.to_owned(), entry.clone());
        }
    }

    async fn remove(&self, location: &Path) -> Result<()> {
        for _ in 0..OVERWRITE_ATTEMPTS {
            self.inner.known.lock().remove(location.as_ref());
            let (entry, stored) = self.find(location).await?;
            match self.inner.names.remove(location.as_ref(), entry.version).await {
                Ok(()) => {
                    self.inner.known.lock().remove(location.as_ref());
                    self.retire(stored.file(), self.inner.settings.grace);
                    return Ok(());
                }
                Err(NameFault::Conflict { .. }) => {}
                Err(fault) => return Err(named(location, fault)),
            }
        }
        Err(generic(format!("name `{location}` is changed by others all the time")))
    }

    /// Removes a file that has no name any more, when nobody can be reading it.
    fn retire(&self, file: Option<FileId>, grace: Duration) {
        let Some(file) = file else { return };
        if let Some(cache) = &self.inner.cache {
            cache.remove(file);
        }
        let (this, stopping) = (self.clone(), self.inner.node.tasks.stopping(Phase::Drain));
        let name = format!("removal of file {file}");
        self.inner.node.tasks.spawn(Phase::Drain, name, Criticality::Optional, async move {
            // One that is not removed because the node stops is found by the collection of garbage.
            tokio::select! {
                () = tokio::time::sleep(grace) => {}
                () = stopping.cancelled() => return Ok(()),
            }
            if let Err(error) = this.inner.files.remove(file).await {
                tracing::warn!(%file, %error, "a file without a name is not removed");
            }
            Ok(())
        });
    }

    /// Removes every object with its file, at once: for a store that nobody reads any more. Doing it again finishes what was begun.
    pub async fn clear(&self) -> Result<()> {
        let names = self.inner.names.list().await.map_err(|fault| generic(fault.to_string()))?;
        let removals = names.into_iter().map(|(name, entry)| async move {
            let location = Path::parse(&name).map_err(|error| generic(error.to_string()))?;
            // The file first: a name without its file is found again, a file without its name would have to be searched.
            if let Some(file) = Stored::read(&entry.value).map_err(generic)?.file() {
                self.inner.files.remove(file).await.map_err(failed)?;
            }
            self.inner.names.remove(&name, entry.version).await.map_err(|fault| named(&location, fault))
        });
        stream::iter(removals).buffer_unordered(DELETES_AT_ONCE).try_collect().await
    }

    /// Files that have a name: what the collection of garbage keeps.
    pub async fn named_files(&self) -> Result<BTreeSet<FileId>> {
        let names = self.inner.names.list().await.map_err(|fault| generic(fault.to_string()))?;
        let stored = names.iter().map(|(_, entry)| Stored::read(&entry.value).map_err(generic));
        stored.filter_map(|stored| stored.map(|stored| stored.file()).transpose()).collect()
    }

    /// Every object, in order of paths.
    async fn objects(&self) -> Result<Vec<ObjectMeta>> {
        let names = self.inner.names.list().await.map_err(|fault| generic(fault.to_string()))?;
        let mut objects = Vec::with_capacity(names.len());
        for (name, entry) in names {
            let location = Path::parse(&name).map_err(|error| generic(error.to_string()))?;
            let stored = Stored::read(&entry.value).map_err(generic)?;
            objects.push(meta(location, &entry, &stored));
        }
        objects.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(objects)
    }
}

impl fmt::Debug for SegmentStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SegmentStore")
    }
}

impl fmt::Display for SegmentStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STORE)
    }
}

#[async_trait]
impl ObjectStore for SegmentStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        let notes = notes(&opts.attributes)?;
        if opts.mode != PutMode::Overwrite {
            // Most who come too late are told before anything is stored.
            let present = self.inner.names.get(location.as_ref()).await.map_err(|fault| named(location, fault))?;
            if !allows(location, &opts.mode, present.map_or(0, |entry| entry.version))? {
                return Err(unmet(location, &opts.mode));
            }
        }
        let stored = self.store(location, payload.into(), notes).await?;
        self.name(location, stored, opts.mode).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let notes = notes(&opts.attributes)?;
        Ok(Box::new(Upload::start(self.clone(), location.clone(), notes)))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (entry, stored) = self.find(location).await?;
        let meta = meta(location.clone(), &entry, &stored);
        options.check_preconditions(&meta)?;
        if let Some(version) = options.version.as_ref().filter(|version| value::tag(entry.version) != **version) {
            return Err(Error::NotFound {
                path: location.to_string(),
                source: format!("version {version} is gone").into(),
            });
        }
        let range = match &options.range {
            Some(range) => range.as_range(stored.size).map_err(|error| generic(error.to_string()))?,
            None => 0..stored.size,
        };
        let payload = match options.head {
            true => stream::empty().boxed(),
            false => self.read(location, &stored, range.clone()).await?,
        };
        let (payload, attributes) = (GetResultPayload::Stream(payload), value::attributes(&stored.notes));
        Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let this = self.clone();
        let removals = locations.map(move |location| {
            let this = this.clone();
            async move {
                let location = location?;
                match this.remove(&location).await {
                    Ok(()) | Err(Error::NotFound { .. }) => Ok(location),
                    Err(error) => Err(error),
                }
            }
        });
        removals.buffered(DELETES_AT_ONCE).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned().unwrap_or_default());
        let listed = async move { this.objects().await };
        let objects = listed.map(move |objects| match objects {
            Ok(objects) => {
                let below = objects.into_iter().filter(|object| depth(&object.location, &prefix) > 0);
                stream::iter(below.map(Ok).collect::<Vec<_>>())
            }
            Err(error) => stream::iter(vec![Err(error)]),
        });
        objects.flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = prefix.cloned().unwrap_or_default();
        let (mut objects, mut prefixes) = (Vec::new(), BTreeSet::new());
        for object in self.objects().await? {
            match depth(&object.location, &prefix) {
                0 => {}
                1 => objects.push(object),
                _ => {
                    let next = object.location.prefix_match(&prefix).and_then(|mut parts| parts.next());
                    prefixes.extend(next.map(|part| prefix.clone().join(part)));
                }
            }
        }
        Ok(ListResult { objects, common_prefixes: prefixes.into_iter().collect(), extensions: Default::default() })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let (entry, stored) = self.find(from).await?;
        let mode = match options.mode {
            CopyMode::Overwrite => PutMode::Overwrite,
            CopyMode::Create => PutMode::Create,
        };
        let result = GetResult {
            payload: GetResultPayload::Stream(self.read(from, &stored, 0..stored.size).await?),
            meta: meta(from.clone(), &entry, &stored),
            range: 0..stored.size,
            attributes: Attributes::default(),
            extensions: Default::default(),
        };
        let options = PutOptions { mode, attributes: value::attributes(&stored.notes), ..PutOptions::default() };
        self.put_opts(to, result.bytes().await?.into(), options).await.map(drop)
    }
}

/// Levels of `location` below `prefix`; 0 if it is not below.
fn depth(location: &Path, prefix: &Path) -> usize {
    location.prefix_match(prefix).map_or(0, Iterator::count)
}

/// Attributes as they are kept with the name, which has not much room.
fn notes(attributes: &Attributes) -> Result<Vec<(String, String)>> {
    let unsupported = || Error::NotSupported { source: "so many attributes are not kept".into() };
    value::notes(attributes).ok_or_else(unsupported)
}

/// Whether a put may replace the version that is there, 0 for none.
fn allows(location: &Path, mode: &PutMode, present: u64) -> Result<bool> {
    match mode {
        PutMode::Overwrite => Ok(true),
        PutMode::Create => Ok(present == 0),
        PutMode::Update(UpdateVersion { e_tag, .. }) => match e_tag.as_deref().and_then(value::version_of) {
            Some(version) => Ok(version == present && present != 0),
            None => Err(generic(format!("an update of `{location}` names the tag it replaces"))),
        },
    }
}

fn unmet(location: &Path, mode: &PutMode) -> Error {
    let (path, source) = (location.to_string(), "somebody else was first".into());
    match mode {
        PutMode::Create => Error::AlreadyExists { path, source },
        PutMode::Overwrite | PutMode::Update(_) => Error::Precondition { path, source },
    }
}

fn missing(location: &Path) -> Error {
    Error::NotFound { path: location.to_string(), source: "the name is not there".into() }
}

fn named(location: &Path, fault: NameFault) -> Error {
    generic(format!("name `{location}`: {fault}"))
}

fn failed(error: BlobError) -> Error {
    Error::Generic { store: STORE, source: Box::new(error) }
}

fn generic(reason: String) -> Error {
    Error::Generic { store: STORE, source: reason.into() }
}
