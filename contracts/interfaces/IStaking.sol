// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

/// Validators: stake, keys, elections, rewards and punishments, and the random beacon. Lives at 0x…ce550001.
interface IStaking {
    struct Validator {
        address account;
        bytes32 consensusKey;
        bytes32 vrfKey;
        bytes32 networkKey;
        uint256 stake;
        uint64 power;
    }

    /// Everything known of a candidate now. Scores lie in 0..1000: credit counts closed eras, random the current era's reveal.
    struct Candidate {
        address account;
        bytes32 consensusKey;
        bytes32 vrfKey;
        bytes32 networkKey;
        uint256 bonded;
        uint256 unbonding;
        uint64 unlockEra;
        uint64 registeredAt;
        /// 0 not jailed, 1 for unresponsiveness, 2 for equivocation.
        uint8 jailReason;
        uint64 jailedUntil;
        bool seated;
        bool seatedNext;
        uint64 credit;
        uint64 stakeScore;
        uint64 random;
        uint64 score;
        /// Blocks proposed and turns missed in the current era.
        uint64 proposed;
        uint64 missed;
    }

    /// Why a seat was won: the scores of the election and the heights they rest on.
    struct Seat {
        address account;
        uint64 power;
        uint256 stake;
        uint64 score;
        uint64 credit;
        uint64 stakeScore;
        uint64 random;
        uint64 registeredAt;
        /// Height of the reveal, 0 without one.
        uint64 revealedAt;
    }

    struct Era {
        uint64 era;
        uint64 firstBlock;
        uint64 lastBlock;
        /// The beacon candidates reveal over in this era, and its height.
        uint64 seedHeight;
        bytes32 seed;
        uint64 revealUntil;
        /// Height of the election of this era's committee, 0 for genesis.
        uint64 electedAt;
        /// Candidates that qualified in that election.
        uint64 qualified;
        /// Whether too few qualified, so that the committee before went on.
        bool kept;
        /// The best candidate without a seat, and its score.
        address runnerUp;
        uint64 runnerUpScore;
        /// Era points of the whole committee, and points of useful work of all candidates.
        uint64 points;
        uint64 workPoints;
        uint256 minted;
        uint256 slashed;
    }

    /// One validator in one era.
    struct Activity {
        uint64 proposed;
        uint64 missed;
        uint64 points;
        uint256 reward;
        uint64 punishments;
        uint256 slashed;
        /// Bytes tagged, idle bytes certified, service bytes verified, idle bytes verified, bytes replaced.
        uint64[5] work;
        uint64 workPoints;
        uint64 credit;
        uint64 revealedAt;
        uint64 random;
        bytes32 output;
    }

    /// Adds the sent value to the caller's stake.
    function bond() external payable;

    /// Makes the caller a candidate, or replaces its keys. Each key signs or proves the statement that the three belong to the
    /// caller. The stake must be bonded before.
    function register(
        bytes32 consensusKey,
        bytes32 vrfKey,
        bytes32 networkKey,
        bytes calldata consensusProof,
        bytes calldata vrfProof,
        bytes calldata networkProof
    ) external;

    /// Takes stake out. What is left below the minimum ends the candidature.
    function unbond(uint256 amount) external;

    /// Pays unbonded stake out after its lock.
    function withdraw() external;

    /// The candidate's VRF proof over the current era's seed, in the first half of the era.
    function reveal(uint64 era, bytes calldata proof) external;

    /// Ends a jail for equivocation after its term. Jail for unresponsiveness ends by itself.
    function unjail() external;

    /// Two conflicting signed messages of one validator. Anyone may report.
    function reportEvidence(bytes calldata evidence) external;

    /// The committee that decides the current block.
    function committee() external view returns (Validator[] memory);

    /// The committee of an era, the next one and all past ones.
    function committeeOf(uint64 era) external view returns (Validator[] memory);

    /// Why each seat of an era was won.
    function seats(uint64 era) external view returns (Seat[] memory);

    /// The era of the current block.
    function currentEra() external view returns (uint64);

    function era(uint64 era) external view returns (Era memory);

    function activity(address account, uint64 era) external view returns (Activity memory);

    function candidates(uint64 skip, uint64 limit) external view returns (Candidate[] memory);

    function candidate(address account) external view returns (Candidate memory);

    /// The stake of any account, the first era in which what is unbonding may be withdrawn, and whether it is a candidate.
    function stakeOf(address account)
        external
        view
        returns (uint256 bonded, uint256 unbonding, uint64 unlockEra, bool candidate);

    /// Candidates no election takes now.
    function jailed() external view returns (address[] memory);

    /// Tokens minted as rewards and burnt as punishment since genesis.
    function supply() external view returns (uint256 minted, uint256 burnt);

    /// The beacon of a decided height. Reverts with BeaconUnknown outside the last 8,192 blocks.
    function beacon(uint64 height) external view returns (bytes32);

    event Bonded(address indexed account, uint256 amount, uint256 bonded);
    event Registered(address indexed account, bytes32 consensusKey, bytes32 vrfKey, bytes32 networkKey);
    event Retired(address indexed account);
    event Unbonded(address indexed account, uint256 amount, uint64 unlockEra);
    event Withdrawn(address indexed account, uint256 amount);
    event Revealed(address indexed account, uint64 indexed era, uint64 random);
    event Unjailed(address indexed account);
    event Equivocated(address indexed account, uint64 indexed height, address reporter, uint256 slashed);

    error BeaconUnknown(uint64 height, uint64 oldest, uint64 newest);
    error AmountTooLow(uint256 amount, uint256 minimum);
    error AmountTooHigh(uint256 amount, uint256 maximum);
    error StakeTooLow(address account, uint256 bonded, uint256 required);
    error NotCandidate(address account);
    error KeysUnchanged(address account);
    error KeyTaken(bytes32 key, address owner);
    error KeyNotProven(address account, string key);
    error TooManyCandidates(uint64 maximum);
    error NothingToWithdraw(address account);
    error StakeLocked(address account, uint64 untilEra, uint64 currentEra);
    error WrongEra(uint64 era, uint64 currentEra);
    error RevealClosed(uint64 height, uint64 first, uint64 last);
    error KeyTooYoung(address account, uint64 registeredAt, uint64 seedHeight);
    error AlreadyRevealed(address account, uint64 era);
    error ProofInvalid(address account, uint64 era);
    error NotJailed(address account);
    error StillJailed(address account, uint64 untilEra, uint64 currentEra);
    error EvidenceMalformed(string reason);
    error EvidenceForeign(uint64 found, uint64 expected);
    error EvidenceInvalid(string reason);
    error EvidenceTooOld(uint64 height, uint64 oldest);
    error EvidenceAhead(uint64 height, uint64 newest);
    error EvidenceKnown(address account, uint64 height);
    error NotSeated(address account, uint64 height);
    error EraUnknown(uint64 era, uint64 newest);
}
