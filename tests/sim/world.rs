//! What a seed makes of a run before it begins: how many nodes, which of them lie and how, whose clock is wrong.
//!
//! Invariants: the liars hold less than a third of every committee; so do they together with a node whose clock is beyond all
//! bounds, since such a node cannot help to decide.

use crate::{machine::Dice, zoo::Vice};
use cess::chain::FUTURE_MAX_MS;
use std::time::Duration;

/// Blocks of an era of most runs.
const ERA_BLOCKS: u64 = 8;
/// Blocks of an era that does not end within a run: a committee that loses absent members could come to have too many liars.
const ENDLESS_ERA_BLOCKS: u64 = 10_000;
/// Largest error of a clock that the others bear. Two such clocks are less than the bound of block times apart.
const AHEAD_MAX_MS: i64 = 6_000;

/// How often of a hundred times somebody follows the chain who has no seat, and whose disk may be lost.
const FOLLOWER_PERCENT: u64 = 30;

/// How often of a hundred times a node's execution lags behind.
const SLOW_PERCENT: u64 = 30;

/// How much trouble worlds have.
const TROUBLE_PERCENTS: [u64; 5] = [2, 8, 20, 35, 35];

/// A run to come.
#[derive(Debug, Clone)]
pub struct World {
    /// Where all chance comes from.
    pub seed: u64,
    /// Virtual time of trouble.
    pub trouble: Duration,
    /// How often of a hundred times something goes wrong that can: with little trouble the liars have the stage.
    pub trouble_percent: u64,
    /// Blocks of an era.
    pub era_blocks: u64,
    /// Seats of a committee, if not the profile's four.
    pub seats: Option<usize>,
    /// Every node.
    pub nodes: Vec<Character>,
}

/// What a node is like.
#[derive(Debug, Clone)]
pub struct Character {
    /// How far its clock is ahead.
    pub ahead_ms: i64,
    /// How it lies, if it does.
    pub temper: Option<Temper>,
    /// Whether it has no stake and only follows.
    pub follows: bool,
    /// Whether its disk takes longer over a block than the network does.
    pub is_slow: bool,
}

impl Character {
    /// An honest validator with a good clock.
    const GOOD: Self = Self { ahead_ms: 0, temper: None, follows: false, is_slow: false };
}

/// How a node lies.
#[derive(Debug, Clone)]
pub struct Temper {
    /// In which ways.
    pub vices: Vec<Vice>,
    /// How often of a hundred times.
    pub percent: u64,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, trouble: Duration) -> Self {
        let mut dice = Dice::new(seed, "world");
        let (count, liars, era_blocks, seats) = match dice.below(16) {
            0 => (7, 2, ENDLESS_ERA_BLOCKS, Some(7)),
            1..=5 => (5, 1, ERA_BLOCKS, None),
            _ => (4, 1, ERA_BLOCKS, None),
        };
        let liars = if dice.chance(15) { 0 } else { liars };
        let mut nodes = vec![Character::GOOD; count];
        for _ in 0..liars {
            let node = dice.index(count);
            nodes[node].temper = Some(Temper::new(seed, &mut dice));
        }
        if dice.chance(60) {
            nodes.iter_mut().for_each(|node| node.ahead_ms = clock(&mut dice));
        }
        if dice.chance(20) {
            let liar = nodes.iter().position(|node| node.temper.is_some());
            let node = liar.unwrap_or_else(|| dice.index(count));
            nodes[node].ahead_ms = clock_beyond_bounds(&mut dice);
        }
        nodes.iter_mut().for_each(|node| node.is_slow = dice.chance(SLOW_PERCENT));
        let trouble_percent = TROUBLE_PERCENTS[dice.index(TROUBLE_PERCENTS.len())];
        if dice.chance(FOLLOWER_PERCENT) {
            nodes.push(Character { follows: true, ..Character::GOOD });
        }
        Self { seed, trouble, trouble_percent, era_blocks, seats, nodes }
    }

    /// A quiet world whose liars are too many: two of four, who say one thing to some and another to the others.
    pub fn overrun(seed: u64) -> Self {
        let temper = Temper { vices: vec![Vice::TwoProposals], percent: 100 };
        let node = |temper| Character { temper, ..Character::GOOD };
        let nodes = vec![node(Some(temper.clone())), node(Some(temper)), node(None), node(None)];
        Self { seed, trouble: Duration::ZERO, trouble_percent: 0, era_blocks: ERA_BLOCKS, seats: None, nodes }
    }

    /// Whether `node` does what the protocol says.
    pub fn is_honest(&self, node: usize) -> bool {
        self.nodes[node].temper.is_none()
    }

    /// Nodes that may lose their disk: a validator that forgets what it has signed is not honest any more.
    pub fn followers(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|node| self.nodes[*node].follows).collect()
    }

    /// The clock that is furthest ahead, of those that the others bear.
    pub fn ahead_max_ms(&self) -> u64 {
        AHEAD_MAX_MS.unsigned_abs()
    }

    /// Whether the others bear the clock of `node`.
    pub fn is_borne(&self, node: usize) -> bool {
        self.nodes[node].ahead_ms.abs() <= AHEAD_MAX_MS
    }
}

impl Temper {
    /// One vice by turns, so that a row of seeds has them all, and up to two more by chance.
    fn new(seed: u64, dice: &mut Dice) -> Self {
        let count = u64::try_from(Vice::ALL.len()).expect("a few vices");
        let turn = usize::try_from(seed % count).expect("it is below a few");
        let mut vices = vec![Vice::ALL[turn]];
        while vices.len() < 3 && dice.chance(60) {
            vices.push(Vice::ALL[dice.index(Vice::ALL.len())]);
        }
        vices.sort();
        vices.dedup();
        Self { vices, percent: 20 + dice.below(81) }
    }
}

/// An error of a clock that the others bear.
pub fn clock(dice: &mut Dice) -> i64 {
    let millis = dice.below(2 * AHEAD_MAX_MS.unsigned_abs() + 1);
    i64::try_from(millis).expect("a few seconds fit") - AHEAD_MAX_MS
}

/// One that they do not.
fn clock_beyond_bounds(dice: &mut Dice) -> i64 {
    let millis = FUTURE_MAX_MS + AHEAD_MAX_MS.unsigned_abs() + dice.below(30_000) + 1;
    let millis = i64::try_from(millis).expect("a minute fits");
    if dice.chance(50) { millis } else { -millis }
}
