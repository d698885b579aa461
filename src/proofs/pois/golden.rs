//! Golden values: what labels, roots and encodings were when they were first released. A segment takes minutes to make and lives
//! for years, so that none of these may ever change for it.

use super::{AuditProof, CommitProof, Commitment, Opening, Progress, ReplicaId, tests::sealed};
use crate::{codec::golden::check, types::Address};

#[test]
fn labels_and_roots_are_golden() {
    let replica = ReplicaId::new(11_332, &Address::repeat_byte(1), 7, &[2; 32]);
    assert_eq!(hex::encode(replica.0), "f30bf22fb5e3f820643ab86d7b40580f4353112e4c350b964a9c70d53ffbc57a");
    let sealed = sealed();
    let labels = [(0, 0), (0, 1), (0, 8_191), (1, 0), (2, 4_097)];
    // Computed by another program from the words of the specification as well.
    let text = labels.map(|(layer, node): (usize, usize)| hex::encode(&sealed.layers[layer][node][..8]));
    assert_eq!(
        text,
        ["7627413e1551478f", "530e996d4d846a25", "b439c59a3cbbfa6e", "88d79a4e136733fe", "2a0a4f311b2f8f91"]
    );
    let roots: Vec<_> = sealed.commitment.layer_roots.iter().map(hex::encode).collect();
    assert_eq!(
        roots,
        [
            "55f9f0e1ade7adec10ae5fdaff0526cac73188e54528b5a7e5c6a52d78ab6d26",
            "fc4bae875f6188d8d8c4a89e28d72760cb559ddb7111b548a0e6d5161d01600c",
            "092a6620055c70a6d64bd9bb7bd7a66d631815c38870b3d5310c41f7d0f81f71"
        ]
    );
    assert_eq!(
        hex::encode(sealed.commitment.id(&sealed.replica)),
        "56e422a9753d3f54db3145114252decec59cd51b5482c5e9810e231531204ca8"
    );
}

#[test]
fn choices_are_golden() {
    let nodes: Vec<u32> = sealed().challenge(&[9; 32]).nodes().take(4).collect();
    assert_eq!(nodes, [17, 104, 128, 129]);
    let asked: Vec<u32> =
        sealed().audit(3, 64).asked().flat_map(|(_, leaves)| leaves.iter().copied()).take(4).collect();
    assert_eq!(asked, [2069, 2081, 2097, 2109]);
}

#[test]
fn bytes_are_golden() {
    check(&Commitment { layer_roots: vec![[1; 32], [2; 32]] });
    check(&Progress { replica: ReplicaId([3; 32]), layer: 1, next: 4_096 });
    let opening = Opening { leaves: vec![[[4; 32], [5; 32]]], siblings: vec![[6; 32], [7; 32]] };
    check(&CommitProof { layers: vec![opening.clone(), Opening { leaves: Vec::new(), siblings: Vec::new() }] });
    check(&AuditProof { openings: vec![opening] });
}
