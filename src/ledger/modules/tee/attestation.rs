//! Attestations as calls carry them, what they are bound to, and the collateral they are checked with.
//!
//! Invariants: a quote counts for one chain, one account with its keys, and for [`REPORT_WINDOW_BLOCKS`] blocks; collateral is read from state,
//! so that every node checks with the same.

use super::{
    measurements,
    quote::{Evidence, Hardware, read_collateral, verify_quote},
    rules::Platform,
    state,
};
use crate::{
    crypto::hash::{self, DOMAIN_REPORT_DATA, tagged},
    ledger::{
        abi::{ITee, TEE},
        modules::{
            host::{ModuleError, ModuleHost},
            staking::{self, BeaconWindow},
        },
    },
    types::{Address, B256, ChainId, Height},
};
use alloy_primitives::Bytes;
use alloy_sol_types::SolEvent;

/// Largest quote that is looked at. Those of today have 5 KB.
pub const QUOTE_MAX_BYTES: usize = 16 << 10;
/// Largest collateral. Today's has 14 to 25 KB.
pub const COLLATERAL_MAX_BYTES: usize = 48 << 10;
/// How far back the beacon of a quote may lie.
pub const REPORT_WINDOW_BLOCKS: u64 = 600;

/// Gas of verifying a quote: about ten P-256 signatures of certificates, revocation lists, collateral and the quote itself. `cess bench quote`
/// measures 2.6 ms on one core, where `ecrecover` takes 41 µs: 190,000 at its 3,000 gas. Half as much again, as for keys of epochs, is for
/// longer chains of certificates and for processors that are slower at this code, which has no assembler.
const QUOTE_GAS: u64 = 300_000;
/// Gas for each byte of a quote or of collateral: it is parsed and hashed.
const BYTE_GAS: u64 = 4;

/// An attestation begins with it: no quote follows.
const UNATTESTED: u8 = 0;
/// An attestation begins with it: height, digest of collateral and a quote follow.
const QUOTE: u8 = 1;
/// Bytes before the quote.
const PREFIX_BYTES: usize = 1 + 8 + 32;

/// An attestation with a quote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuoteAttestation {
    /// The height whose beacon the quote is bound to.
    pub height: Height,
    /// Names published collateral.
    pub collateral: B256,
    /// A DCAP quote.
    pub quote: Bytes,
}

impl QuoteAttestation {
    /// As calls carry it.
    pub fn encode(&self) -> Bytes {
        [&[QUOTE], self.height.to_be_bytes().as_slice(), self.collateral.as_slice(), &self.quote].concat().into()
    }

    /// As calls carry that there is none.
    pub fn none() -> Bytes {
        Bytes::from_static(&[UNATTESTED])
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (prefix, quote) = bytes.split_at_checked(PREFIX_BYTES)?;
        let height = Height::from_be_bytes(*prefix.get(1..)?.first_chunk()?);
        let collateral = B256::from_slice(prefix.get(9..)?);
        Some(Self { height, collateral, quote: Bytes::copy_from_slice(quote) })
    }
}

/// What an account's quote has to contain, in the first half of its report data.
pub fn report_data(
    chain: ChainId,
    genesis: &B256,
    account: &Address,
    network_key: &B256,
    seal_key: &B256,
    beacon: &B256,
) -> B256 {
    let parts: [&[u8]; 6] = [
        &chain.to_le_bytes(),
        genesis.as_slice(),
        account.as_slice(),
        network_key.as_slice(),
        seal_key.as_slice(),
        beacon.as_slice(),
    ];
    tagged(DOMAIN_REPORT_DATA, &parts).into()
}

/// Who asks to be attested, with which keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct Applicant {
    pub(super) account: Address,
    pub(super) network_key: B256,
    pub(super) seal_key: B256,
}

/// What an attestation shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) hardware: Hardware,
    pub(super) measurement: B256,
    /// The entry of the list that let it in.
    pub(super) rule: B256,
}

/// Checks an attestation.
pub(super) fn admit(host: &mut dyn ModuleHost, who: &Applicant, bytes: &[u8]) -> Result<Admission, ModuleError> {
    match bytes {
        [UNATTESTED] if host.params().tee_dev_allowed => {
            Ok(Admission { hardware: Hardware::None, measurement: B256::ZERO, rule: B256::ZERO })
        }
        [UNATTESTED] => Err(refuse("the chain takes no workers without a quote")),
        [QUOTE, ..] => {
            let given =
                QuoteAttestation::decode(bytes).ok_or_else(|| refuse("the attestation ends before its quote"))?;
            let evidence = verify(host, &given)?;
            let expected = expected_data(host, who, given.height)?;
            judge(host, &evidence, &expected)
        }
        _ => Err(refuse("the attestation begins with neither 0 nor 1")),
    }
}

fn verify(host: &mut dyn ModuleHost, given: &QuoteAttestation) -> Result<Evidence, ModuleError> {
    if given.quote.len() > QUOTE_MAX_BYTES {
        return Err(refuse("the quote is too long"));
    }
    let collateral = state().collateral.at_key(&given.collateral).get_bytes(host)?;
    if collateral.is_empty() {
        return Err(ModuleError::revert(ITee::UnknownCollateral { digest: given.collateral }));
    }
    host.charge(QUOTE_GAS + byte_gas(collateral.len()) + byte_gas(given.quote.len()))?;
    let platform = Platform(state().platform.get(host)?);
    verify_quote(&given.quote, &collateral, host.time_ms() / 1_000, platform)
        .map_err(|error| refuse(&error.to_string()))
}

/// The report data of an applicant's quote of `height`.
pub(super) fn expected_data(host: &mut dyn ModuleHost, who: &Applicant, height: Height) -> Result<B256, ModuleError> {
    let ring = staking::beacon_window(host)?;
    let oldest = ring.oldest.max(ring.newest.saturating_sub(REPORT_WINDOW_BLOCKS));
    if !(BeaconWindow { oldest, newest: ring.newest }).contains(height) {
        return Err(refuse("the quote is bound to a block that is not among the last ones"));
    }
    let (genesis, beacon) = (state().genesis.get(host)?, staking::beacon(host, height)?);
    Ok(report_data(host.chain_id(), &genesis, &who.account, &who.network_key, &who.seal_key, &beacon))
}

/// Whether genuine evidence is that of an allowed enclave, made for this purpose.
pub(super) fn judge(host: &mut dyn ModuleHost, evidence: &Evidence, expected: &B256) -> Result<Admission, ModuleError> {
    let (bound, rest) = evidence.report_data.split_at(32);
    if bound != expected.as_slice() || rest.iter().any(|byte| *byte != 0) {
        return Err(refuse("the quote is bound to something else"));
    }
    let rule = measurements::rule_for(host, evidence)?;
    let rule = rule.ok_or_else(|| refuse("the enclave is not on the list of measurements"))?;
    Ok(Admission { hardware: evidence.hardware, measurement: evidence.measurement, rule })
}

/// Keeps collateral for attestations.
pub(super) fn publish(host: &mut dyn ModuleHost, collateral: &[u8]) -> Result<B256, ModuleError> {
    let invalid = |reason: String| ModuleError::revert(ITee::CollateralInvalid { reason });
    let length = collateral.len();
    if length > COLLATERAL_MAX_BYTES {
        return Err(invalid(format!("it has {length} B, the limit is {COLLATERAL_MAX_BYTES} B")));
    }
    host.charge(byte_gas(length))?;
    read_collateral(collateral).map_err(|error| invalid(error.to_string()))?;
    let digest = B256::from(hash::content(collateral));
    state().collateral.at_key(&digest).set(host, collateral)?;
    let bytes_ = u64::try_from(length).expect("COLLATERAL_MAX_BYTES is small");
    host.emit(TEE, ITee::CollateralPublished { digest, bytes_ }.encode_log_data())?;
    Ok(digest)
}

fn byte_gas(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX).saturating_mul(BYTE_GAS)
}

fn refuse(reason: &str) -> ModuleError {
    ModuleError::revert(ITee::AttestationRefused { reason: reason.to_owned() })
}
