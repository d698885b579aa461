//! An enclave that is none: for chains that take workers without attestation.
//!
//! Invariant: it never gives a quote, so that no chain can mistake it for hardware.

use super::{Enclave, EnclaveError, EpochKey, Handover, KeyDigest, vault::Vault};
use crate::{
    ledger::modules::Hardware,
    proofs::{
        Fragment,
        podr2::{GroupKey, Tag},
    },
    types::B256,
};
use std::io::Read;
use zeroize::Zeroizing;

const SECRET_DOMAIN: &str = "cess 2026 simulated enclave secret v1";

/// Keys of the group in an ordinary process. Its seal key follows from the node's seed, so that it is the same after a restart.
pub struct Simulated(Vault);

impl Simulated {
    /// That of the node with this seed.
    pub fn new(node_seed: &[u8; 32]) -> Self {
        Self(Vault::new(&Zeroizing::new(blake3::derive_key(SECRET_DOMAIN, node_seed))))
    }
}

impl Enclave for Simulated {
    fn hardware(&self) -> Hardware {
        Hardware::None
    }

    fn seal_key(&self) -> [u8; 32] {
        self.0.seal_key()
    }

    fn quote(&self, _report_data: &B256) -> Result<Option<Vec<u8>>, EnclaveError> {
        Ok(None)
    }

    fn draw_key(&self) -> Result<EpochKey, EnclaveError> {
        Ok(self.0.draw_key())
    }

    fn seal(&self, key: &KeyDigest, to: &Handover) -> Result<Vec<u8>, EnclaveError> {
        self.0.seal(key, to)
    }

    fn unseal(&self, group: &GroupKey, of: &Handover, sealed: &[u8]) -> Result<(), EnclaveError> {
        self.0.unseal(group, of, sealed)
    }

    fn holds(&self, key: &KeyDigest) -> bool {
        self.0.holds(key)
    }

    fn forget(&self, key: &KeyDigest) {
        self.0.forget(key);
    }

    fn tag(&self, key: &KeyDigest, fragment: Fragment, data: &mut dyn Read) -> Result<Vec<Tag>, EnclaveError> {
        self.0.tag(key, fragment, data)
    }
}
