//! Keeps territories that have lapsed from staying: anybody may release them, validators do.
//!
//! Owns when the transactions are sent, from the node's own account. Invariant: whatever fails here delays a release, never a block.

use super::base::Base;
use crate::{
    client::{ChainClient, ChainError, Wallet, ask_territory},
    consensus::Calendar,
    ledger::{
        abi::{FILES, IFiles::purgeCall, ITerritory::lapsedCall},
        genesis::Genesis,
    },
    runtime::{Criticality, Phase, Worker},
    types::{Height, U256},
};
use alloy_sol_types::SolCall;
use std::{sync::Arc, time::Duration};

/// Steps of one transaction: a released file takes the most gas, about 400,000.
const STEPS: u64 = 32;
/// Validators take turns by their accounts, this many blocks apart at most, so that not all of them send the same.
const TURNS: u8 = 4;
/// How long one wait for a block lasts.
const WAIT: Duration = Duration::from_secs(20);
/// How long a transaction may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts the task.
pub fn spawn(base: &Base, genesis: &Genesis) {
    let node = &base.node;
    let worker = node.workers.register("lapsed territories");
    let wallet = base.wallet(genesis.chain_id);
    let steward = Steward { chain: base.chain.clone(), wallet, calendar: Calendar::of(&genesis.params()), worker };
    let stop = node.tasks.stopping(Phase::Produce);
    node.tasks.spawn(Phase::Produce, "lapsed territories", Criticality::Optional, async move {
        stop.run_until_cancelled_owned(steward.run()).await;
        Ok(())
    });
}

struct Steward {
    chain: Arc<dyn ChainClient>,
    wallet: Wallet,
    calendar: Calendar,
    worker: Worker,
}

impl Steward {
    async fn run(self) {
        // Leases lapse with eras: one look at each is enough.
        let mut looked_at = None;
        let mut height = 0;
        loop {
            match self.next_era(&mut height, looked_at).await {
                Ok(era) if Some(era) == looked_at => {}
                Ok(era) => match self.release(height).await {
                    Ok(()) => {
                        looked_at = Some(era);
                        self.worker.idle();
                    }
                    Err(error) => self.fail(error).await,
                },
                Err(error) => self.fail(error).await,
            }
        }
    }

    async fn fail(&self, error: ChainError) {
        self.worker.error(error);
        tokio::time::sleep(PAUSE).await;
    }

    /// The era of the newest block, once there is one beyond `height` unless this is the first look.
    async fn next_era(&self, height: &mut Height, looked_at: Option<u64>) -> Result<u64, ChainError> {
        let status = match looked_at {
            None => self.chain.status().await?,
            Some(_) => self.chain.wait_above(*height, WAIT).await?,
        };
        *height = status.height;
        Ok(self.calendar.era(status.height))
    }

    /// Sends transactions until nothing is left.
    async fn release(&self, height: Height) -> Result<(), ChainError> {
        if self.lapsed().await? == 0 {
            return Ok(());
        }
        let turn = u64::from(self.wallet.address().0[0] % TURNS);
        while self.chain.status().await?.height < height + turn {
            self.chain.wait_above(height + turn - 1, WAIT).await?;
        }
        loop {
            let waiting = self.lapsed().await?;
            if waiting == 0 || self.chain.balance(self.wallet.address()).await?.is_zero() {
                return Ok(());
            }
            self.worker.busy(format!("{waiting} territories"));
            let call = purgeCall { steps: STEPS }.abi_encode();
            self.wallet.send_and_wait(FILES, U256::ZERO, call.into(), FINAL_DEADLINE).await?;
        }
    }

    async fn lapsed(&self) -> Result<u64, ChainError> {
        ask_territory(self.chain.as_ref(), &lapsedCall {}).await
    }
}
