//! A developer's chain: blocks in memory, made on demand by the real executor with the protocol modules, without agreement.
//!
//! Owns when blocks are made and what may be changed by hand. Must not know JSON. Invariants: whoever changes the chain holds
//! `writing` until the change is published, so that changes follow one another; readers see a block only together with its
//! state; the time of blocks grows; what was sent is mined when the answer is given, in [`Mining::Instant`].

mod backend;
mod book;
mod changes;
mod clock;
mod console;
mod dump;
mod genesis;
mod mining;
mod settings;
mod snapshots;

pub use clock::DevClock;
pub use dump::DumpError;
pub use mining::MineError;
pub use settings::{Mining, Settings};
pub use snapshots::{ReorgError, SnapshotId};

use super::{
    api::backend::{ChainBlock, ChainState, CodeSource},
    mempool::{Limits, Mempool},
};
use crate::{
    client::DevAccount,
    ledger::state::StateError,
    runtime::Node,
    types::{Address, Amount, B256, ChainId, Height, Params},
};
use alloy_primitives::Bytes;
use book::Book;
use parking_lot::{Mutex, RwLock};
use snapshots::Snapshots;
use std::{collections::BTreeMap, sync::Arc};
use tokio::sync::watch;

/// Transactions of one sender that may wait: scripts send hundreds at once.
const SENDER_MAX_TXS: usize = 4_096;

/// What a developer's chain begins with.
#[derive(Debug, Clone)]
pub struct DevOptions {
    /// EIP-155 chain id.
    pub chain_id: ChainId,
    /// Accounts the node signs for.
    pub accounts: Vec<DevAccount>,
    /// What each of them owns.
    pub balance: Amount,
    /// When blocks are made.
    pub mining: Mining,
    /// Gas of a block.
    pub gas_limit: u64,
    /// Base fee of the first block, if not EIP-1559's initial one.
    pub base_fee: Option<u64>,
    /// Time of genesis in Unix milliseconds, if not now.
    pub genesis_time_ms: Option<u64>,
    /// Salts and init codes of contracts that the CREATE2 deployer makes in genesis.
    pub deployments: Vec<Bytes>,
}

/// What a developer may want to read.
pub enum Told<'a> {
    /// A line that a contract logged with `console.log`.
    Console(&'a str),
    /// A block that was made.
    Block(&'a ChainBlock),
}

/// Who is told.
pub type Observer = Box<dyn Fn(Told<'_>) + Send + Sync>;

/// A developer's chain. Cheap to clone.
#[derive(Clone)]
pub struct DevChain {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    options: DevOptions,
    params: Params,
    pool: Mempool,
    codes: Arc<Codes>,
    /// Held by whoever changes the chain, from the first look to the last word. Taken before `state`.
    writing: Mutex<()>,
    state: RwLock<State>,
    snapshots: Mutex<Snapshots>,
    heights: watch::Sender<Height>,
    mining: watch::Sender<Mining>,
    observer: Option<Observer>,
    instance: B256,
}

/// What readers see, and what a snapshot keeps.
#[derive(Clone)]
struct State {
    book: Book,
    settings: Settings,
}

/// Why a developer's chain cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// Its genesis is refused.
    #[error(transparent)]
    Genesis(#[from] crate::ledger::genesis::GenesisError),
}

impl DevChain {
    /// Begins a chain; `observer` hears of every block after genesis, and of what contracts log to the console.
    pub fn new(node: &Node, options: DevOptions, observer: Option<Observer>) -> Result<Self, DevError> {
        let built = genesis::build(&options, node.clock.unix_ms())?;
        let codes = Arc::new(Codes::default());
        codes.add(&built.block.delta.code);
        let limits = Limits { sender_txs: SENDER_MAX_TXS, nonce_ahead: 1 << 32, ..Limits::default() };
        let inner = Inner {
            node: node.clone(),
            params: built.block.env.params.clone(),
            pool: Mempool::new(options.chain_id, limits),
            codes,
            writing: Mutex::new(()),
            heights: watch::Sender::new(0),
            mining: watch::Sender::new(options.mining),
            state: RwLock::new(State { book: Book::new(built.block), settings: built.settings }),
            snapshots: Mutex::default(),
            observer,
            instance: random_word(node),
            options,
        };
        let chain = Self { inner: Arc::new(inner) };
        chain.inner.pool.prune(0, &[], &[], chain.next_base_fee());
        Ok(chain)
    }

    /// Accounts the node signs for.
    pub fn signers(&self) -> &[DevAccount] {
        &self.inner.options.accounts
    }

    /// A name no other run has.
    pub fn instance(&self) -> B256 {
        self.inner.instance
    }

    /// A copy of the settings.
    pub fn settings(&self) -> Settings {
        self.inner.state.read().settings.clone()
    }

    /// Changes settings; returns what `change` does.
    pub fn set<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        let _writing = self.inner.writing.lock();
        let mut state = self.inner.state.write();
        let answer = change(&mut state.settings);
        let mining = state.settings.mining;
        drop(state);
        self.inner.mining.send_if_modified(|now| std::mem::replace(now, mining) != mining);
        answer
    }

    /// Milliseconds the clock shows.
    pub fn now_ms(&self) -> u64 {
        self.inner.node.clock.unix_ms()
    }

    /// Who is to be told, if anybody listens and logging is on.
    fn listener(&self) -> Option<&Observer> {
        self.inner.observer.as_ref().filter(|_| self.inner.state.read().settings.logging)
    }

    /// The newest state.
    pub fn newest_state(&self) -> ChainState {
        self.state_of(&self.inner.state.read())
    }

    fn state_of(&self, state: &State) -> ChainState {
        ChainState { trie: state.book.newest().trie.clone(), code: self.inner.codes.clone() }
    }

    /// The nonce an account should use next, waiting transactions included.
    pub fn next_nonce(&self, account: &Address) -> u64 {
        let known = self.inner.state.read().book.newest().trie.account(account).map_or(0, |found| found.info.nonce);
        self.inner.pool.next_nonce(account, known)
    }
}

fn random_word(node: &Node) -> B256 {
    let mut word = B256::ZERO;
    node.rng.fill(word.as_mut_slice());
    word
}

/// Every code there ever was, by its hash.
#[derive(Default)]
struct Codes(RwLock<BTreeMap<B256, Bytes>>);

impl Codes {
    fn add(&self, codes: &BTreeMap<B256, Bytes>) {
        if !codes.is_empty() {
            self.0.write().extend(codes.iter().map(|(hash, code)| (*hash, code.clone())));
        }
    }
}

impl CodeSource for Codes {
    fn code(&self, hash: &B256) -> Result<Bytes, StateError> {
        self.0.read().get(hash).cloned().ok_or(StateError::Code(*hash))
    }
}
