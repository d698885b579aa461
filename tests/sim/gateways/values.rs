//! What clients write: every value is written once, and known again by its bytes and by its tag.

use bytes::Bytes;
use cess::{
    access::{
        blobs::body_of,
        objects::{
            ETag,
            request::{Body, BodyDigests},
        },
    },
    crypto::hash,
};
use futures::FutureExt;
use md5::{Digest as _, Md5};
use parking_lot::Mutex;
use std::collections::BTreeMap;

/// All values of a run.
#[derive(Default)]
pub struct Values(Mutex<Known>);

#[derive(Default)]
struct Known {
    count: u64,
    by_bytes: BTreeMap<[u8; 32], u64>,
    by_tag: BTreeMap<([u8; 16], u32), u64>,
}

/// A value with its bytes.
#[derive(Debug, Clone)]
pub struct Value {
    pub number: u64,
    pub bytes: Bytes,
    pub tag: ETag,
}

impl Known {
    fn learn(&mut self, bytes: Bytes, tag: impl FnOnce(u64) -> ETag) -> Value {
        self.count += 1;
        let number = self.count;
        let tag = tag(number);
        self.by_bytes.insert(hash::content(&bytes), number);
        self.by_tag.insert((tag.md5, tag.parts), number);
        Value { number, bytes, tag }
    }
}

impl Values {
    /// A value of so many bytes.
    pub fn fresh(&self, len: usize) -> Value {
        let mut known = self.0.lock();
        let mut bytes = vec![0; len];
        hash::stream("cess 2026 simulated value", &known.count.to_le_bytes()).fill(&mut bytes);
        // In the place of MD5, which takes its time: anything that is its own.
        let tag = |number: u64| ETag { md5: u128::from(number).to_be_bytes(), parts: 0 };
        known.learn(bytes.into(), tag)
    }

    /// The value that parts make.
    pub fn of_parts(&self, parts: &[Value]) -> Value {
        let bytes: Vec<u8> = parts.iter().flat_map(|part| part.bytes.iter().copied()).collect();
        let mut digest = Md5::new();
        parts.iter().for_each(|part| digest.update(part.tag.md5));
        let parts = u32::try_from(parts.len()).expect("a few parts");
        let tag = ETag { md5: digest.finalize().into(), parts };
        self.0.lock().learn(bytes.into(), |_| tag)
    }

    /// The value with these bytes.
    pub fn of_bytes(&self, bytes: &[u8]) -> Option<u64> {
        self.0.lock().by_bytes.get(&hash::content(bytes)).copied()
    }

    /// The value with this tag.
    pub fn of_tag(&self, tag: &ETag) -> Option<u64> {
        self.0.lock().by_tag.get(&(tag.md5, tag.parts)).copied()
    }
}

impl Value {
    /// It as a body.
    pub fn body(&self) -> Body {
        let md5 = self.tag.md5;
        Body {
            size: Some(self.bytes.len() as u64),
            stream: body_of(self.bytes.clone()),
            finish: Box::new(move |_| async move { Ok(BodyDigests { md5, checksums: Vec::new() }) }.boxed()),
        }
    }
}
