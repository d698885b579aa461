//! What a miner might try. Each test names the attack and ends with the refusal.

use super::*;
use crate::proofs::pois::{
    label::critical_compressions,
    tree::{leaf_hash, node_hash},
};

/// A clock that only counted work moves.
#[derive(Default)]
struct SimulatedClock {
    ps: u128,
}

impl SimulatedClock {
    fn ms(&self) -> u64 {
        u64::try_from(self.ps / 1_000_000_000).unwrap()
    }
}

#[test]
fn regenerating_on_demand_misses_the_window() {
    // The small segment stands for one of the main network: each of its compressions for as many there.
    let (shape, machine) = (small(), Machine::FASTEST);
    let scale =
        u128::from(sequential_compressions(Shape::MAINNET)) * 1_000_000 / u128::from(sequential_compressions(shape));
    let mut clock = SimulatedClock::default();
    let challenge = sealed().audit(1, 0);
    assert_eq!(challenge.verify(&sealed().answer(&challenge)), Ok(()), "who kept the segment answers at once");

    let (mut even, mut odd) = (vec![[0; 32]; 8_192], vec![[0; 32]; 8_192]);
    let mut workspace = Workspace::new(shape, &mut even, &mut odd).unwrap();
    let mut generator = Generator::new(shape, sealed().replica);
    while !generator.is_done() {
        let Progress { layer, next, .. } = generator.progress();
        generator.step(&mut workspace, 1_000).unwrap();
        let labels = generator.progress().next.checked_sub(next).unwrap_or(shape.labels() - next);
        let compressions = u128::from(labels) * u128::from(critical_compressions(layer));
        clock.ps += compressions * u128::from(machine.compression_ps) * scale / 1_000_000;
    }
    let anew = Sealed::of_layers(shape, sealed().replica, vec![workspace.layer(2).to_vec()]);
    assert_eq!(challenge.verify(&anew.answer(&challenge)), Ok(()), "the answer is right");
    assert!(clock.ms() > ANSWER_WINDOW_MAX_MS * 2, "but late: {} ms", clock.ms());
    assert!(clock.ms().abs_diff(machine.regeneration_ms(Shape::MAINNET)) < 100);
}

/// Compressions on the longest path to each label of the last layer.
fn longest_paths(labels_log2: u32, layers: u32) -> Vec<u64> {
    let graph = Graph::new(labels_log2);
    let at = |node: u32| usize::try_from(node).unwrap();
    let mut below: Vec<u64> = vec![0; 1 << labels_log2];
    for layer in 0..layers {
        let mut current: Vec<u64> = Vec::with_capacity(below.len());
        for node in 0..1u32 << labels_log2 {
            let before = node.checked_sub(1).map_or(0, |before| current[at(before)]);
            let deepest = graph.parents(node).below.iter().map(|&parent| below[at(parent)]).max().unwrap();
            current.push(critical_compressions(layer) + before.max(deepest));
        }
        below = current;
    }
    below
}

#[test]
fn layers_cannot_be_made_at_the_same_time() {
    let shape = Shape::new(14, 8).unwrap();
    let paths = longest_paths(14, 8);
    let all = sequential_compressions(shape);
    assert!(paths[16_383] * 1_000 > all * 998, "{} of {all}", paths[16_383]);
    // Even the first labels of the last layer wait for nearly all of the seven below.
    let below = all - shape.labels() as u64 * critical_compressions(1);
    assert!(paths[10] * 100 > below * 98, "{} of {below}", paths[10]);
}

#[test]
fn the_sequential_cost_is_the_one_the_window_counts_on() {
    assert_eq!((critical_compressions(0), critical_compressions(1)), (4, 8));
    assert_eq!(sequential_compressions(Shape::MAINNET), 60 << 25);
    assert_eq!(Machine::FASTEST.regeneration_ms(Shape::MAINNET), 39_057);
    assert_eq!(ANSWER_WINDOW_MAX_MS, 18_000);
    let enough = |compression_ps| Machine { compression_ps }.regeneration_ms(Shape::MAINNET) > ANSWER_WINDOW_MAX_MS;
    assert!(enough(8_950) && !enough(8_900));
}

#[test]
fn sybil_the_same_bytes_under_two_ids_fail() {
    let one = sealed();
    let other = ReplicaId::new(11_332, &crate::types::Address::repeat_byte(9), 0, &[3; 32]);
    let copy = Sealed::of_layers(small(), other, one.layers.clone());
    let challenge = copy.challenge(&[9; 32]);
    let node = challenge.nodes().next().unwrap();
    assert_eq!(challenge.verify(&copy.prove(&challenge)), Err(PoisError::Label { layer: 0, node }));
}

#[test]
fn labels_made_up_are_found_where_they_are() {
    // A tenth of the middle layer is not computed; the last layer is computed from what is there.
    let mut layers = sealed().layers.clone();
    layers[1].iter_mut().step_by(10).for_each(|label| label[0] ^= 1);
    let mut generator = Generator::resume(small(), Progress { replica: sealed().replica, layer: 2, next: 0 }).unwrap();
    let (mut even, mut odd) = (vec![[0; 32]; 8_192], layers[1].clone());
    generator.step(&mut Workspace::new(small(), &mut even, &mut odd).unwrap(), u32::MAX).unwrap();
    layers[2] = even;
    let cheat = Sealed::of_layers(small(), sealed().replica, layers);
    let challenge = cheat.challenge(&[9; 32]);
    let refused = challenge.verify(&cheat.prove(&challenge));
    assert!(matches!(refused, Err(PoisError::Label { layer: 1, .. })), "{refused:?}");
}

#[test]
fn merkle_confusion_an_inner_node_is_no_leaf() {
    let (labels, crown) = (&sealed().layers[2], &sealed().crowns[2]);
    let hash_of = |leaf: usize| leaf_hash(&[labels[2 * leaf], labels[2 * leaf + 1]]);
    let inner: Leaf = [hash_of(0), hash_of(1)];
    assert_ne!(leaf_hash(&inner), node_hash(&inner[0], &inner[1]));
    // The node above leaves 0 and 1, shown as leaf 0 with the rest of its path, and with something in the gap.
    let path = crown.open(&[0].into(), chunks(labels)).unwrap().siblings;
    let place = Place::Segment(1);
    let verify = |siblings: Vec<Digest>| {
        Opening { leaves: vec![inner], siblings }.verify(small(), &[0].into(), &crown.root(), place)
    };
    assert_eq!(verify(path[1..].to_vec()), Err(PoisError::Siblings { place, found: 11, expected: 12 }));
    assert_eq!(verify(path), Err(PoisError::Root { place }));
}

#[test]
fn merkle_confusion_a_short_or_long_path_is_refused() {
    let good = sealed().crowns[2].open(&[40, 900].into(), chunks(&sealed().layers[2])).unwrap();
    let (place, expected) = (Place::Layer(2), good.siblings.len());
    let verify = |opening: &Opening| opening.verify(small(), &[40, 900].into(), &sealed().crowns[2].root(), place);
    let (mut short, mut long, mut padded) = (good.clone(), good.clone(), good);
    short.siblings.pop();
    assert_eq!(verify(&short), Err(PoisError::Siblings { place, found: expected - 1, expected }));
    long.siblings.push([0; 32]);
    assert_eq!(verify(&long), Err(PoisError::Siblings { place, found: expected + 1, expected }));
    padded.leaves.push(padded.leaves[1]);
    assert_eq!(verify(&padded), Err(PoisError::Leaves { place, found: 3, expected: 2 }));
}

#[test]
fn merkle_confusion_a_wrong_index_is_refused() {
    let opening = sealed().crowns[2].open(&[40].into(), chunks(&sealed().layers[2])).unwrap();
    let place = Place::Layer(2);
    for other in [41, 39, 40 + 2_048, 0] {
        let refused = opening.verify(small(), &[other].into(), &sealed().crowns[2].root(), place);
        assert_eq!(refused, Err(PoisError::Root { place }), "{other}");
    }
}

#[test]
fn merkle_confusion_a_missing_parent_is_refused() {
    let challenge = sealed().challenge(&[9; 32]);
    let good = sealed().prove(&challenge);
    let mut bad = good.clone();
    let expected = bad.layers[1].leaves.len();
    bad.layers[1].leaves.remove(5);
    let refused = PoisError::Leaves { place: Place::Layer(1), found: expected - 1, expected };
    assert_eq!(challenge.verify(&bad), Err(refused));
    bad.layers[1].leaves.insert(5, [[0; 32]; 2]);
    assert_eq!(challenge.verify(&bad), Err(PoisError::Root { place: Place::Layer(1) }));
}

#[test]
fn missing_layer_data_cannot_be_covered() {
    let challenge = sealed().challenge(&[9; 32]);
    let mut proof = sealed().prove(&challenge);
    // Another layer in the place of the lost one.
    proof.layers[0] = proof.layers[1].clone();
    assert_eq!(challenge.verify(&proof), Err(PoisError::Root { place: Place::Layer(0) }));
    proof.layers[0] = Opening { leaves: Vec::new(), siblings: Vec::new() };
    assert!(matches!(challenge.verify(&proof), Err(PoisError::Leaves { place: Place::Layer(0), found: 0, .. })));
    proof.layers.remove(0);
    let refused = PoisError::Layers { what: "the proof", found: 2, expected: 3 };
    assert_eq!(challenge.verify(&proof), Err(refused.clone()));
    // The miner's own side refuses as well.
    let mut prover = CommitProver::new(&challenge);
    let lost = prover.add(0, &sealed().crowns[0], |_, buffer: &mut [Label]| {
        buffer.fill([0; 32]);
        Ok(())
    });
    assert_eq!(lost, Err(PoisError::Damaged { chunk: 0 }));
    assert_eq!(prover.finish().err(), Some(PoisError::Layers { what: "the proof", found: 0, expected: 3 }));
}

#[test]
fn an_old_or_foreign_answer_is_refused() {
    let segments = [sealed().live(0, 0)];
    let draw = |transcript: &Transcript| AuditChallenge::draw(small(), transcript, &segments).unwrap();
    let this = transcript(1);
    let proof = sealed().answer(&draw(&this));
    assert_eq!(draw(&this).verify(&proof), Ok(()));
    let others = [
        Transcript { round: 2, ..this },
        Transcript { miner: crate::types::Address::repeat_byte(3), ..this },
        Transcript { chain: 11_333, ..this },
        Transcript { beacon: [2; 32], ..this },
    ];
    for other in others {
        assert!(draw(&other).verify(&proof).is_err(), "{other:?}");
    }
    let challenge = sealed().challenge(&[1; 32]);
    assert!(sealed().challenge(&[2; 32]).verify(&sealed().prove(&challenge)).is_err());
}

#[test]
fn a_miner_that_dropped_a_tenth_is_caught_at_the_expected_rate() {
    // Leaves of the last tenth are gone. 128 draws all miss it with probability 0.9^128, once in 700,000 rounds.
    let gone = small().leaves() - small().leaves() / 10;
    let caught = (0..1_000)
        .filter(|&round| sealed().audit(round, 0).asked().any(|(_, leaves)| leaves.range(gone..).next().is_some()));
    assert_eq!(caught.count(), 1_000);
    // One leaf in 512: 1 − (511/512)^128 = 22.1 % of rounds; 3 standard deviations are 3.9 %.
    let gone = small().leaves() - small().leaves() / 512;
    let caught = (0..1_000)
        .filter(|&round| sealed().audit(round, 0).asked().any(|(_, leaves)| leaves.range(gone..).next().is_some()));
    assert!((182..261).contains(&caught.count()));
}
