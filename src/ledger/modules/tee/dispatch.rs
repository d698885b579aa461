//! The ABI face of the TEE module.

use super::{attestation, epochs, measurements, tags, views, workers};
use crate::ledger::{
    abi::ITee::{self, ITeeCalls},
    modules::{
        calldata::{Access, decode, permit, reply},
        host::{ModuleError, ModuleHost},
    },
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<ITeeCalls>(input, host)?;
    permit(access(&call), host)?;
    match call {
        ITeeCalls::register(call) => {
            workers::register(host, &call.into())?;
            Ok(reply::<ITee::registerCall>(&().into()))
        }
        ITeeCalls::attest(call) => {
            workers::attest(host, call.sealKey, &call.attestation)?;
            Ok(reply::<ITee::attestCall>(&().into()))
        }
        ITeeCalls::leave(_) => {
            workers::leave(host)?;
            Ok(reply::<ITee::leaveCall>(&().into()))
        }
        ITeeCalls::withdraw(_) => {
            workers::withdraw(host)?;
            Ok(reply::<ITee::withdrawCall>(&().into()))
        }
        ITeeCalls::publishCollateral(call) => {
            Ok(reply::<ITee::publishCollateralCall>(&attestation::publish(host, &call.collateral)?))
        }
        ITeeCalls::allow(call) => {
            measurements::allow(host, call.measurement, call.svn)?;
            Ok(reply::<ITee::allowCall>(&().into()))
        }
        ITeeCalls::revoke(call) => {
            measurements::revoke(host, call.measurement)?;
            Ok(reply::<ITee::revokeCall>(&().into()))
        }
        ITeeCalls::openEpoch(call) => Ok(reply::<ITee::openEpochCall>(&epochs::open(host, &call.key, &call.srs)?)),
        ITeeCalls::handOver(call) => {
            epochs::hand_over(host, &call.into())?;
            Ok(reply::<ITee::handOverCall>(&().into()))
        }
        ITeeCalls::certify(call) => {
            let certificate = tags::Certificate {
                epoch: call.epoch,
                files: &call.files,
                columns: &call.columns,
                receipts: &call.receipts,
            };
            tags::certify(host, &certificate)?;
            Ok(reply::<ITee::certifyCall>(&().into()))
        }
        view => view_of(view, host),
    }
}

fn view_of(call: ITeeCalls, host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    match call {
        ITeeCalls::count(_) => Ok(reply::<ITee::countCall>(&views::count(host)?)),
        ITeeCalls::list(call) => Ok(reply::<ITee::listCall>(&views::list(host, call.skip, call.limit)?)),
        ITeeCalls::get(call) => Ok(reply::<ITee::getCall>(&views::get(host, call.account)?)),
        ITeeCalls::epochs(_) => Ok(reply::<ITee::epochsCall>(&views::epochs(host)?)),
        ITeeCalls::epoch(call) => Ok(reply::<ITee::epochCall>(&views::epoch_at(host, call.number)?)),
        ITeeCalls::holders(call) => Ok(reply::<ITee::holdersCall>(&views::holders_of(host, call.number)?)),
        ITeeCalls::nextEpoch(_) => Ok(reply::<ITee::nextEpochCall>(&views::next_epoch(host)?)),
        ITeeCalls::tagsOf(call) => Ok(reply::<ITee::tagsOfCall>(&views::tags_of(host, call.file.into())?)),
        ITeeCalls::collateral(call) => Ok(reply::<ITee::collateralCall>(&views::collateral(host, call.digest)?)),
        ITeeCalls::measurement(call) => Ok(reply::<ITee::measurementCall>(&views::measurement(host, call.digest)?)),
        ITeeCalls::reportData(call) => {
            let ITee::reportDataCall { account, networkKey, sealKey, height } = call;
            let data = views::report_data(host, account, networkKey, sealKey, height)?;
            Ok(reply::<ITee::reportDataCall>(&data))
        }
        _ => Err(ModuleError::Fatal("a call that writes came to the views".into())),
    }
}

fn access(call: &ITeeCalls) -> Access {
    match call {
        ITeeCalls::register(_) | ITeeCalls::attest(_) => Access::Payable,
        ITeeCalls::leave(_)
        | ITeeCalls::withdraw(_)
        | ITeeCalls::publishCollateral(_)
        | ITeeCalls::allow(_)
        | ITeeCalls::revoke(_)
        | ITeeCalls::openEpoch(_)
        | ITeeCalls::handOver(_)
        | ITeeCalls::certify(_) => Access::Write,
        _ => Access::View,
    }
}

impl From<ITee::registerCall> for workers::Registration {
    fn from(call: ITee::registerCall) -> Self {
        Self {
            kind: call.kind,
            network_key: call.networkKey,
            seal_key: call.sealKey,
            name: call.name,
            attestation: call.attestation,
        }
    }
}

impl From<ITee::handOverCall> for epochs::HandOver {
    fn from(call: ITee::handOverCall) -> Self {
        Self { number: call.epoch, to: call.worker, seal_key: call.sealKey, sealed: call.sealed_ }
    }
}
