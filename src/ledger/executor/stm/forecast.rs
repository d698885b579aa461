//! Which transactions depend on which, as far as their envelopes tell.
//!
//! Must not know the state. Invariants: a transaction depends on an earlier one only; what is foreseen saves runs that would be
//! repeated, and nothing relies on it.

use crate::{
    ledger::tx::VerifiedTx,
    types::{Address, U256},
};
use alloy_primitives::map::AddressMap;

/// Dependencies of a block's transactions.
pub(in crate::ledger::executor) struct Forecast {
    /// For each transaction the last one before it that writes an account which it reads and writes as well: a sender's nonce and
    /// balance, a payee's balance, the code of who delegates.
    pub after: Vec<Option<usize>>,
    /// Transactions in the longest chain of them.
    pub longest: usize,
}

impl Forecast {
    pub fn of(txs: &[&VerifiedTx]) -> Self {
        let mut last: AddressMap<usize> = AddressMap::default();
        let mut chain: Vec<usize> = Vec::with_capacity(txs.len());
        let mut after = Vec::with_capacity(txs.len());
        for (index, tx) in txs.iter().enumerate() {
            let writers = written(tx).filter_map(|address| last.insert(address, index));
            // A transaction that writes an account twice does not depend on itself.
            let before = writers.filter(|writer| *writer < index).max();
            after.push(before);
            chain.push(before.map_or(0, |before| chain[before]) + 1);
        }
        Self { after, longest: chain.into_iter().max().unwrap_or(0) }
    }
}

/// The accounts a transaction is sure to write if it succeeds.
fn written(tx: &VerifiedTx) -> impl Iterator<Item = Address> + '_ {
    let paid = |to: Option<Address>, value: U256| to.filter(|_| !value.is_zero());
    let calls = tx.calls().iter().filter_map(move |call| paid(Some(call.to), call.value));
    let only = if tx.calls().is_empty() { paid(tx.to(), tx.value()) } else { None };
    let delegated = tx.fields.authorities.iter().filter_map(|signed| signed.authority());
    std::iter::once(tx.sender).chain(only).chain(calls).chain(delegated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::executor::tests::rig::{key, transfer};

    #[test]
    fn senders_and_payees_are_foreseen() {
        let elsewhere = Address::repeat_byte;
        let txs = [
            transfer(1, 0, elsewhere(9), 1),
            transfer(2, 0, elsewhere(8), 1),
            transfer(1, 1, elsewhere(7), 1),
            transfer(3, 0, elsewhere(8), 0),
            transfer(3, 1, elsewhere(8), 1),
            transfer(1, 2, key(1).address(), 1),
        ];
        let forecast = Forecast::of(&txs.iter().collect::<Vec<_>>());
        assert_eq!(forecast.after, [None, None, Some(0), None, Some(3), Some(2)]);
        assert_eq!(forecast.longest, 3);
        assert_eq!(Forecast::of(&[]).longest, 0);
    }
}
