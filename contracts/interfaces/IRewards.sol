// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Pay of storage miners: emission and rent by power. Lives at 0x…ce550008.
/// A miner's power in an era is the sum over the era's audit rounds it passed of 5 % of its idle and 95 % of its service bytes. An era is settled when
/// the next one has ended: until then appeals may still change it.
interface IRewards {
    struct Era {
        uint64 number;
        /// Sums of bytes over passed rounds of all miners.
        uint256 idle;
        uint256 service;
        /// What there is to share by power, and by service bytes. Before it is settled: what would be.
        uint256 emission;
        uint256 rent;
        bool settled;
    }

    /// Why a miner gets what it gets for an era.
    struct Share {
        uint64 era;
        uint256 idle;
        uint256 service;
        uint64 rounds;
        /// In bytes, rounded down; shares are exact.
        uint256 power;
        uint256 totalPower;
        uint256 fromEmission;
        uint256 fromRent;
        bool settled;
        bool claimed;
    }

    struct Account {
        /// First era not settled for the account yet.
        uint64 nextEra;
        /// What a claim would pay now, what is locked in parts, what was paid.
        uint256 claimable;
        uint256 locked;
        uint256 paid;
        /// Released with each part from now on, and the first block that may release one; 0 if nothing is locked.
        uint256 part;
        uint64 nextPartAt;
    }

    event RewardClaimed(address indexed miner, address indexed to, uint256 amount, uint64 nextEra);

    /// Pays a miner's operator what is due, going through at most eras eras, of at most 512. Anybody may call.
    function claim(address miner, uint64 eras) external returns (uint256 amount);

    function era(uint64 number) external view returns (Era memory);
    function share(address miner, uint64 era) external view returns (Share memory);
    function account(address miner) external view returns (Account memory);
    /// Rent kept for caches, rent that waits for an era with service, everything minted by this module and burnt of rent: both are part
    /// of IStaking.supply.
    function pools() external view returns (uint256 caches, uint256 waiting, uint256 minted, uint256 burnt);

    error NothingDue(address miner, uint64 nextEra);
    error EraUnknown(uint64 era);
    error TooMany(uint64 given, uint64 maximum);
}
