//! `audits`: how a round of audits went for every miner.
//!
//! Owns the count of outcomes. Must not know how verdicts come about. Invariant: every miner that was registered before the round opened, or
//! acted in it, has a row.

use super::{
    Global,
    appeal::{Claim, appeal},
    history::{AuditRow, each_event},
    miner::account_of,
    names::Names,
    output::{Output, table},
    target::Target,
    verdicts::verb,
};
use crate::{
    client::{AuditTerms, ChainEvent, MinerState, audit_terms, miner_details},
    types::{Address, Height, format_tokens},
};
use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::collections::BTreeMap;

/// Arguments of `cess audits`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditsArgs {
    /// Number of the round [default: the one before the current]
    round: Option<u64>,
    #[command(subcommand)]
    command: Option<AuditsCommand>,
}

#[derive(Debug, Subcommand)]
enum AuditsCommand {
    /// Say that a verdict is wrong; half of what liars pay is the appellant's, and the deposit is burnt if the validators disagree
    Appeal {
        /// Account or name of the miner
        miner: String,
        /// Number of the round
        round: u64,
        /// What it should have been, such as data=failed,idle=missed
        #[arg(value_name = "PARTS")]
        claim: Claim,
    },
}

#[derive(Serialize)]
struct RoundDocument {
    round: u64,
    current: u64,
    height: Height,
    opened_at: Height,
    answer_until: Height,
    vote_until: Height,
    /// Whether proofs of tags are due and faults count.
    tags: bool,
    counts: Counts,
    miners: Vec<MinerRow>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Counts {
    passed: usize,
    failed: usize,
    missed: usize,
    nothing_due: usize,
    undecided: usize,
}

#[derive(Debug, Clone, Serialize)]
struct MinerRow {
    miner: Address,
    answered_at: Option<Height>,
    proven_at: Option<Height>,
    decided: Option<AuditRow>,
}

/// Shows a round.
pub async fn audits(args: AuditsArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let chain = target.chain.as_ref();
    if let Some(AuditsCommand::Appeal { miner, round, claim }) = args.command {
        let miner = account_of(chain, &miner).await?;
        return appeal(&target.wallet(global).await?, miner, round, Some(claim), output).await;
    }
    let (terms, height) = (audit_terms(chain).await?, chain.status().await?.height);
    let current = terms.round_at(height);
    let round = args.round.unwrap_or(current.saturating_sub(1));
    if round > current {
        bail!("round {round} opens with block {}, the newest is {height}", terms.opened_at(round));
    }
    let opened_at = terms.opened_at(round);
    let mut rows = BTreeMap::new();
    for miner in miner_details(chain).await?.iter().filter(|m| m.since < opened_at && m.state != MinerState::Lost) {
        rows.insert(miner.account, MinerRow::new(miner.account));
    }
    // An appeal is opened and then decided, each within the blocks for appeals.
    let appeals = terms.appeal_blocks.saturating_mul(2);
    each_event(chain, opened_at, terms.vote_until(round).saturating_add(appeals).min(height), |block, event| {
        note(&mut rows, round, block, event);
    })
    .await?;
    let document = document(round, height, &terms, rows.into_values().collect());
    let names = Names::read(chain).await?;
    output.document(&document, |document| describe(document, &names))
}

impl MinerRow {
    fn new(miner: Address) -> Self {
        Self { miner, answered_at: None, proven_at: None, decided: None }
    }
}

fn note(rows: &mut BTreeMap<Address, MinerRow>, asked: u64, block: Height, event: &ChainEvent) {
    let (ChainEvent::Answered { miner, round, .. }
    | ChainEvent::Proven { miner, round, .. }
    | ChainEvent::AuditDecided { miner, round, .. }
    | ChainEvent::AppealDecided { miner, round, .. }
    | ChainEvent::AuditRefuted { miner, round, .. }) = event
    else {
        return;
    };
    if *round != asked {
        return;
    }
    let row = rows.entry(*miner).or_insert_with(|| MinerRow::new(*miner));
    match event {
        ChainEvent::Answered { .. } => row.answered_at = Some(block),
        ChainEvent::Proven { .. } => row.proven_at = Some(block),
        ChainEvent::AuditDecided { .. } => row.decided = AuditRow::of(block, event),
        _ => row.decided.iter_mut().for_each(|row| row.appeal(event)),
    }
}

fn document(round: u64, height: Height, terms: &AuditTerms, miners: Vec<MinerRow>) -> RoundDocument {
    let mut counts = Counts::default();
    for row in &miners {
        *counts.place(row) += 1;
    }
    RoundDocument {
        round,
        current: terms.round_at(height),
        height,
        opened_at: terms.opened_at(round),
        answer_until: terms.opened_at(round).saturating_add(terms.answer_blocks),
        vote_until: terms.vote_until(round),
        tags: terms.has_tags(round),
        counts,
        miners,
    }
}

impl Counts {
    fn place(&mut self, row: &MinerRow) -> &mut usize {
        match row.verb() {
            "passed" => &mut self.passed,
            "failed" => &mut self.failed,
            "missed" => &mut self.missed,
            "undecided" => &mut self.undecided,
            _ => &mut self.nothing_due,
        }
    }
}

impl MinerRow {
    fn verb(&self) -> &'static str {
        match &self.decided {
            None => "undecided",
            Some(row) => row.verdict.map_or("nothing due", |row| verb(row.verdict())),
        }
    }
}

fn describe(document: &RoundDocument, names: &Names) -> String {
    let counts = &document.counts;
    let kind = if document.tags { "with tags, faults count" } else { "without tags, faults do not count" };
    let votes = match document.height > document.vote_until {
        true => format!("votes were taken until block {}", document.vote_until),
        false => format!("votes are taken until block {}, now {}", document.vote_until, document.height),
    };
    let block = |height: Option<Height>| height.map_or_else(|| "not".to_owned(), |height| format!("block {height}"));
    let cells = |row: &MinerRow| {
        let (words, strikes, fined) = match &row.decided {
            Some(row) => (row.words.clone(), row.strikes, row.fined),
            None => ("undecided".to_owned(), 0, Default::default()),
        };
        vec![
            names.name(row.miner),
            block(row.answered_at),
            block(row.proven_at),
            block(row.decided.as_ref().map(|row| row.block)),
            words,
            if strikes == 0 { String::new() } else { strikes.to_string() },
            if fined.is_zero() { String::new() } else { format_tokens(fined) },
        ]
    };
    let rows: Vec<Vec<String>> = document.miners.iter().map(cells).collect();
    format!(
        "round {} ({kind}), opened by block {}, answers until block {}; {votes}\n\
         {} passed, {} failed, {} missed, {} with nothing due, {} undecided\n\n{}",
        document.round,
        document.opened_at,
        document.answer_until,
        counts.passed,
        counts.failed,
        counts.missed,
        counts.nothing_due,
        counts.undecided,
        table(&["miner", "answered", "proven", "decided", "verdict", "strikes", "fined"], &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_and_appeals_are_told_apart() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: AuditsArgs,
        }
        let parse = |words: &[&str]| <Line as clap::Parser>::try_parse_from([&["audits"], words].concat());
        assert!(matches!(parse(&["40"]).ok().unwrap().args, AuditsArgs { round: Some(40), command: None }));
        assert!(matches!(parse(&[]).ok().unwrap().args, AuditsArgs { round: None, command: None }));
        let args = parse(&["appeal", "attic", "40", "data=failed"]).ok().unwrap().args;
        assert!(matches!(args.command, Some(AuditsCommand::Appeal { round: 40, .. })));
        for bad in [&["appeal"][..], &["appeal", "attic", "40"], &["appeal", "attic", "40", "x"], &["x"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
    use crate::{
        ledger::audit::{Outcome, Verdict},
        types::{Amount, B256, U256},
    };

    #[test]
    fn a_round_is_counted_and_told() {
        let terms = AuditTerms {
            round_blocks: 20,
            tag_rounds: 1,
            answer_blocks: 3,
            appeal_blocks: 20,
            committee: 7,
            deposit: U256::ZERO,
        };
        let (attic, cellar, shed) = (Address::repeat_byte(1), Address::repeat_byte(2), Address::repeat_byte(3));
        let mut rows: BTreeMap<_, _> = [attic, shed].map(|miner| (miner, MinerRow::new(miner))).into();
        let decided = |miner, round, outcome, strikes, fined| {
            let verdict = Verdict { spot: outcome, ..Verdict::default() }.encode();
            ChainEvent::AuditDecided { miner, round, verdict, strikes, fined }
        };
        let answered = ChainEvent::Answered { miner: attic, round: 4, spot: B256::ZERO, idle: B256::ZERO };
        note(&mut rows, 4, 82, &answered);
        note(&mut rows, 4, 95, &decided(attic, 4, Outcome::Passed, 0, U256::ZERO));
        note(&mut rows, 4, 96, &decided(cellar, 4, Outcome::Missed, 2, Amount::tokens(5).0));
        note(&mut rows, 4, 97, &decided(shed, 3, Outcome::Passed, 0, U256::ZERO));
        let document = document(4, 101, &terms, rows.into_values().collect());
        assert_eq!(document.counts, Counts { passed: 1, missed: 1, undecided: 1, ..Counts::default() });
        let names = Names::from([(attic, "attic"), (cellar, "cellar"), (shed, "shed")].as_slice());
        assert_eq!(
            describe(&document, &names),
            "round 4 (with tags, faults count), opened by block 80, answers until block 83; votes are taken until block 119, now 101\n\
             1 passed, 0 failed, 1 missed, 0 with nothing due, 1 undecided\n\
             \n\
             miner   answered  proven  decided   verdict      strikes  fined\n\
             attic   block 82  not     block 95  data passed\n\
             cellar  not       not     block 96  data missed  2        5\n\
             shed    not       not     not       undecided\n"
        );
    }
}
