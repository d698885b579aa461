//! `debug_accountRange` and `debug_storageRangeAt`: what a state holds, in the order of its tries, in go-ethereum's shapes.
//!
//! Owns the shapes and their bounds. Invariant: the keys of an answer and what it gives as the next key leave nothing out.

use super::{Answer, Eth, blocks, broken, debug, optional, reading, request::Ground, required};
use crate::{
    ledger::{
        commitment::{Account, StateCommitment},
        state::StateView,
    },
    rpc::{Params, RpcModule, error},
    types::{Address, B256},
};
use alloy_eips::BlockId;
use alloy_primitives::{Bytes, KECCAK256_EMPTY, U64};
use jsonrpsee::core::RegisterMethodError;
use serde_json::{Map, Value, json};

/// Accounts of one answer, as in go-ethereum.
const ACCOUNTS_MAX: usize = 256;
/// Slots of one answer.
const SLOTS_MAX: usize = 10_000;

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "debug_accountRange", account_range)?;
    reading(module, eth, "debug_storageRangeAt", storage_range_at)
}

/// `debug_storageRangeAt(block, index, address, start, max)`: slots as they are before the transaction at `index` runs.
fn storage_range_at(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let id: BlockId = required(&mut params, "block")?;
    let index: U64 = required(&mut params, "transaction index")?;
    let address: Address = required(&mut params, "address")?;
    let start = first_key(&required(&mut params, "start")?)?;
    let most = most(required(&mut params, "max")?, SLOTS_MAX);
    let block = debug::block_of(eth, id)?;
    let ground = Ground::before(eth, &block.block)?;
    let mut session = ground.session(None, None)?;
    debug::advance(eth, &mut session, &block, debug::count_of(&block, index)?)?;
    let changes = session.into_changes();
    let mut trie = ground.state.trie;
    trie.apply(&changes);
    let (mut slots, mut next) = (Map::new(), None);
    if let Some(account) = trie.account(&address) {
        account.storage.visit_from(&start, &mut |key, word| {
            if slots.len() == most {
                next = Some(*key);
                return false;
            }
            slots.insert(key.to_string(), json!({"key": B256::from(word.slot), "value": B256::from(word.value)}));
            true
        });
    }
    Ok(json!({"storage": slots, "nextKey": next}))
}

/// `debug_accountRange(block, start, max, noCode, noStorage, incompletes)`. The last one asks for accounts whose address is not
/// known; there are none.
fn account_range(eth: &Eth, params: Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let id: BlockId = required(&mut params, "block")?;
    let start = first_key(&required(&mut params, "start")?)?;
    let most = most(required(&mut params, "max")?, ACCOUNTS_MAX);
    let no_code = optional(&mut params, "no code")?.unwrap_or(false);
    let no_storage = optional(&mut params, "no storage")?.unwrap_or(false);
    if blocks::find(eth, id)?.is_none() {
        return Err(debug::unknown(eth, id));
    }
    let (_, state) = blocks::state(eth, Some(id))?;
    let (mut found, mut next) = (Vec::new(), None);
    state.trie.visit_from(&start, |key, account| {
        if found.len() == most {
            next = Some(*key);
            return false;
        }
        found.push((key, account));
        true
    });
    let (mut accounts, mut slots_left) = (Map::new(), SLOTS_MAX);
    for (key, account) in found {
        let mut shown = dumped(key, account);
        if !no_code && account.info.code_hash != KECCAK256_EMPTY {
            shown["code"] = json!(state.code(&account.info.code_hash).map_err(broken)?);
        }
        if !no_storage {
            shown["storage"] = words(account, &mut slots_left)?;
        }
        accounts.insert(account.address.to_string(), shown);
    }
    let mut dump = json!({"root": hex::encode(state.trie.root()), "accounts": accounts});
    if let Some(next) = next {
        dump["next"] = json!(base64(next.as_slice()));
    }
    Ok(dump)
}

fn dumped(key: &B256, account: &Account) -> Value {
    json!({
        "balance": account.info.balance.to_string(),
        "nonce": account.info.nonce,
        "root": account.storage.root(),
        "codeHash": account.info.code_hash,
        "address": account.address,
        "key": key,
    })
}

/// Slots of an account with their values in bare hexadecimal, of which `left` more may be answered.
fn words(account: &Account, left: &mut usize) -> Answer<Value> {
    let mut slots = Map::new();
    let mut whole = true;
    account.storage.visit_from(&B256::ZERO, &mut |_, word| {
        whole = slots.len() < *left;
        if whole {
            slots.insert(B256::from(word.slot).to_string(), json!(hex::encode(word.value.to_be_bytes_trimmed_vec())));
        }
        whole
    });
    if !whole {
        let address = account.address;
        return Err(error::limit_exceeded(format_args!(
            "the storage of {address} takes the answer over {SLOTS_MAX} slots: ask without storage, or debug_storageRangeAt"
        )));
    }
    *left -= slots.len();
    Ok(Value::Object(slots))
}

/// The first key that begins with `start`.
fn first_key(start: &Bytes) -> Answer<B256> {
    match start.len() <= B256::len_bytes() {
        true => Ok(B256::right_padding_from(start)),
        false => Err(error::invalid_params(format_args!("a key has at most 32 B, the start has {}", start.len()))),
    }
}

fn most(asked: U64, bound: usize) -> usize {
    usize::try_from(asked).unwrap_or(bound).min(bound)
}

/// Bytes as Go's JSON writes them (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |group: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| (bits << 8) | usize::from(group.get(at).copied().unwrap_or(0)));
        let digit = |at: usize| if at > group.len() { '=' } else { char::from(DIGITS[(bits >> (18 - 6 * at)) & 63]) };
        [digit(0), digit(1), digit(2), digit(3)]
    };
    bytes.chunks(3).flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn bytes_in_base64() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
