//! A signature is good for the request it names, until it expires, and for nothing else.

use super::super::auth::{Signed, authenticate};
use crate::{
    client::{
        Signer,
        deoss::{ACCOUNT, BodyHash, ETH_ACCOUNT, FILE_NAME, MESSAGE, SIGNATURE, Statement, TERRITORY, sign},
    },
    crypto::{EcdsaKey, SecretKey},
    types::Address,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

const CHAIN: u64 = 11_332;
const NOW: u64 = 1_790_000_000;

fn ann() -> Signer {
    Signer::Ecdsa(EcdsaKey::from_bytes(&[1; 32]).unwrap())
}

fn bob() -> Signer {
    Signer::Ecdsa(EcdsaKey::from_bytes(&[2; 32]).unwrap())
}

/// A put of a file, and when it expires.
fn put(expires: u64) -> Statement<'static> {
    Statement {
        method: "PUT",
        target: "/file",
        territory: Some("photos"),
        name: None,
        range: None,
        body: BodyHash::of(b"content"),
        chain: CHAIN,
        expires,
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
}

fn headers(signer: &Signer, statement: &Statement<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let message = statement.to_string();
    let (account, signature) = sign(signer, &message);
    set(&mut headers, ACCOUNT, &account.to_string());
    set(&mut headers, MESSAGE, &message);
    set(&mut headers, SIGNATURE, &signature);
    for (name, value) in
        [(TERRITORY, statement.territory), (FILE_NAME, statement.name), ("content-range", statement.range)]
    {
        if let Some(value) = value {
            set(&mut headers, name, value);
        }
    }
    headers
}

fn check(method: Method, target: &str, headers: &HeaderMap) -> Result<Signed, String> {
    authenticate((&method, &target.parse().unwrap(), headers), CHAIN, NOW).map_err(|e| e.text().to_owned())
}

fn refused(method: Method, target: &str, headers: &HeaderMap, said: &str) {
    let error = check(method, target, headers).unwrap_err();
    assert!(error.contains(said), "{error}");
}

#[test]
fn the_account_is_the_signer() {
    let native = Signer::Native(SecretKey::from_bytes(&[3; 32]));
    for signer in [ann(), native] {
        let signed = check(Method::PUT, "/file", &headers(&signer, &put(NOW + 60))).unwrap();
        assert_eq!(signed.account, signer.address());
        assert_eq!(signed.body, BodyHash::of(b"content"));
        assert_eq!(signed.territory.as_deref(), Some("photos"));
    }
    let mut stolen = headers(&bob(), &put(NOW + 60));
    set(&mut stolen, ACCOUNT, &ann().address().to_string());
    refused(Method::PUT, "/file", &stolen, "is not");
}

/// DeOSS checks that `EthAcc` signed and then believes `Account`.
#[test]
fn no_header_names_another_account() {
    let mut both = headers(&bob(), &put(NOW + 60));
    set(&mut both, ETH_ACCOUNT, &bob().address().to_string());
    assert_eq!(check(Method::PUT, "/file", &both).unwrap().account, bob().address());
    set(&mut both, ACCOUNT, &ann().address().to_string());
    refused(Method::PUT, "/file", &both, "leave one out");
    both.remove(ACCOUNT);
    assert_eq!(check(Method::PUT, "/file", &both).unwrap().account, bob().address());
    both.remove(ETH_ACCOUNT);
    refused(Method::PUT, "/file", &both, "`Account` is missing");
    set(&mut both, ACCOUNT, &bob().address().to_string());
    both.append(ACCOUNT, HeaderValue::from_str(&Address::ZERO.to_string()).unwrap());
    refused(Method::PUT, "/file", &both, "more than once");
}

#[test]
fn another_request_is_refused() {
    let good = headers(&ann(), &put(NOW + 60));
    assert!(check(Method::PUT, "/file", &good).is_ok());
    refused(Method::DELETE, "/file", &good, "not this request's");
    refused(Method::PUT, "/files", &good, "not this request's");
    refused(Method::PUT, "/file?x=1", &good, "not this request's");
    for (name, value) in [(TERRITORY, "other"), (FILE_NAME, "name"), ("content-range", "bytes 0-1/2")] {
        let mut changed = good.clone();
        set(&mut changed, name, value);
        refused(Method::PUT, "/file", &changed, "not this request's");
    }
    let mut without = good.clone();
    without.remove(TERRITORY);
    refused(Method::PUT, "/file", &without, "not this request's");
    for other in [
        Statement { chain: CHAIN + 1, ..put(NOW + 60) },
        Statement { method: "GET", ..put(NOW + 60) },
        Statement { target: "/object/a", ..put(NOW + 60) },
    ] {
        refused(Method::PUT, "/file", &headers(&ann(), &other), "not this request's");
    }
}

#[test]
fn what_was_signed_cannot_be_changed() {
    let good = headers(&ann(), &put(NOW + 60));
    for other in [
        Statement { body: BodyHash::of(b"other"), ..put(NOW + 60) },
        Statement { body: BodyHash::Unsigned, ..put(NOW + 60) },
        put(NOW + 61),
    ] {
        let mut changed = good.clone();
        set(&mut changed, MESSAGE, &other.to_string());
        refused(Method::PUT, "/file", &changed, "is not 0x");
    }
    // The same words in another form are another text.
    let mut spaced = good.clone();
    set(&mut spaced, MESSAGE, &put(NOW + 60).to_string().replace(" chain", "  chain"));
    refused(Method::PUT, "/file", &spaced, "not this request's");
    let mut padded = good.clone();
    set(&mut padded, MESSAGE, &put(NOW + 60).to_string().replace("expires=", "expires=0"));
    refused(Method::PUT, "/file", &padded, "not this request's");
}

#[test]
fn signatures_expire() {
    for (expires, said) in [
        (NOW, Some("expired at")),
        (NOW - 1, Some("expired at")),
        (0, Some("expired at")),
        (NOW + 1, None),
        (NOW + 900, None),
        (NOW + 901, Some("the limit is 900 s")),
        (u64::MAX, Some("the limit is 900 s")),
    ] {
        match said {
            Some(said) => refused(Method::PUT, "/file", &headers(&ann(), &put(expires)), said),
            None => assert!(check(Method::PUT, "/file", &headers(&ann(), &put(expires))).is_ok(), "{expires}"),
        }
    }
}

#[test]
fn a_message_of_deoss_is_told_what_to_sign() {
    for message in ["123", "1790000500", "Hello", "<Bytes>1</Bytes>"] {
        let mut old = HeaderMap::new();
        let (account, signature) = sign(&ann(), message);
        set(&mut old, ACCOUNT, &account.to_string());
        set(&mut old, MESSAGE, message);
        set(&mut old, SIGNATURE, &signature);
        set(&mut old, TERRITORY, "photos");
        let text = "cess-deoss-v1 PUT /file territory=photos body=sha256:<SHA-256 of the content, 64 hexadecimal digits> \
                    chain=11332 expires=<seconds since 1970, at most 900 ahead>";
        refused(Method::PUT, "/file", &old, text);
        refused(
            Method::DELETE,
            "/file/ab",
            &old,
            "cess-deoss-v1 DELETE /file/ab territory=photos body=none chain=11332",
        );
    }
    let mut none = headers(&ann(), &put(NOW + 60));
    none.remove(MESSAGE);
    refused(Method::PUT, "/file", &none, "sign this text");
    let mut none = headers(&ann(), &put(NOW + 60));
    none.remove(SIGNATURE);
    refused(Method::PUT, "/file", &none, "`Signature` is missing");
}

#[test]
fn bodies_are_where_calls_have_them() {
    let delete = Statement { method: "DELETE", target: "/file/ab", territory: None, ..put(NOW + 60) };
    let empty = Statement { body: BodyHash::Empty, ..delete.clone() };
    assert!(check(Method::DELETE, "/file/ab", &headers(&ann(), &empty)).is_ok());
    refused(Method::DELETE, "/file/ab", &headers(&ann(), &delete), "whether there is a body");
    refused(
        Method::PUT,
        "/file",
        &headers(&ann(), &Statement { body: BodyHash::Empty, ..put(NOW + 60) }),
        "whether there is a body",
    );
    let unsigned = Statement { body: BodyHash::Unsigned, ..put(NOW + 60) };
    assert_eq!(check(Method::PUT, "/file", &headers(&ann(), &unsigned)).unwrap().body, BodyHash::Unsigned);
}

#[test]
fn names_and_ranges_are_signed_as_they_travel() {
    let statement = Statement { name: Some("a%20b"), range: Some("0-9/10"), ..put(NOW + 60) };
    let mut signed = headers(&ann(), &statement);
    set(&mut signed, "content-range", "bytes 0-9/10");
    let signed = check(Method::PUT, "/file", &signed).unwrap();
    assert_eq!((signed.name.as_deref(), signed.range.as_deref()), (Some("a b"), Some("0-9/10")));
}

#[test]
fn what_cannot_be_honoured_is_said() {
    for name in ["cipher", "miner", "longitude", "latitude"] {
        let mut asking = headers(&ann(), &put(NOW + 60));
        set(&mut asking, name, "1");
        refused(Method::PUT, "/file", &asking, name);
    }
    let mut long = headers(&ann(), &put(NOW + 60));
    set(&mut long, TERRITORY, &"x".repeat(257));
    refused(Method::PUT, "/file", &long, "the limit is 256 B");
}
