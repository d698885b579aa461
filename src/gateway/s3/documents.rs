//! Configuration documents at rest: the XML that S3 itself has for them, and a text of one grant a line for access control lists.

use super::policy::{Acl, Grant, Grantee, Permission, account_of, account_text};
use s3s::xml::{Deserialize, Deserializer, Serialize, Serializer};

/// First line of an access control list at rest.
const ACL_HEAD: &str = "acl/1";

/// Why a stored document does not make sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored {what} does not make sense: {reason}")]
pub struct Damaged {
    what: &'static str,
    reason: String,
}

/// The bytes of a document.
pub fn to_bytes(document: &impl Serialize) -> Result<Vec<u8>, s3s::xml::SerError> {
    let mut bytes = Vec::new();
    document.serialize(&mut Serializer::new(&mut bytes))?;
    Ok(bytes)
}

/// A document from its bytes.
pub fn from_bytes<T>(what: &'static str, bytes: &[u8]) -> Result<T, Damaged>
where
    T: for<'xml> Deserialize<'xml>,
{
    let mut reader = Deserializer::new(bytes);
    T::deserialize(&mut reader).map_err(|error| Damaged { what, reason: error.to_string() })
}

/// An access control list as text.
pub fn acl_to_bytes(acl: &Acl) -> Vec<u8> {
    let mut text = String::from(ACL_HEAD);
    for Grant { grantee, permission } in &acl.grants {
        let to = match grantee {
            Grantee::Account(account) => account_text(*account),
            group => group.uri().unwrap_or_default().to_owned(),
        };
        text.push('\n');
        text.push_str(permission.name());
        text.push(' ');
        text.push_str(&to);
    }
    text.into_bytes()
}

/// An access control list from its text.
pub fn acl_from_bytes(bytes: &[u8]) -> Result<Acl, Damaged> {
    let damaged = |reason: String| Damaged { what: "access control list", reason };
    let text = std::str::from_utf8(bytes).map_err(|e| damaged(e.to_string()))?;
    let mut lines = text.lines();
    if lines.next() != Some(ACL_HEAD) {
        return Err(damaged(format!("it does not begin with `{ACL_HEAD}`")));
    }
    let grant = |line: &str| {
        let (permission, to) = line.split_once(' ')?;
        let grantee = match account_of(to) {
            Some(account) => Grantee::Account(account),
            None => Grantee::group(to).ok()?,
        };
        Some(Grant { grantee, permission: Permission::parse(permission).ok()? })
    };
    let grants: Option<Vec<Grant>> = lines.map(grant).collect();
    let grants = grants.ok_or_else(|| damaged("a line is not a permission and a grantee".to_owned()))?;
    Acl::new(grants).map_err(|e| damaged(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{gateway::s3::policy::CannedAcl, types::Address};
    use s3s::dto::{CORSConfiguration, CORSRule};

    #[test]
    fn lists_are_stable_text() {
        let acl = CannedAcl::PublicReadWrite.expand(Address::repeat_byte(1), Address::repeat_byte(1));
        let text = "acl/1\nFULL_CONTROL 0x0101010101010101010101010101010101010101\n\
                    READ http://acs.amazonaws.com/groups/global/AllUsers\n\
                    WRITE http://acs.amazonaws.com/groups/global/AllUsers";
        assert_eq!(String::from_utf8(acl_to_bytes(&acl)).unwrap(), text);
        assert_eq!(acl_from_bytes(text.as_bytes()).unwrap(), acl);
        for bad in ["", "acl/2", "acl/1\nREAD", "acl/1\nREAD nobody", "acl/1\nLOOK 0x01"] {
            assert!(acl_from_bytes(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn documents_come_back() {
        let rule = CORSRule {
            allowed_headers: Some(vec!["*".into()]),
            allowed_methods: vec!["GET".into()],
            allowed_origins: vec!["https://a.example".into()],
            expose_headers: None,
            id: None,
            max_age_seconds: Some(5),
        };
        let document = CORSConfiguration { cors_rules: vec![rule] };
        let bytes = to_bytes(&document).unwrap();
        assert_eq!(from_bytes::<CORSConfiguration>("CORS", &bytes).unwrap(), document);
        assert!(from_bytes::<CORSConfiguration>("CORS", b"<x>").is_err());
    }
}
