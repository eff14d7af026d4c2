//! What one device does so that a fleet of them does not fall upon its receiver all at once.
//!
//! ```text
//!  start, or an outage                   receiver is back
//!  │◄ 0..1 ► request ◄ 0..1 ► retry ... ◄ 0..1 ► request ── ~2/3 ── request ── ~4/9 ── ... at full speed
//! ```
//!
//! The unit is `spread`. A failure on the ramp makes the pace slower again, to a quarter of what it began with at the least: a
//! receiver that all of them are too many for even so gets what it can take.

use std::time::Duration;

/// Failures that last no longer are no outage.
const OUTAGE_MIN: Duration = Duration::from_secs(10);

/// Requests that are to be no further apart than this go as they come.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

/// The most that failures on the ramp lengthen waits to.
const SPREADS_MAX: u32 = 4;

/// How a request ended, as far as the pace goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Delivered, or not wanted.
    Done,
    /// The receiver can't take it just now, and says so.
    Refused,
    Unreachable,
}

pub(super) struct Pace {
    spread: Duration,
    not_before: Duration,
    /// Between requests, on the ramp.
    interval: Duration,
    failing_since: Option<Duration>,
    random: fastrand::Rng,
}

impl Pace {
    pub fn new(spread: Duration, now: Duration, seed: u64) -> Pace {
        let mut random = fastrand::Rng::with_seed(seed);
        let not_before = now + spread.mul_f64(random.f64());
        Pace { spread, not_before, interval: spread, failing_since: None, random }
    }

    pub fn ready_at(&self, now: Duration) -> Option<Duration> {
        (now < self.not_before).then_some(self.not_before)
    }

    pub fn ended(&mut self, now: Duration, how: Ended) {
        let failing_since = match how {
            Ended::Done => self.failing_since.take(),
            Ended::Refused | Ended::Unreachable => Some(*self.failing_since.get_or_insert(now)),
        };
        let was_outage = failing_since.is_some_and(|since| now >= since + OUTAGE_MIN);
        self.interval = match how {
            Ended::Done if was_outage => self.spread.max(self.interval * 2 / 3),
            Ended::Done => Some(self.interval * 2 / 3).filter(|shorter| *shorter >= INTERVAL_MIN).unwrap_or_default(),
            Ended::Refused => (self.interval * 2).min(self.spread * SPREADS_MAX),
            Ended::Unreachable => self.interval,
        };
        // The next attempt may be the first that gets through, on all devices.
        let jitter = if was_outage { self.spread.mul_f64(self.random.f64()) } else { Duration::ZERO };
        let step = self.interval.mul_f64(0.5 + self.random.f64());
        self.not_before = now
            + match how {
                Ended::Done => step,
                Ended::Refused => step.max(jitter),
                Ended::Unreachable => jitter,
            };
    }

    pub fn hurry(&mut self) {
        (self.not_before, self.interval) = (Duration::ZERO, Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::Ended::*;
    use super::*;

    const SPREAD: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    fn pace(seed: u64) -> Pace {
        Pace::new(SPREAD, Duration::ZERO, seed)
    }

    #[test]
    fn first_requests_are_spread_over_the_whole_time_and_no_longer() {
        let first = || (0..1000).map(|seed| Pace::new(SPREAD, SECOND, seed).not_before - SECOND);
        assert!(first().all(|wait| wait <= SPREAD));
        assert!(first().any(|wait| wait < SECOND) && first().any(|wait| wait > 59 * SECOND));
        assert_eq!(Pace::new(Duration::ZERO, SECOND, 1).ready_at(SECOND), None);
    }

    #[test]
    fn after_an_outage_requests_come_slowly_and_faster_after_each() {
        let mut pace = pace(1);
        pace.ended(100 * SECOND, Unreachable);
        let mut now = 111 * SECOND;
        let mut waits = Vec::new();
        for _ in 0..20 {
            pace.ended(now, Done);
            waits.push(pace.not_before - now);
            now = pace.not_before.max(now);
        }
        for (steps, wait) in waits.iter().enumerate().take(17) {
            let interval = SPREAD.mul_f64((2.0f64 / 3.0).powi(steps as i32));
            assert!((interval.mul_f64(0.49)..=interval.mul_f64(1.51)).contains(wait), "{waits:?}");
        }
        assert_eq!(waits[19], Duration::ZERO);
        assert!(now < 111 * SECOND + 5 * SPREAD, "{now:?}");
    }

    #[test]
    fn a_failure_now_and_then_slows_nothing_but_the_ramp() {
        let mut pace = pace(1);
        pace.hurry();
        for second in 0..100 {
            pace.ended(second * SECOND, if second % 4 == 0 { Refused } else { Done });
            assert_eq!(pace.ready_at(second * SECOND), None);
        }
        pace.ended(100 * SECOND, Unreachable);
        pace.ended(120 * SECOND, Done);
        pace.ended(150 * SECOND, Done);
        assert_eq!(pace.interval, SPREAD * 2 / 3);
        for _ in 0..9 {
            pace.ended(180 * SECOND, Refused);
        }
        assert_eq!(pace.interval, 4 * SPREAD);
    }

    #[test]
    fn retries_of_a_long_outage_are_spread() {
        let mut pace = pace(1);
        pace.ended(Duration::ZERO, Unreachable);
        assert_eq!(pace.ready_at(Duration::ZERO), None, "the backoff's own wait is enough");
        let waits: Vec<Duration> = (20..1020)
            .map(|second| {
                pace.ended(second * SECOND, Unreachable);
                pace.not_before - second * SECOND
            })
            .collect();
        assert!(waits.iter().all(|wait| *wait <= SPREAD) && waits.iter().any(|wait| *wait > 50 * SECOND));
    }
}
