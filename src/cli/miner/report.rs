//! `miner status`: everything the modules say about one miner on one screen.
//!
//! Must not know keys. Invariant: every number is a module's answer or follows from one by the formula shown.

use super::{
    super::{
        explain::next_fault,
        history::{AUDIT_COLUMNS, AuditRow, audits_of},
        output::table,
        verdicts::VerdictRow,
    },
    advice::{Facts, advice},
};
use crate::{
    client::{
        AuditRecord, AuditRound, BatchState, ChainClient, IdleBatch, MinerDetail, MinerStanding, MinerState,
        RewardAccount, audit_record, audit_round, audit_terms, miner_detail, newest_idle_batch, required_collateral,
        reward_account, standing,
    },
    types::{
        Address, ByteCount, Height, Params, U256, format_tokens,
        params::{FAULT_FINES_PERCENT, IDLE_LIVE_STEPS, POWER_IDLE_PERCENT},
    },
};
use anyhow::bail;
use serde::Serialize;

/// Rounds whose decisions are shown.
const ROUNDS_SHOWN: u64 = 8;
/// Bytes of a label of idle space, as a power of two.
const LABEL_LOG2: u32 = 5;
const TIB: u64 = 1 << 40;

/// How a miner is.
#[derive(Serialize)]
pub struct StatusDocument {
    height: Height,
    #[serde(flatten)]
    miner: MinerDetail,
    required_collateral: U256,
    collateral_per_tib: U256,
    balance: U256,
    idle: IdlePart,
    audits: AuditPart,
    rewards: RewardAccount,
    next: Vec<String>,
}

#[derive(Serialize)]
struct IdlePart {
    segment_bytes: u64,
    #[serde(flatten)]
    standing: MinerStanding,
    newest_batch: Option<IdleBatch>,
}

#[derive(Serialize)]
struct AuditPart {
    round: AuditRound,
    answered: u64,
    decided: u64,
    verdict: VerdictRow,
    strikes: u32,
    passed: u64,
    faults: u64,
    fined: U256,
    last: Vec<AuditRow>,
}

/// Collects what the modules say about a miner.
pub async fn status_of(chain: &dyn ChainClient, account: Address) -> anyhow::Result<StatusDocument> {
    let Some(miner) = miner_detail(chain, account).await? else {
        bail!("miner {account} is not registered (`cess run --role storage --space 200GiB` starts one)");
    };
    let status = chain.status().await?;
    let params = Params::of(status.profile);
    let round = audit_round(chain).await?;
    let standing = standing(chain, account, round.number).await?.unwrap_or_default();
    let idle = IdlePart {
        segment_bytes: 1u64 << (params.idle_labels_log2 + LABEL_LOG2),
        standing,
        newest_batch: newest_idle_batch(chain, account).await?,
    };
    let required = required_collateral(chain, miner.capacity).await?;
    let (record, rewards) = (audit_record(chain, account).await?, reward_account(chain, account).await?);
    let terms = audit_terms(chain).await?;
    let oldest = terms.opened_at(round.number.saturating_sub(ROUNDS_SHOWN)).max(miner.since);
    let last = audits_of(chain, account, oldest, status.height).await?;
    let next = advice(&Facts {
        miner: &miner,
        required,
        segments: miner.segments,
        batch: idle.newest_batch.as_ref(),
        round: round.number,
        answer_until: round.answer_until,
        height: status.height,
        answered: record.answered,
        is_due: miner.since < round.opened_at && (standing.used > 0 || standing.idle > 0),
        pay: &rewards,
    });
    Ok(StatusDocument {
        height: status.height,
        required_collateral: required,
        collateral_per_tib: params.collateral_per_tib.0,
        balance: chain.balance(account).await?,
        idle,
        audits: audit_part(round, &record, last),
        rewards,
        next,
        miner,
    })
}

fn audit_part(round: AuditRound, record: &AuditRecord, last: Vec<AuditRow>) -> AuditPart {
    AuditPart {
        round,
        answered: record.answered,
        decided: record.decided,
        verdict: record.verdict.into(),
        strikes: record.strikes,
        passed: record.passed,
        faults: record.faults,
        fined: record.fined,
        last,
    }
}

/// The document for a terminal.
pub fn describe_status(document: &StatusDocument) -> String {
    let (miner, audits, pay) = (&document.miner, &document.audits, &document.rewards);
    let operator = match miner.operator == miner.account {
        true => "its own account".to_owned(),
        false => miner.operator.to_string(),
    };
    let left = miner.left_at.map(|block| format!(", leaving since block {block}")).unwrap_or_default();
    let mut out = format!(
        "miner       {}\n\
         account     {}\n\
         operator    {operator}\n\
         state       {} since block {}{left}\n\
         lends       {}, {} of it used by {} columns of files\n\
         idle        {}\n\
         placement   {}\n\
         collateral  {}, {} required\n\
         audits      {} passed, {} faults, {} in a row, {} fined; round {} is open until block {}{}\n\
         rewards     {} to claim, {} locked, {} paid\n\
         balance     {} on its account\n",
        miner.name,
        miner.account,
        miner.state.name(),
        miner.since,
        ByteCount(miner.capacity),
        ByteCount(miner.used),
        miner.held,
        describe_idle(miner, &document.idle),
        describe_weight(document),
        format_tokens(miner.collateral),
        format_tokens(document.required_collateral),
        audits.passed,
        audits.faults,
        audits.strikes,
        format_tokens(audits.fined),
        audits.round.number,
        audits.round.vote_until,
        if audits.round.slow { " and slow, faults do not count" } else { "" },
        format_tokens(pay.claimable),
        format_tokens(pay.locked),
        format_tokens(pay.paid),
        format_tokens(document.balance),
    );
    for (place, sentence) in document.next.iter().enumerate() {
        let head = if place == 0 { "next" } else { "" };
        out.push_str(&format!("{head:<11} {sentence}\n"));
    }
    if !audits.last.is_empty() {
        let rows: Vec<Vec<String>> = audits.last.iter().rev().map(AuditRow::cells).collect();
        out.push_str(&format!("\n{}", table(&AUDIT_COLUMNS, &rows)));
    }
    out
}

/// What files come its way.
fn describe_weight(document: &StatusDocument) -> String {
    let miner = &document.miner;
    match miner.weight {
        0 if miner.state != MinerState::Active => "it is given nothing new, it leaves".to_owned(),
        0 if miner.collateral < document.required_collateral => {
            "it is given nothing until its collateral is what is required (`cess miner add-collateral`)".to_owned()
        }
        0 => "it is given nothing until idle space of it is certified".to_owned(),
        weight => format!("weighs {}, of which files come its way", ByteCount(weight)),
    }
}

fn describe_idle(miner: &MinerDetail, idle: &IdlePart) -> String {
    let waiting = match &idle.newest_batch {
        Some(batch) if batch.state == BatchState::Waiting => {
            format!("; {} more segments wait for their certificate since block {}", batch.count, batch.height)
        }
        Some(batch) if batch.state == BatchState::Refused => {
            format!("; the newest {} segments were refused", batch.count)
        }
        _ => String::new(),
    };
    format!(
        "{} certified in {} segments of {}, {} of them taken by data{waiting}",
        ByteCount(miner.idle_bytes),
        miner.segments,
        ByteCount(idle.segment_bytes),
        ByteCount(taken(miner, idle)),
    )
}

/// Bytes of certified segments that data has taken.
fn taken(miner: &MinerDetail, idle: &IdlePart) -> u64 {
    (idle.segment_bytes / u64::from(IDLE_LIVE_STEPS)).saturating_mul(miner.consumed)
}

/// The formulas behind the numbers of [`describe_status`].
pub fn formulas(document: &StatusDocument) -> String {
    let (miner, idle) = (&document.miner, &document.idle);
    let tib = miner.capacity.div_ceil(TIB);
    let percents: Vec<String> = FAULT_FINES_PERCENT.iter().map(u64::to_string).collect();
    format!(
        "required collateral  {} for each started TiB · {tib} = {}\n\
         certified idle space  {} · {} segments − {} · {} steps = {}\n\
         room for data  {} lent − {} used = {}\n\
         credit of a passed round  {POWER_IDLE_PERCENT} % of idle + {} % of used bytes, see power below\n\
         fines  {} % of the required collateral by faults in a row; the next is {}\n",
        format_tokens(document.collateral_per_tib),
        format_tokens(document.required_collateral),
        ByteCount(idle.segment_bytes),
        miner.segments,
        ByteCount(idle.segment_bytes / u64::from(IDLE_LIVE_STEPS)),
        miner.consumed,
        ByteCount(miner.idle_bytes),
        ByteCount(miner.capacity),
        ByteCount(miner.used),
        ByteCount(miner.capacity.saturating_sub(miner.used)),
        100 - POWER_IDLE_PERCENT,
        percents.join(", "),
        next_fault(document.audits.strikes, document.required_collateral)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::audit::{Outcome, Verdict},
        types::Amount,
    };

    fn document() -> StatusDocument {
        let account = Address::repeat_byte(0x11);
        let miner = MinerDetail {
            account,
            operator: account,
            name: "attic".into(),
            state: MinerState::Active,
            capacity: 64 << 20,
            used: 2 << 20,
            held: 8,
            since: 12,
            left_at: None,
            collateral: Amount::tokens(1).0,
            strikes: 0,
            segments: 32,
            consumed: 256,
            idle_bytes: 30 << 20,
            weight: 62 << 20,
        };
        let verdict = Verdict { spot: Outcome::Passed, tags: Outcome::NotDue, idle: Outcome::Passed };
        let record = AuditRecord {
            answered: 40,
            proven: 0,
            decided: 39,
            verdict,
            strikes: 0,
            passed: 38,
            faults: 1,
            fined: U256::ZERO,
        };
        let round = AuditRound {
            number: 40,
            opened_at: 800,
            answer_until: 803,
            prove_until: 808,
            vote_until: 839,
            tags: true,
            slow: false,
        };
        let last = vec![AuditRow {
            miner: account,
            round: 39,
            block: 795,
            verdict: Some(verdict.into()),
            words: crate::cli::verdicts::words(verdict),
            strikes: 0,
            fined: U256::ZERO,
        }];
        // What the round began with: data has come since.
        let standing = MinerStanding { used: 1 << 20, segments: 32, consumed: 128, idle: 31 << 20 };
        let batch = IdleBatch { number: 2, first: 32, count: 16, height: 790, state: BatchState::Waiting };
        StatusDocument {
            height: 805,
            required_collateral: Amount::tokens(1).0,
            collateral_per_tib: Amount::tokens(1).0,
            balance: Amount::tokens(8).0,
            idle: IdlePart { segment_bytes: 1 << 20, standing, newest_batch: Some(batch) },
            audits: audit_part(round, &record, last),
            rewards: RewardAccount { claimable: Amount::tokens(3).0, ..RewardAccount::default() },
            next: vec!["one thing".into(), "another".into()],
            miner,
        }
    }

    #[test]
    fn a_miner_is_told_on_one_screen() {
        assert_eq!(
            describe_status(&document()),
            format!(
                "miner       attic\n\
                 account     {}\n\
                 operator    its own account\n\
                 state       active since block 12\n\
                 lends       64 MiB, 2 MiB of it used by 8 columns of files\n\
                 idle        30 MiB certified in 32 segments of 1 MiB, 2 MiB of them taken by data; 16 more segments wait for \
                 their certificate since block 790\n\
                 placement   weighs 62 MiB, of which files come its way\n\
                 collateral  1, 1 required\n\
                 audits      38 passed, 1 faults, 0 in a row, 0 fined; round 40 is open until block 839\n\
                 rewards     3 to claim, 0 locked, 0 paid\n\
                 balance     8 on its account\n\
                 next        one thing\n            another\n\
                 \n\
                 round  block  verdict                   strikes  fined\n\
                 39     795    data passed, idle passed  0\n",
                Address::repeat_byte(0x11)
            )
        );
        let json = serde_json::to_value(document()).unwrap();
        assert_eq!((&json["name"], &json["idle"]["segments"]), (&"attic".into(), &32.into()));
        assert_eq!((&json["audits"]["last"][0]["round"], &json["next"][1]), (&39.into(), &"another".into()));
    }

    #[test]
    fn formulas_have_the_numbers_put_in() {
        assert_eq!(
            formulas(&document()),
            "required collateral  1 for each started TiB · 1 = 1\n\
             certified idle space  1 MiB · 32 segments − 8 KiB · 256 steps = 30 MiB\n\
             room for data  64 MiB lent − 2 MiB used = 62 MiB\n\
             credit of a passed round  5 % of idle + 95 % of used bytes, see power below\n\
             fines  0, 5, 15, 15, 15 % of the required collateral by faults in a row; the next is strike 1: no fine, no pay for the round\n"
        );
    }
}
