//! What happened inside a transaction, step by step or call by call: the tracers of geth and of OpenEthereum.
//!
//! Owns the bounds of a trace and that protocol modules show as the contracts they look like. The tracers themselves are those
//! of revm-inspectors. Must not know blocks' places or JSON-RPC.

use super::{
    ExecError,
    call::{Call, Checks},
    session::{CallRun, Session, Subject, Watched},
    simulate::CallError,
};
use crate::ledger::abi::MODULES;
use alloy_eips::eip2930::AccessList;
use alloy_primitives::{Address, Log, U256, map::AddressSet};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::{
    geth::{GethDebugTracingOptions, GethTrace},
    parity::{TraceResults, TraceType, TransactionTrace},
};
use revm::{
    Inspector,
    context_interface::{ContextError, ContextTr, JournalTr, result::ResultAndState},
    handler::FrameResult,
    inspector::JournalExt,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, FrameInput, Interpreter, interpreter_types::LoopControl,
    },
};
use revm_inspectors::{
    access_list::AccessListInspector,
    tracing::{DebugInspector, DebugInspectorError, TracingInspector, TracingInspectorConfig, TransactionContext},
};

/// Instructions a trace that lists them may have: what fits an answer, and memory.
const STEPS_MAX: u64 = 1_000_000;

/// Why there is no trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TraceError {
    /// The tracer is not known, or its settings are not.
    #[error("{0}")]
    Tracer(String),
    /// It could not run.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl From<ExecError> for TraceError {
    fn from(error: ExecError) -> Self {
        Self::Call(error.into())
    }
}

/// A trace in OpenEthereum's form.
pub struct ParityRun {
    /// What was asked for.
    pub results: TraceResults,
    /// Its calls, whether asked for or not.
    pub calls: Vec<TransactionTrace>,
    /// How it ended.
    pub run: CallRun,
}

impl Session<'_> {
    /// Runs `subject` under one of geth's tracers. `place` is where a mined transaction is.
    pub fn debug(
        &self,
        subject: Subject<'_>,
        options: &GethDebugTracingOptions,
        place: &TransactionInfo,
    ) -> Result<(GethTrace, CallRun), TraceError> {
        let tracer = DebugInspector::new(options.clone()).map_err(tracer_error)?;
        let lists_steps = matches!(tracer, DebugInspector::Default(..) | DebugInspector::Erc7562Tracer(..));
        let mut watched = self.watch(subject, Tracer::new(tracer, lists_steps))?;
        let context = TransactionContext {
            block_hash: place.block_hash,
            tx_index: place.index.and_then(|index| usize::try_from(index).ok()),
            tx_hash: place.hash,
        };
        let ended = ResultAndState::new(watched.result.clone(), watched.state.clone());
        let Watched { inspector, tx, block, .. } = &mut watched;
        let mut before = self.state();
        let trace =
            inspector.inner.get_result(Some(context), tx, block, &ended, &mut before).map_err(|error| match error {
                DebugInspectorError::Database(error) => TraceError::Call(ExecError::from(error).into()),
                other => TraceError::Tracer(other.to_string()),
            })?;
        Ok((trace, watched.into_run()))
    }

    /// Runs `subject` and tells what OpenEthereum's tracing module does.
    pub fn parity(&self, subject: Subject<'_>, kinds: &[TraceType]) -> Result<ParityRun, TraceError> {
        let kinds = kinds.iter().copied().collect();
        let config = TracingInspectorConfig::from_parity_config(&kinds).set_exclude_precompile_calls(true);
        let lists_steps = kinds.contains(&TraceType::VmTrace);
        let watched = self.watch(subject, Tracer::new(TracingInspector::new(config), lists_steps))?;
        let calls = watched.inspector.inner.clone().into_parity_builder().into_transaction_traces();
        let builder = watched.inspector.inner.clone().into_parity_builder();
        let results = builder
            .into_trace_results_with_state_parts(&watched.result, &watched.state, &kinds, self.state())
            .map_err(ExecError::from)?;
        Ok(ParityRun { results, calls, run: watched.into_run() })
    }

    /// Runs a call and lists what it touches beyond what is warm anyway.
    pub fn touched(&self, call: &Call, checks: Checks) -> Result<(AccessList, CallRun), CallError> {
        let inspector = AccessListInspector::new(call.access_list.clone().unwrap_or_default());
        let watched = self.watch(Subject::Call(call, checks), inspector)?;
        let list = watched.inspector.access_list();
        Ok((list, watched.into_run()))
    }
}

fn tracer_error(error: DebugInspectorError) -> TraceError {
    TraceError::Tracer(error.to_string())
}

/// A tracer within bounds, to whom a protocol module is a contract and no precompiled one.
struct Tracer<I> {
    inner: I,
    steps_left: Option<u64>,
}

impl<I> Tracer<I> {
    fn new(inner: I, lists_steps: bool) -> Self {
        Self { inner, steps_left: lists_steps.then_some(STEPS_MAX) }
    }
}

impl<CTX, I> Inspector<CTX> for Tracer<I>
where
    CTX: ContextTr<Journal: JournalExt>,
    I: Inspector<CTX>,
{
    fn initialize_interp(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        self.inner.initialize_interp(interp, context);
    }

    fn step(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        if let Some(left) = &mut self.steps_left {
            if *left == 0 {
                *context.error() = Err(ContextError::Custom(format!("the trace has more than {STEPS_MAX} steps")));
                interp.bytecode.reset_action();
                interp.halt_fatal();
                return;
            }
            *left -= 1;
        }
        self.inner.step(interp, context);
    }

    fn step_end(&mut self, interp: &mut Interpreter, context: &mut CTX) {
        self.inner.step_end(interp, context);
    }

    fn log(&mut self, context: &mut CTX, log: Log) {
        self.inner.log(context, log);
    }

    fn log_full(&mut self, interp: &mut Interpreter, context: &mut CTX, log: Log) {
        self.inner.log_full(interp, context, log);
    }

    fn frame_start(&mut self, context: &mut CTX, input: &mut FrameInput) -> Option<FrameResult> {
        self.inner.frame_start(context, input)
    }

    fn frame_end(&mut self, context: &mut CTX, input: &FrameInput, result: &mut FrameResult) {
        self.inner.frame_end(context, input, result);
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if !MODULES.contains(&inputs.bytecode_address) {
            return self.inner.call(context, inputs);
        }
        // Tracers leave out calls of what the journal says is precompiled.
        let known = context.journal_ref().precompile_addresses().clone();
        context.journal_mut().warm_precompiles(&AddressSet::default());
        let outcome = self.inner.call(context, inputs);
        context.journal_mut().warm_precompiles(&known);
        outcome
    }

    fn call_end(&mut self, context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        self.inner.call_end(context, inputs, outcome);
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        self.inner.create(context, inputs)
    }

    fn create_end(&mut self, context: &mut CTX, inputs: &CreateInputs, outcome: &mut CreateOutcome) {
        self.inner.create_end(context, inputs, outcome);
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.inner.selfdestruct(contract, target, value);
    }
}
