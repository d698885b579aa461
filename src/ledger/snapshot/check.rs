//! Proves a part against the reference it must have.
//!
//! The trie of its leaves is rebuilt from nothing: whoever changed, added or dropped one cannot make the reference fit.

use super::part::{AccountEntry, Open, PartBody, PartId, Path, Reference, SlotEntry};
use crate::{
    ledger::state::AccountInfo,
    types::{Address, B256, U256},
};
use alloy_primitives::{Bytes, KECCAK256_EMPTY, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::{
    EMPTY_ROOT_HASH, Nibbles, TrieAccount, TrieMask,
    nodes::{BranchNodeRef, ExtensionNodeRef, LeafNodeRef, RlpNode, TrieNode},
};

/// Why a part was refused. Whoever sent it is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PartFault {
    /// An answer to another question.
    #[error("{0}: the answer is of another kind")]
    Kind(PartId),
    /// A part without leaves is not a part.
    #[error("{0}: the answer is empty")]
    Empty(PartId),
    /// Leaves in another order, or twice.
    #[error("{0}: leaf {1} is not in order")]
    Order(PartId, usize),
    /// A leaf of another part.
    #[error("{0}: leaf {1} lies elsewhere")]
    Outside(PartId, usize),
    /// A word that is not stored.
    #[error("{0}: slot {1} is zero")]
    Zero(PartId, usize),
    /// It is not what the state root commits to.
    #[error("{0}: it is not part of the certified state")]
    Forged(PartId),
    /// A node that is none, or no inner one.
    #[error("{0}: the node cannot be divided: {1}")]
    Node(PartId, String),
}

/// What a part proved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Accounts.
    pub accounts: Vec<(Address, AccountInfo)>,
    /// Slots with their account.
    pub slots: Vec<(Address, U256, U256)>,
    /// Code by its hash.
    pub code: Vec<(B256, Bytes)>,
    /// Parts that are now known to exist.
    pub open: Vec<Open>,
}

/// Checks that `body` is the part `open` asks for.
pub fn check(open: &Open, body: PartBody) -> Result<Verified, PartFault> {
    match (&open.id, body) {
        (PartId::Accounts(path), PartBody::Accounts(accounts)) => check_accounts(open, path, &accounts),
        (PartId::Storage(address, path), PartBody::Slots(slots)) => check_slots(open, *address, path, &slots),
        (PartId::Accounts(path), PartBody::Node(node)) => divide(open, path, &node, PartId::Accounts),
        (PartId::Storage(address, path), PartBody::Node(node)) => {
            divide(open, path, &node, |below| PartId::Storage(*address, below))
        }
        (PartId::Code(hash), PartBody::Code(code)) => match keccak256(&code) == *hash {
            true => Ok(Verified { code: vec![(B256::from(*hash), code.into())], ..Verified::default() }),
            false => Err(PartFault::Forged(open.id.clone())),
        },
        _ => Err(PartFault::Kind(open.id.clone())),
    }
}

fn check_accounts(open: &Open, path: &Path, accounts: &[AccountEntry]) -> Result<Verified, PartFault> {
    let leaf = |entry: &AccountEntry| {
        let AccountInfo { nonce, balance, code_hash } = entry.info;
        let account = TrieAccount::new(nonce, balance, B256::from(entry.storage_root), code_hash);
        (Nibbles::unpack(keccak256(entry.address)), alloy_rlp::encode(account))
    };
    prove(open, path, &accounts.iter().map(leaf).collect::<Vec<_>>())?;
    let mut verified = Verified::default();
    for entry in accounts {
        verified.accounts.push((Address::from(entry.address), entry.info));
        if entry.storage_root != EMPTY_ROOT_HASH.0 {
            let id = PartId::Storage(entry.address, Path::default());
            verified.open.push(Open { id, reference: Reference::Hash(B256::from(entry.storage_root)) });
        }
        let code = entry.info.code_hash;
        if code != KECCAK256_EMPTY {
            verified.open.push(Open { id: PartId::Code(code.0), reference: Reference::Hash(code) });
        }
    }
    Ok(verified)
}

fn check_slots(open: &Open, address: [u8; 20], path: &Path, slots: &[SlotEntry]) -> Result<Verified, PartFault> {
    let value = |entry: &SlotEntry| U256::from_be_bytes(entry.value);
    if let Some(at) = slots.iter().position(|entry| value(entry).is_zero()) {
        return Err(PartFault::Zero(open.id.clone(), at));
    }
    let leaf = |entry: &SlotEntry| (Nibbles::unpack(keccak256(entry.slot)), alloy_rlp::encode(value(entry)));
    prove(open, path, &slots.iter().map(leaf).collect::<Vec<_>>())?;
    let address = Address::from(address);
    let slots = slots.iter().map(|entry| (address, U256::from_be_bytes(entry.slot), value(entry))).collect();
    Ok(Verified { slots, ..Verified::default() })
}

type Leaves = [(Nibbles, Vec<u8>)];

/// Rebuilds the trie of `leaves` below `path` and compares.
fn prove(open: &Open, path: &Path, leaves: &Leaves) -> Result<(), PartFault> {
    if leaves.is_empty() {
        return Err(PartFault::Empty(open.id.clone()));
    }
    if let Some(at) = leaves.windows(2).position(|pair| pair[0].0 >= pair[1].0) {
        return Err(PartFault::Order(open.id.clone(), at + 1));
    }
    if let Some(at) = leaves.iter().position(|(key, _)| !key.starts_with(&path.0)) {
        return Err(PartFault::Outside(open.id.clone(), at));
    }
    match open.reference.is_of(&node_over(leaves, path.0.len())) {
        true => Ok(()),
        false => Err(PartFault::Forged(open.id.clone())),
    }
}

/// Encoding of the node over `leaves`, which are in order, `depth` nibbles below the root.
fn node_over(leaves: &Leaves, depth: usize) -> Vec<u8> {
    let mut encoding = Vec::new();
    let (first, last) = (&leaves[0].0, &leaves[leaves.len() - 1].0);
    let shared = first.common_prefix_length(last);
    if let [(key, value)] = leaves {
        LeafNodeRef::new(&key.slice(depth..), value).rlp(&mut encoding);
    } else if shared > depth {
        let below = RlpNode::from_rlp(&node_over(leaves, shared));
        ExtensionNodeRef::new(&first.slice(depth..shared), &below).rlp(&mut encoding);
    } else {
        let (mut stack, mut mask) = (Vec::with_capacity(16), 0u16);
        for group in leaves.chunk_by(|a, b| a.0.get(depth) == b.0.get(depth)) {
            mask |= 1 << group[0].0.get(depth).expect("different keys differ above their ends");
            stack.push(RlpNode::from_rlp(&node_over(group, depth + 1)));
        }
        BranchNodeRef::new(&stack, TrieMask::new(mask)).rlp(&mut encoding);
    }
    encoding
}

/// The children of a node are parts of their own.
fn divide(open: &Open, path: &Path, encoding: &[u8], part: impl Fn(Path) -> PartId) -> Result<Verified, PartFault> {
    if !open.reference.is_of(encoding) {
        return Err(PartFault::Forged(open.id.clone()));
    }
    let refused = |reason: &dyn ToString| PartFault::Node(open.id.clone(), reason.to_string());
    let below = |nibbles: &Nibbles, child: &RlpNode| {
        let path = path.down(nibbles).ok_or_else(|| refused(&"it lies below the end of every key"))?;
        Ok(Open { id: part(path), reference: Reference::from(child) })
    };
    let open: Result<Vec<Open>, PartFault> = match TrieNode::decode(&mut &*encoding).map_err(|e| refused(&e))? {
        TrieNode::Branch(branch) => {
            let children = branch.as_ref();
            let children = children.children().filter_map(|(nibble, child)| child.map(|child| (nibble, child)));
            children.map(|(nibble, child)| below(&Nibbles::from_nibbles([nibble]), child)).collect()
        }
        TrieNode::Extension(extension) => below(&extension.key, &extension.child).map(|child| vec![child]),
        TrieNode::Leaf(_) | TrieNode::EmptyRoot => Err(refused(&"it is a leaf")),
    };
    Ok(Verified { open: open?, ..Verified::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::trie::Trie;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Keys that share long prefixes, down to their last nibble, with values short enough for nodes to be inlined.
    fn entries() -> impl Strategy<Value = BTreeMap<B256, Vec<u8>>> {
        let key = (0u8..3, 0u8..3, 0u8..4, 0u8..20).prop_map(|(first, middle, late, last)| {
            let mut key = [0x11u8; 32];
            (key[0], key[15], key[30], key[31]) = (first << 4, middle, late, last);
            B256::from(key)
        });
        prop::collection::btree_map(key, prop::collection::vec(any::<u8>(), 1..40), 1..60)
    }

    /// Divides the node at every position and looks at the leaves below each.
    fn divided(trie: &Trie<Vec<u8>>, leaves: &Leaves, open: &Open) -> Result<usize, TestCaseError> {
        let PartId::Accounts(path) = &open.id else { unreachable!("only accounts are asked for") };
        let node = trie.at(&path.0).expect("an open part is a node");
        let below: Vec<_> = leaves.iter().filter(|(key, _)| key.starts_with(&path.0)).cloned().collect();
        prop_assert_eq!(node.leaves(below.len()).map(|found| found.len()), Some(below.len()));
        prop_assert!(below.len() == 1 || node.leaves(below.len() - 1).is_none());
        prop_assert_eq!(prove(open, path, &below), Ok(()));
        prop_assert_eq!(node.encoding(), node_over(&below, path.0.len()));
        for at in 0..below.len() {
            let mut forged = below.clone();
            forged[at].1[0] ^= 1;
            prop_assert_eq!(prove(open, path, &forged), Err(PartFault::Forged(open.id.clone())));
            forged.remove(at);
            prop_assert!(prove(open, path, &forged).is_err());
        }
        let parts = divide(open, path, &node.encoding(), PartId::Accounts);
        if below.len() == 1 {
            prop_assert!(matches!(parts, Err(PartFault::Node(..))), "a leaf is not divided");
            return Ok(1);
        }
        let mut count = 1;
        for part in parts.expect("an inner node").open {
            count += divided(trie, leaves, &part)?;
        }
        Ok(count)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn every_position_is_proven_by_its_leaves_and_by_its_node(entries in entries()) {
            let mut trie = Trie::default();
            entries.iter().for_each(|(key, value)| trie.insert(key, value.clone()));
            let leaves: Vec<_> = entries.iter().map(|(key, value)| (Nibbles::unpack(key), value.clone())).collect();
            let root = Open { id: PartId::Accounts(Path::default()), reference: Reference::Hash(trie.root()) };
            prop_assert!(divided(&trie, &leaves, &root)? >= leaves.len());
            prop_assert!(trie.at(&Nibbles::from_nibbles([9])).is_none());
            prop_assert!(trie.at(&Nibbles::from_nibbles([1; 64])).is_none());
        }
    }
}
