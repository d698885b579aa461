//! Calls through the peer-to-peer host: a home node needs no open port and no HTTP endpoint of a chain node.
//!
//! Several chain nodes may answer. One is used until it fails; a failed one is left alone for a growing while, one that was caught
//! lying for longer.

use super::{Attributed, CALL_DEADLINE, Fault, RpcFailure, RpcTransport, wire};
use crate::client::ChainError;
use crate::network::{NetError, Network, Protocol, RequestHandler};
use crate::rpc::{self, RpcModule, limits};
use async_trait::async_trait;
use bytes::Bytes;
use libp2p::PeerId;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Protocol of tunnelled JSON-RPC.
pub const RPC_PROTOCOL: Protocol = Protocol("/cess/rpc/1");
/// Chain nodes a tunnel may know.
pub const PEERS_MAX: usize = 64;
/// How long one peer may take before the next one is asked.
const ATTEMPT_DEADLINE: Duration = Duration::from_secs(5);
/// Silent peers a call can meet and still find one that answers.
const ATTEMPTS_MIN: u32 = 3;
/// First pause of a peer that failed.
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// Longest pause of a peer that keeps failing.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// Pause of a peer that lied. It is asked again, since whoever has no other peer would be cut off.
const LIAR_PAUSE: Duration = Duration::from_secs(20);
const _: () = assert!(limits::TUNNEL_MAX_BYTES <= crate::network::REQUEST_MAX_BYTES);

/// A client of several chain nodes over a [`Network`].
pub struct TunnelTransport {
    network: Arc<dyn Network>,
    deadline: Duration,
    peers: Mutex<Peers>,
}

#[derive(Default)]
struct Peers {
    known: Vec<PeerState>,
    current: usize,
}

struct PeerState {
    peer: PeerId,
    failures: u32,
    rests_until: Option<Instant>,
}

/// What one attempt taught.
enum Attempt {
    Answered(Result<Value, RpcFailure>),
    Failed(String),
    TooLarge(String),
}

impl TunnelTransport {
    /// A client of `peers`, whose addresses the network knows or finds.
    pub fn new(network: Arc<dyn Network>, peers: Vec<PeerId>) -> Self {
        let tunnel = Self { network, deadline: CALL_DEADLINE, peers: Mutex::new(Peers::default()) };
        tunnel.set_peers(peers);
        tunnel
    }

    /// Ordinary calls end within `deadline` from now on.
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Replaces the chain nodes; the first [`PEERS_MAX`] are kept.
    pub fn set_peers(&self, peers: Vec<PeerId>) {
        let fresh = |peer| PeerState { peer, failures: 0, rests_until: None };
        let known = peers.into_iter().take(PEERS_MAX).map(fresh).collect();
        *self.peers.lock() = Peers { known, current: 0 };
    }

    async fn attempt(&self, peer: PeerId, body: Bytes, limit: Duration) -> Attempt {
        let asked = self.network.request(peer, RPC_PROTOCOL, body, limit);
        match tokio::time::timeout(limit, asked).await {
            Ok(Ok(answer)) if answer.len() > limits::TUNNEL_MAX_BYTES => {
                Attempt::Failed(format!("peer {peer} sent {} B, over {} B", answer.len(), limits::TUNNEL_MAX_BYTES))
            }
            Ok(Ok(answer)) => match wire::answer(&answer) {
                Ok(answer) => Attempt::Answered(answer),
                Err(e) => Attempt::Failed(format!("peer {peer}: {e}")),
            },
            Ok(Err(NetError::TooLarge { what, len, max })) => {
                Attempt::TooLarge(format!("{what} of {len} B is over the limit of {max} B"))
            }
            Ok(Err(e)) => Attempt::Failed(e.to_string()),
            Err(_) => Attempt::Failed(format!("peer {peer} did not answer within {} ms", limit.as_millis())),
        }
    }
}

#[async_trait]
impl RpcTransport for TunnelTransport {
    async fn exchange(
        &self,
        method: &str,
        params: Value,
        patience: Duration,
    ) -> Result<Result<Value, RpcFailure>, ChainError> {
        Ok(self.exchange_with(method, params, patience).await?.0)
    }

    fn nodes(&self) -> usize {
        self.peers.lock().known.len()
    }

    fn blame(&self, node: Option<PeerId>, fault: Fault, reason: &str) {
        let Some(peer) = node else { return };
        match fault {
            Fault::Lied => tracing::warn!(%peer, reason, "chain node lied"),
            Fault::Lacking => tracing::debug!(%peer, reason, "chain node lacks what was asked for"),
        }
        self.peers.lock().blamed(peer, fault, Instant::now());
    }

    async fn exchange_with(&self, method: &str, params: Value, patience: Duration) -> Result<Attributed, ChainError> {
        let body = Bytes::from(wire::question(method, &params));
        if body.len() > limits::TUNNEL_MAX_BYTES {
            let reason = format!("request of {} B is over the limit of {} B", body.len(), limits::TUNNEL_MAX_BYTES);
            return Ok((Err(too_large(rpc::error::REQUEST_TOO_LARGE, reason)), None));
        }
        let end = Instant::now() + self.deadline + patience;
        let mut last = match self.nodes() {
            0 => "no chain node is known".to_owned(),
            _ => "every chain node rests after a failure".to_owned(),
        };
        loop {
            let now = Instant::now();
            let Some((at, peer, wake)) = self.peers.lock().choose(now).filter(|(_, _, wake)| *wake < end) else {
                return Err(ChainError::Unreachable(format!("`{method}`: {last}")));
            };
            tokio::time::sleep_until(wake).await;
            let left = end.saturating_duration_since(Instant::now());
            let limit = left.min(ATTEMPT_DEADLINE.min(self.deadline / ATTEMPTS_MIN) + patience);
            match self.attempt(peer, body.clone(), limit).await {
                Attempt::Answered(answer) => {
                    self.peers.lock().worked(at, peer);
                    return Ok((answer, Some(peer)));
                }
                Attempt::TooLarge(reason) => {
                    return Ok((Err(too_large(rpc::error::ANSWER_TOO_LARGE, reason)), Some(peer)));
                }
                Attempt::Failed(reason) => {
                    tracing::debug!(%peer, method, reason, "chain node did not answer");
                    self.peers.lock().failed(at, peer, Instant::now());
                    last = reason;
                }
            }
        }
    }
}

fn too_large(code: i32, message: String) -> RpcFailure {
    RpcFailure { code, message, data: None }
}

impl Peers {
    /// The peer to ask next and when: the current one while it works, else the next rested one, else the first to rest out.
    fn choose(&self, now: Instant) -> Option<(usize, PeerId, Instant)> {
        let n = self.known.len();
        let in_turn = (0..n).map(|i| (self.current + i) % n);
        let wake = |at: usize| self.known[at].rests_until.map_or(now, |until| until.max(now));
        in_turn.min_by_key(|at| wake(*at)).map(|at| (at, self.known[at].peer, wake(at)))
    }

    fn worked(&mut self, at: usize, peer: PeerId) {
        if let Some(state) = self.known.get_mut(at).filter(|state| state.peer == peer) {
            state.failures = 0;
            state.rests_until = None;
            self.current = at;
        }
    }

    fn blamed(&mut self, peer: PeerId, fault: Fault, now: Instant) {
        let Some(at) = self.known.iter().position(|state| state.peer == peer) else { return };
        self.failed(at, peer, now);
        if fault == Fault::Lied {
            self.known[at].rests_until = Some(now + LIAR_PAUSE);
        }
    }

    fn failed(&mut self, at: usize, peer: PeerId, now: Instant) {
        let Some(state) = self.known.get_mut(at).filter(|state| state.peer == peer) else { return };
        let pause = BACKOFF_FIRST.saturating_mul(1 << state.failures.min(16)).min(BACKOFF_MAX);
        state.failures = state.failures.saturating_add(1);
        state.rests_until = Some(now + pause);
        if self.current == at {
            self.current = (at + 1) % self.known.len();
        }
    }
}

/// Answers tunnelled calls on `network` with the methods of `module` named in `allow`.
pub fn serve_tunnel(network: &dyn Network, module: RpcModule<()>, allow: &'static [&'static str]) {
    network.serve(RPC_PROTOCOL, Arc::new(TunnelHandler { module, allow }));
}

struct TunnelHandler {
    module: RpcModule<()>,
    allow: &'static [&'static str],
}

#[async_trait]
impl RequestHandler for TunnelHandler {
    async fn handle(&self, _from: PeerId, body: Bytes) -> Result<Bytes, String> {
        Ok(rpc::call_raw(&self.module, &body, self.allow).await.into())
    }
}
