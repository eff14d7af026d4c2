//! Bytes a second, as a token bucket that holds one second's worth. A larger request goes when the bucket is full, and is owed.

use std::time::Duration;

/// How many seconds' bytes may go at once after a quiet time.
const BURST_SECONDS: f64 = 1.0;

pub(super) struct Rate {
    bytes_per_second: f64,
    /// What was in it at `at`; below zero: owed.
    balance_bytes: f64,
    at: Duration,
}

impl Rate {
    /// Full at the start.
    pub fn new(bytes_per_second: u64, now: Duration) -> Rate {
        let bytes_per_second = bytes_per_second.max(1) as f64;
        Rate { bytes_per_second, balance_bytes: bytes_per_second * BURST_SECONDS, at: now }
    }

    /// When there is room for so many bytes, or for as many as it ever holds; `None`: now.
    pub fn ready_at(&self, now: Duration, bytes: u64) -> Option<Duration> {
        let lacking = (bytes as f64).min(self.capacity()) - self.balance(now);
        (lacking > 0.0)
            .then(|| now + Duration::from_secs_f64(lacking / self.bytes_per_second) + Duration::from_nanos(1))
    }

    pub fn spent(&mut self, now: Duration, bytes: u64) {
        self.balance_bytes = self.balance(now) - bytes as f64;
        self.at = self.at.max(now);
    }

    pub fn give_back(&mut self, now: Duration, bytes: u64) {
        self.balance_bytes = self.balance(now) + bytes as f64;
        self.at = self.at.max(now);
    }

    fn capacity(&self) -> f64 {
        self.bytes_per_second * BURST_SECONDS
    }

    fn balance(&self, now: Duration) -> f64 {
        let inflow = now.saturating_sub(self.at).as_secs_f64() * self.bytes_per_second;
        (self.balance_bytes + inflow).min(self.capacity())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KIB: u64 = 1024;

    #[test]
    fn a_request_that_is_larger_than_the_bucket_goes_and_is_owed() {
        let mut rate = Rate::new(8 * KIB, Duration::ZERO);
        assert_eq!(rate.ready_at(Duration::ZERO, 40 * KIB), None);
        rate.spent(Duration::ZERO, 40 * KIB);
        let at = rate.ready_at(Duration::ZERO, 1).unwrap();
        assert!((Duration::from_secs(4)..Duration::from_millis(4001)).contains(&at), "{at:?}");
        let at = rate.ready_at(Duration::ZERO, 100 * KIB).unwrap();
        assert!((Duration::from_secs(5)..Duration::from_millis(5001)).contains(&at), "{at:?}: when it is full again");
    }

    proptest! {
        /// However requests come, no stretch of time sees more than its rate, a second's worth at once, and the last request.
        #[test]
        fn no_stretch_of_time_sees_more_than_the_rate(requests in prop::collection::vec((0u64..3000, 1u64..50_000), 1..80)) {
            let (mut rate, mut now, mut sent) = (Rate::new(10_000, Duration::ZERO), Duration::ZERO, Vec::new());
            for (wait_ms, bytes) in requests {
                now += Duration::from_millis(wait_ms);
                now = rate.ready_at(now, bytes).unwrap_or(now);
                prop_assert_eq!(rate.ready_at(now, bytes), None, "what it said comes true");
                rate.spent(now, bytes);
                sent.push((now, bytes));
            }
            for (first, (start, _)) in sent.iter().enumerate() {
                let mut sum = 0.0;
                for (at, bytes) in &sent[first..] {
                    let allowed = 10_000.0 * (1.0 + (*at - *start).as_secs_f64()) + 1.0;
                    prop_assert!(sum <= allowed, "{} of {}", sum, allowed);
                    sum += *bytes as f64;
                }
            }
        }
    }
}
