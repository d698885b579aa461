//! Calls in the name of a worker or of a seat: leaving, withdrawing, votes about measurements, collateral.
//!
//! Owns what to do after each. Must not know how a call is sent.

use crate::{
    cli::{call::send, output::Output},
    client::{Wallet, audit_terms, tee_worker},
    ledger::{
        abi::{ITee, TEE},
        modules::COLLATERAL_MAX_BYTES,
    },
    types::{B256, U256},
};
use anyhow::{Context, bail};
use std::path::Path;

/// What makes a vote count.
const VOTED: &str = "it counts when more than two thirds of the era's seats have said the same; `cess events` shows it";

/// Leaves the group.
pub async fn leave(wallet: &Wallet, output: &Output) -> anyhow::Result<()> {
    let chain = wallet.chain().as_ref();
    let (terms, height) = (audit_terms(chain).await?, chain.status().await?.height);
    // The committees of the next round may be drawn already.
    let until = terms.vote_until(terms.round_at(height) + 1);
    let next = format!(
        "let the node run until block {until}: committees it was drawn into before wait for its votes; `cess tee status` says from which \
         block on `cess tee withdraw` pays the bond"
    );
    send(wallet, (TEE, U256::ZERO), &ITee::leaveCall {}, &next, output).await
}

/// Takes the bond back.
pub async fn withdraw(wallet: &Wallet, output: &Output) -> anyhow::Result<()> {
    let account = wallet.address();
    match tee_worker(wallet.chain().as_ref(), account).await? {
        None => bail!("{account} is no TEE worker (`cess tee list` shows all)"),
        Some(worker) if worker.bond_until.is_none() => {
            bail!("TEE worker {} ({account}) has not left: `cess tee leave` comes first", worker.name)
        }
        Some(_) => {}
    }
    send(wallet, (TEE, U256::ZERO), &ITee::withdrawCall {}, "nothing is left of the worker on the chain", output).await
}

/// Votes for a measurement.
pub async fn allow(wallet: &Wallet, measurement: B256, svn: u16, output: &Output) -> anyhow::Result<()> {
    send(wallet, (TEE, U256::ZERO), &ITee::allowCall { measurement, svn }, VOTED, output).await
}

/// Votes against a measurement.
pub async fn revoke(wallet: &Wallet, measurement: B256, output: &Output) -> anyhow::Result<()> {
    send(wallet, (TEE, U256::ZERO), &ITee::revokeCall { measurement }, VOTED, output).await
}

/// Publishes collateral.
pub async fn publish(wallet: &Wallet, file: &Path, output: &Output) -> anyhow::Result<()> {
    let collateral = collateral(file)?;
    let next = "attestations name it by its digest; a worker's setting `tee.collateral` does both by itself";
    send(wallet, (TEE, U256::ZERO), &ITee::publishCollateralCall { collateral: collateral.into() }, next, output).await
}

/// A file of collateral, before anything is paid for it.
fn collateral(file: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    if bytes.len() > COLLATERAL_MAX_BYTES {
        let (path, given) = (file.display(), bytes.len());
        bail!("`{path}` has {given} B, collateral has {COLLATERAL_MAX_BYTES} B at most");
    }
    serde_json::from_slice::<serde_json::Value>(&bytes)
        .with_context(|| format!("`{}` is not the JSON of DCAP collateral", file.display()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_collateral_cost_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            collateral(&path)
        };
        assert_eq!(file("good", b"{}").unwrap(), b"{}");
        let refused = |bytes: &[u8]| format!("{:#}", file("bad", bytes).unwrap_err());
        assert!(refused(b"quote").contains("not the JSON"));
        assert!(refused(&vec![b' '; COLLATERAL_MAX_BYTES + 1]).contains("at most"));
        assert!(format!("{:#}", collateral(&dir.path().join("none")).unwrap_err()).contains("cannot read"));
    }
}
