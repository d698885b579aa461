//! A small market: pay follows power, a cheater is fined and forced out, the books add up.

use super::*;

#[test]
fn pay_follows_honest_power_and_a_cheater_is_forced_out() {
    let settings = MarketSettings { miners: 24, eras: 10, files: 20, cheaters: 1 };
    let mut market = Market::new(settings).unwrap();
    for _ in 0..market.rounds() {
        market.run_round().unwrap();
        let (found, counted) = market.supply().unwrap();
        assert_eq!(found, counted);
    }
    let report = market.finish().unwrap();
    let (cheater, honest) = report.miners.split_first().unwrap();
    assert_eq!((cheater.cheats, cheater.state, honest.iter().filter(|miner| miner.state != 0).count()), (true, 2, 0));
    // 5, 15, 15 and 15 % of a token for its one TiB; five rounds after the first two it is lost, in era 3.
    assert_eq!((cheater.fined, cheater.lost_in_era), (tokens(1) / U256::from(2), Some(3)));

    let (paid, reached) = report.rent;
    let units = U256::from(2 * 24 * 12);
    assert!(!paid.is_zero() && paid - reached <= units, "{} units of rent are missing", paid - reached);
    for miner in &report.miners {
        assert!(miner.pay.abs_diff(miner.expected) <= units, "{} is paid {}", miner.account, miner.pay);
    }
    let storers = honest.iter().filter(|miner| !miner.service.is_zero()).count();
    assert!(storers > 10, "{storers} miners store anything");
    let gas = report.gas / report.verified;
    assert!((50_000..700_000).contains(&gas), "{gas} gas a miner and round");
}
