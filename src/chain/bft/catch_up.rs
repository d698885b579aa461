//! Blocks that were decided while this node was away, fetched before the engine takes part.
//!
//! The engine syncs height by height, each with its own log, timers and round trips; here whole answers are verified and
//! stored at once, while the next ones are on their way. Owns the requests of this phase. Must not know how blocks are
//! executed. Invariants: blocks are handed over in order and only with certificates; whoever sends a wrong one is left out;
//! when nobody has more, or everything fails, the engine takes over from the height reached.

use super::{
    app::{Application, Tip},
    codec::{EngineCodec, SYNC_MAX_BLOCKS, certificate_of},
    proposals::check_block,
    sync::ask,
};
use crate::{
    consensus::{
        Block, Certificate,
        context::{BftContext, BlockHeight},
    },
    network::{Network, PeerId},
    types::{ChainId, Height},
};
use arc_malachitebft_app_channel::app::types::{
    codec::Codec,
    sync::{RawDecidedValue, Request, Response},
};
use arc_malachitebft_sync::ValueRequest;
use futures::{StreamExt, stream::FuturesOrdered};
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};
use tokio::time::Instant;

/// Blocks a node must be missing for this phase to be worth its requests.
const WORTH_BLOCKS: u64 = 64;
/// Answers on their way, or waiting to be stored.
const AHEAD_MAX: usize = 8;

type Decided = (Block, Certificate);

/// The phase before the engine starts.
pub(super) struct CatchUp {
    net: Arc<dyn Network>,
    app: Arc<dyn Application>,
    chain_id: ChainId,
    /// Peers that sent something wrong, or nothing.
    left_out: Mutex<BTreeSet<PeerId>>,
}

/// Blocks of a range, and who sent them.
struct Answer {
    from: Height,
    peer: PeerId,
    blocks: Vec<Decided>,
}

impl CatchUp {
    /// For the chain behind `app`.
    pub fn new(net: Arc<dyn Network>, app: Arc<dyn Application>, chain_id: ChainId) -> Self {
        Self { net, app, chain_id, left_out: Mutex::default() }
    }

    /// Fetches and commits what others have decided since `tip`. Returns where the chain stands then.
    pub async fn run(&self, mut tip: Tip) -> anyhow::Result<Tip> {
        if self.app.missing().await < WORTH_BLOCKS {
            return Ok(tip);
        }
        let (first, started) = (tip.height, Instant::now());
        loop {
            let before = tip.height;
            tip = self.stretch(tip).await?;
            if tip.height == before {
                break;
            }
        }
        if tip.height > first {
            let (blocks, millis) = (tip.height - first, started.elapsed().as_millis());
            tracing::info!(height = tip.height, blocks, millis, "caught up");
        }
        Ok(tip)
    }

    /// One run of requests without a gap, until an answer is short or wrong.
    async fn stretch(&self, mut tip: Tip) -> anyhow::Result<Tip> {
        let (mut flights, mut waiting) = (FuturesOrdered::new(), VecDeque::<Answer>::new());
        let (mut ask_from, mut ends) = (tip.height + 1, false);
        let step = u64::try_from(SYNC_MAX_BLOCKS).unwrap_or(u64::MAX);
        loop {
            while !ends && flights.len() + waiting.len() < AHEAD_MAX {
                flights.push_back(self.fetch(ask_from));
                ask_from += step;
            }
            let Some(Answer { from, peer, blocks }) = waiting.pop_front() else {
                match flights.next().await {
                    Some(Some(answer)) if !ends => waiting.push_back(answer),
                    // Nobody has this range, so that the later ones are of no use either.
                    _ => return Ok(tip),
                }
                continue;
            };
            if from != tip.height + 1 {
                // An earlier answer was short: the range after it is asked for anew.
                return Ok(tip);
            }
            let commit = self.app.commit_many(blocks);
            tokio::pin!(commit);
            let committed = loop {
                tokio::select! {
                    committed = &mut commit => break committed?,
                    Some(answer) = flights.next(), if !ends => match answer {
                        Some(answer) => waiting.push_back(answer),
                        None => ends = true,
                    },
                }
            };
            match committed {
                Ok(reached) => tip = reached,
                Err(reason) => {
                    self.blame(peer, &reason);
                    return Ok(self.app.tip().await);
                }
            }
        }
    }

    /// The blocks from `from` on, of whichever peer has some.
    async fn fetch(&self, from: Height) -> Option<Answer> {
        let step = u64::try_from(SYNC_MAX_BLOCKS).unwrap_or(u64::MAX);
        let range = BlockHeight(from)..=BlockHeight(from + step - 1);
        let request = Request::ValueRequest(ValueRequest::new(range));
        let mut peers: Vec<PeerId> = self.net.peers().into_iter().map(|info| info.peer).collect();
        peers.retain(|peer| !self.left_out.lock().contains(peer));
        // Each range begins with another peer, so that all of them share the work.
        let turn = usize::try_from(from / step).unwrap_or(0) % peers.len().max(1);
        peers.rotate_left(turn);
        for peer in peers {
            let bytes = match ask(self.net.as_ref(), peer, &request).await {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::debug!(%peer, %error, "peer sends no blocks");
                    self.left_out.lock().insert(peer);
                    continue;
                }
            };
            match EngineCodec.decode(bytes) {
                Ok(Response::ValueResponse(response)) if response.values.is_empty() => {}
                Ok(Response::ValueResponse(response)) => match self.read(from, &response.values) {
                    Ok(blocks) => return Some(Answer { from, peer, blocks }),
                    Err(reason) => self.blame(peer, &reason),
                },
                Err(error) => self.blame(peer, &error.to_string()),
            }
        }
        None
    }

    fn read(&self, from: Height, values: &[RawDecidedValue<BftContext>]) -> Result<Vec<Decided>, String> {
        let one = |(height, value): (Height, &RawDecidedValue<BftContext>)| {
            let certificate = certificate_of(value.certificate.trim_vote_extensions());
            let block = check_block(self.chain_id, height, certificate.block, &value.value_bytes)?;
            Ok((block, certificate))
        };
        (from..).zip(values).map(one).collect()
    }

    fn blame(&self, peer: PeerId, reason: &str) {
        tracing::warn!(%peer, reason, "peer is blamed for a wrong block");
        self.left_out.lock().insert(peer);
        self.net.disconnect(peer);
    }
}
