//! `bench`: the figures a user may want to measure on his own machine, against a running network.

mod file;
mod finality;
mod machine;

use super::{Global, output::Output};
use clap::Subcommand;

/// Subcommands of `cess bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Time from handing in a transaction until it is final
    Finality(finality::FinalityArgs),
    /// Throughput of put and get, beside plain writes of the same bytes
    File(file::FileArgs),
}

/// Runs one bench.
pub async fn run(command: BenchCommand, global: &Global, output: &Output) -> anyhow::Result<()> {
    match command {
        BenchCommand::Finality(args) => finality::run(args, global, output).await,
        BenchCommand::File(args) => file::run(args, global, output).await,
    }
}
