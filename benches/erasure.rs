//! Erasure coding of one full segment on one core: GB/s of segment data, ours against plain `reed-solomon-simd`.

use cess::storage::erasure;
use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};
use std::time::Instant;

const SEGMENT_BYTES: usize = 32 << 20;
const FRAGMENT_BYTES: usize = SEGMENT_BYTES / 4;
const ROUNDS: u32 = 8;

fn main() {
    let mut segment = vec![0; SEGMENT_BYTES];
    cess::crypto::hash::stream("cess 2026 erasure bench", b"").fill(&mut segment);
    let data: [&[u8]; 4] = std::array::from_fn(|i| &segment[i * FRAGMENT_BYTES..(i + 1) * FRAGMENT_BYTES]);
    let mut parity: [Vec<u8>; 8] = std::array::from_fn(|_| vec![0; FRAGMENT_BYTES]);
    let ours = rate(|| {
        let mut parity = parity.iter_mut();
        erasure::encode_parity(data, std::array::from_fn(|_| &mut parity.next().expect("eight")[..]));
    });
    let plain = rate(|| plain_encode(data));
    println!("encode          {ours:5.2} GB/s   plain {plain:5.2} GB/s");
    let fragments: Vec<&[u8]> = data.into_iter().chain(parity.iter().map(|p| &p[..])).collect();
    for lost in 0..=4 {
        let given: Vec<(usize, &[u8])> = (lost..lost + 4).map(|i| (i, fragments[i])).collect();
        let ours = rate(|| assert_eq!(erasure::decode(SEGMENT_BYTES, &given).expect("four").len(), SEGMENT_BYTES));
        let plain = rate(|| plain_decode(&given));
        println!("decode, {lost} lost  {ours:5.2} GB/s   plain {plain:5.2} GB/s");
    }
    let given: Vec<(usize, &[u8])> = (4..8).map(|i| (i, fragments[i])).collect();
    let ours = rate(|| assert_eq!(erasure::rebuild_one(11, &given).expect("four"), fragments[11]));
    println!("rebuild one     {ours:5.2} GB/s of segment");
}

/// Median-free and simple: the best of a few rounds, since other load only ever slows a round down.
fn rate(mut work: impl FnMut()) -> f64 {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed().as_secs_f64());
    }
    SEGMENT_BYTES as f64 / best / 1e9
}

fn plain_encode(data: [&[u8]; 4]) {
    let mut encoder = ReedSolomonEncoder::new(4, 8, FRAGMENT_BYTES).expect("supported");
    for fragment in data {
        encoder.add_original_shard(fragment).expect("four");
    }
    assert_eq!(encoder.encode().expect("four").recovery_iter().count(), 8);
}

fn plain_decode(given: &[(usize, &[u8])]) {
    let mut decoder = ReedSolomonDecoder::new(4, 8, FRAGMENT_BYTES).expect("supported");
    for (index, fragment) in given {
        match index.checked_sub(4) {
            None => decoder.add_original_shard(*index, fragment),
            Some(index) => decoder.add_recovery_shard(index, fragment),
        }
        .expect("distinct fragments");
    }
    decoder.decode().expect("four fragments");
}
