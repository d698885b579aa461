//! Transactions all the time: small transfers of the well-known accounts, through whichever node answers.
//!
//! Must not know why nodes do not answer. Invariant: a transaction is signed once and handed in again byte for byte until its
//! outcome is seen, so that each takes effect at most once.

use super::net::BenchNode;
use crate::{
    client::{ChainError, DevAccount, TxOutcome, dev_accounts},
    ledger::tx::sign_eip1559,
    runtime::NodeRng,
    types::{Address, B256, U256, params::CHAIN_ID_LOCALNET},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Bytes, keccak256};
use futures::future::join_all;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Transactions of one account that wait at a time.
const WINDOW: u64 = 4;
/// Gas of a transfer.
const TRANSFER_GAS: u64 = 21_000;
/// Fee cap: far above what small transfers drive the base fee to.
const FEE_CAP: u128 = 100_000_000_000;
/// Who receives.
const SINK: Address = Address::repeat_byte(0x5a);
/// Pause between two looks for outcomes.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
/// How long a transaction waits before it is handed in again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A load on a network.
pub struct Load<'a> {
    /// Nodes that may answer.
    pub nodes: &'a [BenchNode],
    /// Transactions a second of all accounts, at most.
    pub rate: u32,
    /// Chooses nodes.
    pub rng: &'a NodeRng,
}

struct Signed {
    hash: B256,
    raw: Bytes,
}

impl Load<'_> {
    /// Sends for ever; every outcome goes to `seen`.
    pub async fn run(&self, seen: impl Fn(TxOutcome)) {
        let accounts = dev_accounts();
        let count = u32::try_from(accounts.len()).unwrap_or(u32::MAX);
        let period = Duration::from_secs(WINDOW) * count / self.rate.max(1);
        // One after the other, so that at no time nothing waits.
        let turn = |index: u32| period * index / count;
        join_all((0..).zip(&accounts).map(|(index, account)| self.account(account, turn(index), period, &seen))).await;
    }

    async fn account(&self, account: &DevAccount, first: Duration, period: Duration, seen: &impl Fn(TxOutcome)) {
        sleep(first).await;
        for nonce in (0u64..).step_by(usize::try_from(WINDOW).expect("a small number")) {
            let next = Instant::now() + period;
            let window: Vec<Signed> = (nonce..nonce + WINDOW).map(|nonce| transfer(account, nonce)).collect();
            self.until_final(window, seen).await;
            sleep_until(next).await;
        }
    }

    async fn until_final(&self, mut waiting: Vec<Signed>, seen: &impl Fn(TxOutcome)) {
        let mut handed_in: Option<Instant> = None;
        while let Some(first) = waiting.first() {
            if handed_in.is_none_or(|at| at.elapsed() >= AGAIN_AFTER) {
                handed_in = Some(Instant::now());
                for tx in &waiting {
                    // A refusal says that it is known or used already, which its outcome will show.
                    let _: Result<B256, _> = self.ask("eth_sendRawTransaction", json!([tx.raw])).await;
                }
            }
            match self.ask::<Option<TxOutcome>>("cess_outcome", json!([first.hash])).await {
                Ok(Some(outcome)) => {
                    waiting.remove(0);
                    seen(outcome);
                }
                Ok(None) | Err(_) => sleep(LOOK_PAUSE).await,
            }
        }
    }

    /// Asks one node after the other, from a random one on, until one answers.
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: &str,
        params: serde_json::Value,
    ) -> Result<T, ChainError> {
        let count = self.nodes.len();
        let first = usize::try_from(self.rng.below(u64::try_from(count).unwrap_or(1))).unwrap_or(0);
        let mut answer = Err(ChainError::Unreachable("there is no node".to_owned()));
        for turn in 0..count {
            answer = self.nodes[(first + turn) % count].ask(method, params.clone()).await;
            if !matches!(answer, Err(ChainError::Unreachable(_))) {
                return answer;
            }
        }
        answer
    }
}

fn transfer(account: &DevAccount, nonce: u64) -> Signed {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID_LOCALNET,
        nonce,
        gas_limit: TRANSFER_GAS,
        max_fee_per_gas: FEE_CAP,
        max_priority_fee_per_gas: 1,
        to: SINK.into(),
        value: U256::from(1),
        ..TxEip1559::default()
    };
    let raw = sign_eip1559(&tx, &account.key);
    Signed { hash: keccak256(&raw), raw }
}
