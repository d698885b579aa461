//! Arithmetic on key prefixes, shared by the engines.

/// The smallest key above every key that starts with `prefix`; none when there is no such key.
pub(super) fn end_of(prefix: &[u8]) -> Option<Vec<u8>> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=kept].to_vec();
    end[kept] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn carries_over_full_bytes() {
        assert_eq!(end_of(b"a"), Some(b"b".to_vec()));
        assert_eq!(end_of(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(end_of(&[0xff]), None);
        assert_eq!(end_of(b""), None);
    }

    proptest! {
        #[test]
        fn separates_the_prefix_from_what_follows(prefix: Vec<u8>, key: Vec<u8>) {
            if let Some(end) = end_of(&prefix) {
                let inside = key.starts_with(&prefix);
                prop_assert_eq!(inside, key >= prefix && key < end);
            }
        }
    }
}
