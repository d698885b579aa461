//! The little XML that S3 answers with: elements and text.
//!
//! Must not know what elements mean. Namespaces, attributes and comments are passed over; a document type is refused.
//! Invariants: no recursion over input; depth and length are bounded.

use std::fmt::Write;

/// Elements inside each other.
const DEPTH_MAX: usize = 32;

/// An element.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name without a prefix.
    pub name: String,
    /// Its own text.
    pub text: String,
    /// What is inside it, in order.
    pub children: Vec<Element>,
}

impl Element {
    /// Reads a document; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut open: Vec<Self> = vec![Self::default()];
        let mut rest = text;
        while let Some(start) = rest.find('<') {
            let (before, tag) = rest.split_at(start);
            let inner = open.last_mut().ok_or("an element ends that did not begin")?;
            unescape(before, &mut inner.text)?;
            rest = step(tag, &mut open)?;
        }
        let (Some(document), true) = (open.pop(), open.is_empty()) else {
            return Err("an element does not end".to_owned());
        };
        document.children.into_iter().next().ok_or_else(|| "there is no element".to_owned())
    }

    /// Children of a name.
    pub fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Text of the first child of a name; empty if there is none.
    pub fn text_of(&self, name: &str) -> &str {
        self.all(name).next().map_or("", |child| child.text.as_str())
    }
}

/// Takes what begins with `<`; returns what follows it.
fn step<'a>(tag: &'a str, open: &mut Vec<Element>) -> Result<&'a str, String> {
    let unended = || "a tag does not end".to_owned();
    let after = |end: &str| tag.split_once(end).map(|(_, rest)| rest).ok_or_else(unended);
    if tag.starts_with("<!--") {
        return after("-->");
    }
    if tag.starts_with("<?") {
        return after("?>");
    }
    if tag.starts_with("<!") {
        return Err("it has a document type".to_owned());
    }
    let (inside, rest) = tag.split_once('>').ok_or_else(unended)?;
    let inside = &inside[1..];
    if let Some(name) = inside.strip_prefix('/') {
        return close(local(name), open).map(|()| rest);
    }
    let (inside, is_empty) = inside.strip_suffix('/').map_or((inside, false), |inside| (inside, true));
    if open.len() > DEPTH_MAX {
        return Err(format!("elements are over {DEPTH_MAX} deep"));
    }
    let name = local(inside);
    open.push(Element { name: name.to_owned(), ..Element::default() });
    if is_empty {
        close(name, open)?;
    }
    Ok(rest)
}

fn close(name: &str, open: &mut Vec<Element>) -> Result<(), String> {
    let ended = open.pop().filter(|element| element.name == name);
    match (ended, open.last_mut()) {
        (Some(element), Some(outer)) => {
            outer.children.push(element);
            Ok(())
        }
        _ => Err(format!("`{name}` ends where it did not begin")),
    }
}

/// The name of a tag without prefix and attributes.
fn local(inside: &str) -> &str {
    let end = inside.bytes().position(|byte| byte.is_ascii_whitespace()).unwrap_or(inside.len());
    let name = &inside[..end];
    let start = name.bytes().rposition(|byte| byte == b':').map_or(0, |colon| colon + 1);
    &name[start..]
}

/// Appends text with its entities resolved.
fn unescape(text: &str, out: &mut String) -> Result<(), String> {
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        out.push_str(before);
        let (name, after) = entity.split_once(';').ok_or("an entity does not end")?;
        out.push(resolve(name).ok_or_else(|| format!("entity `{name}` is unknown"))?);
        rest = after;
    }
    out.push_str(rest);
    Ok(())
}

fn resolve(name: &str) -> Option<char> {
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

/// Text as it stands in an element.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            control if control.is_control() => {
                write!(out, "&#{};", u32::from(control)).expect("writing to memory cannot fail");
            }
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_text_and_entities_are_read() {
        let text = "<?xml version=\"1.0\"?>\n<!-- a > b --><s3:A xmlns:s3=\"x\"><B>1 &lt;&#65;&#x42;</B><C/><B a='1'>2</B></s3:A>\n";
        let a = Element::parse(text).unwrap();
        assert_eq!((a.name.as_str(), a.text_of("B"), a.text_of("C"), a.text_of("D")), ("A", "1 <AB", "", ""));
        assert_eq!(a.all("B").map(|b| b.text.as_str()).collect::<Vec<_>>(), ["1 <AB", "2"]);
        let odd = "a<b>&\"'\u{1}\n";
        assert_eq!(Element::parse(&format!("<K>{}</K>", escape(odd))).unwrap().text, odd);
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<a>".repeat(40);
        for bad in
            ["", "x", "<a>", "</a>", "<a></b>", "<a", "<a>&x;</a>", "<a>&x", "<!DOCTYPE a><a/>", "</a><b/>", &deep]
        {
            assert!(Element::parse(bad).is_err(), "{bad}");
        }
    }
}
