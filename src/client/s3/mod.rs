//! A client of S3 servers, for the command line and its benches and as an object store for programs, and the form of access keys on the chain.
//!
//! Owns signing (SigV4), requests and the few XML documents they need. Must not know where keys are kept or what objects
//! mean. Invariants: a secret never appears in a log or an error; what is signed is what is sent, byte for byte.

mod documents;
mod http;
mod key;
mod record;
mod registry;
mod sign;
mod store;
#[cfg(test)]
pub(crate) mod twin;
mod xml;

pub use documents::{BucketEntry, Listing, ObjectEntry, PartEntry, UploadEntry, VersionEntry, VersionListing};
pub use http::{Body, Payload, Progress, S3Client, S3Error, S3Request};
pub use key::{AccessKey, KeyIdError};
pub use record::{KeyRecord, RecordError, key_name, open_secret, seal_secret};
pub use registry::{RegisteredKey, RegistryError, is_active, register_key, registered_keys, revoke_key};
pub use sign::{REGION, SigningTime, ToSign, authorization, encode, presigned, query, sha256_hex};
pub use store::{BucketStore, BucketStoreSettings, Patience};
