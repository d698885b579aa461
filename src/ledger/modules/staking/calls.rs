//! The calls of a candidate, built from its keys.

use crate::{
    consensus::{beacon::era_input, prove_possession},
    crypto::{NodeKeys, VrfSecretKey},
    ledger::abi::IStaking,
    types::{Address, B256, ChainId},
};

/// The registration of a node's keys by `account`.
pub fn registration(keys: &NodeKeys, chain_id: ChainId, account: &Address) -> IStaking::registerCall {
    let (public, proof) = prove_possession(keys, chain_id, account);
    IStaking::registerCall {
        consensusKey: public.consensus.0.into(),
        vrfKey: public.vrf.0.into(),
        networkKey: public.network.0.into(),
        consensusProof: proof.consensus.0.to_vec().into(),
        vrfProof: proof.vrf.0.to_vec().into(),
        networkProof: proof.network.0.to_vec().into(),
    }
}

/// The reveal of a candidate for `era`, whose seed is given.
pub fn reveal(key: &VrfSecretKey, chain_id: ChainId, era: u64, seed: &B256) -> IStaking::revealCall {
    let proof = key.prove(&era_input(chain_id, era, seed));
    IStaking::revealCall { era, proof: proof.0.to_vec().into() }
}
