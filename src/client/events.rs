//! Protocol events: the modules' Solidity events as one typed enum.
//!
//! Must not know where logs come from. Invariant: a log that is not a known event of a protocol module decodes to `None`,
//! never to a wrong event.

use crate::ledger::abi::{FILES, IFiles, IMiners, ITerritory, MINERS, TERRITORY};
use crate::types::{Address, B256, FileId, Height, U256};
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
    /// An owner's file is charged to another of its territories.
    FileReassigned { id: FileId, owner: Address, territory: u64 },
    /// The last owner left.
    FileDeleted { id: FileId, size: u64, holders: Vec<Address> },
    /// Space was leased.
    TerritoryMinted { token: u64, owner: Address, name: String, size: u64, deadline: Height, price: U256 },
    /// A territory grew.
    TerritoryExpanded { token: u64, size: u64, price: U256 },
    /// An active territory lasts longer.
    TerritoryRenewed { token: u64, deadline: Height, price: U256 },
    /// A frozen territory is active again.
    TerritoryReactivated { token: u64, deadline: Height, price: U256 },
    /// A territory has another name.
    TerritoryRenamed { token: u64, name: String },
    /// A territory was given away.
    TerritoryGranted { token: u64, from: Address, to: Address },
    /// A territory is on offer.
    TerritoryConsigned { token: u64, asked: U256 },
    /// An offer was taken back.
    ConsignmentCancelled { token: u64 },
    /// An offered territory was bought.
    ConsignmentBought { token: u64, seller: Address, buyer: Address, name: String, price: U256 },
    /// Somebody may pay a territory for another.
    OrderPlaced {
        order: u64,
        receiver: Address,
        placer: Address,
        name: String,
        size: u64,
        lease_days: u32,
        expires: Height,
    },
    /// Somebody did.
    OrderPaid { order: u64, token: u64, payer: Address },
    /// A territory was charged for a file.
    SpaceCharged { token: u64, file: FileId, amount: u64, used: u64 },
    /// A charge was given back.
    SpaceFreed { token: u64, file: FileId, amount: u64, used: u64 },
    /// A lapsed territory is gone.
    TerritoryPurged { token: u64, owner: Address, size: u64 },
}

/// The contracts whose logs are events.
pub(super) const EVENT_SOURCES: [Address; 3] = [MINERS, FILES, TERRITORY];

impl ChainEvent {
    /// The event a log stands for, or `None` if it is no event of a protocol module.
    pub fn decode(address: Address, topics: &[B256], data: &[u8]) -> Option<Self> {
        match address {
            MINERS => IMiners::IMinersEvents::decode_raw_log(topics, data).ok().map(of_miners),
            FILES => IFiles::IFilesEvents::decode_raw_log(topics, data).ok().map(of_files),
            TERRITORY => ITerritory::ITerritoryEvents::decode_raw_log(topics, data).ok().map(of_territory),
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
        E::FileReassigned(e) => ChainEvent::FileReassigned { id: e.id.into(), owner: e.owner, territory: e.territory },
        E::FileDeleted(e) => ChainEvent::FileDeleted { id: e.id.into(), size: e.size, holders: e.holders },
    }
}

fn of_territory(event: ITerritory::ITerritoryEvents) -> ChainEvent {
    use ChainEvent as C;
    use ITerritory::ITerritoryEvents as E;
    match event {
        E::TerritoryMinted(e) => C::TerritoryMinted {
            token: e.token,
            owner: e.owner,
            name: e.name,
            size: e.size,
            deadline: e.deadline,
            price: e.price,
        },
        E::TerritoryExpanded(e) => C::TerritoryExpanded { token: e.token, size: e.size, price: e.price },
        E::TerritoryRenewed(e) => C::TerritoryRenewed { token: e.token, deadline: e.deadline, price: e.price },
        E::TerritoryReactivated(e) => C::TerritoryReactivated { token: e.token, deadline: e.deadline, price: e.price },
        E::TerritoryRenamed(e) => C::TerritoryRenamed { token: e.token, name: e.name },
        E::TerritoryGranted(e) => C::TerritoryGranted { token: e.token, from: e.from, to: e.to },
        E::TerritoryConsigned(e) => C::TerritoryConsigned { token: e.token, asked: e.asked },
        E::ConsignmentCancelled(e) => C::ConsignmentCancelled { token: e.token },
        E::ConsignmentBought(e) => {
            C::ConsignmentBought { token: e.token, seller: e.seller, buyer: e.buyer, name: e.name, price: e.price }
        }
        E::OrderPlaced(e) => C::OrderPlaced {
            order: e.order,
            receiver: e.receiver,
            placer: e.placer,
            name: e.name,
            size: e.size,
            lease_days: e.leaseDays,
            expires: e.expires,
        },
        E::OrderPaid(e) => C::OrderPaid { order: e.order, token: e.token, payer: e.payer },
        E::SpaceCharged(e) => C::SpaceCharged { token: e.token, file: e.file.into(), amount: e.amount, used: e.used },
        E::SpaceFreed(e) => C::SpaceFreed { token: e.token, file: e.file.into(), amount: e.amount, used: e.used },
        E::TerritoryPurged(e) => C::TerritoryPurged { token: e.token, owner: e.owner, size: e.size },
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
        let log = IFiles::FileReassigned { id: id.into(), owner, territory: 8 }.encode_log_data();
        round_trip(FILES, log, ChainEvent::FileReassigned { id, owner, territory: 8 });
        let log = IFiles::FileDeleted { id: id.into(), size: 1, holders: holders.clone() }.encode_log_data();
        round_trip(FILES, log, ChainEvent::FileDeleted { id, size: 1, holders });
    }

    #[test]
    fn events_of_leases_decode() {
        let (owner, name, price) = (Address::repeat_byte(4), "attic".to_owned(), U256::MAX);
        let (token, size, deadline) = (1, u64::MAX, 9);
        let log = ITerritory::TerritoryMinted { token, owner, name: name.clone(), size, deadline, price };
        let minted = ChainEvent::TerritoryMinted { token, owner, name, size, deadline, price };
        round_trip(TERRITORY, log.encode_log_data(), minted);
        let log = ITerritory::TerritoryExpanded { token, size, price }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::TerritoryExpanded { token, size, price });
        let log = ITerritory::TerritoryRenewed { token, deadline, price }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::TerritoryRenewed { token, deadline, price });
        let log = ITerritory::TerritoryReactivated { token, deadline, price }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::TerritoryReactivated { token, deadline, price });
        let log = ITerritory::TerritoryPurged { token, owner, size }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::TerritoryPurged { token, owner, size });
        let (file, amount, used) = (FileId([3; 32]), 5, 6);
        let log = ITerritory::SpaceCharged { token, file: file.into(), amount, used }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::SpaceCharged { token, file, amount, used });
        let log = ITerritory::SpaceFreed { token, file: file.into(), amount, used }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::SpaceFreed { token, file, amount, used });
    }

    #[test]
    fn events_of_deeds_and_orders_decode() {
        let (token, name, price) = (1, || "attic".to_owned(), U256::from(7));
        let (from, to) = (Address::repeat_byte(4), Address::repeat_byte(5));
        let log = ITerritory::TerritoryRenamed { token, name: name() }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::TerritoryRenamed { token, name: name() });
        let log = ITerritory::TerritoryGranted { token, from, to }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::TerritoryGranted { token, from, to });
        let log = ITerritory::TerritoryConsigned { token, asked: price }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::TerritoryConsigned { token, asked: price });
        let log = ITerritory::ConsignmentCancelled { token }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::ConsignmentCancelled { token });
        let log = ITerritory::ConsignmentBought { token, seller: from, buyer: to, name: name(), price };
        let bought = ChainEvent::ConsignmentBought { token, seller: from, buyer: to, name: name(), price };
        round_trip(TERRITORY, log.encode_log_data(), bought);
        let (order, size, expires) = (2, 3, 4);
        let log =
            ITerritory::OrderPlaced { order, receiver: to, placer: from, name: name(), size, leaseDays: 30, expires };
        let placed =
            ChainEvent::OrderPlaced { order, receiver: to, placer: from, name: name(), size, lease_days: 30, expires };
        round_trip(TERRITORY, log.encode_log_data(), placed);
        let log = ITerritory::OrderPaid { order, token, payer: from }.encode_log_data();
        round_trip(TERRITORY, log, ChainEvent::OrderPaid { order, token, payer: from });
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
