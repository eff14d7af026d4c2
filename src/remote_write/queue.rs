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
use super::gate::RateOptions;
use super::growth::{Exchanged, Growth, Heard};
use super::halving::Halving;
use super::holding::{Holding, Pass};
use super::options::QueueOptions;
use super::protocol::{ProtobufMessage, Protocol, Version};
use super::retry::{Answer, Outcome};
use super::send_size::SendSize;
use crate::counters::{DropCause, EndpointCounters};
use crate::limits::{HOLD_WAIT_MAX, HOLD_WAIT_MIN};
use crate::model::{ScrapeBatch, Window};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

mod answered;

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
    /// What was refused while nothing else was accepted.
    holding: Holding,
    /// The window as it was at the first request that is held.
    resume: Option<Box<InHand>>,
    /// What probes are taken from, while the first held request is under way again.
    frontier: Option<Box<InHand>>,
    /// While something is held, and all of the windows so far was refused: where the next one begins.
    ahead: Option<u64>,
    halve_refused: bool,
    /// Of the request in hand.
    body_bytes: usize,
    repeats: Repeats,
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

#[derive(Clone)]
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
        let (min, max) = (HOLD_WAIT_MIN.max(options.min_backoff), HOLD_WAIT_MAX.max(options.max_backoff));
        let hold_backoff = || Backoff::new(min, max, seed);
        Queue {
            endpoint: endpoint.into(),
            send_size: SendSize::new(options),
            growth: Growth::new(options.max_samples_per_send),
            give_up_on: options.all_given_up(),
            backoff: Backoff::new(options.min_backoff, options.max_backoff, seed),
            hold_backoff: hold_backoff(),
            holding: Holding::new(hold_backoff()),
            resume: None,
            frontier: None,
            ahead: None,
            halve_refused: options.halve_refused,
            body_bytes: 0,
            repeats: Repeats::default(),
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
            batching: Batching::new(window.batches, self.send_size.samples(Duration::ZERO)),
            next_record: window.next_record,
            pieces: Vec::new(),
            halving: Halving::new(0),
            retries: 0,
            version: Version::V1,
            not_before: Duration::ZERO,
            asked_not_before: Duration::ZERO,
        });
    }

    /// Samples of the window in hand, or of the one that is held, that are neither delivered nor dropped so far, by record, in no order.
    pub fn unfinished(&self) -> impl Iterator<Item = (u64, u64)> {
        self.resume.as_deref().or(self.in_hand.as_ref()).into_iter().flat_map(InHand::unfinished)
    }

    pub fn poll(&mut self, now: Duration) -> Action<'_> {
        match self.holding.pass(now) {
            Pass::Go => {}
            Pass::Wait(until) => return Action::Wait { until },
            Pass::Restart => {
                self.frontier = self.in_hand.take().map(Box::new);
                self.in_hand = self.resume.as_deref().cloned();
                let patience = self.holding.patience().unwrap_or(0);
                self.in_hand.iter_mut().for_each(|in_hand| in_hand.halving = Halving::new(patience));
            }
        }
        let Some(mut in_hand) = self.in_hand.take() else {
            // What was held up to there is decided.
            let decided = self.ahead.take_if(|_| !self.holding.is_holding());
            return decided.map_or(Action::NeedWindow, |next_record| Action::Finished { next_record });
        };
        if in_hand.pieces.is_empty() && !in_hand.take_request(self.send_size.samples(now), self.holding.patience()) {
            if self.holding.is_holding() {
                self.ahead = Some(in_hand.next_record);
                return Action::NeedWindow;
            }
            self.repeats.window_ended();
            self.ahead = None;
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

    /// Where the window begins that [`Action::NeedWindow`] asks for, if that is not after the last one that was finished: something
    /// is held, and what follows it is to show whether the receiver works.
    pub fn ahead(&self) -> Option<u64> {
        self.ahead
    }

    /// There is no such window so far. Gives until when one is waited for.
    pub fn on_nothing_ahead(&mut self, now: Duration) -> Option<Duration> {
        self.holding.nothing_ahead(now)
    }

    /// What was scraped before this time of the wall clock may have been delivered by an earlier process.
    pub fn with_start(mut self, wall_ms: i64) -> Self {
        self.repeats.before_ms = Some(wall_ms);
        self
    }

    fn may_be_repeated(&mut self, request: &Request) -> bool {
        self.repeats.is_refused = true;
        let Some(in_hand) = &self.in_hand else { return false };
        let mut batches = request.blocks.iter().flat_map(|block| block.batches.clone());
        self.repeats.before_ms.is_some_and(|before_ms| {
            batches.all(|at| in_hand.batching.batches().get(at).is_some_and(|batch| batch.timestamp_ms < before_ms))
        })
    }

    /// Whether the attempt that `poll` gave may go out with a body of so many bytes. If not, it has been parted, and `poll`
    /// gives the first part of it.
    pub fn takes_body(&mut self, now: Duration, body_bytes: usize) -> bool {
        self.body_bytes = body_bytes;
        let Some(in_hand) = &mut self.in_hand else { return true };
        let Some(request) = in_hand.pieces.pop() else { return true };
        let halves = match self.send_size.takes(now, request.samples(), body_bytes) {
            true => None,
            // Into series if it can be: their samples cost least together.
            false => request.halves(),
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
        self.holding.hurry(now);
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
        self.count_left_out_of(sent.histograms_left_out, sent.too_old, counters);
    }

    fn count_left_out_of(&mut self, histograms: u64, too_old: u64, counters: &EndpointCounters) {
        counters.drop_samples(DropCause::HistogramsOff, histograms);
        counters.drop_samples(DropCause::TooOld, too_old);
        if too_old > 0 {
            self.failures.note(FailureEvent::TooOld, too_old as usize, String::new());
        }
    }

    fn tell(&mut self, now: Duration) {
        while let Some(line) = self.failures.take_due(now) {
            let backlog = self.describe_backlog.as_ref().filter(|_| line.is_outage);
            let backlog = backlog.map_or(String::new(), |describe| format!("; {}", describe()));
            log::warn!("remote_write {:?}: {}{backlog}", self.endpoint, line.text);
        }
    }
}

fn address(batch: &Rc<ScrapeBatch>) -> usize {
    Rc::as_ptr(batch).addr()
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
    fn take_request(&mut self, samples_max: usize, patience: Option<u32>) -> bool {
        self.halving = Halving::new(patience.unwrap_or(0));
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
            let halves = request.halves().filter(|_| request.samples() > samples_max);
            let Some((first, second)) = halves else {
                self.pieces.push(request);
                break;
            };
            self.pieces.extend([second, first]);
            is_parted = true;
        }
        is_parted
    }
}

/// Whether what is refused may be with the receiver since before this process began.
#[derive(Default)]
struct Repeats {
    before_ms: Option<i64>,
    /// Something of this window was.
    is_refused: bool,
}

impl Repeats {
    /// Acknowledgements are some seconds old at most: after a window that was taken as it is, nothing comes that was sent before.
    fn window_ended(&mut self) {
        if !std::mem::take(&mut self.is_refused) {
            self.before_ms = None;
        }
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
