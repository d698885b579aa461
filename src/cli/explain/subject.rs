//! Whom an explanation is about.
//!
//! Invariant: an account that is nothing on this chain is refused with the commands that list who is something.

use crate::{
    cli::{desk::account_of, validators::ask},
    client::{
        ChainClient, MinerDetail, RewardAccount, TeeWorker, miner_detail, miner_details, reward_account, tee_workers,
    },
    ledger::abi::IStaking,
    types::{Address, Height},
};
use anyhow::bail;

/// What is called by a name, and what lists it.
const WORDS: (&str, &str) = ("miner or TEE worker", "cess miner list");

/// An account and what it is.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The account.
    pub account: Address,
    /// The miner, if it is registered.
    pub miner: Option<MinerDetail>,
    /// Its pay as a miner, if it is one or was one.
    pub pay: Option<RewardAccount>,
    /// The TEE worker, if it is one.
    pub worker: Option<TeeWorker>,
    /// Whether it has stake or is a candidate.
    pub validator: bool,
}

/// An era, with its blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct EraBlocks {
    /// Its number.
    pub era: u64,
    /// Its first block.
    pub first_block: Height,
    /// Its last block.
    pub last_block: Height,
}

impl Subject {
    /// Finds out what the account is that is given, or that a miner or a TEE worker of this name has.
    pub async fn named(chain: &dyn ChainClient, who: &str) -> anyhow::Result<Self> {
        let known = async {
            let miners = miner_details(chain).await?.into_iter().map(|miner| (miner.account, miner.name));
            let workers = tee_workers(chain).await?.into_iter().map(|worker| (worker.account, worker.name));
            Ok(miners.chain(workers).collect())
        };
        Self::find(chain, account_of(who, known, WORDS).await?).await
    }

    /// Finds out what an account is.
    pub async fn find(chain: &dyn ChainClient, account: Address) -> anyhow::Result<Self> {
        let miner = miner_detail(chain, account).await?;
        // A module that is not there yet has nothing to say about the account.
        let pay = reward_account(chain, account).await.ok().filter(|pay| miner.is_some() || pay.is_used());
        let workers = tee_workers(chain).await.unwrap_or_default();
        let worker = workers.into_iter().find(|worker| worker.account == account);
        let stake = ask(chain, &IStaking::stakeOfCall { account }).await?;
        let validator = stake.candidate || !stake.bonded.is_zero() || !stake.unbonding.is_zero();
        if miner.is_none() && pay.is_none() && worker.is_none() && !validator {
            bail!(
                "{account} is no miner, validator or TEE worker of this chain (`cess miner list`, `cess validators` and \
                 `cess tee list` show who is)"
            );
        }
        Ok(Self { account, miner, pay, worker, validator })
    }

    /// Whether it is or was a miner.
    pub fn is_miner(&self) -> bool {
        self.miner.is_some() || self.pay.is_some()
    }

    /// How a sentence calls it.
    pub fn title(&self) -> String {
        let account = self.account;
        match (&self.miner, &self.worker) {
            (Some(miner), _) => format!("miner {} ({account})", miner.name),
            (None, Some(worker)) => format!("TEE worker {} ({account})", worker.name),
            (None, None) if self.validator => format!("validator {account}"),
            (None, None) => format!("former miner {account}"),
        }
    }
}

/// The era of the newest block.
pub async fn current_era(chain: &dyn ChainClient) -> anyhow::Result<u64> {
    ask(chain, &IStaking::currentEraCall {}).await
}

/// The blocks of an era.
pub async fn era_blocks(chain: &dyn ChainClient, era: u64) -> anyhow::Result<EraBlocks> {
    let summary = ask(chain, &IStaking::eraCall { era }).await?;
    Ok(EraBlocks { era, first_block: summary.firstBlock, last_block: summary.lastBlock })
}
