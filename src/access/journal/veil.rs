//! Keeps records from the miners they lie on.
//!
//! Owns the encryption of a record: the epoch whose key it is under, a random nonce, AES-256-GCM. Must not know what is in it.
//! Invariants: a record is opened only in the journal and under the number it was made for; a miner that changes one is noticed.

use crate::{crypto::hash, runtime::Secret, storage::journal::JournalId};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Random bytes a veil needs.
pub const NONCE_BYTES: usize = NONCE_LEN;

const EPOCH_BYTES: usize = 8;
/// What a veil adds to a record.
pub const VEIL_BYTES: usize = EPOCH_BYTES + NONCE_BYTES + 16;

/// Veils and unveils records of one journal.
pub struct Veil {
    journal: JournalId,
    secret: Secret<[u8; 32]>,
}

impl Veil {
    /// For the journal `journal`, from its secret.
    pub fn new(journal: JournalId, secret: Secret<[u8; 32]>) -> Self {
        Self { journal, secret }
    }

    /// The record that carries `plain` under `number`.
    pub fn draw(&self, epoch: u64, number: u64, nonce: [u8; NONCE_BYTES], plain: &[u8]) -> Vec<u8> {
        let mut record = Vec::with_capacity(plain.len() + VEIL_BYTES);
        record.extend(epoch.to_le_bytes());
        record.extend(nonce);
        let mut body = plain.to_vec();
        let key = self.key(epoch);
        let sealed = key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), self.bound(number), &mut body);
        sealed.expect("a record is far below the limit of the cipher");
        record.extend(body);
        record
    }

    /// What `record` carries; `None` if it is not what was written under `number`.
    pub fn lift(&self, number: u64, record: &[u8]) -> Option<Vec<u8>> {
        let (epoch, rest) = record.split_first_chunk()?;
        let (nonce, body) = rest.split_first_chunk()?;
        let mut body = body.to_vec();
        let key = self.key(u64::from_le_bytes(*epoch));
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let len = key.open_in_place(nonce, self.bound(number), &mut body).ok()?.len();
        body.truncate(len);
        Some(body)
    }

    fn key(&self, epoch: u64) -> LessSafeKey {
        let parts: [&[u8]; 3] = [self.secret.expose(), &self.journal.0, &epoch.to_le_bytes()];
        let key = UnboundKey::new(&AES_256_GCM, &hash::tagged(hash::DOMAIN_JOURNAL_VEIL, &parts));
        LessSafeKey::new(key.expect("a digest has the length of the key"))
    }

    fn bound(&self, number: u64) -> Aad<[u8; 40]> {
        let mut bound = [0; 40];
        bound[..32].copy_from_slice(&self.journal.0);
        bound[32..].copy_from_slice(&number.to_le_bytes());
        Aad::from(bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn veil(journal: u8, secret: u8) -> Veil {
        Veil::new(JournalId([journal; 32]), Secret::new([secret; 32]))
    }

    #[test]
    fn a_record_is_opened_only_where_it_belongs() {
        let record = veil(1, 2).draw(3, 4, [5; 12], b"plain");
        assert_eq!(record.len(), 5 + VEIL_BYTES);
        assert!(!record.windows(5).any(|window| window == b"plain"));
        assert_eq!(veil(1, 2).lift(4, &record).unwrap(), b"plain");
        for (veil, number) in [(veil(1, 2), 5), (veil(9, 2), 4), (veil(1, 9), 4)] {
            assert_eq!(veil.lift(number, &record), None);
        }
        for at in 0..record.len() {
            let mut changed = record.clone();
            changed[at] ^= 1;
            assert_eq!(veil(1, 2).lift(4, &changed), None, "byte {at}");
        }
        assert_eq!(veil(1, 2).lift(4, &record[..20]), None);
    }

    #[test]
    fn records_are_stable() {
        let record = veil(1, 2).draw(3, 4, [5; 12], b"plain");
        assert_eq!(
            hex::encode(record),
            "030000000000000005050505050505050505050558fc8e243b980381fb39c4beaa32aa3ae43171a13e"
        );
    }
}
