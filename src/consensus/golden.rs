//! Golden bytes of what validators exchange and keep.

use super::{
    Block, Certificate, Checkpoint, Committee, EraChange, Executed, Header, SignedHeader, ValidatorInfo, double_vote,
};
use crate::{
    codec::golden::check,
    crypto::{NodeKeys, PublicKey, Signature, VRF_PROOF_BYTES, VrfProof, VrfPublicKey},
    types::{Address, B256, BlockId},
};

pub(super) fn header() -> Header {
    Header {
        chain_id: 11_332,
        height: 7,
        parent: BlockId([1; 32]),
        time_ms: 1_700_000_000_123,
        proposer: Address::repeat_byte(2),
        round: 3,
        vrf: VrfProof([4; VRF_PROOF_BYTES]),
        body: [5; 32],
        executed: Executed { height: 5, hash: B256::repeat_byte(6) },
        committee: [7; 32],
        next_committee: [8; 32],
    }
}

#[test]
fn bytes_are_golden() {
    check(&header());
    check(&Block { header: header(), txs: vec![vec![1, 2, 3], Vec::new()] });
    let signatures = vec![(Address::repeat_byte(1), Signature([2; 64])), (Address::repeat_byte(3), Signature([4; 64]))];
    let certificate = Certificate { height: 7, round: 1, block: BlockId([9; 32]), signatures };
    check(&certificate);
    let member = |n: u8| ValidatorInfo {
        account: Address::repeat_byte(n),
        consensus_key: PublicKey([n + 1; 32]),
        vrf_key: VrfPublicKey([n + 2; 32]),
        network_key: PublicKey([n + 3; 32]),
        power: 1_000,
    };
    let committee = Committee { members: vec![member(1), member(11)] };
    check(&committee);
    let last = SignedHeader { header: header(), certificate };
    check(&last);
    check(&EraChange { last, next: committee.clone() });
    check(&Checkpoint { genesis: B256::repeat_byte(3), era: 2, committee, newest: Some(header()) });
    check(&double_vote(&NodeKeys::derive(&[7; 32]), 11_332, 9, 2));
}
