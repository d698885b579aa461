//! The `Range` header: one range of bytes, as RFC 9110 §14 describes.

use std::ops::Range;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The whole file: no header, or one this server may ignore.
    Whole,
    /// A part that exists.
    Part(Range<u64>),
    /// A range outside the file: answered with 416.
    Unsatisfiable,
}

/// Reads the header for a file of `size` bytes. Several ranges and unknown units are ignored, as the standard allows.
pub fn parse(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::Whole };
    let (first, last) = (first.trim(), last.trim());
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
    match (first.is_empty(), last.is_empty()) {
        (true, true) => Wanted::Whole,
        (true, false) => match number(last) {
            None => Wanted::Whole,
            Some(0) => Wanted::Unsatisfiable,
            Some(suffix) => Wanted::Part(size.saturating_sub(suffix)..size),
        },
        (false, _) => {
            let last = if last.is_empty() { Some(u64::MAX) } else { number(last) };
            match (number(first), last) {
                (Some(first), Some(last)) if first <= last && first < size => {
                    Wanted::Part(first..last.saturating_add(1).min(size))
                }
                (Some(first), Some(last)) if first <= last => Wanted::Unsatisfiable,
                _ => Wanted::Whole,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_standard() {
        let cases = [
            (None, Wanted::Whole),
            (Some("bytes=0-0"), Wanted::Part(0..1)),
            (Some("bytes=5-"), Wanted::Part(5..10)),
            (Some("bytes=-3"), Wanted::Part(7..10)),
            (Some("bytes=-30"), Wanted::Part(0..10)),
            (Some("bytes=2-100"), Wanted::Part(2..10)),
            (Some("bytes=10-"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=7-3"), Wanted::Whole),
            (Some("bytes=0-1,4-5"), Wanted::Whole),
            (Some("lines=0-1"), Wanted::Whole),
            (Some("bytes=x-1"), Wanted::Whole),
            (Some("bytes=0-18446744073709551615"), Wanted::Part(0..10)),
        ];
        for (header, wanted) in cases {
            assert_eq!(parse(header, 10), wanted, "{header:?}");
        }
    }
}
