//! The bridge to the protocol modules, with a stand-in module whose call data is a script.

use super::rig::{Rig, key, native_call, tx};
use crate::{
    ledger::{
        abi::{FILES, IStaking, MINERS, STAKING},
        executor::{CallOutcome, CallRequest, call},
        genesis::GenesisAccount,
        modules::{ModuleError, ModuleHost},
    },
    types::{Address, B256, U256},
};
use alloy_primitives::{Bytes, LogData};
use alloy_sol_types::SolCall;

const PAYEE: Address = Address::repeat_byte(0x42);
const CALLER: Address = Address::repeat_byte(0xc1);
const CALLER_THEN_REVERT: Address = Address::repeat_byte(0xc2);
const DELEGATE: Address = Address::repeat_byte(0xc3);
const STATIC: Address = Address::repeat_byte(0xc4);

/// Each byte of the call data is a step: `w`rite slot 0 here and in another module, `e`mit, `p`ay one unit to PAYEE,
/// `o`verpay, `r`ead, `b`urn all gas, re`f`use, check the `v`alue sent.
fn scripted(module: Address, input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    for step in input {
        match step {
            b'w' => {
                let value = host.sload(module, U256::ZERO)? + U256::from(1);
                host.sstore(module, U256::ZERO, value)?;
                host.sstore(MINERS, U256::from(7), value)?;
            }
            b'e' => {
                host.emit(module, LogData::new_unchecked(vec![B256::repeat_byte(1)], Bytes::from_static(b"data")))?
            }
            b'p' => host.transfer(module, PAYEE, U256::from(1))?,
            b'o' => host.transfer(module, PAYEE, U256::MAX)?,
            b'r' => drop(host.sload(module, U256::ZERO)?.to_be_bytes_vec()),
            b'b' => loop {
                host.charge(1_000)?;
            },
            b'v' => assert_eq!(host.value(), U256::from(5)),
            _ => return Err(ModuleError::reason("as scripted")),
        }
    }
    Ok(U256::from(input.len()).to_be_bytes_vec().into())
}

/// Code that hands its call data to FILES with `call`, keeps the outcome in slot 0 and then runs `after`.
fn forwarder(call: &[u8], after: &[u8]) -> GenesisAccount {
    let code = [&[0x36, 0x5f, 0x5f, 0x37, 0x5f, 0x5f, 0x36, 0x5f][..], call, after].concat();
    GenesisAccount { code: code.into(), ..Default::default() }
}

fn rig() -> Rig {
    // The module gets 100,000 gas, so that the caller has some left when it is used up.
    let target = [&[0x73][..], FILES.as_slice(), &[0x62, 0x01, 0x86, 0xa0]].concat();
    let with_value = |op: u8| [&[0x34][..], &target, &[op]].concat();
    let without = |op: u8| [&target[..], &[op]].concat();
    let keep = [0x60, 1, 0x01, 0x5f, 0x55, 0x00];
    let mut rig = Rig::with(|genesis| {
        genesis.alloc.insert(CALLER, forwarder(&with_value(0xf1), &keep));
        genesis.alloc.insert(CALLER_THEN_REVERT, forwarder(&with_value(0xf1), &[0x5f, 0x5f, 0xfd]));
        genesis.alloc.insert(DELEGATE, forwarder(&without(0xf4), &keep));
        genesis.alloc.insert(STATIC, forwarder(&without(0xfa), &keep));
    });
    rig.dispatch = scripted;
    rig
}

fn ask(rig: &mut Rig, nonce: u64, to: Address, value: u64, script: &'static [u8]) -> crate::ledger::executor::Receipt {
    let run = rig.block(&[tx(1, nonce, Some(to), U256::from(value), Bytes::from_static(script))]);
    assert!(run.skipped.is_empty(), "{:?}", run.skipped);
    run.receipts[0].clone()
}

/// What a forwarder kept: 1 for a failed inner call, 2 for one that succeeded.
const INNER_FAILED: U256 = U256::from_limbs([1, 0, 0, 0]);
const INNER_DONE: U256 = U256::from_limbs([2, 0, 0, 0]);

#[test]
fn a_module_writes_logs_pays_and_takes_value() {
    let mut rig = rig();
    let receipt = ask(&mut rig, 0, FILES, 5, b"vwep");
    assert!(receipt.success, "{receipt:?}");
    assert_eq!((rig.slot(FILES, 0), rig.slot(MINERS, 7)), (U256::from(1), U256::from(1)));
    assert_eq!((rig.balance(PAYEE), rig.balance(FILES)), (U256::from(1), U256::from(4)));
    assert_eq!((receipt.logs.len(), receipt.logs[0].address), (1, FILES));
    assert!(receipt.bloom().contains_raw_log(FILES, &[B256::repeat_byte(1)]));
    let native = rig.block(&[native_call(0, FILES, 0, b"w".to_vec())]);
    assert!(native.receipts[0].success);
    assert_eq!(rig.slot(FILES, 0), U256::from(2));
}

#[test]
fn gas_follows_the_schedule_of_the_evm() {
    let mut rig = rig();
    let calldata = 16 + 21_000;
    let write = 2_100 + 20_000 + 22_100;
    assert_eq!(ask(&mut rig, 0, FILES, 0, b"w").gas_used, calldata + write);
    let rewrite = 2_100 + 2_900 + 5_000;
    assert_eq!(ask(&mut rig, 1, FILES, 0, b"w").gas_used, calldata + rewrite);
    assert_eq!(ask(&mut rig, 2, FILES, 0, b"e").gas_used, calldata + 375 * 2 + 8 * 4);
    assert_eq!(ask(&mut rig, 3, FILES, 1, b"p").gas_used, calldata + 100 + 2_600 + 9_000 + 25_000);
    let burnt = ask(&mut rig, 4, FILES, 0, b"b");
    assert_eq!((burnt.gas_used, burnt.success), (200_000, false));
}

#[test]
fn a_refusing_module_leaves_no_trace() {
    let mut rig = rig();
    for (nonce, script) in [(0, &b"wepf"[..]), (1, b"weo")] {
        let receipt = ask(&mut rig, nonce, FILES, 5, script);
        assert!(!receipt.success && receipt.logs.is_empty() && !receipt.output.is_empty(), "{receipt:?}");
        assert!(receipt.gas_used < 200_000, "a refusal gives the rest of the gas back");
        assert_eq!((rig.slot(FILES, 0), rig.slot(MINERS, 7)), (U256::ZERO, U256::ZERO));
        assert_eq!((rig.balance(PAYEE), rig.balance(FILES)), (U256::ZERO, U256::ZERO));
    }
}

#[test]
fn a_caller_that_reverts_undoes_the_module_too() {
    let mut rig = rig();
    assert!(ask(&mut rig, 0, CALLER, 5, b"vwep").success);
    assert_eq!(
        (rig.slot(CALLER, 0), rig.slot(FILES, 0), rig.balance(PAYEE)),
        (INNER_DONE, U256::from(1), U256::from(1))
    );
    let receipt = ask(&mut rig, 1, CALLER_THEN_REVERT, 5, b"vwep");
    assert!(!receipt.success && receipt.logs.is_empty());
    assert_eq!((rig.slot(FILES, 0), rig.slot(MINERS, 7)), (U256::from(1), U256::from(1)));
    assert_eq!((rig.balance(PAYEE), rig.balance(FILES)), (U256::from(1), U256::from(4)));
}

#[test]
fn a_caller_survives_a_module_that_refuses() {
    let mut rig = rig();
    let receipt = ask(&mut rig, 0, CALLER, 5, b"wef");
    assert!(receipt.success && receipt.logs.is_empty());
    assert_eq!((rig.slot(CALLER, 0), rig.slot(FILES, 0)), (INNER_FAILED, U256::ZERO));
    assert_eq!((rig.balance(CALLER), rig.balance(FILES)), (U256::from(5), U256::ZERO));
}

#[test]
fn static_calls_read_but_never_write_and_delegate_calls_are_refused() {
    let mut rig = rig();
    for (nonce, to, script, kept) in [
        (0, STATIC, &b"r"[..], INNER_DONE),
        (1, STATIC, b"w", INNER_FAILED),
        (2, STATIC, b"e", INNER_FAILED),
        (3, STATIC, b"p", INNER_FAILED),
        (4, DELEGATE, b"r", INNER_FAILED),
        (5, DELEGATE, b"w", INNER_FAILED),
    ] {
        assert!(ask(&mut rig, nonce, to, 0, script).success);
        assert_eq!(rig.slot(to, 0), kept, "{}", String::from_utf8_lossy(script));
        assert_eq!((rig.slot(FILES, 0), rig.slot(to, 7)), (U256::ZERO, U256::ZERO));
    }
}

#[test]
fn a_module_with_a_broken_state_stops_the_block() {
    let mut rig = rig();
    rig.dispatch = |_, _, _| Err(ModuleError::Fatal("slot 3 is torn".into()));
    let txs = [tx(1, 0, Some(FILES), U256::ZERO, Bytes::new())];
    let failed = crate::ledger::executor::execute_with(&rig.state, &rig.env, &txs, rig.dispatch).unwrap_err();
    assert!(failed.to_string().contains("slot 3 is torn"), "{failed}");
    assert_eq!(rig.nonce(key(1).address()), 0);
}

#[test]
fn the_beacon_of_a_block_is_readable_through_its_interface() {
    let mut rig = Rig::new();
    let (height, beacon) = (rig.env.height, rig.env.beacon);
    rig.block(&[]);
    let data = IStaking::beaconCall { height }.abi_encode().into();
    let request = CallRequest { from: Address::ZERO, to: Some(STAKING), value: U256::ZERO, data, gas: 1_000_000 };
    match call(&rig.state, &rig.env, &request).unwrap() {
        CallOutcome::Success { output, .. } => {
            assert_eq!(IStaking::beaconCall::abi_decode_returns(&output), Ok(beacon))
        }
        other => panic!("{other:?}"),
    }
    let data = IStaking::committeeCall {}.abi_encode().into();
    let CallOutcome::Success { output, .. } = call(&rig.state, &rig.env, &CallRequest { data, ..request }).unwrap()
    else {
        panic!("the committee is readable")
    };
    assert_eq!(IStaking::committeeCall::abi_decode_returns(&output).unwrap().len(), 4);
}
