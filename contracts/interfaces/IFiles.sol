// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Stored files: what exists, who owns it, who holds it. Lives at 0x…ce550003.
interface IFiles {
    struct File {
        bytes32 id;
        address[] owners;
        uint64 size;
        uint32 segments;
        address[] holders;
        uint64 storedAt;
    }

    /// The file is active. The manifest is in the event, not in state: the id commits to it.
    event FileStored(bytes32 indexed id, address indexed owner, uint64 size, address[] holders, bytes manifest);
    /// A further account owns the file.
    event OwnerAdded(bytes32 indexed id, address indexed owner);
    /// An account gave its ownership up.
    event OwnerRemoved(bytes32 indexed id, address indexed owner);
    /// An owner's file is charged to another of its territories.
    event FileReassigned(bytes32 indexed id, address indexed owner, uint64 territory);
    /// The last owner left: holders drop the fragments.
    event FileDeleted(bytes32 indexed id, uint64 size, address[] holders);

    /// Makes a dispersed file active for the caller. manifest is the canonical encoding; holders[i] keeps fragment i of every
    /// segment and signed receipts[i] (64-byte ed25519) over the file id and i. The holders must be those the placement rule
    /// ranks for the beacon of beaconHeight and the first segment's id, with at most six skipped.
    /// An existing file gains the caller as a further owner; holders and receipts are then ignored.
    /// Each owner's territory is charged with the bytes of all fragments: the one ITerritory.choose names.
    function store(bytes calldata manifest, uint64 beaconHeight, address[] calldata holders, bytes[] calldata receipts) external returns (bytes32 id);

    /// As store, charged to a territory of the caller's.
    function storeIn(uint64 territory, bytes calldata manifest, uint64 beaconHeight, address[] calldata holders, bytes[] calldata receipts) external returns (bytes32 id);

    /// As store and storeIn, for owner: the file is owner's and charged to its territory, or to the one chosen for it if territory is 0.
    /// The caller is owner or an operator of owner's (INames.approve).
    function storeFor(address owner, uint64 territory, bytes calldata manifest, uint64 beaconHeight, address[] calldata holders, bytes[] calldata receipts) external returns (bytes32 id);

    /// Charges a file of the caller's to another territory of the caller's, which must be active.
    function reassign(bytes32 id, uint64 territory) external;

    /// Releases files of lapsed territories, the oldest first, and then the territories. Anybody may call; each era passed, file
    /// released and territory purged is a step. Returns the steps taken, fewer than asked for when nothing is left to do.
    function purge(uint64 steps) external returns (uint64 taken);

    /// Gives the caller's ownership up; the last owner's call deletes the file.
    function remove(bytes32 id) external;

    /// As remove, for owner. The caller is owner or an operator of owner's.
    function removeFor(address owner, bytes32 id) external;

    /// One file. Reverts with UnknownFile.
    function get(bytes32 id) external view returns (File memory);

    /// Number of files an account owns.
    function countOf(address owner) external view returns (uint64);

    /// Files of an account in no particular order, from index skip, at most limit (and at most 1,000).
    function listOf(address owner, uint64 skip, uint64 limit) external view returns (bytes32[] memory);

    /// The territory an owner's file is charged to, and with how many bytes. Reverts with UnknownFile or NotOwner.
    function chargeOf(bytes32 id, address owner) external view returns (uint64 territory, uint64 amount);

    /// Files charged to a territory in no particular order, from index skip, at most limit (and at most 1,000).
    function listIn(uint64 territory, uint64 skip, uint64 limit) external view returns (bytes32[] memory);

    /// Number of active files and the bytes they hold.
    function totals() external view returns (uint64 files, uint256 bytes_);

    error UnknownFile(bytes32 id);
    error NotOwner(bytes32 id, address account);
    error AlreadyOwner(bytes32 id, address account);
    error ManifestInvalid(string reason);
    error HolderCount(uint256 given, uint256 required);
    error HolderNotPlaced(uint256 index, address holder);
    error ReceiptInvalid(uint256 index, address holder);
    error HolderFull(address holder, uint64 free, uint64 needed);
    error BeaconTooOld(uint64 height, uint64 oldest, uint64 newest);
}
