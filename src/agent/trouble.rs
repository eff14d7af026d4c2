//! Failures of one thing, one after the other: spoken of when they begin, seldom while they last, and when they are over.

use crate::model::format_duration;
use std::time::Duration;

/// How often a failure that lasts is spoken of.
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// Times are of the monotonic clock. Gives lines and writes none.
#[derive(Default)]
pub(super) struct Trouble {
    lasting: Option<Lasting>,
}

struct Lasting {
    since: Duration,
    spoken_at: Duration,
    failures: u64,
}

impl Trouble {
    /// It failed. The line for the log, if one is due.
    pub fn failed(&mut self, now: Duration, text: &dyn std::fmt::Display) -> Option<String> {
        let Some(lasting) = &mut self.lasting else {
            self.lasting = Some(Lasting { since: now, spoken_at: now, failures: 1 });
            return Some(text.to_string());
        };
        lasting.failures += 1;
        if now < lasting.spoken_at + REPEAT_INTERVAL {
            return None;
        }
        lasting.spoken_at = now;
        let lasted = in_seconds(now - lasting.since);
        Some(format!("{text} ({} failures in {lasted})", lasting.failures))
    }

    /// It went well. A line, if it had failed before.
    pub fn succeeded(&mut self, now: Duration) -> Option<String> {
        let lasting = self.lasting.take()?;
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
}
