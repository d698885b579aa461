//! Other gateways over the storage layer's link.

use super::port::{PeerFault, PeerHandler, Peers};
use crate::storage::peers::{GatewayHandler, GatewayLink, QUESTION_MAX_BYTES};
use async_trait::async_trait;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};

const _: () = assert!(super::wire::MESSAGE_MAX_BYTES <= QUESTION_MAX_BYTES);

#[async_trait]
impl Peers for GatewayLink {
    async fn ask(&self, peer: [u8; 32], question: Bytes, deadline: Duration) -> Result<Bytes, PeerFault> {
        GatewayLink::ask(self, peer, question, deadline).await.map_err(|error| PeerFault(error.to_string()))
    }

    fn serve(&self, handler: Arc<dyn PeerHandler>) {
        GatewayLink::serve(self, Arc::new(Asked(handler)));
    }
}

struct Asked(Arc<dyn PeerHandler>);

#[async_trait]
impl GatewayHandler for Asked {
    async fn answer(&self, question: Bytes) -> Result<Bytes, String> {
        self.0.answer(question).await
    }
}
