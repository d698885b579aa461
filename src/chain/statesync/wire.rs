//! What nodes ask each other about snapshots, one request each.

use crate::{
    codec::Wire,
    ledger::snapshot::{PART_MAX_BYTES, PartBody, PartId},
    network::{Protocol, REQUEST_MAX_BYTES},
    types::Height,
};
use borsh::{BorshDeserialize, BorshSerialize};

/// Requests for snapshots.
pub(super) const STATE_PROTOCOL: Protocol = Protocol("/cess/state/1");
/// Parts one question may ask for.
pub(super) const QUESTION_MAX_PARTS: usize = 64;
/// Snapshots one node offers.
pub(super) const OFFER_MAX_SNAPSHOTS: usize = 16;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum Question {
    /// Which snapshots there are.
    Offer,
    /// Parts of the state after a height, in the order in which they are wanted.
    Parts { height: Height, parts: Vec<PartId> },
}

/// Its answer.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) enum Answer {
    /// The newest executed height, and the heights of which whole states can be had.
    Offer { tip: Height, snapshots: Vec<Height> },
    /// The first of the parts asked for, at least one.
    Parts(Vec<PartBody>),
    /// The state of that height cannot be had here, or no longer.
    Gone,
}

impl Wire for Question {
    const NAME: &'static str = "state question";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 32 + QUESTION_MAX_PARTS * PartId::MAX_BYTES;
}

impl Wire for Answer {
    const NAME: &'static str = "state answer";
    const VERSION: u8 = 1;
    /// An answer ends with the part that makes it too large.
    const MAX_BYTES: usize = 2 * PART_MAX_BYTES + (64 << 10);
}

const _: () = assert!(Answer::MAX_BYTES <= REQUEST_MAX_BYTES);
