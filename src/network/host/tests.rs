//! What only the libp2p host does: listening, discovery, and peers that do not keep to the protocol.

use super::*;
use crate::network::{
    FRAME_MAX_BYTES,
    tests::rig::{BULK, ECHO, Echo, HostRig, SOON, assert_echo, next, peer, soon, until},
};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    PeerId, Stream, StreamProtocol, SwarmBuilder, noise,
    swarm::{SwarmEvent, dummy},
    tcp, yamux,
};

/// Two connected hosts, the second with an echo service, and the second's accepted streams.
async fn pair(rig: &mut HostRig) -> (Arc<Libp2pNetwork>, Arc<Libp2pNetwork>, mpsc::Receiver<Box<dyn Frames>>) {
    let a = rig.start(rig.config(1)).await;
    let b = rig.start(rig.config(2)).await;
    b.serve(ECHO, Arc::new(Echo));
    let accepted = b.accept(BULK);
    a.dial(b.listen_addrs()[0].clone()).await.unwrap();
    (a, b, accepted)
}

async fn raw(a: &Libp2pNetwork, to: PeerId, protocol: StreamProtocol) -> Stream {
    a.streams.clone().open_stream(to, protocol).await.unwrap()
}

async fn assert_unharmed(a: Arc<Libp2pNetwork>, b: PeerId) {
    assert_echo(&(a as Arc<dyn Network>), b).await;
}

/// A bulk stream that `a` may write anything to.
async fn greeted(a: &Libp2pNetwork, to: PeerId) -> Stream {
    let mut stream = raw(a, to, streams::BULK_PROTOCOL).await;
    stream.write_all(&wire::name_prefix(BULK.0).unwrap()).await.unwrap();
    stream.flush().await.unwrap();
    let mut status = [0];
    stream.read_exact(&mut status).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn port_zero_becomes_a_real_port() {
    let mut rig = HostRig::tcp();
    let mut config = rig.config(1);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap(), "/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap()];
    let host = rig.start(config).await;
    let addrs: Vec<String> = host.listen_addrs().iter().map(ToString::to_string).collect();
    assert_eq!(addrs.len(), 2);
    for addr in addrs {
        assert!(!addr.contains("/tcp/0/") && !addr.contains("/udp/0/"), "{addr}");
        assert!(addr.ends_with(&format!("/p2p/{}", peer(1))), "{addr}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_port_is_named() {
    for mut rig in [HostRig::tcp(), HostRig::quic()] {
        let first = rig.start(rig.config(1)).await;
        let taken = state::without_peer(first.listen_addrs()[0].clone());
        let mut config = rig.config(2);
        config.listen = vec![taken.clone()];
        let node = Node::new("second", crate::runtime::CpuPool::new("second", 1));
        let error = Libp2pNetwork::start(config, &node).await.err().unwrap();
        assert!(matches!(&error, NetError::Listen { addr, .. } if *addr == taken.to_string()), "{error}");
        assert!(error.to_string().to_lowercase().contains("in use"), "{error}");
        assert!(node.tasks.running().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_frame_length_breaks_only_its_stream() {
    let (a, b, mut accepted) = pair(&mut HostRig::tcp()).await;
    let mut good = a.open(b.local_peer(), BULK).await.unwrap();
    let mut good_end = next(&mut accepted).await;
    let mut bad = greeted(&a, b.local_peer()).await;
    let mut bad_end = next(&mut accepted).await;
    let claim = u32::try_from(FRAME_MAX_BYTES + 1).unwrap();
    bad.write_all(&claim.to_le_bytes()).await.unwrap();
    bad.write_all(&[0xee; 1000]).await.unwrap();
    bad.flush().await.unwrap();
    let error = soon("the refusal", bad_end.recv()).await.unwrap_err();
    assert!(matches!(error, NetError::TooLarge { len, .. } if len == FRAME_MAX_BYTES + 1), "{error}");
    assert!(matches!(bad_end.recv().await, Err(NetError::Closed(_))));
    good.send(Bytes::from_static(b"unharmed")).await.unwrap();
    assert_eq!(soon("a frame", good_end.recv()).await.unwrap().unwrap(), "unharmed");
    assert_unharmed(a, b.local_peer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_cut_at_a_frame_boundary_is_not_an_end() {
    let (a, b, mut accepted) = pair(&mut HostRig::tcp()).await;
    let mut cut = greeted(&a, b.local_peer()).await;
    let mut end = next(&mut accepted).await;
    cut.write_all(&[2, 0, 0, 0, 7, 8]).await.unwrap();
    cut.close().await.unwrap();
    drop(cut);
    assert_eq!(soon("the frame", end.recv()).await.unwrap().unwrap(), &[7, 8][..]);
    assert!(matches!(soon("the cut", end.recv()).await, Err(NetError::Closed(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_greetings_and_requests_harm_nobody() {
    let (a, b, _accepted) = pair(&mut HostRig::tcp()).await;
    for protocol in [streams::BULK_PROTOCOL, wire::REQUEST_PROTOCOL] {
        for garbage in [&[0xff; 300][..], &[0], &[3, b'a'], &[1, b'x', 0xff, 0xff, 0xff, 0xff, 1, 2, 3]] {
            let mut stream = raw(&a, b.local_peer(), protocol.clone()).await;
            // The other end may drop the stream before it has everything.
            let _ = stream.write_all(garbage).await;
            let _ = stream.close().await;
            let mut rest = Vec::new();
            let _ = soon("the stream ends", stream.read_to_end(&mut rest)).await;
            assert!(rest.len() <= 200, "{} B answer garbage", rest.len());
        }
    }
    assert_unharmed(a, b.local_peer()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_of_another_network_part() {
    let mut rig = HostRig::tcp();
    let a = rig.start(rig.config(1)).await;
    let mut config = rig.config(2);
    config.chain_tag = "other".to_owned();
    let b = rig.start(config).await;
    a.dial(b.listen_addrs()[0].clone()).await.unwrap();
    until("they part", || a.peers().is_empty() && b.peers().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_without_tls_is_met_with_noise() {
    let mut rig = HostRig::tcp();
    let host = rig.start(rig.config(1)).await;
    let mut other = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_tcp(tcp::Config::new(), noise::Config::new, yamux::Config::default)
        .unwrap()
        .with_behaviour(|_| dummy::Behaviour)
        .unwrap()
        .build();
    other.dial(host.listen_addrs()[0].clone()).unwrap();
    let met = soon("a connection", async {
        loop {
            if let SwarmEvent::ConnectionEstablished { peer_id, .. } = other.select_next_some().await {
                return peer_id;
            }
        }
    });
    assert_eq!(met.await, host.local_peer());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bootstrap_peers_are_reached_and_lead_to_others() {
    let mut rig = HostRig::tcp();
    let hub = rig.start(rig.config(1)).await;
    let mut hosts = Vec::new();
    for seed in [2, 3] {
        let mut config = rig.config(seed);
        config.bootstrap = hub.listen_addrs();
        hosts.push(rig.start(config).await);
    }
    until("both joined", || hub.peers().len() == 2).await;
    until("both are identified", || hub.peers().iter().all(|info| info.agent.is_some())).await;
    hosts[1].serve(ECHO, Arc::new(Echo));
    // Nobody told the first host where the second listens.
    soon("the lookup", async {
        while hosts[0].connect(peer(3)).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_unharmed(hosts[0].clone(), peer(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bootstrap_address_needs_its_peer() {
    let rig = HostRig::tcp();
    let mut config = rig.config(1);
    config.bootstrap = vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()];
    let node = Node::new("test", crate::runtime::CpuPool::new("test", 1));
    let error = Libp2pNetwork::start(config, &node).await.err().unwrap();
    assert!(error.to_string().contains("/ip4/127.0.0.1/tcp/1"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_stops_in_order_with_its_host() {
    let rig = HostRig::tcp();
    let node = Node::new("test", crate::runtime::CpuPool::new("test", 1));
    let host = Libp2pNetwork::start(rig.config(1), &node).await.unwrap();
    assert_eq!(node.tasks.running().len(), 4);
    let aborted = node.tasks.shutdown().await;
    assert!(aborted.is_empty(), "{aborted:?}");
    let error = host.request(peer(2), ECHO, Bytes::new(), SOON).await.unwrap_err();
    assert!(matches!(error, NetError::Closed(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_peer_cannot_take_every_handler() {
    let mut rig = HostRig::tcp();
    let (a, b, _accepted) = pair(&mut rig).await;
    let hang = Bytes::from_static(b"hang");
    let mut asked: futures::stream::FuturesUnordered<_> =
        (0..config::MAX_HANDLED_PER_PEER + 20).map(|_| a.request(b.local_peer(), ECHO, hang.clone(), SOON)).collect();
    for _ in 0..20 {
        let refused = soon("a refusal", asked.next()).await.unwrap();
        assert!(matches!(refused, Err(NetError::Refused { .. })), "{refused:?}");
    }
    let other = rig.start(rig.config(3)).await;
    other.dial(b.listen_addrs()[0].clone()).await.unwrap();
    assert_unharmed(other, b.local_peer()).await;
}
