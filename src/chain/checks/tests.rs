//! The rules of the beacon that a proposed block must keep.

use super::*;
use crate::{
    consensus::{Header, committee_of},
    crypto::NodeKeys,
};

const CHAIN: ChainId = 11_332;
const HEIGHT: Height = 9;
const SEED: B256 = B256::repeat_byte(7);

struct Hall {
    seated: Seated,
    keys: Vec<NodeKeys>,
}

impl Hall {
    fn new() -> Self {
        let (committee, keys) = committee_of(4);
        Self { seated: Seated { hash: committee.hash(), committee }, keys }
    }

    fn expected(&self) -> Expected<'_> {
        Expected {
            chain_id: CHAIN,
            height: HEIGHT,
            parent: BlockId([1; 32]),
            parent_time_ms: 1_000,
            executed: &|height| (height < HEIGHT).then_some(B256::repeat_byte(2)),
            committee: &self.seated,
            next_committee: &self.seated,
            seed: SEED,
        }
    }

    fn proposer(&self, round: u32) -> &NodeKeys {
        let account = rotation::proposer(&self.seated.committee, &SEED, HEIGHT, round);
        self.keys.iter().find(|keys| keys.address() == account).unwrap()
    }

    /// A block built for `round` by whose turn it is.
    fn block(&self, round: u32, time_ms: u64, txs: Vec<Vec<u8>>) -> Block {
        let keys = self.proposer(round);
        let expected = self.expected();
        let header = Header {
            chain_id: CHAIN,
            height: HEIGHT,
            parent: expected.parent,
            time_ms,
            proposer: keys.address(),
            round,
            vrf: beacon::prove(&keys.vrf, CHAIN, HEIGHT, &SEED),
            body: Block::body_hash(&txs),
            executed: Executed { height: HEIGHT - 1, hash: B256::repeat_byte(2) },
            committee: self.seated.hash,
            next_committee: self.seated.hash,
        };
        Block { header, txs }
    }

    fn judge(&self, block: &Block) -> Result<B256, BlockFault> {
        check_header(block, &self.expected())
    }
}

#[test]
fn nothing_the_proposer_chooses_enters_the_beacon() {
    let hall = Hall::new();
    let plain = hall.judge(&hall.block(0, 2_000, Vec::new())).unwrap();
    for (time_ms, txs) in [(2_001, Vec::new()), (2_000, vec![vec![1]]), (9_000, vec![vec![2, 3], vec![4]])] {
        assert_eq!(hall.judge(&hall.block(0, time_ms, txs)), Ok(plain));
    }
    // A proof over anything else, such as the block's own content, does not verify.
    let keys = hall.proposer(0);
    let mut ground = hall.block(0, 2_000, Vec::new());
    ground.header.vrf = keys.vrf.prove(&ground.header.body);
    assert_eq!(hall.judge(&ground), Err(BlockFault::Beacon(keys.address())));
    ground.header.vrf = beacon::prove(&keys.vrf, CHAIN, HEIGHT, &B256::ZERO);
    assert_eq!(hall.judge(&ground), Err(BlockFault::Beacon(keys.address())));
}

#[test]
fn a_block_may_certify_its_parent_or_the_block_before() {
    let hall = Hall::new();
    let judge = |height, byte| {
        let mut block = hall.block(0, 2_000, Vec::new());
        block.header.executed = Executed { height, hash: B256::repeat_byte(byte) };
        hall.judge(&block).map(|_| ())
    };
    assert_eq!((judge(HEIGHT - 1, 2), judge(HEIGHT - 2, 2)), (Ok(()), Ok(())));
    assert!(matches!(judge(HEIGHT - 2, 3), Err(BlockFault::Executed { .. })));
    for named in [0, HEIGHT - 3, HEIGHT, HEIGHT + 1, Height::MAX] {
        assert_eq!(judge(named, 2), Err(BlockFault::Lag { height: HEIGHT, named }));
    }
}

#[test]
fn a_block_proposed_again_keeps_its_proposer_and_proof() {
    let hall = Hall::new();
    let block = hall.block(0, 2_000, Vec::new());
    let beacon = hall.judge(&block).unwrap();
    assert_eq!(hall.judge(&block), Ok(beacon), "the later proposer brings no randomness of its own");

    let taken_over = |round| {
        let (mut other, keys) = (block.clone(), hall.proposer(2));
        (other.header.proposer, other.header.round) = (keys.address(), round);
        other.header.vrf = beacon::prove(&keys.vrf, CHAIN, HEIGHT, &SEED);
        other
    };
    assert!(hall.judge(&taken_over(2)).is_ok(), "its own turn, in which only its own proposal may propose it");
    let claimed = hall.judge(&taken_over(0));
    assert!(matches!(claimed, Err(BlockFault::Proposer { round: 0, .. })), "{claimed:?}");
    let mut borrowed = block.clone();
    borrowed.header.vrf = taken_over(2).header.vrf;
    assert_eq!(hall.judge(&borrowed), Err(BlockFault::Beacon(block.header.proposer)));
}
