// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Repair of columns whose holder leaves, is lost or gave them up. Lives at 0x…ce550007.
/// An order needs no call: a column is open for repair as soon as its holder is exiting or lost, or surrendered it.
interface IRepair {
    struct Order {
        bytes32 file;
        uint8 column;
        address holder;
        /// Who has claimed it, and the last block of the claim; zero if nobody.
        address claimer;
        uint64 claimedAt;
        uint64 until;
        uint64 bytes_;
        /// Paid to who completes it.
        uint256 bounty;
    }

    event ColumnSurrendered(bytes32 indexed file, uint8 indexed column, address indexed holder);
    event RepairClaimed(bytes32 indexed file, uint8 indexed column, address indexed claimer, uint64 until);
    /// The deposit of a claim: paid back to who completed it or could not, or burnt because the claim lapsed.
    event ClaimSettled(bytes32 indexed file, uint8 indexed column, address indexed claimer, uint256 deposit, bool burnt);
    event RepairCompleted(bytes32 indexed file, uint8 indexed column, address indexed to, address from, uint256 bounty);

    /// The caller cannot keep its column of a file any more. It stays its duty until somebody has taken it over. Does nothing if it is
    /// open already.
    function surrender(bytes32 file) external;

    /// Reserves an open order for the caller: an active miner with room that holds no column of the file, within the caps of its operator
    /// and network prefix. A claim ends after claimBlocks, and anybody may claim anew; who let it lapse waits as long again, unless
    /// somebody else has claimed meanwhile. The value sent is the deposit, claimDeposit or more: it comes back with the completion, or when the order
    /// is gone, and is burnt when the claim lapses.
    function claim(bytes32 file, uint8 column) external payable returns (uint64 until);

    /// Pays the deposit of a claim back whose order is not open any more, or burns that of one that lapsed. Anybody may call.
    function settle(bytes32 file, uint8 column) external;

    /// Takes the column over: spots opens chunks of it that the beacon of the block after the claim has drawn, from the second block
    /// after the claim to the claim's last. The bounty is the column's share of the former holder's fines, by bytes.
    function complete(bytes calldata manifest, uint8 column, bytes calldata spots) external returns (uint256 bounty);

    /// One order. Reverts with NotOpen.
    function order(bytes32 file, uint8 column) external view returns (Order memory);

    /// Open orders from index skip, at most limit (and at most 1,000): of the miners that leave, then those surrendered. A column that
    /// was surrendered before its holder left is listed twice.
    function orders(uint64 skip, uint64 limit) external view returns (Order[] memory);

    function claimBlocks() external view returns (uint64);

    /// What claiming a column costs now: doubled for each claim of it in a row that has lapsed, up to 64 times.
    function claimDeposit(bytes32 file, uint8 column) external view returns (uint256);

    error NotOpen(bytes32 file, uint8 column);
    error AlreadyClaimed(bytes32 file, uint8 column, address claimer, uint64 until);
    error ClaimLapsed(bytes32 file, uint8 column, address claimer, uint64 until);
    error ClaimBinds(bytes32 file, uint8 column, uint64 until);
    error NothingClaimed(bytes32 file, uint8 column);
    error DepositTooLow(uint256 sent, uint256 required);
    error NotClaimer(bytes32 file, uint8 column, address account);
    error NotEligible(bytes32 file, address account, string reason);
    error NotHolder(bytes32 file, address account);
    error TooEarly(uint64 height, uint64 from);
    error SpotsInvalid(bytes32 file, uint8 column, string reason);
    error ManifestInvalid(string reason);
}
