//! JSON documents of the gateway.

use crate::types::{Address, B256, FileId, FragmentId, Height, SegmentId};
use alloy_primitives::Bytes;
use serde::{Deserialize, Serialize};

/// Body of `POST /v1/uploads`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadRequest {
    /// Exact length of the file.
    pub size: u64,
    /// The same key returns the same upload; absent, every request is a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// An upload as `POST /v1/uploads` and `GET /v1/uploads/{id}` show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadState {
    /// Its handle.
    pub upload: String,
    /// Length of the file.
    pub size: u64,
    /// Bytes dispersed so far; send from here. Always a multiple of the segment size, or `size`.
    pub offset: u64,
    /// Holders chosen by placement, once the first segment fixed it.
    pub holders: Vec<Address>,
}

/// Body of `POST /v1/uploads/{id}/commit`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommitRequest {
    /// `true`: the gateway signs with its own account and becomes the owner. `false`: it returns the call for the client to sign.
    #[serde(default)]
    pub sign: bool,
}

/// Everything a client needs to make a dispersed file active in its own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCall {
    /// Id the file will have.
    pub id: FileId,
    /// Number of segments.
    pub segments: u32,
    /// Contract to call.
    pub to: Address,
    /// ABI-encoded `files.store` with manifest, holders and receipts.
    pub data: Bytes,
    /// Holder of fragment i of every segment.
    pub holders: Vec<Address>,
}

/// A file that is active on chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Its id.
    pub id: FileId,
    /// Length in bytes.
    pub size: u64,
    /// Number of segments.
    pub segments: u32,
    /// Transaction that stored it.
    pub tx: B256,
    /// Block that holds the transaction.
    pub block: Height,
}

/// Document of `GET /v1/files/{id}/stat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStat {
    /// Its id.
    pub id: FileId,
    /// Length in bytes.
    pub size: u64,
    /// Accounts that own it.
    pub owners: Vec<Address>,
    /// Transaction that stored it.
    pub tx: Option<B256>,
    /// Block that stored it.
    pub block: Height,
    /// Its segments in order.
    pub segments: Vec<SegmentStat>,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentStat {
    /// Its id.
    pub id: SegmentId,
    /// Position in the file.
    pub index: u32,
    /// Length in bytes.
    pub len: u64,
    /// Its twelve fragments.
    pub fragments: Vec<FragmentStat>,
}

/// One fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentStat {
    /// Position in the code: 0..4 data, 4..12 parity.
    pub index: u8,
    /// Its id.
    pub id: FragmentId,
    /// Length in bytes.
    pub len: u64,
    /// Account of the holder.
    pub holder: Address,
    /// Name the holder registered with.
    pub node: String,
    /// Whether the holder answered just now that it has the fragment.
    pub healthy: bool,
}

/// Document of `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayStatus {
    /// Name of the node.
    pub node: String,
    /// Program version.
    pub version: String,
    /// The gateway's own account.
    pub account: Address,
    /// Uploads that can be continued.
    pub uploads: usize,
    /// Chain height the gateway sees.
    pub height: Height,
}

/// Document of `GET /v1/group`: the gateways that serve the same buckets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayGroup {
    /// X25519 public key that secrets of access keys are sealed to.
    #[serde(with = "hex::serde")]
    pub key: [u8; 32],
    /// Accounts that act for whoever has an access key.
    pub members: Vec<Address>,
    /// S3 endpoint of the gateway that answers.
    pub s3: String,
}

/// Body of every error answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Stable word a program can act on, such as `unknown_file` or `no_space`.
    pub code: String,
    /// Sentence for a person.
    pub error: String,
}
