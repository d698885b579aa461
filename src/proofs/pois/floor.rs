//! How fast a segment can be made at best, and that the main network's answers are due well before that.
//!
//! The model counts compressions that must follow one another. Every label waits for the one before it; and since parents in the layer below lie
//! anywhere, a layer can hardly begin before the one below is whole (the tests measure the longest path). More machines do not help, a faster one does.

use super::{Shape, label::critical_compressions};
use crate::types::params::{ANSWER_WINDOW_BLOCKS, MAINNET_IDLE_BLOCK_MS};

/// A machine that computes one SHA-256 compression after another, with all parents at hand at once.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Picoseconds of a compression whose input state is the output of the one before.
    pub compression_ps: u64,
}

impl Machine {
    /// The assumption the window rests on: nobody has a machine faster than 19.4 ns a compression, which is one of the 64 rounds each
    /// 0.30 ns (a clock of 3.3 GHz, no cycle for memory). The SHA instructions of the reference machine take 49 ns. The
    /// window would be missed no more from 8.9 ns on.
    pub const FASTEST: Self = Self { compression_ps: 19_400 };

    /// Milliseconds this machine needs to make a segment anew, rounded down.
    pub const fn regeneration_ms(self, shape: Shape) -> u64 {
        sequential_compressions(shape) * self.compression_ps / PS_PER_MS
    }
}

const PS_PER_MS: u64 = 1_000_000_000;

/// Compressions of a segment that can only be computed one after the other.
pub const fn sequential_compressions(shape: Shape) -> u64 {
    let upper_layers = (shape.layers() - 1) as u64;
    (critical_compressions(0) + upper_layers * critical_compressions(1)) << shape.labels_log2()
}

/// Longest time between a challenge and the last block that takes its answer: no transactions, every proposer in time.
pub const ANSWER_WINDOW_MAX_MS: u64 = ANSWER_WINDOW_BLOCKS * MAINNET_IDLE_BLOCK_MS;

/// Blocks in a row that a coalition proposes, and by which it knows a challenge early.
const EARLY_BLOCKS: u64 = 3;

const _: () = assert!(
    ANSWER_WINDOW_MAX_MS < Machine::FASTEST.regeneration_ms(Shape::MAINNET),
    "a segment can be made anew within the answer window"
);
const _: () = assert!(
    ANSWER_WINDOW_MAX_MS + EARLY_BLOCKS * MAINNET_IDLE_BLOCK_MS < Machine::FASTEST.regeneration_ms(Shape::MAINNET),
    "who proposes some blocks in a row can make a segment anew in time"
);
