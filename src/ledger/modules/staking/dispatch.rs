//! The ABI face of the staking module.

use super::{current_era, jail, offences, registry, reveal, ring, stake, views};
use crate::{
    consensus::{Possession, ValidatorKeys},
    crypto::{PublicKey, Signature, VrfProof, VrfPublicKey},
    ledger::{
        abi::IStaking::{self, IStakingCalls as Calls},
        modules::{
            calldata::{Access, decode, permit, reply},
            host::{ModuleError, ModuleHost},
        },
    },
};
use alloy_primitives::Bytes;

/// Runs one call.
pub(in crate::ledger::modules) fn dispatch(input: &[u8], host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    let call = decode::<Calls>(input, host)?;
    permit(access(&call), host)?;
    match access(&call) {
        Access::View => read(call, host),
        Access::Write | Access::Payable => write(call, host).map(|()| Bytes::new()),
    }
}

fn access(call: &Calls) -> Access {
    match call {
        Calls::bond(_) => Access::Payable,
        Calls::register(_)
        | Calls::unbond(_)
        | Calls::withdraw(_)
        | Calls::reveal(_)
        | Calls::unjail(_)
        | Calls::reportEvidence(_) => Access::Write,
        Calls::committee(_)
        | Calls::committeeOf(_)
        | Calls::seats(_)
        | Calls::currentEra(_)
        | Calls::era(_)
        | Calls::activity(_)
        | Calls::candidates(_)
        | Calls::candidate(_)
        | Calls::stakeOf(_)
        | Calls::jailed(_)
        | Calls::supply(_)
        | Calls::beacon(_) => Access::View,
    }
}

fn write(call: Calls, host: &mut dyn ModuleHost) -> Result<(), ModuleError> {
    match call {
        Calls::bond(_) => stake::bond(host),
        Calls::register(call) => register(host, &call),
        Calls::unbond(call) => stake::unbond(host, call.amount),
        Calls::withdraw(_) => stake::withdraw(host),
        Calls::reveal(call) => reveal::reveal(host, call.era, &call.proof),
        Calls::unjail(_) => jail::leave(host),
        Calls::reportEvidence(call) => offences::report(host, &call.evidence),
        _ => Err(ModuleError::Fatal("a read was dispatched as a write".into())),
    }
}

fn read(call: Calls, host: &mut dyn ModuleHost) -> Result<Bytes, ModuleError> {
    Ok(match call {
        Calls::committee(_) => {
            let current = current_era(host);
            reply::<IStaking::committeeCall>(&views::committee(host, current)?)
        }
        Calls::committeeOf(call) => reply::<IStaking::committeeOfCall>(&views::committee(host, call.era)?),
        Calls::seats(call) => reply::<IStaking::seatsCall>(&views::seats(host, call.era)?),
        Calls::currentEra(_) => reply::<IStaking::currentEraCall>(&current_era(host)),
        Calls::era(call) => reply::<IStaking::eraCall>(&views::summary(host, call.era)?),
        Calls::activity(call) => reply::<IStaking::activityCall>(&views::deeds(host, call.account, call.era)?),
        Calls::candidates(call) => reply::<IStaking::candidatesCall>(&views::candidates(host, call.skip, call.limit)?),
        Calls::candidate(call) => reply::<IStaking::candidateCall>(&views::candidate(host, call.account)?),
        Calls::stakeOf(call) => reply::<IStaking::stakeOfCall>(&views::stake_of(host, call.account)?),
        Calls::jailed(_) => reply::<IStaking::jailedCall>(&views::jailed(host)?),
        Calls::supply(_) => {
            let (minted, burnt) = views::supply(host)?;
            reply::<IStaking::supplyCall>(&IStaking::supplyReturn { minted, burnt })
        }
        Calls::beacon(call) => reply::<IStaking::beaconCall>(&ring::beacon(host, call.height)?),
        _ => return Err(ModuleError::Fatal("a write was dispatched as a read".into())),
    })
}

fn register(host: &mut dyn ModuleHost, call: &IStaking::registerCall) -> Result<(), ModuleError> {
    let account = host.caller();
    let unproven = |key: &str| ModuleError::revert(IStaking::KeyNotProven { account, key: key.to_owned() });
    let keys = ValidatorKeys {
        consensus: PublicKey(call.consensusKey.0),
        vrf: VrfPublicKey(call.vrfKey.0),
        network: PublicKey(call.networkKey.0),
    };
    let proof = Possession {
        consensus: Signature(call.consensusProof[..].try_into().map_err(|_| unproven("consensus"))?),
        vrf: VrfProof(call.vrfProof[..].try_into().map_err(|_| unproven("VRF"))?),
        network: Signature(call.networkProof[..].try_into().map_err(|_| unproven("network"))?),
    };
    registry::register(host, &keys, &proof)
}
