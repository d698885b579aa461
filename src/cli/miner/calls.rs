//! Calls in a miner's name: leaving, withdrawing, claiming, adding collateral.
//!
//! Invariant: what a call did is told by the events it caused, not by what was hoped for.

use crate::{
    cli::{events::sentence, names::Names, output::Output},
    client::{ChainEvent, RewardAccount, Wallet, reward_account},
    ledger::abi::{IMiners, IRewards, MINERS, REWARDS},
    types::{Address, Amount, B256, Height, U256, format_tokens},
};
use alloy_sol_types::SolCall;
use anyhow::bail;
use serde::Serialize;
use std::time::Duration;

/// How long a call may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);
/// Eras one claim goes through; the module's own bound.
const CLAIM_ERAS: u64 = 512;

/// What a call did.
#[derive(Serialize)]
struct Done {
    account: Address,
    call: &'static str,
    tx: B256,
    block: Height,
    /// What happened, in words and as events.
    words: Vec<String>,
    events: Vec<ChainEvent>,
    /// What to do next.
    next: String,
}

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

async fn send<C: SolCall>(
    wallet: &Wallet,
    (module, value): (Address, U256),
    call: &C,
    next: &str,
    output: &Output,
) -> anyhow::Result<()> {
    let outcome = wallet.send_and_wait(module, value, call.abi_encode().into(), FINAL_DEADLINE).await?;
    let chain = wallet.chain().as_ref();
    let mut events = Vec::new();
    for batch in chain.events(outcome.height, outcome.height).await? {
        events.extend(batch.events.into_iter().filter(|(tx, _)| *tx == outcome.tx).map(|(_, event)| event));
    }
    let names = Names::read(chain).await?;
    let done = Done {
        account: wallet.address(),
        call: C::SIGNATURE.split('(').next().unwrap_or_default(),
        tx: outcome.tx,
        block: outcome.height,
        words: events.iter().map(|event| sentence(event, &names)).collect(),
        events,
        next: next.to_owned(),
    };
    output.document(&done, describe)
}

fn describe(done: &Done) -> String {
    let what = match done.words.is_empty() {
        true => format!("{} by {}", done.call, done.account),
        false => done.words.join("\n"),
    };
    format!("{what}\nblock {} (transaction {})\n\nnext: {}", done.block, done.tx, done.next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_by_what_happened() {
        let done = |words: &[&str]| Done {
            account: Address::ZERO,
            call: "exit",
            tx: B256::ZERO,
            block: 812,
            words: words.iter().map(|word| (*word).to_owned()).collect(),
            events: Vec::new(),
            next: "wait".into(),
        };
        let text = describe(&done(&["miner attic began to leave"]));
        assert_eq!(text, format!("miner attic began to leave\nblock 812 (transaction {})\n\nnext: wait", B256::ZERO));
        assert!(describe(&done(&[])).starts_with(&format!("exit by {}\n", Address::ZERO)));
    }
}
