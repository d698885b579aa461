//! AWS Signature Version 4: in a header, and in the query of a link.
//!
//! Pure: the time is given. Must not know how requests travel.

use super::AccessKey;
use ring::{digest, hmac};
use std::{
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Region requests are signed for unless told otherwise.
pub const REGION: &str = "us-east-1";
/// Payload hash of a body that is not signed.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const SERVICE: &str = "s3";
const TERMINATOR: &str = "aws4_request";

/// When a request is signed, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SigningTime(pub u64);

impl SigningTime {
    /// By the system's clock.
    pub fn now() -> Self {
        Self(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
    }

    /// `20130524T000000Z`.
    pub fn stamp(self) -> String {
        let (date, second) = (self.date(), self.0 % 86_400);
        format!("{date}T{:02}{:02}{:02}Z", second / 3_600, second / 60 % 60, second % 60)
    }

    /// `20130524`, by the proleptic Gregorian calendar: years begin in March, so that the leap day comes last.
    fn date(self) -> String {
        let days = self.0 / 86_400 + 719_468;
        let (era, of_era) = (days / 146_097, days % 146_097);
        let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year + year / 4 - year / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year + u64::from(month <= 2);
        format!("{year:04}{month:02}{day:02}")
    }
}

/// What is signed. Header names are lower case; path and query are as they travel.
pub struct ToSign<'a> {
    /// `GET` and so on.
    pub method: &'a str,
    /// The path, encoded.
    pub path: &'a str,
    /// The query as [`query`] writes it.
    pub query: &'a str,
    /// Headers, `host` among them.
    pub headers: &'a [(String, String)],
    /// SHA-256 of the body in hexadecimal, or [`UNSIGNED`].
    pub payload: &'a str,
}

/// The value of the `Authorization` header.
pub fn authorization(key: &AccessKey, region: &str, at: SigningTime, request: &ToSign<'_>) -> String {
    let (names, signature) = signature(key, region, at, request);
    let (id, scope) = (key.id(), scope(region, at));
    format!("{ALGORITHM} Credential={id}/{scope},SignedHeaders={names},Signature={signature}")
}

/// The query of a link that does `method` on `path` at `host` without a key, until `lifetime` has passed.
pub fn presigned(
    key: &AccessKey,
    region: &str,
    at: SigningTime,
    (method, host, path): (&str, &str, &str),
    lifetime: Duration,
) -> String {
    let fields = [
        ("X-Amz-Algorithm", ALGORITHM.to_owned()),
        ("X-Amz-Credential", format!("{}/{}", key.id(), scope(region, at))),
        ("X-Amz-Date", at.stamp()),
        ("X-Amz-Expires", lifetime.as_secs().to_string()),
        ("X-Amz-SignedHeaders", "host".to_owned()),
    ];
    let query = query(&fields);
    let headers = [("host".to_owned(), host.to_owned())];
    let request = ToSign { method, path, query: &query, headers: &headers, payload: UNSIGNED };
    let (_, signature) = signature(key, region, at, &request);
    format!("{query}&X-Amz-Signature={signature}")
}

/// SHA-256 in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// Encodes everything but unreserved characters; slashes too, unless it is a path.
pub fn encode(text: &str, is_path: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if is_path => out.push('/'),
            other => write!(out, "%{other:02X}").expect("writing to memory cannot fail"),
        }
    }
    out
}

/// A query in the order and form in which it is signed.
pub fn query(fields: &[(&str, String)]) -> String {
    let mut encoded: Vec<_> = fields.iter().map(|(name, value)| (encode(name, false), encode(value, false))).collect();
    encoded.sort_unstable();
    encoded.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn scope(region: &str, at: SigningTime) -> String {
    format!("{}/{region}/{SERVICE}/{TERMINATOR}", at.date())
}

/// Names of the signed headers, and the signature.
fn signature(key: &AccessKey, region: &str, at: SigningTime, request: &ToSign<'_>) -> (String, String) {
    // As S3 has it, white space inside a value counts as one space.
    let plain = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut headers: Vec<(&str, String)> =
        request.headers.iter().map(|(name, value)| (name.as_str(), plain(value))).collect();
    headers.sort_unstable();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
    for (name, value) in &headers {
        canonical.push_str(&format!("{name}:{value}\n"));
    }
    canonical.push_str(&format!("\n{names}\n{}", request.payload));

    let mut signing = hmac_of(format!("AWS4{}", key.secret()).as_bytes(), at.date().as_bytes());
    for part in [region, SERVICE, TERMINATOR] {
        signing = hmac_of(signing.as_ref(), part.as_bytes());
    }
    let text = format!("{ALGORITHM}\n{}\n{}\n{}", at.stamp(), scope(region, at), sha256_hex(canonical.as_bytes()));
    (names, hex::encode(hmac_of(signing.as_ref(), text.as_bytes())))
}

fn hmac_of(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Midnight of 24 May 2013, the day of Amazon's examples.
    const DAY: SigningTime = SigningTime(1_369_353_600);
    const HOST: &str = "examplebucket.s3.amazonaws.com";
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn key() -> AccessKey {
        AccessKey::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    }

    fn signed(method: &str, path: &str, query: &str, more: &[(&str, &str)], payload: &str) -> String {
        let fixed = [("host", HOST), ("x-amz-date", "20130524T000000Z"), ("x-amz-content-sha256", payload)];
        let headers: Vec<_> = fixed.iter().chain(more).map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        authorization(&key(), REGION, DAY, &ToSign { method, path, query, headers: &headers, payload })
    }

    /// The four examples of "Authenticating Requests: Using the Authorization Header" in Amazon's reference.
    #[test]
    fn headers_are_those_of_the_published_examples() {
        let get = signed("GET", "/test.txt", "", &[("range", "bytes=0-9")], EMPTY);
        let expected = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                        SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
                        Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert_eq!(get, expected);

        let payload = sha256_hex(b"Welcome to Amazon S3.");
        let more = [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
        let put = signed("PUT", &encode("/test$file.text", true), "", &more, &payload);
        assert!(put.ends_with("=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"), "{put}");

        let lifecycle = signed("GET", "/", &query(&[("lifecycle", String::new())]), &[], EMPTY);
        assert!(
            lifecycle.ends_with("=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
            "{lifecycle}"
        );
        let listed = query(&[("prefix", "J".to_owned()), ("max-keys", "2".to_owned())]);
        let list = signed("GET", "/", &listed, &[], EMPTY);
        assert!(list.ends_with("=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"), "{list}");
    }

    /// The example of "Authenticating Requests: Using Query Parameters".
    #[test]
    fn a_link_is_that_of_the_published_example() {
        let link = presigned(&key(), REGION, DAY, ("GET", HOST, "/test.txt"), Duration::from_secs(86_400));
        let expected = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
                        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request\
                        &X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host\
                        &X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
        assert_eq!(link, expected);
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        let stamps = [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_709_251_199, "20240229T235959Z"),
            (1_709_251_200, "20240301T000000Z"),
            (1_767_225_599, "20251231T235959Z"),
            (4_107_542_400, "21000301T000000Z"),
        ];
        for (second, stamp) in stamps {
            assert_eq!(SigningTime(second).stamp(), stamp);
        }
    }

    #[test]
    fn spaces_in_a_header_count_as_one() {
        let signed = |value| signed("PUT", "/k", "", &[("x-amz-meta-a", value)], EMPTY);
        assert_eq!(signed(" a   b "), signed("a b"));
        assert_ne!(signed("ab"), signed("a b"));
    }

    #[test]
    fn text_is_encoded_as_it_is_signed() {
        assert_eq!(encode("a b/ü~+", true), "a%20b/%C3%BC~%2B");
        assert_eq!(encode("a/b", false), "a%2Fb");
        let fields = [("uploads", String::new()), ("prefix", "a&b".to_owned()), ("max-keys", "2".to_owned())];
        assert_eq!(query(&fields), "max-keys=2&prefix=a%26b&uploads=");
        assert_eq!(query(&[("a-b", String::new()), ("a", String::new())]), "a=&a-b=", "by name, not by pair");
    }
}
