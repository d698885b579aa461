//! The record of a bucket's owner: what stands under the name `owner` of the bucket's namespace.
//!
//! Must not know how it is read or changed. Invariant: an epoch belongs to one gateway; who takes a bucket over raises it.

use crate::{client::Namespace, codec::Wire, types::Address};
use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;

/// Miners that keep a bucket's journal.
pub const JOURNAL_MEMBERS: usize = 3;
/// The name a bucket's owner stands under.
pub const OWNER_NAME: &[u8] = b"owner";
/// Longest value a name may have.
const VALUE_MAX_BYTES: usize = 256;

/// Accounts of the miners that keep a journal.
pub type Members = [Address; JOURNAL_MEMBERS];

/// A bucket: whose it is, and which.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct BucketKey {
    owner: [u8; 20],
    id: [u8; 16],
}

impl BucketKey {
    /// Bucket `id` of `owner`'s.
    pub fn new(owner: Address, id: [u8; 16]) -> Self {
        Self { owner: owner.into(), id }
    }

    /// The account it belongs to.
    pub fn owner(&self) -> Address {
        self.owner.into()
    }

    /// Its number.
    pub fn id(&self) -> [u8; 16] {
        self.id
    }

    /// Where its names lie: the owner's namespace `db/<id>`.
    pub fn namespace(&self) -> Namespace {
        Namespace::of(self.owner(), format!("db/{}", hex::encode(self.id)))
    }
}

impl fmt::Display for BucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.id))
    }
}

impl fmt::Debug for BucketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketKey({self} of {})", self.owner())
    }
}

/// A gateway as the others find it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, BorshSerialize, BorshDeserialize)]
pub struct GatewayKey {
    /// Its account.
    pub account: [u8; 20],
    /// The ed25519 key of its network host.
    pub peer: [u8; 32],
}

impl fmt::Display for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Address::from(self.account))
    }
}

/// Who decides about a bucket.
#[derive(Clone, PartialEq, Eq, Debug, BorshSerialize, BorshDeserialize)]
pub struct Ownership {
    /// The gateway.
    pub gateway: GatewayKey,
    /// Raised with every take-over. Miners of the journal refuse older ones once they know a newer one.
    pub epoch: u32,
    members: [[u8; 20]; JOURNAL_MEMBERS],
}

impl Ownership {
    /// The record of `gateway`'s ownership.
    pub fn new(gateway: GatewayKey, epoch: u32, members: &Members) -> Self {
        Self { gateway, epoch, members: members.map(Into::into) }
    }

    /// Miners that keep the bucket's journal.
    pub fn members(&self) -> Members {
        self.members.map(Address::from)
    }
}

impl Wire for Ownership {
    const NAME: &'static str = "bucket ownership";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = VALUE_MAX_BYTES;
}

/// An ownership as it stands on the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Held {
    /// Version of the name.
    pub version: u64,
    /// Its value.
    pub ownership: Ownership,
}
