//! What the engine saw of misbehaviour at a height, as evidence the chain takes.
//!
//! Owns the choice among pairs of conflicting messages. Must not know who reports them. Invariant: what leaves here convicts.

use crate::{
    codec,
    consensus::{
        Committee, Conflict, Evidence, HeadedProposal, SignedProposal, SignedVote,
        context::{Account, BftContext},
        messages::Vote,
    },
    types::ChainId,
};
use alloy_primitives::Bytes;
use arc_malachitebft_app_channel::app::types::{MisbehaviorEvidence, core::SignedMessage};
use std::collections::BTreeMap;

/// Pairs that are kept for one validator and height: one convicts.
const EVIDENCE_MAX_PAIRS: usize = 4;

type Conflicts = BTreeMap<Account, Vec<Conflict>>;

/// All pairs by their signer.
pub(super) fn conflicts_of(found: &MisbehaviorEvidence<BftContext>) -> Conflicts {
    let mut conflicts = Conflicts::new();
    for (account, pairs) in found.votes.iter() {
        let conflict = pairs.iter().map(|(a, b)| Conflict::Votes(vote_of(a), vote_of(b)));
        conflicts.entry(*account).or_default().extend(conflict);
    }
    for (account, pairs) in found.proposals.iter() {
        let conflict = pairs.iter().map(|(a, b)| Conflict::Proposals(proposal_of(a), proposal_of(b)));
        conflicts.entry(*account).or_default().extend(conflict);
    }
    conflicts
}

/// Encoded evidence of the pairs that convict `account`, a member of `committee`. The engine also pairs what is no offence by the
/// chain's rules, such as two proposals of one block.
pub(super) fn convicting(
    chain_id: ChainId,
    committee: &Committee,
    account: &Account,
    conflicts: Vec<Conflict>,
) -> Vec<Bytes> {
    let Some(member) = committee.by_account(&account.0) else { return Vec::new() };
    let evidence = conflicts.into_iter().map(|conflict| Evidence { chain_id, conflict });
    let convicts = |evidence: &Evidence| {
        evidence.verify(chain_id, &member.consensus_key).is_ok_and(|offence| offence.account == account.0)
    };
    evidence.filter(convicts).take(EVIDENCE_MAX_PAIRS).map(|evidence| codec::encode(&evidence).into()).collect()
}

fn proposal_of(signed: &SignedMessage<BftContext, HeadedProposal>) -> SignedProposal {
    SignedProposal { proposal: signed.message.proposal.clone(), signature: signed.signature }
}

fn vote_of(signed: &SignedMessage<BftContext, Vote>) -> SignedVote {
    SignedVote { vote: signed.message.clone(), signature: signed.signature }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        consensus::{committee_of, double_vote, messages::Proposal},
        crypto::NodeKeys,
        types::BlockId,
    };

    const CHAIN: ChainId = 11_332;

    fn proposal(keys: &NodeKeys, pol_round: Option<u32>, block: u8) -> SignedProposal {
        let (block, proposer) = (BlockId([block; 32]), Account(keys.address()));
        let proposal = Proposal { height: 5, round: 2, pol_round, block, proposer };
        let signature = keys.consensus.sign(&proposal.sign_bytes(CHAIN));
        SignedProposal { proposal, signature }
    }

    #[test]
    fn what_does_not_convict_is_left_out() {
        let (committee, keys) = committee_of(4);
        let (offender, account) = (&keys[1], Account(keys[1].address()));
        let same = Conflict::Proposals(proposal(offender, None, 1), proposal(offender, Some(0), 1));
        let forged = double_vote(&keys[2], CHAIN, 5, 2).conflict;
        let other_chain = double_vote(offender, CHAIN + 1, 5, 2).conflict;
        let good = Conflict::Proposals(proposal(offender, None, 1), proposal(offender, None, 2));
        let found = convicting(CHAIN, &committee, &account, vec![same.clone(), forged, other_chain, good.clone()]);
        assert_eq!(found, [Bytes::from(codec::encode(&Evidence { chain_id: CHAIN, conflict: good.clone() }))]);
        assert!(convicting(CHAIN, &committee, &account, vec![same]).is_empty());
        let stranger = Account(NodeKeys::derive(&[99; 32]).address());
        assert!(convicting(CHAIN, &committee, &stranger, vec![good.clone()]).is_empty());
        assert_eq!(convicting(CHAIN, &committee, &account, vec![good; 9]).len(), EVIDENCE_MAX_PAIRS);
    }
}
