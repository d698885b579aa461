//! What clients did and saw, key by key, and whether one order explains it all.
//!
//! Owns values (every write has its own) and the search for an order: each operation takes effect at one moment between its question and
//! its answer; one without an answer at any moment after its question, or never.

use crate::machine::now;
use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write,
    time::Duration,
};

/// Which object: the bucket's number and the key.
pub type Target = (usize, String);

/// What a client saw, or what its operation does when it takes effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The object has this value from then on.
    Set(u64),
    /// The same if there was none; nothing otherwise.
    SetIfNone(u64),
    /// It has one of these, which one is not known.
    SetOneOf(Vec<u64>),
    /// It has a value that another object had.
    SetFrom(Target),
    /// There is none.
    Clear,
    /// This is its value, or there is none.
    Seen(Option<u64>),
    /// There is one, whichever.
    SeenSome,
}

/// An operation on one key.
#[derive(Debug, Clone)]
struct Event {
    effect: Effect,
    begin: Duration,
    /// `None`: no answer came.
    end: Option<Duration>,
}

/// All operations of a run.
#[derive(Default)]
pub struct History(Mutex<Log>);

#[derive(Default)]
struct Log {
    events: BTreeMap<Target, Vec<Event>>,
    /// Values written to a key, by anybody, whatever came of it.
    tried: BTreeMap<Target, BTreeSet<u64>>,
}

impl History {
    /// Somebody is about to write a value to a key.
    pub fn trying(&self, target: &Target, value: u64) {
        self.0.lock().tried.entry(target.clone()).or_default().insert(value);
    }

    /// Keys of a bucket that somebody wrote to, or tried to.
    pub fn keys(&self, bucket: usize) -> Vec<String> {
        let log = self.0.lock();
        let targets = log.tried.keys().filter(|(of, _)| *of == bucket);
        targets.map(|(_, key)| key.clone()).collect()
    }

    /// An operation that was asked for at `begin` and answered now.
    pub fn answered(&self, target: &Target, begin: Duration, effect: Effect) {
        self.add(target, Event { effect, begin, end: Some(now()) });
    }

    /// An operation that was asked for at `begin` and never answered.
    pub fn unanswered(&self, target: &Target, begin: Duration, effect: Effect) {
        self.add(target, Event { effect, begin, end: None });
    }

    fn add(&self, target: &Target, event: Event) {
        self.0.lock().events.entry(target.clone()).or_default().push(event);
    }

    /// Unanswered writes whose values somebody saw.
    pub fn surprises(&self) -> usize {
        let log = self.0.lock();
        let seen = |events: &[Event], value: u64| events.iter().any(|event| event.effect == Effect::Seen(Some(value)));
        let surprising = |events: &Vec<Event>| {
            let late = events.iter().filter(|event| event.end.is_none());
            late.filter(
                |event| matches!(event.effect, Effect::Set(value) | Effect::SetIfNone(value) if seen(events, value)),
            )
            .count()
        };
        log.events.values().map(surprising).sum()
    }

    /// The keys whose history no order explains, with their histories.
    pub fn unexplained(&self) -> Vec<String> {
        let log = self.0.lock();
        let mut wrong = Vec::new();
        for ((bucket, key), events) in &log.events {
            let events: Vec<Event> = events.iter().map(|event| log.resolved(event)).collect();
            if !explain(&events) {
                wrong.push(told(*bucket, key, &events));
            }
        }
        wrong
    }
}

impl Log {
    /// A copy without an answer may have taken any value its source ever had.
    fn resolved(&self, event: &Event) -> Event {
        let Effect::SetFrom(source) = &event.effect else { return event.clone() };
        let values = self.tried.get(source).into_iter().flatten().copied().collect();
        Event { effect: Effect::SetOneOf(values), ..event.clone() }
    }
}

fn told(bucket: usize, key: &str, events: &[Event]) -> String {
    let mut text = format!("no order explains key `{key}` of bucket {bucket}:\n");
    let mut events = events.to_vec();
    events.sort_by_key(|event| event.begin);
    for Event { effect, begin, end } in &events {
        let end = end.map_or("never".to_owned(), |end| format!("{:.6}", end.as_secs_f64()));
        writeln!(text, "  {:.6} to {end}: {effect:?}", begin.as_secs_f64()).expect("writing to memory cannot fail");
    }
    text
}

/// Whether an order explains the history: a search over which operations have taken effect, and the value then.
fn explain(events: &[Event]) -> bool {
    let mut events: Vec<&Event> = events.iter().filter(|event| matters(event, events)).collect();
    events.sort_by_key(|event| event.begin);
    let (mut known, mut open) = (HashSet::new(), vec![(vec![false; events.len()], None)]);
    while let Some((done, value)) = open.pop() {
        if !known.insert((done.clone(), value)) {
            continue;
        }
        let rest = || (0..events.len()).filter(|place| !done[*place]);
        // Nothing may take effect after something that was answered before it was asked for.
        let Some(horizon) = rest().filter_map(|place| events[place].end).min() else { return true };
        for place in rest().take_while(|place| events[*place].begin <= horizon) {
            for next in outcomes(events[place], value) {
                let mut done = done.clone();
                done[place] = true;
                open.push((done, next));
            }
        }
    }
    false
}

/// Unanswered writes that nobody saw explain nothing but a condition that did not hold.
fn matters(event: &Event, events: &[Event]) -> bool {
    if event.end.is_some() || events.iter().any(|other| other.effect == Effect::SeenSome) {
        return true;
    }
    let seen = |value: &u64| events.iter().any(|other| other.effect == Effect::Seen(Some(*value)));
    match &event.effect {
        Effect::Set(value) | Effect::SetIfNone(value) => seen(value),
        Effect::SetOneOf(values) => values.iter().any(seen),
        Effect::Clear => true,
        Effect::SetFrom(_) | Effect::Seen(_) | Effect::SeenSome => false,
    }
}

/// Values there can be after an operation took effect; none where it cannot have.
fn outcomes(event: &Event, value: Option<u64>) -> Vec<Option<u64>> {
    match &event.effect {
        Effect::Set(new) => vec![Some(*new)],
        Effect::SetIfNone(new) if value.is_none() => vec![Some(*new)],
        // Without an answer it may have been refused.
        Effect::SetIfNone(_) if event.end.is_none() => vec![value],
        Effect::SetIfNone(_) => Vec::new(),
        Effect::SetOneOf(values) => values.iter().map(|value| Some(*value)).collect(),
        Effect::Clear => vec![None],
        Effect::Seen(seen) if *seen == value => vec![value],
        Effect::SeenSome if value.is_some() => vec![value],
        Effect::SetFrom(_) | Effect::Seen(_) | Effect::SeenSome => Vec::new(),
    }
}

mod tests {
    use super::{Duration, Effect, Event, explain};

    fn event(begin: u64, end: Option<u64>, effect: Effect) -> Event {
        Event { effect, begin: Duration::from_secs(begin), end: end.map(Duration::from_secs) }
    }

    #[test]
    fn what_was_overwritten_does_not_come_back() {
        use Effect::{Clear, Seen, Set, SetIfNone, SetOneOf};
        let story = [event(0, Some(1), Set(1)), event(2, None, Set(2)), event(3, Some(9), Set(3))];
        let with = |more: &[Event]| explain(&[&story[..], more].concat());
        let see = |at, value| event(at, Some(at + 1), Seen(value));
        assert!(with(&[see(4, Some(2)), see(6, Some(3))]));
        assert!(with(&[see(4, Some(3)), see(6, Some(2))]), "who was never answered may come last");
        assert!(with(&[see(10, Some(3)), see(12, Some(2))]));
        assert!(!with(&[see(4, Some(2)), see(6, Some(3)), see(8, Some(2))]), "it comes twice");
        assert!(!with(&[see(10, Some(1))]), "it was overwritten");
        assert!(!with(&[see(10, None)]));
        assert!(with(&[event(5, None, Clear), see(10, None)]));
        assert!(!with(&[event(10, Some(11), SetIfNone(4))]));
        assert!(with(&[event(10, None, SetIfNone(4)), see(12, Some(3))]));
        assert!(with(&[event(10, Some(11), SetOneOf(vec![7, 8])), see(12, Some(8))]));
        assert!(!with(&[event(10, Some(11), SetOneOf(vec![7, 8])), see(12, Some(9))]));
    }
}
