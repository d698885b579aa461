//! The genesis document: its text form, what it builds, what it refuses.

use super::*;
use crate::{
    crypto::NodeKeys,
    ledger::state::{MemoryState, StateView},
};
use std::convert::Infallible;

fn validator(i: u8) -> GenesisValidator {
    let keys = NodeKeys::derive(&[i; 32]);
    GenesisValidator {
        account: keys.address(),
        consensus_key: keys.consensus.public(),
        vrf_key: keys.vrf.public(),
        network_key: keys.network.public(),
        stake: Amount::tokens(1_000),
    }
}

/// A small chain for tests.
pub fn genesis() -> Genesis {
    let contract = GenesisAccount {
        balance: Amount(U256::from(5)),
        code: Bytes::from_static(&[0x5f, 0x54]),
        storage: BTreeMap::from([(B256::ZERO, B256::repeat_byte(1)), (B256::repeat_byte(9), B256::ZERO)]),
    };
    let rich = GenesisAccount { balance: Amount::tokens(1_000_000), ..Default::default() };
    Genesis {
        chain_id: 11_332,
        profile: Profile::Dev,
        overrides: Default::default(),
        time_ms: 1_700_000_000_123,
        extra_data: Bytes::from_static(b"test"),
        alloc: BTreeMap::from([(Address::repeat_byte(0xaa), rich), (Address::repeat_byte(0xcc), contract)]),
        validators: (1..=4).map(validator).collect(),
    }
}

#[test]
fn the_document_survives_json_and_builds_one_hash() {
    let text = serde_json::to_string_pretty(&genesis()).unwrap();
    assert!(text.contains("\"balance\": \"1000000\"") && text.contains("\"profile\": \"dev\""), "{text}");
    let again: Genesis = serde_json::from_str(&text).unwrap();
    assert_eq!(again, genesis());
    let (one, two) = (genesis().build().unwrap(), again.build().unwrap());
    assert_eq!(one, two);
    assert_eq!(one.header.mix_hash, genesis().beacon());
    let mut other = genesis();
    other.time_ms += 1;
    assert_ne!(other.build().unwrap().header.hash_slow(), one.header.hash_slow());
    let unknown = text.replacen("\"time_ms\"", "\"time\"", 1);
    assert!(serde_json::from_str::<Genesis>(&unknown).unwrap_err().to_string().contains("unknown field `time`"));
}

#[test]
fn a_chain_may_set_its_own_pace() {
    let with = |interval| {
        let mut genesis = genesis();
        genesis.overrides.block_interval_ms = Some(interval);
        genesis
    };
    let (fast, slow) = (with(0).params(), with(5_000).params());
    assert_eq!((fast.block_interval_ms, fast.idle_block_interval_ms), (0, 2_000));
    assert_eq!((slow.block_interval_ms, slow.idle_block_interval_ms), (5_000, 5_000));
    assert!(with(BLOCK_INTERVAL_MAX_MS).build().is_ok());
    let error = with(BLOCK_INTERVAL_MAX_MS + 1).build().unwrap_err().to_string();
    assert!(error.contains("block interval") && error.contains("60001"), "{error}");
}

#[test]
fn the_first_state_holds_what_the_document_says() {
    let built = genesis().build().unwrap();
    let state = MemoryState::from_delta(&built.delta);
    let rebuilt = StateTrie::rebuild(state.accounts().map(Ok::<_, Infallible>), state.slots().map(Ok::<_, Infallible>));
    assert_eq!(rebuilt.unwrap().root(), built.header.state_root);
    let contract = state.account(&Address::repeat_byte(0xcc)).unwrap().unwrap();
    assert_eq!((contract.nonce, contract.balance), (1, U256::from(5)));
    assert_eq!(state.code(&contract.code_hash).unwrap().as_ref(), &[0x5f, 0x54]);
    assert_eq!(state.slot(&Address::repeat_byte(0xcc), &U256::ZERO), Ok(U256::from_be_bytes([1; 32])));
    for module in MODULES {
        assert!(!state.account(&module).unwrap().unwrap().is_empty(), "{module}");
    }
    assert_eq!(state.account(&STAKING).unwrap().unwrap().balance, Amount::tokens(4_000).0);
    assert_eq!(state.supply(), Amount::tokens(1_004_000).0 + U256::from(5));
    assert_eq!((built.header.number, built.header.timestamp, built.header.gas_used), (0, 1_700_000_000, 0));
}

#[test]
fn bad_documents_are_refused_by_name() {
    let refusal = |change: fn(&mut Genesis)| {
        let mut genesis = genesis();
        change(&mut genesis);
        genesis.build().unwrap_err()
    };
    assert_eq!(refusal(|g| g.chain_id = 0), GenesisError::ChainId);
    let max = GENESIS_VALIDATORS_MAX;
    assert_eq!(refusal(|g| g.validators.clear()), GenesisError::ValidatorCount { found: 0, max });
    assert!(matches!(refusal(|g| g.validators[1].stake = Amount::tokens(999)), GenesisError::Stake { .. }));
    let twin = refusal(|g| g.validators[2].vrf_key = g.validators[0].vrf_key);
    assert!(matches!(twin, GenesisError::Duplicate { what: "VRF key", .. }));
    let reserved = refusal(|g| drop(g.alloc.insert(STAKING, GenesisAccount::default())));
    assert_eq!(reserved, GenesisError::Reserved(STAKING));
    let precompile = refusal(|g| drop(g.alloc.insert(Address::with_last_byte(1), GenesisAccount::default())));
    assert_eq!(precompile, GenesisError::Reserved(Address::with_last_byte(1)));
    assert!(matches!(refusal(|g| g.extra_data = vec![0; 33].into()), GenesisError::TooLong { len: 33, max: 32, .. }));
    let rich = |g: &mut Genesis| g.alloc.values_mut().next().unwrap().balance = Amount(U256::MAX);
    assert_eq!(refusal(rich), GenesisError::Supply);
}
