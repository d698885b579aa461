//! Calls in a miner's name: leaving, withdrawing, claiming, adding collateral.
//!
//! Owns what to do after each. Must not know how a call is sent.

use crate::{
    cli::{call::send, output::Output},
    client::{RewardAccount, Wallet, reward_account},
    ledger::abi::{IMiners, IRewards, MINERS, REWARDS},
    types::{Address, Amount, U256, format_tokens},
};
use anyhow::bail;

/// Eras one claim goes through; the module's own bound.
const CLAIM_ERAS: u64 = 512;

/// Begins to leave.
pub async fn exit(wallet: &Wallet, output: &Output) -> anyhow::Result<()> {
    let next =
        "let the node run until others have repaired what it holds (`cess miner status`), then `cess miner withdraw`";
    send(wallet, (MINERS, U256::ZERO), &IMiners::exitCall {}, next, output).await
}

/// Takes the collateral back.
pub async fn withdraw(wallet: &Wallet, output: &Output) -> anyhow::Result<()> {
    let next = "the node can be stopped; rewards that are locked go on being paid, `cess miner claim` asks for them";
    send(wallet, (MINERS, U256::ZERO), &IMiners::withdrawCall {}, next, output).await
}

/// Has a miner's operator paid.
pub async fn claim(wallet: &Wallet, miner: Address, output: &Output) -> anyhow::Result<()> {
    let call = IRewards::claimCall { miner, eras: CLAIM_ERAS };
    let before = reward_account(wallet.chain().as_ref(), miner).await?;
    send(wallet, (REWARDS, U256::ZERO), &call, &after_claim(&before), output).await
}

fn after_claim(before: &RewardAccount) -> String {
    match before.locked.is_zero() {
        true => "the rest of each era's pay comes in parts, claim again later".to_owned(),
        false => format!("{} was locked before and comes in parts, claim again later", format_tokens(before.locked)),
    }
}

/// Adds to the collateral.
pub async fn add_collateral(wallet: &Wallet, amount: Amount, output: &Output) -> anyhow::Result<()> {
    let (account, balance) = (wallet.address(), wallet.chain().balance(wallet.address()).await?);
    if balance < amount.0 {
        let has = format_tokens(balance);
        bail!("the miner's account {account} has {has} CESS, cannot add {amount} (send it tokens with `cess send`)");
    }
    send(
        wallet,
        (MINERS, amount.0),
        &IMiners::addCollateralCall {},
        "`cess miner status` shows what is required",
        output,
    )
    .await
}
