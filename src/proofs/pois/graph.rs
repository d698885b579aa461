//! The public graph: which labels a label is made of. One graph for all layers, segments and miners of a size.
//!
//! Invariants: it depends on nothing but the number of labels; a parent within the layer comes before its child, so that labels
//! can be made in order; golden values in the tests fix it for ever.

/// Parents within the layer besides the label just before.
pub(super) const WITHIN_PARENTS: usize = 5;
/// Parents in the layer below.
pub(super) const BELOW_PARENTS: usize = 8;
/// Draws reserved for a node, a power of two of at least its parents.
const NODE_DRAWS: u64 = 16;
/// Where the generator of the draws begins. Any number would do, a name shows that none was looked for.
const GRAPH_SEED: u64 = u64::from_be_bytes(*b"cessidle");
/// Step of splitmix64.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// Parents of a node, the one just before it left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parents {
    /// Earlier nodes of the same layer. Node 0 has none: its entries mean nothing.
    pub within: [u32; WITHIN_PARENTS],
    /// Nodes of the layer below, any of them. Layer 0 does not use them.
    pub below: [u32; BELOW_PARENTS],
}

/// The graph of layers of some size.
#[derive(Debug, Clone, Copy)]
pub struct Graph {
    labels_log2: u32,
}

impl Graph {
    /// Of `2^labels_log2` nodes a layer.
    pub const fn new(labels_log2: u32) -> Self {
        Self { labels_log2 }
    }

    /// Parents of `node`.
    #[inline]
    pub fn parents(self, node: u32) -> Parents {
        let mut draws = Draws::of(node);
        Parents {
            within: std::array::from_fn(|_| earlier(node, draws.next())),
            below: std::array::from_fn(|_| high_bits(draws.next(), self.labels_log2)),
        }
    }
}

/// Outputs number `16·node`, `16·node + 1`, … of splitmix64.
struct Draws(u64);

impl Draws {
    fn of(node: u32) -> Self {
        Self(GRAPH_SEED.wrapping_add((u64::from(node) * NODE_DRAWS).wrapping_mul(GOLDEN_GAMMA)))
    }

    #[inline]
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN_GAMMA);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A depth-robust parent by the sampling of Alwen, Blocki and Harsha (DRSample, CCS 2017): first a scale, each power of two up to
/// the node's own number alike, then a distance of that scale. Distance 1 is left to the parent every node has.
#[inline]
fn earlier(node: u32, draw: u64) -> u32 {
    let (scale, place) = (draw >> 32, draw & u64::from(u32::MAX));
    let scales = u64::from(u32::BITS - node.leading_zeros());
    let far = (2 << ((scale * scales) >> 32)).min(u64::from(node));
    let near = (far / 2).max(2);
    let distance = if near > far { far } else { near + ((place * (far - near + 1)) >> 32) };
    low_word(u64::from(node) - distance)
}

/// The first `bits` bits of a draw.
#[inline]
fn high_bits(draw: u64, bits: u32) -> u32 {
    low_word(draw >> (u64::BITS - bits))
}

/// A number that is known to fit.
#[inline]
fn low_word(number: u64) -> u32 {
    u32::try_from(number).expect("nodes are numbered with 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn parents_are_golden() {
        let graph = Graph::new(25);
        let of = |node| {
            let parents = graph.parents(node);
            format!("{:?} {:?}", parents.within, parents.below)
        };
        assert_eq!(
            of(1),
            "[0, 0, 0, 0, 0] [17988688, 14661310, 10482247, 13252023, 24945071, 2181016, 7972759, 25244605]"
        );
        assert_eq!(
            of(1_000_000),
            "[999998, 727882, 995904, 999998, 433897] [25617156, 7402597, 7811024, 17484249, 13600274, 17713668, 20711405, 31940443]"
        );
        assert_eq!(
            of((1 << 25) - 1),
            "[30532188, 33554428, 33404307, 31952598, 33554414] [12207930, 22883765, 26288072, 26467009, 10783062, 23166999, 26289414, 27008278]"
        );
    }

    #[test]
    fn draws_are_those_of_splitmix64() {
        // The published generator's first outputs for seed 1234567.
        let mut draws = Draws(1_234_567);
        assert_eq!([draws.next(), draws.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn every_scale_is_used_alike() {
        let node = (1 << 20) + 5;
        let mut scales = [0u32; 21];
        for draw in 0..21_000u64 {
            let distance = node - earlier(node, draw.wrapping_mul(GOLDEN_GAMMA));
            scales[usize::try_from(distance.ilog2()).unwrap()] += 1;
        }
        // Distances of the scale 2 alone have nothing below them: 1 is excluded, so that they share with the next scale.
        assert!(scales[1..20].iter().all(|&n| (500..2_600).contains(&n)), "{scales:?}");
        assert_eq!(scales[0], 0);
    }

    proptest! {
        #[test]
        fn parents_come_before_and_exist(log2 in 12u32..=25, node in any::<u32>()) {
            let node = node >> (32 - log2);
            let parents = Graph::new(log2).parents(node);
            prop_assert!(node == 0 || parents.within.iter().all(|&parent| parent < node));
            prop_assert!(node < 3 || parents.within.iter().all(|&parent| parent < node - 1));
            prop_assert!(parents.below.iter().all(|&parent| parent < 1 << log2));
        }
    }

    #[test]
    fn nearly_every_node_is_a_parent_of_the_layer_above() {
        let graph = Graph::new(14);
        let used: BTreeSet<u32> = (0..1 << 14).flat_map(|node| graph.parents(node).below).collect();
        // A random choice of 8 leaves out a share of e^-8, 5 or 6 of 16,384.
        assert!((16_360..16_384).contains(&used.len()), "{}", used.len());
    }
}
