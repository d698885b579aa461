//! Light clients: a header is believed because its committee signed it, and a committee because the header before named it.
//!
//! Owns what is verified and why something is refused. Must not know where headers come from. Invariants: one certificate for each
//! era leads from the committee of genesis to any other; inside a known era every height is verified alone; nothing is
//! believed that more than two thirds of the era's power did not sign.

use super::{
    Calendar, Certificate, Committee, ConsensusError, Executed, Header, check_round,
    wire::{get_word, put_word},
};
use crate::{
    codec::Wire,
    types::{B256, BlockId, ChainId, Height, Params},
};

/// A header with the proof that it was decided.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct SignedHeader {
    /// The header.
    pub header: Header,
    /// The precommits for it.
    pub certificate: Certificate,
}

impl Wire for SignedHeader {
    const NAME: &'static str = "signed header";
    const VERSION: u8 = 2;
    const MAX_BYTES: usize = Header::MAX_BYTES + Certificate::MAX_BYTES;
}

/// The last header of an era with the committee whose digest it names: that of the next era.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct EraChange {
    /// The era's last header.
    pub last: SignedHeader,
    /// Who decides the next era.
    pub next: Committee,
}

impl Wire for EraChange {
    const NAME: &'static str = "era change";
    const VERSION: u8 = 2;
    const MAX_BYTES: usize = SignedHeader::MAX_BYTES + Committee::MAX_BYTES;
}

/// Where a light client stopped, so that it continues there.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Checkpoint {
    /// Hash of the executed genesis header: the chain it belongs to.
    #[borsh(serialize_with = "put_word", deserialize_with = "get_word")]
    pub genesis: B256,
    /// Newest era whose committee is known.
    pub era: u64,
    /// That committee.
    pub committee: Committee,
    /// Newest verified header, if any was.
    pub newest: Option<Header>,
}

impl Wire for Checkpoint {
    const NAME: &'static str = "light checkpoint";
    const VERSION: u8 = 2;
    const MAX_BYTES: usize = 64 + Header::MAX_BYTES + Committee::MAX_BYTES;
}

/// Why a header, or a committee, is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// Of another chain.
    #[error("header of height {height} is of chain {found}, this is chain {expected}")]
    ForeignChain { height: Height, found: ChainId, expected: ChainId },
    /// Of another era than the committee it is checked against.
    #[error("header of height {height} belongs to era {found}, the trusted committee decides era {trusted}")]
    WrongEra { height: Height, found: u64, trusted: u64 },
    /// Decided by somebody else than the era's committee.
    #[error("header of height {height} names committee {found}, era {era} is decided by {expected}")]
    WrongCommittee { height: Height, era: u64, found: B256, expected: B256 },
    /// A change of committees in the middle of an era.
    #[error("header of height {height} names {found} as the next committee, but era {era} does not end with it")]
    EarlyChange { height: Height, era: u64, found: B256 },
    /// A committee that the era's last header does not name.
    #[error("the committee given for era {era} has digest {found}, header {height} names {expected}")]
    ForgedCommittee { height: Height, era: u64, found: B256, expected: B256 },
    /// A committee of the right digest that cannot decide anything.
    #[error("the committee of era {era} is not valid: {reason}")]
    BadCommittee { era: u64, reason: ConsensusError },
    /// Not the last header of its era.
    #[error("header of height {height} was given as the last of era {era}, which ends with {last}")]
    NotLast { height: Height, era: u64, last: Height },
    /// A certificate for something else.
    #[error("header {block} of height {height} came with a certificate for block {named} of height {at}")]
    ForeignCertificate { height: Height, block: BlockId, named: BlockId, at: Height },
    /// Not signed by more than two thirds, or in a round before the block was built.
    #[error("header of height {height} is not certified: {reason}")]
    NotCertified { height: Height, reason: ConsensusError },
    /// Another height than was asked for: an old header presented as a new one, for instance.
    #[error("header of height {found} was presented as that of height {asked}")]
    WrongHeight { asked: Height, found: Height },
    /// Below what is trusted already.
    #[error("header of height {height} is stale, height {newest} is trusted")]
    Stale { height: Height, newest: Height },
    /// Two certified headers that exclude each other: more than a third of a committee signed both.
    #[error("two certified headers contradict each other at height {height}: {trusted} is trusted, {found} was given")]
    Fork { height: Height, trusted: BlockId, found: BlockId },
    /// Names an executed block that is not just below it.
    #[error("header of height {height} names executed block {named}, not its parent or the block before that")]
    Lag { height: Height, named: Height },
    /// Not the executed header that is certified.
    #[error("executed header of height {height} has hash {found}, {expected} is certified")]
    Executed { height: Height, found: B256, expected: B256 },
}

/// What does not change while a chain lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LightRules {
    /// The chain.
    pub chain_id: ChainId,
    /// Its eras.
    pub calendar: Calendar,
}

impl LightRules {
    /// Of a chain with these numbers.
    pub fn new(chain_id: ChainId, params: &Params) -> Self {
        Self { chain_id, calendar: Calendar::of(params) }
    }
}

/// An era whose committee is trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedEra {
    /// Its number.
    pub era: u64,
    /// Who decides its blocks.
    pub committee: Committee,
    hash: [u8; 32],
}

impl TrustedEra {
    /// Trusts `committee`: that of genesis, or one that was verified before.
    pub fn new(era: u64, committee: Committee) -> Result<Self, HeaderFault> {
        committee.check().map_err(|reason| HeaderFault::BadCommittee { era, reason })?;
        Ok(Self { era, hash: committee.hash(), committee })
    }

    /// Verifies any header of this era.
    pub fn verify(&self, rules: &LightRules, signed: &SignedHeader) -> Result<(), HeaderFault> {
        let SignedHeader { header, certificate } = signed;
        let (height, era) = (header.height, rules.calendar.era(header.height));
        if header.chain_id != rules.chain_id {
            return Err(HeaderFault::ForeignChain { height, found: header.chain_id, expected: rules.chain_id });
        }
        if era != self.era {
            return Err(HeaderFault::WrongEra { height, found: era, trusted: self.era });
        }
        if header.committee != self.hash {
            let (found, expected) = (header.committee.into(), self.hash.into());
            return Err(HeaderFault::WrongCommittee { height, era, found, expected });
        }
        if header.next_committee != self.hash && !rules.calendar.is_last(height) {
            return Err(HeaderFault::EarlyChange { height, era, found: header.next_committee.into() });
        }
        if !header.executed.may_be_named_at(height) {
            return Err(HeaderFault::Lag { height, named: header.executed.height });
        }
        let block = header.id();
        if certificate.block != block || certificate.height != height {
            let (named, at) = (certificate.block, certificate.height);
            return Err(HeaderFault::ForeignCertificate { height, block, named, at });
        }
        let certified = check_round(header, certificate.round);
        let certified = certified.and_then(|()| certificate.verify(rules.chain_id, &self.committee));
        certified.map_err(|reason| HeaderFault::NotCertified { height, reason })
    }

    /// The era after this one: its committee is the one that this era's certified last header names.
    pub fn step(&self, rules: &LightRules, change: &EraChange) -> Result<Self, HeaderFault> {
        let (header, era) = (&change.last.header, self.era);
        let last = rules.calendar.last(era);
        self.verify(rules, &change.last)?;
        if header.height != last {
            return Err(HeaderFault::NotLast { height: header.height, era, last });
        }
        // Checked before it is hashed: only a committee within its bounds has an encoding.
        let next = Self::new(era + 1, change.next.clone())?;
        if next.hash != header.next_committee {
            let (found, expected) = (next.hash.into(), header.next_committee.into());
            return Err(HeaderFault::ForgedCommittee { height: last, era: era + 1, found, expected });
        }
        Ok(next)
    }

    /// Digest that this era's headers carry.
    pub fn hash(&self) -> B256 {
        self.hash.into()
    }
}

/// Whether a verified header may follow the newest trusted one: later, and on the same chain where the two touch.
pub fn check_order(newest: &Header, next: &Header) -> Result<(), HeaderFault> {
    let (height, at) = (next.height, newest.height);
    if height < at {
        return Err(HeaderFault::Stale { height, newest: at });
    }
    let trusted = newest.id();
    let found = match height - at {
        0 => next.id(),
        1 => next.parent,
        _ => return Ok(()),
    };
    if found == trusted { Ok(()) } else { Err(HeaderFault::Fork { height: at, trusted, found }) }
}

/// Whether an executed header with hash `found` is the one that is certified.
pub fn check_executed(found: B256, certified: &Executed) -> Result<(), HeaderFault> {
    let Executed { height, hash: expected } = *certified;
    if found == expected { Ok(()) } else { Err(HeaderFault::Executed { height, found, expected }) }
}

#[cfg(test)]
pub(crate) mod tests;
