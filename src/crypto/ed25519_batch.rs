//! ed25519 by the rules of ZIP-215, under which many signatures checked at once get the answer each would get alone.
//!
//! Owns the equation of a batch, the search for what is bad in one, and a bounded memory of decompressed keys. Must not know what
//! is signed. Invariants: the answer is a function of the input, the same on every machine and whatever is remembered; a batch
//! holds exactly if all its members do. The coefficients that keep bad members from cancelling each other come from a hash of
//! the whole batch: whoever makes the batch cannot know them before it is made.
//!
//! Bound of the work, whatever is sent: a message is hashed and a point decompressed once; the equations of a search hold as many
//! members as the batch, after its own equation and before one of each member alone. One bad member needs none alone.

use super::{
    PublicKey, Signature,
    hash::{DOMAIN_ED25519_BATCH, tagged},
};
use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::ED25519_BASEPOINT_POINT,
    edwards::CompressedEdwardsY,
    traits::{IsIdentity, VartimeMultiscalarMul},
};
use ed25519_zebra::{VerificationKey, VerificationKeyBytes};
use parking_lot::Mutex;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use ring::digest::{Context, SHA512};
use std::{collections::BTreeMap, fmt, iter, mem, ops::Range};

/// Keys of one generation of [`KnownKeys`], 6 MiB with what holds them.
const GENERATION_KEYS: usize = 32_768;

/// A signature with what it should be of: message, signature, key.
pub type Signed<'m> = (&'m [u8], Signature, PublicKey);

/// Whether one signature is valid.
pub fn verify_zip215((message, signature, key): &Signed<'_>) -> bool {
    let key = VerificationKey::try_from(VerificationKeyBytes::from(key.0));
    key.is_ok_and(|key| key.verify(&signature.0.into(), message).is_ok())
}

/// Whether all of `items` are valid.
pub fn verify_all_zip215(items: &[Signed<'_>]) -> bool {
    match items {
        [] => true,
        [one] => verify_zip215(one),
        many => {
            let batch = Batch::read(many, None);
            batch.members.len() == many.len() && holds(&batch.sum(0..many.len()))
        }
    }
}

/// Which of `items` are valid. Keys are looked up in `known`, and those of valid signatures remembered there.
pub fn judge_zip215(items: &[Signed<'_>], known: &KnownKeys) -> Vec<bool> {
    let batch = Batch::read(items, Some(known));
    let (answers, _) = batch.judge(items.len());
    let proven = batch.members.iter().filter(|member| answers[member.place]);
    known.remember(proven.map(|member| &batch.keys[member.key]).filter(|key| key.is_new));
    answers
}

/// Public keys as points of the curve, which takes a tenth of the time of a check to compute. At most two generations: when the
/// young one is full it becomes the old one, of which only what is used again moves on.
#[derive(Default)]
pub struct KnownKeys(Mutex<Generations>);

#[derive(Default)]
struct Generations {
    young: BTreeMap<PublicKey, EdwardsPoint>,
    old: BTreeMap<PublicKey, EdwardsPoint>,
}

impl fmt::Debug for KnownKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownKeys").finish_non_exhaustive()
    }
}

impl KnownKeys {
    fn get(&self, keys: &[PublicKey]) -> Vec<Option<EdwardsPoint>> {
        let mut generations = self.0.lock();
        keys.iter().map(|key| generations.get(key)).collect()
    }

    fn remember<'a>(&self, keys: impl Iterator<Item = &'a Key>) {
        let mut generations = self.0.lock();
        for key in keys {
            generations.insert(key.bytes, key.point);
        }
    }
}

impl Generations {
    fn get(&mut self, key: &PublicKey) -> Option<EdwardsPoint> {
        if let Some(point) = self.young.get(key) {
            return Some(*point);
        }
        let point = self.old.remove(key)?;
        self.insert(*key, point);
        Some(point)
    }

    fn insert(&mut self, key: PublicKey, point: EdwardsPoint) {
        if self.young.len() >= GENERATION_KEYS {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, point);
    }
}

/// A key of a batch.
struct Key {
    bytes: PublicKey,
    point: EdwardsPoint,
    is_new: bool,
}

/// A signature whose parts are what they should be: its equation is `8·s·B = 8·R + 8·k·A`.
struct Member {
    /// Where it stands among what was asked.
    place: usize,
    /// Where its key stands among the batch's.
    key: usize,
    r: EdwardsPoint,
    s: Scalar,
    k: Scalar,
    /// Its coefficient in an equation with others.
    z: Scalar,
}

/// Signatures to be checked together.
struct Batch {
    keys: Vec<Key>,
    members: Vec<Member>,
}

/// Members in the equations that were computed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Work {
    together: usize,
    alone: usize,
}

impl Batch {
    /// Everything but the equations. Signatures whose numbers or points are none are not among the members.
    fn read(items: &[Signed<'_>], known: Option<&KnownKeys>) -> Self {
        let (mut names, mut numbers) = (Vec::new(), BTreeMap::new());
        let key_of: Vec<usize> = items
            .iter()
            .map(|(_, _, key)| {
                *numbers.entry(*key).or_insert_with(|| {
                    names.push(*key);
                    names.len() - 1
                })
            })
            .collect();
        let found = known.map_or_else(|| vec![None; names.len()], |known| known.get(&names));
        // A key that is no point has no number in `places`.
        let (mut keys, mut places) = (Vec::with_capacity(names.len()), Vec::with_capacity(names.len()));
        for (bytes, found) in names.into_iter().zip(found) {
            let is_new = found.is_none();
            let point = found.or_else(|| CompressedEdwardsY(bytes.0).decompress());
            places.push(point.is_some().then_some(keys.len()));
            keys.extend(point.map(|point| Key { bytes, point, is_new }));
        }
        let mut coefficients = ChaCha20Rng::from_seed(seed(items));
        let mut members = Vec::with_capacity(items.len());
        for (place, (item, key)) in items.iter().zip(key_of).enumerate() {
            let z = coefficient(&mut coefficients);
            members.extend(places[key].and_then(|key| Member::read(place, key, item, z)));
        }
        Self { keys, members }
    }

    /// The answer for each of `items` things asked, and the work it took.
    fn judge(&self, items: usize) -> (Vec<bool>, Work) {
        let (mut answers, all) = (vec![false; items], 0..self.members.len());
        self.members.iter().for_each(|member| answers[member.place] = true);
        let sum = self.sum(all.clone());
        let mut work = Work { together: all.len(), alone: 0 };
        if !holds(&sum) {
            self.search(all, sum, &mut answers, &mut work);
        }
        (answers, work)
    }

    /// Finds the bad ones among `all`, whose `sum` is not zero. Halves: the sum of one is computed, and the other's is what is left.
    fn search(&self, all: Range<usize>, sum: EdwardsPoint, answers: &mut [bool], work: &mut Work) {
        let (mut left, mut bad) = (all.len(), vec![(all, sum)]);
        while let Some((range, sum)) = bad.pop() {
            let middle = range.start + range.len() / 2;
            let (first, second) = (range.start..middle, middle..range.end);
            if range.len() == 1 {
                answers[self.members[range.start].place] = false;
            } else if first.len() > left {
                work.alone += range.len();
                self.members[range].iter().for_each(|member| answers[member.place] = self.holds_alone(member));
            } else {
                left -= first.len();
                work.together += first.len();
                let of_first = self.sum(first.clone());
                let halves = [(first, of_first), (second, sum - of_first)];
                bad.extend(halves.into_iter().filter(|(_, sum)| !holds(sum)));
            }
        }
    }

    /// `-Σ z·s·B + Σ z·R + Σ z·k·A` over `range`, with one term for each key; [`holds`] if all of it is valid.
    fn sum(&self, range: Range<usize>) -> EdwardsPoint {
        let members = &self.members[range];
        let (mut base, mut of_keys) = (Scalar::ZERO, BTreeMap::<usize, Scalar>::new());
        for member in members {
            base -= member.z * member.s;
            *of_keys.entry(member.key).or_default() += member.z * member.k;
        }
        let scalars = iter::once(&base).chain(of_keys.values()).chain(members.iter().map(|member| &member.z));
        let points = of_keys.keys().map(|key| &self.keys[*key].point).chain(members.iter().map(|member| &member.r));
        EdwardsPoint::vartime_multiscalar_mul(scalars, iter::once(&ED25519_BASEPOINT_POINT).chain(points))
    }

    fn holds_alone(&self, member: &Member) -> bool {
        let key = -self.keys[member.key].point;
        let r = EdwardsPoint::vartime_double_scalar_mul_basepoint(&member.k, &key, &member.s);
        holds(&(member.r - r))
    }
}

/// Whether a sum is zero once the cofactor is taken out.
fn holds(sum: &EdwardsPoint) -> bool {
    sum.mul_by_cofactor().is_identity()
}

impl Member {
    fn read(place: usize, key: usize, (message, signature, bytes): &Signed<'_>, z: Scalar) -> Option<Self> {
        let (r, s) = signature.0.split_at(32);
        let point = CompressedEdwardsY::from_slice(r).ok()?.decompress()?;
        let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(s.try_into().ok()?))?;
        let (mut challenge, parts): (_, [&[u8]; 3]) = (Context::new(&SHA512), [r, &bytes.0, message]);
        parts.into_iter().for_each(|part| challenge.update(part));
        let k = Scalar::from_bytes_mod_order_wide(challenge.finish().as_ref().try_into().ok()?);
        Some(Self { place, key, r: point, s, k, z })
    }
}

fn seed(items: &[Signed<'_>]) -> [u8; 32] {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(3 * items.len());
    for (message, signature, key) in items {
        parts.extend([*message, &signature.0, &key.0]);
    }
    tagged(DOMAIN_ED25519_BATCH, &parts)
}

/// A number below 2^128.
fn coefficient(rng: &mut ChaCha20Rng) -> Scalar {
    let mut bytes = [0; 16];
    rng.fill_bytes(&mut bytes);
    Scalar::from(u128::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SecretKey;
    use alloy_primitives::hex;
    use proptest::prelude::*;

    /// Encodings of the eight points of small order, canonical and not: the vectors ZIP-215 is told apart by.
    const SMALL_ORDER: [[u8; 32]; 11] = [
        hex!("0100000000000000000000000000000000000000000000000000000000000000"),
        hex!("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex!("0000000000000000000000000000000000000000000000000000000000000000"),
        hex!("0000000000000000000000000000000000000000000000000000000000000080"),
        hex!("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
        hex!("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"),
        hex!("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"),
        hex!("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"),
        hex!("0100000000000000000000000000000000000000000000000000000000000080"),
        hex!("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
        hex!("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"),
    ];

    /// A signature of one of many kinds: honest, forged, or made of points of small order.
    fn item() -> impl Strategy<Value = (Vec<u8>, Signature, PublicKey)> {
        let message = prop::collection::vec(any::<u8>(), 0..40);
        let honest = (0u8..3, message.clone()).prop_map(|(seed, message)| {
            let key = SecretKey::from_bytes(&[seed; 32]);
            let signature = key.sign(&message);
            (message, signature, key.public())
        });
        let bent = (honest.clone(), 0usize..64, 1u8..).prop_map(|((message, mut signature, key), at, flip)| {
            signature.0[at] ^= flip;
            (message, signature, key)
        });
        let small = (message, 0usize..11, 0usize..11, any::<bool>()).prop_map(|(message, key, point, zero)| {
            let mut signature = [0u8; 64];
            signature[..32].copy_from_slice(&SMALL_ORDER[point]);
            signature[32] = u8::from(!zero);
            (message, Signature(signature), PublicKey(SMALL_ORDER[key]))
        });
        // Mostly good ones, so that whole batches are good often enough.
        prop_oneof![8 => honest, 1 => bent, 4 => small]
    }

    #[test]
    fn points_of_small_order_count_as_zip_215_says() {
        for key in SMALL_ORDER {
            for point in SMALL_ORDER {
                let mut signature = [0u8; 64];
                signature[..32].copy_from_slice(&point);
                let item: Signed<'_> = (b"Zcash", Signature(signature), PublicKey(key));
                assert!(verify_zip215(&item) && verify_all_zip215(&[item, item]), "{}", hex::encode(point));
                signature[32] = 1;
                let item: Signed<'_> = (b"Zcash", Signature(signature), PublicKey(key));
                assert!(!verify_zip215(&item) && !verify_all_zip215(&[item, item]), "{}", hex::encode(point));
            }
        }
    }

    #[test]
    fn the_vectors_of_rfc_8032_hold() {
        let key = hex!("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = hex!(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        );
        assert!(verify_zip215(&(&[0x72], Signature(signature), PublicKey(key))));
        assert!(!verify_zip215(&(&[0x73], Signature(signature), PublicKey(key))));
        assert!(verify_all_zip215(&[]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_batch_is_valid_exactly_if_its_members_are(items in prop::collection::vec(item(), 0..16)) {
            let items: Vec<Signed<'_>> = items.iter().map(|(message, s, key)| (message.as_slice(), *s, *key)).collect();
            let alone: Vec<bool> = items.iter().map(verify_zip215).collect();
            prop_assert_eq!(verify_all_zip215(&items), alone.iter().all(|valid| *valid));
            let known = KnownKeys::default();
            for _ in 0..2 {
                prop_assert_eq!(judge_zip215(&items, &known), alone.clone());
            }
        }

        #[test]
        fn bad_members_are_found_within_the_bound(bad in prop::collection::btree_set(0usize..67, 0..67)) {
            let signed = good(67);
            let mut items: Vec<Signed<'_>> = signed.iter().map(|(message, s, key)| (message.as_slice(), *s, *key)).collect();
            bad.iter().for_each(|at| items[*at].1.0[40] ^= 1);
            let (answers, work) = Batch::read(&items, None).judge(items.len());
            prop_assert_eq!(answers, (0..67).map(|at| !bad.contains(&at)).collect::<Vec<_>>());
            prop_assert!(work.together <= 2 * 67 && work.alone <= 67, "{work:?}");
            prop_assert!(bad.len() != 1 || work.alone == 0, "{work:?}");
            prop_assert!(!bad.is_empty() || work == Work { together: 67, alone: 0 }, "{work:?}");
        }
    }

    fn good(count: u8) -> Vec<(Vec<u8>, Signature, PublicKey)> {
        let one = |at: u8| {
            let (key, message) = (SecretKey::from_bytes(&[at % 9; 32]), vec![at; 20]);
            (message.clone(), key.sign(&message), key.public())
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn keys_of_valid_signatures_are_remembered_and_others_are_not() {
        let (known, signed) = (KnownKeys::default(), good(3));
        let mut items: Vec<Signed<'_>> =
            signed.iter().map(|(message, s, key)| (message.as_slice(), *s, *key)).collect();
        items[1].0 = b"another";
        assert_eq!(judge_zip215(&items, &known), [true, false, true]);
        let found = known.get(&[items[0].2, items[1].2, items[2].2]);
        assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn known_keys_are_bounded_and_those_in_use_stay() {
        let mut generations = Generations::default();
        let key = |n: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&n.to_le_bytes());
            PublicKey(bytes)
        };
        for n in 0..3 * GENERATION_KEYS {
            generations.insert(key(n), ED25519_BASEPOINT_POINT);
            assert!(generations.get(&key(0)).is_some(), "it was in use at {n}");
        }
        assert!(generations.young.len() <= GENERATION_KEYS && generations.old.len() <= GENERATION_KEYS);
        assert!(generations.get(&key(1)).is_none());
    }
}
