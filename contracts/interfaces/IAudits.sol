// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Audits of miners: rounds, answers, verdicts, appeals. Lives at 0x…ce550005.
/// Round r opens with block r · roundBlocks; its draws come from that block's beacon and concern what a miner had in the block before.
/// A verdict has three parts of two bits: bits 0–1 spot openings, bits 2–3 tags, bits 4–5 idle space; each is 0 nothing was due,
/// 1 passed, 2 failed, 3 missed.
interface IAudits {
    struct Round {
        uint64 number;
        uint64 openedAt;
        bytes32 beacon;
        /// Last blocks that take answers, proofs and votes; the opening block is the first one that takes answers and proofs.
        uint64 answerUntil;
        uint64 proveUntil;
        uint64 voteUntil;
        /// Whether proofs of tags are due.
        bool tags;
        /// Whether blocks came so slowly that faults do not count.
        bool slow;
    }

    struct Verdict {
        uint8 value;
        uint64 decidedAt;
        /// Votes so far, by members of the committee.
        uint8 votes;
        bool decided;
        bool appealed;
    }

    struct Record {
        /// Newest round answered, proven and decided.
        uint64 answered;
        uint64 proven;
        uint64 decided;
        uint8 verdict;
        uint32 strikes;
        uint64 passed;
        uint64 faults;
        uint256 fined;
    }

    struct Appeal {
        uint64 number;
        address appellant;
        address miner;
        uint64 round;
        uint8 claimed;
        uint8 decided;
        uint256 deposit;
        /// Last block that takes verdicts of seats.
        uint64 until;
        /// 0 open, 1 upheld, 2 dismissed, 3 left undecided.
        uint8 state;
        uint64 votes;
    }

    struct Terms {
        uint64 roundBlocks;
        uint64 tagRounds;
        uint64 answerBlocks;
        uint64 proveBlocks;
        uint64 appealBlocks;
        uint64 committee;
        uint256 deposit;
    }

    /// What a round is about for a miner: bytes of idle space and of files, its certified segments, and the steps of them, from the first
    /// on, that data has taken.
    struct Basis {
        uint64 idle;
        uint64 service;
        uint64 segments;
        uint64 consumed;
    }

    /// An answer, and what its challenge follows from.
    struct Evidence {
        /// 0 spot openings, 2 idle space.
        uint8 part;
        /// The digests the miner committed to.
        bytes32 spot;
        bytes32 idle;
        /// The bytes behind the digest of the part.
        bytes answer;
        /// For spot openings: the manifest of every file the miner held a column of when the round opened, by ascending file id, and
        /// which column. At most 1 MiB together.
        bytes[] manifests;
        uint8[] columns;
    }

    event Answered(address indexed miner, uint64 indexed round, bytes32 spot, bytes32 idle);
    event Proven(address indexed miner, uint64 indexed round, uint64[] epochs, bytes[] proofs);
    event AuditDecided(address indexed miner, uint64 indexed round, uint8 verdict, uint32 strikes, uint256 fined);
    event AppealOpened(uint64 indexed appeal, address indexed miner, uint64 indexed round, address appellant, uint8 claimed);
    event AppealDecided(uint64 indexed appeal, address indexed miner, uint64 indexed round, uint8 verdict, bool upheld);
    /// The appeal is 2^64 - 1 if the chain itself has seen the lie.
    event VerifierFined(address indexed verifier, uint64 indexed appeal, uint256 amount);
    /// The chain itself has verified a part of a miner's round: its outcome, and the verdict if there is one.
    event AuditRefuted(address indexed miner, uint64 indexed round, address indexed by, uint8 part, uint8 outcome, uint8 verdict);

    /// Commits to the caller's answers of the current round: BLAKE3 of the spot openings and of the idle audit proof, which members of the
    /// committee fetch from it. Zero where nothing is due.
    function answer(uint64 round, bytes32 spot, bytes32 idle) external;

    /// Hands in the caller's PoDR² proofs of the current round, 128 bytes for each key epoch, at most 64 in ascending order.
    function prove(uint64 round, uint64[] calldata epochs, bytes[] calldata proofs) external;

    /// The caller's verdicts about miners whose committee of the round it belongs to, at most 256. Miners that are decided already, or of whom
    /// nothing was due, are passed over.
    function vote(uint64 round, address[] calldata miners, uint8[] calldata verdicts) external;

    /// The caller's verdicts about commitments to idle space.
    function voteIdle(address[] calldata miners, uint64[] calldata batches, bool[] calldata accepted) external;

    /// Says that a decided verdict is wrong, at most appealBlocks after it was decided. The value sent is the deposit; it comes back with a share of the fines if the seats of the
    /// era's committee of validators agree, and is burnt if they do not.
    function appeal(address miner, uint64 round, uint8 verdict) external payable returns (uint64 number);

    /// A seat's verdict about an appeal.
    function rule(uint64 number, uint8 verdict) external;

    /// Gives the deposit of an appeal back that the seats left undecided. Anybody may call.
    function reclaim(uint64 number) external;

    /// Shows the bytes behind a digest that a miner committed to, from the draw of its committee on. The chain verifies them in the call, and nobody
    /// can vote their outcome away. Members that said otherwise of the part are fined, except those who said missed; half of it, beyond
    /// what the miner was fined for the round, is the caller's. A verdict that was decided is corrected at once, at most twice
    /// appealBlocks after it was decided. Anybody may call.
    function refute(address miner, uint64 round, Evidence calldata evidence) external;

    function terms() external view returns (Terms memory);
    function round() external view returns (Round memory);
    /// The current round or the one before.
    function roundAt(uint64 number) external view returns (Round memory);
    /// Members that verify a miner in a round, once the beacon that draws them is there.
    function committee(uint64 round, address miner) external view returns (address[] memory);
    /// Members that verify a batch of commitments to idle space. A batch that two rounds have not decided is drawn anew.
    function idleCommittee(address miner, uint64 batch) external view returns (address[] memory);
    /// Everybody that may be drawn in the current round: fixed when it opened.
    function verifiers() external view returns (address[] memory);
    function verdict(uint64 round, address miner) external view returns (Verdict memory);
    function record(address miner) external view returns (Record memory);
    /// The current round, the one before, or one that is decided and kept.
    function basis(uint64 round, address miner) external view returns (Basis memory);
    function appeals(uint64 skip, uint64 limit) external view returns (Appeal[] memory);

    error RoundClosed(uint64 round, uint64 height, uint64 from, uint64 until);
    error NotDue(address miner, uint64 round);
    error AlreadyAnswered(address miner, uint64 round);
    error AlreadyProven(address miner, uint64 round);
    error EpochsUnordered(uint64 epoch);
    error NotInCommittee(address account, address miner, uint64 round);
    error AlreadyVoted(address account, address miner, uint64 round);
    error CountMismatch(uint256 left, uint256 right);
    error TooMany(uint256 given, uint256 maximum);
    error VerdictInvalid(uint8 verdict);
    error ProofLength(uint64 epoch, uint256 given, uint256 required);
    error NotDecided(address miner, uint64 round);
    error AppealLate(address miner, uint64 round, uint64 until);
    error AlreadyAppealed(address miner, uint64 round);
    error DepositTooLow(uint256 sent, uint256 required);
    error UnknownAppeal(uint64 number);
    error AppealClosed(uint64 number);
    error NotSeated(address account);
    error PartInvalid(uint8 part);
    error AnswerUnknown(address miner, uint64 round);
    error EvidenceTooLong(uint256 given, uint256 maximum);
    error EvidenceInvalid(uint256 index, string reason);
    error ColumnNotHeld(bytes32 file, uint8 column);
    error HoldingsIncomplete(uint64 shown, uint64 held);
    error NothingRefuted(address miner, uint64 round);
}
