// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Validators, their stake and the random beacon. Lives at 0x…ce550001.
interface IStaking {
    struct Validator {
        address account;
        bytes32 consensusKey;
        bytes32 vrfKey;
        bytes32 networkKey;
        uint256 stake;
        uint64 power;
    }

    /// The committee that decides the current block.
    function committee() external view returns (Validator[] memory);

    /// The beacon of a decided height. Reverts with BeaconUnknown outside the last 8,192 blocks.
    function beacon(uint64 height) external view returns (bytes32);

    error BeaconUnknown(uint64 height, uint64 oldest, uint64 newest);
}
