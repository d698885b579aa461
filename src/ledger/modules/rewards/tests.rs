//! Settlement and claims. Eras are four blocks, a round of audits two; parts are paid each era.

use super::*;
use crate::{
    crypto::{SecretKey, native_address},
    ledger::{
        abi::{IMiners, IRewards, MINERS},
        modules::testing::{TestHost, assert_reverts},
    },
    types::{Amount, B256, Params, params::REWARD_PARTS},
};
use proptest::prelude::*;

const ERA: u64 = 4;
const GIB: u64 = 1 << 30;
/// First round of era 1.
const ROUND: u64 = 2;

fn params() -> Params {
    Params { era_blocks: ERA, seed_skip_blocks: 1, audit_round_blocks: 2, ..Params::dev() }
}

fn miner(tag: u8) -> Address {
    native_address(&SecretKey::from_bytes(&[tag; 32]).public())
}

fn operator(tag: u8) -> Address {
    Address::repeat_byte(tag)
}

/// A chain at height 1 with so many miners.
fn chain(miners: u8) -> TestHost {
    let mut host = TestHost::with_params(params(), &[]);
    host.advance_to(1);
    for tag in 1..=miners {
        let call = IMiners::registerCall {
            operator: operator(tag),
            networkKey: B256::repeat_byte(tag),
            accountKey: SecretKey::from_bytes(&[tag; 32]).public().0.into(),
            prefix: tag.into(),
            capacity: 100 * GIB,
            name: format!("miner {tag}"),
        };
        host.fund(miner(tag), 1);
        host.call(miner(tag), MINERS, Amount::tokens(1).0, &call).unwrap();
    }
    host
}

fn end_era(host: &mut TestHost, era: u64) {
    host.advance_to((era + 1) * ERA);
}

fn claim(host: &mut TestHost, tag: u8, eras: u64) -> Result<U256, ModuleError> {
    host.call(Address::ZERO, REWARDS, U256::ZERO, &IRewards::claimCall { miner: miner(tag), eras })
}

fn account(host: &mut TestHost, tag: u8) -> IRewards::Account {
    host.view(REWARDS, &IRewards::accountCall { miner: miner(tag) }).unwrap()
}

fn share(host: &mut TestHost, tag: u8, era: u64) -> IRewards::Share {
    host.view(REWARDS, &IRewards::shareCall { miner: miner(tag), era }).unwrap()
}

fn emission() -> U256 {
    staking::era_emission(params().storage_emission, 1)
}

/// Rent arrives as the territory module sends it.
fn rent(host: &mut TestHost, era: u64, storers: u64) {
    host.fund(REWARDS, storers);
    let rent = Rent { storers: Amount::tokens(storers).0, caches: U256::ZERO, burnt: U256::ZERO };
    take_rent(host, era, &rent).unwrap();
}

#[test]
fn an_era_is_settled_when_the_next_one_ends() {
    let mut host = chain(2);
    credit(&mut host, miner(1), ROUND, GIB, 3 * GIB).unwrap();
    credit(&mut host, miner(2), ROUND, GIB, 0).unwrap();
    end_era(&mut host, 1);
    assert!(!share(&mut host, 1, 1).settled);
    assert_eq!(claim(&mut host, 1, 1), Err(ModuleError::revert(IRewards::NothingDue { miner: miner(1), nextEra: 1 })));
    assert_eq!(host.balance(REWARDS), U256::ZERO);
    end_era(&mut host, 2);
    assert_eq!(host.balance(REWARDS), emission());
    let (first, second) = (share(&mut host, 1, 1), share(&mut host, 2, 1));
    // 5 + 3 · 95 of 295 hundredths, and 5.
    assert_eq!(
        (first.power, first.totalPower),
        (U256::from(GIB) * U256::from(290) / U256::from(100), U256::from(GIB) * U256::from(295) / U256::from(100))
    );
    assert_eq!(first.fromEmission, emission() * U256::from(290) / U256::from(295));
    assert_eq!(second.fromEmission, emission() * U256::from(5) / U256::from(295));
    assert!(first.settled && !first.claimed);
}

#[test]
fn half_is_due_at_once_and_the_rest_in_ninety_parts() {
    let mut host = chain(1);
    credit(&mut host, miner(1), ROUND, 0, GIB).unwrap();
    end_era(&mut host, 2);
    let part = emission() / U256::from(2) / U256::from(REWARD_PARTS);
    let locked = part * U256::from(REWARD_PARTS);
    let expected = IRewards::Account {
        nextEra: 1,
        claimable: emission() - locked,
        locked,
        paid: U256::ZERO,
        part,
        nextPartAt: 4 * ERA,
    };
    assert_eq!(account(&mut host, 1), expected);
    assert_eq!(claim(&mut host, 1, 512), Ok(emission() - locked));
    let event = IRewards::RewardClaimed { miner: miner(1), to: operator(1), amount: emission() - locked, nextEra: 2 };
    assert_eq!(host.last_event::<IRewards::RewardClaimed>(), event);
    end_era(&mut host, 3);
    assert_eq!((account(&mut host, 1).claimable, claim(&mut host, 1, 1)), (part, Ok(part)));
    end_era(&mut host, 3 + REWARD_PARTS);
    assert_eq!(claim(&mut host, 1, 512), Ok(part * U256::from(REWARD_PARTS - 1)));
    assert_eq!((host.balance(operator(1)), host.balance(REWARDS)), (emission(), U256::ZERO));
    let after = account(&mut host, 1);
    assert_eq!((after.locked, after.part, after.paid, after.nextPartAt), (U256::ZERO, U256::ZERO, emission(), 0));
}

#[test]
fn without_power_nothing_comes_into_being_and_rent_waits() {
    let mut host = chain(1);
    rent(&mut host, 1, 10);
    end_era(&mut host, 2);
    let pools = host.view(REWARDS, &IRewards::poolsCall {}).unwrap();
    assert_eq!((pools.waiting, pools.minted), (Amount::tokens(10).0, U256::ZERO));
    // Era 3: idle space alone earns emission, but no rent.
    credit(&mut host, miner(1), 3 * ERA / 2, GIB, 0).unwrap();
    rent(&mut host, 3, 5);
    end_era(&mut host, 4);
    let pools = host.view(REWARDS, &IRewards::poolsCall {}).unwrap();
    assert_eq!((pools.waiting, pools.minted), (Amount::tokens(15).0, emission()));
    credit(&mut host, miner(1), 5 * ERA / 2, 0, 1).unwrap();
    end_era(&mut host, 6);
    assert_eq!(share(&mut host, 1, 5).fromRent, Amount::tokens(15).0);
    assert_eq!(host.view(REWARDS, &IRewards::poolsCall {}).unwrap().waiting, U256::ZERO);
}

#[test]
fn power_can_be_taken_back_until_its_era_is_settled() {
    let mut host = chain(2);
    credit(&mut host, miner(1), ROUND, 0, GIB).unwrap();
    credit(&mut host, miner(2), ROUND, 0, GIB).unwrap();
    end_era(&mut host, 1);
    assert_eq!(uncredit(&mut host, miner(1), ROUND, 0, GIB), Ok(true));
    end_era(&mut host, 2);
    assert_eq!(uncredit(&mut host, miner(2), ROUND, 0, GIB), Ok(false));
    assert_eq!(share(&mut host, 2, 1).fromEmission, emission());
    assert_eq!((share(&mut host, 1, 1).fromEmission, share(&mut host, 1, 1).rounds), (U256::ZERO, 0));
}

#[test]
fn bad_claims_and_eras_are_refused() {
    let mut host = chain(1);
    let nothing = IRewards::NothingDue { miner: miner(1), nextEra: 0 };
    assert_reverts(claim(&mut host, 1, 1), nothing);
    for given in [0, CLAIM_MAX_ERAS + 1] {
        assert_reverts(claim(&mut host, 1, given), IRewards::TooMany { given, maximum: CLAIM_MAX_ERAS });
    }
    assert_reverts(host.view(REWARDS, &IRewards::eraCall { number: 1 }), IRewards::EraUnknown { era: 1 });
}

#[test]
fn shares_are_forgotten_a_month_after_they_were_claimed() {
    let mut host = chain(1);
    credit(&mut host, miner(1), ROUND, 0, GIB).unwrap();
    end_era(&mut host, 2 + SHARE_KEPT_ERAS);
    claim(&mut host, 1, SHARE_KEPT_ERAS).unwrap();
    assert!(share(&mut host, 1, 1).claimed && share(&mut host, 1, 1).rounds == 1);
    claim(&mut host, 1, 1).unwrap();
    assert_eq!(share(&mut host, 1, 1).rounds, 0);
}

proptest! {
    /// However a miner cuts its claims: it gets the same, and together all get what there is but for two units a share.
    #[test]
    fn claims_in_any_pieces_pay_the_same(
        credits in prop::collection::vec((1u8..4, 0u64..30, 0u64..1 << 40, 0u64..1 << 40), 1..40),
        pieces in prop::collection::vec(1u64..20, 1..20),
    ) {
        let mut host = chain(3);
        let mut by_era: Vec<Vec<(u8, u64, u64, u64)>> = vec![Vec::new(); 31];
        credits.iter().for_each(|(tag, era, idle, service)| by_era[*era as usize].push((*tag, *era, *idle, *service)));
        for era in 0..31u64 {
            host.advance_to((era * ERA).max(1));
            for (tag, era, idle, service) in &by_era[era as usize] {
                credit(&mut host, miner(*tag), era * ERA / 2, *idle, *service).unwrap();
            }
            rent(&mut host, era, 3);
        }
        end_era(&mut host, 32 + REWARD_PARTS);
        let mut whole = host.clone();
        let minted = host.view(REWARDS, &IRewards::poolsCall {}).unwrap();
        for tag in 1..4 {
            let in_pieces = pieces.iter().fold(U256::ZERO, |sum, eras| sum + claim(&mut host, tag, *eras).unwrap_or_default());
            let rest = claim(&mut host, tag, 512).unwrap_or_default();
            prop_assert_eq!(in_pieces + rest, claim(&mut whole, tag, 512).unwrap_or_default());
            prop_assert_eq!(account(&mut host, tag).locked, U256::ZERO);
        }
        let left = host.balance(REWARDS) - minted.waiting;
        prop_assert!(left <= U256::from(2 * credits.len()), "{left} is left");
    }
}
