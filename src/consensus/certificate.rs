//! Proof that a committee decided a block: the precommits of more than two thirds of its power.

use super::{
    COMMITTEE_MAX_MEMBERS, Committee, ConsensusError, Header, sign_bytes,
    wire::{get_signatures, put_signatures},
};
use crate::{
    codec::Wire,
    crypto::Signature,
    types::{Address, BlockId, ChainId, Height},
};

/// Precommit signatures for one block in one round, sorted by account.
#[derive(Debug, Clone, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Certificate {
    /// Height of the block.
    pub height: Height,
    /// Round the block was decided in, at least the round of its header.
    pub round: u32,
    /// The block.
    pub block: BlockId,
    /// Who signed, in ascending order of accounts.
    #[borsh(serialize_with = "put_signatures", deserialize_with = "get_signatures")]
    pub signatures: Vec<(Address, Signature)>,
}

impl Wire for Certificate {
    const NAME: &'static str = "certificate";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64 + COMMITTEE_MAX_MEMBERS * (20 + 64);
}

/// Checks that a block was decided no earlier than in the round it was built for.
pub fn check_round(header: &Header, decided: u32) -> Result<(), ConsensusError> {
    let Header { height, round: built, .. } = *header;
    if decided < built {
        return Err(ConsensusError::DecidedBefore { height, decided, built });
    }
    Ok(())
}

impl Certificate {
    /// Checks that more than two thirds of `committee` signed exactly this block, round and height of this chain.
    pub fn verify(&self, chain_id: ChainId, committee: &Committee) -> Result<(), ConsensusError> {
        let height = self.height;
        if let Some(pair) = self.signatures.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
            return Err(ConsensusError::RepeatedSigner { height, account: pair[1].0 });
        }
        let mut signed = 0u64;
        for (account, signature) in &self.signatures {
            let account = *account;
            let member = committee.by_account(&account).ok_or(ConsensusError::UnknownSigner { height, account })?;
            let message = sign_bytes::precommit(chain_id, height, self.round, &self.block, &account);
            let bad = |_| ConsensusError::BadSignature { height, block: self.block, account };
            member.consensus_key.verify(&message, signature).map_err(bad)?;
            signed = signed.checked_add(member.power).ok_or(ConsensusError::PowerOverflow)?;
        }
        if committee.is_quorum(signed) {
            return Ok(());
        }
        Err(ConsensusError::NoQuorum { height, signed, total: committee.total_power() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec, consensus::committee::tests::committee_of};

    const CHAIN: ChainId = 11_332;

    fn certificate(signers: usize) -> (Certificate, Committee) {
        let (committee, keys) = committee_of(4);
        let block = BlockId([8; 32]);
        let sign = |k: &crate::crypto::NodeKeys| {
            (k.address(), k.consensus.sign(&sign_bytes::precommit(CHAIN, 5, 1, &block, &k.address())))
        };
        let signatures = keys.iter().take(signers).map(sign).collect();
        (Certificate { height: 5, round: 1, block, signatures }, committee)
    }

    #[test]
    fn three_of_four_decide_and_two_do_not() {
        let (good, committee) = certificate(3);
        assert_eq!(good.verify(CHAIN, &committee), Ok(()));
        assert_eq!(codec::decode::<Certificate>(&codec::encode(&good)), Ok(good));
        let (weak, _) = certificate(2);
        assert_eq!(weak.verify(CHAIN, &committee), Err(ConsensusError::NoQuorum { height: 5, signed: 20, total: 40 }));
    }

    #[test]
    fn every_change_is_noticed() {
        let (good, committee) = certificate(4);
        assert!(good.verify(CHAIN + 1, &committee).is_err());
        let changes: [fn(&mut Certificate); 7] = [
            |c| c.height += 1,
            |c| c.round += 1,
            |c| c.block.0[0] ^= 1,
            |c| c.signatures[0].1.0[0] ^= 1,
            |c| c.signatures[1] = c.signatures[0],
            |c| c.signatures.swap(0, 1),
            |c| c.signatures[0].0 = Address::ZERO,
        ];
        for change in changes {
            let mut other = good.clone();
            change(&mut other);
            assert!(other.verify(CHAIN, &committee).is_err());
        }
    }
}
