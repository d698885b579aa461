//! An enclave of real hardware: this process runs inside it, and quotes are had through plain files.
//!
//! Two ways: the kernel's reports below `/sys/kernel/config/tsm/report` in a TDX machine, and `/dev/attestation`, the SGX device as library
//! systems for enclaves show it. Must not know what a quote says. Invariants: a quote that does not contain what was asked is refused; the
//! secret of the seal key never lies outside the enclave: a TDX machine draws it at each start, an SGX enclave gets it from the processor.

use super::{Enclave, EnclaveError, EpochKey, Handover, KeyDigest, vault::Vault};
use crate::{
    ledger::modules::Hardware,
    proofs::{
        Fragment,
        podr2::{GroupKey, Tag},
    },
    types::B256,
};
use rand::{RngCore, rngs::OsRng};
use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Where the kernel takes requests for reports.
const TSM_REPORTS: &str = "/sys/kernel/config/tsm/report";
/// What makes reports in a TDX machine.
const TDX_PROVIDER: &str = "tdx_guest";
/// Where an SGX enclave's quotes and keys are.
const SGX_ATTESTATION: &str = "/dev/attestation";
/// Key of the processor for this very enclave.
const SGX_KEY: &str = "keys/_sgx_mrenclave";
const SECRET_DOMAIN: &str = "cess 2026 sgx enclave secret v1";

/// Bytes of report data that an enclave puts into a quote.
const REPORT_DATA_BYTES: usize = 64;
/// Longest file of the hardware's that is read.
const FILE_MAX_BYTES: u64 = 64 << 10;

/// This process, inside an enclave of hardware.
pub struct Machine {
    vault: Vault,
    source: Source,
}

/// Where quotes come from.
enum Source {
    /// Folder of the kernel's reports.
    Tdx(PathBuf),
    /// Folder of the enclave's device.
    Sgx(PathBuf),
}

impl Machine {
    /// The enclave this process runs in.
    pub fn find() -> Result<Self, EnclaveError> {
        Self::find_at(Path::new(TSM_REPORTS), Path::new(SGX_ATTESTATION))
    }

    pub(super) fn find_at(tsm: &Path, attestation: &Path) -> Result<Self, EnclaveError> {
        if tsm.is_dir() {
            let mut secret = Zeroizing::new([0; 32]);
            OsRng.fill_bytes(&mut *secret);
            return Ok(Self { vault: Vault::new(&secret), source: Source::Tdx(tsm.to_owned()) });
        }
        if attestation.is_dir() {
            let key = Zeroizing::new(read(&attestation.join(SGX_KEY))?);
            let secret = Zeroizing::new(blake3::derive_key(SECRET_DOMAIN, &key));
            return Ok(Self { vault: Vault::new(&secret), source: Source::Sgx(attestation.to_owned()) });
        }
        Err(EnclaveError::NoHardware { tsm: tsm.to_owned(), attestation: attestation.to_owned() })
    }
}

impl Enclave for Machine {
    fn hardware(&self) -> Hardware {
        match self.source {
            Source::Tdx(_) => Hardware::Tdx,
            Source::Sgx(_) => Hardware::Sgx,
        }
    }

    fn seal_key(&self) -> [u8; 32] {
        self.vault.seal_key()
    }

    fn quote(&self, report_data: &B256) -> Result<Option<Vec<u8>>, EnclaveError> {
        let mut padded = [0; REPORT_DATA_BYTES];
        padded[..32].copy_from_slice(report_data.as_slice());
        let quote = match &self.source {
            Source::Tdx(reports) => kernel_quote(reports, &padded)?,
            Source::Sgx(device) => device_quote(device, &padded)?,
        };
        let bound = quote.windows(REPORT_DATA_BYTES).any(|window| window == padded);
        if bound { Ok(Some(quote)) } else { Err(EnclaveError::Quote(quote.len())) }
    }

    fn draw_key(&self) -> Result<EpochKey, EnclaveError> {
        Ok(self.vault.draw_key())
    }

    fn seal(&self, key: &KeyDigest, to: &Handover) -> Result<Vec<u8>, EnclaveError> {
        self.vault.seal(key, to)
    }

    fn unseal(&self, group: &GroupKey, of: &Handover, sealed: &[u8]) -> Result<(), EnclaveError> {
        self.vault.unseal(group, of, sealed)
    }

    fn holds(&self, key: &KeyDigest) -> bool {
        self.vault.holds(key)
    }

    fn forget(&self, key: &KeyDigest) {
        self.vault.forget(key);
    }

    fn tag(&self, key: &KeyDigest, fragment: Fragment, data: &mut dyn Read) -> Result<Vec<Tag>, EnclaveError> {
        self.vault.tag(key, fragment, data)
    }
}

/// Asks the kernel: a folder is a request, its files appear with it and go with it.
fn kernel_quote(reports: &Path, report_data: &[u8]) -> Result<Vec<u8>, EnclaveError> {
    let request = reports.join(format!("cess-{}", std::process::id()));
    match fs::create_dir(&request) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(file(&request)(error)),
        // One that an earlier attempt left behind.
        _ => {}
    }
    let quote = fill_request(&request, report_data);
    // A request that stays is used again; its files cannot be removed one by one.
    drop(fs::remove_dir(&request));
    quote
}

fn fill_request(request: &Path, report_data: &[u8]) -> Result<Vec<u8>, EnclaveError> {
    let provider = String::from_utf8_lossy(&read(&request.join("provider"))?).trim().to_owned();
    if provider != TDX_PROVIDER {
        return Err(EnclaveError::Provider { path: request.to_owned(), found: provider, expected: TDX_PROVIDER });
    }
    write(&request.join("inblob"), report_data)?;
    let generation = || read(&request.join("generation"));
    let before = generation()?;
    let quote = read(&request.join("outblob"))?;
    // The kernel counts writes: another number means that another request was answered.
    if generation()? != before {
        return Err(EnclaveError::Disturbed(request.to_owned()));
    }
    Ok(quote)
}

fn device_quote(device: &Path, report_data: &[u8]) -> Result<Vec<u8>, EnclaveError> {
    write(&device.join("user_report_data"), report_data)?;
    read(&device.join("quote"))
}

fn read(path: &Path) -> Result<Vec<u8>, EnclaveError> {
    let mut bytes = Vec::new();
    let opened = fs::File::open(path).map_err(file(path))?;
    opened.take(FILE_MAX_BYTES).read_to_end(&mut bytes).map_err(file(path))?;
    Ok(bytes)
}

/// Writes in one piece, as the kernel wants it, to a file that is there.
fn write(path: &Path, bytes: &[u8]) -> Result<(), EnclaveError> {
    let mut opened = fs::OpenOptions::new().write(true).open(path).map_err(file(path))?;
    opened.write_all(bytes).map_err(file(path))
}

fn file(path: &Path) -> impl FnOnce(io::Error) -> EnclaveError {
    let path = path.to_owned();
    |source| EnclaveError::File { path, source }
}
