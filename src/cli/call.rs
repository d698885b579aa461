//! One call of a module, and what it did.
//!
//! Invariant: what a call did is told by the events it caused, not by what was hoped for.

use super::{events::sentence, names::Names, output::Output};
use crate::{
    client::{ChainEvent, Wallet},
    types::{Address, B256, Height, U256},
};
use alloy_sol_types::SolCall;
use serde::Serialize;
use std::time::Duration;

/// How long a call may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);

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

/// Sends a call with its value and shows what happened, and what to do `next`.
pub async fn send<C: SolCall>(
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
