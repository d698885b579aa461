//! What a mistyped name was probably meant to be.

/// The candidate with the fewest edits from `typed`; the first of equals.
pub(super) fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates.into_iter().min_by_key(|candidate| edits(typed, candidate))
}

/// Number of characters to insert, remove or replace to turn `from` into `to`.
pub(super) fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (removed, typed) in from.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], removed + 1);
        for (at, wanted) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(typed != *wanted);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_edits() {
        for (from, to, expected) in [("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("listen", "listen", 0)]
        {
            assert_eq!(edits(from, to), expected, "{from} {to}");
        }
        assert_eq!(nearest("lisen", ["external", "listen", "bootstrap"]), Some("listen"));
        assert_eq!(nearest("x", []), None);
    }
}
