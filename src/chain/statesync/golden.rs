//! Golden bytes of what state sync sends and keeps.

use super::{
    store::TargetRecord,
    wire::{Answer, Question},
};
use crate::{
    chain::records::tests::executed,
    codec::golden::check,
    ledger::snapshot::{AccountEntry, PartBody, PartId, Path, SlotEntry},
    ledger::state::AccountInfo,
};
use alloy_trie::Nibbles;

#[test]
fn bytes_are_golden() {
    let path = Path(Nibbles::from_nibbles([1, 15, 0]));
    let parts = vec![PartId::Accounts(path), PartId::Storage([2; 20], Path::default()), PartId::Code([3; 32])];
    check(&Question::Parts { height: 60, parts });
    let account = AccountEntry { address: [1; 20], info: AccountInfo::default(), storage_root: [2; 32] };
    let bodies = vec![
        PartBody::Accounts(vec![account]),
        PartBody::Slots(vec![SlotEntry { slot: [3; 32], value: [4; 32] }]),
        PartBody::Node(vec![0xc1, 0x80]),
        PartBody::Code(vec![0x60]),
    ];
    check(&Answer::Parts(bodies));
    check(&TargetRecord { executed: executed().record() });
}
