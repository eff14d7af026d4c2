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
use super::gate::RateOptions;
use super::growth::{Exchanged, Growth, Heard};
use super::halving::Halving;
use super::options::QueueOptions;
use super::protocol::{Impostor, Judgement, ProtobufMessage, Protocol, Version, Written};
use super::retry::{Answer, Outcome, Verdict, classify};
use super::send_size::SendSize;
use crate::counters::{DropCause, EndpointCounters};
use crate::limits::{HOLD_WAIT_MAX, HOLD_WAIT_MIN};
use crate::model::{ScrapeBatch, Window};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Times are of the monotonic clock.
pub struct Queue {
    /// For the log.
    endpoint: String,
    send_size: SendSize,
    growth: Growth,
    /// Statuses of 4xx.
    give_up_on: Vec<u16>,
    backoff: Backoff,
    /// While the way to the receiver is at fault.
    hold_backoff: Backoff,
    failures: FailureLog,
    describe_backlog: Option<Box<dyn Fn() -> String>>,
    /// Something, since the process began.
    has_delivered: bool,
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
    /// The record of each batch, by the batch's address.
    records: Vec<(usize, u64)>,
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
            growth: Growth::new(options.max_samples_per_send),
            give_up_on: options.all_given_up(),
            backoff: Backoff::new(options.min_backoff, options.max_backoff, seed),
            hold_backoff: Backoff::new(
                HOLD_WAIT_MIN.max(options.min_backoff),
                HOLD_WAIT_MAX.max(options.max_backoff),
                seed,
            ),
            failures: FailureLog::default(),
            describe_backlog: None,
            has_delivered: false,
            protocol: Rc::new(RefCell::new(Protocol::new(message))),
            in_hand: None,
        }
    }

    /// The same with what other queues of this endpoint find out of its receiver.
    pub fn with_protocol(mut self, protocol: Rc<RefCell<Protocol>>) -> Self {
        self.protocol = protocol;
        self
    }

    /// The same where the link is held to these rates: a request that has grown takes two seconds' worth at most.
    pub fn with_rates(mut self, rates: &RateOptions) -> Self {
        let rate = rates.bytes_per_second.into_iter().chain(rates.backlog_bytes_per_second).min();
        if let Some(rate) = rate {
            self.growth.limit_bytes(usize::try_from(rate.saturating_mul(2)).unwrap_or(usize::MAX));
        }
        self
    }

    /// Whether requests are larger than is configured, and take more memory than they otherwise would.
    pub fn is_grown(&self) -> bool {
        self.growth.is_grown()
    }

    /// There is nothing to send.
    pub fn rest(&mut self) {
        self.waiting(0);
    }

    fn waiting(&mut self, samples: usize) {
        self.growth.waiting(samples);
        self.send_size.allow(self.growth.samples(), self.growth.body_bytes_max());
    }

    /// The same with what lines about an outage say of the samples that are pending.
    pub fn with_backlog(mut self, describe: Box<dyn Fn() -> String>) -> Self {
        self.describe_backlog = Some(describe);
        self
    }

    /// Takes the next window, in answer to [`Action::NeedWindow`].
    ///
    /// # Panics
    /// If the window before is not finished: its samples would be lost without a count.
    pub fn offer(&mut self, window: Window) {
        assert!(self.in_hand.is_none(), "a window was offered before the last one was finished");
        self.waiting(window.samples());
        let addresses = window.batches.iter().map(address);
        let mut records: Vec<(usize, u64)> = addresses.zip(window.records).collect();
        records.sort_unstable();
        self.in_hand = Some(InHand {
            records,
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

    /// Samples of the window in hand that are neither delivered nor dropped so far, by record, in no order.
    pub fn unfinished(&self) -> impl Iterator<Item = (u64, u64)> {
        self.in_hand.iter().flat_map(InHand::unfinished)
    }

    pub fn poll(&mut self, now: Duration) -> Action<'_> {
        let Some(mut in_hand) = self.in_hand.take() else { return Action::NeedWindow };
        if in_hand.pieces.is_empty() && !in_hand.take_request(self.send_size.samples()) {
            return Action::Finished { next_record: in_hand.next_record };
        }
        // A grown request that failed goes in parts of the usual size.
        if in_hand.part_larger_than(self.growth.samples()) {
            in_hand.retries = 0;
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

    /// Tells how long the attempt that `poll` gave took, and learns from it how large the next ones should be. To be called before
    /// [`on_outcome`](Self::on_outcome).
    pub fn on_exchange(&mut self, now: Duration, took: Duration, outcome: &Outcome) {
        let Some(in_hand) = &self.in_hand else { return };
        let Some(request) = in_hand.pieces.last() else { return };
        let heard = match &outcome.result {
            Ok(answer) if (200..300).contains(&answer.status) => Heard::Taken,
            Ok(Answer { status: 400 | 409 | 413 | 415 | 422, .. }) => Heard::Refused,
            _ => Heard::Failed,
        };
        let (samples, body_bytes) = (request.samples(), outcome.bytes_sent);
        let is_full = in_hand.pieces.len() > 1 || in_hand.batching.has_more();
        self.growth.exchanged(now, &Exchanged { samples, body_bytes, took, is_full, heard });
        self.send_size.allow(self.growth.samples(), self.growth.body_bytes_max());
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
            && let Some(request) = in_hand.pieces.pop()
        {
            self.failures.speak_of(request.times(in_hand.batching.batches()));
            in_hand.retries = 0;
            in_hand.not_before = now;
            self.backoff.reset();
            self.count_left_out(sent, counters);
            self.tell(now);
        }
    }

    fn count_left_out(&mut self, sent: &Sent, counters: &EndpointCounters) {
        counters.drop_samples(DropCause::HistogramsOff, sent.histograms_left_out);
        counters.drop_samples(DropCause::TooOld, sent.too_old);
        if sent.too_old > 0 {
            self.failures.note(FailureEvent::TooOld, sent.too_old as usize, String::new());
        }
    }

    fn tell(&mut self, now: Duration) {
        while let Some(line) = self.failures.take_due(now) {
            let backlog = self.describe_backlog.as_ref().filter(|_| line.is_outage);
            let backlog = backlog.map_or(String::new(), |describe| format!("; {}", describe()));
            log::warn!("remote_write {:?}: {}{backlog}", self.endpoint, line.text);
        }
    }

    /// Tells how the attempt that `poll` gave, in which this was sent, went. Counts it, and writes to the log what is to be
    /// said of it.
    pub fn on_outcome(&mut self, now: Duration, sent: &Sent, outcome: &Outcome, counters: &EndpointCounters) {
        counters.requests.add(1);
        counters.bytes_sent.add(outcome.bytes_sent);
        let Some(in_hand) = &mut self.in_hand else { return };
        let Some(request) = in_hand.pieces.pop() else { return };
        self.failures.speak_of(request.times(in_hand.batching.batches()));
        let (version, others) = (in_hand.version, in_hand.pieces.len());
        let samples = request.samples() - sent.left_out() as usize;
        let ended = Ended { now, sent, samples, outcome, counters };
        let judgement = self.protocol.borrow_mut().judge(now, version, sent, &outcome.result);
        match (judgement, classify(&outcome.result, version, &self.give_up_on)) {
            (Judgement::SendAsV1, _) => self.send_as_v1(&ended, request),
            (Judgement::Impostor(impostor), _) => {
                self.keep(&ended, request, Duration::ZERO, Wait::Short, what_to_do(impostor))
            }
            (_, Verdict::Retry { after }) => self.keep(&ended, request, after, Wait::Short, ""),
            (_, Verdict::Hold { after }) => self.keep(&ended, request, after, Wait::Long, ""),
            (_, Verdict::Delivered) => self.delivered(&ended, &request, judgement),
            (_, Verdict::PartlyWritten(written)) => self.partly_written(&ended, &request, written),
            // With 2.0 the receiver has written what it could.
            (_, Verdict::Refused) => self.refused(&ended, &request, version == Version::V1),
            (_, Verdict::TooLarge) => self.refused(&ended, &request, true),
            (_, Verdict::GivenUp) => self.refused(&ended, &request, false),
        }
        let is_done = self.in_hand.as_ref().is_some_and(|in_hand| in_hand.pieces.len() == others);
        if is_done {
            self.count_left_out(sent, counters);
        }
        self.tell(now);
    }

    /// The same request goes again, in the message that its receiver seems to know.
    fn send_as_v1(&mut self, ended: &Ended, request: Request) {
        ended.counters.retries.add(1);
        if let Some(in_hand) = &mut self.in_hand {
            in_hand.retries = 0;
            in_hand.pieces.push(request);
        }
        let what = if self.protocol.borrow().is_v1_for_long(ended.now) { FALLS_BACK } else { TRIES_V1 };
        log::info!("remote_write {:?}: {}: {what}", self.endpoint, ended.outcome);
    }

    fn delivered(&mut self, ended: &Ended, request: &Request, judgement: Judgement) {
        let missing = judgement.missing();
        if matches!(judgement, Judgement::WrittenDiffers { .. }) {
            ended.counters.written_differs.add(1);
            let text = written_differs(ended.sent, ended.outcome);
            self.failures.note(FailureEvent::WrittenDiffers, missing as usize, text);
        }
        ended.counters.drop_samples(DropCause::NotWritten, missing);
        ended.counters.samples_delivered.add((ended.samples as u64).saturating_sub(missing));
        if !std::mem::replace(&mut self.has_delivered, true) {
            log::info!("remote_write {:?}: first delivery, {} samples", self.endpoint, ended.samples);
        }
        self.accepted(ended.now, request);
    }

    /// The receiver has refused the rest for good. To send any of it again would have what was written refused as well.
    fn partly_written(&mut self, ended: &Ended, request: &Request, written: Written) {
        let written = (written.samples + written.histograms).min(ended.samples as u64);
        let rest = ended.samples as u64 - written;
        ended.counters.samples_delivered.add(written);
        ended.counters.drop_samples(DropCause::Rejected, rest);
        let text = format!("{}; the receiver has written the other {written} of this request", ended.outcome);
        self.failures.note(FailureEvent::Dropped(ended.outcome.cause()), rest as usize, text);
        self.accepted(ended.now, request);
    }

    /// The receiver works.
    fn accepted(&mut self, now: Duration, request: &Request) {
        if let Some(in_hand) = &mut self.in_hand {
            in_hand.halving.accepted(request);
            in_hand.retries = 0;
        }
        self.backoff.reset();
        self.hold_backoff.reset();
        if let Some(line) = self.failures.delivered(now) {
            log::info!("remote_write {:?}: {line}", self.endpoint);
        }
    }

    /// The same request goes again, after a wait.
    fn keep(&mut self, ended: &Ended, request: Request, after: Duration, wait: Wait, hint: &str) {
        ended.counters.retries.add(1);
        let backoff = match wait {
            Wait::Short => &mut self.backoff,
            Wait::Long => &mut self.hold_backoff,
        };
        if let Some(in_hand) = &mut self.in_hand {
            in_hand.pieces.push(request);
            in_hand.retries = in_hand.retries.saturating_add(1);
            // Jitter comes on top of Retry-After, which a receiver may give to a whole fleet at once.
            in_hand.asked_not_before = ended.now + after;
            in_hand.not_before = in_hand.asked_not_before + backoff.next_wait();
        }
        self.failures.note_retry(ended.now, ended.outcome.cause(), format!("{}{hint}", ended.outcome));
    }

    fn refused(&mut self, ended: &Ended, request: &Request, halve: bool) {
        self.backoff.reset();
        let text = ended.outcome.to_string();
        let Some(in_hand) = &mut self.in_hand else { return };
        in_hand.retries = 0;
        let event = match halve && in_hand.halve(request, &text) {
            true => FailureEvent::Halved(ended.outcome.cause()),
            false => {
                ended.counters.drop_samples(DropCause::Rejected, ended.samples as u64);
                FailureEvent::Dropped(ended.outcome.cause())
            }
        };
        self.failures.note(event, ended.samples, text);
    }
}

/// How the attempt ended that is to be judged.
struct Ended<'a> {
    now: Duration,
    sent: &'a Sent,
    /// Samples that were sent.
    samples: usize,
    outcome: &'a Outcome,
    counters: &'a EndpointCounters,
}

/// How long waits may grow.
enum Wait {
    /// Up to `max_backoff`: it will pass.
    Short,
    /// Up to `HOLD_WAIT_MAX`: somebody has to mend something first.
    Long,
}

fn address(batch: &Rc<ScrapeBatch>) -> usize {
    Rc::as_ptr(batch).addr()
}

/// What to say when an endpoint does not know 2.0.
const FALLS_BACK: &str = "the receiver does not know Remote-Write 2.0; it is sent 1.0, and asked again in a day";
const TRIES_V1: &str =
    "the receiver does not seem to know Remote-Write 2.0; it is sent 1.0, and asked again in a minute";

fn what_to_do(impostor: Impostor) -> &'static str {
    match impostor {
        Impostor::NotCounted => {
            " without a count of what was written, which receivers of Remote-Write 2.0 give: not counted as delivered; check who \
             answers at the url (captive portal, gateway, proxy); if the receiver knows 1.0 only, write \
             protobuf_message = \"prometheus.WriteRequest\""
        }
        Impostor::OtherBody => {
            " with another body than this receiver's answers have: not counted as delivered until it is the same for a minute; \
             check who answers at the url (captive portal, gateway, proxy)"
        }
    }
}

fn written_differs(sent: &Sent, outcome: &Outcome) -> String {
    let written = outcome.result.as_ref().ok().and_then(|answer| answer.written).unwrap_or_default();
    format!(
        "{} samples, {} histograms, {} exemplars were sent, and {}, {}, {} written",
        sent.samples, sent.histograms, sent.exemplars, written.samples, written.histograms, written.exemplars
    )
}

impl InHand {
    fn unfinished(&self) -> impl Iterator<Item = (u64, u64)> {
        let batches = self.batching.batches();
        let mut counts = vec![0; batches.len()];
        self.batching.add_untaken(&mut counts);
        self.pieces.iter().for_each(|piece| piece.add_samples(&mut counts));
        batches.iter().zip(counts).filter_map(|(batch, samples)| {
            let at = self.records.binary_search_by_key(&address(batch), |(known, _)| *known).ok()?;
            Some((self.records[at].1, samples))
        })
    }

    /// Takes the window's next request in hand; `false` at its end.
    fn take_request(&mut self, samples_max: usize) -> bool {
        self.halving = Halving::new();
        self.batching.limit_samples(samples_max);
        let request = self.batching.next_request();
        let taken = request.is_some();
        self.pieces.extend(request);
        taken
    }

    /// Parts what is to be sent next until it has no more samples than this; whether it had.
    fn part_larger_than(&mut self, samples_max: usize) -> bool {
        let mut is_parted = false;
        while let Some(request) = self.pieces.pop() {
            let halves = request.split(Hint::Unknown).filter(|_| request.samples() > samples_max);
            let Some((first, second)) = halves else {
                self.pieces.push(request);
                break;
            };
            self.pieces.extend([second, first]);
            is_parted = true;
        }
        is_parted
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
