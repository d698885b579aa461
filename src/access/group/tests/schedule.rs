//! Three gateways under random faults: what was acknowledged is read everywhere, and never two serve.

use super::{twins::Running, *};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Steps of one run.
const STEPS: u32 = 30;

/// What the test knows of the one word that is written.
#[derive(Default)]
struct Register {
    /// The newest number that was acknowledged.
    acknowledged: u32,
    /// The newest number that was written, acknowledged or not.
    written: u32,
}

fn break_or_heal(world: &World, rng: &mut ChaCha8Rng) {
    let mut outside = world.0.lock();
    let (gateway, other, miner) = (rng.gen_range(1..=3u8), rng.gen_range(1..=3u8), rng.gen_range(0..3));
    match rng.gen_range(0..8) {
        0 => drop(outside.cut.insert((gateway, miner))),
        1 => outside.cut.extend((0..3).map(|miner| (gateway, miner))),
        2 if gateway < other => drop(outside.apart.insert((gateway, other))),
        3 => drop(outside.chainless.insert(gateway)),
        4 => outside.lose_answer = true,
        5 => outside.lose_swap = true,
        _ => {
            outside.cut.clear();
            outside.apart.clear();
            outside.chainless.clear();
        }
    }
}

async fn step(gateway: &Running, register: &mut Register, rng: &mut ChaCha8Rng) {
    let patience = rng.gen_range(1..25) * SECOND;
    if rng.gen_bool(0.5) {
        register.written += 1;
        if gateway.say(&format!("put word {}", register.written), patience).await.is_ok() {
            register.acknowledged = register.written;
        }
    } else if let Ok(read) = gateway.say("get word", patience).await {
        let read: u32 = read.parse().unwrap_or(0);
        let allowed = register.acknowledged..=register.written;
        assert!(allowed.contains(&read), "{read} was read, {allowed:?} may be there");
        // What was read once stays.
        register.acknowledged = read;
    }
}

async fn run(seed: u64) -> (u32, u32) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let world = World::default();
    let gateways = [world.gateway(1), world.gateway(2), world.gateway(3)];
    let watch = NeverTwo::of(&[&gateways[0], &gateways[1], &gateways[2]]);
    let mut register = Register::default();
    for _ in 0..STEPS {
        break_or_heal(&world, &mut rng);
        step(&gateways[rng.gen_range(0..3)], &mut register, &mut rng).await;
    }
    {
        let mut outside = world.0.lock();
        outside.cut.clear();
        outside.apart.clear();
        outside.chainless.clear();
        (outside.lose_answer, outside.lose_swap) = (false, false);
    }
    for gateway in &gateways {
        let read: u32 = gateway.get("word").await.unwrap().parse().unwrap_or(0);
        assert!(
            (register.acknowledged..=register.written).contains(&read),
            "{read} is left of {}",
            register.acknowledged
        );
        register.acknowledged = read;
    }
    watch.check().await;
    (world.epoch(), register.acknowledged)
}

#[tokio::test(start_paused = true)]
async fn nothing_acknowledged_is_lost_whatever_breaks() {
    let (mut epochs, mut words) = (0, 0);
    for seed in 0..40 {
        let (epoch, acknowledged) = run(seed).await;
        epochs += epoch;
        words += acknowledged;
    }
    assert!(epochs > 80 && words > 200, "the runs were too tame: {epochs} epochs, {words} words");
}
