//! Buckets and their objects on the command line: `bucket`, `keys s3`, and `put`, `get`, `ls`, `rm` of `cess://bucket/key`.
//!
//! Owns words, progress and where keys are kept. Must not know how objects are stored: everything goes through the S3 endpoint, as
//! any other client's requests do. Invariant: a secret is shown once, when it is made, and is kept in a file only its owner reads.

pub mod bucket;
mod door;
mod keyring;
pub mod keys;
mod location;
pub mod objects;
mod upload;

pub use door::S3Options;
pub use location::Location;
