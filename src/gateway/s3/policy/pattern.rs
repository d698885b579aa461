//! Wildcards of policies, and accounts as they are written in them.

use crate::types::Address;

/// Whether `text` matches `pattern`, in which `*` is any run of characters and `?` any one. Linear in both but for the last
/// star, so that no pattern takes long.
pub fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == '?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// An account as owner ids and ARNs name it: lower-case hexadecimal with `0x`.
pub fn account_text(account: Address) -> String {
    format!("{account:#x}")
}

/// The account a text names: an address alone (with or without `0x`) or in an ARN such as `arn:aws:iam::0x…:root`.
pub fn account_of(text: &str) -> Option<Address> {
    let id = match text.strip_prefix("arn:") {
        None => text,
        Some(arn) => {
            let mut parts = arn.splitn(5, ':');
            let (_partition, service, _region, account) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
            let resource = parts.next()?;
            if !matches!(service, "iam" | "sts") || !(resource == "root" || resource.starts_with("user/")) {
                return None;
            }
            account
        }
    };
    let digits = id.strip_prefix("0x").unwrap_or(id);
    let mut bytes = [0; 20];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(Address::from(bytes))
}
