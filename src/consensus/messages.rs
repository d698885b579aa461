//! Votes, proposals and the parts a proposed block travels in.

use super::{
    context::{Account, BftContext, BlockHeight},
    sign_bytes,
};
use crate::types::{BlockId, ChainId, Height};
use arc_malachitebft_app_channel::app::types::core as engine;
use borsh::{
    BorshDeserialize, BorshSerialize,
    io::{Read, Result, Write},
};
use bytes::Bytes;
use engine::{NilOrVal, Round, SignedExtension, VoteType};

/// Bytes of a block that travel in one part, so that a large block streams and small messages pass between its parts.
pub const PART_MAX_BYTES: usize = 256 << 10;

/// The two steps of voting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub enum VoteKind {
    /// "This proposal is valid."
    Prevote,
    /// "Two thirds think so": certificates are made of these.
    Precommit,
}

/// A vote of one validator in one round.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// Which step.
    pub kind: VoteKind,
    /// Height voted on.
    pub height: Height,
    /// Round voted in.
    pub round: u32,
    /// The block, or nil.
    #[borsh(serialize_with = "put_choice", deserialize_with = "get_choice")]
    pub block: NilOrVal<BlockId>,
    /// Who votes.
    pub voter: Account,
}

impl Vote {
    /// What the voter signs.
    pub fn sign_bytes(&self, chain_id: ChainId) -> [u8; 32] {
        let (height, round, voter) = (self.height, self.round, &self.voter.0);
        match (self.kind, &self.block) {
            (VoteKind::Prevote, NilOrVal::Nil) => sign_bytes::prevote(chain_id, height, round, None, voter),
            (VoteKind::Prevote, NilOrVal::Val(id)) => sign_bytes::prevote(chain_id, height, round, Some(id), voter),
            (VoteKind::Precommit, NilOrVal::Nil) => sign_bytes::precommit_nil(chain_id, height, round, voter),
            (VoteKind::Precommit, NilOrVal::Val(id)) => sign_bytes::precommit(chain_id, height, round, id, voter),
        }
    }
}

impl engine::Vote<BftContext> for Vote {
    fn height(&self) -> BlockHeight {
        BlockHeight(self.height)
    }

    fn round(&self) -> Round {
        Round::new(self.round)
    }

    fn value(&self) -> &NilOrVal<BlockId> {
        &self.block
    }

    fn take_value(self) -> NilOrVal<BlockId> {
        self.block
    }

    fn vote_type(&self) -> VoteType {
        match self.kind {
            VoteKind::Prevote => VoteType::Prevote,
            VoteKind::Precommit => VoteType::Precommit,
        }
    }

    fn validator_address(&self) -> &Account {
        &self.voter
    }

    /// Votes carry no extensions.
    fn extension(&self) -> Option<&SignedExtension<BftContext>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<BftContext>> {
        None
    }

    fn extend(self, _: SignedExtension<BftContext>) -> Self {
        self
    }
}

/// A proposer's statement that it proposes a block.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Proposal {
    /// Height proposed for.
    pub height: Height,
    /// Round proposed in.
    pub round: u32,
    /// Earlier round in which two thirds prevoted for the block.
    pub pol_round: Option<u32>,
    /// The block.
    pub block: BlockId,
    /// Who proposes.
    pub proposer: Account,
}

impl Proposal {
    /// What the proposer signs.
    pub fn sign_bytes(&self, chain_id: ChainId) -> [u8; 32] {
        sign_bytes::proposal(chain_id, self.height, self.round, self.pol_round, &self.block, &self.proposer.0)
    }
}

/// A piece of an encoded block on its way to the other validators. It names the block and nothing else: in which round and by
/// whom a block is proposed is what a signed [`Proposal`] says.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ProposalPart {
    /// Height proposed for.
    pub height: Height,
    /// The block.
    pub block: BlockId,
    /// Position of this part.
    pub index: u32,
    /// Number of parts.
    pub count: u32,
    /// The bytes, at most [`PART_MAX_BYTES`].
    #[borsh(serialize_with = "put_bytes", deserialize_with = "get_bytes")]
    pub bytes: Bytes,
}

impl engine::ProposalPart<BftContext> for ProposalPart {
    fn is_first(&self) -> bool {
        self.index == 0
    }

    fn is_last(&self) -> bool {
        self.index.checked_add(1) == Some(self.count)
    }
}

fn put_choice<W: Write>(choice: &NilOrVal<BlockId>, writer: &mut W) -> Result<()> {
    match choice {
        NilOrVal::Nil => None,
        NilOrVal::Val(id) => Some(*id),
    }
    .serialize(writer)
}

fn get_choice<R: Read>(reader: &mut R) -> Result<NilOrVal<BlockId>> {
    Ok(Option::deserialize_reader(reader)?.map_or(NilOrVal::Nil, NilOrVal::Val))
}

fn put_bytes<W: Write>(bytes: &Bytes, writer: &mut W) -> Result<()> {
    bytes.as_ref().serialize(writer)
}

fn get_bytes<R: Read>(reader: &mut R) -> Result<Bytes> {
    Vec::deserialize_reader(reader).map(Bytes::from)
}
