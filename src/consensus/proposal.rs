//! A proposal with the header it proposes: what the engine agrees on, and when the one may propose the other.
//!
//! Owns the rule that ties a block's own words about its turn to the turn it is proposed in. Must not know clocks, votes or
//! transactions. Invariant: a proposal that passes [`HeadedProposal::check`] and is signed by the member whose turn it is either
//! is the first of its block, in the round and by the member the block was built for and by, or builds on a later vote for it.

use super::{
    Header,
    context::{Account, BftContext, BlockHeight},
    messages::Proposal,
};
use crate::types::{Address, BlockId, Height};
use arc_malachitebft_app_channel::app::types::core as engine;
use borsh::{BorshDeserialize, BorshSerialize};
use engine::Round;

/// A proposer's signed statement with the header of the block it names. The signature is over the statement alone: it names the
/// header by its digest.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeadedProposal {
    /// What the proposer signs.
    pub proposal: Proposal,
    /// The header of `proposal.block`.
    pub header: Header,
}

/// Why a proposal does not fit the header of its block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposalFault {
    /// Another header.
    #[error("proposal names block {named} and comes with the header of {found}")]
    Header { named: BlockId, found: BlockId },
    /// Another height.
    #[error("proposal is for height {proposed}, its block for {built}")]
    Height { proposed: Height, built: Height },
    /// A block that is proposed for the first time in another round than its own.
    #[error("block was built for round {built} and is proposed for the first time in round {proposed}")]
    Round { built: u32, proposed: u32 },
    /// A block that is proposed for the first time by somebody else.
    #[error("block was built by {built} and is proposed for the first time by {proposed}")]
    Proposer { built: Address, proposed: Address },
    /// Votes for a block from before there was one.
    #[error("block was built for round {built}, so that nobody prevoted for it in round {pol_round}")]
    VotedBefore { built: u32, pol_round: u32 },
    /// Votes that are not earlier.
    #[error("proposal of round {proposed} builds on the prevotes of round {pol_round}")]
    VotedAfter { proposed: u32, pol_round: u32 },
}

impl HeadedProposal {
    /// The block's id.
    pub fn block(&self) -> BlockId {
        self.proposal.block
    }

    /// Checks that header and proposal belong together. A pure function of both: signature, turn and the block are others' work.
    pub fn check(&self) -> Result<(), ProposalFault> {
        let (proposal, header) = (&self.proposal, &self.header);
        let found = header.id();
        if proposal.block != found {
            return Err(ProposalFault::Header { named: proposal.block, found });
        }
        if proposal.height != header.height {
            return Err(ProposalFault::Height { proposed: proposal.height, built: header.height });
        }
        let (built, proposed) = (header.round, proposal.round);
        match proposal.pol_round {
            None if built != proposed => Err(ProposalFault::Round { built, proposed }),
            None if header.proposer != proposal.proposer.0 => {
                Err(ProposalFault::Proposer { built: header.proposer, proposed: proposal.proposer.0 })
            }
            Some(pol_round) if pol_round < built => Err(ProposalFault::VotedBefore { built, pol_round }),
            Some(pol_round) if pol_round >= proposed => Err(ProposalFault::VotedAfter { proposed, pol_round }),
            None | Some(_) => Ok(()),
        }
    }
}

impl engine::Proposal<BftContext> for HeadedProposal {
    fn height(&self) -> BlockHeight {
        BlockHeight(self.proposal.height)
    }

    fn round(&self) -> Round {
        Round::new(self.proposal.round)
    }

    fn value(&self) -> &Header {
        &self.header
    }

    fn take_value(self) -> Header {
        self.header
    }

    fn pol_round(&self) -> Round {
        Round::from(self.proposal.pol_round)
    }

    fn validator_address(&self) -> &Account {
        &self.proposal.proposer
    }
}

/// The engine agrees on headers and votes on their ids; the transactions travel as proposal parts.
impl engine::Value for Header {
    type Id = BlockId;

    fn id(&self) -> BlockId {
        Header::id(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::golden::header;

    /// A block of round 3 proposed in `round` by its own proposer.
    fn proposed(round: u32, pol_round: Option<u32>) -> HeadedProposal {
        let header = header();
        assert_eq!(header.round, 3);
        let (height, block, proposer) = (header.height, header.id(), Account(header.proposer));
        HeadedProposal { proposal: Proposal { height, round, pol_round, block, proposer }, header }
    }

    #[test]
    fn a_block_is_first_proposed_in_its_own_round_by_its_own_proposer() {
        assert_eq!(proposed(3, None).check(), Ok(()));
        // Built for a later turn of the same member and proposed in an earlier one, or the other way round.
        for round in [0, 2, 4, 9] {
            assert_eq!(proposed(round, None).check(), Err(ProposalFault::Round { built: 3, proposed: round }));
        }
        let mut taken = proposed(3, None);
        taken.proposal.proposer = Account(Address::repeat_byte(9));
        let (built, claimed) = (taken.header.proposer, Address::repeat_byte(9));
        assert_eq!(taken.check(), Err(ProposalFault::Proposer { built, proposed: claimed }));
    }

    #[test]
    fn a_block_proposed_again_was_voted_for_after_it_was_built_and_before() {
        let mut again = proposed(5, Some(3));
        assert_eq!(again.check(), Ok(()));
        again.proposal.proposer = Account(Address::repeat_byte(9));
        assert_eq!(again.check(), Ok(()), "anybody proposes a block again");
        assert_eq!(proposed(5, Some(4)).check(), Ok(()));
        for pol_round in [0, 2] {
            assert_eq!(proposed(5, Some(pol_round)).check(), Err(ProposalFault::VotedBefore { built: 3, pol_round }));
        }
        for (proposed_in, pol_round) in [(5, 5), (5, 6), (3, 3), (2, 3)] {
            let refused = Err(ProposalFault::VotedAfter { proposed: proposed_in, pol_round });
            assert_eq!(proposed(proposed_in, Some(pol_round)).check(), refused);
        }
    }

    #[test]
    fn another_blocks_header_does_not_help() {
        let mut borrowed = proposed(0, None);
        borrowed.header.round = 0;
        assert!(matches!(borrowed.check(), Err(ProposalFault::Header { .. })));
        let mut other_height = proposed(3, None);
        other_height.proposal.height += 1;
        assert_eq!(other_height.check(), Err(ProposalFault::Height { proposed: 8, built: 7 }));
    }
}
