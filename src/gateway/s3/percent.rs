//! Percent-encoding of queries and keys.

/// The text an encoded query component stands for; what is not UTF-8 is replaced.
pub fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let ahead = rest.clone();
                let digits: Vec<u8> = rest.by_ref().take(2).collect();
                match std::str::from_utf8(&digits).ok().and_then(|d| u8::from_str_radix(d, 16).ok()) {
                    Some(byte) if digits.len() == 2 => bytes.push(byte),
                    _ => {
                        bytes.push(b'%');
                        rest = ahead;
                    }
                }
            }
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A key as `encoding-type=url` wants it: letters, digits and `-_.~/*` stay, a space is `+`.
pub fn encode(text: &str) -> String {
    escaped(text, b"-_.~/*").replace("%20", "+")
}

/// A key as the path of an address.
pub fn path(text: &str) -> String {
    escaped(text, b"-_.~/")
}

fn escaped(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push_str(&hex::encode_upper([byte]));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["", "a b/c", "ü~*", "100%", "a+b&c=d", "\n\0"] {
            assert_eq!(decode(&encode(text)), text);
        }
        assert_eq!(encode("a b/ü+"), "a+b/%C3%BC%2B");
        assert_eq!(path("a b*"), "a%20b%2A");
        assert_eq!(decode("%zz%4"), "%zz%4");
    }
}
