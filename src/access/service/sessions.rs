//! Buckets this gateway owns, open: an engine on the bucket's journal and tables, with its operations on top.
//!
//! Owns how the parts of an open bucket fit together. Must not know ownership. Invariants: the journal is this owner's before the engine
//! opens; an engine that failed, or whose journal has a newer owner, is given up and never answers again.

use super::{directory::Directory, journals::BucketJournals, routing::Outcome};
use crate::{
    access::{
        blobs::Scope,
        data::{Packs, seal::DataKey},
        engine::{Engine, EngineSettings, Journal},
        group::{BucketKey, ChainOwners, Executor, Grant, Holding, Members, OpId, Session, SessionFault, SwapFault},
        journal::{MinersLog, Wal},
        objects::{Bucket, BucketId, BucketSettings, ObjectsError, Op, Place, Reply},
        store::{ChainNames, FileCache, HeldNames, PackFiles, SegmentStore, StoreSettings},
    },
    client::{Namespace, Wallet},
    codec,
    crypto::hash,
    runtime::{Criticality, Node, Phase},
    storage::journal::JournalError,
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::sleep;
use zeroize::Zeroizing;

/// Ending of the names of tables, which are written once.
const TABLE_ENDING: &str = ".sst";
/// Pause before the chain is asked again what became of a change.
const SWAP_PAUSE: Duration = Duration::from_secs(1);
/// How long a bucket's last table may take when it is closed.
const CLOSE_PATIENCE: Duration = Duration::from_mins(1);
/// As long when the node stops: what is not written is in the journal.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// Where an engine lies in its store.
const ENGINE_PATH: &str = "bucket";

/// What open buckets stand on.
pub struct OpenerParts {
    /// This gateway's account, an operator of the buckets' owners.
    pub wallet: Wallet,
    /// Which gateway has which bucket open.
    pub owners: ChainOwners,
    /// Which buckets there are.
    pub directory: Arc<Directory>,
    /// Their journals.
    pub journals: BucketJournals,
    /// Files of tables.
    pub packs: Packs,
    /// Tables that were written or read lately.
    pub cache: FileCache,
    /// Shared by all engines.
    pub engines: EngineSettings,
    /// How long things are kept in buckets.
    pub buckets: BucketSettings,
    /// How long a table's file stays for readers after its name is gone.
    pub table_grace: Duration,
    /// The group's secret.
    pub secret: Zeroizing<[u8; 32]>,
}

/// Opens buckets.
pub struct Opener {
    node: Node,
    parts: OpenerParts,
    open: Mutex<BTreeMap<BucketKey, (Place, Weak<OpenBucket>)>>,
}

/// A bucket that is open here.
pub(super) struct OpenBucket {
    node: Node,
    grant: Grant,
    log: Arc<MinersLog>,
    bucket: Bucket,
    owners: ChainOwners,
    tending: Arc<AtomicBool>,
}

impl Opener {
    /// Opens buckets of these parts.
    pub fn new(node: &Node, parts: OpenerParts) -> Self {
        Self { node: node.clone(), parts, open: Mutex::default() }
    }

    /// Buckets that are open.
    pub fn places(&self) -> Vec<Place> {
        let mut open = self.open.lock();
        open.retain(|_, (_, session)| session.strong_count() > 0);
        open.values().map(|(place, _)| place.clone()).collect()
    }

    /// An open bucket.
    #[cfg(test)]
    pub(super) fn session(&self, place: &Place) -> Arc<OpenBucket> {
        let open = self.open.lock().values().find(|(open, _)| open == place).and_then(|(_, session)| session.upgrade());
        open.expect("the bucket is open")
    }

    /// Writes what is in memory of an open bucket to tables.
    #[cfg(test)]
    pub(super) async fn flush(&self, place: &Place) {
        self.session(place).bucket.flush().await.unwrap();
    }

    async fn place(&self, key: &BucketKey) -> Result<Place, SessionFault> {
        let found = self.parts.directory.by_id(key.owner(), BucketId(key.id())).await;
        let found = found.map_err(|error| SessionFault::Unavailable(error.to_string()))?;
        found.ok_or_else(|| SessionFault::Failed(format!("account {} has no bucket {key}", key.owner())))
    }

    /// Where a bucket's tables are.
    pub(super) fn tables(&self, key: &BucketKey) -> SegmentStore {
        let Opener { node, parts, .. } = self;
        let files = Arc::new(PackFiles::new(parts.packs.clone(), tables_scope(key)));
        let tables = Namespace::of(key.owner(), format!("db/{}/tables", hex::encode(key.id())));
        let names = Arc::new(ChainNames::new(parts.wallet.clone(), tables));
        let names = Arc::new(HeldNames::new(names, Engine::first_manifest(ENGINE_PATH)));
        let secret = hash::tagged("cess 2026 bucket tables v1", &[&parts.secret[..], &key.id()]);
        let settings =
            StoreSettings { key: Some(DataKey::new(secret)), grace: parts.table_grace, fixed: &[TABLE_ENDING] };
        SegmentStore::new(node, files, names, Some(parts.cache.clone()), settings)
    }

    async fn open_engine(&self, key: &BucketKey, log: &Arc<MinersLog>) -> Result<Engine, SessionFault> {
        let Opener { node, parts, .. } = self;
        let store = self.tables(key);
        let wal = Wal::new(&node.tasks, log.clone());
        let journal = Journal { writer: wal.writer(), gc: wal.gc() };
        let engine = Engine::open(ENGINE_PATH, Arc::new(store), Some(journal), &parts.engines).await;
        engine.map_err(|error| SessionFault::Unavailable(error.to_string()))
    }
}

#[async_trait]
impl Executor for Opener {
    async fn knows(&self, bucket: &BucketKey) -> Result<(), SessionFault> {
        self.place(bucket).await.map(drop)
    }

    async fn open(&self, grant: Grant) -> Result<Arc<dyn Session>, SessionFault> {
        let (key, epoch) = (grant.bucket, grant.epoch);
        let opened = self.open_bucket(grant).await;
        opened.inspect_err(|error| tracing::warn!(bucket = %key, epoch, %error, "a bucket was not opened"))
    }
}

impl Opener {
    async fn open_bucket(&self, grant: Grant) -> Result<Arc<dyn Session>, SessionFault> {
        let key = grant.bucket;
        let place = self.place(&key).await?;
        let journals = &self.parts.journals;
        let log = MinersLog::new(journals.client().clone(), journals.id(&key), grant.members, grant.epoch);
        let log = Arc::new(log);
        log.take().await.map_err(|error| fault(&error))?;
        let engine = self.open_engine(&key, &log).await?;
        let bucket = Bucket::open(&self.node, &place, engine, self.parts.buckets.clone()).await;
        let bucket = bucket.map_err(|error| SessionFault::Unavailable(error.to_string()))?;
        tracing::info!(bucket = %place.name, epoch = grant.epoch, "bucket opened");
        let (node, owners, tending) = (self.node.clone(), self.parts.owners.clone(), Arc::default());
        let session = Arc::new(OpenBucket { node, grant, log, bucket, owners, tending });
        self.open.lock().insert(key, (place, Arc::downgrade(&session)));
        Ok(session)
    }
}

impl OpenBucket {
    /// Puts another miner in the place of one that fails, in the background, one at a time.
    fn care_for_journal(&self) {
        if !self.log.ails() || self.tending.swap(true, Ordering::AcqRel) {
            return;
        }
        let (log, tending, holding) = (self.log.clone(), self.tending.clone(), self.grant.holding.clone());
        self.node.tasks.spawn(Phase::Produce, "journal of a bucket", Criticality::Optional, async move {
            match log.tend(|members| noted(holding.clone(), members)).await {
                Ok(true) => tracing::info!(members = ?log.members(), "a miner of a journal was replaced"),
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "a miner of a journal was not replaced"),
            }
            tending.store(false, Ordering::Release);
            Ok(())
        });
    }
}

/// Files of a bucket's tables: apart from its bodies, so that what nobody names can be told by one list each.
pub(super) fn tables_scope(key: &BucketKey) -> Scope {
    let own = hash::tagged("cess 2026 bucket tables scope v1", &[&key.id()]);
    Scope::new(key.owner(), *own.first_chunk().expect("a digest is longer than an id"))
}

/// Whether the chain has noted the journal's new members. Until that is known, both sets of miners have to be kept.
async fn noted(holding: Arc<Holding>, members: Members) -> bool {
    loop {
        match holding.move_journal(&members).await {
            Ok(()) => return true,
            Err(SwapFault::Conflict | SwapFault::Refused(_)) => return false,
            Err(SwapFault::Unknown(_)) => sleep(SWAP_PAUSE).await,
        }
    }
}

#[async_trait]
impl Session for OpenBucket {
    async fn execute(&self, id: OpId, op: Bytes) -> Result<Bytes, SessionFault> {
        let op: Op = codec::decode(&op).map_err(|error| SessionFault::Failed(error.to_string()))?;
        let outcome = self.bucket.execute_once(id, op).await;
        if matches!(outcome, Err(ObjectsError::Unavailable { .. })) && !self.bucket.is_usable() {
            return Err(SessionFault::Broken("its engine failed".to_owned()));
        }
        Ok(codec::encode(&Outcome(outcome)).into())
    }

    fn is_upkeep(&self, op: &[u8]) -> bool {
        Op::is_upkeep(op)
    }

    async fn touch(&self) -> Result<(), SessionFault> {
        // Before the confirmation, which does not come if two of its miners are gone.
        self.care_for_journal();
        self.log.confirm().await.map_err(|error| fault(&error))
    }

    async fn close(&self) {
        // When the node stops there is not much time, and the next life opens the bucket again.
        let stopping = self.node.tasks.is_stopping();
        let done = !stopping && self.bucket.execute(Op::Outlook).await == Ok(Reply::Busy(false));
        if let Err(error) = self.bucket.close(if stopping { STOP_PATIENCE } else { CLOSE_PATIENCE }).await {
            tracing::debug!(%error, "a bucket was not closed in order, its journal has everything");
        } else if done && let Err(error) = self.owners.closed(&self.grant.bucket).await {
            tracing::debug!(%error, "a bucket that is closed is still noted as open");
        }
    }

    async fn abandon(&self) {
        self.bucket.abandon().await;
    }
}

fn fault(error: &JournalError) -> SessionFault {
    match error {
        JournalError::Fenced { .. } => SessionFault::Fenced,
        JournalError::Lost { .. } => SessionFault::Failed(error.to_string()),
        _ => SessionFault::Unavailable(error.to_string()),
    }
}
