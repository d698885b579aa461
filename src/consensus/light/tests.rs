//! Chains of made-up eras: what is believed, and every lie by its name.

use super::*;
use crate::{
    consensus::{ValidatorInfo, sign_bytes},
    crypto::{NodeKeys, VRF_PROOF_BYTES, VrfProof},
    types::Address,
};
use proptest::prelude::*;

const CHAIN: ChainId = 11_332;
const ERA_BLOCKS: u64 = 8;

fn rules() -> LightRules {
    LightRules::new(CHAIN, &Params { era_blocks: ERA_BLOCKS, ..Params::dev() })
}

/// Four validators, other ones in every era.
fn keys_of(era: u64) -> Vec<NodeKeys> {
    let first = u8::try_from(era * 3).unwrap();
    let mut keys: Vec<_> = (first..first + 4).map(|seed| NodeKeys::derive(&[seed; 32])).collect();
    keys.sort_by_key(NodeKeys::address);
    keys
}

fn committee_of(era: u64) -> Committee {
    let member = |keys: &NodeKeys| ValidatorInfo {
        account: keys.address(),
        consensus_key: keys.consensus.public(),
        vrf_key: keys.vrf.public(),
        network_key: keys.network.public(),
        power: 10,
    };
    Committee::new(keys_of(era).iter().map(member).collect()).unwrap()
}

fn header(height: Height) -> Header {
    let era = |height| rules().calendar.era(height);
    Header {
        chain_id: CHAIN,
        height,
        parent: if height == 1 { BlockId::default() } else { BlockId([u8::try_from(height).unwrap(); 32]) },
        time_ms: height * 1_000,
        proposer: Address::repeat_byte(1),
        round: 1,
        vrf: VrfProof([2; VRF_PROOF_BYTES]),
        body: [3; 32],
        executed: Executed { height: height - 1, hash: B256::repeat_byte(4) },
        committee: committee_of(era(height)).hash(),
        next_committee: committee_of(era(height + 1)).hash(),
    }
}

/// `header`, signed by the first `signers` of its era's committee.
pub(crate) fn sign(header: Header, keys: &[NodeKeys], round: u32) -> SignedHeader {
    let (height, block) = (header.height, header.id());
    let vote = |k: &NodeKeys| {
        let account = k.address();
        (account, k.consensus.sign(&sign_bytes::precommit(header.chain_id, height, round, &block, &account)))
    };
    let signatures = keys.iter().map(vote).collect();
    SignedHeader { certificate: Certificate { height, round, block, signatures }, header }
}

fn signed(height: Height) -> SignedHeader {
    resigned(header(height))
}

fn resigned(header: Header) -> SignedHeader {
    let era = rules().calendar.era(header.height);
    sign(header, &keys_of(era)[..3], 1)
}

fn trusted(era: u64) -> TrustedEra {
    TrustedEra::new(era, committee_of(era)).unwrap()
}

fn change(era: u64) -> EraChange {
    EraChange { last: signed(rules().calendar.last(era)), next: committee_of(era + 1) }
}

#[test]
fn one_certificate_an_era_leads_from_genesis_to_any_height() {
    let mut era = trusted(0);
    for number in 0..5 {
        let calendar = rules().calendar;
        for height in calendar.first(number).max(1)..=calendar.last(number) {
            assert_eq!(era.verify(&rules(), &signed(height)), Ok(()));
        }
        era = era.step(&rules(), &change(number)).unwrap();
        assert_eq!((era.era, &era.committee), (number + 1, &committee_of(number + 1)));
    }
}

#[test]
fn every_change_of_a_signed_header_is_refused() {
    let changes: [fn(&mut SignedHeader); 18] = [
        |s| s.header.chain_id += 1,
        |s| s.header.height += 1,
        |s| s.header.parent.0[0] ^= 1,
        |s| s.header.time_ms += 1,
        |s| s.header.proposer.0[0] ^= 1,
        |s| s.header.round += 1,
        |s| s.header.vrf.0[0] ^= 1,
        |s| s.header.body[0] ^= 1,
        |s| s.header.executed.hash.0[0] ^= 1,
        |s| s.header.committee[0] ^= 1,
        |s| s.header.next_committee[0] ^= 1,
        |s| s.certificate.height += 1,
        |s| s.certificate.round += 1,
        |s| s.certificate.block.0[0] ^= 1,
        |s| s.certificate.signatures[2].1.0[0] ^= 1,
        |s| s.certificate.signatures.truncate(2),
        |s| s.certificate.signatures[1] = s.certificate.signatures[0],
        |s| s.certificate.signatures.swap(0, 1),
    ];
    assert_eq!(trusted(1).verify(&rules(), &signed(10)), Ok(()));
    for (index, change) in changes.iter().enumerate() {
        let mut other = signed(10);
        change(&mut other);
        assert!(trusted(1).verify(&rules(), &other).is_err(), "change {index}");
    }
}

#[test]
fn refusals_have_names() {
    let era = trusted(1);
    let refused = |signed: &SignedHeader| era.verify(&rules(), signed).unwrap_err();
    assert!(matches!(refused(&signed(16)), HeaderFault::WrongEra { height: 16, found: 2, trusted: 1 }));
    let strangers = sign(Header { committee: committee_of(9).hash(), ..header(10) }, &keys_of(9), 1);
    assert!(matches!(refused(&strangers), HeaderFault::WrongCommittee { height: 10, era: 1, .. }));
    let early = sign(Header { next_committee: committee_of(2).hash(), ..header(10) }, &keys_of(1), 1);
    assert!(matches!(refused(&early), HeaderFault::EarlyChange { height: 10, era: 1, .. }));
    let mut swapped = signed(10);
    swapped.certificate = signed(11).certificate;
    assert!(matches!(refused(&swapped), HeaderFault::ForeignCertificate { height: 10, at: 11, .. }));
    let before_it_was_proposed = sign(header(10), &keys_of(1), 0);
    let expected = HeaderFault::NotCertified {
        height: 10,
        reason: ConsensusError::DecidedBefore { height: 10, decided: 0, built: 1 },
    };
    assert_eq!(refused(&before_it_was_proposed), expected);
    let few = sign(header(10), &keys_of(1)[..2], 1);
    assert!(matches!(refused(&few), HeaderFault::NotCertified { reason: ConsensusError::NoQuorum { .. }, .. }));
    let foreign = sign(Header { chain_id: 1, ..header(10) }, &keys_of(1), 1);
    assert!(matches!(refused(&foreign), HeaderFault::ForeignChain { found: 1, expected: CHAIN, .. }));
}

#[test]
fn a_forged_committee_is_refused() {
    let forged = EraChange { next: committee_of(7), ..change(0) };
    assert!(matches!(trusted(0).step(&rules(), &forged), Err(HeaderFault::ForgedCommittee { era: 1, .. })));
    // The forger's own committee signs a header that names it: it is still not the one that was trusted.
    let last = rules().calendar.last(0);
    let of_strangers =
        Header { committee: committee_of(7).hash(), next_committee: committee_of(7).hash(), ..header(last) };
    let forged = EraChange { last: sign(of_strangers, &keys_of(7), 1), next: committee_of(7) };
    assert!(matches!(trusted(0).step(&rules(), &forged), Err(HeaderFault::WrongCommittee { .. })));
    let early = EraChange { last: signed(last - 1), next: committee_of(0) };
    let refused = trusted(0).step(&rules(), &early);
    assert_eq!(refused, Err(HeaderFault::NotLast { height: last - 1, era: 0, last }));
    let mut powerless = committee_of(1);
    powerless.members[0].power = 0;
    let named = Header { next_committee: powerless.hash(), ..header(last) };
    let change = EraChange { last: sign(named, &keys_of(0), 1), next: powerless };
    assert!(matches!(trusted(0).step(&rules(), &change), Err(HeaderFault::BadCommittee { era: 1, .. })));
    assert!(matches!(trusted(1).step(&rules(), &self::change(0)), Err(HeaderFault::WrongEra { .. })));
}

/// More seats than a committee may have still fit the cap of a change of eras.
#[test]
fn a_committee_that_is_too_large_is_refused_and_no_panic() {
    let seat = |n: u16| ValidatorInfo {
        account: Address::left_padding_from(&n.to_be_bytes()),
        ..committee_of(1).members[0].clone()
    };
    let next = Committee { members: (0..400).map(seat).collect() };
    let bytes = crate::codec::encode(&EraChange { next, ..change(0) });
    let forged = crate::codec::decode::<EraChange>(&bytes).unwrap();
    let refused = trusted(0).step(&rules(), &forged).unwrap_err();
    assert!(matches!(
        refused,
        HeaderFault::BadCommittee { reason: ConsensusError::TooManyMembers { found: 400, .. }, .. }
    ));
}

#[test]
fn the_newest_header_only_moves_forward_on_one_chain() {
    let (old, new) = (header(10), header(14));
    assert_eq!(check_order(&old, &new), Ok(()));
    assert_eq!(check_order(&old, &old), Ok(()));
    assert_eq!(check_order(&new, &old), Err(HeaderFault::Stale { height: 10, newest: 14 }));
    let twin = Header { time_ms: 1, ..header(10) };
    assert!(matches!(check_order(&old, &twin), Err(HeaderFault::Fork { height: 10, .. })));
    let child = Header { parent: old.id(), ..header(11) };
    assert_eq!(check_order(&old, &child), Ok(()));
    assert!(matches!(check_order(&old, &header(11)), Err(HeaderFault::Fork { height: 10, .. })));
}

#[test]
fn a_header_certifies_what_was_executed_just_below_it() {
    let Header { executed, .. } = header(10);
    assert_eq!(check_executed(B256::repeat_byte(4), &executed), Ok(()));
    let refused = check_executed(B256::repeat_byte(5), &executed).unwrap_err();
    assert!(refused.to_string().contains("executed header of height 9"));
    for (height, named, allowed) in [(10, 9, true), (10, 8, true), (10, 7, false), (10, 10, false), (10, 11, false)] {
        let header = Header { executed: Executed { height: named, ..executed }, ..header(height) };
        let verdict = trusted(rules().calendar.era(height)).verify(&rules(), &resigned(header));
        let expected = if allowed { Ok(()) } else { Err(HeaderFault::Lag { height, named }) };
        assert_eq!(verdict, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever byte of its encoding is changed: a signed header is unreadable or refused.
    #[test]
    fn no_flipped_bit_is_believed(at in 0usize..600, bit in 0u8..8) {
        let mut bytes = crate::codec::encode(&signed(10));
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(other) = crate::codec::decode::<SignedHeader>(&bytes) {
            prop_assert!(trusted(1).verify(&rules(), &other).is_err());
        }
    }
}
