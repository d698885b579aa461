//! Gateways that ask each other, over the network.
//!
//! Must not know what is asked. Invariants: whoever answers holds the network key it was asked by; a question is sent once.

use crate::{
    crypto::PublicKey,
    network::{NetError, Network, PeerId, Protocol, REQUEST_MAX_BYTES, RequestHandler, peer_id_of},
};
use async_trait::async_trait;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

/// Name of the protocol.
pub const GATEWAYS: Protocol = Protocol("/cess/access/1");
/// Largest question, and largest answer.
pub const QUESTION_MAX_BYTES: usize = REQUEST_MAX_BYTES;

/// Answers other gateways.
#[async_trait]
pub trait GatewayHandler: Send + Sync + 'static {
    /// One answer, or why there is none.
    async fn answer(&self, question: Bytes) -> Result<Bytes, String>;
}

/// Other gateways, by the ed25519 keys of their network hosts.
#[derive(Clone)]
pub struct GatewayLink {
    network: Arc<dyn Network>,
}

impl GatewayLink {
    /// Gateways reached over this host.
    pub fn new(network: Arc<dyn Network>) -> Self {
        Self { network }
    }

    /// Asks the gateway whose network key is `key`.
    pub async fn ask(&self, key: [u8; 32], question: Bytes, deadline: Duration) -> Result<Bytes, NetError> {
        let peer = peer_id_of(&PublicKey(key))?;
        self.network.request(peer, GATEWAYS, question, deadline).await
    }

    /// Answers what other gateways ask from now on.
    pub fn serve(&self, handler: Arc<dyn GatewayHandler>) {
        self.network.serve(GATEWAYS, Arc::new(Answering(handler)));
    }
}

struct Answering(Arc<dyn GatewayHandler>);

#[async_trait]
impl RequestHandler for Answering {
    async fn handle(&self, _from: PeerId, body: Bytes) -> Result<Bytes, String> {
        self.0.answer(body).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::SecretKey, network::MemoryHub};

    struct Echo;

    #[async_trait]
    impl GatewayHandler for Echo {
        async fn answer(&self, question: Bytes) -> Result<Bytes, String> {
            if question.is_empty() { Err("nothing was asked".into()) } else { Ok(question) }
        }
    }

    #[tokio::test]
    async fn a_gateway_is_found_by_its_key() {
        let hub = MemoryHub::new(1);
        let (here, there) = (SecretKey::from_bytes(&[1; 32]).public(), SecretKey::from_bytes(&[2; 32]).public());
        let link = |key: &PublicKey| GatewayLink::new(hub.join(peer_id_of(key).unwrap()));
        let (one, two) = (link(&here), link(&there));
        two.serve(Arc::new(Echo));
        let deadline = Duration::from_secs(5);
        let question = Bytes::from_static(b"who owns it?");
        assert_eq!(one.ask(there.0, question.clone(), deadline).await.unwrap(), question);
        let refused = one.ask(there.0, Bytes::new(), deadline).await.unwrap_err();
        assert!(refused.to_string().contains("nothing was asked"), "{refused}");
        hub.crash(peer_id_of(&there).unwrap());
        assert!(one.ask(there.0, question, deadline).await.is_err());
    }
}
