//! How many samples a request takes, so that its body stays within `max_bytes_per_send` and within what the receiver takes.
//!
//! What a sample costs is not known before it is written: a request that came out too large is parted and written again. So that
//! this stays rare, the number that fitted is remembered. What a receiver refuses with 413 is learned:
//!
//! ```text
//!  413 ──► the limit is the largest body that passed, or half of the one that was refused ──► an hour, then two, up to a day later:
//!                                                                     one body of up to twice the limit; if it passes, it is the limit
//! ```

use super::options::QueueOptions;
use std::time::Duration;

/// How long after a 413 a larger body is tried again, at first and at most.
const PROBE_INTERVAL: Duration = Duration::from_secs(3600);
const PROBE_INTERVAL_MAX: Duration = Duration::from_secs(24 * 3600);

/// One endpoint's.
pub struct SendSize {
    configured: usize,
    bytes_max: Option<usize>,
    /// The configured number, or more while requests may grow.
    samples_max: usize,
    /// Of requests with more samples than are configured.
    grown_bytes_max: usize,
    samples: usize,
    learned: Option<Learned>,
    /// The largest body that passed.
    passed_bytes: usize,
}

/// What 413 taught. Times are of the monotonic clock.
struct Learned {
    limit_bytes: usize,
    probe_at: Duration,
    probe_interval: Duration,
}

impl SendSize {
    pub fn new(options: &QueueOptions) -> Self {
        let samples_max = options.max_samples_per_send;
        SendSize {
            configured: samples_max,
            bytes_max: options.max_bytes_per_send,
            samples_max,
            grown_bytes_max: usize::MAX,
            samples: samples_max,
            learned: None,
            passed_bytes: 0,
        }
    }

    /// From now on a request may have so many samples, and bytes where that is more than is configured.
    pub fn allow(&mut self, samples_max: usize, grown_bytes_max: usize) {
        let was_full = self.samples == self.samples_max;
        (self.samples_max, self.grown_bytes_max) = (samples_max, grown_bytes_max);
        self.samples = if was_full { samples_max } else { self.samples.min(samples_max) };
    }

    /// Samples that the next request should have, at most.
    pub fn samples(&self, now: Duration) -> usize {
        let is_probing = self.learned.as_ref().is_some_and(|learned| now >= learned.probe_at);
        if is_probing { self.samples.saturating_mul(2).min(self.samples_max) } else { self.samples }
    }

    fn limit_bytes(&self, now: Duration) -> Option<usize> {
        let learned = self.learned.as_ref().map(|learned| match now >= learned.probe_at {
            true => learned.limit_bytes.saturating_mul(2),
            false => learned.limit_bytes,
        });
        learned.into_iter().chain(self.bytes_max).min()
    }

    /// Whether a request of so many samples, whose body has so many bytes, is small enough. Learns from it.
    pub fn takes(&mut self, now: Duration, samples: usize, body_bytes: usize) -> bool {
        let is_grown = samples > self.configured;
        let own_max = self.limit_bytes(now);
        let bounds = [own_max, is_grown.then_some(self.grown_bytes_max)];
        let Some(bytes_max) = bounds.into_iter().flatten().min() else { return true };
        // What bounds grown requests alone makes none smaller than is configured.
        let least = if own_max.is_some_and(|bytes_max| body_bytes > bytes_max) { 1 } else { self.configured };
        // An eighth is left for requests whose samples cost more than these.
        // In 64 bits on every machine: samples times bytes do not fit into 32.
        let fitting = samples as u64 * bytes_max as u64 / body_bytes.max(1) as u64 * 7 / 8;
        let fitting = usize::try_from(fitting).unwrap_or(usize::MAX);
        if body_bytes > bytes_max {
            self.samples = self.samples.min(fitting.max(least)).max(1);
            return false;
        }
        // A much smaller request says little: what its samples have in common is most of it.
        if samples >= self.samples / 2 {
            self.samples = fitting.min(self.samples.saturating_mul(2)).clamp(1, self.samples_max);
        }
        true
    }

    /// The receiver took a body of so many bytes.
    pub fn passed(&mut self, body_bytes: usize) {
        self.passed_bytes = self.passed_bytes.max(body_bytes);
        if let Some(learned) = self.learned.as_mut().filter(|learned| body_bytes > learned.limit_bytes) {
            // What was tried now and then has passed: more may pass soon.
            learned.limit_bytes = body_bytes;
            learned.probe_interval = PROBE_INTERVAL;
        }
    }

    /// The receiver answered 413 to a body of so many bytes.
    pub fn too_large(&mut self, now: Duration, samples: usize, body_bytes: usize) {
        if self.passed_bytes >= body_bytes {
            self.passed_bytes = 0;
        }
        let limit_bytes = if self.passed_bytes > 0 { self.passed_bytes } else { (body_bytes / 2).max(1) };
        let was_probe = self.learned.as_ref().filter(|learned| body_bytes > learned.limit_bytes);
        let probe_interval = was_probe.map_or(PROBE_INTERVAL, |learned| 2 * learned.probe_interval);
        let probe_interval = probe_interval.min(PROBE_INTERVAL_MAX);
        self.learned = Some(Learned { limit_bytes, probe_at: now + probe_interval, probe_interval });
        self.takes(now, samples, body_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 10_000;

    fn size(max_bytes_per_send: Option<usize>) -> SendSize {
        SendSize::new(&QueueOptions { max_bytes_per_send, ..QueueOptions::default() })
    }

    /// What is sent next, if a body costs so much at all and so much for each sample; and how often it was written for that.
    fn next(size: &mut SendSize, at_all_bytes: usize, sample_bytes: usize) -> (usize, usize) {
        let (now, mut written) = (Duration::ZERO, 1);
        let mut samples = size.samples(now);
        while !size.takes(now, samples, at_all_bytes + samples * sample_bytes) && samples > 1 {
            (samples, written) = (samples / 2, written + 1);
        }
        (samples, written)
    }

    /// Sends so many samples of ten bytes at this time: bytes that were sent, and bytes of them that passed.
    fn send(size: &mut SendSize, now: Duration, mut samples: usize, receiver_max: usize) -> (usize, usize) {
        let (mut sent, mut passed) = (0, 0);
        while samples > 0 {
            let mut part = size.samples(now).min(samples);
            while !size.takes(now, part, 10 * part) && part > 1 {
                part /= 2;
            }
            sent += 10 * part;
            if 10 * part > receiver_max {
                size.too_large(now, part, 10 * part);
            } else {
                size.passed(10 * part);
                (passed, samples) = (passed + 10 * part, samples - part);
            }
        }
        (sent, passed)
    }

    #[test]
    fn without_a_limit_each_request_is_as_large_as_it_may_be() {
        let mut size = size(None);
        assert!(size.takes(Duration::ZERO, 2000, usize::MAX));
        assert_eq!(size.samples(Duration::ZERO), 2000);
    }

    #[test]
    fn a_good_size_is_found_at_once_and_kept() {
        for (at_all_bytes, sample_bytes, expected) in
            [(0, 1, 2000..=2000), (0, 10, 870..=1000), (2000, 10, 600..=800), (0, 100, 85..=100), (0, 20_000, 1..=1)]
        {
            let mut size = size(Some(BYTES_MAX));
            let sent: Vec<_> = (0..20).map(|_| next(&mut size, at_all_bytes, sample_bytes)).collect();
            let settled = |&(samples, written): &(usize, usize)| expected.contains(&samples) && written == 1;
            assert!(sent[4..].iter().all(settled), "{sample_bytes} bytes a sample: {sent:?}");
        }
    }

    #[test]
    fn it_follows_what_samples_cost() {
        let mut size = size(Some(BYTES_MAX));
        for (sample_bytes, expected) in [(100, 85..=100), (5, 1740..=2000), (1000, 8..=10), (1, 2000..=2000)] {
            (0..20).for_each(|_| _ = next(&mut size, 0, sample_bytes));
            let samples = size.samples(Duration::ZERO);
            assert!(expected.contains(&samples), "{samples} of {sample_bytes} bytes");
        }
    }

    #[test]
    fn what_requests_may_grow_to_is_taken_at_once_and_given_back() {
        let mut size = size(None);
        size.allow(8000, 100_000);
        assert_eq!(next(&mut size, 0, 10), (8000, 1));
        size.allow(16_000, 100_000);
        (0..9).for_each(|_| _ = next(&mut size, 0, 10));
        assert!((8700..=10_000).contains(&size.samples(Duration::ZERO)), "{}", size.samples(Duration::ZERO));
        size.allow(2000, 100_000);
        assert_eq!(next(&mut size, 0, 1000), (2000, 1), "what bounds grown requests bounds no others");
    }

    #[test]
    fn max_bytes_per_send_binds_however_far_requests_may_grow() {
        let mut size = size(Some(BYTES_MAX));
        (0..20).for_each(|_| _ = next(&mut size, 0, 10));
        size.allow(32_000, 100_000);
        let sent: Vec<_> = (0..20).map(|_| next(&mut size, 0, 10)).collect();
        assert!(sent.iter().all(|(samples, _)| *samples <= 1000), "{sent:?}");
    }

    #[test]
    fn a_small_request_teaches_nothing() {
        let mut size = size(Some(BYTES_MAX));
        assert!(size.takes(Duration::ZERO, 1, 5000));
        assert_eq!(size.samples(Duration::ZERO), 2000);
    }

    /// Each request used to be refused anew, and parted anew: 4.8 times the bytes.
    #[test]
    fn what_a_receiver_takes_is_learned_once() {
        let mut size = size(None);
        let (sent, passed) = send(&mut size, Duration::ZERO, 100_000, 1000);
        assert!(sent < passed + 45_000, "{sent} bytes for {passed}");
        let (sent, passed) = send(&mut size, Duration::from_secs(60), 100_000, 1000);
        assert_eq!(sent, passed, "it is known");
    }

    #[test]
    fn a_larger_body_is_tried_rarely_and_kept_if_it_passes() {
        let (mut size, mut wasted) = (size(None), 0);
        send(&mut size, Duration::ZERO, 10_000, 1000);
        for hour in 1..=48 {
            let (sent, passed) = send(&mut size, Duration::from_secs(hour * 3600), 10_000, 1000);
            wasted += sent - passed;
        }
        assert!(wasted < 10_000, "{wasted} bytes in two days");
        for hour in 49..=100 {
            send(&mut size, Duration::from_secs(hour * 3600), 10_000, 8000);
        }
        assert!(size.samples(Duration::from_secs(100 * 3600)) > 400, "{}", size.samples(Duration::ZERO));
    }
}
