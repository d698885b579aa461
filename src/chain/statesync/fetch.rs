//! The download of one state: which parts are asked of whom, and what becomes of the answers.
//!
//! Owns questions in flight. Must not know how the target was found. Invariants: at most [`QUESTIONS_MAX`] questions are in
//! flight; a part is in flight once; a peer that sends something wrong is blamed, disconnected and not asked again, and the
//! part is asked of another.

use super::{
    SyncTiming,
    peers::Peers,
    store::SyncStore,
    wire::{Answer, QUESTION_MAX_PARTS, Question, STATE_PROTOCOL},
};
use crate::{
    chain::error::StoreError,
    codec,
    ledger::snapshot::{Open, PartFault, PartId, Verified, check},
    network::{NetError, Network, PeerId},
    runtime::{Counter, CpuPool, Node, Worker},
    types::Height,
};
use futures::{StreamExt, stream::FuturesUnordered};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Questions in flight.
const QUESTIONS_MAX: usize = 16;
/// Shares of the key space by which progress is counted.
const SHARES: u64 = 1 << 16;
/// How often the progress is logged.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// Time a peer has to say how far it is.
const TIP_DEADLINE: Duration = Duration::from_secs(1);
/// Pause between two looks for peers.
pub(super) const SEARCH_PAUSE: Duration = Duration::from_millis(250);

/// How a download ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Every part is here.
    Complete,
    /// Nobody offers the state any more.
    Gone,
}

/// A download.
pub(super) struct Fetch<'a> {
    pub node: &'a Node,
    pub net: &'a Arc<dyn Network>,
    pub store: &'a Arc<SyncStore>,
    pub worker: &'a Worker,
    pub timing: SyncTiming,
    /// Height of the state.
    pub height: Height,
    pub peers: &'a mut Peers,
    /// Peers that may have the state besides the connected ones.
    pub known: &'a [PeerId],
}

/// Why a question brought nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Silent(#[from] NetError),
    #[error("it does not have the state of that height any more")]
    Gone,
    #[error("{0}")]
    Wrong(#[from] PartFault),
    #[error("its answer is malformed: {0}")]
    Malformed(#[from] codec::CodecError),
    #[error("it answered something else than was asked")]
    Other,
}

/// An answered question.
struct Landed {
    peer: PeerId,
    asked: Vec<Open>,
    outcome: Result<Vec<Verified>, Failure>,
}

/// What is here already.
#[derive(Default)]
struct Tally {
    accounts: usize,
    slots: usize,
    codes: usize,
}

impl Fetch<'_> {
    /// Downloads what is missing.
    pub async fn run(&mut self) -> Result<End, StoreError> {
        let store = self.store.clone();
        let mut open = self.node.pool.run(move || store.open()).await?;
        let (mut flights, mut tally, mut reported) = (FuturesUnordered::new(), Tally::default(), Instant::now());
        loop {
            while flights.len() < QUESTIONS_MAX
                && !open.is_empty()
                && let Some(peer) = self.peers.pick(Instant::now())
            {
                let parts = open.split_off(open.len() - self.share_of(open.len()));
                let (net, pool) = (self.net.clone(), self.node.pool.clone());
                flights.push(fly(net, pool, self.height, peer, parts, self.timing.answer));
            }
            let Some(landed) = flights.next().await else {
                if open.is_empty() {
                    return Ok(End::Complete);
                }
                if !self.find_peers().await {
                    return Ok(End::Gone);
                }
                continue;
            };
            self.land(landed, &mut open, &mut tally).await?;
            self.show(&open, &tally, &mut reported);
        }
    }

    /// Parts of one question, out of `open`: few while few are open, so that every peer gets some.
    fn share_of(&self, open: usize) -> usize {
        (open / self.peers.useful().max(1)).clamp(1, QUESTION_MAX_PARTS)
    }

    async fn land(&mut self, landed: Landed, open: &mut Vec<Open>, tally: &mut Tally) -> Result<(), StoreError> {
        let Landed { peer, mut asked, outcome } = landed;
        match outcome {
            Ok(verified) => {
                self.peers.answered(&peer);
                open.extend(asked.split_off(verified.len()));
                verified.iter().for_each(|part| tally.add(part));
                self.node.metrics.add(Counter::StatePartsFetched, u64::try_from(verified.len()).unwrap_or(u64::MAX));
                let store = self.store.clone();
                let parts = asked.into_iter().zip(verified).collect();
                open.extend(self.node.pool.run(move || store.apply(parts)).await?);
            }
            Err(failure) => {
                open.append(&mut asked);
                self.failed(&peer, &failure);
            }
        }
        Ok(())
    }

    fn failed(&mut self, peer: &PeerId, failure: &Failure) {
        let height = self.height;
        match failure {
            Failure::Silent(error) => {
                if self.peers.silent(peer, Instant::now()) {
                    tracing::warn!(%peer, height, %error, "peer is left alone: it does not answer");
                    self.worker.error(format_args!("peer {peer} does not answer: {error}"));
                }
            }
            Failure::Gone => self.peers.lacks(peer),
            Failure::Wrong(_) | Failure::Malformed(_) | Failure::Other => {
                self.node.metrics.add(Counter::StatePartsBad, 1);
                if self.peers.blame(peer) {
                    tracing::warn!(%peer, height, %failure, "peer is blamed for a wrong part of the state");
                    self.worker.error(format_args!("peer {peer} sent a wrong part: {failure}"));
                    self.net.disconnect(*peer);
                }
            }
        }
    }

    /// Waits until somebody can be asked. `false` if nobody was found in time.
    async fn find_peers(&mut self) -> bool {
        let started = Instant::now();
        loop {
            if self.peers.useful() > 0 {
                if let Some(wakes) = self.peers.wakes() {
                    tokio::time::sleep_until(wakes).await;
                }
                return true;
            }
            let offers = offers(self.net, self.known, self.peers, self.timing.offer).await;
            let having = offers.iter().filter(|offer| offer.snapshots.contains(&self.height));
            having.for_each(|offer| self.peers.offers(offer.peer));
            if self.peers.useful() == 0 {
                // Whoever answers and does not have it will not get it again; others may still turn up.
                let patience = if offers.is_empty() { self.timing.patience } else { self.timing.search };
                if started.elapsed() >= patience {
                    return false;
                }
                tokio::time::sleep(SEARCH_PAUSE).await;
            }
        }
    }

    fn show(&self, open: &[Open], tally: &Tally, reported: &mut Instant) {
        let missing: u64 = open.iter().map(|open| share(&open.id)).sum();
        let done = SHARES.saturating_sub(missing);
        self.worker.progress(done, SHARES);
        if reported.elapsed() >= REPORT_INTERVAL {
            *reported = Instant::now();
            let (accounts, slots, codes) = (tally.accounts, tally.slots, tally.codes);
            let percent = done * 100 / SHARES;
            tracing::info!(height = self.height, percent, accounts, slots, codes, "state sync");
        }
    }
}

impl Tally {
    fn add(&mut self, part: &Verified) {
        self.accounts += part.accounts.len();
        self.slots += part.slots.len();
        self.codes += part.code.len();
    }
}

/// Share of the key space a missing part stands for.
fn share(id: &PartId) -> u64 {
    match id {
        PartId::Accounts(path) if path.0.len() <= 4 => SHARES >> (4 * path.0.len()),
        _ => 0,
    }
}

/// Asks for parts and proves what comes.
async fn fly(
    net: Arc<dyn Network>,
    pool: CpuPool,
    height: Height,
    peer: PeerId,
    asked: Vec<Open>,
    deadline: Duration,
) -> Landed {
    let parts = asked.iter().map(|open| open.id.clone()).collect();
    let question = Question::Parts { height, parts };
    let bodies = match ask(net.as_ref(), peer, &question, deadline).await {
        Ok(Answer::Parts(bodies)) if (1..=asked.len()).contains(&bodies.len()) => bodies,
        Ok(Answer::Gone) => return Landed { peer, asked, outcome: Err(Failure::Gone) },
        Ok(_) => return Landed { peer, asked, outcome: Err(Failure::Other) },
        Err(failure) => return Landed { peer, asked, outcome: Err(failure) },
    };
    let prove = move || {
        let verified = asked.iter().zip(bodies).map(|(open, body)| check(open, body)).collect();
        (asked, verified)
    };
    let (asked, verified): (Vec<Open>, Result<Vec<Verified>, PartFault>) = pool.run(prove).await;
    Landed { peer, asked, outcome: verified.map_err(Failure::from) }
}

async fn ask(net: &dyn Network, peer: PeerId, question: &Question, deadline: Duration) -> Result<Answer, Failure> {
    let body = codec::encode(question).into();
    let late =
        |_| NetError::Timeout { peer: peer.to_string(), millis: u64::try_from(deadline.as_millis()).unwrap_or(0) };
    let asked = net.request(peer, STATE_PROTOCOL, body, deadline);
    let answer = tokio::time::timeout(deadline, asked).await.map_err(late)??;
    Ok(codec::decode(&answer)?)
}

/// What a peer offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offer {
    /// Who.
    pub peer: PeerId,
    /// Its newest executed height.
    pub tip: Height,
    /// Heights of its snapshots.
    pub snapshots: Vec<Height>,
}

/// Asks `known` and every connected peer which snapshots it has, all at once.
pub(super) async fn offers(net: &Arc<dyn Network>, known: &[PeerId], peers: &Peers, deadline: Duration) -> Vec<Offer> {
    let mut asked: Vec<PeerId> = net.peers().into_iter().map(|info| info.peer).chain(known.iter().copied()).collect();
    asked.sort_unstable();
    asked.dedup();
    asked.retain(|peer| !peers.is_blamed(peer) && *peer != net.local_peer());
    let one = |peer: PeerId| async move {
        match ask(net.as_ref(), peer, &Question::Offer, deadline).await {
            Ok(Answer::Offer { tip, snapshots }) => Some(Offer { peer, tip, snapshots }),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%peer, %error, "peer did not say which snapshots it has");
                None
            }
        }
    };
    futures::future::join_all(asked.into_iter().map(one)).await.into_iter().flatten().collect()
}

/// The newest executed height of all connected peers, by what they say; 0 without any.
pub(in crate::chain) async fn newest_tip(net: &Arc<dyn Network>) -> Height {
    let offers = offers(net, &[], &Peers::default(), TIP_DEADLINE).await;
    offers.into_iter().map(|offer| offer.tip).max().unwrap_or_default()
}
