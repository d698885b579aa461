//! Sealing of contents on their way in and out.
//!
//! Owns the choice of the wrapping key. Must not know the cipher. Invariants: every body has a key of its own, bound to its bucket and id; a bucket's key stays in memory only.

use super::Objects;
use crate::{
    access::{
        blobs::{BlobError, Blobs, BodyStream, body_of},
        data::{
            opened,
            seal::{BodyCipher, DataKey, Envelope, cover, sealed_len},
            sealed,
        },
        objects::{
            config::Encryption,
            error::ObjectsError,
            id::{BodyId, BucketId},
            op::Bytes as Stored,
            record::Seal,
            request::{BucketInfo, CustomerKey},
        },
    },
    runtime::NodeRng,
};
use std::{ops::Range, sync::Arc};

/// Buckets whose keys are remembered.
const KEYS_MAX: usize = 1_000;

/// How contents of one bucket, or of one customer, are sealed.
#[derive(Clone)]
pub(super) struct Sealing {
    customer: bool,
    /// `None`: they are stored in the clear.
    key: Option<DataKey>,
    bucket: BucketId,
    rng: NodeRng,
}

impl Objects {
    /// For new contents: with the customer's key, the bucket's, or none.
    pub(super) fn sealing(&self, info: &BucketInfo, customer: Option<&CustomerKey>) -> Result<Sealing, ObjectsError> {
        match (customer, info.config.encryption) {
            (None, Encryption::Off) => Ok(self.with_key(info, false, None)),
            _ => self.unsealing(info, customer),
        }
    }

    /// For contents that are sealed.
    pub(super) fn unsealing(&self, info: &BucketInfo, customer: Option<&CustomerKey>) -> Result<Sealing, ObjectsError> {
        let key = match customer {
            Some(customer) => DataKey::new(*customer.0.expose()),
            None => self.bucket_key(info)?,
        };
        Ok(self.with_key(info, customer.is_some(), Some(key)))
    }

    fn with_key(&self, info: &BucketInfo, customer: bool, key: Option<DataKey>) -> Sealing {
        let node = &self.inner.node;
        Sealing { customer, key, bucket: info.id, rng: node.rng.clone() }
    }

    /// The bucket's key. Opening its envelope costs more than sealing a small object, so it is remembered.
    fn bucket_key(&self, info: &BucketInfo) -> Result<DataKey, ObjectsError> {
        if let Some(key) = self.inner.bucket_keys.lock().get(&info.id) {
            return Ok(key.clone());
        }
        let key = self.inner.keys.open(info.id, info.owner, &info.config.key_envelopes)?;
        let mut known = self.inner.bucket_keys.lock();
        if known.len() >= KEYS_MAX {
            known.clear();
        }
        known.insert(info.id, key.clone());
        Ok(key)
    }
}

impl Sealing {
    /// Contents at hand, sealed.
    pub(super) fn seal_bytes(&self, id: BodyId, bytes: Vec<u8>) -> (Option<Seal>, Vec<u8>) {
        match self.begin(id) {
            None => (None, bytes),
            Some((seal, cipher)) => (Some(seal), cipher.seal(&bytes)),
        }
    }

    /// Contents as they come, sealed, and how many bytes they will have.
    pub(super) fn seal_stream(
        &self,
        id: BodyId,
        body: BodyStream,
        size: Option<u64>,
    ) -> (Option<Seal>, BodyStream, Option<u64>) {
        match self.begin(id) {
            None => (None, body, size),
            Some((seal, cipher)) => (Some(seal), sealed(cipher, body), size.map(sealed_len)),
        }
    }

    /// A new key for new contents.
    fn begin(&self, id: BodyId) -> Option<(Seal, BodyCipher)> {
        let wrapping = self.key.as_ref()?;
        let (envelope, cipher) = Envelope::new(&self.rng, wrapping, &self.context(id));
        Some((Seal { customer: self.customer, envelope }, cipher))
    }

    /// The bytes `wanted` of contents of `size` bytes, opened.
    pub(super) async fn open(
        &self,
        blobs: &Arc<dyn Blobs>,
        id: BodyId,
        seal: &Seal,
        bytes: Stored,
        size: u64,
        wanted: Range<u64>,
    ) -> Result<BodyStream, BlobError> {
        let cipher = self.cipher(id, seal).ok_or(BlobError::Tampered { chunk: 0 })?;
        match bytes {
            Stored::Inline(bytes) => slice(&cipher.open(bytes)?, &wanted),
            Stored::Stored(stored) => {
                let cover = cover(size, &wanted)?;
                let bytes = blobs.get(stored, cover.sealed.clone()).await?;
                Ok(opened(cipher, &cover, bytes))
            }
        }
    }

    fn cipher(&self, id: BodyId, seal: &Seal) -> Option<BodyCipher> {
        let wrapping = self.key.as_ref().filter(|_| seal.customer == self.customer)?;
        seal.envelope.open(wrapping, &self.context(id))
    }

    /// What binds a key to its contents.
    fn context(&self, id: BodyId) -> Vec<u8> {
        [self.bucket.0, id.0].concat()
    }
}

/// A part of bytes at hand.
pub(super) fn slice(bytes: &[u8], wanted: &Range<u64>) -> Result<BodyStream, BlobError> {
    let outside = || BlobError::Range { start: wanted.start, end: wanted.end, size: bytes.len() as u64 };
    let from = usize::try_from(wanted.start).map_err(|_| outside())?;
    let to = usize::try_from(wanted.end).map_err(|_| outside())?;
    Ok(body_of(bytes.get(from..to).ok_or_else(outside)?.to_vec()))
}
