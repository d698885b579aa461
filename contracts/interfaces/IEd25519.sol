// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// ed25519 signatures, which native accounts and storage receipts use. Lives at 0x…ce550010.
/// The rules are those of ZIP-215: encodings of points need not be canonical, the scalar must be, and the equation is the one
/// with the cofactor. A batch is valid exactly if each of its signatures is.
interface IEd25519 {
    /// Whether each signatures[i] (64 bytes, packed one after the other) is keys[i]'s over messages[i].
    /// A batch of none is valid. Costs 4,000 gas, and 2,000 for each signature and 12 for each started 32 bytes of a message.
    function verifyBatch(bytes32[] calldata keys, bytes calldata signatures, bytes[] calldata messages) external view returns (bool);

    /// Whether the signature is the key's over the message. Costs 4,000 gas and 12 for each started 32 bytes of the message.
    function verify(bytes32 key, bytes calldata signature, bytes calldata message) external view returns (bool);

    error CountMismatch(uint256 keys, uint256 signatureBytes, uint256 messages);
}
