//! Every protocol constant once, with its source, in the two profiles `mainnet` and `dev`.
//!
//! A number of the protocol that is written anywhere else is a bug. Sizes are bytes, times milliseconds, tokens whole.

use super::{Amount, ByteCount, U256};

/// Largest segment before erasure coding. CESS: 32 MiB.
pub const SEGMENT_MAX_BYTES: u64 = 32 << 20;
/// Data fragments of the default profile. CESS: RS(4+8).
pub const DATA_FRAGMENTS: usize = 4;
/// Parity fragments of the default profile.
pub const PARITY_FRAGMENTS: usize = 8;
/// Fragments of a segment, one for each holder.
pub const FRAGMENTS: usize = DATA_FRAGMENTS + PARITY_FRAGMENTS;
/// Smallest fragment: the erasure code works on shards of an even number of bytes, we round to a cache-line multiple.
pub const FRAGMENT_MIN_BYTES: u64 = 256;
/// Fragment lengths are a multiple of this.
pub const FRAGMENT_ALIGN_BYTES: u64 = 64;
/// Largest fragment: a full segment over four data fragments.
pub const FRAGMENT_MAX_BYTES: u64 = SEGMENT_MAX_BYTES / DATA_FRAGMENTS as u64;
/// Block of a fragment that has one PoDR² tag; the last one of a fragment may be shorter.
pub const PODR2_BLOCK_BYTES: u64 = 32 << 10;
/// Blocks a PoDR² round asks of each fragment.
pub const PODR2_CHALLENGED_BLOCKS: usize = 8;
/// Chunks a round asks a miner to open without tags.
pub const SPOT_OPENINGS: usize = 16;
/// Largest file one manifest may describe: 64 TiB would not fit a transaction, 128 GiB does.
pub const FILE_MAX_BYTES: u64 = 128 << 30;
/// Fragments of one file that one operator may hold.
pub const OPERATOR_MAX_FRAGMENTS: usize = 2;
/// Fragments of one file that one network prefix may hold (lifted by the dev profile on loopback).
pub const PREFIX_MAX_FRAGMENTS: usize = 2;
/// Ranked miners a gateway may pass over because they did not answer.
pub const PLACEMENT_MAX_SKIPS: usize = 6;
/// Largest native or Ethereum transaction, in bytes of its envelope. A manifest of 128 GiB is 1.7 MiB.
pub const TX_MAX_BYTES: usize = 2 << 20;
/// Largest block body.
pub const BLOCK_MAX_BYTES: usize = 4 << 20;
/// Gas one block may use.
pub const BLOCK_GAS_LIMIT: u64 = 120_000_000;
/// Era count a year: 365.25 days of four eras. CESS: 1,461.
pub const ERAS_PER_YEAR: u64 = 1_461;
/// Eras of a day, in which leases are counted.
pub const ERAS_PER_DAY: u64 = 4;
/// Smallest space one can lease. CESS: 1 GiB.
pub const TERRITORY_MIN_BYTES: u64 = 1 << 20;
/// Longest name of a territory.
pub const TERRITORY_NAME_MAX_BYTES: usize = 64;
/// Chain id of the public test network. Localnets start at 11332.
pub const CHAIN_ID_TESTNET: u64 = 11_330;
/// Chain id of the main network.
pub const CHAIN_ID_MAINNET: u64 = 11_331;
/// First chain id for localnets.
pub const CHAIN_ID_LOCALNET: u64 = 11_332;

/// Blocks after the block of a challenge that take its answer on the main network.
pub const ANSWER_WINDOW_BLOCKS: u64 = 3;
/// Time between blocks of the main network while nothing waits.
pub const MAINNET_IDLE_BLOCK_MS: u64 = 6_000;
/// Labels of a layer of idle space on the main network, as a power of two: 32 B each make 1 GiB.
pub const MAINNET_IDLE_LABELS_LOG2: u32 = 25;
/// Layers of a segment of idle space on the main network.
pub const MAINNET_IDLE_LAYERS: u32 = 8;
/// Nodes of every layer that are checked before a segment of idle space counts.
pub const IDLE_COMMIT_NODES: usize = 128;
/// Leaves of its idle space a miner shows in a round.
pub const IDLE_AUDIT_LEAVES: usize = 128;
/// Steps in which a segment of idle space becomes service space: 8 MiB each of 1 GiB.
pub const IDLE_LIVE_STEPS: u32 = 128;

/// Members that verify a miner in a round, and what of them must agree: more than two thirds.
pub const VERIFIERS: usize = 7;
/// Fines for faults in a row, in hundredths of the required collateral: none for the first. CESS: 5 % for the second, 15 % from the third on.
pub const FAULT_FINES_PERCENT: [u64; 5] = [0, 5, 15, 15, 15];
/// Faults in a row after which a miner is forced out. CESS: 5.
pub const FAULTS_MAX: u32 = 5;
/// Hundredths of a miner's power that its idle space counts for; the rest is for service space. CESS: 5 and 95.
pub const POWER_IDLE_PERCENT: u64 = 5;
/// Hundredths of an era's pay that are due at once. CESS: 50.
pub const REWARD_AT_ONCE_PERCENT: u64 = 50;
/// Parts in which the rest is paid. CESS: 90.
pub const REWARD_PARTS: u64 = 90;
/// Hundredths of the rent that go to the caches' pool, and as many that are burnt; storers get the rest.
pub const RENT_CACHES_PERCENT: u64 = 10;
/// Hundredths of the rent that are burnt.
pub const RENT_BURNT_PERCENT: u64 = 10;
/// Rounds of audits without any use of the open key epoch, after which its key counts as lost and another epoch may be opened: as long as a
/// worker that holds the key takes at most to hand it to a newcomer, with room for a few that are away.
pub const KEY_LOST_ROUNDS: u64 = 4;
/// Key epochs whose tags are kept, the newest ones; columns with tags of older ones are tagged anew while the old tags still count. A miner
/// proves for at most 64 epochs at once, which leaves sixteen for the work.
pub const TAG_EPOCHS_KEPT: u64 = 48;
/// Segments of idle space one transaction may commit to.
pub const IDLE_COMMITMENTS_MAX: usize = 16;

/// Which set of numbers a chain runs on. Written into genesis.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// CESS's numbers.
    Mainnet,
    /// A localnet that shows every mechanism within minutes.
    Dev,
}

/// The numbers that differ between profiles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params {
    /// Which profile these are.
    pub profile: Profile,
    /// Shortest time between blocks while transactions wait; after a block that is nearly full there is none.
    pub block_interval_ms: u64,
    /// Time between blocks while nothing waits.
    pub idle_block_interval_ms: u64,
    /// Blocks of an era.
    pub era_blocks: u64,
    /// Last blocks of an era that the next era's seed ignores.
    pub seed_skip_blocks: u64,
    /// Seats of the committee.
    pub seats: usize,
    /// Members a committee must keep, if it ever had as many.
    pub min_seats: usize,
    /// Eras between unbonding and withdrawal. CESS: 15 days.
    pub unbond_lock_eras: u64,
    /// Eras after an offence in which evidence of it is taken.
    pub evidence_eras: u64,
    /// Eras a punished validator stays out of elections.
    pub jail_eras: u64,
    /// Tokens the validators earn in the first year. CESS: 238.5 M.
    pub validator_emission: Amount,
    /// Tokens the storage miners earn in the first year. CESS: 477 M.
    pub storage_emission: Amount,
    /// Stake a validator needs.
    pub validator_stake: Amount,
    /// Collateral for each started TiB a miner declares. CESS: 4,000 tokens.
    pub collateral_per_tib: Amount,
    /// Rent of a GiB for a day. CESS: 30 tokens for 30 days.
    pub rent_per_gib_day: Amount,
    /// Space that may be leased for each hundred bytes miners declare.
    pub oversell_percent: u64,
    /// Whole eras between the one in which a lease ends and the release of its files. CESS: 7 days.
    pub territory_grace_eras: u64,
    /// Days that a lease may reach ahead.
    pub lease_max_days: u32,
    /// Blocks in which an order for a territory may be paid.
    pub order_blocks: u64,
    /// Whether [`PREFIX_MAX_FRAGMENTS`] is enforced.
    pub enforce_prefix_cap: bool,
    /// Smallest capacity a miner may declare.
    pub miner_min_capacity: ByteCount,
    /// How far back a placement's beacon may lie, in blocks.
    pub placement_window_blocks: u64,
    /// Blocks a miner keeps an acknowledged fragment that no file claims.
    pub unclaimed_fragment_blocks: u64,
    /// Blocks between two rounds of audits.
    pub audit_round_blocks: u64,
    /// Every so many rounds proofs of tags are due, too, and faults count.
    pub audit_tag_rounds: u64,
    /// Blocks after the opening of a round that take answers.
    pub audit_answer_blocks: u64,
    /// Blocks after the opening of a round that take proofs of tags.
    pub audit_prove_blocks: u64,
    /// Blocks after a verdict that take an appeal.
    pub audit_appeal_blocks: u64,
    /// Deposit of an appeal.
    pub audit_appeal_deposit: Amount,
    /// Whether fragments are only placed on idle space that was certified.
    pub placement_needs_idle: bool,
    /// Blocks a claim of a repair order lasts. CESS: 250.
    pub repair_claim_blocks: u64,
    /// Deposit of the first claim of a repair order.
    pub repair_claim_deposit: Amount,
    /// Eras between two parts of a reward.
    pub reward_part_eras: u64,
    /// Bond of a TEE worker.
    pub tee_bond: Amount,
    /// Eras an attestation lasts. CESS: 7 days.
    pub tee_attestation_eras: u64,
    /// Eras after which another key epoch may take the place of the open one. As long as an attestation: whoever could open an enclave has
    /// to do it anew for each epoch, and what a leaked key forges is the tags of one week.
    pub tee_epoch_eras: u64,
    /// Whether workers without an attestation are taken.
    pub tee_dev_allowed: bool,
    /// Labels of a layer of idle space, as a power of two.
    pub idle_labels_log2: u32,
    /// Layers of a segment of idle space.
    pub idle_layers: u32,
}

impl Params {
    /// The numbers of `profile`.
    pub fn of(profile: Profile) -> Self {
        match profile {
            Profile::Mainnet => Self::mainnet(),
            Profile::Dev => Self::dev(),
        }
    }

    /// CESS's numbers.
    pub fn mainnet() -> Self {
        Self {
            profile: Profile::Mainnet,
            block_interval_ms: 1_000,
            idle_block_interval_ms: MAINNET_IDLE_BLOCK_MS,
            era_blocks: 21_600,
            seed_skip_blocks: 64,
            seats: 11,
            min_seats: 4,
            unbond_lock_eras: 60,
            evidence_eras: 4,
            jail_eras: 1,
            validator_emission: Amount::tokens(238_500_000),
            storage_emission: Amount::tokens(477_000_000),
            validator_stake: Amount::tokens(3_000_000),
            collateral_per_tib: Amount::tokens(4_000),
            rent_per_gib_day: Amount::tokens(1),
            oversell_percent: 100,
            territory_grace_eras: 28,
            lease_max_days: 3_650,
            order_blocks: 250,
            enforce_prefix_cap: true,
            miner_min_capacity: ByteCount::gib(1),
            placement_window_blocks: 4_096,
            unclaimed_fragment_blocks: 14_400,
            audit_round_blocks: 600,
            audit_tag_rounds: 6,
            audit_answer_blocks: ANSWER_WINDOW_BLOCKS,
            audit_prove_blocks: 120,
            audit_appeal_blocks: 3_600,
            audit_appeal_deposit: Amount::tokens(100),
            placement_needs_idle: true,
            repair_claim_blocks: 250,
            repair_claim_deposit: Amount::tokens(10),
            reward_part_eras: ERAS_PER_DAY,
            tee_bond: Amount::tokens(4_000),
            tee_attestation_eras: 7 * ERAS_PER_DAY,
            tee_epoch_eras: 7 * ERAS_PER_DAY,
            tee_dev_allowed: false,
            idle_labels_log2: MAINNET_IDLE_LABELS_LOG2,
            idle_layers: MAINNET_IDLE_LAYERS,
        }
    }

    /// The localnet's numbers.
    pub fn dev() -> Self {
        Self {
            profile: Profile::Dev,
            block_interval_ms: 250,
            idle_block_interval_ms: 2_000,
            era_blocks: 60,
            seed_skip_blocks: 4,
            seats: 4,
            min_seats: 4,
            unbond_lock_eras: 1,
            evidence_eras: 1,
            jail_eras: 1,
            // A 3,000th of the main network's, as the stakes.
            validator_emission: Amount::tokens(79_500),
            storage_emission: Amount::tokens(159_000),
            validator_stake: Amount::tokens(1_000),
            collateral_per_tib: Amount::tokens(1),
            rent_per_gib_day: Amount::tokens(1),
            // Each well-known account has a lease over all of a localnet's space.
            oversell_percent: 10_000,
            territory_grace_eras: 1,
            // A day is a minute of busy blocks.
            lease_max_days: 36_500,
            order_blocks: 30,
            enforce_prefix_cap: false,
            miner_min_capacity: ByteCount::mib(1),
            placement_window_blocks: 4_096,
            unclaimed_fragment_blocks: 4_096,
            audit_round_blocks: 30,
            audit_tag_rounds: 1,
            // All of a localnet's nodes share a machine, and blocks may come every 250 ms.
            audit_answer_blocks: 15,
            audit_prove_blocks: 18,
            audit_appeal_blocks: 30,
            audit_appeal_deposit: Amount::tokens(1),
            // A file can be stored as soon as a localnet is up.
            placement_needs_idle: false,
            repair_claim_blocks: 30,
            repair_claim_deposit: Amount(Amount::tokens(1).0 / U256::from(100)),
            reward_part_eras: 1,
            tee_bond: Amount::tokens(1),
            tee_attestation_eras: 7 * ERAS_PER_DAY,
            // Five minutes of busy blocks, forty of idle ones: a rotation is seen within a session.
            tee_epoch_eras: 20,
            tee_dev_allowed: true,
            idle_labels_log2: 15,
            idle_layers: 3,
        }
    }
}
