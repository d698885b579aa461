//! The PoDR² tags of held fragments, and the public keys of the epochs they were made in.
//!
//! Owns the tags column. Must not know how tags are checked: whoever keeps some has done it. Invariants: a fragment has tags of a
//! bounded number of epochs, each bounded by its length; tags go when the record of their fragment goes.

use super::{FragmentError, FragmentIndex};
use crate::{
    codec::{self, Wire},
    kv::{Batch, Column, Durability},
    proofs::podr2::{GROUP_KEY_BYTES, SRS_BYTES, TAG_BYTES, Tag},
    types::{
        FragmentId,
        params::{FRAGMENT_MAX_BYTES, PODR2_BLOCK_BYTES},
    },
};

const TAGS_KEY: u8 = b't';
const EPOCH_KEY: u8 = b'e';
/// Written to have everything before it on the medium.
const SYNC_KEY: &[u8] = b"s";
/// Most tags of a fragment.
const TAGS_MAX: usize = (FRAGMENT_MAX_BYTES / PODR2_BLOCK_BYTES) as usize;
/// Epochs a fragment has tags of at most: the oldest make way.
pub const TAG_EPOCHS_MAX: usize = 3;

/// The tags of a fragment in a key epoch.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct FragmentTags {
    /// One for each block, in order.
    pub tags: Vec<Tag>,
}

impl Wire for FragmentTags {
    const NAME: &'static str = "fragment tags";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 8 + TAGS_MAX * TAG_BYTES;
}

/// What proofs of a key epoch are made with. Checked before it is kept.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct EpochRecord {
    /// The group's key.
    pub key: Vec<u8>,
    /// Its powers.
    pub srs: Vec<u8>,
}

impl Wire for EpochRecord {
    const NAME: &'static str = "tag key epoch";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 16 + GROUP_KEY_BYTES + SRS_BYTES;
}

impl FragmentIndex {
    /// Keeps good tags of a held fragment; false if it is not held.
    pub fn put_tags(&self, id: FragmentId, epoch: u64, tags: &FragmentTags) -> Result<bool, FragmentError> {
        let _guard = self.lock();
        if !self.holds(id)? {
            return Ok(false);
        }
        let mut batch = Batch::new();
        let kept = self.kv().scan(Column::Tags, &tags_prefix(id), &tags_prefix(id), TAG_EPOCHS_MAX + 1)?;
        let others = kept.iter().filter(|(key, _)| *key != tags_key(id, epoch));
        let surplus = (others.clone().count() + 1).saturating_sub(TAG_EPOCHS_MAX);
        others.take(surplus).for_each(|(key, _)| batch.delete(Column::Tags, key.clone()));
        batch.put(Column::Tags, tags_key(id, epoch), codec::encode(tags));
        self.kv().write(batch, Durability::Buffered)?;
        Ok(true)
    }

    /// Tags of a fragment made in an epoch.
    pub fn tags(&self, id: FragmentId, epoch: u64) -> Result<Option<FragmentTags>, FragmentError> {
        let record = self.kv().get(Column::Tags, &tags_key(id, epoch))?;
        Ok(record.map(|bytes| codec::decode(&bytes)).transpose()?)
    }

    /// Whether there are tags of a held fragment made in an epoch.
    pub fn has_tags(&self, id: FragmentId, epoch: u64) -> Result<bool, FragmentError> {
        Ok(self.kv().get(Column::Tags, &tags_key(id, epoch))?.is_some() && self.holds(id)?)
    }

    /// Takes every tag kept so far onto the medium.
    pub fn sync_tags(&self) -> Result<(), FragmentError> {
        let mut batch = Batch::new();
        batch.put(Column::Tags, SYNC_KEY, []);
        Ok(self.kv().write(batch, Durability::Synced)?)
    }

    /// Keeps the checked keys of an epoch.
    pub fn put_epoch(&self, epoch: u64, record: &EpochRecord) -> Result<(), FragmentError> {
        let mut batch = Batch::new();
        batch.put(Column::Tags, epoch_key(epoch), codec::encode(record));
        Ok(self.kv().write(batch, Durability::Buffered)?)
    }

    /// The keys of an epoch, if they were kept.
    pub fn epoch(&self, epoch: u64) -> Result<Option<EpochRecord>, FragmentError> {
        let record = self.kv().get(Column::Tags, &epoch_key(epoch))?;
        Ok(record.map(|bytes| codec::decode(&bytes)).transpose()?)
    }

    /// Adds the removal of a fragment's tags to a batch.
    pub(super) fn forget_tags(&self, id: FragmentId, batch: &mut Batch) -> Result<(), FragmentError> {
        for (key, _) in self.kv().scan(Column::Tags, &tags_prefix(id), &tags_prefix(id), TAG_EPOCHS_MAX + 1)? {
            batch.delete(Column::Tags, key);
        }
        Ok(())
    }
}

fn tags_prefix(id: FragmentId) -> Vec<u8> {
    [&[TAGS_KEY][..], &id.0].concat()
}

fn tags_key(id: FragmentId, epoch: u64) -> Vec<u8> {
    [&tags_prefix(id)[..], &epoch.to_be_bytes()].concat()
}

fn epoch_key(epoch: u64) -> Vec<u8> {
    [&[EPOCH_KEY][..], &epoch.to_be_bytes()].concat()
}
