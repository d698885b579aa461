//! Memory for one layer that begins where the processor likes it to.
//!
//! Owns alignment only. Labels at odd places straddle two cache lines, of which one is fetched ahead: that alone costs a fifth of the
//! speed. A start at a huge page lets callers who can ask their system for such pages do so.

use super::{Shape, label::Label};

/// Where a layer begins: at a multiple of x86-64's huge pages.
const ALIGN_BYTES: usize = 2 << 20;

/// Memory for the labels of one layer, zero at first. The system gives it when it is written to.
pub struct LayerBuffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl LayerBuffer {
    /// For a layer of `shape`.
    pub fn new(shape: Shape) -> Self {
        let len = usize::try_from(shape.bytes()).expect("a segment is 1 GiB at most");
        let bytes = vec![0; len + ALIGN_BYTES];
        // Where alignment cannot be told the layer begins with the allocation.
        let start = Some(bytes.as_ptr().align_offset(ALIGN_BYTES)).filter(|&start| start < ALIGN_BYTES).unwrap_or(0);
        Self { bytes, start, len }
    }

    /// The layer's bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..][..self.len]
    }

    /// The layer's labels.
    pub fn labels_mut(&mut self) -> &mut [Label] {
        self.bytes_mut().as_chunks_mut().0
    }
}
