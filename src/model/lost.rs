//! Samples that are lost: how many, and of which times.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

/// 9999-12-31, after which RFC 3339 has no dates.
const LAST_MS: i64 = 253_402_214_400_000;

/// Both ends are times of samples, in ms since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeRange {
    pub from_ms: i64,
    pub to_ms: i64,
}

/// Samples that one endpoint will never get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub samples: u64,
    /// `None` if nothing is lost, or if their times can't be read any more.
    pub times: Option<TimeRange>,
}

impl TimeRange {
    pub fn at(timestamp_ms: i64) -> TimeRange {
        TimeRange { from_ms: timestamp_ms, to_ms: timestamp_ms }
    }

    /// The shortest range with both in it.
    pub fn and(self, other: TimeRange) -> TimeRange {
        TimeRange { from_ms: self.from_ms.min(other.from_ms), to_ms: self.to_ms.max(other.to_ms) }
    }
}

impl Lost {
    pub fn new(samples: u64, times: TimeRange) -> Lost {
        Lost { samples, times: Some(times).filter(|_| samples > 0) }
    }

    pub fn add(&mut self, more: Lost) {
        self.samples += more.samples;
        self.times = match (self.times, more.times) {
            (Some(known), Some(more)) => Some(known.and(more)),
            (known, more) => known.or(more),
        };
    }
}

impl FromIterator<Lost> for Lost {
    fn from_iter<I: IntoIterator<Item = Lost>>(all: I) -> Lost {
        let mut sum = Lost::default();
        all.into_iter().for_each(|lost| sum.add(lost));
        sum
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", time_text(self.from_ms), time_text(self.to_ms))
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.times {
            Some(times) => write!(f, "{} samples {times}", self.samples),
            None => write!(f, "{} samples of unknown times", self.samples),
        }
    }
}

/// RFC 3339, or the number itself if there is no such date.
pub fn time_text(timestamp_ms: i64) -> String {
    match u64::try_from(timestamp_ms) {
        Ok(ms) if timestamp_ms < LAST_MS => {
            humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
        }
        _ => format!("{timestamp_ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_no_calendar_has_are_shown_as_numbers() {
        assert_eq!(time_text(1_763_722_000_999), "2025-11-21T10:46:40Z");
        assert_eq!([-1, i64::MAX].map(time_text), ["-1 ms", "9223372036854775807 ms"]);
    }

    #[test]
    fn losses_add_up_and_their_times_widen() {
        let lost: Lost =
            [(3, 60_000), (0, 1), (4, 20_000)].map(|(n, ms)| Lost::new(n, TimeRange::at(ms))).into_iter().collect();
        assert_eq!(lost.to_string(), "7 samples from 1970-01-01T00:00:20Z to 1970-01-01T00:01:00Z");
        assert_eq!(Lost { samples: 2, times: None }.to_string(), "2 samples of unknown times");
    }
}
