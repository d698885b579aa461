//! `explain rewards`: what miners are paid for power, and validators for blocks.

use super::{
    percent,
    subject::{EraBlocks, Subject, current_era, era_blocks},
};
use crate::{
    cli::validators::ask,
    client::{ChainClient, RewardAccount, RewardEra, RewardShare, reward_era, reward_share},
    ledger::abi::IStaking,
    types::{
        Address, Height, U256, format_tokens,
        params::{REWARD_AT_ONCE_PERCENT, REWARD_PARTS},
    },
};
use serde::Serialize;

/// Eras that must end after an era before it is settled.
const SETTLED_AFTER_ERAS: u64 = 2;

/// What an account is paid for an era.
#[derive(Serialize)]
pub struct RewardsDocument {
    account: Address,
    #[serde(skip)]
    title: String,
    #[serde(flatten)]
    blocks: EraBlocks,
    /// Newest block when this was asked.
    height: Height,
    miner: Option<MinerPay>,
    validator: Option<ValidatorPay>,
}

#[derive(Serialize)]
struct MinerPay {
    #[serde(flatten)]
    share: RewardShare,
    /// What all miners share.
    of: RewardEra,
    balance: Option<RewardAccount>,
    at_once_percent: u64,
    parts: u64,
}

#[derive(Serialize)]
struct ValidatorPay {
    proposed: u64,
    points: u64,
    total_points: u64,
    /// What came into being for the whole committee.
    minted: U256,
    reward: U256,
}

/// Collects what an account is paid for an era, or for the newest that is settled.
pub async fn rewards_of(
    chain: &dyn ChainClient,
    subject: &Subject,
    era: Option<u64>,
) -> anyhow::Result<RewardsDocument> {
    let era = match era {
        Some(era) => era,
        None => current_era(chain).await?.saturating_sub(SETTLED_AFTER_ERAS),
    };
    let miner = match subject.is_miner() {
        true => Some(MinerPay {
            share: reward_share(chain, subject.account, era).await?,
            of: reward_era(chain, era).await?,
            balance: subject.pay.clone(),
            at_once_percent: REWARD_AT_ONCE_PERCENT,
            parts: REWARD_PARTS,
        }),
        false => None,
    };
    let validator = match subject.validator {
        true => Some(validator_pay(chain, subject.account, era).await?),
        false => None,
    };
    let (blocks, height) = (era_blocks(chain, era).await?, chain.status().await?.height);
    Ok(RewardsDocument { account: subject.account, title: subject.title(), blocks, height, miner, validator })
}

async fn validator_pay(chain: &dyn ChainClient, account: Address, era: u64) -> anyhow::Result<ValidatorPay> {
    let activity = ask(chain, &IStaking::activityCall { account, era }).await?;
    let summary = ask(chain, &IStaking::eraCall { era }).await?;
    Ok(ValidatorPay {
        proposed: activity.proposed,
        points: activity.points,
        total_points: summary.points,
        minted: summary.minted,
        reward: activity.reward,
    })
}

/// The document for a terminal.
pub fn describe_rewards(document: &RewardsDocument) -> String {
    let EraBlocks { era, first_block, last_block } = document.blocks;
    let mut out = format!("rewards of {} for era {era}, blocks {first_block} to {last_block}\n", document.title);
    let over = document.height > last_block;
    if !over {
        out.push_str(&format!("the era goes on: this is block {}\n", document.height));
    }
    if let Some(miner) = &document.miner {
        out.push_str(&describe_miner(miner, over));
    }
    if let Some(pay) = &document.validator {
        out.push_str(&describe_validator(pay, over));
    }
    if document.miner.is_none() && document.validator.is_none() {
        out.push_str("\na TEE worker is paid through the validator it works for\n");
    }
    out
}

fn describe_miner(miner: &MinerPay, over: bool) -> String {
    let (share, of) = (&miner.share, &miner.of);
    let state = match (share.settled, over) {
        (true, _) if share.claimed => "settled, and part of the account below",
        (true, _) => "settled; the next claim takes it into the account",
        (false, true) => "appeals may still change it until the next era has ended",
        (false, false) => "not final before the next era has ended",
    };
    let mut out = format!(
        "\nstorage = emission · power / all power + rent · service / all service\n\
         emission  {} · {} / {} = {} ({})\n\
         rent      {} · {} / {} = {} ({})\n\
         together  {}, {} % of it at once and the rest in {} parts\n\
         state     {state}\n",
        format_tokens(of.emission),
        share.power,
        share.total_power,
        format_tokens(share.from_emission),
        percent(share.power, share.total_power),
        format_tokens(of.rent),
        share.service,
        of.service,
        format_tokens(share.from_rent),
        percent(share.service, of.service),
        format_tokens(share.from_emission + share.from_rent),
        miner.at_once_percent,
        miner.parts
    );
    if let Some(balance) = &miner.balance {
        out.push_str(&format!("account   {}\n", describe_account(balance)));
    }
    out
}

/// A miner's pay in one line.
pub fn describe_account(account: &RewardAccount) -> String {
    let parts = match account.locked.is_zero() {
        true => String::new(),
        false => format!(
            " ({} with each part, the next from block {} on)",
            format_tokens(account.part),
            account.next_part_at
        ),
    };
    format!(
        "{} can be claimed, {} is locked{parts}, {} was paid; era {} is the next to be settled",
        format_tokens(account.claimable),
        format_tokens(account.locked),
        format_tokens(account.paid),
        account.next_era
    )
}

fn describe_validator(pay: &ValidatorPay, over: bool) -> String {
    if !over {
        return format!(
            "\nconsensus: {} blocks proposed so far, {} points; paid when the era ends\n",
            pay.proposed, pay.points
        );
    }
    format!(
        "\nconsensus = the committee's emission · points / all points, {} points for {} proposed blocks\n\
         reward    {} · {} / {} = {} ({})\n",
        pay.points,
        pay.proposed,
        format_tokens(pay.minted),
        pay.points,
        pay.total_points,
        format_tokens(pay.reward),
        percent(U256::from(pay.points), U256::from(pay.total_points))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Amount;

    fn document(miner: Option<MinerPay>, validator: Option<ValidatorPay>, height: Height) -> RewardsDocument {
        let blocks = EraBlocks { era: 12, first_block: 720, last_block: 779 };
        RewardsDocument { account: Address::ZERO, title: "miner attic (0x00)".into(), blocks, height, miner, validator }
    }

    fn miner() -> MinerPay {
        let (emission, rent) = (Amount::tokens(108).0, Amount::tokens(8).0);
        MinerPay {
            share: RewardShare {
                era: 12,
                idle: U256::from(2_000),
                service: U256::from(1_000),
                rounds: 2,
                power: U256::from(1_050),
                total_power: U256::from(4_200),
                from_emission: Amount::tokens(27).0,
                from_rent: Amount::tokens(4).0,
                settled: true,
                claimed: false,
            },
            of: RewardEra {
                number: 12,
                idle: U256::from(4_000),
                service: U256::from(2_000),
                emission,
                rent,
                settled: true,
            },
            balance: Some(RewardAccount {
                next_era: 12,
                claimable: Amount::tokens(16).0,
                locked: Amount::tokens(15).0,
                paid: Amount::tokens(2).0,
                part: Amount::tokens(1).0 / U256::from(4),
                next_part_at: 960,
            }),
            at_once_percent: 50,
            parts: 90,
        }
    }

    #[test]
    fn a_miners_pay_is_its_formula_with_the_numbers_put_in() {
        assert_eq!(
            describe_rewards(&document(Some(miner()), None, 900)),
            "rewards of miner attic (0x00) for era 12, blocks 720 to 779\n\
             \n\
             storage = emission · power / all power + rent · service / all service\n\
             emission  108 · 1050 / 4200 = 27 (25.00 %)\n\
             rent      8 · 1000 / 2000 = 4 (50.00 %)\n\
             together  31, 50 % of it at once and the rest in 90 parts\n\
             state     settled; the next claim takes it into the account\n\
             account   16 can be claimed, 15 is locked (0.25 with each part, the next from block 960 on), 2 was paid; era 12 is the next to be settled\n"
        );
    }

    #[test]
    fn a_validators_pay_is_by_points_when_the_era_has_ended() {
        let pay = || ValidatorPay {
            proposed: 15,
            points: 300,
            total_points: 1_200,
            minted: Amount::tokens(54).0,
            reward: Amount::tokens(27).0 / U256::from(2),
        };
        let text = describe_rewards(&document(None, Some(pay()), 900));
        assert!(
            text.ends_with("300 points for 15 proposed blocks\nreward    54 · 300 / 1200 = 13.5 (25.00 %)\n"),
            "{text}"
        );
        let text = describe_rewards(&document(None, Some(pay()), 750));
        assert!(text.ends_with("15 blocks proposed so far, 300 points; paid when the era ends\n"), "{text}");
    }
}
