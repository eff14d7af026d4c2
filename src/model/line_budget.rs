//! How many lines the log may get about the faults of one thing.

use crate::limits::LOG_LINES_BURST;
use std::time::Duration;

/// How often one fault that lasts is repeated in the log, and how often a line is added to the budget.
pub const LOG_REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// A burst of lines, then one each [`LOG_REPEAT_INTERVAL`]: a new fault is told at once, and one that comes and goes can't fill the
/// log. Times are of the monotonic clock.
pub struct LineBudget {
    left: u32,
    refilled_at: Duration,
}

impl Default for LineBudget {
    fn default() -> Self {
        LineBudget { left: LOG_LINES_BURST, refilled_at: Duration::ZERO }
    }
}

impl LineBudget {
    /// Takes one line; `false` if none is left.
    pub fn take(&mut self, now: Duration) -> bool {
        let elapsed = now.saturating_sub(self.refilled_at);
        let intervals = elapsed.as_secs() / LOG_REPEAT_INTERVAL.as_secs();
        if intervals > 0 {
            // Saturates far past the burst.
            self.left = self.left.saturating_add(intervals as u32).min(LOG_LINES_BURST);
            self.refilled_at = now;
        }
        let is_left = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_one_line_each_interval() {
        let mut budget = LineBudget::default();
        let hour = (0..3600).filter(|second| budget.take(Duration::from_secs(*second))).count();
        assert_eq!(hour, LOG_LINES_BURST as usize + 5);
        assert!(budget.take(Duration::from_secs(1 << 40)), "a long time brings no overflow");
    }
}
