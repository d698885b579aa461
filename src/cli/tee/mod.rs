//! `tee`: TEE workers, how one is and what it should do next, and calls in a worker's or a seat's name.
//!
//! Owns the subcommands. Must not know attestations. Invariant: who is only looked at needs no key.

mod calls;
mod list;
mod status;

use super::{Global, desk::Desk, output::Output, target::Target};
use crate::{
    client::{ChainClient, tee_workers},
    types::{Address, B256, Role},
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Arguments of `cess tee`.
#[derive(Debug, Args)]
pub struct TeeArgs {
    /// Directory of the node whose account it is, or its name on the localnet [default: ~/.cess/tee, of votes ~/.cess/consensus]
    #[arg(long, global = true, value_name = "DIR")]
    node: Option<PathBuf>,
    #[command(subcommand)]
    command: TeeCommand,
}

#[derive(Debug, Subcommand)]
enum TeeCommand {
    /// List TEE workers and the newest key epochs
    List,
    /// Show how a worker is, what it has done and what to do next
    Status {
        /// Its account or name [default: this node's]
        #[arg(value_name = "WORKER")]
        worker: Option<String>,
    },
    /// Leave the group at once: the worker counts no more, its bond comes back when the lock is over
    Leave,
    /// Take the bond back, once the worker has left and the lock is over
    Withdraw,
    /// Vote, as a seat of this era, that enclaves with a measurement are trusted
    Allow {
        /// SGX mrenclave, the rule of a signer, or the digest of a TDX machine's measurements, 0x-hex
        measurement: B256,
        /// Least security version, for the rule of a signer
        #[arg(long, default_value_t = 0, value_name = "N")]
        svn: u16,
    },
    /// Vote, as a seat of this era, that enclaves with a measurement are trusted no more
    Revoke {
        /// As in `allow`
        measurement: B256,
    },
    /// Publish DCAP collateral that attestations are checked with; anybody may
    PublishCollateral {
        /// Its JSON
        file: PathBuf,
    },
}

/// Runs a subcommand.
pub async fn tee(args: TeeArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let chain = target.chain.as_ref();
    let desk = |role, words| Desk { target: &target, global, node: args.node.clone(), role, words };
    let worker = || desk(Role::Tee, ("TEE worker", "cess tee list"));
    let seat = || desk(Role::Consensus, ("validator", "cess validators"));
    match args.command {
        TeeCommand::List => list::list(&target, output).await,
        TeeCommand::Status { worker: who } => {
            let account = worker().account(who.as_deref(), workers(chain)).await?;
            status::status(&target, account, output).await
        }
        TeeCommand::Leave => calls::leave(&worker().wallet().await?, output).await,
        TeeCommand::Withdraw => calls::withdraw(&worker().wallet().await?, output).await,
        TeeCommand::Allow { measurement, svn } => calls::allow(&seat().wallet().await?, measurement, svn, output).await,
        TeeCommand::Revoke { measurement } => calls::revoke(&seat().wallet().await?, measurement, output).await,
        TeeCommand::PublishCollateral { file } => {
            let wallet = match args.node {
                Some(_) => worker().wallet().await?,
                None => target.wallet(global).await?,
            };
            calls::publish(&wallet, &file, output).await
        }
    }
}

/// Accounts and names of all workers.
async fn workers(chain: &dyn ChainClient) -> anyhow::Result<Vec<(Address, String)>> {
    Ok(tee_workers(chain).await?.into_iter().map(|worker| (worker.account, worker.name)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_parsed() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: TeeArgs,
        }
        let parse = |words: &[&str]| <Line as clap::Parser>::try_parse_from([&["tee"], words].concat());
        let of = |words: &[&str]| parse(words).unwrap().args;
        let digest = format!("0x{}", "ab".repeat(32));
        let args = of(&["allow", &digest, "--svn", "3", "--node", "validator-0"]);
        assert_eq!(args.node, Some(PathBuf::from("validator-0")));
        let expected = B256::repeat_byte(0xab);
        assert!(matches!(args.command, TeeCommand::Allow { measurement, svn: 3 } if measurement == expected));
        assert!(matches!(of(&["revoke", &digest]).command, TeeCommand::Revoke { .. }));
        assert!(matches!(of(&["status"]).command, TeeCommand::Status { worker: None }));
        assert!(
            matches!(of(&["status", "tee-0"]).command, TeeCommand::Status { worker: Some(name) } if name == "tee-0")
        );
        assert!(matches!(of(&["publish-collateral", "c.json"]).command, TeeCommand::PublishCollateral { .. }));
        for bad in [&["allow"][..], &["allow", "0x12"], &["revoke"], &["publish-collateral"], &["leave", "x"], &[]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
