//! A call as clients write it, and the place it is to run at.
//!
//! Owns the defaults of fields that are left out, which are go-ethereum's. Must not know what is done with the call.

use super::{
    Answer, Eth,
    backend::ChainState,
    blocks, broken,
    overrides::{self, BlockOverrides, StateOverrides},
};
use crate::{
    chain::records::ExecutedBlock,
    ledger::executor::{BlockEnv, Call, CallError, CallOutcome, Session},
    rpc::{ErrorObjectOwned, error},
    types::params::BLOCK_GAS_LIMIT,
};
use alloy_eips::BlockId;
use alloy_primitives::TxKind;
use alloy_rpc_types_eth::TransactionRequest;
use revm::primitives::hardfork::SpecId;

/// Gas a call on an Ethereum chain may use: go-ethereum's default.
const ETHEREUM_CALL_GAS_MAX: u64 = 50_000_000;

/// Where a call runs: in a block, on a state.
pub struct Ground {
    /// The block whose state it is.
    pub block: ExecutedBlock,
    /// The block the call believes to be in.
    pub env: BlockEnv,
    /// The state.
    pub state: ChainState,
}

impl Ground {
    /// In the named block, on the state after it; for `pending` in the block to come.
    pub fn after(eth: &Eth, id: Option<BlockId>) -> Answer<Self> {
        let (block, state) = blocks::state(eth, id)?;
        let env = match id {
            Some(id) if id.is_pending() => eth.env_after(&block),
            _ => eth.env_of(&block).map_err(broken)?,
        };
        Ok(Self { block, env, state })
    }

    /// In a mined block, on the state before it. Genesis has none.
    pub fn before(eth: &Eth, block: &ExecutedBlock) -> Answer<Self> {
        let parent = block.height().checked_sub(1).ok_or_else(|| error::server_error("genesis is not traceable"))?;
        let env = eth.env_of(block).map_err(broken)?;
        Ok(Self { block: block.clone(), env, state: blocks::state_at(eth, parent)? })
    }

    /// Changes the block, before a session begins.
    pub fn with(mut self, overrides: Option<&BlockOverrides>) -> Answer<Self> {
        overrides.map(|overrides| overrides.apply(&mut self.env)).transpose()?;
        Ok(self)
    }

    /// A session here.
    pub fn session(&self, state: Option<&StateOverrides>, block: Option<&BlockOverrides>) -> Answer<Session<'_>> {
        let mut session = Session::new(&self.state, &self.env);
        block.map(|overrides| overrides.settle(&mut session)).transpose()?;
        state.map(|changes| overrides::apply(changes, &mut session)).transpose()?;
        Ok(session)
    }
}

/// Gas a call may use. On our chain a transaction may fill a block.
pub fn gas_cap(env: &BlockEnv) -> u64 {
    if env.rules.protocol { BLOCK_GAS_LIMIT } else { ETHEREUM_CALL_GAS_MAX }
}

/// The call a request describes, with gas `cap` at most.
pub fn call_of(request: TransactionRequest, env: &BlockEnv, cap: u64) -> Answer<Call> {
    let TransactionRequest { gas_price, max_fee_per_gas, max_priority_fee_per_gas, .. } = request;
    if gas_price.is_some() && (max_fee_per_gas.is_some() || max_priority_fee_per_gas.is_some()) {
        let message = "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified";
        return Err(error::server_error(message));
    }
    let has_base_fee = env.rules.spec.is_enabled_in(SpecId::LONDON);
    if !has_base_fee && (max_fee_per_gas.is_some() || max_priority_fee_per_gas.is_some()) {
        let message = "maxFeePerGas and maxPriorityFeePerGas are not valid before London is active";
        return Err(error::server_error(message));
    }
    if let Some(found) = request.chain_id.filter(|id| *id != env.chain_id) {
        let wanted = env.chain_id;
        return Err(error::server_error(format_args!("chainId does not match node's (have={found}, want={wanted})")));
    }
    let data = request.input.try_into_unique_input().map_err(|_| {
        let message =
            "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass transaction call data";
        error::server_error(message)
    })?;
    let priority_fee = (gas_price.is_none() && has_base_fee).then(|| max_priority_fee_per_gas.unwrap_or_default());
    Ok(Call {
        from: request.from.unwrap_or_default(),
        to: request.to.and_then(|to| match to {
            TxKind::Call(to) => Some(to),
            TxKind::Create => None,
        }),
        gas: request.gas.unwrap_or(cap).min(cap),
        max_fee: gas_price.or(max_fee_per_gas).unwrap_or_default(),
        priority_fee,
        value: request.value.unwrap_or_default(),
        data: data.unwrap_or_default(),
        nonce: request.nonce.unwrap_or_default(),
        access_list: request.access_list,
        max_blob_fee: request.max_fee_per_blob_gas.or(request.blob_versioned_hashes.as_ref().map(|_| 0)),
        blobs: request.blob_versioned_hashes,
        authorizations: request.authorization_list,
    })
}

/// Why a call did not start, as `eth_call` says it.
pub fn not_started(call: &Call, failure: CallError) -> ErrorObjectOwned {
    match failure {
        CallError::Refused(refusal) => error::server_error(supplied(call, &refusal)),
        CallError::Exec(e) => broken(e),
    }
}

/// A refusal with the gas it had.
pub fn supplied(call: &Call, refusal: &impl std::fmt::Display) -> String {
    format!("err: {refusal} (supplied gas {})", call.gas)
}

/// What a failed call says of itself; nothing if it succeeded.
pub fn failure(outcome: &CallOutcome) -> Option<String> {
    match outcome {
        CallOutcome::Success { .. } => None,
        CallOutcome::Revert { output, .. } => Some(error::revert_message(output)),
        CallOutcome::Halt { reason, .. } => Some(reason.clone()),
    }
}
