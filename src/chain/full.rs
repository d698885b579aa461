//! Everything one full node knows of its chain: blocks, state, pool and head, and the two steps that execute a decided block.
//!
//! Must not know the BFT engine, sockets or JSON. Invariants: state, receipts and the marker of the executed height change in one
//! batch; the head readers see belongs to the state they read, which is stored; a block is computed on the one before, stored or not;
//! after a crash every decided block is executed before anything else happens.

use super::{
    BlockFinalised,
    block_store::BlockStore,
    checkpoint,
    committees::{Committees, Seated},
    computed::{Computed, NewestComputed},
    error::StoreError,
    head::{Decided, Head, Ordered},
    keeping::Keeping,
    mempool::{Mempool, PoolError, SignatureMemo},
    options::ChainOptions,
    order::Unexecuted,
    past::{Past, PastStates},
    recent::RecentStates,
    records::{ExecutedBlock, GenesisRecord, SkippedTx},
    recovery,
    state_store::StateStore,
    statesync::unfinished,
    undo::UndoLog,
};
use crate::{
    kv::{Batch, Durability, Kv},
    ledger::{
        commitment::StateTrie,
        executor::{self, BlockEnv, Executor, Receipt, Rules},
        genesis::Genesis,
        state::{StateDelta, StateView},
        tx::{TxError, VerifiedTx},
    },
    runtime::{Counter, Gauge, Node, Timer, Worker},
    types::{Address, B256, BlockId, ChainId, Height, Params, params::BLOCK_GAS_LIMIT},
};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// What does not change while a chain lives.
pub struct ChainSpec {
    /// EIP-155 chain id.
    pub chain_id: ChainId,
    /// Hash of the executed genesis header.
    pub genesis: B256,
    /// The chain's numbers.
    pub params: Params,
}

/// The chain on one full node.
pub struct FullChain {
    node: Node,
    spec: ChainSpec,
    blocks: BlockStore,
    state: StateStore,
    pool: Mempool,
    recent: RecentStates,
    past: PastStates,
    undo: UndoLog,
    keeping: Keeping,
    executor: Box<dyn Executor>,
    kv: Arc<dyn Kv>,
    /// Height of the newest checkpoint.
    checkpointed: Mutex<Option<Height>>,
    committees: Committees,
    ordered: Mutex<Arc<Ordered>>,
    head: watch::Sender<Arc<Head>>,
    computed: NewestComputed,
    worker: Worker,
    storer: Worker,
}

impl FullChain {
    /// Opens the chain of `genesis` in `kv`: a fresh database is initialised, an unfinished execution completed. Blocks on the disk.
    pub fn open(node: &Node, kv: Arc<dyn Kv>, genesis: &Genesis) -> Result<Arc<Self>, StoreError> {
        Self::open_with(node, kv, genesis, ChainOptions::default())
    }

    /// As [`FullChain::open`], with options.
    pub fn open_with(
        node: &Node,
        kv: Arc<dyn Kv>,
        genesis: &Genesis,
        options: ChainOptions,
    ) -> Result<Arc<Self>, StoreError> {
        let ChainOptions { keeping, pool, executor, memo } = options;
        if unfinished(kv.as_ref())? {
            return Err(StoreError::UnfinishedSync);
        }
        let (first, delta) = genesis_block(genesis)?;
        let spec = ChainSpec { chain_id: genesis.chain_id, genesis: first.hash, params: genesis.params() };
        let (blocks, state) = (BlockStore::new(kv.clone()), StateStore::new(kv.clone()));
        establish(&blocks, &state, &spec, &first, &delta)?;
        let height = blocks.executed_height()?.unwrap_or_default();
        let newest = blocks.executed(height)?.ok_or(StoreError::Missing { what: "executed header", height })?;
        let checkpointed = checkpoint::newest(kv.as_ref())?.map(|record| record.height);
        let undo = UndoLog::open(kv.clone(), keeping.history, checkpointed)?;
        let trie = recovery::trie(kv.as_ref(), &state, &undo, &newest)?;
        let memo = memo.unwrap_or_else(|| Arc::new(SignatureMemo::of_chain(spec.chain_id)));
        let pool = Mempool::remembering(spec.chain_id, pool, memo);
        let committees = Committees::new(&spec.params);
        let next = [committees.of(&state, height + 1)?, committees.of(&state, height + 2)?];
        let interval = Duration::from_millis(spec.params.block_interval_ms);
        let ordered = Ordered::new(Decided::from(&newest), next, node.clock.unix_ms(), interval);
        let ordered = Mutex::new(Arc::new(ordered));
        let newest = Arc::new(Head::new(newest));
        let (head, computed) = (watch::Sender::new(newest.clone()), NewestComputed::new(newest));
        let (recent, past, checkpointed) =
            (RecentStates::new(height, trie), PastStates::default(), Mutex::new(checkpointed));
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let executor = executor::chosen(executor, cores);
        let (worker, storer) = (node.workers.register("executor"), node.workers.register("block store"));
        let chain = Arc::new(Self {
            node: node.clone(),
            spec,
            blocks,
            state,
            pool,
            recent,
            past,
            undo,
            keeping,
            executor,
            kv,
            checkpointed,
            committees,
            ordered,
            head,
            computed,
            worker,
            storer,
        });
        chain.recover()?;
        chain.pool.prune(chain.head().height(), &[], &[], chain.head().next_base_fee);
        Ok(chain)
    }

    /// What does not change.
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The newest block that is executed and stored.
    pub fn head(&self) -> Arc<Head> {
        self.head.borrow().clone()
    }

    /// The newest block whose execution is known: the head, or the one after it that is being stored.
    pub fn computed(&self) -> Arc<Head> {
        self.computed.head()
    }

    /// The newest decided block: the newest computed one, or the one after it that is being executed.
    pub fn ordered(&self) -> Arc<Ordered> {
        self.ordered.lock().clone()
    }

    pub(super) fn set_ordered(&self, ordered: Ordered) {
        *self.ordered.lock() = Arc::new(ordered);
    }

    /// The head and its changes.
    pub fn watch(&self) -> watch::Receiver<Arc<Head>> {
        self.head.subscribe()
    }

    /// The newest computed block and its changes.
    pub(super) fn watch_computed(&self) -> watch::Receiver<Arc<Head>> {
        self.computed.watch()
    }

    /// Blocks, receipts and indexes.
    pub fn blocks(&self) -> &BlockStore {
        &self.blocks
    }

    /// The state after `height` with its proofs, if that is one of the newest blocks.
    pub fn recent_state(&self, height: Height) -> Option<StateTrie> {
        self.recent.at(height)
    }

    /// The state after `height` with its proofs, if the node keeps it. An old one takes work, up to a bound: a state beyond it is
    /// [`StoreError::FarState`], and nearer to the next one who asks.
    pub fn past_state(&self, height: Height) -> Result<Option<StateTrie>, StoreError> {
        if let Some(trie) = self.recent.at(height) {
            return Ok(Some(trie));
        }
        let above = self.recent.oldest();
        if height > above.0 || height < self.undo.reaches(above.0) {
            return Ok(None);
        }
        match self.past.at(height, above, &self.undo)? {
            Past::Found(trie) => Ok(Some(trie)),
            Past::Farther(reached) => Err(StoreError::FarState { height, reached }),
            Past::Gone => Ok(None),
        }
    }

    /// As [`FullChain::past_state`], where it does not matter why there is none.
    pub fn state_at(&self, height: Height) -> Option<StateTrie> {
        self.past_state(height).unwrap_or_else(|error| {
            tracing::warn!(height, %error, "a state of the past cannot be read");
            None
        })
    }

    /// The oldest block whose state is kept.
    pub fn oldest_state(&self) -> Height {
        let oldest = self.recent.oldest().0;
        self.undo.reaches(oldest).min(oldest)
    }

    /// What this node keeps of the past.
    pub fn keeping(&self) -> Keeping {
        self.keeping
    }

    /// Height of the newest checkpoint of the state.
    pub fn checkpointed(&self) -> Option<Height> {
        *self.checkpointed.lock()
    }

    /// Writes a checkpoint of the newest state and returns its height. Blocks on the disk; blocks may be executed meanwhile.
    pub fn write_checkpoint(&self, worker: &Worker) -> Result<Height, StoreError> {
        let (height, trie) = self.recent.newest();
        worker.busy(format!("state of block {height}"));
        if self.checkpointed().is_none() {
            // Blocks go on meanwhile, and nothing else keeps what a start from this checkpoint needs of them.
            self.undo.pin(height);
        }
        let written = checkpoint::write(self.kv.as_ref(), height, &trie, |accounts| worker.progress(accounts, 0));
        match &written {
            Ok(()) => {
                self.undo.pin(height);
                *self.checkpointed.lock() = Some(height);
                worker.idle();
            }
            Err(error) => {
                tracing::warn!(height, %error, "no checkpoint of the state could be written");
                worker.error(error);
            }
        }
        written.map(|()| height)
    }

    /// Waiting transactions.
    pub fn pool(&self) -> &Mempool {
        &self.pool
    }

    /// The node this chain runs on.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The committee that decides `height`, in the era of the newest computed block or the next.
    pub fn committee_at(&self, height: Height) -> Result<Arc<Seated>, StoreError> {
        // Not a consistent read, which would wait for the write that ordering is not to wait for. Whatever is written later than
        // this was computed first, and shows in the head.
        loop {
            let head = self.computed();
            let found = self.committees.of(&self.computed.unstored().above(&self.state), height);
            if self.computed().height() == head.height() {
                return found;
            }
        }
    }

    /// Verifies and admits a transaction.
    pub fn admit(&self, raw: &[u8], local: bool) -> Result<Arc<VerifiedTx>, PoolError> {
        self.admit_all(&[raw], local).pop().expect("one answer for one transaction")
    }

    /// Verifies and admits many transactions.
    pub fn admit_all<T: AsRef<[u8]> + Sync>(&self, raws: &[T], local: bool) -> Vec<Result<Arc<VerifiedTx>, PoolError>> {
        let admitted = self.pool.admit_checked(self.checked(raws), &self.state, self.head().height(), local);
        let refused = admitted.iter().filter(|one| one.is_err()).count();
        self.node.metrics.add(Counter::TxsRejected, u64::try_from(refused).unwrap_or(u64::MAX));
        self.report_pool();
        admitted
    }

    /// Verifies the envelopes of a block in parallel, remembered ones for free. The error names the index.
    pub fn verify_all(&self, txs: &[Vec<u8>]) -> Vec<Result<Arc<VerifiedTx>, TxError>> {
        self.checked(txs)
    }

    /// Checks signatures on all threads of the pool; they are remembered.
    fn checked<T: AsRef<[u8]> + Sync>(&self, raws: &[T]) -> Vec<Result<Arc<VerifiedTx>, TxError>> {
        let since = Instant::now();
        let verified = self.node.pool.install(|| self.pool.memo().verify_all(raws));
        self.node.metrics.observe(Timer::Signatures, since.elapsed());
        verified
    }

    /// Reads the state of the newest block together with its head. `read` may run more than once.
    pub fn read<T, E>(&self, read: impl Fn(&dyn StateView, &Head) -> Result<T, E>) -> Result<T, E> {
        self.state.consistent(|view| read(view, &self.head()))
    }

    /// Executes a block that was ordered, stores what it did and tells whoever listens. Nothing else may be executed meanwhile.
    pub(super) fn execute(&self, block: Unexecuted) -> Result<Arc<Head>, StoreError> {
        let computed = Arc::new(self.compute(block)?);
        self.hand_over(&computed);
        self.store(&computed)
    }

    /// First step: computes what a block does. The one before is computed, and may be being stored. Nobody sees the outcome yet.
    pub(super) fn compute(&self, block: Unexecuted) -> Result<Computed, StoreError> {
        self.worker.busy(format!("block {}", block.decided.height));
        let computed = self.run(block);
        match &computed {
            Ok(_) => self.worker.idle(),
            Err(e) => self.worker.error(e),
        }
        computed
    }

    fn run(&self, block: Unexecuted) -> Result<Computed, StoreError> {
        let Unexecuted { decided, header, txs, positions, mut skipped } = block;
        let (started, parent, Decided { height, id, time_ms, beacon }) = (Instant::now(), self.computed(), decided);
        let failed = |reason: String| StoreError::Execution { height, reason };
        let env = BlockEnv { round: header.round, ..self.env(&parent, height, time_ms, beacon, header.proposer) };
        // What is being stored now may be in the state when it is read, or not: it reads the same.
        let unstored = self.computed.unstored();
        let view = unstored.above(&self.state);
        let execution = self.executor.execute(&view, &env, &txs).map_err(|e| failed(e.to_string()))?;
        skipped.extend(execution.skipped.iter().map(|skip| SkippedTx {
            index: positions[skip.index],
            hash: skip.hash.0,
            reason: skip.reason.to_string(),
        }));
        self.node.metrics.observe(Timer::BlockExecute, started.elapsed());
        let started = Instant::now();
        let mut trie = unstored.trie().unwrap_or_else(|| self.recent.newest().1);
        let (root, undo) = trie.apply_undoable(&execution.delta);
        self.node.metrics.observe(Timer::StateRoot, started.elapsed());
        let header = execution.header(&env, root, &txs);
        let executed = ExecutedBlock { hash: header.hash_slow(), header, beacon, block: id, time_ms, skipped };
        Ok(Computed { head: Arc::new(Head::new(executed)), execution, trie, undo })
    }

    /// Between the steps: the next block may be computed on this one. The one before is stored.
    pub(super) fn hand_over(&self, computed: &Arc<Computed>) {
        self.computed.begin(computed);
    }

    /// Second step: stores a computed block, moves the head and tells whoever listens.
    pub(super) fn store(&self, computed: &Computed) -> Result<Arc<Head>, StoreError> {
        let started = Instant::now();
        self.storer.busy(format!("block {}", computed.head.height()));
        if let Err(error) = self.write(computed) {
            self.storer.error(&error);
            return Err(error);
        }
        self.node.metrics.observe(Timer::BlockCommit, started.elapsed());
        self.settle(&computed.head, &computed.execution.receipts, &computed.execution.delta);
        self.storer.idle();
        Ok(computed.head.clone())
    }

    fn write(&self, computed: &Computed) -> Result<(), StoreError> {
        let Computed { head, execution, trie, undo } = computed;
        let (mut batch, height) = (Batch::new(), head.height());
        self.blocks.stage_executed(&mut batch, &head.executed, &execution.receipts)?;
        self.blocks.stage_access_list(&mut batch, height, execution.access_list.encode());
        self.undo.stage(&mut batch, height, undo);
        // Buffered: the block is durable already, and a state lost to a power failure is computed again from it.
        let mut given_up = None;
        let publish = || {
            given_up = self.recent.push(height, trie.clone());
            self.computed.stored();
            self.head.send_replace(head.clone());
        };
        self.state.commit(batch, &execution.delta, Durability::Buffered, publish)?;
        drop(given_up);
        Ok(())
    }

    /// What follows from an executed block in memory: the pool shrinks, counters move, subscribers hear of it.
    fn settle(&self, head: &Head, receipts: &[Receipt], delta: &StateDelta) {
        let mut mined: Vec<B256> = receipts.iter().map(|receipt| receipt.tx).collect();
        mined.extend(head.executed.skipped.iter().map(|skip| B256::from(skip.hash)));
        let nonces: Vec<(Address, u64)> =
            delta.accounts.iter().map(|(a, d)| (*a, d.info.as_ref().map_or(0, |info| info.nonce))).collect();
        for handed_in in self.pool.prune(head.height(), &mined, &nonces, head.next_base_fee) {
            self.node.metrics.observe(Timer::Finality, handed_in.elapsed());
        }
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let metrics = &self.node.metrics;
        metrics.add(Counter::BlocksCommitted, 1);
        metrics.add(Counter::TxsExecuted, count(receipts.len()));
        metrics.add(Counter::GasUsed, head.executed.header.gas_used);
        metrics.set(Gauge::Height, i64::try_from(head.height()).unwrap_or(i64::MAX));
        self.report_pool();
        self.node.bus.publish(BlockFinalised {
            height: head.height(),
            hash: head.executed.hash,
            block: head.executed.block,
            time_ms: head.executed.time_ms,
            transactions: receipts.len(),
        });
    }

    fn report_pool(&self) {
        let (txs, bytes) = self.pool.size();
        self.node.metrics.set(Gauge::MempoolTxs, i64::try_from(txs).unwrap_or(i64::MAX));
        self.node.metrics.set(Gauge::MempoolBytes, i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Surroundings of a block after `parent`, first proposed in round 0.
    pub(super) fn env(&self, parent: &Head, height: Height, time_ms: u64, beacon: B256, proposer: Address) -> BlockEnv {
        BlockEnv {
            chain_id: self.spec.chain_id,
            height,
            time_ms,
            beacon,
            proposer,
            round: 0,
            parent_hash: parent.executed.hash,
            base_fee: parent.next_base_fee,
            gas_limit: BLOCK_GAS_LIMIT,
            params: self.spec.params.clone(),
            rules: Rules::CESS,
        }
    }
}

/// Block zero of a chain, and the state it makes out of nothing.
pub(super) fn genesis_block(genesis: &Genesis) -> Result<(ExecutedBlock, StateDelta), StoreError> {
    let built = genesis.build().map_err(|e| StoreError::Genesis(e.to_string()))?;
    let first = ExecutedBlock {
        hash: built.header.hash_slow(),
        header: built.header,
        beacon: genesis.beacon(),
        block: BlockId::default(),
        time_ms: genesis.time_ms,
        skipped: Vec::new(),
    };
    Ok((first, built.delta))
}

/// Makes sure that the database holds this chain: writes genesis into a fresh one, refuses another chain's.
fn establish(
    blocks: &BlockStore,
    state: &StateStore,
    spec: &ChainSpec,
    first: &ExecutedBlock,
    delta: &StateDelta,
) -> Result<(), StoreError> {
    if let Some(found) = blocks.genesis()? {
        return match found.hash == spec.genesis.0 {
            true => Ok(()),
            false => Err(StoreError::ForeignGenesis { found: B256::from(found.hash), expected: spec.genesis }),
        };
    }
    let mut batch = Batch::new();
    blocks.stage_genesis(&mut batch, &GenesisRecord { hash: spec.genesis.0, chain_id: spec.chain_id });
    blocks.stage_executed(&mut batch, first, &[])?;
    state.commit(batch, delta, Durability::Synced, || ())
}
