//! Takes a part out of a state.

use super::part::{AccountEntry, PartBody, PartId, PartLimits, SlotEntry};
use crate::{
    ledger::{
        commitment::{Account, StateTrie, Word},
        trie::{Leaf, Trie},
    },
    types::Address,
};
use alloy_trie::Nibbles;

impl StateTrie {
    /// A part of the tries, `None` if there is none of this name. Code is not part of a trie.
    pub fn part(&self, id: &PartId, limits: &PartLimits) -> Option<PartBody> {
        match id {
            PartId::Accounts(path) => body(self.account_trie(), &path.0, limits.accounts, |found| {
                PartBody::Accounts(found.into_iter().map(AccountEntry::from).collect())
            }),
            PartId::Storage(address, path) => {
                let storage = &self.account(&Address::from(*address))?.storage;
                body(storage, &path.0, limits.slots, |found| {
                    PartBody::Slots(found.into_iter().map(SlotEntry::from).collect())
                })
            }
            PartId::Code(_) => None,
        }
    }
}

/// All leaves below `path` if they are not over `most`, else the node there.
fn body<V: Leaf>(
    trie: &Trie<V>,
    path: &Nibbles,
    most: usize,
    leaves: impl FnOnce(Vec<&V>) -> PartBody,
) -> Option<PartBody> {
    let node = trie.at(path)?;
    Some(match node.leaves(most) {
        Some(found) => leaves(found),
        None => PartBody::Node(node.encoding()),
    })
}

impl From<&Account> for AccountEntry {
    fn from(account: &Account) -> Self {
        let (address, storage_root) = (account.address.into_array(), account.storage.root().0);
        Self { address, info: account.info, storage_root }
    }
}

impl From<&Word> for SlotEntry {
    fn from(word: &Word) -> Self {
        Self { slot: word.slot.to_be_bytes(), value: word.value.to_be_bytes() }
    }
}
