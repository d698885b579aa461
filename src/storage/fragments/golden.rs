//! Golden bytes of a miner's records.

use super::{Claim, Cursor, FragmentInfo};
use crate::{
    codec::golden::check,
    types::{B256, FragmentId},
};

#[test]
fn bytes_are_golden() {
    check(&FragmentInfo { len: 256, claims: 2, pending_since: Some(9), present: true });
    check(&Claim { column: 3, fragments: vec![FragmentId([1; 32]), FragmentId([2; 32])] });
    check(&Cursor::new(B256::repeat_byte(4), 5));
}
