//! The typed event bus: facts in the past tense, one ordered topic per event type.
//!
//! Owns topics and their bound. Must not know what an event means. Commands never travel here.
//! Invariants: subscribers of a topic see its events in the order they were published; a subscriber that falls more than
//! [`BUS_TOPIC_MAX_EVENTS`] behind is told how many it lost and never blocks a publisher.

use parking_lot::Mutex;
use std::{
    any::{Any, TypeId},
    collections::HashMap,
    sync::Arc,
};
use tokio::sync::broadcast;

/// Events one topic keeps for its slowest subscriber.
pub const BUS_TOPIC_MAX_EVENTS: usize = 1024;

/// A fact other services may want to hear about.
pub trait Event: Clone + Send + Sync + 'static {}

/// Why no event was received.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The subscriber was too slow; the number of events it lost. It must resync from the owner's store.
    #[error("subscriber lost {0} events, the topic keeps {BUS_TOPIC_MAX_EVENTS}")]
    Lagged(u64),
    /// Every handle of the bus is gone.
    #[error("event bus is closed")]
    Closed,
}

/// Handle of a node's bus. Cheap to clone.
#[derive(Clone, Default)]
pub struct Bus {
    topics: Arc<Mutex<HashMap<TypeId, Box<dyn Any + Send + Sync>>>>,
}

/// One subscriber of the events of type `E`.
pub struct Subscription<E: Event> {
    events: broadcast::Receiver<E>,
}

impl Bus {
    /// A bus without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Hands `event` to every subscriber of its type. Never waits.
    pub fn publish<E: Event>(&self, event: E) {
        // The lock covers the send, so that two publishers cannot be seen in different orders.
        let topics = self.topics.lock();
        if let Some(sender) =
            topics.get(&TypeId::of::<E>()).and_then(|topic| topic.downcast_ref::<broadcast::Sender<E>>())
        {
            // An error only says that nobody listens any more.
            let _ = sender.send(event);
        }
    }

    /// Subscribes to events of type `E` published from now on.
    pub fn subscribe<E: Event>(&self) -> Subscription<E> {
        let mut topics = self.topics.lock();
        let topic = topics
            .entry(TypeId::of::<E>())
            .or_insert_with(|| Box::new(broadcast::channel::<E>(BUS_TOPIC_MAX_EVENTS).0));
        let sender = topic.downcast_ref::<broadcast::Sender<E>>().expect("topics are keyed by the type they carry");
        Subscription { events: sender.subscribe() }
    }
}

impl<E: Event> Subscription<E> {
    /// The next event in order. After [`BusError::Lagged`] the subscription goes on with the oldest event still kept.
    pub async fn recv(&mut self) -> Result<E, BusError> {
        self.events.recv().await.map_err(|error| match error {
            broadcast::error::RecvError::Lagged(lost) => BusError::Lagged(lost),
            broadcast::error::RecvError::Closed => BusError::Closed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Ticked(usize);
    impl Event for Ticked {}

    #[derive(Debug, Clone, PartialEq)]
    struct Named(String);
    impl Event for Named {}

    #[tokio::test]
    async fn topics_are_separate_and_ordered() {
        let bus = Bus::new();
        let (mut first, mut second) = (bus.subscribe::<Ticked>(), bus.subscribe::<Ticked>());
        let mut names = bus.subscribe::<Named>();
        for tick in 0..100 {
            bus.publish(Ticked(tick));
        }
        bus.publish(Named("a".into()));
        for tick in 0..100 {
            assert_eq!(first.recv().await, Ok(Ticked(tick)));
            assert_eq!(second.recv().await, Ok(Ticked(tick)));
        }
        assert_eq!(names.recv().await, Ok(Named("a".into())));
    }

    #[tokio::test]
    async fn slow_subscriber_learns_how_much_it_lost() {
        let bus = Bus::new();
        let mut slow = bus.subscribe::<Ticked>();
        for tick in 0..BUS_TOPIC_MAX_EVENTS + 7 {
            bus.publish(Ticked(tick));
        }
        assert_eq!(slow.recv().await, Err(BusError::Lagged(7)));
        assert_eq!(slow.recv().await, Ok(Ticked(7)));
    }

    #[tokio::test]
    async fn subscription_ends_with_the_bus() {
        let bus = Bus::new();
        let mut last = bus.subscribe::<Ticked>();
        bus.publish(Ticked(1));
        drop(bus);
        assert_eq!(last.recv().await, Ok(Ticked(1)));
        assert_eq!(last.recv().await, Err(BusError::Closed));
    }

    #[test]
    fn publishing_to_nobody_is_fine() {
        let bus = Bus::new();
        bus.publish(Ticked(0));
        drop(bus.subscribe::<Ticked>());
        bus.publish(Ticked(1));
    }
}
