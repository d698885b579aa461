//! The way of an object's bytes: in, inline or to miners; out, as one stream over everything that covers a range.
//!
//! Owns the cut between small and large, and the order of contents. Must not know how a bucket decides. Invariants: memory is bounded
//! by [`INLINE_MAX_BYTES`] a body on the way in and by what `Blobs` holds on the way out; a body that is longer or shorter than
//! announced is refused.

use super::{Objects, sealing::slice, unexpected};
use crate::access::{
    blobs::{BlobError, BodyStream, Scope, StoredBody, body_of},
    objects::{
        error::ObjectsError,
        id::{BodyId, BucketId, VersionId},
        op::{Bytes as Stored, Found, FoundBody, NewBody, Op, Place, Reply},
        record::{BODY_MAX_BYTES, INLINE_MAX_BYTES},
        request::{Body, BodyDigests, BucketInfo, CustomerKey, KeyCheck, Object},
    },
};
use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _, stream};
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

impl Body {
    /// A body that is hashed where it passes. Gateways that serve many clients hash on a pool instead.
    pub fn hashed(stream: BodyStream, size: Option<u64>) -> Self {
        let hasher = Arc::new(Mutex::new(Md5::new()));
        let hashing = hasher.clone();
        let stream = stream.inspect(move |part| {
            if let Ok(bytes) = part {
                hashing.lock().update(bytes);
            }
        });
        let finish = move |_| {
            let md5 = hasher.lock().clone().finalize().into();
            async move { Ok(BodyDigests { md5, checksums: Vec::new() }) }.boxed()
        };
        Self { size, stream: stream.boxed(), finish: Box::new(finish) }
    }

    /// Bytes at hand.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes: Bytes = bytes.into();
        let size = Some(bytes.len() as u64);
        Self::hashed(body_of(bytes), size)
    }
}

/// Whether the key a caller gave is the one contents are encrypted with.
pub(super) fn check_key(
    key: &str,
    bucket: BucketId,
    wanted: Option<KeyCheck>,
    given: Option<&CustomerKey>,
) -> Result<(), ObjectsError> {
    let refuse = |reason: &str| Err(ObjectsError::CustomerKey { key: key.to_owned(), reason: reason.to_owned() });
    match (wanted, given) {
        (None, None) => Ok(()),
        (Some(wanted), Some(given)) if given.check(bucket) == wanted => Ok(()),
        (Some(_), Some(_)) => refuse("the given key is not the one it was encrypted with"),
        (Some(_), None) => refuse("it is encrypted with a customer's key, none was given"),
        (None, Some(_)) => refuse("it is not encrypted with a customer's key, one was given"),
    }
}

/// The first bytes of a body: all of it, or enough to know that it is large.
struct Start {
    parts: Vec<Bytes>,
    ended: bool,
}

async fn begin(stream: &mut BodyStream) -> Result<Start, ObjectsError> {
    let (mut parts, mut len) = (Vec::new(), 0usize);
    while let Some(part) = stream.next().await {
        let part = part?;
        len += part.len();
        parts.push(part);
        if len > INLINE_MAX_BYTES {
            return Ok(Start { parts, ended: false });
        }
    }
    Ok(Start { parts, ended: true })
}

/// Counts bytes and ends a body that grows over `max`.
fn counted(stream: BodyStream, max: u64) -> (BodyStream, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = count.clone();
    let stream = stream.map(move |part| {
        let part = part?;
        let got = counter.fetch_add(part.len() as u64, Ordering::Relaxed) + part.len() as u64;
        if got > max { Err(BlobError::Size { got, expected: max }) } else { Ok(part) }
    });
    (stream.boxed(), count)
}

impl Objects {
    /// Takes a body in: small ones stay with the operation, large ones are on twelve miners when this returns.
    pub(super) async fn store(
        &self,
        info: &BucketInfo,
        key: &str,
        body: Body,
        customer: Option<&CustomerKey>,
    ) -> Result<NewBody, ObjectsError> {
        let too_large = |size| ObjectsError::EntityTooLarge { key: key.to_owned(), size, max: BODY_MAX_BYTES };
        if let Some(size) = body.size.filter(|size| *size > BODY_MAX_BYTES) {
            return Err(too_large(size));
        }
        let id = self.draw_id();
        let sealing = self.sealing(info, customer)?;
        let (mut stream, count) = counted(body.stream, body.size.unwrap_or(BODY_MAX_BYTES));
        let start = begin(&mut stream).await?;
        let (seal, bytes) = if start.ended {
            let bytes = start.parts.concat();
            let (seal, bytes) = if bytes.is_empty() { (None, bytes) } else { sealing.seal_bytes(id, bytes) };
            (seal, Stored::Inline(bytes))
        } else {
            let whole = stream::iter(start.parts.into_iter().map(Ok)).chain(stream).boxed();
            let (seal, sealed, size) = sealing.seal_stream(id, whole, body.size);
            let scope = Scope::new(info.owner, info.id.0);
            (seal, Stored::Stored(self.inner.blobs.put(scope, size, sealed).await?))
        };
        let size = count.load(Ordering::Relaxed);
        let mut new = NewBody {
            id,
            size,
            md5: [0; 16],
            seal,
            customer: customer.map(|key| key.check(info.id)),
            bytes,
            checksums: Vec::new(),
        };
        let digests = match body.size.filter(|expected| *expected != size) {
            Some(expected) => Err(ObjectsError::IncompleteBody { key: key.to_owned(), expected, found: size }),
            None => (body.finish)(size).await,
        };
        match digests {
            Ok(digests) => (new.md5, new.checksums) = (digests.md5, digests.checksums),
            Err(refused) => {
                self.discard(info, id, new.stored()).await;
                return Err(refused);
            }
        }
        Ok(new)
    }

    /// Executes an operation that brings contents; gives them back if it is refused.
    pub(super) async fn call_or_discard(
        &self,
        place: &Place,
        op: Op,
        id: BodyId,
        stored: Option<StoredBody>,
    ) -> Result<Reply, ObjectsError> {
        let answer = self.inner.router.call(place, op).await;
        // An owner that did not answer may have taken the contents: only a refusal says that it has not.
        if let (Err(error), Some(stored)) = (&answer, stored)
            && !error.is_transient()
        {
            self.give_back(place, id, stored).await;
        }
        answer
    }

    async fn discard(&self, info: &BucketInfo, id: BodyId, stored: Option<StoredBody>) {
        if let (Some(stored), Ok(place)) = (stored, self.inner.router.find(&info.name).await) {
            self.give_back(&place, id, stored).await;
        }
    }

    async fn give_back(&self, place: &Place, id: BodyId, stored: StoredBody) {
        if let Err(error) = self.inner.router.call(place, Op::Discard(id, stored)).await {
            tracing::warn!(bucket = %place.name, %error, "contents of a refused write stay until their pack is rewritten");
        }
    }

    fn draw_id(&self) -> BodyId {
        let mut id = [0; 16];
        self.inner.node.rng.fill(&mut id);
        BodyId(id)
    }

    /// The bytes that were found, as one stream.
    pub(super) fn open(
        &self,
        info: &BucketInfo,
        place: Place,
        key: &str,
        found: Found,
        customer: Option<&CustomerKey>,
    ) -> Result<Object, ObjectsError> {
        check_key(key, info.id, found.info.customer, customer)?;
        let range = found.range.0..found.range.1;
        let reader = Reader {
            objects: self.clone(),
            place,
            key: key.to_owned(),
            id: found.id,
            info: info.clone(),
            customer: customer.cloned(),
            range: range.clone(),
            bodies: found.bodies.into(),
            next: found.next,
            current: None,
        };
        let body = stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            match reader.part().await {
                Ok(Some(bytes)) => Some((Ok(bytes), Some(reader))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(Object { info: found.info, range, body: body.boxed() })
    }
}

/// Reads an object's range: contents after contents.
struct Reader {
    objects: Objects,
    place: Place,
    key: String,
    id: VersionId,
    info: BucketInfo,
    customer: Option<CustomerKey>,
    /// Of the object.
    range: Range<u64>,
    bodies: VecDeque<FoundBody>,
    next: Option<u64>,
    current: Option<BodyStream>,
}

impl Reader {
    /// The next bytes; `None` at the end.
    async fn part(&mut self) -> Result<Option<Bytes>, BlobError> {
        loop {
            if let Some(current) = &mut self.current {
                match current.next().await {
                    Some(part) => return part.map(Some),
                    None => self.current = None,
                }
            }
            if let Some(body) = self.bodies.pop_front() {
                self.current = self.open(body).await?;
            } else if let Some(from) = self.next.take() {
                self.more(from).await?;
            } else {
                return Ok(None);
            }
        }
    }

    async fn more(&mut self, from: u64) -> Result<(), BlobError> {
        let op = Op::More { key: self.key.clone(), id: self.id, from };
        match self.objects.inner.router.call(&self.place, op).await {
            Ok(Reply::Found(found)) => {
                self.bodies = found.bodies.into();
                self.next = found.next.filter(|next| *next > from && *next < self.range.end);
                Ok(())
            }
            Ok(other) => Err(BlobError::Fetch(unexpected("more", &other).to_string())),
            Err(error) => Err(BlobError::Fetch(error.to_string())),
        }
    }

    /// The part of `body` that lies in the range; `None` where there is none.
    async fn open(&mut self, body: FoundBody) -> Result<Option<BodyStream>, BlobError> {
        let (start, end) = (self.range.start.max(body.at), self.range.end.min(body.at + body.len));
        if start >= end {
            return Ok(None);
        }
        let wanted = body.start + (start - body.at)..body.start + (end - body.at);
        let blobs = self.objects.inner.blobs.clone();
        match (body.seal, body.bytes) {
            (None, Stored::Inline(bytes)) => Ok(Some(slice(&bytes, &wanted)?)),
            (None, Stored::Stored(stored)) => Ok(Some(blobs.get(stored, wanted).await?)),
            (Some(seal), bytes) => {
                let unsealed = self.objects.unsealing(&self.info, self.customer.as_ref());
                let sealing = unsealed.map_err(|error| BlobError::Fetch(error.to_string()))?;
                Ok(Some(sealing.open(&blobs, body.id, &seal, bytes, body.size, wanted).await?))
            }
        }
    }
}
