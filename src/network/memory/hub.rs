//! The hub: which hosts exist, which are connected, and by which rules.

use super::{
    gossip::{GossipIn, Seen, run_gossip},
    host::MemoryNetwork,
};
use crate::{
    network::{
        port::{NetError, PeerEvent},
        registry::{PEER_EVENTS_MAX_WAITING, Registry},
    },
    runtime::{Criticality, Phase, Tasks},
};
use libp2p::{Multiaddr, PeerId, multiaddr};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha12Rng;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Gossip messages on their way to one host; more are lost.
const GOSSIP_MAX_UNDER_WAY: usize = 4096;
/// A loss of every message.
const PER_MILLE: u16 = 1000;

/// How a link behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LinkRule {
    /// Time a message takes one way.
    pub latency: Duration,
    /// It may take up to so much more. Frames of one stream keep their order all the same.
    pub jitter: Duration,
    /// Of a thousand messages so many are lost: a lost request or gossip message never arrives, a lost frame breaks its
    /// stream as a reliable transport would.
    pub loss_per_mille: u16,
    /// Of a thousand gossip messages so many are heard twice, as one is that returns when its receiver has forgotten it.
    /// Requests and streams are never doubled: their transport is reliable.
    pub doubled_per_mille: u16,
    /// No connection stands or can be made.
    pub partitioned: bool,
}

/// What happens to one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Arrives(Duration),
    Lost,
    Cut,
}

/// All hosts of one simulated network.
pub struct MemoryHub {
    state: Mutex<State>,
    pub(super) tasks: Tasks,
}

struct State {
    hosts: BTreeMap<PeerId, Arc<Host>>,
    /// Number of each host ever joined: its address, the same after a restart.
    numbers: BTreeMap<PeerId, u64>,
    /// Standing connections. The token is cancelled when the connection ends.
    links: BTreeMap<(PeerId, PeerId), CancellationToken>,
    /// Rules of what goes from the first to the second.
    rules: BTreeMap<(PeerId, PeerId), LinkRule>,
    default_rule: LinkRule,
    rng: ChaCha12Rng,
}

impl State {
    fn rule(&self, from: PeerId, to: PeerId) -> LinkRule {
        self.rules.get(&(from, to)).copied().unwrap_or(self.default_rule)
    }

    /// Whether nothing can stand between the two: a connection needs both directions.
    fn partitioned(&self, a: PeerId, b: PeerId) -> bool {
        self.rule(a, b).partitioned || self.rule(b, a).partitioned
    }

    fn chance(&mut self, per_mille: u16) -> bool {
        per_mille > 0 && self.rng.gen_range(0..PER_MILLE) < per_mille
    }
}

/// One host as the hub sees it.
pub(super) struct Host {
    pub(super) peer: PeerId,
    pub(super) addr: Multiaddr,
    pub(super) registry: Registry,
    pub(super) events: broadcast::Sender<PeerEvent>,
    pub(super) gossip: mpsc::Sender<GossipIn>,
    pub(super) seen: Mutex<Seen>,
    /// Cancelled when the host crashes or shuts down.
    pub(super) down: CancellationToken,
    max_connections: usize,
}

fn pair(a: PeerId, b: PeerId) -> (PeerId, PeerId) {
    if a <= b { (a, b) } else { (b, a) }
}

impl MemoryHub {
    /// An empty network. All its randomness comes from `seed`.
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                hosts: BTreeMap::new(),
                numbers: BTreeMap::new(),
                links: BTreeMap::new(),
                rules: BTreeMap::new(),
                default_rule: LinkRule::default(),
                rng: ChaCha12Rng::seed_from_u64(seed),
            }),
            tasks: Tasks::new("memory network"),
        })
    }

    /// Adds a host. A peer that is there already crashes and starts anew.
    pub fn join(self: &Arc<Self>, peer: PeerId) -> Arc<MemoryNetwork> {
        self.join_limited(peer, usize::MAX)
    }

    /// Adds a host that keeps at most `max_connections` connections.
    pub fn join_limited(self: &Arc<Self>, peer: PeerId, max_connections: usize) -> Arc<MemoryNetwork> {
        self.crash(peer);
        let (gossip, incoming) = mpsc::channel(GOSSIP_MAX_UNDER_WAY);
        let mut state = self.state.lock();
        let next = u64::try_from(state.numbers.len()).expect("hosts of a test fit into u64") + 1;
        let number = *state.numbers.entry(peer).or_insert(next);
        let addr = Multiaddr::empty().with(multiaddr::Protocol::Memory(number)).with(multiaddr::Protocol::P2p(peer));
        let host = Arc::new(Host {
            peer,
            addr,
            registry: Registry::default(),
            events: broadcast::Sender::new(PEER_EVENTS_MAX_WAITING),
            gossip,
            seen: Mutex::default(),
            down: CancellationToken::new(),
            max_connections,
        });
        state.hosts.insert(peer, host.clone());
        drop(state);
        let name = format!("gossip of {peer}");
        self.tasks.spawn(Phase::Network, name, Criticality::Optional, run_gossip(host.clone(), incoming));
        Arc::new(MemoryNetwork::new(self.clone(), host))
    }

    /// Ends a host at once: its streams break, its requests fail, and it answers nothing more.
    pub fn crash(&self, peer: PeerId) {
        let Some(host) = self.state.lock().hosts.remove(&peer) else { return };
        host.down.cancel();
        host.registry.close();
        for other in self.connected(peer) {
            self.unlink(peer, other);
        }
    }

    /// Sets the rule of one link from now on, in both directions. A partition also cuts the standing connection.
    pub fn set_link(&self, a: PeerId, b: PeerId, rule: LinkRule) {
        self.set_path(a, b, rule);
        self.set_path(b, a, rule);
    }

    /// Sets the rule of one direction of a link from now on. A partition cuts the connection, which needs both.
    pub fn set_path(&self, from: PeerId, to: PeerId, rule: LinkRule) {
        self.state.lock().rules.insert((from, to), rule);
        if rule.partitioned {
            self.unlink(from, to);
        }
    }

    /// Sets the rule of every link that has none of its own. A partition also cuts the standing connections.
    pub fn set_default(&self, rule: LinkRule) {
        self.state.lock().default_rule = rule;
        let links: Vec<_> = self.state.lock().links.keys().copied().collect();
        for (a, b) in links.into_iter().filter(|&(a, b)| self.partitioned(a, b)) {
            self.unlink(a, b);
        }
    }

    /// Forgets every rule of single links.
    pub fn clear_links(&self) {
        self.state.lock().rules.clear();
    }

    fn partitioned(&self, a: PeerId, b: PeerId) -> bool {
        self.state.lock().partitioned(a, b)
    }

    /// Draws what happens to one message from `from` to `to`.
    pub(super) fn fate(&self, from: PeerId, to: PeerId) -> Fate {
        let mut state = self.state.lock();
        if state.partitioned(from, to) || !state.hosts.contains_key(&from) || !state.hosts.contains_key(&to) {
            return Fate::Cut;
        }
        let rule = state.rule(from, to);
        if state.chance(rule.loss_per_mille) {
            return Fate::Lost;
        }
        let more =
            if rule.jitter.is_zero() { Duration::ZERO } else { state.rng.gen_range(Duration::ZERO..=rule.jitter) };
        Fate::Arrives(rule.latency + more)
    }

    /// Draws whether a gossip message from `from` to `to` is heard twice.
    pub(super) fn doubles(&self, from: PeerId, to: PeerId) -> bool {
        let mut state = self.state.lock();
        let per_mille = state.rule(from, to).doubled_per_mille;
        state.chance(per_mille)
    }

    pub(super) fn host(&self, peer: PeerId) -> Option<Arc<Host>> {
        self.state.lock().hosts.get(&peer).cloned()
    }

    /// The host that listens on `addr`.
    pub(super) fn host_at(&self, addr: &Multiaddr) -> Option<Arc<Host>> {
        self.state.lock().hosts.values().find(|host| host.addr == *addr).cloned()
    }

    /// The standing connection of `from` to `to`, made if there is none.
    pub(super) fn link(&self, from: PeerId, to: PeerId) -> Result<CancellationToken, NetError> {
        let (a, b, token) = {
            let mut state = self.state.lock();
            let (Some(a), Some(b)) = (state.hosts.get(&from).cloned(), state.hosts.get(&to).cloned()) else {
                return Err(NetError::unreachable(&to, "the host is down"));
            };
            if state.partitioned(from, to) {
                return Err(NetError::unreachable(&to, "the link is partitioned"));
            }
            if let Some(token) = state.links.get(&pair(from, to)) {
                return Ok(token.clone());
            }
            for host in [&a, &b] {
                let standing = state.links.keys().filter(|(a, b)| *a == host.peer || *b == host.peer).count();
                if standing >= host.max_connections {
                    let reason = format!("{} has its limit of {} connections", host.peer, host.max_connections);
                    return Err(NetError::unreachable(&to, reason));
                }
            }
            let token = CancellationToken::new();
            state.links.insert(pair(from, to), token.clone());
            (a, b, token)
        };
        // Fails only when nobody listens.
        let _ = a.events.send(PeerEvent::Connected(b.peer));
        let _ = b.events.send(PeerEvent::Connected(a.peer));
        Ok(token)
    }

    /// Ends the connection of `a` and `b`, if there is one.
    pub(super) fn unlink(&self, a: PeerId, b: PeerId) {
        let (token, hosts) = {
            let mut state = self.state.lock();
            let Some(token) = state.links.remove(&pair(a, b)) else { return };
            (token, [(state.hosts.get(&a).cloned(), b), (state.hosts.get(&b).cloned(), a)])
        };
        token.cancel();
        for (host, other) in hosts {
            if let Some(host) = host {
                let _ = host.events.send(PeerEvent::Disconnected(other));
            }
        }
    }

    /// Peers connected to `peer`.
    pub(super) fn connected(&self, peer: PeerId) -> Vec<PeerId> {
        let state = self.state.lock();
        let others = state.links.keys().filter_map(|&(a, b)| match (a == peer, b == peer) {
            (true, _) => Some(b),
            (_, true) => Some(a),
            _ => None,
        });
        others.collect()
    }

    /// Every host that gossip of `peer` can reach over standing connections, without itself.
    pub(super) fn reachable(&self, peer: PeerId) -> BTreeSet<PeerId> {
        let mut found = BTreeSet::from([peer]);
        let mut frontier = vec![peer];
        while let Some(next) = frontier.pop() {
            frontier.extend(self.connected(next).into_iter().filter(|other| found.insert(*other)));
        }
        found.remove(&peer);
        found
    }
}
