//! Deployments before the first block: constructors run as they would in a transaction, but nobody sends or pays it.
//!
//! Must not know which contracts there are. Invariant: the same view, environment and deployments give the same change.

use super::{BlockEnv, ExecError, machine::Machine};
use crate::{
    ledger::{
        modules,
        predeploys::{CREATE2_DEPLOYER, deployed_address},
        state::{StateDelta, StateView},
    },
    types::Address,
};
use alloy_primitives::Bytes;
use revm::context_interface::result::{ExecutionResult, Output};

/// Why a deployment put no contract where it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    /// Its constructor refused, or something is at the address already.
    #[error("deployment {index} at {address} failed: {reason}")]
    Refused { index: usize, address: Address, reason: String },
    /// Too short to hold a salt.
    #[error("deployment {index} is {len} B, it begins with a salt of 32 B")]
    NoSalt { index: usize, len: usize },
    /// The node failed.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

/// Hands each of `deployments` (salt and init code) to the CREATE2 deployer, in order; returns what they changed.
pub fn deploy(view: &dyn StateView, env: &BlockEnv, deployments: &[Bytes]) -> Result<StateDelta, DeployError> {
    let mut machine = Machine::new(view, env, env.base_fee, modules::dispatch);
    for (index, deployment) in deployments.iter().enumerate() {
        let address = deployed_address(deployment).ok_or(DeployError::NoSalt { index, len: deployment.len() })?;
        let refused = |reason: String| DeployError::Refused { index, address, reason };
        match machine.call_by_chain(CREATE2_DEPLOYER, deployment.clone())? {
            ExecutionResult::Success { output: Output::Call(answer), .. } if answer[..] == address[..] => {}
            ExecutionResult::Halt { reason, .. } => return Err(refused(reason.to_string())),
            _ => return Err(refused("its constructor reverted, or the address is taken".into())),
        }
    }
    Ok(machine.into_delta())
}
