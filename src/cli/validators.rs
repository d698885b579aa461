//! `validators` and `explain committee`: who may decide blocks, who does, and why.

use super::{
    Global,
    output::{Output, short, table},
    target::Target,
};
use crate::{
    client::ChainClient,
    ledger::{
        abi::{IStaking, STAKING},
        modules::{CREDIT_ERAS, CREDIT_WEIGHTS, SCORE_WEIGHTS},
    },
    types::{Address, U256, format_tokens},
};
use alloy_sol_types::SolCall;
use anyhow::Context;
use serde::Serialize;

/// Candidates asked for at a time.
const PAGE: u64 = 64;

/// Asks the staking module.
pub async fn ask<C: SolCall>(chain: &dyn ChainClient, call: &C) -> anyhow::Result<C::Return> {
    let data = chain.call(STAKING, call.abi_encode().into()).await?;
    C::abi_decode_returns(&data).with_context(|| format!("{} answered nonsense", C::SIGNATURE))
}

#[derive(Serialize)]
struct ValidatorsDocument {
    era: u64,
    first_block: u64,
    last_block: u64,
    reveal_until: u64,
    minted: U256,
    burnt: U256,
    candidates: Vec<CandidateRow>,
}

#[derive(Serialize)]
struct CandidateRow {
    account: Address,
    seated: bool,
    seated_next: bool,
    jail: &'static str,
    jailed_until: Option<u64>,
    bonded: U256,
    unbonding: U256,
    registered_at: u64,
    score: u64,
    credit: u64,
    stake: u64,
    random: u64,
    proposed: u64,
    missed: u64,
}

impl From<IStaking::Candidate> for CandidateRow {
    fn from(c: IStaking::Candidate) -> Self {
        let jail = match c.jailReason {
            0 => "",
            1 => "absent",
            _ => "equivocation",
        };
        Self {
            account: c.account,
            seated: c.seated,
            seated_next: c.seatedNext,
            jail,
            jailed_until: (c.jailReason != 0).then_some(c.jailedUntil),
            bonded: c.bonded,
            unbonding: c.unbonding,
            registered_at: c.registeredAt,
            score: c.score,
            credit: c.credit,
            stake: c.stakeScore,
            random: c.random,
            proposed: c.proposed,
            missed: c.missed,
        }
    }
}

/// Shows all candidates.
pub async fn validators(global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let chain = target.chain.as_ref();
    let current = ask(chain, &IStaking::currentEraCall {}).await?;
    let era = ask(chain, &IStaking::eraCall { era: current }).await?;
    let supply = ask(chain, &IStaking::supplyCall {}).await?;
    let mut candidates: Vec<CandidateRow> = Vec::new();
    loop {
        let skip = u64::try_from(candidates.len()).unwrap_or(u64::MAX);
        let page = ask(chain, &IStaking::candidatesCall { skip, limit: PAGE }).await?;
        if page.is_empty() {
            break;
        }
        candidates.extend(page.into_iter().map(CandidateRow::from));
    }
    candidates.sort_by_key(|c| (!c.seated, std::cmp::Reverse(c.score), c.account));
    let document = ValidatorsDocument {
        era: current,
        first_block: era.firstBlock,
        last_block: era.lastBlock,
        reveal_until: era.revealUntil,
        minted: supply.minted,
        burnt: supply.burnt,
        candidates,
    };
    output.document(&document, describe_validators)
}

fn describe_validators(document: &ValidatorsDocument) -> String {
    let row = |c: &CandidateRow| {
        let seat = match (c.seated, c.seated_next) {
            (true, true) => "now, next",
            (true, false) => "now",
            (false, true) => "next",
            (false, false) => "",
        };
        vec![
            short(&c.account.to_string()),
            seat.to_owned(),
            c.score.to_string(),
            c.credit.to_string(),
            c.stake.to_string(),
            c.random.to_string(),
            format_tokens(c.bonded),
            c.proposed.to_string(),
            c.missed.to_string(),
            c.jail.to_owned(),
        ]
    };
    let header = ["account", "seat", "score", "credit", "stake", "random", "bonded", "proposed", "missed", "jail"];
    let rows: Vec<Vec<String>> = document.candidates.iter().map(row).collect();
    format!(
        "era {}, blocks {} to {}, reveals up to block {}\nminted {}, burnt {}\n\n{}",
        document.era,
        document.first_block,
        document.last_block,
        document.reveal_until,
        format_tokens(document.minted),
        format_tokens(document.burnt),
        table(&header, &rows)
    )
}

#[derive(Serialize)]
struct CommitteeDocument {
    era: u64,
    first_block: u64,
    last_block: u64,
    /// Block whose end the election was held at; 0 for the committees of genesis.
    elected_at: u64,
    qualified: u64,
    kept: bool,
    /// The beacon the reveals are over, and its block.
    seed: Option<String>,
    seed_block: Option<u64>,
    runner_up: Option<Address>,
    runner_up_score: u64,
    seats: Vec<SeatRow>,
}

#[derive(Serialize)]
struct SeatRow {
    account: Address,
    power: u64,
    stake: U256,
    score: u64,
    credit: u64,
    stake_score: u64,
    random: u64,
    registered_at: u64,
    revealed_at: Option<u64>,
    credit_of: Vec<CreditRow>,
}

/// What one era brought to the credit.
#[derive(Serialize)]
struct CreditRow {
    era: u64,
    weight_percent: u64,
    work_points: u64,
    punishments: u64,
    credit: u64,
}

/// Explains an era's committee.
pub async fn committee_document(chain: &dyn ChainClient, era: u64, output: &Output) -> anyhow::Result<()> {
    output.document(&committee(chain, era).await?, describe_committee)
}

async fn committee(chain: &dyn ChainClient, era: u64) -> anyhow::Result<CommitteeDocument> {
    let summary = ask(chain, &IStaking::eraCall { era }).await?;
    let held_in = match summary.electedAt {
        0 => None,
        _ => Some(ask(chain, &IStaking::eraCall { era: era.saturating_sub(2) }).await?),
    };
    let mut seats = Vec::new();
    for seat in ask(chain, &IStaking::seatsCall { era }).await? {
        let credit_of = match &held_in {
            Some(held) => credit_of(chain, seat.account, held.era).await?,
            None => Vec::new(),
        };
        seats.push(SeatRow {
            account: seat.account,
            power: seat.power,
            stake: seat.stake,
            score: seat.score,
            credit: seat.credit,
            stake_score: seat.stakeScore,
            random: seat.random,
            registered_at: seat.registeredAt,
            revealed_at: (seat.revealedAt != 0).then_some(seat.revealedAt),
            credit_of,
        });
    }
    seats.sort_by_key(|seat| (std::cmp::Reverse(seat.score), seat.account));
    Ok(CommitteeDocument {
        era,
        first_block: summary.firstBlock,
        last_block: summary.lastBlock,
        elected_at: summary.electedAt,
        qualified: summary.qualified,
        kept: summary.kept,
        seed: held_in.as_ref().map(|held| held.seed.to_string()),
        seed_block: held_in.as_ref().map(|held| held.seedHeight),
        runner_up: (!summary.runnerUp.is_zero()).then_some(summary.runnerUp),
        runner_up_score: summary.runnerUpScore,
        seats,
    })
}

async fn credit_of(chain: &dyn ChainClient, account: Address, newest: u64) -> anyhow::Result<Vec<CreditRow>> {
    let mut rows = Vec::with_capacity(CREDIT_ERAS);
    for (back, weight_percent) in (0u64..).zip(CREDIT_WEIGHTS) {
        let Some(era) = newest.checked_sub(back) else { break };
        let activity = ask(chain, &IStaking::activityCall { account, era }).await?;
        rows.push(CreditRow {
            era,
            weight_percent,
            work_points: activity.workPoints,
            punishments: activity.punishments,
            credit: activity.credit,
        });
    }
    Ok(rows)
}

fn describe_committee(document: &CommitteeDocument) -> String {
    let mut out =
        format!("committee of era {}, blocks {} to {}\n", document.era, document.first_block, document.last_block);
    match (document.elected_at, document.kept, &document.seed, document.seed_block) {
        (0, ..) => out.push_str("named by genesis, not elected\n"),
        (at, true, ..) => out.push_str(&format!(
            "at the end of block {at} only {} candidates qualified: the committee before goes on, with its former scores\n",
            document.qualified
        )),
        (at, false, seed, block) => {
            let [credit, stake, random] = SCORE_WEIGHTS;
            out.push_str(&format!("elected at the end of block {at} from {} candidates\n", document.qualified));
            out.push_str(&format!("score = ({credit}·credit + {stake}·stake + {random}·random) / 100, each 0 to 1000\n"));
            if let (Some(seed), Some(block)) = (seed, block) {
                out.push_str(&format!("random is revealed over the beacon of block {block}, {seed}\n"));
            }
        }
    }
    let row = |seat: &SeatRow| {
        let credit: Vec<String> = seat.credit_of.iter().map(|c| c.credit.to_string()).collect();
        vec![
            short(&seat.account.to_string()),
            seat.score.to_string(),
            seat.credit.to_string(),
            credit.join(" "),
            seat.stake_score.to_string(),
            format_tokens(seat.stake),
            seat.random.to_string(),
            seat.revealed_at.map_or_else(|| "not".to_owned(), |block| format!("block {block}")),
            format!("block {}", seat.registered_at),
        ]
    };
    let header = ["account", "score", "credit", "of eras", "stake", "tokens", "random", "revealed", "registered"];
    out.push('\n');
    out.push_str(&table(&header, &document.seats.iter().map(row).collect::<Vec<_>>()));
    if let Some(account) = document.runner_up {
        out.push_str(&format!("\nbest without a seat: {account}, score {}\n", document.runner_up_score));
    }
    out
}
