//! A computation over a witness against the same over the state, and lies by their names.

use super::*;
use crate::{
    codec,
    ledger::{
        commitment::StateTrie,
        state::{AccountDelta, MemoryState, StateDelta},
    },
};
use proptest::prelude::*;

/// One of everything, for the golden bytes.
pub(crate) fn sample() -> Witness {
    let info = AccountInfo { nonce: 1, balance: U256::from(2), code_hash: B256::repeat_byte(3) };
    let slot = ProvenSlot { slot: [4; 32], value: [5; 32], proof: vec![1] };
    let full = ProvenAccount {
        address: [6; 20],
        leaf: Some(Leaf { info, storage: [7; 32] }),
        proof: vec![0],
        slots: vec![slot],
    };
    let absent = ProvenAccount { address: [8; 20], leaf: None, proof: vec![0, 1], slots: Vec::new() };
    Witness { nodes: vec![vec![9, 9], vec![10]], accounts: vec![full, absent], code: vec![vec![0x60, 0x00]] }
}

/// Some accounts with slots, one with code.
fn world() -> (MemoryState, StateTrie) {
    let mut delta = StateDelta::default();
    let code = Bytes::from_static(&[0x60, 0x00]);
    for n in 1..40u8 {
        let code_hash = if n == 7 { keccak256(&code) } else { KECCAK256_EMPTY };
        let info = AccountInfo { nonce: n.into(), balance: U256::from(n) * U256::from(1_000), code_hash };
        let slots = (0..n / 4).map(|i| (U256::from(i), U256::from(i) + U256::from(n))).collect();
        delta.accounts.insert(Address::repeat_byte(n), AccountDelta { info: Some(info), slots, wiped: false });
    }
    delta.code.insert(keccak256(&code), code);
    let (state, mut trie) = (MemoryState::from_delta(&delta), StateTrie::default());
    trie.apply(&delta);
    (state, trie)
}

/// What a computation reads here: accounts that exist, one that does not, slots with and without a value, code.
fn read(view: &dyn StateView) -> Result<Vec<String>, StateError> {
    let mut seen = Vec::new();
    for n in [7, 20, 39, 99] {
        let address = Address::repeat_byte(n);
        let info = view.account(&address)?;
        seen.push(format!("{info:?}"));
        for slot in [0u64, 3, 500] {
            seen.push(view.slot(&address, &U256::from(slot))?.to_string());
        }
        if let Some(info) = info {
            seen.push(format!("{:?}", view.code(&info.code_hash)?));
        }
    }
    Ok(seen)
}

fn witness() -> (Witness, B256) {
    let (state, trie) = world();
    let view = Codeless(&state);
    let recording = RecordingView::new(&view);
    read(&recording).unwrap();
    (Witness::gather(&recording.into_reads(), &view, &trie).unwrap(), trie.root())
}

/// [`MemoryState`] with the code that every account without code has.
struct Codeless<'a>(&'a MemoryState);

impl StateView for Codeless<'_> {
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StateError> {
        self.0.account(address)
    }
    fn slot(&self, address: &Address, slot: &U256) -> Result<U256, StateError> {
        self.0.slot(address, slot)
    }
    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        if *hash == KECCAK256_EMPTY { Ok(Bytes::new()) } else { self.0.code(hash) }
    }
}

#[test]
fn a_computation_over_a_witness_ends_as_over_the_state() {
    let (state, _) = world();
    let (witness, root) = witness();
    let bytes = codec::encode(&witness);
    assert_eq!(bytes.len(), witness.encoded_bytes());
    assert_eq!(codec::decode::<Witness>(&bytes), Ok(witness.clone()));
    let opened = witness.open(root).unwrap();
    assert_eq!(read(&opened), read(&Codeless(&state)));
}

#[test]
fn what_was_not_read_cannot_be_read() {
    let (witness, root) = witness();
    let opened = witness.open(root).unwrap();
    let missing = |error: StateError| assert!(error.to_string().contains("is not in the witness"), "{error}");
    missing(opened.account(&Address::repeat_byte(8)).unwrap_err());
    missing(opened.slot(&Address::repeat_byte(7), &U256::from(1)).unwrap_err());
    missing(opened.code(&B256::repeat_byte(1)).unwrap_err());
    assert_eq!(opened.slot(&Address::repeat_byte(99), &U256::from(77)), Ok(U256::ZERO), "nothing is in no account");
}

#[test]
fn lies_are_named() {
    let (good, root) = witness();
    let with = |change: &dyn Fn(&mut Witness)| {
        let mut other = good.clone();
        change(&mut other);
        other.open(root).unwrap_err()
    };
    assert!(matches!(good.clone().open(B256::ZERO), Err(WitnessError::Account { .. })));
    let richer = |w: &mut Witness| w.accounts[0].leaf.as_mut().unwrap().info.balance += U256::from(1);
    assert!(matches!(with(&richer), WitnessError::Account { .. }));
    assert!(matches!(with(&|w| w.accounts[0].leaf = None), WitnessError::Account { .. }));
    assert!(matches!(with(&|w| w.accounts[1].slots[0].value[31] ^= 1), WitnessError::Slot { .. }));
    assert!(matches!(with(&|w| w.accounts[1].slots[0].value = [0; 32]), WitnessError::Slot { .. }));
    assert!(matches!(with(&|w| w.accounts[1].slots[0].proof.clear()), WitnessError::Slot { .. }));
    assert!(matches!(with(&|w| w.accounts[0].proof[0] = 9_999), WitnessError::Node { index: 9_999, .. }));
    assert!(matches!(with(&|w| w.accounts[0].proof = vec![0; 66]), WitnessError::Long { len: 66, .. }));
}

#[test]
fn reads_are_bounded() {
    let (state, _) = world();
    let recording = RecordingView::new(&state);
    let slots = u64::try_from(WITNESS_MAX_READS).unwrap();
    let read = |slot| recording.slot(&Address::repeat_byte(1), &U256::from(slot));
    assert!((0..slots - 1).all(|slot| read(slot).is_ok()));
    assert!(read(slots).unwrap_err().to_string().contains("16384"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever byte is changed: the witness is unreadable, refused, or says the same of what it still says.
    #[test]
    fn no_flipped_bit_is_believed(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (witness, root) = witness();
        let mut bytes = codec::encode(&witness);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(opened) = codec::decode::<Witness>(&bytes).map_err(drop).and_then(|w| w.open(root).map_err(drop)) {
            let (state, _) = world();
            match read(&opened) {
                Ok(seen) => prop_assert_eq!(Ok(seen), read(&Codeless(&state))),
                Err(error) => prop_assert!(error.to_string().contains("is not in the witness")),
            }
        }
    }
}
