//! What the validators agree on: a header, and the transactions whose digest it carries.

use super::wire::{get_address, get_word, put_address, put_word};
use crate::{
    codec::{self, Wire},
    crypto::{
        VrfProof,
        hash::{DOMAIN_BODY, DOMAIN_HEADER, tagged},
    },
    types::{Address, B256, BlockId, ChainId, Height, params::BLOCK_MAX_BYTES},
};

/// Largest encoded header.
pub const HEADER_MAX_BYTES: usize = 512;
/// Most transactions of a block: the gas limit over the cheapest transaction, rounded up.
pub const BLOCK_MAX_TXS: usize = 8_192;

/// How far the executed block that a header names may lie below it: its parent, or the one before, since a block is ordered while
/// its parent is executed. The first two heights have nothing older than genesis to name.
pub const EXECUTION_LAG_MAX: u64 = 2;

/// An executed block, as certified headers name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Executed {
    /// Its height.
    pub height: Height,
    /// Hash of its executed Ethereum header.
    #[borsh(serialize_with = "put_word", deserialize_with = "get_word")]
    pub hash: B256,
}

impl Executed {
    /// Whether the header of `height` may name it.
    pub fn may_be_named_at(&self, height: Height) -> bool {
        self.height < height && height - self.height <= EXECUTION_LAG_MAX
    }
}

/// The header of a block. Its digest is what validators vote for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Header {
    /// The chain this block belongs to.
    pub chain_id: ChainId,
    /// Its height, 1 for the first decided block.
    pub height: Height,
    /// Id of the block before, all zeroes for the first.
    pub parent: BlockId,
    /// When it was proposed, in milliseconds since 1970.
    pub time_ms: u64,
    /// Who built it. A block that is proposed again in a later round keeps its first proposer.
    #[borsh(serialize_with = "put_address", deserialize_with = "get_address")]
    pub proposer: Address,
    /// The round it was first proposed in.
    pub round: u32,
    /// The proposer's contribution to the beacon.
    pub vrf: VrfProof,
    /// Digest of the transactions, see [`Block::body_hash`].
    pub body: [u8; 32],
    /// The newest block its proposer had executed: see [`EXECUTION_LAG_MAX`].
    pub executed: Executed,
    /// Digest of the committee that decides this block.
    pub committee: [u8; 32],
    /// Digest of the committee that decides the next block.
    pub next_committee: [u8; 32],
}

/// A header with its transactions.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// Raw transaction envelopes in order of execution.
    pub txs: Vec<Vec<u8>>,
}

impl Wire for Header {
    const NAME: &'static str = "header";
    const VERSION: u8 = 2;
    const MAX_BYTES: usize = HEADER_MAX_BYTES;
}

impl Wire for Block {
    const NAME: &'static str = "block";
    const VERSION: u8 = 2;
    /// The body's cap counts the transactions; each also takes a length prefix.
    const MAX_BYTES: usize = HEADER_MAX_BYTES + BLOCK_MAX_BYTES + 8 + 4 * BLOCK_MAX_TXS;
}

impl Header {
    /// What votes and certificates name.
    pub fn id(&self) -> BlockId {
        BlockId(tagged(DOMAIN_HEADER, &[&codec::encode(self)]))
    }
}

impl Block {
    /// Id of its header.
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// Digest of transactions, order and boundaries included.
    pub fn body_hash(txs: &[Vec<u8>]) -> [u8; 32] {
        let parts: Vec<&[u8]> = txs.iter().map(Vec::as_slice).collect();
        tagged(DOMAIN_BODY, &parts)
    }

    /// Bytes of all transactions, which [`BLOCK_MAX_BYTES`] bounds.
    pub fn body_bytes(&self) -> usize {
        self.txs.iter().map(Vec::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Block {
        let txs = vec![vec![1, 2], vec![3]];
        let header = Header {
            chain_id: 11_332,
            height: 7,
            parent: BlockId([1; 32]),
            time_ms: 1_700_000_000_000,
            proposer: Address::repeat_byte(2),
            round: 1,
            vrf: VrfProof([3; 80]),
            body: Block::body_hash(&txs),
            executed: Executed { height: 5, hash: B256::repeat_byte(4) },
            committee: [5; 32],
            next_committee: [6; 32],
        };
        Block { header, txs }
    }

    #[test]
    fn golden_header_id() {
        let block = block();
        assert_eq!(codec::encode(&block.header).len(), 1 + 8 + 8 + 32 + 8 + 20 + 4 + 80 + 32 + 8 + 32 + 32 + 32);
        assert_eq!(block.id().to_string(), "99598335e33986c07493bb1587ddac4bd8cc66b1a975da8ab454cc69ea3a4ddc");
    }

    #[test]
    fn round_trips() {
        let block = block();
        assert_eq!(codec::decode::<Block>(&codec::encode(&block)), Ok(block.clone()));
        assert_eq!(codec::decode::<Header>(&codec::encode(&block.header)), Ok(block.header));
    }

    #[test]
    fn a_header_names_its_parent_or_the_block_before() {
        let named = |height| {
            let executed = |executed: Height| Executed { height: executed, hash: B256::ZERO };
            (0..=height + 1).filter(|older| executed(*older).may_be_named_at(height)).collect::<Vec<_>>()
        };
        assert_eq!((named(1), named(2), named(7)), (vec![0], vec![0, 1], vec![5, 6]));
    }

    #[test]
    fn every_field_changes_the_id() {
        let block = block();
        let changes: [fn(&mut Header); 12] = [
            |h| h.chain_id += 1,
            |h| h.height += 1,
            |h| h.parent.0[0] ^= 1,
            |h| h.time_ms += 1,
            |h| h.proposer.0[0] ^= 1,
            |h| h.round += 1,
            |h| h.vrf.0[0] ^= 1,
            |h| h.body[0] ^= 1,
            |h| h.executed.hash.0[0] ^= 1,
            |h| h.executed.height ^= 1,
            |h| h.committee[0] ^= 1,
            |h| h.next_committee[0] ^= 1,
        ];
        for change in changes {
            let mut other = block.header.clone();
            change(&mut other);
            assert_ne!(other.id(), block.id());
        }
    }

    #[test]
    fn body_hash_binds_boundaries_and_order() {
        let hash = |txs: &[&[u8]]| Block::body_hash(&txs.iter().map(|tx| tx.to_vec()).collect::<Vec<_>>());
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
        assert_ne!(hash(&[b"a", b"b"]), hash(&[b"b", b"a"]));
        assert_ne!(hash(&[]), hash(&[b""]));
    }

    #[test]
    fn a_full_block_fits_its_cap() {
        let mut block = block();
        block.txs = vec![vec![9; BLOCK_MAX_BYTES / BLOCK_MAX_TXS]; BLOCK_MAX_TXS];
        assert_eq!(block.body_bytes(), BLOCK_MAX_BYTES);
        assert!(codec::decode::<Block>(&codec::encode(&block)).is_ok());
    }
}
