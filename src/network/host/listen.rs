//! Binding the listen addresses before a host counts as started.

use super::{behaviour::Behaviour, config::LISTEN_DEADLINE};
use crate::network::port::NetError;
use futures::{FutureExt, StreamExt};
use libp2p::{Multiaddr, Swarm, core::transport::ListenerId, multiaddr::Protocol, swarm::SwarmEvent};
use std::{
    collections::BTreeSet,
    error::Error,
    net::{IpAddr, SocketAddr, TcpListener},
};
use tokio::time::{Instant, timeout_at};

/// Listens on every address and returns the actual ones.
pub(super) async fn bind(swarm: &mut Swarm<Behaviour>, addrs: &[Multiaddr]) -> Result<Vec<Multiaddr>, NetError> {
    let mut waiting = Vec::new();
    for addr in addrs {
        probe(addr)?;
        let id = swarm.listen_on(addr.clone()).map_err(|error| failed(addr, &error))?;
        waiting.push((id, addr.clone()));
    }
    let until = Instant::now() + LISTEN_DEADLINE;
    let mut actual = BTreeSet::new();
    while let Some((_, addr)) = waiting.first() {
        let addr = addr.clone();
        let event = timeout_at(until, swarm.select_next_some()).await;
        let event = event.map_err(|_| NetError::Listen {
            addr: addr.to_string(),
            reason: format!("no address became ready within {} s", LISTEN_DEADLINE.as_secs()),
        })?;
        heed(event, &mut waiting, &mut actual)?;
    }
    // An unspecified address stands for one of each interface: they are reported together.
    while let Some(event) = swarm.next().now_or_never().flatten() {
        heed(event, &mut waiting, &mut actual)?;
    }
    Ok(actual.into_iter().collect())
}

fn heed<E>(
    event: SwarmEvent<E>,
    waiting: &mut Vec<(ListenerId, Multiaddr)>,
    actual: &mut BTreeSet<Multiaddr>,
) -> Result<(), NetError> {
    let requested = |id: ListenerId, waiting: &[(ListenerId, Multiaddr)]| {
        waiting.iter().find(|(other, _)| *other == id).map(|(_, addr)| addr.clone()).unwrap_or_else(Multiaddr::empty)
    };
    match event {
        SwarmEvent::NewListenAddr { listener_id, address } => {
            waiting.retain(|(id, _)| *id != listener_id);
            actual.insert(address);
        }
        SwarmEvent::ListenerError { listener_id, error } => {
            return Err(failed(&requested(listener_id, waiting), &error));
        }
        SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. } => {
            return Err(failed(&requested(listener_id, waiting), &error));
        }
        _ => {}
    }
    Ok(())
}

/// Finds out whether a TCP port is taken: libp2p shares listening ports between sockets of one user, so that a second
/// host on a port would start and steal connections from the first.
fn probe(addr: &Multiaddr) -> Result<(), NetError> {
    let Some(socket) = tcp_socket(addr).filter(|socket| socket.port() != 0) else { return Ok(()) };
    TcpListener::bind(socket).map(drop).map_err(|error| failed(addr, &error))
}

fn tcp_socket(addr: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = addr.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match parts.next()? {
        Protocol::Tcp(port) => Some(SocketAddr::new(ip, port)),
        _ => None,
    }
}

/// The error with the whole chain of its causes.
fn failed(addr: &Multiaddr, error: &(dyn Error + 'static)) -> NetError {
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !reason.contains(&text) {
            reason = format!("{reason}: {text}");
        }
        cause = next.source();
    }
    NetError::Listen { addr: addr.to_string(), reason }
}
