//! Layout against Keccak slots computed by hand and against a model.

use super::*;
use crate::ledger::modules::testing::TestHost;
use alloy_primitives::{address, b256, uint};
use proptest::prelude::*;
use std::collections::BTreeMap;

const MODULE: Address = address!("00000000000000000000000000000000000000aa");

/// keccak256(uint256(0)), as every Solidity tutorial prints it.
const KECCAK_0: B256 = b256!("290decd9548b62a8d60345a988386fc84ba6bc95484008f6362f93160ef3e563");
/// keccak256(uint256(1)).
const KECCAK_1: B256 = b256!("b10e2d527612073b26eecdfd717e6a320cf44b4afac2b0732d9fcbe2b7fa0cf6");
/// keccak256(uint256(1) ‖ uint256(0)): the slot of key 1 of a mapping at slot 0.
const KECCAK_1_0: B256 = b256!("ada5013122d395ba3c54772283fb069b10426056ef8ca54750cb9bb552a59e7d");
/// keccak256(uint256(0) ‖ uint256(1)): the slot of key 0 of a mapping at slot 1.
const KECCAK_0_1: B256 = b256!("a6eef7e35abe7026729641147f7915573c7e97b47efa546f5f6e3230263bcb49");

layout! {
    struct Pair {
        first: Slot<U256>,
        second: Slot<(Address, u64, u32)>,
    }
}

layout! {
    struct Contract {
        by_number: Mapping<u64, Pair>,
        list: Vector<Pair>,
        fixed: Array<Pair, 3>,
        name: Text,
    }
}

fn raw(host: &TestHost, slot: U256) -> U256 {
    host.storage.get(&MODULE).and_then(|slots| slots.get(&slot)).copied().unwrap_or_default()
}

fn slots(host: &TestHost) -> BTreeMap<U256, U256> {
    host.storage.get(&MODULE).cloned().unwrap_or_default()
}

#[test]
fn variables_take_consecutive_slots() {
    assert_eq!(Contract::SLOTS, 1 + 1 + 6 + 1);
    let mut host = TestHost::new();
    let contract = Contract::at(MODULE, U256::ZERO);
    contract.fixed.item(2).first.set(&mut host, &uint!(7_U256)).unwrap();
    contract.name.set(&mut host, b"x").unwrap();
    assert_eq!(raw(&host, uint!(6_U256)), uint!(7_U256));
    assert_ne!(raw(&host, uint!(8_U256)), U256::ZERO);
}

#[test]
fn mapping_values_live_at_the_hash_of_key_and_slot() {
    let mut host = TestHost::new();
    let contract = Contract::at(MODULE, U256::ZERO);
    contract.by_number.at_key(&1).first.set(&mut host, &uint!(5_U256)).unwrap();
    assert_eq!(raw(&host, KECCAK_1_0.into()), uint!(5_U256));
    let at_slot_1: Mapping<u64, Slot<u64>> = Mapping::at(MODULE, U256::ONE);
    at_slot_1.at_key(&0).set(&mut host, &9).unwrap();
    assert_eq!(raw(&host, KECCAK_0_1.into()), uint!(9_U256));
}

#[test]
fn nested_mappings_hash_twice_with_left_padded_keys() {
    let mut host = TestHost::new();
    let outer: Mapping<B256, Mapping<Address, Slot<u64>>> = Mapping::at(MODULE, uint!(3_U256));
    let (file, owner) = (B256::repeat_byte(0x11), address!("00000000000000000000000000000000000000bb"));
    outer.at_key(&file).at_key(&owner).set(&mut host, &1).unwrap();
    let inner = keccak256([file.as_slice(), &uint!(3_U256).to_be_bytes::<32>()].concat());
    let value = keccak256([&[0u8; 12][..], owner.as_slice(), inner.as_slice()].concat());
    assert_eq!(raw(&host, value.into()), U256::ONE);
}

#[test]
fn array_elements_start_at_the_hash_of_the_slot() {
    let mut host = TestHost::new();
    let list = Contract::at(MODULE, U256::MAX).list;
    assert_eq!(list.grow(&mut host), Ok(0));
    assert_eq!(list.grow(&mut host), Ok(1));
    list.item(1).first.set(&mut host, &uint!(8_U256)).unwrap();
    assert_eq!(raw(&host, U256::ZERO), uint!(2_U256));
    assert_eq!(raw(&host, U256::from_be_bytes(KECCAK_0.0) + uint!(2_U256)), uint!(8_U256));
}

#[test]
fn small_values_pack_from_the_low_order_end() {
    let mut host = TestHost::new();
    let slot = Pair::at(MODULE, U256::ZERO).second;
    let value = (address!("0102030405060708090a0b0c0d0e0f1011121314"), 0x2122_2324_2526_2728, 0x3132_3334);
    slot.set(&mut host, &value).unwrap();
    let expected = b256!("3132333421222324252627280102030405060708090a0b0c0d0e0f1011121314");
    assert_eq!(raw(&host, uint!(1_U256)), U256::from_be_bytes(expected.0));
    assert_eq!(slot.get(&mut host), Ok(value));
    slot.clear(&mut host).unwrap();
    assert!(slots(&host).is_empty());
}

#[test]
fn short_strings_stay_in_their_slot_and_long_ones_leave_it() {
    let mut host = TestHost::new();
    let text: Text = Text::at(MODULE, U256::ONE);
    text.set(&mut host, b"cess").unwrap();
    let mut expected = [0u8; 32];
    expected[..4].copy_from_slice(b"cess");
    expected[31] = 8;
    assert_eq!(raw(&host, U256::ONE), U256::from_be_bytes(expected));

    text.set(&mut host, &[0x61; 33]).unwrap();
    assert_eq!(raw(&host, U256::ONE), uint!(67_U256));
    assert_eq!(raw(&host, KECCAK_1.into()), U256::from_be_bytes([0x61; 32]));
    assert_eq!(raw(&host, U256::from_be_bytes(KECCAK_1.0) + U256::ONE), U256::from(0x61) << 248);
    assert_eq!(text.get(&mut host), Ok("a".repeat(33)));
}

#[test]
fn broken_lengths_are_reported_not_followed() {
    let mut host = TestHost::new();
    host.sstore(MODULE, U256::ZERO, U256::MAX).unwrap();
    let list: Vector<Slot<U256>> = Vector::at(MODULE, U256::ZERO);
    let text: Text = Text::at(MODULE, U256::ZERO);
    assert!(matches!(list.len(&mut host), Err(ModuleError::Fatal(_))));
    assert!(matches!(text.get(&mut host), Err(ModuleError::Fatal(_))));
    host.sstore(MODULE, U256::ZERO, uint!(0xfe_U256)).unwrap();
    assert!(matches!(text.get(&mut host), Err(ModuleError::Fatal(_))));
}

#[test]
fn swap_remove_beyond_the_end_is_reported() {
    let mut host = TestHost::new();
    let list: Vector<Slot<U256>> = Vector::at(MODULE, U256::ZERO);
    assert!(matches!(list.swap_remove(&mut host, 0), Err(ModuleError::Fatal(_))));
}

proptest! {
    #[test]
    fn packed_tuples_round_trip(address in any::<[u8; 20]>(), a in any::<u64>(), b in any::<u32>()) {
        let value = (Address::from(address), a, b);
        prop_assert_eq!(<(Address, u64, u32)>::from_word(value.to_word()), value);
        let other = (a, b, a, a);
        prop_assert_eq!(<(u64, u32, u64, u64)>::from_word(other.to_word()), other);
    }

    #[test]
    fn a_rewritten_string_leaves_nothing_behind(values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..140), 1..6)) {
        let mut host = TestHost::new();
        let text: Text = Text::at(MODULE, uint!(4_U256));
        for value in &values {
            text.set(&mut host, value).unwrap();
            prop_assert_eq!(&text.get_bytes(&mut host).unwrap(), value);
        }
        let mut fresh = TestHost::new();
        text.set(&mut fresh, values.last().unwrap()).unwrap();
        prop_assert_eq!(slots(&host), slots(&fresh));
    }

    #[test]
    fn arrays_behave_as_vectors(steps in prop::collection::vec(any::<(bool, u8)>(), 0..40)) {
        let mut host = TestHost::new();
        let list: Vector<Slot<U256>> = Vector::at(MODULE, U256::ONE);
        let mut model: Vec<U256> = Vec::new();
        for (number, (push, pick)) in steps.into_iter().enumerate() {
            if push || model.is_empty() {
                let value = U256::from(number + 1);
                list.push(&mut host, &value).unwrap();
                model.push(value);
            } else {
                let index = usize::from(pick) % model.len();
                let moved = list.swap_remove(&mut host, u64::try_from(index).unwrap()).unwrap();
                model.swap_remove(index);
                prop_assert_eq!(moved, model.get(index).copied());
            }
        }
        prop_assert_eq!(list.page(&mut host, 0, u64::MAX).unwrap(), model.clone());
        prop_assert_eq!(slots(&host).len(), model.len() + usize::from(!model.is_empty()));
    }
}
