//! What happened to the agent, and what follows from it for each page.

use crate::pages::Page;

/// A page served so shortly before SIGTERM may have been under way still.
const IN_FLIGHT_MS: i64 = 250;

/// Milliseconds since 1970 throughout.
#[derive(Clone, Copy)]
pub struct Story {
    pub commit_interval_ms: i64,
    /// SIGKILL.
    pub killed_ms: Option<i64>,
    /// SIGTERM.
    pub stopped_ms: i64,
}

impl Story {
    /// Whether the receivers must have the page. Not so if the agent cannot have had it, or may lose it: with a power cut
    /// go the last `commit_interval` of samples, and a second for committing them.
    pub fn must_arrive(&self, page: &Page) -> bool {
        let Some(served_ms) = page.served_ms else { return false };
        let lost_from_ms = |killed_ms| killed_ms - self.commit_interval_ms - 1000;
        let may_be_lost = self.killed_ms.is_some_and(|at| page.asked_ms < at && served_ms > lost_from_ms(at));
        !may_be_lost && served_ms <= self.stopped_ms - IN_FLIGHT_MS
    }

    /// Which of the agent's runs asked for the page.
    pub fn run(&self, asked_ms: i64) -> usize {
        usize::from(self.killed_ms.is_some_and(|killed_ms| asked_ms >= killed_ms))
    }
}
