//! What a miner shows that takes a column over, as chain and miner have to agree on it.
//!
//! Pure arithmetic over a manifest and a claim. Must not know state or disks. Invariant: whoever knows file, claim and beacon draws the
//! same chunks.

use crate::{
    ledger::manifest::Manifest,
    proofs::{
        AuditRound, Fragment,
        spot::{Holdings, Spot, ask},
    },
    types::{Address, ChainId, FileId, FragmentId, Height, params::FRAGMENTS},
};
use std::collections::BTreeMap;

/// A claim of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The chain it was made on.
    pub chain: ChainId,
    /// Who made it.
    pub claimer: Address,
    /// The block it was made in.
    pub height: Height,
    /// The file.
    pub file: FileId,
}

impl Claim {
    /// The block whose beacon draws what is to be shown. Nobody knows it when the claim is made.
    pub fn beacon_height(&self) -> Height {
        self.height.saturating_add(1)
    }

    /// First block in which the column may be taken over: the beacon is known to everybody.
    pub fn complete_from(&self) -> Height {
        self.height.saturating_add(2)
    }

    /// The chunks of column `index` of `manifest` that are to be opened.
    pub fn spots(&self, beacon: [u8; 32], manifest: &Manifest, index: u8) -> Vec<Spot> {
        let (chain, miner, round) = (self.chain, self.claimer, self.height);
        let round = AuditRound { beacon, chain, miner, round, context: *self.file.as_bytes() };
        ask(&round, &Holdings::new(column(manifest, index)))
    }
}

/// Fragments of a column of a checked manifest: each that is distinct, by id. None beyond the last column.
pub fn column(manifest: &Manifest, index: u8) -> Vec<Fragment> {
    let index = usize::from(index);
    if index >= FRAGMENTS {
        return Vec::new();
    }
    let lengths: BTreeMap<FragmentId, u64> =
        manifest.segments.iter().map(|segment| (segment.fragments[index], segment.fragment_len())).collect();
    let fragment = |(id, bytes)| Fragment::new(id, bytes).expect("a checked manifest has lengths of the erasure code");
    lengths.into_iter().map(fragment).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::manifest::SegmentEntry,
        types::{SegmentId, params::SEGMENT_MAX_BYTES},
    };

    fn manifest() -> Manifest {
        let full = u32::try_from(SEGMENT_MAX_BYTES).unwrap();
        let entry = |tag: u8, len| SegmentEntry {
            id: SegmentId([tag; 32]),
            len,
            fragments: std::array::from_fn(|index| FragmentId([tag ^ u8::try_from(index).unwrap(); 32])),
        };
        let segments = vec![entry(0x90, full), entry(0x20, full), entry(0x90, full), entry(0x50, 4_000)];
        let manifest = Manifest { size: 3 * SEGMENT_MAX_BYTES + 4_000, segments };
        manifest.check().unwrap();
        manifest
    }

    #[test]
    fn a_column_has_each_fragment_once_by_id() {
        let ids: Vec<u8> = column(&manifest(), 3).iter().map(|fragment| fragment.id.0[0]).collect();
        assert_eq!(ids, [0x23, 0x53, 0x93]);
        let bytes: Vec<u64> = column(&manifest(), 3).iter().map(|fragment| fragment.length.bytes()).collect();
        assert_eq!(bytes, [SEGMENT_MAX_BYTES / 4, 1_024, SEGMENT_MAX_BYTES / 4]);
        assert_eq!(column(&manifest(), 12), []);
    }

    #[test]
    fn what_is_shown_depends_on_everything_of_the_claim() {
        let manifest = manifest();
        let claim = Claim { chain: 1, claimer: Address::repeat_byte(1), height: 9, file: manifest.id() };
        let spots = |claim: Claim, beacon| claim.spots([beacon; 32], &manifest, 0);
        assert_eq!((claim.beacon_height(), claim.complete_from()), (10, 11));
        let others = [
            Claim { chain: 2, ..claim },
            Claim { claimer: Address::repeat_byte(2), ..claim },
            Claim { height: 10, ..claim },
            Claim { file: FileId([0; 32]), ..claim },
        ];
        assert!(others.iter().all(|other| spots(*other, 1) != spots(claim, 1)));
        assert_ne!(spots(claim, 2), spots(claim, 1));
        assert_ne!(claim.spots([1; 32], &manifest, 1), spots(claim, 1));
    }
}
