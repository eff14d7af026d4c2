//! How far requests may exceed `max_samples_per_send`, so that a receiver whose answers take long gets samples faster than one
//! request at a time allows.
//!
//! ```text
//!  2,000 ── slow answer, more waits ──► 4,000 on trial ── faster ──► 8,000 on trial ── no faster ──► 4,000 for half a minute
//!    ▲                                                                                                │
//!    └──── the endpoint has caught up, a request failed, or the receiver refused one ─────────────────┘
//! ```
//!
//! A size is kept only if it brings more samples a second than the one before it: on a link that is slow rather than long,
//! larger requests only hold others up. Given times and sizes; refuses to know what a request is made of.

use crate::limits::{GROWN_SEND_BYTES_MAX, GROWN_SEND_FACTOR_MAX, GROWN_SEND_SAMPLES_MAX};
use std::time::Duration;

/// Answers that take less cost no throughput worth having.
const SLOW_ANSWER_MIN: Duration = Duration::from_millis(100);

/// Beyond this a larger request might not be answered in time.
const SLOW_ANSWER_MAX: Duration = Duration::from_secs(10);

/// A size on trial has to bring so much more.
const GAIN_MIN: f64 = 1.1;

/// Full requests that a size on trial has for that: a stall or two says little.
const TRIALS: u8 = 3;

/// How long a size that brought nothing, or was too large, is not tried again.
const HOLD: Duration = Duration::from_secs(30);

/// The same where the receiver refused a grown request: it may count samples.
const HOLD_AFTER_REFUSAL: Duration = Duration::from_secs(600);

/// How a request ended, as far as its size goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    Taken,
    /// Never to be sent again as it is.
    Refused,
    /// No answer, or one that asks for another attempt.
    Failed,
}

/// A request that was answered, or not.
#[derive(Clone, Copy, Debug)]
pub struct Exchanged {
    pub samples: usize,
    pub body_bytes: u64,
    pub took: Duration,
    /// More was waiting than it had room for.
    pub is_full: bool,
    pub heard: Heard,
}

/// One endpoint's.
pub struct Growth {
    /// `max_samples_per_send`.
    configured: usize,
    samples: usize,
    body_bytes_max: usize,
    /// Samples a second with half as many in a request, while this size is on trial.
    before: Option<f64>,
    trials: u8,
    hold_until: Duration,
}

impl Growth {
    pub fn new(max_samples_per_send: usize) -> Growth {
        Growth {
            configured: max_samples_per_send,
            samples: max_samples_per_send,
            body_bytes_max: GROWN_SEND_BYTES_MAX,
            before: None,
            trials: 0,
            hold_until: Duration::ZERO,
        }
    }

    /// Bounds what grown requests take of a link that is held to a rate, which other requests wait for.
    pub fn limit_bytes(&mut self, body_bytes_max: usize) {
        self.body_bytes_max = self.body_bytes_max.min(body_bytes_max);
    }

    /// Samples that a request may have now.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Bytes that the body of a request with more than the configured samples may have.
    pub fn body_bytes_max(&self) -> usize {
        self.body_bytes_max
    }

    pub fn is_grown(&self) -> bool {
        self.samples > self.configured
    }

    /// So many samples are there to be sent: what would have room in smaller requests needs no large ones.
    pub fn waiting(&mut self, samples: usize) {
        while self.is_grown() && self.samples / 2 >= samples {
            self.shrink_to(self.samples / 2);
        }
    }

    pub fn exchanged(&mut self, now: Duration, exchanged: &Exchanged) {
        match exchanged.heard {
            Heard::Taken if exchanged.is_full => self.taken(now, exchanged),
            Heard::Taken => {}
            Heard::Refused | Heard::Failed => {
                if exchanged.samples > self.configured {
                    let hold = if exchanged.heard == Heard::Refused { HOLD_AFTER_REFUSAL } else { HOLD };
                    self.hold_until = self.hold_until.max(now + hold);
                }
                self.shrink_to(self.configured);
            }
        }
    }

    fn taken(&mut self, now: Duration, exchanged: &Exchanged) {
        let samples_per_second = exchanged.samples as f64 / exchanged.took.as_secs_f64().max(1e-6);
        if let Some(before) = self.before {
            self.trials += 1;
            if samples_per_second < before * GAIN_MIN {
                if self.trials == TRIALS {
                    self.shrink_to(self.samples / 2);
                    self.hold_until = now + HOLD;
                }
                return;
            }
            self.before = None;
        }
        let is_slow = (SLOW_ANSWER_MIN..=SLOW_ANSWER_MAX).contains(&exchanged.took);
        let has_room = exchanged.body_bytes.saturating_mul(2) <= self.body_bytes_max as u64
            && self.samples.saturating_mul(2) <= self.samples_max();
        if is_slow && has_room && now >= self.hold_until {
            (self.before, self.trials) = (Some(samples_per_second), 0);
            self.samples *= 2;
        }
    }

    fn samples_max(&self) -> usize {
        self.configured.saturating_mul(GROWN_SEND_FACTOR_MAX).min(GROWN_SEND_SAMPLES_MAX)
    }

    fn shrink_to(&mut self, samples: usize) {
        self.samples = samples.max(self.configured);
        self.before = None;
    }
}

#[cfg(test)]
mod tests {
    use super::Heard::*;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends full requests over a link with this latency that carries so much a second, for so many of them: sizes.
    fn play(growth: &mut Growth, latency_s: f64, samples_per_second: f64, requests: usize) -> Vec<usize> {
        let mut now = Duration::ZERO;
        let sizes = (0..requests).map(|_| {
            let samples = growth.samples();
            let took = Duration::from_secs_f64(latency_s + samples as f64 / samples_per_second);
            now += took;
            growth.exchanged(now, &exchanged(samples, took, Taken));
            samples
        });
        sizes.collect()
    }

    fn exchanged(samples: usize, took: Duration, heard: Heard) -> Exchanged {
        Exchanged { samples, body_bytes: 5 * samples as u64, took, is_full: true, heard }
    }

    #[test]
    fn where_answers_take_long_requests_double_as_long_as_that_helps() {
        let sizes = play(&mut Growth::new(2000), 2.0, 1e6, 8);
        assert_eq!(sizes, [2000, 4000, 8000, 16_000, 32_000, 32_000, 32_000, 32_000]);
    }

    #[test]
    fn on_a_link_that_is_slow_rather_than_long_a_larger_size_is_tried_every_half_minute() {
        let sizes = play(&mut Growth::new(2000), 0.1, 1000.0, 100);
        let tried = sizes.iter().filter(|size| **size > 2000).count();
        assert!(sizes.iter().all(|size| *size <= 4000) && (9..=18).contains(&tried), "{sizes:?}");
    }

    #[test]
    fn a_stall_does_not_keep_requests_small() {
        let mut growth = Growth::new(2000);
        growth.exchanged(2 * SECOND, &exchanged(2000, 2 * SECOND, Taken));
        for second in [20, 30] {
            growth.exchanged(second * SECOND, &exchanged(4000, 10 * SECOND, Taken));
        }
        growth.exchanged(32 * SECOND, &exchanged(4000, 2 * SECOND, Taken));
        assert_eq!(growth.samples(), 8000);
    }

    #[test]
    fn quick_answers_grow_nothing() {
        assert_eq!(play(&mut Growth::new(2000), 0.09, 1e9, 20), [2000; 20]);
    }

    #[test]
    fn a_request_that_has_room_for_all_grows_nothing() {
        let mut growth = Growth::new(2000);
        growth.exchanged(SECOND, &Exchanged { is_full: false, ..exchanged(1500, SECOND, Taken) });
        assert_eq!(growth.samples(), 2000);
    }

    #[test]
    fn bytes_bound_it_too() {
        let mut growth = Growth::new(2000);
        growth.limit_bytes(50_000);
        assert_eq!(play(&mut growth, 2.0, 1e9, 5), [2000, 4000, 8000, 8000, 8000]);
    }

    #[test]
    fn a_small_configured_size_stays_rather_small() {
        assert_eq!(play(&mut Growth::new(10), 2.0, 1e6, 7), [10, 20, 40, 80, 160, 160, 160]);
    }

    #[test]
    fn a_configured_size_beyond_the_bound_stays_as_it_is() {
        assert_eq!(play(&mut Growth::new(40_000), 2.0, 1e6, 3), [40_000; 3]);
    }

    #[test]
    fn who_has_caught_up_sends_as_much_as_is_configured() {
        let mut growth = Growth::new(2000);
        play(&mut growth, 2.0, 1e6, 8);
        for (waiting, samples) in [(30_000, 32_000), (10_000, 16_000), (10_000, 16_000), (1500, 2000), (1500, 2000)] {
            growth.waiting(waiting);
            assert_eq!(growth.samples(), samples, "{waiting} are waiting");
        }
        assert!(!growth.is_grown());
    }

    #[test]
    fn after_a_failure_or_refusal_of_a_grown_request_it_is_small_for_a_while() {
        for (heard, hold_s) in [(Failed, 30), (Refused, 600)] {
            let mut growth = Growth::new(2000);
            play(&mut growth, 2.0, 1e6, 8);
            growth.exchanged(100 * SECOND, &exchanged(32_000, 30 * SECOND, heard));
            growth.exchanged(101 * SECOND, &exchanged(2000, SECOND, Failed));
            assert_eq!(growth.samples(), 2000);
            growth.exchanged((99 + hold_s) * SECOND, &exchanged(2000, SECOND, Taken));
            assert_eq!(growth.samples(), 2000, "{heard:?}");
            growth.exchanged((100 + hold_s) * SECOND, &exchanged(2000, SECOND, Taken));
            assert_eq!(growth.samples(), 4000, "{heard:?}");
        }
    }
}
