//! The context every service of a node takes by reference.

use super::{Bus, Clock, CpuPool, KillSwitch, Metrics, NodeRng, SystemClock, Tasks, Workers};
use std::sync::Arc;

/// What the services of one node share. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    /// Name in logs, metrics and listings.
    pub name: String,
    /// Supervisor of every task.
    pub tasks: Tasks,
    /// Facts between services.
    pub bus: Bus,
    /// Wall time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: NodeRng,
    /// Visible background jobs.
    pub workers: Workers,
    /// Counters, gauges, timers.
    pub metrics: Metrics,
    /// Compute threads, possibly shared with other nodes of the process.
    pub pool: CpuPool,
    /// Owners of files register here to close them when the node is killed in-process.
    pub kill: KillSwitch,
}

impl Node {
    /// A node on the system clock and the operating system's randomness.
    pub fn new(name: &str, pool: CpuPool) -> Self {
        Self {
            name: name.to_owned(),
            tasks: Tasks::new(name),
            bus: Bus::new(),
            clock: Arc::new(SystemClock),
            rng: NodeRng::from_os(),
            workers: Workers::new(),
            metrics: Metrics::new(name),
            pool,
            kill: KillSwitch::new(),
        }
    }

    /// The same node on another clock and generator; for tests and simulations.
    pub fn with_ports(mut self, clock: Arc<dyn Clock>, rng: NodeRng) -> Self {
        self.clock = clock;
        self.rng = rng;
        self
    }
}
