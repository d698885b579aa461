// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {IEd25519} from "cess/IEd25519.sol";

/// Counts what enough of some keys have signed.
contract Signatures {
    IEd25519 constant ED25519 = IEd25519(0x00000000000000000000000000000000Ce550010);
    uint256 public accepted;

    error Refused();

    function accept(bytes32[] calldata keys, bytes calldata signatures, bytes[] calldata messages) external {
        if (!ED25519.verifyBatch(keys, signatures, messages)) revert Refused();
        accepted += keys.length;
    }
}
