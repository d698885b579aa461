//! Candidates against a look into every block.

use super::*;
use crate::{
    chain::{
        block_store::BlockStore,
        records::{
            ExecutedBlock,
            tests::{executed, receipt},
        },
    },
    kv::{Durability, MemoryKv},
};
use alloy_primitives::{Bytes, Log, LogData};
use proptest::prelude::*;

const BLOCKS: Height = 200;

fn address(n: u8) -> Address {
    Address::repeat_byte(n)
}

fn topic(n: u8) -> B256 {
    B256::repeat_byte(n)
}

fn log(at: u8, topics: &[u8]) -> Log {
    let topics = topics.iter().copied().map(topic).collect();
    Log { address: address(at), data: LogData::new_unchecked(topics, Bytes::new()) }
}

fn receipts(logs: Vec<Log>) -> Vec<Receipt> {
    vec![Receipt { logs, ..receipt() }]
}

fn logs() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let log = (0u8..3, prop::collection::vec(0u8..3, 0..=TOPICS));
    prop_oneof![1 => Just(Vec::new()), 1 => prop::collection::vec(log, 1..6)]
}

fn wanted(rows: &BTreeSet<u8>, found: Option<u8>) -> bool {
    rows.is_empty() || found.is_some_and(|found| rows.contains(&found))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_block_is_missed_and_few_are_looked_into_for_nothing(
        blocks in prop::collection::vec(logs(), 1..usize::try_from(BLOCKS).unwrap()),
        at in prop::collection::btree_set(0u8..4, 0..3),
        topics in prop::collection::vec(prop::collection::btree_set(0u8..4, 0..3), 0..=TOPICS),
        most in 1usize..5,
        from in 0..BLOCKS,
    ) {
        let kv = MemoryKv::new();
        let mut batch = Batch::new();
        let (mut expected, mut possible) = (Vec::new(), Vec::new());
        for (height, block) in (0..).zip(&blocks) {
            let receipts = receipts(block.iter().map(|(at, topics)| log(*at, topics)).collect());
            for row in rows(&receipts, most) {
                batch.put(Column::LogIndex, row.key(height), Vec::new());
            }
            let has = |(a, t): &(u8, Vec<u8>)| {
                wanted(&at, Some(*a)) && (0..).zip(&topics).all(|(n, wants): (usize, _)| wanted(wants, t.get(n).copied()))
            };
            if height >= from && block.iter().any(has) {
                expected.push(height);
            }
            // Each kind is there for itself, or has too many values to tell.
            let may = |kind: Kind, wants: &BTreeSet<u8>| {
                let value = |(a, t): &(u8, Vec<u8>)| match kind {
                    Kind::Address => Some(*a),
                    Kind::Topic(n) => t.get(n).copied(),
                };
                let values: BTreeSet<u8> = block.iter().filter_map(value).collect();
                wants.is_empty() || values.len() > most || values.intersection(wants).next().is_some()
            };
            let topics_may = (0..).zip(&topics).all(|(n, wants)| may(Kind::Topic(n), wants));
            if height >= from && may(Kind::Address, &at) && topics_may {
                possible.push(height);
            }
        }
        kv.write(batch, Durability::Buffered).unwrap();
        let addresses: Vec<Address> = at.iter().copied().map(address).collect();
        let topics: Vec<Vec<B256>> = topics.iter().map(|wants| wants.iter().copied().map(topic).collect()).collect();
        let read = |row: &LogRow, from, limit| heights(&kv, row, from, limit);
        let mut candidates = Candidates::new(read, addresses.iter(), topics.iter().map(|topics| topics.iter()));
        prop_assert_eq!(candidates.is_unbounded(), addresses.is_empty() && topics.iter().all(Vec::is_empty));
        prop_assume!(!candidates.is_unbounded());
        let (mut found, mut next) = (Vec::new(), from);
        while let Some(height) = candidates.next_from(next).unwrap() {
            found.push(height);
            next = height + 1;
        }
        prop_assert_eq!(&found, &possible);
        prop_assert!(expected.iter().all(|height| found.contains(height)));
    }
}

#[test]
fn a_crowded_block_costs_a_bounded_number_of_rows() {
    let topics = |n: u32| vec![topic(1), B256::from(alloy_primitives::U256::from(n))];
    let crowd = (0..5_000).map(|n| Log { address: address(1), data: LogData::new_unchecked(topics(n), Bytes::new()) });
    let rows = rows(&receipts(crowd.collect()), KIND_MAX_ROWS);
    assert_eq!(rows, [LogRow::address(&address(1)), LogRow::topic(0, &topic(1)), LogRow::any(Kind::Topic(1))]);
}

#[test]
fn log_row_keys() {
    let key = LogRow::topic(2, &topic(7)).key(0x0102);
    let expected = [&content(&[&[3][..], &[7; 32]].concat())[..16], &[0, 0, 0, 0, 0, 0, 1, 2]].concat();
    assert_eq!(key.to_vec(), expected);
    assert_ne!(LogRow::any(Kind::Address), LogRow::any(Kind::Topic(0)));
}

#[test]
fn blocks_from_before_the_index_are_told_apart() {
    let kv = std::sync::Arc::new(MemoryKv::new());
    let blocks = BlockStore::new(kv.clone());
    let store = |number: Height| {
        let mut block: ExecutedBlock = executed();
        block.header.number = number;
        let mut batch = Batch::new();
        blocks.stage_executed(&mut batch, &block, &receipts(vec![log(1, &[2])])).unwrap();
        kv.write(batch, Durability::Buffered).unwrap();
    };
    assert_eq!(blocks.logs_from().unwrap(), None);
    store(9);
    store(10);
    assert_eq!(blocks.logs_from().unwrap(), Some(9));
    assert_eq!(blocks.log_heights(&LogRow::topic(0, &topic(2)), 10, 5).unwrap(), [10]);
    assert_eq!(blocks.log_heights(&LogRow::address(&address(1)), 0, 5).unwrap(), [9, 10]);
    assert!(blocks.log_heights(&LogRow::address(&address(3)), 0, 5).unwrap().is_empty());
}
