//! Failures of one thing, for the log: told at once when they begin or change, seldom while they last, and when they are over.
//! A thing that fails now and then is bounded by a [`LineBudget`]: it must not fill the log either.

use crate::model::{LOG_REPEAT_INTERVAL, LineBudget, format_duration};
use std::time::Duration;

/// Times are of the monotonic clock. Gives lines and writes none.
#[derive(Default)]
pub(super) struct Trouble {
    lasting: Option<Lasting>,
    budget: LineBudget,
}

struct Lasting {
    since: Duration,
    failures: u64,
    /// When and what the log was told last; `None` if the budget was spent.
    told: Option<(Duration, String)>,
}

impl Trouble {
    /// Takes down a failure. Returns the line for the log, if one is due.
    pub fn failed(&mut self, now: Duration, text: &dyn std::fmt::Display) -> Option<String> {
        let lasting = self.lasting.get_or_insert(Lasting { since: now, failures: 0, told: None });
        lasting.failures += 1;
        let text = text.to_string();
        let is_due = match &lasting.told {
            Some((told_at, _)) if now >= *told_at + LOG_REPEAT_INTERVAL => true,
            Some((_, told)) if *told == text => false,
            _ => self.budget.take(now),
        };
        if !is_due {
            return None;
        }
        let line = match lasting.failures {
            1 => text.clone(),
            failures => format!("{text} ({failures} failures in {})", in_seconds(now - lasting.since)),
        };
        lasting.told = Some((now, text));
        Some(line)
    }

    /// Takes down a success. Returns a line if the log was told of the failure before.
    pub fn succeeded(&mut self, now: Duration) -> Option<String> {
        let lasting = self.lasting.take().filter(|lasting| lasting.told.is_some())?;
        Some(format!("works again after {}, {} failures", in_seconds(now - lasting.since), lasting.failures))
    }

    /// Failures in a row so far.
    pub fn failures(&self) -> u64 {
        self.lasting.as_ref().map_or(0, |lasting| lasting.failures)
    }
}

fn in_seconds(duration: Duration) -> String {
    format_duration(Duration::from_secs(duration.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_lasts_is_said_once_and_then_seldom() {
        let mut trouble = Trouble::default();
        let lines: Vec<String> =
            (0..1300).filter_map(|s| trouble.failed(Duration::from_secs(s), &"connection refused")).collect();
        assert_eq!(
            lines,
            [
                "connection refused",
                "connection refused (601 failures in 10m)",
                "connection refused (1201 failures in 20m)"
            ]
        );
        let over = trouble.succeeded(Duration::from_secs(1300)).unwrap();
        assert_eq!(over, "works again after 21m40s, 1300 failures");
        assert_eq!(trouble.succeeded(Duration::from_secs(1301)), None);
    }

    #[test]
    fn what_fails_every_other_time_does_not_fill_the_log() {
        let mut trouble = Trouble::default();
        let mut lines = 0;
        for second in (0..6000).map(Duration::from_secs) {
            let is_bad = second.as_secs().is_multiple_of(2);
            let line = if is_bad { trouble.failed(second, &"timeout") } else { trouble.succeeded(second) };
            lines += usize::from(line.is_some());
        }
        assert_eq!(lines, 2 * (10 + 9), "a burst, then its beginning and its end every ten minutes");
    }

    /// After one fault was over, each other fault of the same thing was silent for ten minutes: of eight kinds of bad answers one was
    /// logged.
    #[test]
    fn another_fault_is_said_at_once() {
        let mut trouble = Trouble::default();
        let mut lines = Vec::new();
        for second in 0..4 {
            lines.extend(trouble.failed(Duration::from_secs(10 * second), &format!("kind {second}")));
            lines.extend(trouble.failed(Duration::from_secs(10 * second + 1), &format!("kind {second}")));
            if second > 1 {
                lines.extend(trouble.succeeded(Duration::from_secs(10 * second + 2)));
            }
        }
        assert_eq!(
            lines,
            [
                "kind 0",
                "kind 1 (3 failures in 10s)",
                "kind 2 (5 failures in 20s)",
                "works again after 22s, 6 failures",
                "kind 3",
                "works again after 2s, 2 failures"
            ]
        );
    }
}
