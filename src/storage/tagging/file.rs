//! Tagging one file: segment by segment, every column that waits, at all their holders.

use super::TagMaker;
use crate::{
    client::ChainError,
    crypto::{PublicKey, Signature},
    ledger::audit::tag_message,
    network::PeerId,
    proofs::{Fragment, podr2::GroupKey},
    runtime::{Node, Worker},
    storage::{
        DataClient, MinerDirectory,
        audit::{FileEntry, Holdings, IndexError, OpenEpoch},
        fetch::{FetchError, Fetcher, FileSource},
        peer_of,
    },
    types::{Address, ChainId, FileId, FragmentId, params::FRAGMENTS},
};
use bytes::Bytes;
use futures::future::join_all;
use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

/// Longest wait until a miner has checked and kept the tags of a fragment, or signed for a column.
const MINER_DEADLINE: Duration = Duration::from_secs(60);

/// Why a file was not tagged.
#[derive(Debug, thiserror::Error)]
pub enum TagFileError {
    /// The index failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The chain did not say who holds it.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Its data cannot be had.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// No tags were made.
    #[error("fragment {fragment} cannot be tagged: {reason}")]
    Tag { fragment: FragmentId, reason: String },
}

/// What tags files.
#[derive(Clone)]
pub(super) struct FileTagger {
    pub node: Node,
    pub chain_id: ChainId,
    pub holdings: Holdings,
    pub directory: MinerDirectory,
    pub data: DataClient,
    pub fetcher: Fetcher,
    pub maker: Arc<dyn TagMaker>,
}

/// Columns of a file that have tags, with their holders' signatures in the order of the columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub file: FileId,
    pub columns: u16,
    pub signatures: Vec<u8>,
}

/// A column under way.
struct Target {
    column: usize,
    holder: Address,
    account_key: PublicKey,
    peer: PeerId,
}

impl FileTagger {
    /// Tags the columns of `entry` that wait. Those whose holder fails are left out.
    pub async fn tag(
        &self,
        file: FileId,
        entry: &FileEntry,
        epoch: &OpenEpoch,
        worker: &Worker,
    ) -> Result<Option<Certificate>, TagFileError> {
        let began = Instant::now();
        let (manifest, encoded) =
            self.holdings.read(move |index| Ok((index.manifest(&file)?, index.manifest_bytes(&file)?))).await?;
        let holders = entry.holders();
        let source = FileSource::resolve(&self.directory, Arc::new(manifest), &holders).await?;
        let mut targets = self.targets(entry, &holders).await?;
        let segments = source.manifest.segments.clone();
        let (mut seen, mut bytes) = (BTreeSet::new(), 0u64);
        for (number, segment) in segments.iter().enumerate() {
            worker.progress(count(number), count(segments.len()));
            if targets.is_empty() {
                return Ok(None);
            }
            if seen.insert(segment.id) {
                bytes += segment.fragment_len().saturating_mul(count(targets.len()));
                targets = self.tag_segment(&source, number, targets, epoch).await?;
            }
        }
        let certificate = self.sign_off(file, &encoded, targets, epoch).await;
        let millis = began.elapsed().as_millis().max(1);
        let columns = certificate.as_ref().map_or(0, |certificate| certificate.columns.count_ones());
        // Bytes for a thousandth of a second are thousands for a second.
        let rate = u128::from(bytes) / millis / 1_000;
        tracing::info!(%file, columns, bytes, millis, mb_per_second = %rate, "tagged");
        Ok(certificate)
    }

    async fn targets(&self, entry: &FileEntry, holders: &[Address]) -> Result<Vec<Target>, ChainError> {
        let records = self.directory.find(holders).await?;
        let target = |column: usize| {
            let record = records.get(column)?.as_ref()?;
            let (holder, account_key) = (record.address, PublicKey(record.account_key));
            Some(Target { column, holder, account_key, peer: peer_of(record)? })
        };
        Ok(entry.untagged().into_iter().filter_map(target).collect())
    }

    /// Tags a segment's fragments and hands them over; returns the targets that took theirs.
    async fn tag_segment(
        &self,
        source: &FileSource,
        number: usize,
        targets: Vec<Target>,
        epoch: &OpenEpoch,
    ) -> Result<Vec<Target>, TagFileError> {
        let columns: Vec<usize> = targets.iter().map(|target| target.column).collect();
        let pieces = self.fetcher.fragments(source, number, &columns).await?;
        let (ids, maker, key) = (source.manifest.segments[number].fragments, self.maker.clone(), epoch.key);
        let tagged = self.node.pool.run_in_background(move || {
            pieces
                .into_iter()
                .map(|(column, data)| Ok((column, tags(maker.as_ref(), &key, ids[column], &data)?)))
                .collect::<Result<Vec<(usize, Bytes)>, TagFileError>>()
        });
        let tagged = tagged.await?;
        let sends = targets.into_iter().map(|target| {
            let tags = tagged.iter().find(|(column, _)| *column == target.column).map(|(_, tags)| tags.clone());
            self.hand_over(target, ids, tags.unwrap_or_default(), epoch.number)
        });
        Ok(join_all(sends).await.into_iter().flatten().collect())
    }

    async fn hand_over(&self, target: Target, ids: [FragmentId; FRAGMENTS], tags: Bytes, epoch: u64) -> Option<Target> {
        let id = ids[target.column];
        match self.data.tags(target.peer, id, epoch, tags, MINER_DEADLINE).await {
            Ok(()) => Some(target),
            Err(error) => {
                tracing::debug!(holder = %target.holder, fragment = %id, %error, "tags were not taken");
                None
            }
        }
    }

    /// Has the holders sign that they have good tags.
    async fn sign_off(
        &self,
        file: FileId,
        manifest: &[u8],
        targets: Vec<Target>,
        epoch: &OpenEpoch,
    ) -> Option<Certificate> {
        let digest = epoch.key.digest();
        let receipt = |target: Target| async move {
            let column = u8::try_from(target.column).ok()?;
            let signed = self.data.tag_receipt(target.peer, column, epoch.number, manifest, MINER_DEADLINE).await;
            let message = tag_message(self.chain_id, file, column, target.holder, &digest);
            match signed {
                Ok(signature) if target.account_key.verify(&message, &Signature(signature)).is_ok() => {
                    Some((target.column, signature))
                }
                Ok(_) => {
                    tracing::warn!(holder = %target.holder, %file, "a receipt for tags is not signed by its holder");
                    None
                }
                Err(error) => {
                    tracing::debug!(holder = %target.holder, %file, %error, "a holder does not sign for tags");
                    None
                }
            }
        };
        let mut receipts: Vec<(usize, [u8; 64])> =
            join_all(targets.into_iter().map(receipt)).await.into_iter().flatten().collect();
        receipts.sort_unstable_by_key(|(column, _)| *column);
        let columns = receipts.iter().fold(0u16, |columns, (column, _)| columns | 1 << column);
        let signatures = receipts.iter().flat_map(|(_, signature)| *signature).collect();
        (columns != 0).then_some(Certificate { file, columns, signatures })
    }
}

/// The tags of a fragment, one after the other.
fn tags(maker: &dyn TagMaker, key: &GroupKey, id: FragmentId, data: &[u8]) -> Result<Bytes, TagFileError> {
    let failed = |reason: String| TagFileError::Tag { fragment: id, reason };
    let fragment = Fragment::new(id, count(data.len())).map_err(|error| failed(error.to_string()))?;
    let tags = maker.tag(&key.digest(), fragment, data).map_err(failed)?;
    Ok(tags.iter().flat_map(|tag| tag.0).collect::<Vec<u8>>().into())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).expect("a length fits 64 bits")
}
