//! Listings of objects, versions and uploads.
//!
//! Owns how a page is filled: common prefixes are passed over by seeking, never by reading what lies under them. Invariant: pages
//! that follow each other show everything once, in order of the keys' bytes.

use super::{
    Inner,
    reads::{decoded, foreign},
};
use crate::access::{
    engine::{Scan, See, Snapshot, successor},
    objects::{
        error::ObjectsError,
        id::{UploadId, VersionId, VersionRef},
        key,
        op::Reply,
        record::{NullVersion, ObjectRecord, UploadRecord},
        request::{
            ListObjects, ListUploads, ListVersions, ListedObject, ListedVersion, ObjectPage, UploadInfo, UploadPage,
            VersionPage,
        },
    },
};
use bytes::Bytes;

/// Most entries of one page, as S3 has it.
const PAGE_MAX: u32 = 1_000;

/// The common prefix a key is rolled up under.
fn rolled_up<'t>(text: &'t str, prefix: &str, delimiter: Option<&str>) -> Option<&'t str> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let end = text.get(prefix.len()..)?.find(delimiter)? + prefix.len() + delimiter.len();
    text.get(..end)
}

/// Whether `after` is a common prefix that was returned, and everything under it with it.
fn is_passed(after: &str, prefix: &str, delimiter: Option<&str>) -> bool {
    after.starts_with(prefix) && rolled_up(after, prefix, delimiter) == Some(after)
}

/// What fills a page.
struct Room {
    max: usize,
    used: usize,
}

impl Room {
    fn new(max: u32) -> Self {
        Self { max: max.min(PAGE_MAX) as usize, used: 0 }
    }

    /// Whether one more fits.
    fn take(&mut self) -> bool {
        let fits = self.used < self.max;
        self.used += usize::from(fits);
        fits
    }
}

/// Moves a scan behind everything that begins with `prefix`; false where nothing follows.
async fn pass(scan: &mut Scan, prefix: &[u8], within: &[u8]) -> Result<bool, ObjectsError> {
    match successor(prefix).filter(|next| next.starts_with(within)) {
        Some(next) => {
            scan.seek(&next).await?;
            Ok(true)
        }
        None => Ok(false),
    }
}

impl Inner {
    pub async fn list(&self, ask: &ListObjects) -> Result<Reply, ObjectsError> {
        self.bucket()?;
        let mut page = ObjectPage::default();
        let mut room = Room::new(ask.max);
        if room.max == 0 {
            return Ok(Reply::Objects(page));
        }
        let (prefix, delimiter) = (ask.prefix.as_str(), ask.delimiter.as_deref());
        let within = key::current(prefix);
        let start = match ask.after.as_deref() {
            Some(after) if is_passed(after, prefix, delimiter) => match successor(&key::current(after)) {
                Some(start) => start,
                None => return Ok(Reply::Objects(page)),
            },
            Some(after) => [key::current(after).as_slice(), &[0]].concat(),
            None => within.clone(),
        };
        let mut scan = self.engine.scan(&within, &start, See::Durable).await?;
        let mut last = None;
        while let Some((key, value)) = scan.next().await? {
            let text = key::text_of_current(&key).ok_or_else(|| foreign(&key))?;
            let record: ObjectRecord = decoded(&value)?;
            if record.is_marker() {
                continue;
            }
            let under = rolled_up(text, prefix, delimiter);
            if !room.take() {
                page.next = last;
                break;
            }
            last = Some(under.unwrap_or(text).to_owned());
            match under {
                None => page.objects.push(listed(text.to_owned(), record)),
                Some(under) => {
                    page.prefixes.push(under.to_owned());
                    if !pass(&mut scan, &key::current(under), &within).await? {
                        break;
                    }
                }
            }
        }
        Ok(Reply::Objects(page))
    }

    pub async fn list_versions(&self, ask: &ListVersions) -> Result<Reply, ObjectsError> {
        self.bucket()?;
        let snapshot = self.engine.snapshot()?;
        let mut walk = Walk::new(&snapshot, ask).await?;
        let mut page = VersionPage::default();
        let mut room = Room::new(ask.max);
        let mut last = None;
        if room.max == 0 {
            return Ok(Reply::Versions(page));
        }
        while let Some((text, record, is_latest)) = walk.next().await? {
            let under = rolled_up(&text, &ask.prefix, ask.delimiter.as_deref());
            if !room.take() {
                page.next = last;
                break;
            }
            match under {
                Some(under) => {
                    last = Some((under.to_owned(), None));
                    page.prefixes.push(under.to_owned());
                    let under = under.to_owned();
                    walk.pass(&under).await?;
                }
                None => {
                    let version = record.version_ref();
                    last = Some((text.clone(), Some(version)));
                    let delete_marker = record.is_marker();
                    page.versions.push(ListedVersion {
                        version,
                        is_latest,
                        delete_marker,
                        object: listed(text, record),
                    });
                }
            }
        }
        Ok(Reply::Versions(page))
    }

    pub async fn list_uploads(&self, ask: &ListUploads) -> Result<Reply, ObjectsError> {
        self.bucket()?;
        let mut page = UploadPage::default();
        let mut room = Room::new(ask.max);
        if room.max == 0 {
            return Ok(Reply::Uploads(page));
        }
        let (prefix, delimiter) = (ask.prefix.as_str(), ask.delimiter.as_deref());
        let within = key::escaped(key::UPLOAD, prefix);
        let start = match &ask.after {
            Some((after, None)) if is_passed(after, prefix, delimiter) => {
                successor(&key::escaped(key::UPLOAD, after)).unwrap_or_default()
            }
            Some((after, None)) => successor(&key::uploads(after)).unwrap_or_default(),
            Some((after, Some(id))) => [key::upload(after, *id).as_slice(), &[0]].concat(),
            None => within.clone(),
        };
        let mut scan = self.engine.scan(&within, &start, See::Durable).await?;
        let mut last: Option<(String, Option<UploadId>)> = None;
        while let Some((key, value)) = scan.next().await? {
            let (text, upload) = key::split_upload(&key).ok_or_else(|| foreign(&key))?;
            if !room.take() {
                page.next = last;
                break;
            }
            if let Some(under) = rolled_up(&text, prefix, delimiter) {
                page.prefixes.push(under.to_owned());
                last = Some((under.to_owned(), None));
                if !pass(&mut scan, &key::escaped(key::UPLOAD, under), &within).await? {
                    break;
                }
            } else {
                last = Some((text.clone(), Some(upload)));
                page.uploads.push(upload_info(text, upload, decoded(&value)?));
            }
        }
        Ok(Reply::Uploads(page))
    }
}

/// Walks current and older versions together: by key, newest first.
struct Walk {
    currents: Scan,
    olders: Scan,
    older: Option<(Bytes, Bytes)>,
    /// The key whose older versions follow.
    text: Option<String>,
    /// A key of which only versions below this one are wanted.
    resume: Option<(String, VersionId)>,
    currents_within: Vec<u8>,
    olders_within: Vec<u8>,
    ended: bool,
}

impl Walk {
    async fn new(snapshot: &Snapshot, ask: &ListVersions) -> Result<Self, ObjectsError> {
        let prefix = ask.prefix.as_str();
        let (currents_within, olders_within) = (key::current(prefix), key::escaped(key::OLDER, prefix));
        let (mut start, mut older_start) = (currents_within.clone(), olders_within.clone());
        let mut resume = None;
        match &ask.after {
            None => {}
            Some((after, None)) if is_passed(after, prefix, ask.delimiter.as_deref()) => {
                start = successor(&key::current(after)).unwrap_or_default();
                older_start = successor(&key::escaped(key::OLDER, after)).unwrap_or_default();
            }
            Some((after, None)) => {
                start = [key::current(after).as_slice(), &[0]].concat();
                older_start = successor(&key::older_all(after)).unwrap_or_default();
            }
            Some((after, Some(version))) => {
                start = key::current(after);
                older_start = key::older_all(after);
                resume = Some((after.clone(), number_of(snapshot, after, *version).await?));
            }
        }
        let currents = snapshot.scan(&currents_within, &start, See::Durable).await?;
        let mut olders = snapshot.scan(&olders_within, &older_start, See::Durable).await?;
        let older = olders.next().await?;
        Ok(Self { currents, olders, older, text: None, resume, currents_within, olders_within, ended: false })
    }

    /// The next version: its key, its record, and whether it is the current one.
    async fn next(&mut self) -> Result<Option<(String, ObjectRecord, bool)>, ObjectsError> {
        while !self.ended {
            if let Some((text, record)) = self.next_older().await? {
                if self.wanted(&text, record.version) {
                    return Ok(Some((text, record, false)));
                }
                continue;
            }
            let Some((key, value)) = self.currents.next().await? else {
                return Ok(None);
            };
            let text = key::text_of_current(&key).ok_or_else(|| foreign(&key))?.to_owned();
            let record: ObjectRecord = decoded(&value)?;
            self.text = Some(text.clone());
            if self.wanted(&text, record.version) {
                return Ok(Some((text, record, true)));
            }
        }
        Ok(None)
    }

    fn wanted(&self, text: &str, version: VersionId) -> bool {
        !matches!(&self.resume, Some((resumed, below)) if resumed == text && version >= *below)
    }

    /// The next older version of the key that is walked.
    async fn next_older(&mut self) -> Result<Option<(String, ObjectRecord)>, ObjectsError> {
        let (Some(text), Some((key, value))) = (&self.text, &self.older) else {
            return Ok(None);
        };
        let (found, _) = key::split_older(key).ok_or_else(|| foreign(key))?;
        if found != *text {
            return Ok(None);
        }
        let record = decoded(value)?;
        self.older = self.olders.next().await?;
        Ok(Some((found, record)))
    }

    /// Passes everything under a common prefix.
    async fn pass(&mut self, under: &str) -> Result<(), ObjectsError> {
        self.text = None;
        if !pass(&mut self.currents, &key::current(under), &self.currents_within).await? {
            self.ended = true;
            return Ok(());
        }
        let olders_under = key::escaped(key::OLDER, under);
        if self
            .older
            .as_ref()
            .is_some_and(|(key, _)| key.as_ref() < successor(&olders_under).unwrap_or_default().as_slice())
        {
            self.older = if pass(&mut self.olders, &olders_under, &self.olders_within).await? {
                self.olders.next().await?
            } else {
                None
            };
        }
        Ok(())
    }
}

/// The number a version has in the bucket; for the null version it is looked up.
async fn number_of(snapshot: &Snapshot, text: &str, version: VersionRef) -> Result<VersionId, ObjectsError> {
    if let VersionRef::Id(id) = version {
        return Ok(id);
    }
    if let Some(value) = snapshot.get(&key::null(text), See::Durable).await? {
        return Ok(decoded::<NullVersion>(&value)?.0);
    }
    match snapshot.get(&key::current(text), See::Durable).await? {
        Some(value) => Ok(decoded::<ObjectRecord>(&value)?.version),
        None => Ok(VersionId { seq: 0, salt: 0 }),
    }
}

fn listed(key: String, record: ObjectRecord) -> ListedObject {
    ListedObject {
        key,
        etag: record.etag,
        size: record.size,
        modified_ms: record.modified_ms,
        storage_class: record.description.attributes.storage_class,
        author: record.description.author,
        checksums: record.checksums.iter().map(|checksum| (checksum.kind, checksum.scope)).collect(),
    }
}

pub(super) fn upload_info(key: String, upload: UploadId, record: UploadRecord) -> UploadInfo {
    UploadInfo {
        key,
        upload,
        created_ms: record.created_ms,
        description: record.description,
        checksum: record.checksum,
        customer: record.customer,
    }
}
