//! Golden bytes of what is stored and what travels, and that the largest fit.

use super::*;
use crate::{
    access::{
        blobs::{Extent, PackHead, PackId, Piece, StoredBody},
        data::seal::{DataKey, Envelope},
        objects::{
            Op, Reply, VersionId,
            attributes::{Checksum, ChecksumKind, ChecksumScope, Retention, RetentionMode},
            config::{BucketConfig, DefaultRetention, Document, Expiry, LifecycleFilter, LifecycleRule, Quota},
            id::{BodyId, BucketId, KEY_MAX_BYTES},
            op::{Bytes, CompleteOp, Found, FoundBody, NewBody, PutOp},
            record::{
                BodyRecord, BodyRef, BucketRecord, CompletedRecord, Contents, ExecutedRecord, ExtraRefs, Garbage,
                INLINE_MAX_BYTES, InlineRecord, NullVersion, ObjectRecord, PIECES_MAX, PackRecord, PartRecord,
                SEAL_MAX_BYTES, Seal, UploadRecord, UsageRecord,
            },
            request::{KeyCheck, ObjectInfo, Usage},
        },
    },
    codec::{self, golden::check},
    ledger::manifest::SegmentEntry,
    runtime::NodeRng,
    types::{FileId, FragmentId, Height, SegmentId, params::FRAGMENTS},
};

fn version() -> VersionId {
    VersionId { seq: 5, salt: 6 }
}

fn upload() -> UploadId {
    UploadId { seq: 7, salt: 8 }
}

fn etag() -> ETag {
    ETag { md5: [9; 16], parts: 2 }
}

fn checksum() -> Checksum {
    Checksum { kind: ChecksumKind::Crc64Nvme, scope: ChecksumScope::FullObject, value: vec![1; 8] }
}

fn seal() -> Seal {
    let (envelope, _) = Envelope::new(&NodeRng::from_seed(1), &DataKey::new([2; 32]), b"context");
    Seal { customer: false, envelope }
}

fn description() -> Description {
    Description {
        attributes: attributes("text/plain"),
        tags: tags(&[("a", "b")]),
        acl: Some(vec![1]),
        retention: Some(Retention { mode: RetentionMode::Governance, until_ms: 10 }),
        legal_hold: true,
        author: [3; 20],
    }
}

fn piece(index: u32) -> Piece {
    let entry = SegmentEntry { id: SegmentId([1; 32]), len: 100, fragments: [FragmentId([2; 32]); FRAGMENTS] };
    Piece { entry, extent: Extent { pack: PackId([4; 16]), index, skip: 1, len: 99 } }
}

fn head() -> PackHead {
    PackHead {
        beacon_height: Height::from(9u32),
        holders: [[3; 20]; FRAGMENTS],
        former: Vec::new(),
        opened_ms: 5,
        gateway: [6; 20],
        file: None,
    }
}

fn stored(pieces: u32) -> StoredBody {
    let heads = vec![(PackId([4; 16]), head())];
    StoredBody { pieces: (0..pieces).map(piece).collect(), heads, stored: 99 * u64::from(pieces) }
}

fn body_ref() -> BodyRef {
    BodyRef { id: BodyId([5; 16]), start: 1, len: 2, inline: true }
}

fn written() -> Written {
    Written {
        version: Some(VersionRef::Id(version())),
        etag: etag(),
        size: 3,
        modified_ms: 4,
        checksums: vec![checksum()],
        expires: Some((5, "rule".into())),
    }
}

fn config() -> BucketConfig {
    BucketConfig {
        versioning: Versioning::Enabled,
        lock: LockConfig {
            enabled: true,
            default: Some(DefaultRetention { mode: RetentionMode::Compliance, days: 365, in_years: true }),
        },
        lifecycle: vec![LifecycleRule {
            id: "r".into(),
            enabled: true,
            filter: LifecycleFilter { prefix: "p".into(), larger_than: Some(1), ..LifecycleFilter::default() },
            expire: Some(Expiry::Days(3)),
            expire_markers: true,
            noncurrent_days: Some(4),
            noncurrent_keep: 5,
            abort_upload_days: Some(6),
        }],
        encryption: Encryption::Off,
        quota: Quota { bytes: Some(1), objects: None },
        documents: [(Document::Policy, vec![1, 2])].into(),
        key_envelopes: vec![vec![7; 4]],
    }
}

fn object() -> ObjectRecord {
    ObjectRecord {
        version: version(),
        null: false,
        modified_ms: 1,
        size: 2,
        etag: etag(),
        checksums: vec![checksum()],
        contents: Contents::Parts { upload: upload(), count: 2, index: vec![(1, 0)] },
        encrypted: true,
        customer: Some(KeyCheck([1; 8])),
        description: description(),
        replaced_ms: Some(3),
    }
}

#[test]
fn encodings_of_records_are_stable() {
    check(&BucketRecord {
        id: BucketId([1; 16]),
        name: name("bucket"),
        owner: [2; 20],
        created_ms: 3,
        config: config(),
        retired: false,
    });
    check(&UsageRecord { usage: Usage { objects: 1, markers: 2, uploads: 3, bytes: 4 }, seq: 5 });
    check(&object());
    check(&NullVersion(version()));
    check(&InlineRecord { size: 1, seal: Some(seal()), bytes: vec![1, 2] });
    check(&BodyRecord { size: 99, seal: None, stored: StoredBody { heads: Vec::new(), ..stored(1) } });
    check(&ExtraRefs(3));
    check(&UploadRecord {
        created_ms: 1,
        description: description(),
        checksum: Some((ChecksumKind::Sha256, ChecksumScope::Composite)),
        customer: None,
    });
    check(&PartRecord { modified_ms: 1, size: 2, md5: [3; 16], checksums: vec![checksum()], bodies: vec![body_ref()] });
    check(&CompletedRecord { key: "k".into(), written: written() });
    check(&ExecutedRecord { number: 9, id: [4; 16], reply: Reply::Written(written()) });
    check(&PackRecord::Removing { file: Some(FileId([1; 32])), since_ms: 2 });
    check(&Garbage::Bodies(vec![body_ref()]));
}

#[test]
fn encodings_of_operations_are_stable() {
    let body = NewBody {
        id: BodyId([1; 16]),
        size: 99,
        md5: [2; 16],
        seal: None,
        customer: None,
        bytes: Bytes::Stored(stored(1)),
        checksums: Vec::new(),
    };
    let conditions = WriteConditions::default();
    check(&Op::Put(Box::new(PutOp { key: "k".into(), description: description(), conditions, body })));
    let info = ObjectInfo {
        version: Some(VersionRef::Null),
        etag: etag(),
        size: 2,
        modified_ms: 3,
        description: description(),
        checksums: vec![checksum()],
        parts: 2,
        customer: None,
        encrypted: true,
        expires: None,
    };
    let bytes = Bytes::Inline(vec![1, 2]);
    let part = FoundBody { id: BodyId([5; 16]), at: 0, start: 1, len: 1, size: 2, seal: Some(seal()), bytes };
    let found = Found { info, id: version(), range: (0, 1), bodies: vec![part], next: Some(1) };
    check(&Reply::Found(Box::new(found)));
}

/// The largest of each kind fit their caps: `encode` would panic.
#[test]
fn the_largest_operations_fit() {
    let key = || "k".repeat(KEY_MAX_BYTES);
    let target = DeleteTarget { key: key(), version: Some(VersionRef::Id(version())), if_match: None };
    codec::encode(&Op::Delete(vec![target; 1_000], true));
    let checksum = Checksum { value: vec![1; 32], ..checksum() };
    let named = NamedPart { part: 1, etag: Some(etag()), checksums: vec![checksum.clone()] };
    codec::encode(&Op::Complete(CompleteOp {
        key: key(),
        upload: upload(),
        parts: vec![named; 10_000],
        conditions: WriteConditions::default(),
        size: None,
        checksums: vec![checksum],
    }));
    let pieces = u32::try_from(PIECES_MAX).unwrap();
    let largest = stored(pieces);
    let heads = (0..pieces).map(|n| (PackId([u8::try_from(n % 251).unwrap(); 16]), head())).collect();
    codec::encode(&BodyRecord {
        size: 1,
        seal: Some(seal()),
        stored: StoredBody { heads: Vec::new(), ..largest.clone() },
    });
    codec::encode(&Op::Discard(BodyId([1; 16]), StoredBody { heads, ..largest }));
    let bytes = vec![0; INLINE_MAX_BYTES + SEAL_MAX_BYTES];
    codec::encode(&InlineRecord { size: 1, seal: Some(seal()), bytes });
    codec::encode(&Garbage::Bodies(vec![body_ref(); 10_000]));
    let bodies = vec![body_ref(); super::super::record::REFS_MAX];
    codec::encode(&PartRecord { modified_ms: 1, size: 2, md5: [3; 16], checksums: vec![], bodies: bodies.clone() });
    codec::encode(&ObjectRecord { contents: Contents::Bodies(bodies), ..object() });
}
