//! ed25519 by the rules of ZIP-215, under which many signatures checked at once get the answer each would get alone.
//!
//! Must not know what is signed. Invariants: the answer is a function of the input, the same on every machine; a batch holds
//! exactly if all its members do. The coefficients that keep bad members from cancelling each other come from a hash of the
//! whole batch: whoever makes the batch cannot know them before it is made.

use super::{
    PublicKey, Signature,
    hash::{DOMAIN_ED25519_BATCH, tagged},
};
use ed25519_zebra::{VerificationKey, VerificationKeyBytes, batch};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

/// A signature with what it should be of: message, signature, key.
pub type Signed<'m> = (&'m [u8], Signature, PublicKey);

/// Whether one signature is valid.
pub fn verify_zip215((message, signature, key): &Signed<'_>) -> bool {
    let key = VerificationKey::try_from(VerificationKeyBytes::from(key.0));
    key.is_ok_and(|key| key.verify(&signature.0.into(), message).is_ok())
}

/// Whether all of `items` are valid.
pub fn verify_all_zip215(items: &[Signed<'_>]) -> bool {
    match items {
        [] => true,
        [one] => verify_zip215(one),
        many => verify_at_once(many),
    }
}

fn verify_at_once(items: &[Signed<'_>]) -> bool {
    let mut verifier = batch::Verifier::new();
    let mut parts: Vec<&[u8]> = Vec::with_capacity(3 * items.len());
    for (message, signature, key) in items {
        verifier.queue((VerificationKeyBytes::from(key.0), signature.0.into(), message));
        parts.extend([*message, &signature.0, &key.0]);
    }
    verifier.verify(ChaCha20Rng::from_seed(tagged(DOMAIN_ED25519_BATCH, &parts))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;
    use alloy_primitives::hex;
    use proptest::prelude::*;

    /// Encodings of the eight points of small order, canonical and not: the vectors ZIP-215 is told apart by.
    const SMALL_ORDER: [[u8; 32]; 11] = [
        hex!("0100000000000000000000000000000000000000000000000000000000000000"),
        hex!("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex!("0000000000000000000000000000000000000000000000000000000000000000"),
        hex!("0000000000000000000000000000000000000000000000000000000000000080"),
        hex!("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        hex!("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
        hex!("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        hex!("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        hex!("0100000000000000000000000000000000000000000000000000000000000080"),
        hex!("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex!("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ];

    /// A signature of one of many kinds: honest, forged, or made of points of small order.
    fn item() -> impl Strategy<Value = (Vec<u8>, Signature, PublicKey)> {
        let message = prop::collection::vec(any::<u8>(), 0..40);
        let honest = (0u8..3, message.clone()).prop_map(|(seed, message)| {
            let key = SecretKey::from_bytes(&[seed; 32]);
            let signature = key.sign(&message);
            (message, signature, key.public())
        });
        let bent = (honest.clone(), 0usize..64, 1u8..).prop_map(|((message, mut signature, key), at, flip)| {
            signature.0[at] ^= flip;
            (message, signature, key)
        });
        let small = (message, 0usize..11, 0usize..11, any::<bool>()).prop_map(|(message, key, point, zero)| {
            let mut signature = [0u8; 64];
            signature[..32].copy_from_slice(&SMALL_ORDER[point]);
            signature[32] = u8::from(!zero);
            (message, Signature(signature), PublicKey(SMALL_ORDER[key]))
        });
        // Mostly good ones, so that whole batches are good often enough.
        prop_oneof![8 => honest, 1 => bent, 4 => small]
    }

    #[test]
    fn points_of_small_order_count_as_zip_215_says() {
        for key in SMALL_ORDER {
            for point in SMALL_ORDER {
                let mut signature = [0u8; 64];
                signature[..32].copy_from_slice(&point);
                let item: Signed<'_> = (b"Zcash", Signature(signature), PublicKey(key));
                assert!(verify_zip215(&item) && verify_all_zip215(&[item, item]), "{}", hex::encode(point));
                signature[32] = 1;
                let item: Signed<'_> = (b"Zcash", Signature(signature), PublicKey(key));
                assert!(!verify_zip215(&item) && !verify_all_zip215(&[item, item]), "{}", hex::encode(point));
            }
        }
    }

    #[test]
    fn the_vectors_of_rfc_8032_hold() {
        let key = hex!("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = hex!(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert!(verify_zip215(&(&[0x72], Signature(signature), PublicKey(key))));
        assert!(!verify_zip215(&(&[0x73], Signature(signature), PublicKey(key))));
        assert!(verify_all_zip215(&[]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_batch_is_valid_exactly_if_its_members_are(items in prop::collection::vec(item(), 0..8)) {
            let items: Vec<Signed<'_>> = items.iter().map(|(message, s, key)| (message.as_slice(), *s, *key)).collect();
            prop_assert_eq!(verify_all_zip215(&items), items.iter().all(verify_zip215));
        }
    }
}
