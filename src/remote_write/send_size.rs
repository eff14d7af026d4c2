//! How many samples a request takes, so that its body stays within `max_bytes_per_send`.
//!
//! What a sample costs is not known before it is written: a request that came out too large is parted and written again. So that
//! this stays rare, the number that fitted is remembered.

use super::options::QueueOptions;

/// One endpoint's.
pub struct SendSize {
    configured: usize,
    bytes_max: Option<usize>,
    /// The configured number, or more while requests may grow.
    samples_max: usize,
    /// Of requests with more samples than are configured.
    grown_bytes_max: usize,
    samples: usize,
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
        }
    }

    /// From now on a request may have so many samples, and bytes where that is more than is configured.
    pub fn allow(&mut self, samples_max: usize, grown_bytes_max: usize) {
        let was_full = self.samples == self.samples_max;
        (self.samples_max, self.grown_bytes_max) = (samples_max, grown_bytes_max);
        self.samples = if was_full { samples_max } else { self.samples.min(samples_max) };
    }

    /// Samples that the next request should have, at most.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Whether a request of so many samples, whose body has so many bytes, is small enough. Learns from it.
    pub fn takes(&mut self, samples: usize, body_bytes: usize) -> bool {
        let is_grown = samples > self.configured;
        let bounds = [self.bytes_max, is_grown.then_some(self.grown_bytes_max)];
        let Some(bytes_max) = bounds.into_iter().flatten().min() else { return true };
        // What bounds grown requests alone makes none smaller than is configured.
        let least = if self.bytes_max.is_some_and(|bytes_max| body_bytes > bytes_max) { 1 } else { self.configured };
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
        let (mut samples, mut written) = (size.samples(), 1);
        while !size.takes(samples, at_all_bytes + samples * sample_bytes) && samples > 1 {
            (samples, written) = (samples / 2, written + 1);
        }
        (samples, written)
    }

    #[test]
    fn without_a_limit_each_request_is_as_large_as_it_may_be() {
        let mut size = size(None);
        assert!(size.takes(2000, usize::MAX));
        assert_eq!(size.samples(), 2000);
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
            assert!(expected.contains(&size.samples()), "{} of {sample_bytes} bytes", size.samples());
        }
    }

    #[test]
    fn what_requests_may_grow_to_is_taken_at_once_and_given_back() {
        let mut size = size(None);
        size.allow(8000, 100_000);
        assert_eq!(next(&mut size, 0, 10), (8000, 1));
        size.allow(16_000, 100_000);
        (0..9).for_each(|_| _ = next(&mut size, 0, 10));
        assert!((8700..=10_000).contains(&size.samples()), "{}", size.samples());
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
        assert!(size.takes(1, 5000));
        assert_eq!(size.samples(), 2000);
    }
}
