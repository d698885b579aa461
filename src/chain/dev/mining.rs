//! Making blocks: what waits, executed and published.
//!
//! Invariants: a transaction that cannot run leaves the pool with its block; a block is published after it is executed, whole.

use super::{DevChain, Mining, State, Told, book::DevBlock, console};
use crate::{
    chain::{
        api::backend::{ChainBlock, ChainState},
        mempool::PoolError,
        records::{ExecutedBlock, SkippedTx},
    },
    consensus::BLOCK_MAX_TXS,
    crypto::hash::{DOMAIN_BEACON, tagged},
    ledger::{
        commitment::StateCommitment,
        executor::{BlockEnv, ExecError, Execution, Rules, execute},
        header::base_fee_after,
        tx::{TxError, VerifiedTx, decode_and_recover},
        unsigned,
    },
    runtime::{Criticality, Phase},
    types::{Address, B256, Height, params::BLOCK_MAX_BYTES},
};
use std::sync::Arc;

/// Why a block could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// The executor failed.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// Too many at once.
    #[error("{found} blocks at once are over the limit of {max}")]
    TooMany { found: u64, max: u64 },
}

/// Blocks one request may ask for.
pub const MINE_MAX_BLOCKS: u64 = 100_000;

impl DevChain {
    /// Base fee of the next block.
    pub fn next_base_fee(&self) -> u64 {
        next_base_fee(&self.inner.state.read())
    }

    /// Takes a transaction in, and mines it if blocks are made at once.
    pub fn take(&self, tx: VerifiedTx) -> Result<B256, PoolError> {
        let hash = tx.hash;
        let _writing = self.inner.writing.lock();
        let (view, height, mining) = {
            let state = self.inner.state.read();
            self.check(&tx, &state)?;
            (self.state_of(&state), state.book.height(), state.settings.mining)
        };
        self.inner.pool.admit_verified(Arc::new(tx), &view, height, true)?;
        if mining == Mining::Instant {
            self.mine_ready().map_err(|e| PoolError::State(e.to_string()))?;
            self.check_ran(&hash)?;
        }
        Ok(hash)
    }

    /// Says why a transaction was left out of the block that was made for it.
    fn check_ran(&self, hash: &B256) -> Result<(), PoolError> {
        let state = self.inner.state.read();
        let skipped = &state.book.newest().executed().skipped;
        let refusal = skipped.iter().find(|skip| skip.hash == hash.0);
        refusal.map_or(Ok(()), |skip| Err(PoolError::Refused(skip.reason.clone())))
    }

    /// Takes in an envelope whose sender signed it.
    pub fn take_signed(&self, raw: &[u8]) -> Result<B256, PoolError> {
        let chain_id = self.inner.state.read().settings.chain_id;
        self.take(decode_and_recover(raw, chain_id)?)
    }

    /// Takes in an envelope in the name of its sender, signed or not. Who may do that is the caller's to check.
    pub fn take_any(&self, raw: &[u8]) -> Result<B256, PoolError> {
        let chain_id = self.inner.state.read().settings.chain_id;
        self.take(unsigned::decode(raw, chain_id)?)
    }

    /// What no later block could cure, or nobody would wait for.
    fn check(&self, tx: &VerifiedTx, state: &State) -> Result<(), PoolError> {
        let settings = &state.settings;
        if state.book.find_tx(&tx.hash).is_some() {
            return Err(PoolError::Known(tx.hash));
        }
        if tx.gas_limit() > settings.gas_limit {
            let (gas_limit, max) = (tx.gas_limit(), settings.gas_limit);
            return Err(TxError::GasLimitTooHigh { gas_limit, max }.into());
        }
        if tx.max_fee() < settings.min_gas_price {
            return Err(PoolError::FeeTooLow { fee: tx.max_fee(), floor: settings.min_gas_price });
        }
        match settings.mining {
            Mining::Instant => tx.tip(next_base_fee(state)).map(drop).map_err(PoolError::from),
            _ => Ok(()),
        }
    }

    /// Changes when blocks are made. What can run is mined at once if they are made at once.
    pub fn set_mining(&self, mode: Mining) -> Result<(), MineError> {
        self.set(|settings| settings.mining = mode);
        match mode {
            Mining::Instant => {
                let _writing = self.inner.writing.lock();
                self.mine_ready()
            }
            Mining::Every(_) | Mining::Off => Ok(()),
        }
    }

    /// The newest block.
    pub fn newest(&self) -> Arc<ChainBlock> {
        self.inner.state.read().book.newest().whole.clone()
    }

    /// Makes a block of everything that can run.
    pub fn mine(&self) -> Result<Arc<ChainBlock>, MineError> {
        let _writing = self.inner.writing.lock();
        self.mine_waiting()
    }

    /// Makes `count` blocks, each `apart` seconds after the one before if that is given. The first takes what waits.
    pub fn mine_many(&self, count: u64, apart: Option<u64>) -> Result<(), MineError> {
        if count > MINE_MAX_BLOCKS {
            return Err(MineError::TooMany { found: count, max: MINE_MAX_BLOCKS });
        }
        let _writing = self.inner.writing.lock();
        for index in 0..count {
            if let Some(apart) = apart.filter(|_| index > 0) {
                self.inner.state.write().settings.clock.increase(apart);
            }
            self.mine_waiting()?;
        }
        Ok(())
    }

    fn mine_waiting(&self) -> Result<Arc<ChainBlock>, MineError> {
        let (base_fee, gas) = {
            let state = self.inner.state.read();
            (next_base_fee(&state), state.settings.gas_limit)
        };
        self.seal(self.inner.pool.pending(base_fee, BLOCK_MAX_TXS, BLOCK_MAX_BYTES, gas))
    }

    /// A block for each transaction that can run, until none can.
    pub(super) fn mine_ready(&self) -> Result<(), MineError> {
        loop {
            let (base_fee, gas) = {
                let state = self.inner.state.read();
                (next_base_fee(&state), state.settings.gas_limit)
            };
            match self.inner.pool.pending(base_fee, 1, BLOCK_MAX_BYTES, gas) {
                none if none.is_empty() => return Ok(()),
                one => self.seal(one)?,
            };
        }
    }

    /// Executes and publishes the next block. The caller holds `writing`.
    pub(super) fn seal(&self, txs: Vec<Arc<VerifiedTx>>) -> Result<Arc<ChainBlock>, MineError> {
        let now = self.now_ms();
        let (parent, env) = {
            let state = self.inner.state.read();
            (state.book.newest().clone(), self.next_env(&state, now))
        };
        let view = self.newest_state();
        let txs: Vec<VerifiedTx> = txs.into_iter().map(Arc::unwrap_or_clone).collect();
        let run = execute(&view, &env, &txs)?;
        let mut trie = parent.trie.clone();
        let root = trie.apply(&run.delta);
        self.inner.codes.add(&run.delta.code);
        let nonces: Vec<(Address, u64)> =
            run.delta.accounts.iter().map(|(at, change)| (*at, change.info.map_or(0, |info| info.nonce))).collect();
        let hashes: Vec<B256> = txs.iter().map(|tx| tx.hash).collect();
        let lines = self.logged(&view, &env, &txs, &run);
        let access_list = Some(run.access_list.encode());
        let (whole, delta) = assemble(&env, root, txs, run);
        let (whole, height) = (Arc::new(whole), env.height);
        self.publish(DevBlock { whole: whole.clone(), env, trie, delta, access_list }, now);
        self.inner.pool.prune(height, &hashes, &nonces, self.next_base_fee());
        self.inner.heights.send_replace(height);
        if let Some(tell) = self.listener() {
            lines.iter().for_each(|line| tell(Told::Console(line)));
            tell(Told::Block(&whole));
        }
        Ok(whole)
    }

    /// What the transactions of a block logged to the console. They run once more for it, if they did and somebody listens.
    fn logged(&self, view: &ChainState, env: &BlockEnv, txs: &[VerifiedTx], run: &Execution) -> Vec<String> {
        if self.listener().is_none() || !console::is_touched(&run.access_list) {
            return Vec::new();
        }
        let lines = console::of_block(view, env, run.included.iter().map(|index| &txs[*index]));
        lines.unwrap_or_else(|error| {
            tracing::warn!(%error, block = env.height, "what a block logged to the console cannot be told");
            Vec::new()
        })
    }

    fn publish(&self, block: DevBlock, now: u64) {
        let mut state = self.inner.state.write();
        let settings = &mut state.settings;
        settings.clock.passed(now, block.env.time_ms);
        (settings.next_base_fee, settings.next_beacon) = (None, None);
        state.book.push(Arc::new(block));
    }

    /// Surroundings of the block after the newest.
    pub(super) fn next_env(&self, state: &State, now: u64) -> BlockEnv {
        let (parent, settings) = (state.book.newest(), &state.settings);
        let height = parent.env.height + 1;
        BlockEnv {
            chain_id: settings.chain_id,
            height,
            time_ms: settings.clock.next(now, parent.env.time_ms),
            beacon: settings.next_beacon.unwrap_or_else(|| next_beacon(&parent.env.beacon, height)),
            proposer: settings.coinbase,
            round: 0,
            parent_hash: parent.executed().hash,
            base_fee: next_base_fee(state),
            gas_limit: settings.gas_limit,
            params: self.inner.params.clone(),
            rules: Rules::CESS,
        }
    }

    /// Makes blocks at intervals for as long as the node lives, whenever that is the mode.
    pub fn start(&self) {
        let (chain, stopping) = (self.clone(), self.inner.node.tasks.stopping(Phase::Produce));
        let mut modes = self.inner.mining.subscribe();
        let mine = async move {
            loop {
                let mode = *modes.borrow_and_update();
                let due = async {
                    match mode {
                        Mining::Every(interval) => tokio::time::sleep(interval).await,
                        Mining::Instant | Mining::Off => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = stopping.cancelled() => return anyhow::Ok(()),
                    // The sender lives in the chain this task holds.
                    changed = modes.changed() => changed?,
                    () = due => {
                        let (miner, pool) = (chain.clone(), chain.inner.node.pool.clone());
                        pool.run(move || miner.mine().map(drop)).await?;
                    }
                }
            }
        };
        self.inner.node.tasks.spawn(Phase::Produce, "dev miner", Criticality::Critical, mine);
    }
}

fn next_base_fee(state: &State) -> u64 {
    state.settings.next_base_fee.unwrap_or_else(|| base_fee_after(&state.book.newest().executed().header))
}

/// The beacon nobody contributes to.
fn next_beacon(last: &B256, height: Height) -> B256 {
    B256::from(tagged(DOMAIN_BEACON, &[b"dev", last.as_slice(), &height.to_be_bytes()]))
}

/// The block as it is shown, and what it changed.
fn assemble(
    env: &BlockEnv,
    root: B256,
    txs: Vec<VerifiedTx>,
    run: Execution,
) -> (ChainBlock, crate::ledger::state::StateDelta) {
    let header = run.header(env, root, &txs);
    let skipped = |skip: &crate::ledger::executor::Skipped| SkippedTx {
        index: u32::try_from(skip.index).expect("a block holds fewer than 2^32 transactions"),
        hash: skip.hash.0,
        reason: skip.reason.to_string(),
    };
    let block = ExecutedBlock {
        time_ms: env.time_ms,
        beacon: env.beacon,
        skipped: run.skipped.iter().map(skipped).collect(),
        ..ExecutedBlock::bare(header)
    };
    let txs = run.included.iter().map(|index| txs[*index].raw.clone()).collect();
    let whole = ChainBlock { block, txs, receipts: run.receipts, ommers: Vec::new(), withdrawals: Some(Vec::new()) };
    (whole, run.delta)
}
