//! How long to wait before the next attempt: longer after each failure, and never the same on two devices, as a fleet
//! that lost its receiver must not return all at once. A link that came up ends a wait early.

use std::time::Duration;

/// How long after a link came up an attempt is made, at the most.
const EARLY_JITTER: Duration = Duration::from_secs(1);
/// Between two attempts for that reason: a link may flap.
const EARLY_INTERVAL: Duration = Duration::from_secs(3);
/// Waits begin anew with this ceiling when a link came up, as what is needed beside it (a name server, a tunnel) may take a
/// moment longer; so often at the most.
const RESTART_CEILING: Duration = Duration::from_secs(3);
const RESTART_INTERVAL: Duration = Duration::from_secs(60);

/// Waits are drawn evenly from `min` to a ceiling that doubles with each failure, up to `max`.
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
    random: fastrand::Rng,
    early_at: Option<Duration>,
    restarted_at: Option<Duration>,
}

impl Backoff {
    pub fn new(min: Duration, max: Duration, seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Backoff { min, max: max.max(min), ceiling: min, random, early_at: None, restarted_at: None }
    }

    /// The wait after one more failure.
    pub fn next_wait(&mut self) -> Duration {
        self.ceiling = self.ceiling.saturating_mul(2).min(self.max);
        self.min + (self.ceiling - self.min).mul_f64(self.random.f64())
    }

    /// After a success: the next wait is a short one again.
    pub fn reset(&mut self) {
        self.ceiling = self.min;
    }

    /// A link came up: when to try again, on the monotonic clock.
    pub fn early(&mut self, now: Duration) -> Duration {
        if self.restarted_at.is_none_or(|at| now >= at + RESTART_INTERVAL) {
            self.restarted_at = Some(now);
            self.ceiling = self.ceiling.min(RESTART_CEILING.max(self.min));
        }
        let at = match self.early_at {
            Some(at) if at > now => at,
            last => {
                let soon = now + EARLY_JITTER.mul_f64(self.random.f64());
                last.map_or(soon, |last| soon.max(last + EARLY_INTERVAL))
            }
        };
        self.early_at = Some(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(30);
    const MAX: Duration = Duration::from_secs(5);

    #[test]
    fn waits_stay_under_a_ceiling_that_doubles_up_to_the_most() {
        for seed in 0..200 {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            for failures in 1..40 {
                let ceiling = (MIN * 2u32.saturating_pow(failures).min(1000)).min(MAX);
                let wait = backoff.next_wait();
                assert!((MIN..=ceiling).contains(&wait), "{wait:?} after {failures} failures");
            }
            backoff.reset();
            assert!(backoff.next_wait() <= 2 * MIN);
        }
    }

    #[test]
    fn devices_wait_differently_and_use_the_whole_range() {
        let late = |seed| {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            (0..20).map(|_| backoff.next_wait()).last().unwrap()
        };
        let waits: Vec<Duration> = (0..1000).map(late).collect();
        assert!(waits.iter().any(|wait| *wait < MAX / 10));
        assert!(waits.iter().any(|wait| *wait > MAX * 9 / 10));
    }

    #[test]
    fn a_link_that_comes_up_is_tried_within_a_second_and_one_that_flaps_every_three() {
        let five_minutes = Duration::from_secs(300);
        let mut backoff = Backoff::new(MIN, five_minutes, 1);
        (0..40).for_each(|_| _ = backoff.next_wait());
        let mut attempts: Vec<Duration> = (1000..1600).map(|s| backoff.early(Duration::from_secs(s))).collect();
        assert!(attempts[0] <= Duration::from_secs(1001));
        attempts.dedup();
        assert!(attempts.windows(2).all(|pair| pair[1] - pair[0] >= EARLY_INTERVAL), "{attempts:?}");
        assert!((190..=201).contains(&attempts.len()), "{}", attempts.len());
    }

    #[test]
    fn after_a_link_came_up_waits_begin_anew_though_not_for_each_time_that_it_flaps() {
        let mut backoff = Backoff::new(MIN, Duration::from_secs(300), 1);
        let mut ceilings = Vec::new();
        for second in 0..120 {
            (0..10).for_each(|_| _ = backoff.next_wait());
            backoff.early(Duration::from_secs(second));
            ceilings.push(backoff.ceiling);
        }
        let restarts: Vec<usize> = (0..120).filter(|second| ceilings[*second] == RESTART_CEILING).collect();
        assert_eq!(restarts, [0, 60]);
        backoff.reset();
        backoff.early(Duration::from_secs(500));
        assert!(backoff.next_wait() <= 2 * MIN, "it makes no wait longer");
    }

    #[test]
    fn a_maximum_below_the_minimum_is_the_minimum() {
        let mut backoff = Backoff::new(MAX, MIN, 1);
        assert_eq!(backoff.next_wait(), MAX);
    }
}
