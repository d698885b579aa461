//! `miner`: how miners are, what a miner should do next, and calls in a miner's name.
//!
//! Owns which miner and which key a command is about. Invariant: who is only looked at needs no key.

mod advice;
mod calls;
mod report;

use super::{
    Global, Usage,
    explain::{Subject, describe_power, describe_rewards, describe_slash, power_of, rewards_of, slash_of},
    home_dir,
    output::{Output, short, table},
    target::Target,
};
use crate::{
    client::{ChainClient, MinerDetail, Signer, Wallet, miner_details},
    roles,
    types::{Address, Amount, ByteCount, format_tokens},
};
use anyhow::{Context, bail};
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
    /// Add to the collateral
    AddCollateral {
        /// Tokens, such as 4000
        amount: Amount,
    },
}

/// Runs a subcommand.
pub async fn miner(args: MinerArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let desk = Desk { target: &target, global, node: args.node };
    match args.command {
        MinerCommand::List => list(target.chain.as_ref(), output).await,
        MinerCommand::Status { miner } => {
            let account = desk.account(miner.as_deref()).await?;
            output.document(&status_of(target.chain.as_ref(), account).await?, describe_status)
        }
        MinerCommand::Explain { miner } => {
            let account = desk.account(miner.as_deref()).await?;
            explain(target.chain.as_ref(), account, output).await
        }
        MinerCommand::Exit => calls::exit(&desk.wallet().await?, output).await,
        MinerCommand::Withdraw => calls::withdraw(&desk.wallet().await?, output).await,
        MinerCommand::Claim { miner } => {
            let account = desk.account(miner.as_deref()).await?;
            calls::claim(&desk.wallet().await?, account, output).await
        }
        MinerCommand::AddCollateral { amount } => calls::add_collateral(&desk.wallet().await?, amount, output).await,
    }
}

/// Which miner and which key.
struct Desk<'a> {
    target: &'a Target,
    global: &'a Global,
    node: Option<PathBuf>,
}

impl Desk<'_> {
    /// The directory of the node: the one given, that of the localnet's node of this name, or the default.
    fn dir(&self) -> PathBuf {
        let Some(node) = &self.node else { return home_dir().join("storage") };
        let named = node.to_str().filter(|_| !node.exists()).and_then(|name| self.target.node_dir(name));
        named.unwrap_or_else(|| node.clone())
    }

    fn signer(&self) -> anyhow::Result<Signer> {
        if let Some(key) = &self.global.key {
            return Ok(Signer::parse(key).map_err(|e| Usage(e.to_string()))?);
        }
        let dir = self.dir();
        let keys = roles::read_keys(&dir).with_context(|| {
            format!("no miner is named, and `{}` holds no node (give its account or name, or --node)", dir.display())
        })?;
        Ok(Signer::Native(keys.account))
    }

    async fn wallet(&self) -> anyhow::Result<Wallet> {
        let chain_id = self.target.chain.status().await?.chain_id;
        Ok(Wallet::new(self.target.chain.clone(), self.signer()?, chain_id))
    }

    /// The account meant: the one given, the miner of the name given, or this node's.
    async fn account(&self, who: Option<&str>) -> anyhow::Result<Address> {
        match who {
            None => Ok(self.signer()?.address()),
            Some(who) => match who.parse() {
                Ok(account) => Ok(account),
                Err(_) => named(who, &miner_details(self.target.chain.as_ref()).await?),
            },
        }
    }
}

fn named(name: &str, miners: &[MinerDetail]) -> anyhow::Result<Address> {
    let found: Vec<Address> = miners.iter().filter(|miner| miner.name == name).map(|miner| miner.account).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => bail!("no miner is called `{name}` (`cess miner list` shows all)"),
        [one, more @ ..] => bail!("{} miners are called `{name}`, {one} is one: give the account", more.len() + 1),
    }
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
        }
    }

    #[test]
    fn miners_are_found_by_name_if_there_is_one() {
        let miners = [attic(1), MinerDetail { name: "shed".into(), ..attic(2) }, attic(3)];
        assert_eq!(named("shed", &miners).unwrap(), Address::repeat_byte(2));
        let words = named("attic", &miners).unwrap_err().to_string();
        assert!(words.starts_with("2 miners are called `attic`"), "{words}");
        assert!(named("cellar", &miners).unwrap_err().to_string().contains("cess miner list"));
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
        assert!(matches!(parse(&["status"]).ok().unwrap().args.command, MinerCommand::Status { miner: None }));
        for bad in [&["add-collateral"][..], &["add-collateral", "x"], &["status", "a", "b"], &[]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
