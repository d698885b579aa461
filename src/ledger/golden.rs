//! Golden bytes of manifests and state changes.

use super::{
    contents::BlockContents,
    manifest::{Manifest, SegmentEntry},
    state::{AccountDelta, AccountInfo, StateDelta},
};
use crate::{
    codec::golden::check,
    types::{Address, B256, FragmentId, SegmentId, U256},
};
use alloy_primitives::Bytes;
use std::collections::BTreeMap;

#[test]
fn bytes_are_golden() {
    let fragments = std::array::from_fn(|i| FragmentId([u8::try_from(i).unwrap(); 32]));
    check(&Manifest { size: 5, segments: vec![SegmentEntry { id: SegmentId([9; 32]), len: 5, fragments }] });
    let info = AccountInfo { nonce: 1, balance: U256::from(2), code_hash: B256::repeat_byte(3) };
    let slots = BTreeMap::from([(U256::from(4), U256::from(5)), (U256::from(6), U256::ZERO)]);
    let accounts = BTreeMap::from([
        (Address::repeat_byte(7), AccountDelta { info: Some(info), slots, wiped: true }),
        (Address::repeat_byte(8), AccountDelta { info: None, slots: BTreeMap::new(), wiped: false }),
    ]);
    let code = BTreeMap::from([(B256::repeat_byte(9), Bytes::from_static(&[0x60, 0x00]))]);
    check(&StateDelta { accounts, code });
    check(&super::witness::tests::sample());
    check(&BlockContents::new(vec![vec![2, 1], vec![0x6c]], &[]));
}
