//! Texts, accounts and signatures, with vectors of other programs.

use super::*;
use crate::{
    client::Signer,
    crypto::{EcdsaKey, SecretKey, native_address},
    types::U256,
};
use alloy_primitives::{address, hex};

fn put() -> Statement<'static> {
    Statement {
        method: "PUT",
        target: "/file",
        territory: Some("my space"),
        name: None,
        range: None,
        body: BodyHash::of(b"hello"),
        chain: 11_332,
        expires: 1_790_000_000,
    }
}

#[test]
fn a_request_has_one_text() {
    let text = "cess-deoss-v1 PUT /file territory=my%20space \
                body=sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 chain=11332 expires=1790000000";
    assert_eq!(put().to_string(), text);
    let asked = Statement { body: BodyHash::Unsigned, expires: 0, ..put() };
    assert_eq!(asked.clone().read(text).unwrap(), put());
    assert_eq!(
        asked.template(),
        "cess-deoss-v1 PUT /file territory=my%20space body=sha256:<SHA-256 of the content, 64 hexadecimal digits> \
         chain=11332 expires=<seconds since 1970, at most 900 ahead>"
    );
    let full = Statement { name: Some("a=b"), range: Some("0-9/10"), body: BodyHash::Unsigned, ..put() };
    assert!(full.to_string().contains(" territory=my%20space name=a%3Db range=0-9%2F10 body=unsigned chain="));
}

#[test]
fn words_that_are_missing_or_twice_are_refused() {
    for (text, said) in [
        ("", "expires="),
        ("123", "expires="),
        ("body=none", "expires="),
        ("body=none expires=1 expires=1", "expires="),
        ("expires=1", "body="),
        ("body=none body=none expires=1", "body="),
        ("body=none expires=soon", "`soon`"),
        ("body=sha256:00 expires=1", "`sha256:00`"),
        ("body=md5:00 expires=1", "`md5:00`"),
        ("body= expires=1", "``"),
    ] {
        let error = put().read(text).unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
    let digest = format!("sha256:{}", "ab".repeat(32));
    assert!(digest.to_ascii_uppercase().parse::<BodyHash>().is_err(), "a hash has one form");
    assert!(vec![digest.as_str(); 64].join(",").parse::<BodyHash>().is_ok());
    assert!(vec![digest.as_str(); 65].join(",").parse::<BodyHash>().is_err());
    for body in [BodyHash::Empty, BodyHash::Unsigned, BodyHash::of_all([&b"a"[..], b"b"])] {
        assert_eq!(body.to_string().parse(), Ok(body));
    }
}

#[test]
fn accounts_are_read_as_cess_writes_them() {
    let gateway = "cXf3X3ugTnivQA9iDRYmLNzxSqybgDtpStBjFcBZEoH33UVaz";
    assert_eq!(gateway.parse::<Account>().unwrap().to_string(), gateway);
    let alice = hex!("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d");
    let Account::Native(key) = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY".parse().unwrap() else {
        panic!("a native account")
    };
    assert_eq!(key.0, alice);
    assert_eq!(Account::Native(key).address(), native_address(&key));
    for (text, said) in [
        ("cXf3X3ugTnivQA9iDRYmLNzxSqybgDtpStBjFcBZEoH33UVay", "checksum"),
        ("15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5", "another network"),
        ("0x1234", "40 hexadecimal digits"),
        ("cX", "`cX`"),
        ("", "``"),
        ("0OIl", "0x… or cX…"),
    ] {
        let error = text.parse::<Account>().unwrap_err().to_string();
        assert!(error.contains(said), "{text}: {error}");
    }
}

/// The example in web3.js's own documentation.
#[test]
fn a_wallets_signature_is_taken() {
    let account = Account::Ethereum(address!("2c7536E3605D9C16a7a3D7b1898e529396a65c23"));
    let signature = "0xb91467e570a6466aa9e9876cbcd013baba02900b8979d43fe208a4a4f339f5fd6007e74cd82e037b800186422fc2da167c747ef045e5d18a5f5d4300f8e1a0291c";
    account.verify("Some data", signature).unwrap();
    assert!(matches!(account.verify("Other data", signature), Err(AccountError::Signature { .. })));
    let other = Account::Ethereum(address!("2c7536E3605D9C16a7a3D7b1898e529396a65c24"));
    assert!(matches!(other.verify("Some data", signature), Err(AccountError::Signature { .. })));
    for bad in ["", "0x", &signature[2..], &signature[..130], &format!("{}1d", &signature[..130])] {
        assert!(matches!(account.verify("Some data", bad), Err(AccountError::Form(_))), "{bad}");
    }
}

#[test]
fn the_other_form_of_a_signature_is_refused() {
    let key = EcdsaKey::from_bytes(&[7; 32]).unwrap();
    let (account, signature) = sign(&Signer::Ecdsa(key), "text");
    account.verify("text", &signature).unwrap();
    let bytes = hex::decode(&signature).unwrap();
    let order = U256::from_be_bytes(hex!("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"));
    let high = order - U256::from_be_slice(&bytes[32..64]);
    let other = [&bytes[..32], &high.to_be_bytes::<32>(), &[27 + 28 - bytes[64]]].concat();
    assert!(matches!(account.verify("text", &hex::encode_prefixed(other)), Err(AccountError::Signature { .. })));
}

#[test]
fn native_accounts_sign_as_they_are_and_as_wallets_wrap() {
    let key = SecretKey::from_bytes(&[9; 32]);
    let (account, signature) = sign(&Signer::Native(key.clone()), "text");
    assert_eq!(account.address(), native_address(&key.public()));
    assert_eq!(account.to_string().parse(), Ok(account));
    account.verify("text", &signature).unwrap();
    account.verify("text", &bs58::encode(hex::decode(&signature).unwrap()).into_string()).unwrap();
    let wrapped = hex::encode_prefixed(key.sign(b"<Bytes>text</Bytes>").0);
    account.verify("text", &wrapped).unwrap();
    let error = account.verify("other", &signature).unwrap_err().to_string();
    assert!(error.contains("sr25519 keys have no accounts"), "{error}");
    assert!(matches!(account.verify("text", "0x00"), Err(AccountError::Form(_))));
}
