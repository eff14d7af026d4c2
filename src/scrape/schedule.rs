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
    /// The time that the samples of the last scrape got. `None` before the first scrape.
    last_ms: Option<i64>,
}

impl Schedule {
    /// The first scrape comes within one interval from now. `seed` differs between agents, so that a fleet does not
    /// scrape a shared target in step; see [`offset_seed`].
    pub fn new(target: &Target, seed: u64, wall_ms: i64, monotonic: Duration) -> Schedule {
        // An interval of zero can't be kept; the configuration refuses it.
        let interval = target.interval.max(Duration::from_millis(1));
        let next = monotonic + first_wait(interval, target_hash(target) ^ seed, wall_ms);
        Schedule { interval, next, aligned_ms: None, last_ms: None }
    }

    /// When the next scrape is due, by the monotonic clock. A time in the past: at once.
    pub fn due(&self) -> Duration {
        self.next
    }

    /// Begins a scrape, now by both clocks, and returns the time of its samples.
    ///
    /// The next scrape is due at the first multiple of the interval after now, however late this one is: one scrape in each
    /// interval, and none for the intervals that were missed, as with a Go ticker.
    pub fn start(&mut self, wall_ms: i64, monotonic: Duration) -> i64 {
        let passed = monotonic.saturating_sub(self.next).as_nanos() / self.interval.as_nanos() + 1;
        self.next += Duration::from_nanos(saturating_u64(passed * self.interval.as_nanos()));
        let aligned_ms = self.align(wall_ms);
        let timestamp_ms = self.unrepeated(aligned_ms);
        self.last_ms = Some(timestamp_ms);
        timestamp_ms
    }

    /// The time of the staleness markers that end the target's series: after the last scrape.
    pub fn end_ms(&self, wall_ms: i64) -> i64 {
        self.unrepeated(wall_ms)
    }

    fn align(&mut self, wall_ms: i64) -> i64 {
        let interval_ms = self.interval_ms();
        let tolerance_ms = (self.interval / 100).min(ALIGNMENT_TOLERANCE_MAX).as_millis() as i64;
        let aligned_ms = match self.aligned_ms {
            Some(aligned_ms) if wall_ms >= aligned_ms => wall_ms - (wall_ms - aligned_ms) % interval_ms,
            // The wall clock was set back and the old grid lies in the future. The new grid shares no time with it.
            Some(aligned_ms) if (aligned_ms - wall_ms) % interval_ms == 0 => wall_ms + 1,
            _ => wall_ms,
        };
        self.aligned_ms = Some(aligned_ms);
        if wall_ms - aligned_ms <= tolerance_ms { aligned_ms } else { wall_ms }
    }

    /// This time, or the first one after the last scrape if the wall clock was set back by less than an interval. A clock
    /// that was set back further is followed.
    fn unrepeated(&self, timestamp_ms: i64) -> i64 {
        match self.last_ms {
            Some(last_ms) if timestamp_ms <= last_ms && last_ms - timestamp_ms <= self.interval_ms() => last_ms + 1,
            _ => timestamp_ms,
        }
    }

    fn interval_ms(&self) -> i64 {
        (self.interval.as_millis() as i64).max(1)
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

    /// A scrape at this time by the wall clock.
    fn start(schedule: &mut Schedule, wall_ms: i64) -> i64 {
        let due = schedule.due();
        schedule.start(wall_ms, due)
    }

    #[test]
    fn a_target_keeps_its_offset_over_restarts_whatever_the_time() {
        let phase = |target: &Target, seed, wall_ms: i64| {
            let wait = Schedule::new(target, seed, wall_ms, SECOND).due() - SECOND;
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

    /// What was due before a stall and what came due during it were two scrapes, one right after the other, and the second
    /// could get the first one's time.
    #[test]
    fn a_stall_leaves_one_scrape_in_each_interval() {
        let mut schedule = Schedule::new(&target("a:1"), 0, 0, Duration::ZERO);
        let first = schedule.due();
        schedule.start(0, first + SECOND);
        assert_eq!(schedule.due(), first + 15 * SECOND, "a scrape that is late keeps the pace");
        for (started_after_s, next_after_s) in [(50, 60), (60, 75), (89, 90), (90, 105), (1000, 1005)] {
            schedule.start(0, first + started_after_s * SECOND);
            assert_eq!(schedule.due(), first + next_after_s * SECOND, "after a scrape at {started_after_s} s");
        }
    }

    /// Samples of one series never have one time twice, whatever the wall clock does within an interval.
    #[test]
    fn no_time_is_given_twice() {
        let mut schedule = Schedule::new(&target("a:1"), 0, 0, Duration::ZERO);
        let (mut last_ms, mut random) = (i64::MIN, fastrand::Rng::with_seed(1));
        for scrape in 0..10_000 {
            let jitter_ms = random.i64(-7_000..7_000);
            let timestamp_ms = start(&mut schedule, 1_000_000 + 15_000 * (scrape / 2) + jitter_ms);
            assert!(timestamp_ms > last_ms, "{timestamp_ms} after {last_ms} in scrape {scrape}");
            last_ms = timestamp_ms;
        }
        assert_eq!(schedule.end_ms(last_ms), last_ms + 1, "nor is a staleness marker's");
        let mut schedule = Schedule::new(&target("a:1"), 0, 0, Duration::ZERO);
        for (wall_ms, timestamp_ms) in [(100_000, 100_000), (115_000, 115_000), (55_000, 55_001), (70_001, 70_001)] {
            assert_eq!(start(&mut schedule, wall_ms), timestamp_ms, "a clock that is set back by minutes");
        }
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
            assert_eq!(start(&mut schedule, wall_ms), timestamp_ms, "at {wall_ms}");
        }
    }

    #[test]
    fn a_wall_clock_that_jumps_starts_a_new_grid() {
        let mut schedule = Schedule::new(&target("a:1"), 0, 0, Duration::ZERO);
        assert_eq!(start(&mut schedule, 100_000), 100_000);
        assert_eq!(start(&mut schedule, 1_700_000_000_123), 1_700_000_000_123, "forth");
        assert_eq!(start(&mut schedule, 50_001), 50_001, "and back");
        assert_eq!(start(&mut schedule, 65_002), 65_001);
    }

    #[test]
    fn the_tolerance_is_one_percent_of_a_short_interval() {
        let short = Target { interval: Duration::from_millis(100), ..target("a:1") };
        let mut schedule = Schedule::new(&short, 0, 0, Duration::ZERO);
        assert_eq!(start(&mut schedule, 1000), 1000);
        assert_eq!(start(&mut schedule, 1101), 1100);
        assert_eq!(start(&mut schedule, 1202), 1202);
    }
}
