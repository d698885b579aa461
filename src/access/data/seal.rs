//! Encryption of bodies: AES-256-GCM in the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár (2015).
//!
//! Owns chunks, nonces, wrapped keys and which chunks a range touches. Must not know where the bytes lie. A body is cut into chunks of
//! [`CHUNK_BYTES`]; chunk `n` is sealed under the nonce `prefix (7 B) ‖ n (u32, big endian) ‖ 1 if it is the last`. Invariants: a chunk
//! opens only at its own place, and only the last one as the last, so that reordered and cut bodies are refused; a key seals two
//! bodies only under different prefixes.

use crate::{access::blobs::BlobError, crypto::hash, runtime::NodeRng};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::{fmt, ops::Range};
use zeroize::Zeroizing;

/// Plain bytes of every chunk but the last.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// What a chunk grows by.
pub const TAG_BYTES: u64 = 16;
/// Bytes of a sealed chunk.
pub const SEALED_CHUNK_BYTES: u64 = CHUNK_BYTES + TAG_BYTES;
/// Bytes of a wrapped key: nonce, key, tag.
pub const WRAPPED_BYTES: usize = NONCE_LEN + KEY_BYTES + TAG;
/// Longest body.
pub const BODY_MAX_BYTES: u64 = CHUNK_BYTES * (u32::MAX as u64);

/// What a short text grows by: nonce and tag.
pub const SHORT_GROWTH_BYTES: usize = NONCE_LEN + TAG;

const KEY_BYTES: usize = 32;
const TAG: usize = 16;
const SHORT_DOMAIN: &str = "cess 2026 short text key v1";
const CHUNK: usize = 64 << 10;
const _: () = assert!(CHUNK as u64 == CHUNK_BYTES && TAG as u64 == TAG_BYTES);

/// A key of a body or of a bucket. Zeroised when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl DataKey {
    /// A key of these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves. Every call site is a place to review.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    fn aead(&self) -> LessSafeKey {
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &self.0[..]).expect("the key has 32 bytes"))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What tells bodies under one key apart: random for each body, or part of one.
pub type NoncePrefix = [u8; 7];

/// Seals and opens the chunks of one body.
#[derive(Clone)]
pub struct BodyCipher {
    key: std::sync::Arc<LessSafeKey>,
    prefix: NoncePrefix,
}

impl BodyCipher {
    /// The cipher of a body.
    pub fn new(key: &DataKey, prefix: NoncePrefix) -> Self {
        Self { key: std::sync::Arc::new(key.aead()), prefix }
    }

    /// Appends the sealed chunk to `out`.
    pub fn seal_chunk(&self, chunk: u32, last: bool, plain: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(plain);
        self.seal_tail(chunk, last, out, start);
    }

    /// Seals the chunk that is in `out` from byte `start` on.
    pub(super) fn seal_tail(&self, chunk: u32, last: bool, out: &mut Vec<u8>, start: usize) {
        let len = out.len() - start;
        assert!(if last { len <= CHUNK } else { len == CHUNK }, "a chunk of {len} B");
        let nonce = self.nonce(chunk, last);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut out[start..]);
        out.extend_from_slice(tag.expect("a chunk is far below the cipher's limit").as_ref());
    }

    /// Opens a sealed chunk in its place; returns its plain bytes.
    pub fn open_chunk<'a>(&self, chunk: u32, last: bool, sealed: &'a mut [u8]) -> Result<&'a mut [u8], BlobError> {
        let opened = self.key.open_in_place(self.nonce(chunk, last), Aad::empty(), sealed);
        opened.map_err(|_| BlobError::Tampered { chunk: chunk.into() })
    }

    /// A body that is at hand, sealed.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(usize::try_from(sealed_len(plain.len() as u64)).unwrap_or(0));
        self.seal_from(0, true, plain, &mut out);
        out
    }

    /// A whole sealed body, opened.
    pub fn open(&self, mut sealed: Vec<u8>) -> Result<Vec<u8>, BlobError> {
        let len = self.open_from(0, true, &mut sealed)?;
        sealed.truncate(len);
        Ok(sealed)
    }

    /// Seals consecutive chunks from number `first` on, appended to `out`. The last may be short only if the body `ends` here.
    pub(super) fn seal_from(&self, first: u32, ends: bool, plain: &[u8], out: &mut Vec<u8>) {
        if plain.is_empty() && ends {
            return self.seal_chunk(first, true, plain, out);
        }
        let chunks = plain.len().div_ceil(CHUNK);
        for (number, chunk) in plain.chunks(CHUNK).enumerate() {
            self.seal_chunk(nth(first, number), ends && number + 1 == chunks, chunk, out);
        }
    }

    /// Opens consecutive chunks from number `first` on and moves their plain bytes together; returns how many there are.
    pub(super) fn open_from(&self, first: u32, ends: bool, sealed: &mut [u8]) -> Result<usize, BlobError> {
        let chunks = sealed.len().div_ceil(CHUNK + TAG).max(1);
        let (mut from, mut to) = (0, 0);
        for number in 0..chunks {
            let end = sealed.len().min(from + CHUNK + TAG);
            let len = self.open_chunk(nth(first, number), ends && number + 1 == chunks, &mut sealed[from..end])?.len();
            sealed.copy_within(from..from + len, to);
            (from, to) = (end, to + len);
        }
        Ok(to)
    }

    fn nonce(&self, chunk: u32, last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..7].copy_from_slice(&self.prefix);
        nonce[7..11].copy_from_slice(&chunk.to_be_bytes());
        nonce[11] = last.into();
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Number of the chunk `number` places behind `first`.
fn nth(first: u32, number: usize) -> u32 {
    u32::try_from(number).ok().and_then(|number| first.checked_add(number)).expect("a body has less than 2³² chunks")
}

/// Bytes of a sealed body of `plain` bytes. An empty one has a chunk too, so that its emptiness is authentic.
pub fn sealed_len(plain: u64) -> u64 {
    plain.saturating_add(plain.div_ceil(CHUNK_BYTES).max(1).saturating_mul(TAG_BYTES))
}

/// What has to be read to have the plain bytes of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// Number of the first chunk.
    pub first: u32,
    /// Sealed bytes to read: whole chunks.
    pub sealed: Range<u64>,
    /// Plain bytes of the first chunk before the range.
    pub skip: u64,
    /// Plain bytes of the range.
    pub len: u64,
    /// Whether the last chunk of the body is among them.
    pub ends: bool,
}

/// The chunks that hold the plain bytes `range` of a body of `plain` bytes.
pub fn cover(plain: u64, range: &Range<u64>) -> Result<Cover, BlobError> {
    let outside = BlobError::Range { start: range.start, end: range.end, size: plain };
    if range.start > range.end || range.end > plain || plain > BODY_MAX_BYTES {
        return Err(outside);
    }
    let chunks = plain.div_ceil(CHUNK_BYTES).max(1);
    let first = (range.start / CHUNK_BYTES).min(chunks - 1);
    // An empty range of a body that is not empty is checked by one chunk too.
    let next = range.end.div_ceil(CHUNK_BYTES).clamp(first + 1, chunks);
    let ends = next == chunks;
    let end = if ends { sealed_len(plain) } else { next * SEALED_CHUNK_BYTES };
    Ok(Cover {
        first: u32::try_from(first).map_err(|_| outside)?,
        sealed: first * SEALED_CHUNK_BYTES..end,
        skip: range.start - first * CHUNK_BYTES,
        len: range.end - range.start,
        ends,
    })
}

/// What is kept of a sealed body besides its bytes: its key, wrapped, and its nonces' prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Envelope {
    wrapped: [u8; WRAPPED_BYTES],
    prefix: NoncePrefix,
}

impl Envelope {
    /// A new random key for a body, wrapped under `wrapping` and bound to `context`.
    pub fn new(rng: &NodeRng, wrapping: &DataKey, context: &[u8]) -> (Self, BodyCipher) {
        let (mut key, mut nonce, mut prefix) = (Zeroizing::new([0; KEY_BYTES]), [0; NONCE_LEN], [0; 7]);
        rng.fill(&mut key[..]);
        rng.fill(&mut nonce);
        rng.fill(&mut prefix);
        let key = DataKey(key);
        (Self { wrapped: wrap(wrapping, &key, context, nonce), prefix }, BodyCipher::new(&key, prefix))
    }

    /// The body's cipher; nothing if it is another wrapping key or context.
    pub fn open(&self, wrapping: &DataKey, context: &[u8]) -> Option<BodyCipher> {
        Some(BodyCipher::new(&unwrap(wrapping, &self.wrapped, context)?, self.prefix))
    }
}

/// Seals `key` under `wrapping`, bound to `context`. The nonce is random.
pub fn wrap(wrapping: &DataKey, key: &DataKey, context: &[u8], nonce: [u8; NONCE_LEN]) -> [u8; WRAPPED_BYTES] {
    let mut out = [0; WRAPPED_BYTES];
    let (head, text) = out.split_at_mut(NONCE_LEN);
    head.copy_from_slice(&nonce);
    let (body, tag) = text.split_at_mut(KEY_BYTES);
    body.copy_from_slice(&key.0[..]);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let sealed = wrapping.aead().seal_in_place_separate_tag(nonce, Aad::from(context), body);
    tag.copy_from_slice(sealed.expect("a key is far below the cipher's limit").as_ref());
    out
}

/// Opens what [`wrap`] made; nothing if it was another key or context, or the bytes were changed.
pub fn unwrap(wrapping: &DataKey, wrapped: &[u8; WRAPPED_BYTES], context: &[u8]) -> Option<DataKey> {
    let (nonce, text) = wrapped.split_first_chunk::<NONCE_LEN>()?;
    let mut text = Zeroizing::new(text.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let key = wrapping.aead().open_in_place(nonce, Aad::from(context), &mut text[..]).ok()?;
    Some(DataKey::new((&*key).try_into().ok()?))
}

/// Seals a text that needs no key of its own, bound to `context`: a random nonce, the text, its tag. Under a key that is made from `key`
/// for such texts alone, of which there may be 2³².
pub fn seal_short(rng: &NodeRng, key: &DataKey, context: &[u8], plain: &[u8]) -> Vec<u8> {
    let mut nonce = [0; NONCE_LEN];
    rng.fill(&mut nonce);
    let mut text = plain.to_vec();
    let sealed =
        short(key).seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut text);
    sealed.expect("a short text is far below the cipher's limit");
    [&nonce[..], &text].concat()
}

/// Opens what [`seal_short`] sealed; nothing if key or context are others, or it was changed.
pub fn open_short(key: &DataKey, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>()?;
    let mut text = text.to_vec();
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let len = short(key).open_in_place(nonce, Aad::from(context), &mut text).ok()?.len();
    text.truncate(len);
    Some(text)
}

fn short(key: &DataKey) -> LessSafeKey {
    DataKey::new(hash::tagged(SHORT_DOMAIN, &[key.expose()])).aead()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cipher() -> BodyCipher {
        BodyCipher::new(&DataKey::new([7; 32]), *b"prefix0")
    }

    fn sample(len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        crate::crypto::hash::stream("cess 2026 seal test", &len.to_le_bytes()).fill(&mut bytes);
        bytes
    }

    /// NIST GCM test case 14: the block cipher underneath is the one of the standard.
    #[test]
    fn the_cipher_is_the_standard_one() {
        let key = DataKey::new([0; 32]).aead();
        let mut text = [0; 16];
        let nonce = Nonce::assume_unique_for_key([0; NONCE_LEN]);
        let tag = key.seal_in_place_separate_tag(nonce, Aad::empty(), &mut text).unwrap();
        assert_eq!(hex::encode(text), "cea7403d4d606b6e074ec5d3baf39d18");
        assert_eq!(hex::encode(tag.as_ref()), "d0d1c8a799996bf0265b98b5d48ab919");
    }

    /// The format: nonce of every chunk, order of chunk and tag.
    #[test]
    fn a_body_is_its_chunks_each_with_its_tag() {
        let plain = sample(CHUNK + 5);
        let key = DataKey::new([7; 32]).aead();
        let mut expected = Vec::new();
        for (nonce, part) in [(*b"prefix0\0\0\0\0\0", &plain[..CHUNK]), (*b"prefix0\0\0\0\x01\x01", &plain[CHUNK..])] {
            let mut text = part.to_vec();
            key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text).unwrap();
            expected.extend_from_slice(&text);
        }
        assert!(cipher().seal(&plain) == expected);
        assert_eq!(expected.len() as u64, sealed_len(plain.len() as u64));
    }

    #[test]
    fn every_length_comes_back() {
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let (plain, cipher) = (sample(len), cipher());
            let sealed = cipher.seal(&plain);
            assert_eq!(sealed.len() as u64, sealed_len(len as u64));
            assert!(cipher.open(sealed).unwrap() == plain, "{len} B");
        }
    }

    #[test]
    fn changed_reordered_and_cut_bodies_are_refused() {
        let (cipher, step) = (cipher(), CHUNK + TAG);
        let sealed = cipher.seal(&sample(2 * CHUNK + 9));
        let refused = |sealed: Vec<u8>| cipher.open(sealed).unwrap_err();
        for at in [0, CHUNK, step + 3, sealed.len() - 1] {
            let mut bent = sealed.clone();
            bent[at] ^= 1;
            assert_eq!(refused(bent), BlobError::Tampered { chunk: (at / step) as u64 });
        }
        let swapped = [&sealed[step..2 * step], &sealed[..step], &sealed[2 * step..]].concat();
        assert_eq!(refused(swapped), BlobError::Tampered { chunk: 0 });
        for cut in [0, 1, step, 2 * step, sealed.len() - 1] {
            refused(sealed[..cut].to_vec());
        }
        refused([&sealed[..], &sealed[2 * step..]].concat());
        refused(sealed[step..].to_vec());
        let other = BodyCipher::new(&DataKey::new([7; 32]), *b"prefix1");
        assert!(other.open(sealed.clone()).is_err());
        assert!(BodyCipher::new(&DataKey::new([8; 32]), *b"prefix0").open(sealed).is_err());
    }

    #[test]
    fn ranges_touch_the_chunks_they_need() {
        let (sealed, total) = (SEALED_CHUNK_BYTES, 3 * CHUNK_BYTES + 5);
        let of = |range: Range<u64>| cover(total, &range).unwrap();
        assert_eq!(of(0..1), Cover { first: 0, sealed: 0..sealed, skip: 0, len: 1, ends: false });
        assert_eq!(of(CHUNK_BYTES - 1..CHUNK_BYTES + 1).sealed, 0..2 * sealed);
        let end = sealed_len(total);
        let last = Cover { first: 3, sealed: 3 * sealed..end, skip: 2, len: 3, ends: true };
        assert_eq!(of(total - 3..total), last);
        assert_eq!(of(total..total).sealed, 3 * sealed..end);
        assert_eq!(cover(0, &(0..0)).unwrap(), Cover { first: 0, sealed: 0..16, skip: 0, len: 0, ends: true });
        let full = cover(CHUNK_BYTES, &(0..CHUNK_BYTES)).unwrap();
        assert_eq!((full.sealed, full.ends), (0..sealed, true));
        assert!(matches!(cover(5, &(0..6)), Err(BlobError::Range { size: 5, .. })));
        assert!(cover(5, &Range { start: 4, end: 3 }).is_err());
        assert!(cover(u64::MAX, &(0..1)).is_err());
    }

    #[test]
    fn keys_open_only_with_their_wrapping_key_and_context() {
        let (bucket, object) = (DataKey::new([1; 32]), DataKey::new([2; 32]));
        let wrapped = wrap(&bucket, &object, b"bucket/object", [3; 12]);
        assert_eq!(unwrap(&bucket, &wrapped, b"bucket/object"), Some(object.clone()));
        assert_eq!(unwrap(&bucket, &wrapped, b"bucket/other"), None);
        assert_eq!(unwrap(&object, &wrapped, b"bucket/object"), None);
        for at in 0..WRAPPED_BYTES {
            let mut bent = wrapped;
            bent[at] ^= 0x80;
            assert_eq!(unwrap(&bucket, &bent, b"bucket/object"), None, "byte {at}");
        }
        assert_eq!(format!("{object:?}"), "[redacted]");
    }

    #[test]
    fn envelopes_carry_the_key_of_their_body() {
        let (bucket, rng) = (DataKey::new([1; 32]), NodeRng::from_seed(7));
        let (envelope, cipher) = Envelope::new(&rng, &bucket, b"object 1");
        let sealed = cipher.seal(b"hello");
        let bytes = borsh::to_vec(&envelope).unwrap();
        assert_eq!(bytes.len(), 67);
        let read: Envelope = borsh::from_slice(&bytes).unwrap();
        assert_eq!(read.open(&bucket, b"object 1").unwrap().open(sealed).unwrap(), b"hello");
        assert!(read.open(&bucket, b"object 2").is_none());
        assert_ne!(Envelope::new(&rng, &bucket, b"object 1").0, envelope, "every body has a key of its own");
    }

    #[test]
    fn short_texts_open_under_their_key_and_context_alone() {
        let (key, rng) = (DataKey::new([1; 32]), NodeRng::from_seed(7));
        for plain in [&b""[..], b"a short text"] {
            let sealed = seal_short(&rng, &key, b"here", plain);
            assert_eq!(sealed.len(), plain.len() + SHORT_GROWTH_BYTES);
            assert_eq!(open_short(&key, b"here", &sealed).unwrap(), plain);
            assert_eq!(open_short(&key, b"there", &sealed), None);
            assert_eq!(open_short(&DataKey::new([2; 32]), b"here", &sealed), None);
            for at in 0..sealed.len() {
                let mut bent = sealed.clone();
                bent[at] ^= 1;
                assert_eq!(open_short(&key, b"here", &bent), None, "byte {at}");
                assert_eq!(open_short(&key, b"here", &sealed[..at]), None, "{at} B");
            }
        }
        assert_ne!(seal_short(&rng, &key, b"", b"x"), seal_short(&rng, &key, b"", b"x"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_range_opens_alone(len in 0usize..4 * CHUNK, a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
            let plain = sample(len);
            let (a, b) = (a.index(len + 1), b.index(len + 1));
            let range = a.min(b) as u64..a.max(b) as u64;
            let cover = cover(len as u64, &range).unwrap();
            let bound = |at: u64| usize::try_from(at).unwrap();
            let mut part = cipher().seal(&plain)[bound(cover.sealed.start)..bound(cover.sealed.end)].to_vec();
            let opened = cipher().open_from(cover.first, cover.ends, &mut part).unwrap();
            let wanted = &part[..opened][bound(cover.skip)..bound(cover.skip + cover.len)];
            prop_assert!(wanted == &plain[bound(range.start)..bound(range.end)]);
        }
    }
}
