//! Documents of S3: what listings hold, what requests carry.
//!
//! Must not know how they travel. Invariant: keys in listings were asked for with `encoding-type=url`, so any key survives XML.

use super::xml::{Element, escape};
use serde::Serialize;

/// A bucket of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BucketEntry {
    /// Its name.
    pub name: String,
    /// When it was made, as the server writes it.
    pub created: String,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectEntry {
    /// Its key.
    pub key: String,
    /// Its length.
    pub size: u64,
    /// Its entity tag, without quotes.
    pub etag: String,
    /// When it was written, as the server writes it.
    pub modified: String,
}

/// A page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// Objects.
    pub objects: Vec<ObjectEntry>,
    /// What keys have in common up to the delimiter.
    pub prefixes: Vec<String>,
    /// Where the next page begins.
    pub next: Option<String>,
}

/// A version of an object, or the mark that it was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionEntry {
    /// The object's key.
    pub key: String,
    /// Its id.
    pub version: String,
    /// Whether a plain request finds it.
    pub is_latest: bool,
    /// Whether it says that the object is deleted.
    pub is_delete_marker: bool,
    /// Its length.
    pub size: u64,
    /// When it was written, as the server writes it.
    pub modified: String,
}

/// A page of a listing of versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VersionListing {
    /// Versions, the newest of a key first.
    pub versions: Vec<VersionEntry>,
    /// Key and version the next page begins after.
    pub next: Option<(String, String)>,
}

/// An upload in parts that is not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UploadEntry {
    /// Key it is for.
    pub key: String,
    /// Its id.
    pub upload: String,
}

/// A part of an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartEntry {
    /// Its number, from 1.
    pub number: u32,
    /// Its length.
    pub size: u64,
    /// Its entity tag, with quotes as the server gave them.
    pub etag: String,
}

/// Percent-decoding of a listed key; what is no encoding stays as it is.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = [ahead.next(), ahead.next()].map(|digit| digit.and_then(|d| char::from(d).to_digit(16)));
        match (byte, digits) {
            (b'%', [Some(high), Some(low)]) => {
                out.extend(u8::try_from(high * 16 + low));
                bytes = ahead;
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(other),
        }
    }
    String::from_utf8(out).unwrap_or_else(|_| text.to_owned())
}

fn number<T: std::str::FromStr>(element: &Element, name: &str) -> Result<T, String> {
    let text = element.text_of(name);
    text.parse().map_err(|_| format!("`{name}` is `{text}`, expected a number"))
}

fn key_of(element: &Element) -> String {
    decode(element.text_of("Key"))
}

fn etag_of(element: &Element) -> String {
    element.text_of("ETag").trim_matches('"').to_owned()
}

/// Buckets of `ListAllMyBucketsResult`.
pub(super) fn buckets(document: &Element) -> Vec<BucketEntry> {
    let entry = |bucket: &Element| BucketEntry {
        name: bucket.text_of("Name").to_owned(),
        created: bucket.text_of("CreationDate").to_owned(),
    };
    document.all("Buckets").flat_map(|list| list.all("Bucket")).map(entry).collect()
}

/// A page of `ListObjectsV2`.
pub(super) fn listing(document: &Element) -> Result<Listing, String> {
    let mut page = Listing::default();
    for object in document.all("Contents") {
        page.objects.push(ObjectEntry {
            key: key_of(object),
            size: number(object, "Size")?,
            etag: etag_of(object),
            modified: object.text_of("LastModified").to_owned(),
        });
    }
    page.prefixes = document.all("CommonPrefixes").map(|entry| decode(entry.text_of("Prefix"))).collect();
    if document.text_of("IsTruncated") == "true" {
        page.next = Some(document.text_of("NextContinuationToken").to_owned()).filter(|token| !token.is_empty());
        page.next.as_ref().ok_or("a truncated listing has no continuation token")?;
    }
    Ok(page)
}

/// A page of `ListObjectVersions`.
pub(super) fn versions(document: &Element) -> Result<VersionListing, String> {
    let mut page = VersionListing::default();
    for entry in &document.children {
        let is_delete_marker = match entry.name.as_str() {
            "Version" => false,
            "DeleteMarker" => true,
            _ => continue,
        };
        page.versions.push(VersionEntry {
            key: key_of(entry),
            version: entry.text_of("VersionId").to_owned(),
            is_latest: entry.text_of("IsLatest") == "true",
            is_delete_marker,
            size: if is_delete_marker { 0 } else { number(entry, "Size")? },
            modified: entry.text_of("LastModified").to_owned(),
        });
    }
    if document.text_of("IsTruncated") == "true" {
        page.next =
            Some((decode(document.text_of("NextKeyMarker")), document.text_of("NextVersionIdMarker").to_owned()));
    }
    Ok(page)
}

/// Unfinished uploads of `ListMultipartUploads`.
pub(super) fn uploads(document: &Element) -> Vec<UploadEntry> {
    let entry = |upload: &Element| UploadEntry { key: key_of(upload), upload: upload.text_of("UploadId").to_owned() };
    document.all("Upload").map(entry).collect()
}

/// A page of `ListParts`, and the number the next one begins after.
pub(super) fn parts(document: &Element) -> Result<(Vec<PartEntry>, Option<u32>), String> {
    let entry = |part: &Element| -> Result<PartEntry, String> {
        let (number, size) = (number(part, "PartNumber")?, number(part, "Size")?);
        Ok(PartEntry { number, size, etag: part.text_of("ETag").to_owned() })
    };
    let listed = document.all("Part").map(entry).collect::<Result<_, _>>()?;
    let next = match document.text_of("IsTruncated") {
        "true" => Some(number(document, "NextPartNumberMarker")?),
        _ => None,
    };
    Ok((listed, next))
}

/// Code and message, if it is an `Error` document.
pub(super) fn error(document: &Element) -> Option<(String, String)> {
    let said = |name: &str| document.text_of(name).to_owned();
    (document.name == "Error").then(|| (said("Code"), said("Message")))
}

/// Errors of a `DeleteResult`: key, code, message.
pub(super) fn delete_errors(document: &Element) -> Vec<(String, String, String)> {
    let part = |error: &Element, name: &str| error.text_of(name).to_owned();
    document.all("Error").map(|e| (part(e, "Key"), part(e, "Code"), part(e, "Message"))).collect()
}

/// Body of `CompleteMultipartUpload`.
pub(super) fn complete_body(parts: &[PartEntry]) -> String {
    let part = |part: &PartEntry| {
        format!("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", part.number, escape(&part.etag))
    };
    let listed: String = parts.iter().map(part).collect();
    format!("<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>")
}

/// Body of `DeleteObjects`, each with its version if one is named.
pub(super) fn delete_body(keys: &[(String, Option<String>)]) -> String {
    let object = |(key, version): &(String, Option<String>)| {
        let version = version.as_ref().map(|id| format!("<VersionId>{}</VersionId>", escape(id))).unwrap_or_default();
        format!("<Object><Key>{}</Key>{version}</Object>", escape(key))
    };
    let listed: String = keys.iter().map(object).collect();
    format!("<Delete><Quiet>true</Quiet>{listed}</Delete>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read() {
        let text = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;</NextContinuationToken>\
                    <Contents><Key>a%20b%2F%C3%BC+c%</Key><LastModified>then</LastModified><ETag>&quot;e&quot;</ETag><Size>5</Size></Contents>\
                    <CommonPrefixes><Prefix>p%2F</Prefix></CommonPrefixes></ListBucketResult>";
        let page = listing(&Element::parse(text).unwrap()).unwrap();
        let object = ObjectEntry { key: "a b/ü c%".into(), size: 5, etag: "e".into(), modified: "then".into() };
        assert_eq!(page, Listing { objects: vec![object], prefixes: vec!["p/".into()], next: Some("t&".into()) });
        for bad in [text.replace(">5<", ">x<"), text.replace("t&amp;", "")] {
            assert!(listing(&Element::parse(&bad).unwrap()).is_err());
        }
    }

    #[test]
    fn versions_and_parts_are_read() {
        let text = "<R><Version><Key>a</Key><VersionId>1</VersionId><IsLatest>false</IsLatest><Size>3</Size></Version>\
                    <DeleteMarker><Key>a</Key><VersionId>2</VersionId><IsLatest>true</IsLatest></DeleteMarker>\
                    <IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker><NextVersionIdMarker>2</NextVersionIdMarker></R>";
        let page = versions(&Element::parse(text).unwrap()).unwrap();
        let said: Vec<_> =
            page.versions.iter().map(|v| (v.version.as_str(), v.is_delete_marker, v.is_latest)).collect();
        assert_eq!(said, [("1", false, false), ("2", true, true)]);
        assert_eq!(page.next, Some(("a".into(), "2".into())));

        let text = "<R><Part><PartNumber>2</PartNumber><Size>7</Size><ETag>\"x\"</ETag></Part><IsTruncated>false</IsTruncated></R>";
        let part = PartEntry { number: 2, size: 7, etag: "\"x\"".into() };
        assert_eq!(parts(&Element::parse(text).unwrap()), Ok((vec![part.clone()], None)));
        assert!(complete_body(&[part]).contains("<PartNumber>2</PartNumber><ETag>\"x\"</ETag>"));
        let body = delete_body(&[("a<b".into(), None), ("c".into(), Some("3".into()))]);
        assert!(body.contains("<Key>a&lt;b</Key></Object>") && body.contains("<VersionId>3</VersionId>"), "{body}");
    }

    #[test]
    fn errors_are_read() {
        let text = "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>gone</Message></Error>";
        assert_eq!(error(&Element::parse(text).unwrap()), Some(("NoSuchKey".into(), "gone".into())));
        assert_eq!(error(&Element::parse("<html></html>").unwrap()), None);
        let text =
            "<DeleteResult><Error><Key>k</Key><Code>AccessDenied</Code><Message>no</Message></Error></DeleteResult>";
        let refused = delete_errors(&Element::parse(text).unwrap());
        assert_eq!(refused, [("k".to_owned(), "AccessDenied".to_owned(), "no".to_owned())]);
    }
}
