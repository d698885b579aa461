//! Protocol events: the modules' Solidity events as one typed enum.
//!
//! Must not know where logs come from. Invariant: a log that is not a known event of a protocol module decodes to `None`,
//! never to a wrong event.

use crate::ledger::abi::{FILES, IFiles, IMiners, MINERS};
use crate::types::{Address, B256, FileId, U256};
use alloy_primitives::Bytes;
use alloy_sol_types::SolEventInterface;

/// What the chain did. Decoded from the logs of the protocol modules.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "event", rename_all = "camelCase")]
pub enum ChainEvent {
    /// A miner joined.
    MinerRegistered { account: Address, operator: Address, capacity: u64, name: String },
    /// A miner changed what it lends.
    MinerCapacityChanged { account: Address, capacity: u64 },
    /// A miner left with its collateral.
    MinerExited { account: Address, collateral: U256 },
    /// A file is active.
    FileStored { id: FileId, owner: Address, size: u64, holders: Vec<Address>, manifest: Bytes },
    /// A further owner.
    OwnerAdded { id: FileId, owner: Address },
    /// One owner fewer.
    OwnerRemoved { id: FileId, owner: Address },
    /// The last owner left.
    FileDeleted { id: FileId, size: u64, holders: Vec<Address> },
}

/// The contracts whose logs are events.
pub(super) const EVENT_SOURCES: [Address; 2] = [MINERS, FILES];

impl ChainEvent {
    /// The event a log stands for, or `None` if it is no event of a protocol module.
    pub fn decode(address: Address, topics: &[B256], data: &[u8]) -> Option<Self> {
        match address {
            MINERS => IMiners::IMinersEvents::decode_raw_log(topics, data).ok().map(of_miners),
            FILES => IFiles::IFilesEvents::decode_raw_log(topics, data).ok().map(of_files),
            _ => None,
        }
    }
}

fn of_miners(event: IMiners::IMinersEvents) -> ChainEvent {
    use IMiners::IMinersEvents as E;
    match event {
        E::MinerRegistered(e) => {
            ChainEvent::MinerRegistered { account: e.account, operator: e.operator, capacity: e.capacity, name: e.name }
        }
        E::MinerCapacityChanged(e) => ChainEvent::MinerCapacityChanged { account: e.account, capacity: e.capacity },
        E::MinerExited(e) => ChainEvent::MinerExited { account: e.account, collateral: e.collateral },
    }
}

fn of_files(event: IFiles::IFilesEvents) -> ChainEvent {
    use IFiles::IFilesEvents as E;
    match event {
        E::FileStored(e) => ChainEvent::FileStored {
            id: e.id.into(),
            owner: e.owner,
            size: e.size,
            holders: e.holders,
            manifest: e.manifest,
        },
        E::OwnerAdded(e) => ChainEvent::OwnerAdded { id: e.id.into(), owner: e.owner },
        E::OwnerRemoved(e) => ChainEvent::OwnerRemoved { id: e.id.into(), owner: e.owner },
        E::FileDeleted(e) => ChainEvent::FileDeleted { id: e.id.into(), size: e.size, holders: e.holders },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::abi::STAKING;
    use alloy_primitives::LogData;
    use alloy_sol_types::SolEvent;

    fn round_trip(address: Address, log: LogData, expected: ChainEvent) {
        let event = ChainEvent::decode(address, log.topics(), &log.data).unwrap();
        assert_eq!(event, expected);
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(serde_json::from_value::<ChainEvent>(json).unwrap(), expected);
    }

    #[test]
    fn events_of_miners_decode() {
        let (account, operator) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let name = "attic".to_owned();
        let log = IMiners::MinerRegistered { account, operator, capacity: 7, name: name.clone() }.encode_log_data();
        round_trip(MINERS, log, ChainEvent::MinerRegistered { account, operator, capacity: 7, name });
        let log = IMiners::MinerCapacityChanged { account, capacity: u64::MAX }.encode_log_data();
        round_trip(MINERS, log, ChainEvent::MinerCapacityChanged { account, capacity: u64::MAX });
        let log = IMiners::MinerExited { account, collateral: U256::MAX }.encode_log_data();
        round_trip(MINERS, log, ChainEvent::MinerExited { account, collateral: U256::MAX });
    }

    #[test]
    fn events_of_files_decode() {
        let (id, owner) = (FileId([3; 32]), Address::repeat_byte(4));
        let holders = vec![Address::repeat_byte(5), Address::repeat_byte(6)];
        let manifest = Bytes::from_static(b"manifest");
        let log =
            IFiles::FileStored { id: id.into(), owner, size: 9, holders: holders.clone(), manifest: manifest.clone() };
        let stored = ChainEvent::FileStored { id, owner, size: 9, holders: holders.clone(), manifest };
        round_trip(FILES, log.encode_log_data(), stored);
        let log = IFiles::OwnerAdded { id: id.into(), owner }.encode_log_data();
        round_trip(FILES, log, ChainEvent::OwnerAdded { id, owner });
        let log = IFiles::OwnerRemoved { id: id.into(), owner }.encode_log_data();
        round_trip(FILES, log, ChainEvent::OwnerRemoved { id, owner });
        let log = IFiles::FileDeleted { id: id.into(), size: 1, holders: holders.clone() }.encode_log_data();
        round_trip(FILES, log, ChainEvent::FileDeleted { id, size: 1, holders });
    }

    #[test]
    fn what_is_no_event_decodes_to_none() {
        let log = IMiners::MinerExited { account: Address::ZERO, collateral: U256::ZERO }.encode_log_data();
        for elsewhere in [FILES, STAKING, Address::repeat_byte(9)] {
            assert_eq!(ChainEvent::decode(elsewhere, log.topics(), &log.data), None);
        }
        assert_eq!(ChainEvent::decode(MINERS, &[], &log.data), None);
        assert_eq!(ChainEvent::decode(MINERS, &[B256::repeat_byte(1)], &log.data), None);
        assert_eq!(ChainEvent::decode(MINERS, log.topics(), &log.data[..31]), None);
    }
}
