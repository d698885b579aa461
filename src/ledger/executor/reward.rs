//! Who pays the proposer its tip: each transaction, or, where transactions run ahead of their turn, whoever settles them.
//!
//! Owns the one step of Ethereum's handler in which the two differ, and the handler of ordinary transactions. Must not know
//! scheduling. Invariant: a transaction whose tip is owed has not looked at the proposer's account for the tip's sake; with the
//! tip paid on top, what it changed is what it would have changed had it paid itself.

use super::machine::BlockEvm;
use crate::{ledger::state::StateError, types::U256};
use revm::{
    context_interface::{
        Block, ContextTr, Transaction,
        result::{EVMError, HaltReason},
    },
    handler::{FrameResult, Handler, post_execution},
    interpreter::Gas,
    primitives::hardfork::SpecId,
};
use std::marker::PhantomData;

/// How tips reach the proposer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Reward {
    /// Each transaction pays its own, as Ethereum has it.
    #[default]
    Paid,
    /// A transaction says what it owes: the newest one owes this.
    Owed(U256),
}

/// Ethereum's handler of transactions, with nothing else than the tip left open.
pub(super) struct Ordinary<'a, I>(PhantomData<fn(&'a (), I)>);

impl<I> Default for Ordinary<'_, I> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<'a, I> Handler for Ordinary<'a, I> {
    type Evm = BlockEvm<'a, I>;
    type Error = EVMError<StateError>;
    type HaltReason = HaltReason;

    fn reward_beneficiary(&self, evm: &mut Self::Evm, ended: &mut FrameResult) -> Result<(), Self::Error> {
        reward(evm, ended.gas())
    }
}

/// Pays the tip of a transaction that used `gas`, or notes that it is owed.
pub(super) fn reward<I>(evm: &mut BlockEvm<'_, I>, gas: &Gas) -> Result<(), EVMError<StateError>> {
    match evm.ctx.chain {
        Reward::Paid => Ok(post_execution::reward_beneficiary(&mut evm.ctx, gas)?),
        Reward::Owed(_) => {
            evm.ctx.chain = Reward::Owed(tip(evm, gas));
            Ok(())
        }
    }
}

/// What revm would pay.
fn tip<I>(evm: &BlockEvm<'_, I>, gas: &Gas) -> U256 {
    let base_fee = u128::from(evm.ctx.block().basefee());
    let price = evm.ctx.tx().effective_gas_price(base_fee);
    let price = match evm.ctx.cfg().spec().is_enabled_in(SpecId::LONDON) {
        true => price.saturating_sub(base_fee),
        false => price,
    };
    U256::from(price * u128::from(gas.used().saturating_sub(gas.reservoir())))
}
