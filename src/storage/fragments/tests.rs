//! One suite over both stores, and what only a disk can do: lose power, flip bits, cut files short.

use super::*;
use crate::{
    kv::{Durability, MemoryKv},
    runtime::{CpuPool, Node},
    storage::slicer::fragment_id,
    types::{B256, FileId},
};
use std::{fs, path::PathBuf};

const LEN: usize = 256;

fn sample(seed: u8) -> (FragmentId, Bytes) {
    let bytes = Bytes::from(vec![seed; LEN]);
    (fragment_id(&bytes), bytes)
}

fn claim(column: u8, ids: impl IntoIterator<Item = FragmentId>) -> Claim {
    Claim::new(column, 5, ids.into_iter().map(|id| Claimed { id, len: 256 }))
}

/// Releases a claim whose rounds of audits are over.
fn release(index: &FragmentIndex, file: FileId) -> Vec<FragmentId> {
    index.release(file, 9).unwrap();
    index.forget_released(9).unwrap()
}

fn node() -> Node {
    Node::new("miner", CpuPool::new("test", 1))
}

fn open(dir: &tempfile::TempDir, kv: MemoryKv, limit: u64) -> Arc<DiskStore> {
    DiskStore::open(&node(), dir.path(), Arc::new(kv), limit).unwrap()
}

fn path_of(dir: &tempfile::TempDir, id: FragmentId) -> PathBuf {
    dir.path().join(&id.to_string()[..2]).join(id.to_string())
}

/// The suite every implementation passes.
async fn keeps_its_promises(store: Arc<dyn FragmentStore>) {
    let (a, bytes) = sample(1);
    assert!(matches!(store.get(a).await, Err(FragmentError::NotHeld { id }) if id == a));
    store.put(a, bytes.clone(), 5).await.unwrap();
    store.put(a, bytes.clone(), 9).await.unwrap();
    assert_eq!(store.get(a).await.unwrap(), bytes);
    let info = store.index().stat(a).unwrap().unwrap();
    assert_eq!(info, FragmentInfo { len: 256, claims: 0, pending_since: Some(9), present: true });

    let (b, other) = sample(2);
    assert!(matches!(store.put(b, bytes.clone(), 5).await, Err(FragmentError::Mismatch { id }) if id == b));
    let odd = Bytes::from(vec![0; 300]);
    assert!(matches!(store.put(fragment_id(&odd), odd, 5).await, Err(FragmentError::Length { len: 300, .. })));
    assert_eq!(store.index().space(), Space { limit: 600, used: 256, fragments: 1, ..Space::default() });

    store.put(b, other, 9).await.unwrap();
    assert_eq!(store.collect(vec![b], 8).await.unwrap(), 0, "acknowledged later than that");
    let (c, third) = sample(3);
    let full = store.put(c, third.clone(), 9).await.unwrap_err();
    assert!(matches!(full, FragmentError::NoSpace { free: 88, limit: 600, needed: 256 }));
    assert_eq!(full.to_string(), "88 B are free of the 600 B lent, 256 B are needed");
    assert_eq!(store.collect(vec![b, c, b], 9).await.unwrap(), 1);
    store.put(c, third, 9).await.unwrap();
    assert_eq!(store.index().space().fragments, 2);

    assert_eq!(store.index().claim(FileId([1; 32]), &claim(0, [a, b])).unwrap(), [b]);
    assert_eq!(store.collect(vec![a], 99).await.unwrap(), 0, "a claimed fragment stays");
    store.discard(a).await.unwrap();
    assert!(matches!(store.get(a).await, Err(FragmentError::NotHeld { .. })));
    assert_eq!(store.index().space().used, 256);
    store.put(a, bytes, 12).await.unwrap();
    assert_eq!(store.index().stat(a).unwrap().unwrap().claims, 1, "a refetched fragment keeps its claims");
}

#[tokio::test]
async fn both_stores_keep_their_promises() {
    keeps_its_promises(MemoryStore::new(Arc::new(MemoryKv::new()), 600).unwrap()).await;
    let dir = tempfile::tempdir().unwrap();
    keeps_its_promises(open(&dir, MemoryKv::new(), 600)).await;
}

#[tokio::test]
async fn an_acknowledged_fragment_survives_power_loss() {
    let dir = tempfile::tempdir().unwrap();
    let kv = MemoryKv::new();
    let (id, bytes) = sample(1);
    let store = open(&dir, kv.reopen(), 1_000);
    store.index().set_cursor(Cursor::new(B256::ZERO, 77), Durability::Synced).unwrap();
    store.put(id, bytes.clone(), 80).await.unwrap();
    drop(store);
    let store = open(&dir, kv.after_power_loss(), 1_000);
    assert_eq!(store.get(id).await.unwrap(), bytes);
    assert_eq!(store.index().stat(id).unwrap().unwrap().pending_since, Some(77));
    assert_eq!(store.index().space(), Space { limit: 1_000, used: 256, fragments: 1, ..Space::default() });
    drop(store);
    let store = open(&dir, kv.reopen(), 1_000);
    assert_eq!(store.index().space().used, 256, "accounting after an ordinary restart");
}

#[tokio::test]
async fn half_written_fragments_are_never_visible() {
    let dir = tempfile::tempdir().unwrap();
    let (id, bytes) = sample(1);
    drop(open(&dir, MemoryKv::new(), 1_000));
    fs::write(dir.path().join("incoming").join("3"), &bytes[..100]).unwrap();
    fs::create_dir(dir.path().join(&id.to_string()[..2])).unwrap();
    fs::write(path_of(&dir, id).with_extension("part"), &bytes).unwrap();
    let store = open(&dir, MemoryKv::new(), 1_000);
    assert!(!store.index().holds(id).unwrap());
    assert_eq!(store.index().space().fragments, 0);
    assert_eq!(fs::read_dir(dir.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn damage_is_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let kv = MemoryKv::new();
    let store = open(&dir, kv.reopen(), 10_000);
    let ((flipped, a), (cut, b), (gone, c)) = (sample(1), sample(2), sample(3));
    for (id, bytes) in [(flipped, a.clone()), (cut, b), (gone, c)] {
        store.put(id, bytes, 1).await.unwrap();
    }
    let mut bent = a.to_vec();
    bent[17] ^= 4;
    fs::write(path_of(&dir, flipped), bent).unwrap();
    fs::OpenOptions::new().write(true).open(path_of(&dir, cut)).unwrap().set_len(12).unwrap();
    fs::remove_file(path_of(&dir, gone)).unwrap();
    let error = store.get(flipped).await.unwrap_err();
    assert_eq!(error.to_string(), format!("fragment {flipped} on disk is damaged: its bytes do not match its id"));
    let error = store.get(cut).await.unwrap_err();
    assert_eq!(error.to_string(), format!("fragment {cut} on disk is damaged: it is 12 B, expected 256 B"));
    assert!(store.get(gone).await.unwrap_err().is_damage());

    store.index().claim(FileId([9; 32]), &claim(3, [cut])).unwrap();
    store.discard(flipped).await.unwrap();
    assert_eq!(store.index().stat(flipped).unwrap(), None);
    store.put(flipped, a, 2).await.unwrap();
    drop(store);
    let store = open(&dir, kv.reopen(), 10_000);
    assert_eq!(store.index().space(), Space { limit: 10_000, used: 256, fragments: 1, ..Space::default() });
    assert_eq!(store.index().stat(gone).unwrap(), None);
    let info = store.index().stat(cut).unwrap().unwrap();
    assert!(info.claims == 1 && !info.present, "a lost fragment that a file claims is remembered");
}

#[tokio::test]
async fn many_puts_at_once_are_counted_exactly() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir, MemoryKv::new(), 40 * LEN as u64);
    let puts = (0..80u8).map(|n| {
        let (id, bytes) = sample(n % 40);
        store.put(id, bytes, 1)
    });
    for put in futures::future::join_all(puts).await {
        match put {
            Ok(()) | Err(FragmentError::NoSpace { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    let space = store.index().space();
    assert_eq!((space.used, space.reserved), (space.fragments * 256, 0));
    assert!(space.used <= space.limit);
    for n in 0..40 {
        let (id, bytes) = sample(n);
        store.put(id, bytes, 1).await.unwrap();
    }
    assert_eq!(store.index().space().free(), 0);
    assert_eq!(fs::read_dir(dir.path().join("incoming")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_killed_store_writes_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let node = node();
    let store = DiskStore::open(&node, dir.path(), Arc::new(MemoryKv::new()), 1_000).unwrap();
    let ((a, first), (b, second)) = (sample(1), sample(2));
    store.put(a, first, 1).await.unwrap();
    node.kill.pull("test");
    assert!(matches!(store.put(b, second, 1).await, Err(FragmentError::Closed)));
    assert!(matches!(store.get(a).await, Err(FragmentError::Closed)));
    assert!(matches!(store.collect(vec![a], 9).await, Err(FragmentError::Closed)));
    assert!(!path_of(&dir, b).exists() && path_of(&dir, a).exists());
}

#[tokio::test]
async fn files_claim_once_and_share_fragments() {
    let store = MemoryStore::new(Arc::new(MemoryKv::new()), 10_000).unwrap();
    let index = store.index();
    let ((a, first), (b, second)) = (sample(1), sample(2));
    store.put(a, first, 10).await.unwrap();
    store.put(b, second, 10).await.unwrap();
    assert_eq!(index.unclaimed_since(9).unwrap(), []);
    assert_eq!(index.unclaimed_since(10).unwrap().len(), 2);
    let (one, two) = (FileId([1; 32]), FileId([2; 32]));
    for _ in 0..2 {
        assert_eq!(index.claim(one, &claim(4, [a, b, a])).unwrap(), []);
    }
    index.claim(two, &claim(0, [b])).unwrap();
    assert_eq!(index.unclaimed_since(100).unwrap(), []);
    assert_eq!(index.claim_of(one).unwrap().unwrap().column, 4);
    assert_eq!(release(index, one), [a]);
    assert_eq!(release(index, one), []);
    assert_eq!(store.collect(vec![a, b], 10).await.unwrap(), 1);
    assert_eq!(index.acknowledge(&[a, b], 20).unwrap(), [0]);
    assert_eq!(release(index, two), [], "an upload still counts on it");
    assert_eq!(index.unclaimed_since(20).unwrap(), [b]);
    index.claim(two, &claim(0, [b])).unwrap();
    index.acknowledge(&[b], 30).unwrap();
    index.settle(two).unwrap();
    assert_eq!(release(index, two), [b]);
}

#[tokio::test]
async fn what_was_held_before_a_round_is_told_until_it_is_forgotten() {
    let store = MemoryStore::new(Arc::new(MemoryKv::new()), 10_000).unwrap();
    let index = store.index();
    let ((a, first), (b, second), (c, _)) = (sample(1), sample(2), sample(3));
    store.put(a, first, 1).await.unwrap();
    store.put(b, second, 1).await.unwrap();
    let (one, two) = (FileId([1; 32]), FileId([2; 32]));
    let since = |height, ids: &[FragmentId]| Claim { since: height, ..claim(0, ids.iter().copied()) };
    index.claim(one, &since(5, &[a, b])).unwrap();
    assert_eq!(index.claim(two, &since(12, &[b, c])).unwrap(), [c]);
    let before = |height| index.held_before(height).unwrap();
    let all = |height| before(height).all.into_keys().collect::<std::collections::BTreeSet<_>>();
    assert_eq!([all(5), all(6), all(13)], [[].into(), [a, b].into(), [a, b, c].into()]);
    assert_eq!(before(13).all[&c], 256, "the length of what is missing is known, too");

    for (epoch, height) in [(3, 8), (4, 20), (3, 8)] {
        index.mark_tagged(one, epoch, height).unwrap();
    }
    let epochs = |height| before(height).tagged.into_keys().collect::<Vec<_>>();
    assert_eq!([epochs(8), epochs(9), epochs(20), epochs(21)], [vec![], vec![3], vec![3], vec![4]]);

    assert!(index.release(one, 30).unwrap());
    assert_eq!([all(30), all(31)], [[a, b, c].into(), [b, c].into()]);
    // Its events may be seen again.
    index.claim(one, &since(5, &[a, b])).unwrap();
    assert!(!index.release(one, 30).unwrap());
    assert_eq!(store.collect(vec![a, b], 99).await.unwrap(), 0, "audits may ask for it");
    assert_eq!(index.forget_released(29).unwrap(), []);
    assert_eq!(index.forget_released(30).unwrap(), [a], "the other file still claims the other fragment");
    assert_eq!(all(30), [b, c].into());
    // The same file may come again.
    index.claim(one, &since(40, &[a, b])).unwrap();
    assert_eq!(index.claim_of(one).unwrap().unwrap().since, 40);
}

#[tokio::test]
async fn claims_of_the_first_version_are_read() {
    let kv = MemoryKv::new();
    let store = MemoryStore::new(Arc::new(kv.reopen()), 10_000).unwrap();
    let (a, bytes) = sample(1);
    store.put(a, bytes, 1).await.unwrap();
    let (file, mut batch) = (FileId([7; 32]), crate::kv::Batch::new());
    let old = [&[1, 3][..], &1u32.to_le_bytes(), &a.0].concat();
    batch.put(crate::kv::Column::Fragments, [&b"m"[..], &file.0].concat(), old);
    crate::kv::Kv::write(&kv, batch, Durability::Synced).unwrap();
    let read = store.index().claim_of(file).unwrap().unwrap();
    assert_eq!(read, Claim { since: 0, ..Claim::new(3, 0, [Claimed { id: a, len: 256 }]) });
}

#[tokio::test]
async fn tags_are_bounded_and_go_with_their_fragment() {
    let store = MemoryStore::new(Arc::new(MemoryKv::new()), 10_000).unwrap();
    let (index, (a, bytes)) = (store.index(), sample(1));
    let tags = |n: u8| FragmentTags { tags: vec![crate::proofs::podr2::Tag([n; 48])] };
    assert!(!index.put_tags(a, 0, &tags(0)).unwrap(), "it is not held");
    store.put(a, bytes.clone(), 1).await.unwrap();
    for n in 0..4u8 {
        assert!(index.put_tags(a, u64::from(n), &tags(n)).unwrap());
    }
    let held = || (0..4).filter(|epoch| index.has_tags(a, *epoch).unwrap()).collect::<Vec<u64>>();
    assert_eq!(held(), [1, 2, 3]);
    index.put_tags(a, 2, &tags(9)).unwrap();
    assert_eq!((held(), index.tags(a, 2).unwrap()), (vec![1, 2, 3], Some(tags(9))));
    index.claim(FileId([1; 32]), &claim(0, [a])).unwrap();
    store.discard(a).await.unwrap();
    assert!(!index.has_tags(a, 2).unwrap(), "nothing is signed for what is not here");
    store.put(a, bytes, 2).await.unwrap();
    assert_eq!(held(), [1, 2, 3], "rebuilt bytes are the same bytes");
    release(index, FileId([1; 32]));
    store.collect(vec![a], 9).await.unwrap();
    assert_eq!((held(), index.tags(a, 2).unwrap()), (vec![], None));
}

#[tokio::test]
async fn idle_space_and_fragments_share_what_is_lent() {
    let store = MemoryStore::new(Arc::new(MemoryKv::new()), 1_000).unwrap();
    let (a, bytes) = sample(1);
    store.index().set_idle(800);
    let full = store.put(a, bytes.clone(), 1).await.unwrap_err();
    assert!(matches!(full, FragmentError::NoSpace { free: 200, limit: 1_000, needed: 256 }));
    store.index().set_idle(700);
    store.put(a, bytes, 1).await.unwrap();
    assert_eq!(store.index().space().free(), 44);
    store.index().set_journals(40);
    assert_eq!(store.index().space().free(), 4);
}

#[tokio::test]
async fn parts_are_read_as_they_lie_there() {
    let dir = tempfile::tempdir().unwrap();
    let stores: [Arc<dyn FragmentStore>; 2] =
        [MemoryStore::new(Arc::new(MemoryKv::new()), 600).unwrap(), open(&dir, MemoryKv::new(), 600)];
    for store in stores {
        let bytes = Bytes::from((0..=255).collect::<Vec<u8>>());
        let id = fragment_id(&bytes);
        assert!(matches!(store.read(id, vec![0..4, 0..0]).await, Err(FragmentError::NotHeld { .. })));
        store.put(id, bytes.clone(), 1).await.unwrap();
        assert_eq!(store.read(id, vec![64..128, 0..0, 250..256]).await.unwrap(), [&bytes[64..128], b"", &bytes[250..]]);
        assert!(store.read(id, vec![0..0, 250..257]).await.unwrap_err().is_damage());
    }
}
