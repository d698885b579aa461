//! The group's secrets in memory, which both implementations share.
//!
//! Invariants: a secret is reached through its key's digest only and never given out but sealed; seeds and keys are zeroised when they go; at
//! most [`KEYS_MAX`] are held, the oldest go first.

use super::{EnclaveError, EpochKey, Handover, KeyDigest, seal, seal::SealKeys};
use crate::proofs::{
    Fragment,
    podr2::{GroupKey, Tag, TaggerKey},
};
use parking_lot::Mutex;
use rand::{RngCore, rngs::OsRng};
use std::{collections::VecDeque, io::Read, sync::Arc};
use zeroize::Zeroizing;

/// Secrets held: the open epoch's, and those of tags that are still to be made again.
const KEYS_MAX: usize = 64;
/// Bytes read of a stream at a time: a batch of the tagger.
const READ_BYTES: usize = 1 << 20;

/// A secret of the group.
struct Secret {
    digest: KeyDigest,
    seed: Zeroizing<[u8; 32]>,
    key: TaggerKey,
}

/// Secrets, and the keys they are sealed to.
pub(super) struct Vault {
    seal_keys: SealKeys,
    secrets: Mutex<VecDeque<Arc<Secret>>>,
}

impl Vault {
    /// An empty one whose seal key belongs to `secret`.
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self { seal_keys: SealKeys::derive(secret), secrets: Mutex::default() }
    }

    pub(super) fn seal_key(&self) -> [u8; 32] {
        self.seal_keys.public()
    }

    pub(super) fn draw_key(&self) -> EpochKey {
        let mut seed = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(&mut *seed);
        let key = TaggerKey::derive(&seed);
        let drawn = EpochKey { group: key.public(), srs: key.srs() };
        self.keep(Secret { digest: drawn.group.digest(), seed, key });
        drawn
    }

    pub(super) fn seal(&self, key: &KeyDigest, to: &Handover) -> Result<Vec<u8>, EnclaveError> {
        seal::seal(&self.secret(key)?.seed, key, to)
    }

    pub(super) fn unseal(&self, group: &GroupKey, of: &Handover, sealed: &[u8]) -> Result<(), EnclaveError> {
        let digest = group.digest();
        let seed = self.seal_keys.open(&digest, of, sealed)?;
        let key = TaggerKey::derive(&seed);
        if key.public() != *group {
            return Err(EnclaveError::WrongSecret(of.epoch));
        }
        self.keep(Secret { digest, seed, key });
        Ok(())
    }

    pub(super) fn holds(&self, key: &KeyDigest) -> bool {
        self.secrets.lock().iter().any(|secret| secret.digest == *key)
    }

    pub(super) fn forget(&self, key: &KeyDigest) {
        self.secrets.lock().retain(|secret| secret.digest != *key);
    }

    pub(super) fn tag(
        &self,
        key: &KeyDigest,
        fragment: Fragment,
        data: &mut dyn Read,
    ) -> Result<Vec<Tag>, EnclaveError> {
        let secret = self.secret(key)?;
        let mut tagger = secret.key.tagger(fragment);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let filled =
                fill(data, &mut buffer).map_err(|source| EnclaveError::Stream { fragment: fragment.id, source })?;
            tagger.update(&buffer[..filled])?;
            if filled < buffer.len() {
                return Ok(tagger.finish()?);
            }
        }
    }

    fn secret(&self, key: &KeyDigest) -> Result<Arc<Secret>, EnclaveError> {
        let secrets = self.secrets.lock();
        let found = secrets.iter().find(|secret| secret.digest == *key);
        found.cloned().ok_or(EnclaveError::UnknownKey(*key))
    }

    fn keep(&self, secret: Secret) {
        let mut secrets = self.secrets.lock();
        secrets.retain(|held| held.digest != secret.digest);
        secrets.push_back(Arc::new(secret));
        if secrets.len() > KEYS_MAX {
            secrets.pop_front();
        }
    }
}

/// Reads until `buffer` is full or the stream ends; tells how much came.
fn fill(data: &mut dyn Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match data.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
