//! The canonical bytes validators sign. One digest per kind of message, bound to chain, height, round and signer.

use crate::{
    crypto::hash::tagged,
    types::{Address, BlockId, ChainId, Height},
};

const DOMAIN_PREVOTE: &str = "cess 2026 consensus prevote v1";
const DOMAIN_PRECOMMIT: &str = "cess 2026 consensus precommit v1";
const DOMAIN_PROPOSAL: &str = "cess 2026 consensus proposal v1";
const DOMAIN_HOST: &str = "cess 2026 consensus host proof v1";

/// A prevote for `block`, or for nothing.
pub fn prevote(chain_id: ChainId, height: Height, round: u32, block: Option<&BlockId>, voter: &Address) -> [u8; 32] {
    vote(DOMAIN_PREVOTE, chain_id, height, round, block, voter)
}

/// A precommit for `block`: the signature certificates are made of.
pub fn precommit(chain_id: ChainId, height: Height, round: u32, block: &BlockId, voter: &Address) -> [u8; 32] {
    vote(DOMAIN_PRECOMMIT, chain_id, height, round, Some(block), voter)
}

/// A precommit for nothing.
pub fn precommit_nil(chain_id: ChainId, height: Height, round: u32, voter: &Address) -> [u8; 32] {
    vote(DOMAIN_PRECOMMIT, chain_id, height, round, None, voter)
}

/// A proposal of `block` in `round`; `pol_round` is the earlier round in which two thirds prevoted for it.
pub fn proposal(
    chain_id: ChainId,
    height: Height,
    round: u32,
    pol_round: Option<u32>,
    block: &BlockId,
    proposer: &Address,
) -> [u8; 32] {
    let pol = pol_round.map_or([0; 5], |r| prefixed(r.to_le_bytes()));
    tagged(
        DOMAIN_PROPOSAL,
        &[
            &chain_id.to_le_bytes(),
            &height.to_le_bytes(),
            &round.to_le_bytes(),
            &pol,
            block.as_bytes(),
            proposer.as_slice(),
        ],
    )
}

/// A statement that the host `peer` belongs to the holder of `consensus_key`.
pub fn host_proof(chain_id: ChainId, consensus_key: &[u8], peer: &[u8]) -> [u8; 32] {
    tagged(DOMAIN_HOST, &[&chain_id.to_le_bytes(), consensus_key, peer])
}

fn vote(
    domain: &str,
    chain_id: ChainId,
    height: Height,
    round: u32,
    block: Option<&BlockId>,
    voter: &Address,
) -> [u8; 32] {
    let block: &[u8] = block.map_or(&[], |id| id.as_bytes());
    tagged(domain, &[&chain_id.to_le_bytes(), &height.to_le_bytes(), &round.to_le_bytes(), block, voter.as_slice()])
}

fn prefixed(round: [u8; 4]) -> [u8; 5] {
    [1, round[0], round[1], round[2], round[3]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_messages_share_their_bytes() {
        let (id, who, other) = (BlockId([1; 32]), Address::repeat_byte(2), Address::repeat_byte(3));
        let all = [
            prevote(1, 2, 3, Some(&id), &who),
            prevote(1, 2, 3, None, &who),
            precommit(1, 2, 3, &id, &who),
            precommit(1, 2, 3, &id, &other),
            precommit(2, 2, 3, &id, &who),
            precommit(1, 3, 3, &id, &who),
            precommit(1, 2, 4, &id, &who),
            precommit_nil(1, 2, 3, &who),
            proposal(1, 2, 3, None, &id, &who),
            proposal(1, 2, 3, Some(0), &id, &who),
            proposal(1, 2, 3, Some(1), &id, &who),
        ];
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len());
    }
}
