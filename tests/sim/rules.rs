//! What must hold of every finalised block, looked at from outside with nothing but what a node has stored.
//!
//! Owns the rules: the block obeys the chain's own header rules against its parent, its certificate proves it, no token came from
//! nowhere, eras rest on finalised randomness, elections on reveals of their window, and only liars are punished for lying.

use alloy_sol_types::{SolCall, SolEvent};
use cess::{
    chain::{BlockFinalised, Expected, FUTURE_MAX_MS, FullChain, check_header},
    consensus::{
        Block, Calendar, Certificate, check_round,
        election::{Scores, random_score},
    },
    ledger::{
        abi::{IStaking, MODULES, STAKING},
        executor::CallRequest,
        genesis::Genesis,
        state::StateError,
    },
    runtime::{Clock, SystemClock},
    types::{Address, B256, Height, U256},
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// Gas of a question to a module.
const QUESTION_GAS: u64 = 30_000_000;
/// Answer of the staking module to "why is it in jail": it equivocated.
const JAILED_FOR_EQUIVOCATION: u8 = 2;

/// The rules of one run.
pub struct Rules {
    owners: Vec<Address>,
    made: U256,
    liars: BTreeSet<Address>,
    ahead_max_ms: u64,
    calendar: Calendar,
    burnt: Mutex<BTreeMap<Height, U256>>,
}

/// What was remarkable about a block.
#[derive(Debug, Default)]
pub struct Remarks {
    /// Round it was built for.
    pub built: u32,
    /// Round it was decided in.
    pub decided: u32,
    /// Its time has not come yet.
    pub future: bool,
    /// Its proposer's clock was behind its parent.
    pub pushed: bool,
    /// Its proposer had not executed its parent.
    pub ahead: bool,
    /// It opens an era.
    pub era: Option<u64>,
    /// Its era has another committee than the one before.
    pub new_committee: bool,
    /// Whose equivocation it punishes, and at which height.
    pub punished: Vec<(Address, Height)>,
}

impl Rules {
    /// For the chain of `genesis`, in which only `liars` lie and `users` and validators hold all tokens. No clock of the others is
    /// further ahead than `ahead_max_ms`.
    pub fn new(genesis: &Genesis, liars: BTreeSet<Address>, ahead_max_ms: u64) -> Self {
        let holders = genesis.alloc.keys().copied();
        let validators = genesis.validators.iter().map(|validator| validator.account);
        let owners: BTreeSet<Address> = holders.chain(validators).chain(MODULES).collect();
        let held = genesis.alloc.values().map(|account| account.balance.0);
        let staked = genesis.validators.iter().map(|validator| validator.stake.0);
        Self {
            owners: owners.into_iter().collect(),
            made: held.chain(staked).fold(U256::ZERO, |sum, amount| sum + amount),
            liars,
            ahead_max_ms,
            calendar: Calendar::of(&genesis.params()),
            burnt: Mutex::new(BTreeMap::from([(0, U256::ZERO)])),
        }
    }

    /// Whether `account` may be accused of lying.
    pub fn may_lie(&self, account: &Address) -> bool {
        self.liars.contains(account)
    }

    /// Checks a finalised block against what a node has stored.
    pub fn check(&self, chain: &FullChain, event: &BlockFinalised) -> anyhow::Result<Remarks> {
        let height = event.height;
        let stored = chain.blocks().block(height)?.zip(chain.blocks().certificate(height)?);
        let (block, certificate) =
            stored.ok_or_else(|| anyhow::anyhow!("the block or its certificate is not stored"))?;
        let named = block.id() == event.block && certificate.block == event.block && certificate.height == height;
        anyhow::ensure!(named, "the certificate or the stored block is for another than {}", event.block);
        let mut remarks = Remarks { built: block.header.round, decided: certificate.round, ..Remarks::default() };
        self.check_block(chain, &block, &certificate, &mut remarks)?;
        remarks.punished = self.punishments(chain, height)?;
        self.check_jails(chain)?;
        self.check_supply(chain)?;
        let era = self.calendar.era(height);
        if height == self.calendar.first(era) {
            remarks.era = Some(era);
            remarks.new_committee = self.check_era(chain, era)?;
        }
        Ok(remarks)
    }

    fn check_block(
        &self,
        chain: &FullChain,
        block: &Block,
        certificate: &Certificate,
        remarks: &mut Remarks,
    ) -> anyhow::Result<()> {
        let (height, chain_id) = (block.header.height, chain.spec().chain_id);
        let (committee, next_committee) = (chain.committee_at(height)?, chain.committee_at(height + 1)?);
        certificate.verify(chain_id, &committee.committee)?;
        let missing = || anyhow::anyhow!("block {} is not stored", height - 1);
        let parent = chain.blocks().executed(height - 1)?.ok_or_else(missing)?;
        let expected = Expected {
            chain_id,
            height,
            parent: parent.block,
            parent_time_ms: parent.time_ms,
            executed: &|named| match height.checked_sub(named) {
                Some(1) => Some(parent.hash),
                // Where a node began with a state, nothing below it is kept.
                Some(2) => Some(parent.header.parent_hash),
                _ => None,
            },
            committee: &committee,
            next_committee: &next_committee,
            seed: parent.beacon,
        };
        let beacon = check_header(block, &expected)?;
        check_round(&block.header, certificate.round)?;
        let executed = chain.blocks().executed(height)?;
        anyhow::ensure!(executed.is_some_and(|e| e.beacon == beacon), "another beacon than its proof gives");
        let (time, now) = (block.header.time_ms, SystemClock.unix_ms());
        let bound = now + self.ahead_max_ms + FUTURE_MAX_MS;
        anyhow::ensure!(time <= bound, "its time {time} ms is beyond what any honest clock accepts, {bound} ms");
        (remarks.future, remarks.pushed) = (time > now, time == parent.time_ms + 1);
        remarks.ahead = block.header.executed.height + 1 < height;
        Ok(())
    }

    /// Equivocations that the block punishes.
    fn punishments(&self, chain: &FullChain, height: Height) -> anyhow::Result<Vec<(Address, Height)>> {
        let mut punished = Vec::new();
        for log in chain.blocks().receipts(height)?.iter().flat_map(|receipt| &receipt.logs) {
            if log.address != STAKING {
                continue;
            }
            let Ok(event) = IStaking::Equivocated::decode_log_data(&log.data) else { continue };
            anyhow::ensure!(self.may_lie(&event.account), "honest {} is punished for equivocation", event.account);
            punished.push((event.account, event.height));
        }
        Ok(punished)
    }

    fn check_jails(&self, chain: &FullChain) -> anyhow::Result<()> {
        for candidate in ask(chain, &IStaking::candidatesCall { skip: 0, limit: u64::MAX })? {
            let jailed = candidate.jailReason == JAILED_FOR_EQUIVOCATION;
            anyhow::ensure!(!jailed || self.may_lie(&candidate.account), "honest {} is in jail", candidate.account);
        }
        Ok(())
    }

    /// Tokens that exist, less those minted, are those of genesis, less those burnt as fees and punishments.
    fn check_supply(&self, chain: &FullChain) -> anyhow::Result<()> {
        let (held, height) = chain.read(|state, head| {
            let mut sum = U256::ZERO;
            for owner in &self.owners {
                sum += state.account(owner)?.map(|info| info.balance).unwrap_or_default();
            }
            Ok::<_, StateError>((sum, head.height()))
        })?;
        let staking = ask(chain, &IStaking::supplyCall {})?;
        if chain.head().height() != height {
            // The chain went on between the two questions; the next block is looked at, too.
            return Ok(());
        }
        let (minted, burnt) = (staking.minted, staking.burnt + self.fees(chain, height)?);
        let made = self.made;
        anyhow::ensure!(
            held + burnt == made + minted,
            "{held} exist, {minted} minted, {burnt} burnt, {made} of genesis"
        );
        Ok(())
    }

    /// Fees burnt up to `height`.
    fn fees(&self, chain: &FullChain, height: Height) -> anyhow::Result<U256> {
        let mut burnt = self.burnt.lock();
        let (mut known, mut sum) = burnt.range(..=height).next_back().map(|(h, sum)| (*h, *sum)).unwrap_or_default();
        while known < height {
            known += 1;
            let block = chain.blocks().executed(known)?;
            let block = block.ok_or_else(|| anyhow::anyhow!("no executed block {known}"))?;
            sum += U256::from(block.base_fee()) * U256::from(block.header.gas_used);
            burnt.insert(known, sum);
        }
        Ok(sum)
    }

    /// The era that has begun rests on a beacon that was final before; every seat of the next one was won by what was revealed
    /// in time. Returns whether the era's committee is a new one.
    fn check_era(&self, chain: &FullChain, number: u64) -> anyhow::Result<bool> {
        let era = ask(chain, &IStaking::eraCall { era: number })?;
        let (seed_height, first) = (self.calendar.seed_height(number), self.calendar.first(number));
        anyhow::ensure!(era.seedHeight == seed_height && seed_height < first, "era {number} rests on {seed_height}");
        // A node that took over a state lacks the block; the others have it.
        if seed_height + 1 >= chain.blocks().first_height()? {
            let executed = chain.blocks().executed(seed_height)?;
            let beacon = executed.map(|block| block.beacon);
            anyhow::ensure!(
                beacon == Some(era.seed),
                "era {number} has seed {}, block {seed_height} {beacon:?}",
                era.seed
            );
        }
        if number > 0 {
            self.check_election(chain, number - 1)?;
        }
        let before = chain.committee_at(first - 1)?;
        Ok(chain.committee_at(first)?.hash != before.hash)
    }

    /// Every seat won at the end of `number` has the scores its parts add up to, and luck only by a reveal within that era.
    fn check_election(&self, chain: &FullChain, number: u64) -> anyhow::Result<()> {
        let seated = self.calendar.seated(number);
        let summary = ask(chain, &IStaking::eraCall { era: seated })?;
        anyhow::ensure!(
            summary.electedAt == self.calendar.last(number),
            "era {seated} elected at {}",
            summary.electedAt
        );
        if summary.kept {
            return Ok(());
        }
        for seat in ask(chain, &IStaking::seatsCall { era: seated })? {
            let account = seat.account;
            let scores = Scores::new(seat.credit, seat.stakeScore, seat.random);
            anyhow::ensure!(scores.total == seat.score, "seat of {account} has score {}, not {scores:?}", seat.score);
            let deeds = ask(chain, &IStaking::activityCall { account, era: number })?;
            let window = self.calendar.first(number)..=self.calendar.reveal_last(number);
            let luck = match seat.revealedAt {
                0 => 0,
                at if window.contains(&at) && at == deeds.revealedAt => random_of(&deeds.output, deeds.random),
                at => anyhow::bail!("{account} revealed for era {number} at {at}, its window is {window:?}"),
            };
            anyhow::ensure!(seat.random == luck, "seat of {account} has {} by luck, not {luck}", seat.random);
        }
        Ok(())
    }
}

/// The score of a reveal: the chain keeps the first half of the output, which the score is made of.
fn random_of(output: &B256, recorded: u64) -> u64 {
    let mut whole = [0; 64];
    whole[..32].copy_from_slice(output.as_slice());
    if random_score(&whole) == recorded { recorded } else { u64::MAX }
}

/// Asks the staking module.
fn ask<C: SolCall>(chain: &FullChain, call: &C) -> anyhow::Result<C::Return> {
    let request = CallRequest {
        from: Address::ZERO,
        to: Some(STAKING),
        value: U256::ZERO,
        data: call.abi_encode().into(),
        gas: QUESTION_GAS,
    };
    let answer = chain.call(&request).map_err(|fault| anyhow::anyhow!("{}: {fault:?}", C::SIGNATURE))?;
    Ok(C::abi_decode_returns(&answer)?)
}
