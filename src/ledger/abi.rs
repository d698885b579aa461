//! Solidity interfaces of the protocol modules, bound from `contracts/interfaces`, and the addresses the modules live at.
//!
//! Owns no rule: what a call does is in `ledger::modules`. Invariant: the bindings are generated from the published `.sol` files.

use alloy_primitives::{Address, address};

alloy_sol_types::sol!(#![sol(all_derives)] "contracts/interfaces/IStaking.sol");
alloy_sol_types::sol!(#![sol(all_derives)] "contracts/interfaces/IMiners.sol");
alloy_sol_types::sol!(#![sol(all_derives)] "contracts/interfaces/IFiles.sol");
alloy_sol_types::sol!(#![sol(all_derives)] "contracts/interfaces/ITerritory.sol");
alloy_sol_types::sol!(#![sol(all_derives)] "contracts/interfaces/IAudits.sol");
alloy_sol_types::sol!(#![sol(all_derives)] "contracts/interfaces/ITee.sol");
alloy_sol_types::sol!(#![sol(all_derives)] "contracts/interfaces/IRepair.sol");
alloy_sol_types::sol!(#![sol(all_derives)] "contracts/interfaces/IRewards.sol");
alloy_sol_types::sol!(#![sol(all_derives)] "contracts/interfaces/INames.sol");
alloy_sol_types::sol!(#![sol(all_derives)] "contracts/interfaces/IEd25519.sol");

/// Address of the staking module.
pub const STAKING: Address = address!("00000000000000000000000000000000ce550001");
/// Address of the miners module.
pub const MINERS: Address = address!("00000000000000000000000000000000ce550002");
/// Address of the files module.
pub const FILES: Address = address!("00000000000000000000000000000000ce550003");
/// Address of the territory module.
pub const TERRITORY: Address = address!("00000000000000000000000000000000ce550004");
/// Address of the audits module.
pub const AUDITS: Address = address!("00000000000000000000000000000000ce550005");
/// Address of the TEE module.
pub const TEE: Address = address!("00000000000000000000000000000000ce550006");
/// Address of the repair module.
pub const REPAIR: Address = address!("00000000000000000000000000000000ce550007");
/// Address of the rewards module.
pub const REWARDS: Address = address!("00000000000000000000000000000000ce550008");
/// Address of the names module.
pub const NAMES: Address = address!("00000000000000000000000000000000ce550009");
/// Address of the ed25519 module.
pub const ED25519: Address = address!("00000000000000000000000000000000ce550010");
/// Every module's address.
pub const MODULES: [Address; 10] = [STAKING, MINERS, FILES, TERRITORY, AUDITS, TEE, REPAIR, REWARDS, NAMES, ED25519];
