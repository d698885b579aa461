//! The committee of a height: who votes, with which keys and which power.

use super::{
    ConsensusError,
    wire::{get_address, put_address},
};
use crate::{
    codec::{self, Wire},
    crypto::{
        PublicKey, VrfPublicKey,
        hash::{DOMAIN_COMMITTEE, tagged},
    },
    types::Address,
};
use std::collections::BTreeSet;

/// Most seats a committee may have: certificates and vote traffic grow with it.
pub const COMMITTEE_MAX_MEMBERS: usize = 256;

/// Largest total power, so that three times it still fits 64 bits.
const TOTAL_POWER_MAX: u64 = u64::MAX >> 2;

/// One seat.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct ValidatorInfo {
    /// The staked account, which names the validator everywhere.
    #[borsh(serialize_with = "put_address", deserialize_with = "get_address")]
    pub account: Address,
    /// Signs votes and proposals.
    pub consensus_key: PublicKey,
    /// Proves the beacon's contributions.
    pub vrf_key: VrfPublicKey,
    /// Identity of its host, by which the other members reach it.
    pub network_key: PublicKey,
    /// Voting power.
    pub power: u64,
}

/// The validators of a height, sorted by account.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Committee {
    /// The seats. [`Committee::new`] establishes the order and the bounds; [`Committee::check`] verifies them.
    pub members: Vec<ValidatorInfo>,
}

impl Wire for Committee {
    const NAME: &'static str = "committee";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 16 + COMMITTEE_MAX_MEMBERS * 128;
}

impl Committee {
    /// Sorts `members` and checks them.
    pub fn new(mut members: Vec<ValidatorInfo>) -> Result<Self, ConsensusError> {
        members.sort_by_key(|member| member.account);
        let committee = Self { members };
        committee.check()?;
        Ok(committee)
    }

    /// Verifies order, bounds, distinct keys and powers.
    pub fn check(&self) -> Result<(), ConsensusError> {
        if self.members.is_empty() {
            return Err(ConsensusError::EmptyCommittee);
        }
        if self.members.len() > COMMITTEE_MAX_MEMBERS {
            return Err(ConsensusError::TooManyMembers { found: self.members.len(), max: COMMITTEE_MAX_MEMBERS });
        }
        if let Some(pair) = self.members.windows(2).find(|pair| pair[0].account >= pair[1].account) {
            return Err(ConsensusError::Unsorted(pair[1].account));
        }
        let (mut consensus, mut network, mut total) = (BTreeSet::new(), BTreeSet::new(), 0u64);
        for member in &self.members {
            let account = member.account;
            if member.power == 0 {
                return Err(ConsensusError::NoPower(account));
            }
            if !consensus.insert(member.consensus_key) {
                return Err(ConsensusError::SharedKey { account, key: "consensus" });
            }
            if !network.insert(member.network_key) {
                return Err(ConsensusError::SharedKey { account, key: "network" });
            }
            total = total.checked_add(member.power).ok_or(ConsensusError::PowerOverflow)?;
        }
        if total > TOTAL_POWER_MAX { Err(ConsensusError::PowerOverflow) } else { Ok(()) }
    }

    /// Digest that headers commit to.
    pub fn hash(&self) -> [u8; 32] {
        tagged(DOMAIN_COMMITTEE, &[&codec::encode(self)])
    }

    /// Sum of all powers.
    pub fn total_power(&self) -> u64 {
        self.members.iter().fold(0, |sum, member| sum.saturating_add(member.power))
    }

    /// The seat of `account`.
    pub fn by_account(&self, account: &Address) -> Option<&ValidatorInfo> {
        let index = self.members.binary_search_by_key(account, |member| member.account).ok()?;
        self.members.get(index)
    }

    /// The seat that votes with `key`.
    pub fn by_consensus_key(&self, key: &PublicKey) -> Option<&ValidatorInfo> {
        self.members.iter().find(|member| member.consensus_key == *key)
    }

    /// Whether `signed` is more than two thirds of the power.
    pub fn is_quorum(&self, signed: u64) -> bool {
        u128::from(signed) * 3 > u128::from(self.total_power()) * 2
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::crypto::NodeKeys;

    /// `n` validators of equal power with their keys, in committee order.
    pub(crate) fn committee_of(n: u8) -> (Committee, Vec<NodeKeys>) {
        let mut keys: Vec<_> = (0..n).map(|i| NodeKeys::derive(&[i; 32])).collect();
        keys.sort_by_key(NodeKeys::address);
        let members = keys.iter().map(|k| member_of(k, 10)).collect();
        (Committee::new(members).unwrap(), keys)
    }

    fn member_of(keys: &NodeKeys, power: u64) -> ValidatorInfo {
        ValidatorInfo {
            account: keys.address(),
            consensus_key: keys.consensus.public(),
            vrf_key: keys.vrf.public(),
            network_key: keys.network.public(),
            power,
        }
    }

    #[test]
    fn round_trips_and_finds_members() {
        let (committee, keys) = committee_of(7);
        assert_eq!(codec::decode::<Committee>(&codec::encode(&committee)), Ok(committee.clone()));
        assert_eq!(committee.total_power(), 70);
        for key in &keys {
            let member = committee.by_account(&key.address()).unwrap();
            assert_eq!(committee.by_consensus_key(&key.consensus.public()), Some(member));
        }
        assert_eq!(committee.by_account(&Address::ZERO), None);
        let mut other = committee.clone();
        other.members[0].power += 1;
        assert_ne!(committee.hash(), other.hash());
    }

    #[test]
    fn full_committee_fits_its_cap() {
        let member = |i: u16| {
            let mut seed = [0; 32];
            seed[..2].copy_from_slice(&i.to_le_bytes());
            ValidatorInfo {
                account: Address::from_slice(&seed[..20]),
                consensus_key: PublicKey(seed),
                vrf_key: VrfPublicKey(seed),
                network_key: PublicKey(seed),
                power: 1,
            }
        };
        let committee = Committee::new((0..256).map(member).collect()).unwrap();
        assert_eq!(codec::decode::<Committee>(&codec::encode(&committee)), Ok(committee));
        assert!(matches!(
            Committee::new((0..257).map(member).collect()),
            Err(ConsensusError::TooManyMembers { found: 257, max: 256 })
        ));
    }

    #[test]
    fn refuses_bad_committees() {
        let (committee, _) = committee_of(3);
        let with = |change: &dyn Fn(&mut Vec<ValidatorInfo>)| {
            let mut members = committee.members.clone();
            change(&mut members);
            Committee { members }.check()
        };
        assert_eq!(with(&|m| m.clear()), Err(ConsensusError::EmptyCommittee));
        assert!(matches!(with(&|m| m.swap(0, 1)), Err(ConsensusError::Unsorted(_))));
        assert!(matches!(with(&|m| m[1].power = 0), Err(ConsensusError::NoPower(_))));
        assert!(matches!(with(&|m| m[1].power = u64::MAX), Err(ConsensusError::PowerOverflow)));
        assert!(matches!(with(&|m| m[1].power = u64::MAX - 20), Err(ConsensusError::PowerOverflow)));
        let shared = |r: Result<(), ConsensusError>| matches!(r, Err(ConsensusError::SharedKey { .. }));
        assert!(shared(with(&|m| m[1].consensus_key = m[0].consensus_key)));
        assert!(shared(with(&|m| m[1].network_key = m[0].network_key)));
    }

    #[test]
    fn quorum_is_more_than_two_thirds() {
        let (committee, _) = committee_of(3);
        assert!(!committee.is_quorum(20));
        assert!(committee.is_quorum(21));
    }
}
