//! Today's exceptions, which may only become fewer.

use std::collections::BTreeMap;

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// File it is in.
    pub path: String,
    /// 1-based line.
    pub line: usize,
    /// What is wrong and what to do instead.
    pub message: String,
}

/// Allowed findings by rule and path.
pub type Ratchet = BTreeMap<(String, String), usize>;

/// Reads lines `rule path count`; `#` begins a comment.
pub fn parse(text: &str) -> Result<Ratchet, String> {
    let mut ratchet = Ratchet::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let entry = match words[..] {
            [] => continue,
            [rule, path, count] => count.parse().ok().filter(|n| *n > 0).map(|n| (rule, path, n)),
            _ => None,
        };
        let (rule, path, count) =
            entry.ok_or_else(|| format!("line {}: `{line}` is not `rule path count`", number + 1))?;
        if ratchet.insert((rule.to_owned(), path.to_owned()), count).is_some() {
            return Err(format!("line {}: `{rule} {path}` is there twice", number + 1));
        }
    }
    Ok(ratchet)
}

/// Compares a rule's findings with what the ratchet allows; the error is what to print.
pub fn judge(rule: &str, findings: &[Finding], ratchet: &Ratchet) -> Result<(), String> {
    let mut by_path: BTreeMap<&str, Vec<&Finding>> = BTreeMap::new();
    for finding in findings {
        by_path.entry(&finding.path).or_default().push(finding);
    }
    let allowed = |path: &str| ratchet.get(&(rule.to_owned(), path.to_owned())).copied().unwrap_or(0);
    let mut complaints = Vec::new();
    for (path, found) in &by_path {
        if found.len() > allowed(path) {
            complaints.extend(found.iter().map(|f| format!("{}:{}: {}", f.path, f.line, f.message)));
        }
    }
    for ((of, path), count) in ratchet.iter().filter(|((of, _), _)| of == rule) {
        let found = by_path.get(path.as_str()).map_or(0, Vec::len);
        if found < *count {
            complaints.push(format!("ratchet.txt: `{of} {path} {count}` can shrink to {found}: well done, lower it"));
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(format!("rule `{rule}`:\n{}", complaints.join("\n"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(path: &str) -> Finding {
        Finding { path: path.into(), line: 1, message: "no".into() }
    }

    #[test]
    fn exceptions_may_only_shrink() {
        let ratchet = parse("# comment\nsize src/a.rs 2\n").unwrap();
        assert!(judge("size", &[finding("src/a.rs"), finding("src/a.rs")], &ratchet).is_ok());
        assert!(judge("size", &[finding("src/a.rs")], &ratchet).unwrap_err().contains("shrink to 1"));
        assert!(judge("size", &[], &ratchet).is_err());
        assert!(judge("size", &vec![finding("src/a.rs"); 3], &ratchet).is_err());
        assert!(judge("other", &[], &ratchet).is_ok());
        assert!(judge("other", &[finding("src/a.rs")], &ratchet).unwrap_err().contains("src/a.rs:1: no"));
    }

    #[test]
    fn a_bad_ratchet_is_refused() {
        for bad in ["size a", "size a x", "size a 0", "size a 1\nsize a 2", "a b c d"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
