// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Storage miners: who lends how much space under whose responsibility. Lives at 0x…ce550002.
interface IMiners {
    struct Miner {
        address account;
        address operator;
        bytes32 networkKey;
        bytes32 accountKey;
        uint32 prefix;
        uint64 capacity;
        uint64 used;
        uint64 since;
        uint256 collateral;
        string name;
    }

    event MinerRegistered(address indexed account, address indexed operator, uint64 capacity, string name);
    event MinerCapacityChanged(address indexed account, uint64 capacity);
    event MinerExited(address indexed account, uint256 collateral);

    /// Registers the caller. The value sent is the collateral: at least the profile's amount for each started TiB.
    /// accountKey must be the ed25519 key whose native address is the caller. The name has 1 to 64 bytes and no control characters.
    function register(address operator, bytes32 networkKey, bytes32 accountKey, uint32 prefix, uint64 capacity, string calldata name) external payable;

    /// Changes the declared capacity; never below what is in use. Send collateral for growth.
    function setCapacity(uint64 capacity) external payable;

    /// Leaves and takes the collateral back. Refused while fragments are held.
    function exit() external;

    /// Number of registered miners.
    function count() external view returns (uint64);

    /// Registered miners from index skip, at most limit (and at most 1,000). In order of registration, save that the last one
    /// takes the place of one that exits.
    function list(uint64 skip, uint64 limit) external view returns (Miner[] memory);

    /// One miner. Reverts with UnknownMiner.
    function get(address account) external view returns (Miner memory);

    error UnknownMiner(address account);
    error AlreadyRegistered(address account);
    error KeyMismatch(address account, bytes32 accountKey);
    error CollateralTooLow(uint256 sent, uint256 required);
    error CapacityTooLow(uint64 capacity, uint64 minimum);
    error NameInvalid(uint256 length, uint256 maximum);
    error StillHolding(address account, uint64 used);
}
