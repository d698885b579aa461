//! What must happen at the very moment a node is killed inside a process that lives on.
//!
//! Owns the list of hooks. A real `kill -9` takes the open files with it; in-process the owners of files register here to
//! refuse every later call, so that no straggling thread of a dead node writes where its successor already works.

use parking_lot::Mutex;
use std::sync::Arc;

type Hook = Box<dyn FnOnce(&str) + Send>;

#[derive(Default)]
struct State {
    hooks: Vec<Hook>,
    killed: Option<String>,
}

/// The hooks of one node. Cheap to clone.
#[derive(Clone, Default)]
pub struct KillSwitch {
    state: Arc<Mutex<State>>,
}

impl KillSwitch {
    /// A switch that has not been pulled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Calls `hook` with the reason when the node is killed, or at once if it already was. Hooks must not block.
    pub fn on_kill(&self, hook: impl FnOnce(&str) + Send + 'static) {
        let mut state = self.state.lock();
        match state.killed.clone() {
            None => state.hooks.push(Box::new(hook)),
            Some(reason) => {
                drop(state);
                hook(&reason);
            }
        }
    }

    /// Runs every hook once.
    pub fn pull(&self, reason: &str) {
        let hooks = {
            let mut state = self.state.lock();
            state.killed.get_or_insert_with(|| reason.to_owned());
            std::mem::take(&mut state.hooks)
        };
        for hook in hooks {
            hook(reason);
        }
    }

    /// Whether the node was killed.
    pub fn is_killed(&self) -> bool {
        self.state.lock().killed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn hooks_run_once_and_late_ones_at_once() {
        let switch = KillSwitch::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = |calls: &Arc<AtomicUsize>| {
            let calls = calls.clone();
            move |reason: &str| {
                assert_eq!(reason, "test");
                calls.fetch_add(1, Ordering::SeqCst);
            }
        };
        switch.on_kill(count(&calls));
        assert!(!switch.is_killed());
        switch.pull("test");
        switch.pull("again");
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        switch.on_kill(count(&calls));
        assert_eq!(calls.load(Ordering::SeqCst), 2);
        assert!(switch.is_killed());
    }
}
