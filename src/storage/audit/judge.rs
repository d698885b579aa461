//! Coming to a verdict: what was due, the bytes, their check.
//!
//! Owns how a miner's round is judged. Must not know who asked for a verdict or what it leads to. Invariants: proofs are verified on the
//! compute threads; fragments of at most [`CLAIMS_MAX_FRAGMENTS`] are in memory for them.

use super::{
    Holdings,
    findings::{self, Due, Finding, Findings, TagClaim},
    index::{Audited, IndexError},
    sources::Sources,
    views,
};
use crate::{
    client::{ChainClient, ChainError},
    ledger::audit::{Outcome, SPOT_CONTEXT},
    proofs::{
        AuditRound,
        pois::{AuditChallenge, PoisError, Shape, Transcript},
        spot::{self, Spot},
    },
    runtime::Node,
    storage::wire::AuditPart,
    types::{Address, B256, ChainId},
};
use bytes::Bytes;
use std::{collections::BTreeMap, sync::Arc};

/// Fragments of proofs that are verified at once: 160 MB of them.
const CLAIMS_MAX_FRAGMENTS: usize = 4 << 20;

/// Why nothing was found yet.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The chain did not say.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The index did not.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The segments the chain lists are impossible.
    #[error(transparent)]
    Idle(#[from] PoisError),
}

/// A round as all its audits see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Its number.
    pub number: u64,
    /// Beacon of the block that opened it.
    pub beacon: B256,
}

/// What was found of a miner's answers so far; none where bytes are due that could not be had.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Openings of chunks.
    pub spot: Option<Finding>,
    /// Idle space.
    pub idle: Option<Finding>,
}

impl Look {
    /// Whether nothing is left to be fetched.
    pub fn is_complete(&self) -> bool {
        self.spot.is_some() && self.idle.is_some()
    }

    /// With the verdict about tags; what could not be had counts as missed.
    pub fn with_tags(&self, tags: Finding) -> Findings {
        let missed = Finding::guess(Outcome::Missed);
        Findings { spot: self.spot.unwrap_or(missed), tags, idle: self.idle.unwrap_or(missed) }
    }
}

/// Whom answers are asked of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The miner alone.
    Miner,
    /// Members of its committee, too.
    Everybody,
}

/// Judges rounds. Cheap to clone.
#[derive(Clone)]
pub struct Judge {
    pub(super) node: Node,
    pub(super) chain: Arc<dyn ChainClient>,
    pub(super) chain_id: ChainId,
    pub(super) holdings: Holdings,
    pub(super) sources: Sources,
}

impl Judge {
    /// A judge over the index and the answers it can get.
    pub fn new(node: &Node, chain_id: ChainId, sources: Sources) -> Self {
        let (chain, holdings) = (sources.chain.clone(), sources.holdings.clone());
        Self { node: node.clone(), chain, chain_id, holdings, sources }
    }

    /// A round that has opened.
    pub async fn round(&self, number: u64) -> Result<Round, ChainError> {
        let opened = self.holdings.index().rounds().opened_at(number);
        Ok(Round { number, beacon: views::beacon(self.chain.as_ref(), opened).await? })
    }

    /// Looks at a miner's answers, as far as they were not settled before.
    pub async fn look(&self, round: Round, miner: Address, known: Look, asked: Asked) -> Result<Look, JudgeError> {
        let number = round.number;
        let (audited, entry) =
            self.holdings.read(move |index| Ok((index.audited(&miner, number)?, index.round(number, &miner)?))).await?;
        let (spot_digest, idle_digest) = entry.answered.unzip();
        let spot = match known.spot {
            Some(known) => Some(known),
            None => self.look_at_spots(round, miner, &audited, spot_digest, asked).await,
        };
        let idle = match known.idle {
            Some(known) => Some(known),
            None => self.look_at_idle(round, miner, idle_digest, asked).await?,
        };
        Ok(Look { spot, idle })
    }

    async fn look_at_spots(
        &self,
        round: Round,
        miner: Address,
        audited: &Audited,
        committed: Option<[u8; 32]>,
        asked: Asked,
    ) -> Option<Finding> {
        let digest = match findings::due(!audited.fragments.is_empty(), committed) {
            Due::Found(finding) => return Some(finding),
            Due::Bytes(digest) => digest,
        };
        let spots = self.spots(round, miner, audited);
        let bytes = self.fetch(round, miner, AuditPart::Spot, &digest, asked).await?;
        Some(self.node.pool.run(move || findings::spot(&spots, &digest, &bytes)).await)
    }

    async fn look_at_idle(
        &self,
        round: Round,
        miner: Address,
        committed: Option<[u8; 32]>,
        asked: Asked,
    ) -> Result<Option<Finding>, JudgeError> {
        let segments = views::live_segments(self.chain.as_ref(), miner, round.number).await?;
        let transcript = Transcript { beacon: round.beacon.0, chain: self.chain_id, miner, round: round.number };
        let shape = Shape::of(self.holdings.index().params());
        let challenge = match AuditChallenge::draw(shape, &transcript, &segments) {
            Ok(challenge) => challenge,
            Err(PoisError::NothingLive { .. }) => return Ok(Some(Finding::NOT_DUE)),
            Err(error) => return Err(error.into()),
        };
        let digest = match findings::due(true, committed) {
            Due::Found(finding) => return Ok(Some(finding)),
            Due::Bytes(digest) => digest,
        };
        let Some(bytes) = self.fetch(round, miner, AuditPart::Idle, &digest, asked).await else { return Ok(None) };
        Ok(Some(self.node.pool.run(move || findings::idle(&challenge, &digest, &bytes)).await))
    }

    async fn fetch(
        &self,
        round: Round,
        miner: Address,
        part: AuditPart,
        digest: &[u8; 32],
        asked: Asked,
    ) -> Option<Bytes> {
        // Other bytes than those it committed to are no answer.
        let answer = self.sources.answer(round.number, miner, part, digest).await;
        match answer.filter(|bytes| crate::crypto::hash::content(bytes) == *digest) {
            None if asked == Asked::Everybody => self.sources.evidence(round.number, miner, part, digest).await,
            answer => answer,
        }
    }

    fn spots(&self, round: Round, miner: Address, audited: &Audited) -> Vec<Spot> {
        let holdings = spot::Holdings::new(audited.fragments.clone());
        spot::ask(&self.audit(round, miner), &holdings)
    }

    fn audit(&self, round: Round, miner: Address) -> AuditRound {
        let (beacon, chain, number) = (round.beacon.0, self.chain_id, round.number);
        AuditRound { beacon, chain, miner, round: number, context: SPOT_CONTEXT }
    }

    /// The verdicts about the tags of many miners, once proofs are not taken any more: three pairings for each key epoch if all hold.
    pub async fn tags(&self, round: Round, miners: &[Address]) -> Result<BTreeMap<Address, Finding>, JudgeError> {
        let mut found: BTreeMap<Address, Outcome> = BTreeMap::new();
        let (mut claims, mut fragments): (BTreeMap<u64, Vec<TagClaim>>, usize) = Default::default();
        for &miner in miners {
            let audit = self.audit(round, miner);
            let claimed = self.holdings.read(move |index| claims_of(index, &audit)).await?;
            found.insert(miner, Outcome::NotDue);
            for claim in claimed {
                match claim {
                    Ok(claim) => {
                        fragments += claim.fragments.len();
                        claims.entry(claim.epoch).or_default().push(claim);
                    }
                    Err(outcome) => note(&mut found, miner, outcome),
                }
            }
            if fragments >= CLAIMS_MAX_FRAGMENTS {
                fragments = 0;
                self.settle_claims(std::mem::take(&mut claims), &mut found).await?;
            }
        }
        self.settle_claims(claims, &mut found).await?;
        Ok(found.into_iter().map(|(miner, outcome)| (miner, Finding::certain(outcome))).collect())
    }

    async fn settle_claims(
        &self,
        claims: BTreeMap<u64, Vec<TagClaim>>,
        found: &mut BTreeMap<Address, Outcome>,
    ) -> Result<(), JudgeError> {
        for (epoch, claims) in claims {
            let entry = self.holdings.read(move |index| index.epoch(epoch)).await?;
            let Some(key) = findings::key_of(entry) else { continue };
            let miners: Vec<Address> = claims.iter().map(|claim| claim.miner).collect();
            let outcomes = self.node.pool.run(move || findings::judge_claims(&key, &claims)).await;
            miners.into_iter().zip(outcomes).for_each(|(miner, outcome)| note(found, miner, outcome));
        }
        Ok(())
    }
}

/// A miner's claim for each key epoch that is due, or what is found without one.
fn claims_of(index: &super::HoldingsIndex, audit: &AuditRound) -> Result<Vec<Result<TagClaim, Outcome>>, IndexError> {
    let entry = index.round(audit.round, &audit.miner)?;
    let due = index.audited(&audit.miner, audit.round)?.tagged;
    let mut claims = Vec::new();
    for (epoch, _) in entry.proven.iter().flatten().filter(|(epoch, _)| !due.contains_key(epoch)) {
        // Epochs are judged by what was proven with them: a proof of nothing must not speak for one.
        if !index.is_suspended(*epoch, audit.round)? {
            claims.push(Err(Outcome::Failed));
        }
    }
    for (epoch, fragments) in due {
        // An epoch without a key is none the chain opened: nothing can be due under it.
        let Some(key) = findings::key_of(index.epoch(epoch)?) else { continue };
        claims.push(findings::tag_claim(audit, epoch, &key, fragments, entry.proven.as_deref()));
    }
    Ok(claims)
}

fn note(found: &mut BTreeMap<Address, Outcome>, miner: Address, outcome: Outcome) {
    let known = found.entry(miner).or_default();
    *known = findings::worse(*known, outcome);
}
