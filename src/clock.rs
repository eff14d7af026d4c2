//! Time as a parameter. The only place that asks the system for it is [`SystemClock`].

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where the agent has the time from.
pub trait Clock {
    /// Milliseconds since 1970 by the wall clock, which may jump either way.
    fn wall_ms(&self) -> i64;

    /// Time since some fixed moment; never goes back, and is what timers are set by.
    fn monotonic(&self) -> Duration;
}

/// The machine's own clocks.
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    pub fn new() -> Self {
        SystemClock { origin: Instant::now() }
    }

    /// The instant at which [`Clock::monotonic`] will give `at`: what a timer is set to.
    pub fn instant(&self, at: Duration) -> Instant {
        self.origin + at
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => since.as_millis() as i64,
            Err(before) => -(before.duration().as_millis() as i64),
        }
    }

    fn monotonic(&self) -> Duration {
        self.origin.elapsed()
    }
}
