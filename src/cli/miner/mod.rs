//! `miner`: how miners are, what a miner should do next, and calls in a miner's name.
//!
//! Owns the subcommands. Invariant: who is only looked at needs no key.

mod advice;
mod calls;
mod report;

use super::{
    Global,
    appeal::{Claim, appeal},
    desk::{self, Desk},
    explain::{Subject, describe_power, describe_rewards, describe_slash, power_of, rewards_of, slash_of},
    output::{Output, short, table},
    target::Target,
};
use crate::{
    client::{ChainClient, MinerDetail, miner_details},
    types::{Address, Amount, ByteCount, Role, format_tokens},
};
use clap::{Args, Subcommand};
use report::{StatusDocument, describe_status, status_of};
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `cess miner`.
#[derive(Debug, Args)]
pub struct MinerArgs {
    /// Directory of the node whose account it is, or its name on the localnet [default: ~/.cess/storage]
    #[arg(long, global = true, value_name = "DIR")]
    node: Option<PathBuf>,
    #[command(subcommand)]
    command: MinerCommand,
}

#[derive(Debug, Subcommand)]
enum MinerCommand {
    /// Show how a miner is and what to do next
    Status {
        /// Its account or name [default: this node's]
        #[arg(value_name = "MINER")]
        miner: Option<String>,
    },
    /// Show the same with the formulas of its power, its rewards and its fines
    Explain {
        /// Its account or name [default: this node's]
        #[arg(value_name = "MINER")]
        miner: Option<String>,
    },
    /// List all miners
    List,
    /// Begin to leave: what is held is repaired elsewhere, and must be kept until then
    Exit,
    /// Take the collateral back, once nothing is held any more and the lock is over
    Withdraw,
    /// Have what is due paid to the miner's operator; anybody may ask for it
    Claim {
        /// Its account or name [default: this node's]
        #[arg(value_name = "MINER")]
        miner: Option<String>,
    },
    /// Say that the verdict about a round of this miner's is wrong; the deposit comes back if the validators agree
    Appeal {
        /// Number of the round
        round: u64,
        /// What it should have been, such as data=passed,idle=missed [default: all that it has against the miner passed]
        #[arg(long, value_name = "PARTS")]
        claim: Option<Claim>,
    },
    /// Add to the collateral
    AddCollateral {
        /// Tokens, such as 4000
        amount: Amount,
    },
}

/// Runs a subcommand.
pub async fn miner(args: MinerArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let words = WORDS;
    let desk = Desk { target: &target, global, node: args.node, role: Role::Storage, words };
    let chain = target.chain.as_ref();
    match args.command {
        MinerCommand::List => list(chain, output).await,
        MinerCommand::Status { miner } => {
            let account = desk.account(miner.as_deref(), miners(chain)).await?;
            output.document(&status_of(chain, account).await?, describe_status)
        }
        MinerCommand::Explain { miner } => {
            let account = desk.account(miner.as_deref(), miners(chain)).await?;
            explain(chain, account, output).await
        }
        MinerCommand::Exit => calls::exit(&desk.wallet().await?, output).await,
        MinerCommand::Withdraw => calls::withdraw(&desk.wallet().await?, output).await,
        MinerCommand::Claim { miner } => {
            let account = desk.account(miner.as_deref(), miners(chain)).await?;
            calls::claim(&desk.wallet().await?, account, output).await
        }
        MinerCommand::Appeal { round, claim } => {
            let wallet = desk.wallet().await?;
            appeal(&wallet, wallet.address(), round, claim, output).await
        }
        MinerCommand::AddCollateral { amount } => calls::add_collateral(&desk.wallet().await?, amount, output).await,
    }
}

/// What a miner is called, and the command that lists all of them.
const WORDS: (&str, &str) = ("miner", "cess miner list");

/// Accounts and names of all miners.
async fn miners(chain: &dyn ChainClient) -> anyhow::Result<Vec<(Address, String)>> {
    Ok(miner_details(chain).await?.into_iter().map(|miner| (miner.account, miner.name)).collect())
}

/// The account that is given, or of the miner that is called so.
pub async fn account_of(chain: &dyn ChainClient, who: &str) -> anyhow::Result<Address> {
    desk::account_of(who, miners(chain), WORDS).await
}

async fn list(chain: &dyn ChainClient, output: &Output) -> anyhow::Result<()> {
    let miners = miner_details(chain).await?;
    output.document(&miners, |miners| describe_list(miners))
}

fn describe_list(miners: &[MinerDetail]) -> String {
    if miners.is_empty() {
        return "no miners are registered (`cess run --role storage --space 200GiB` starts one)".to_owned();
    }
    let row = |miner: &MinerDetail| {
        vec![
            miner.name.clone(),
            short(&miner.account.to_string()),
            miner.state.name().to_owned(),
            ByteCount(miner.capacity).to_string(),
            ByteCount(miner.used).to_string(),
            miner.held.to_string(),
            format_tokens(miner.collateral),
            if miner.strikes == 0 { String::new() } else { miner.strikes.to_string() },
            format!("block {}", miner.since),
        ]
    };
    let header = ["miner", "account", "state", "lends", "used", "columns", "collateral", "strikes", "since"];
    table(&header, &miners.iter().map(row).collect::<Vec<_>>())
}

/// Everything there is to say about a miner.
#[derive(Serialize)]
struct ExplainDocument {
    status: StatusDocument,
    power: super::explain::PowerDocument,
    rewards: super::explain::RewardsDocument,
    slash: super::explain::SlashDocument,
}

async fn explain(chain: &dyn ChainClient, account: Address, output: &Output) -> anyhow::Result<()> {
    let subject = Subject::find(chain, account).await?;
    let document = ExplainDocument {
        status: status_of(chain, account).await?,
        power: power_of(chain, &subject, None).await?,
        rewards: rewards_of(chain, &subject, None).await?,
        slash: slash_of(chain, &subject, None).await?,
    };
    output.document(&document, |document| {
        let parts = [
            describe_status(&document.status),
            report::formulas(&document.status),
            describe_power(&document.power),
            describe_rewards(&document.rewards),
            describe_slash(&document.slash),
        ];
        parts.map(|part| part.trim_end().to_owned()).join("\n\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::MinerState, types::U256};

    fn attic(account: u8) -> MinerDetail {
        MinerDetail {
            account: Address::repeat_byte(account),
            operator: Address::repeat_byte(account),
            name: "attic".into(),
            state: MinerState::Active,
            capacity: 200 << 30,
            used: 12 << 30,
            held: 9,
            since: 12,
            left_at: None,
            collateral: Amount::tokens(1).0,
            strikes: 2,
            segments: 0,
            consumed: 0,
            idle_bytes: 0,
            weight: 0,
        }
    }

    #[test]
    fn miners_are_listed() {
        assert_eq!(
            describe_list(&[attic(1), MinerDetail { strikes: 0, collateral: U256::ZERO, ..attic(2) }]),
            "miner  account      state   lends    used    columns  collateral  strikes  since\n\
             attic  010101…0101  active  200 GiB  12 GiB  9        1           2        block 12\n\
             attic  020202…0202  active  200 GiB  12 GiB  9        0                    block 12\n"
        );
        assert!(describe_list(&[]).contains("cess run --role storage"));
    }

    #[test]
    fn commands_are_parsed() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: MinerArgs,
        }
        let parse = |words: &[&str]| <Line as clap::Parser>::try_parse_from([&["miner"], words].concat());
        let line = parse(&["add-collateral", "1.5", "--node", "dir"]).ok().unwrap();
        assert_eq!(line.args.node, Some(PathBuf::from("dir")));
        assert!(
            matches!(line.args.command, MinerCommand::AddCollateral { amount } if amount.0 == Amount::tokens(3).0 / U256::from(2))
        );
        let line = parse(&["appeal", "40", "--claim", "data=passed", "--node", "dir"]).ok().unwrap();
        assert!(matches!(line.args.command, MinerCommand::Appeal { round: 40, claim: Some(_) }));
        assert!(matches!(parse(&["status"]).ok().unwrap().args.command, MinerCommand::Status { miner: None }));
        for bad in [
            &["add-collateral"][..],
            &["add-collateral", "x"],
            &["status", "a", "b"],
            &["appeal"],
            &["appeal", "1", "--claim", "x"],
            &[],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
