//! `explain slash`: what faults cost an account, and what the next one would.

use super::subject::{Subject, current_era};
use crate::{
    cli::{
        history::{AUDIT_COLUMNS, AuditRow, LOOK_BACK_BLOCKS, each_event},
        output::table,
        validators::ask,
    },
    client::{AuditRecord, ChainClient, ChainEvent, MinerDetail, audit_record, required_collateral},
    ledger::{abi::IStaking, audit::NO_APPEAL},
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
    /// Appeals about this miner that were dismissed.
    dismissed: Vec<DismissedRow>,
    /// Faults that are not among these rounds: they are of blocks before those looked at.
    older_faults: u64,
    /// Block of its registration.
    since: Height,
}

#[derive(Debug, Clone, Serialize)]
struct DismissedRow {
    block: Height,
    appeal: u64,
    round: u64,
}

/// What events tell of a miner.
struct Told {
    rounds: Vec<AuditRow>,
    fines: Vec<FineRow>,
    dismissed: Vec<DismissedRow>,
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
    /// Rounds that are or were faults.
    rounds: Vec<AuditRow>,
    /// The others, which an appeal may turn into faults.
    passed: Vec<AuditRow>,
    dismissed: Vec<DismissedRow>,
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
                let row = AuditRow::of(block, event);
                self.passed.extend(row.clone().filter(|row| !is_fault(row)));
                self.rounds.extend(row.filter(is_fault));
            }
            ChainEvent::AppealDecided { .. } | ChainEvent::AuditRefuted { .. } => self.change(account, block, event),
            ChainEvent::MinerReinstated { account: miner, .. } if *miner == account => {
                self.fines.push(fine(&none, &none, &none, "back, the forced exit was undone".into()));
            }
            ChainEvent::MinerFined { account: miner, amount, burnt, bounty } if *miner == account => {
                self.fines.push(fine(amount, burnt, bounty, "faults in a row".into()));
            }
            ChainEvent::MinerLost { account: miner, .. } if *miner == account => {
                self.fines.push(fine(&none, &none, &none, "forced out".into()));
            }
            ChainEvent::VerifierFined { verifier, appeal, amount } if *verifier == account => {
                let why = match *appeal {
                    NO_APPEAL => "a wrong verdict, refuted by the chain".to_owned(),
                    appeal => format!("a wrong verdict, appeal {appeal}"),
                };
                self.verifier.push(fine(amount, &none, &none, why));
            }
            ChainEvent::WorkerFined { account: worker, amount } if *worker == account => {
                self.verifier.push(fine(amount, &none, &none, "its bond as a TEE worker".into()));
            }
            _ => {}
        }
    }
}

impl Found {
    /// Takes over what an appeal or a refutation made of a round, whether it was a fault before or is one now.
    fn change(&mut self, account: Address, block: Height, event: &ChainEvent) {
        self.passed.iter_mut().chain(&mut self.rounds).for_each(|row| row.appeal(event));
        let is_fault = |row: &AuditRow| row.verdict.is_some_and(|row| row.verdict().is_fault());
        // A pass that was none is a fault from now on; a fault that was none stays in the list, with what became of it.
        let (now_faults, still_passed) = std::mem::take(&mut self.passed).into_iter().partition(is_fault);
        self.passed = still_passed;
        let now_faults: Vec<AuditRow> = now_faults;
        self.rounds.extend(now_faults);
        self.rounds.sort_by_key(|row| row.round);
        if let ChainEvent::AppealDecided { appeal, miner, round, upheld: false, .. } = event
            && *miner == account
        {
            self.dismissed.push(DismissedRow { block, appeal: *appeal, round: *round });
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
    let Found { rounds, fines, verifier, dismissed, .. } = found;
    let miner = match &subject.miner {
        Some(miner) => {
            let (record, required) =
                (audit_record(chain, account).await?, required_collateral(chain, miner.capacity).await?);
            Some(MinerFaults::new(&record, required, miner, Told { rounds, fines, dismissed }))
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
    fn new(record: &AuditRecord, required: U256, miner: &MinerDetail, told: Told) -> Self {
        let Told { rounds, fines, dismissed } = told;
        let is_fault = |row: &&AuditRow| row.verdict.is_some_and(|row| row.verdict().is_fault());
        let shown = u64::try_from(rounds.iter().filter(is_fault).count()).unwrap_or(u64::MAX);
        Self {
            older_faults: record.faults.saturating_sub(shown),
            since: miner.since,
            strikes: record.strikes,
            passed: record.passed,
            faults: record.faults,
            fined: record.fined,
            required_collateral: required,
            collateral: miner.collateral,
            fines_percent: FAULT_FINES_PERCENT,
            forced_out_after: FAULTS_MAX,
            next_fault: next_fault(record.strikes, required),
            rounds,
            fines,
            dismissed,
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
    out.push_str(&describe_range(document));
    out
}

/// What was looked at, and what is known to be missing.
fn describe_range(document: &SlashDocument) -> String {
    let (from, to) = (document.from_block, document.to_block);
    let looked = format!("\nevents of blocks {from} to {to} were looked at");
    match &document.miner {
        Some(miner) if miner.older_faults > 0 && from > miner.since => {
            let (older, since) = (miner.older_faults, miner.since);
            format!("{looked}: {older} older faults, and what they cost, are not shown (`--from {since}` shows all)\n")
        }
        _ if from > 1 => format!("{looked} (`--from` looks further back)\n"),
        _ => format!("{looked}\n"),
    }
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
    for DismissedRow { block, appeal, round } in &miner.dismissed {
        out.push_str(&format!("appeal {appeal} about round {round} was dismissed in block {block}\n"));
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
        client::MinerState,
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
        let required = Amount::tokens(1).0;
        let miner = MinerDetail {
            account,
            operator: account,
            name: "attic".into(),
            state: MinerState::Active,
            capacity: 1 << 30,
            used: 0,
            held: 0,
            since: 12,
            left_at: None,
            collateral: Amount::tokens(19).0 / U256::from(20),
            strikes: 2,
            segments: 0,
            consumed: 0,
            idle_bytes: 0,
            weight: 0,
        };
        let Found { rounds, fines, verifier, dismissed, .. } = found;
        SlashDocument {
            account,
            title: "miner attic (0x11)".into(),
            from_block: 1,
            to_block: 900,
            miner: Some(MinerFaults::new(&record, required, &miner, Told { rounds, fines, dismissed })),
            validator: None,
            verifier,
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
             events of blocks 1 to 900 were looked at\n"
        );
    }

    #[test]
    fn appeals_change_rounds_both_ways() {
        let account = Address::repeat_byte(0x11);
        let verdict = |spot| Verdict { spot, ..Verdict::default() }.encode();
        let decided = |round, spot, strikes| {
            let verdict = verdict(spot);
            ChainEvent::AuditDecided { miner: account, round, verdict, strikes, fined: U256::ZERO }
        };
        let ruled = |appeal, round, spot, upheld| {
            let verdict = verdict(spot);
            ChainEvent::AppealDecided { appeal, miner: account, round, verdict, upheld }
        };
        let (passed, missed) = (Outcome::Passed, Outcome::Missed);
        let refuted = ChainEvent::AuditRefuted {
            miner: account,
            round: 40,
            by: account,
            part: 0,
            outcome: 1,
            verdict: verdict(passed),
        };
        let events = [
            (780, decided(38, passed, 0)),
            (800, decided(39, missed, 1)),
            (812, decided(40, missed, 2)),
            (830, decided(41, passed, 0)),
            (840, ruled(1, 39, passed, true)),
            (841, ruled(2, 38, Outcome::Failed, true)),
            (842, refuted),
            (843, ruled(3, 41, passed, false)),
        ];
        let text = describe_slash(&SlashDocument { from_block: 100, ..document(&events, account) });
        let expected = "round  block  verdict                            strikes  fined\n\
             38     780    data failed (appeal 2)             0\n\
             39     800    data passed (appeal 1)             1\n\
             40     812    data passed (shown to the chain)   2\n\
             appeal 3 about round 41 was dismissed in block 843\n\
             \n\
             events of blocks 100 to 900 were looked at: 1 older faults, and what they cost, are not shown (`--from 12` shows all)\n";
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(squeezed(&text).ends_with(&squeezed(expected)), "{text}");
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
