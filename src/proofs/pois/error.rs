//! Why segments, proofs and challenges of idle space are refused.

use super::{
    shape::{LABELS_LOG2_MAX, LABELS_LOG2_MIN, LAYERS_MAX, LAYERS_MIN},
    tree::CHUNK_LABELS,
};
use std::fmt;

/// The tree an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A layer of the segment whose commitment is checked.
    Layer(u32),
    /// The last layer of a segment under audit, by the segment's number.
    Segment(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Layer(layer) => write!(f, "layer {layer}"),
            Self::Segment(number) => write!(f, "segment {number}"),
        }
    }
}

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoisError {
    /// A segment nobody may make.
    #[error(
        "a segment of 2^{labels_log2} labels in {layers} layers is out of bounds, expected 2^{LABELS_LOG2_MIN} to 2^{LABELS_LOG2_MAX} labels in \
         {LAYERS_MIN} to {LAYERS_MAX} layers"
    )]
    Shape { labels_log2: u32, layers: u32 },
    /// A buffer or a row of digests of the wrong length.
    #[error("{what}: {found} given, expected {expected}")]
    Length { what: &'static str, found: usize, expected: usize },
    /// A position outside the segment.
    #[error("label {next} of layer {layer} is outside a segment of {labels} labels in {layers} layers")]
    Progress { layer: u32, next: u32, labels: u32, layers: u32 },
    /// Layers handed over in another order than they are made.
    #[error("layer {found} was handed over, layer {expected} is due")]
    Turn { found: u32, expected: u32 },
    /// A leaf that the tree does not have.
    #[error("leaf {leaf} does not exist, a layer has {leaves}")]
    Leaf { leaf: u32, leaves: u32 },
    /// Labels read back that are not those committed to.
    #[error("chunk {chunk} of {CHUNK_LABELS} labels is not the one committed to")]
    Damaged { chunk: u32 },
    /// A commitment or proof for another number of layers.
    #[error("{what} covers {found} layers, expected {expected}")]
    Layers { what: &'static str, found: usize, expected: u32 },
    /// An opening with too few or too many leaves.
    #[error("{place}: {found} leaves are opened, expected {expected}")]
    Leaves { place: Place, found: usize, expected: usize },
    /// An opening with too few or too many siblings.
    #[error("{place}: {found} siblings are given, expected {expected}")]
    Siblings { place: Place, found: usize, expected: usize },
    /// Leaves that are not below the root.
    #[error("{place}: the opened leaves are not those of its root")]
    Root { place: Place },
    /// A label that is not the hash of its parents.
    #[error("node {node} of layer {layer} does not follow from its parents")]
    Label { layer: u32, node: u32 },
    /// A live range that begins behind its segment's end.
    #[error("segment {segment} is live from step {found}, it has {max} steps")]
    LiveFrom { segment: u64, found: u32, max: u32 },
    /// Nothing can be asked for.
    #[error("none of {segments} segments has a live leaf")]
    NothingLive { segments: usize },
    /// An audit proof for another number of segments.
    #[error("openings of {found} segments are given, expected {expected}")]
    Openings { found: usize, expected: usize },
}
