//! The engine's network actor over the node's host: every message it gets is one call on the hub or the sync streams.

use super::{codec::Message, hub::Hub, sync::SyncStreams};
use crate::consensus::context::BftContext;
use arc_malachitebft_app_channel::app::{
    consensus::LivenessMsg,
    engine::network::{Msg, NetworkRef},
    types::SignedConsensusMsg,
};
use async_trait::async_trait;
use ractor::{Actor, ActorProcessingErr, ActorRef, SpawnErr};
use std::sync::Arc;

/// The actor. Its state is shared with the links, which run outside of it.
pub(super) struct NetworkActor {
    hub: Arc<Hub>,
    sync: Arc<SyncStreams>,
}

impl NetworkActor {
    /// Starts it.
    pub async fn spawn(hub: Arc<Hub>, sync: Arc<SyncStreams>) -> Result<NetworkRef<BftContext>, SpawnErr> {
        let (actor, _) = Actor::spawn(None, Self { hub, sync }, ()).await?;
        Ok(actor)
    }

    fn publish_liveness(&self, message: LivenessMsg<BftContext>) {
        self.hub.say(&match message {
            LivenessMsg::Vote(vote) => Message::from(SignedConsensusMsg::Vote(vote)),
            LivenessMsg::PolkaCertificate(polka) => Message::Polka(polka.into()),
            LivenessMsg::SkipRoundCertificate(proof) => Message::Round(proof.into()),
        });
    }
}

#[async_trait]
impl Actor for NetworkActor {
    type Msg = Msg<BftContext>;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Self::Msg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<Self::Msg>, message: Self::Msg, (): &mut ()) -> Result<(), ActorProcessingErr> {
        match message {
            Msg::Subscribe(listener) => self.hub.listen(listener),
            Msg::PublishConsensusMsg(message) => self.hub.say(&message.into()),
            Msg::PublishLivenessMsg(message) => self.publish_liveness(message),
            Msg::PublishProposalPart(message) => {
                if let Some(part) = message.content.into_data() {
                    self.hub.say(&Message::Part(part));
                }
            }
            Msg::BroadcastStatus(status) => self.hub.set_tip(status.tip_height.0, status.history_min_height.0),
            // A requester that has gone needs no answer.
            Msg::OutgoingRequest(peer, request, reply) => drop(reply.send(self.sync.request(peer, request))),
            Msg::OutgoingResponse(id, response) => self.sync.respond(&id, &response),
            Msg::CancelInboundRequest(id) => self.sync.cancel(&id),
            Msg::DumpState(reply) => drop(reply.send(None)),
            Msg::UpdateValidatorSet(seats) => self.hub.enter(&seats),
            // Requests end by their deadline; peers and their proofs are the host's business.
            Msg::CancelRequest(_)
            | Msg::UpdatePersistentPeers(..)
            | Msg::ValidatorProofVerified { .. }
            | Msg::NewEvent(_) => {}
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Self::Msg>, (): &mut ()) -> Result<(), ActorProcessingErr> {
        self.hub.close();
        Ok(())
    }
}
