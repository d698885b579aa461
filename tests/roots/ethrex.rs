//! Random tries, small ones and emptied ones among them, built in batches: every root is the one ethrex-trie computes.

use crate::trie::{Change, Trie};
use alloy_primitives::{B256, keccak256};
use ethrex_crypto::NativeCrypto;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Sets a key, or removes it.
struct Put(Option<Vec<u8>>);

impl Change<Vec<u8>> for Put {
    fn create(&mut self) -> Option<Vec<u8>> {
        self.0.take()
    }

    fn alter(&mut self, value: &mut Vec<u8>) -> bool {
        self.0.take().map(|new| *value = new).is_some()
    }
}

/// One of few keys, so that batches meet again: hashed ones, or ones that share all but their last nibble.
fn key() -> impl Strategy<Value = B256> {
    (0u8..40, any::<bool>()).prop_map(|(n, hashed)| if hashed { keccak256([n]) } else { B256::with_last_byte(n) })
}

fn batch() -> impl Strategy<Value = BTreeMap<B256, Option<Vec<u8>>>> {
    let value = prop::collection::vec(any::<u8>(), 1..100);
    prop::collection::btree_map(key(), prop::option::weighted(0.6, value), 0..24)
}

fn empty() -> ethrex_trie::Trie {
    ethrex_trie::Trie::new(Box::new(ethrex_trie::InMemoryTrieDB::new_empty()))
}

/// Applies one batch to both and compares.
fn step(
    ours: &mut Trie<Vec<u8>>,
    theirs: &mut ethrex_trie::Trie,
    batch: BTreeMap<B256, Option<Vec<u8>>>,
) -> Result<(), TestCaseError> {
    for (key, value) in &batch {
        match value {
            Some(value) => theirs.insert(key.to_vec(), value.clone()).unwrap(),
            None => drop(theirs.remove(key.as_slice()).unwrap()),
        }
    }
    let mut changes: Vec<(B256, Put)> = batch.into_iter().map(|(key, value)| (key, Put(value))).collect();
    ours.merge(&mut changes);
    prop_assert_eq!(ours.root().0, theirs.hash_no_commit(&NativeCrypto).0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn roots_agree_after_every_batch(batches in prop::collection::vec(batch(), 0..8)) {
        let (mut ours, mut theirs) = (Trie::default(), empty());
        prop_assert_eq!(ours.root().0, theirs.hash_no_commit(&NativeCrypto).0);
        let all: Vec<B256> = batches.iter().flat_map(|batch| batch.keys().copied()).collect();
        for batch in batches {
            step(&mut ours, &mut theirs, batch)?;
        }
        // Down to two, one and no key.
        let mut left: Vec<B256> = all.into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        for keep in [2, 1, 0] {
            let gone = left.split_off(left.len().min(keep));
            step(&mut ours, &mut theirs, gone.into_iter().map(|key| (key, None)).collect())?;
        }
        prop_assert!(ours.is_empty());
    }
}

#[test]
fn thousands_of_accounts_agree() {
    let (mut ours, mut theirs) = (Trie::default(), empty());
    for round in 0u32..3 {
        let value = |n: u32| (n % 7 != round).then(|| vec![1 + round.to_be_bytes()[3]; 70]);
        let batch = (0..5_000u32).map(|n| (keccak256(n.to_be_bytes()), value(n))).collect();
        step(&mut ours, &mut theirs, batch).unwrap();
    }
}
