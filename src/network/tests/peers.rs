//! Connections.

use super::rig::{ECHO, Echo, Rig, SOON, assert_echo, connect, event, peer, soon, until};
use crate::network::{NetError, PeerEvent};
use bytes::Bytes;
use futures::future::join_all;
use std::{sync::Arc, time::Duration};

pub async fn both_sides_see_peers_come_and_go(rig: &mut impl Rig) {
    let (a, b) = (rig.host(1).await, rig.host(2).await);
    let (mut at_a, mut at_b) = (a.peer_events(), b.peer_events());
    connect(&a, &b).await;
    event(&mut at_a, PeerEvent::Connected(b.local_peer())).await;
    event(&mut at_b, PeerEvent::Connected(a.local_peer())).await;
    assert_eq!(a.peers()[0].peer, b.local_peer());
    until("b is identified", || a.peers().first().is_some_and(|info| info.agent.is_some())).await;
    a.disconnect(b.local_peer());
    event(&mut at_a, PeerEvent::Disconnected(b.local_peer())).await;
    // Not checked: that they stay apart. The lookup service of either may dial again.
    event(&mut at_b, PeerEvent::Disconnected(a.local_peer())).await;
}

pub async fn a_disconnected_peer_is_reached_again(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    b.serve(ECHO, Arc::new(Echo));
    for _ in 0..3 {
        let (mut at_a, mut at_b) = (a.peer_events(), b.peer_events());
        assert_echo(&a, b.local_peer()).await;
        b.disconnect(a.local_peer());
        event(&mut at_a, PeerEvent::Disconnected(b.local_peer())).await;
        event(&mut at_b, PeerEvent::Disconnected(a.local_peer())).await;
    }
    a.connect(b.local_peer()).await.unwrap();
    assert_echo(&a, b.local_peer()).await;
}

pub async fn one_connection_serves_concurrent_callers(rig: &mut impl Rig) {
    let (a, b) = (rig.host(1).await, rig.host(2).await);
    let mut at_a = a.peer_events();
    a.add_address(b.local_peer(), b.listen_addrs()[0].clone());
    let connects = join_all((0..20).map(|_| a.connect(b.local_peer()))).await;
    assert!(connects.iter().all(Result::is_ok));
    event(&mut at_a, PeerEvent::Connected(b.local_peer())).await;
    assert!(at_a.try_recv().is_err(), "connected more than once");
}

pub async fn the_connection_limit_holds(rig: &mut impl Rig) {
    let full = rig.limited(1, 1).await;
    full.serve(ECHO, Arc::new(Echo));
    let (first, second) = (rig.host(2).await, rig.host(3).await);
    let mut at_full = full.peer_events();
    connect(&first, &full).await;
    event(&mut at_full, PeerEvent::Connected(first.local_peer())).await;
    // A libp2p host learns only after its handshake that it is not wanted.
    second.add_address(full.local_peer(), full.listen_addrs()[0].clone());
    match second.request(full.local_peer(), ECHO, Bytes::new(), Duration::from_secs(5)).await {
        Err(_) => assert_echo(&first, full.local_peer()).await,
        // A machine that is busy may lose a connection by itself. Nobody takes the room of one that is there.
        Ok(_) => event(&mut at_full, PeerEvent::Disconnected(first.local_peer())).await,
    }
    assert!(full.peers().len() <= 1);
    // A mere disconnect would not do: the lookup service of a live host may dial again. The same service lets the second try by
    // itself, and a try from before there was room ends what is asked over it.
    first.shutdown().await;
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut ask = async || {
        while second.request(full.local_peer(), ECHO, Bytes::new(), SOON).await.is_err() {
            tick.tick().await;
        }
    };
    soon("the second gets in", ask()).await;
    assert_eq!(full.peers().iter().map(|info| info.peer).collect::<Vec<_>>(), [second.local_peer()]);
}

pub async fn an_absent_peer_is_unreachable(rig: &mut impl Rig) {
    let (a, b) = rig.pair().await;
    let addr = b.listen_addrs()[0].clone();
    b.shutdown().await;
    until("b is gone", || a.peers().is_empty()).await;
    let error = a.dial(addr).await.unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
    let error = a.connect(peer(99)).await.unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
    let error = a.connect(a.local_peer()).await.unwrap_err();
    assert!(matches!(error, NetError::Unreachable { .. }), "{error}");
}
