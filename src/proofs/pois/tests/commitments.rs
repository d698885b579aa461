//! Commitments: an honest one passes, its proof has one form and a bounded size.

use super::*;
use crate::codec::{CodecError, Wire, decode, encode};
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn an_honest_commitment_passes() {
    for beacon in 0..4 {
        let challenge = sealed().challenge(&[beacon; 32]);
        assert_eq!(challenge.verify(&sealed().prove(&challenge)), Ok(()));
    }
}

#[test]
fn node_zero_passes() {
    let beacon = (0u64..).find_map(|n| {
        let mut beacon = [0; 32];
        beacon[..8].copy_from_slice(&n.to_le_bytes());
        sealed().challenge(&beacon).nodes().any(|node| node == 0).then_some(beacon)
    });
    let challenge = sealed().challenge(&beacon.unwrap());
    assert_eq!(challenge.verify(&sealed().prove(&challenge)), Ok(()));
}

#[test]
fn challenges_ask_for_distinct_nodes_that_depend_on_everything() {
    let nodes = |challenge: &CommitChallenge| challenge.nodes().collect::<BTreeSet<_>>();
    let of = |replica, roots: &Commitment, beacon| {
        nodes(&CommitChallenge::draw(small(), replica, roots, &[beacon; 32]).unwrap())
    };
    let roots = &sealed().commitment;
    let mut others = roots.clone();
    others.layer_roots[0][0] ^= 1;
    let first = of(sealed().replica, roots, 1);
    assert_eq!(first.len(), 128);
    assert_ne!(first, of(sealed().replica, roots, 2));
    assert_ne!(first, of(ReplicaId([8; 32]), roots, 1));
    assert_ne!(first, of(sealed().replica, &others, 1));
}

#[test]
fn layers_are_proved_in_order_and_all_of_them() {
    let challenge = sealed().challenge(&[9; 32]);
    let mut prover = CommitProver::new(&challenge);
    let add = |prover: &mut CommitProver<'_>, layer: u32| {
        let index = usize::try_from(layer).unwrap() % 3;
        prover.add(layer, &sealed().crowns[index], chunks(&sealed().layers[index]))
    };
    assert_eq!(add(&mut prover, 1), Err(PoisError::Turn { found: 1, expected: 0 }));
    assert_eq!(add(&mut prover, 0), Ok(()));
    assert_eq!(add(&mut prover, 0), Err(PoisError::Turn { found: 0, expected: 1 }));
    assert_eq!(add(&mut prover, 1), Ok(()));
    assert_eq!(add(&mut prover, 2), Ok(()));
    assert_eq!(add(&mut prover, 3), Err(PoisError::Turn { found: 3, expected: 3 }));
    assert!(prover.finish().is_ok());
}

#[test]
fn a_commitment_for_another_number_of_layers_is_refused() {
    let commitment = Commitment { layer_roots: vec![[0; 32]; 2] };
    let drawn = CommitChallenge::draw(small(), ReplicaId([7; 32]), &commitment, &[9; 32]);
    let refused = PoisError::Layers { what: "the commitment", found: 2, expected: 3 };
    assert_eq!(drawn.err(), Some(refused));
}

#[test]
fn the_proof_travels() {
    let challenge = sealed().challenge(&[9; 32]);
    let proof = sealed().prove(&challenge);
    let bytes = encode(&proof);
    assert_eq!(decode(&bytes), Ok(proof));
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(decode::<CommitProof>(&longer).is_err() && decode::<CommitProof>(&bytes[..bytes.len() - 1]).is_err());
    let huge = vec![1; CommitProof::MAX_BYTES + 1];
    assert!(matches!(decode::<CommitProof>(&huge), Err(CodecError::TooLarge { .. })));
}

#[test]
fn the_largest_proof_of_the_main_network_fits() {
    // Leaves spread as evenly as can be share the least.
    let leaves = 128 * 15;
    let spread: BTreeSet<u32> = (0..leaves).map(|n| n * (Shape::MAINNET.leaves() / leaves)).collect();
    let siblings: usize = tree::missing_siblings(Shape::MAINNET.depth(), &spread).iter().map(BTreeSet::len).sum();
    let layer = 8 + 64 * usize::try_from(leaves).unwrap() + 32 * siblings;
    let proof = 1 + 4 + 8 * layer;
    assert!(proof <= CommitProof::MAX_BYTES && proof > CommitProof::MAX_BYTES / 10 * 9, "{proof}");
}

proptest! {
    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let versioned = [&[1][..], &bytes].concat();
        let challenge = sealed().challenge(&[9; 32]);
        if let Ok(proof) = decode::<CommitProof>(&versioned) {
            prop_assert!(challenge.verify(&proof).is_err());
        }
        if let Ok(proof) = decode::<AuditProof>(&versioned) {
            prop_assert!(sealed().audit(1, 0).verify(&proof).is_err());
        }
    }
}
