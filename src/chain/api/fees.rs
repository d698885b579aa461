//! `eth_` methods on prices.

use super::{Answer, Api, blocks, broken, objects::hex, optional, reading, required};
use crate::{
    chain::{full::FullChain, head::Head, local::check_kept},
    ledger::executor::Receipt,
    rpc::{Params, RpcModule, error},
    types::Height,
};
use alloy_eips::BlockNumberOrTag;
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
/// Blocks fuller than this part of their gas limit make tips matter.
const FULL_PERCENT: u64 = 90;

pub(super) fn register(module: &mut RpcModule<()>, api: &Api) -> Result<(), RegisterMethodError> {
    reading(module, api, "eth_gasPrice", |api, _| {
        Ok(hex(u128::from(api.chain.head().next_base_fee) + suggested_tip(&api.chain)?))
    })?;
    reading(module, api, "eth_maxPriorityFeePerGas", |api, _| Ok(hex(suggested_tip(&api.chain)?)))?;
    reading(module, api, "eth_feeHistory", fee_history)
}

/// The median tip of the last full block, or the floor when none was full.
fn suggested_tip(chain: &FullChain) -> Answer<u128> {
    let newest = chain.head().height();
    for height in (newest.saturating_sub(TIP_BLOCKS) + 1..=newest).rev() {
        let Some(block) = chain.blocks().executed(height).map_err(broken)? else { continue };
        if block.header.gas_used < block.header.gas_limit / 100 * FULL_PERCENT {
            continue;
        }
        let receipts = chain.blocks().receipts(height).map_err(broken)?;
        return Ok(tips_at(&receipts, block.base_fee(), &[50.0])[0].max(TIP_FLOOR));
    }
    Ok(TIP_FLOOR)
}

fn fee_history(api: &Api, params: Params<'_>) -> Answer<FeeHistory> {
    let mut params = params.sequence();
    let count = count_of(&required(&mut params, "block count")?)?.min(HISTORY_MAX_BLOCKS);
    let newest: BlockNumberOrTag = required(&mut params, "newest block")?;
    let percentiles: Option<Vec<f64>> = optional(&mut params, "reward percentiles")?;
    check_percentiles(percentiles.as_deref().unwrap_or_default())?;
    let head = api.chain.head();
    let newest = blocks::height_of(&api.chain, newest);
    if newest > head.height() {
        return Err(error::invalid_params(format_args!("block {newest} is above the newest block {}", head.height())));
    }
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    check_kept(&api.chain, newest, newest)?;
    let first = api.chain.blocks().first_height().map_err(broken)?;
    // Genesis is always kept.
    let first = if first == 1 { 0 } else { first };
    history(&api.chain, (newest + 1).saturating_sub(count).max(first), newest, percentiles.as_deref(), &head)
}

fn history(
    chain: &FullChain,
    oldest: Height,
    newest: Height,
    percentiles: Option<&[f64]>,
    head: &Head,
) -> Answer<FeeHistory> {
    let mut history = FeeHistory { oldest_block: oldest, ..FeeHistory::default() };
    let mut rewards = Vec::new();
    for height in oldest..=newest {
        let block = chain.blocks().executed(height).map_err(broken)?;
        let block = block.ok_or_else(|| broken(format_args!("executed header {height} is missing")))?;
        history.base_fee_per_gas.push(block.base_fee().into());
        history.gas_used_ratio.push(ratio(block.header.gas_used, block.header.gas_limit));
        if let Some(percentiles) = percentiles {
            let receipts = chain.blocks().receipts(height).map_err(broken)?;
            rewards.push(tips_at(&receipts, block.base_fee(), percentiles));
        }
    }
    let after = match newest == head.height() {
        true => Some(head.next_base_fee),
        false => chain.blocks().executed(newest + 1).map_err(broken)?.map(|block| block.base_fee()),
    };
    history.base_fee_per_gas.extend(after.map(u128::from));
    history.base_fee_per_blob_gas = vec![0; history.base_fee_per_gas.len()];
    history.blob_gas_used_ratio = vec![0.0; history.gas_used_ratio.len()];
    history.reward = percentiles.map(|_| rewards);
    Ok(history)
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
