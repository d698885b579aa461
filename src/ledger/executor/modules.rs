//! The bridge between revm and the protocol modules: they look like precompiled contracts that keep storage.
//!
//! Owns who may call a module and how, and what storage, logs and transfers cost. Must not know any module's rules. Invariants:
//! all effects go through revm's journal, so that a revert anywhere above undoes them; gas follows the EVM's own schedule.

use super::{BlockEnv, Dispatch, machine::Ctx};
use crate::{
    ledger::{
        abi::MODULES,
        modules::{ModuleError, ModuleHost},
    },
    types::{Address, ChainId, Height, Params, U256},
};
use alloy_primitives::{Bytes, Log, LogData, map::AddressSet};
use revm::{
    context_interface::{
        Cfg, ContextTr, JournalTr,
        journaled_state::{TransferError, account::JournaledAccountTr},
    },
    handler::{EthPrecompiles, PrecompileProvider},
    interpreter::{CallInputs, CallScheme, Gas, InstructionResult, InterpreterResult},
    primitives::hardfork::SpecId,
};
use std::collections::BTreeMap;

/// Gas a system call may use. What runs around a block is bounded by the modules' code, not by a payer; the largest election (512
/// candidates, 256 seats) takes about 100 million.
const SYSTEM_GAS: u64 = 1_000_000_000;

/// Ethereum's precompiled contracts and the protocol modules.
pub(super) struct ModulePrecompiles<'a> {
    ethereum: EthPrecompiles,
    warm: AddressSet,
    env: &'a BlockEnv,
    dispatch: Dispatch,
    /// Addresses a simulation changed: what else answers there, `None` where ordinary code does.
    pub moved: BTreeMap<Address, Option<Address>>,
}

impl<'a> ModulePrecompiles<'a> {
    pub fn new(env: &'a BlockEnv, dispatch: Dispatch) -> Self {
        let ethereum = EthPrecompiles::new(env.rules.spec);
        let mut warm = ethereum.warm_addresses().clone();
        if env.rules.protocol {
            warm.extend(MODULES);
        }
        Self { ethereum, warm, env, dispatch, moved: BTreeMap::new() }
    }

    fn call_module(
        &self,
        ctx: &mut Ctx<'a>,
        module: Address,
        inputs: &CallInputs,
    ) -> Result<InterpreterResult, String> {
        let mut gas = Gas::new_with_regular_gas_and_reservoir(inputs.gas_limit, inputs.reservoir);
        if !matches!(inputs.scheme, CallScheme::Call | CallScheme::StaticCall) {
            let refusal = ModuleError::reason("a protocol module runs at its own address only, not by delegatecall");
            return ended(Err(refusal), gas);
        }
        let input = inputs.input.bytes(ctx);
        let mut call = ModuleCall {
            ctx,
            env: self.env,
            caller: inputs.caller,
            value: inputs.value.get(),
            is_static: inputs.is_static,
            gas,
        };
        let outcome = (self.dispatch)(module, &input, &mut call);
        gas = call.gas;
        ended(outcome, gas)
    }
}

/// A module's answer in revm's terms. Errors of the node itself abort the block.
fn ended(outcome: Result<Bytes, ModuleError>, mut gas: Gas) -> Result<InterpreterResult, String> {
    let (result, output) = match outcome {
        Ok(output) => (InstructionResult::Return, output),
        Err(ModuleError::Revert(data)) => (InstructionResult::Revert, data),
        Err(ModuleError::OutOfGas) => (InstructionResult::PrecompileOOG, Bytes::new()),
        Err(ModuleError::Static) => (InstructionResult::StateChangeDuringStaticCall, Bytes::new()),
        Err(fatal @ ModuleError::Fatal(_)) => return Err(fatal.to_string()),
    };
    if result.is_halt() {
        gas.spend_all();
    }
    Ok(InterpreterResult::new(result, output, gas))
}

impl<'a> PrecompileProvider<Ctx<'a>> for ModulePrecompiles<'a> {
    type Output = InterpreterResult;

    fn set_spec(&mut self, _spec: SpecId) -> bool {
        // The rule set never changes within a block.
        false
    }

    fn run(&mut self, ctx: &mut Ctx<'a>, inputs: &CallInputs) -> Result<Option<InterpreterResult>, String> {
        let asked = inputs.bytecode_address;
        let Some(at) = self.moved.get(&asked).copied().unwrap_or(Some(asked)) else { return Ok(None) };
        if self.env.rules.protocol && MODULES.contains(&at) {
            return self.call_module(ctx, at, inputs).map(Some);
        }
        match at == asked {
            true => self.ethereum.run(ctx, inputs),
            false => self.ethereum.run(ctx, &CallInputs { bytecode_address: at, ..inputs.clone() }),
        }
    }

    fn warm_addresses(&self) -> &AddressSet {
        &self.warm
    }
}

/// One call of a module in progress.
pub(super) struct ModuleCall<'c, 'a> {
    ctx: &'c mut Ctx<'a>,
    env: &'c BlockEnv,
    caller: Address,
    value: U256,
    is_static: bool,
    gas: Gas,
}

impl<'c, 'a> ModuleCall<'c, 'a> {
    /// A call nobody pays for, made by the chain itself.
    pub fn system(ctx: &'c mut Ctx<'a>, env: &'c BlockEnv, caller: Address) -> Self {
        Self { ctx, env, caller, value: U256::ZERO, is_static: false, gas: Gas::new(SYSTEM_GAS) }
    }

    fn writable(&self) -> Result<(), ModuleError> {
        if self.is_static { Err(ModuleError::Static) } else { Ok(()) }
    }

    /// Loads an account, charging for the first access of the transaction; tells whether it is empty.
    fn access(&mut self, address: Address) -> Result<bool, ModuleError> {
        let load = self.ctx.journal_mut().load_account(address).map_err(fatal)?;
        let (is_cold, is_empty) = (load.is_cold, load.data.is_empty());
        let params = self.ctx.cfg().gas_params();
        let cold = if is_cold { params.cold_account_additional_cost() } else { 0 };
        let cost = params.warm_storage_read_cost() + cold;
        self.charge(cost)?;
        Ok(is_empty)
    }
}

fn fatal(error: impl std::fmt::Display) -> ModuleError {
    ModuleError::Fatal(error.to_string())
}

impl ModuleHost for ModuleCall<'_, '_> {
    fn caller(&self) -> Address {
        self.caller
    }

    fn value(&self) -> U256 {
        self.value
    }

    fn is_static(&self) -> bool {
        self.is_static
    }

    fn height(&self) -> Height {
        self.env.height
    }

    fn time_ms(&self) -> u64 {
        self.env.time_ms
    }

    fn chain_id(&self) -> ChainId {
        self.env.chain_id
    }

    fn params(&self) -> &Params {
        &self.env.params
    }

    fn charge(&mut self, gas: u64) -> Result<(), ModuleError> {
        if self.gas.record_regular_cost(gas) { Ok(()) } else { Err(ModuleError::OutOfGas) }
    }

    fn sload(&mut self, module: Address, slot: U256) -> Result<U256, ModuleError> {
        let journal = self.ctx.journal_mut();
        // The journal asks for the account before its slots, and one module may read another's.
        journal.load_account(module).map_err(fatal)?;
        let load = journal.sload(module, slot).map_err(fatal)?;
        let params = self.ctx.cfg().gas_params();
        let cold = if load.is_cold { params.cold_storage_additional_cost() } else { 0 };
        let cost = params.warm_storage_read_cost() + cold;
        self.charge(cost)?;
        Ok(load.data)
    }

    fn sstore(&mut self, module: Address, slot: U256, value: U256) -> Result<(), ModuleError> {
        self.writable()?;
        let journal = self.ctx.journal_mut();
        journal.load_account(module).map_err(fatal)?;
        let store = journal.sstore(module, slot, value).map_err(fatal)?;
        journal.touch_account(module);
        let params = self.ctx.cfg().gas_params();
        let cost = params.sstore_static_gas() + params.sstore_dynamic_gas(true, &store.data, store.is_cold);
        let refund = params.sstore_refund(true, &store.data);
        self.charge(cost)?;
        self.gas.record_refund(refund);
        Ok(())
    }

    fn emit(&mut self, module: Address, log: LogData) -> Result<(), ModuleError> {
        self.writable()?;
        let topics = u8::try_from(log.topics().len()).expect("a log has four topics at most");
        let bytes = u64::try_from(log.data.len()).expect("a log is smaller than 2^64 bytes");
        let cost = LOG_GAS + self.ctx.cfg().gas_params().log_cost(topics, bytes);
        self.charge(cost)?;
        self.ctx.journal_mut().log(Log { address: module, data: log });
        Ok(())
    }

    fn transfer(&mut self, from: Address, to: Address, amount: U256) -> Result<(), ModuleError> {
        self.writable()?;
        self.access(from)?;
        let creates = self.access(to)? && !amount.is_zero();
        let params = self.ctx.cfg().gas_params();
        let cost = params.transfer_value_cost() + params.new_account_cost(true, creates);
        self.charge(cost)?;
        match self.ctx.journal_mut().transfer(from, to, amount).map_err(fatal)? {
            None => Ok(()),
            Some(TransferError::OutOfFunds) => {
                Err(ModuleError::reason(format!("account {from} has less than {amount} to transfer")))
            }
            Some(other) => Err(ModuleError::reason(format!("transfer from {from} to {to} failed: {other:?}"))),
        }
    }

    fn mint(&mut self, to: Address, amount: U256) -> Result<(), ModuleError> {
        self.writable()?;
        let creates = self.access(to)? && !amount.is_zero();
        let params = self.ctx.cfg().gas_params();
        let cost = params.transfer_value_cost() + params.new_account_cost(true, creates);
        self.charge(cost)?;
        let mut account = self.ctx.journal_mut().load_account_mut(to).map_err(fatal)?.data;
        match account.incr_balance(amount) {
            true => Ok(()),
            false => Err(ModuleError::Fatal(format!("minting {amount} overflows the balance of {to}"))),
        }
    }

    fn burn(&mut self, from: Address, amount: U256) -> Result<(), ModuleError> {
        self.writable()?;
        self.access(from)?;
        let cost = self.ctx.cfg().gas_params().transfer_value_cost();
        self.charge(cost)?;
        let mut account = self.ctx.journal_mut().load_account_mut(from).map_err(fatal)?.data;
        match account.decr_balance(amount) {
            true => Ok(()),
            false => Err(ModuleError::reason(format!("account {from} has less than {amount} to burn"))),
        }
    }
}

/// Static part of the LOG instructions.
const LOG_GAS: u64 = 375;
