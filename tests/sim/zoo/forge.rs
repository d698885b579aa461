//! Blocks that a liar proposes instead of its own.

use crate::machine::Dice;
use bytes::Bytes;
use cess::{
    chain::FUTURE_MAX_MS,
    codec,
    consensus::{Block, Header, beacon},
    crypto::{NodeKeys, VrfProof},
    types::{Address, B256, BlockId},
};

/// What is proposed in the place of a block.
#[derive(Debug, Clone)]
pub struct Forgery {
    /// Id that the proposal and the parts name.
    pub id: BlockId,
    /// Header that comes with the proposal.
    pub header: Header,
    /// What the parts carry.
    pub bytes: Bytes,
    /// Number of parts that is claimed; one is sent.
    pub parts: u32,
    /// Claim that two thirds prevoted for it in this round.
    pub pol_round: Option<u32>,
}

impl Forgery {
    /// A proposal of `block` as it is.
    pub fn of(block: &Block) -> Self {
        Self {
            id: block.id(),
            header: block.header.clone(),
            bytes: codec::encode(block).into(),
            parts: 1,
            pol_round: None,
        }
    }
}

/// Another block of the same turn that is as good.
pub fn twin(block: &Block) -> Forgery {
    let mut twin = block.clone();
    twin.header.time_ms += 1;
    Forgery::of(&twin)
}

type Spoil = fn(&mut Block, &mut Dice);

/// Ways to break the rules of headers and bodies. Some of them concern the clock, on which nodes may disagree for a while.
const SPOILS: [Spoil; 13] = [
    |block, _| block.txs.push(vec![0x6c, 1, 2, 3]),
    |block, _| {
        block.txs.push(vec![0x6c, 1, 2, 3]);
        block.header.body = Block::body_hash(&block.txs);
    },
    |block, _| {
        let again = block.txs.first().cloned().unwrap_or_else(|| vec![0]);
        block.txs.push(again);
        block.header.body = Block::body_hash(&block.txs);
    },
    |block, _| block.header.executed.hash = B256::repeat_byte(0xee),
    |block, _| block.header.parent = BlockId([0xee; 32]),
    |block, _| block.header.time_ms = 1,
    |block, dice| block.header.time_ms += FUTURE_MAX_MS + dice.below(60_000),
    |block, dice| block.header.time_ms += FUTURE_MAX_MS - dice.below(8_000),
    |block, _| block.header.round += 1,
    |block, _| block.header.proposer = Address::repeat_byte(0xee),
    |block, dice| match dice.chance(50) {
        true => block.header.committee = [0xee; 32],
        false => block.header.next_committee = [0xee; 32],
    },
    |block, _| block.header.chain_id += 1,
    |block, _| block.header.height += 1,
];

/// A block that breaks a rule, or that is no block.
pub fn spoilt(block: &Block, dice: &mut Dice) -> Forgery {
    let choice = dice.index(SPOILS.len() + 3);
    if let Some(spoil) = SPOILS.get(choice) {
        let mut spoilt = block.clone();
        spoil(&mut spoilt, dice);
        // Votes that nobody cast, which would excuse some of it.
        let pol_round = dice.chance(30).then(|| u32::try_from(dice.below(2)).unwrap_or(0));
        return Forgery { pol_round, ..Forgery::of(&spoilt) };
    }
    let good = Forgery::of(block);
    match choice - SPOILS.len() {
        0 => Forgery { bytes: good.bytes.slice(..good.bytes.len() / 2), ..good },
        1 => Forgery { parts: 2, ..good },
        _ => Forgery { id: BlockId([0xee; 32]), ..good },
    }
}

/// A block whose beacon proof is another's, or nobody's.
pub fn with_a_false_beacon(block: &Block, keys: &NodeKeys, dice: &mut Dice) -> Forgery {
    let mut forged = block.clone();
    let header = &mut forged.header;
    match dice.below(4) {
        0 => header.vrf.0[dice.index(80)] ^= 1 << dice.below(8),
        1 => header.vrf = VrfProof([0; 80]),
        2 => header.vrf = beacon::prove(&keys.vrf, header.chain_id, header.height, &B256::repeat_byte(0xee)),
        _ => header.vrf = beacon::prove(&keys.vrf, header.chain_id + 1, header.height, &B256::ZERO),
    }
    Forgery::of(&forged)
}
