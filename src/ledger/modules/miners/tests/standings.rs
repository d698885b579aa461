//! What a round began with, beside a model that remembers what every block ended with.

use super::*;
use crate::{codec, proofs::pois::Commitment};
use proptest::prelude::*;

const ROUND: u64 = 20;
const SEGMENT: u64 = MIB;

#[derive(Debug, Clone)]
enum Step {
    Take(u64),
    Free(u64),
    Commit(usize),
    Decide(bool),
    Capacity(u64),
    Exit,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..700 * KIB).prop_map(Step::Take),
        3 => (1..700 * KIB).prop_map(Step::Free),
        2 => (1..4usize).prop_map(Step::Commit),
        3 => prop::bool::weighted(0.8).prop_map(Step::Decide),
        1 => (MIB..6 * MIB).prop_map(Step::Capacity),
        1 => Just(Step::Exit),
        6 => (1..30u64).prop_map(Step::Pass),
    ]
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Numbers {
    used: u64,
    segments: u64,
    /// Bytes.
    taken: u64,
}

impl Numbers {
    fn standing(self) -> Standing {
        let consumed = self.taken.div_ceil(STEP);
        let idle = self.segments * SEGMENT - consumed * STEP;
        Standing { used: self.used, segments: self.segments, consumed, idle }
    }

    /// Step by step, until all fits.
    fn squeeze(&mut self, capacity: u64) {
        while self.used + self.standing().idle > capacity {
            self.taken = (self.taken / STEP + 1) * STEP;
        }
    }
}

struct Model {
    host: TestHost,
    now: Numbers,
    capacity: u64,
    waiting: Option<(u64, u64)>,
    batches: u64,
    active: bool,
    /// What each block ended with, up to the one before this.
    ended: Vec<Numbers>,
}

impl Model {
    fn new() -> Self {
        let mut host = TestHost::new();
        host.advance_to(25);
        register(&mut host, 1);
        call(&mut host, 1, &setCapacityCall { capacity: 4 * MIB }).unwrap();
        let ended = vec![Numbers::default(); 25];
        Self { host, now: Numbers::default(), capacity: 4 * MIB, waiting: None, batches: 0, active: true, ended }
    }

    fn take(&mut self, bytes: u64) {
        let free = self.capacity - self.now.used;
        let result = take_space(&mut self.host, account(1), bytes).unwrap();
        assert_eq!(result, if bytes <= free { Ok(()) } else { Err(free) });
        if result.is_ok() {
            self.now.used += bytes;
            self.now.taken = (self.now.taken + bytes).min(self.now.segments * SEGMENT);
            self.now.squeeze(self.capacity);
        }
    }

    fn commit(&mut self, count: usize) {
        let commitment = codec::encode(&Commitment { layer_roots: vec![[1; 32]; 3] });
        let commitments = vec![commitment.into(); count];
        let fits = self.now.used + self.now.standing().idle + count as u64 * SEGMENT <= self.capacity;
        let height = self.host.height;
        let waits = self.waiting.is_some_and(|(_, since)| height <= since + 2 * ROUND);
        let result = call(&mut self.host, 1, &commitIdleCall { commitments });
        assert_eq!(result.is_ok(), self.active && fits && !waits, "{result:?}");
        if result.is_ok() {
            self.waiting = Some((count as u64, height));
            self.batches += 1;
        }
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Take(bytes) if self.active => self.take(bytes),
            Step::Take(_) => {}
            Step::Free(bytes) => {
                let bytes = bytes.min(self.now.used);
                free_space(&mut self.host, account(1), bytes).unwrap();
                self.now.used -= bytes;
            }
            Step::Commit(count) => self.commit(count),
            Step::Decide(accepted) => {
                let Some((count, _)) = self.waiting.take() else { return };
                decide_idle(&mut self.host, account(1), self.batches - 1, accepted).unwrap();
                if accepted {
                    self.now.segments += count;
                    self.now.squeeze(self.capacity);
                }
            }
            Step::Capacity(capacity) => {
                let result = call(&mut self.host, 1, &setCapacityCall { capacity });
                assert_eq!(result.is_ok(), self.active && capacity >= self.now.used);
                if result.is_ok() {
                    self.capacity = capacity;
                    self.now.squeeze(capacity);
                }
            }
            Step::Exit => {
                assert_eq!(call(&mut self.host, 1, &exitCall {}).is_ok(), self.active);
                self.now.taken = self.now.segments * SEGMENT;
                (self.active, self.waiting) = (false, None);
            }
            Step::Pass(blocks) => {
                for _ in 0..blocks {
                    self.ended.push(self.now);
                    self.host.next_block(Address::ZERO, 0);
                }
            }
        }
    }

    fn check(&mut self) {
        let height = self.host.height;
        assert_eq!(self.ended.len() as u64, height);
        let newest = height / ROUND;
        for round in 0..newest + 2 {
            let answer = standing(&mut self.host, account(1), round);
            if round + 1 < newest || round > newest {
                let oldest = newest.saturating_sub(1);
                assert_reverts(answer, IMiners::RoundUnknown { round, oldest, newest });
            } else {
                let last = (round * ROUND).checked_sub(1);
                let before = last.map_or(Numbers::default(), |block| self.ended[block as usize]);
                assert_eq!(answer, Ok(before.standing()), "round {round} at {height}");
            }
        }
        let miner = get(&mut self.host, 1);
        let now = self.now.standing();
        assert_eq!(
            (miner.used, miner.segments, miner.consumed, miner.idle),
            (now.used, now.segments, now.consumed, now.idle)
        );
        assert!(miner.used + miner.idle <= miner.capacity);
    }
}

#[test]
fn a_round_is_about_what_was_there_before_it_opened() {
    let mut host = TestHost::new();
    host.advance_to(39);
    register(&mut host, 1);
    take_space(&mut host, account(1), 5).unwrap().unwrap();
    let used = |host: &mut TestHost, round| {
        host.view(MINERS, &standingCall { account: account(1), round }).map(|standing| standing.used)
    };
    assert_eq!(used(&mut host, 1), Ok(0));
    host.advance_to(40);
    assert_eq!((used(&mut host, 1), used(&mut host, 2)), (Ok(0), Ok(5)));
    take_space(&mut host, account(1), 7).unwrap().unwrap();
    take_space(&mut host, account(1), 9).unwrap().unwrap();
    assert_eq!((used(&mut host, 1), used(&mut host, 2)), (Ok(0), Ok(5)));
    host.advance_to(79);
    assert_eq!((used(&mut host, 2), used(&mut host, 3)), (Ok(5), Ok(21)));
    host.advance_to(80);
    assert_reverts(used(&mut host, 2), IMiners::RoundUnknown { round: 2, oldest: 3, newest: 4 });
    assert_eq!((used(&mut host, 3), used(&mut host, 4)), (Ok(21), Ok(21)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn standings_are_those_of_the_model(steps in prop::collection::vec(step(), 1..40)) {
        let mut model = Model::new();
        for step in &steps {
            model.apply(step);
            model.check();
        }
    }
}
