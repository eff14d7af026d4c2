//! What becomes of the request in hand when it was answered, or not.

use super::{InHand, Queue};
use crate::counters::{DropCause, EndpointCounters};
use crate::remote_write::batching::Request;
use crate::remote_write::encoder::Sent;
use crate::remote_write::failures::FailureEvent;
use crate::remote_write::halving::{Halving, Level, Refused};
use crate::remote_write::holding::Rejection;
use crate::remote_write::protocol::{Impostor, Judgement, Version, Written};
use crate::remote_write::retry::{Outcome, Verdict, classify, says_repeated};
use std::time::Duration;

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

impl Queue {
    /// Tells how the attempt that `poll` gave, in which this was sent, went. Counts it, and writes to the log what is to be
    /// said of it.
    pub fn on_outcome(&mut self, now: Duration, sent: &Sent, outcome: &Outcome, counters: &EndpointCounters) {
        counters.requests.add(1);
        counters.bytes_sent.add(outcome.bytes_sent);
        let Some(in_hand) = &mut self.in_hand else { return };
        let Some(request) = in_hand.pieces.pop() else { return };
        self.failures.speak_of(request.times(in_hand.batching.batches()));
        let version = in_hand.version;
        let samples = request.samples() - sent.left_out() as usize;
        let ended = Ended { now, sent, samples, outcome, counters };
        let judgement = self.protocol.borrow_mut().judge(now, version, sent, &outcome.result);
        match (judgement, classify(&outcome.result, version, &self.give_up_on)) {
            (Judgement::SendAsV1, _) => self.send_as_v1(&ended, request),
            (Judgement::Impostor(impostor), _) => {
                self.keep(&ended, request, Duration::ZERO, Wait::Short, what_to_do(impostor));
            }
            (_, Verdict::Retry { after }) => self.keep(&ended, request, after, Wait::Short, ""),
            (_, Verdict::Hold { after }) => self.keep(&ended, request, after, Wait::Long, ""),
            (_, Verdict::Delivered) => self.delivered(&ended, &request, judgement),
            (_, Verdict::PartlyWritten(written)) => self.partly_written(&ended, &request, written),
            (_, Verdict::Refused) => self.refused(&ended, request, version),
            (_, Verdict::TooLarge) => self.too_large(&ended, request),
            (_, Verdict::GivenUp) => {
                let refused = ended.refused(request);
                let rejection = self.rejection(refused);
                self.reject(&ended, vec![rejection]);
                self.in_hand.iter_mut().for_each(|in_hand| in_hand.retries = 0);
            }
        }
        self.next_level(&ended);
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
        self.send_size.passed(self.body_bytes);
        if !std::mem::replace(&mut self.has_delivered, true) {
            log::info!("remote_write {:?}: first delivery, {} samples", self.endpoint, ended.samples);
        }
        self.accepted(ended, request);
    }

    /// The receiver has refused the rest for good. To send any of it again would have what was written refused as well.
    fn partly_written(&mut self, ended: &Ended, request: &Request, written: Written) {
        let written = (written.samples + written.histograms).min(ended.samples as u64);
        let rest = ended.samples as u64 - written;
        ended.counters.samples_delivered.add(written);
        let text = format!("{}; the receiver has written the other {written} of this request", ended.outcome);
        let is_repeated = self.may_be_repeated(request) && says_repeated(&text);
        count_rejected(ended, rest, is_repeated);
        self.failures.note(FailureEvent::Dropped(ended.outcome.cause()), rest as usize, text);
        self.accepted(ended, request);
    }

    /// The receiver works: what it refused just before, it refuses for good.
    fn accepted(&mut self, ended: &Ended, request: &Request) {
        self.count_left_out(ended.sent, ended.counters);
        if let Some(in_hand) = &mut self.in_hand {
            in_hand.halving.accepted(request);
            in_hand.retries = 0;
        }
        self.protocol.borrow_mut().note_accepted();
        self.backoff.reset();
        self.hold_backoff.reset();
        self.resume = None;
        if self.holding.is_checking() {
            (self.frontier, self.ahead) = (None, None);
            self.holding.forget();
        } else {
            let rejected = self.holding.accepted();
            self.reject(ended, rejected);
        }
        if let Some(line) = self.failures.delivered(ended.now) {
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

    fn refused(&mut self, ended: &Ended, request: Request, version: Version) {
        self.backoff.reset();
        let refused = ended.refused(request);
        let Some(in_hand) = &mut self.in_hand else { return };
        in_hand.retries = 0;
        // With 2.0 the receiver has written what it could. A message that is not understood is not in parts either.
        let is_halved = version == Version::V1 && self.halve_refused && ended.outcome.cause().is_about_samples();
        if is_halved && (in_hand.halving.is_begun() || self.holding.patience().is_some()) {
            in_hand.halving.refused(refused);
        } else {
            self.hold(ended, vec![refused]);
        }
    }

    /// Smaller parts may be accepted, and it is learned how large they may be.
    fn too_large(&mut self, ended: &Ended, request: Request) {
        self.send_size.too_large(ended.now, ended.samples, self.body_bytes);
        let Some(in_hand) = &mut self.in_hand else { return };
        in_hand.retries = 0;
        match request.halves() {
            Some((first, second)) => {
                in_hand.pieces.extend([second, first]);
                let event = FailureEvent::Halved(ended.outcome.cause());
                self.failures.note(event, ended.samples, ended.outcome.to_string());
            }
            None => self.hold(ended, vec![ended.refused(request)]),
        }
    }

    /// When all parts of a request were answered: what is next of those that were refused.
    fn next_level(&mut self, ended: &Ended) {
        let Some(in_hand) = self.in_hand.as_mut().filter(|in_hand| in_hand.pieces.is_empty()) else { return };
        if !in_hand.halving.is_open() {
            return;
        }
        let Some((cause, text)) = in_hand.halving.last_answer() else { return };
        let Level { parts, refused } = in_hand.halving.next_level(in_hand.batching.batches());
        in_hand.pieces.extend(parts.into_iter().rev());
        let samples = in_hand.pieces.iter().map(Request::samples).sum();
        if samples > 0 {
            self.failures.note(FailureEvent::Halved(cause), samples, text);
        }
        if !refused.is_empty() {
            self.hold(ended, refused);
        }
    }

    /// Holds what was refused until another request is accepted, unless one was meanwhile: another part of the same request, or
    /// another lane's.
    fn hold(&mut self, ended: &Ended, refused: Vec<Refused>) {
        let Some(in_hand) = &self.in_hand else { return };
        let accepted = self.protocol.borrow().accepted();
        let is_receiver_fine = in_hand.halving.has_accepted();
        let resume = (!is_receiver_fine && !self.holding.is_holding()).then(|| in_hand.restarted_at(&refused));
        let samples = refused.iter().map(|part| part.samples as usize).sum();
        let rejections = refused.into_iter().map(|part| self.rejection(part)).collect();
        if is_receiver_fine {
            return self.reject(ended, rejections);
        }
        if self.holding.is_checking() {
            // It is held already, and so is all that comes before the next probe.
            self.holding.checked();
            self.in_hand = self.frontier.take().map(|frontier| *frontier);
            if self.holding.is_other_accepted(accepted) {
                let held = self.holding.accepted();
                self.resume = None;
                self.reject(ended, held);
            }
            return;
        }
        if self.holding.is_other_accepted(accepted) {
            let held = self.holding.accepted();
            self.resume = None;
            self.reject(ended, held);
            return self.reject(ended, rejections);
        }
        if !self.holding.hold(ended.now, accepted, rejections) {
            let event = FailureEvent::Held(ended.outcome.cause());
            self.failures.note(event, samples, ended.outcome.to_string());
        }
        if let Some(resume) = resume {
            self.resume = Some(Box::new(resume));
        }
    }

    fn reject(&mut self, ended: &Ended, rejections: Vec<Rejection>) {
        for Rejection { part, is_repeated } in rejections {
            count_rejected(ended, part.samples, is_repeated);
            self.count_left_out_of(part.histograms_left_out, part.too_old, ended.counters);
            self.failures.note(FailureEvent::Dropped(part.cause), part.samples as usize, part.text);
        }
    }

    /// What an earlier process delivered just before it ended, and did not come to note, is refused as out of order or duplicate.
    fn rejection(&mut self, part: Refused) -> Rejection {
        let is_repeated = self.may_be_repeated(&part.request) && says_repeated(&part.text);
        Rejection { part, is_repeated }
    }
}

fn count_rejected(ended: &Ended, samples: u64, is_repeated: bool) {
    let cause = if is_repeated { DropCause::Repeated } else { DropCause::Rejected };
    ended.counters.drop_samples(cause, samples);
}

impl Ended<'_> {
    fn refused(&self, request: Request) -> Refused {
        Refused {
            request,
            samples: self.samples as u64,
            histograms_left_out: self.sent.histograms_left_out,
            too_old: self.sent.too_old,
            cause: self.outcome.cause(),
            text: self.outcome.to_string(),
        }
    }
}

impl InHand {
    /// The same from the requests on that these are parts of.
    fn restarted_at(&self, refused: &[Refused]) -> InHand {
        let mut again = self.clone();
        match self.halving.first() {
            [] => again.pieces.extend(refused.iter().rev().map(|part| part.request.clone())),
            first => again.pieces.extend(first.iter().rev().cloned()),
        }
        again.halving = Halving::new(0);
        again
    }
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
