//! Conditions of policy statements.
//!
//! Invariant: operators and keys this service does not know are refused when the policy is set. A key a request lacks fails a
//! positive condition and satisfies a negated one, as in the policies of AWS.

use super::pattern;
use serde_json::Value;
use std::{collections::BTreeMap, net::IpAddr};

/// What is known of a request, by condition key in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    values: BTreeMap<String, Vec<String>>,
}

impl Context {
    /// Adds a value of `key`.
    pub fn add(&mut self, key: &str, value: impl Into<String>) {
        self.values.entry(key.to_ascii_lowercase()).or_default().push(value.into());
    }

    /// The values of `key`.
    pub fn get(&self, key: &str) -> &[String] {
        self.values.get(&key.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }
}

/// Keys a condition may name; those that end in `/` take a tag's key after it.
const KEYS: &[&str] = &[
    "aws:sourceip",
    "aws:securetransport",
    "aws:currenttime",
    "aws:epochtime",
    "aws:useragent",
    "aws:referer",
    "aws:principalarn",
    "aws:principalaccount",
    "aws:principaltype",
    "aws:userid",
    "aws:username",
    "s3:prefix",
    "s3:delimiter",
    "s3:max-keys",
    "s3:versionid",
    "s3:locationconstraint",
    "s3:authtype",
    "s3:signatureversion",
    "s3:signatureage",
    "s3:x-amz-acl",
    "s3:x-amz-grant-read",
    "s3:x-amz-grant-write",
    "s3:x-amz-grant-read-acp",
    "s3:x-amz-grant-write-acp",
    "s3:x-amz-grant-full-control",
    "s3:x-amz-copy-source",
    "s3:x-amz-metadata-directive",
    "s3:x-amz-server-side-encryption",
    "s3:x-amz-server-side-encryption-customer-algorithm",
    "s3:x-amz-storage-class",
    "s3:x-amz-content-sha256",
    "s3:x-amz-website-redirect-location",
    "s3:if-match",
    "s3:if-none-match",
    "s3:object-lock-mode",
    "s3:object-lock-legal-hold",
    "s3:object-lock-retain-until-date",
    "s3:requestobjecttagkeys",
    "s3:existingobjecttag/",
    "s3:requestobjecttag/",
];

/// Keys that restrict who can call, by network or account: with them `*` is not everybody.
const NARROWING: &[&str] = &["aws:sourceip", "aws:principalarn", "aws:principalaccount", "aws:userid", "aws:username"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equal,
    EqualIgnoreCase,
    Like,
    Number(Order),
    Date(Order),
    Flag,
    Address,
    Missing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Several {
    One,
    Any,
    All,
}

/// One operator applied to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    test: Test,
    negated: bool,
    if_exists: bool,
    several: Several,
    key: String,
    expected: Vec<String>,
}

impl Condition {
    /// Reads the object `Condition` of a statement.
    pub fn parse_all(value: &Value) -> Result<Vec<Self>, String> {
        let operators = value.as_object().ok_or("`Condition` is not an object")?;
        let mut conditions = Vec::new();
        for (operator, keys) in operators {
            let (test, negated, if_exists, several) =
                operator_of(operator).ok_or_else(|| format!("condition operator `{operator}` is not known"))?;
            let keys = keys.as_object().ok_or_else(|| format!("condition `{operator}` is not an object"))?;
            for (key, expected) in keys {
                let key = key.to_ascii_lowercase();
                let known = KEYS.iter().any(|k| if k.ends_with('/') { key.starts_with(k) } else { key == *k });
                if !known {
                    return Err(format!("condition key `{key}` is not known"));
                }
                let expected = expected_of(expected).ok_or_else(|| format!("values of `{key}` are not texts"))?;
                if let Some(bad) = expected.iter().find(|value| !is_of_form(test, value)) {
                    return Err(format!("`{bad}` is not a value for `{operator}`"));
                }
                conditions.push(Self { test, negated, if_exists, several, key, expected });
            }
        }
        Ok(conditions)
    }

    /// Whether a request meets it.
    pub fn holds(&self, context: &Context) -> bool {
        let actual = context.get(&self.key);
        if self.test == Test::Missing {
            return self.expected.iter().any(|value| value.eq_ignore_ascii_case("true") == actual.is_empty());
        }
        if actual.is_empty() {
            return self.if_exists || self.several == Several::All || (self.negated && self.several == Several::One);
        }
        let one = |value: &String| self.expected.iter().any(|e| matches_one(self.test, e, value)) != self.negated;
        match self.several {
            Several::One | Several::Any => actual.iter().any(one),
            Several::All => actual.iter().all(one),
        }
    }

    /// Whether it is about a tag the object has.
    pub fn looks_at_tags(&self) -> bool {
        self.key.starts_with("s3:existingobjecttag/")
    }

    /// Whether it restricts the callers to a network or to accounts.
    pub fn narrows_callers(&self) -> bool {
        let open = |value: &String| value == "*" || value.ends_with("/0");
        NARROWING.contains(&self.key.as_str())
            && !self.negated
            && !self.if_exists
            && self.test != Test::Missing
            && !self.expected.iter().any(open)
    }
}

fn expected_of(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(text).collect(),
        one => text(one).map(|text| vec![text]),
    }
}

fn operator_of(name: &str) -> Option<(Test, bool, bool, Several)> {
    let (several, name) = match name.split_once(':') {
        Some(("ForAnyValue", rest)) => (Several::Any, rest),
        Some(("ForAllValues", rest)) => (Several::All, rest),
        Some(_) => return None,
        None => (Several::One, name),
    };
    let (name, if_exists) = name.strip_suffix("IfExists").map_or((name, false), |name| (name, true));
    let (test, negated) = match name {
        "StringEquals" => (Test::Equal, false),
        "StringNotEquals" => (Test::Equal, true),
        "StringEqualsIgnoreCase" => (Test::EqualIgnoreCase, false),
        "StringNotEqualsIgnoreCase" => (Test::EqualIgnoreCase, true),
        "StringLike" | "ArnLike" | "ArnEquals" => (Test::Like, false),
        "StringNotLike" | "ArnNotLike" | "ArnNotEquals" => (Test::Like, true),
        "Bool" => (Test::Flag, false),
        "IpAddress" => (Test::Address, false),
        "NotIpAddress" => (Test::Address, true),
        "Null" if !if_exists => (Test::Missing, false),
        _ => ordered(name)?,
    };
    Some((test, negated, if_exists, several))
}

fn ordered(name: &str) -> Option<(Test, bool)> {
    let (kind, order): (fn(Order) -> Test, &str) = match name.strip_prefix("Numeric") {
        Some(rest) => (Test::Number, rest),
        None => (Test::Date, name.strip_prefix("Date")?),
    };
    Some(match order {
        "Equals" => (kind(Order::Equal), false),
        "NotEquals" => (kind(Order::Equal), true),
        "LessThan" => (kind(Order::Less), false),
        "LessThanEquals" => (kind(Order::LessOrEqual), false),
        "GreaterThan" => (kind(Order::Greater), false),
        "GreaterThanEquals" => (kind(Order::GreaterOrEqual), false),
        _ => return None,
    })
}

fn is_of_form(test: Test, value: &str) -> bool {
    match test {
        Test::Equal | Test::EqualIgnoreCase | Test::Like => true,
        Test::Number(_) => value.parse::<i64>().is_ok(),
        Test::Date(_) => seconds_of(value).is_some(),
        Test::Flag | Test::Missing => value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false"),
        Test::Address => network_of(value).is_some(),
    }
}

fn matches_one(test: Test, expected: &str, actual: &str) -> bool {
    match test {
        Test::Equal => expected == actual,
        Test::EqualIgnoreCase => expected.eq_ignore_ascii_case(actual),
        Test::Like => pattern::matches(expected, actual),
        Test::Number(order) => match (expected.parse::<i64>(), actual.parse::<i64>()) {
            (Ok(expected), Ok(actual)) => order.holds(actual, expected),
            _ => false,
        },
        Test::Date(order) => match (seconds_of(expected), seconds_of(actual)) {
            (Some(expected), Some(actual)) => order.holds(actual, expected),
            _ => false,
        },
        Test::Flag => expected.eq_ignore_ascii_case(actual),
        Test::Address => match (network_of(expected), actual.parse::<IpAddr>()) {
            (Some((network, bits)), Ok(address)) => (as_bits(address) ^ network).leading_zeros() >= bits,
            _ => false,
        },
        Test::Missing => false,
    }
}

impl Order {
    fn holds(self, actual: i64, expected: i64) -> bool {
        match self {
            Self::Equal => actual == expected,
            Self::Less => actual < expected,
            Self::LessOrEqual => actual <= expected,
            Self::Greater => actual > expected,
            Self::GreaterOrEqual => actual >= expected,
        }
    }
}

/// Seconds since 1970 of a number or of a time such as `2026-01-31T00:00:00Z`.
fn seconds_of(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(seconds);
    }
    let long = if text.len() == "2026-01-31".len() { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let time = s3s::dto::Timestamp::parse(s3s::dto::TimestampFormat::DateTime, &long).ok()?;
    i64::try_from(super::super::time::unix_ms(&time) / 1000).ok()
}

/// Addresses of both families as 128 bits.
fn as_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_ipv6_mapped()),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

/// A network such as `10.0.0.0/8` as its bits and how many of them count.
fn network_of(text: &str) -> Option<(u128, u32)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(width), |bits| bits.parse().ok().filter(|bits| *bits <= width))?;
    // A whole family of IPv4 is the mapped range, so that `0.0.0.0/0` does not hold for IPv6.
    Some((as_bits(address), 128 - width + bits))
}
