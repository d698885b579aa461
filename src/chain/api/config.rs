//! What a chain says of itself: `eth_config` (EIP-7910: the rules in force, those to come, and the last ones scheduled), and
//! `eth_capabilities`: how far back it can be read.
//!
//! Owns the shapes. Must not know how the rules are applied. Invariant: what it tells is derived from the fork schedule the
//! executor runs by.

use super::{Answer, Eth, backend::StateGone, broken, objects::hex, reading};
use crate::{
    chain::records::ExecutedBlock,
    ledger::{ethereum::Forks, executor::Rules},
    rpc::RpcModule,
    types::{Address, B256, Height},
};
use alloy_eips::{eip2124::ForkHash, eip7840::BlobParams, eip7910::SystemContract};
use alloy_genesis::ChainConfig;
use alloy_primitives::{Bytes, address};
use jsonrpsee::core::RegisterMethodError;
use revm::primitives::hardfork::SpecId;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Precompiles by the fork that brought them, under the names of EIP-7910.
const PRECOMPILES: [(SpecId, &str, Address); 18] = [
    (SpecId::FRONTIER, "ECREC", address!("0x0000000000000000000000000000000000000001")),
    (SpecId::FRONTIER, "SHA256", address!("0x0000000000000000000000000000000000000002")),
    (SpecId::FRONTIER, "RIPEMD160", address!("0x0000000000000000000000000000000000000003")),
    (SpecId::FRONTIER, "ID", address!("0x0000000000000000000000000000000000000004")),
    (SpecId::BYZANTIUM, "MODEXP", address!("0x0000000000000000000000000000000000000005")),
    (SpecId::BYZANTIUM, "BN254_ADD", address!("0x0000000000000000000000000000000000000006")),
    (SpecId::BYZANTIUM, "BN254_MUL", address!("0x0000000000000000000000000000000000000007")),
    (SpecId::BYZANTIUM, "BN254_PAIRING", address!("0x0000000000000000000000000000000000000008")),
    (SpecId::ISTANBUL, "BLAKE2F", address!("0x0000000000000000000000000000000000000009")),
    (SpecId::CANCUN, "KZG_POINT_EVALUATION", address!("0x000000000000000000000000000000000000000a")),
    (SpecId::PRAGUE, "BLS12_G1ADD", address!("0x000000000000000000000000000000000000000b")),
    (SpecId::PRAGUE, "BLS12_G1MSM", address!("0x000000000000000000000000000000000000000c")),
    (SpecId::PRAGUE, "BLS12_G2ADD", address!("0x000000000000000000000000000000000000000d")),
    (SpecId::PRAGUE, "BLS12_G2MSM", address!("0x000000000000000000000000000000000000000e")),
    (SpecId::PRAGUE, "BLS12_PAIRING_CHECK", address!("0x000000000000000000000000000000000000000f")),
    (SpecId::PRAGUE, "BLS12_MAP_FP_TO_G1", address!("0x0000000000000000000000000000000000000010")),
    (SpecId::PRAGUE, "BLS12_MAP_FP2_TO_G2", address!("0x0000000000000000000000000000000000000011")),
    (SpecId::OSAKA, "P256VERIFY", address!("0x0000000000000000000000000000000000000100")),
];

pub(super) fn register(module: &mut RpcModule<()>, eth: &Eth) -> Result<(), RegisterMethodError> {
    reading(module, eth, "eth_config", |eth, _| config(eth))?;
    reading(module, eth, "eth_capabilities", |eth, _| capabilities(eth))
}

/// The oldest block of which each kind of data is kept.
fn capabilities(eth: &Eth) -> Answer<Value> {
    let head = header(eth, eth.latest())?;
    let oldest_state = match eth.state(0) {
        Ok(_) => 0,
        Err(StateGone::Pruned { oldest, .. }) => oldest,
        Err(gone) => return Err(broken(gone)),
    };
    let since = |oldest| json!({"disabled": false, "oldestBlock": hex(oldest)});
    let (state, history) = (since(oldest_state), since(eth.first_kept().map_err(broken)?));
    Ok(json!({
        "head": {"number": hex(head.height()), "hash": head.hash},
        "state": state,
        "stateproofs": state,
        "tx": history,
        "logs": history,
        "receipts": history,
        "blocks": history,
    }))
}

fn header(eth: &Eth, height: Height) -> Answer<ExecutedBlock> {
    let block = eth.header(height).map_err(broken)?;
    block.ok_or_else(|| broken(format_args!("executed header {height} is missing")))
}

fn config(eth: &Eth) -> Answer<Value> {
    let (genesis, newest) = (header(eth, 0)?.hash, header(eth, eth.latest())?.header.timestamp);
    let Some(forks) = eth.forks() else {
        // The rules of this chain are those of its genesis, and no others are scheduled.
        let current = fork(eth, 0, ForkHash::from(genesis), Rules::CESS.spec, None, &Map::new());
        return Ok(json!({"current": current, "next": null, "last": null}));
    };
    let times = times(forks.config());
    let at = |time: u64| {
        let spec = forks.spec(u64::MAX, time, true);
        let hash = fork_hash(forks.config(), genesis, time);
        fork(eth, time, hash, spec, forks.blob_params(spec, time), &system_contracts(forks, spec))
    };
    let current = times.range(..=newest).next_back().copied().unwrap_or_default();
    let next = times.range(newest.saturating_add(1)..).next();
    let last = next.and(times.last());
    Ok(json!({"current": at(current), "next": next.map(|time| at(*time)), "last": last.map(|time| at(*time))}))
}

fn fork(
    eth: &Eth,
    time: u64,
    hash: ForkHash,
    spec: SpecId,
    schedule: Option<BlobParams>,
    system_contracts: &Map<String, Value>,
) -> Value {
    let known = PRECOMPILES.iter().filter(|(since, ..)| spec.is_enabled_in(*since));
    let precompiles: Map<String, Value> = known.map(|(_, name, at)| ((*name).to_owned(), json!(at))).collect();
    let blobs = |blobs: BlobParams| {
        json!({
            "target": blobs.target_blob_count,
            "max": blobs.max_blob_count,
            "baseFeeUpdateFraction": u64::try_from(blobs.update_fraction).unwrap_or(u64::MAX),
        })
    };
    json!({
        "activationTime": time,
        "blobSchedule": schedule.map(blobs),
        "chainId": hex(eth.chain_id()),
        "forkId": Bytes::copy_from_slice(&hash.0),
        "precompiles": precompiles,
        "systemContracts": system_contracts,
    })
}

fn system_contracts(forks: &Forks, spec: SpecId) -> Map<String, Value> {
    let deposits = forks.config().deposit_contract_address.unwrap_or_default();
    let cancun = SystemContract::cancun().into_iter().filter(|_| spec.is_enabled_in(SpecId::CANCUN));
    let prague = SystemContract::prague(Some(deposits)).into_iter().filter(|_| spec.is_enabled_in(SpecId::PRAGUE));
    cancun.chain(prague).map(|(contract, at)| (contract.to_string(), json!(at))).collect()
}

/// Times at which rules change.
fn times(config: &ChainConfig) -> BTreeSet<u64> {
    let forks = [config.shanghai_time, config.cancun_time, config.prague_time, config.osaka_time];
    let blobs = [config.bpo1_time, config.bpo2_time, config.bpo3_time, config.bpo4_time, config.bpo5_time];
    forks.into_iter().chain(blobs).flatten().collect()
}

/// The fork hash of EIP-6122 once the rules of `time` are in force. What holds from genesis on does not count.
fn fork_hash(config: &ChainConfig, genesis: B256, time: u64) -> ForkHash {
    let blocks: BTreeSet<u64> = [
        config.homestead_block,
        config.dao_fork_block.filter(|_| config.dao_fork_support),
        config.eip150_block,
        config.eip155_block,
        config.eip158_block,
        config.byzantium_block,
        config.constantinople_block,
        config.petersburg_block,
        config.istanbul_block,
        config.muir_glacier_block,
        config.berlin_block,
        config.london_block,
        config.arrow_glacier_block,
        config.gray_glacier_block,
        config.merge_netsplit_block,
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut hash = ForkHash::from(genesis);
    let reached = times(config).into_iter().filter(|fork| *fork <= time);
    blocks.into_iter().chain(reached).filter(|fork| *fork > 0).for_each(|fork| hash += fork);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;

    #[test]
    fn fork_hashes_are_those_of_the_main_network() {
        let config = ChainConfig {
            homestead_block: Some(1_150_000),
            dao_fork_block: Some(1_920_000),
            dao_fork_support: true,
            eip150_block: Some(2_463_000),
            eip155_block: Some(2_675_000),
            eip158_block: Some(2_675_000),
            byzantium_block: Some(4_370_000),
            constantinople_block: Some(7_280_000),
            petersburg_block: Some(7_280_000),
            istanbul_block: Some(9_069_000),
            muir_glacier_block: Some(9_200_000),
            berlin_block: Some(12_244_000),
            london_block: Some(12_965_000),
            arrow_glacier_block: Some(13_773_000),
            gray_glacier_block: Some(15_050_000),
            shanghai_time: Some(1_681_338_455),
            cancun_time: Some(1_710_338_135),
            ..ChainConfig::default()
        };
        let genesis = b256!("0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
        let hash = |time| ::hex::encode(fork_hash(&config, genesis, time).0);
        assert_eq!(hash(1_681_338_454), "f0afd0e3");
        assert_eq!(hash(1_681_338_455), "dce96c2d");
        assert_eq!(hash(1_710_338_135), "9f3d2254");
    }

    #[test]
    fn precompiles_come_with_their_forks() {
        let count = |spec: SpecId| PRECOMPILES.iter().filter(|(since, ..)| spec.is_enabled_in(*since)).count();
        assert_eq!(count(SpecId::HOMESTEAD), 4);
        assert_eq!(count(SpecId::CANCUN), 10);
        assert_eq!(count(SpecId::OSAKA), PRECOMPILES.len());
    }
}
