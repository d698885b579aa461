//! Source files as the rules see them: text, and the same text without comments, literals and test code.
//!
//! Every derived text has the length and the line breaks of the original, so that an offset means the same line in each.

use std::fs;
use std::path::{Path, PathBuf};

/// One file.
pub struct Source {
    /// Path from the repository's root, with `/`.
    pub path: String,
    /// As it is on disk.
    pub text: String,
    /// Comments and the insides of literals blanked.
    pub code: String,
    /// [`Source::code`] without test modules and test items; all blank for a file of tests.
    pub production: String,
}

impl Source {
    /// A file with these contents. `is_test` marks files that hold nothing but tests.
    pub fn new(path: &str, text: &str, is_test: bool) -> Self {
        let code = blank_comments_and_literals(text);
        let production = if is_test { blank(&code) } else { blank_test_items(&code) };
        Self { path: path.to_owned(), text: text.to_owned(), code, production }
    }

    /// 1-based line of an offset.
    pub fn line_of(&self, offset: usize) -> usize {
        self.text[..offset].matches('\n').count() + 1
    }

    /// What is not production code.
    pub fn test_code(&self) -> String {
        let kept = self.code.bytes().zip(self.production.bytes());
        let chars = kept.map(|(code, production)| if production == b' ' || code == b'\n' { code } else { b' ' });
        String::from_utf8(chars.collect()).expect("blanking keeps text valid")
    }
}

/// Every file under `folder` whose name ends in `ending`, sorted, as paths from `root`.
pub fn files_under(root: &Path, folder: &str, ending: &str) -> Vec<String> {
    const SKIPPED: [&str; 3] = ["target", ".git", "node_modules"];
    let (mut found, mut open) = (Vec::new(), vec![root.join(folder)]);
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for path in entries.map(|entry| entry.expect("a readable folder").path()) {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            if path.is_dir() && !SKIPPED.contains(&name.as_str()) {
                open.push(path);
            } else if path.is_file() && name.ends_with(ending) {
                found.push(relative(root, &path));
            }
        }
    }
    found.sort();
    found
}

/// The repository's root: the one cargo runs the tests in, which need not be the one they were compiled in.
pub fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").expect("tests are run by cargo").into()
}

fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).expect("found below the root");
    below.to_str().expect("paths of this repository are UTF-8").replace('\\', "/")
}

fn blank(text: &str) -> String {
    let bytes = text.bytes().map(|byte| if byte == b'\n' { byte } else { b' ' });
    String::from_utf8(bytes.collect()).expect("blanks are text")
}

/// Replaces comments and the insides of string and character literals by blanks, byte for byte.
pub fn blank_comments_and_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at),
            b'r' | b'b' | b'c' if !is_ident(at.checked_sub(1).map(|i| bytes[i])) => match raw_string_end(bytes, at) {
                Some(end) => end,
                None => at + 1,
            },
            b'\'' => char_end(bytes, at).unwrap_or(at + 1),
            _ => at + 1,
        };
        if end > at + 1 {
            for byte in &mut out[at..end] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole characters are blanked")
}

fn is_ident(byte: Option<u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |n| at + n)
}

fn block_comment_end(bytes: &[u8], at: usize) -> usize {
    let (mut depth, mut i) = (0usize, at);
    while i < bytes.len() {
        if bytes[i..].starts_with(b"/*") {
            depth += 1;
            i += 2;
        } else if bytes[i..].starts_with(b"*/") {
            depth -= 1;
            i += 2;
            if depth == 0 {
                return i;
            }
        } else {
            i += 1;
        }
    }
    bytes.len()
}

fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut i = at + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

/// End of `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"` or `b'…'` that starts at `at`, if one does.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut i = at;
    let mut raw = false;
    while let Some(prefix @ (b'r' | b'b' | b'c')) = bytes.get(i) {
        raw |= *prefix == b'r';
        i += 1;
        if i - at > 2 {
            return None;
        }
    }
    if bytes.get(i) == Some(&b'\'') && !raw {
        return char_end(bytes, i);
    }
    let hashes = if raw { bytes[i..].iter().take_while(|byte| **byte == b'#').count() } else { 0 };
    if bytes.get(i + hashes) != Some(&b'"') {
        return None;
    }
    if !raw {
        return Some(string_end(bytes, i));
    }
    let close = format!("\"{}", "#".repeat(hashes));
    let body = i + hashes + 1;
    let found = bytes[body..].windows(close.len()).position(|window| window == close.as_bytes());
    Some(found.map_or(bytes.len(), |n| body + n + close.len()))
}

/// End of a character literal; `None` for a lifetime.
fn char_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        let close = bytes[at + 3..].iter().position(|byte| *byte == b'\'')?;
        return Some(at + 3 + close + 1);
    }
    let rest = std::str::from_utf8(&bytes[at + 1..]).ok()?;
    let first = rest.chars().next()?;
    let close = at + 1 + first.len_utf8();
    (bytes.get(close) == Some(&b'\'')).then_some(close + 1)
}

/// Blanks every item under `#[cfg(test)]`.
pub fn blank_test_items(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = code.to_owned();
    let mut from = 0;
    while let Some(found) = out[from..].find(MARK) {
        let start = from + found;
        let end = item_end(out.as_bytes(), start + MARK.len());
        out.replace_range(start..end, &blank(&out[start..end]));
        from = end;
    }
    out
}

/// End of the item that begins at `at`: its closing brace, or its semicolon.
pub fn item_end(bytes: &[u8], at: usize) -> usize {
    let (mut round, mut i) = (0usize, at);
    while i < bytes.len() {
        match bytes[i] {
            b'(' | b'[' => round += 1,
            b')' | b']' => round = round.saturating_sub(1),
            b';' if round == 0 => return i + 1,
            b'{' if round == 0 => return block_end(bytes, i),
            _ => {}
        }
        i += 1;
    }
    bytes.len()
}

/// End of the block whose `{` is at `at`.
pub fn block_end(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0usize;
    for (i, byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    bytes.len()
}

/// Identifiers of `code` with their offsets.
pub fn idents(code: &str) -> Vec<(usize, &str)> {
    let bytes = code.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let len = bytes[at..].iter().take_while(|byte| is_ident(Some(**byte))).count();
        if len > 0 && !bytes[at].is_ascii_digit() {
            found.push((at, &code[at..at + len]));
        }
        at += len.max(1);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_vanish_but_lines_stay() {
        let text = "let a = \"crate::x // no\"; // crate::y\n/* a /* b */ c */ let b = 'x'; let c: &'static str = r#\"un\"wrap\"#;";
        let code = blank_comments_and_literals(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.matches('\n').count(), 1);
        for gone in ["crate", "no", "un", "wrap", " c */"] {
            assert!(!code.contains(gone), "{gone} in {code}");
        }
        assert!(code.contains("&'static str"));
        assert!(blank_comments_and_literals("b'\"' x '\\'' y '\\u{1F600}' z").contains(" z"));
        assert!(blank_comments_and_literals("let crab = 1; for r in x {}").contains("for r in x {}"));
        assert!(blank_comments_and_literals("\"a\\\"b\" kept").ends_with(" kept"));
        assert!(blank_comments_and_literals("'é' kept").ends_with(" kept"));
    }

    #[test]
    fn test_items_vanish() {
        let source = Source::new("a.rs", "fn a() {}\n#[cfg(test)]\nmod tests { fn b() { {} } }\nfn c() {}\n", false);
        assert!(source.production.contains("fn a") && source.production.contains("fn c"));
        assert!(!source.production.contains("fn b"));
        assert!(source.test_code().contains("fn b") && !source.test_code().contains("fn c"));
        let declared = Source::new("a.rs", "#[cfg(test)]\nmod tests;\nfn f(x: [u8; 3]) {}", false);
        assert!(declared.production.contains("fn f"));
        assert!(Source::new("a.rs", "fn a() {}", true).production.trim().is_empty());
        assert_eq!(declared.line_of(declared.text.find("fn").unwrap()), 3);
    }

    #[test]
    fn identifiers_are_whole_words() {
        let found: Vec<_> = idents("a_b.unwrap_or(1u8, c2)").into_iter().map(|(_, word)| word).collect();
        assert_eq!(found, ["a_b", "unwrap_or", "c2"]);
    }
}
