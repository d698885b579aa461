//! The remote chain over tunnels of an in-memory network.

use super::fake::{FakeChain, module};
use crate::client::{
    ChainClient, ChainError, RPC_PROTOCOL, RemoteChain, RpcTransport, TUNNEL_METHODS, TunnelTransport, serve_tunnel,
};
use crate::network::{LinkRule, MemoryHub, Network, PeerId, RequestHandler};
use crate::rpc::{RpcModule, error, limits};
use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_millis(600);

/// A home node and `n` chain nodes that serve one chain.
struct World {
    hub: Arc<MemoryHub>,
    chain: Arc<FakeChain>,
    nodes: Vec<PeerId>,
    home: Arc<dyn Network>,
}

fn world(n: usize) -> World {
    let (hub, chain) = (MemoryHub::new(1), FakeChain::new());
    let nodes: Vec<PeerId> = (0..n).map(|_| PeerId::random()).collect();
    for node in &nodes {
        serve_tunnel(hub.join(*node).as_ref(), module(&chain), TUNNEL_METHODS);
    }
    let home = hub.join(PeerId::random());
    World { hub, chain, nodes, home }
}

impl World {
    fn tunnel(&self) -> Arc<TunnelTransport> {
        Arc::new(TunnelTransport::new(self.home.clone(), self.nodes.clone()).with_deadline(DEADLINE))
    }
}

#[tokio::test]
async fn a_tunnel_is_as_good_as_http() {
    let world = world(1);
    world.chain.block(Vec::new());
    let remote = RemoteChain::new(world.tunnel());
    assert_eq!(remote.status().await.unwrap(), world.chain.status().await.unwrap());
    assert_eq!(remote.wait_above(0, DEADLINE).await.unwrap().height, 1);
    assert_eq!(remote.miners().await.unwrap(), Vec::new());
    let raw = alloy_primitives::Bytes::from_static(b"envelope");
    assert_eq!(remote.submit(raw.clone()).await.unwrap(), remote.submit(raw).await.unwrap());
}

#[tokio::test]
async fn when_a_node_dies_the_next_one_answers_and_stays_chosen() {
    let world = world(3);
    let remote = RemoteChain::new(world.tunnel());
    remote.status().await.unwrap();
    world.hub.crash(world.nodes[0]);
    remote.status().await.unwrap();
    world.hub.crash(world.nodes[2]);
    let since = Instant::now();
    remote.status().await.unwrap();
    assert!(since.elapsed() < DEADLINE / 6, "the working node is asked first");
}

#[tokio::test]
async fn a_silent_node_costs_one_attempt_only() {
    let world = world(2);
    let lost = LinkRule { loss_per_mille: 1000, ..LinkRule::default() };
    world.hub.set_link(world.home.local_peer(), world.nodes[0], lost);
    let remote = RemoteChain::new(world.tunnel());
    remote.status().await.unwrap();
    let since = Instant::now();
    remote.status().await.unwrap();
    assert!(since.elapsed() < DEADLINE / 6, "the silent node is left alone");
}

#[tokio::test]
async fn no_call_outlives_its_deadline() {
    let world = world(2);
    for node in &world.nodes {
        world.hub.crash(*node);
    }
    let remote = RemoteChain::new(world.tunnel());
    let since = Instant::now();
    let refused = remote.status().await.unwrap_err();
    assert!(matches!(&refused, ChainError::Unreachable(why) if why.contains("cess_status")), "{refused:?}");
    assert!(since.elapsed() < DEADLINE * 2);
    let nobody = TunnelTransport::new(world.home.clone(), Vec::new());
    assert!(matches!(RemoteChain::new(Arc::new(nobody)).status().await, Err(ChainError::Unreachable(_))));
}

#[tokio::test]
async fn a_node_that_comes_back_is_used_again() {
    let world = world(1);
    world.hub.crash(world.nodes[0]);
    let tunnel = world.tunnel();
    let remote = RemoteChain::new(tunnel.clone());
    assert!(remote.status().await.is_err());
    serve_tunnel(world.hub.join(world.nodes[0]).as_ref(), module(&world.chain), TUNNEL_METHODS);
    remote.status().await.unwrap();
    tunnel.set_peers(Vec::new());
    assert!(remote.status().await.is_err());
}

#[tokio::test]
async fn only_listed_methods_pass() {
    let world = world(0);
    let node = world.hub.join(PeerId::random());
    let mut module = RpcModule::new(());
    module.register_method("admin_stop", |_, _, _| true).unwrap();
    serve_tunnel(node.as_ref(), module, TUNNEL_METHODS);
    let tunnel = TunnelTransport::new(world.home.clone(), vec![node.local_peer()]);
    let refused = tunnel.exchange("admin_stop", json!([]), Duration::ZERO).await.unwrap().unwrap_err();
    assert_eq!(refused.code, error::METHOD_NOT_FOUND);
}

#[tokio::test]
async fn questions_that_are_too_long_are_not_sent() {
    let world = world(1);
    let long = Value::String("x".repeat(limits::TUNNEL_MAX_BYTES));
    let refused = world.tunnel().exchange("eth_call", long, Duration::ZERO).await.unwrap().unwrap_err();
    assert_eq!(refused.code, error::REQUEST_TOO_LARGE);
}

/// Answers everything with the same bytes.
struct Parrot(Bytes);

#[async_trait]
impl RequestHandler for Parrot {
    async fn handle(&self, _from: PeerId, _body: Bytes) -> Result<Bytes, String> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
async fn nonsense_and_oversized_answers_are_refused() {
    let world = world(1);
    let bad = world.hub.join(PeerId::random());
    let nodes = vec![bad.local_peer(), world.nodes[0]];
    for answer in [Bytes::from_static(b"nonsense"), vec![b' '; limits::TUNNEL_MAX_BYTES + 1].into()] {
        bad.serve(RPC_PROTOCOL, Arc::new(Parrot(answer)));
        let alone = TunnelTransport::new(world.home.clone(), vec![bad.local_peer()]).with_deadline(DEADLINE);
        assert!(RemoteChain::new(Arc::new(alone)).status().await.is_err());
        let both = TunnelTransport::new(world.home.clone(), nodes.clone()).with_deadline(DEADLINE);
        RemoteChain::new(Arc::new(both)).status().await.unwrap();
    }
}
