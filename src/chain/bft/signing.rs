//! Signs and verifies for the engine with the keys of `crypto` and the bytes of `consensus::sign_bytes`.
//!
//! Invariant: the engine never keeps a proposal that does not fit the header of its block.

use super::hub::Hub;
use crate::{
    consensus::{
        HeadedProposal,
        context::{Account, BftContext},
        messages::Vote,
        sign_bytes,
    },
    crypto::{PublicKey, SecretKey, Signature, SignatureError},
    types::ChainId,
};
use arc_malachitebft_app_channel::{
    Signer, Verifier,
    app::types::core::{SignedMessage, ValidatorProof, VoteExtensionScope},
};
use arc_malachitebft_signing::{Error, VerificationResult};
use async_trait::async_trait;
use std::sync::Arc;

type Signed<T> = SignedMessage<BftContext, T>;

/// Checks the signatures of one chain, and tells the hub which proposals of others than `me` passed.
#[derive(Clone)]
pub(super) struct ChainVerifier {
    pub chain_id: ChainId,
    pub me: Account,
    pub hub: Arc<Hub>,
}

/// Signs for one chain with one validator's key.
#[derive(Debug, Clone)]
pub(super) struct ChainSigner {
    pub chain_id: ChainId,
    pub key: SecretKey,
}

fn verdict(result: Result<(), SignatureError>) -> Result<VerificationResult, Error> {
    Ok(VerificationResult::from_bool(result.is_ok()))
}

#[async_trait]
impl Verifier<BftContext> for ChainVerifier {
    async fn verify_signed_vote(
        &self,
        vote: &Vote,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        verdict(key.verify(&vote.sign_bytes(self.chain_id), signature))
    }

    /// The engine asks for every proposal before it keeps it, wherever it came from, and only when `key` is that of the member
    /// whose turn it is. A proposal that does not fit its block's header is as good as not signed.
    async fn verify_signed_proposal(
        &self,
        headed: &HeadedProposal,
        signature: &Signature,
        key: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        let proposal = &headed.proposal;
        if let Err(reason) = headed.check() {
            let (height, round, proposer) = (proposal.height, proposal.round, &proposal.proposer);
            tracing::warn!(height, round, %proposer, %reason, "proposal refused");
            return Ok(VerificationResult::Invalid);
        }
        let signed = key.verify(&proposal.sign_bytes(self.chain_id), signature);
        if signed.is_ok() && proposal.proposer != self.me {
            self.hub.announce(proposal);
        }
        verdict(signed)
    }

    /// Votes carry no extensions, so that none is ever valid.
    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<BftContext>,
        (): &(),
        _: &Signature,
        _: &PublicKey,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(&self, proof: &ValidatorProof<BftContext>) -> Result<VerificationResult, Error> {
        let Ok(key) = <[u8; 32]>::try_from(proof.public_key.as_slice()).map(PublicKey) else {
            return Ok(VerificationResult::Invalid);
        };
        let message = sign_bytes::host_proof(self.chain_id, &proof.public_key, &proof.peer_id);
        verdict(key.verify(&message, &proof.signature))
    }
}

#[async_trait]
impl Signer<BftContext> for ChainSigner {
    async fn sign_vote(&self, vote: Vote) -> Result<Signed<Vote>, Error> {
        let signature = self.key.sign(&vote.sign_bytes(self.chain_id));
        Ok(SignedMessage::new(vote, signature))
    }

    async fn sign_proposal(&self, proposal: HeadedProposal) -> Result<Signed<HeadedProposal>, Error> {
        let signature = self.key.sign(&proposal.proposal.sign_bytes(self.chain_id));
        Ok(SignedMessage::new(proposal, signature))
    }

    async fn sign_vote_extension(&self, _: VoteExtensionScope<BftContext>, (): ()) -> Result<Signed<()>, Error> {
        Err(Error::new())
    }

    async fn sign_validator_proof(
        &self,
        public_key: Vec<u8>,
        peer_id: Vec<u8>,
    ) -> Result<ValidatorProof<BftContext>, Error> {
        let signature = self.key.sign(&sign_bytes::host_proof(self.chain_id, &public_key, &peer_id));
        Ok(ValidatorProof::new(public_key, peer_id, signature))
    }
}
