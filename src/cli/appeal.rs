//! Appeals by hand: what a verdict should have been, and the call that says so.
//!
//! Must not know whose key signs. Invariant: nothing is deposited before it is known that the verdict can be appealed against.

use super::{
    output::Output,
    verdicts::{VerdictRow, words},
};
use crate::{
    client::{ChainEvent, Wallet, audit_terms, audit_verdict},
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{Outcome, Verdict},
    },
    types::{Address, B256, Height, U256, format_tokens},
};
use alloy_sol_types::SolCall;
use anyhow::bail;
use serde::Serialize;
use std::{str::FromStr, time::Duration};

/// How long an appeal may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(60);

/// What parts of a verdict should have been, such as `data=failed,idle=missed`. Parts that are not named stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claim {
    spot: Option<Outcome>,
    tags: Option<Outcome>,
    idle: Option<Outcome>,
}

impl FromStr for Claim {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut claim = Self::default();
        for part in text.split(',') {
            let (name, outcome) = part
                .split_once('=')
                .ok_or_else(|| format!("`{part}` is no part of a verdict, expected something like `data=failed`"))?;
            let outcome = match outcome {
                "passed" => Outcome::Passed,
                "failed" => Outcome::Failed,
                "missed" => Outcome::Missed,
                "not-due" => Outcome::NotDue,
                _ => return Err(format!("`{outcome}` is no outcome, expected passed, failed, missed or not-due")),
            };
            let place = match name {
                "data" => &mut claim.spot,
                "tags" => &mut claim.tags,
                "idle" => &mut claim.idle,
                _ => return Err(format!("`{name}` is no part of a verdict, expected data, tags or idle")),
            };
            *place = Some(outcome);
        }
        Ok(claim)
    }
}

impl Claim {
    /// The verdict that should stand instead of `decided`.
    fn instead_of(self, decided: Verdict) -> Verdict {
        Verdict {
            spot: self.spot.unwrap_or(decided.spot),
            tags: self.tags.unwrap_or(decided.tags),
            idle: self.idle.unwrap_or(decided.idle),
        }
    }

    /// That everything a verdict has against a miner passed.
    fn innocent(decided: Verdict) -> Self {
        let part = |outcome: Outcome| outcome.is_fault().then_some(Outcome::Passed);
        Self { spot: part(decided.spot), tags: part(decided.tags), idle: part(decided.idle) }
    }
}

/// An appeal that was opened.
#[derive(Debug, Serialize)]
struct Appealed {
    appeal: Option<u64>,
    miner: Address,
    round: u64,
    appellant: Address,
    decided: VerdictRow,
    claimed: VerdictRow,
    deposit: U256,
    /// Last block that takes verdicts of seats.
    until: Height,
    tx: B256,
    block: Height,
}

/// Appeals against the verdict about a miner's round: for `claim`, or that everything passed that it has against the miner.
pub async fn appeal(
    wallet: &Wallet,
    miner: Address,
    round: u64,
    claim: Option<Claim>,
    output: &Output,
) -> anyhow::Result<()> {
    let chain = wallet.chain().as_ref();
    let (terms, height) = (audit_terms(chain).await?, chain.status().await?.height);
    let found = audit_verdict(chain, round, miner).await?;
    let Some(decided) = found.verdict else {
        bail!(
            "round {round} of miner {miner} is not decided, or so long ago that it is forgotten (`cess audits {round}`)"
        );
    };
    let claimed = claim.unwrap_or_else(|| Claim::innocent(decided)).instead_of(decided);
    check(round, decided, claimed, found.appealed)?;
    let until = found.decided_at.saturating_add(terms.appeal_blocks);
    if height > until {
        bail!("round {round} was decided in block {}, appeals were taken until block {until}", found.decided_at);
    }
    let (appellant, balance) = (wallet.address(), chain.balance(wallet.address()).await?);
    if balance < terms.deposit {
        let (has, deposit) = (format_tokens(balance), format_tokens(terms.deposit));
        bail!("account {appellant} has {has} CESS, the deposit of an appeal is {deposit}");
    }
    let call = IAudits::appealCall { miner, round, verdict: claimed.encode() }.abi_encode();
    let sent = wallet.send_and_wait(AUDITS, terms.deposit, call.into(), FINAL_DEADLINE).await?;
    let mut appeal = None;
    for batch in chain.events(sent.height, sent.height).await? {
        for (_, event) in batch.events.iter().filter(|(tx, _)| *tx == sent.tx) {
            if let ChainEvent::AppealOpened { appeal: number, .. } = event {
                appeal = Some(*number);
            }
        }
    }
    let document = Appealed {
        appeal,
        miner,
        round,
        appellant,
        decided: decided.into(),
        claimed: claimed.into(),
        deposit: terms.deposit,
        until: sent.height.saturating_add(terms.appeal_blocks),
        tx: sent.tx,
        block: sent.height,
    };
    output.document(&document, describe)
}

fn check(round: u64, decided: Verdict, claimed: Verdict, appealed: bool) -> anyhow::Result<()> {
    if claimed == decided {
        bail!(
            "round {round} was decided as `{}`, which is what would be claimed: say what it should be",
            words(decided)
        );
    }
    if appealed {
        bail!("somebody has appealed against round {round} already (`cess explain slash` shows how that ends)");
    }
    Ok(())
}

fn describe(appealed: &Appealed) -> String {
    let number = appealed.appeal.map_or_else(String::new, |number| format!(" {number}"));
    format!(
        "appeal{number} about round {} of miner {}: decided {}, claimed {}\n\
         {} deposited by {} in block {} (transaction {})\n\n\
         next: the seats rule until block {}; `cess explain slash {}` shows how it ends",
        appealed.round,
        appealed.miner,
        words(appealed.decided.verdict()),
        words(appealed.claimed.verdict()),
        format_tokens(appealed.deposit),
        appealed.appellant,
        appealed.block,
        appealed.tx,
        appealed.until,
        appealed.miner
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Amount;

    const DECIDED: Verdict = Verdict { spot: Outcome::Missed, tags: Outcome::Passed, idle: Outcome::NotDue };

    #[test]
    fn claims_name_the_parts_that_are_wrong() {
        let claim: Claim = "data=failed,idle=missed".parse().unwrap();
        let claimed = Verdict { spot: Outcome::Failed, tags: Outcome::Passed, idle: Outcome::Missed };
        assert_eq!(claim.instead_of(DECIDED), claimed);
        let innocent = Claim::innocent(DECIDED).instead_of(DECIDED);
        assert_eq!(innocent, Verdict { spot: Outcome::Passed, ..DECIDED });
        for (bad, says) in [
            ("", "is no part of a verdict"),
            ("data", "something like `data=failed`"),
            ("data=wrong", "`wrong` is no outcome"),
            ("disk=failed", "`disk` is no part"),
        ] {
            let error = bad.parse::<Claim>().unwrap_err();
            assert!(error.contains(says), "{bad}: {error}");
        }
    }

    #[test]
    fn appeals_that_must_fail_are_not_sent() {
        let passed = Verdict { spot: Outcome::Passed, ..DECIDED };
        assert!(check(7, DECIDED, passed, false).is_ok());
        let nothing = check(7, passed, Claim::innocent(passed).instead_of(passed), false).unwrap_err().to_string();
        assert!(nothing.contains("`data passed, tags passed`"), "{nothing}");
        assert!(check(7, DECIDED, passed, true).unwrap_err().to_string().contains("already"));
    }

    #[test]
    fn an_appeal_is_told() {
        let miner = Address::repeat_byte(0x11);
        let appealed = Appealed {
            appeal: Some(3),
            miner,
            round: 40,
            appellant: miner,
            decided: DECIDED.into(),
            claimed: Verdict { spot: Outcome::Passed, ..DECIDED }.into(),
            deposit: Amount::tokens(1).0,
            until: 842,
            tx: B256::ZERO,
            block: 812,
        };
        let text = describe(&appealed);
        let head = format!(
            "appeal 3 about round 40 of miner {miner}: decided data missed, tags passed, claimed data passed, tags passed\n"
        );
        assert!(text.starts_with(&head), "{text}");
        assert!(text.contains(&format!("1 deposited by {miner} in block 812")), "{text}");
        assert!(text.ends_with(&format!("until block 842; `cess explain slash {miner}` shows how it ends")), "{text}");
    }
}
