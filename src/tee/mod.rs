//! The half of a TEE worker that holds secrets: what vouches for it, the keys of the tagger group, and tags made with them.
//!
//! Owns the [`Enclave`] port, sealing, and two implementations: [`Machine`], which asks the hardware for quotes, and [`Simulated`], which has
//! none and says so; and the work around them: registration, key epochs, the tagging service's view of an enclave. Enclaves must not know
//! transactions, disks or networks. Invariants: a key of the group leaves an enclave sealed to a worker that
//! the chain shows, or not at all; what is unsealed is used only if it is the secret of the key the chain registered; secrets are zeroised.

mod hardware;
mod keeper;
mod maker;
mod register;
mod seal;
mod simulated;
mod vault;

#[cfg(test)]
mod stories;
#[cfg(test)]
mod tests;

use crate::{
    ledger::modules::{Hardware, QuoteAttestation},
    proofs::{
        Fragment,
        podr2::{GroupKey, Srs, Tag, TagError},
    },
    types::{Address, B256, ChainId, Height},
};
use alloy_primitives::Bytes;
use std::{
    io::{self, Read},
    path::PathBuf,
};

pub use hardware::Machine;
pub use keeper::{Keeper, KeeperError};
pub use maker::EnclaveTags;
pub use register::{Registration, WorkerError};
pub use seal::SEALED_BYTES;
pub use simulated::Simulated;

/// Names a key of the group: [`GroupKey::digest`].
pub type KeyDigest = [u8; 32];

/// What holds the secrets of a worker.
pub trait Enclave: Send + Sync {
    /// What vouches for it.
    fn hardware(&self) -> Hardware;

    /// X25519 key that keys of the group are sealed to.
    fn seal_key(&self) -> [u8; 32];

    /// A DCAP quote over `report_data` and 32 zero bytes; none if nothing vouches for it.
    fn quote(&self, report_data: &B256) -> Result<Option<Vec<u8>>, EnclaveError>;

    /// Draws the key of a new epoch, keeps its secret and gives what the chain registers.
    fn draw_key(&self) -> Result<EpochKey, EnclaveError>;

    /// The secret of a key, for a worker to have it, too.
    fn seal(&self, key: &KeyDigest, to: &Handover) -> Result<Vec<u8>, EnclaveError>;

    /// Takes the secret of `group` that was sealed to this enclave.
    fn unseal(&self, group: &GroupKey, of: &Handover, sealed: &[u8]) -> Result<(), EnclaveError>;

    /// Whether it has the secret of a key.
    fn holds(&self, key: &KeyDigest) -> bool;

    /// Gives a secret up.
    fn forget(&self, key: &KeyDigest);

    /// Tags a fragment whose bytes come as a stream. Works on all threads of the caller's pool until the stream ends.
    fn tag(&self, key: &KeyDigest, fragment: Fragment, data: &mut dyn Read) -> Result<Vec<Tag>, EnclaveError>;
}

/// A new key of the group, as the chain registers it.
#[derive(Debug, Clone)]
pub struct EpochKey {
    /// v and w.
    pub group: GroupKey,
    /// What miners prove with.
    pub srs: Srs,
}

/// Whom a key is sealed to, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handover {
    /// The chain.
    pub chain: ChainId,
    /// The key's epoch.
    pub epoch: u64,
    /// The worker that gets it.
    pub receiver: Address,
    /// That worker's seal key, as the chain shows it.
    pub seal_key: [u8; 32],
}

/// Why an enclave did not do it.
#[derive(Debug, thiserror::Error)]
pub enum EnclaveError {
    /// Nothing here can vouch for a worker.
    #[error("no enclave found: there is neither `{tsm}` (TDX) nor `{attestation}` (SGX)")]
    NoHardware { tsm: PathBuf, attestation: PathBuf },
    /// A file of the hardware's cannot be read or written.
    #[error("enclave file `{path}`: {source}")]
    File { path: PathBuf, source: io::Error },
    /// The kernel's reports are made by another kind of hardware.
    #[error("reports of `{path}` come from `{found}`, a quote can be had of `{expected}`")]
    Provider { path: PathBuf, found: String, expected: &'static str },
    /// Someone else asked for a report at the same time.
    #[error("report `{0}` was asked for by another process at the same time")]
    Disturbed(PathBuf),
    /// What came is no quote over what was asked.
    #[error("a quote of {0} B that does not contain the report data came from the hardware")]
    Quote(usize),
    /// A key whose secret is not here.
    #[error("the enclave does not have the secret of key {}", hex::encode(.0))]
    UnknownKey(KeyDigest),
    /// A key that cannot be sealed to.
    #[error("seal key {} is not one of X25519", hex::encode(.0))]
    SealKey([u8; 32]),
    /// Not sealed to this enclave, for this purpose, in a form that is known.
    #[error("{given} B of sealed key of epoch {epoch} do not open")]
    Sealed { given: usize, epoch: u64 },
    /// A secret of another key than the chain registered.
    #[error("the secret handed over for epoch {0} is not that of its key")]
    WrongSecret(u64),
    /// The fragment is not what its id says.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The fragment's bytes did not come.
    #[error("fragment `{fragment}` could not be read: {source}")]
    Stream { fragment: crate::types::FragmentId, source: io::Error },
}

/// What a worker hands to the chain to be attested. `report_data` is what the chain expects for `height`, `collateral` the digest of published
/// collateral; without hardware neither matters.
pub fn attestation(
    enclave: &dyn Enclave,
    report_data: &B256,
    height: Height,
    collateral: B256,
) -> Result<Bytes, EnclaveError> {
    Ok(match enclave.quote(report_data)? {
        Some(quote) => QuoteAttestation { height, collateral, quote: quote.into() }.encode(),
        None => QuoteAttestation::none(),
    })
}
