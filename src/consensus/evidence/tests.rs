//! What convicts and what does not.

use super::*;
use crate::{
    codec,
    consensus::messages::VoteKind,
    crypto::{NodeKeys, SecretKey},
    types::BlockId,
};
use arc_malachitebft_app_channel::app::types::core::NilOrVal;
use proptest::prelude::*;

const CHAIN: ChainId = 11_332;

fn vote(keys: &NodeKeys, kind: VoteKind, height: Height, round: u32, block: Option<u8>) -> Vote {
    let block = block.map_or(NilOrVal::Nil, |tag| NilOrVal::Val(BlockId([tag; 32])));
    Vote { kind, height, round, block, voter: Account(keys.address()) }
}

fn signed(vote: Vote, chain: ChainId, key: &SecretKey) -> SignedVote {
    let signature = key.sign(&vote.sign_bytes(chain));
    SignedVote { vote, signature }
}

/// Two precommits of one round for two blocks.
pub(crate) fn double_vote(keys: &NodeKeys, chain_id: ChainId, height: Height, round: u32) -> Evidence {
    let one = |tag| signed(vote(keys, VoteKind::Precommit, height, round, Some(tag)), chain_id, &keys.consensus);
    Evidence { chain_id, conflict: Conflict::Votes(one(1), one(2)) }
}

fn double_proposal(keys: &NodeKeys) -> Evidence {
    let one = |tag: u8, pol_round| {
        let proposal =
            Proposal { height: 5, round: 2, pol_round, block: BlockId([tag; 32]), proposer: Account(keys.address()) };
        let signature = keys.consensus.sign(&proposal.sign_bytes(CHAIN));
        SignedProposal { proposal, signature }
    };
    Evidence { chain_id: CHAIN, conflict: Conflict::Proposals(one(1, None), one(2, Some(1))) }
}

#[test]
fn conflicting_messages_convict_their_signer() {
    let keys = NodeKeys::derive(&[1; 32]);
    let key = keys.consensus.public();
    let offence = Offence { account: keys.address(), height: 5, round: 2 };
    for evidence in [double_vote(&keys, CHAIN, 5, 2), double_proposal(&keys)] {
        assert_eq!(evidence.verify(CHAIN, &key), Ok(offence));
        assert_eq!(codec::decode::<Evidence>(&codec::encode(&evidence)), Ok(evidence.clone()));
        let foreign = EvidenceError::Foreign { found: CHAIN, expected: CHAIN + 1 };
        assert_eq!(evidence.verify(CHAIN + 1, &key), Err(foreign));
        let other = NodeKeys::derive(&[2; 32]).consensus.public();
        let bad = EvidenceError::BadSignature { which: "first", account: keys.address() };
        assert_eq!(evidence.verify(CHAIN, &other), Err(bad));
    }
    let nil = |block| signed(vote(&keys, VoteKind::Prevote, 5, 2, block), CHAIN, &keys.consensus);
    let evidence = Evidence { chain_id: CHAIN, conflict: Conflict::Votes(nil(None), nil(Some(1))) };
    assert_eq!(evidence.verify(CHAIN, &key), Ok(offence));
}

#[test]
fn relabelled_evidence_of_another_chain_does_not_convict() {
    let keys = NodeKeys::derive(&[1; 32]);
    let mut evidence = double_vote(&keys, CHAIN + 1, 5, 2);
    evidence.chain_id = CHAIN;
    let refused = evidence.verify(CHAIN, &keys.consensus.public());
    assert!(matches!(refused, Err(EvidenceError::BadSignature { which: "first", .. })));
}

#[test]
fn what_an_honest_validator_signs_does_not_convict() {
    let (keys, other) = (NodeKeys::derive(&[1; 32]), NodeKeys::derive(&[2; 32]));
    let base = vote(&keys, VoteKind::Prevote, 5, 2, Some(1));
    let honest = [
        (vote(&keys, VoteKind::Precommit, 5, 2, Some(2)), EvidenceError::Unrelated("step")),
        (vote(&keys, VoteKind::Prevote, 6, 2, Some(2)), EvidenceError::Unrelated("height")),
        (vote(&keys, VoteKind::Prevote, 5, 3, None), EvidenceError::Unrelated("round")),
        (vote(&other, VoteKind::Prevote, 5, 2, Some(2)), EvidenceError::Unrelated("signer")),
        (base.clone(), EvidenceError::Same),
    ];
    for (second, refusal) in honest {
        let conflict =
            Conflict::Votes(signed(base.clone(), CHAIN, &keys.consensus), signed(second, CHAIN, &keys.consensus));
        let evidence = Evidence { chain_id: CHAIN, conflict };
        assert_eq!(evidence.verify(CHAIN, &keys.consensus.public()), Err(refusal));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_bent_byte_never_convicts_the_wrong_one(at in any::<prop::sample::Index>(), flip in 1u8..) {
        let keys = NodeKeys::derive(&[1; 32]);
        let good = double_vote(&keys, CHAIN, 5, 2);
        let mut bytes = codec::encode(&good);
        let index = at.index(bytes.len());
        bytes[index] ^= flip;
        if let Ok(bent) = codec::decode::<Evidence>(&bytes) {
            prop_assert!(bent.verify(CHAIN, &keys.consensus.public()).is_err());
        }
    }
}
