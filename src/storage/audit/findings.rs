//! What one verifier finds of a miner's round: pure checks of bytes against what the chain says.
//!
//! Must not know where bytes come from. Invariants: what is due follows from the chain alone; a finding is certain only if everybody who
//! has the same bytes must come to it.

use super::{index::group_key, records::EpochEntry};
use crate::{
    codec,
    crypto::hash::content,
    ledger::audit::{Outcome, Verdict},
    proofs::{
        AuditRound, Fragment,
        podr2::{Challenge, Claim, GroupKey, PROOF_BYTES, Proof, verify_all},
        pois::{AuditChallenge, AuditProof},
        spot::{self, Spot},
    },
    types::Address,
};

/// How a part ended, and whether nobody can argue with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Finding {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it follows from the chain, or from bytes that the miner committed to.
    pub certain: bool,
}

/// The findings about all parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Findings {
    /// Openings of chunks.
    pub spot: Finding,
    /// Proofs over tags.
    pub tags: Finding,
    /// Idle space.
    pub idle: Finding,
}

impl Finding {
    /// Nothing was due.
    pub const NOT_DUE: Self = Self { outcome: Outcome::NotDue, certain: true };

    pub(super) fn certain(outcome: Outcome) -> Self {
        Self { outcome, certain: true }
    }

    pub(super) fn guess(outcome: Outcome) -> Self {
        Self { outcome, certain: false }
    }
}

impl Findings {
    /// As a vote says it.
    pub fn verdict(&self) -> Verdict {
        Verdict { spot: self.spot.outcome, tags: self.tags.outcome, idle: self.idle.outcome }
    }

    /// Bit 0: spot, 1: tags, 2: idle.
    pub fn certain(&self) -> u8 {
        u8::from(self.spot.certain) | u8::from(self.tags.certain) << 1 | u8::from(self.idle.certain) << 2
    }
}

/// What is to be fetched for a part that is due, or what is found without.
pub enum Due {
    /// Nothing needs to be fetched.
    Found(Finding),
    /// Bytes with this digest.
    Bytes([u8; 32]),
}

/// Whether bytes are needed for a part, given what the miner committed to, if it did.
pub fn due(is_due: bool, committed: Option<[u8; 32]>) -> Due {
    match committed {
        _ if !is_due => Due::Found(Finding::NOT_DUE),
        None => Due::Found(Finding::certain(Outcome::Missed)),
        // It said that nothing was due.
        Some(digest) if digest == [0; 32] => Due::Found(Finding::certain(Outcome::Missed)),
        Some(digest) => Due::Bytes(digest),
    }
}

/// Judges spot openings that were fetched.
pub fn spot(spots: &[Spot], digest: &[u8; 32], bytes: &[u8]) -> Finding {
    judge(digest, bytes, |bytes| spot::verify(spots, bytes).is_ok())
}

/// Judges a proof of idle space that was fetched.
pub fn idle(challenge: &AuditChallenge, digest: &[u8; 32], bytes: &[u8]) -> Finding {
    judge(digest, bytes, |bytes| codec::decode::<AuditProof>(bytes).is_ok_and(|proof| challenge.verify(&proof).is_ok()))
}

fn judge(digest: &[u8; 32], bytes: &[u8], verifies: impl FnOnce(&[u8]) -> bool) -> Finding {
    if content(bytes) != *digest {
        // Who says that an answer failed must have the bytes behind its digest: a miner could show the right ones to the seats.
        return Finding::guess(Outcome::Missed);
    }
    Finding::certain(if verifies(bytes) { Outcome::Passed } else { Outcome::Failed })
}

/// A miner's proof under one key epoch that awaits its verdict.
pub struct TagClaim {
    /// Whose.
    pub miner: Address,
    /// Under which key.
    pub epoch: u64,
    /// What it is about.
    pub fragments: Vec<Fragment>,
    challenge: Challenge,
    proof: Proof,
}

/// The claim of a miner, or what is found without one.
pub fn tag_claim(
    round: &AuditRound,
    epoch: u64,
    key: &GroupKey,
    fragments: Vec<Fragment>,
    proven: Option<&[(u64, Vec<u8>)]>,
) -> Result<TagClaim, Outcome> {
    let proof = proven.and_then(|proofs| proofs.iter().find(|(of, _)| *of == epoch)).ok_or(Outcome::Missed)?;
    let bytes: &[u8; PROOF_BYTES] = proof.1.as_slice().try_into().map_err(|_| Outcome::Failed)?;
    let proof = Proof::decode(bytes).map_err(|_| Outcome::Failed)?;
    let challenge = Challenge::of(&AuditRound { context: key.digest(), ..*round });
    Ok(TagClaim { miner: round.miner, epoch, fragments, challenge, proof })
}

/// The verdicts on claims of one key epoch, in their order: three pairings if all hold.
pub fn judge_claims(key: &GroupKey, claims: &[TagClaim]) -> Vec<Outcome> {
    let posed = claims.iter();
    let posed: Vec<Claim<'_>> =
        posed.map(|TagClaim { challenge, fragments, proof, .. }| Claim { challenge, fragments, proof }).collect();
    let verdicts = verify_all(key, &posed);
    verdicts.into_iter().map(|verdict| if verdict.is_ok() { Outcome::Passed } else { Outcome::Failed }).collect()
}

/// Of two epochs' outcomes the one that counts: a failure before an absence, an absence before a pass.
pub fn worse(one: Outcome, other: Outcome) -> Outcome {
    let rank = |outcome| match outcome {
        Outcome::Failed => 3,
        Outcome::Missed => 2,
        Outcome::Passed => 1,
        Outcome::NotDue => 0,
    };
    if rank(one) >= rank(other) { one } else { other }
}

/// The public key of an epoch.
pub fn key_of(entry: Option<EpochEntry>) -> Option<GroupKey> {
    entry.as_ref().and_then(group_key)
}
