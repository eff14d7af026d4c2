//! What one device does so that a fleet of them does not fall upon its receiver all at once.
//!
//! ```text
//!  start, or an outage              receiver is back                           full speed after six quick answers
//!  │◄ 0..1.2 ► request ◄ ~1.2 ► retry ◄ ~1.2 ► request ─ 1/5 ─ request ─ 3/25 ─ ... ─ request
//!                                            └► refused ─ 2 ─ request ─ 4/3 ─ request ─ 8/9 ─ ...
//! ```
//!
//! The unit is `spread`. A receiver that answers and refuses nothing gets everything within half of it. One that refuses a
//! request after it has taken another, or that answers 429, has too many senders: waits become longer, up to four times
//! `spread`, and shorten slowly. A long `spread` is configured for a large fleet and is always left slowly.

use std::time::Duration;

/// Failures that last no longer are no outage.
const OUTAGE_MIN: Duration = Duration::from_secs(10);

/// Refusals of a receiver that has too many senders end sooner, for each of them; at least 12 times `spread`.
const OUTAGE_CERTAIN: Duration = Duration::from_secs(60);

/// Requests that are to be no further apart than this go as they come.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

/// The most that refusals on the ramp lengthen waits to.
const SPREADS_MAX: u32 = 4;

/// With a longer spread the ramp is slow whatever the receiver answers.
const QUICK_SPREAD_MAX: Duration = Duration::from_secs(5);

/// First requests, and retries in an outage, take a fifth more than `spread`: what they set off needs room beside them.
const FIRST_WITHIN: f64 = 1.2;
/// Retries keep the order in which devices came first.
const RETRY_FROM: f64 = 1.1;

/// A request of so many bytes counts in full on the ramp; a smaller one is followed sooner, in proportion.
const FULL_REQUEST_BYTES: f64 = 4096.0;
/// The least that a request counts.
const WEIGHT_MIN: f64 = 0.125;

/// How a request ended, as far as the pace goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Delivered, or not wanted: a body of so many bytes, answered in this time.
    Done {
        bytes: u64,
        took: Duration,
    },
    /// The receiver can't take it just now, and says so.
    Refused,
    /// The receiver says that it gets too many requests.
    TooMany,
    Unreachable,
}

pub(super) struct Pace {
    spread: Duration,
    not_before: Duration,
    /// Between requests, on the ramp; zero at full speed.
    interval: Duration,
    failing_since: Option<Duration>,
    /// The receiver has taken a request since the start or the last outage.
    has_taken: bool,
    /// The receiver has too many senders.
    is_crowded: bool,
    random: fastrand::Rng,
}

impl Pace {
    pub fn new(spread: Duration, now: Duration, seed: u64) -> Pace {
        let mut random = fastrand::Rng::with_seed(seed);
        let not_before = now + spread.mul_f64(FIRST_WITHIN * random.f64());
        Pace { spread, not_before, interval: spread, failing_since: None, has_taken: false, is_crowded: false, random }
    }

    pub fn ready_at(&self, now: Duration) -> Option<Duration> {
        (now < self.not_before).then_some(self.not_before)
    }

    pub fn ended(&mut self, now: Duration, how: Ended) {
        let failing_since = match how {
            Ended::Done { .. } => self.failing_since.take(),
            _ => Some(*self.failing_since.get_or_insert(now)),
        };
        let was_outage = failing_since.is_some_and(|since| now >= since + OUTAGE_MIN);
        if failing_since.is_some_and(|since| now >= since + OUTAGE_CERTAIN.max(self.spread * 12)) {
            (self.is_crowded, self.has_taken) = (false, false);
            self.interval = self.interval.min(self.spread);
        }
        let wait = match how {
            Ended::Done { bytes, took } => self.done(was_outage, bytes, took),
            Ended::Refused | Ended::TooMany => self.refused(was_outage, how == Ended::TooMany),
            Ended::Unreachable if was_outage => self.retry_wait(),
            Ended::Unreachable => Duration::ZERO,
        };
        self.not_before = now + wait;
    }

    /// The wait after an answer: shorter after each.
    fn done(&mut self, was_outage: bool, bytes: u64, took: Duration) -> Duration {
        let is_slow = self.is_crowded || self.spread > QUICK_SPREAD_MAX;
        let is_first = !std::mem::replace(&mut self.has_taken, true) || was_outage;
        self.interval = match (is_first, is_slow) {
            (true, false) => self.spread / 5,
            (true, true) if was_outage => self.spread.max(self.interval * 2 / 3),
            (_, true) => self.interval * 2 / 3,
            (_, false) => self.interval * 3 / 5,
        };
        if self.interval < INTERVAL_MIN {
            (self.interval, self.is_crowded) = (Duration::ZERO, false);
            return Duration::ZERO;
        }
        let weight = (bytes as f64 / FULL_REQUEST_BYTES).clamp(WEIGHT_MIN, 1.0);
        let step = self.interval.mul_f64(weight * self.between(0.7, 1.3));
        // A receiver that is busy gets as long a rest.
        step.max(took.min(self.interval))
    }

    /// The wait after a refusal. Those of an outage, before which nothing was taken, lengthen nothing.
    fn refused(&mut self, was_outage: bool, too_many: bool) -> Duration {
        if self.interval.is_zero() {
            return if was_outage { self.retry_wait() } else { Duration::ZERO };
        }
        self.is_crowded |= too_many || self.has_taken;
        if !self.is_crowded {
            return self.retry_wait();
        }
        self.interval = (self.interval * 2).max(self.spread).min(self.spread * SPREADS_MAX);
        let step = self.interval.mul_f64(self.between(0.7, 1.3));
        if was_outage { step.max(self.retry_wait()) } else { step }
    }

    /// The next attempt may be the first that gets through, on all devices.
    fn retry_wait(&mut self) -> Duration {
        self.spread.mul_f64(self.between(RETRY_FROM, FIRST_WITHIN))
    }

    fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.random.f64()
    }

    pub fn hurry(&mut self) {
        (self.not_before, self.interval, self.has_taken) = (Duration::ZERO, Duration::ZERO, true);
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

    const OK: Ended = Done { bytes: 8000, took: Duration::from_millis(50) };
    const DEFAULT: Duration = Duration::from_secs(5);

    /// Waits after so many good answers in a row, from this time on, and when the last one is over.
    fn waits(pace: &mut Pace, mut now: Duration, answer: Ended, count: usize) -> (Vec<Duration>, Duration) {
        let waits = (0..count).map(|_| {
            pace.ended(now, answer);
            let wait = pace.ready_at(now).unwrap_or(now) - now;
            now += wait;
            wait
        });
        (waits.collect(), now)
    }

    /// At full speed, and then refused for so long, every few seconds.
    fn after_an_outage(seed: u64, refusal: Ended, outage: Duration) -> (Pace, Duration) {
        let mut pace = Pace::new(DEFAULT, Duration::ZERO, seed);
        waits(&mut pace, Duration::ZERO, OK, 20);
        let mut now = 100 * SECOND;
        let end = now + outage;
        while now < end {
            pace.ended(now, refusal);
            now = pace.ready_at(now).unwrap_or(now + SECOND);
        }
        (pace, now)
    }

    #[test]
    fn first_requests_are_spread_over_the_whole_time_and_a_fifth_more() {
        let first = || (0..1000).map(|seed| Pace::new(SPREAD, SECOND, seed).not_before - SECOND);
        assert!(first().all(|wait| wait <= 72 * SECOND));
        assert!(first().any(|wait| wait < SECOND) && first().any(|wait| wait > 71 * SECOND));
        assert_eq!(Pace::new(Duration::ZERO, SECOND, 1).ready_at(SECOND), None);
    }

    #[test]
    fn a_receiver_that_is_back_and_answers_gets_everything_after_six_requests() {
        for (seed, refusal) in (0..500).flat_map(|seed| [(seed, Refused), (seed, Unreachable)]) {
            let (mut pace, now) = after_an_outage(seed, refusal, 90 * SECOND);
            assert!(now <= 196 * SECOND, "the last attempt before it is back, and the first one after: {now:?}");
            let (waits, end) = waits(&mut pace, now, OK, 7);
            assert!(waits[0] >= Duration::from_millis(700) && waits[6].is_zero(), "{waits:?}");
            assert!(end - now < Duration::from_millis(3200), "{waits:?}");
        }
    }

    #[test]
    fn small_requests_follow_each_other_sooner() {
        let (mut pace, now) = after_an_outage(1, Unreachable, 90 * SECOND);
        let (waits, _) = waits(&mut pace, now, Done { bytes: 500, took: Duration::ZERO }, 1);
        assert!(waits[0] <= Duration::from_millis(163), "{waits:?}");
    }

    #[test]
    fn a_receiver_that_is_slow_gets_a_rest_in_between() {
        let (mut pace, now) = after_an_outage(1, Unreachable, 90 * SECOND);
        let (waits, _) = waits(&mut pace, now, Done { bytes: 500, took: 3 * SECOND }, 2);
        assert_eq!(waits, [SECOND, SECOND * 3 / 5]);
    }

    #[test]
    fn a_receiver_that_has_too_many_senders_gets_requests_slowly_and_faster_after_each_that_it_takes() {
        for refusals in [[Refused, Refused], [TooMany, TooMany]] {
            let (mut pace, now) = after_an_outage(1, Unreachable, 90 * SECOND);
            pace.ended(now, OK);
            refusals.into_iter().for_each(|refusal| pace.ended(now, refusal));
            let (waits, end) = waits(&mut pace, now, OK, 20);
            for (steps, wait) in waits.iter().enumerate().take(10) {
                let interval = (2 * DEFAULT).mul_f64((2.0f64 / 3.0).powi(steps as i32 + 1));
                assert!((interval.mul_f64(0.69)..=interval.mul_f64(1.31)).contains(wait), "{waits:?}");
            }
            assert!(waits[19].is_zero() && end < now + 30 * SECOND, "{waits:?}");
        }
    }

    #[test]
    fn too_many_requests_are_so_before_the_first_was_taken() {
        let mut pace = Pace::new(DEFAULT, Duration::ZERO, 1);
        pace.ended(SECOND, TooMany);
        assert!(pace.not_before >= 8 * SECOND, "{:?}", pace.not_before);
        (0..9).for_each(|_| pace.ended(2 * SECOND, TooMany));
        assert_eq!(pace.interval, 4 * DEFAULT);
    }

    #[test]
    fn a_long_spread_is_left_slowly() {
        let mut pace = pace(1);
        pace.ended(100 * SECOND, Unreachable);
        let (waits, end) = waits(&mut pace, 111 * SECOND, OK, 20);
        for (steps, wait) in waits.iter().enumerate().take(17) {
            let interval = SPREAD.mul_f64((2.0f64 / 3.0).powi(steps as i32));
            assert!((interval.mul_f64(0.69)..=interval.mul_f64(1.31)).contains(wait), "{waits:?}");
        }
        assert!(waits[19].is_zero() && end < 111 * SECOND + 4 * SPREAD, "{waits:?}");
    }

    #[test]
    fn a_failure_now_and_then_slows_nothing_but_the_ramp() {
        let mut pace = pace(1);
        pace.hurry();
        for second in 0..100 {
            pace.ended(second * SECOND, if second % 4 == 0 { Refused } else { OK });
            assert_eq!(pace.ready_at(second * SECOND), None);
        }
    }

    /// A device that was slowed by refusals, and whose receiver is then away, is a device whose receiver was away.
    #[test]
    fn an_outage_in_the_middle_of_a_slow_ramp_is_one_like_any_other() {
        let (mut pace, mut now) = after_an_outage(1, Unreachable, 90 * SECOND);
        pace.ended(now, OK);
        let end = now + 90 * SECOND;
        while now < end {
            pace.ended(now, Refused);
            now = pace.ready_at(now).unwrap_or(now + SECOND);
        }
        assert!(now - end <= 6 * SECOND);
        let (_, drained) = waits(&mut pace, now, OK, 7);
        assert!(drained - now < Duration::from_millis(3200), "{:?}", drained - now);
    }

    #[test]
    fn retries_of_a_long_outage_come_a_little_more_than_a_spread_apart() {
        let mut pace = pace(1);
        pace.ended(Duration::ZERO, Unreachable);
        assert_eq!(pace.ready_at(Duration::ZERO), None, "the backoff's own wait is enough");
        for second in 20..1020 {
            pace.ended(second * SECOND, Unreachable);
            let wait = pace.not_before - second * SECOND;
            assert!((66 * SECOND..=72 * SECOND).contains(&wait), "{wait:?}");
        }
    }
}
