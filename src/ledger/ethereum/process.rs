//! Executes a block of an Ethereum chain and checks everything that its header says came of it.
//!
//! Owns what happens around the transactions: system contracts, rewards, withdrawals, requests. Must not know where blocks come
//! from. Proof of work and signatures of proposers are not checked: who hands blocks in is believed about their order.

use super::{block::EthereumBlock, forks::Forks, requests, tx::decode};
use crate::{
    ledger::{
        commitment::{StateCommitment, StateTrie},
        executor::{BlockEnv, EthereumMachine, ExecError, Receipt, next_base_fee},
        header::{ExecutedHeader, receipts_root, transactions_root},
        state::{StateDelta, StateView},
        tx::{TxError, VerifiedTx},
    },
    types::{Address, B256, ChainId, Params, U256},
};
use alloy_consensus::proofs::{calculate_ommers_root, calculate_withdrawals_root};
use alloy_eips::{eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS};
use alloy_primitives::{Bloom, Bytes};
use revm::primitives::hardfork::SpecId;

/// One ether; block rewards are whole ones.
const ETHER: u128 = 1_000_000_000_000_000_000;
/// Units of a withdrawal's amount.
const GWEI: u128 = 1_000_000_000;
/// A miner gets one part in this many of its reward for each ommer it names.
const NEPHEW_SHARE: u128 = 32;
/// An ommer's miner gets an eighth of the reward for each generation it is younger than this.
const OMMER_GENERATIONS: u64 = 8;
/// Most generations an ommer may be older than the block that names it.
const OMMER_MAX_AGE: u64 = 6;
/// Most ommers of a block.
const OMMERS_MAX: usize = 2;
/// Base fee of the first block after London.
const LONDON_BASE_FEE: u64 = 1_000_000_000;

/// Why a block was refused.
#[derive(Debug, thiserror::Error)]
pub enum BlockFault {
    /// The header says another thing than execution.
    #[error("its {field} is {found}, execution says {expected}")]
    Differs { field: &'static str, found: String, expected: String },
    /// A transaction that is none.
    #[error("its transaction {index} is not valid: {reason}")]
    Transaction { index: usize, reason: TxError },
    /// A transaction that cannot run there.
    #[error("its transaction {index} cannot run: {reason}")]
    Refused { index: usize, reason: String },
    /// Ommers that no block may name.
    #[error("its ommers are not valid: {0}")]
    Ommers(String),
    /// A system contract or a log that is broken.
    #[error("its requests cannot be gathered: {0}")]
    Requests(String),
    /// The executor failed.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// What a block follows on.
#[derive(Debug, Clone, Copy)]
pub struct Parent<'a> {
    /// The header before.
    pub header: &'a ExecutedHeader,
    /// Its hash.
    pub hash: B256,
    /// Sum of difficulties up to and with it.
    pub total_difficulty: U256,
}

/// What came of a block.
#[derive(Debug, Clone)]
pub struct Processed {
    /// A receipt for each transaction.
    pub receipts: Vec<Receipt>,
    /// Everything that changed.
    pub delta: StateDelta,
    /// The state after it.
    pub trie: StateTrie,
}

/// Executes `block` on the state after `parent`, of which `trie` and `view` are two faces, and checks its header.
pub fn process(
    forks: &Forks,
    parent: Parent<'_>,
    view: &dyn StateView,
    trie: &StateTrie,
    block: &EthereumBlock,
) -> Result<Processed, BlockFault> {
    let (expected, processed) = execute(forks, parent, view, trie, block)?;
    check_after(&block.header, &expected)?;
    Ok(processed)
}

/// Executes `block` and gives its header as execution would have it.
pub fn execute(
    forks: &Forks,
    parent: Parent<'_>,
    view: &dyn StateView,
    trie: &StateTrie,
    block: &EthereumBlock,
) -> Result<(ExecutedHeader, Processed), BlockFault> {
    let env = environment(forks, parent, &block.header);
    check_before(forks, parent, block, &env)?;
    let txs = decoded(block, env.chain_id)?;
    let mut machine = EthereumMachine::new(view, &env);
    begin(&mut machine, &env, &block.header)?;
    let mut run = Run { receipts: Vec::new(), gas_used: 0, bloom: Bloom::ZERO };
    for (index, tx) in txs.iter().enumerate() {
        run.transact(&mut machine, trie, &env, index, tx)?;
    }
    let spec = env.rules.spec;
    let asked = match spec.is_enabled_in(SpecId::PRAGUE) {
        true => Some(gather_requests(forks, &mut machine, &run.receipts)?),
        false => None,
    };
    for (account, amount) in rewards(&env, block).into_iter().chain(withdrawn(block)) {
        machine.credit(account, amount)?;
    }
    let delta = machine.into_delta();
    let mut after = trie.clone();
    after.apply(&delta);
    let header = executed_header(block, &txs, &run, after.root(), asked.as_deref());
    Ok((header, Processed { receipts: run.receipts, delta, trie: after }))
}

/// The surroundings in which a block with this header runs.
pub fn environment(forks: &Forks, parent: Parent<'_>, header: &ExecutedHeader) -> BlockEnv {
    let merged = forks.is_merged(parent.total_difficulty);
    let excess = header.excess_blob_gas.unwrap_or_default();
    BlockEnv {
        chain_id: forks.config().chain_id,
        height: header.number,
        time_ms: header.timestamp.saturating_mul(1_000),
        beacon: header.mix_hash,
        proposer: header.beneficiary,
        round: 0,
        parent_hash: header.parent_hash,
        base_fee: header.base_fee_per_gas.unwrap_or_default(),
        gas_limit: header.gas_limit,
        params: Params::dev(),
        rules: forks.rules(header.number, header.timestamp, merged, header.difficulty, excess),
    }
}

/// Base fee of the block after `parent`, from London on.
pub fn base_fee_after(forks: &Forks, parent: Parent<'_>, number: u64, timestamp: u64) -> Option<u64> {
    let spec = forks.spec(number, timestamp, forks.is_merged(parent.total_difficulty));
    let header = parent.header;
    spec.is_enabled_in(SpecId::LONDON).then(|| {
        header.base_fee_per_gas.map_or(LONDON_BASE_FEE, |fee| next_base_fee(header.gas_used, header.gas_limit, fee))
    })
}

/// Excess blob gas of a block at `timestamp` after `parent`, from Cancun on.
pub fn excess_blob_gas_after(forks: &Forks, parent: Parent<'_>, number: u64, timestamp: u64) -> Option<u64> {
    let spec = forks.spec(number, timestamp, forks.is_merged(parent.total_difficulty));
    let params = forks.blob_params(spec, timestamp)?;
    let header = parent.header;
    let (excess, used) = (header.excess_blob_gas.unwrap_or_default(), header.blob_gas_used.unwrap_or_default());
    Some(params.next_block_excess_blob_gas_osaka(excess, used, header.base_fee_per_gas.unwrap_or_default()))
}

fn decoded(block: &EthereumBlock, chain_id: ChainId) -> Result<Vec<VerifiedTx>, BlockFault> {
    let one = |(index, raw): (usize, &Bytes)| {
        decode(raw, chain_id).map_err(|reason| BlockFault::Transaction { index, reason })
    };
    block.txs.iter().enumerate().map(one).collect()
}

fn begin(machine: &mut EthereumMachine<'_>, env: &BlockEnv, header: &ExecutedHeader) -> Result<(), ExecError> {
    if let (true, Some(root)) = (env.rules.spec.is_enabled_in(SpecId::CANCUN), header.parent_beacon_block_root) {
        machine.system_call(BEACON_ROOTS_ADDRESS, Bytes::copy_from_slice(root.as_slice()))?;
    }
    if env.rules.spec.is_enabled_in(SpecId::PRAGUE) {
        machine.system_call(HISTORY_STORAGE_ADDRESS, Bytes::copy_from_slice(header.parent_hash.as_slice()))?;
    }
    Ok(())
}

struct Run {
    receipts: Vec<Receipt>,
    gas_used: u64,
    bloom: Bloom,
}

impl Run {
    fn transact(
        &mut self,
        machine: &mut EthereumMachine<'_>,
        before: &StateTrie,
        env: &BlockEnv,
        index: usize,
        tx: &VerifiedTx,
    ) -> Result<(), BlockFault> {
        let left = env.gas_limit - self.gas_used.min(env.gas_limit);
        if tx.gas_limit() > left {
            let reason = format!("it may use {} gas, the block has {left} left", tx.gas_limit());
            return Err(BlockFault::Refused { index, reason });
        }
        let ran = machine.transact(tx, env.base_fee, self.gas_used)?;
        let mut receipt = ran.map_err(|refusal| BlockFault::Refused { index, reason: refusal.to_string() })?;
        if !env.rules.spec.is_enabled_in(SpecId::BYZANTIUM) {
            let mut now = before.clone();
            receipt.post_state = Some(now.apply(&machine.delta()));
        }
        self.gas_used = receipt.cumulative_gas_used;
        self.bloom.accrue_bloom(&receipt.bloom());
        self.receipts.push(receipt);
        Ok(())
    }
}

fn gather_requests(
    forks: &Forks,
    machine: &mut EthereumMachine<'_>,
    receipts: &[Receipt],
) -> Result<Vec<Bytes>, BlockFault> {
    let contract = forks.config().deposit_contract_address.unwrap_or(requests::DEPOSIT_CONTRACT);
    let mut asked = vec![requests::deposits(receipts, contract).map_err(BlockFault::Requests)?];
    for (kind, queue) in requests::QUEUES {
        asked.push(requests::request(kind, &machine.system_call(queue, Bytes::new())?));
    }
    Ok(asked)
}

/// What miners of the block and of its ommers get before the merge.
fn rewards(env: &BlockEnv, block: &EthereumBlock) -> Vec<(Address, U256)> {
    let spec = env.rules.spec;
    let ethers = match spec {
        spec if spec.is_enabled_in(SpecId::MERGE) => return Vec::new(),
        spec if spec.is_enabled_in(SpecId::PETERSBURG) => 2,
        spec if spec.is_enabled_in(SpecId::BYZANTIUM) => 3,
        _ => 5,
    };
    let base = U256::from(ethers * ETHER);
    let ommers = block.ommers.iter().map(|ommer| {
        let generations = (ommer.number + OMMER_GENERATIONS).saturating_sub(block.header.number);
        (ommer.beneficiary, base * U256::from(generations) / U256::from(OMMER_GENERATIONS))
    });
    let nephew = base / U256::from(NEPHEW_SHARE) * U256::from(block.ommers.len());
    ommers.chain([(env.proposer, base + nephew)]).collect()
}

fn withdrawn(block: &EthereumBlock) -> impl Iterator<Item = (Address, U256)> + '_ {
    let all = block.withdrawals.iter().flatten();
    all.map(|withdrawal| (withdrawal.address, U256::from(withdrawal.amount) * U256::from(GWEI)))
}

fn same<T: PartialEq + std::fmt::Debug>(field: &'static str, found: T, expected: T) -> Result<(), BlockFault> {
    match found == expected {
        true => Ok(()),
        false => Err(BlockFault::Differs { field, found: format!("{found:?}"), expected: format!("{expected:?}") }),
    }
}

/// What can be said of a block before it runs.
fn check_before(forks: &Forks, parent: Parent<'_>, block: &EthereumBlock, env: &BlockEnv) -> Result<(), BlockFault> {
    let header = &block.header;
    let (number, timestamp) = (header.number, header.timestamp);
    same("number", number, parent.header.number + 1)?;
    same("parent hash", header.parent_hash, parent.hash)?;
    if timestamp <= parent.header.timestamp {
        let expected = format!("more than {}", parent.header.timestamp);
        return Err(BlockFault::Differs { field: "timestamp", found: timestamp.to_string(), expected });
    }
    same("base fee", header.base_fee_per_gas, base_fee_after(forks, parent, number, timestamp))?;
    same("excess blob gas", header.excess_blob_gas, excess_blob_gas_after(forks, parent, number, timestamp))?;
    let spec = env.rules.spec;
    same("withdrawals", block.withdrawals.is_some(), spec.is_enabled_in(SpecId::SHANGHAI))?;
    same("beacon root", header.parent_beacon_block_root.is_some(), spec.is_enabled_in(SpecId::CANCUN))?;
    same("ommers hash", header.ommers_hash, calculate_ommers_root(&block.ommers))?;
    check_ommers(block, spec)
}

/// Number and age of ommers: what their rewards are computed from. Their ancestors are believed.
fn check_ommers(block: &EthereumBlock, spec: SpecId) -> Result<(), BlockFault> {
    let (number, count) = (block.header.number, block.ommers.len());
    let max = if spec.is_enabled_in(SpecId::MERGE) { 0 } else { OMMERS_MAX };
    if count > max {
        return Err(BlockFault::Ommers(format!("it names {count}, the limit is {max}")));
    }
    let age = |ommer: &ExecutedHeader| number.checked_sub(ommer.number);
    match block.ommers.iter().find(|ommer| !age(ommer).is_some_and(|age| (1..=OMMER_MAX_AGE).contains(&age))) {
        Some(ommer) => {
            let reason = format!("one has number {}, which is not 1 to {OMMER_MAX_AGE} before {number}", ommer.number);
            Err(BlockFault::Ommers(reason))
        }
        None => Ok(()),
    }
}

/// The block's header with everything in it that execution determines.
fn executed_header(
    block: &EthereumBlock,
    txs: &[VerifiedTx],
    run: &Run,
    state_root: B256,
    requests: Option<&[Bytes]>,
) -> ExecutedHeader {
    let header = &block.header;
    let blob_gas = || txs.iter().map(VerifiedTx::blob_gas).sum();
    ExecutedHeader {
        gas_used: run.gas_used,
        transactions_root: transactions_root(txs.iter()),
        receipts_root: receipts_root(&run.receipts),
        logs_bloom: run.bloom,
        withdrawals_root: block.withdrawals.as_ref().map(|withdrawals| calculate_withdrawals_root(withdrawals)),
        blob_gas_used: header.excess_blob_gas.map(|_| blob_gas()),
        requests_hash: requests.map(requests::requests_hash),
        state_root,
        ..header.clone()
    }
}

fn check_after(header: &ExecutedHeader, expected: &ExecutedHeader) -> Result<(), BlockFault> {
    same("gas used", header.gas_used, expected.gas_used)?;
    same("transactions root", header.transactions_root, expected.transactions_root)?;
    same("receipts root", header.receipts_root, expected.receipts_root)?;
    same("logs bloom", header.logs_bloom, expected.logs_bloom)?;
    same("withdrawals root", header.withdrawals_root, expected.withdrawals_root)?;
    same("blob gas used", header.blob_gas_used, expected.blob_gas_used)?;
    same("requests hash", header.requests_hash, expected.requests_hash)?;
    same("state root", header.state_root, expected.state_root)
}
