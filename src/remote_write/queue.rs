//! One endpoint's state: which request is next, when it may be sent, and what its outcome means.
//!
//! ```text
//!  offer(window) ─► requests, one at a time ─► poll: Send ─► (the uplink) ─► on_outcome ─┬─ delivered: the next one
//!                                                ▲                                       ├─ retry: the same, after a wait
//!                                                └───────────────────────────────────────┴─ refused: halves, or dropped
//! ```
//!
//! A window is finished when each of its samples was delivered or refused for good, and each of these was counted.
//! Knows no socket and no clock: it is given the time and told what happened.

use super::backoff::Backoff;
use super::batching::{Batching, Request};
use super::failures::{FailureEvent, FailureLog};
use super::halving::Halving;
use super::options::QueueOptions;
use super::retry::{Outcome, Verdict, classify};
use crate::counters::{DropCause, EndpointCounters};
use crate::model::{ScrapeBatch, Window};
use std::rc::Rc;
use std::time::Duration;

/// Times are of the monotonic clock.
pub struct Queue {
    /// For the log.
    endpoint: String,
    samples_max: usize,
    backoff: Backoff,
    failures: FailureLog,
    in_hand: Option<InHand>,
}

/// What the endpoint's task is to do next.
pub enum Action<'a> {
    /// There is nothing to send: `offer` a window.
    NeedWindow,
    /// Send this and tell `on_outcome` how it went. Until then, `poll` says the same again.
    Send(Attempt<'a>),
    /// Nothing is to be done before this time.
    Wait { until: Duration },
    /// The window is done with: the endpoint has acknowledged every record before this one. Said once.
    Finished { next_record: u64 },
}

/// One request to be sent.
pub struct Attempt<'a> {
    pub batches: &'a [Rc<ScrapeBatch>],
    pub request: &'a Request,
    /// How often exactly this request failed before; if it did, its body is what it was.
    pub retries: u32,
}

struct InHand {
    batching: Batching,
    next_record: u64,
    /// What is left of the request in hand: it, or after refusals its parts, the one to be sent next last.
    pieces: Vec<Request>,
    halving: Halving,
    retries: u32,
    not_before: Duration,
}

impl Queue {
    /// `seed` is to differ between devices: it spreads their retries.
    pub fn new(endpoint: &str, options: &QueueOptions, seed: u64) -> Self {
        Queue {
            endpoint: endpoint.into(),
            samples_max: options.max_samples_per_send,
            backoff: Backoff::new(options.min_backoff, options.max_backoff, seed),
            failures: FailureLog::default(),
            in_hand: None,
        }
    }

    /// Takes the next window, in answer to [`Action::NeedWindow`].
    ///
    /// # Panics
    /// If the window before is not finished: its samples would be lost without a count.
    pub fn offer(&mut self, window: Window) {
        assert!(self.in_hand.is_none(), "a window was offered before the last one was finished");
        self.in_hand = Some(InHand {
            batching: Batching::new(window.batches, self.samples_max),
            next_record: window.next_record,
            pieces: Vec::new(),
            halving: Halving::new(),
            retries: 0,
            not_before: Duration::ZERO,
        });
    }

    pub fn poll(&mut self, now: Duration) -> Action<'_> {
        let Some(mut in_hand) = self.in_hand.take() else { return Action::NeedWindow };
        if in_hand.pieces.is_empty() && !in_hand.take_request() {
            return Action::Finished { next_record: in_hand.next_record };
        }
        let InHand { batching, pieces, retries, not_before, .. } = self.in_hand.insert(in_hand);
        if now < *not_before {
            return Action::Wait { until: *not_before };
        }
        let request = pieces.last().expect("one was taken above");
        Action::Send(Attempt { batches: batching.batches(), request, retries: *retries })
    }

    /// Tells how the attempt that `poll` gave went. Counts it, and writes to the log what is to be said of it.
    pub fn on_outcome(&mut self, now: Duration, outcome: &Outcome, counters: &EndpointCounters) {
        counters.requests.add(1);
        counters.bytes_sent.add(outcome.bytes_sent);
        let Some(in_hand) = &mut self.in_hand else { return };
        let Some(request) = in_hand.pieces.pop() else { return };
        let samples = request.samples();
        match classify(&outcome.result) {
            Verdict::Delivered => {
                counters.samples_delivered.add(samples as u64);
                in_hand.halving.accepted(&request);
                in_hand.retries = 0;
                self.backoff.reset();
                if let Some(line) = self.failures.delivered(now) {
                    log::info!("remote_write {:?}: {line}", self.endpoint);
                }
            }
            Verdict::Retry { after } => {
                counters.retries.add(1);
                in_hand.pieces.push(request);
                in_hand.retries = in_hand.retries.saturating_add(1);
                // Jitter comes on top of Retry-After, which a receiver may give to a whole fleet at once.
                in_hand.not_before = now + after + self.backoff.next_wait();
                self.failures.note(now, FailureEvent::Retried(outcome.cause()), samples, outcome.to_string());
            }
            Verdict::Refused { halve } => {
                in_hand.retries = 0;
                self.backoff.reset();
                let text = outcome.to_string();
                let halves = if halve { in_hand.halving.halves(&request, &text) } else { None };
                let event = match halves {
                    Some((first, second)) => {
                        in_hand.pieces.extend([second, first]);
                        FailureEvent::Halved(outcome.cause())
                    }
                    None => {
                        counters.drop_samples(DropCause::Rejected, samples as u64);
                        FailureEvent::Dropped(outcome.cause())
                    }
                };
                self.failures.note(now, event, samples, text);
            }
        }
        while let Some(line) = self.failures.take_due(now) {
            log::warn!("remote_write {:?}: {line}", self.endpoint);
        }
    }
}

impl InHand {
    /// Takes the window's next request in hand; `false` at its end.
    fn take_request(&mut self) -> bool {
        self.halving = Halving::new();
        let request = self.batching.next_request();
        let taken = request.is_some();
        self.pieces.extend(request);
        taken
    }
}

/// When waiting samples are to be sent: at once if they fill a request, else when the oldest of them has waited for
/// `batch_send_deadline`. None if there are none.
///
/// `oldest_at` is when the oldest waiting sample came; so is the answer, and it may have passed.
pub fn send_at(options: &QueueOptions, samples_waiting: usize, oldest_at: Duration) -> Option<Duration> {
    match samples_waiting {
        0 => None,
        waiting if waiting >= options.max_samples_per_send => Some(oldest_at),
        _ => Some(oldest_at.saturating_add(options.batch_send_deadline)),
    }
}

#[cfg(test)]
mod tests;
