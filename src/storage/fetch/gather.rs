//! Getting enough fragments of one segment from whoever has them.
//!
//! Owns the race: whom to ask first, when to ask one more, when to give up. Invariants: a fragment counts only after its hash
//! was checked; a peer that sends something else is blamed; no more than the needed number is asked at first.

use super::{
    FetchError, Fetcher, FileSource,
    scores::{Blame, Standing},
};
use crate::{
    ledger::manifest::SegmentEntry,
    network::PeerId,
    storage::{link::DataError, slicer::fragment_id, wire::Refusal},
    types::{
        FragmentId,
        params::{DATA_FRAGMENTS, FRAGMENTS},
    },
};
use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use std::{collections::VecDeque, time::Duration};
use tokio::time::{Instant, sleep_until};

/// Fragments up to this size are hashed where they arrive; larger ones on a compute thread.
const HASH_INLINE_MAX_BYTES: usize = 64 << 10;

/// So many times the usual time are slow.
const SLOW_FACTOR: u32 = 4;
/// How long a peer that sent other bytes may take to look at its disk.
const CHECK_DEADLINE: Duration = Duration::from_secs(5);

/// A fragment with its column.
pub(super) type Piece = (usize, Bytes);

/// One way to get a fragment.
#[derive(Clone, Copy)]
struct Offer {
    column: usize,
    peer: PeerId,
    id: FragmentId,
    len: u64,
}

type Attempt<'a> = BoxFuture<'a, (Offer, Result<Bytes, String>)>;

impl Fetcher {
    /// Any four fragments of a segment, asking the data columns first.
    pub(super) async fn any_four(
        &self,
        source: &FileSource,
        segment: usize,
        have: Vec<Piece>,
    ) -> Result<Vec<Piece>, FetchError> {
        let entry = &source.manifest.segments[segment];
        let mut race = Race::new(self, self.offers(source, entry), have);
        race.run().await;
        match race.won() {
            true => Ok(race.pieces),
            false => Err(FetchError::TooFew { segment, have: race.pieces.len(), failures: race.failures.join("; ") }),
        }
    }

    /// Exactly these columns, if each is given promptly by its holder; `Err` carries what did come.
    pub(super) async fn exactly(
        &self,
        source: &FileSource,
        segment: usize,
        columns: &[usize],
    ) -> Result<Vec<Piece>, Vec<Piece>> {
        let entry = &source.manifest.segments[segment];
        let offers: Vec<Offer> =
            self.offers(source, entry).into_iter().filter(|offer| columns.contains(&offer.column)).collect();
        let mut firsts: Vec<Offer> = Vec::new();
        for offer in offers {
            if firsts.iter().all(|first| first.column != offer.column) {
                firsts.push(offer);
            }
        }
        let patience = 2 * self.hedge_after(entry.fragment_len());
        let mut running: FuturesUnordered<Attempt<'_>> = firsts.into_iter().map(|offer| self.attempt(offer)).collect();
        let mut pieces = Vec::with_capacity(columns.len());
        let all = async {
            while let Some((offer, result)) = running.next().await {
                match result {
                    Ok(bytes) => pieces.push((offer.column, bytes)),
                    Err(_) => break,
                }
            }
        };
        // Whether it ended or not, what came counts.
        let _ = tokio::time::timeout(patience, all).await;
        if pieces.len() == columns.len() { Ok(pieces) } else { Err(pieces) }
    }

    /// Time after which one more holder is asked.
    fn hedge_after(&self, len: u64) -> Duration {
        let transfer = Duration::from_micros(len * 1_000_000 / self.limits.slow_bytes_per_second.max(1));
        let usual = self.scores.average().unwrap_or_default() * SLOW_FACTOR;
        (self.limits.hedge_floor + transfer).max(usual)
    }

    /// Every way to get a fragment of this segment, the most promising first.
    fn offers(&self, source: &FileSource, entry: &SegmentEntry) -> Vec<Offer> {
        let (len, now) = (entry.fragment_len(), Instant::now());
        let mut offers: Vec<(Standing, Offer)> = Vec::with_capacity(FRAGMENTS);
        for (column, peers) in source.columns.iter().enumerate() {
            let id = entry.fragments[column];
            offers
                .extend(peers.iter().map(|&peer| (self.scores.standing(&peer, now), Offer { column, peer, id, len })));
        }
        offers.sort_by_key(|(standing, offer)| (*standing, offer.column));
        offers.into_iter().map(|(_, offer)| offer).collect()
    }

    fn attempt(&self, offer: Offer) -> Attempt<'_> {
        Box::pin(async move { (offer, self.fetch_checked(offer).await) })
    }

    async fn fetch_checked(&self, offer: Offer) -> Result<Bytes, String> {
        let Offer { peer, id, len, .. } = offer;
        let start = Instant::now();
        let bytes = match self.data.get(peer, id, len, self.limits.deadline).await {
            Ok(bytes) => bytes,
            Err(error) => {
                self.judge(&offer, &error);
                return Err(error.to_string());
            }
        };
        if !self.is_fragment(id, bytes.clone()).await {
            self.question(&offer).await;
            return Err(format!("miner {peer} sent other bytes as fragment {id}"));
        }
        self.scores.took(start.elapsed());
        Ok(bytes)
    }

    /// Has a peer that sent other bytes look at its disk. It lied if it says that all is well there; if not, it knows now.
    async fn question(&self, offer: &Offer) {
        match self.data.check(offer.peer, offer.id, CHECK_DEADLINE).await {
            Err(DataError::Refused { refusal: Refusal::NotHeld(_) | Refusal::Damaged(_), .. }) => {
                self.scores.failed(offer.peer, Instant::now());
            }
            _ => {
                let reason = "its bytes do not match the id".to_owned();
                self.scores.blame(Blame { peer: offer.peer, fragment: offer.id, reason }, Instant::now());
            }
        }
    }

    /// A missing or damaged fragment says nothing about the peer's other fragments; the rest makes it less welcome.
    fn judge(&self, offer: &Offer, error: &DataError) {
        match error {
            DataError::Refused { refusal: Refusal::NotHeld(_) | Refusal::Damaged(_), .. } => {}
            DataError::Protocol { reason, .. } => {
                let blame = Blame { peer: offer.peer, fragment: offer.id, reason: reason.clone() };
                self.scores.blame(blame, Instant::now());
            }
            _ => self.scores.failed(offer.peer, Instant::now()),
        }
    }

    async fn is_fragment(&self, id: FragmentId, bytes: Bytes) -> bool {
        if bytes.len() <= HASH_INLINE_MAX_BYTES {
            return fragment_id(&bytes) == id;
        }
        self.node.pool.run(move || fragment_id(&bytes) == id).await
    }
}

struct Race<'a> {
    fetcher: &'a Fetcher,
    waiting: VecDeque<Offer>,
    running: FuturesUnordered<Attempt<'a>>,
    asked: Vec<(Offer, Instant)>,
    pieces: Vec<Piece>,
    failures: Vec<String>,
    hedge: Duration,
}

impl<'a> Race<'a> {
    fn new(fetcher: &'a Fetcher, offers: Vec<Offer>, mut have: Vec<Piece>) -> Self {
        have.sort_by_key(|(column, _)| *column);
        have.dedup_by_key(|(column, _)| *column);
        have.truncate(DATA_FRAGMENTS);
        let hedge = offers.first().map_or(Duration::ZERO, |offer| fetcher.hedge_after(offer.len));
        let waiting =
            offers.into_iter().filter(|offer| have.iter().all(|(column, _)| *column != offer.column)).collect();
        Self {
            fetcher,
            waiting,
            running: FuturesUnordered::new(),
            asked: Vec::new(),
            pieces: have,
            failures: Vec::new(),
            hedge,
        }
    }

    fn won(&self) -> bool {
        self.pieces.len() == DATA_FRAGMENTS
    }

    async fn run(&mut self) {
        while self.running.len() + self.pieces.len() < DATA_FRAGMENTS && self.ask_one() {}
        let mut next_hedge = Instant::now() + self.hedge;
        let mut hedged = false;
        while !self.won() {
            tokio::select! {
                finished = self.running.next() => match finished {
                    Some((offer, result)) => self.finish(offer, result),
                    None if self.ask_one() => {}
                    None => return,
                },
                () = sleep_until(next_hedge), if !self.waiting.is_empty() => {
                    hedged |= self.ask_one();
                    next_hedge = Instant::now() + self.hedge / 2;
                }
            }
        }
        if hedged {
            self.judge_the_late();
        }
    }

    /// Those beaten by later ones are asked after the others for a while, if they took much longer than is usual: when everything is
    /// slow, this node or its line is, and going round its peers would only add decoding to its work.
    fn judge_the_late(&self) {
        let (now, scores) = (Instant::now(), &self.fetcher.scores);
        let usual = scores.average().unwrap_or_default();
        let late = self.asked.iter().filter(|(_, since)| now - *since >= SLOW_FACTOR * usual);
        late.for_each(|(offer, _)| scores.failed(offer.peer, now));
    }

    /// Asks the next best offer of a column that is not already here or on its way.
    fn ask_one(&mut self) -> bool {
        let busy = |column: usize| {
            self.asked.iter().any(|(offer, _)| offer.column == column)
                || self.pieces.iter().any(|(have, _)| *have == column)
        };
        let position = self.waiting.iter().position(|offer| !busy(offer.column));
        let Some(offer) = position.and_then(|position| self.waiting.remove(position)) else { return false };
        self.asked.push((offer, Instant::now()));
        self.running.push(self.fetcher.attempt(offer));
        true
    }

    fn finish(&mut self, offer: Offer, result: Result<Bytes, String>) {
        self.asked.retain(|(asked, _)| (asked.column, asked.peer) != (offer.column, offer.peer));
        match result {
            Ok(bytes) => self.pieces.push((offer.column, bytes)),
            Err(reason) => {
                self.failures.push(reason);
                self.ask_one();
            }
        }
    }
}
