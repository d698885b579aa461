//! Transactions nobody signed: a developer's chain runs them in the name of any account, contracts included.
//!
//! Owns the stand-in for their signature. Invariant: no signature of secp256k1 looks like it, because its `s` lies above the order of
//! the curve; [`super::tx::decode_and_recover`] therefore never takes one, [`decode`] does.

use super::tx::{TxError, VerifiedTx, decode_with};
use crate::{
    crypto::{EcdsaSignature, recover_address},
    types::{Address, B256, ChainId, U256},
};
use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_primitives::{Bytes, Signature};

/// `s` of the stand-in. Its `r` is the sender, so that transactions of two senders have two hashes.
const STAND_IN_S: U256 = U256::MAX;

/// The envelope of a transaction that `sender` did not sign.
pub fn envelope<T: RlpEcdsaEncodableTx>(tx: &T, sender: Address) -> Bytes {
    let mut raw = Vec::new();
    tx.eip2718_encode(&Signature::new(U256::from_be_slice(sender.as_slice()), STAND_IN_S, false), &mut raw);
    raw.into()
}

/// Decodes an envelope as the chain does, or one that nobody signed.
pub fn decode(raw: &[u8], chain_id: ChainId) -> Result<VerifiedTx, TxError> {
    decode_with(raw, chain_id, |digest: &B256, signature: &EcdsaSignature| {
        sender(signature).or_else(|| recover_address(digest, signature))
    })
}

/// The sender a stand-in names.
pub(super) fn sender(signature: &EcdsaSignature) -> Option<Address> {
    let word = B256::from(signature.r);
    let names = signature.s == STAND_IN_S && !signature.y_odd && word[..12].iter().all(|byte| *byte == 0);
    names.then(|| Address::from_word(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tx::decode_and_recover;
    use alloy_consensus::TxEip1559;
    use alloy_primitives::TxKind;

    #[test]
    fn only_this_decoder_takes_them_and_senders_have_hashes_of_their_own() {
        let to = TxKind::Call(Address::repeat_byte(9));
        let tx = TxEip1559 { chain_id: 5, gas_limit: 21_000, max_fee_per_gas: 7, to, ..Default::default() };
        let (one, other) = (Address::repeat_byte(0xff), Address::ZERO);
        let decoded = decode(&envelope(&tx, one), 5).unwrap();
        assert_eq!((decoded.sender, decoded.is_unsigned()), (one, true));
        let second = decode(&envelope(&tx, other), 5).unwrap();
        assert_eq!(second.sender, other);
        assert_ne!(second.hash, decoded.hash);
        assert_eq!(decode_and_recover(&decoded.raw, 5), Err(TxError::BadSignature));
        assert!(matches!(decode(&decoded.raw, 6), Err(TxError::WrongChain { .. })));
    }
}
