//! Where two access lists part.

use crate::{
    ledger::executor::AccessList,
    types::{Address, U256},
};
use alloy_eip7928::{AccountChanges, BlockAccessIndex, SlotChanges};
use std::{cmp::Ordering, fmt::Debug};

/// The first difference between the list that was given and the one that execution writes, in the order of lists.
pub(super) fn first_difference(given: &AccessList, written: &AccessList) -> Option<String> {
    let needless = |one: &AccountChanges| format!("it has account {}, which nothing accesses", one.address);
    let missing = |other: &AccountChanges| format!("it lacks account {}", other.address);
    let (mut given, mut written) = (given.accounts().iter(), written.accounts().iter());
    loop {
        return Some(match (given.next(), written.next()) {
            (None, None) => return None,
            (Some(one), None) => needless(one),
            (None, Some(other)) => missing(other),
            (Some(one), Some(other)) if one == other => continue,
            (Some(one), Some(other)) => match one.address.cmp(&other.address) {
                Ordering::Less => needless(one),
                Ordering::Greater => missing(other),
                Ordering::Equal => in_account(one, other),
            },
        });
    }
}

fn in_account(given: &AccountChanges, written: &AccountChanges) -> String {
    let slots = |account: &AccountChanges| -> Vec<(BlockAccessIndex, (U256, U256))> {
        let of = |slot: &SlotChanges| {
            let key = slot.slot;
            slot.changes
                .iter()
                .map(move |change| (change.block_access_index, (key, change.new_value)))
                .collect::<Vec<_>>()
        };
        account.storage_changes.iter().flat_map(of).collect()
    };
    let balances = |account: &AccountChanges| -> Vec<_> {
        account.balance_changes.iter().map(|change| (change.block_access_index, change.post_balance)).collect()
    };
    let nonces = |account: &AccountChanges| -> Vec<_> {
        account.nonce_changes.iter().map(|change| (change.block_access_index, change.new_nonce)).collect()
    };
    let code = |account: &AccountChanges| -> Vec<_> {
        account.code_changes.iter().map(|change| (change.block_access_index, change.new_code.clone())).collect()
    };
    let address = given.address;
    changes(address, "slot", &slots(given), &slots(written))
        .or_else(|| changes(address, "balance", &balances(given), &balances(written)))
        .or_else(|| changes(address, "nonce", &nonces(given), &nonces(written)))
        .or_else(|| changes(address, "code", &code(given), &code(written)))
        .unwrap_or_else(|| format!("it has other slots that account {address} reads than {:?}", written.storage_reads))
}

fn changes<V: PartialEq + Debug>(
    address: Address,
    what: &str,
    given: &[(BlockAccessIndex, V)],
    written: &[(BlockAccessIndex, V)],
) -> Option<String> {
    let at = (0..given.len().max(written.len())).find(|at| given.get(*at) != written.get(*at))?;
    let told = |change: Option<&(BlockAccessIndex, V)>| match change {
        Some((index, value)) => format!("{value:?} at index {}", index.get()),
        None => "no more".to_owned(),
    };
    Some(format!(
        "{what} changes of account {address}: it has {}, it should have {}",
        told(given.get(at)),
        told(written.get(at))
    ))
}
