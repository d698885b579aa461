//! Who repairs is paid out of the fines of who held the column before.

use super::*;

/// Collateral and pots of all miners.
fn owed(world: &mut World) -> U256 {
    let accounts: Vec<Address> = world.keys.keys().copied().collect();
    accounts.into_iter().fold(U256::ZERO, |sum, account| {
        let used = world.miner(account).used;
        let pot = if used == 0 { U256::ZERO } else { miners::pot_share(&mut world.host, account, used).unwrap() };
        sum + world.miner(account).collateral + pot
    })
}

#[test]
fn the_pot_of_a_lost_miner_is_paid_by_bytes() {
    let mut world = World::new(12);
    let sizes = [40_000u32, 4_000, 8_000];
    let files: Vec<(FileId, Vec<Address>)> = (1..=3).zip(sizes).map(|(tag, size)| world.store(tag, size)).collect();
    let lost = files[0].1[4];
    let spares: Vec<Address> = (13..=15).map(|tag| world.spare(tag)).collect();
    let fined = U256::from(2_000_001);
    miners::fine(&mut world.host, lost, fined, true).unwrap();
    miners::force_out(&mut world.host, lost).unwrap();
    let supply = world.host.supply();

    let mut paid = Vec::new();
    for ((id, holders), spare) in files.iter().zip(&spares) {
        let column = u8::try_from(holders.iter().position(|holder| *holder == lost).unwrap()).unwrap();
        let promised = world.order(*id, column).unwrap().bounty;
        let before = world.host.balance(*spare);
        let bounty = world.repair(*spare, *id, column);
        assert_eq!((bounty, world.host.balance(*spare) - before), (promised, bounty));
        assert_eq!(world.host.balance(MINERS), owed(&mut world));
        paid.push(bounty.to::<u64>());
    }
    // Columns of 10,048, 1,024 and 2,048 B share 1,000,001.
    assert_eq!(paid, [765_854, 78_049, 156_098]);
    assert_eq!(paid.iter().sum::<u64>(), 1_000_001);
    assert_eq!(world.host.supply(), supply);
}
