//! Protocol events: the modules' Solidity events as one typed enum.
//!
//! Must not know where logs come from. Invariant: a log that is not a known event of a protocol module decodes to `None`,
//! never to a wrong event.

use crate::ledger::abi::{
    AUDITS, FILES, IAudits, IFiles, IMiners, INames, IRepair, IRewards, ITee, ITerritory, MINERS, NAMES, REPAIR,
    REWARDS, TEE, TERRITORY,
};
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
    /// A miner began to leave.
    MinerLeaving { account: Address, held: u64, withdrawable_from: Height },
    /// A miner was forced out: what it holds is to be repaired.
    MinerLost { account: Address, held: u64 },
    /// A miner that was forced out wrongly is back.
    MinerReinstated { account: Address, state: u8, held: u64 },
    /// A miner paid for faults.
    MinerFined { account: Address, amount: U256, burnt: U256, bounty: U256 },
    /// A miner added to its collateral.
    CollateralAdded { account: Address, amount: U256, collateral: U256 },
    /// A miner committed to segments of idle space.
    IdleCommitted { account: Address, batch: u64, first: u64, commitments: Vec<Bytes> },
    /// Commitments to idle space were verified.
    IdleDecided { account: Address, batch: u64, first: u64, count: u64, accepted: bool },
    /// A miner answered a round.
    Answered { miner: Address, round: u64, spot: B256, idle: B256 },
    /// A miner proved its tagged data in a round.
    Proven { miner: Address, round: u64, epochs: Vec<u64>, proofs: Vec<Bytes> },
    /// A committee decided about a miner.
    AuditDecided { miner: Address, round: u64, verdict: u8, strikes: u32, fined: U256 },
    /// Somebody says that a verdict is wrong.
    AppealOpened { appeal: u64, miner: Address, round: u64, appellant: Address, claimed: u8 },
    /// The validators ruled about an appeal.
    AppealDecided { appeal: u64, miner: Address, round: u64, verdict: u8, upheld: bool },
    /// A member of a committee paid for a wrong verdict.
    VerifierFined { verifier: Address, appeal: u64, amount: U256 },
    /// The chain itself has verified a part of a miner's round.
    AuditRefuted { miner: Address, round: u64, by: Address, part: u8, outcome: u8, verdict: u8 },
    /// A TEE worker joined.
    WorkerRegistered { account: Address, id: String, name: String, kind: u8, attested_until: Height },
    /// A TEE worker renewed its attestation.
    WorkerAttested { account: Address, attested_until: Height },
    /// A TEE worker left.
    WorkerLeft { account: Address, bond: U256 },
    /// A TEE worker that left got its bond back.
    BondReturned { account: Address, bond: U256 },
    /// A TEE worker paid for a wrong verdict.
    WorkerFined { account: Address, amount: U256 },
    /// An enclave is trusted from now on.
    MeasurementAllowed { measurement: B256, svn: u16 },
    /// An enclave is trusted no more.
    MeasurementRevoked { measurement: B256 },
    /// DCAP collateral is on the chain.
    CollateralPublished { digest: B256, bytes: u64 },
    /// A key epoch of the tagger group began.
    EpochOpened { epoch: u64, opener: Address, key: Bytes, srs: Bytes },
    /// A key epoch takes no new tags.
    EpochClosed { epoch: u64 },
    /// Tags of a key epoch count no more.
    EpochSuspended { epoch: u64 },
    /// A TEE worker gave a sealed key to another.
    KeyHandedOver { epoch: u64, from: Address, to: Address, seal_key: B256, sealed: Bytes },
    /// Columns of a file have tags.
    FileTagged { file: FileId, epoch: u64, worker: Address, columns: u16 },
    /// A holder gave a column up.
    ColumnSurrendered { file: FileId, column: u8, holder: Address },
    /// A miner will repair a column.
    RepairClaimed { file: FileId, column: u8, claimer: Address, until: Height },
    /// The deposit of a claim was paid back, or burnt because the claim lapsed.
    ClaimSettled { file: FileId, column: u8, claimer: Address, deposit: U256, burnt: bool },
    /// A column has a new holder.
    RepairCompleted { file: FileId, column: u8, to: Address, from: Address, bounty: U256 },
    /// A miner was paid.
    RewardClaimed { miner: Address, to: Address, amount: U256, next_era: u64 },
    /// A name has a value.
    NameSet { namespace: B256, owner: Address, name: Bytes, version: u64, value: Bytes },
    /// A name is gone.
    NameRemoved { namespace: B256, owner: Address, name: Bytes, version: u64 },
    /// An account says who may act for it.
    OperatorApproved { owner: Address, operator: Address, approved: bool },
}

/// The contracts whose logs are events.
pub(super) const EVENT_SOURCES: [Address; 8] = [MINERS, FILES, TERRITORY, AUDITS, TEE, REPAIR, REWARDS, NAMES];

impl ChainEvent {
    /// The event a log stands for, or `None` if it is no event of a protocol module.
    pub fn decode(address: Address, topics: &[B256], data: &[u8]) -> Option<Self> {
        match address {
            MINERS => IMiners::IMinersEvents::decode_raw_log(topics, data).ok().map(of_miners),
            FILES => IFiles::IFilesEvents::decode_raw_log(topics, data).ok().map(of_files),
            TERRITORY => ITerritory::ITerritoryEvents::decode_raw_log(topics, data).ok().map(of_territory),
            AUDITS => IAudits::IAuditsEvents::decode_raw_log(topics, data).ok().map(of_audits),
            TEE => ITee::ITeeEvents::decode_raw_log(topics, data).ok().map(of_tee),
            REPAIR => IRepair::IRepairEvents::decode_raw_log(topics, data).ok().map(of_repair),
            REWARDS => IRewards::IRewardsEvents::decode_raw_log(topics, data).ok().map(of_rewards),
            NAMES => INames::INamesEvents::decode_raw_log(topics, data).ok().map(of_names),
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
        E::MinerLeaving(e) => {
            ChainEvent::MinerLeaving { account: e.account, held: e.held, withdrawable_from: e.withdrawableFrom }
        }
        E::MinerLost(e) => ChainEvent::MinerLost { account: e.account, held: e.held },
        E::MinerReinstated(e) => ChainEvent::MinerReinstated { account: e.account, state: e.state, held: e.held },
        E::MinerFined(e) => {
            ChainEvent::MinerFined { account: e.account, amount: e.amount, burnt: e.burnt, bounty: e.bounty }
        }
        E::CollateralAdded(e) => {
            ChainEvent::CollateralAdded { account: e.account, amount: e.amount, collateral: e.collateral }
        }
        E::IdleCommitted(e) => {
            ChainEvent::IdleCommitted { account: e.account, batch: e.batch, first: e.first, commitments: e.commitments }
        }
        E::IdleDecided(e) => ChainEvent::IdleDecided {
            account: e.account,
            batch: e.batch,
            first: e.first,
            count: e.count,
            accepted: e.accepted,
        },
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

fn of_audits(event: IAudits::IAuditsEvents) -> ChainEvent {
    use ChainEvent as C;
    use IAudits::IAuditsEvents as E;
    match event {
        E::Answered(e) => C::Answered { miner: e.miner, round: e.round, spot: e.spot, idle: e.idle },
        E::Proven(e) => C::Proven { miner: e.miner, round: e.round, epochs: e.epochs, proofs: e.proofs },
        E::AuditDecided(e) => {
            C::AuditDecided { miner: e.miner, round: e.round, verdict: e.verdict, strikes: e.strikes, fined: e.fined }
        }
        E::AppealOpened(e) => C::AppealOpened {
            appeal: e.appeal,
            miner: e.miner,
            round: e.round,
            appellant: e.appellant,
            claimed: e.claimed,
        },
        E::AppealDecided(e) => {
            C::AppealDecided { appeal: e.appeal, miner: e.miner, round: e.round, verdict: e.verdict, upheld: e.upheld }
        }
        E::AuditRefuted(e) => C::AuditRefuted {
            miner: e.miner,
            round: e.round,
            by: e.by,
            part: e.part,
            outcome: e.outcome,
            verdict: e.verdict,
        },
        E::VerifierFined(e) => C::VerifierFined { verifier: e.verifier, appeal: e.appeal, amount: e.amount },
    }
}

fn of_tee(event: ITee::ITeeEvents) -> ChainEvent {
    use ChainEvent as C;
    use ITee::ITeeEvents as E;
    match event {
        E::WorkerRegistered(e) => C::WorkerRegistered {
            account: e.account,
            id: e.id,
            name: e.name,
            kind: e.kind,
            attested_until: e.attestedUntil,
        },
        E::WorkerAttested(e) => C::WorkerAttested { account: e.account, attested_until: e.attestedUntil },
        E::WorkerLeft(e) => C::WorkerLeft { account: e.account, bond: e.bond },
        E::BondReturned(e) => C::BondReturned { account: e.account, bond: e.bond },
        E::WorkerFined(e) => C::WorkerFined { account: e.account, amount: e.amount },
        E::MeasurementAllowed(e) => C::MeasurementAllowed { measurement: e.measurement, svn: e.svn },
        E::MeasurementRevoked(e) => C::MeasurementRevoked { measurement: e.measurement },
        E::CollateralPublished(e) => C::CollateralPublished { digest: e.digest, bytes: e.bytes_ },
        E::EpochOpened(e) => C::EpochOpened { epoch: e.epoch, opener: e.opener, key: e.key, srs: e.srs },
        E::EpochClosed(e) => C::EpochClosed { epoch: e.epoch },
        E::EpochSuspended(e) => C::EpochSuspended { epoch: e.epoch },
        E::KeyHandedOver(e) => {
            C::KeyHandedOver { epoch: e.epoch, from: e.from, to: e.to, seal_key: e.sealKey, sealed: e.sealed_ }
        }
        E::FileTagged(e) => C::FileTagged { file: e.file.into(), epoch: e.epoch, worker: e.worker, columns: e.columns },
    }
}

fn of_repair(event: IRepair::IRepairEvents) -> ChainEvent {
    use ChainEvent as C;
    use IRepair::IRepairEvents as E;
    match event {
        E::ColumnSurrendered(e) => C::ColumnSurrendered { file: e.file.into(), column: e.column, holder: e.holder },
        E::RepairClaimed(e) => {
            C::RepairClaimed { file: e.file.into(), column: e.column, claimer: e.claimer, until: e.until }
        }
        E::ClaimSettled(e) => C::ClaimSettled {
            file: e.file.into(),
            column: e.column,
            claimer: e.claimer,
            deposit: e.deposit,
            burnt: e.burnt,
        },
        E::RepairCompleted(e) => {
            C::RepairCompleted { file: e.file.into(), column: e.column, to: e.to, from: e.from, bounty: e.bounty }
        }
    }
}

fn of_rewards(event: IRewards::IRewardsEvents) -> ChainEvent {
    use ChainEvent as C;
    use IRewards::IRewardsEvents as E;
    match event {
        E::RewardClaimed(e) => C::RewardClaimed { miner: e.miner, to: e.to, amount: e.amount, next_era: e.nextEra },
    }
}

fn of_names(event: INames::INamesEvents) -> ChainEvent {
    use ChainEvent as C;
    use INames::INamesEvents as E;
    match event {
        E::NameSet(e) => {
            C::NameSet { namespace: e.namespace, owner: e.owner, name: e.name, version: e.version, value: e.value }
        }
        E::NameRemoved(e) => {
            C::NameRemoved { namespace: e.namespace, owner: e.owner, name: e.name, version: e.version }
        }
        E::OperatorApproved(e) => C::OperatorApproved { owner: e.owner, operator: e.operator, approved: e.approved },
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
    fn events_of_names_decode() {
        let (namespace, key, owner) = (B256::repeat_byte(1), B256::repeat_byte(2), Address::repeat_byte(3));
        let (name, value) = (Bytes::from_static(b"owner"), Bytes::from_static(b"gateway 1"));
        let log = INames::NameSet { namespace, key, owner, name: name.clone(), version: 7, value: value.clone() };
        let set = ChainEvent::NameSet { namespace, owner, name: name.clone(), version: 7, value };
        round_trip(NAMES, log.encode_log_data(), set);
        let log = INames::NameRemoved { namespace, key, owner, name: name.clone(), version: 7 }.encode_log_data();
        round_trip(NAMES, log, ChainEvent::NameRemoved { namespace, owner, name, version: 7 });
        let operator = Address::repeat_byte(4);
        let log = INames::OperatorApproved { owner, operator, approved: true }.encode_log_data();
        round_trip(NAMES, log, ChainEvent::OperatorApproved { owner, operator, approved: true });
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
