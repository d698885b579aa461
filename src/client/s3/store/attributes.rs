//! What is said of an object besides its bytes, in headers.
//!
//! Invariant: what cannot be said in a header is refused before anything is sent, by name.

use super::errors::generic;
use object_store::{Attribute, Attributes, Error, Result, TagSet, path::Path};
use reqwest::header::{HeaderMap, HeaderName};

/// Attributes with a header of their own.
static STANDARD: [(&str, Attribute); 6] = [
    ("cache-control", Attribute::CacheControl),
    ("content-disposition", Attribute::ContentDisposition),
    ("content-encoding", Attribute::ContentEncoding),
    ("content-language", Attribute::ContentLanguage),
    ("content-type", Attribute::ContentType),
    ("x-amz-storage-class", Attribute::StorageClass),
];
/// What headers of metadata begin with.
const METADATA: &str = "x-amz-meta-";
const TAGGING: &str = "x-amz-tagging";

/// Headers that say attributes and tags.
pub fn headers_of(location: &Path, attributes: &Attributes, tags: &TagSet) -> Result<Vec<(String, String)>> {
    let mut headers = Vec::with_capacity(attributes.len() + 1);
    for (attribute, value) in attributes {
        let name = match attribute {
            Attribute::Metadata(name) => format!("{METADATA}{}", name.to_ascii_lowercase()),
            other => name_of(other)?.to_owned(),
        };
        let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok();
        if !is_name || !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            let reason = "its name has to be one of a header and its value printable ASCII";
            return Err(generic(format!("attribute `{name}` of `{location}` cannot be stored: {reason}")));
        }
        headers.push((name, value.to_string()));
    }
    if !tags.is_empty() {
        headers.push((TAGGING.to_owned(), tags.encoded().to_owned()));
    }
    Ok(headers)
}

fn name_of(attribute: &Attribute) -> Result<&'static str> {
    let found = STANDARD.iter().find(|(_, standard)| standard == attribute).map(|(name, _)| *name);
    found.ok_or_else(|| Error::NotSupported { source: format!("an attribute {attribute:?} of S3 objects").into() })
}

/// The attributes that headers say; values that are no text are left out.
pub fn attributes_of(headers: &HeaderMap) -> Attributes {
    let named = headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?.to_owned();
        let standard = STANDARD.iter().find(|(standard, _)| *standard == name.as_str());
        let attribute = match (standard, name.as_str().strip_prefix(METADATA)) {
            (Some((_, attribute)), _) => attribute.clone(),
            (None, Some(own)) => Attribute::Metadata(own.to_owned().into()),
            (None, None) => return None,
        };
        Some((attribute, value))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(attributes: &Attributes) -> Result<Vec<(String, String)>> {
        headers_of(&Path::from("k"), attributes, &TagSet::default())
    }

    #[test]
    fn attributes_become_headers_and_come_back() {
        let mut attributes = Attributes::from_iter(STANDARD.iter().map(|(name, of)| (of.clone(), (*name).to_owned())));
        attributes.insert(Attribute::Metadata("Colour".into()), "a  b".into());
        let mut tags = TagSet::default();
        tags.push("a b", "c&d");
        let said = headers_of(&Path::from("k"), &attributes, &tags).unwrap();
        assert!(said.contains(&(TAGGING.to_owned(), "a+b=c%26d".to_owned())), "{said:?}");
        assert!(said.contains(&("x-amz-meta-colour".to_owned(), "a  b".to_owned())), "{said:?}");
        let map: HeaderMap = said
            .iter()
            .map(|(name, value)| (HeaderName::from_bytes(name.as_bytes()).unwrap(), value.parse().unwrap()))
            .collect();
        attributes.remove(&Attribute::Metadata("Colour".into()));
        attributes.insert(Attribute::Metadata("colour".into()), "a  b".into());
        assert_eq!(attributes_of(&map), attributes);
    }

    #[test]
    fn what_no_header_can_say_is_refused_by_name() {
        for (name, value) in [("a b", "x"), ("ok", "ü"), ("ok", "a\nb"), ("", "\u{7f}")] {
            let attributes = Attributes::from_iter([(Attribute::Metadata(name.into()), value)]);
            let words = headers(&attributes).unwrap_err().to_string();
            assert!(words.contains(&format!("x-amz-meta-{name}")) && words.contains("`k`"), "{words}");
        }
    }
}
