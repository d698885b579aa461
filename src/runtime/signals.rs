//! Ctrl-C and SIGTERM: the first asks for a phased shutdown, the second forces the process to end.

use std::{future::Future, io};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code of a forced end: 128 + SIGINT, as shells expect.
pub const EXIT_FORCED: i32 = 130;

/// Listens for requests to end. From its creation on, the signals no longer end the process by themselves.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Starts listening. Must be called inside an async runtime.
    pub fn install() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next signal and returns its name.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// Runs `shutdown`; a signal in the meantime ends the process at once with [`EXIT_FORCED`].
    pub async fn unless_forced<T>(&mut self, shutdown: impl Future<Output = T>) -> T {
        tokio::select! {
            done = shutdown => done,
            name = self.next() => {
                tracing::warn!(signal = name, "second signal, ending without waiting");
                std::process::exit(EXIT_FORCED)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_is_delivered_and_shutdown_runs_through() {
        let mut signals = Signals::install().expect("signal handlers can be installed");
        // SAFETY: raises a signal for which a handler is installed.
        assert_eq!(unsafe { libc::raise(libc::SIGTERM) }, 0);
        let deadline = std::time::Duration::from_secs(5);
        assert_eq!(tokio::time::timeout(deadline, signals.next()).await, Ok("SIGTERM"));
        assert_eq!(signals.unless_forced(async { 3 }).await, 3);
    }
}
