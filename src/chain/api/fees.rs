//! `eth_` methods on prices.

use super::{Answer, Eth, blocks, broken, objects::hex, optional, reading, required};
use crate::{
    chain::records::ExecutedBlock,
    ledger::executor::{BlockEnv, Receipt},
    rpc::{Params, RpcModule, error},
    types::Height,
};
use alloy_eips::{BlockNumberOrTag, eip4844::DATA_GAS_PER_BLOB};
use alloy_rpc_types_eth::FeeHistory;
use jsonrpsee::core::RegisterMethodError;
use serde_json::Value;

/// Blocks one fee history may span.
const HISTORY_MAX_BLOCKS: u64 = 1_024;
/// Percentiles one fee history may ask for.
const PERCENTILES_MAX: usize = 100;
/// Blocks looked at for a tip suggestion.
const TIP_BLOCKS: u64 = 16;
/// Tip suggested while blocks have room: one smallest unit, so that bidders are ahead of those who bid nothing.
const TIP_FLOOR: u128 = 1;
/// Price of blob gas nobody asks for (EIP-4844).
const MIN_BLOB_PRICE: u128 = 1;
/// Blocks fuller than this part of their gas limit make tips matter.
const FULL_PERCENT: u64 = 90;

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "eth_gasPrice", |eth, _| {
        Ok(hex(u128::from(next_env(eth, eth.latest())?.base_fee) + suggested_tip(eth)?))
    })?;
    reading(module, eth, "eth_baseFee", |eth, _| Ok(hex(next_env(eth, eth.latest())?.base_fee)))?;
    reading(module, eth, "eth_maxPriorityFeePerGas", |eth, _| Ok(hex(suggested_tip(eth)?)))?;
    reading(module, eth, "eth_blobBaseFee", |eth, _| Ok(hex(blob_price(&next_env(eth, eth.latest())?))))?;
    reading(module, eth, "eth_feeHistory", fee_history)
}

/// The median tip of the last full block, or the floor when none was full.
fn suggested_tip(eth: &Eth) -> Answer<u128> {
    let newest = eth.latest();
    for height in (newest.saturating_sub(TIP_BLOCKS) + 1..=newest).rev() {
        let Some(block) = eth.header(height).map_err(broken)? else { continue };
        if block.header.gas_used < block.header.gas_limit / 100 * FULL_PERCENT {
            continue;
        }
        let receipts = eth.receipts(height).map_err(broken)?;
        return Ok(tips_at(&receipts, block.base_fee(), &[50.0])[0].max(TIP_FLOOR));
    }
    Ok(TIP_FLOOR)
}

fn fee_history(eth: &Eth, params: Params<'_>) -> Answer<FeeHistory> {
    let mut params = params.sequence();
    let count = count_of(&required(&mut params, "block count")?)?.min(HISTORY_MAX_BLOCKS);
    let newest: BlockNumberOrTag = required(&mut params, "newest block")?;
    let percentiles: Option<Vec<f64>> = optional(&mut params, "reward percentiles")?;
    check_percentiles(percentiles.as_deref().unwrap_or_default())?;
    let head = eth.latest();
    let newest = blocks::height_of(eth, newest);
    if newest > head {
        return Err(error::server_error(format_args!("request beyond head block: requested {newest}, head {head}")));
    }
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    blocks::check_kept(eth, newest, newest)?;
    let oldest = (newest + 1).saturating_sub(count).max(eth.first_kept().map_err(broken)?);
    history(eth, oldest, newest, percentiles.as_deref())
}

fn history(eth: &Eth, oldest: Height, newest: Height, percentiles: Option<&[f64]>) -> Answer<FeeHistory> {
    let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
    let mut rewards = Vec::new();
    for height in oldest..=newest {
        let block = header(eth, height)?;
        let env = eth.env_of(&block).map_err(broken)?;
        history.base_fee_per_gas.push(block.base_fee().into());
        history.gas_used_ratio.push(ratio(block.header.gas_used, block.header.gas_limit));
        history.base_fee_per_blob_gas.push(blob_price(&env));
        history.blob_gas_used_ratio.push(blob_ratio(&block, &env));
        if let Some(percentiles) = percentiles {
            let receipts = eth.receipts(height).map_err(broken)?;
            rewards.push(tips_at(&receipts, block.base_fee(), percentiles));
        }
    }
    let after = next_env(eth, newest)?;
    history.base_fee_per_gas.push(after.base_fee.into());
    history.base_fee_per_blob_gas.push(blob_price(&after));
    history.reward = percentiles.map(|_| rewards);
    Ok(history)
}

fn header(eth: &Eth, height: Height) -> Answer<ExecutedBlock> {
    let block = eth.header(height).map_err(broken)?;
    block.ok_or_else(|| broken(format_args!("executed header {height} is missing")))
}

/// Surroundings of the block after `height`.
fn next_env(eth: &Eth, height: Height) -> Answer<BlockEnv> {
    Ok(eth.env_after(&header(eth, height)?))
}

fn blob_price(env: &BlockEnv) -> u128 {
    env.rules.blobs.map_or(MIN_BLOB_PRICE, |blobs| blobs.price())
}

fn blob_ratio(block: &ExecutedBlock, env: &BlockEnv) -> f64 {
    let most = env.rules.blobs.map_or(0, |blobs| blobs.max.saturating_mul(DATA_GAS_PER_BLOB));
    ratio(block.header.blob_gas_used.unwrap_or_default(), most)
}

/// Tips at percentiles of the gas they were paid for; zeroes for an empty block.
fn tips_at(receipts: &[Receipt], base_fee: u64, percentiles: &[f64]) -> Vec<u128> {
    let tip = |receipt: &Receipt| receipt.gas_price.saturating_sub(base_fee.into());
    let mut paid: Vec<(u128, u64)> = receipts.iter().map(|receipt| (tip(receipt), receipt.gas_used)).collect();
    paid.sort_unstable();
    let total: u64 = paid.iter().map(|(_, gas)| gas).sum();
    let at = |percentile: &f64| {
        let threshold = ratio(total, 100) * percentile;
        let mut passed = 0u64;
        let found = paid.iter().find(|(_, gas)| {
            passed += gas;
            ratio(passed, 1) >= threshold
        });
        found.or(paid.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(at).collect()
}

fn check_percentiles(percentiles: &[f64]) -> Answer<()> {
    if percentiles.len() > PERCENTILES_MAX {
        let found = percentiles.len();
        return Err(error::invalid_params(format_args!("{found} percentiles are over the limit of {PERCENTILES_MAX}")));
    }
    let ascending = percentiles.windows(2).all(|pair| pair[0] <= pair[1]);
    match ascending && percentiles.iter().all(|p| (0.0..=100.0).contains(p)) {
        true => Ok(()),
        false => Err(error::invalid_params("percentiles must ascend from 0 to 100")),
    }
}

/// A count as a number or a hexadecimal quantity.
fn count_of(value: &Value) -> Answer<u64> {
    let text = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let count = value.as_u64().or_else(|| value.as_str().and_then(text));
    count.ok_or_else(|| error::invalid_params(format_args!("block count {value} is not a quantity")))
}

/// Display only: heights and prices never pass through floats.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 / whole as f64
}
