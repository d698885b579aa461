//! `bench`: the figures a user may want to measure on his own machine, of the machine itself or against a running network.

mod anvil;
mod blocks;
mod catch_up;
mod dead_proposer;
mod erasure;
mod execute;
mod execute_load;
mod file;
mod finality;
mod idle;
mod idle_space;
mod load;
mod machine;
mod market;
mod net;
mod proofs;
mod quote;
mod recovery;
mod recovery_kill;
mod repair;
mod root;
mod s3;
mod sample;
mod signatures;
mod slicer;
mod soak;
mod token;
mod tps;
mod tps_feed;
mod workload;

use super::{Global, output::Output};
use clap::Subcommand;

/// Subcommands of `cess bench`.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Time from handing in a transaction until it is final
    Finality(finality::FinalityArgs),
    /// Throughput of put and get, beside plain writes of the same bytes
    File(file::FileArgs),
    /// Requests a second of an S3 server, ours or another one
    S3(s3::S3Args),
    /// Time a node needs to join a long chain, by blocks and by state, on a chain of its own
    CatchUp(catch_up::CatchUpArgs),
    /// Throughput of full blocks, on a localnet of its own
    Blocks(blocks::BlocksArgs),
    /// Transactions a second under more load than can be taken, on a localnet of its own
    Tps(tps::TpsArgs),
    /// What an idle localnet costs, on one of its own
    Idle(idle::IdleArgs),
    /// What a height costs whose first proposer is dead, on a localnet of its own
    DeadProposer(dead_proposer::DeadProposerArgs),
    /// Kill validators under load and check that nothing final is lost, on a localnet of its own
    Soak(soak::SoakArgs),
    /// Speed and memory of slicing, coding and hashing a long stream; needs no network
    Slicer(slicer::SlicerArgs),
    /// How long a miner's death goes unnoticed and how fast what it held is rebuilt, on a localnet of its own
    Repair(repair::RepairArgs),
    /// Speed of the erasure code on one core; needs no network
    Erasure(erasure::ErasureArgs),
    /// Speed of making, proving and auditing idle space on one core; needs no network
    IdleSpace(idle_space::IdleSpaceArgs),
    /// Time of the state root after a block on a large state, and its memory; needs no network
    Root(root::RootArgs),
    /// What a block of a large state writes, and how long a start takes after a kill; --kill does it to a real node
    Recovery(recovery::RecoveryArgs),
    /// Time of signature checks on one core, alone and in batches; needs no network
    Signatures(signatures::SignaturesArgs),
    /// Speed of tagging, proving and verifying that data is stored; needs no network
    Proofs(proofs::ProofsArgs),
    /// Time of verifying a quote of an enclave on one core; needs no network
    Quote(quote::QuoteArgs),
    /// Time of executing a block's transactions; needs no network
    Execute(execute::ExecuteArgs),
    /// Pay of a thousand miners over a hundred eras by the chain's own rules; needs no network
    Market(market::MarketArgs),
}

/// Runs one bench.
pub async fn run(command: BenchCommand, global: &Global, output: &Output) -> anyhow::Result<()> {
    match command {
        BenchCommand::Finality(args) => finality::run(args, global, output).await,
        BenchCommand::File(args) => file::run(args, global, output).await,
        BenchCommand::S3(args) => s3::run(args, output).await,
        BenchCommand::CatchUp(args) => catch_up::run(args, output).await,
        BenchCommand::Blocks(args) => blocks::run(args, output).await,
        BenchCommand::Tps(args) => tps::run(args, output).await,
        BenchCommand::Idle(args) => idle::run(args, output).await,
        BenchCommand::DeadProposer(args) => dead_proposer::run(args, output).await,
        BenchCommand::Soak(args) => soak::run(args, output).await,
        BenchCommand::Slicer(args) => slicer::run(args, output).await,
        BenchCommand::Repair(args) => repair::run(args, output).await,
        BenchCommand::Erasure(args) => erasure::run(&args, output),
        BenchCommand::IdleSpace(args) => idle_space::run(&args, output),
        BenchCommand::Root(args) => root::run(&args, output),
        BenchCommand::Recovery(args) => recovery::run(args, output).await,
        BenchCommand::Signatures(args) => signatures::run(&args, output),
        BenchCommand::Proofs(args) => proofs::run(&args, output),
        BenchCommand::Quote(args) => quote::run(&args, output),
        BenchCommand::Execute(args) => execute::run(&args, output),
        BenchCommand::Market(args) => market::run(&args, output),
    }
}
