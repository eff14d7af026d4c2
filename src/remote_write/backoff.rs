//! How long to wait before the next attempt: longer after each failure, and never the same on two devices, as a fleet
//! that lost its receiver must not return all at once.

use std::time::Duration;

/// Waits are drawn evenly from `min` to a ceiling that doubles with each failure, up to `max`.
pub struct Backoff {
    min: Duration,
    max: Duration,
    ceiling: Duration,
    random: fastrand::Rng,
}

impl Backoff {
    pub fn new(min: Duration, max: Duration, seed: u64) -> Self {
        Backoff { min, max: max.max(min), ceiling: min, random: fastrand::Rng::with_seed(seed) }
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
    fn a_maximum_below_the_minimum_is_the_minimum() {
        let mut backoff = Backoff::new(MAX, MIN, 1);
        assert_eq!(backoff.next_wait(), MAX);
    }
}
