//! What keys of a bucket's engine look like.
//!
//! Owns the first byte of each kind and the order within it. Must not know values. Invariants: keys of current versions are in the
//! order of the objects' keys; older versions of a key lie together, newest first; no kind's key begins another's.

use super::id::{BodyId, UploadId, VersionId};
use crate::access::blobs::PackId;

/// The bucket itself.
pub(super) const BUCKET: &[u8] = b"b";
/// What it holds.
pub(super) const USAGE: &[u8] = b"a";
/// How uploads ended.
pub(super) const COMPLETED: u8 = b'c';
/// Contents in the engine.
pub(super) const INLINE: u8 = b'd';
/// Operations that were executed.
pub(super) const EXECUTED: u8 = b'e';
/// States of packs.
pub(super) const PACK_STATE: u8 = b'f';
/// Garbage, by when its time comes.
pub(super) const GARBAGE: u8 = b'g';
/// Parts.
pub(super) const PART: u8 = b'm';
/// Which older version is the null one.
pub(super) const NULL: u8 = b'n';
/// Current versions.
pub(super) const CURRENT: u8 = b'o';
/// Heads of packs.
pub(super) const PACK: u8 = b'p';
/// Packs somebody has to care for.
pub(super) const DUTY: u8 = b'q';
/// References to contents beyond the first.
pub(super) const EXTRA: u8 = b'r';
/// Contents that lie in a pack.
pub(super) const USE: u8 = b's';
/// Unfinished uploads.
pub(super) const UPLOAD: u8 = b'u';
/// Older versions.
pub(super) const OLDER: u8 = b'v';
/// Contents on miners.
pub(super) const BODY: u8 = b'x';

/// A zero byte in a key is followed by this one, so that an end is no beginning of a longer key.
const ESCAPED: u8 = 0xff;
/// Ends a key that something follows.
const END: [u8; 2] = [0, 1];
const ID: usize = 16;

fn join(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(kind);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// All but the end of a key's text, so that a prefix of texts is a prefix of keys.
pub(super) fn escaped(kind: u8, text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(text.len() + 2 + END.len() + ID);
    key.push(kind);
    for byte in text.bytes() {
        key.push(byte);
        if byte == 0 {
            key.push(ESCAPED);
        }
    }
    key
}

fn ended(kind: u8, text: &str) -> Vec<u8> {
    let mut key = escaped(kind, text);
    key.extend_from_slice(&END);
    key
}

/// Text and id of a key of an older version or upload.
fn split(key: &[u8]) -> Option<(String, [u8; ID])> {
    let (text, id) = key.get(1..)?.split_last_chunk::<ID>()?;
    let text = text.strip_suffix(&END)?;
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        out.push(*byte);
        if *byte == 0 && bytes.next() != Some(&ESCAPED) {
            return None;
        }
    }
    Some((String::from_utf8(out).ok()?, *id))
}

/// The current version of an object.
pub(super) fn current(text: &str) -> Vec<u8> {
    join(CURRENT, &[text.as_bytes()])
}

/// The text of a key that [`current`] made.
pub(super) fn text_of_current(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(1..)?).ok()
}

/// All older versions of an object.
pub(super) fn older_all(text: &str) -> Vec<u8> {
    ended(OLDER, text)
}

/// An older version: younger ones come first.
pub(super) fn older(text: &str, version: VersionId) -> Vec<u8> {
    let mut key = ended(OLDER, text);
    key.extend(version.bytes().map(|byte| !byte));
    key
}

/// Text and version of a key that [`older`] made.
pub(super) fn split_older(key: &[u8]) -> Option<(String, VersionId)> {
    let (text, id) = split(key)?;
    Some((text, VersionId::from_bytes(id.map(|byte| !byte))))
}

/// Which older version of an object is the null one.
pub(super) fn null(text: &str) -> Vec<u8> {
    join(NULL, &[text.as_bytes()])
}

/// All uploads of an object.
pub(super) fn uploads(text: &str) -> Vec<u8> {
    ended(UPLOAD, text)
}

/// An upload: older ones come first.
pub(super) fn upload(text: &str, id: UploadId) -> Vec<u8> {
    let mut key = ended(UPLOAD, text);
    key.extend(id.bytes());
    key
}

/// Text and id of a key that [`upload`] made.
pub(super) fn split_upload(key: &[u8]) -> Option<(String, UploadId)> {
    let (text, id) = split(key)?;
    Some((text, UploadId::from_bytes(id)))
}

/// All parts of an upload.
pub(super) fn parts(upload: UploadId) -> Vec<u8> {
    join(PART, &[&upload.bytes()])
}

/// A part.
pub(super) fn part(upload: UploadId, number: u32) -> Vec<u8> {
    join(PART, &[&upload.bytes(), &number.to_be_bytes()])
}

/// The number of a key that [`part`] made.
pub(super) fn part_number(key: &[u8]) -> Option<u32> {
    let (_, number) = key.split_last_chunk::<4>()?;
    Some(u32::from_be_bytes(*number))
}

/// How an upload ended.
pub(super) fn completed(upload: UploadId) -> Vec<u8> {
    join(COMPLETED, &[&upload.bytes()])
}

/// A place in the ring of operations that were executed.
pub(super) fn executed(place: u64) -> Vec<u8> {
    join(EXECUTED, &[&place.to_be_bytes()])
}

/// Contents in the engine.
pub(super) fn inline(id: BodyId) -> Vec<u8> {
    join(INLINE, &[&id.0])
}

/// Contents on miners.
pub(super) fn body(id: BodyId) -> Vec<u8> {
    join(BODY, &[&id.0])
}

/// References to contents beyond the first.
pub(super) fn extra(id: BodyId) -> Vec<u8> {
    join(EXTRA, &[&id.0])
}

/// A pack's head.
pub(super) fn pack(id: PackId) -> Vec<u8> {
    join(PACK, &[&id.0])
}

/// A pack's state.
pub(super) fn pack_state(id: PackId) -> Vec<u8> {
    join(PACK_STATE, &[&id.0])
}

/// A pack somebody has to care for.
pub(super) fn duty(id: PackId) -> Vec<u8> {
    join(DUTY, &[&id.0])
}

/// The pack of a key that [`duty`] made.
pub(super) fn pack_of_duty(key: &[u8]) -> Option<PackId> {
    key.get(1..)?.try_into().ok().map(PackId)
}

/// Everything that lies in a pack.
pub(super) fn uses(id: PackId) -> Vec<u8> {
    join(USE, &[&id.0])
}

/// Contents that lie in a segment of a pack.
pub(super) fn used(id: PackId, index: u32, body: BodyId) -> Vec<u8> {
    join(USE, &[&id.0, &index.to_be_bytes(), &body.0])
}

/// Segment and contents of a key that [`used`] made.
pub(super) fn split_used(key: &[u8]) -> Option<(u32, BodyId)> {
    let (rest, body) = key.split_last_chunk::<ID>()?;
    let (_, index) = rest.split_last_chunk::<4>()?;
    Some((u32::from_be_bytes(*index), BodyId(*body)))
}

/// Garbage: what is due first comes first.
pub(super) fn garbage(due_ms: u64, number: u64) -> Vec<u8> {
    join(GARBAGE, &[&due_ms.to_be_bytes(), &number.to_be_bytes()])
}

/// When a key that [`garbage`] made is due.
pub(super) fn due_ms(key: &[u8]) -> Option<u64> {
    key.get(1..9)?.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(seq: u64) -> VersionId {
        VersionId { seq, salt: 7 }
    }

    proptest! {
        #[test]
        fn keys_are_read_back_and_stay_in_order(a in "[a\u{0}\u{1}é/]{1,6}", b in "[a\u{0}\u{1}é/]{1,6}", seq in 0u64..9) {
            prop_assert_eq!(split_older(&older(&a, version(seq))), Some((a.clone(), version(seq))));
            let upload_id = UploadId { seq, salt: 1 };
            prop_assert_eq!(split_upload(&upload(&a, upload_id)), Some((a.clone(), upload_id)));
            let current_order = current(&a).cmp(&current(&b));
            prop_assert_eq!(current_order, a.as_bytes().cmp(b.as_bytes()));
            if a != b {
                prop_assert_eq!(older(&a, version(0)).cmp(&older(&b, version(seq))), current_order);
                prop_assert!(!older(&b, version(seq)).starts_with(&older_all(&a)));
            }
        }
    }

    #[test]
    fn younger_versions_come_first() {
        assert!(older("k", version(2)) < older("k", version(1)));
        assert!(older("k", version(u64::MAX)) < older("k", version(0)));
    }

    #[test]
    fn other_keys_are_read_back() {
        let pack = PackId([3; 16]);
        assert_eq!(split_used(&used(pack, 5, BodyId([4; 16]))), Some((5, BodyId([4; 16]))));
        assert_eq!(pack_of_duty(&duty(pack)), Some(pack));
        assert_eq!(part_number(&part(UploadId { seq: 1, salt: 2 }, 77)), Some(77));
        assert_eq!(due_ms(&garbage(12, 3)), Some(12));
        assert_eq!(split_older(b"v"), None);
    }
}
