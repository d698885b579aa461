//! Compare-and-swap, namespaces, operators, lists; every refusal.

use super::*;
use crate::ledger::{
    abi::INames::{approveCall, countCall, getCall, isOperatorCall, listCall, ownerOfCall, removeCall, setCall},
    modules::testing::{TestHost, assert_reverts},
};
use alloy_primitives::address;
use proptest::prelude::*;
use std::collections::BTreeMap;

const ALICE: Address = address!("a11ce00000000000000000000000000000000000");
const BOB: Address = address!("b0b0000000000000000000000000000000000000");
const GLOBAL: &[u8] = b"";
const DB: &[u8] = b"db/0101";

#[derive(Clone)]
struct World {
    host: TestHost,
}

impl World {
    fn new() -> Self {
        Self { host: TestHost::new() }
    }

    fn set(&mut self, caller: Address, call: &setCall) -> Result<u64, ModuleError> {
        self.host.call(caller, NAMES, U256::ZERO, call)
    }

    /// Sets a name of ALICE's.
    fn alice(&mut self, label: &[u8], name: &str, expected: u64, value: &[u8]) -> Result<u64, ModuleError> {
        self.set(ALICE, &call(ALICE, label, name, expected, value))
    }

    fn remove(
        &mut self,
        caller: Address,
        owner: Address,
        label: &[u8],
        name: &str,
        expected: u64,
    ) -> Result<(), ModuleError> {
        let (label, name) = (label.to_vec().into(), name.as_bytes().to_vec().into());
        let call = removeCall { owner, label, name, expectedVersion: expected };
        self.host.call(caller, NAMES, U256::ZERO, &call).map(drop)
    }

    fn get(&mut self, namespace: B256, name: &str) -> INames::Name {
        self.host.view(NAMES, &getCall { namespace, name: name.as_bytes().to_vec().into() }).unwrap()
    }

    fn approve(&mut self, owner: Address, operator: Address, approved: bool) {
        self.host.call(owner, NAMES, U256::ZERO, &approveCall { operator, approved }).unwrap();
    }

    fn count(&mut self, namespace: B256) -> (u64, u64) {
        let answer = self.host.view(NAMES, &countCall { namespace }).unwrap();
        (answer.names, answer.changes)
    }

    fn list(&mut self, namespace: B256, skip: u64, limit: u64) -> Vec<INames::Name> {
        self.host.view(NAMES, &listCall { namespace, skip, limit }).unwrap()
    }
}

fn call(owner: Address, label: &[u8], name: &str, expected: u64, value: &[u8]) -> setCall {
    setCall {
        owner,
        label: label.to_vec().into(),
        name: name.as_bytes().to_vec().into(),
        expectedVersion: expected,
        value: value.to_vec().into(),
    }
}

fn mismatch(namespace: B256, name: &str, expected: u64, present: u64) -> INames::VersionMismatch {
    INames::VersionMismatch { namespace, name: name.as_bytes().to_vec().into(), expected, present }
}

#[test]
fn a_name_changes_only_from_the_version_the_writer_has_seen() {
    let mut world = World::new();
    let space = namespace(ALICE, DB);
    assert_eq!(world.get(space, "owner").version, 0);
    let first = world.alice(DB, "owner", 0, b"gateway 1").unwrap();
    assert_reverts(world.alice(DB, "owner", 0, b"gateway 2"), mismatch(space, "owner", 0, first));
    assert_reverts(world.alice(DB, "owner", 7, b"gateway 2"), mismatch(space, "owner", 7, first));
    let second = world.alice(DB, "owner", first, b"gateway 2").unwrap();
    assert_reverts(world.alice(DB, "owner", first, b"gateway 3"), mismatch(space, "owner", first, second));
    let found = world.get(space, "owner");
    assert_eq!((found.owner, found.version, &found.value[..]), (ALICE, second, &b"gateway 2"[..]));
    assert_eq!(&found.name[..], b"owner");
    assert_reverts(world.remove(ALICE, ALICE, DB, "owner", first), mismatch(space, "owner", first, second));
    world.remove(ALICE, ALICE, DB, "owner", second).unwrap();
    assert_reverts(world.remove(ALICE, ALICE, DB, "owner", second), mismatch(space, "owner", second, 0));
    assert_reverts(world.remove(ALICE, ALICE, DB, "owner", 0), mismatch(space, "owner", 0, 0));
    assert_eq!(world.get(space, "owner"), INames::Name { name: b"owner".to_vec().into(), ..Default::default() });
}

#[test]
fn a_version_never_comes_again() {
    let mut world = World::new();
    let first = world.alice(DB, "owner", 0, b"1").unwrap();
    world.remove(ALICE, ALICE, DB, "owner", first).unwrap();
    let again = world.alice(DB, "owner", 0, b"1").unwrap();
    assert!(again > first, "{first} came again");
    let space = namespace(ALICE, DB);
    assert_reverts(world.alice(DB, "owner", first, b"2"), mismatch(space, "owner", first, again));
    assert_eq!(world.count(space), (1, 3));
}

#[test]
fn the_global_namespace_belongs_to_who_comes_first() {
    let mut world = World::new();
    let version = world.alice(GLOBAL, "bucket/photos", 0, b"alice's").unwrap();
    let owner = |world: &mut World| {
        let name = b"bucket/photos".to_vec().into();
        world.host.view(NAMES, &ownerOfCall { namespace: B256::ZERO, name }).unwrap()
    };
    assert_eq!(owner(&mut world), ALICE);
    let taken = || INames::NotNameOwner { namespace: B256::ZERO, name: b"bucket/photos".to_vec().into(), owner: ALICE };
    for expected in [0, version] {
        assert_reverts(world.set(BOB, &call(BOB, GLOBAL, "bucket/photos", expected, b"bob's")), taken());
        assert_reverts(world.remove(BOB, BOB, GLOBAL, "bucket/photos", expected), taken());
    }
    world.remove(ALICE, ALICE, GLOBAL, "bucket/photos", version).unwrap();
    assert_eq!(owner(&mut world), Address::ZERO);
    world.set(BOB, &call(BOB, GLOBAL, "bucket/photos", 0, b"bob's")).unwrap();
    assert_eq!(owner(&mut world), BOB);
}

#[test]
fn namespaces_of_accounts_are_apart() {
    let mut world = World::new();
    world.alice(DB, "owner", 0, b"a").unwrap();
    world.set(BOB, &call(BOB, DB, "owner", 0, b"b")).unwrap();
    world.alice(b"db/0202", "owner", 0, b"c").unwrap();
    let values: Vec<_> = [(ALICE, DB), (BOB, DB), (ALICE, &b"db/0202"[..])]
        .map(|(owner, label)| world.get(namespace(owner, label), "owner").value.to_vec())
        .into();
    assert_eq!(values, [b"a", b"b", b"c"]);
    assert_eq!(namespace(ALICE, GLOBAL), B256::ZERO);
    assert_eq!(namespace(ALICE, DB), keccak256([ALICE.as_slice(), DB].concat()));
}

#[test]
fn operators_act_until_the_approval_is_taken_back() {
    let mut world = World::new();
    let is_operator =
        |world: &mut World, owner, operator| world.host.view(NAMES, &isOperatorCall { owner, operator }).unwrap();
    let refused = || INames::NotOperator { owner: ALICE, caller: BOB };
    let set = |expected| call(ALICE, DB, "owner", expected, b"by bob");
    assert_reverts(world.set(BOB, &set(0)), refused());
    world.approve(ALICE, BOB, true);
    let expected = INames::OperatorApproved { owner: ALICE, operator: BOB, approved: true };
    assert_eq!(world.host.last_event::<INames::OperatorApproved>(), expected);
    assert!(is_operator(&mut world, ALICE, BOB));
    assert!(!is_operator(&mut world, BOB, ALICE));
    let version = world.set(BOB, &set(0)).unwrap();
    assert_eq!(world.get(namespace(ALICE, DB), "owner").owner, ALICE);
    world.set(BOB, &call(ALICE, GLOBAL, "bucket/a", 0, b"")).unwrap();
    assert_eq!(world.get(B256::ZERO, "bucket/a").owner, ALICE);
    world.approve(ALICE, BOB, false);
    assert!(!is_operator(&mut world, ALICE, BOB));
    assert_reverts(world.set(BOB, &set(version)), refused());
    assert_reverts(world.remove(BOB, ALICE, DB, "owner", version), refused());
    let kept = world.host.storage[&NAMES].clone();
    world.approve(ALICE, BOB, true);
    world.approve(ALICE, BOB, false);
    assert_eq!(world.host.storage[&NAMES], kept, "an approval taken back leaves something behind");
}

#[test]
fn events_tell_what_was_set_and_removed() {
    let mut world = World::new();
    let (space, name) = (namespace(ALICE, DB), Bytes::from_static(b"owner"));
    let version = world.alice(DB, "owner", 0, b"v").unwrap();
    let value = Bytes::from_static(b"v");
    let key = keccak256(&name);
    let set = INames::NameSet { namespace: space, key, owner: ALICE, name: name.clone(), version, value };
    assert_eq!(world.host.last_event::<INames::NameSet>(), set);
    world.remove(ALICE, ALICE, DB, "owner", version).unwrap();
    let removed = INames::NameRemoved { namespace: space, key, owner: ALICE, name, version };
    assert_eq!(world.host.last_event::<INames::NameRemoved>(), removed);
}

#[test]
fn lengths_are_bounded() {
    let mut world = World::new();
    let (name, long) = ("n".repeat(NAME_MAX_BYTES), "n".repeat(NAME_MAX_BYTES + 1));
    let (length, maximum) = (U256::from(257), U256::from(256));
    assert_reverts(world.alice(DB, "", 0, b""), INames::NameLength { length: U256::ZERO, maximum });
    assert_reverts(world.alice(DB, &long, 0, b""), INames::NameLength { length, maximum });
    assert_reverts(world.remove(ALICE, ALICE, DB, &long, 1), INames::NameLength { length, maximum });
    assert_reverts(world.alice(long.as_bytes(), "owner", 0, b""), INames::LabelLength { length, maximum });
    assert_reverts(world.alice(DB, "owner", 0, long.as_bytes()), INames::ValueLength { length, maximum });
    let version = world.alice(name.as_bytes(), &name, 0, name.as_bytes()).unwrap();
    let space = namespace(ALICE, name.as_bytes());
    assert_eq!(world.get(space, &name).value.len(), VALUE_MAX_BYTES);
    let version = world.alice(name.as_bytes(), &name, version, b"").unwrap();
    assert_eq!(world.get(space, &name).value.len(), 0);
    world.remove(ALICE, ALICE, name.as_bytes(), &name, version).unwrap();
    assert_eq!(world.host.storage[&NAMES].len(), 1, "more than the count of changes stays");
}

#[test]
fn a_full_namespace_takes_no_new_names() {
    let mut world = World::new();
    let version = world.alice(DB, "owner", 0, b"").unwrap();
    let full = namespace(ALICE, DB);
    space(full).keys.set_len(&mut world.host, NAMESPACE_MAX_NAMES).unwrap();
    let refused = INames::NamespaceFull { namespace: full, maximum: NAMESPACE_MAX_NAMES };
    assert_reverts(world.alice(DB, "one more", 0, b""), refused);
    world.alice(DB, "owner", version, b"").unwrap();
}

#[test]
fn a_list_has_pages() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.alice(DB, name, 0, name.as_bytes()).unwrap();
    }
    let space = namespace(ALICE, DB);
    let names = |page: Vec<INames::Name>| page.into_iter().map(|name| name.name.to_vec()).collect::<Vec<_>>();
    assert_eq!(names(world.list(space, 0, u64::MAX)), [b"a", b"b", b"c"]);
    assert_eq!(names(world.list(space, 1, 1)), [b"b"]);
    assert!(world.list(space, 3, 1).is_empty() && world.list(B256::ZERO, 0, 1).is_empty());
    let version = world.get(space, "a").version;
    world.remove(ALICE, ALICE, DB, "a", version).unwrap();
    assert_eq!(names(world.list(space, 0, u64::MAX)), [b"c", b"b"]);
}

#[test]
fn gas_grows_with_the_bytes_and_runs_out() {
    let mut world = World::new();
    world.alice(DB, "a", 0, b"").unwrap();
    let small = world.host.gas_used;
    world.alice(DB, &"b".repeat(256), 0, &[1; 256]).unwrap();
    let large = world.host.gas_used;
    // Both texts take eight slots more, and each slot is charged.
    assert!(large >= small + 16 * 5_000, "{small} then {large}");
    let mut poor = World::new();
    poor.host.gas_limit = small - 1;
    assert_eq!(poor.alice(DB, "a", 0, b""), Err(ModuleError::OutOfGas));
    assert!(!poor.host.storage.contains_key(&NAMES));
}

proptest! {
    /// Any history of calls against a model: what is read is what was last set, in one namespace's list exactly once.
    #[test]
    fn histories_agree_with_a_model(steps in prop::collection::vec((0u8..6, any::<bool>(), 0u64..3, any::<u8>()), 1..60)) {
        let (mut world, mut model, mut changes) = (World::new(), BTreeMap::<String, (u64, Vec<u8>)>::new(), 0u64);
        let space = namespace(ALICE, DB);
        for (pick, removes, stale, value) in steps {
            let (name, value) = (format!("name {pick}"), vec![value; usize::from(value)]);
            let present = model.get(&name).map_or(0, |(version, _)| *version);
            let expected = present.saturating_sub(stale);
            let fits = expected == present;
            if removes {
                let done = world.remove(ALICE, ALICE, DB, &name, expected);
                prop_assert_eq!(done.is_ok(), fits && present != 0);
                if done.is_ok() {
                    changes += 1;
                    model.remove(&name);
                }
            } else {
                let done = world.alice(DB, &name, expected, &value);
                prop_assert_eq!(done.is_ok(), fits);
                if let Ok(version) = done {
                    changes += 1;
                    prop_assert_eq!(version, changes);
                    model.insert(name, (version, value));
                }
            }
            let listed = world.list(space, 0, u64::MAX);
            prop_assert_eq!(world.count(space), (u64::try_from(listed.len()).unwrap(), changes));
            let listed: BTreeMap<String, (u64, Vec<u8>)> = listed
                .into_iter()
                .map(|name| (String::from_utf8(name.name.to_vec()).unwrap(), (name.version, name.value.to_vec())))
                .collect();
            prop_assert_eq!(&listed, &model);
        }
    }
}
