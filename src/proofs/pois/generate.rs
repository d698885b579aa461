//! Fills a segment with labels, layer by layer, in steps as small as the caller likes.
//!
//! Owns the order of the work and nothing else: the labels lie in two buffers of the caller, who may save them with the [`Progress`] and go
//! on later. Invariants: a step never begins a layer after it has finished one, so that every layer can be looked at while it is
//! whole; steps of any size lead to the same labels; nothing is allocated.

use super::{
    PoisError, ReplicaId, Shape,
    graph::{Graph, Parents},
    label::{Label, Message, NO_LABEL},
};
use crate::codec::Wire;
use std::ops::Range;

/// How many labels ahead parents are fetched. 8 to 16 measured alike, 4 is slower.
const AHEAD: u32 = 12;
/// Places for the parents of the labels ahead: a power of two above [`AHEAD`].
const RING: usize = 16;

/// The next label to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, borsh::BorshSerialize, borsh::BorshDeserialize)]
pub struct Progress {
    /// The segment.
    pub replica: ReplicaId,
    /// Its layer; the number of layers when all is done.
    pub layer: u32,
    /// Its node.
    pub next: u32,
}

impl Wire for Progress {
    const NAME: &'static str = "idle segment progress";
    const VERSION: u8 = 1;
    const MAX_BYTES: usize = 64;
}

/// Two layers of labels: the one being made and the one below. Layer `l` lies in buffer `l mod 2`.
pub struct Workspace<'a>([&'a mut [Label]; 2]);

impl<'a> Workspace<'a> {
    /// Over two buffers of one layer each. What they hold matters only to who resumes.
    pub fn new(shape: Shape, even: &'a mut [Label], odd: &'a mut [Label]) -> Result<Self, PoisError> {
        for buffer in [&*even, &*odd] {
            check_layer(shape, buffer)?;
        }
        Ok(Self([even, odd]))
    }

    /// The labels of `layer`, until two layers later are begun.
    pub fn layer(&self, layer: u32) -> &[Label] {
        self.0[parity(layer)]
    }

    /// The layer being made and the one below.
    fn split(&mut self, layer: u32) -> (&mut [Label], &[Label]) {
        let [even, odd] = &mut self.0;
        if parity(layer) == 0 { (even, odd) } else { (odd, even) }
    }
}

/// Checks that `labels` are a whole layer.
pub(super) fn check_layer(shape: Shape, labels: &[Label]) -> Result<(), PoisError> {
    let expected = at(shape.labels());
    let (what, found) = ("labels of a layer", labels.len());
    if found == expected { Ok(()) } else { Err(PoisError::Length { what, found, expected }) }
}

fn parity(layer: u32) -> usize {
    at(layer % 2)
}

/// A node's number as an index.
#[inline]
pub(super) fn at(node: u32) -> usize {
    usize::try_from(node).expect("an address space has 32 bits or more")
}

/// Makes the labels of one segment.
pub struct Generator {
    shape: Shape,
    progress: Progress,
}

impl Generator {
    /// Begins a segment.
    pub fn new(shape: Shape, replica: ReplicaId) -> Self {
        Self { shape, progress: Progress { replica, layer: 0, next: 0 } }
    }

    /// Goes on from `progress`. The workspace of the next step must hold the layer below and the labels made so far.
    pub fn resume(shape: Shape, progress: Progress) -> Result<Self, PoisError> {
        let Progress { layer, next, .. } = progress;
        let (labels, layers) = (shape.labels(), shape.layers());
        let inside = (layer < layers && next < labels) || (layer, next) == (layers, 0);
        if inside { Ok(Self { shape, progress }) } else { Err(PoisError::Progress { layer, next, labels, layers }) }
    }

    /// What to save beside the buffers.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Whether the last layer is whole.
    pub fn is_done(&self) -> bool {
        self.progress.layer == self.shape.layers()
    }

    /// Makes up to `max_labels` labels and answers the layer that is whole by that, if one is. On the reference machine 2,000 labels take a millisecond.
    pub fn step(&mut self, workspace: &mut Workspace<'_>, max_labels: u32) -> Result<Option<u32>, PoisError> {
        check_layer(self.shape, workspace.layer(0))?;
        if self.is_done() {
            return Ok(None);
        }
        let Progress { replica, layer, next } = self.progress;
        let end = next.saturating_add(max_labels).min(self.shape.labels());
        let (current, below) = workspace.split(layer);
        let below = (layer > 0).then_some(below);
        fill(Message::new(&replica, layer), Graph::new(self.shape.labels_log2()), current, below, next..end);
        if end < self.shape.labels() {
            self.progress.next = end;
            return Ok(None);
        }
        self.progress = Progress { replica, layer: layer + 1, next: 0 };
        Ok(Some(layer))
    }
}

/// Makes the labels of `nodes` one after the other, while the parents of the next ones are on their way into the cache.
fn fill(mut message: Message, graph: Graph, current: &mut [Label], below: Option<&[Label]>, nodes: Range<u32>) {
    let mut ring = [Parents::default(); RING];
    let slot = |node: u32| at(node) % RING;
    let ahead = nodes.start..nodes.start.saturating_add(AHEAD);
    ahead.for_each(|node| ring[slot(node)] = graph.parents(node));
    let mut before = nodes.start.checked_sub(1).map_or(NO_LABEL, |node| current[at(node)]);
    for node in nodes {
        let later = graph.parents(node + AHEAD);
        later.within.iter().filter_map(|&parent| current.get(at(parent))).for_each(prefetch);
        if let Some(below) = below {
            later.below.iter().filter_map(|&parent| below.get(at(parent))).for_each(prefetch);
        }
        let parents = ring[slot(node)];
        ring[slot(node + AHEAD)] = later;
        let within = if node == 0 { [&NO_LABEL; _] } else { parents.within.map(|parent| &current[at(parent)]) };
        let below = below.map(|below| parents.below.map(|parent| &below[at(parent)]));
        before = message.label(node, &before, within, below);
        current[at(node)] = before;
    }
}

/// Asks for a label that is needed soon.
#[inline]
fn prefetch(label: &Label) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and writes nothing the program can see, it cannot fault, and SSE is part of every x86-64 processor.
        // The address is that of a live reference anyway.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(label.as_ptr().cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = label;
}
