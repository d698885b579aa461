//! Base64 with padding (RFC 4648 §4), as digests travel in headers.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Text of bytes.
pub fn encode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let word = group.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for position in 0..4 {
            let index = usize::try_from(word >> (18 - 6 * position) & 63).unwrap_or(0);
            out.push(if position > group.len() { '=' } else { char::from(ALPHABET[index]) });
        }
    }
    out
}

/// Bytes of a text; none when it is not exactly what [`encode`] makes.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for group in text.as_bytes().chunks(4) {
        let pads = group.iter().rev().take_while(|b| **b == b'=').count();
        if pads > 2 {
            return None;
        }
        let mut word = 0u32;
        for byte in &group[..4 - pads] {
            let value = ALPHABET.iter().position(|a| a == byte)?;
            word = word << 6 | u32::try_from(value).ok()?;
        }
        word <<= 6 * u32::try_from(pads).ok()?;
        out.extend_from_slice(&word.to_be_bytes()[1..4 - pads]);
    }
    // A pad within the text, or bits under the pads, make another text of the same bytes.
    (encode(&out) == text).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_of_the_standard() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).unwrap(), bytes.as_bytes());
        }
        for bad in ["Zg", "Zg=", "Zh==", "Z===", "Zg==Zg==", "Zm9!", "===="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).unwrap(), all);
    }
}
