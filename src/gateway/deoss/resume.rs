//! Files that come in parts (`PUT /resume/:name` with `Content-Range`), any of which may be sent again.
//!
//! Full segments go to their miners as they come; what is left of a part waits in a [`Tails`] file. Invariants: a part is taken whole or
//! not at all; what was taken survives a restart of the gateway; memory and disk are bounded.

use super::{
    super::reply::Refusal,
    Deoss, answer,
    auth::Signed,
    content::Content,
    storing::checked_name,
    tail::{Tails, Taken, Unfinished},
};
use crate::{
    client::deoss::{BodyHash, Stored},
    crypto::hash,
    runtime::Counter,
    storage::{
        slicer::SliceError,
        upload::{StoreCall, Upload, UploadError, UploadId},
    },
    types::{
        Address,
        params::{FILE_MAX_BYTES, SEGMENT_MAX_BYTES},
    },
};
use axum::{
    body::Body,
    http::{Response, StatusCode, header},
};
use parking_lot::Mutex;
use std::{collections::BTreeSet, io, path::PathBuf, time::Duration};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Files that may be incomplete at a time; each has at most a segment on disk.
const INCOMPLETE_MAX: usize = 256;
/// Of one account.
const INCOMPLETE_OF_ONE_MAX: usize = 16;
/// How long after its first part a file can be continued. Its fragments are collected by the miners meanwhile.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// Files of which parts are here.
pub struct Incomplete {
    tails: Tails,
    busy: Mutex<BTreeSet<[u8; 16]>>,
}

impl Incomplete {
    /// With tails in `dir`.
    pub fn new(dir: PathBuf) -> Self {
        Self { tails: Tails::new(dir), busy: Mutex::default() }
    }

    fn enter(&self, id: UploadId) -> Option<Turn<'_>> {
        self.busy.lock().insert(id.0).then(|| Turn(self, id))
    }
}

/// One request at a time works on a file.
struct Turn<'a>(&'a Incomplete, UploadId);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.busy.lock().remove(&self.1.0);
    }
}

/// Bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The first.
    pub start: u64,
    /// The first that is not among them.
    pub end: u64,
    /// The file's length.
    pub total: u64,
}

impl Part {
    /// Reads `0-99/1000`.
    pub fn parse(range: Option<&str>) -> Result<Self, Refusal> {
        let range = range.ok_or_else(|| Refusal::bad_request("Content-Range is missing from the request header"))?;
        let illegal = || {
            let shown: String = range.chars().take(80).collect();
            let text = format!("Illegal Content-Range content: `{shown}`, expected `bytes FIRST-LAST/TOTAL`");
            Refusal::bad_request(text)
        };
        let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => text.parse::<u64>().map_err(|_| illegal()),
            false => Err(illegal()),
        };
        let (part, total) = range.split_once('/').ok_or_else(illegal)?;
        let (first, last) = part.split_once('-').ok_or_else(illegal)?;
        let (start, last, total) = (number(first)?, number(last)?, number(total)?);
        if start > last || last >= total {
            return Err(illegal());
        }
        if total > FILE_MAX_BYTES {
            let text = format!("the file has {total} B, the limit is {FILE_MAX_BYTES} B");
            return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text));
        }
        Ok(Self { start, end: last + 1, total })
    }

    fn is_last(&self) -> bool {
        self.end == self.total
    }

    fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Bytes that fill segments once a part lies behind `tail` bytes; all of them if it is the last.
    fn to_disperse(self, tail: u64) -> u64 {
        let there = tail + self.len();
        if self.is_last() { there } else { there - there % SEGMENT_MAX_BYTES }
    }
}

/// What is to be done with a part.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is the next one.
    Next,
    /// It was taken already: its sender did not hear of it.
    Again,
    /// It is the first one of a file that begins anew.
    Anew,
}

fn step(part: Part, taken: Option<&Taken>, signed: &BodyHash) -> Result<Step, Refusal> {
    let at = taken.map_or(0, |taken| taken.end);
    let is_same = |taken: &Taken| {
        (taken.start, taken.end) == (part.start, part.end) && *signed == BodyHash::Sha256(vec![taken.hash])
    };
    if taken.is_some_and(is_same) {
        return Ok(Step::Again);
    }
    match part.start {
        start if start == at => Ok(Step::Next),
        0 => Ok(Step::Anew),
        start => Err(Refusal::bad_request(format!(
            "Illegal Content-Range content: it begins at byte {start}, the gateway has {at} B of this file: go on there, or begin at 0"
        ))),
    }
}

impl Deoss {
    /// `PUT /resume/:name`.
    pub(super) async fn resume(
        &self,
        signed: &Signed,
        name: &str,
        mut content: Content,
    ) -> Result<Response<Body>, Refusal> {
        let name = checked_name(name)?;
        let part = Part::parse(signed.range.as_deref())?;
        let territory = self.may_store(signed, part.total).await?;
        let total = part.total.to_le_bytes();
        let digest =
            hash::tagged("cess 2026 deoss resume v1", &[signed.account.as_slice(), &total[..], name.as_bytes()]);
        let id = UploadId(*digest.first_chunk().expect("a digest is longer than an id"));
        let _alone = self.incomplete.enter(id).ok_or_else(|| {
            Refusal::new(StatusCode::CONFLICT, "busy", format!("another request sends a part of `{name}`"))
        })?;
        let mut known = self.incomplete.tails.open(id).await.map_err(unkept)?;
        let mut upload = self.uploader.journal().load(id)?;
        // The journal is not synced with each segment: a power failure may have taken some back.
        let sent = upload.as_ref().map_or(0, |upload| upload.segments.len() as u64);
        if upload.is_none() || known.as_ref().is_some_and(|(taken, _)| taken.segments > sent) {
            known = None;
        }
        match step(part, known.as_ref().map(|(taken, _)| taken), &signed.body)? {
            Step::Again => {
                // To its end, or the connection breaks before the sender has read the answer.
                content.next_file().await?;
                tokio::io::copy(&mut content.reader(), &mut tokio::io::sink()).await.map_err(unkept)?;
                return Ok(taken_answer(part));
            }
            Step::Next if known.is_some() => {}
            Step::Next | Step::Anew => {
                self.forget(id).await?;
                self.make_room(signed).await?;
                (known, upload) = (None, None);
            }
        }
        content.next_file().await?;
        let now = self.node.clock.unix_ms();
        let upload = upload.unwrap_or_else(|| Upload::new(id, signed.account, name.clone(), Some(part.total), now));
        let sent = self.take(upload, known, part, (signed, content)).await?;
        let Some(call) = sent else { return Ok(taken_answer(part)) };
        self.records.store(signed.account, territory, &call, &name).await?;
        self.forget(id).await?;
        Ok(answer::ok(Stored { fid: call.file.to_string() }))
    }

    /// Takes a part; gives the call that stores the file after the last one.
    async fn take(
        &self,
        mut upload: Upload,
        known: Option<(Taken, tokio::fs::File)>,
        part: Part,
        (signed, mut content): (&Signed, Content),
    ) -> Result<Option<StoreCall>, Refusal> {
        let (segments, tail_len) = known.as_ref().map_or((0, 0), |(taken, _)| (taken.segments, taken.tail_len()));
        let kept =
            usize::try_from(segments).map_err(|_| Refusal::internal("more segments than a manifest may have"))?;
        let started_ms = known.as_ref().map_or(upload.head.started_ms, |(taken, _)| taken.started_ms);
        self.set_back(&mut upload, kept)?;
        let tail: Box<dyn AsyncRead + Unpin + Send> = match known {
            Some((_, file)) => Box::new(file),
            None => Box::new(tokio::io::empty()),
        };
        let input = tail.chain(content.reader());
        let sent = self.send_part(&mut upload, input, part, tail_len).await;
        let (len, hash) = content.finish_file();
        let checked = match (&sent, len == part.len()) {
            (Ok(_), true) => self.ended(&mut content, signed).await,
            (Ok(_), false) => {
                Err(Refusal::bad_request(format!("{len} B were sent, Content-Range announces {}", part.len())))
            }
            (Err(_), _) => Ok(()),
        };
        let (call, rest) = match (sent, checked) {
            (Ok(sent), Ok(())) => sent,
            (Err(refusal), _) | (_, Err(refusal)) => {
                self.set_back(&mut upload, kept)?;
                return Err(refusal);
            }
        };
        self.node.metrics.add(Counter::UserBytesIn, len);
        if let Some(rest) = rest {
            let owner = signed.account.into();
            let segments = upload.segments.len() as u64;
            let taken = Taken { owner, started_ms, segments, start: part.start, end: part.end, hash };
            self.uploader.journal().save_head(&upload)?;
            rest.keep(&taken).await.map_err(unkept)?;
        }
        Ok(call)
    }

    /// Sends full segments to their miners and writes the rest down; the last part's rest is a segment too.
    async fn send_part(
        &self,
        upload: &mut Upload,
        mut input: impl AsyncRead + Unpin + Send,
        part: Part,
        tail: u64,
    ) -> Result<(Option<StoreCall>, Option<Unfinished>), Refusal> {
        let bytes = part.to_disperse(tail);
        if part.is_last() {
            return Ok((Some(self.uploader.upload(upload, input, &|_| {}).await?), None));
        }
        if bytes > 0 {
            let until = upload.offset() + bytes;
            match self.uploader.upload(upload, (&mut input).take(bytes), &|_| {}).await {
                // The file goes on: that it is not complete is what ends this.
                Err(UploadError::Slice(SliceError::Size { got, .. })) if got == until && upload.offset() == until => {}
                Err(error) => return Err(error.into()),
                Ok(_) => return Err(Refusal::internal("a file that goes on was taken for a whole one")),
            }
        }
        let rest = self.incomplete.tails.write(upload.id, input).await.map_err(unkept)?;
        Ok((None, Some(rest)))
    }

    async fn ended(&self, content: &mut Content, signed: &Signed) -> Result<(), Refusal> {
        if content.next_file().await?.is_some() {
            return Err(Refusal::bad_request("the form has more than one file"));
        }
        content.check(&signed.body)
    }

    fn set_back(&self, upload: &mut Upload, segments: usize) -> Result<(), Refusal> {
        upload.segments.truncate(segments);
        Ok(self.uploader.journal().truncate(upload.id, segments)?)
    }

    async fn forget(&self, id: UploadId) -> Result<(), Refusal> {
        self.uploader.journal().remove(id)?;
        self.incomplete.tails.remove(id).await.map_err(unkept)
    }

    /// Makes room for a file that begins: those begun long ago are forgotten.
    async fn make_room(&self, signed: &Signed) -> Result<(), Refusal> {
        let (now, kept) = (self.node.clock.unix_ms(), u64::try_from(KEPT.as_millis()).unwrap_or(u64::MAX));
        let (mut all, mut own) = (0, 0);
        for (id, taken) in self.incomplete.tails.list().await.map_err(unkept)? {
            if now.saturating_sub(taken.started_ms) > kept
                && let Some(_alone) = self.incomplete.enter(id)
            {
                self.forget(id).await?;
                continue;
            }
            all += 1;
            own += usize::from(Address::from(taken.owner) == signed.account);
        }
        if own >= INCOMPLETE_OF_ONE_MAX || all >= INCOMPLETE_MAX {
            return Err(Refusal::unavailable(format!(
                "{own} files of this account and {all} in all are incomplete, the limits are {INCOMPLETE_OF_ONE_MAX} and {INCOMPLETE_MAX}"
            )));
        }
        Ok(())
    }
}

fn unkept(error: io::Error) -> Refusal {
    match error.kind() {
        // What the sender did, seen through the copy.
        io::ErrorKind::InvalidData | io::ErrorKind::Other => Refusal::bad_request(error.to_string()),
        _ => Refusal::internal(format!("a part cannot be kept: {error}")),
    }
}

/// The part was taken, the file goes on.
fn taken_answer(part: Part) -> Response<Body> {
    let data: Option<()> = None;
    let mut response = answer::document(StatusCode::PERMANENT_REDIRECT, &data);
    let Part { start, end, total } = part;
    answer::insert(response.headers_mut(), header::CONTENT_RANGE, format!("bytes {start}-{}/{total}", end - 1));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_strict() {
        assert_eq!(Part::parse(Some("0-99/100")).unwrap(), Part { start: 0, end: 100, total: 100 });
        assert_eq!(Part::parse(Some("5-5/7")).unwrap(), Part { start: 5, end: 6, total: 7 });
        for bad in ["0-100/100", "5-4/10", "0-9", "0-9/*", "-9/10", "0-/10", "+0-9/10", "a-9/10", "0-9/10/11"] {
            let text = Part::parse(Some(bad)).unwrap_err().text().to_owned();
            assert!(text.contains(bad), "{text}");
        }
        assert!(Part::parse(None).unwrap_err().text().contains("missing"));
        let large = Part::parse(Some(&format!("0-1/{}", FILE_MAX_BYTES + 1))).unwrap_err();
        assert_eq!(large.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn one_request_at_a_time_works_on_a_file() {
        let incomplete = Incomplete::new(PathBuf::from("nowhere"));
        let first = incomplete.enter(UploadId([1; 16]));
        assert!(first.is_some());
        assert!(incomplete.enter(UploadId([1; 16])).is_none());
        assert!(incomplete.enter(UploadId([1; 16])).is_none(), "a refusal lets nobody in");
        assert!(incomplete.enter(UploadId([2; 16])).is_some());
        drop(first);
        assert!(incomplete.enter(UploadId([1; 16])).is_some());
    }

    #[test]
    fn full_segments_are_dispersed_and_the_rest_waits() {
        let segment = SEGMENT_MAX_BYTES;
        let part = |start, end| Part { start, end, total: 10 * segment };
        assert_eq!(part(0, 5).to_disperse(0), 0);
        assert_eq!(part(5, segment).to_disperse(5), segment);
        assert_eq!(part(5, 3 * segment + 1).to_disperse(5), 3 * segment);
        assert_eq!(part(9 * segment + 3, 10 * segment).to_disperse(3), segment);
        let last = Part { start: 3, end: 7, total: 7 };
        assert_eq!(last.to_disperse(3), 7, "the last part leaves nothing behind");
    }

    #[test]
    fn parts_follow_each_other_or_are_repeated() {
        let part = |start, end| Part { start, end, total: 100 };
        let signed = BodyHash::Sha256(vec![[1; 32]]);
        let taken = Taken { owner: [0; 20], started_ms: 0, segments: 0, start: 10, end: 30, hash: [1; 32] };
        assert_eq!(step(part(0, 10), None, &signed).unwrap(), Step::Next);
        assert_eq!(step(part(30, 40), Some(&taken), &signed).unwrap(), Step::Next);
        assert_eq!(step(part(10, 30), Some(&taken), &signed).unwrap(), Step::Again);
        assert_eq!(step(part(0, 30), Some(&taken), &signed).unwrap(), Step::Anew);
        for (part, signed) in [
            (part(10, 30), BodyHash::Unsigned),
            (part(10, 30), BodyHash::Sha256(vec![[2; 32]])),
            (part(29, 40), signed.clone()),
            (part(31, 40), signed.clone()),
        ] {
            let text = step(part, Some(&taken), &signed).unwrap_err().text().to_owned();
            assert!(text.contains("has 30 B"), "{text}");
        }
        assert!(step(part(5, 10), None, &signed).is_err(), "a file begins at its beginning");
    }
}
