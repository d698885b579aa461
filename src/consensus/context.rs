//! The BFT engine's vocabulary in this program's types.
//!
//! Owns how heights, accounts, committees and values look to the engine. Must not know actors, sockets or disks.
//! Invariant: the proposer of a height and round is a pure function of the seats, because they carry the height's seed.

use super::{
    Committee, HeadedProposal, Header, ValidatorInfo,
    messages::{Proposal, ProposalPart, Vote, VoteKind},
    rotation,
};
use crate::{
    crypto::{PublicKey, SecretKey, Signature},
    types::{Address, B256, BlockId, Height},
};
use arc_malachitebft_app_channel::app::types::core as engine;
use borsh::{BorshDeserialize, BorshSerialize};
use engine::{LinearTimeouts, NilOrVal, Round, VotingPower};
use std::{fmt, sync::Arc};

/// The engine's type parameter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BftContext;

impl engine::Context for BftContext {
    type Address = Account;
    type Height = BlockHeight;
    type ProposalPart = ProposalPart;
    type Proposal = HeadedProposal;
    type Validator = Seat;
    type ValidatorSet = Seats;
    type Timeouts = LinearTimeouts;
    type Value = Header;
    type Vote = Vote;
    type Extension = ();
    type SigningScheme = Ed25519;

    fn select_proposer<'a>(&self, seats: &'a Seats, height: BlockHeight, round: Round) -> &'a Seat {
        let round = round.as_u32().unwrap_or_default();
        let seat = rotation::proposer_index(seats.inner.seats.len(), &seats.inner.seed, height.0, round);
        &seats.inner.seats[seat]
    }

    fn new_proposal(
        &self,
        height: BlockHeight,
        round: Round,
        header: Header,
        pol_round: Round,
        proposer: Account,
    ) -> HeadedProposal {
        let (round, pol_round, block) = (defined(round), pol_round.as_u32(), header.id());
        HeadedProposal { proposal: Proposal { height: height.0, round, pol_round, block, proposer }, header }
    }

    fn new_prevote(&self, height: BlockHeight, round: Round, block: NilOrVal<BlockId>, voter: Account) -> Vote {
        Vote { kind: VoteKind::Prevote, height: height.0, round: defined(round), block, voter }
    }

    fn new_precommit(&self, height: BlockHeight, round: Round, block: NilOrVal<BlockId>, voter: Account) -> Vote {
        Vote { kind: VoteKind::Precommit, height: height.0, round: defined(round), block, voter }
    }
}

/// The engine votes and proposes only once a round has begun.
fn defined(round: Round) -> u32 {
    round.as_u32().expect("votes and proposals are made in a round that has begun")
}

/// A block height as the engine counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHeight(pub Height);

impl engine::Height for BlockHeight {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(1);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

impl fmt::Display for BlockHeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A validator's account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account(pub Address);

impl engine::Address for Account {}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl BorshSerialize for Account {
    fn serialize<W: borsh::io::Write>(&self, writer: &mut W) -> borsh::io::Result<()> {
        super::wire::put_address(&self.0, writer)
    }
}

impl BorshDeserialize for Account {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        super::wire::get_address(reader).map(Self)
    }
}

/// A member of the committee as the engine sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    account: Account,
    info: ValidatorInfo,
}

impl Seat {
    /// The member.
    pub fn info(&self) -> &ValidatorInfo {
        &self.info
    }
}

impl engine::Validator<BftContext> for Seat {
    fn address(&self) -> &Account {
        &self.account
    }

    fn public_key(&self) -> &PublicKey {
        &self.info.consensus_key
    }

    fn voting_power(&self) -> VotingPower {
        self.info.power
    }
}

/// The committee of one height with the seed of its rotation. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seats {
    inner: Arc<Inner>,
}

#[derive(Debug, PartialEq, Eq)]
struct Inner {
    height: Height,
    seed: B256,
    seats: Vec<Seat>,
    total: VotingPower,
}

impl Seats {
    /// The seats of `height`; `seed` is the beacon of the height before.
    pub fn new(height: Height, committee: &Committee, seed: B256) -> Self {
        let seat = |info: &ValidatorInfo| Seat { account: Account(info.account), info: info.clone() };
        let seats = committee.members.iter().map(seat).collect();
        Self { inner: Arc::new(Inner { height, seed, seats, total: committee.total_power() }) }
    }

    /// The height these seats decide.
    pub fn height(&self) -> Height {
        self.inner.height
    }

    /// The members, sorted by account.
    pub fn seats(&self) -> &[Seat] {
        &self.inner.seats
    }

    /// Sum of all powers.
    pub fn total_power(&self) -> VotingPower {
        self.inner.total
    }

    /// Who proposes first.
    pub fn first_proposer(&self) -> &Seat {
        engine::Context::select_proposer(&BftContext, self, BlockHeight(self.inner.height), Round::ZERO)
    }
}

impl engine::ValidatorSet<BftContext> for Seats {
    fn count(&self) -> usize {
        self.inner.seats.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.inner.total
    }

    fn get_by_address(&self, address: &Account) -> Option<&Seat> {
        let index = self.inner.seats.binary_search_by_key(address, |seat| seat.account).ok()?;
        self.inner.seats.get(index)
    }

    fn get_by_index(&self, index: usize) -> Option<&Seat> {
        self.inner.seats.get(index)
    }
}

/// Why raw bytes are not a key or signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} has {len} B, expected {expected} B")]
pub struct KeyLengthError {
    what: &'static str,
    len: usize,
    expected: usize,
}

/// The signing scheme of votes and proposals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ed25519;

fn exactly<const N: usize>(what: &'static str, bytes: &[u8]) -> Result<[u8; N], KeyLengthError> {
    bytes.try_into().map_err(|_| KeyLengthError { what, len: bytes.len(), expected: N })
}

impl engine::SigningScheme for Ed25519 {
    type DecodingError = KeyLengthError;
    type Signature = Signature;
    type PublicKey = PublicKey;
    type PrivateKey = SecretKey;

    fn decode_signature(bytes: &[u8]) -> Result<Signature, KeyLengthError> {
        exactly("signature", bytes).map(Signature)
    }

    fn encode_signature(signature: &Signature) -> Vec<u8> {
        signature.0.to_vec()
    }

    fn decode_public_key(bytes: &[u8]) -> Result<PublicKey, KeyLengthError> {
        exactly("public key", bytes).map(PublicKey)
    }

    fn encode_public_key(key: &PublicKey) -> Vec<u8> {
        key.0.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::committee::tests::committee_of;
    use engine::{Context, ValidatorSet};

    #[test]
    fn the_engine_rotates_as_the_protocol_does() {
        let (committee, _) = committee_of(5);
        let seed = B256::repeat_byte(9);
        let seats = Seats::new(7, &committee, seed);
        for round in 0..12 {
            let seat = BftContext.select_proposer(&seats, BlockHeight(7), Round::new(round));
            assert_eq!(seat.info().account, rotation::proposer(&committee, &seed, 7, round));
        }
        assert_eq!(seats.count(), 5);
        for member in &committee.members {
            assert_eq!(seats.get_by_address(&Account(member.account)).unwrap().info(), member);
        }
        assert!(seats.get_by_address(&Account(Address::ZERO)).is_none());
    }
}
