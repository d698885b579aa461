//! `explain power`: a miner's power in rewards, a validator's in consensus.

use super::{
    percent,
    subject::{EraBlocks, Subject, current_era, era_blocks},
};
use crate::{
    cli::{
        history::{AUDIT_COLUMNS, AuditRow, audits_of},
        output::table,
        validators::ask,
    },
    client::{ChainClient, MinerStanding, RewardShare, audit_terms, reward_share, standing},
    ledger::abi::IStaking,
    types::{Address, Height, U256, format_tokens, params::POWER_IDLE_PERCENT},
};
use serde::Serialize;

/// What an account's power comes from.
#[derive(Serialize)]
pub struct PowerDocument {
    account: Address,
    #[serde(skip)]
    title: String,
    #[serde(flatten)]
    blocks: EraBlocks,
    /// Newest block when this was asked.
    height: Height,
    miner: Option<MinerPower>,
    validator: Option<SeatPower>,
}

#[derive(Serialize)]
struct MinerPower {
    #[serde(flatten)]
    share: RewardShare,
    idle_percent: u64,
    service_percent: u64,
    /// What the newest round credits, if it is passed.
    standing: Option<StandingAt>,
    /// Decided rounds that opened in the era.
    audits: Vec<AuditRow>,
}

#[derive(Serialize)]
struct StandingAt {
    round: u64,
    opened_at: Height,
    #[serde(flatten)]
    standing: MinerStanding,
}

#[derive(Serialize)]
struct SeatPower {
    seated: bool,
    power: u64,
    total_power: u64,
    seats: usize,
    stake: U256,
    score: u64,
}

/// Collects what an account's power in an era, or in the current one, comes from.
pub async fn power_of(chain: &dyn ChainClient, subject: &Subject, era: Option<u64>) -> anyhow::Result<PowerDocument> {
    let era = match era {
        Some(era) => era,
        None => current_era(chain).await?,
    };
    let (blocks, height) = (era_blocks(chain, era).await?, chain.status().await?.height);
    let miner = match subject.is_miner() {
        true => Some(miner_power(chain, subject.account, blocks, height).await?),
        false => None,
    };
    let validator = match subject.validator {
        true => Some(seat_power(chain, subject.account, era).await?),
        false => None,
    };
    Ok(PowerDocument { account: subject.account, title: subject.title(), blocks, height, miner, validator })
}

async fn miner_power(
    chain: &dyn ChainClient,
    account: Address,
    blocks: EraBlocks,
    height: Height,
) -> anyhow::Result<MinerPower> {
    let share = reward_share(chain, account, blocks.era).await?;
    let terms = audit_terms(chain).await?;
    let in_era = |round: u64| (blocks.first_block..=blocks.last_block).contains(&terms.opened_at(round));
    // An appeal is opened and then decided, each within the blocks for appeals.
    let votes = terms.vote_until(terms.round_at(blocks.last_block));
    let until = votes.saturating_add(terms.appeal_blocks.saturating_mul(2)).min(height);
    let mut audits = audits_of(chain, account, blocks.first_block, until).await?;
    audits.retain(|row| in_era(row.round));
    let round = terms.round_at(height);
    let standing = match in_era(round) {
        true => standing(chain, account, round).await?,
        false => None,
    };
    let standing = standing.map(|standing| StandingAt { round, opened_at: terms.opened_at(round), standing });
    Ok(MinerPower {
        share,
        idle_percent: POWER_IDLE_PERCENT,
        service_percent: 100 - POWER_IDLE_PERCENT,
        standing,
        audits,
    })
}

async fn seat_power(chain: &dyn ChainClient, account: Address, era: u64) -> anyhow::Result<SeatPower> {
    let seats = ask(chain, &IStaking::seatsCall { era }).await?;
    let total_power = seats.iter().fold(0u64, |sum, seat| sum.saturating_add(seat.power));
    let own = seats.iter().find(|seat| seat.account == account);
    Ok(SeatPower {
        seated: own.is_some(),
        power: own.map_or(0, |seat| seat.power),
        total_power,
        seats: seats.len(),
        stake: own.map_or(U256::ZERO, |seat| seat.stake),
        score: own.map_or(0, |seat| seat.score),
    })
}

/// The document for a terminal.
pub fn describe_power(document: &PowerDocument) -> String {
    let EraBlocks { era, first_block, last_block } = document.blocks;
    let mut out = format!("power of {} in era {era}, blocks {first_block} to {last_block}\n", document.title);
    if document.height < last_block {
        out.push_str(&format!("the era goes on: this is block {}\n", document.height));
    }
    if let Some(miner) = &document.miner {
        out.push_str(&describe_miner(miner));
    }
    if let Some(seat) = &document.validator {
        out.push_str(&describe_seat(seat, era));
    }
    if document.miner.is_none() && document.validator.is_none() {
        out.push_str("\na TEE worker has no power: it is neither paid by power nor does it decide blocks\n");
    }
    out
}

fn describe_miner(miner: &MinerPower) -> String {
    let (share, idle, service) = (&miner.share, miner.idle_percent, miner.service_percent);
    let mut out = format!(
        "\npower = ({idle}·idle + {service}·service) / 100, in bytes summed over the audit rounds that were passed\n\
         idle     {}\n\
         service  {}\n\
         rounds   {}\n\
         power    ({idle}·{} + {service}·{}) / 100 = {}\n\
         share    {} of {} of all miners, {}\n",
        share.idle,
        share.service,
        share.rounds,
        share.idle,
        share.service,
        share.power,
        share.power,
        share.total_power,
        percent(share.power, share.total_power)
    );
    if let Some(StandingAt { round, opened_at, standing }) = &miner.standing {
        out.push_str(&format!(
            "next     round {round}, opened by block {opened_at}, adds {} B idle and {} B service if it is passed\n",
            standing.idle, standing.used
        ));
    }
    out.push('\n');
    match miner.audits.is_empty() {
        true => out.push_str("no round that opened in this era is decided yet\n"),
        false => {
            let rows: Vec<Vec<String>> = miner.audits.iter().map(AuditRow::cells).collect();
            out.push_str(&table(&AUDIT_COLUMNS, &rows));
        }
    }
    out
}

fn describe_seat(seat: &SeatPower, era: u64) -> String {
    if !seat.seated {
        return format!(
            "\nno seat in the committee of era {era}: no voting power (`cess explain committee {era}` shows why)\n"
        );
    }
    format!(
        "\nvoting power {} of {} of the {} seats, {}; won with score {} and a stake of {} (`cess explain committee {era}` shows why)\n",
        seat.power,
        seat.total_power,
        seat.seats,
        percent(U256::from(seat.power), U256::from(seat.total_power)),
        seat.score,
        format_tokens(seat.stake)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Amount;

    fn share() -> RewardShare {
        RewardShare {
            era: 12,
            idle: U256::from(2_000),
            service: U256::from(1_000),
            rounds: 2,
            power: U256::from(1_050),
            total_power: U256::from(4_200),
            from_emission: Amount::tokens(3).0,
            from_rent: U256::ZERO,
            settled: false,
            claimed: false,
        }
    }

    #[test]
    fn a_miners_power_is_its_formula_with_the_numbers_put_in() {
        let standing = MinerStanding { used: 500, segments: 1, consumed: 0, idle: 1_000 };
        let audit = AuditRow {
            miner: Address::ZERO,
            round: 36,
            block: 745,
            verdict: None,
            words: "data passed".into(),
            strikes: 0,
            fined: U256::ZERO,
        };
        let document = PowerDocument {
            account: Address::ZERO,
            title: "miner attic (0x00)".into(),
            blocks: EraBlocks { era: 12, first_block: 720, last_block: 779 },
            height: 770,
            miner: Some(MinerPower {
                share: share(),
                idle_percent: 5,
                service_percent: 95,
                standing: Some(StandingAt { round: 38, opened_at: 760, standing }),
                audits: vec![audit],
            }),
            validator: None,
        };
        assert_eq!(
            describe_power(&document),
            "power of miner attic (0x00) in era 12, blocks 720 to 779\n\
             the era goes on: this is block 770\n\
             \n\
             power = (5·idle + 95·service) / 100, in bytes summed over the audit rounds that were passed\n\
             idle     2000\n\
             service  1000\n\
             rounds   2\n\
             power    (5·2000 + 95·1000) / 100 = 1050\n\
             share    1050 of 4200 of all miners, 25.00 %\n\
             next     round 38, opened by block 760, adds 1000 B idle and 500 B service if it is passed\n\
             \n\
             round  block  verdict      strikes  fined\n\
             36     745    data passed  0\n"
        );
        let json = serde_json::to_value(&document).unwrap();
        assert_eq!((&json["first_block"], &json["miner"]["rounds"]), (&720.into(), &2.into()));
    }

    #[test]
    fn a_validators_power_is_its_seat() {
        let seat = |seated| SeatPower {
            seated,
            power: 1,
            total_power: 4,
            seats: 4,
            stake: Amount::tokens(1_000).0,
            score: 700,
        };
        assert!(
            describe_seat(&seat(true), 3).contains("voting power 1 of 4 of the 4 seats, 25.00 %; won with score 700")
        );
        assert!(describe_seat(&seat(false), 3).contains("no seat in the committee of era 3"));
    }
}
