//! Hashes, keys and verifiable randomness. Pure: no randomness source, no clock, no storage.
//!
//! Invariants: every hash has a domain; one seed yields independent keys per purpose; secrets are zeroised on drop.

mod ed25519_batch;
pub mod hash;
mod keys;
mod mnemonic;
mod secp;
mod vrf;

pub use ed25519_batch::{KnownKeys, Signed as Zip215Item, judge_zip215, verify_all_zip215, verify_zip215};
pub use keys::{NodeKeys, PublicKey, SecretKey, Signature, SignatureError, native_address, verify_batch};
pub use mnemonic::{MnemonicError, mnemonic_keys};
pub use secp::{EcdsaKey, EcdsaSignature, recover_address};
pub use vrf::{VRF_PROOF_BYTES, VrfError, VrfProof, VrfPublicKey, VrfSecretKey};
