//! Who asks, and that this very request is what the account signed.
//!
//! Pure: the time is given. Invariant: nothing that decides what a request does is outside of the signed text, but for names of files within
//! forms; the account is the signer, and no header can name another.

use super::super::reply::Refusal;
use crate::{
    client::deoss::{
        ACCOUNT, Account, AccountError, BodyHash, ETH_ACCOUNT, EXPIRY_MAX_SECONDS, FILE_NAME, FILE_NAME_MAX_BYTES,
        MESSAGE, SIGNATURE, SIGNATURE_MAX_BYTES, Statement, TERRITORY,
    },
    gateway::s3::percent,
    types::{Address, ChainId},
};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

/// Longest message: the longest path and the hashes of as many files as one request may have.
const MESSAGE_MAX_BYTES: usize = 12 << 10;
/// Longest name of a territory; the chain's own bound is lower.
const TERRITORY_MAX_BYTES: usize = 256;
/// Headers of DeOSS that ask for what this network decides by itself.
const NOT_OFFERED: [(&str, &str); 4] = [
    ("cipher", "files are stored as they are sent: encrypt before, or use S3, whose objects are encrypted"),
    ("miner", "the chain draws the miners of each file"),
    ("longitude", "the chain draws the miners of each file"),
    ("latitude", "the chain draws the miners of each file"),
];

/// A request whose signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The account, which is the signer.
    pub account: Address,
    /// What was signed of the body.
    pub body: BodyHash,
    /// The territory to charge, if one is named.
    pub territory: Option<String>,
    /// The file's name, if a header names it.
    pub name: Option<String>,
    /// Which bytes of a file these are, if it is a part.
    pub range: Option<String>,
}

/// Checks a request on the chain with id `chain`, at `now` in seconds since 1970.
pub fn authenticate(
    (method, uri, headers): (&Method, &Uri, &HeaderMap),
    chain: ChainId,
    now: u64,
) -> Result<Signed, Refusal> {
    for (name, why) in NOT_OFFERED {
        if headers.contains_key(name) {
            return Err(Refusal::bad_request(format!("the header `{name}` cannot be honoured: {why}")));
        }
    }
    let territory = header_text(headers, TERRITORY, TERRITORY_MAX_BYTES)?;
    let name = header_text(headers, FILE_NAME, 3 * FILE_NAME_MAX_BYTES)?;
    let range = header_text(headers, header::CONTENT_RANGE.as_str(), 100)?;
    let range = range.map(|range| range.strip_prefix("bytes ").unwrap_or(&range).trim().to_owned());
    let asked = Statement {
        method: method.as_str(),
        target: uri.path_and_query().map_or("/", |target| target.as_str()),
        territory: territory.as_deref(),
        name: name.as_deref(),
        range: range.as_deref(),
        body: if *method == Method::PUT { BodyHash::Unsigned } else { BodyHash::Empty },
        chain,
        expires: 0,
    };
    let account = signer(headers)?;
    let message = header_text(headers, MESSAGE, MESSAGE_MAX_BYTES)?;
    let message = message.ok_or_else(|| to_sign(&asked, "the header `Message` is missing"))?;
    let signature = header_text(headers, SIGNATURE, SIGNATURE_MAX_BYTES)?;
    let signature = signature.ok_or_else(|| to_sign(&asked, "the header `Signature` is missing"))?;
    let stated = asked.clone().read(&message).map_err(|e| to_sign(&asked, &e.to_string()))?;
    if stated.to_string() != message {
        return Err(to_sign(&asked, "the message is not this request's"));
    }
    if (stated.body == BodyHash::Empty) != (asked.body == BodyHash::Empty) {
        return Err(to_sign(&asked, "the message is wrong about whether there is a body"));
    }
    within(stated.expires, now)?;
    account.verify(&message, &signature).map_err(|e| denied(e.to_string()))?;
    let (account, body) = (account.address(), stated.body);
    // Names come encoded where a header could not carry them.
    let name = name.map(|name| percent::decode(&name.replace('+', "%2B")));
    Ok(Signed { account, body, territory, name, range })
}

fn within(expires: u64, now: u64) -> Result<(), Refusal> {
    if expires <= now {
        return Err(denied(format!("the signature expired at {expires}, it is {now} (seconds since 1970)")));
    }
    if expires - now > EXPIRY_MAX_SECONDS {
        let ahead = expires - now;
        return Err(denied(format!(
            "the signature expires in {ahead} s, the limit is {EXPIRY_MAX_SECONDS} s (it is {now} in seconds since 1970)"
        )));
    }
    Ok(())
}

/// The account that must have signed. Where both headers are, they must name the same one: a signature proves only its own account.
fn signer(headers: &HeaderMap) -> Result<Account, Refusal> {
    let read = |name| -> Result<Option<Account>, Refusal> {
        let text = header_text(headers, name, SIGNATURE_MAX_BYTES)?;
        text.map(|text| text.parse()).transpose().map_err(|e: AccountError| denied(e.to_string()))
    };
    match (read(ETH_ACCOUNT)?, read(ACCOUNT)?) {
        (None, None) => Err(denied("the header `Account` is missing: 0x… or cX…, whose key signed")),
        (Some(signer), Some(account)) if signer.address() != account.address() => Err(denied(format!(
            "`EthAcc` is {signer} and `Account` is {account}: the account is the signer, leave one out"
        ))),
        (Some(account), _) | (None, Some(account)) => Ok(account),
    }
}

/// A header's text; none if it is empty. One that is there twice could mean either.
pub fn header_text(headers: &HeaderMap, name: &str, max: usize) -> Result<Option<String>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return match headers.contains_key(name) {
            true => Err(Refusal::bad_request(format!("the header `{name}` is there more than once"))),
            false => Ok(None),
        };
    };
    if value.len() > max {
        return Err(Refusal::bad_request(format!("the header `{name}` has {} B, the limit is {max} B", value.len())));
    }
    let text = std::str::from_utf8(value.as_bytes())
        .map_err(|_| Refusal::bad_request(format!("the header `{name}` is not UTF-8")))?;
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

fn to_sign(asked: &Statement<'_>, why: &str) -> Refusal {
    denied(format!("no permission: {why}; sign this text and send it as `Message`: {}", asked.template()))
}

/// No permission.
pub fn denied(why: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, "no_permission", why)
}
