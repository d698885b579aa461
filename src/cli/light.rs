//! `light`: one header, verified by certificates alone.

use super::{Global, Usage, output::Output, target::Target};
use crate::{
    client::light::{LightClient, LightError},
    roles::read_genesis,
    runtime::CpuPool,
    types::{Address, B256, BlockId, Height},
};
use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;

/// Arguments of `cess light`.
#[derive(Debug, Args)]
pub struct LightArgs {
    /// Height of the header
    height: Height,
    /// Genesis file of the chain, the root of all trust [default: that of the localnet in the default directory]
    #[arg(long, value_name = "FILE")]
    genesis: Option<PathBuf>,
}

#[derive(Serialize)]
struct LightDocument {
    height: Height,
    block: BlockId,
    parent: BlockId,
    time_ms: u64,
    proposer: Address,
    proposed_in_round: u32,
    decided_in_round: u32,
    era: u64,
    committee: B256,
    members: usize,
    power: u64,
    signed_power: u64,
    signers: Vec<Address>,
    /// What came of executing the block; the next header certifies it.
    executed: Option<ExecutedRow>,
    /// Genesis hash: what all of this is derived from.
    trusted: B256,
    certificates_checked: u64,
}

#[derive(Serialize)]
struct ExecutedRow {
    hash: B256,
    state_root: B256,
    transactions_root: B256,
    receipts_root: B256,
    gas_used: u64,
}

/// Walks from genesis to the height and shows what its committee certified.
pub async fn light(args: LightArgs, global: &Global, output: &Output) -> anyhow::Result<()> {
    let target = Target::find(global)?;
    let path = args.genesis.or_else(|| target.genesis()).ok_or_else(|| {
        Usage("the genesis file of the chain is needed as the root of trust: give --genesis".to_owned())
    })?;
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let client = LightClient::new(target.rpc.clone(), &read_genesis(&path)?, CpuPool::new("light", threads))?;
    match document(&client, args.height).await {
        Err(LightError::Missing { .. }) => {
            let newest = target.chain.status().await?.height;
            let height = args.height;
            Err(anyhow!("height {height} is not certified yet: the chain node's newest block is {newest}"))
        }
        found => output.document(&found?, describe),
    }
}

async fn document(client: &LightClient, height: Height) -> Result<LightDocument, LightError> {
    let signed = client.signed(height).await?;
    let executed = match client.executed(height).await {
        Ok(header) => Some(ExecutedRow {
            hash: header.hash_slow(),
            state_root: header.state_root,
            transactions_root: header.transactions_root,
            receipts_root: header.receipts_root,
            gas_used: header.gas_used,
        }),
        // The next block is not decided yet.
        Err(LightError::Missing { .. }) => None,
        Err(error) => return Err(error),
    };
    let (header, certificate) = (signed.header, signed.certificate);
    let era = client.era(client.rules().calendar.era(height)).await?;
    let signers: Vec<Address> = certificate.signatures.iter().map(|(account, _)| *account).collect();
    let power = |account| era.committee.by_account(account).map_or(0, |member| member.power);
    Ok(LightDocument {
        height,
        block: header.id(),
        parent: header.parent,
        time_ms: header.time_ms,
        proposer: header.proposer,
        proposed_in_round: header.round,
        decided_in_round: certificate.round,
        era: era.era,
        committee: era.hash(),
        members: era.committee.members.len(),
        power: era.committee.total_power(),
        signed_power: signers.iter().map(power).sum(),
        signers,
        executed,
        trusted: client.genesis().1,
        certificates_checked: client.certificates(),
    })
}

fn describe(d: &LightDocument) -> String {
    let mut lines = vec![
        ("height", d.height.to_string()),
        ("block", d.block.to_string()),
        ("parent", d.parent.to_string()),
        ("time", format!("{} ms since 1970", d.time_ms)),
        ("proposer", format!("{} in round {}", d.proposer, d.proposed_in_round)),
        ("committee", format!("era {}, {} members, power {}", d.era, d.members, d.power)),
        ("certified", format!("by power {} of {} in round {}", d.signed_power, d.power, d.decided_in_round)),
    ];
    lines.extend(d.signers.iter().map(|signer| ("signed by", signer.to_string())));
    match &d.executed {
        Some(executed) => {
            lines.push(("executed", executed.hash.to_string()));
            lines.push(("state root", executed.state_root.to_string()));
        }
        None => lines.push(("executed", "known when the next block is certified".to_owned())),
    }
    lines.push(("trust", format!("{} certificates checked, from genesis {}", d.certificates_checked, d.trusted)));
    lines.iter().map(|(name, value)| format!("{name:<10}  {value}\n")).collect()
}
