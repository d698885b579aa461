//! `explain slash`: what faults cost an account, and what the next one would.

use super::subject::{Subject, current_era};
use crate::{
    cli::{
        history::{AUDIT_COLUMNS, AuditRow, LOOK_BACK_BLOCKS, each_event},
        output::table,
        validators::ask,
    },
    client::{AuditRecord, ChainClient, ChainEvent, audit_record, required_collateral},
    ledger::abi::IStaking,
    types::{
        Address, Height, U256, format_tokens,
        params::{FAULT_FINES_PERCENT, FAULTS_MAX},
    },
};
use serde::Serialize;

/// Eras of a validator that are looked at.
const ERAS_SHOWN: u64 = 10;

/// What an account was fined.
#[derive(Serialize)]
pub struct SlashDocument {
    account: Address,
    #[serde(skip)]
    title: String,
    /// Blocks whose events were looked at.
    from_block: Height,
    to_block: Height,
    miner: Option<MinerFaults>,
    validator: Option<Vec<EraRow>>,
    /// Fines of a member of committees, after appeals.
    verifier: Vec<FineRow>,
}

#[derive(Serialize)]
struct MinerFaults {
    strikes: u32,
    passed: u64,
    faults: u64,
    /// Fines since the registration.
    fined: U256,
    required_collateral: U256,
    collateral: U256,
    fines_percent: [u64; 5],
    forced_out_after: u32,
    next_fault: String,
    /// Decided rounds with a fault.
    rounds: Vec<AuditRow>,
    /// What was taken.
    fines: Vec<FineRow>,
}

#[derive(Debug, Clone, Serialize)]
struct FineRow {
    block: Height,
    amount: U256,
    burnt: U256,
    bounty: U256,
    why: String,
}

#[derive(Serialize)]
struct EraRow {
    era: u64,
    proposed: u64,
    missed: u64,
    punishments: u64,
    slashed: U256,
}

/// What the events of an account tell.
#[derive(Default)]
struct Found {
    rounds: Vec<AuditRow>,
    fines: Vec<FineRow>,
    verifier: Vec<FineRow>,
}

impl Found {
    fn note(&mut self, account: Address, block: Height, event: &ChainEvent) {
        let fine = |amount: &U256, burnt: &U256, bounty: &U256, why: String| FineRow {
            block,
            amount: *amount,
            burnt: *burnt,
            bounty: *bounty,
            why,
        };
        let none = U256::ZERO;
        match event {
            ChainEvent::AuditDecided { miner, .. } if *miner == account => {
                let is_fault = |row: &AuditRow| row.verdict.is_some_and(|row| row.verdict().is_fault());
                self.rounds.extend(AuditRow::of(block, event).filter(is_fault));
            }
            ChainEvent::AppealDecided { .. } => self.rounds.iter_mut().for_each(|row| row.appeal(event)),
            ChainEvent::MinerFined { account: miner, amount, burnt, bounty } if *miner == account => {
                self.fines.push(fine(amount, burnt, bounty, "faults in a row".into()));
            }
            ChainEvent::MinerLost { account: miner, .. } if *miner == account => {
                self.fines.push(fine(&none, &none, &none, "forced out".into()));
            }
            ChainEvent::VerifierFined { verifier, appeal, amount } if *verifier == account => {
                self.verifier.push(fine(amount, &none, &none, format!("a wrong verdict, appeal {appeal}")));
            }
            ChainEvent::WorkerFined { account: worker, amount } if *worker == account => {
                self.verifier.push(fine(amount, &none, &none, "its bond as a TEE worker".into()));
            }
            _ => {}
        }
    }
}

/// Collects what an account was fined, from block `from` on.
pub async fn slash_of(
    chain: &dyn ChainClient,
    subject: &Subject,
    from: Option<Height>,
) -> anyhow::Result<SlashDocument> {
    let (account, to_block) = (subject.account, chain.status().await?.height);
    let from_block = from.unwrap_or(to_block.saturating_sub(LOOK_BACK_BLOCKS)).max(1);
    let mut found = Found::default();
    if subject.is_miner() || subject.worker.is_some() || subject.validator {
        each_event(chain, from_block, to_block, |block, event| found.note(account, block, event)).await?;
    }
    let Found { rounds, fines, verifier } = found;
    let miner = match &subject.miner {
        Some(miner) => {
            let (record, required) =
                (audit_record(chain, account).await?, required_collateral(chain, miner.capacity).await?);
            Some(MinerFaults::new(&record, required, miner.collateral, rounds, fines))
        }
        None => None,
    };
    let validator = match subject.validator {
        true => Some(eras_of(chain, account).await?),
        false => None,
    };
    Ok(SlashDocument { account, title: subject.title(), from_block, to_block, miner, validator, verifier })
}

impl MinerFaults {
    fn new(record: &AuditRecord, required: U256, there: U256, rounds: Vec<AuditRow>, fines: Vec<FineRow>) -> Self {
        Self {
            strikes: record.strikes,
            passed: record.passed,
            faults: record.faults,
            fined: record.fined,
            required_collateral: required,
            collateral: there,
            fines_percent: FAULT_FINES_PERCENT,
            forced_out_after: FAULTS_MAX,
            next_fault: next_fault(record.strikes, required),
            rounds,
            fines,
        }
    }
}

/// What the next fault in a row costs.
pub fn next_fault(strikes: u32, required: U256) -> String {
    let next = strikes.saturating_add(1);
    let place = usize::try_from(strikes).unwrap_or(usize::MAX).min(FAULT_FINES_PERCENT.len() - 1);
    let percent = FAULT_FINES_PERCENT[place];
    let fine = required * U256::from(percent) / U256::from(100);
    let out = if next >= FAULTS_MAX { ", and the miner is forced out" } else { "" };
    match percent {
        0 => format!("strike {next}: no fine, no pay for the round{out}"),
        _ => format!("strike {next}: {percent} % of {} = {}{out}", format_tokens(required), format_tokens(fine)),
    }
}

async fn eras_of(chain: &dyn ChainClient, account: Address) -> anyhow::Result<Vec<EraRow>> {
    let current = current_era(chain).await?;
    let mut rows = Vec::new();
    for era in (current.saturating_sub(ERAS_SHOWN - 1)..=current).rev() {
        let activity = ask(chain, &IStaking::activityCall { account, era }).await?;
        rows.push(EraRow {
            era,
            proposed: activity.proposed,
            missed: activity.missed,
            punishments: activity.punishments,
            slashed: activity.slashed,
        });
    }
    Ok(rows)
}

/// The document for a terminal.
pub fn describe_slash(document: &SlashDocument) -> String {
    let mut out = format!("fines of {}\n", document.title);
    if let Some(miner) = &document.miner {
        out.push_str(&describe_miner(miner));
    }
    if !document.verifier.is_empty() {
        out.push_str("\nas a member of committees\n");
        out.push_str(&describe_fines(&document.verifier));
    }
    if let Some(eras) = &document.validator {
        out.push_str(&describe_eras(eras));
    }
    out.push_str(&format!(
        "\nevents of blocks {} to {} were looked at (`--from` looks further back)\n",
        document.from_block, document.to_block
    ));
    out
}

fn describe_miner(miner: &MinerFaults) -> String {
    let steps: Vec<String> = miner.fines_percent.iter().map(u64::to_string).collect();
    let mut out = format!(
        "\nfine = {} % of the required collateral for the 1st, 2nd, … fault in a row; forced out after {}\n\
         collateral  {}, {} required\n\
         rounds      {} passed, {} faults, {} fined since the registration\n\
         strikes     {} in a row\n\
         next fault  {}\n",
        steps.join(", "),
        miner.forced_out_after,
        format_tokens(miner.collateral),
        format_tokens(miner.required_collateral),
        miner.passed,
        miner.faults,
        format_tokens(miner.fined),
        miner.strikes,
        miner.next_fault
    );
    if !miner.rounds.is_empty() {
        let rows: Vec<Vec<String>> = miner.rounds.iter().map(AuditRow::cells).collect();
        out.push_str(&format!("\n{}", table(&AUDIT_COLUMNS, &rows)));
    }
    if !miner.fines.is_empty() {
        out.push_str(&format!("\n{}", describe_fines(&miner.fines)));
    }
    out
}

fn describe_fines(fines: &[FineRow]) -> String {
    let tokens = |amount: U256| if amount.is_zero() { String::new() } else { format_tokens(amount) };
    let cells = |fine: &FineRow| {
        vec![fine.block.to_string(), tokens(fine.amount), tokens(fine.burnt), tokens(fine.bounty), fine.why.clone()]
    };
    table(&["block", "taken", "burnt", "for repairs", "why"], &fines.iter().map(cells).collect::<Vec<_>>())
}

fn describe_eras(eras: &[EraRow]) -> String {
    let cells = |row: &EraRow| {
        vec![
            row.era.to_string(),
            row.proposed.to_string(),
            row.missed.to_string(),
            row.punishments.to_string(),
            if row.slashed.is_zero() { String::new() } else { format_tokens(row.slashed) },
        ]
    };
    let rows: Vec<Vec<String>> = eras.iter().map(cells).collect();
    format!(
        "\nas a validator: who misses more than a tenth of its turns in an era pays by how many did, who signs twice pays at once\n\n{}",
        table(&["era", "proposed", "missed", "punishments", "slashed"], &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::audit::{Outcome, Verdict},
        types::Amount,
    };

    fn document(events: &[(Height, ChainEvent)], account: Address) -> SlashDocument {
        let mut found = Found::default();
        events.iter().for_each(|(block, event)| found.note(account, *block, event));
        let record = AuditRecord {
            answered: 39,
            proven: 0,
            decided: 40,
            verdict: Verdict::default(),
            strikes: 2,
            passed: 38,
            faults: 2,
            fined: Amount::tokens(1).0 / U256::from(20),
        };
        let (required, there) = (Amount::tokens(1).0, Amount::tokens(19).0 / U256::from(20));
        SlashDocument {
            account,
            title: "miner attic (0x11)".into(),
            from_block: 1,
            to_block: 900,
            miner: Some(MinerFaults::new(&record, required, there, found.rounds, found.fines)),
            validator: None,
            verifier: found.verifier,
        }
    }

    #[test]
    fn faults_are_told_with_what_they_cost_and_will_cost() {
        let (account, other) = (Address::repeat_byte(0x11), Address::repeat_byte(0x22));
        let decided = |miner, round, spot, strikes, fined| {
            let verdict = Verdict { spot, ..Verdict::default() }.encode();
            ChainEvent::AuditDecided { miner, round, verdict, strikes, fined }
        };
        let (amount, burnt) = (Amount::tokens(1).0 / U256::from(20), Amount::tokens(1).0 / U256::from(40));
        let events = [
            (780, decided(account, 38, Outcome::Passed, 0, U256::ZERO)),
            (800, decided(account, 39, Outcome::Missed, 1, U256::ZERO)),
            (812, decided(account, 40, Outcome::Missed, 2, amount)),
            (812, decided(other, 40, Outcome::Missed, 2, amount)),
            (812, ChainEvent::MinerFined { account, amount, burnt, bounty: burnt }),
        ];
        assert_eq!(
            describe_slash(&document(&events, account)),
            "fines of miner attic (0x11)\n\
             \n\
             fine = 0, 5, 15, 15, 15 % of the required collateral for the 1st, 2nd, … fault in a row; forced out after 5\n\
             collateral  0.95, 1 required\n\
             rounds      38 passed, 2 faults, 0.05 fined since the registration\n\
             strikes     2 in a row\n\
             next fault  strike 3: 15 % of 1 = 0.15\n\
             \n\
             round  block  verdict      strikes  fined\n\
             39     800    data missed  1\n\
             40     812    data missed  2        0.05\n\
             \n\
             block  taken  burnt  for repairs  why\n\
             812    0.05   0.025  0.025        faults in a row\n\
             \n\
             events of blocks 1 to 900 were looked at (`--from` looks further back)\n"
        );
    }

    #[test]
    fn the_fifth_fault_is_the_last() {
        let required = Amount::tokens(4_000).0;
        assert_eq!(next_fault(0, required), "strike 1: no fine, no pay for the round");
        assert_eq!(next_fault(1, required), "strike 2: 5 % of 4000 = 200");
        assert_eq!(next_fault(4, required), "strike 5: 15 % of 4000 = 600, and the miner is forced out");
        assert_eq!(
            next_fault(u32::MAX, required),
            format!("strike {}: 15 % of 4000 = 600, and the miner is forced out", u32::MAX)
        );
    }

    #[test]
    fn validators_are_told_by_eras() {
        let rows = [EraRow { era: 3, proposed: 5, missed: 6, punishments: 1, slashed: Amount::tokens(2).0 }];
        let text = describe_eras(&rows);
        assert!(
            text.ends_with("era  proposed  missed  punishments  slashed\n3    5         6       1            2\n"),
            "{text}"
        );
    }
}
