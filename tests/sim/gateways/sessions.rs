//! Buckets that are open at a gateway, put together as the product puts them together (`access/service/sessions.rs`), over twins of the
//! chain and of the data miners; and the way of operations to them.
//!
//! Must not know what operations mean.

use super::{
    chain::ChainDoor,
    depot::Depot,
    gateway::{Sabotage, bucket_settings},
    packer::{Packer, TableFiles},
    sometimes::Sometimes,
    witness::Witness,
};
use crate::machine::{now, until};
use async_trait::async_trait;
use borsh::{BorshDeserialize, BorshSerialize};
use bytes::Bytes;
use cess::{
    access::{
        blobs::StoredBody,
        data::seal::DataKey,
        engine::{Engine, EngineSettings, Journal},
        group::{
            BucketKey, Executor, Gateways, Grant, GroupError, Holding, Members, OpId, Session, SessionFault, SwapFault,
        },
        journal::{MinersLog, Wal},
        objects::{
            Bucket, BucketId, BucketKeys, BucketName, ObjectsError, Op, Place, Reply, Router,
            op::{Bytes as Contents, OP_MAX_BYTES},
        },
        service::BucketJournals,
        store::{FileCache, SegmentStore, StoreSettings},
    },
    codec::{self, Wire},
    crypto::hash,
    runtime::{Criticality, Node, Phase},
    storage::journal::{JournalClient, JournalError, JournalId},
    types::{Address, B256},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The chain's genesis.
pub const GENESIS: B256 = B256::repeat_byte(7);
/// How long an operation may take, a take-over included.
pub const OP_DEADLINE: Duration = Duration::from_secs(20);
/// How long a table's file stays for readers after its name is gone.
pub const TABLE_GRACE: Duration = Duration::from_secs(8);
/// Pause before the chain is asked again what became of a change.
const SWAP_PAUSE: Duration = Duration::from_secs(1);
/// How long a bucket's last table may take when it is closed.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// What open buckets of a gateway stand on.
pub struct OpenerParts {
    pub gateway: usize,
    pub chain: ChainDoor,
    pub journals: JournalClient,
    pub packer: Packer,
    pub cache: FileCache,
    pub engines: EngineSettings,
    pub places: Arc<Vec<Place>>,
    pub sabotage: Option<Sabotage>,
    pub witness: Arc<Witness>,
}

/// Opens buckets.
pub struct Opener {
    node: Node,
    parts: OpenerParts,
    open: Mutex<BTreeMap<BucketKey, (Place, Weak<OpenBucket>)>>,
}

/// A bucket that is open.
pub struct OpenBucket {
    node: Node,
    grant: Grant,
    log: Arc<MinersLog>,
    bucket: Bucket,
    tending: Arc<AtomicBool>,
    gateway: usize,
    witness: Arc<Witness>,
    sabotage: Option<Sabotage>,
}

/// The group's name of a bucket.
pub fn key_of(place: &Place) -> BucketKey {
    BucketKey::new(place.owner.into(), place.id.0)
}

impl Opener {
    /// Opens buckets of these parts.
    pub fn new(node: &Node, parts: OpenerParts) -> Self {
        Self { node: node.clone(), parts, open: Mutex::default() }
    }

    /// Buckets that are open.
    pub fn open(&self) -> Vec<(Place, Arc<OpenBucket>)> {
        let open = self.open.lock();
        open.values().filter_map(|(place, session)| Some((place.clone(), session.upgrade()?))).collect()
    }

    async fn open_engine(&self, key: &BucketKey, log: &Arc<MinersLog>) -> Result<Engine, SessionFault> {
        let Opener { node, parts, .. } = self;
        let files = Arc::new(TableFiles::new(parts.packer.clone(), key.owner()));
        let names = Arc::new(parts.chain.tables(*key));
        let secret = hash::tagged("cess 2026 simulated tables", &[&key.id()]);
        let settings = StoreSettings { key: Some(DataKey::new(secret)), grace: TABLE_GRACE, fixed: &[".sst"] };
        let store = SegmentStore::new(node, files, names, Some(parts.cache.clone()), settings);
        let wal = Wal::new(&node.tasks, log.clone());
        let journal = Journal { writer: wal.writer(), gc: wal.gc() };
        let engine = Engine::open("bucket", Arc::new(store), Some(journal), &parts.engines).await;
        engine.map_err(|error| SessionFault::Unavailable(error.to_string()))
    }
}

#[async_trait]
impl Executor for Opener {
    async fn open(&self, grant: Grant) -> Result<Arc<dyn Session>, SessionFault> {
        let Opener { node, parts, .. } = self;
        let key = grant.bucket;
        let place =
            parts.places.iter().find(|place| key_of(place) == key).cloned().expect("only our buckets are asked for");
        let id = JournalId::of(GENESIS, &key.id());
        let log = Arc::new(MinersLog::new(parts.journals.clone(), id, grant.members, grant.epoch));
        log.take().await.map_err(|error| fault(&error))?;
        let engine = self.open_engine(&key, &log).await?;
        let bucket = Bucket::open(node, &place, engine, bucket_settings(parts.sabotage)).await;
        let bucket = bucket.map_err(|error| SessionFault::Unavailable(error.to_string()))?;
        parts.witness.note(&format!("g{} opened `{}` in epoch {}", parts.gateway, place.name, grant.epoch));
        let session = Arc::new(OpenBucket {
            node: node.clone(),
            grant,
            log,
            bucket,
            tending: Arc::default(),
            gateway: parts.gateway,
            witness: parts.witness.clone(),
            sabotage: parts.sabotage,
        });
        self.open.lock().insert(key, (place, Arc::downgrade(&session)));
        Ok(session)
    }
}

impl OpenBucket {
    /// Whether every miner of its journal does what is asked.
    pub fn is_sound(&self) -> bool {
        self.bucket.is_usable() && self.log.journal().is_some_and(|journal| journal.ailing().is_empty())
    }

    /// Miners of its journal.
    pub fn members(&self) -> Members {
        self.log.members()
    }

    /// Writes tables now.
    pub async fn flush(&self) -> Result<(), ObjectsError> {
        self.bucket.flush().await
    }

    /// Puts another miner in the place of one that fails, in the background, one at a time.
    fn care_for_journal(&self) {
        if !self.log.ails() || self.tending.swap(true, Ordering::AcqRel) {
            return;
        }
        let (log, tending, holding) = (self.log.clone(), self.tending.clone(), self.grant.holding.clone());
        self.node.tasks.spawn(Phase::Produce, "journal of a bucket", Criticality::Optional, async move {
            // What fails is tried again with the next renewal of the lease.
            let _ = log.tend(|members| noted(holding.clone(), members)).await;
            tending.store(false, Ordering::Release);
            Ok(())
        });
    }
}

/// Whether the chain has noted the journal's new members.
async fn noted(holding: Arc<Holding>, members: Members) -> bool {
    loop {
        match holding.move_journal(&members).await {
            Ok(()) => return true,
            Err(SwapFault::Conflict | SwapFault::Refused(_)) => return false,
            Err(SwapFault::Unknown(_)) => until(now() + SWAP_PAUSE).await,
        }
    }
}

#[async_trait]
impl Session for OpenBucket {
    async fn execute(&self, id: OpId, op: Bytes) -> Result<Bytes, SessionFault> {
        let Asked { gateway, op } = codec::decode(&op).map_err(|error| SessionFault::Failed(error.to_string()))?;
        if usize::try_from(gateway) != Ok(self.gateway) {
            self.witness.count(Sometimes::Forwarded);
        }
        let outcome = self.bucket.execute_once(id, op).await;
        if matches!(outcome, Err(ObjectsError::Unavailable { .. })) && !self.bucket.is_usable() {
            return Err(SessionFault::Broken("its engine failed".to_owned()));
        }
        Ok(codec::encode(&Outcome(outcome)).into())
    }

    async fn touch(&self) -> Result<(), SessionFault> {
        if self.sabotage == Some(Sabotage::LeaseWithoutMiners) {
            return Ok(());
        }
        self.care_for_journal();
        self.log.confirm().await.map_err(|error| fault(&error))
    }

    async fn close(&self) {
        // Its journal has everything.
        let _ = self.bucket.close(CLOSE_PATIENCE).await;
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

/// An operation, and which gateway a client asked it of.
#[derive(BorshSerialize, BorshDeserialize)]
struct Asked {
    gateway: u32,
    op: Op,
}

impl Wire for Asked {
    const NAME: &'static str = "simulated operation";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = OP_MAX_BYTES + 4;
}

/// What a bucket answered.
#[derive(BorshSerialize, BorshDeserialize)]
struct Outcome(Result<Reply, ObjectsError>);

impl Wire for Outcome {
    const NAME: &'static str = "simulated outcome";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = OP_MAX_BYTES + 64;
}

/// The way to the world's buckets, which are there from the beginning.
pub struct Routing {
    pub gateway: usize,
    pub places: Arc<Vec<Place>>,
    pub gateways: Arc<Gateways>,
    pub depot: Arc<Depot>,
}

#[async_trait]
impl Router for Routing {
    async fn find(&self, name: &BucketName) -> Result<Place, ObjectsError> {
        let found = self.places.iter().find(|place| place.name == *name);
        found.cloned().ok_or_else(|| ObjectsError::NoSuchBucket { bucket: name.clone() })
    }

    async fn create(&self, name: &BucketName, _: Address) -> Result<Place, ObjectsError> {
        self.find(name).await
    }

    async fn remove(&self, _: &Place) -> Result<(), ObjectsError> {
        Ok(())
    }

    async fn buckets(&self, _: Address) -> Result<Vec<Place>, ObjectsError> {
        Ok(self.places.to_vec())
    }

    async fn call(&self, place: &Place, op: Op) -> Result<Reply, ObjectsError> {
        let brought = brought(&op);
        let file = if let Op::PackFinal(_, file) = &op { Some(*file) } else { None };
        let gateway = u32::try_from(self.gateway).expect("a few gateways");
        let op = Bytes::from(codec::encode(&Asked { gateway, op }));
        let answer = self.gateways.execute(key_of(place), op, OP_DEADLINE).await.map_err(refusal)?;
        let Outcome(outcome) =
            codec::decode(&answer).map_err(|error| ObjectsError::Damaged { reason: error.to_string() })?;
        if outcome.is_ok() {
            self.depot.recorded(brought.iter().flat_map(|body| &body.pieces));
            // One beside the file that the records know is left to who looks through all files.
            file.filter(|_| matches!(outcome, Ok(Reply::Done))).into_iter().for_each(|file| self.depot.told(file));
        }
        outcome
    }
}

/// What lies with the data miners and gets into records by this operation.
fn brought(op: &Op) -> Option<StoredBody> {
    let stored = |contents: &Contents| match contents {
        Contents::Stored(stored) => Some(stored.clone()),
        Contents::Inline(_) => None,
    };
    match op {
        Op::Put(put) => stored(&put.body.bytes),
        Op::PutPart { body, .. } => stored(&body.bytes),
        Op::Discard(_, stored) | Op::Moved { to: stored, .. } => Some(stored.clone()),
        _ => None,
    }
}

fn refusal(error: GroupError) -> ObjectsError {
    match error {
        GroupError::TooLarge { .. } => ObjectsError::InvalidArgument(error.to_string()),
        GroupError::Chain { .. } | GroupError::Unavailable { .. } | GroupError::Failed { .. } => {
            ObjectsError::Unavailable { reason: error.to_string() }
        }
    }
}

/// Keys that follow from the bucket's id.
pub struct Keys;

#[async_trait]
impl BucketKeys for Keys {
    async fn issue(&self, bucket: BucketId, _: Address) -> Result<Vec<Vec<u8>>, ObjectsError> {
        Ok(vec![bucket.0.to_vec()])
    }

    fn open(&self, bucket: BucketId, _: Address, _: &[Vec<u8>]) -> Result<DataKey, ObjectsError> {
        Ok(DataKey::new(hash::tagged("cess 2026 simulated bucket key", &[&bucket.0])))
    }
}

/// Journals of buckets.
pub fn journals(client: JournalClient) -> BucketJournals {
    BucketJournals::new(client, GENESIS)
}
