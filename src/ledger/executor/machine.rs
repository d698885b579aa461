//! revm set up for one block: its rules, its environment, the protocol modules.
//!
//! Owns every deviation from Ethereum's execution; [`super::Rules::CESS`] lists them. Must not know receipts or blocks' contents.
//! Invariant: a transaction that was attempted has changed nothing until its changes are kept.

use super::{
    AccessList, BlockEnv, Dispatch, ExecError,
    batch::Batch,
    block_state::{BlockState, history_slot},
    code_cache::CodeCache,
    modules::{ModuleCall, ModulePrecompiles},
    reward::{Ordinary, Reward},
    unsigned::Unsigned,
};
use crate::{
    ledger::{
        modules::{self, BlockStart, ModuleError, ModuleHost},
        native::NATIVE_TX_TYPE,
        state::{AccountInfo, StateDelta, StateError, StateView},
        tx::VerifiedTx,
    },
    types::{Address, U256},
};
use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_primitives::{Bytes, TxKind};
use revm::{
    Database, DatabaseCommit, Journal, SystemCallCommitEvm,
    context::{BlockEnv as EvmBlock, CfgEnv, Context, Evm, TransactionType, TxEnv},
    context_interface::block::BlobExcessGasAndPrice,
    context_interface::{
        ContextTr, JournalTr,
        either::Either,
        journaled_state::account::JournaledAccountTr,
        result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction},
    },
    handler::{EthFrame, Handler, SYSTEM_ADDRESS, instructions::EthInstructions},
    interpreter::interpreter::EthInterpreter,
    state::{Account, AccountInfo as EvmAccount, EvmState, TransactionId},
};

pub(super) type Ctx<'a> = Context<EvmBlock, TxEnv, CfgEnv, BlockState<'a>, Journal<BlockState<'a>>, Reward>;
/// `I` watches the execution; nobody does when blocks run.
pub(super) type BlockEvm<'a, I = ()> =
    Evm<Ctx<'a>, I, EthInstructions<EthInterpreter, Ctx<'a>>, ModulePrecompiles<'a>, EthFrame<EthInterpreter>>;
/// A transaction that ran, or why it could not.
pub(super) type Ran = Result<ExecutionResult, InvalidTransaction>;

/// A transaction that ran and is not kept yet.
pub(super) struct Attempt {
    pub result: ExecutionResult,
    /// Every account it accessed, as it leaves it.
    pub changes: EvmState,
    /// The tip, where it is not among the changes yet.
    pub owed: Option<U256>,
}

/// The EVM in the middle of one block.
pub(super) struct Machine<'a, I = ()> {
    pub(super) evm: BlockEvm<'a, I>,
    env: &'a BlockEnv,
}

impl<'a> Machine<'a> {
    /// An EVM at the start of a block, under the block's rules.
    pub fn new(view: &'a dyn StateView, env: &'a BlockEnv, base_fee: u64, dispatch: Dispatch) -> Self {
        Self::watched(view, env, base_fee, dispatch, ())
    }
}

impl<'a, I> Machine<'a, I> {
    /// An EVM whose execution `inspector` can watch.
    pub fn watched(
        view: &'a dyn StateView,
        env: &'a BlockEnv,
        base_fee: u64,
        dispatch: Dispatch,
        inspector: I,
    ) -> Self {
        let rules = &env.rules;
        let mut cfg = CfgEnv::new_with_spec(rules.spec).with_chain_id(env.chain_id);
        cfg.tx_gas_limit_cap = rules.tx_gas_cap;
        cfg.max_blobs_per_tx = rules.blobs.map(|blobs| blobs.max_per_tx);
        cfg.blob_base_fee_update_fraction = rules.blobs.map(|blobs| blobs.update_fraction);
        let block = EvmBlock {
            number: U256::from(env.height),
            beneficiary: env.proposer,
            timestamp: U256::from(env.time_ms / 1_000),
            gas_limit: env.gas_limit,
            basefee: base_fee,
            prevrandao: Some(env.beacon),
            difficulty: rules.difficulty,
            // Without blobs nothing is ever charged by it, but the instruction must answer.
            blob_excess_gas_and_price: Some(rules.blobs.map_or_else(
                || BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 },
                |blobs| BlobExcessGasAndPrice::new(blobs.excess_gas, blobs.update_fraction),
            )),
            ..Default::default()
        };
        let ctx: Ctx<'a> = Ctx::new(BlockState::new(view, rules.spec), rules.spec).with_cfg(cfg).with_block(block);
        let instructions = EthInstructions::new_mainnet_with_spec(rules.spec);
        let precompiles = ModulePrecompiles::new(env, dispatch);
        Self { evm: Evm::new_with_inspector(ctx, inspector, instructions, precompiles), env }
    }

    /// What happens before the first transaction: the modules hear of the block, the parent's hash enters the history contract.
    pub fn begin_block(&mut self, env: &BlockEnv) -> Result<(), ExecError> {
        if env.rules.protocol {
            let start = BlockStart { beacon: env.beacon, proposer: env.proposer, round: env.round };
            self.run_system(env, |call| modules::begin_block(call, &start))?;
        }
        let journal = self.evm.ctx.journal_mut();
        if let Some(parent) = env.height.checked_sub(1) {
            journal.load_account(HISTORY_STORAGE_ADDRESS)?;
            journal.sstore(HISTORY_STORAGE_ADDRESS, history_slot(parent), env.parent_hash.into())?;
            journal.touch_account(HISTORY_STORAGE_ADDRESS);
        }
        self.keep();
        Ok(())
    }

    /// What happens after the last transaction: an era may end.
    pub fn end_block(&mut self, env: &BlockEnv) -> Result<(), ExecError> {
        if env.rules.protocol {
            self.run_system(env, |call| modules::end_block(call))?;
            self.keep();
        }
        Ok(())
    }

    fn run_system(
        &mut self,
        env: &BlockEnv,
        work: impl FnOnce(&mut dyn ModuleHost) -> Result<(), ModuleError>,
    ) -> Result<(), ExecError> {
        let mut call = ModuleCall::system(&mut self.evm.ctx, env, SYSTEM_ADDRESS);
        work(&mut call).map_err(|e| ExecError::Fatal { height: env.height, reason: e.to_string() })
    }

    /// Takes over what was done outside transactions.
    fn keep(&mut self) {
        let journal = self.evm.ctx.journal_mut();
        let changes = journal.finalize();
        journal.db_mut().commit(changes);
    }

    /// Leaves tips to whoever keeps what is attempted.
    pub fn owe_tips(&mut self) {
        self.evm.ctx.chain = Reward::Owed(U256::ZERO);
    }

    /// Looks for analysed code in `codes` before it is analysed again.
    pub fn share_code(&mut self, codes: &'a CodeCache) {
        self.evm.ctx.journaled_state.database.share_code(codes);
    }

    /// Forgets what was read of the view, which answers differently from now on.
    pub fn forget_reads(&mut self) {
        self.evm.ctx.journaled_state.database.forget_reads();
    }

    /// Runs one transaction and keeps nothing. The inner error is the transaction's own fault; what it read on the way to its
    /// refusal is no access of the block.
    pub fn attempt(&mut self, tx: &VerifiedTx) -> Result<Result<Attempt, InvalidTransaction>, ExecError> {
        self.evm.ctx.tx = tx_env(tx);
        let ended = match tx.calls() {
            [] if tx.is_unsigned() => Unsigned::default().run(&mut self.evm),
            [] => Ordinary::default().run(&mut self.evm),
            calls => Batch::new(calls).run(&mut self.evm),
        };
        let changes = self.evm.ctx.journal_mut().finalize();
        let owed = match self.evm.ctx.chain {
            Reward::Paid => None,
            Reward::Owed(tip) => Some(tip),
        };
        Ok(self.sort_out(ended)?.map(|result| Attempt { result, changes, owed }))
    }

    /// Keeps what a transaction changed, and pays the tip that is still owed.
    pub fn keep_attempt(&mut self, attempt: Attempt) -> Result<ExecutionResult, ExecError> {
        let Attempt { result, mut changes, owed } = attempt;
        let state = self.evm.ctx.journal_mut().db_mut();
        if let Some(tip) = owed {
            changes.insert(self.env.proposer, tipped(state.basic(self.env.proposer)?, tip));
        }
        state.commit(changes);
        Ok(result)
    }

    /// Runs one transaction and keeps what it changed. The inner error is the transaction's own fault and changes nothing.
    pub fn transact(&mut self, tx: &VerifiedTx) -> Result<Ran, ExecError> {
        match self.attempt(tx)? {
            Ok(attempt) => self.keep_attempt(attempt).map(Ok),
            Err(refusal) => Ok(Err(refusal)),
        }
    }

    /// Runs a call that the chain itself makes and keeps what it changed.
    pub fn call_by_chain(&mut self, to: Address, data: Bytes) -> Result<ExecutionResult, ExecError> {
        let ended = self.evm.system_call_commit(to, data);
        self.sort_out(ended)?.or_else(|refusal| self.fatal(format!("{to} cannot be called: {refusal}")))
    }

    /// Runs a call that is charged nothing and checked for nothing; changes are discarded with the machine.
    pub fn simulate(
        &mut self,
        tx: TxEnv,
        handler: &mut impl Handler<Evm = BlockEvm<'a, I>, Error = EVMError<StateError>, HaltReason = HaltReason>,
    ) -> Result<Ran, ExecError> {
        self.evm.ctx.tx = tx;
        let ended = handler.run(&mut self.evm);
        self.sort_out(ended)
    }

    /// Calls a contract as the protocol itself does, and keeps what it changed.
    pub fn system_call(&mut self, contract: Address, data: Bytes) -> Result<Bytes, ExecError> {
        match self.call_by_chain(contract, data)? {
            ExecutionResult::Success { output, .. } => Ok(output.into_data()),
            other => self.fatal(format!("system contract {contract} failed: {other:?}")),
        }
    }

    /// Adds to a balance, outside of any transaction.
    pub fn credit(&mut self, account: Address, amount: U256) -> Result<(), ExecError> {
        let mut loaded = self.evm.ctx.journal_mut().load_account_mut(account)?.data;
        loaded.touch();
        let fits = loaded.incr_balance(amount);
        if !fits {
            return self.fatal(format!("crediting {amount} overflows the balance of {account}"));
        }
        self.keep();
        Ok(())
    }

    /// Everything the block changed until now.
    pub fn delta(&self) -> StateDelta {
        self.evm.ctx.journaled_state.database.delta()
    }

    /// An account as it is now.
    pub fn account(&mut self, address: Address) -> Result<Option<AccountInfo>, StateError> {
        self.evm.ctx.journaled_state.database.account(address)
    }

    /// From now on, writes down what the block accesses.
    pub fn record(&mut self) {
        self.evm.ctx.journaled_state.database.record();
    }

    /// What is accessed from now on belongs to the next index of the access list.
    pub fn next_index(&mut self) {
        if let Some(recorder) = self.evm.ctx.journaled_state.database.recorder() {
            recorder.next();
        }
    }

    /// Everything the block accessed; nothing if nobody wrote it down.
    pub fn take_access_list(&mut self) -> AccessList {
        let recorder = self.evm.ctx.journaled_state.database.recorder().map(std::mem::take);
        recorder.unwrap_or_default().finish()
    }

    /// Everything the block changed.
    pub fn into_delta(self) -> StateDelta {
        self.into_parts().1
    }

    /// Who watched, and everything the block changed.
    pub fn into_parts(self) -> (I, StateDelta) {
        (self.evm.inspector, self.evm.ctx.journaled_state.database.into_delta())
    }

    fn fatal<T>(&self, reason: String) -> Result<T, ExecError> {
        Err(ExecError::Fatal { height: self.env.height, reason })
    }

    pub(super) fn sort_out(&self, ended: Result<ExecutionResult, EVMError<StateError>>) -> Result<Ran, ExecError> {
        match ended {
            Ok(result) => Ok(Ok(result)),
            Err(EVMError::Transaction(refusal)) => Ok(Err(refusal)),
            Err(EVMError::Database(error)) => Err(error.into()),
            Err(EVMError::Header(error)) => self.fatal(error.to_string()),
            Err(EVMError::Custom(reason)) => self.fatal(reason),
            Err(EVMError::CustomAny(error)) => self.fatal(error.to_string()),
        }
    }
}

/// The proposer's account as paying it `tip` leaves it; without the tip if that does not fit, as revm has it.
fn tipped(proposer: Option<EvmAccount>, tip: U256) -> Account {
    let mut account = proposer.map_or_else(|| Account::new_not_existing(TransactionId::ZERO), Account::from);
    account.mark_touch();
    account.info.balance = account.info.balance.checked_add(tip).unwrap_or(account.info.balance);
    account
}

/// The transaction in revm's terms.
pub(super) fn tx_env(tx: &VerifiedTx) -> TxEnv {
    let fields = &tx.fields;
    TxEnv {
        // A native transaction runs as the EIP-1559 call it describes.
        tx_type: if fields.tx_type == NATIVE_TX_TYPE { TransactionType::Eip1559 as u8 } else { fields.tx_type },
        caller: tx.sender,
        gas_limit: fields.gas_limit,
        gas_price: fields.max_fee,
        kind: fields.to.map_or(TxKind::Create, TxKind::Call),
        value: fields.value,
        data: fields.input.clone(),
        nonce: tx.nonce,
        chain_id: fields.bound.then_some(fields.chain_id),
        access_list: fields.access_list.clone(),
        gas_priority_fee: fields.priority_fee,
        blob_hashes: fields.blobs.as_ref().map(|blobs| blobs.hashes.clone()).unwrap_or_default(),
        max_fee_per_blob_gas: fields.blobs.as_ref().map_or(0, |blobs| blobs.max_fee),
        authorization_list: fields.authorities.iter().cloned().map(Either::Right).collect(),
    }
}
