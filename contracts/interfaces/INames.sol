// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Names: small values that accounts keep under names, and change only if nobody else has meanwhile. Lives at 0x…ce550009.
/// A namespace is 0 or keccak256(abi.encodePacked(owner, label)). Namespace 0, that of the empty label, is global: a name in it belongs
/// to the account it was first set for. Any other is its owner's alone and needs no call that opens it.
/// Here is also who may act for an account: its operators write its names, and store and remove its files (IFiles).
interface INames {
    struct Name {
        bytes name;
        address owner;
        /// 0 if there is no such name.
        uint64 version;
        bytes value;
    }

    /// A name has a value. key is keccak256(name).
    event NameSet(bytes32 indexed namespace, bytes32 indexed key, address indexed owner, bytes name, uint64 version, bytes value);
    /// A name is gone; version is the one it had.
    event NameRemoved(bytes32 indexed namespace, bytes32 indexed key, address indexed owner, bytes name, uint64 version);
    event OperatorApproved(address indexed owner, address indexed operator, bool approved);

    /// Sets a name of owner's in the namespace of label, if its version is expectedVersion; 0: if there is no such name. The caller
    /// is owner or an operator of owner's. Labels have 0 to 256 bytes, names 1 to 256, values 0 to 256.
    /// Returns the name's version: never one that a name of the namespace has had before.
    function set(address owner, bytes calldata label, bytes calldata name, uint64 expectedVersion, bytes calldata value) external returns (uint64 version);

    /// Removes a name if its version is expectedVersion, which is not 0.
    function remove(address owner, bytes calldata label, bytes calldata name, uint64 expectedVersion) external;

    /// Says whether operator may act for the caller from now on.
    function approve(address operator, bool approved) external;

    /// One name. Its version is 0 if there is none.
    function get(bytes32 namespace, bytes calldata name) external view returns (Name memory);

    /// Whose a name is; zero if there is none.
    function ownerOf(bytes32 namespace, bytes calldata name) external view returns (address);

    /// Names of a namespace, and the number of changes it has seen: listings between which it stays the same belong together.
    function count(bytes32 namespace) external view returns (uint64 names, uint64 changes);

    /// Names of a namespace in no particular order, from index skip, at most limit (and at most 1,000). A removal moves the last one into
    /// the gap and nothing else moves.
    function list(bytes32 namespace, uint64 skip, uint64 limit) external view returns (Name[] memory);

    function isOperator(address owner, address operator) external view returns (bool);

    error VersionMismatch(bytes32 namespace, bytes name, uint64 expected, uint64 present);
    error NotNameOwner(bytes32 namespace, bytes name, address owner);
    /// The caller may not act for owner. Comes out of calls to IFiles, too.
    error NotOperator(address owner, address caller);
    error NameLength(uint256 length, uint256 maximum);
    error LabelLength(uint256 length, uint256 maximum);
    error ValueLength(uint256 length, uint256 maximum);
    error NamespaceFull(bytes32 namespace, uint64 maximum);
}
