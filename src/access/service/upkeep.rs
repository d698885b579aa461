//! What is done for the buckets that are open here, and for those that were deleted here, whether anybody asks or not.
//!
//! Owns the tasks: rounds of lifecycle and garbage, the search for files that nobody names, noting packs that became files, and the ends of
//! buckets. Must not know what a round does. Invariants: a bucket that fails is tried again in the next round, and keeps no other
//! waiting; a file goes only after the bucket that it says it belongs to had no use for it for [`STRAY_MS`].

use super::{
    directory::Directory,
    endings::Endings,
    left_open::LeftOpen,
    routing::key,
    sessions::{Opener, tables_scope},
};
use crate::{
    access::{
        blobs::{Blobs, PackOutcome},
        data::{FoundPack, Packs},
        objects::{BucketId, Maintained, Objects, ObjectsError, Place},
    },
    client::ChainClient,
    runtime::{Criticality, Node, Phase, Worker},
    types::{Address, FileId, Height, Params},
};
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::broadcast::error::RecvError, time::sleep};

/// Time between two rounds.
const ROUND: Duration = Duration::from_secs(60);
/// How long a file may be without a name: longer than it takes to give it one.
const STRAY_MS: u64 = 60 * 60 * 1_000;
/// Files of an account that are looked at in one round.
const STRAYS_PAGE: u64 = 200;

/// What rounds work on.
pub(super) struct Upkeep {
    pub objects: Objects,
    pub opener: Arc<Opener>,
    pub directory: Arc<Directory>,
    pub endings: Arc<Endings>,
    pub left: LeftOpen,
    pub packs: Packs,
    pub chain: Arc<dyn ChainClient>,
    pub worker: Worker,
    /// How many files of each account were looked at.
    pub looked: Mutex<BTreeMap<Address, u64>>,
}

impl Upkeep {
    /// Buckets are looked after from now on.
    pub fn start(self: Arc<Self>, node: &Node) {
        let (upkeep, stop) = (self.clone(), node.tasks.stopping(Phase::Produce));
        node.tasks.spawn(Phase::Produce, "bucket upkeep", Criticality::Critical, async move {
            // The first one at once: buckets may have been left open.
            let rounds = async {
                loop {
                    upkeep.round().await;
                    sleep(ROUND).await;
                }
            };
            stop.run_until_cancelled(rounds).await;
            Ok(())
        });
        let (upkeep, stop) = (self.clone(), node.tasks.stopping(Phase::Produce));
        node.tasks.spawn(Phase::Produce, "deleted buckets", Criticality::Critical, async move {
            let mut stopped = false;
            while !stopped {
                if let Err(reason) = upkeep.endings.round().await {
                    upkeep.worker.error(reason);
                }
                let next = async {
                    tokio::select! { () = upkeep.endings.woken() => {}, () = sleep(ROUND) => {} }
                };
                stopped = stop.run_until_cancelled(next).await.is_none();
            }
            Ok(())
        });
        let mut outcomes = self.packs.outcomes();
        let stop = node.tasks.stopping(Phase::Produce);
        node.tasks.spawn(Phase::Produce, "packs of buckets", Criticality::Critical, async move {
            while let Some(outcome) = stop.run_until_cancelled(outcomes.recv()).await {
                match outcome {
                    Ok(outcome) => self.note(&outcome).await,
                    // A round of the bucket finds what was missed here.
                    Err(RecvError::Lagged(missed)) => tracing::debug!(missed, "outcomes of packs were missed"),
                    Err(RecvError::Closed) => break,
                }
            }
            Ok(())
        });
    }

    /// Buckets that were left open are opened; lifecycle, garbage and packs of each open bucket; and a stretch of the files of its account.
    pub async fn round(&self) {
        if let Err(reason) = self.left.round(&self.objects, &self.directory, &self.opener).await {
            self.worker.error(reason);
        }
        let places = self.opener.places();
        for place in &places {
            self.worker.busy(format!("bucket {}", place.name));
            match self.maintain(place).await {
                Ok((done, busy)) => tracing::debug!(bucket = %place.name, ?done, busy, "a bucket's round"),
                Err(error) => self.worker.error(format!("bucket {}: {error}", place.name)),
            }
        }
        let owners: BTreeSet<Address> = places.iter().map(|place| place.owner.into()).collect();
        for owner in owners {
            if let Err(error) = self.look_for_strays(owner, &places).await {
                self.worker.error(format!("files of account {owner}: {error}"));
            }
        }
        self.worker.idle();
    }

    async fn maintain(&self, place: &Place) -> Result<(Maintained, bool), ObjectsError> {
        Ok((self.objects.maintain(place).await?, self.objects.stay_open(place).await?))
    }

    /// Looks through some files of an account for packs that no bucket or table names any more.
    async fn look_for_strays(&self, owner: Address, places: &[Place]) -> Result<(), ObjectsError> {
        let grace = self.stray_blocks().await?;
        let skip = self.looked.lock().get(&owner).copied().unwrap_or(0);
        let page = self.packs.old_packs(owner, (skip, STRAYS_PAGE), grace, |_| true).await?;
        self.looked.lock().insert(owner, page.next.unwrap_or(0));
        for place in places.iter().filter(|place| Address::from(place.owner) == owner) {
            let tables = tables_scope(&key(place));
            for found in page.packs.iter().filter(|found| found.scope.bucket == place.id.0) {
                self.claim(place, found).await?;
            }
            let files = page.packs.iter().filter(|found| found.scope == tables).map(|found| found.file);
            self.remove_unnamed(place, files.collect()).await?;
        }
        Ok(())
    }

    /// Tells a bucket of a file of it. If the bucket has another one with all that is in this one, this one goes.
    async fn claim(&self, place: &Place, found: &FoundPack) -> Result<(), ObjectsError> {
        let FoundPack { file, pack, scope } = *found;
        let Some(other) = self.objects.claim(place, pack, file).await? else { return Ok(()) };
        match self.packs.is_covered(file, other).await? {
            true => Ok(self.packs.remove(scope.owner(), file).await?),
            false => {
                let reason = format!("bucket {}: pack {pack} is two files, {file} and {other}", place.name);
                self.worker.error(reason);
                Ok(())
            }
        }
    }

    /// Removes tables that have no name.
    async fn remove_unnamed(&self, place: &Place, files: Vec<FileId>) -> Result<(), ObjectsError> {
        if files.is_empty() {
            return Ok(());
        }
        let named = self.opener.tables(&key(place)).named_files().await;
        let named = named.map_err(|error| ObjectsError::Unavailable { reason: error.to_string() })?;
        for file in files.into_iter().filter(|file| !named.contains(file)) {
            tracing::info!(bucket = %place.name, %file, "a table that has no name is removed");
            self.packs.remove(place.owner.into(), file).await?;
        }
        Ok(())
    }

    /// How many blocks can at most be made in [`STRAY_MS`].
    async fn stray_blocks(&self) -> Result<Height, ObjectsError> {
        let status = self.chain.status().await;
        let status = status.map_err(|error| ObjectsError::Unavailable { reason: error.to_string() })?;
        Ok(STRAY_MS.div_ceil(Params::of(status.profile).block_interval_ms.max(1)))
    }

    async fn note(&self, outcome: &PackOutcome) {
        let id = BucketId(outcome.scope.bucket);
        if !outcome.lost.is_empty() {
            // Nobody can bring them back. The rest of the pack lives on, and reads of what is gone say so.
            let (count, pack, bucket) = (outcome.lost.len(), outcome.pack, hex::encode(id.0));
            let reason = format!("bucket {bucket}: {count} segments of pack {pack} were lost before it was a file");
            self.worker.error(reason);
        }
        let open = self.opener.places().into_iter().find(|place| place.id == id);
        let place: Option<Place> = match open {
            Some(place) => Some(place),
            None => self.directory.by_id(outcome.scope.owner(), id).await.ok().flatten(),
        };
        let Some(place) = place else { return };
        if let Err(error) = self.objects.note_outcome(&place, outcome).await {
            tracing::debug!(bucket = %place.name, pack = %outcome.pack, %error, "a pack's file is noted in a later round");
        }
    }
}
