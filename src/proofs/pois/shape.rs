//! How large a segment is: labels of a layer, layers, and what follows from them.

use super::{PoisError, label::LABEL_BYTES};
use crate::types::{
    Params,
    params::{IDLE_LIVE_STEPS, MAINNET_IDLE_LABELS_LOG2, MAINNET_IDLE_LAYERS},
};

/// Fewest labels of a layer: one chunk of its tree.
pub(super) const LABELS_LOG2_MIN: u32 = 12;
/// Most labels of a layer: caps of encodings follow from it.
pub(super) const LABELS_LOG2_MAX: u32 = MAINNET_IDLE_LABELS_LOG2;
/// Fewest layers: with one alone nothing would be asked of expander parents.
pub(super) const LAYERS_MIN: u32 = 2;
/// Most layers.
pub(super) const LAYERS_MAX: u32 = MAINNET_IDLE_LAYERS;

/// The size of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    labels_log2: u32,
    layers: u32,
}

impl Shape {
    /// The main network's: 1 GiB in 8 layers.
    pub const MAINNET: Self = Self { labels_log2: MAINNET_IDLE_LABELS_LOG2, layers: MAINNET_IDLE_LAYERS };

    /// A segment of `2^labels_log2` labels, if that is within bounds.
    pub fn new(labels_log2: u32, layers: u32) -> Result<Self, PoisError> {
        let fits =
            (LABELS_LOG2_MIN..=LABELS_LOG2_MAX).contains(&labels_log2) && (LAYERS_MIN..=LAYERS_MAX).contains(&layers);
        if fits { Ok(Self { labels_log2, layers }) } else { Err(PoisError::Shape { labels_log2, layers }) }
    }

    /// The segments of a profile.
    pub fn of(params: &Params) -> Self {
        Self { labels_log2: params.idle_labels_log2, layers: params.idle_layers }
    }

    /// Labels of a layer, as a power of two.
    pub const fn labels_log2(self) -> u32 {
        self.labels_log2
    }

    /// Labels of a layer.
    pub const fn labels(self) -> u32 {
        1 << self.labels_log2
    }

    /// Layers; the last one is the segment.
    pub const fn layers(self) -> u32 {
        self.layers
    }

    /// Bytes of a layer and so of the finished segment.
    pub const fn bytes(self) -> u64 {
        (LABEL_BYTES as u64) << self.labels_log2
    }

    /// Levels of a layer's tree above its leaves, of which each is two labels.
    pub const fn depth(self) -> u32 {
        self.labels_log2 - 1
    }

    /// Leaves of a layer's tree.
    pub const fn leaves(self) -> u32 {
        1 << self.depth()
    }

    /// Leaves of one step of the live range: 8 MiB of the main network's segment.
    pub const fn step_leaves(self) -> u32 {
        self.leaves() / IDLE_LIVE_STEPS
    }
}
