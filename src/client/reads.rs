//! Reads of the protocol modules that are made of read-only calls.
//!
//! Must not know how a call is answered or whether the answer was verified. Invariants: a read that needs several calls is bounded, and
//! an answer that does not decode is an error, never a default.

use super::{ChainError, FileRecord, MinerRecord, revert};
use crate::ledger::abi::{FILES, IFiles, IMiners, MINERS};
use crate::rpc::error::REVERTED;
use crate::types::{Address, FileId};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use std::collections::BTreeSet;

/// Miners a chain may have before this client refuses to list them all.
const MINERS_MAX: u64 = 100_000;
/// Files one listing may return; the interface's own bound.
const FILES_MAX: u64 = 1_000;
/// Reads of one listing that run at a time.
const PARALLEL_READS: usize = 16;

/// Whoever runs read-only calls.
#[async_trait]
pub(super) trait Caller: Sync {
    /// Runs a call; the inner error is its revert data.
    async fn try_call(&self, to: Address, data: Bytes) -> Result<Result<Bytes, Bytes>, ChainError>;
    /// Miners whose records fit one answer.
    fn miners_page(&self) -> u64;
}

/// The answer of a call; a revert is an error in words.
pub(super) async fn call(caller: &dyn Caller, to: Address, data: Bytes) -> Result<Bytes, ChainError> {
    caller.try_call(to, data).await?.map_err(|data| ChainError::Refused {
        code: REVERTED,
        message: format!("execution reverted: {}", revert::explain(&data)),
    })
}

async fn read<C: SolCall>(caller: &dyn Caller, module: Address, question: C) -> Result<C::Return, ChainError> {
    decode::<C>(&call(caller, module, question.abi_encode().into()).await?)
}

fn decode<C: SolCall>(answer: &[u8]) -> Result<C::Return, ChainError> {
    C::abi_decode_returns(answer).map_err(|e| ChainError::Malformed(format!("{}: {e}", C::SIGNATURE)))
}

/// Every registered miner.
pub(super) async fn miners(caller: &dyn Caller) -> Result<Vec<MinerRecord>, ChainError> {
    let (mut miners, mut seen, mut skip) = (Vec::new(), BTreeSet::new(), 0u64);
    let limit = caller.miners_page();
    loop {
        let page = read(caller, MINERS, IMiners::listCall { skip, limit }).await?;
        let count = u64::try_from(page.len()).expect("a length fits 64 bits");
        miners.extend(page.into_iter().map(miner_record).filter(|miner| seen.insert(miner.address)));
        if count < limit {
            return Ok(miners);
        }
        skip += count;
        if skip >= MINERS_MAX {
            return Err(ChainError::Malformed(format!("the chain lists over {MINERS_MAX} miners")));
        }
    }
}

/// One file's record.
pub(super) async fn file(caller: &dyn Caller, id: FileId) -> Result<Option<FileRecord>, ChainError> {
    let question = IFiles::getCall { id: id.into() }.abi_encode().into();
    match caller.try_call(FILES, question).await? {
        Ok(answer) => decode::<IFiles::getCall>(&answer).map(|file| Some(file_record(file))),
        Err(data) if revert::is_unknown_file(&data) => Ok(None),
        Err(data) => {
            let message = format!("execution reverted: {}", revert::explain(&data));
            Err(ChainError::Refused { code: REVERTED, message })
        }
    }
}

/// Files of an owner, in the module's order.
pub(super) async fn files_of(
    caller: &dyn Caller,
    owner: Address,
    skip: u64,
    limit: u64,
) -> Result<Vec<FileRecord>, ChainError> {
    let limit = limit.min(FILES_MAX);
    let ids = read(caller, FILES, IFiles::listOfCall { owner, skip, limit }).await?;
    let records = stream::iter(ids).map(|id| file(caller, id.into())).buffered(PARALLEL_READS);
    let found: Vec<Option<FileRecord>> = records.try_collect().await?;
    Ok(found.into_iter().flatten().collect())
}

/// A miner as the interface gives it.
pub fn miner_record(miner: IMiners::Miner) -> MinerRecord {
    MinerRecord {
        address: miner.account,
        operator: miner.operator,
        network_key: miner.networkKey.0,
        account_key: miner.accountKey.0,
        prefix: miner.prefix,
        capacity: miner.capacity,
        used: miner.used,
        since: miner.since,
        name: miner.name,
        state: miner.state,
        held: miner.held,
        left_at: miner.leftAt,
        collateral: miner.collateral,
        strikes: miner.strikes,
        segments: miner.segments,
        consumed: miner.consumed,
        idle: miner.idle,
        weight: miner.weight,
    }
}

/// A file as the interface gives it.
pub fn file_record(file: IFiles::File) -> FileRecord {
    FileRecord {
        id: file.id.into(),
        owners: file.owners,
        size: file.size,
        segments: file.segments,
        holders: file.holders,
        stored_at: file.storedAt,
    }
}
