//! Tags of fragments: taken in after a check, kept, and signed for.
//!
//! Owns the check of what taggers send and the keys it is done with. Must not know rounds. Invariants: only good tags are kept and
//! signed for, so that no tagger can frame this miner; keys come from the chain and are checked once.

use super::{Inner, follow::run};
use crate::{
    ledger::{audit::tag_message, manifest::Manifest},
    proofs::{
        Fragment,
        podr2::{GROUP_KEY_BYTES, GroupKey, Srs, TAG_BYTES, Tag, Tagged, check_tags},
    },
    storage::{
        fragments::{EpochRecord, FragmentTags},
        wire::Refusal,
    },
    types::{FragmentId, params::FRAGMENTS},
};
use bytes::Bytes;
use std::sync::Arc;

/// State of a key epoch that takes new tags.
const EPOCH_OPEN: u8 = 0;
/// State of a key epoch whose tags do not count.
pub(super) const EPOCH_SUSPENDED: u8 = 2;
/// Key epochs whose keys are in memory: 150 KB each.
const EPOCHS_MAX_CACHED: usize = 8;

/// The public keys of an epoch.
pub(super) struct EpochKeys {
    pub key: GroupKey,
    pub srs: Srs,
}

impl Inner {
    /// The keys of an epoch: from memory, from this miner's records, or from the chain.
    pub(super) async fn epoch_keys(&self, epoch: u64) -> Result<Arc<EpochKeys>, Refusal> {
        if let Some(keys) = self.epochs.lock().get(&epoch) {
            return Ok(keys.clone());
        }
        let store = self.store.clone();
        let kept = run(move || store.index().epoch(epoch)).await?;
        let record = match kept {
            Some(record) => record,
            None => self.fetch_epoch(epoch).await?,
        };
        let checked = self.node.pool.run(move || read_keys(&record).map(|keys| (keys, record)));
        let (keys, record) = checked.await?;
        let store = self.store.clone();
        run(move || store.index().put_epoch(epoch, &record)).await?;
        let keys = Arc::new(keys);
        let mut cache = self.epochs.lock();
        cache.insert(epoch, keys.clone());
        if cache.len() > EPOCHS_MAX_CACHED {
            cache.pop_first();
        }
        Ok(keys)
    }

    async fn fetch_epoch(&self, epoch: u64) -> Result<EpochRecord, Refusal> {
        let known = self.tee_epoch(epoch).await.map_err(Refusal::failed)?;
        let srs = self.epoch_powers(&known).await.map_err(Refusal::failed)?;
        Ok(EpochRecord { key: known.key.to_vec(), srs: srs.to_vec() })
    }

    /// Keeps tags of a held fragment if they are good.
    pub(super) async fn take_tags(&self, id: FragmentId, epoch: u64, tags: Bytes) -> Result<(), Refusal> {
        let (points, rest) = tags.as_chunks::<TAG_BYTES>();
        if !rest.is_empty() {
            return Err(Refusal::invalid(format!("{} B are no tags, each has {TAG_BYTES} B", tags.len())));
        }
        let tags: Vec<Tag> = points.iter().map(|point| Tag(*point)).collect();
        let store = self.store.clone();
        let (info, known) = run(move || Ok((store.index().stat(id)?, store.index().tags(id, epoch)?))).await?;
        let len = info.filter(|info| info.present).ok_or(Refusal::NotHeld(id))?.len;
        if known.is_some_and(|known| known.tags == tags) {
            return Ok(());
        }
        let fragment = Fragment::new(id, u64::from(len)).map_err(Refusal::failed)?;
        if usize::try_from(fragment.length.blocks()) != Ok(tags.len()) {
            let blocks = fragment.length.blocks();
            return Err(Refusal::invalid(format!("{} tags are given, fragment {id} has {blocks} blocks", tags.len())));
        }
        if self.tee_epoch(epoch).await.map_err(Refusal::failed)?.state != EPOCH_OPEN {
            return Err(Refusal::invalid(format!("key epoch {epoch} takes no new tags")));
        }
        let keys = self.epoch_keys(epoch).await?;
        let data = self.store.get(id).await?;
        let checked = self.node.pool.run_in_background(move || {
            let tagged = [Tagged { fragment, data: &data, tags: &tags }];
            check_tags(&keys.key, &keys.srs, &tagged).map(|()| FragmentTags { tags })
        });
        let tags = checked.await.map_err(|error| {
            tracing::error!(epoch, %error, "a tagger sent bad tags, they were refused");
            Refusal::invalid(error)
        })?;
        let store = self.store.clone();
        match run(move || store.index().put_tags(id, epoch, &tags)).await? {
            true => Ok(()),
            false => Err(Refusal::NotHeld(id)),
        }
    }

    /// Signs for a column if good tags of every fragment of it are held.
    pub(super) async fn tag_receipt(&self, column: u8, epoch: u64, manifest: Vec<u8>) -> Result<[u8; 64], Refusal> {
        if usize::from(column) >= FRAGMENTS {
            return Err(Refusal::invalid(format!("column {column} is out of range, there are {FRAGMENTS}")));
        }
        let keys = self.epoch_keys(epoch).await?;
        let store = self.store.clone();
        let file = run(move || {
            let manifest = match Manifest::read(&manifest) {
                Ok(manifest) => manifest,
                Err(error) => return Ok(Err(Refusal::invalid(error))),
            };
            let mut missing = Vec::new();
            for (segment, position) in manifest.segments.iter().zip(0u32..) {
                if !store.index().has_tags(segment.fragments[usize::from(column)], epoch)? {
                    missing.push(position);
                }
            }
            if !missing.is_empty() {
                return Ok(Err(Refusal::Missing(missing)));
            }
            // What is signed for survives power loss.
            store.index().sync_tags()?;
            Ok(Ok(manifest.id()))
        })
        .await??;
        Ok(self.key.sign(&tag_message(self.chain_id, file, column, self.account, &keys.key.digest())).0)
    }
}

fn read_keys(record: &EpochRecord) -> Result<EpochKeys, Refusal> {
    let key: &[u8; GROUP_KEY_BYTES] = record.key.as_slice().try_into().map_err(|_| {
        Refusal::failed(format!("the key of an epoch is {} B, expected {GROUP_KEY_BYTES} B", record.key.len()))
    })?;
    let key = GroupKey::decode(key).map_err(Refusal::failed)?;
    let srs = Srs::decode(&record.srs, &key).map_err(Refusal::failed)?;
    Ok(EpochKeys { key, srs })
}
