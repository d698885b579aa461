//! The state root after a block, on a large state in memory: time, memory, and what the parts cost, beside alloy-trie's hash builder.

use super::machine::resident_bytes;
use crate::{
    cli::output::{Output, table},
    ledger::{
        commitment::{Account, StateCommitment, StateTrie},
        state::{AccountDelta, AccountInfo, StateDelta},
    },
    types::{Address, B256, U256},
};
use alloy_primitives::keccak256;
use alloy_trie::{HashBuilder, Nibbles, TrieAccount};
use clap::Args;
use serde::Serialize;
use std::{hint::black_box, time::Instant};

/// Hashes timed for the figures of parts.
const PART_ROUNDS: u32 = 20_000;
/// A branch whose sixteen children are all hashed.
const BRANCH_BYTES: usize = 532;
/// States kept while blocks follow each other, as a node keeps them: nothing is changed in place.
const KEPT: usize = 64;

/// Arguments of `cess bench root`.
#[derive(Debug, Args)]
pub struct RootArgs {
    /// Accounts of the state
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    accounts: u64,
    /// Accounts, or slots of one contract, that a block touches
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    touched: u64,
    /// Blocks; median and best count
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    blocks: u64,
}

#[derive(Serialize)]
struct RootFigures {
    accounts: u64,
    touched: u64,
    threads: usize,
    /// The whole state from nothing: sorting, building, hashing.
    build_ms: f64,
    /// The same root by alloy-trie's hash builder, which keeps no trie, on one thread: sorting, hashing.
    alloy_build_ms: f64,
    bytes_per_account: f64,
    transfers: BlockFigures,
    /// As many slots of one contract with as many slots as the state has accounts.
    slots: BlockFigures,
    parts_ns: PartFigures,
}

/// Blocks that touch so many keys, each on the state after the one before, with all those states kept.
#[derive(Serialize)]
struct BlockFigures {
    best_ms: f64,
    median_ms: f64,
    us_per_key: f64,
}

#[derive(Serialize)]
struct PartFigures {
    keccak_address: f64,
    keccak_branch: f64,
    read_account: f64,
}

/// Measures and prints.
pub fn run(args: &RootArgs, output: &Output) -> anyhow::Result<()> {
    output.document(&measure(args)?, |f| {
        let ms = |ms: f64| format!("{ms:.1} ms");
        let row = |what: &str, block: &BlockFigures| {
            vec![what.into(), ms(block.best_ms), ms(block.median_ms), format!("{:.2} µs", block.us_per_key)]
        };
        let blocks = table(
            &["apply and hash", "best", "median", "per key"],
            &[row("accounts", &f.transfers), row("slots of one contract", &f.slots)],
        );
        format!(
            "{} of {} accounts touched, {} threads\n{blocks}\nwhole state: {} (alloy-trie, one thread: {})\nmemory: {:.0} B an account\n\
             keccak of an address {:.0} ns, of a full branch {:.0} ns; reading an account from the trie {:.0} ns",
            f.touched,
            f.accounts,
            f.threads,
            ms(f.build_ms),
            ms(f.alloy_build_ms),
            f.bytes_per_account,
            f.parts_ns.keccak_address,
            f.parts_ns.keccak_branch,
            f.parts_ns.read_account
        )
    })
}

fn measure(args: &RootArgs) -> anyhow::Result<RootFigures> {
    let touched = args.touched.min(args.accounts);
    let before = resident_bytes()?;
    let accounts: Vec<Account> = (0..args.accounts).map(|n| Account::new(address(n), info(n, 0))).collect();
    let started = Instant::now();
    let trie = StateTrie::build(&accounts);
    let build_ms = millis(started);
    drop(accounts);
    let bytes_per_account = (resident_bytes()?.saturating_sub(before)) as f64 / args.accounts as f64;
    let (alloy_root, alloy_build_ms) = by_alloy(args.accounts);
    anyhow::ensure!(
        alloy_root == trie.root(),
        "alloy-trie computes another root: {alloy_root}, ours is {}",
        trie.root()
    );
    let transfers = blocks(args.blocks, touched, trie.clone(), |block| paid(args.accounts, touched, block));
    let parts_ns = parts(&trie, args.accounts);
    drop(trie);
    let mut token = StateTrie::default();
    token.apply(&written(args.accounts, args.accounts, 0));
    let slots = blocks(args.blocks, touched, token, |block| written(args.accounts, touched, block + 1));
    let threads = rayon::current_num_threads();
    Ok(RootFigures {
        accounts: args.accounts,
        touched,
        threads,
        build_ms,
        alloy_build_ms,
        bytes_per_account,
        transfers,
        slots,
        parts_ns,
    })
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn address(n: u64) -> Address {
    Address::from_word(B256::from(U256::from(n).wrapping_mul(U256::from(0x9e37_79b9_7f4a_7c15_u64))))
}

fn info(n: u64, block: u64) -> AccountInfo {
    AccountInfo { nonce: block, balance: U256::from(10).pow(U256::from(21)) + U256::from(n), ..Default::default() }
}

/// The root of the same state, and the time it takes, on one thread.
fn by_alloy(accounts: u64) -> (B256, f64) {
    let started = Instant::now();
    let mut leaves: Vec<(B256, u64)> = (0..accounts).map(|n| (keccak256(address(n)), n)).collect();
    leaves.sort_unstable();
    let mut builder = HashBuilder::default();
    for (key, n) in leaves {
        let AccountInfo { nonce, balance, code_hash } = info(n, 0);
        let account = TrieAccount::new(nonce, balance, alloy_trie::EMPTY_ROOT_HASH, code_hash);
        builder.add_leaf(Nibbles::unpack(key), &alloy_rlp::encode(account));
    }
    (builder.root(), millis(started))
}

/// Which key of `all` comes `n`-th in `block`.
fn picked(all: u64, n: u64, block: u64) -> u64 {
    (n.wrapping_mul(7_919).wrapping_add(block.wrapping_mul(104_729))) % all
}

fn paid(all: u64, touched: u64, block: u64) -> StateDelta {
    let change = |n| {
        let n = picked(all, n, block);
        (address(n), AccountDelta { info: Some(info(n, block + 1)), ..Default::default() })
    };
    StateDelta { accounts: (0..touched).map(change).collect(), ..Default::default() }
}

fn written(all: u64, touched: u64, block: u64) -> StateDelta {
    let slot = |n| (U256::from(picked(all, n, block)) << 64, U256::from(block + 1));
    let contract = AccountDelta { info: Some(info(0, 1)), slots: (0..touched).map(slot).collect(), wiped: false };
    StateDelta { accounts: [(address(0), contract)].into(), ..Default::default() }
}

fn blocks(count: u64, touched: u64, mut trie: StateTrie, delta: impl Fn(u64) -> StateDelta) -> BlockFigures {
    let (mut kept, mut times) = (std::collections::VecDeque::new(), Vec::new());
    for block in 0..count {
        let delta = delta(block);
        kept.push_back(trie.clone());
        let started = Instant::now();
        trie.apply(&delta);
        times.push(millis(started));
        if kept.len() > KEPT {
            kept.pop_front();
        }
    }
    times.sort_by(f64::total_cmp);
    let median_ms = times[times.len() / 2];
    BlockFigures { best_ms: times[0], median_ms, us_per_key: median_ms * 1e3 / touched as f64 }
}

fn parts(trie: &StateTrie, accounts: u64) -> PartFigures {
    let (word, branch) = ([7u8; 20], [7u8; BRANCH_BYTES]);
    PartFigures {
        keccak_address: nanos(|_| keccak256(black_box(&word))),
        keccak_branch: nanos(|_| keccak256(black_box(&branch))),
        read_account: nanos(|n| trie.account(&address(picked(accounts, n, 3))).map(|account| account.info.nonce)),
    }
}

/// Nanoseconds of one call.
fn nanos<T>(work: impl Fn(u64) -> T) -> f64 {
    let started = Instant::now();
    for n in 0..PART_ROUNDS {
        black_box(work(n.into()));
    }
    started.elapsed().as_secs_f64() * 1e9 / f64::from(PART_ROUNDS)
}
