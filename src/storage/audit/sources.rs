//! Where the bytes behind a digest are had: this node's own copy, the miner, members of its committee.
//!
//! Owns the order of asking and the protocol by which verifiers give each other what a verdict was based on. Invariant: what is kept or
//! served hashes to what the miner committed to on the chain.

use super::{
    Holdings,
    restore::{MANIFESTS, Manifests},
    views,
};
use crate::{
    client::ChainClient,
    crypto::hash::content,
    network::{Network, PeerId, Protocol, RequestHandler},
    storage::{DataClient, MinerDirectory, wire::AuditPart},
    types::Address,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// Verifiers give each other answers of miners.
pub const EVIDENCE: Protocol = Protocol("/cess/evidence/1");
/// Longest wait for one answer.
const FETCH_DEADLINE: Duration = Duration::from_secs(15);
/// Bytes of a request: round, miner, part.
const REQUEST_BYTES: usize = 8 + 20 + 1;

/// Fetches answers. Cheap to clone.
#[derive(Clone)]
pub struct Sources {
    pub(super) chain: Arc<dyn ChainClient>,
    pub(super) holdings: Holdings,
    /// Where miners are reached.
    pub directory: MinerDirectory,
    /// The link to miners.
    pub data: DataClient,
    network: Arc<dyn Network>,
}

/// Answers other verifiers.
struct Evidence(Holdings);

impl Sources {
    /// Sources over a network; answers other verifiers from now on.
    pub fn new(
        chain: Arc<dyn ChainClient>,
        network: Arc<dyn Network>,
        data: DataClient,
        directory: MinerDirectory,
        holdings: Holdings,
    ) -> Self {
        network.serve(EVIDENCE, Arc::new(Evidence(holdings.clone())));
        network.serve(MANIFESTS, Arc::new(Manifests(holdings.clone())));
        holdings.set_network(network.clone());
        Self { chain, holdings, directory, data, network }
    }

    /// The miner's answer: preferably the bytes with this digest, else whatever it sent, else none.
    pub(super) async fn answer(&self, round: u64, miner: Address, part: AuditPart, digest: &[u8; 32]) -> Option<Bytes> {
        let number = part_number(part);
        let own = self.holdings.read(move |index| index.kept_bytes(round, &miner, number)).await;
        if let Ok(Some(bytes)) = own {
            return Some(bytes.into());
        }
        let peer = self.directory.peers(&[miner]).await.ok()?.first().copied().flatten()?;
        match self.data.audit(peer, round, part, FETCH_DEADLINE).await {
            Ok(bytes) => {
                self.keep(round, miner, number, digest, &bytes).await;
                Some(bytes)
            }
            Err(error) => {
                tracing::debug!(%miner, round, ?part, %error, "an answer cannot be fetched");
                None
            }
        }
    }

    /// The bytes with this digest from a member of the miner's committee.
    pub(super) async fn evidence(
        &self,
        round: u64,
        miner: Address,
        part: AuditPart,
        digest: &[u8; 32],
    ) -> Option<Bytes> {
        let members = views::committee(self.chain.as_ref(), round, miner).await.ok()?;
        let number = part_number(part);
        let request: Bytes = [round.to_be_bytes().as_slice(), miner.as_slice(), &[number]].concat().into();
        for peer in views::peers_of(self.chain.as_ref(), &members).await.ok()? {
            let answer = self.network.request(peer, EVIDENCE, request.clone(), FETCH_DEADLINE).await;
            if let Ok(bytes) = answer
                && content(&bytes) == *digest
            {
                self.keep(round, miner, number, digest, &bytes).await;
                return Some(bytes);
            }
        }
        None
    }

    async fn keep(&self, round: u64, miner: Address, part: u8, digest: &[u8; 32], bytes: &Bytes) {
        if content(bytes) != *digest {
            return;
        }
        let bytes = bytes.clone();
        let kept = self.holdings.read(move |index| index.keep_bytes(round, &miner, part, &bytes)).await;
        if let Err(error) = kept {
            tracing::warn!(%miner, round, %error, "an answer cannot be kept");
        }
    }
}

#[async_trait]
impl RequestHandler for Evidence {
    async fn handle(&self, _from: PeerId, body: Bytes) -> Result<Bytes, String> {
        let fields: &[u8; REQUEST_BYTES] =
            body.as_ref().try_into().map_err(|_| format!("a request of evidence has {REQUEST_BYTES} B"))?;
        let (round, rest) = fields.split_first_chunk::<8>().expect("a request begins with eight bytes");
        let (miner, part) = rest.split_first_chunk::<20>().expect("an account follows");
        let (round, miner, part) = (u64::from_be_bytes(*round), Address::from(*miner), part[0]);
        let kept = self.0.read(move |index| index.kept_bytes(round, &miner, part)).await;
        let bytes = kept.map_err(|error| error.to_string())?;
        bytes.map(Bytes::from).ok_or_else(|| format!("nothing is kept of round {round} of miner {miner}"))
    }
}

fn part_number(part: AuditPart) -> u8 {
    match part {
        AuditPart::Spot => 0,
        AuditPart::Idle => 1,
    }
}
