//! `explain`: why an account has the power, the rewards and the fines it has, and why a committee is as it is.
//!
//! Owns formulas in words, with the numbers put in and the blocks they come from. Must not know how the modules count. Invariant: the result a
//! formula is shown with is the module's, never one computed here.

mod power;
mod rewards;
mod slash;
mod subject;

pub use power::{PowerDocument, describe_power, power_of};
pub use rewards::{RewardsDocument, describe_rewards, rewards_of};
pub use slash::{SlashDocument, describe_slash, next_fault, slash_of};
pub use subject::Subject;

use super::{Global, output::Output, target::Target, validators};
use crate::types::{Height, U256};
use clap::{Args, Subcommand};

/// Subcommands of `cess explain`.
#[derive(Debug, Subcommand)]
pub enum ExplainCommand {
    /// Show why each seat of an era's committee was won
    Committee {
        /// Number of the era, at most the next one
        era: u64,
    },
    /// Show what a miner's or a validator's power is and what it comes from
    Power(InEra),
    /// Show what a miner or a validator is paid, and why
    Rewards(InEra),
    /// Show what an account was fined, why, and what comes next
    Slash {
        /// Account of a miner, a validator or a TEE worker, or the name of a miner or a worker
        #[arg(value_name = "ADDRESS")]
        who: String,
        /// First block looked at [default: the newest 10,000]
        #[arg(long, value_name = "HEIGHT")]
        from: Option<Height>,
    },
}

/// Whose, and when.
#[derive(Debug, Args)]
pub struct InEra {
    /// Account of a miner or a validator, or a miner's name
    #[arg(value_name = "ADDRESS")]
    who: String,
    /// Number of the era [default: the current one for power, the newest that is settled for rewards]
    #[arg(long, value_name = "N")]
    era: Option<u64>,
}

/// Explains what is asked for.
pub async fn explain(command: ExplainCommand, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let chain = target.chain.as_ref();
    match command {
        ExplainCommand::Committee { era } => validators::committee_document(chain, era, output).await,
        ExplainCommand::Power(InEra { who, era }) => {
            let subject = Subject::named(chain, &who).await?;
            output.document(&power_of(chain, &subject, era).await?, describe_power)
        }
        ExplainCommand::Rewards(InEra { who, era }) => {
            let subject = Subject::named(chain, &who).await?;
            output.document(&rewards_of(chain, &subject, era).await?, describe_rewards)
        }
        ExplainCommand::Slash { who, from } => {
            let subject = Subject::named(chain, &who).await?;
            output.document(&slash_of(chain, &subject, from).await?, describe_slash)
        }
    }
}

/// `12.34 %` of a whole, `-` of nothing.
fn percent(part: U256, whole: U256) -> String {
    if whole.is_zero() {
        return "-".to_owned();
    }
    let hundredths = part.saturating_mul(U256::from(10_000)) / whole;
    let (units, rest) = (hundredths / U256::from(100), hundredths % U256::from(100));
    format!("{units}.{rest:0>2} %", rest = rest.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_hundredths_of_percents() {
        assert_eq!(percent(U256::from(1), U256::from(3)), "33.33 %");
        assert_eq!(percent(U256::from(1), U256::from(1_000)), "0.10 %");
        assert_eq!(percent(U256::from(7), U256::from(7)), "100.00 %");
        assert_eq!(percent(U256::ZERO, U256::ZERO), "-");
    }
}
