//! Failures of one thing, one after the other: spoken of when they begin, seldom while they last, and when they are over.
//! What fails now and then is spoken of as seldom as what fails for long: it must not fill the log either.

use crate::model::format_duration;
use std::time::Duration;

/// How often a failure that lasts is spoken of.
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

/// Times are of the monotonic clock. Gives lines and writes none.
#[derive(Default)]
pub(super) struct Trouble {
    lasting: Option<Lasting>,
    /// When a failure was spoken of last, be it over or not.
    spoken_at: Option<Duration>,
}

struct Lasting {
    since: Duration,
    failures: u64,
    is_spoken_of: bool,
}

impl Trouble {
    /// It failed. The line for the log, if one is due.
    pub fn failed(&mut self, now: Duration, text: &dyn std::fmt::Display) -> Option<String> {
        let lasting = self.lasting.get_or_insert(Lasting { since: now, failures: 0, is_spoken_of: false });
        lasting.failures += 1;
        if self.spoken_at.is_some_and(|spoken_at| now < spoken_at + REPEAT_INTERVAL) {
            return None;
        }
        self.spoken_at = Some(now);
        lasting.is_spoken_of = true;
        Some(match lasting.failures {
            1 => text.to_string(),
            failures => format!("{text} ({failures} failures in {})", in_seconds(now - lasting.since)),
        })
    }

    /// It went well. A line, if a failure before was spoken of.
    pub fn succeeded(&mut self, now: Duration) -> Option<String> {
        let lasting = self.lasting.take().filter(|lasting| lasting.is_spoken_of)?;
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
        assert_eq!(lines, 2 * 10, "its beginning and its end every ten minutes");
    }
}
