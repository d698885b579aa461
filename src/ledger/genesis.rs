//! Block zero: who owns what, who decides, and by which numbers.
//!
//! Owns the genesis document, its validation and the state and header it builds. Invariants: the same document builds the same
//! hash everywhere; R_0 is a digest of the document and so does not depend on the state root that covers it; every module's
//! account exists (EIP-161) and the staking module holds the validators' stake; what is deployed through CREATE2 is where its code says.

use super::{
    abi::{MODULES, STAKING},
    commitment::{StateCommitment, StateTrie},
    executor::{self, BlockEnv, DeployError, Execution, INITIAL_BASE_FEE, Rules},
    header::{EXTRA_DATA_MAX_BYTES, ExecutedHeader},
    modules::{self, TeeRules, TerritoryGift, ValidatorSeat},
    predeploys::{DEPLOYMENT_MAX_BYTES, DEPLOYMENTS_MAX, PREDEPLOYS},
    state::{AccountDelta, AccountInfo, MemoryState, StateDelta},
};
use crate::{
    crypto::{
        PublicKey, VrfPublicKey,
        hash::{DOMAIN_BEACON, tagged},
    },
    types::{Address, Amount, B256, ChainId, Params, Profile, U256, params::BLOCK_GAS_LIMIT},
};
use alloy_eips::eip2935::{HISTORY_STORAGE_ADDRESS, HISTORY_STORAGE_CODE};
use alloy_primitives::{Bytes, KECCAK256_EMPTY, keccak256};
use revm::primitives::eip170::MAX_CODE_SIZE;
use std::collections::{BTreeMap, BTreeSet};

/// Most validators a genesis may name, whatever the profile's seats.
pub const GENESIS_VALIDATORS_MAX: usize = 256;
/// Code of a protocol module's account: an invalid instruction, so that Solidity's `extcodesize` check sees a contract.
pub const MODULE_CODE: Bytes = Bytes::from_static(&[0xef]);

/// Why a genesis document was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// Chain id 0.
    #[error("genesis names chain id 0, which stands for no chain")]
    ChainId,
    /// Too many or too few validators.
    #[error("genesis names {found} validators, it needs 1 to {max}")]
    ValidatorCount { found: usize, max: usize },
    /// Two validators share something that must be their own.
    #[error("genesis validator {account} shares its {what} with another")]
    Duplicate { account: Address, what: &'static str },
    /// Too little stake.
    #[error("genesis validator {account} stakes {stake}, the profile asks for {required}")]
    Stake { account: Address, stake: Amount, required: Amount },
    /// The address belongs to the protocol.
    #[error("genesis allots to {0}, which the protocol itself owns")]
    Reserved(Address),
    /// Longer than its bound.
    #[error("genesis {what} is {len} B, the limit is {max} B")]
    TooLong { what: &'static str, len: usize, max: usize },
    /// More tokens than the chain can count.
    #[error("genesis allots more than 2^128 smallest units")]
    Supply,
    /// A number of the chain's own that it cannot have.
    #[error("genesis sets the {what} to {found}, it must be {min} to {max}")]
    OutOfRange { what: &'static str, found: u64, min: u64, max: u64 },
    /// A module refused the committee, a territory or the list of enclaves.
    #[error("genesis committee or territory was refused: {0}")]
    Module(String),
    /// More deployments than a genesis may ask for.
    #[error("genesis asks for {found} deployments, the limit is {max}")]
    TooManyDeployments { found: usize, max: usize },
    /// A deployment put no contract anywhere.
    #[error("genesis {0}")]
    Deployment(#[from] DeployError),
}

/// A validator of the first committee.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisValidator {
    /// Its account.
    pub account: Address,
    /// ed25519 key that signs votes.
    #[serde(with = "key_text")]
    pub consensus_key: PublicKey,
    /// ECVRF key that feeds the beacon.
    #[serde(with = "key_text")]
    pub vrf_key: VrfPublicKey,
    /// ed25519 key of its network host.
    #[serde(with = "key_text")]
    pub network_key: PublicKey,
    /// Locked tokens.
    #[serde(with = "token_text")]
    pub stake: Amount,
}

/// Leased space of the first block.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisTerritory {
    /// Its name among its owner's.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Days from block 0 on.
    pub days: u32,
}

/// An account of the first block.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenesisAccount {
    /// Tokens, written `12.5`, or `7wei` in smallest units.
    #[serde(default, with = "token_text")]
    pub balance: Amount,
    /// Contract code.
    #[serde(default, skip_serializing_if = "no_code")]
    pub code: Bytes,
    /// Contract storage.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub storage: BTreeMap<B256, B256>,
    /// Space it may store files in, paid for by nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub territory: Option<GenesisTerritory>,
}

/// Numbers in which a chain differs from its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// Blocks of an era, [`ERA_MIN_BLOCKS`] to [`ERA_MAX_BLOCKS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era_blocks: Option<u64>,
    /// Seats of the committee, 1 to 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seats: Option<usize>,
    /// Shortest time between blocks, 0 to [`BLOCK_INTERVAL_MAX_MS`]; the idle interval is at least as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_interval_ms: Option<u64>,
}

/// Shortest era: a reveal window of two blocks, and a committee that is known two blocks ahead.
pub const ERA_MIN_BLOCKS: u64 = 4;
/// Longest era: a week of one-second blocks.
pub const ERA_MAX_BLOCKS: u64 = 604_800;
/// Longest time between blocks while transactions wait.
pub const BLOCK_INTERVAL_MAX_MS: u64 = 60_000;

impl Overrides {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self) -> Result<(), GenesisError> {
        let range = |what, found: Option<u64>, min, max| match found {
            Some(found) if !(min..=max).contains(&found) => Err(GenesisError::OutOfRange { what, found, min, max }),
            _ => Ok(()),
        };
        range("era length in blocks", self.era_blocks, ERA_MIN_BLOCKS, ERA_MAX_BLOCKS)?;
        range("block interval in milliseconds", self.block_interval_ms, 0, BLOCK_INTERVAL_MAX_MS)?;
        let wide = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        range("number of seats", self.seats.map(wide), 1, wide(GENESIS_VALIDATORS_MAX))
    }

    fn apply(&self, params: &mut Params) {
        if let Some(blocks) = self.era_blocks {
            params.era_blocks = blocks;
            params.seed_skip_blocks = params.seed_skip_blocks.min(blocks / ERA_MIN_BLOCKS);
        }
        params.seats = self.seats.unwrap_or(params.seats);
        params.block_interval_ms = self.block_interval_ms.unwrap_or(params.block_interval_ms);
        params.idle_block_interval_ms = params.idle_block_interval_ms.max(params.block_interval_ms);
    }
}

/// The document a chain grows from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// EIP-155 chain id.
    pub chain_id: ChainId,
    /// Which numbers the chain runs on.
    pub profile: Profile,
    /// Numbers this chain has of its own.
    #[serde(default, skip_serializing_if = "Overrides::is_empty")]
    pub overrides: Overrides,
    /// Time of block zero, Unix milliseconds.
    pub time_ms: u64,
    /// Anything, at most 32 bytes.
    #[serde(default)]
    pub extra_data: Bytes,
    /// Who owns what.
    pub alloc: BTreeMap<Address, GenesisAccount>,
    /// The first committee.
    pub validators: Vec<GenesisValidator>,
    /// Enclaves that are trusted. Without it no quote is taken.
    #[serde(default, skip_serializing_if = "TeeRules::is_empty")]
    pub tee: TeeRules,
    /// Contracts beyond [`PREDEPLOYS`]: salt and init code of each, in order, as the CREATE2 deployer takes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deployments: Vec<Bytes>,
}

/// What a genesis document builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltGenesis {
    /// The whole first state, as a change of nothing.
    pub delta: StateDelta,
    /// The executed header of height 0.
    pub header: ExecutedHeader,
}

impl Genesis {
    /// The chain's numbers.
    pub fn params(&self) -> Params {
        let mut params = Params::of(self.profile);
        self.overrides.apply(&mut params);
        params
    }

    /// R_0: a digest of the document.
    pub fn beacon(&self) -> B256 {
        let document = serde_json::to_vec(self).expect("a genesis document holds nothing JSON cannot express");
        B256::from(tagged(DOMAIN_BEACON, &[b"genesis", &document]))
    }

    /// The committee as the staking module records it.
    pub fn seats(&self) -> Vec<ValidatorSeat> {
        let seat = |v: &GenesisValidator| ValidatorSeat {
            account: v.account,
            consensus_key: v.consensus_key.0,
            vrf_key: v.vrf_key.0,
            network_key: v.network_key.0,
            stake: v.stake.0,
        };
        self.validators.iter().map(seat).collect()
    }

    fn gifts(&self) -> Vec<TerritoryGift> {
        let gift = |(owner, account): (&Address, &GenesisAccount)| {
            let GenesisTerritory { name, size, days } = account.territory.clone()?;
            Some(TerritoryGift { owner: *owner, name, size, days })
        };
        self.alloc.iter().filter_map(gift).collect()
    }

    /// Checks the document and builds the first state and header.
    pub fn build(&self) -> Result<BuiltGenesis, GenesisError> {
        self.check()?;
        let env = self.env();
        let mut delta = self.delta()?;
        if !self.deployments.is_empty() {
            let deployed = executor::deploy(&MemoryState::from_delta(&delta), &env, &self.deployments)?;
            delta.merge(deployed);
        }
        let root = StateTrie::default().apply(&delta);
        let header = Execution::default().header::<super::tx::VerifiedTx>(&env, root, &[]);
        Ok(BuiltGenesis { delta, header: ExecutedHeader { extra_data: self.extra_data.clone(), ..header } })
    }

    fn env(&self) -> BlockEnv {
        BlockEnv {
            chain_id: self.chain_id,
            height: 0,
            time_ms: self.time_ms,
            beacon: self.beacon(),
            proposer: Address::ZERO,
            round: 0,
            parent_hash: B256::ZERO,
            base_fee: INITIAL_BASE_FEE,
            gas_limit: BLOCK_GAS_LIMIT,
            params: self.params(),
            rules: Rules::CESS,
        }
    }

    fn check(&self) -> Result<(), GenesisError> {
        if self.chain_id == 0 {
            return Err(GenesisError::ChainId);
        }
        self.overrides.check()?;
        within("extra data", self.extra_data.len(), EXTRA_DATA_MAX_BYTES)?;
        self.check_validators()?;
        for (address, account) in &self.alloc {
            let precompile = address.as_slice()[..18].iter().all(|b| *b == 0);
            let predeployed = *address == HISTORY_STORAGE_ADDRESS || PREDEPLOYS.iter().any(|(at, _)| at == address);
            if precompile || predeployed || MODULES.contains(address) {
                return Err(GenesisError::Reserved(*address));
            }
            within("contract code", account.code.len(), MAX_CODE_SIZE)?;
        }
        let (found, max) = (self.deployments.len(), DEPLOYMENTS_MAX);
        if found > max {
            return Err(GenesisError::TooManyDeployments { found, max });
        }
        for deployment in &self.deployments {
            within("deployment", deployment.len(), DEPLOYMENT_MAX_BYTES)?;
        }
        let mut sum = U256::ZERO;
        for amount in self.alloc.values().map(|a| a.balance).chain(self.validators.iter().map(|v| v.stake)) {
            sum = sum.checked_add(amount.0).filter(|sum| *sum <= U256::from(u128::MAX)).ok_or(GenesisError::Supply)?;
        }
        Ok(())
    }

    fn check_validators(&self) -> Result<(), GenesisError> {
        let (found, max) = (self.validators.len(), GENESIS_VALIDATORS_MAX);
        if found == 0 || found > max {
            return Err(GenesisError::ValidatorCount { found, max });
        }
        let required = self.params().validator_stake;
        let mut seen = BTreeSet::new();
        for v in &self.validators {
            let account = v.account;
            if v.stake < required {
                return Err(GenesisError::Stake { account, stake: v.stake, required });
            }
            let own = [
                ("account", v.account.into_word().0),
                ("consensus key", v.consensus_key.0),
                ("VRF key", v.vrf_key.0),
                ("network key", v.network_key.0),
            ];
            if let Some((what, _)) = own.into_iter().find(|key| !seen.insert(*key)) {
                return Err(GenesisError::Duplicate { account, what });
            }
        }
        Ok(())
    }

    fn delta(&self) -> Result<StateDelta, GenesisError> {
        let mut delta = StateDelta::default();
        for (address, account) in &self.alloc {
            let slots = account.storage.iter().map(|(slot, value)| ((*slot).into(), (*value).into())).collect();
            install(&mut delta, *address, account.balance.0, &account.code, slots);
        }
        install(&mut delta, HISTORY_STORAGE_ADDRESS, U256::ZERO, &HISTORY_STORAGE_CODE, BTreeMap::new());
        for (address, code) in &PREDEPLOYS {
            install(&mut delta, *address, U256::ZERO, code, BTreeMap::new());
        }
        let (params, seats, beacon, gifts) = (self.params(), self.seats(), self.beacon(), self.gifts());
        let mut storage = modules::genesis_storage(&params, &seats, beacon, &gifts, &self.tee)
            .map_err(|e| GenesisError::Module(e.to_string()))?;
        let staked = self.validators.iter().fold(U256::ZERO, |sum, v| sum + v.stake.0);
        for module in MODULES {
            let balance = if module == STAKING { staked } else { U256::ZERO };
            install(&mut delta, module, balance, &MODULE_CODE, storage.remove(&module).unwrap_or_default());
        }
        Ok(delta)
    }
}

/// Writes one account; contracts start with nonce 1 as if they had been created, empty accounts are left out.
fn install(delta: &mut StateDelta, address: Address, balance: U256, code: &Bytes, slots: BTreeMap<U256, U256>) {
    let code_hash = if code.is_empty() { KECCAK256_EMPTY } else { keccak256(code) };
    let info = AccountInfo { nonce: u64::from(!code.is_empty()), balance, code_hash };
    if info.is_empty() {
        return;
    }
    if !code.is_empty() {
        delta.code.insert(code_hash, code.clone());
    }
    let slots = slots.into_iter().filter(|(_, value)| !value.is_zero()).collect();
    delta.accounts.insert(address, AccountDelta { info: Some(info), slots, wiped: false });
}

fn no_code(code: &Bytes) -> bool {
    code.is_empty()
}

fn within(what: &'static str, len: usize, max: usize) -> Result<(), GenesisError> {
    if len <= max { Ok(()) } else { Err(GenesisError::TooLong { what, len, max }) }
}

/// Keys as 64 hexadecimal digits.
mod key_text {
    use super::{PublicKey, VrfPublicKey};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// A 32-byte public key.
    pub trait Key {
        /// From its bytes.
        fn from_bytes(bytes: [u8; 32]) -> Self;
        /// Its bytes.
        fn bytes(&self) -> &[u8; 32];
    }

    impl Key for PublicKey {
        fn from_bytes(bytes: [u8; 32]) -> Self {
            Self(bytes)
        }
        fn bytes(&self) -> &[u8; 32] {
            &self.0
        }
    }

    impl Key for VrfPublicKey {
        fn from_bytes(bytes: [u8; 32]) -> Self {
            Self(bytes)
        }
        fn bytes(&self) -> &[u8; 32] {
            &self.0
        }
    }

    pub fn serialize<K: Key, S: Serializer>(key: &K, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(key.bytes()))
    }

    pub fn deserialize<'de, K: Key, D: Deserializer<'de>>(d: D) -> Result<K, D::Error> {
        let text = String::deserialize(d)?;
        let mut bytes = [0u8; 32];
        hex::decode_to_slice(text.strip_prefix("0x").unwrap_or(&text), &mut bytes)
            .map_err(|_| D::Error::custom(format_args!("`{text}` is not a key of 64 hexadecimal digits")))?;
        Ok(K::from_bytes(bytes))
    }
}

/// Amounts as whole tokens.
mod token_text {
    use super::Amount;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(amount: &Amount, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(amount)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Amount, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests;
