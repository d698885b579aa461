//! Showing the chain the answer behind a wrong verdict: no deposit is risked, and half of what liars pay is whose call it was.
//!
//! Must not know who voted. Invariant: what the chain cannot judge is left to an appeal.

use super::{
    HoldingsIndex, IndexError,
    judge::JudgeError,
    records::{Hold, file_at, key, number_at, prefix},
    verifier::Verifier,
    views::ask,
};
use crate::{
    client::ChainError,
    codec,
    ledger::{
        abi::{AUDITS, IAudits},
        audit::{REFUTE_MAX_BYTES, Verdict},
    },
    types::{Address, FileId, U256},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolCall;
use std::{collections::BTreeMap, time::Duration};

/// How long a refutation may take to become final.
const FINAL_DEADLINE: Duration = Duration::from_secs(30);
/// Parts the chain can verify, as its interface and as this index number them.
const SPOT: (u8, u8) = (0, 0);
const IDLE: (u8, u8) = (2, 1);

impl Verifier {
    /// Shows the chain what it can verify of a round that was decided wrongly; the verdict that stands then.
    pub(super) async fn refute(
        &self,
        round: u64,
        miner: Address,
        decided: Verdict,
        better: Verdict,
    ) -> Result<Option<Verdict>, JudgeError> {
        let parts = [(IDLE, decided.idle != better.idle), (SPOT, decided.spot != better.spot)];
        for ((part, kept), _) in parts.into_iter().filter(|(_, is_wrong)| *is_wrong) {
            let evidence = self.holdings().read(move |index| index.evidence(round, &miner, part, kept)).await?;
            let Some(evidence) = evidence else { continue };
            let call = IAudits::refuteCall { miner, round, evidence }.abi_encode();
            match self.wallet.send_and_wait(AUDITS, U256::ZERO, call.into(), FINAL_DEADLINE).await {
                Ok(_) => tracing::warn!(round, %miner, part, "the chain was shown that a verdict is wrong"),
                Err(error @ (ChainError::Refused { .. } | ChainError::Reverted { .. })) => {
                    // Somebody else was first, or the chain cannot judge it.
                    tracing::debug!(round, %miner, part, %error, "a refutation was refused");
                }
                Err(error) => return Err(error.into()),
            }
        }
        let stands = ask(self.judge.chain.as_ref(), AUDITS, IAudits::verdictCall { round, miner }).await?;
        Ok(Verdict::decode(stands.value).filter(|_| stands.decided && !stands.appealed))
    }
}

impl HoldingsIndex {
    /// The answer to a round that is kept here and, for openings, the manifests of what the miner held and still does; none if they are
    /// not here or too long for a call.
    fn evidence(
        &self,
        round: u64,
        miner: &Address,
        part: u8,
        kept: u8,
    ) -> Result<Option<IAudits::Evidence>, IndexError> {
        let Some((spot, idle)) = self.round(round, miner)?.answered else { return Ok(None) };
        let Some(answer) = self.kept_bytes(round, miner, kept)? else { return Ok(None) };
        let (mut manifests, mut columns, mut bytes) = (Vec::new(), Vec::new(), 0usize);
        if part == SPOT.0 {
            for (file, column) in self.still_held(miner, round)? {
                let manifest = self.manifest_bytes(&file)?;
                bytes = bytes.saturating_add(manifest.len());
                if bytes > REFUTE_MAX_BYTES {
                    return Ok(None);
                }
                manifests.push(Bytes::from(manifest));
                columns.push(column);
            }
        }
        let (spot, idle) = (spot.into(), idle.into());
        Ok(Some(IAudits::Evidence { part, spot, idle, answer: answer.into(), manifests, columns }))
    }

    /// Files of which the miner has held a column since before the round, by id.
    fn still_held(&self, miner: &Address, round: u64) -> Result<BTreeMap<FileId, u8>, IndexError> {
        let (opened, mut held) = (self.rounds().opened_at(round), BTreeMap::new());
        self.each(&key(prefix::HOLD, &[miner.as_slice()]), |key, value| {
            let hold: Hold = codec::decode(value)?;
            if let (Some(file), Some(since)) = (file_at(key, 21), number_at(key, 53))
                && hold.until.is_none()
                && hold.counts(since, opened)
            {
                held.insert(file, hold.column);
            }
            Ok(())
        })?;
        Ok(held)
    }
}
