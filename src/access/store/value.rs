//! What a name stands for.
//!
//! Must not know names' owners. Invariant: a value fits what the chain takes.

use super::ports::NameEntry;
use crate::{
    access::data::seal::Envelope,
    codec::{self, Wire},
    types::FileId,
};
use object_store::{Attribute, Attributes, ObjectMeta, path::Path};
use std::time::{Duration, UNIX_EPOCH};

/// Where an object's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub(super) enum Content {
    /// There are none.
    Empty,
    /// In a file, which has its key here if it is encrypted.
    File(FileId, Option<Envelope>),
    /// Here, as they are.
    Plain(Vec<u8>),
    /// Here, sealed.
    Sealed(Vec<u8>),
}

/// An object.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub(super) struct Stored {
    /// Its bytes.
    pub content: Content,
    /// How many there are, before encryption.
    pub size: u64,
    /// When it was stored, Unix milliseconds.
    pub modified_ms: u64,
    /// Short notes of who stored it, by name.
    pub notes: Vec<(String, String)>,
}

/// Bytes of a value besides content and notes: version, kind of content and its length, size, time, number of notes.
const FIXED_BYTES: usize = 1 + 1 + 4 + 8 + 8 + 4;

/// Room for notes, their lengths included.
const NOTES_MAX_BYTES: usize = 128;
/// What names of attributes that are not somebody's own begin with.
const STANDARD: char = ':';

impl Wire for Stored {
    const NAME: &'static str = "named object";
    const VERSION: u8 = 2;
    const MAX_BYTES: usize = 256;
}

impl Stored {
    /// Its file, if it has one.
    pub fn file(&self) -> Option<FileId> {
        match self.content {
            Content::File(file, _) => Some(file),
            _ => None,
        }
    }

    /// Whether nobody else can have stored the very same value.
    pub fn is_unique(&self) -> bool {
        matches!(self.content, Content::File(..) | Content::Sealed(_))
    }

    /// Whether `len` bytes of content have room beside these notes.
    pub fn has_room(len: usize, notes: &[(String, String)]) -> bool {
        FIXED_BYTES + len + notes_bytes(notes) <= Self::MAX_BYTES
    }

    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    pub fn read(value: &[u8]) -> Result<Self, String> {
        codec::decode(value).map_err(|error| error.to_string())
    }
}

/// Attributes as notes; nothing if they are too long or of an unknown kind.
pub(super) fn notes(attributes: &Attributes) -> Option<Vec<(String, String)>> {
    let mut notes = Vec::with_capacity(attributes.len());
    for (attribute, value) in attributes {
        let name = match attribute {
            Attribute::Metadata(name) if !name.starts_with(STANDARD) => name.to_string(),
            other => STANDARDS.iter().find(|(_, standard)| standard == other)?.0.to_owned(),
        };
        notes.push((name, value.to_string()));
    }
    (notes_bytes(&notes) <= NOTES_MAX_BYTES).then_some(notes)
}

fn notes_bytes(notes: &[(String, String)]) -> usize {
    notes.iter().map(|(name, value)| 8 + name.len() + value.len()).sum()
}

/// The attributes that [`notes`] took.
pub(super) fn attributes(notes: &[(String, String)]) -> Attributes {
    let known = |name: &str| STANDARDS.iter().find(|(standard, _)| *standard == name).map(|(_, of)| of.clone());
    let attribute = |name: &str| known(name).unwrap_or_else(|| Attribute::Metadata(name.to_owned().into()));
    notes.iter().map(|(name, value)| (attribute(name), value.clone())).collect()
}

static STANDARDS: [(&str, Attribute); 5] = [
    (":cache-control", Attribute::CacheControl),
    (":content-disposition", Attribute::ContentDisposition),
    (":content-encoding", Attribute::ContentEncoding),
    (":content-language", Attribute::ContentLanguage),
    (":content-type", Attribute::ContentType),
];

/// The entity tag of a version of a name.
pub(super) fn tag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The version of a tag that [`tag`] made.
pub(super) fn version_of(tag: &str) -> Option<u64> {
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// What is told of an object.
pub(super) fn meta(location: Path, entry: &NameEntry, stored: &Stored) -> ObjectMeta {
    ObjectMeta {
        location,
        last_modified: (UNIX_EPOCH + Duration::from_millis(stored.modified_ms)).into(),
        size: stored.size,
        e_tag: Some(tag(entry.version)),
        version: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{access::data::seal::DataKey, codec::golden::check, runtime::NodeRng};

    #[test]
    fn encodings_are_stable_and_tags_are_read_back() {
        let (envelope, _) = Envelope::new(&NodeRng::from_seed(1), &DataKey::new([1; 32]), b"a");
        let stored = Stored {
            content: Content::File(FileId([7; 32]), Some(envelope)),
            size: 9,
            modified_ms: 5,
            notes: vec![("by".into(), "me".into())],
        };
        check(&stored);
        let most = Stored::MAX_BYTES - FIXED_BYTES - notes_bytes(&stored.notes);
        assert!(Stored::has_room(most, &stored.notes) && !Stored::has_room(most + 1, &stored.notes));
        let here = Stored { content: Content::Sealed(vec![8; most]), ..stored.clone() };
        assert_eq!(here.encode().len(), Stored::MAX_BYTES);
        assert_eq!(Stored::read(&here.encode()), Ok(here));
        let long = Stored { notes: vec![("n".repeat(60), "v".repeat(60))], ..Stored::read(&stored.encode()).unwrap() };
        assert!(long.encode().len() <= Stored::MAX_BYTES);
        assert_eq!(version_of(&tag(u64::MAX)), Some(u64::MAX));
        let mut given = Attributes::new();
        given.insert(Attribute::ContentType, "text/plain".into());
        given.insert(Attribute::Metadata("id".into()), "01ARZ3NDEKTSV4RRFFQ69G5FAV".into());
        assert_eq!(attributes(&notes(&given).unwrap()), given);
        given.insert(Attribute::Metadata("long".into()), "x".repeat(100).into());
        assert_eq!(notes(&given), None);
        assert_eq!((version_of("7"), version_of("\"x\"")), (None, None));
    }
}
