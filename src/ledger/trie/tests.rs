//! The trie beside alloy-trie's hash builder: single changes, batches, clones, and batches large enough for all threads.

use super::*;
use alloy_trie::{HashBuilder, proof::verify_proof};
use proptest::prelude::*;
use std::collections::BTreeMap;

type Entries = BTreeMap<B256, Vec<u8>>;
type Step = (B256, Option<Vec<u8>>);

impl Leaf for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
}

fn oracle(entries: &Entries) -> B256 {
    let mut builder = HashBuilder::default();
    entries.iter().for_each(|(key, value)| builder.add_leaf(Nibbles::unpack(key), value));
    builder.root()
}

/// Keys that share long prefixes as well as keys that do not.
fn key() -> impl Strategy<Value = B256> {
    (0u8..3, 0u8..4, 0u8..4).prop_map(|(first, middle, last)| {
        let mut key = [0x11u8; 32];
        (key[0], key[15], key[31]) = (first << 4, middle, last << 3);
        B256::from(key)
    })
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 1..40)
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec((key(), prop::option::of(value())), 0..most)
}

fn apply(entries: &mut Entries, (key, value): &Step) {
    match value {
        Some(value) => drop(entries.insert(*key, value.clone())),
        None => drop(entries.remove(key)),
    }
}

/// The last step of each key, by key.
fn batch(steps: &[Step]) -> Vec<(B256, merge::Set<Vec<u8>>)> {
    let last: BTreeMap<B256, Option<Vec<u8>>> = steps.iter().cloned().collect();
    last.into_iter().map(|(key, value)| (key, merge::Set(value))).collect()
}

fn check(trie: &Trie<Vec<u8>>, entries: &Entries, asked: &B256) -> Result<(), TestCaseError> {
    let root = trie.root();
    prop_assert_eq!(root, oracle(entries));
    prop_assert_eq!(trie.is_empty(), entries.is_empty());
    let proof = trie.proof(asked);
    let value = entries.get(asked).cloned();
    prop_assert_eq!(trie.get(asked), value.as_ref());
    prop_assert_eq!(verify_proof(root, Nibbles::unpack(asked), value, &proof), Ok(()));
    let mut visited = Vec::new();
    trie.for_each(&mut |key, value: &Vec<u8>| visited.push((*key, value.clone())));
    prop_assert_eq!(visited, entries.clone().into_iter().collect::<Vec<_>>());
    let mut after = Vec::new();
    trie.visit_from(asked, &mut |key, _| {
        after.push(*key);
        after.len() < 3
    });
    prop_assert_eq!(after, entries.range(*asked..).take(3).map(|(key, _)| *key).collect::<Vec<_>>());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn root_equals_the_oracle_after_every_step(steps in steps(60), every in 1usize..6) {
        let (mut trie, mut entries) = (Trie::default(), Entries::new());
        prop_assert_eq!(trie.root(), EMPTY_ROOT_HASH);
        for (i, step) in steps.iter().enumerate() {
            match &step.1 {
                Some(value) => trie.insert(&step.0, value.clone()),
                None => trie.remove(&step.0),
            }
            apply(&mut entries, step);
            if i % every == 0 {
                check(&trie, &entries, &step.0)?;
            }
        }
        check(&trie, &entries, &B256::repeat_byte(0x77))?;
    }

    #[test]
    fn a_batch_equals_its_steps_and_a_clone_keeps_what_it_was(
        before in prop::collection::btree_map(key(), value(), 0..24),
        batches in prop::collection::vec(steps(24), 1..6),
    ) {
        let (mut trie, mut entries) = (Trie::build(&before.clone().into_iter().collect::<Vec<_>>()), before);
        check(&trie, &entries, &B256::repeat_byte(0x11))?;
        for steps in &batches {
            let (kept, was) = (trie.clone(), entries.clone());
            trie.merge(&mut batch(steps));
            steps.iter().for_each(|step| apply(&mut entries, step));
            let asked = steps.first().map_or(B256::ZERO, |(key, _)| *key);
            check(&trie, &entries, &asked)?;
            check(&kept, &was, &asked)?;
        }
    }

    #[test]
    fn random_keys_agree_and_order_does_not_matter(
        keys in prop::collection::btree_map(any::<[u8; 32]>(), any::<u8>(), 0..80),
        seed: u64,
    ) {
        let entries: Entries = keys.iter().map(|(k, v)| (B256::from(*k), vec![*v; 1 + usize::from(*v) / 4])).collect();
        let mut order: Vec<_> = entries.iter().collect();
        order.sort_by_key(|(k, _)| keccak256([k.as_slice(), &seed.to_le_bytes()].concat()));
        let mut trie = Trie::<Vec<u8>>::default();
        order.iter().for_each(|(k, v)| trie.insert(k, (*v).clone()));
        prop_assert_eq!(trie.root(), oracle(&entries));
        order.iter().for_each(|(k, _)| trie.remove(k));
        prop_assert!(trie.is_empty());
    }
}

#[test]
fn batches_that_all_threads_share_equal_the_oracle() {
    let key = |n: u32| keccak256(n.to_be_bytes());
    let steps = |range: std::ops::Range<u32>, value: Option<u8>| -> Vec<Step> {
        range.map(|n| (key(n), value.map(|value| vec![value; 1 + usize::from(n.to_be_bytes()[3] % 50)]))).collect()
    };
    let (mut trie, mut entries) = (Trie::default(), Entries::new());
    let rounds = [
        steps(0..3_000, Some(1)),
        [steps(1_000..2_000, None), steps(2_500..4_000, Some(2)), steps(9_000..9_500, None)].concat(),
        steps(0..4_000, None)[1..].to_vec(),
        steps(0..1, None),
    ];
    for round in rounds {
        trie.merge(&mut batch(&round));
        round.iter().for_each(|step| apply(&mut entries, step));
        check(&trie, &entries, &key(1)).unwrap();
        assert_eq!(Trie::build(&entries.clone().into_iter().collect::<Vec<_>>()).root(), trie.root());
    }
    assert!(trie.is_empty());
}
