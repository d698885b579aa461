//! Methods on blocks and their time.

use super::{
    named,
    numbers::{narrow, number, number_if, parsed},
    refusal, refused,
};
use crate::{
    chain::{
        api::{Answer, objects::hex, optional, required},
        dev::{DevChain, MineError, Mining},
    },
    ledger::{tx::VerifiedTx, unsigned},
    rpc::{Params, RpcModule, error},
    types::B256,
};
use alloy_primitives::Bytes;
use jsonrpsee::core::RegisterMethodError;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

/// What is left to say when a method has done its work.
const DONE: Value = Value::Null;

pub(super) fn register(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    named(module, chain, &["evm_mine"], mine_one)?;
    named(module, chain, &["anvil_mine", "hardhat_mine"], mine)?;
    named(module, chain, &["evm_snapshot", "anvil_snapshot"], |chain, _| Ok(hex(chain.snapshot())))?;
    named(module, chain, &["evm_revert", "anvil_revert"], |chain, params| {
        Ok(chain.revert(number(&mut params.sequence(), "snapshot id")?))
    })?;
    named(module, chain, &["anvil_rollback"], rollback)?;
    named(module, chain, &["anvil_reorg"], reorg)?;
    modes(module, chain)?;
    time(module, chain)
}

fn modes(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    named(module, chain, &["evm_setAutomine", "anvil_setAutomine"], |chain, params| {
        let on: bool = required(&mut params.sequence(), "enabled")?;
        let now = chain.settings().mining;
        let mode = match (on, now) {
            (true, _) => Mining::Instant,
            (false, Mining::Instant) => Mining::Off,
            (false, other) => other,
        };
        chain.set_mining(mode).map_err(failed).map(|()| DONE)
    })?;
    named(module, chain, &["anvil_getAutomine", "hardhat_getAutomine"], |chain, _| {
        Ok(chain.settings().mining == Mining::Instant)
    })?;
    named(module, chain, &["evm_setIntervalMining", "anvil_setIntervalMining"], |chain, params| {
        let mode = match number(&mut params.sequence(), "seconds")? {
            0 => Mining::Off,
            seconds => Mining::Every(Duration::from_secs(seconds)),
        };
        chain.set_mining(mode).map_err(failed).map(|()| DONE)
    })?;
    named(module, chain, &["anvil_getIntervalMining"], |chain, _| {
        Ok(match chain.settings().mining {
            Mining::Every(interval) => Some(interval.as_secs()),
            Mining::Instant | Mining::Off => None,
        })
    })
}

fn time(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    named(module, chain, &["evm_increaseTime", "anvil_increaseTime"], |chain, params| {
        let seconds = number(&mut params.sequence(), "seconds")?;
        Ok(chain.set(|settings| settings.clock.increase(seconds)))
    })?;
    named(module, chain, &["evm_setNextBlockTimestamp", "anvil_setNextBlockTimestamp"], |chain, params| {
        set_next(chain, number(&mut params.sequence(), "timestamp")?).map(|()| DONE)
    })?;
    named(module, chain, &["evm_setTime", "anvil_setTime"], |chain, params| {
        let (seconds, now) = (number(&mut params.sequence(), "timestamp")?, chain.now_ms());
        chain.set(|settings| settings.clock.set(now, seconds));
        Ok(seconds.saturating_sub(now / 1_000))
    })?;
    named(module, chain, &["anvil_setBlockTimestampInterval"], |chain, params| {
        let seconds = number(&mut params.sequence(), "seconds")?;
        chain.set(|settings| settings.clock.pace(Some(seconds)));
        Ok(DONE)
    })?;
    named(module, chain, &["anvil_removeBlockTimestampInterval"], |chain, _| {
        Ok(chain.set(|settings| settings.clock.pace(None)))
    })
}

/// Sets the time of the next block, which must not lie before its parent's.
fn set_next(chain: &DevChain, seconds: u64) -> Answer<()> {
    let newest = chain.newest().block.header.timestamp;
    if seconds < newest {
        let message = format!("timestamp {seconds} is before the newest block's, which is {newest}");
        return Err(error::invalid_params(message));
    }
    chain.set(|settings| settings.clock.set_next(seconds));
    Ok(())
}

/// `evm_mine()`, `evm_mine(timestamp)` or `evm_mine({timestamp, blocks})`.
fn mine_one(chain: &DevChain, params: Params<'_>) -> Answer<&'static str> {
    let given: Option<Value> = optional(&mut params.sequence(), "options")?;
    let field = |name: &str| -> Answer<Option<u64>> {
        let value = given.as_ref().and_then(|given| given.get(name)).filter(|value| !value.is_null());
        value.map(|value| narrow(parsed(value, name)?, name)).transpose()
    };
    let (timestamp, blocks) = match &given {
        Some(Value::Object(_)) => (field("timestamp")?, field("blocks")?),
        Some(value) => (Some(narrow(parsed(value, "timestamp")?, "timestamp")?), None),
        None => (None, None),
    };
    if let Some(timestamp) = timestamp {
        set_next(chain, timestamp)?;
    }
    chain.mine_many(blocks.unwrap_or(1), None).map_err(failed)?;
    Ok("0x0")
}

/// `anvil_mine(count, seconds between them)`.
fn mine(chain: &DevChain, params: Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let count = number_if(&mut params, "number of blocks")?.unwrap_or(1);
    let apart = number_if(&mut params, "seconds between blocks")?;
    chain.mine_many(count, apart).map_err(failed).map(|()| DONE)
}

fn rollback(chain: &DevChain, params: Params<'_>) -> Answer<Value> {
    let depth = number_if(&mut params.sequence(), "depth")?.unwrap_or(1);
    match chain.rollback(depth) {
        Ok(()) => Ok(DONE),
        Err(height) => refused(format_args!("a rollback of {depth} blocks is deeper than the chain of {height}")),
    }
}

/// `anvil_reorg(depth, [[raw transaction, block index], …])`, or the same in an object.
fn reorg(chain: &DevChain, params: Params<'_>) -> Answer<Value> {
    let mut params = params.sequence();
    let first: Value = required(&mut params, "depth")?;
    let (depth, pairs) = match first.get("depth") {
        Some(depth) => (parsed(depth, "depth")?, first.get("tx_block_pairs").or(first.get("txBlockPairs")).cloned()),
        None => (parsed(&first, "depth")?, optional(&mut params, "transactions")?),
    };
    let depth = narrow(depth, "depth")?;
    let pairs: Vec<(Bytes, u64)> =
        pairs.map(serde_json::from_value).transpose().map_err(error::invalid_params)?.unwrap_or_default();
    let mut bodies = BTreeMap::<u64, Vec<VerifiedTx>>::new();
    let chain_id = chain.settings().chain_id;
    for (raw, index) in pairs {
        if index >= depth {
            return Err(error::invalid_params(format_args!("block index {index} is not below the depth of {depth}")));
        }
        bodies.entry(index).or_default().push(unsigned::decode(&raw, chain_id).map_err(error::rejected)?);
    }
    chain.reorganise(depth, bodies).map_err(refusal).map(|()| DONE)
}

fn failed(e: MineError) -> crate::rpc::ErrorObjectOwned {
    match e {
        MineError::TooMany { .. } => error::invalid_params(e),
        MineError::Exec(e) => crate::chain::api::broken(e),
    }
}

/// Hash of the newest block, for answers that name it.
pub(super) fn newest_hash(chain: &DevChain) -> B256 {
    chain.newest().block.hash
}
