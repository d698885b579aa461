//! What the chain itself can verify of a miner's round: the bytes behind a digest that the miner committed to.
//!
//! Idle space follows from state alone. Openings are drawn over everything a miner holds, so that who shows them shows the manifests of all its files, too; they are
//! complete when their columns add up to the bytes that the round was about. Must not know votes or fines. Invariants: nothing is taken from
//! who shows it but bytes that hash to what is registered; work grows with the bytes of the call, which are paid for and bounded.

use super::{
    answers::{commitment, same_count},
    ballot::Base,
    seams, state,
};
use crate::{
    codec,
    crypto::hash,
    ledger::{
        abi::IAudits,
        audit::{Outcome, REFUTE_MAX_BYTES, Rounds, SPOT_CONTEXT},
        manifest::Manifest,
        modules::{
            files::MANIFEST_BYTE_GAS,
            host::{ModuleError, ModuleHost},
            staking,
        },
        repair::column,
    },
    proofs::{
        AuditRound, Fragment,
        pois::{AuditChallenge, AuditProof, Shape, Transcript},
        spot::{self, Holdings},
    },
    types::{Address, FileId, FragmentId, U256},
};
use alloy_primitives::Bytes;
use std::collections::BTreeMap;

/// Gas for each byte of an answer: it is hashed, decoded, and hashed again on its way to a root.
const ANSWER_BYTE_GAS: u64 = 2;

/// A part that the chain can verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Spot,
    Idle,
}

impl Part {
    /// Reads what contracts write.
    pub(super) fn read(code: u8) -> Result<Self, ModuleError> {
        match code {
            0 => Ok(Self::Spot),
            2 => Ok(Self::Idle),
            part => Err(ModuleError::revert(IAudits::PartInvalid { part })),
        }
    }
}

/// The round of a miner that evidence is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub(super) miner: Address,
    pub(super) round: u64,
    pub(super) base: Base,
}

/// How a part ended. Reverts if the bytes are not what the miner committed to, if nothing was due, or if the chain cannot tell.
pub(super) fn outcome(
    host: &mut dyn ModuleHost,
    subject: &Subject,
    part: Part,
    given: &IAudits::Evidence,
) -> Result<Outcome, ModuleError> {
    let Subject { miner, round, base } = *subject;
    let due = match part {
        Part::Spot => base.service,
        Part::Idle => base.idle,
    };
    if due == 0 {
        return Err(ModuleError::revert(IAudits::NotDue { miner, round }));
    }
    check_commitment(host, subject, part, given)?;
    let opened = Rounds::of(host.params()).opened_at(round);
    let beacon = staking::beacon(host, opened)?.0;
    let holds = match part {
        Part::Spot => {
            let fragments = fragments_held(host, subject, &given.manifests, &given.columns)?;
            let asked = AuditRound { beacon, chain: host.chain_id(), miner, round, context: SPOT_CONTEXT };
            spot::verify(&spot::ask(&asked, &Holdings::new(fragments)), &given.answer).is_ok()
        }
        Part::Idle => {
            let transcript = Transcript { beacon, chain: host.chain_id(), miner, round };
            idle_holds(host, subject, &transcript, &given.answer)?
        }
    };
    Ok(if holds { Outcome::Passed } else { Outcome::Failed })
}

fn check_commitment(
    host: &mut dyn ModuleHost,
    &Subject { miner, round, .. }: &Subject,
    part: Part,
    given: &IAudits::Evidence,
) -> Result<(), ModuleError> {
    host.charge(length(&given.answer).saturating_mul(ANSWER_BYTE_GAS))?;
    let digest = match part {
        Part::Spot => given.spot,
        Part::Idle => given.idle,
    };
    let kept = state::ballot(miner, round).answers.get(host)?;
    if kept != commitment(&given.spot, &given.idle) || digest.0 != hash::content(&given.answer) {
        return Err(ModuleError::revert(IAudits::AnswerUnknown { miner, round }));
    }
    Ok(())
}

/// Everything the miner held when the round opened, by id.
fn fragments_held(
    host: &mut dyn ModuleHost,
    &Subject { miner, round, base }: &Subject,
    manifests: &[Bytes],
    columns: &[u8],
) -> Result<Vec<Fragment>, ModuleError> {
    same_count(manifests.len(), columns.len())?;
    let given: usize = manifests.iter().map(|manifest| manifest.len()).sum();
    if given > REFUTE_MAX_BYTES {
        let (given, maximum) = (U256::from(given), U256::from(REFUTE_MAX_BYTES));
        return Err(ModuleError::revert(IAudits::EvidenceTooLong { given, maximum }));
    }
    let (mut shown, mut last) = (0u64, None);
    let mut fragments: BTreeMap<FragmentId, Fragment> = BTreeMap::new();
    for (index, (bytes, &place)) in manifests.iter().zip(columns).enumerate() {
        let refuse =
            |reason: String| ModuleError::revert(IAudits::EvidenceInvalid { index: U256::from(index), reason });
        host.charge(length(bytes).saturating_mul(MANIFEST_BYTE_GAS))?;
        let file = FileId(hash::content(bytes));
        if last.is_some_and(|last| last >= file) {
            return Err(refuse("manifests are given by ascending file id, each once".into()));
        }
        last = Some(file);
        let held = seams::column_held(host, miner, round, file, place)?;
        let held =
            held.ok_or_else(|| ModuleError::revert(IAudits::ColumnNotHeld { file: file.into(), column: place }))?;
        shown = shown.saturating_add(held);
        let manifest = Manifest::read(bytes).map_err(|error| refuse(error.to_string()))?;
        fragments.extend(column(&manifest, place).into_iter().map(|fragment| (fragment.id, fragment)));
    }
    // Each of these columns was there before the round opened and is still. As all of them add up to what the miner had, there was no other.
    if shown != base.service {
        return Err(ModuleError::revert(IAudits::HoldingsIncomplete { shown, held: base.service }));
    }
    Ok(fragments.into_values().collect())
}

fn idle_holds(
    host: &mut dyn ModuleHost,
    &Subject { miner, base, .. }: &Subject,
    transcript: &Transcript,
    answer: &[u8],
) -> Result<bool, ModuleError> {
    let shape = Shape::of(host.params());
    let read = |place| {
        let missing = || ModuleError::Fatal(format!("miner {miner} has no segment {place} of {}", base.segments));
        let (number, root) = seams::segment(host, miner, place)?.ok_or_else(missing)?;
        Ok::<_, ModuleError>((number, root.0))
    };
    let challenge = AuditChallenge::draw_counted(shape, transcript, base.segments, base.consumed, read)?;
    let Some(challenge) = challenge else { return Ok(false) };
    Ok(codec::decode::<AuditProof>(answer).is_ok_and(|proof| challenge.verify(&proof).is_ok()))
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("call data fits memory")
}
