//! When a target is scraped, and which time its samples get.
//!
//! ```text
//!  interval   |---------------|---------------|---------------|      multiples of the interval since 1970
//!  target a   |--a------------|--a------------|--a------------|      each target at its own offset,
//!  target b   |---------b-----|---------b-----|---------b-----|      the same after each restart
//! ```
//!
//! Timers follow the monotonic clock, samples the wall clock: when the wall clock jumps, scrapes keep their pace. Follows
//! `Target.offset` and `scrapeLoop.run` of Prometheus.

use crate::model::Target;
use std::time::Duration;

/// By how much a sample's time may be off its place in the series, so that timers' jitter costs no space downstream.
const ALIGNMENT_TOLERANCE_MAX: Duration = Duration::from_millis(2);

pub struct Schedule {
    interval: Duration,
    /// Of the next scrape, by the monotonic clock.
    next: Duration,
    /// The time that the last scrape should have had, by the wall clock. `None` before the first scrape.
    aligned_ms: Option<i64>,
}

impl Schedule {
    /// The first scrape comes within one interval from now. `seed` differs between agents, so that a fleet does not
    /// scrape a shared target in step; see [`offset_seed`].
    pub fn new(target: &Target, seed: u64, wall_ms: i64, monotonic: Duration) -> Schedule {
        // An interval of zero can't be kept; the configuration refuses it.
        let interval = target.interval.max(Duration::from_millis(1));
        let next = monotonic + first_wait(interval, target_hash(target) ^ seed, wall_ms);
        Schedule { interval, next, aligned_ms: None }
    }

    /// When the next scrape is due, by the monotonic clock. If scrapes were missed, one is due at once and the rest are
    /// left out, as with a Go ticker.
    pub fn due(&mut self, monotonic: Duration) -> Duration {
        let behind_ns = monotonic.saturating_sub(self.next).as_nanos();
        let missed = behind_ns / self.interval.as_nanos();
        self.next += Duration::from_nanos(saturating_u64(missed * self.interval.as_nanos()));
        self.next
    }

    /// A scrape starts at `wall_ms`. The answer is the time of its samples.
    pub fn start(&mut self, wall_ms: i64) -> i64 {
        self.next += self.interval;
        let interval_ms = (self.interval.as_millis() as i64).max(1);
        let tolerance_ms = (self.interval / 100).min(ALIGNMENT_TOLERANCE_MAX).as_millis() as i64;
        let aligned_ms = match self.aligned_ms {
            Some(aligned_ms) if wall_ms >= aligned_ms => wall_ms - (wall_ms - aligned_ms) % interval_ms,
            // The first scrape, or the wall clock was set back and the old grid lies in the future.
            _ => wall_ms,
        };
        self.aligned_ms = Some(aligned_ms);
        if wall_ms - aligned_ms <= tolerance_ms { aligned_ms } else { wall_ms }
    }
}

/// A seed that is the same after each restart of the same agent: `identity` is its host name and external labels.
pub fn offset_seed(identity: &str) -> u64 {
    fnv1a(FNV_START, identity.as_bytes())
}

/// Time from `wall_ms` to the next moment that lies `hash % interval` behind a multiple of the interval.
fn first_wait(interval: Duration, hash: u64, wall_ms: i64) -> Duration {
    let interval_ns = i128::from(saturating_u64(interval.as_nanos()));
    let now_ns = i128::from(wall_ms) * 1_000_000;
    let offset_ns = i128::from(hash) % interval_ns;
    let wait_ns = (offset_ns - now_ns).rem_euclid(interval_ns);
    Duration::from_nanos(wait_ns as u64)
}

fn target_hash(target: &Target) -> u64 {
    fnv1a(fnv1a(FNV_START, target.labels.packed()), target.url().as_bytes())
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a with 64 bits, as Prometheus hashes targets; `RandomState` would differ after each restart.
fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn saturating_u64(number: u128) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Scheme};

    const SECOND: Duration = Duration::from_secs(1);

    fn target(address: &str) -> Target {
        Target {
            scheme: Scheme::Http,
            address: address.into(),
            metrics_path: "/metrics".into(),
            params: Default::default(),
            labels: Labels::default(),
            interval: 15 * SECOND,
            timeout: 10 * SECOND,
            socket: None,
            durations_as_written: None,
        }
    }

    #[test]
    fn a_target_keeps_its_offset_over_restarts_whatever_the_time() {
        let phase = |target: &Target, seed, wall_ms: i64| {
            let wait = Schedule::new(target, seed, wall_ms, SECOND).due(SECOND) - SECOND;
            assert!(wait < target.interval);
            (wall_ms as u128 * 1_000_000 + wait.as_nanos()) % target.interval.as_nanos()
        };
        let (a, b) = (target("a:1"), target("b:1"));
        for wall_ms in [0, 1, 14_999, 15_000, 1_700_000_000_123] {
            assert_eq!(phase(&a, 7, wall_ms), phase(&a, 7, 1_234_567), "at {wall_ms}");
        }
        assert_ne!(phase(&a, 7, 0), phase(&b, 7, 0));
        assert_ne!(phase(&a, 7, 0), phase(&a, 8, 0));
        assert_eq!(offset_seed("agent-1"), offset_seed("agent-1"));
        assert_ne!(offset_seed("agent-1"), offset_seed("agent-2"));
    }

    #[test]
    fn the_first_wait_leads_to_the_offset() {
        for (hash_ms, wall_ms, wait_ms) in [(0, 0, 0), (5, 0, 5), (5, 5, 0), (5, 6, 14_999), (5, -1, 6), (15_005, 0, 5)]
        {
            let wait = first_wait(15 * SECOND, hash_ms * 1_000_000, wall_ms);
            assert_eq!(wait, Duration::from_millis(wait_ms), "{hash_ms} at {wall_ms}");
        }
    }

    #[test]
    fn scrapes_keep_their_pace_and_missed_ones_are_left_out() {
        let mut schedule = Schedule::new(&target("a:1"), 0, 0, Duration::ZERO);
        let first = schedule.due(Duration::ZERO);
        schedule.start(0);
        assert_eq!(schedule.due(first + SECOND), first + 15 * SECOND);
        schedule.start(0);
        let late = first + 50 * SECOND;
        assert_eq!(schedule.due(late), first + 45 * SECOND, "two were missed; one is made up for");
        schedule.start(0);
        assert_eq!(schedule.due(late), first + 60 * SECOND, "and the pace is kept");
    }

    #[test]
    fn times_are_aligned_within_two_milliseconds() {
        let mut schedule = Schedule::new(&target("a:1"), 0, 0, Duration::ZERO);
        for (wall_ms, timestamp_ms) in [
            (1_000_000, 1_000_000),
            (1_015_001, 1_015_000),
            (1_030_002, 1_030_000),
            (1_045_003, 1_045_003),
            (1_090_001, 1_090_000),
        ] {
            assert_eq!(schedule.start(wall_ms), timestamp_ms, "at {wall_ms}");
        }
    }

    #[test]
    fn a_wall_clock_that_jumps_starts_a_new_grid() {
        let mut schedule = Schedule::new(&target("a:1"), 0, 0, Duration::ZERO);
        assert_eq!(schedule.start(100_000), 100_000);
        assert_eq!(schedule.start(1_700_000_000_123), 1_700_000_000_123, "forth");
        assert_eq!(schedule.start(50_001), 50_001, "and back");
        assert_eq!(schedule.start(65_002), 65_001);
    }

    #[test]
    fn the_tolerance_is_one_percent_of_a_short_interval() {
        let short = Target { interval: Duration::from_millis(100), ..target("a:1") };
        let mut schedule = Schedule::new(&short, 0, 0, Duration::ZERO);
        assert_eq!(schedule.start(1000), 1000);
        assert_eq!(schedule.start(1101), 1100);
        assert_eq!(schedule.start(1202), 1202);
    }
}
