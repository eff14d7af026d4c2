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
use super::encoder::Sent;
use super::failures::{FailureEvent, FailureLog};
use super::halving::Halving;
use super::options::QueueOptions;
use super::protocol::{Judgement, ProtobufMessage, Protocol, Version};
use super::retry::{Outcome, Verdict, classify};
use crate::counters::{DropCause, EndpointCounters};
use crate::limits::WINDOW_SAMPLES_MAX;
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
    protocol: Protocol,
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
    pub version: Version,
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
    /// Of the request in hand, from its first attempt on.
    version: Version,
    not_before: Duration,
}

impl Queue {
    /// `seed` is to differ between devices: it spreads their retries.
    pub fn new(endpoint: &str, options: &QueueOptions, message: ProtobufMessage, seed: u64) -> Self {
        Queue {
            endpoint: endpoint.into(),
            samples_max: options.max_samples_per_send,
            backoff: Backoff::new(options.min_backoff, options.max_backoff, seed),
            failures: FailureLog::default(),
            protocol: Protocol::new(message),
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
            version: Version::V1,
            not_before: Duration::ZERO,
        });
    }

    pub fn poll(&mut self, now: Duration) -> Action<'_> {
        let Some(mut in_hand) = self.in_hand.take() else { return Action::NeedWindow };
        if in_hand.pieces.is_empty() && !in_hand.take_request() {
            return Action::Finished { next_record: in_hand.next_record };
        }
        if in_hand.retries == 0 {
            in_hand.version = self.protocol.version(now);
        }
        let InHand { batching, pieces, retries, version, not_before, .. } = self.in_hand.insert(in_hand);
        if now < *not_before {
            return Action::Wait { until: *not_before };
        }
        let request = pieces.last().expect("one was taken above");
        Action::Send(Attempt { batches: batching.batches(), request, version: *version, retries: *retries })
    }

    /// The attempt that `poll` gave has nothing in it that the endpoint is to get: it is done with.
    pub fn on_nothing_to_send(&mut self, sent: &Sent, counters: &EndpointCounters) {
        if self.in_hand.as_mut().and_then(|in_hand| in_hand.pieces.pop()).is_some() {
            counters.drop_samples(DropCause::HistogramsOff, sent.histograms_left_out);
        }
    }

    /// Tells how the attempt that `poll` gave, in which this was sent, went. Counts it, and writes to the log what is to be
    /// said of it.
    pub fn on_outcome(&mut self, now: Duration, sent: &Sent, outcome: &Outcome, counters: &EndpointCounters) {
        counters.requests.add(1);
        counters.bytes_sent.add(outcome.bytes_sent);
        let Some(in_hand) = &mut self.in_hand else { return };
        let Some(request) = in_hand.pieces.pop() else { return };
        let samples = request.samples() - sent.histograms_left_out as usize;
        let judgement = self.protocol.judge(now, in_hand.version, sent, &outcome.result);
        let verdict = match judgement {
            Judgement::SendAsV1 => {
                counters.retries.add(1);
                in_hand.retries = 0;
                in_hand.pieces.push(request);
                return log::info!("remote_write {:?}: {outcome}: {FALLS_BACK}", self.endpoint);
            }
            Judgement::Ignored => Verdict::Refused { halve: false },
            Judgement::Understood | Judgement::WrittenDiffers { .. } => classify(&outcome.result),
        };
        match verdict {
            Verdict::Delivered => {
                let missing = judgement.missing();
                if matches!(judgement, Judgement::WrittenDiffers { .. }) {
                    counters.written_differs.add(1);
                    let text = written_differs(sent, outcome);
                    self.failures.note(now, FailureEvent::WrittenDiffers, missing as usize, text);
                }
                counters.drop_samples(DropCause::NotWritten, missing);
                counters.drop_samples(DropCause::HistogramsOff, sent.histograms_left_out);
                counters.samples_delivered.add((samples as u64).saturating_sub(missing));
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
                let text = match judgement {
                    Judgement::Ignored => format!("{outcome}{IGNORED}"),
                    _ => outcome.to_string(),
                };
                let halves = if halve { in_hand.halving.halves(&request, &text) } else { None };
                let event = match halves {
                    Some((first, second)) => {
                        in_hand.pieces.extend([second, first]);
                        FailureEvent::Halved(outcome.cause())
                    }
                    None => {
                        counters.drop_samples(DropCause::Rejected, samples as u64);
                        counters.drop_samples(DropCause::HistogramsOff, sent.histograms_left_out);
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

/// What to say when an endpoint does not know 2.0.
const FALLS_BACK: &str = "the receiver does not know Remote-Write 2.0; it is sent 1.0, and asked again in a day";
const IGNORED: &str = " without a count of what was written: the receiver does not know Remote-Write 2.0; \
                       write protobuf_message = \"prometheus.WriteRequest\" or \"auto\"";

fn written_differs(sent: &Sent, outcome: &Outcome) -> String {
    let written = outcome.result.as_ref().ok().and_then(|answer| answer.written).unwrap_or_default();
    format!(
        "{} samples, {} histograms, {} exemplars were sent, and {}, {}, {} written",
        sent.samples, sent.histograms, sent.exemplars, written.samples, written.histograms, written.exemplars
    )
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
/// A deadline that is longer than the scrape interval is there to have several samples of each series go together: then they
/// wait for it even if they fill a request, but not if they fill a window.
///
/// `oldest_at` is when the oldest waiting sample came; so is the answer, and it may have passed.
pub fn send_at(
    options: &QueueOptions,
    scrape_interval: Duration,
    samples_waiting: usize,
    oldest_at: Duration,
) -> Option<Duration> {
    let enough = match options.batch_send_deadline > scrape_interval {
        true => WINDOW_SAMPLES_MAX,
        false => options.max_samples_per_send,
    };
    match samples_waiting {
        0 => None,
        waiting if waiting >= enough => Some(oldest_at),
        _ => Some(oldest_at.saturating_add(options.batch_send_deadline)),
    }
}

#[cfg(test)]
mod tests;
