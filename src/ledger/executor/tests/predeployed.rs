//! What every chain has from its first block on: Ethereum's newer precompiles and the contracts tools count on.

use super::rig::{Rig, tx};
use crate::{
    ledger::{
        executor::{CallOutcome, CallRequest, call},
        predeploys::{CREATE2_DEPLOYER, MULTICALL3, PREDEPLOYS, deployed_address},
        state::StateView,
    },
    types::{Address, U256},
};
use alloy_primitives::{Bytes, hex, keccak256};

fn answer(rig: &Rig, to: Address, data: impl Into<Bytes>) -> Bytes {
    let request =
        CallRequest { from: Address::ZERO, to: Some(to), value: U256::ZERO, data: data.into(), gas: 1_000_000 };
    match call(&rig.state, &rig.env, &request).unwrap() {
        CallOutcome::Success { output, .. } => output,
        other => panic!("{other:?}"),
    }
}

#[test]
fn p256_and_bls_are_precompiled() {
    let rig = Rig::new();
    // Message hash, r, s, x and y of a valid signature (EIP-7951).
    let signed = hex!(
        "4cee90eb86eaa050036147a12d49004b6b9c72bd725d39d4785011fe190f0b4da73bd4903f0ce3b639bbbf6e8e80d16931ff4bcf5993d58468e8fb19086e8cac"
        "36dbcd03009df8c59286b162af3bd7fcc0450c9aa81be5d10d312af6c66b1d604aebd3099c618202fcfe16ae7770b0c49ab5eadf74b754204a3bb6060e44eff3"
        "7618b065f9832de4ca6ca971a7a1adc826d0f7c00181a5fb2ddf79ae00b4e10e"
    );
    let p256 = Address::from_word(U256::from(0x100).into());
    assert_eq!(answer(&rig, p256, signed), Bytes::from(U256::from(1).to_be_bytes_vec()));
    let mut bent = signed;
    bent[0] ^= 1;
    assert!(answer(&rig, p256, bent).is_empty());
    // Infinity added to infinity on BLS12-381's first group (EIP-2537).
    assert_eq!(answer(&rig, Address::with_last_byte(0x0b), vec![0; 256]), Bytes::from(vec![0; 128]));
}

#[test]
fn predeployed_contracts_work() {
    let mut rig = Rig::new();
    for (address, code) in PREDEPLOYS {
        let account = rig.state.account(&address).unwrap().unwrap();
        assert_eq!((account.nonce, account.code_hash), (1, keccak256(&code)), "{address}");
        assert_eq!(rig.state.code(&account.code_hash).unwrap(), code);
    }
    // getChainId()
    assert_eq!(answer(&rig, MULTICALL3, hex!("3408e470")), Bytes::from(U256::from(11_332).to_be_bytes_vec()));
    // Anybody creates a contract whose code is the chain's id, at an address known before.
    let deployment = [&[7; 32][..], &hex!("465f5260205ff3")].concat();
    let address = deployed_address(&deployment).unwrap();
    let run = rig.block(&[tx(1, 0, Some(CREATE2_DEPLOYER), U256::ZERO, deployment)]);
    assert!(run.receipts[0].success, "{:?}", run.receipts);
    let account = rig.state.account(&address).unwrap().unwrap();
    assert_eq!(account.code_hash, keccak256(U256::from(11_332).to_be_bytes::<32>()));
}
