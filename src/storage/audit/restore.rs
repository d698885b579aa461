//! Filling the index from the chain's state, where the events it would be built from are gone: a node that began with a state has none of
//! before.
//!
//! Miners, their holdings, tags and key epochs are in the state; manifests are not, but a file's id is the hash of its manifest, so that any other verifier may
//! give it. Must not know verdicts. Invariants: what is read may be newer than the block that following goes on from, since every effect
//! may happen twice; rounds that opened before all of it was read are never judged; without a manifest that is needed nothing is taken over.

use super::{
    follow::Holdings,
    index::{HoldingsIndex, IndexError, PAGE_ENTRIES},
    records::{EpochEntry, FileEntry, Hold, Restored, hold_key, key, prefix},
    views::{self, ask},
};
use crate::{
    client::{ChainClient, ChainError, FileRecord, tags_of},
    codec,
    crypto::hash::content,
    kv::{Batch, Column, Durability},
    ledger::abi::{IMiners, ITee, MINERS, TEE},
    network::{Network, PeerId, Protocol, RequestHandler},
    runtime::Worker,
    types::{Address, FileId, Height, params::FRAGMENTS},
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{collections::BTreeSet, time::Duration};

/// Verifiers give each other manifests.
pub const MANIFESTS: Protocol = Protocol("/cess/manifest/1");
/// Longest wait for one manifest: 1.7 MiB.
const FETCH_DEADLINE: Duration = Duration::from_secs(15);
/// Files asked for at a time; the interface's own bound.
const PAGE: u64 = 1_000;
/// State of an epoch that is open, and of one that is suspended.
const EPOCH_OPEN: u8 = 0;
const EPOCH_SUSPENDED: u8 = 2;
/// State of a miner that was forced out.
const MINER_LOST: u8 = 2;

/// Why the index could not be filled now.
#[derive(Debug, thiserror::Error)]
pub(super) enum RestoreError {
    /// The chain did not say.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The disk failed.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// Nobody has a manifest.
    #[error(
        "the manifest of file {file}, stored in block {stored_at} and so before the history of this node, is not at any of {asked} other \
         verifiers: this node verifies nothing until it is"
    )]
    NoManifest { file: FileId, stored_at: Height, asked: usize },
}

/// Answers other verifiers.
pub(super) struct Manifests(pub(super) Holdings);

#[async_trait]
impl RequestHandler for Manifests {
    async fn handle(&self, _from: PeerId, body: Bytes) -> Result<Bytes, String> {
        let id: [u8; 32] = body.as_ref().try_into().map_err(|_| "a request of a manifest has 32 B".to_owned())?;
        let file = FileId(id);
        self.0.read(move |index| index.manifest_bytes(&file)).await.map(Bytes::from).map_err(|error| error.to_string())
    }
}

/// Takes over what the state says; gives the block that following goes on from.
pub(super) async fn restore(
    chain: &dyn ChainClient,
    network: &dyn Network,
    index: &HoldingsIndex,
    worker: &Worker,
) -> Result<Height, RestoreError> {
    let from = chain.status().await?.height;
    worker
        .busy(format!("takes over what miners hold from the state of block {from}: this node has no events of before"));
    index.clear()?;
    epochs(chain, index, from).await?;
    let miners = chain.miners().await?;
    let mut files = BTreeSet::new();
    for miner in &miners {
        if miner.state != MINER_LOST {
            index.put(key(prefix::MINER, &[miner.address.as_slice()]), miner.since.to_be_bytes())?;
        }
        holdings(chain, miner.address, &mut files).await?;
    }
    let peers = others(chain, network).await?;
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    for (done, file) in files.iter().enumerate() {
        worker.progress(count(done), count(files.len()));
        // A file that went meanwhile is not held any more.
        let Some(record) = chain.file(*file).await? else { continue };
        let manifest = manifest(chain, network, &peers, &record).await?;
        take_file(chain, index, &record, from, &manifest).await?;
    }
    let read_at = chain.status().await?.height;
    index.write(&[prefix::RESTORED], &Restored { height: read_at })?;
    index.set_height(from)?;
    let next = index.rounds().at(read_at) + 1;
    tracing::info!(
        files = files.len(),
        miners = miners.len(),
        from,
        "holdings taken over from the state, verifying begins with round {next}"
    );
    Ok(from)
}

async fn epochs(chain: &dyn ChainClient, index: &HoldingsIndex, from: Height) -> Result<(), RestoreError> {
    for number in 0..ask(chain, TEE, ITee::epochsCall {}).await? {
        let epoch = ask(chain, TEE, ITee::epochCall { number }).await?;
        let suspended = (epoch.state == EPOCH_SUSPENDED).then_some(from);
        let entry = EpochEntry { key: epoch.key.to_vec(), open: epoch.state == EPOCH_OPEN, suspended };
        index.write(&key(prefix::EPOCH, &[&number.to_be_bytes()]), &entry)?;
    }
    Ok(())
}

async fn holdings(chain: &dyn ChainClient, miner: Address, files: &mut BTreeSet<FileId>) -> Result<(), ChainError> {
    let mut skip = 0;
    loop {
        let page = ask(chain, MINERS, IMiners::holdingsCall { account: miner, skip, limit: PAGE }).await?;
        let count = u64::try_from(page.len()).unwrap_or(PAGE);
        files.extend(page.into_iter().map(FileId::from));
        if count < PAGE {
            return Ok(());
        }
        skip += count;
    }
}

/// Every other verifier that can be reached.
async fn others(chain: &dyn ChainClient, network: &dyn Network) -> Result<Vec<PeerId>, ChainError> {
    let members = views::everybody(chain).await?;
    let peers = views::peers_of(chain, &members).await?;
    Ok(peers.into_iter().filter(|peer| *peer != network.local_peer()).collect())
}

async fn manifest(
    chain: &dyn ChainClient,
    network: &dyn Network,
    peers: &[PeerId],
    record: &FileRecord,
) -> Result<Bytes, RestoreError> {
    let is_right = |bytes: &[u8]| content(bytes) == record.id.0;
    // Younger than this node's history, or an error that says that it is not.
    if let Ok(Some(bytes)) = chain.manifest(record.id).await
        && is_right(&bytes)
    {
        return Ok(bytes.0);
    }
    for peer in peers {
        let request = Bytes::copy_from_slice(record.id.as_bytes());
        match network.request(*peer, MANIFESTS, request, FETCH_DEADLINE).await {
            Ok(bytes) if is_right(&bytes) => return Ok(bytes),
            Ok(_) => tracing::warn!(%peer, file = %record.id, "a verifier gave something else than the manifest"),
            Err(error) => tracing::debug!(%peer, file = %record.id, %error, "a verifier gave no manifest"),
        }
    }
    Err(RestoreError::NoManifest { file: record.id, stored_at: record.stored_at, asked: peers.len() })
}

/// Everything of a file counts as held, and tagged, since `from`: rounds that opened before are not judged.
async fn take_file(
    chain: &dyn ChainClient,
    index: &HoldingsIndex,
    record: &FileRecord,
    from: Height,
    manifest: &Bytes,
) -> Result<(), RestoreError> {
    let Ok(holders) = <[Address; FRAGMENTS]>::try_from(record.holders.as_slice()) else { return Ok(()) };
    let tagged = tags_of(chain, record.id).await?;
    let untagged_since = tagged.iter().any(Option::is_none).then_some(from);
    let mut batch = Batch::new();
    for ((column, holder), epoch) in (0u8..).zip(&holders).zip(tagged) {
        let tags = epoch.map(|epoch| (from, epoch)).into_iter().collect();
        let hold = Hold { column, until: None, tags };
        batch.put(Column::Holdings, hold_key(holder, &record.id, from), codec::encode(&hold));
    }
    let entry =
        FileEntry { holders: holders.map(|holder| holder.0.0), since: [from; FRAGMENTS], tagged, untagged_since };
    batch.put(Column::Holdings, key(prefix::FILE, &[record.id.as_bytes()]), codec::encode(&entry));
    if untagged_since.is_some() {
        batch.put(Column::Holdings, key(prefix::UNTAGGED, &[&from.to_be_bytes(), record.id.as_bytes()]), []);
    }
    batch.put(Column::Holdings, key(prefix::MANIFEST, &[record.id.as_bytes()]), manifest.as_ref());
    index.kv.write(batch, Durability::Buffered).map_err(IndexError::from)?;
    Ok(())
}

impl HoldingsIndex {
    /// First round that may be judged: those before may be about what this index does not know.
    pub fn first_round(&self) -> Result<u64, IndexError> {
        let restored: Option<Restored> = self.read(&[prefix::RESTORED])?;
        Ok(restored.map_or(0, |restored| self.rounds().at(restored.height) + 1))
    }

    /// Forgets everything: what was known before the gap may have ended in it.
    fn clear(&self) -> Result<(), IndexError> {
        loop {
            let page = self.kv.scan(Column::Holdings, b"", b"", PAGE_ENTRIES)?;
            let mut batch = Batch::new();
            page.into_iter().for_each(|(key, _)| batch.delete(Column::Holdings, key));
            if batch.ops.is_empty() {
                return Ok(());
            }
            self.kv.write(batch, Durability::Buffered)?;
        }
    }

    fn put(&self, key: Vec<u8>, value: impl Into<Vec<u8>>) -> Result<(), IndexError> {
        let mut batch = Batch::new();
        batch.put(Column::Holdings, key, value);
        Ok(self.kv.write(batch, Durability::Buffered)?)
    }
}
