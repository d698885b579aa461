//! Labels: the words of the specification, computed the long way, and the same labels by steps of any size.

use super::*;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

/// A label as the specification says it.
fn spelt_out(sealed: &Sealed, layer: usize, node: usize) -> Label {
    let parents = Graph::new(LABELS_LOG2).parents(u32::try_from(node).unwrap());
    let of = |layer: usize, node: u32| sealed.layers[layer][usize::try_from(node).unwrap()];
    let mut message = sealed.replica.0.to_vec();
    message.extend(u32::try_from(layer).unwrap().to_le_bytes());
    message.extend(u32::try_from(node).unwrap().to_le_bytes());
    message.resize(64, 0);
    match node.checked_sub(1) {
        None => message.extend([0; 6 * 32]),
        Some(before) => {
            message.extend(sealed.layers[layer][before]);
            parents.within.iter().for_each(|&parent| message.extend(of(layer, parent)));
        }
    }
    if let Some(below) = layer.checked_sub(1) {
        parents.below.iter().for_each(|&parent| message.extend(of(below, parent)));
    }
    Sha256::digest(message).into()
}

#[test]
fn labels_are_those_of_the_specification() {
    for layer in 0..3 {
        for node in (0..40).chain((40..8_192).step_by(101)).chain([8_191]) {
            assert_eq!(sealed().layers[layer][node], spelt_out(sealed(), layer, node), "layer {layer}, node {node}");
        }
    }
}

/// The last layer, made in steps of `sizes` with everything thrown away between them but the buffers and the encoded progress.
fn in_steps(shape: Shape, sizes: &[u32]) -> Vec<Label> {
    let empty = vec![[0; 32]; usize::try_from(shape.labels()).unwrap()];
    let (mut even, mut odd) = (empty.clone(), empty);
    let mut saved = crate::codec::encode(&Generator::new(shape, ReplicaId([7; 32])).progress());
    for size in sizes.iter().cycle() {
        let mut generator = Generator::resume(shape, crate::codec::decode(&saved).unwrap()).unwrap();
        if generator.is_done() {
            break;
        }
        let mut workspace = Workspace::new(shape, &mut even, &mut odd).unwrap();
        let before = generator.progress();
        let whole = generator.step(&mut workspace, *size).unwrap();
        let after = generator.progress();
        assert_eq!(whole, (after.layer > before.layer).then_some(before.layer));
        saved = crate::codec::encode(&after);
    }
    if shape.layers() % 2 == 1 { even } else { odd }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn steps_of_any_size_make_the_same_labels(sizes in prop::collection::vec(1u32..5_000, 1..5)) {
        let shape = Shape::new(12, 2).unwrap();
        prop_assert_eq!(in_steps(shape, &sizes), in_steps(shape, &[u32::MAX]));
    }
}

#[test]
fn a_finished_segment_stays_as_it_is() {
    let shape = small();
    let done = Progress { replica: ReplicaId([7; 32]), layer: 3, next: 0 };
    let mut generator = Generator::resume(shape, done).unwrap();
    let (mut even, mut odd) = (vec![[1; 32]; 8_192], vec![[2; 32]; 8_192]);
    let mut workspace = Workspace::new(shape, &mut even, &mut odd).unwrap();
    assert_eq!(generator.step(&mut workspace, 10), Ok(None));
    assert_eq!((generator.progress(), workspace.layer(2)[0]), (done, [1; 32]));
}

#[test]
fn what_does_not_fit_is_refused() {
    let resume = |layer, next| {
        Generator::resume(small(), Progress { replica: ReplicaId([7; 32]), layer, next })
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    assert_eq!(resume(2, 8_191), Ok(()));
    let refused = Err("label 8192 of layer 2 is outside a segment of 8192 labels in 3 layers".to_owned());
    assert_eq!(resume(2, 8_192), refused);
    assert!(resume(3, 1).is_err() && resume(4, 0).is_err());
    let (mut even, mut odd) = (vec![[0; 32]; 8_192], vec![[0; 32]; 8_191]);
    let short = PoisError::Length { what: "labels of a layer", found: 8_191, expected: 8_192 };
    assert_eq!(Workspace::new(small(), &mut even, &mut odd).err(), Some(short));
    for (labels_log2, layers) in [(11, 3), (26, 3), (13, 1), (13, 9)] {
        assert_eq!(Shape::new(labels_log2, layers), Err(PoisError::Shape { labels_log2, layers }));
    }
}

#[test]
fn segments_are_as_large_as_the_profiles_say() {
    use crate::types::{Params, Profile};
    let of = |profile| Shape::of(&Params::of(profile));
    let (mainnet, dev) = (of(Profile::Mainnet), of(Profile::Dev));
    assert_eq!((mainnet, mainnet.bytes(), mainnet.layers()), (Shape::MAINNET, 1 << 30, 8));
    assert_eq!((dev.bytes(), dev.layers(), Shape::new(15, 3)), (1 << 20, 3, Ok(dev)));
    assert_eq!(u64::from(mainnet.step_leaves()) * 64, 8 << 20);
}
