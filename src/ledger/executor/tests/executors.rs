//! Random blocks, run by every executor: the rig compares outcomes, lists and roots. And what only parallel executors can get wrong.

use super::rig::{GWEI, PROPOSER, Rig, key, native_account, native_key, signed, transfer, tx};
use crate::{
    ledger::{
        abi::{FILES, MINERS},
        executor::{ExecError, Executor, Replay, SkipReason},
        genesis::{GenesisAccount, tests::genesis},
        modules::{self, ModuleError, ModuleHost},
        native::{Call, NativeBatch},
        tx::{VerifiedTx, decode_and_recover, sign_ethereum},
    },
    types::{Address, Amount, U256},
};
use alloy_consensus::{TxEip1559, TxEip7702};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Bytes, bytes};
use proptest::prelude::*;

/// Counts calls by what they are about and by caller, and logs.
const TOKEN: Address = Address::repeat_byte(0xd1);
/// Counts all its calls in one slot.
const COUNTER: Address = Address::repeat_byte(0xd2);
/// Keeps what the proposer has.
const WATCHER: Address = Address::repeat_byte(0xd3);
const PAYEE: Address = Address::repeat_byte(0x42);

/// A contract; one that stores and destroys itself at once; one that leaves everything to the proposer; one that reverts.
const INITS: [Bytes; 4] = [
    bytes!("6008600a5f3960085ff35f546001015f5500"),
    bytes!("600160025533ff"),
    bytes!("41ff"),
    bytes!("60016002555f5ffd"),
];

fn rig() -> Rig {
    let code = |code: Bytes| GenesisAccount { code, ..Default::default() };
    let mut rig = Rig::with(|genesis| {
        genesis.alloc.insert(TOKEN, code(bytes!("5f35805460010190553380546001019055335f5fa100")));
        genesis.alloc.insert(COUNTER, code(bytes!("5f546001015f5500")));
        genesis.alloc.insert(WATCHER, code(bytes!("41315f5500")));
    });
    rig.dispatch = scripted;
    rig
}

/// FILES does what its call data says: `w`rites, `p`ays, wants to have been written to as often as the next byte says, or refuses.
fn scripted(module: Address, input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    if module != FILES {
        return modules::dispatch(module, input, host);
    }
    match input {
        [b'w', ..] => {
            let value = host.sload(module, U256::ZERO)? + U256::from(1);
            host.sstore(module, U256::ZERO, value)?;
            host.sstore(MINERS, U256::from(7), value)?;
        }
        [b'p', ..] => host.transfer(module, PAYEE, U256::from(1))?,
        [b'n', times, ..] => {
            let found = host.sload(module, U256::ZERO)?;
            assert_eq!(found, U256::from(*times), "who relies on an invariant panics where it does not hold");
        }
        _ => return Err(ModuleError::reason("as scripted")),
    }
    Ok(Bytes::new())
}

/// What a random transaction does.
#[derive(Debug, Clone)]
enum Step {
    Pay { from: u8, to: u8, value: u64 },
    BadNonce { from: u8, above: bool },
    Broke { from: u8 },
    Create { from: u8, code: usize },
    Call { from: u8, to: u8, word: u8 },
    Delegate { from: u8, who: u8 },
    Batch { calls: Vec<(u8, u64)> },
    Module { from: u8, script: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u8..=4, 0u8..12, 0u64..1_000).prop_map(|(from, to, value)| Step::Pay { from, to, value }),
        1 => (1u8..=4, any::<bool>()).prop_map(|(from, above)| Step::BadNonce { from, above }),
        1 => (1u8..=4).prop_map(|from| Step::Broke { from }),
        2 => (1u8..=4, 0..INITS.len()).prop_map(|(from, code)| Step::Create { from, code }),
        4 => (1u8..=4, 0u8..8, 0u8..3).prop_map(|(from, to, word)| Step::Call { from, to, word }),
        1 => (1u8..=4, 1u8..=4).prop_map(|(from, who)| Step::Delegate { from, who }),
        1 => prop::collection::vec((0u8..12, 0u64..9), 1..4).prop_map(|calls| Step::Batch { calls }),
        2 => (1u8..=4, prop::sample::select(b"wpf".to_vec())).prop_map(|(from, script)| Step::Module { from, script }),
    ]
}

/// Whom to pay: the proposer, the senders, who owns nothing, a contract, somebody new.
fn payee(n: u8) -> Address {
    match n {
        0 => PROPOSER,
        n @ 1..=4 => key(n).address(),
        5 => native_account(),
        6 => COUNTER,
        n => Address::repeat_byte(n),
    }
}

fn callee(n: u8) -> Address {
    match n {
        0..=2 => TOKEN,
        3 => COUNTER,
        4 => WATCHER,
        n => key(n % 4 + 1).address().create(0),
    }
}

/// Nonces of the senders, as far as the steps use them: the last is the native account's.
#[derive(Default)]
struct Nonces([u64; 6]);

impl Nonces {
    fn next(&mut self, from: u8) -> u64 {
        self.0[usize::from(from)] += 1;
        self.0[usize::from(from)] - 1
    }
}

fn delegation(who: u8, nonce: u64) -> SignedAuthorization {
    let authorization = Authorization { chain_id: U256::from(genesis().chain_id), address: COUNTER, nonce };
    let signature = key(who).sign(&authorization.signature_hash());
    let parity = u8::from(signature.y_odd);
    SignedAuthorization::new_unchecked(authorization, parity, signature.r, signature.s)
}

fn made(step: Step, nonces: &mut Nonces) -> VerifiedTx {
    match step {
        Step::Pay { from, to, value } => transfer(from, nonces.next(from), payee(to), value),
        Step::BadNonce { from, above } => {
            let nonce = if above { u64::MAX / 2 } else { 0 };
            transfer(from, nonce, PAYEE, 1)
        }
        Step::Broke { from } => {
            // Used only if it runs, which it cannot.
            let nonce = nonces.0[usize::from(from)];
            tx(from, nonce, Some(PAYEE), U256::from(u128::MAX), Bytes::new())
        }
        Step::Create { from, code } => tx(from, nonces.next(from), None, U256::from(code), INITS[code].clone()),
        Step::Call { from, to, word } => {
            let input = U256::from(word).to_be_bytes_vec();
            tx(from, nonces.next(from), Some(callee(to)), U256::ZERO, input)
        }
        Step::Delegate { from, who } => {
            let nonce = nonces.next(from);
            let authorization = delegation(who, nonces.next(who));
            let tx = TxEip7702 {
                chain_id: genesis().chain_id,
                nonce,
                gas_limit: 200_000,
                max_fee_per_gas: 10 * GWEI,
                max_priority_fee_per_gas: GWEI,
                to: key(who).address(),
                authorization_list: vec![authorization],
                ..Default::default()
            };
            decode_and_recover(&sign_ethereum(&tx, &key(from)), genesis().chain_id).unwrap()
        }
        Step::Batch { calls } => {
            let call = |(to, value): (u8, u64)| Call { to: payee(to), value: U256::from(value), data: Bytes::new() };
            let batch = NativeBatch {
                chain_id: genesis().chain_id,
                nonce: nonces.next(5),
                max_priority_fee: 1_000_000_000,
                max_fee: 10_000_000_000,
                gas_limit: 300_000,
                key: native_key().public(),
                calls: calls.into_iter().map(call).collect(),
            };
            decode_and_recover(&batch.sign(&native_key()), genesis().chain_id).unwrap()
        }
        Step::Module { from, script } => tx(from, nonces.next(from), Some(FILES), U256::from(2), vec![script]),
    }
}

/// Blocks of random steps by a random proposer, with room for all, most or few of them.
fn run_blocks(blocks: Vec<(Vec<Step>, u64, u8)>) {
    let mut rig = rig();
    let mut nonces = Nonces::default();
    for (steps, gas_limit, proposer) in blocks {
        (rig.env.gas_limit, rig.env.proposer) = (gas_limit, payee(proposer));
        let txs: Vec<_> = steps.into_iter().map(|step| made(step, &mut nonces)).collect();
        rig.block(&txs);
        // What was left out left gaps.
        for (from, nonce) in (1u8..).zip(nonces.0.iter_mut().skip(1)) {
            *nonce = rig.nonce(if from == 5 { native_account() } else { key(from).address() });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn every_executor_gives_the_serial_outcome(
        blocks in prop::collection::vec(
            (
                prop::collection::vec(step(), 0..20),
                prop_oneof![3 => Just(30_000_000u64), 1 => 300_000u64..2_000_000],
                prop_oneof![3 => Just(0u8), 1 => 1u8..7],
            ),
            1..3,
        ),
    ) {
        run_blocks(blocks);
    }
}

#[test]
fn a_run_that_saw_what_never_was_may_panic() {
    let mut rig = rig();
    let script = |i: u8, script: &'static [u8]| tx(i, 0, Some(FILES), U256::ZERO, Bytes::from_static(script));
    let run = rig.block(&[script(1, b"w"), script(2, b"n\x01"), script(3, b"w"), script(4, b"n\x02")]);
    assert!(run.receipts.iter().all(|receipt| receipt.success), "{:?}", run.receipts);
}

#[test]
fn what_is_left_out_for_want_of_gas_leaves_nothing() {
    let mut rig = rig();
    rig.env.gas_limit = 240_000;
    let call = |i: u8| tx(i, 0, Some(COUNTER), U256::ZERO, Bytes::new());
    // Two are left out, and the last, which may use less, counts on as if they had never been tried.
    let small = TxEip1559 {
        chain_id: rig.env.chain_id,
        gas_limit: 60_000,
        max_fee_per_gas: 10 * GWEI,
        to: COUNTER.into(),
        ..Default::default()
    };
    let small = signed(&small, 3);
    let run = rig.block(&[call(1), call(2), call(4), small]);
    let full = |skip: &crate::ledger::executor::Skipped| matches!(skip.reason, SkipReason::BlockFull { .. });
    assert!(run.included == [0, 3] && run.skipped.iter().all(full), "{run:?}");
    assert_eq!(rig.slot(COUNTER, 0), U256::from(2));
}

#[test]
fn a_block_of_conflicts_falls_back_to_running_in_turn() {
    const CALLERS: u8 = 100;
    let mut rig = Rig::with(|genesis| {
        let code = GenesisAccount { code: bytes!("5f546001015f5500"), ..Default::default() };
        genesis.alloc.insert(COUNTER, code);
        for caller in 1..=CALLERS {
            let rich = GenesisAccount { balance: Amount::tokens(1), ..Default::default() };
            genesis.alloc.insert(key(caller).address(), rich);
        }
    });
    // One of them cannot run ahead of its turn: those after it count without it until it is settled.
    rig.env.proposer = key(CALLERS / 2).address();
    let txs: Vec<_> = (1..=CALLERS).map(|i| tx(i, 0, Some(COUNTER), U256::ZERO, Bytes::new())).collect();
    // Backwards, every run but the first one's is refuted: more than may be before anything is settled.
    assert_eq!(rig.block(&txs).included.len(), txs.len());
    assert_eq!(rig.slot(COUNTER, 0), U256::from(CALLERS));
}

#[test]
fn a_proposer_that_sends_and_is_paid_is_settled_in_turn() {
    let mut rig = rig();
    rig.env.proposer = key(1).address();
    let txs = [
        transfer(2, 0, PAYEE, 1),
        transfer(1, 0, PAYEE, 2),
        transfer(3, 0, key(1).address(), 3),
        tx(4, 0, Some(WATCHER), U256::ZERO, Bytes::new()),
        transfer(1, 1, key(2).address(), 5),
    ];
    let run = rig.block(&txs);
    assert_eq!(run.included.len(), 5);
}

#[test]
fn a_list_that_is_not_the_blocks_is_named() {
    let mut rig = rig();
    let calls = [transfer(1, 0, PAYEE, 7), tx(2, 0, Some(COUNTER), U256::ZERO, Bytes::new())];
    let (state, env) = (rig.state.clone(), rig.env.clone());
    let list = rig.block(&calls).access_list;
    let other = rig.block(&[transfer(1, 1, PAYEE, 1)]).access_list;
    let replay = |list: &crate::ledger::executor::AccessList, txs: &[VerifiedTx]| {
        let executor: &dyn Executor = &Replay::with_modules(list.clone(), scripted);
        executor.execute(&state, &env, txs)
    };
    let difference = |outcome: Result<_, ExecError>| match outcome {
        Err(ExecError::AccessList { height: 1, difference }) => difference,
        other => panic!("{other:?}"),
    };
    assert!(replay(&list, &calls).is_ok());
    let fewer = difference(replay(&list, &calls[..1]));
    assert!(fewer.contains("which nothing accesses") || fewer.contains("it should have no more"), "{fewer}");
    let foreign = difference(replay(&other, &calls));
    assert!(foreign.contains("account 0x"), "{foreign}");
    let empty = difference(replay(&Default::default(), &calls));
    assert!(empty.contains("it lacks account"), "{empty}");
}
