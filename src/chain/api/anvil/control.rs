//! Methods that change accounts, the pool and what the next block is like.

use super::{
    named,
    numbers::{narrow, number, word},
    refused,
};
use crate::{
    chain::{
        api::{Answer, optional, params::storage_key, required},
        dev::DevChain,
    },
    rpc::{Params, RpcModule, error},
    types::{Address, B256},
};
use alloy_primitives::Bytes;
use jsonrpsee::core::RegisterMethodError;
use serde_json::Value;

/// What is left to say when a method has done its work.
const DONE: Value = Value::Null;

pub(super) fn register(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    changes(module, chain)?;
    impersonation(module, chain)?;
    pool(module, chain)?;
    next_block(module, chain)?;
    whole_chain(module, chain)
}

fn changes(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    named(module, chain, &["anvil_setBalance", "hardhat_setBalance", "evm_setAccountBalance"], |chain, params| {
        let mut params = params.sequence();
        let (account, balance) = (required(&mut params, "address")?, word(&mut params, "balance")?);
        chain.set_balance(account, |_| balance);
        Ok(DONE)
    })?;
    named(module, chain, &["anvil_addBalance", "hardhat_addBalance"], |chain, params| {
        let mut params = params.sequence();
        let (account, more) = (required(&mut params, "address")?, word(&mut params, "amount")?);
        chain.set_balance(account, |balance| balance.saturating_add(more));
        Ok(DONE)
    })?;
    named(module, chain, &["anvil_setNonce", "hardhat_setNonce", "evm_setAccountNonce"], |chain, params| {
        let mut params = params.sequence();
        chain.set_nonce(required(&mut params, "address")?, number(&mut params, "nonce")?);
        Ok(DONE)
    })?;
    named(module, chain, &["anvil_setCode", "hardhat_setCode", "evm_setAccountCode"], |chain, params| {
        let mut params = params.sequence();
        let (account, code) = (required(&mut params, "address")?, required::<Bytes>(&mut params, "code")?);
        chain.set_code(account, &code);
        Ok(DONE)
    })?;
    named(module, chain, &["anvil_setStorageAt", "hardhat_setStorageAt", "evm_setAccountStorageAt"], |chain, params| {
        let mut params = params.sequence();
        let account = required(&mut params, "address")?;
        let slot = storage_key(&required::<String>(&mut params, "slot")?)?;
        let value: B256 = required(&mut params, "value")?;
        chain.set_slot(account, slot, value.into());
        Ok(true)
    })
}

fn impersonation(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    named(module, chain, &["anvil_impersonateAccount", "hardhat_impersonateAccount"], |chain, params| {
        let account: Address = required(&mut params.sequence(), "address")?;
        chain.set(|settings| settings.impersonated.insert(account));
        Ok(DONE)
    })?;
    named(module, chain, &["anvil_stopImpersonatingAccount", "hardhat_stopImpersonatingAccount"], |chain, params| {
        let account: Address = required(&mut params.sequence(), "address")?;
        chain.set(|settings| settings.impersonated.remove(&account));
        Ok(DONE)
    })?;
    named(module, chain, &["anvil_autoImpersonateAccount", "hardhat_autoImpersonateAccount"], |chain, params| {
        let on: bool = required(&mut params.sequence(), "enabled")?;
        chain.set(|settings| settings.impersonate_all = on);
        Ok(DONE)
    })
}

fn pool(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    named(module, chain, &["anvil_dropTransaction"], |chain, params| {
        let hash: B256 = required(&mut params.sequence(), "transaction hash")?;
        Ok(chain.forget(&hash).then_some(hash))
    })?;
    named(module, chain, &["hardhat_dropTransaction"], |chain, params| {
        Ok(chain.forget(&required(&mut params.sequence(), "transaction hash")?))
    })?;
    named(module, chain, &["anvil_dropAllTransactions", "hardhat_dropAllTransactions"], |chain, _| {
        chain.forget_all(|_| true);
        Ok(DONE)
    })?;
    named(module, chain, &["anvil_removePoolTransactions", "hardhat_removePoolTransactions"], |chain, params| {
        let sender: Address = required(&mut params.sequence(), "address")?;
        chain.forget_all(|tx| tx.sender == sender);
        Ok(DONE)
    })
}

fn next_block(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    named(module, chain, &["anvil_setCoinbase", "hardhat_setCoinbase", "evm_setCoinbase"], |chain, params| {
        let coinbase = required(&mut params.sequence(), "address")?;
        chain.set(|settings| settings.coinbase = coinbase);
        Ok(DONE)
    })?;
    let base_fee = ["anvil_setNextBlockBaseFeePerGas", "hardhat_setNextBlockBaseFeePerGas"];
    named(module, chain, &base_fee, |chain, params| {
        let fee = number(&mut params.sequence(), "base fee")?;
        chain.set(|settings| settings.next_base_fee = Some(fee));
        Ok(DONE)
    })?;
    named(module, chain, &["anvil_setMinGasPrice", "hardhat_setMinGasPrice"], |chain, params| {
        let price = u128::from(number(&mut params.sequence(), "gas price")?);
        chain.set(|settings| settings.min_gas_price = price);
        Ok(DONE)
    })?;
    named(module, chain, &["evm_setBlockGasLimit", "anvil_setBlockGasLimit"], |chain, params| {
        let limit = number(&mut params.sequence(), "gas limit")?;
        chain.set(|settings| settings.gas_limit = limit);
        Ok(true)
    })?;
    let beacon = ["anvil_setNextBlockPrevRandao", "anvil_setPrevRandao", "hardhat_setPrevRandao"];
    named(module, chain, &beacon, |chain, params| {
        let beacon = word(&mut params.sequence(), "prevrandao")?;
        chain.set(|settings| settings.next_beacon = Some(B256::from(beacon)));
        Ok(DONE)
    })?;
    named(module, chain, &["anvil_setChainId", "hardhat_setChainId"], |chain, params| {
        let id = narrow(word(&mut params.sequence(), "chain id")?, "chain id")?;
        if id == 0 {
            return Err(error::invalid_params("chain id 0 stands for no chain"));
        }
        chain.set(|settings| settings.chain_id = id);
        Ok(DONE)
    })
}

fn whole_chain(module: &mut RpcModule<()>, chain: &DevChain) -> Result<(), RegisterMethodError> {
    named(module, chain, &["anvil_reset", "hardhat_reset"], |chain, params| {
        let options: Option<Value> = optional(&mut params.sequence(), "options")?;
        let remote = options.as_ref().and_then(|options| options.get("forking")?.get("jsonRpcUrl"));
        if remote.is_some_and(|url| !url.is_null()) {
            return no_forking();
        }
        chain.reset().map_err(super::refusal).map(|()| DONE)
    })?;
    named(module, chain, &["anvil_setRpcUrl"], |_, _| no_forking())?;
    named(module, chain, &["anvil_dumpState", "hardhat_dumpState"], |chain, _| Ok(Bytes::from(chain.dump())))?;
    named(module, chain, &["anvil_loadState", "hardhat_loadState"], load)?;
    named(module, chain, &["anvil_setLoggingEnabled", "hardhat_setLoggingEnabled"], |chain, params| {
        let on: bool = required(&mut params.sequence(), "enabled")?;
        chain.set(|settings| settings.logging = on);
        Ok(DONE)
    })?;
    // Every transaction can be traced, whether it was asked for before or not.
    named(module, chain, &["anvil_enableTraces"], |_, _| Ok(DONE))
}

fn load(chain: &DevChain, params: Params<'_>) -> Answer<bool> {
    let bytes: Bytes = required(&mut params.sequence(), "state")?;
    chain.load(&bytes).map_err(error::invalid_params).map(|()| true)
}

fn no_forking() -> Answer<Value> {
    refused("this chain does not fork a remote one: it begins from its own genesis, with the protocol modules")
}
