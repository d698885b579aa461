//! What every service of a node stands on: supervised tasks, ordered shutdown, the event bus, clock, randomness, compute
//! threads, visible workers, metrics and logs.
//!
//! Owns how a node lives and ends. Must not know the domain: no blocks, no fragments, no peers beyond their count.
//! Invariants: nothing here is global to the process except the log subscriber, so that one process can hold a whole
//! localnet; every queue is bounded; no lock is held across an await.

mod bus;
mod clock;
mod cpu;
mod kill;
mod metrics;
mod node;
pub mod process;
mod rng;
mod secret;
pub mod signals;
mod tasks;
pub mod telemetry;
mod workers;

pub use bus::{BUS_TOPIC_MAX_EVENTS, Bus, BusError, Event, Subscription};
pub use clock::{Clock, ManualClock, SystemClock};
pub use cpu::{CPU_POOL_MAX_QUEUED, CpuPool};
pub use kill::KillSwitch;
pub use metrics::{Counter, Gauge, Metrics, Timer};
pub use node::Node;
pub use process::{NodeRuntime, ProcessError};
pub use rng::NodeRng;
pub use secret::Secret;
pub use signals::{EXIT_FORCED, Signals};
pub use tasks::{Criticality, Phase, Tasks};
pub use workers::{Worker, WorkerState, WorkerStatus, Workers};
