//! The audits module: rounds, what miners answer in them, what committees find, what follows from it, and appeals.
//!
//! Owns rounds, sets of verifiers, ballots, strikes, appeals and refutations. A verdict is a member's word; who doubts it appeals, or shows the chain
//! the answer's bytes (ADR 23). Invariants:
//! - who may be drawn is fixed when a round opens, before the beacon that draws; a miner's committee is the same for everybody;
//! - a verdict is decided once, by more than two thirds of its committee, and changes at most once more by an appeal, and once a part by what the
//!   chain has verified itself;
//! - state of a miner is bounded: the ballots of the last [`RING`] rounds, one ballot about idle space, its tally;
//! - the module's account holds exactly the deposits of appeals that are not closed.

mod answers;
mod appeals;
mod ballot;
mod dispatch;
mod evidence;
mod idle;
mod outcome;
mod refutation;
mod reversal;
mod rounds;
mod seams;
mod state;
mod views;
mod votes;

pub(super) use dispatch::dispatch;
pub(super) use rounds::open_block;

/// Rounds whose ballots and sets of verifiers are kept: until no appeal of them can be open any more.
const RING: u64 = 16;
/// Most miners one call votes about.
pub const VOTE_MAX_MINERS: usize = 256;
/// Most key epochs a miner hands proofs in for.
pub const PROVE_MAX_EPOCHS: usize = 64;
/// Most appeals one `appeals` answers with.
pub const LIST_MAX_APPEALS: u64 = 100;
/// Bytes of a proof of tags.
const PROOF_BYTES: usize = 128;
/// Gas of drawing a committee: two hashes and 112 bytes of a stream.
const DRAW_GAS: u64 = 1_500;

#[cfg(test)]
pub(super) mod tests;
