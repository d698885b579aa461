//! The part of a state that one computation reads, with proofs: enough to repeat it elsewhere without the state.
//!
//! Owns what is recorded and how it is verified. Must not know what was computed or where the root comes from. Invariants: an
//! opened witness holds only what its Merkle proofs show to be in (or absent from) the state of that root; whatever it does
//! not hold cannot be read from it, so that a computation over it ends as over the whole state, or in an error.

use super::{
    commitment::StateCommitment,
    state::{AccountInfo, StateError, StateView},
};
use crate::{
    codec::Wire,
    types::{Address, B256, U256},
};
use alloy_primitives::{Bytes, KECCAK256_EMPTY, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount, proof::verify_proof};
use borsh::{BorshDeserialize, BorshSerialize};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

/// Largest encoded witness.
pub const WITNESS_MAX_BYTES: usize = 4 << 20;
/// Accounts and slots one computation may read to be witnessed.
pub const WITNESS_MAX_READS: usize = 16_384;
/// Nodes on the longest path of a trie with 32-byte keys.
const PROOF_MAX_NODES: usize = 65;

/// Why a witness was not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// An account that the state does not hold so.
    #[error("the proof of account {address} does not lead to the state root {root}: {reason}")]
    Account { address: Address, root: B256, reason: String },
    /// A slot that the account's storage does not hold so.
    #[error("the proof of slot {slot} of {address} does not lead to its storage root: {reason}")]
    Slot { address: Address, slot: U256, reason: String },
    /// A proof that names a node it does not bring.
    #[error("the proof of {what} names node {index} of {count}")]
    Node { what: String, index: u32, count: usize },
    /// A proof longer than any path.
    #[error("the proof of {what} has {len} nodes, the limit is {max}")]
    Long { what: String, len: usize, max: usize },
}

/// What a computation read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reads {
    /// Accounts with their slots. An account whose slot was read counts as read.
    pub accounts: BTreeMap<Address, BTreeSet<U256>>,
    /// Code by hash.
    pub code: BTreeSet<B256>,
}

impl Reads {
    fn count(&self) -> usize {
        self.accounts.values().fold(self.accounts.len(), |sum, slots| sum + slots.len())
    }
}

/// A view that remembers what is read through it.
pub struct RecordingView<'a> {
    view: &'a dyn StateView,
    reads: RefCell<Reads>,
}

impl<'a> RecordingView<'a> {
    /// Over `view`.
    pub fn new(view: &'a dyn StateView) -> Self {
        Self { view, reads: RefCell::default() }
    }

    /// What was read.
    pub fn into_reads(self) -> Reads {
        self.reads.into_inner()
    }

    fn note(&self, note: impl FnOnce(&mut Reads)) -> Result<(), StateError> {
        let mut reads = self.reads.borrow_mut();
        note(&mut reads);
        match reads.count() > WITNESS_MAX_READS {
            true => Err(StateError::Unavailable(format!("over {WITNESS_MAX_READS} accounts and slots are read"))),
            false => Ok(()),
        }
    }
}

impl StateView for RecordingView<'_> {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        self.note(|reads| {
            reads.accounts.entry(*address).or_default();
        })?;
        self.view.account(address)
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        self.note(|reads| {
            reads.accounts.entry(*address).or_default().insert(*slot);
        })?;
        self.view.slot(address, slot)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.note(|reads| {
            reads.code.insert(*hash);
        })?;
        self.view.code(hash)
    }
}

/// Accounts, slots and code with proofs. Nodes that several proofs share are there once.
#[derive(Debug, Clone, PartialEq, Eq, Default, BorshSerialize, BorshDeserialize)]
pub struct Witness {
    nodes: Vec<Vec<u8>>,
    accounts: Vec<ProvenAccount>,
    code: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct ProvenAccount {
    address: [u8; 20],
    leaf: Option<Leaf>,
    proof: Vec<u32>,
    slots: Vec<ProvenSlot>,
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct Leaf {
    info: AccountInfo,
    storage: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
struct ProvenSlot {
    slot: [u8; 32],
    value: [u8; 32],
    proof: Vec<u32>,
}

impl Wire for Witness {
    const NAME: &'static str = "witness";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = WITNESS_MAX_BYTES;
}

impl Witness {
    /// Proves `reads` with the commitment of the state behind `view`.
    pub fn gather(reads: &Reads, view: &dyn StateView, trie: &dyn StateCommitment) -> Result<Self, StateError> {
        let mut pool = Pool::default();
        let mut accounts = Vec::with_capacity(reads.accounts.len());
        for (address, slots) in &reads.accounts {
            let info = view.account(address)?;
            let mut proven = Vec::with_capacity(slots.len());
            for slot in slots.iter().filter(|_| info.is_some()) {
                proven.push(ProvenSlot {
                    slot: slot.to_be_bytes(),
                    value: view.slot(address, slot)?.to_be_bytes(),
                    proof: pool.put(trie.storage_proof(address, slot)),
                });
            }
            accounts.push(ProvenAccount {
                address: address.into_array(),
                leaf: info.map(|info| Leaf { info, storage: trie.storage_root(address).0 }),
                proof: pool.put(trie.account_proof(address)),
                slots: proven,
            });
        }
        let code = reads.code.iter().map(|hash| Ok(view.code(hash)?.to_vec())).collect::<Result<_, StateError>>()?;
        Ok(Self { nodes: pool.nodes, accounts, code })
    }

    /// Bytes of its encoding, which [`WITNESS_MAX_BYTES`] bounds.
    pub fn encoded_bytes(&self) -> usize {
        1 + borsh::object_length(self).unwrap_or(usize::MAX - 1)
    }

    /// Verifies every proof against the state root.
    pub fn open(self, root: B256) -> Result<WitnessedState, WitnessError> {
        let nodes: Vec<Bytes> = self.nodes.into_iter().map(Bytes::from).collect();
        let mut state = WitnessedState::default();
        for account in self.accounts {
            let address = Address::from(account.address);
            let leaf = account.leaf.as_ref().map(Leaf::rlp);
            let what = || format!("account {address}");
            let bad = |reason| WitnessError::Account { address, root, reason };
            verify(&nodes, root, address.as_slice(), leaf, &account.proof, what, bad)?;
            let storage = account.leaf.as_ref().map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage.into());
            for proven in &account.slots {
                let (slot, value) = (U256::from_be_bytes(proven.slot), U256::from_be_bytes(proven.value));
                let leaf = (!value.is_zero()).then(|| alloy_rlp::encode(value));
                let what = || format!("slot {slot} of {address}");
                let bad = |reason| WitnessError::Slot { address, slot, reason };
                verify(&nodes, storage, &proven.slot, leaf, &proven.proof, what, bad)?;
                state.slots.insert((address, slot), value);
            }
            state.accounts.insert(address, account.leaf.map(|leaf| leaf.info));
        }
        state.code = self.code.into_iter().map(|code| (keccak256(&code), Bytes::from(code))).collect();
        Ok(state)
    }
}

impl Leaf {
    fn rlp(&self) -> Vec<u8> {
        let AccountInfo { nonce, balance, code_hash } = self.info;
        alloy_rlp::encode(TrieAccount::new(nonce, balance, self.storage.into(), code_hash))
    }
}

fn verify(
    nodes: &[Bytes],
    root: B256,
    key: &[u8],
    leaf: Option<Vec<u8>>,
    proof: &[u32],
    what: impl Fn() -> String,
    bad: impl Fn(String) -> WitnessError,
) -> Result<(), WitnessError> {
    if proof.len() > PROOF_MAX_NODES {
        return Err(WitnessError::Long { what: what(), len: proof.len(), max: PROOF_MAX_NODES });
    }
    let mut path = Vec::with_capacity(proof.len());
    for index in proof {
        let node = usize::try_from(*index).ok().and_then(|at| nodes.get(at));
        path.push(node.ok_or_else(|| WitnessError::Node { what: what(), index: *index, count: nodes.len() })?);
    }
    verify_proof(root, Nibbles::unpack(keccak256(key)), leaf, path).map_err(|e| bad(e.to_string()))
}

/// Distinct nodes in the order they were first needed.
#[derive(Default)]
struct Pool {
    nodes: Vec<Vec<u8>>,
    known: BTreeMap<Bytes, u32>,
}

impl Pool {
    fn put(&mut self, proof: Vec<Bytes>) -> Vec<u32> {
        let place = |node: Bytes| {
            let next = u32::try_from(self.nodes.len()).expect("reads are bounded, and so are their proofs");
            *self.known.entry(node).or_insert_with_key(|node| {
                self.nodes.push(node.to_vec());
                next
            })
        };
        proof.into_iter().map(place).collect()
    }
}

/// What a witness proved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WitnessedState {
    accounts: BTreeMap<Address, Option<AccountInfo>>,
    slots: BTreeMap<(Address, U256), U256>,
    code: BTreeMap<B256, Bytes>,
}

impl StateView for WitnessedState {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        let missing = || StateError::Unavailable(format!("account {address} is not in the witness"));
        self.accounts.get(address).copied().ok_or_else(missing)
    }

    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        if self.account(address)?.is_none() {
            return Ok(U256::ZERO);
        }
        let missing = || StateError::Unavailable(format!("slot {slot} of {address} is not in the witness"));
        self.slots.get(&(*address, *slot)).copied().ok_or_else(missing)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        if *hash == KECCAK256_EMPTY {
            return Ok(Bytes::new());
        }
        self.code
            .get(hash)
            .cloned()
            .ok_or_else(|| StateError::Unavailable(format!("code {hash} is not in the witness")))
    }
}

#[cfg(test)]
pub(crate) mod tests;
