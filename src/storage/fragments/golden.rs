//! Golden bytes of a miner's records.

use super::{Claim, Claimed, Cursor, EpochRecord, FragmentInfo, FragmentTags, TagMark};
use crate::{
    codec::golden::check,
    proofs::podr2::Tag,
    types::{B256, FragmentId},
};

#[test]
fn bytes_are_golden() {
    check(&FragmentInfo { len: 256, claims: 2, pending_since: Some(9), present: true });
    let fragments = vec![Claimed { id: FragmentId([1; 32]), len: 256 }, Claimed { id: FragmentId([2; 32]), len: 320 }];
    check(&Claim { column: 3, since: 7, tagged: vec![TagMark { epoch: 1, since: 9 }], fragments });
    check(&FragmentTags { tags: vec![Tag([5; 48])] });
    check(&EpochRecord { key: vec![1, 2], srs: vec![3] });
    check(&Cursor::new(B256::repeat_byte(4), 5));
}
