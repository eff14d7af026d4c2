//! `write_budget`: how much may be written to flash, as a token bucket over bytes. Given the time; writes nothing itself.
//!
//! ```text
//!  budget of a window (a day or an hour)
//!  ├─ 3/4 flows in evenly over the window ─► ┌────────┐
//!  └─ 1/4 is the most that it holds          │ bucket │ ─► a commit takes what it programmed, and a page a program
//!                                            └────────┘
//! ```
//!
//! So no window of this length, wherever it starts, sees more than the budget, and an outage after quiet hours has a
//! quarter of it at once. The bucket is empty at the start: a device that restarts in a loop gets no more for it, and
//! nothing has to be remembered on flash. What a commit will take is estimated from those before; where it takes more, the
//! difference is owed.

use crate::limits::{WRITE_BUDGET_BYTES_MAX, WRITE_BUDGET_BYTES_MIN};
use crate::model::{format_size, parse_size};
use std::fmt;
use std::time::Duration;

/// What a program is charged on top of its bytes: its ends lie within pages that a file system writes whole.
const PAGE_BYTES: u64 = 4096;

/// Padding, header and record table of a commit, estimated.
const FRAME_OVERHEAD_BYTES: u64 = 512;

/// Until a commit has shown what they are.
const BYTES_PER_SAMPLE_AT_START: f64 = 3.0;

/// Weight of the newest commit in the estimate.
const NEWEST_WEIGHT: f64 = 0.25;

const WINDOWS: [(&str, Duration); 2] = [("hour", Duration::from_secs(3600)), ("day", Duration::from_secs(24 * 3600))];

/// Bytes that may be written within a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteBudget {
    bytes: u64,
    window: Duration,
}

impl WriteBudget {
    /// `50MiB/day` or `4MiB/hour`. The error says what to write.
    pub fn parse(text: &str) -> Result<WriteBudget, &'static str> {
        let parts = text.split_once('/');
        let parts = parts.and_then(|(size, name)| Some((size, WINDOWS.iter().find(|window| window.0 == name)?.1)));
        let read = parts.and_then(|(size, window)| Some(WriteBudget { bytes: parse_size(size).ok()?, window }));
        let budget = read.ok_or("not a budget; write it as \"50MiB/day\" or \"4MiB/hour\"")?;
        if !(WRITE_BUDGET_BYTES_MIN..=WRITE_BUDGET_BYTES_MAX).contains(&budget.bytes) {
            return Err("out of range; write 64KiB to 1TiB for each day or hour, or leave the key out for no budget");
        }
        Ok(budget)
    }
}

impl fmt::Display for WriteBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = WINDOWS.iter().find(|window| window.1 == self.window).map_or("", |window| window.0);
        write!(f, "{}/{name}", format_size(self.bytes))
    }
}

/// Running totals of what went to flash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FlashUse {
    pub bytes: u64,
    pub programs: u64,
    pub payload_bytes: u64,
    pub samples: u64,
}

/// The bucket. Times are of the monotonic clock, which starts at zero.
pub(super) struct Bucket {
    budget: WriteBudget,
    interval_max: Duration,
    /// What was in it at `at`; below zero: owed.
    balance_bytes: i64,
    at: Duration,
    bytes_per_sample: f64,
}

impl Bucket {
    /// Empty at time zero. `interval_max` is the longest that samples wait for a commit that would exceed the budget.
    pub fn new(budget: WriteBudget, interval_max: Duration) -> Bucket {
        Bucket {
            budget,
            interval_max,
            balance_bytes: 0,
            at: Duration::ZERO,
            bytes_per_sample: BYTES_PER_SAMPLE_AT_START,
        }
    }

    /// When this many samples are to be committed, the oldest of which was scraped at `oldest`: as soon as the budget
    /// has room, but not before `wanted`, and not after the longest wait; then [`affords`](Self::affords) may be false.
    pub fn due(&self, oldest: Duration, wanted: Duration, samples: u64) -> Duration {
        self.affordable_at(samples).min(oldest + self.interval_max).max(wanted)
    }

    /// When the budget has room for a commit of this many samples, or for one of acknowledgements alone.
    pub fn affordable_at(&self, samples: u64) -> Duration {
        let lacking = i128::from(self.estimate_bytes(samples)) - i128::from(self.balance_bytes);
        if lacking <= 0 {
            return self.at;
        }
        if self.estimate_bytes(samples) > self.capacity_bytes() {
            return Duration::MAX;
        }
        let wait_ns = (lacking as u128 * self.budget.window.as_nanos()).div_ceil(u128::from(self.inflow_bytes()));
        u64::try_from(wait_ns).map_or(Duration::MAX, |ns| self.at.saturating_add(Duration::from_nanos(ns)))
    }

    pub fn affords(&self, now: Duration, samples: u64) -> bool {
        i64::try_from(self.estimate_bytes(samples)).is_ok_and(|bytes| bytes <= self.balance_bytes(now))
    }

    /// Whether these samples can't wait any longer.
    pub fn is_too_old(&self, now: Duration, oldest: Duration) -> bool {
        now >= oldest + self.interval_max
    }

    /// Takes what was used between two totals.
    pub fn charge(&mut self, now: Duration, before: FlashUse, after: FlashUse) {
        let programs = after.programs - before.programs;
        if programs == 0 {
            return;
        }
        let bytes = after.bytes - before.bytes + programs * PAGE_BYTES;
        self.balance_bytes = self.balance_bytes(now).saturating_sub_unsigned(bytes);
        self.at = self.at.max(now);
        let samples = after.samples - before.samples;
        if samples > 0 {
            let newest = (after.payload_bytes - before.payload_bytes) as f64 / samples as f64;
            self.bytes_per_sample += NEWEST_WEIGHT * (newest - self.bytes_per_sample);
        }
    }

    fn balance_bytes(&self, now: Duration) -> i64 {
        let passed_ns = now.saturating_sub(self.at).as_nanos();
        let inflow = passed_ns * u128::from(self.inflow_bytes()) / self.budget.window.as_nanos();
        let balance = i128::from(self.balance_bytes) + inflow.min(i64::MAX as u128) as i128;
        balance.min(i128::from(self.capacity_bytes())) as i64
    }

    fn capacity_bytes(&self) -> u64 {
        self.budget.bytes / 4
    }

    /// In one window.
    fn inflow_bytes(&self) -> u64 {
        self.budget.bytes - self.capacity_bytes()
    }

    fn estimate_bytes(&self, samples: u64) -> u64 {
        PAGE_BYTES + FRAME_OVERHEAD_BYTES + (samples as f64 * self.bytes_per_sample) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);
    const MINUTE: Duration = Duration::from_secs(60);

    fn bucket(budget: &str) -> Bucket {
        Bucket::new(WriteBudget::parse(budget).unwrap(), 10 * MINUTE)
    }

    /// A commit of this many samples and bytes, in one program.
    fn charge(bucket: &mut Bucket, now: Duration, samples: u64, bytes: u64) {
        let used = FlashUse { bytes, programs: 1, payload_bytes: bytes, samples };
        bucket.charge(now, FlashUse::default(), used);
    }

    #[test]
    fn budgets_are_read_and_written() {
        for text in ["50MiB/day", "4MiB/hour", "64KiB/day"] {
            assert_eq!(WriteBudget::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "50MiB", "50MiB/week", "50/day", "/day", "50MiB/", "50MiB/day/day"] {
            assert!(WriteBudget::parse(text).unwrap_err().starts_with("not a budget"), "{text}");
        }
        for text in ["63KiB/day", "2TiB/hour"] {
            assert!(WriteBudget::parse(text).unwrap_err().starts_with("out of range"), "{text}");
        }
    }

    #[test]
    fn it_starts_empty_fills_evenly_and_holds_a_quarter() {
        let bucket = bucket("96MiB/day");
        assert!(!bucket.affords(Duration::ZERO, 0));
        assert_eq!(bucket.balance_bytes(DAY / 24), 3 << 20, "three quarters of the budget flow in over a day");
        assert_eq!(bucket.balance_bytes(30 * DAY), 24 << 20);
    }

    #[test]
    fn a_commit_waits_until_there_is_room_and_no_longer_than_allowed() {
        let mut bucket = bucket("96MiB/day");
        let (oldest, wanted) = (10 * MINUTE, 10 * MINUTE + MINUTE / 2);
        assert_eq!(bucket.due(oldest, wanted, 1000), wanted, "there is room already");
        charge(&mut bucket, 10 * MINUTE, 1_000_000, 3_000_000);
        assert!(bucket.balance_bytes(10 * MINUTE) < 0, "it is owed");
        assert_eq!(bucket.due(oldest, wanted, 1000), oldest + 10 * MINUTE);
        let at = bucket.affordable_at(1000);
        assert!(bucket.affords(at, 1000) && !bucket.affords(at - Duration::from_millis(10), 1000));
    }

    #[test]
    fn what_could_never_fit_is_due_after_the_longest_wait() {
        let bucket = bucket("64KiB/day");
        assert_eq!(bucket.affordable_at(1_000_000), Duration::MAX);
        assert_eq!(bucket.due(MINUTE, 2 * MINUTE, 1_000_000), 11 * MINUTE);
        assert!(bucket.affords(DAY, 0), "the smallest budget has room for something");
    }

    #[test]
    fn the_estimate_follows_what_commits_take() {
        let mut bucket = bucket("50MiB/day");
        let before = bucket.estimate_bytes(1000);
        for n in 1..20 {
            charge(&mut bucket, n * MINUTE, 1000, 600);
        }
        assert!((5200..5300).contains(&bucket.estimate_bytes(1000)), "{before} {}", bucket.estimate_bytes(1000));
    }

    proptest! {
        /// Whoever asks before each commit stays within the budget in every window, but for what one commit was misjudged by.
        #[test]
        fn no_window_sees_more_than_the_budget(steps in prop::collection::vec((0u64..7200, 1u64..40_000, 0u64..8), 1..300)) {
            let mut bucket = bucket("4MiB/hour");
            let (mut now, mut commits, mut largest) = (Duration::ZERO, Vec::new(), 0);
            for (wait, samples, bytes_per_sample) in steps {
                now += Duration::from_secs(wait);
                if bucket.affords(now, samples) {
                    let bytes = samples * bytes_per_sample;
                    charge(&mut bucket, now, samples, bytes);
                    commits.push((now, bytes + PAGE_BYTES));
                    largest = largest.max(bytes + PAGE_BYTES);
                }
            }
            for (i, (start, _)) in commits.iter().enumerate() {
                let within = commits[i..].iter().take_while(|(at, _)| *at < *start + Duration::from_secs(3600));
                let sum: u64 = within.map(|(_, bytes)| bytes).sum();
                prop_assert!(sum <= (4 << 20) + largest, "{} from {:?}", sum, start);
            }
        }
    }
}
