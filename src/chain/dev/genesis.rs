//! Block zero of a developer's chain: the funded accounts, the protocol modules, and one validator nobody plays.

use super::{DevOptions, Settings, book::DevBlock, clock::DevClock};
use crate::{
    chain::{api::backend::ChainBlock, records::ExecutedBlock},
    crypto::NodeKeys,
    ledger::{
        commitment::{StateCommitment, StateTrie},
        executor::{BlockEnv, INITIAL_BASE_FEE, Rules},
        genesis::{Genesis, GenesisAccount, GenesisError, GenesisValidator},
    },
    types::{Params, Profile},
};
use std::{collections::BTreeSet, sync::Arc};

/// Where the keys of the one validator come from. They sign nothing.
const VALIDATOR_SEED: [u8; 32] = *b"cess dev: the validator's keys 1";

/// Genesis, and the settings it begins with.
pub struct Built {
    pub block: DevBlock,
    pub settings: Settings,
}

/// Builds both.
pub fn build(options: &DevOptions, now_ms: u64) -> Result<Built, GenesisError> {
    let keys = NodeKeys::derive(&VALIDATOR_SEED);
    let funded = || GenesisAccount { balance: options.balance, ..GenesisAccount::default() };
    let genesis = Genesis {
        chain_id: options.chain_id,
        profile: Profile::Dev,
        overrides: Default::default(),
        time_ms: options.genesis_time_ms.unwrap_or(now_ms),
        extra_data: Default::default(),
        tee: Default::default(),
        deployments: options.deployments.clone(),
        alloc: options.accounts.iter().map(|account| (account.address, funded())).collect(),
        validators: vec![GenesisValidator {
            account: keys.address(),
            consensus_key: keys.consensus.public(),
            vrf_key: keys.vrf.public(),
            network_key: keys.network.public(),
            stake: Params::of(Profile::Dev).validator_stake,
        }],
    };
    let built = genesis.build()?;
    let mut header = built.header;
    header.gas_limit = options.gas_limit;
    header.base_fee_per_gas = Some(options.base_fee.unwrap_or(INITIAL_BASE_FEE));
    let mut trie = StateTrie::default();
    trie.apply(&built.delta);
    let env = BlockEnv {
        chain_id: genesis.chain_id,
        height: 0,
        time_ms: genesis.time_ms,
        beacon: genesis.beacon(),
        proposer: header.beneficiary,
        round: 0,
        parent_hash: header.parent_hash,
        base_fee: header.base_fee_per_gas.unwrap_or_default(),
        gas_limit: header.gas_limit,
        params: genesis.params(),
        rules: Rules::CESS,
    };
    let block = ExecutedBlock { time_ms: env.time_ms, beacon: env.beacon, ..ExecutedBlock::bare(header) };
    let whole =
        ChainBlock { block, txs: Vec::new(), receipts: Vec::new(), ommers: Vec::new(), withdrawals: Some(Vec::new()) };
    let mut clock = DevClock::default();
    if let Some(time_ms) = options.genesis_time_ms {
        clock.set(now_ms, time_ms / 1_000);
    }
    let settings = Settings {
        chain_id: options.chain_id,
        clock,
        mining: options.mining,
        gas_limit: options.gas_limit,
        coinbase: keys.address(),
        next_base_fee: options.base_fee,
        next_beacon: None,
        min_gas_price: 0,
        impersonated: BTreeSet::new(),
        impersonate_all: false,
        logging: true,
    };
    Ok(Built { block: DevBlock { whole: Arc::new(whole), env, trie, delta: built.delta, access_list: None }, settings })
}
