//! The ed25519 module: signatures of native accounts and storage receipts, checked for contracts.
//!
//! Owns its gas. Has no state. Invariant: a batch is valid exactly if each of its signatures is, and costs in gas what it costs
//! in time, measured against `ecrecover` (see [`VERIFY_GAS`]).

use super::{
    calldata::{Access, decode, permit, reply},
    host::{ModuleError, ModuleHost},
};
use crate::{
    crypto::{PublicKey, Signature, verify_all_zip215, verify_zip215},
    ledger::abi::IEd25519::{self, IEd25519Calls, verifyBatchCall, verifyCall},
    types::U256,
};
use alloy_primitives::Bytes;

/// Gas of one signature checked alone, and of starting a batch. `ecrecover` costs 3,000; `cess bench signatures` measures both, and
/// what is charged is above what was measured for every size of batch.
const VERIFY_GAS: u64 = 4_000;
/// Gas of a signature in a batch.
const BATCHED_GAS: u64 = 2_000;
/// Gas of each started 32 bytes of a message: SHA-512, priced as Ethereum prices SHA-256.
const MESSAGE_WORD_GAS: u64 = 12;
/// Bytes of a signature.
const SIGNATURE_BYTES: usize = 64;

/// Runs one call.
pub(super) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<IEd25519Calls>(input, host)?;
    permit(Access::View, host)?;
    match call {
        IEd25519Calls::verifyBatch(call) => Ok(reply::<verifyBatchCall>(&verify_batch(host, &call)?)),
        IEd25519Calls::verify(call) => Ok(reply::<verifyCall>(&verify(host, &call)?)),
    }
}

fn verify(host: &mut dyn ModuleHost, call: &verifyCall) -> Result<bool, ModuleError> {
    host.charge(VERIFY_GAS + message_gas(&call.message))?;
    let Ok(signature) = <[u8; SIGNATURE_BYTES]>::try_from(call.signature.as_ref()) else {
        return Err(mismatch(1, call.signature.len(), 1));
    };
    Ok(verify_zip215(&(&call.message, Signature(signature), PublicKey(call.key.0))))
}

fn verify_batch(host: &mut dyn ModuleHost, call: &verifyBatchCall) -> Result<bool, ModuleError> {
    let (keys, messages) = (&call.keys, &call.messages);
    let count = u64::try_from(keys.len()).expect("call data fits memory");
    host.charge(VERIFY_GAS + BATCHED_GAS * count + messages.iter().map(message_gas).sum::<u64>())?;
    let (signatures, rest) = call.signatures.as_chunks::<SIGNATURE_BYTES>();
    if signatures.len() != keys.len() || messages.len() != keys.len() || !rest.is_empty() {
        return Err(mismatch(keys.len(), call.signatures.len(), messages.len()));
    }
    let signed = |((key, signature), message)| {
        let (key, signature): (&alloy_primitives::B256, &[u8; SIGNATURE_BYTES]) = (key, signature);
        let message: &Bytes = message;
        (message.as_ref(), Signature(*signature), PublicKey(key.0))
    };
    let items: Vec<_> = keys.iter().zip(signatures).zip(messages).map(signed).collect();
    Ok(verify_all_zip215(&items))
}

fn message_gas(message: &Bytes) -> u64 {
    u64::try_from(message.len().div_ceil(32)).expect("call data fits memory") * MESSAGE_WORD_GAS
}

fn mismatch(keys: usize, signature_bytes: usize, messages: usize) -> ModuleError {
    let [keys, messages] = [keys, messages].map(U256::from);
    ModuleError::revert(IEd25519::CountMismatch { keys, signatureBytes: U256::from(signature_bytes), messages })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::SecretKey,
        ledger::{
            abi::ED25519,
            modules::testing::{TestHost, assert_reverts},
        },
        types::Address,
    };

    fn batch(count: u8) -> verifyBatchCall {
        let (mut keys, mut signatures, mut messages) = (Vec::new(), Vec::new(), Vec::new());
        for i in 0..count {
            let (key, message) = (SecretKey::from_bytes(&[i; 32]), vec![i; usize::from(i)]);
            keys.push(key.public().0.into());
            signatures.extend(key.sign(&message).0);
            messages.push(message.into());
        }
        verifyBatchCall { keys, signatures: signatures.into(), messages }
    }

    #[test]
    fn a_batch_with_one_bad_signature_is_bad() {
        let mut host = TestHost::new();
        for count in [0, 1, 2, 33] {
            assert_eq!(host.view(ED25519, &batch(count)), Ok(true), "{count}");
        }
        let mut bad = batch(33);
        bad.messages[32] = Bytes::from_static(b"another");
        assert_eq!(host.view(ED25519, &bad), Ok(false));
        let one = batch(1);
        let mut call =
            verifyCall { key: one.keys[0], signature: one.signatures.clone(), message: one.messages[0].clone() };
        assert_eq!(host.view(ED25519, &call), Ok(true));
        call.message = Bytes::from_static(b"another");
        assert_eq!(host.view(ED25519, &call), Ok(false));
    }

    #[test]
    fn counts_must_agree_and_gas_grows_with_each_signature() {
        let mut host = TestHost::new();
        let of = |keys: usize, bytes: usize, messages: usize| {
            let [keys, messages] = [keys, messages].map(U256::from);
            IEd25519::CountMismatch { keys, signatureBytes: U256::from(bytes), messages }
        };
        let mut short = batch(3);
        short.signatures = short.signatures.slice(..191);
        assert_reverts(host.view(ED25519, &short), of(3, 191, 3));
        let mut few = batch(3);
        few.messages.pop();
        assert_reverts(host.view(ED25519, &few), of(3, 192, 2));
        let call = verifyCall { key: [0; 32].into(), signature: vec![0; 63].into(), message: Bytes::new() };
        assert_reverts(host.view(ED25519, &call), of(1, 63, 1));

        let mut gas_of = |count| {
            host.call(Address::ZERO, ED25519, U256::ZERO, &batch(count)).unwrap();
            host.gas_used
        };
        let (one, two) = (gas_of(1), gas_of(2));
        assert!(two - one >= BATCHED_GAS + MESSAGE_WORD_GAS, "{one} {two}");
        host.gas_limit = two - 1;
        assert_eq!(host.view(ED25519, &batch(2)), Err(ModuleError::OutOfGas));
    }
}
