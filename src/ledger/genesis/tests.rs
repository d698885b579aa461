//! The genesis document: its text form, what it builds, what it refuses.

use super::*;
use crate::{
    crypto::NodeKeys,
    ledger::{
        abi::TERRITORY,
        predeploys::{CREATE2_DEPLOYER, deployed_address},
        state::{MemoryState, StateView},
    },
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
        territory: None,
    };
    let rich = GenesisAccount { balance: Amount::tokens(1_000_000), ..Default::default() };
    Genesis {
        chain_id: 11_332,
        profile: Profile::Dev,
        overrides: Default::default(),
        time_ms: 1_700_000_000_123,
        extra_data: Bytes::from_static(b"test"),
        alloc: BTreeMap::from([(Address::repeat_byte(0xaa), rich), (Address::repeat_byte(0xcc), contract)]),
        tee: Default::default(),
        deployments: Vec::new(),
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

#[test]
fn an_account_may_have_a_territory_from_the_first_block_on() {
    let with = |days| {
        let mut genesis = genesis();
        let account = genesis.alloc.values_mut().next().unwrap();
        account.territory = Some(GenesisTerritory { name: "gift".into(), size: 1 << 30, days });
        genesis
    };
    let given = with(5);
    let text = serde_json::to_string(&given).unwrap();
    assert_eq!(serde_json::from_str::<Genesis>(&text).unwrap(), given);
    assert!(!serde_json::to_string(&genesis()).unwrap().contains("territory"));
    let (without, with_gift) = (genesis().build().unwrap(), given.build().unwrap());
    assert_ne!(without.header.state_root, with_gift.header.state_root);
    let supply = |built: &BuiltGenesis| MemoryState::from_delta(&built.delta).supply();
    assert_eq!(supply(&without), supply(&with_gift));
    let slots = |built: &BuiltGenesis| built.delta.accounts[&TERRITORY].slots.len();
    assert_eq!(slots(&without), 0);
    assert!(slots(&with_gift) > 0);
    assert!(matches!(with(0).build(), Err(GenesisError::Module(_))));
}

#[test]
fn deployments_run_before_the_first_block() {
    // Init code that answers the chain's id as the contract's code: a constructor that looks at its chain.
    let deployment = Bytes::from([&[7; 32][..], &[0x46, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3]].concat());
    let with = |deployments: Vec<Bytes>| Genesis { deployments, ..genesis() };
    let one = with(vec![deployment.clone()]);
    let built = one.build().unwrap();
    assert_eq!(one.build().unwrap(), built);
    let state = MemoryState::from_delta(&built.delta);
    let address = deployed_address(&deployment).unwrap();
    let account = state.account(&address).unwrap().unwrap();
    assert_eq!((account.nonce, account.code_hash), (1, keccak256(U256::from(11_332).to_be_bytes::<32>())));
    assert!(state.code(&account.code_hash).is_ok());
    let rebuilt = StateTrie::rebuild(state.accounts().map(Ok::<_, Infallible>), state.slots().map(Ok::<_, Infallible>));
    assert_eq!(rebuilt.unwrap().root(), built.header.state_root);
    // Nothing else changes but the deployer's nonce, which counts what it created.
    let plain = MemoryState::from_delta(&genesis().build().unwrap().delta);
    let differing: Vec<Address> =
        state.accounts().filter(|(at, info)| plain.account(at) != Ok(Some(*info))).map(|a| a.0).collect();
    assert_eq!(BTreeSet::from_iter(differing), BTreeSet::from([address, CREATE2_DEPLOYER]));
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(serde_json::from_str::<Genesis>(&text).unwrap(), one);
    assert!(!serde_json::to_string(&genesis()).unwrap().contains("deployments"));

    let refusal = |deployments| with(deployments).build().unwrap_err().to_string();
    let twice = refusal(vec![deployment.clone(), deployment]);
    assert!(twice.contains("deployment 1") && twice.contains(&address.to_string()), "{twice}");
    let reverts = refusal(vec![[&[0; 32][..], &[0x5f, 0x5f, 0xfd]].concat().into()]);
    assert!(reverts.contains("deployment 0") && reverts.contains("reverted"), "{reverts}");
    assert!(refusal(vec![vec![0; 31].into()]).contains("31 B"));
    assert!(refusal(vec![Bytes::new(); DEPLOYMENTS_MAX + 1]).contains("65 deployments"));
    assert!(refusal(vec![vec![0; DEPLOYMENT_MAX_BYTES + 1].into()]).contains("49185 B"));
}
