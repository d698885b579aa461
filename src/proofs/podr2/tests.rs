//! The whole way from key to verdict, the attacks on it, and golden bytes.

use super::*;
use crate::{
    crypto::hash,
    proofs::{AuditRound, Fragment, round::tests::sample},
    types::{Address, FragmentId, params::PODR2_CHALLENGED_BLOCKS},
};
use curve::{G1, G1Affine, Scalar, weighted_sum};
use polynomial::{BlockSum, open};
use proptest::prelude::*;
use std::sync::LazyLock;
use tag::block_hash;

/// Keys of one group, which are slow to make without optimisation.
struct Group {
    secret: TaggerKey,
    key: GroupKey,
    srs: Srs,
}

static GROUP: LazyLock<Group> = LazyLock::new(|| {
    let secret = TaggerKey::derive(&[1; 32]);
    Group { key: secret.public(), srs: secret.srs(), secret }
});

/// A fragment with its bytes and tags.
#[derive(Clone)]
struct Stored {
    fragment: Fragment,
    data: Vec<u8>,
    tags: Vec<Tag>,
}

fn stored_bytes(data: Vec<u8>) -> Stored {
    let fragment = Fragment::new(FragmentId(hash::content(&data)), data.len() as u64).unwrap();
    let tags = GROUP.secret.tag(fragment, &data).unwrap();
    Stored { fragment, data, tags }
}

/// A fragment of pseudo-random bytes.
fn stored(seed: u8, bytes: usize) -> Stored {
    let mut data = vec![0; bytes];
    hash::stream("cess 2026 podr2 tests", &[seed]).fill(&mut data);
    stored_bytes(data)
}

/// Three fragments: more blocks than are asked for, a short last block, and one short block.
static STORE: LazyLock<Vec<Stored>> =
    LazyLock::new(|| vec![stored(1, 12 * BLOCK_BYTES), stored(2, 2 * BLOCK_BYTES + 64), stored(3, 256)]);

fn held<'a>(challenge: &Challenge, stored: &'a Stored) -> Held<'a> {
    let answer = |asked: &Asked| (&stored.data[stored.fragment.length.block(asked.block)], tag_of(stored, asked));
    Held { fragment: stored.fragment, answers: challenge.asks(&stored.fragment).iter().map(answer).collect() }
}

fn tag_of(stored: &Stored, asked: &Asked) -> Tag {
    stored.tags[asked.block as usize]
}

fn prove_all(challenge: &Challenge, store: &[Stored]) -> Proof {
    let held: Vec<Held<'_>> = store.iter().map(|stored| held(challenge, stored)).collect();
    prove(challenge, &GROUP.srs, &held).unwrap()
}

fn fragments(store: &[Stored]) -> Vec<Fragment> {
    store.iter().map(|stored| stored.fragment).collect()
}

fn accepts(challenge: &Challenge, store: &[Stored], proof: &Proof) -> bool {
    verify(&GROUP.key, &Claim { challenge, fragments: &fragments(store), proof }).is_ok()
}

fn challenge() -> Challenge {
    Challenge::of(&sample())
}

fn number(n: u64) -> Scalar {
    Scalar::reduce(&n.to_le_bytes())
}

/// Σ ν·σ over what is asked, as a miner that kept its tags can always form it.
fn sigma_of_tags(challenge: &Challenge, store: &[Stored]) -> G1Affine {
    let (mut points, mut weights) = (Vec::new(), Vec::new());
    for stored in store {
        for asked in challenge.asks(&stored.fragment) {
            points.push(G1Affine::decode(&tag_of(stored, &asked).0).unwrap());
            weights.push(asked.weight);
        }
    }
    weighted_sum(&points, &weights).affine()
}

#[test]
fn an_honest_proof_verifies_and_survives_its_encoding() {
    let challenge = challenge();
    let proof = prove_all(&challenge, &STORE);
    assert!(accepts(&challenge, &STORE, &proof));
    assert_eq!(Proof::decode(&proof.encode()), Ok(proof.clone()));
    let mut reversed = fragments(&STORE);
    reversed.reverse();
    assert_eq!(verify(&GROUP.key, &Claim { challenge: &challenge, fragments: &reversed, proof: &proof }), Ok(()));
}

#[test]
fn zeros_are_provable() {
    // Without the byte that ends each sector ψ would be the identity.
    let challenge = challenge();
    for store in [vec![stored_bytes(vec![0; 256])], vec![stored_bytes(vec![0; 3 * BLOCK_BYTES]), STORE[2].clone()]] {
        assert!(accepts(&challenge, &store, &prove_all(&challenge, &store)));
    }
}

#[test]
fn aggregates_merge_in_any_way() {
    let challenge = challenge();
    let whole = prove_all(&challenge, &STORE);
    let mut parts = STORE.iter().rev().map(|stored| {
        let mut aggregate = Aggregate::new(&challenge);
        aggregate.add(&stored.fragment, &held(&challenge, stored).answers).unwrap();
        aggregate
    });
    let first = parts.next().unwrap();
    assert_eq!(parts.fold(first, Aggregate::merge).finish(&GROUP.srs), Ok(whole));
    assert_eq!(Aggregate::new(&challenge).finish(&GROUP.srs), Err(ProveError::Empty));
}

#[test]
fn the_threads_do_not_change_a_result() {
    let work = || {
        let stored = stored(9, 40 * BLOCK_BYTES + 192);
        let proof = prove_all(&challenge(), std::slice::from_ref(&stored));
        (stored.tags, proof)
    };
    let on = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work);
    assert_eq!(on(1), on(3));
}

#[test]
fn a_streamed_fragment_gets_the_tags_of_one_in_memory() {
    let whole = stored(9, 40 * BLOCK_BYTES + 192);
    for piece in [777, 5 * BLOCK_BYTES, 33 * BLOCK_BYTES + 1] {
        let mut tagger = GROUP.secret.tagger(whole.fragment);
        whole.data.chunks(piece).for_each(|piece| tagger.update(piece).unwrap());
        assert_eq!(tagger.finish().as_ref(), Ok(&whole.tags), "pieces of {piece} B");
    }
}

#[test]
fn a_tag_is_what_its_definition_says() {
    let alpha = Scalar::reduce(&GROUP.secret.alpha.iter().nth(1).unwrap()[..]);
    for (index, block) in (0u32..).zip(STORE[1].data.chunks(32_768)) {
        let value = block
            .chunks(31)
            .rev()
            .fold(number(0), |sum, sector| sum.times(&alpha).plus(&Scalar::reduce(&[sector, &[1]].concat())));
        let message = [STORE[1].fragment.id.as_bytes().as_slice(), &index.to_le_bytes()].concat();
        let inside = G1::hash(&message).plus(&G1Affine::generator().point().times(&value));
        let expected = inside.times(&GROUP.secret.x).affine().encode();
        assert_eq!(STORE[1].tags[index as usize].0, expected);
    }
    assert_eq!(STORE[1].tags.len(), 3);
}

#[test]
fn the_tagger_refuses_bytes_that_are_not_the_fragment() {
    let (stored, key) = (&STORE[2], &GROUP.secret);
    let mut bent = stored.data.clone();
    bent[255] ^= 1;
    let found = FragmentId(hash::content(&bent));
    assert_eq!(key.tag(stored.fragment, &bent), Err(TagError::Content { fragment: stored.fragment.id, found }));
    let length = |given| TagError::Length { fragment: stored.fragment.id, given, expected: 256 };
    assert_eq!(key.tag(stored.fragment, &bent[..255]), Err(length(255)));
    assert_eq!(key.tag(stored.fragment, &[bent, vec![0]].concat()), Err(length(257)));
}

#[test]
fn tags_of_other_bytes_blocks_fragments_or_keys_do_not_pass_the_miner() {
    let tagged = |stored: &Stored| check_tags(&GROUP.key, &GROUP.srs, &[as_tagged(stored)]);
    let all: Vec<Tagged<'_>> = STORE.iter().map(as_tagged).collect();
    assert_eq!(check_tags(&GROUP.key, &GROUP.srs, &all), Ok(()));
    assert_eq!(check_tags(&GROUP.key, &GROUP.srs, &[]), Ok(()));

    let refused = |stored: &Stored| Err(TagError::Refused(stored.fragment.id));
    let mut swapped = STORE[0].clone();
    swapped.tags.swap(3, 4);
    assert_eq!(tagged(&swapped), refused(&swapped));
    let mut bent = STORE[1].clone();
    bent.data[2 * BLOCK_BYTES + 63] ^= 0x80;
    assert_eq!(tagged(&bent), refused(&bent));
    let mut foreign = STORE[2].clone();
    foreign.tags = TaggerKey::derive(&[2; 32]).tag(foreign.fragment, &foreign.data).unwrap();
    let many = [as_tagged(&STORE[0]), as_tagged(&foreign), as_tagged(&STORE[1])];
    assert_eq!(check_tags(&GROUP.key, &GROUP.srs, &many), refused(&foreign), "the bad one is named");
    let mut few = STORE[0].clone();
    few.tags.pop();
    assert_eq!(tagged(&few), Err(TagError::Count { fragment: few.fragment.id, given: 11, expected: 12 }));
}

fn as_tagged(stored: &Stored) -> Tagged<'_> {
    Tagged { fragment: stored.fragment, data: &stored.data, tags: &stored.tags }
}

#[test]
fn tags_whose_errors_cancel_do_not_pass_the_miner() {
    let mut stored = STORE[0].clone();
    let shift = |tag: &Tag, by: G1| Tag(G1Affine::decode(&tag.0).unwrap().point().plus(&by).affine().encode());
    let error = G1::base_times(&number(9));
    stored.tags[0] = shift(&stored.tags[0], error);
    stored.tags[1] = shift(&stored.tags[1], error.negated());
    let verdict = check_tags(&GROUP.key, &GROUP.srs, &[as_tagged(&stored)]);
    assert_eq!(verdict, Err(TagError::Refused(stored.fragment.id)));
}

#[test]
fn the_prover_names_what_is_wrong_with_an_answer() {
    let challenge = challenge();
    let (stored, id) = (&STORE[0], STORE[0].fragment.id);
    let asked = challenge.asks(&stored.fragment);
    let add = |answers: &[Answer<'_>]| Aggregate::new(&challenge).add(&stored.fragment, answers);
    let mut answers = held(&challenge, stored).answers;
    assert_eq!(add(&answers[1..]), Err(ProveError::Count { fragment: id, given: 7, expected: 8 }));
    answers[2].0 = &answers[2].0[1..];
    let (block, expected) = (asked[2].block, BLOCK_BYTES);
    assert_eq!(add(&answers), Err(ProveError::Length { fragment: id, block, given: expected - 1, expected }));
    answers = held(&challenge, stored).answers;
    answers[5].1.0[0] = 0;
    let (block, reason) = (asked[5].block, PointError::Encoding);
    assert_eq!(add(&answers), Err(ProveError::Tag { fragment: id, block, reason }));
}

#[test]
fn a_round_asks_for_different_blocks_of_the_fragment_with_different_weights() {
    let challenge = challenge();
    for stored in STORE.iter() {
        let asked = challenge.asks(&stored.fragment);
        let blocks = stored.fragment.length.blocks();
        assert_eq!(asked.len(), PODR2_CHALLENGED_BLOCKS.min(blocks as usize));
        assert!(asked.windows(2).all(|pair| pair[0].block < pair[1].block && pair[0].weight != pair[1].weight));
        assert!(asked.iter().all(|asked| asked.block < blocks));
    }
}

// Attacks, by their names in the list of attacks.

#[test]
fn attack_replay_at_another_round_miner_or_chain() {
    let proof = prove_all(&challenge(), &STORE);
    let others = [
        AuditRound { round: sample().round + 1, ..sample() },
        AuditRound { miner: Address::repeat_byte(0x22), ..sample() },
        AuditRound { chain: sample().chain + 1, ..sample() },
        AuditRound { beacon: [8; 32], ..sample() },
        AuditRound { context: [9; 32], ..sample() },
    ];
    for other in others {
        assert!(!accepts(&Challenge::of(&other), &STORE, &proof), "{other:?}");
    }
    let fewer = &STORE[..2];
    assert!(!accepts(&challenge(), fewer, &proof), "a proof over other fragments");
    let foreign = TaggerKey::derive(&[2; 32]).public();
    let claim = Claim { challenge: &challenge(), fragments: &fragments(&STORE), proof: &proof };
    let refused = VerifyError::Refused { miner: sample().miner, round: sample().round };
    assert_eq!(verify(&foreign, &claim), Err(refused), "another key epoch");
}

#[test]
fn attack_aggregate_built_without_data() {
    // The miner kept all tags and no data: σ is right, y and ψ are free.
    let challenge = challenge();
    let honest = prove_all(&challenge, &STORE);
    let sigma = sigma_of_tags(&challenge, &STORE);
    assert!(sigma == honest.sigma);
    let guesses = [
        (GROUP.srs.powers[0], number(0)),
        (GROUP.srs.powers[1], challenge.point),
        (honest.psi, number(0)),
        (sigma, honest.y),
        (GROUP.srs.powers[7], honest.y),
    ];
    for (psi, y) in guesses {
        assert!(!accepts(&challenge, &STORE, &Proof { sigma, psi, y }));
    }
    // Without tags too: ψ makes everything in the second pairing cancel, σ is made of public points.
    let hashes = STORE.iter().flat_map(|stored| {
        let hash = |asked: Asked| (block_hash(&stored.fragment.id, asked.block).affine(), asked.weight);
        challenge.asks(&stored.fragment).into_iter().map(hash).collect::<Vec<_>>()
    });
    let (points, weights): (Vec<_>, Vec<_>) = hashes.unzip();
    let inverse = invert(&challenge.point);
    let psi = weighted_sum(&points, &weights).plus(&G1::base_times(&number(3))).times(&inverse).affine();
    for sigma in [psi, GROUP.srs.powers[0], GROUP.srs.powers[1]] {
        assert!(!accepts(&challenge, &STORE, &Proof { sigma, psi, y: number(3) }), "the rest is the identity");
    }
}

/// By Fermat: the power of the order less two.
fn invert(number_: &Scalar) -> Scalar {
    let exponent = Scalar::default().minus(&number(2)).encode();
    let bits = (0..256).rev().map(|i| exponent[i / 8] >> (i % 8) & 1);
    bits.fold(number(1), |power, bit| {
        let square = power.times(&power);
        if bit == 1 { square.times(number_) } else { square }
    })
}

#[test]
fn attack_aggregate_over_other_data() {
    // Tags are genuine, but ψ and y open what is left of the data.
    let challenge = challenge();
    let mut sum = BlockSum::new();
    for stored in &STORE[1..] {
        for asked in challenge.asks(&stored.fragment) {
            sum.add(asked.weight, &stored.data[stored.fragment.length.block(asked.block)]);
        }
    }
    let (y, quotient) = open(&sum.reduce(), &challenge.point);
    let psi = curve::scalar_sum(&GROUP.srs.powers, &quotient).affine();
    let sigma = sigma_of_tags(&challenge, &STORE);
    assert!(!accepts(&challenge, &STORE, &Proof { sigma, psi, y }));
}

#[test]
fn attack_identity_points() {
    let mut identity = [0; 48];
    identity[0] = 0xc0;
    let honest = prove_all(&challenge(), &STORE).encode();
    for (name, at) in [("σ", 0), ("ψ", 48)] {
        let mut bytes = honest;
        bytes[at..at + 48].copy_from_slice(&identity);
        let expected = ProofError::Point { name, reason: PointError::Identity };
        assert_eq!(Proof::decode(&bytes), Err(expected));
        // Neither by an encoding of the identity that other readers may take.
        bytes[at] = 0xe0;
        assert!(Proof::decode(&bytes).is_err());
    }
    let mut key = GROUP.key.encode();
    key[96..].fill(0);
    key[96] = 0xc0;
    assert_eq!(GroupKey::decode(&key), Err(KeyError::Key { name: "w", reason: PointError::Identity }));
    let mut stored = STORE[2].clone();
    stored.tags[0] = Tag(identity);
    let (fragment, reason) = (stored.fragment.id, PointError::Identity);
    let expected = Err(TagError::Point { fragment, block: 0, reason });
    assert_eq!(check_tags(&GROUP.key, &GROUP.srs, &[as_tagged(&stored)]), expected);
}

#[test]
fn attack_points_outside_the_subgroup() {
    // A curve point with a small x: on the curve, outside of the group with near certainty.
    let outside = (0u8..=255).find_map(|x| {
        let mut bytes = [0; 48];
        (bytes[0], bytes[47]) = (0x80, x);
        let found = G1Affine::decode(&bytes) == Err(PointError::Subgroup);
        found.then_some(bytes)
    });
    let outside = outside.expect("half of all x belong to a point");
    let honest = prove_all(&challenge(), &STORE).encode();
    for (name, at) in [("σ", 0), ("ψ", 48)] {
        let mut bytes = honest;
        bytes[at..at + 48].copy_from_slice(&outside);
        assert_eq!(Proof::decode(&bytes), Err(ProofError::Point { name, reason: PointError::Subgroup }));
    }
    let mut stored = STORE[2].clone();
    stored.tags[0] = Tag(outside);
    let (fragment, reason) = (stored.fragment.id, PointError::Subgroup);
    let expected = Err(TagError::Point { fragment, block: 0, reason });
    assert_eq!(check_tags(&GROUP.key, &GROUP.srs, &[as_tagged(&stored)]), expected);
}

#[test]
fn attack_encodings_that_are_not_canonical() {
    const ORDER: &str = "01000000fffffffffe5bfeff02a4bd5305d8a10908d83933487d9d2953a7ed73";
    let order: [u8; 32] = hex::decode(ORDER).unwrap().try_into().unwrap();
    let honest = prove_all(&challenge(), &STORE).encode();
    // y + order is the same number.
    let mut bytes = honest;
    let mut carry = 0u16;
    for (byte, add) in bytes[96..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(Proof::decode(&bytes), Err(ProofError::Number));
    bytes[96..].copy_from_slice(&order);
    assert_eq!(Proof::decode(&bytes), Err(ProofError::Number));
    // x of σ not reduced, or not marked as compressed.
    let mut bytes = honest;
    bytes[..48].fill(0xff);
    bytes[0] = 0x9f;
    let expected = Err(ProofError::Point { name: "σ", reason: PointError::Encoding });
    assert_eq!(Proof::decode(&bytes), expected);
    let mut bytes = honest;
    bytes[0] &= 0x7f;
    assert_eq!(Proof::decode(&bytes), expected);
}

#[test]
fn attack_negated_points() {
    // The sign bit leads to another point of the group: well-formed, and refused by the equation.
    let honest = prove_all(&challenge(), &STORE).encode();
    for at in [0, 48] {
        let mut bytes = honest;
        bytes[at] ^= 0x20;
        assert!(!accepts(&challenge(), &STORE, &Proof::decode(&bytes).unwrap()));
    }
}

#[test]
fn attack_swapped_blocks() {
    let challenge = challenge();
    let asked = challenge.asks(&STORE[0].fragment);
    let (one, other) = (asked[0].block as usize, asked[1].block as usize);
    for with_tags in [false, true] {
        let mut store = STORE.clone();
        let range = |block: usize| block * BLOCK_BYTES..(block + 1) * BLOCK_BYTES;
        let first = store[0].data[range(one)].to_vec();
        store[0].data.copy_within(range(other), one * BLOCK_BYTES);
        store[0].data[range(other)].copy_from_slice(&first);
        if with_tags {
            store[0].tags.swap(one, other);
        }
        assert!(!accepts(&challenge, &STORE, &prove_all(&challenge, &store)), "tags swapped: {with_tags}");
    }
}

#[test]
fn attack_linear_combination_of_tags_of_one_fragment() {
    // The miner dropped block b and keeps a linear combination of others in its place, with the same combination of their tags.
    let challenge = challenge();
    let asked = challenge.asks(&STORE[0].fragment);
    let (lost, kept, other) = (asked[0].block as usize, asked[1].block as usize, asked[2].block as usize);
    let mut store = STORE.clone();
    let point = |i: usize| G1Affine::decode(&STORE[0].tags[i].0).unwrap();
    store[0].tags[lost] = Tag(weighted_sum(&[point(kept), point(other)], &[2, 3]).affine().encode());
    let mut sum = BlockSum::new();
    for (stored, first) in store.iter().zip([lost, usize::MAX, usize::MAX]) {
        for asked in challenge.asks(&stored.fragment) {
            let block = |i: usize| &STORE[0].data[STORE[0].fragment.length.block(i as u32)];
            if asked.block as usize == first {
                // Two summands, since weights are 128 bits.
                let halved = asked.weight / 4;
                (0..8).for_each(|_| sum.add(halved, block(kept)));
                (0..12).for_each(|_| sum.add(halved, block(other)));
                let rest = asked.weight % 4;
                sum.add(2 * rest, block(kept));
                sum.add(3 * rest, block(other));
            } else {
                sum.add(asked.weight, &stored.data[stored.fragment.length.block(asked.block)]);
            }
        }
    }
    let (y, quotient) = open(&sum.reduce(), &challenge.point);
    let psi = curve::scalar_sum(&GROUP.srs.powers, &quotient).affine();
    let forged = Proof { sigma: sigma_of_tags(&challenge, &store), psi, y };
    assert!(!accepts(&challenge, &STORE, &forged), "the hash of a block is no linear function of its index");
}

#[test]
fn attack_leaked_tag_key() {
    // With x and α anything can be claimed without data: layer A accepts, which is why layer B exists.
    let challenge = challenge();
    let (x, alpha) = (&GROUP.secret.x, Scalar::reduce(&GROUP.secret.alpha.iter().nth(1).unwrap()[..]));
    let (value, y) = (number(1_234), number(5));
    let psi = G1::base_times(&value.minus(&y).times(&invert(&alpha.minus(&challenge.point))));
    let mut sum = G1::base_times(&value);
    for fragment in fragments(&STORE) {
        for asked in challenge.asks(&fragment) {
            sum = sum.plus(&weighted_sum(&[block_hash(&fragment.id, asked.block).affine()], &[asked.weight]));
        }
    }
    let forged = Proof { sigma: sum.times(x).affine(), psi: psi.affine(), y };
    assert!(accepts(&challenge, &STORE, &forged));

    let holdings = crate::proofs::spot::Holdings::new(fragments(&STORE));
    let spots = crate::proofs::spot::ask(&sample(), &holdings);
    let nothing = |fragment: &Fragment| Some(vec![0; fragment.length.bytes() as usize]);
    let answer = crate::proofs::spot::answer(&spots, nothing).unwrap();
    assert!(crate::proofs::spot::verify(&spots, &answer).is_err());
}

#[test]
fn attack_powers_that_do_not_fit_the_key() {
    let good = GROUP.srs.encode();
    assert_eq!(Srs::decode(&good, &GROUP.key).as_ref(), Ok(&GROUP.srs));
    assert_eq!(GroupKey::decode(&GROUP.key.encode()), Ok(GROUP.key));
    assert_eq!(Srs::decode(&good[48..], &GROUP.key), Err(KeyError::Length(SRS_BYTES - 48)));
    assert_eq!(Srs::decode(&good, &TaggerKey::derive(&[2; 32]).public()), Err(KeyError::Powers));
    let mut swapped = good.clone();
    swapped.copy_within(48 * 5..48 * 6, 48 * 6);
    assert_eq!(Srs::decode(&swapped, &GROUP.key), Err(KeyError::Powers));
    // All powers times a constant pass the pairings, but not the first one's check.
    let scaled = GROUP.srs.powers.iter().map(|power| power.point().times(&number(2)).affine());
    let scaled: Vec<u8> = scaled.flat_map(|power| power.encode()).collect();
    assert_eq!(Srs::decode(&scaled, &GROUP.key), Err(KeyError::Powers));
    let mut identity = good.clone();
    identity[48 * 9..48 * 10].fill(0);
    identity[48 * 9] = 0xc0;
    let expected = KeyError::Power { index: 9, reason: PointError::Identity };
    assert_eq!(Srs::decode(&identity, &GROUP.key), Err(expected));
}

#[test]
fn attack_selective_storage() {
    // Of 256 blocks 5 are gone. The rate of caught rounds lies within three standard deviations of the formula for draws
    // without replacement.
    let (blocks, gone, rounds) = (256u32, 5u32, 4_000u32);
    let fragment = Fragment::new(FragmentId([6; 32]), u64::from(blocks) * BLOCK_BYTES as u64).unwrap();
    let caught = |round: &u32| {
        let challenge = Challenge::of(&AuditRound { round: u64::from(*round), ..sample() });
        challenge.asks(&fragment).iter().any(|asked| asked.block % 51 == 0 && asked.block / 51 < gone)
    };
    let found = f64::from(u32::try_from((0..rounds).filter(caught).count()).unwrap());
    let missed: f64 = (0..PODR2_CHALLENGED_BLOCKS as u32)
        .map(|drawn| f64::from(blocks - gone - drawn) / f64::from(blocks - drawn))
        .product();
    let (mean, deviation) = (f64::from(rounds) * (1.0 - missed), (f64::from(rounds) * missed * (1.0 - missed)).sqrt());
    assert!((found - mean).abs() < 3.0 * deviation, "{found} of {rounds}, expected {mean} ± {deviation}");
    // The figure of the design: hourly for a day.
    assert!((1.0 - missed.powi(24) - 0.979).abs() < 0.001);
}

#[test]
fn attack_bad_proofs_that_make_up_for_each_other() {
    let rounds = (0..5u8).map(|i| AuditRound { miner: Address::repeat_byte(i), ..sample() });
    let challenges: Vec<Challenge> = rounds.map(|round| Challenge::of(&round)).collect();
    let mut proofs: Vec<Proof> = challenges.iter().map(|challenge| prove_all(challenge, &STORE[1..])).collect();
    let fragments = fragments(&STORE[1..]);
    let verdicts = |proofs: &[Proof]| {
        let claims: Vec<Claim<'_>> = challenges
            .iter()
            .zip(proofs)
            .map(|(challenge, proof)| Claim { challenge, fragments: &fragments, proof })
            .collect();
        verify_all(&GROUP.key, &claims)
    };
    assert_eq!(verdicts(&proofs), vec![Ok(()); 5]);
    // One σ is too large by what another is too small.
    let error = G1::base_times(&number(4));
    proofs[1].sigma = proofs[1].sigma.point().plus(&error).affine();
    proofs[4].sigma = proofs[4].sigma.point().plus(&error.negated()).affine();
    let refused = |i: u8| Err(VerifyError::Refused { miner: Address::repeat_byte(i), round: sample().round });
    assert_eq!(verdicts(&proofs), [Ok(()), refused(1), Ok(()), Ok(()), refused(4)]);
}

#[test]
fn a_claim_about_nothing_is_refused() {
    let proof = prove_all(&challenge(), &STORE);
    let empty = Claim { challenge: &challenge(), fragments: &[], proof: &proof };
    let expected = Err(VerifyError::Empty { miner: sample().miner, round: sample().round });
    assert_eq!(verify(&GROUP.key, &empty), expected);
    assert_eq!(verify_all(&GROUP.key, &[]), []);
}

/// What is on chains and disks may not change unnoticed.
#[test]
fn golden_bytes() {
    let short = |bytes: &[u8]| hex::encode(&hash::content(bytes)[..8]);
    let tags: Vec<u8> = STORE.iter().flat_map(|stored| stored.tags.iter().flat_map(|tag| tag.0)).collect();
    let proof = prove_all(&challenge(), &STORE).encode();
    let asked = challenge().asks(&STORE[0].fragment);
    let weights: Vec<u8> = asked.iter().flat_map(|asked| asked.weight.to_le_bytes()).collect();
    let blocks: Vec<String> = asked.iter().map(|asked| asked.block.to_string()).collect();
    let found = [
        short(&GROUP.key.encode()),
        short(&GROUP.srs.encode()),
        short(&GROUP.key.digest()),
        hex::encode(&tags[..TAG_BYTES]),
        short(&tags),
        blocks.join(" "),
        short(&weights),
        hex::encode(proof),
    ];
    assert_eq!(found, GOLDEN);
}

const GOLDEN: [&str; 8] = [
    "f7e8d6b38aaa31bc",
    "d80d981a61db9537",
    "a1c266516fdbcc5f",
    "8ad46610ece17c2f342939c6f343b8cbad712ee0fe94737ab79a696af1f14650d293819dea6735cc6e6d7e53cc1c4449",
    "4afac795ec62646b",
    "1 3 4 5 6 8 9 10",
    "271720fbf4ef4ed6",
    concat!(
        "b5629211020084350167c0d516498d8a22150208dc4438deebdce8a811a6cd8476033133d3b8730121c9173d1437edb5",
        "8413aff536cb3e8949028fdf1f0633bd1c2c54076d974e16b56d7ee9ba5fbec0ac96820d583d9f765115476dd69505db",
        "fc17f29da340d88f2fc5f2293ed8dcf41c9834abbe11e2018eb7b1a86687933a",
    ),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn any_changed_byte_of_a_challenged_block_fails(
        units in prop::collection::vec(4usize..1_200, 1..3), seed in any::<u8>(),
        place in any::<prop::sample::Index>(), change in 1u8.., round in any::<u64>(),
    ) {
        let store: Vec<Stored> = units.iter().zip(0..).map(|(units, nth)| stored(seed.wrapping_add(nth), units * 64)).collect();
        let challenge = Challenge::of(&AuditRound { round, ..sample() });
        prop_assert!(accepts(&challenge, &store, &prove_all(&challenge, &store)));
        let tagged: Vec<Tagged<'_>> = store.iter().map(as_tagged).collect();
        prop_assert_eq!(check_tags(&GROUP.key, &GROUP.srs, &tagged), Ok(()));
        let mut bent = store.clone();
        let at = place.index(bent[0].data.len());
        bent[0].data[at] ^= change;
        prop_assert!(!accepts(&challenge, &store, &prove_all(&challenge, &bent)), "byte {}", at);
    }
}
