//! Changing accounts by hand, and the pool.

use super::DevChain;
use crate::{
    ledger::{
        commitment::StateCommitment,
        state::{AccountDelta, AccountInfo, StateDelta},
        tx::VerifiedTx,
    },
    types::{Address, B256, U256},
};
use alloy_primitives::{Bytes, KECCAK256_EMPTY, keccak256};
use alloy_trie::EMPTY_ROOT_HASH;
use std::{collections::BTreeMap, sync::Arc};

impl DevChain {
    /// Sets what an account owns, given what it owned.
    pub fn set_balance(&self, account: Address, balance: impl FnOnce(U256) -> U256) {
        self.change(account, |info| info.balance = balance(info.balance));
    }

    /// Sets the nonce of an account.
    pub fn set_nonce(&self, account: Address, nonce: u64) {
        self.change(account, |info| info.nonce = nonce);
    }

    /// Puts code at an address, or takes it away.
    pub fn set_code(&self, account: Address, code: &Bytes) {
        let hash = if code.is_empty() { KECCAK256_EMPTY } else { keccak256(code) };
        let codes = if code.is_empty() { BTreeMap::new() } else { BTreeMap::from([(hash, code.clone())]) };
        self.edit(account, BTreeMap::new(), codes, |info| info.code_hash = hash);
    }

    /// Sets a word of an account's storage.
    pub fn set_slot(&self, account: Address, slot: U256, value: U256) {
        self.edit(account, BTreeMap::from([(slot, value)]), BTreeMap::new(), |_| {});
    }

    fn change(&self, account: Address, how: impl FnOnce(&mut AccountInfo)) {
        self.edit(account, BTreeMap::new(), BTreeMap::new(), how);
    }

    fn edit(
        &self,
        account: Address,
        slots: BTreeMap<U256, U256>,
        code: BTreeMap<B256, Bytes>,
        how: impl FnOnce(&mut AccountInfo),
    ) {
        let _writing = self.inner.writing.lock();
        self.inner.codes.add(&code);
        let mut state = self.inner.state.write();
        let mut info = state.book.newest().trie.account(&account).map(|found| found.info).unwrap_or_default();
        how(&mut info);
        // An account with storage stays, for its slots would go with it.
        let stores = state.book.newest().trie.storage_root(&account) != EMPTY_ROOT_HASH;
        let stays = !info.is_empty() || stores || !slots.is_empty();
        let delta = AccountDelta { info: stays.then_some(info), slots, wiped: false };
        state.book.edit(&StateDelta { accounts: BTreeMap::from([(account, delta)]), code });
        let height = state.book.height();
        drop(state);
        self.inner.pool.prune(height, &[], &[(account, info.nonce)], self.next_base_fee());
    }

    /// Forgets a waiting transaction.
    pub fn forget(&self, hash: &B256) -> bool {
        let _writing = self.inner.writing.lock();
        self.inner.pool.forget(hash).is_some()
    }

    /// Forgets the waiting transactions that `which` names.
    pub fn forget_all(&self, which: impl Fn(&VerifiedTx) -> bool) {
        let _writing = self.inner.writing.lock();
        for tx in self.inner.pool.all().iter().filter(|tx| which(tx)) {
            self.inner.pool.forget(&tx.hash);
        }
    }

    /// Puts `waiting` in place of what waits, as far as it can still run. The caller holds `writing`.
    pub(super) fn refill(&self, waiting: Vec<Arc<VerifiedTx>>) {
        for tx in self.inner.pool.all() {
            self.inner.pool.forget(&tx.hash);
        }
        let (view, height) = {
            let state = self.inner.state.read();
            (self.state_of(&state), state.book.height())
        };
        self.inner.pool.prune(height, &[], &[], self.next_base_fee());
        for tx in waiting {
            let hash = tx.hash;
            if let Err(reason) = self.inner.pool.admit_verified(tx, &view, height, true) {
                tracing::debug!(%hash, %reason, "a transaction cannot wait any more");
            }
        }
    }
}
