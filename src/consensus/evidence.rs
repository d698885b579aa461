//! Evidence of equivocation: two different signed messages of one validator for one height and round.
//!
//! Owns what counts as a conflict and how it is verified. Must not know stakes or who reports. Invariants: an honest validator,
//! which signs one message for each height, round and step, can never be convicted; evidence is checked against the very bytes
//! the engine signs.

use super::{
    context::Account,
    messages::{Proposal, Vote},
};
use crate::{
    codec::Wire,
    crypto::{PublicKey, Signature},
    types::{Address, ChainId, Height},
};

/// Largest encoded evidence.
pub const EVIDENCE_MAX_BYTES: usize = 512;

/// A vote with its signature.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct SignedVote {
    /// The vote.
    pub vote: Vote,
    /// The voter's signature.
    pub signature: Signature,
}

/// A proposal with its signature.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct SignedProposal {
    /// The proposal.
    pub proposal: Proposal,
    /// The proposer's signature.
    pub signature: Signature,
}

/// Two messages that one validator must not both sign.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub enum Conflict {
    /// Two votes of one step.
    Votes(SignedVote, SignedVote),
    /// Two proposals.
    Proposals(SignedProposal, SignedProposal),
}

/// A conflict on a chain.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Evidence {
    /// The chain it happened on.
    pub chain_id: ChainId,
    /// The two messages.
    pub conflict: Conflict,
}

impl Wire for Evidence {
    const NAME: &'static str = "evidence";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = EVIDENCE_MAX_BYTES;
}

/// Who is accused of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offence {
    /// The validator.
    pub account: Address,
    /// The height.
    pub height: Height,
    /// The round.
    pub round: u32,
}

/// Why evidence was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Of another chain.
    #[error("evidence is of chain {found}, this is chain {expected}")]
    Foreign { found: ChainId, expected: ChainId },
    /// The messages may both be signed.
    #[error("the two messages differ in their {0}, so that one validator may sign both")]
    Unrelated(&'static str),
    /// The same message twice.
    #[error("the two messages name the same block")]
    Same,
    /// Not signed by the accused.
    #[error("the {which} message is not signed by {account}")]
    BadSignature { which: &'static str, account: Address },
}

impl Evidence {
    /// Whether the two messages conflict, and whose they claim to be. Signatures are not looked at.
    pub fn offence(&self) -> Result<Offence, EvidenceError> {
        match &self.conflict {
            Conflict::Votes(a, b) => {
                let (a, b) = (&a.vote, &b.vote);
                same("step", a.kind == b.kind)?;
                let offence = related((a.voter, a.height, a.round), (b.voter, b.height, b.round))?;
                if a.block == b.block { Err(EvidenceError::Same) } else { Ok(offence) }
            }
            Conflict::Proposals(a, b) => {
                let (a, b) = (&a.proposal, &b.proposal);
                let offence = related((a.proposer, a.height, a.round), (b.proposer, b.height, b.round))?;
                if a.block == b.block { Err(EvidenceError::Same) } else { Ok(offence) }
            }
        }
    }

    /// Checks conflict, chain and both signatures by the accused's `key`.
    pub fn verify(&self, chain_id: ChainId, key: &PublicKey) -> Result<Offence, EvidenceError> {
        if self.chain_id != chain_id {
            return Err(EvidenceError::Foreign { found: self.chain_id, expected: chain_id });
        }
        let offence = self.offence()?;
        for (which, message, signature) in self.signed() {
            let bad = |_| EvidenceError::BadSignature { which, account: offence.account };
            key.verify(&message, &signature).map_err(bad)?;
        }
        Ok(offence)
    }

    fn signed(&self) -> [(&'static str, [u8; 32], Signature); 2] {
        let chain = self.chain_id;
        let [a, b] = match &self.conflict {
            Conflict::Votes(a, b) => [(a.vote.sign_bytes(chain), a.signature), (b.vote.sign_bytes(chain), b.signature)],
            Conflict::Proposals(a, b) => {
                [(a.proposal.sign_bytes(chain), a.signature), (b.proposal.sign_bytes(chain), b.signature)]
            }
        };
        [("first", a.0, a.1), ("second", b.0, b.1)]
    }
}

fn related(a: (Account, Height, u32), b: (Account, Height, u32)) -> Result<Offence, EvidenceError> {
    same("signer", a.0 == b.0)?;
    same("height", a.1 == b.1)?;
    same("round", a.2 == b.2)?;
    Ok(Offence { account: a.0.0, height: a.1, round: a.2 })
}

fn same(what: &'static str, equal: bool) -> Result<(), EvidenceError> {
    if equal { Ok(()) } else { Err(EvidenceError::Unrelated(what)) }
}

#[cfg(test)]
pub(crate) mod tests;
