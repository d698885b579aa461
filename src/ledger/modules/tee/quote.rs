//! DCAP quotes: what an enclave is, vouched for by its maker.
//!
//! Pure: the time is given, nothing is fetched. Must not know who is allowed. Invariants: the same bytes get the same answer on every node
//! (one backend, no assembler); whatever is wrong, and if the parser of foreign formats should ever panic, a quote is refused and no more; an
//! enclave that can be debugged is none.

use super::rules::Platform;
use crate::{
    crypto::hash::{DOMAIN_TEE_MEASUREMENT, tagged},
    types::B256,
};
use dcap_qvl::{
    QuoteCollateralV3,
    configs::RustCryptoConfig,
    quote::{EnclaveReport, Report, TDReport10},
    verify::QuoteVerifier,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// DEBUG among the attributes of an SGX enclave.
const SGX_DEBUG: u8 = 1 << 1;

/// What vouches for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardware {
    /// Nothing: a worker of a chain for development.
    None,
    /// An enclave of Intel SGX.
    Sgx,
    /// A virtual machine of Intel TDX.
    Tdx,
}

impl Hardware {
    /// As the interface numbers it.
    pub fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Sgx => 1,
            Self::Tdx => 2,
        }
    }

    /// Reads what [`Hardware::number`] gave.
    pub(super) fn read(number: u8) -> Option<Self> {
        [Self::None, Self::Sgx, Self::Tdx].into_iter().find(|hardware| hardware.number() == number)
    }

    /// How ids of its workers begin.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::None => "DEV",
            Self::Sgx => "SGX",
            Self::Tdx => "TDX",
        }
    }
}

/// What a genuine quote says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The kind of enclave.
    pub hardware: Hardware,
    /// SGX mrenclave, or [`machine_measurement`].
    pub measurement: B256,
    /// Of an SGX enclave: [`signer_rule`] of who signed it, and its security version.
    pub signer: Option<(B256, u16)>,
    /// What the enclave put in.
    pub report_data: [u8; 64],
}

/// Why a quote was refused. Three reasons, so that no node tells more than another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// Not the JSON that collateral is exchanged in.
    #[error("the collateral is not the JSON of DCAP collateral")]
    Collateral,
    /// Not genuine, not of this time, or of a platform that the chain does not put up with.
    #[error("the quote does not verify under its collateral at this block's time")]
    Quote,
    /// Its memory can be read.
    #[error("the quote is that of an enclave that can be debugged")]
    Debug,
}

/// Reads collateral.
pub(super) fn read_collateral(json: &[u8]) -> Result<QuoteCollateralV3, QuoteError> {
    serde_json::from_slice(json).map_err(|_| QuoteError::Collateral)
}

/// Verifies a quote under `collateral` (JSON) at a time in Unix seconds.
pub fn verify_quote(
    quote: &[u8],
    collateral: &[u8],
    now_secs: u64,
    platform: Platform,
) -> Result<Evidence, QuoteError> {
    let collateral = read_collateral(collateral)?;
    let policy = platform.policy(now_secs);
    let verify = || {
        let verifier = QuoteVerifier::new_prod().with_config::<RustCryptoConfig>();
        verifier.verify_with_policy(quote, collateral, now_secs, &policy)
    };
    // The verifier has no state that a panic could leave broken.
    let claims = catch_unwind(AssertUnwindSafe(verify)).ok().and_then(Result::ok).ok_or(QuoteError::Quote)?;
    evidence(&claims.report)
}

/// What a report says, if nobody can look into the enclave.
pub(super) fn evidence(report: &Report) -> Result<Evidence, QuoteError> {
    match report {
        Report::SgxEnclave(report) => enclave_evidence(report),
        _ => machine_evidence(report.as_td10().ok_or(QuoteError::Quote)?),
    }
}

fn enclave_evidence(report: &EnclaveReport) -> Result<Evidence, QuoteError> {
    if report.attributes[0] & SGX_DEBUG != 0 {
        return Err(QuoteError::Debug);
    }
    Ok(Evidence {
        hardware: Hardware::Sgx,
        measurement: report.mr_enclave.into(),
        signer: Some((signer_rule(&report.mr_signer.into(), report.isv_prod_id), report.isv_svn)),
        report_data: report.report_data,
    })
}

fn machine_evidence(report: &TDReport10) -> Result<Evidence, QuoteError> {
    // The whole first byte of a TD's attributes is about debugging.
    if report.td_attributes[0] != 0 {
        return Err(QuoteError::Debug);
    }
    let registers = [report.rt_mr0, report.rt_mr1, report.rt_mr2, report.rt_mr3];
    Ok(Evidence {
        hardware: Hardware::Tdx,
        measurement: machine_measurement(&report.mr_td, &registers),
        signer: None,
        report_data: report.report_data,
    })
}

/// Names a TDX machine: what it was started with and what it measured itself.
pub(super) fn machine_measurement(mr_td: &[u8; 48], registers: &[[u8; 48]; 4]) -> B256 {
    let [r0, r1, r2, r3] = registers;
    tagged(DOMAIN_TEE_MEASUREMENT, &[b"tdx", mr_td, r0, r1, r2, r3]).into()
}

/// Names the SGX enclaves of one product of a signer.
pub(super) fn signer_rule(signer: &B256, product: u16) -> B256 {
    tagged(DOMAIN_TEE_MEASUREMENT, &[b"sgx signer", signer.as_slice(), &product.to_le_bytes()]).into()
}
