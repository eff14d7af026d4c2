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
use super::batching::{Batching, Hint, Request};
use super::encoder::Sent;
use super::failures::{FailureEvent, FailureLog};
use super::halving::Halving;
use super::options::QueueOptions;
use super::protocol::{Judgement, ProtobufMessage, Protocol, Version};
use super::retry::{Outcome, Verdict, classify};
use super::send_size::SendSize;
use crate::counters::{DropCause, EndpointCounters};
use crate::model::{ScrapeBatch, Window};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Times are of the monotonic clock.
pub struct Queue {
    /// For the log.
    endpoint: String,
    send_size: SendSize,
    retry_on_http_429: bool,
    backoff: Backoff,
    failures: FailureLog,
    protocol: Rc<RefCell<Protocol>>,
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
    /// What the receiver asked for of it.
    asked_not_before: Duration,
}

impl Queue {
    /// `seed` is to differ between devices: it spreads their retries.
    pub fn new(endpoint: &str, options: &QueueOptions, message: ProtobufMessage, seed: u64) -> Self {
        Queue {
            endpoint: endpoint.into(),
            send_size: SendSize::new(options),
            retry_on_http_429: options.retry_on_http_429,
            backoff: Backoff::new(options.min_backoff, options.max_backoff, seed),
            failures: FailureLog::default(),
            protocol: Rc::new(RefCell::new(Protocol::new(message))),
            in_hand: None,
        }
    }

    /// The same with what other queues of this endpoint find out of its receiver.
    pub fn with_protocol(mut self, protocol: Rc<RefCell<Protocol>>) -> Self {
        self.protocol = protocol;
        self
    }

    /// Takes the next window, in answer to [`Action::NeedWindow`].
    ///
    /// # Panics
    /// If the window before is not finished: its samples would be lost without a count.
    pub fn offer(&mut self, window: Window) {
        assert!(self.in_hand.is_none(), "a window was offered before the last one was finished");
        self.in_hand = Some(InHand {
            batching: Batching::new(window.batches, self.send_size.samples()),
            next_record: window.next_record,
            pieces: Vec::new(),
            halving: Halving::new(),
            retries: 0,
            version: Version::V1,
            not_before: Duration::ZERO,
            asked_not_before: Duration::ZERO,
        });
    }

    pub fn poll(&mut self, now: Duration) -> Action<'_> {
        let Some(mut in_hand) = self.in_hand.take() else { return Action::NeedWindow };
        if in_hand.pieces.is_empty() && !in_hand.take_request(self.send_size.samples()) {
            return Action::Finished { next_record: in_hand.next_record };
        }
        if in_hand.retries == 0 {
            in_hand.version = self.protocol.borrow().version(now);
        }
        let InHand { batching, pieces, retries, version, not_before, .. } = self.in_hand.insert(in_hand);
        if now < *not_before {
            return Action::Wait { until: *not_before };
        }
        let request = pieces.last().expect("one was taken above");
        Action::Send(Attempt { batches: batching.batches(), request, version: *version, retries: *retries })
    }

    /// Whether the attempt that `poll` gave may go out with a body of so many bytes. If not, it has been parted, and `poll`
    /// gives the first part of it.
    pub fn takes_body(&mut self, body_bytes: usize) -> bool {
        let Some(in_hand) = &mut self.in_hand else { return true };
        let Some(request) = in_hand.pieces.pop() else { return true };
        let halves = match self.send_size.takes(request.samples(), body_bytes) {
            true => None,
            // Into series if it can be: their samples cost least together.
            false => request.split(Hint::Unknown),
        };
        let is_whole = halves.is_none();
        match halves {
            Some((first, second)) => {
                in_hand.retries = 0;
                in_hand.pieces.extend([second, first]);
            }
            None => in_hand.pieces.push(request),
        }
        is_whole
    }

    /// A link came up: what failed before is sent again soon, though not before the time that the receiver asked for.
    pub fn on_link_up(&mut self, now: Duration) {
        if let Some(in_hand) = self.in_hand.as_mut().filter(|in_hand| in_hand.not_before > now) {
            let early = self.backoff.early(now).max(in_hand.asked_not_before);
            in_hand.not_before = in_hand.not_before.min(early);
        }
    }

    /// The attempt that `poll` gave has nothing in it that the endpoint is to get: it is done with.
    pub fn on_nothing_to_send(&mut self, now: Duration, sent: &Sent, counters: &EndpointCounters) {
        if let Some(in_hand) = &mut self.in_hand
            && in_hand.pieces.pop().is_some()
        {
            in_hand.retries = 0;
            in_hand.not_before = now;
            self.backoff.reset();
            self.count_left_out(now, sent, counters);
            self.tell(now);
        }
    }

    fn count_left_out(&mut self, now: Duration, sent: &Sent, counters: &EndpointCounters) {
        counters.drop_samples(DropCause::HistogramsOff, sent.histograms_left_out);
        counters.drop_samples(DropCause::TooOld, sent.too_old);
        if sent.too_old > 0 {
            self.failures.note(now, FailureEvent::TooOld, sent.too_old as usize, String::new());
        }
    }

    fn tell(&mut self, now: Duration) {
        while let Some(line) = self.failures.take_due(now) {
            log::warn!("remote_write {:?}: {line}", self.endpoint);
        }
    }

    /// Tells how the attempt that `poll` gave, in which this was sent, went. Counts it, and writes to the log what is to be
    /// said of it.
    pub fn on_outcome(&mut self, now: Duration, sent: &Sent, outcome: &Outcome, counters: &EndpointCounters) {
        counters.requests.add(1);
        counters.bytes_sent.add(outcome.bytes_sent);
        let Some(in_hand) = &mut self.in_hand else { return };
        let Some(request) = in_hand.pieces.pop() else { return };
        let samples = request.samples() - sent.left_out() as usize;
        let judgement = self.protocol.borrow_mut().judge(now, in_hand.version, sent, &outcome.result);
        let verdict = match judgement {
            Judgement::SendAsV1 => {
                counters.retries.add(1);
                in_hand.retries = 0;
                in_hand.pieces.push(request);
                return log::info!("remote_write {:?}: {outcome}: {FALLS_BACK}", self.endpoint);
            }
            Judgement::Ignored => Verdict::Refused { halve: false },
            Judgement::Understood | Judgement::WrittenDiffers { .. } => {
                classify(&outcome.result, self.retry_on_http_429)
            }
        };
        let others = in_hand.pieces.len();
        match verdict {
            Verdict::Delivered => {
                let missing = judgement.missing();
                if matches!(judgement, Judgement::WrittenDiffers { .. }) {
                    counters.written_differs.add(1);
                    let text = written_differs(sent, outcome);
                    self.failures.note(now, FailureEvent::WrittenDiffers, missing as usize, text);
                }
                counters.drop_samples(DropCause::NotWritten, missing);
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
                in_hand.asked_not_before = now + after;
                in_hand.not_before = in_hand.asked_not_before + self.backoff.next_wait();
                self.failures.note(now, FailureEvent::Retried(outcome.cause()), samples, outcome.to_string());
            }
            Verdict::Refused { halve } => {
                in_hand.retries = 0;
                self.backoff.reset();
                let hint = if judgement == Judgement::Ignored { IGNORED } else { "" };
                let text = format!("{outcome}{hint}");
                let event = match halve && in_hand.halve(&request, &text) {
                    true => FailureEvent::Halved(outcome.cause()),
                    false => {
                        counters.drop_samples(DropCause::Rejected, samples as u64);
                        FailureEvent::Dropped(outcome.cause())
                    }
                };
                self.failures.note(now, event, samples, text);
            }
        }
        let is_done = in_hand.pieces.len() == others;
        if is_done {
            self.count_left_out(now, sent, counters);
        }
        self.tell(now);
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
    fn take_request(&mut self, samples_max: usize) -> bool {
        self.halving = Halving::new();
        self.batching.limit_samples(samples_max);
        let request = self.batching.next_request();
        let taken = request.is_some();
        self.pieces.extend(request);
        taken
    }

    /// Takes what can be saved of a refused request in hand; `false` if that is nothing.
    fn halve(&mut self, refused: &Request, text: &str) -> bool {
        let halves = self.halving.halves(refused, text);
        let is_halved = halves.is_some();
        self.pieces.extend(halves.into_iter().flat_map(|(first, second)| [second, first]));
        is_halved
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
        true => options.capacity,
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
