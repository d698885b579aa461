//! What the parts of a state are called, what they consist of, and how they are encoded.

use crate::{
    codec::Wire,
    ledger::{
        state::AccountInfo,
        wire::{get_word, malformed, put_word},
    },
    types::B256,
};
use alloy_primitives::keccak256;
use alloy_trie::{Nibbles, nodes::RlpNode};
use borsh::{BorshDeserialize, BorshSerialize, io};
use std::fmt;

/// Nibbles of a whole key.
const KEY_NIBBLES: usize = 64;
/// Bytes a part has at most, its few bytes of framing aside.
pub const PART_MAX_BYTES: usize = 512 << 10;
/// Bytes of an encoded [`AccountEntry`].
const ACCOUNT_BYTES: usize = 20 + 8 + 32 + 32 + 32;
/// Bytes of an encoded [`SlotEntry`].
const SLOT_BYTES: usize = 32 + 32;

/// How many leaves are one part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartLimits {
    /// Accounts in one part.
    pub accounts: usize,
    /// Slots in one part.
    pub slots: usize,
}

impl Default for PartLimits {
    fn default() -> Self {
        Self { accounts: PART_MAX_BYTES / ACCOUNT_BYTES, slots: PART_MAX_BYTES / SLOT_BYTES }
    }
}

/// The first nibbles of hashed keys: a position in a trie.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Nibbles);

impl Path {
    /// The path of a key on from this one.
    pub fn down(&self, nibbles: &Nibbles) -> Option<Self> {
        (self.0.len() + nibbles.len() <= KEY_NIBBLES).then(|| Self(self.0.join(nibbles)))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|nibble| write!(f, "{nibble:x}"))
    }
}

impl BorshSerialize for Path {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.0.to_vec().serialize(writer)
    }
}

impl BorshDeserialize for Path {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let nibbles = Vec::<u8>::deserialize_reader(reader)?;
        if nibbles.len() > KEY_NIBBLES || nibbles.iter().any(|nibble| *nibble > 0xf) {
            return Err(malformed("a path has at most 64 nibbles"));
        }
        Ok(Self(Nibbles::from_nibbles(nibbles)))
    }
}

/// Which part of a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum PartId {
    /// The accounts whose hashed addresses begin with a path.
    Accounts(Path),
    /// The slots of the account at an address whose hashed numbers begin with a path.
    Storage([u8; 20], Path),
    /// The code with a hash.
    Code([u8; 32]),
}

impl Wire for PartId {
    const NAME: &'static str = "state part id";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 128;
}

impl fmt::Display for PartId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PartId::Accounts(path) => write!(f, "accounts below {path}"),
            PartId::Storage(address, path) => write!(f, "slots of 0x{} below {path}", hex::encode(address)),
            PartId::Code(hash) => write!(f, "code 0x{}", hex::encode(hash)),
        }
    }
}

/// How a parent refers to a node, or the state to its root: what identifies everything below.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Reference {
    /// keccak256 of the encoding.
    Hash(#[borsh(serialize_with = "put_word", deserialize_with = "get_word")] B256),
    /// The encoding itself, shorter than a hash.
    Inline(Vec<u8>),
}

impl Reference {
    /// Whether it refers to a node with this encoding.
    pub fn is_of(&self, encoding: &[u8]) -> bool {
        match self {
            Reference::Hash(hash) => keccak256(encoding) == *hash,
            Reference::Inline(inline) => inline == encoding,
        }
    }
}

impl From<&RlpNode> for Reference {
    fn from(node: &RlpNode) -> Self {
        node.as_hash().map_or_else(|| Reference::Inline(node.as_slice().to_vec()), Reference::Hash)
    }
}

/// A part that is not here yet.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Open {
    /// Which.
    pub id: PartId,
    /// What it must be.
    pub reference: Reference,
}

impl Wire for Open {
    const NAME: &'static str = "open state part";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = PartId::MAX_BYTES + 64;
}

/// An account with the root of its storage.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AccountEntry {
    /// Where.
    pub address: [u8; 20],
    /// What.
    pub info: AccountInfo,
    /// Root of its storage trie.
    pub storage_root: [u8; 32],
}

/// A slot that is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SlotEntry {
    /// Its number.
    pub slot: [u8; 32],
    /// Its word.
    pub value: [u8; 32],
}

/// What a part consists of.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PartBody {
    /// All accounts of a part, in the order of their hashed addresses.
    Accounts(Vec<AccountEntry>),
    /// All slots of a part, in the order of their hashed numbers.
    Slots(Vec<SlotEntry>),
    /// The part is too large: the encoding of its topmost node, whose children are parts of their own.
    Node(Vec<u8>),
    /// Code.
    Code(Vec<u8>),
}

impl PartBody {
    /// Bytes it takes, roughly.
    pub fn bytes(&self) -> usize {
        match self {
            PartBody::Accounts(accounts) => accounts.len() * ACCOUNT_BYTES,
            PartBody::Slots(slots) => slots.len() * SLOT_BYTES,
            PartBody::Node(bytes) | PartBody::Code(bytes) => bytes.len(),
        }
    }
}
