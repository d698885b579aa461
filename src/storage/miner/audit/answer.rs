//! The two answers every round asks for: openings of drawn chunks, and drawn leaves of idle space.
//!
//! Owns the reading of what they are made of. Invariant: what is missing or damaged is named, and its repair begins at once.

use super::{AuditError, Inner, Open};
use crate::{
    codec,
    ledger::audit::SPOT_CONTEXT,
    proofs::{
        AuditRound, Fragment,
        pois::{AuditChallenge, PoisError, Transcript},
        spot::{self, Holdings},
    },
    storage::{
        fragments::{FragmentError, Fragments, HeldBefore},
        miner::idle::{IdleError, live_segments},
    },
    types::FragmentId,
};
use bytes::Bytes;
use futures::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::spawn_blocking;

/// The fragments as proofs see them. One whose length no fragment has cannot be asked for.
pub(super) fn fragments_of(held: &Fragments) -> Vec<Fragment> {
    held.iter().filter_map(|(id, len)| Fragment::new(*id, u64::from(*len)).ok()).collect()
}

impl Inner {
    /// The round of a miner's audit, in `context`.
    pub(super) fn audit_round(&self, open: &Open, context: [u8; 32]) -> AuditRound {
        AuditRound { beacon: open.beacon.0, chain: self.chain_id, miner: self.account, round: open.round, context }
    }

    /// Openings of the chunks a round asks for; empty if nothing was held.
    pub(super) async fn spot_answer(&self, open: &Open, held: &HeldBefore) -> Result<Vec<u8>, AuditError> {
        let spots = spot::ask(&self.audit_round(open, SPOT_CONTEXT), &Holdings::new(fragments_of(&held.all)));
        let ids: BTreeSet<FragmentId> = spots.iter().map(|spot| spot.fragment.id).collect();
        let read = join_all(ids.into_iter().map(|id| async move { (id, self.store.get(id).await) })).await;
        let (mut here, mut missing): (BTreeMap<FragmentId, Bytes>, Vec<FragmentId>) = Default::default();
        for (id, bytes) in read {
            match bytes {
                Ok(bytes) => _ = here.insert(id, bytes),
                Err(FragmentError::Closed) => return Err(FragmentError::Closed.into()),
                Err(error) => {
                    tracing::error!(round = open.round, %error, "a fragment that is asked for cannot be shown");
                    if error.is_damage() {
                        self.drop_damaged(id).await?;
                    }
                    missing.push(id);
                }
            }
        }
        if let [first, more @ ..] = &missing[..] {
            self.heal.notify_one();
            return Err(AuditError::Missing { first: *first, more: more.len() });
        }
        let opened = self.node.pool.run(move || {
            let answer = spot::answer(&spots, |fragment| here.get(&fragment.id))?;
            // So that what is committed to is known to be right, whatever committees say.
            spot::verify(&spots, &answer).map(|()| answer)
        });
        opened.await.map_err(|error| AuditError::Proof(error.to_string()))
    }

    /// The leaves of idle space a round asks for; empty if none is live.
    pub(super) async fn idle_answer(&self, open: &Open) -> Result<Vec<u8>, AuditError> {
        let Some(idle) = &self.idle else { return Ok(Vec::new()) };
        let standing = self.standing(open.round).await?;
        if standing.segments == 0 {
            return Ok(Vec::new());
        }
        let segments = self.certified_segments(idle, standing.segments).await?;
        let live = live_segments(&segments, standing.consumed);
        let transcript =
            Transcript { beacon: open.beacon.0, chain: self.chain_id, miner: self.account, round: open.round };
        let challenge = match AuditChallenge::draw(idle.shape, &transcript, &live) {
            Ok(challenge) => challenge,
            Err(PoisError::NothingLive { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(IdleError::from(error).into()),
        };
        let files = idle.files.clone();
        let proof = spawn_blocking(move || {
            let proof = challenge.prove(|number, leaves| {
                files.open_last(number, leaves).inspect_err(|error| {
                    tracing::error!(segment = number, %error, "idle segment is lost or damaged, it is made anew");
                    if !matches!(error, IdleError::Stopped) {
                        // If it cannot be removed either, the disk is at fault, which its reader was told.
                        let _ = files.remove(number);
                    }
                })
            })?;
            challenge.verify(&proof)?;
            Ok::<_, IdleError>(proof)
        });
        let proof = proof.await.map_err(|_| AuditError::from(FragmentError::Closed))?;
        if proof.is_err() {
            idle.wake();
        }
        Ok(codec::encode(&proof?))
    }
}
