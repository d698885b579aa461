//! Trouble out of the seed: gateways that are killed, stopped and frozen, cuts of all kinds, journal miners that go one at a time or
//! two together, a slow and mute chain, clocks that are set, and upkeep at odd moments.

use super::{
    clients::Users,
    gateway::{self, Door, Gateway, Outside},
    miners::{self, Fall, MINERS, Miners},
    sessions::key_of,
    sometimes::Sometimes,
};
use crate::machine::{Dice, now, until};
use cess::network::LinkRule;
use std::{sync::Arc, time::Duration};

/// How long a journal has rest after one of its miners was in trouble: the next trouble is the first one again.
const MINER_REST: Duration = Duration::from_secs(8);
/// Largest error of a gateway's clock, milliseconds.
const AHEAD_MAX_MS: u64 = 2_500;

/// What a seed makes of its run.
#[derive(Debug, Clone)]
pub struct Climate {
    /// How often of a hundred times something goes wrong that can.
    pub trouble_percent: u64,
    /// Longest way of a message, milliseconds.
    pub latency_max_ms: u64,
}

/// A way that is cut for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Chain(usize),
    Miners(usize),
    Miner(usize, usize),
    Peers(usize, usize),
    Depot(usize),
    SlowChain,
    MuteChain,
}

/// A journal miner in trouble.
#[derive(Debug, Clone, Copy)]
struct Ailing {
    miner: usize,
    ends: Duration,
    /// Whether it lost its journals: it has to be replaced.
    emptied: bool,
    slow: bool,
    /// One that is down as long.
    other: Option<usize>,
    over: bool,
}

/// What is wrong now.
pub struct Faults {
    dice: Dice,
    climate: Climate,
    users: Arc<Users>,
    outside: Outside,
    gateways: Vec<Gateway>,
    miners: Miners,
    rises: Vec<Option<Duration>>,
    resumes: Vec<Option<Duration>>,
    cuts: Vec<(Duration, Cut)>,
    ailing: Option<Ailing>,
    sound_since: Duration,
}

impl Faults {
    /// Nothing is wrong yet.
    pub fn new(seed: u64, climate: Climate, users: Arc<Users>, gateways: Vec<Gateway>, miners: Miners) -> Self {
        let count = gateways.len();
        Self {
            dice: Dice::new(seed, "faults"),
            climate,
            outside: users.outside.clone(),
            users,
            gateways,
            miners,
            rises: vec![None; count],
            resumes: vec![None; count],
            cuts: Vec::new(),
            ailing: None,
            sound_since: Duration::ZERO,
        }
    }

    /// Starts all gateways.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        for gateway in 0..self.gateways.len() {
            self.rise(gateway).await?;
        }
        self.apply();
        Ok(())
    }

    /// Makes trouble until `end`.
    pub async fn rage(&mut self, end: Duration) -> anyhow::Result<()> {
        while now() < end {
            until(now() + self.dice.millis(20, 250)).await;
            self.end_what_is_due(now()).await?;
            if self.dice.chance(self.climate.trouble_percent) {
                self.begin_something().await?;
            }
            self.check().await?;
        }
        Ok(())
    }

    /// Ends all trouble.
    pub async fn end(&mut self) -> anyhow::Result<()> {
        self.end_what_is_due(Duration::MAX).await?;
        for gateway in &self.gateways {
            gateway.clock.set(0);
        }
        self.outside.witness.note("all trouble ends");
        self.check().await
    }

    /// Gateways, all of which are up once all trouble has ended.
    pub fn doors(&self) -> Vec<Door> {
        self.gateways.iter().filter_map(Gateway::door).collect()
    }

    /// Stops everything in order. Returns the tasks that did not end by themselves.
    pub async fn stop(mut self) -> Vec<String> {
        let mut aborted = Vec::new();
        for gateway in &mut self.gateways {
            aborted.extend(gateway.stop().await);
        }
        aborted.extend(self.miners.stop().await);
        aborted
    }

    async fn rise(&mut self, gateway: usize) -> anyhow::Result<()> {
        self.gateways[gateway].rise().await?;
        self.users.doors.lock()[gateway] = self.gateways[gateway].door();
        Ok(())
    }

    async fn begin_something(&mut self) -> anyhow::Result<()> {
        let gateway = self.dice.index(self.gateways.len());
        let other = (gateway + 1 + self.dice.index(self.gateways.len() - 1)) % self.gateways.len();
        match self.dice.below(24) {
            0..=2 => self.kill(gateway)?,
            3 => self.stop_in_order(gateway).await,
            4..=5 => self.pause(gateway).await,
            6 => self.cut(Cut::Chain(gateway), 9_000),
            7 => self.cut(Cut::Miners(gateway), 9_000),
            8 => {
                let miner = self.dice.index(MINERS);
                self.cut(Cut::Miner(gateway, miner), 6_000);
            }
            9..=10 => self.cut(Cut::Peers(gateway, other), 9_000),
            11 => self.cut(Cut::Depot(gateway), 4_000),
            12 => self.cut(Cut::SlowChain, 9_000),
            13 => self.cut(Cut::MuteChain, 6_000),
            14..=17 => self.trouble_a_miner()?,
            18 => self.set_clock(gateway),
            19..=20 => self.flush(),
            21..=22 => self.round_at(gateway),
            _ => self.isolate(gateway),
        }
        Ok(())
    }

    fn kill(&mut self, gateway: usize) -> anyhow::Result<()> {
        if !self.gateways[gateway].is_up() {
            return Ok(());
        }
        self.resumes[gateway] = None;
        self.users.doors.lock()[gateway] = None;
        self.rises[gateway] = Some(now() + self.dice.millis(50, 9_000));
        let with_disk = self.dice.chance(40);
        self.gateways[gateway].kill(with_disk)
    }

    async fn stop_in_order(&mut self, gateway: usize) {
        if !self.gateways[gateway].is_up() || self.resumes[gateway].is_some() {
            return;
        }
        self.users.doors.lock()[gateway] = None;
        self.outside.witness.count(Sometimes::Stopped);
        self.rises[gateway] = Some(now() + self.dice.millis(50, 4_000));
        // What does not end by itself then is cut off from what it waits for.
        self.gateways[gateway].stop().await;
    }

    async fn pause(&mut self, gateway: usize) {
        if self.resumes[gateway].is_none() && self.gateways[gateway].pause().await {
            self.resumes[gateway] = Some(now() + self.dice.millis(200, 9_000));
            self.outside.witness.count(Sometimes::Paused);
            self.outside.witness.note(&format!("g{gateway} is frozen"));
        }
    }

    fn cut(&mut self, cut: Cut, longest_ms: u64) {
        let ends = now() + self.dice.millis(200, longest_ms);
        self.outside.witness.note(&format!("cut {cut:?}"));
        self.outside.witness.count(match cut {
            Cut::Chain(_) => Sometimes::CutFromChain,
            Cut::Miners(_) => Sometimes::CutFromMiners,
            Cut::Miner(..) => Sometimes::CutFromOneMiner,
            Cut::Peers(..) => Sometimes::CutFromEachOther,
            Cut::Depot(_) => Sometimes::CutFromDepot,
            Cut::SlowChain => Sometimes::ChainSlow,
            Cut::MuteChain => Sometimes::ChainMute,
        });
        self.cuts.push((ends, cut));
        self.apply();
    }

    /// A gateway is cut off from all that could tell it of others, and not from its clients.
    fn isolate(&mut self, gateway: usize) {
        self.cut(Cut::Chain(gateway), 12_000);
        let ends = self.cuts.last().map(|(ends, _)| *ends).unwrap_or_default();
        self.cuts.push((ends, Cut::Miners(gateway)));
        for other in (0..self.gateways.len()).filter(|other| *other != gateway) {
            self.cuts.push((ends, Cut::Peers(gateway, other)));
        }
        self.apply();
    }

    /// One at a time, and the next one not before the last one's journals are whole again.
    fn trouble_a_miner(&mut self) -> anyhow::Result<()> {
        if self.ailing.is_some() || now() < self.sound_since + MINER_REST {
            return Ok(());
        }
        let miner = self.dice.index(MINERS);
        let mut ailing = Ailing {
            miner,
            ends: now() + self.dice.millis(100, 5_000),
            emptied: false,
            slow: false,
            other: None,
            over: false,
        };
        match self.dice.below(6) {
            0 => self.miners.fall(miner, Fall::Killed)?,
            1 => self.miners.fall(miner, Fall::PowerLost)?,
            4 => {
                (ailing.other, ailing.ends) = (self.lose_another(miner)?, now() + self.dice.millis(8_000, 20_000));
            }
            2 | 3 if self.journals_are_whole() => {
                ailing.emptied = true;
                self.miners.fall(miner, Fall::DiskLost)?;
            }
            _ => {
                ailing.slow = true;
                self.outside.witness.count(Sometimes::MinerSlow);
                self.outside.witness.note(&format!("m{miner} is slow"));
            }
        }
        self.ailing = Some(ailing);
        self.apply();
        Ok(())
    }

    /// Another miner of a journal goes down together with this one; this one alone if no open journal lies on it. Their disks
    /// come back with them: an owner may die before its journal lies elsewhere.
    fn lose_another(&mut self, miner: usize) -> anyhow::Result<Option<usize>> {
        let fall = if self.dice.chance(50) { Fall::Killed } else { Fall::PowerLost };
        let on_both = |other: &usize| {
            let both = [miner, *other].map(miners::account);
            let mut open = self.doors().into_iter().flat_map(|door| door.opener.open());
            open.any(|(_, session)| both.iter().all(|account| session.members().contains(account)))
        };
        let mut others: Vec<usize> = (0..MINERS).filter(|other| *other != miner).filter(on_both).collect();
        self.miners.fall(miner, fall)?;
        if others.is_empty() {
            return Ok(None);
        }
        let other = others.swap_remove(self.dice.index(others.len()));
        self.outside.witness.count(Sometimes::TwoMinersAway);
        self.miners.fall(other, fall)?;
        Ok(Some(other))
    }

    /// Whether every bucket is open, and every miner of its journal does what is asked.
    fn journals_are_whole(&self) -> bool {
        self.open_on(|session| session.is_sound())
    }

    fn open_on(&self, holds: impl Fn(&super::sessions::OpenBucket) -> bool) -> bool {
        let doors = self.doors();
        self.outside.places.iter().all(|place| {
            let sessions = doors.iter().flat_map(|door| door.opener.open());
            let mut here = sessions.filter(|(open, _)| open.id == place.id);
            let served = |door: &Door| door.gateways.served().contains(&key_of(place));
            doors.iter().any(served) && here.any(|(_, session)| holds(&session))
        })
    }

    async fn tend_the_ailing(&mut self, time: Duration) -> anyhow::Result<()> {
        let Some(mut ailing) = self.ailing else { return Ok(()) };
        if !ailing.over && ailing.ends <= time {
            if let Some(other) = ailing.other {
                self.miners.rise(other).await?;
            }
            self.miners.rise(ailing.miner).await?;
            ailing.over = true;
            self.ailing = Some(ailing);
            self.apply();
        }
        let account = miners::account(ailing.miner);
        let healed = match ailing.emptied {
            true => self.open_on(|session| session.is_sound() && !session.members().contains(&account)),
            false => true,
        };
        if ailing.over && healed {
            self.ailing = None;
            self.sound_since = now();
        }
        Ok(())
    }

    fn set_clock(&mut self, gateway: usize) {
        let millis = self.dice.below(2 * AHEAD_MAX_MS + 1);
        let ahead = i64::try_from(millis).expect("seconds fit") - i64::try_from(AHEAD_MAX_MS).expect("seconds fit");
        self.gateways[gateway].clock.set(ahead);
        self.outside.witness.count(Sometimes::ClockSet);
        self.outside.witness.note(&format!("g{gateway} is {ahead} ms ahead"));
    }

    /// Has some open bucket write its tables.
    fn flush(&mut self) {
        let open: Vec<_> = self
            .doors()
            .into_iter()
            .flat_map(|door| {
                door.opener.open().into_iter().map(move |(place, session)| (door.handle.clone(), place, session))
            })
            .collect();
        if open.is_empty() {
            return;
        }
        let (handle, place, session) = open[self.dice.index(open.len())].clone();
        let witness = self.outside.witness.clone();
        handle.spawn(async move {
            if session.flush().await.is_ok() {
                witness.count(Sometimes::Flushed);
                witness.note(&format!("`{}` wrote tables", place.name));
            }
        });
    }

    /// A round of upkeep out of turn, by whoever, owner or not.
    fn round_at(&mut self, gateway: usize) {
        let Some(door) = self.gateways[gateway].door() else { return };
        let place = self.outside.places[self.dice.index(self.outside.places.len())].clone();
        let outside = self.outside.clone();
        door.handle.clone().spawn(async move {
            if let Ok(done) = door.objects.maintain(&place).await {
                outside.note_round(&place, &done);
            }
        });
    }

    async fn end_what_is_due(&mut self, time: Duration) -> anyhow::Result<()> {
        let cuts = self.cuts.len();
        self.cuts.retain(|(ends, _)| *ends > time);
        if self.cuts.len() < cuts {
            self.apply();
        }
        self.tend_the_ailing(time).await?;
        for gateway in 0..self.gateways.len() {
            if self.resumes[gateway].take_if(|ends| *ends <= time).is_some() {
                self.gateways[gateway].resume();
                self.outside.witness.note(&format!("g{gateway} goes on"));
            }
            if self.rises[gateway].take_if(|ends| *ends <= time).is_some() {
                self.rise(gateway).await?;
            }
        }
        Ok(())
    }

    fn is_cut(&self, cut: Cut) -> bool {
        self.cuts.iter().any(|(_, other)| *other == cut)
    }

    fn apply(&self) {
        let (hub, most) = (&self.outside.hub, self.climate.latency_max_ms);
        let rule = |partitioned, extra| LinkRule {
            latency: Duration::from_millis(extra),
            jitter: Duration::from_millis(most),
            partitioned,
            ..LinkRule::default()
        };
        for one in 0..self.gateways.len() {
            for other in 0..one {
                let cut = self.is_cut(Cut::Peers(one, other)) || self.is_cut(Cut::Peers(other, one));
                hub.set_link(gateway::peer(one), gateway::peer(other), rule(cut, 0));
            }
            for miner in 0..MINERS {
                let cut = self.is_cut(Cut::Miners(one)) || self.is_cut(Cut::Miner(one, miner));
                let slow = self.ailing.is_some_and(|ailing| ailing.miner == miner && ailing.slow && !ailing.over);
                hub.set_link(gateway::peer(one), miners::peer(miner), rule(cut, if slow { 900 } else { 0 }));
            }
            self.outside.chain.cut(one, self.is_cut(Cut::Chain(one)));
            self.outside.depot.cut(one, self.is_cut(Cut::Depot(one)));
        }
        self.outside.chain.disturb(self.is_cut(Cut::SlowChain), self.is_cut(Cut::MuteChain));
    }

    /// Fails the run at once if something happened that must not.
    async fn check(&self) -> anyhow::Result<()> {
        self.outside.witness.check()?;
        for (number, gateway) in self.gateways.iter().enumerate() {
            if let Some(why) = gateway.failure().await {
                anyhow::bail!("{}VIOLATION: g{number} failed: {why}", self.outside.witness.trace());
            }
        }
        Ok(())
    }
}
