// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// TEE workers: who may tag and verify, by which attestation, with which keys. Lives at 0x…ce550006.
///
/// An attestation is one zero byte where the chain takes workers without one, or 0x01, the height of a recent block (8 bytes, big-endian), the
/// digest of published collateral (32 bytes) and a DCAP quote whose report data is reportData(…) of that height, followed by 32 zero bytes.
interface ITee {
    struct Worker {
        address account;
        /// DEV-, SGX- or TDX- and 16 hexadecimal digits.
        string id;
        string name;
        /// 0 Full, 1 Verifier, 2 Marker.
        uint8 kind;
        /// 0 none (DEV-), 1 SGX, 2 TDX.
        uint8 attestation;
        /// SGX mrenclave, or BLAKE3 of the TDX measurements.
        bytes32 measurement;
        bytes32 networkKey;
        /// X25519 key that group keys are sealed to.
        bytes32 sealKey;
        uint64 since;
        /// First block in which its attestation counts no more.
        uint64 attestedUntil;
        uint256 bond;
        /// 0 active, 1 expired, 2 leaving, 3 revoked.
        uint8 state;
        /// First block in which a leaving worker gets its bond back.
        uint64 bondUntil;
    }

    /// A key of the tagger group for a while.
    struct Epoch {
        uint64 number;
        address opener;
        uint64 openedAt;
        /// 0 open, 1 closed: no new tags, old ones count, 2 suspended: its tags count no more.
        uint8 state;
        /// v and w of PoDR², 192 bytes.
        bytes key;
        /// BLAKE3 of the powers, which the event carries.
        bytes32 srs;
        /// Columns whose tags are of this epoch.
        uint64 columns;
        /// Block in which it was last of use: it was opened, its key went to somebody, or columns got tags of it.
        uint64 usedAt;
    }

    event WorkerRegistered(address indexed account, string id, string name, uint8 kind, uint64 attestedUntil);
    event WorkerAttested(address indexed account, uint64 attestedUntil);
    /// It counts no more. bond is what it gets back when the lock is over, less fines until then.
    event WorkerLeft(address indexed account, uint256 bond);
    event BondReturned(address indexed account, uint256 bond);
    event WorkerFined(address indexed account, uint256 amount);
    event MeasurementAllowed(bytes32 indexed measurement, uint16 svn);
    event MeasurementRevoked(bytes32 indexed measurement);
    event CollateralPublished(bytes32 indexed digest, uint64 bytes_);
    event EpochOpened(uint64 indexed epoch, address indexed opener, bytes key, bytes srs);
    event EpochClosed(uint64 indexed epoch);
    event EpochSuspended(uint64 indexed epoch);
    /// sealKey is the receiver's key that it is sealed to.
    event KeyHandedOver(uint64 indexed epoch, address indexed from, address indexed to, bytes32 sealKey, bytes sealed_);
    /// Columns of a file whose bits are set have tags of this epoch, and their holders signed that they are good. Takes the place of what
    /// earlier epochs said of these columns.
    event FileTagged(bytes32 indexed file, uint64 indexed epoch, address indexed worker, uint16 columns);

    /// Registers the caller with the value sent as bond. A group has 64 workers; in a full one the place of an expired worker is taken.
    function register(uint8 kind, bytes32 networkKey, bytes32 sealKey, string calldata name, bytes calldata attestation) external payable;

    /// Renews the caller's attestation, with the same or a new key that group keys are sealed to. What was taken of the bond has to be sent.
    function attest(bytes32 sealKey, bytes calldata attestation) external payable;

    /// Leaves at once; withdraw() gives the bond back when the lock is over.
    function leave() external;

    /// Pays the bond of a worker that left.
    function withdraw() external;

    /// Publishes DCAP collateral that attestations name by its digest: JSON as verification libraries exchange it.
    function publishCollateral(bytes calldata collateral) external returns (bytes32 digest);

    /// A seat of the validators' committee wants a measurement on the list; counts when more than two thirds of the era's seats agree. svn is
    /// the least security version for the rule of a signer and 0 for others.
    function allow(bytes32 measurement, uint16 svn) external;

    /// A seat of the validators' committee wants a measurement off the list; counts when more than two thirds of the era's seats agree.
    function revoke(bytes32 measurement) external;

    /// Opens a key epoch and closes the one before, once nextEpoch() allows it. Only active Full and Marker workers.
    function openEpoch(bytes calldata key, bytes calldata srs) external returns (uint64 number);

    /// Gives the key of an epoch, sealed to the worker's present seal key, to an active Full or Marker worker, which may be the caller. Only
    /// workers that have the key: the opener, and who was handed it under its present seal key.
    function handOver(uint64 epoch, address worker, bytes32 sealKey, bytes calldata sealed_) external;

    /// Says that columns of files are tagged with the key of the open epoch. receipts holds, for each file, the 64-byte ed25519 signatures of
    /// the holders of its set bits, lowest first, over tag_message(chain, file, column, holder, digest of the epoch's key). At most 64 files a
    /// call.
    function certify(uint64 epoch, bytes32[] calldata files, uint16[] calldata columns, bytes[] calldata receipts) external;

    /// Workers that have not left, in the order of their registration.
    function count() external view returns (uint64);
    function list(uint64 skip, uint64 limit) external view returns (Worker[] memory);
    function get(address account) external view returns (Worker memory);
    /// Number of epochs ever opened; the newest is epochs() - 1.
    function epochs() external view returns (uint64);
    function epoch(uint64 number) external view returns (Epoch memory);
    /// Active workers that have the key of an epoch, in the order of their registration.
    function holders(uint64 number) external view returns (address[] memory);
    /// Number of the next epoch, and the blocks from which on it may take the place of the open one: due, when that one is old, and lost, when
    /// nothing is done under it until then. lost is 0 if no active worker has its key; both are 0 if no epoch is open.
    function nextEpoch() external view returns (uint64 number, uint64 due, uint64 lost);
    /// For each column of a file the epoch of its tags plus one; 0 if it has none, or those of a suspended epoch.
    function tagsOf(bytes32 file) external view returns (uint64[12] memory epochs_);
    /// Collateral by its digest; empty if it was not published.
    function collateral(bytes32 digest) external view returns (bytes memory);
    /// What the list says of a measurement, or of the rule of a signer: 0 nothing, 1 allowed from this security version on, 2 revoked.
    function measurement(bytes32 digest) external view returns (uint8 state, uint16 svn);
    /// The first half of an attestation's report data: BLAKE3 over chain, genesis, the account, its keys and the beacon of height.
    function reportData(address account, bytes32 networkKey, bytes32 sealKey, uint64 height) external view returns (bytes32);

    error UnknownWorker(address account);
    error AlreadyRegistered(address account);
    error GroupFull(uint64 maximum);
    error KindInvalid(uint8 kind);
    error NameInvalid(uint256 length, uint256 maximum);
    error BondTooLow(uint256 sent, uint256 required);
    error AttestationRefused(string reason);
    error NotActive(address account, uint8 state);
    error NotTagger(address account);
    error NotSeated(address account);
    error AlreadyVoted(address account, bytes32 measurement);
    error CollateralInvalid(string reason);
    error UnknownCollateral(bytes32 digest);
    error UnknownEpoch(uint64 number);
    error EpochNotOpen(uint64 number, uint8 state);
    /// Another epoch may be opened from block from on.
    error EpochStillOpen(uint64 number, uint64 from);
    error NotKeyHolder(address account, uint64 number);
    error SealKeyChanged(address worker, bytes32 given, bytes32 present);
    error KeyInvalid(string reason);
    error SealedLength(uint256 given, uint256 maximum);
    error CountMismatch(uint256 left, uint256 right);
    error TooMany(uint256 given, uint256 maximum);
    error ColumnsInvalid(bytes32 file, uint16 columns);
    error ReceiptInvalid(bytes32 file, uint8 column, address holder);
    error Locked(address account, uint64 until);
}
