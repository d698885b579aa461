//! Reads: conditions, ranges, and bodies that go on at another gateway where one breaks off.
//!
//! Invariants: the bytes of one answer are of one version, however many gateways gave them; no more and no fewer than were asked for.

use super::{
    super::{S3Error, S3Request, http::chunks},
    BucketStore,
    attributes::attributes_of,
    endpoints::Course,
    errors::{Failure, failed, generic},
};
use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    Error, GetOptions, GetRange, GetResult, GetResultPayload, OBJECT_STORE_COALESCE_DEFAULT, ObjectMeta, Result,
    coalesce_ranges, path::Path,
};
use parking_lot::Mutex;
use reqwest::{Method, header::HeaderMap};
use std::ops::Range;

/// A date in HTTP.
const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const VERSION: &str = "x-amz-version-id";

/// Text of a header; none if it is absent or no text.
pub fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The version an answer is about, in buckets that keep versions.
pub fn version_of(headers: &HeaderMap) -> Option<String> {
    text(headers, VERSION).map(str::to_owned)
}

/// A moment of HTTP as documents write moments: both are read in one way.
fn moment(date: &str) -> Option<String> {
    let [_, day, month, year, time, "GMT"] = date.split(' ').collect::<Vec<_>>()[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Some(format!("{year}-{month:02}-{day:0>2}T{time}Z"))
}

/// The bytes an answer has, and the object's length.
fn range_of(headers: &HeaderMap, is_part: bool) -> Option<(Range<u64>, u64)> {
    if !is_part {
        let size = text(headers, "content-length")?.parse().ok()?;
        return Some((0..size, size));
    }
    let (range, size) = text(headers, "content-range")?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size) = (first.parse().ok()?, last.parse::<u64>().ok()?, size.parse().ok()?);
    (first <= last && last < size).then_some((first..last + 1, size))
}

/// What an answer says of an object.
fn described(location: &Path, headers: &HeaderMap, size: u64) -> Result<ObjectMeta, String> {
    let date = text(headers, "last-modified").unwrap_or_default();
    let last_modified = moment(date).and_then(|date| date.parse().ok());
    Ok(ObjectMeta {
        location: location.clone(),
        last_modified: last_modified.ok_or_else(|| format!("`{date}` is no date of a last change"))?,
        size,
        e_tag: text(headers, "etag").map(str::to_owned),
        version: version_of(headers),
    })
}

/// The headers of a request's conditions.
fn conditions(options: &GetOptions) -> Vec<(&'static str, String)> {
    // Dates of HTTP know whole seconds.
    let modified = options.if_modified_since.map(|date| date.format(HTTP_DATE).to_string());
    let unmodified = options.if_unmodified_since.map(|date| date.format(HTTP_DATE).to_string());
    [
        ("if-match", options.if_match.clone()),
        ("if-none-match", options.if_none_match.clone()),
        ("if-modified-since", modified),
        ("if-unmodified-since", unmodified),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

impl BucketStore {
    pub(super) async fn read(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let key = self.key_of(location)?;
        let invalid = |reason: String| generic(format!("{}: {reason}", self.path_of(location)));
        let range = options.range.as_ref().filter(|_| !options.head);
        options.range.as_ref().map_or(Ok(()), GetRange::is_valid).map_err(|e| invalid(e.to_string()))?;
        let method = if options.head { Method::HEAD } else { Method::GET };
        let mut request = S3Request::new(method, self.bucket()).key(key);
        for (name, value) in conditions(&options) {
            check_header(name, &value)?;
            request = request.header(name, value);
        }
        if let Some(range) = range {
            request = request.header("range", range.to_string());
        }
        if let Some(version) = &options.version {
            request = request.query("versionId", version);
        }
        let path = self.path_of(location);
        let (response, course) = self.endpoints().read(request).await.map_err(|failure| failed(&path, failure))?;
        let nonsense = |reason: String| generic(course.client().malformed(format!("of `{path}`: {reason}")));
        let headers = response.headers();
        let (answered, size) =
            range_of(headers, range.is_some()).ok_or_else(|| nonsense("no length, or not the range".to_owned()))?;
        let meta = described(location, headers, size).map_err(nonsense)?;
        let attributes = attributes_of(headers);
        let expected = options.range.as_ref().map(|range| range.as_range(size)).transpose();
        let expected = expected.map_err(|e| invalid(e.to_string()))?;
        let range = match expected {
            Some(range) if !options.head && range != answered => {
                return Err(nonsense("another range than was asked for".to_owned()));
            }
            Some(range) => range,
            None => answered,
        };
        let payload = match options.head {
            true => stream::empty().boxed(),
            false => Reading {
                store: self.clone(),
                location: location.clone(),
                etag: meta.e_tag.clone(),
                version: options.version.or_else(|| meta.version.clone()),
                left: range.clone(),
                body: chunks(response).boxed(),
                course,
            }
            .into_stream(),
        };
        let payload = GetResultPayload::Stream(payload);
        Ok(GetResult { payload, meta, range, attributes, extensions: Default::default() })
    }

    /// Ranges of one version. Those that are near each other are read together.
    pub(super) async fn read_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        // The first answer says which version the others have to be of.
        let seen: Mutex<Option<String>> = Mutex::new(None);
        let fetch = |range: Range<u64>| {
            let seen = &seen;
            async move {
                let found = self.read(location, GetOptions::new().with_range(Some(range.clone()))).await?;
                let (size, tag) = (found.meta.size, found.meta.e_tag.clone());
                if let Some(beyond) = ranges.iter().find(|beyond| beyond.start >= size) {
                    let (path, Range { start, end }) = (self.path_of(location), beyond);
                    return Err(generic(format!("range {start}..{end} of {path} begins beyond its end at {size}")));
                }
                let first = seen.lock().get_or_insert_with(|| tag.clone().unwrap_or_default()).clone();
                if tag.as_ref().is_some_and(|tag| *tag != first) {
                    return Err(Error::Precondition {
                        path: self.path_of(location),
                        source: "it was replaced while its ranges were read".into(),
                    });
                }
                found.bytes().await
            }
        };
        if let Some(Range { start, end }) = ranges.iter().find(|range| range.is_empty()) {
            return Err(generic(format!("range {start}..{end} of {} is empty", self.path_of(location))));
        }
        coalesce_ranges(ranges, fetch, OBJECT_STORE_COALESCE_DEFAULT).await
    }
}

/// Refuses what would break the request.
fn check_header(name: &str, value: &str) -> Result<()> {
    match value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        true => Ok(()),
        false => Err(generic(format!("{name} {value:?} is not printable ASCII"))),
    }
}

/// A body on its way.
struct Reading {
    store: BucketStore,
    location: Path,
    etag: Option<String>,
    version: Option<String>,
    /// What did not arrive yet.
    left: Range<u64>,
    body: BoxStream<'static, Result<Bytes, S3Error>>,
    course: Course,
}

impl Reading {
    fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        stream::unfold(Some(self), |reading| async move {
            let mut reading = reading?;
            match reading.next().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(reading))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
        .fuse()
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        while !self.left.is_empty() {
            let silence = self.store.endpoints().patience().silence;
            let error = match tokio::time::timeout(silence, self.body.next()).await {
                Ok(Some(Ok(bytes))) => {
                    let (count, left) = (bytes.len() as u64, self.left.end - self.left.start);
                    if count > left {
                        let path = self.store.path_of(&self.location);
                        return Err(generic(format!("{path} came with more bytes than were asked for")));
                    }
                    self.left.start += count;
                    self.course.progressed();
                    match bytes.is_empty() {
                        true => continue,
                        false => return Ok(Some(bytes)),
                    }
                }
                Ok(Some(Err(error))) => error,
                Ok(None) => self.ended(),
                Err(_) => self.course.silent(),
            };
            self.resume(error).await?;
        }
        Ok(None)
    }

    fn ended(&self) -> S3Error {
        let reason = format!("the answer ended {} B early", self.left.end - self.left.start);
        S3Error::Unreachable { url: self.course.client().endpoint().to_owned(), reason, was_sent: true }
    }

    /// Asks for the rest of the same version.
    async fn resume(&mut self, mut error: S3Error) -> Result<()> {
        let path = self.store.path_of(&self.location);
        let Some(etag) = self.etag.clone() else {
            return Err(failed(&path, Failure { error, was_lost: false }));
        };
        loop {
            self.course.recover(error).await.map_err(|failure| failed(&path, failure))?;
            let rest = GetRange::Bounded(self.left.clone()).to_string();
            let mut request = S3Request::new(Method::GET, self.store.bucket()).key(self.location.as_ref());
            request = request.header("if-match", etag.clone()).header("range", rest);
            if let Some(version) = &self.version {
                request = request.query("versionId", version);
            }
            match self.course.read(request).await {
                Ok(response) => {
                    let answered = range_of(response.headers(), true).map(|(range, _)| range);
                    if answered.as_ref() != Some(&self.left) {
                        let reason = format!("of `{path}`: not the rest of the object");
                        return Err(generic(self.course.client().malformed(reason)));
                    }
                    self.body = chunks(response).boxed();
                    return Ok(());
                }
                Err(refused) => error = refused,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderName;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn dates_are_read_and_written() {
        let headers = headers(&[("last-modified", "Thu, 01 Dec 2033 16:00:05 GMT"), ("etag", "\"e\"")]);
        let meta = described(&Path::from("k"), &headers, 7).unwrap();
        assert_eq!(
            (meta.last_modified.timestamp(), meta.size, meta.e_tag.as_deref()),
            (2_017_065_605, 7, Some("\"e\""))
        );
        let options = GetOptions::new().with_if_modified_since(Some(meta.last_modified));
        assert_eq!(conditions(&options), [("if-modified-since", "Thu, 01 Dec 2033 16:00:05 GMT".to_owned())]);
        for bad in [
            "",
            "yesterday",
            "Thu, 01 Foo 2033 16:00:05 GMT",
            "Thu, 01 Dec 2033 16:00:05 CET",
            "Thu, 41 Dec 2033 16:00:05 GMT",
        ] {
            assert!(described(&Path::from("k"), &self::headers(&[("last-modified", bad)]), 7).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_are_those_of_the_answer() {
        let part = |range: &str| range_of(&headers(&[("content-length", "2"), ("content-range", range)]), true);
        assert_eq!(part("bytes 3-4/9"), Some((3..5, 9)));
        for bad in ["bytes 3-4/4", "bytes 4-3/9", "bytes */9", "3-4/9", "bytes 3-4", "bytes a-4/9"] {
            assert_eq!(part(bad), None, "{bad}");
        }
        assert_eq!(range_of(&headers(&[("content-length", "2")]), false), Some((0..2, 2)));
        assert_eq!(range_of(&headers(&[("content-length", "2")]), true), None, "the range was ignored");
        assert_eq!(range_of(&headers(&[]), false), None);
    }
}
