//! `stake`: bonding, registering, unbonding and withdrawing in the name of a node.

use super::{Global, home_dir, output::Output, target::Target, validators::ask};
use crate::{
    client::{Signer, Wallet},
    crypto::NodeKeys,
    ledger::{
        abi::{IStaking, STAKING},
        modules::staking_calls,
    },
    roles,
    types::{Address, Amount, B256, U256, format_tokens},
};
use alloy_sol_types::SolCall;
use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::{path::PathBuf, time::Duration};

/// How long a call may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);

/// Arguments of `cess stake`.
#[derive(Debug, Args)]
pub struct StakeArgs {
    /// Directory of the node whose account stakes and whose keys are registered [default: ~/.cess/consensus]
    #[arg(long, global = true, value_name = "DIR")]
    node: Option<PathBuf>,
    #[command(subcommand)]
    command: StakeCommand,
}

#[derive(Debug, Subcommand)]
enum StakeCommand {
    /// Add to the node's stake
    Bond {
        /// Tokens, such as 1000
        amount: Amount,
    },
    /// Make the node a candidate; it can be seated two eras later
    Register,
    /// Take stake out; it can be withdrawn when its lock has ended
    Unbond {
        /// Tokens, such as 1000
        amount: Amount,
    },
    /// Pay unbonded stake out to the node's account
    Withdraw,
    /// Ask out of jail after a punishment for equivocation
    Unjail,
    /// Show the node's stake
    Show,
}

#[derive(Serialize)]
struct Done {
    account: Address,
    call: &'static str,
    tx: B256,
    block: u64,
}

#[derive(Serialize)]
struct StakeDocument {
    account: Address,
    balance: U256,
    candidate: bool,
    bonded: U256,
    unbonding: U256,
    unlock_era: u64,
    current_era: u64,
}

/// Runs a subcommand.
pub async fn stake(args: StakeArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let dir = args.node.unwrap_or_else(|| home_dir().join("consensus"));
    let keys = roles::read_keys(&dir)?;
    let chain_id = target.chain.status().await?.chain_id;
    let wallet = Wallet::new(target.chain.clone(), Signer::Native(keys.account.clone()), chain_id);
    let none = U256::ZERO;
    match args.command {
        StakeCommand::Bond { amount } => {
            afford(&wallet, amount).await?;
            send(&wallet, amount.0, &IStaking::bondCall {}, output).await
        }
        StakeCommand::Register => send(&wallet, none, &registration(&keys, &wallet, chain_id), output).await,
        StakeCommand::Unbond { amount } => {
            send(&wallet, none, &IStaking::unbondCall { amount: amount.0 }, output).await
        }
        StakeCommand::Withdraw => send(&wallet, none, &IStaking::withdrawCall {}, output).await,
        StakeCommand::Unjail => send(&wallet, none, &IStaking::unjailCall {}, output).await,
        StakeCommand::Show => show(&wallet, output).await,
    }
}

fn registration(keys: &NodeKeys, wallet: &Wallet, chain_id: u64) -> IStaking::registerCall {
    staking_calls::registration(keys, chain_id, &wallet.address())
}

async fn afford(wallet: &Wallet, amount: Amount) -> anyhow::Result<()> {
    let (account, balance) = (wallet.address(), wallet.chain().balance(wallet.address()).await?);
    if balance < amount.0 {
        let has = format_tokens(balance);
        bail!("the node's account {account} has {has} CESS, cannot bond {amount} (send it tokens with `cess send`)");
    }
    Ok(())
}

async fn send<C: SolCall>(wallet: &Wallet, value: U256, call: &C, output: &Output) -> anyhow::Result<()> {
    let outcome = wallet.send_and_wait(STAKING, value, call.abi_encode().into(), FINAL_DEADLINE).await?;
    let name = C::SIGNATURE.split('(').next().unwrap_or_default();
    let done = Done { account: wallet.address(), call: name, tx: outcome.tx, block: outcome.height };
    output.document(&done, |done| {
        format!("{} by {} (block {}, transaction {})", done.call, done.account, done.block, done.tx)
    })
}

async fn show(wallet: &Wallet, output: &Output) -> anyhow::Result<()> {
    let (account, chain) = (wallet.address(), wallet.chain().as_ref());
    let stake = ask(chain, &IStaking::stakeOfCall { account }).await?;
    let document = StakeDocument {
        account,
        balance: chain.balance(account).await?,
        candidate: stake.candidate,
        bonded: stake.bonded,
        unbonding: stake.unbonding,
        unlock_era: stake.unlockEra,
        current_era: ask(chain, &IStaking::currentEraCall {}).await?,
    };
    output.document(&document, |d| {
        format!(
            "account    {}\nbalance    {}\nbonded     {}{}\nunbonding  {}, free from era {} on (now {})",
            d.account,
            format_tokens(d.balance),
            format_tokens(d.bonded),
            if d.candidate { ", candidate" } else { ", not a candidate" },
            format_tokens(d.unbonding),
            d.unlock_era,
            d.current_era
        )
    })
}
