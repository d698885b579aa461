//! What to do next about idle space, from what is here and what the chain says.
//!
//! Pure decisions over numbers, and the removal of what they leave over. Must not know tasks or transactions. Invariants: numbers are
//! made in the chain's order without gaps; nothing the chain counts on is removed before its time.

use super::{IdleError, SegmentFiles};
use crate::{
    ledger::abi::IMiners,
    proofs::pois::{CHUNK_LABELS, Label, LiveSegment, Shape},
    storage::fragments::Space,
    types::{
        Height,
        params::{IDLE_COMMITMENTS_MAX, IDLE_LIVE_STEPS},
    },
};
use std::collections::BTreeSet;

/// Bytes one batch of commitments covers at most, so that a few large segments do not wait for each other.
const BATCH_MAX_BYTES: u64 = 64 << 20;
/// The part of the space lent that is kept free for data on its way.
const FREE_PART: u64 = 16;
/// Most bytes that are kept free.
const FREE_MAX_BYTES: u64 = 16 << 30;

/// What the chain knows of a miner's segments.
#[derive(Debug, Clone)]
pub(super) struct Claims {
    /// Number of the next segment.
    pub next: u64,
    /// The batch that is being verified.
    pub waiting: Option<IMiners::Batch>,
    /// Whether it waits for so long that the next commitment refuses it.
    pub stale: bool,
    /// Steps of certified segments that data has taken.
    pub consumed: u64,
    /// Certified segments in the order they are consumed.
    pub certified: Vec<IMiners::Segment>,
}

/// How much may be filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub space: Space,
    /// Bytes of idle space at most.
    pub limit: u64,
}

/// The next thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Prove a segment committed to in block `height`.
    Prove { number: u64, height: Height },
    /// Commit to segments that are made.
    Commit { numbers: Vec<u64> },
    /// Make a segment; with all its layers if they are worth their room until it is proven.
    Make { number: u64, layers: bool },
    /// Nothing.
    Wait,
}

impl Claims {
    /// Steps of all certified segments that are still idle.
    pub fn live_steps(&self) -> u64 {
        let all = u64::try_from(self.certified.len()).unwrap_or(u64::MAX).saturating_mul(u64::from(IDLE_LIVE_STEPS));
        all.saturating_sub(self.consumed)
    }

    /// Numbers of certified segments with the first step of each that is idle.
    fn live(&self) -> impl Iterator<Item = (u64, u32)> {
        let numbers = self.certified.iter().map(|segment| segment.number);
        numbers.zip(0u64..).map(|(number, index)| (number, live_from(index, self.consumed)))
    }

    fn waits(&self, number: u64) -> bool {
        let of = |batch: &IMiners::Batch| (batch.first..batch.first.saturating_add(batch.count)).contains(&number);
        self.waiting.as_ref().is_some_and(of)
    }
}

/// The first idle step of the certified segment number `index` of the list.
fn live_from(index: u64, consumed: u64) -> u32 {
    let before = index.saturating_mul(u64::from(IDLE_LIVE_STEPS));
    let steps = consumed.saturating_sub(before).min(u64::from(IDLE_LIVE_STEPS));
    u32::try_from(steps).unwrap_or(IDLE_LIVE_STEPS)
}

/// Certified segments as audits ask for them, when `consumed` steps are taken by data.
pub(in crate::storage::miner) fn live_segments(segments: &[IMiners::Segment], consumed: u64) -> Vec<LiveSegment> {
    let live = |(segment, index): (&IMiners::Segment, u64)| LiveSegment {
        number: segment.number,
        root: segment.root.0,
        live_from: live_from(index, consumed),
    };
    segments.iter().zip(0u64..).map(live).collect()
}

/// Bytes of one step of a segment.
pub(super) fn step_bytes(shape: Shape) -> u64 {
    shape.bytes() / u64::from(IDLE_LIVE_STEPS)
}

/// Bytes from a segment's beginning that nobody will ask for when its first `steps` are taken: whole chunks, since a chunk is
/// read as a whole.
fn spent_bytes(shape: Shape, steps: u32) -> u64 {
    let chunk = u64::try_from(CHUNK_LABELS * size_of::<Label>()).unwrap_or(u64::MAX);
    u64::from(steps) * step_bytes(shape) / chunk * chunk
}

/// Removes what the chain does not count on any more. Blocks.
pub(super) fn tidy(files: &SegmentFiles, shape: Shape, claims: &Claims) -> Result<(), IdleError> {
    let mut here = files.numbers()?;
    for (number, steps) in claims.live() {
        if !here.remove(&number) {
            continue;
        }
        if steps == IDLE_LIVE_STEPS {
            files.remove(number)?;
            continue;
        }
        files.settle(number)?;
        files.give_back(number, spent_bytes(shape, steps))?;
    }
    here.retain(|number| !claims.waits(*number));
    let mut due = claims.next;
    for number in here {
        if number == due {
            due += 1;
        } else {
            tracing::info!(segment = number, "idle segment dropped, the chain does not know it");
            files.remove(number)?;
        }
    }
    Ok(())
}

/// What to do, given the segments that are here and which of them have a proof.
pub(super) fn next(
    shape: Shape,
    claims: &Claims,
    here: &BTreeSet<u64>,
    proven: impl Fn(u64) -> bool,
    room: &Room,
) -> Next {
    if let Some(batch) = &claims.waiting {
        let mut numbers = batch.first..batch.first.saturating_add(batch.count);
        // One that is lost cannot be proven; the batch will be refused and all of it made anew.
        if let Some(number) = numbers.find(|number| here.contains(number) && !proven(*number)) {
            return Next::Prove { number, height: batch.height };
        }
    }
    let lost = claims.live().find(|(number, steps)| *steps < IDLE_LIVE_STEPS && !here.contains(number));
    if let Some((number, _)) = lost {
        return Next::Make { number, layers: false };
    }
    let made: Vec<u64> = (claims.next..).take_while(|number| here.contains(number)).collect();
    let full = made.len() >= batch_len(shape);
    let fits = claims.idle_bytes(shape, made.len()).saturating_add(shape.bytes()) <= room.limit
        && room.space.free() >= shape.bytes().saturating_add(kept_free(&room.space));
    let blocked = claims.waiting.is_some() && !claims.stale;
    match (full, fits, blocked) {
        (true, _, false) | (_, false, false) if !made.is_empty() => Next::Commit { numbers: made },
        (false, true, _) => {
            let number = claims.next.saturating_add(u64::try_from(made.len()).unwrap_or(u64::MAX));
            let all = shape.bytes().saturating_mul(u64::from(shape.layers()));
            Next::Make { number, layers: room.space.free() >= all.saturating_add(kept_free(&room.space)) }
        }
        _ => Next::Wait,
    }
}

impl Claims {
    /// Bytes of live, waiting and `made` segments.
    fn idle_bytes(&self, shape: Shape, made: usize) -> u64 {
        let waiting = self.waiting.as_ref().map_or(0, |batch| batch.count);
        let whole = waiting.saturating_add(u64::try_from(made).unwrap_or(u64::MAX)).saturating_mul(shape.bytes());
        self.live_steps().saturating_mul(step_bytes(shape)).saturating_add(whole)
    }
}

/// Segments of one batch.
fn batch_len(shape: Shape) -> usize {
    let fit = usize::try_from(BATCH_MAX_BYTES / shape.bytes()).unwrap_or(IDLE_COMMITMENTS_MAX);
    fit.clamp(1, IDLE_COMMITMENTS_MAX)
}

/// Bytes that idle space leaves free, so that data that arrives finds room before the chain knows it.
fn kept_free(space: &Space) -> u64 {
    (space.limit / FREE_PART).min(FREE_MAX_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;

    const MIB: u64 = 1 << 20;

    fn dev() -> Shape {
        Shape::new(15, 3).unwrap()
    }

    fn claims(next: u64, certified: &[u64], consumed: u64) -> Claims {
        let segment = |number: &u64| IMiners::Segment { number: *number, root: B256::ZERO };
        Claims { next, waiting: None, stale: false, consumed, certified: certified.iter().map(segment).collect() }
    }

    fn room(limit: u64, used: u64) -> Room {
        Room { space: Space { limit: 64 * MIB, used, ..Space::default() }, limit }
    }

    fn decide(claims: &Claims, here: &[u64], room: &Room) -> Next {
        next(dev(), claims, &here.iter().copied().collect(), |number| number < 2, room)
    }

    fn waiting(first: u64, count: u64) -> Option<IMiners::Batch> {
        Some(IMiners::Batch { number: 0, first, count, height: 9, state: 0 })
    }

    #[test]
    fn segments_are_made_in_order_and_committed_together() {
        let fresh = claims(0, &[], 0);
        assert_eq!(decide(&fresh, &[], &room(4 * MIB, 0)), Next::Make { number: 0, layers: true });
        assert_eq!(decide(&fresh, &[0, 1], &room(4 * MIB, 0)), Next::Make { number: 2, layers: true });
        let four: Vec<u64> = (0..4).collect();
        assert_eq!(decide(&fresh, &four, &room(4 * MIB, 0)), Next::Commit { numbers: four });
        let many: Vec<u64> = (0..16).collect();
        assert_eq!(decide(&fresh, &many, &room(64 * MIB, 0)), Next::Commit { numbers: many });
        assert_eq!(decide(&fresh, &[], &room(MIB - 1, 0)), Next::Wait);
        let nearly_full = room(64 * MIB, 58 * MIB);
        assert_eq!(decide(&fresh, &[], &nearly_full), Next::Make { number: 0, layers: false }, "no room for layers");
        assert_eq!(decide(&fresh, &[], &room(64 * MIB, 60 * MIB)), Next::Wait, "a sixteenth is kept free");
    }

    #[test]
    fn one_batch_waits_at_a_time_and_is_proven_first() {
        let waits = Claims { waiting: waiting(1, 2), ..claims(3, &[0], 0) };
        assert_eq!(decide(&waits, &[0, 1, 2], &room(4 * MIB, 0)), Next::Prove { number: 2, height: 9 });
        let proven = Claims { waiting: waiting(0, 2), ..claims(2, &[], 0) };
        assert_eq!(decide(&proven, &[0, 1], &room(4 * MIB, 0)), Next::Make { number: 2, layers: true });
        assert_eq!(
            decide(&proven, &[0, 1, 2, 3], &room(4 * MIB, 0)),
            Next::Wait,
            "it commits when that one is decided"
        );
        let stale = Claims { stale: true, ..proven };
        assert_eq!(decide(&stale, &[0, 1, 2, 3], &room(4 * MIB, 0)), Next::Commit { numbers: vec![2, 3] });
    }

    #[test]
    fn a_lost_certified_segment_is_made_again_unless_data_took_it() {
        let lost = claims(2, &[0, 1], 0);
        assert_eq!(decide(&lost, &[1], &room(2 * MIB, 0)), Next::Make { number: 0, layers: false });
        let taken = claims(2, &[0, 1], 128);
        assert_eq!(decide(&taken, &[1], &room(MIB, 0)), Next::Wait);
        assert_eq!(decide(&taken, &[1], &room(2 * MIB, 0)), Next::Make { number: 2, layers: true }, "room for another");
    }

    #[test]
    fn steps_are_counted_over_the_list() {
        let froms: Vec<u32> =
            live_segments(&claims(0, &[4, 7, 9], 0).certified, 130).iter().map(|s| s.live_from).collect();
        assert_eq!(froms, [128, 2, 0]);
        assert_eq!(claims(0, &[4, 7, 9], 130).live_steps(), 254);
        // 8 KiB a step, 128 KiB a chunk.
        assert_eq!([15, 16, 33].map(|steps| spent_bytes(dev(), steps)), [0, 128 << 10, 256 << 10]);
        assert_eq!(spent_bytes(Shape::MAINNET, 3), 24 << 20);
        assert_eq!((batch_len(dev()), batch_len(Shape::MAINNET)), (16, 1));
    }
}
