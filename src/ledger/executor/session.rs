//! A block in somebody's head: the state of its parent, what was changed on top, and calls that are tried or kept.
//!
//! Owns the ways to run something outside the chain: a call with relaxed checks, a transaction of an old block with somebody
//! watching, the beginning and end of a block that never was. Must not know JSON or where state is kept. Invariant: the view it
//! was made with is never written; only what is kept shows in the next run.

use super::{
    BlockEnv, ExecError,
    batch::Batch,
    call::{Call, Checks, Refusal, halt_words},
    ethereum::EthereumMachine,
    machine::{BlockEvm, Ctx, Machine, tx_env},
    overlay::Overlay,
    simulate::{CallError, CallOutcome},
    unsigned::Unsigned,
};
use crate::{
    ledger::{
        abi::MODULES,
        modules,
        state::{AccountDelta, StateDelta, StateError, StateView},
        tx::VerifiedTx,
    },
    types::{Address, B256, Height, U256},
};
use alloy_primitives::Bytes;
use revm::{
    DatabaseCommit, ExecuteEvm, InspectEvm, Inspector,
    context::{BlockEnv as EvmBlock, TxEnv},
    context_interface::{
        Block, ContextTr, JournalTr, Transaction,
        block::BlobExcessGasAndPrice,
        journaled_state::account::JournaledAccountTr,
        result::{EVMError, ExecutionResult, HaltReason},
    },
    handler::{EthPrecompiles, EvmTr, Handler},
    inspector::InspectorHandler,
    interpreter::{InitialAndFloorGas, interpreter::EthInterpreter},
    state::EvmState,
};
use std::{collections::BTreeMap, marker::PhantomData};

/// Where precompiled contracts and modules answer instead; `None` where they do no longer.
pub type MovedPrecompiles = BTreeMap<Address, Option<Address>>;

/// A block that is being tried out.
pub struct Session<'a> {
    view: &'a dyn StateView,
    env: &'a BlockEnv,
    changes: StateDelta,
    hashes: BTreeMap<Height, B256>,
    /// Precompiled contracts somewhere else.
    pub moved: MovedPrecompiles,
    /// Price of blob gas, if it is not the one that follows from the block's rules.
    pub blob_price: Option<u128>,
}

/// What to run.
#[derive(Clone, Copy)]
pub enum Subject<'s> {
    /// A transaction as its block ran it.
    Tx(&'s VerifiedTx),
    /// A call nobody signed.
    Call(&'s Call, Checks),
}

/// How a call ended, and what it would have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallRun {
    /// Its end.
    pub outcome: CallOutcome,
    /// The most gas it held at any time, before refunds.
    pub peak_gas: u64,
    /// The contract it created.
    pub contract: Option<Address>,
    /// What it changed.
    pub changes: StateDelta,
}

/// A run with everything its inspector and its reader need.
pub(super) struct Watched<I> {
    pub result: ExecutionResult,
    pub state: EvmState,
    pub changes: StateDelta,
    pub inspector: I,
    pub tx: TxEnv,
    pub block: EvmBlock,
}

impl<'a> Session<'a> {
    /// The block `env` on the state before it.
    pub fn new(view: &'a dyn StateView, env: &'a BlockEnv) -> Self {
        Self {
            view,
            env,
            changes: StateDelta::default(),
            hashes: BTreeMap::new(),
            moved: BTreeMap::new(),
            blob_price: None,
        }
    }

    /// The block.
    pub fn env(&self) -> &BlockEnv {
        self.env
    }

    /// The state as it is now.
    pub fn state(&self) -> Overlay<'_> {
        Overlay { base: self.view, changes: &self.changes, hashes: &self.hashes }
    }

    /// Makes changes part of the state.
    pub fn keep(&mut self, changes: StateDelta) {
        self.changes.merge(changes);
    }

    /// Everything that was kept.
    pub fn into_changes(self) -> StateDelta {
        self.changes
    }

    /// Adds to a balance without a transaction, as withdrawals do.
    pub fn credit(&mut self, address: Address, amount: U256) -> Result<(), StateError> {
        let mut info = self.state().account(&address)?.unwrap_or_default();
        info.balance = info.balance.saturating_add(amount);
        let change = AccountDelta { info: Some(info), ..AccountDelta::default() };
        self.keep(StateDelta { accounts: BTreeMap::from([(address, change)]), code: BTreeMap::new() });
        Ok(())
    }

    /// Makes a block's hash another one.
    pub fn set_block_hash(&mut self, height: Height, hash: B256) {
        self.hashes.insert(height, hash);
    }

    /// Whether Ethereum's rules put a precompiled contract at this address, and none was moved away from or to it.
    pub fn is_precompile(&self, address: &Address) -> bool {
        match self.moved.get(address) {
            Some(moved) => moved.is_some(),
            None => EthPrecompiles::new(self.env.rules.spec).contains(address),
        }
    }

    /// Whether a protocol module answers at this address.
    pub fn is_module(&self, address: &Address) -> bool {
        self.env.rules.protocol && MODULES.contains(address) && !self.moved.contains_key(address)
    }

    /// Calls a system contract as the protocol does; its answer is empty where the chain has no such contract.
    pub fn system_call(&mut self, contract: Address, data: Bytes) -> Result<Bytes, ExecError> {
        let (answer, changes) = {
            let state = self.state();
            let mut machine = EthereumMachine::new(&state, self.env);
            (machine.system_call(contract, data)?, machine.into_delta())
        };
        self.keep(changes);
        Ok(answer)
    }

    /// What happens on our chain before a block's first transaction.
    pub fn begin(&mut self) -> Result<(), ExecError> {
        let changes = {
            let state = self.state();
            let mut machine = Machine::new(&state, self.env, self.env.base_fee, modules::dispatch);
            machine.begin_block(self.env)?;
            machine.into_delta()
        };
        self.keep(changes);
        Ok(())
    }

    /// What happens there after its last one.
    pub fn end(&mut self) -> Result<(), ExecError> {
        let changes = {
            let state = self.state();
            let mut machine = Machine::new(&state, self.env, self.env.base_fee, modules::dispatch);
            machine.end_block(self.env)?;
            machine.into_delta()
        };
        self.keep(changes);
        Ok(())
    }

    /// Runs transactions of the block unwatched and keeps what they change.
    pub fn advance<'t>(&mut self, txs: impl IntoIterator<Item = &'t VerifiedTx>) -> Result<(), CallError> {
        let changes = {
            let state = self.state();
            let mut machine = Machine::new(&state, self.env, self.env.base_fee, modules::dispatch);
            for tx in txs {
                machine.transact(tx)?.map_err(|refusal| CallError::Refused(Refusal::Other(refusal.to_string())))?;
            }
            machine.into_delta()
        };
        self.keep(changes);
        Ok(())
    }

    /// Tries a call.
    pub fn call(&self, call: &Call, checks: Checks) -> Result<CallRun, CallError> {
        self.watch(Subject::Call(call, checks), revm::inspector::NoOpInspector).map(Watched::into_run)
    }

    /// Price of a unit of blob gas.
    pub fn blob_price(&self) -> u128 {
        let by_rules = self.env.rules.blobs.map(|blobs| blobs.price());
        self.blob_price.or(by_rules).unwrap_or_default()
    }

    /// Runs something under the eyes of `inspector` and keeps nothing.
    pub(super) fn watch<I>(&self, subject: Subject<'_>, inspector: I) -> Result<Watched<I>, CallError>
    where
        I: for<'m> Inspector<Ctx<'m>, EthInterpreter>,
    {
        let state = self.state();
        let (tx, base_fee) = match subject {
            Subject::Tx(tx) => (tx_env(tx), self.env.base_fee),
            Subject::Call(call, checks) => {
                let refusal = call.check(&state, self.env, self.blob_price(), checks).map_err(ExecError::from)?;
                if let Some(refusal) = refusal {
                    return Err(CallError::Refused(refusal));
                }
                // A call that offers nothing must not find itself below the base fee it can see.
                let sees_none = !checks.base_fee && call.gas_price(self.env.base_fee) == 0;
                (call.env(self.env.chain_id), if sees_none { 0 } else { self.env.base_fee })
            }
        };
        let mut machine = Machine::watched(&state, self.env, base_fee, modules::dispatch, inspector);
        machine.evm.precompiles.moved = self.moved.clone();
        self.price_blobs(&mut machine.evm.ctx.block, subject);
        let ended = match subject {
            Subject::Tx(subject) if subject.is_unsigned() => {
                machine.evm.ctx.tx = tx.clone();
                Unsigned::default().inspect_run(&mut machine.evm)
            }
            Subject::Tx(signed) if !signed.calls().is_empty() => {
                machine.evm.ctx.tx = tx.clone();
                Batch::new(signed.calls()).inspect_run(&mut machine.evm)
            }
            Subject::Tx(_) => machine.evm.inspect_one_tx(tx.clone()),
            Subject::Call(..) => {
                machine.evm.ctx.tx = tx.clone();
                machine.evm.ctx.cfg.tx_gas_limit_cap = Some(u64::MAX);
                Unchecked(PhantomData).inspect_run(&mut machine.evm)
            }
        };
        let result =
            machine.sort_out(ended)?.map_err(|refusal| CallError::Refused(Refusal::Other(refusal.to_string())))?;
        let state = machine.evm.finalize();
        machine.evm.ctx.journal_mut().db_mut().commit(state.clone());
        let block = machine.evm.ctx.block.clone();
        let (inspector, changes) = machine.into_parts();
        Ok(Watched { result, state, changes, inspector, tx, block })
    }

    fn price_blobs(&self, block: &mut EvmBlock, subject: Subject<'_>) {
        let free = matches!(subject, Subject::Call(call, checks) if !checks.base_fee && call.max_blob_fee == Some(0));
        if let Some(price) = self.blob_price.or(free.then_some(0)) {
            let excess_blob_gas = block.blob_excess_gas_and_price.map_or(0, |blobs| blobs.excess_blob_gas);
            block.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice: price });
        }
    }
}

impl<I> Watched<I> {
    /// Without what only tracers need.
    pub fn into_run(self) -> CallRun {
        let gas = *self.result.gas();
        let (peak_gas, contract) = (gas.total_gas_spent().max(gas.floor_gas()), self.result.created_address());
        CallRun { outcome: outcome(self.result), peak_gas, contract, changes: self.changes }
    }
}

/// An ended execution.
pub(super) fn outcome(result: ExecutionResult) -> CallOutcome {
    let gas_used = result.tx_gas_used();
    match result {
        ExecutionResult::Success { output, logs, .. } => {
            CallOutcome::Success { output: output.into_data(), gas_used, logs }
        }
        ExecutionResult::Revert { output, .. } => CallOutcome::Revert { output, gas_used },
        ExecutionResult::Halt { reason, .. } => CallOutcome::Halt { reason: halt_words(&reason), gas_used },
    }
}

impl CallOutcome {
    /// What it returned, nothing if it failed.
    pub fn returned(&self) -> Bytes {
        match self {
            Self::Success { output, .. } => output.clone(),
            Self::Revert { .. } | Self::Halt { .. } => Bytes::new(),
        }
    }
}

/// Ethereum's handler for calls that [`Call::check`] has let through: it charges, but checks nothing again.
struct Unchecked<'a, I>(PhantomData<fn(&'a (), I)>);

impl<'a, I> Handler for Unchecked<'a, I> {
    type Evm = BlockEvm<'a, I>;
    type Error = EVMError<StateError>;
    type HaltReason = HaltReason;

    fn validate_env(&self, _evm: &mut Self::Evm) -> Result<(), Self::Error> {
        Ok(())
    }

    fn validate_against_state_and_deduct_caller(
        &self,
        evm: &mut Self::Evm,
        _gas: &mut InitialAndFloorGas,
    ) -> Result<(), Self::Error> {
        let (block, tx, _, journal, _, _) = evm.ctx().all_mut();
        let price = U256::from(tx.effective_gas_price(u128::from(block.basefee())));
        let blob_price = U256::from(block.blob_gasprice().unwrap_or_default());
        let fee = U256::from(tx.gas_limit()).saturating_mul(price);
        let fee = fee.saturating_add(U256::from(tx.total_blob_gas()).saturating_mul(blob_price));
        let is_call = tx.kind().is_call();
        let mut caller = journal.load_account_with_code_mut(tx.caller())?.data;
        let left = caller.balance().saturating_sub(fee);
        caller.set_balance(left);
        // Where nonces are not checked the last one is followed by the first, as in go-ethereum.
        if is_call && !caller.bump_nonce() {
            caller.set_nonce(0);
        }
        Ok(())
    }
}

impl<'a, I: Inspector<Ctx<'a>, EthInterpreter>> InspectorHandler for Unchecked<'a, I> {
    type IT = EthInterpreter;
}
