//! The simulated machine itself: virtual time, threads in turns, the same trace for the same seed.

use crate::{
    child,
    machine::{Dice, now, simulate, until},
};
use std::{
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant, SystemTime},
};

/// Blocks the thread, in virtual time.
fn wait_on_this_thread(time: Duration) {
    std::thread::sleep(time);
}

/// Three tasks with timers on two threads, and a lock that they and their blocking jobs fight for.
fn trace(seed: u64) -> String {
    simulate(seed, || {
        let log = Arc::new(Mutex::new(String::new()));
        let note = |log: &Arc<Mutex<String>>, what: &str| {
            log.lock().unwrap().push_str(&format!("{} {what}\n", now().as_nanos()));
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let tasks: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|name| {
                let log = log.clone();
                let mut dice = Dice::new(seed, name);
                runtime.spawn(async move {
                    for _ in 0..20 {
                        until(now() + dice.millis(1, 3_000)).await;
                        note(&log, name);
                        let (log, salt) = (log.clone(), rand::random::<u16>());
                        tokio::task::spawn_blocking(move || {
                            wait_on_this_thread(Duration::from_millis(u64::from(salt) % 50));
                            note(&log, &format!("{name} {salt}"));
                        });
                    }
                })
            })
            .collect();
        runtime.block_on(async {
            for task in tasks {
                task.await.unwrap();
            }
            until(now() + Duration::from_secs(60)).await;
        });
        drop(runtime);
        let log = log.lock().unwrap();
        format!("{log}{}", now().as_nanos())
    })
}

#[test]
fn virtual_minutes_take_real_moments_and_repeat() {
    const NAME: &str = "selftest::virtual_minutes_take_real_moments_and_repeat";
    if let Some(seed) = child::order() {
        return child::report(&trace(seed.parse().unwrap()));
    }
    let real = Instant::now();
    let first = child::run(NAME, "7").unwrap();
    assert_eq!(first.lines().count(), 121);
    let virtual_time = first.lines().last().unwrap().parse().map(Duration::from_nanos).unwrap();
    assert!(virtual_time > Duration::from_secs(60) && real.elapsed() < Duration::from_secs(30), "{virtual_time:?}");
    assert_eq!(first, child::run(NAME, "7").unwrap());
    assert_ne!(first, child::run(NAME, "8").unwrap());
}

#[test]
fn time_moves_only_when_everybody_waits() {
    simulate(1, || {
        let (start, wall) = (Instant::now(), SystemTime::now());
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let opener = gate.clone();
        let thread = std::thread::spawn(move || {
            wait_on_this_thread(Duration::from_secs(3_600));
            *opener.0.lock().unwrap() = true;
            opener.1.notify_all();
            now()
        });
        let open = gate.1.wait_while(gate.0.lock().unwrap(), |open| !*open).unwrap();
        assert!(*open);
        drop(open);
        let ended = thread.join().unwrap();
        let hour = Duration::from_secs(3_600);
        for elapsed in [start.elapsed(), wall.elapsed().unwrap(), ended] {
            assert!(elapsed >= hour && elapsed < hour + Duration::from_secs(1), "{elapsed:?}");
        }
    });
}
