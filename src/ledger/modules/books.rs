//! The chain's books over random histories of the storage market: nothing is made or lost, and every module has what it owes.

use super::{
    audits::tests::world::{ERA, MISSED, PASS, ROUND, World, miner},
    miners, staking,
    testing::{CHAIN, beacon_of},
};
use crate::{
    codec,
    crypto::SecretKey,
    ledger::{
        abi::{
            AUDITS, FILES, IAudits, IFiles, IMiners, IRepair, IRewards, IStaking, ITee, ITerritory, MINERS, REPAIR,
            REWARDS, STAKING, TEE, TERRITORY,
        },
        audit::Rounds,
        manifest::{Manifest, SegmentEntry},
        placement,
        receipt::receipt_message,
    },
    types::{
        Address, Amount, B256, FragmentId, SegmentId, U256,
        params::{FRAGMENTS, SEGMENT_MAX_BYTES},
    },
};
use proptest::prelude::*;

const USER: Address = Address::repeat_byte(0xee);
/// Miners are 1 to this; 1 to 3 hold something from the beginning.
const MINERS_THERE: u8 = 16;

#[derive(Debug, Clone)]
enum Step {
    Mint {
        gib: u64,
        days: u32,
    },
    Store {
        number: u8,
        segments: u8,
    },
    Remove {
        pick: prop::sample::Index,
    },
    /// A round in which the miners of the set bits keep their data, and an appeal about one of them.
    Round {
        keep: u16,
        lie: u16,
        appeal: Option<(u8, bool)>,
    },
    EndEra {
        eras: u64,
    },
    Claim {
        tag: u8,
        eras: u64,
    },
    Exit {
        tag: u8,
    },
    /// Claims an open order, and lets time pass in which it may lapse.
    Reserve {
        tag: u8,
        pick: prop::sample::Index,
        blocks: u64,
    },
    Settle {
        pick: prop::sample::Index,
    },
    Withdraw {
        tag: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let tag = 1..=MINERS_THERE;
    prop_oneof![
        2 => (1u64..40, 1u32..4).prop_map(|(gib, days)| Step::Mint { gib, days }),
        3 => (any::<u8>(), 1u8..4).prop_map(|(number, segments)| Step::Store { number, segments }),
        1 => any::<prop::sample::Index>().prop_map(|pick| Step::Remove { pick }),
        6 => (any::<u16>(), any::<u16>(), prop::option::of((1u8..4, any::<bool>())))
            .prop_map(|(keep, lie, appeal)| Step::Round { keep: keep | 0xff00, lie: lie & 6, appeal }),
        2 => (1u64..3).prop_map(|eras| Step::EndEra { eras }),
        3 => (tag.clone(), 1u64..20).prop_map(|(tag, eras)| Step::Claim { tag, eras }),
        1 => tag.clone().prop_map(|tag| Step::Exit { tag }),
        2 => (tag.clone(), any::<prop::sample::Index>(), 0u64..70)
            .prop_map(|(tag, pick, blocks)| Step::Reserve { tag, pick, blocks }),
        1 => any::<prop::sample::Index>().prop_map(|pick| Step::Settle { pick }),
        1 => tag.prop_map(|tag| Step::Withdraw { tag }),
    ]
}

struct Books {
    world: World,
    genesis: U256,
    bonds: U256,
    shares: u64,
}

impl Books {
    fn new() -> Self {
        let mut world = World::new(7);
        (4..=MINERS_THERE).for_each(|tag| world.register_empty(tag));
        world.host.fund(USER, 1_000_000);
        world.host.advance_to(ROUND + 9);
        let genesis = world.host.supply();
        let bonds = world.host.balance(TEE);
        Self { world, genesis, bonds, shares: 0 }
    }

    fn take(&mut self, step: &Step) {
        let host = &mut self.world.host;
        // What is refused changes nothing, which the check after it sees.
        match *step {
            Step::Mint { gib, days } => {
                let call = ITerritory::mintCall { size: gib << 30, leaseDays: days, name: format!("n{}", host.height) };
                let _ = host.call(USER, TERRITORY, Amount::tokens(1_000).0, &call);
            }
            Step::Store { number, segments } => self.store(number, segments),
            Step::Remove { pick } => {
                let files = host.view(FILES, &IFiles::listOfCall { owner: USER, skip: 0, limit: 100 }).unwrap();
                if !files.is_empty() {
                    let call = IFiles::removeCall { id: *pick.get(&files) };
                    host.call(USER, FILES, U256::ZERO, &call).unwrap();
                }
            }
            Step::Round { keep, lie, appeal } => self.round(keep, lie, appeal),
            Step::EndEra { eras } => {
                let height = (host.height / ERA + eras) * ERA;
                host.advance_to(height);
            }
            Step::Claim { tag, eras } => {
                let call = IRewards::claimCall { miner: miner(tag), eras };
                let _ = host.call(USER, REWARDS, U256::ZERO, &call);
            }
            Step::Exit { tag } => {
                let _ = host.call(miner(tag), MINERS, U256::ZERO, &IMiners::exitCall {});
            }
            Step::Reserve { tag, pick, blocks } => {
                if let Some((file, column)) = self.order(pick) {
                    let host = &mut self.world.host;
                    let deposit = host.view(REPAIR, &IRepair::claimDepositCall { file, column }).unwrap();
                    let _ = host.call(miner(tag), REPAIR, deposit, &IRepair::claimCall { file, column });
                    host.advance_to(host.height + blocks);
                }
            }
            Step::Settle { pick } => {
                if let Some((file, column)) = self.order(pick) {
                    let _ = self.world.host.call(USER, REPAIR, U256::ZERO, &IRepair::settleCall { file, column });
                }
            }
            Step::Withdraw { tag } => {
                let _ = host.call(miner(tag), MINERS, U256::ZERO, &IMiners::withdrawCall {});
            }
        }
    }

    fn order(&mut self, pick: prop::sample::Index) -> Option<(B256, u8)> {
        let orders = self.world.host.view(REPAIR, &IRepair::ordersCall { skip: 0, limit: 100 }).unwrap();
        (!orders.is_empty()).then(|| pick.get(&orders)).map(|order| (order.file, order.column))
    }

    fn store(&mut self, number: u8, segments: u8) {
        let host = &mut self.world.host;
        let manifest = manifest(number, segments);
        let height = host.height - 1;
        let candidates = miners::candidates(host).unwrap();
        let seed = placement::seed(&beacon_of(height), &manifest.segments[0].id);
        let mut holders = placement::rank(&seed, height, &candidates, &host.params);
        holders.truncate(FRAGMENTS);
        let key_of = |account: &Address| (1..=MINERS_THERE).find(|tag| miner(*tag) == *account).unwrap();
        let sign = |(index, holder): (u8, &Address)| {
            let key = SecretKey::from_bytes(&[key_of(holder); 32]);
            key.sign(&receipt_message(CHAIN, manifest.id(), index, *holder)).0.to_vec().into()
        };
        let receipts = (0u8..).zip(&holders).map(sign).collect();
        let manifest = codec::encode(&manifest).into();
        let call = IFiles::storeCall { manifest, beaconHeight: height, holders, receipts };
        let _ = host.call(USER, FILES, U256::ZERO, &call);
    }

    /// Runs the next round. Committees lie about the miners of `lie`.
    fn round(&mut self, keep: u16, lie: u16, appeal: Option<(u8, bool)>) {
        let rounds = Rounds::of(&self.world.host.params);
        let round = rounds.at(self.world.host.height) + 1;
        self.world.at(rounds.opened_at(round) + 1);
        let kept = |tag: u8| keep >> (tag - 1) & 1 == 1;
        for tag in 1..=MINERS_THERE {
            if kept(tag) && self.world.answer(tag, round).is_ok() {
                self.world.prove(tag, round, &[0]).unwrap();
            }
        }
        self.world.at(rounds.prove_until(round) + 1);
        for tag in 1..=MINERS_THERE {
            let answered = self.world.record(tag).answered == round;
            let truth = if answered { PASS } else { MISSED };
            let said = if answered && lie >> (tag - 1) & 1 == 1 { 0b10_10 } else { truth };
            self.world.votes(round, tag, &[said; 5]);
            self.shares += 1;
            if let Some((of, seats_agree)) =
                appeal.filter(|(of, _)| *of == tag && self.world.verdict(round, tag).decided)
            {
                self.appeal(of, round, truth, seats_agree);
            }
        }
    }

    fn appeal(&mut self, tag: u8, round: u64, truth: u8, seats_agree: bool) {
        let decided = self.world.verdict(round, tag).value;
        let claimed = if decided == truth { 0b11_11 } else { truth };
        if let Ok(number) = self.world.appeal(USER, tag, round, claimed)
            && seats_agree
        {
            (0..3).for_each(|seat| self.world.rule(seat, number, truth).unwrap());
        }
    }

    fn check(&mut self) {
        let host = &mut self.world.host;
        let counted = host.view(STAKING, &IStaking::supplyCall {}).unwrap();
        assert_eq!(host.supply(), self.genesis + counted.minted - counted.burnt, "supply");
        let totals = host.view(TERRITORY, &ITerritory::totalsCall {}).unwrap();
        assert_eq!(host.balance(TERRITORY), totals.pool, "the pool of rent");
        let deposits = self.world.view(&IAudits::appealsCall { skip: 0, limit: 100 });
        let deposits = deposits.iter().fold(U256::ZERO, |sum, appeal| sum + appeal.deposit);
        let host = &mut self.world.host;
        assert_eq!(host.balance(AUDITS), deposits, "deposits");
        let collateral = host.view(MINERS, &IMiners::listCall { skip: 0, limit: 100 }).unwrap();
        let collateral = collateral.iter().fold(U256::ZERO, |sum, miner| sum + miner.collateral);
        assert!(host.balance(MINERS) >= collateral, "collateral");
        let staked = self
            .world
            .seats
            .iter()
            .fold(U256::ZERO, |sum, seat| sum + staking::at_stake(&mut self.world.host, *seat).unwrap());
        assert_eq!(self.world.host.balance(STAKING), staked, "stake");
        assert!(self.world.host.balance(TEE) <= self.bonds, "bonds");
        let bonds =
            self.world.workers.clone().into_iter().fold(U256::ZERO, |sum, account| {
                sum + self.world.host.view(TEE, &ITee::getCall { account }).unwrap().bond
            });
        assert_eq!(self.world.host.balance(TEE), bonds, "bonds");
        self.check_rewards();
    }

    /// Pools, rent of eras that are not settled, and what miners have are all there; beyond it lies dust.
    fn check_rewards(&mut self) {
        let host = &mut self.world.host;
        let pools = host.view(REWARDS, &IRewards::poolsCall {}).unwrap();
        let mut owed = pools.caches + pools.waiting;
        let current = host.height / ERA;
        for number in current.saturating_sub(2)..=current {
            let era = host.view(REWARDS, &IRewards::eraCall { number }).unwrap();
            if !era.settled {
                owed += era.rent;
            }
        }
        // The first era that is not settled is told with what waits.
        owed -= pools.waiting;
        for tag in 1..=MINERS_THERE {
            let account = host.view(REWARDS, &IRewards::accountCall { miner: miner(tag) }).unwrap();
            owed += account.claimable + account.locked;
        }
        let has = host.balance(REWARDS);
        assert!(has >= owed, "rewards has {has} and owes {owed}");
        assert!(has - owed <= U256::from(2 * self.shares), "{} too much in rewards", has - owed);
    }
}

fn manifest(number: u8, segments: u8) -> Manifest {
    let entry = |segment: u8| SegmentEntry {
        id: SegmentId([number, segment].repeat(16).try_into().unwrap()),
        len: SEGMENT_MAX_BYTES as u32,
        fragments: std::array::from_fn(|part| {
            FragmentId([number, segment, part as u8, 1].repeat(8).try_into().unwrap())
        }),
    };
    let size = u64::from(segments) * SEGMENT_MAX_BYTES;
    Manifest { size, segments: (0..segments).map(entry).collect() }
}

#[test]
fn a_market_that_goes_well_pays_out_everything() {
    let mut books = Books::new();
    books.take(&Step::Mint { gib: 30, days: 3 });
    (0..6).for_each(|number| books.take(&Step::Store { number, segments: 2 }));
    assert!(books.world.host.view(FILES, &IFiles::totalsCall {}).unwrap().files == 6);
    for _ in 0..9 {
        books.take(&Step::Round { keep: u16::MAX, lie: 0, appeal: None });
        books.check();
    }
    books.take(&Step::EndEra { eras: 95 });
    (1..=MINERS_THERE).for_each(|tag| books.take(&Step::Claim { tag, eras: 512 }));
    books.check();
    let pools = books.world.host.view(REWARDS, &IRewards::poolsCall {}).unwrap();
    let left = books.world.host.balance(REWARDS) - pools.caches - pools.waiting;
    assert!(!pools.minted.is_zero() && left < U256::from(1_000), "{left} is left");
}

/// Every mechanism at once, so that the histories below are known to reach it.
#[test]
fn a_market_with_liars_cheats_and_leavers_adds_up() {
    let mut books = Books::new();
    books.take(&Step::Mint { gib: 30, days: 3 });
    (0..6).for_each(|number| books.take(&Step::Store { number, segments: 2 }));
    // Miner 2 is framed, and the seats see it; miner 1 drops everything until it is lost.
    books.take(&Step::Round { keep: 0xfffe, lie: 2, appeal: Some((2, true)) });
    books.check();
    let appeals = books.world.view(&IAudits::appealsCall { skip: 0, limit: 9 });
    assert_eq!(appeals.iter().map(|appeal| appeal.state).collect::<Vec<_>>(), [1]);
    books.take(&Step::Round { keep: 0xfffe, lie: 2, appeal: Some((3, true)) });
    let appeals = books.world.view(&IAudits::appealsCall { skip: 0, limit: 9 });
    assert_eq!(appeals.iter().map(|appeal| appeal.state).collect::<Vec<_>>(), [1, 2]);
    for _ in 0..4 {
        books.take(&Step::Round { keep: 0xfffe, lie: 0, appeal: None });
        books.check();
    }
    let state = |books: &mut Books, tag| books.world.miner(tag).state;
    assert_eq!((state(&mut books, 1), state(&mut books, 2)), (2, 0));
    books.take(&Step::Exit { tag: 16 });
    assert_eq!(state(&mut books, 16), 1);
    books.take(&Step::EndEra { eras: 4 });
    (1..=MINERS_THERE).for_each(|tag| books.take(&Step::Claim { tag, eras: 512 }));
    books.check();
    assert!(!books.world.host.balance(Address::repeat_byte(202)).is_zero(), "the operator of miner 2 is paid");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn supply_and_every_account_add_up_at_every_step(steps in prop::collection::vec(step(), 1..30)) {
        let mut books = Books::new();
        books.check();
        for step in &steps {
            books.take(step);
            books.check();
        }
    }
}
