//! Whom a chain trusts from its first block on: measurements of enclaves, and states of platforms it puts up with.
//!
//! Invariant: a genesis that names nothing takes no quote at all.

use super::{
    measurements::{self, Entry},
    quote::{machine_measurement, signer_rule},
    state,
};
use crate::{
    ledger::modules::host::{ModuleError, ModuleHost},
    types::B256,
};
use alloy_primitives::FixedBytes;
use dcap_qvl::QuotePolicy;

/// Most measurements a genesis may list.
pub const RULES_MAX: usize = 256;

/// SGX enclaves that a signer made, as genesis lists them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnclaveSigner {
    /// SGX mrsigner.
    pub signer: B256,
    /// Its product.
    pub product: u16,
    /// Least security version.
    pub svn: u16,
}

/// A TDX machine, as genesis lists it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualMachine {
    /// TDX mrtd.
    pub mr_td: FixedBytes<48>,
    /// RTMR 0 to 3.
    pub registers: [FixedBytes<48>; 4],
}

/// States of a platform besides "up to date" that a chain may put up with. Platforms that are out of date or revoked are never taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TcbStatus {
    /// The enclave's code has to defend itself against a known weakness.
    SwHardeningNeeded,
    /// The platform's settings may be unsafe.
    ConfigurationNeeded,
    /// Both of them.
    ConfigurationAndSwHardeningNeeded,
    /// A TDX machine should be started anew after an update of the platform.
    TdRelaunchAdvised,
}

impl TcbStatus {
    const ALL: [Self; 4] = [
        Self::SwHardeningNeeded,
        Self::ConfigurationNeeded,
        Self::ConfigurationAndSwHardeningNeeded,
        Self::TdRelaunchAdvised,
    ];

    fn bit(self) -> u64 {
        match self {
            Self::SwHardeningNeeded => 1,
            Self::ConfigurationNeeded => 1 << 1,
            Self::ConfigurationAndSwHardeningNeeded => 1 << 2,
            Self::TdRelaunchAdvised => 1 << 3,
        }
    }

    fn foreign(self) -> dcap_qvl::TcbStatus {
        match self {
            Self::SwHardeningNeeded => dcap_qvl::TcbStatus::SWHardeningNeeded,
            Self::ConfigurationNeeded => dcap_qvl::TcbStatus::ConfigurationNeeded,
            Self::ConfigurationAndSwHardeningNeeded => dcap_qvl::TcbStatus::ConfigurationAndSWHardeningNeeded,
            Self::TdRelaunchAdvised => dcap_qvl::TcbStatus::TDRelaunchAdvised,
        }
    }
}

/// The `tee` section of genesis.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TeeRules {
    /// SGX enclaves by mrenclave.
    pub enclaves: Vec<B256>,
    /// SGX enclaves by who signed them.
    pub signers: Vec<EnclaveSigner>,
    /// TDX machines.
    pub machines: Vec<VirtualMachine>,
    /// States of platforms besides "up to date".
    pub statuses: Vec<TcbStatus>,
    /// Whether platforms may run two threads on a core.
    pub smt: bool,
    /// Whether platforms may change their processors.
    pub dynamic_platform: bool,
    /// Whether platforms may keep their keys with the maker.
    pub cached_keys: bool,
}

impl TeeRules {
    /// Whether the section says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Measurements listed.
    pub fn len(&self) -> usize {
        self.enclaves.len() + self.signers.len() + self.machines.len()
    }

    /// Which platforms are taken.
    pub fn platform(&self) -> Platform {
        let statuses = self.statuses.iter().fold(0, |bits, status| bits | status.bit());
        let flags = [(self.smt, SMT), (self.dynamic_platform, DYNAMIC_PLATFORM), (self.cached_keys, CACHED_KEYS)];
        Platform(flags.into_iter().filter(|(set, _)| *set).fold(statuses, |bits, (_, bit)| bits | bit))
    }
}

const SMT: u64 = 1 << 8;
const DYNAMIC_PLATFORM: u64 = 1 << 9;
const CACHED_KEYS: u64 = 1 << 10;

/// Which platforms are taken: bits of [`TcbStatus`] and three flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Platform(pub(super) u64);

impl Platform {
    /// As the verifier of quotes takes it.
    pub(super) fn policy(self, now_secs: u64) -> QuotePolicy {
        let allowed = TcbStatus::ALL.into_iter().filter(|status| self.0 & status.bit() != 0);
        allowed
            .fold(QuotePolicy::strict(now_secs), |policy, status| policy.allow_status(status.foreign()))
            .allow_smt(self.0 & SMT != 0)
            .allow_dynamic_platform(self.0 & DYNAMIC_PLATFORM != 0)
            .allow_cached_keys(self.0 & CACHED_KEYS != 0)
    }
}

/// Writes what genesis says.
pub(in crate::ledger::modules) fn install(
    host: &mut dyn ModuleHost,
    rules: &TeeRules,
    genesis: B256,
) -> Result<(), ModuleError> {
    if rules.len() > RULES_MAX {
        let listed = rules.len();
        return Err(ModuleError::reason(format!(
            "{listed} measurements of enclaves are listed, the limit is {RULES_MAX}"
        )));
    }
    state().genesis.set(host, &genesis)?;
    state().platform.set(host, &rules.platform().0)?;
    for enclave in &rules.enclaves {
        measurements::write(host, *enclave, Entry::Allowed { svn: 0 })?;
    }
    for EnclaveSigner { signer, product, svn } in &rules.signers {
        measurements::write(host, signer_rule(signer, *product), Entry::Allowed { svn: *svn })?;
    }
    for VirtualMachine { mr_td, registers } in &rules.machines {
        let measurement = machine_measurement(&mr_td.0, &registers.each_ref().map(|register| register.0));
        measurements::write(host, measurement, Entry::Allowed { svn: 0 })?;
    }
    Ok(())
}
