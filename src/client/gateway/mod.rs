//! The gateway's HTTP interface: its documents, and a client for them.
//!
//! Owns the shapes both sides speak. Invariant: an upload that was interrupted continues at the offset the gateway
//! reports, and the same idempotency key never creates a second upload.

mod documents;
mod http;

pub use documents::{
    CommitRequest, ErrorBody, FileStat, FragmentStat, GatewayGroup, GatewayStatus, SegmentStat, StoreCall, StoredFile,
    UploadRequest, UploadState,
};
pub use http::{GatewayClient, GatewayError};
