//! Relative links of Markdown files lead somewhere.

use crate::ratchet::Finding;

/// Links of `text` that `exists` denies. `exists` gets paths from the repository's root.
pub fn dead_links(path: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut findings = Vec::new();
    for (line, target) in links(text) {
        let file = target.split(['#', '?']).next().unwrap_or_default();
        let foreign = target.contains("://") || target.starts_with("mailto:");
        if foreign || file.is_empty() {
            continue;
        }
        if !resolve(folder, file).is_some_and(|file| exists(&file)) {
            findings.push(Finding { path: path.to_owned(), line, message: format!("link to `{target}` is dead") });
        }
    }
    findings
}

/// Targets of `[text](target)` with their lines, outside code.
fn links(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut fenced) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("` `");
        for (at, _) in prose.match_indices("](") {
            let target = prose[at + 2..].split([')', ' ']).next().unwrap_or_default();
            found.push((number + 1, target.trim_matches(['<', '>']).to_owned()));
        }
    }
    found
}

/// A link from `folder`, as a path from the root; `None` if it leaves the repository.
fn resolve(folder: &str, link: &str) -> Option<String> {
    let (base, link) = match link.strip_prefix('/') {
        Some(absolute) => ("", absolute),
        None => (folder, link),
    };
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_links_are_found() {
        let exists = |path: &str| ["README.md", "docs/adr/0001.md", "src"].contains(&path);
        let check = |path: &str, text: &str| dead_links(path, text, exists).len();
        assert_eq!(check("docs/a.md", "[a](adr/0001.md#why) [b](../README.md) [c](/src/) [d](#here)"), 0);
        assert_eq!(check("docs/a.md", "[a](https://x.y/z) <b@c> `[d](gone)`\n```\n[e](gone)\n```"), 0);
        assert_eq!(check("docs/a.md", "[a](adr/0002.md) [b](../../out.md) [c](README.md)"), 3);
        assert_eq!(dead_links("a.md", "\n[a](gone)", exists)[0].line, 2);
    }
}
