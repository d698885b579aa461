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
        /// 0 active, 1 exiting, 2 lost: forced out.
        uint8 state;
        /// Columns of files it holds.
        uint64 held;
        /// When it began to leave, 0 while active.
        uint64 leftAt;
        /// Faults in a row.
        uint32 strikes;
        /// Certified segments of idle space, and steps of them, from the first on, that data has taken.
        uint64 segments;
        uint64 consumed;
        /// Bytes of idle space that are left.
        uint64 idle;
        /// Its weight where fragments are placed; 0: it is given none, as it leaves, has too little collateral or no idle space
        /// where that is required.
        uint64 weight;
    }

    /// What a miner had just before a round of audits opened.
    struct Standing {
        uint64 used;
        /// Segments of idle space that were certified, and steps of them, from the first on, that data has taken.
        uint64 segments;
        uint64 consumed;
        /// Bytes of idle space that are left.
        uint64 idle;
    }

    /// A certified segment of idle space, or one whose commitment waits.
    struct Segment {
        uint64 number;
        bytes32 root;
    }

    /// Commitments that one call made.
    struct Batch {
        uint64 number;
        uint64 first;
        uint64 count;
        uint64 height;
        /// 0 waits, 1 certified, 2 refused.
        uint8 state;
    }

    event MinerRegistered(address indexed account, address indexed operator, uint64 capacity, string name);
    event MinerCapacityChanged(address indexed account, uint64 capacity);
    /// No new fragments. What is held is to be repaired and to be kept until then; idle space counts no more.
    event MinerLeaving(address indexed account, uint64 held, uint64 withdrawableFrom);
    /// Forced out after faults: everything it holds is to be repaired.
    event MinerLost(address indexed account, uint64 held);
    /// Who was forced out by a verdict that was wrong is what it was before. What it had of idle space is to be certified anew.
    event MinerReinstated(address indexed account, uint8 state, uint64 held);
    /// Half of a fine is burnt, half is paid to those who repair what the miner holds.
    event MinerFined(address indexed account, uint256 amount, uint256 burnt, uint256 bounty);
    event CollateralAdded(address indexed account, uint256 amount, uint256 collateral);
    /// Encoded commitments of the segments first, first + 1, …
    event IdleCommitted(address indexed account, uint64 indexed batch, uint64 first, bytes[] commitments);
    event IdleDecided(address indexed account, uint64 indexed batch, uint64 first, uint64 count, bool accepted);
    event MinerExited(address indexed account, uint256 collateral);

    /// Registers the caller. The value sent is the collateral: at least the profile's amount for each started TiB.
    /// accountKey must be the ed25519 key whose native address is the caller. The name has 1 to 64 bytes and no control characters.
    function register(address operator, bytes32 networkKey, bytes32 accountKey, uint32 prefix, uint64 capacity, string calldata name) external payable;

    /// Changes the declared capacity; never below what is in use. Send collateral for growth.
    function setCapacity(uint64 capacity) external payable;

    /// Begins to leave: no new fragments; what is held is repaired elsewhere and must be kept until then.
    function exit() external;

    /// Takes the collateral back and ends the registration, once nothing is held any more and the lock is over. What fines left for
    /// repairs that nobody had to do is burnt.
    function withdraw() external;

    /// Adds the value sent to the caller's collateral.
    function addCollateral() external payable;

    /// Commits to the caller's next segments of idle space, at most 16 a call: encoded roots of all layers of each. One batch may wait
    /// at a time; one that waited for two rounds of audits is refused by the next. Numbers are never used again.
    function commitIdle(bytes[] calldata commitments) external returns (uint64 batch);

    /// The beacon of the account's registration: its segments of idle space are labelled with it.
    function idleSeed(address account) external view returns (bytes32);

    /// What a miner had just before a round opened: the current round or the one before.
    function standing(address account, uint64 round) external view returns (Standing memory);

    /// Certified segments from index skip, at most limit (and at most 1,000).
    function segments(address account, uint64 skip, uint64 limit) external view returns (Segment[] memory);

    /// Number of batches, which count from 0, and the next segment's number. Both go on when an account registers anew.
    function idleCounts(address account) external view returns (uint64 batches, uint64 next);

    /// One batch of commitments.
    function idleBatch(address account, uint64 batch) external view returns (Batch memory);

    /// Files the account holds a column of, from index skip, at most limit (and at most 1,000).
    function holdings(address account, uint64 skip, uint64 limit) external view returns (bytes32[] memory);

    /// Miners that leave and still hold something, from index skip, at most limit (and at most 1,000).
    function leaving(uint64 skip, uint64 limit) external view returns (address[] memory);

    /// Collateral for so many bytes.
    function requiredCollateral(uint64 capacity) external view returns (uint256);

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
    error NotActive(address account, uint8 state);
    error NotLeaving(address account);
    error Locked(address account, uint64 until);
    error CommitmentCount(uint256 given, uint256 maximum);
    error CommitmentInvalid(uint64 segment, string reason);
    error IdleExceedsSpace(uint64 idle, uint64 free);
    error BatchWaiting(address account, uint64 batch);
    error UnknownBatch(address account, uint64 batch);
    error RoundUnknown(uint64 round, uint64 oldest, uint64 newest);
}
