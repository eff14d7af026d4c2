//! An endpoint's task: wait for samples, make requests of them, send, acknowledge.

use super::Shared;
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::model::{Class, Labels, Window};
use crate::remote_write::{
    Action, Body, Encoder, EndpointOptions, Gate, Outcome, Queue, QueueOptions, Sent, Traffic, Uplink, Version,
    WriteRelabeling, backlog_age, estimated_bytes, send_at,
};
use smol::future::or;
use std::rc::Rc;
use std::time::Duration;

/// How long a failed read of the ring waits for the next attempt, whatever is scraped meanwhile.
const READ_RETRY: Duration = Duration::from_secs(5);

/// Runs until the agent stops and then until everything is delivered, the receiver fails, or the time is up.
pub(super) async fn send_until_drained(shared: Rc<Shared>, index: usize, options: EndpointOptions, uplink: Uplink) {
    let relabeling = WriteRelabeling::new(&options.write_relabel, &options.content.external_labels);
    // Rules are applied after external labels, which are in the series then.
    let mut content = options.content;
    if relabeling.is_some() {
        content.external_labels = Labels::default();
    }
    let now = shared.clock.monotonic();
    let deadline = options.queue.batch_send_deadline;
    let gate = Gate::new(options.rates, shared.meter.clone(), deadline, now, fastrand::u64(..));
    let backlog_age = backlog_age(shared.buffer.borrow().commit_interval(), deadline);
    let mut sender = Sender {
        gate,
        class: options.priority,
        backlog_age,
        oldest_ms: 0,
        relabeling,
        queue: Queue::new(&options.name, &options.queue, options.message, fastrand::u64(..)),
        encoder: Encoder::new(content),
        body: Body::default(),
        sent: Sent::default(),
        uplink,
        reading: Trouble::default(),
        read_not_before: Duration::ZERO,
        shared,
        index,
    };
    while sender.step(&options.queue).await == Step::GoOn {}
}

struct Sender {
    shared: Rc<Shared>,
    index: usize,
    gate: Gate,
    class: Class,
    backlog_age: Duration,
    /// Time of the oldest scrape in the window.
    oldest_ms: i64,
    relabeling: Option<WriteRelabeling>,
    queue: Queue,
    encoder: Encoder,
    body: Body,
    /// What is in it.
    sent: Sent,
    uplink: Uplink,
    reading: Trouble,
    /// After a failed read of the ring.
    read_not_before: Duration,
}

#[derive(PartialEq, Eq)]
enum Step {
    GoOn,
    End,
}

/// What there is to send.
enum Offer {
    Window(Window),
    At(Duration),
    Nothing,
}

impl Sender {
    async fn step(&mut self, options: &QueueOptions) -> Step {
        let now = self.shared.clock.monotonic();
        let is_draining = self.shared.drain_until.get().is_some();
        match self.queue.poll(now) {
            Action::NeedWindow => match self.next_window(options, now, is_draining) {
                Offer::Window(window) => {
                    self.oldest_ms = window.batches.first().map_or(0, |batch| batch.timestamp_ms);
                    let window = self.relabelled(window);
                    self.queue.offer(window);
                }
                Offer::At(_) | Offer::Nothing if is_draining => return Step::End,
                Offer::At(at) => self.wait(Some(at)).await,
                Offer::Nothing => self.wait(None).await,
            },
            // An endpoint that fails gets what it lacks after the restart.
            Action::Wait { .. } if is_draining => return Step::End,
            Action::Wait { until } => self.wait(Some(until)).await,
            Action::Finished { next_record } => {
                self.shared.buffer.borrow_mut().ack(self.index, next_record, now);
                self.shared.committer.wake();
            }
            Action::Send(attempt) => {
                let (retries, version) = (attempt.retries, attempt.version);
                if retries == 0 {
                    self.sent = self.encoder.encode(version, attempt.batches, attempt.request, &mut self.body);
                }
                if self.sent.is_empty() {
                    let counters = self.shared.counters.endpoint(self.index);
                    self.queue.on_nothing_to_send(&self.sent, counters);
                    return Step::GoOn;
                }
                let Some(traffic) = self.pass_gate().await else { return Step::End };
                let outcome = self.send(version, retries).await;
                let now = self.account(traffic);
                let Some(outcome) = outcome else { return Step::End };
                self.gate.ended(now, &outcome);
                let counters = self.shared.counters.endpoint(self.index);
                self.queue.on_outcome(now, &self.sent, &outcome, counters);
            }
        }
        Step::GoOn
    }

    fn relabelled(&mut self, window: Window) -> Window {
        let Some(relabeling) = &mut self.relabeling else { return window };
        let (window, dropped) = relabeling.apply(window);
        self.shared.counters.endpoint(self.index).samples_relabelled_away.add(dropped as u64);
        window
    }

    /// Until then, or until something changes.
    async fn wait(&self, until: Option<Duration>) {
        let changed = self.shared.senders[self.index].wait();
        match until {
            Some(until) => or(self.shared.sleep_until(until), changed).await,
            None => changed.await,
        }
    }

    fn next_window(&mut self, options: &QueueOptions, now: Duration, is_draining: bool) -> Offer {
        if now < self.read_not_before {
            return Offer::At(self.read_not_before);
        }
        let mut buffer = self.shared.buffer.borrow_mut();
        let waiting = buffer.waiting(self.index);
        if !waiting.has_backlog && !is_draining {
            match waiting.oldest.and_then(|oldest| send_at(options, waiting.samples, oldest)) {
                None => return Offer::Nothing,
                Some(at) if at > now => return Offer::At(at),
                Some(_) => {}
            }
        }
        match buffer.window(self.index) {
            Ok(window) => {
                if let Some(line) = self.reading.succeeded(now) {
                    log::info!("the backlog of endpoint {}: {line}", self.index + 1);
                }
                window.map_or(Offer::Nothing, Offer::Window)
            }
            Err(error) => {
                if let Some(line) = self.reading.failed(now, &error) {
                    log::error!("the backlog of endpoint {} can't be read: {line}", self.index + 1);
                }
                self.read_not_before = now + READ_RETRY;
                Offer::At(self.read_not_before)
            }
        }
    }

    /// Waits until the request may go. `None` if the time to stop came first: the fleet need not be spared then, the link must.
    async fn pass_gate(&mut self) -> Option<Traffic> {
        let (shared, bytes) = (self.shared.clone(), estimated_bytes(self.body.as_bytes().len()));
        let mut is_counted = false;
        loop {
            let (now, wall_ms) = (shared.clock.monotonic(), shared.clock.wall_ms());
            let is_draining = shared.drain_until.get().is_some();
            if is_draining {
                self.gate.hurry();
            }
            let is_backlog = wall_ms.saturating_sub(self.oldest_ms) > self.backlog_age.as_millis() as i64;
            let traffic = Traffic { class: self.class, is_backlog };
            let ready_at = self.gate.ready_at(now, wall_ms, traffic, bytes);
            shared.meter.borrow_mut().take_lines().iter().for_each(|line| log::warn!("{line}"));
            match ready_at {
                None => return Some(traffic),
                Some(_) if is_draining => return None,
                Some(at) => or(shared.sleep_until(at), draining(&shared, self.index)).await,
            }
            if !std::mem::replace(&mut is_counted, true) {
                shared.counters.endpoint(self.index).requests_held_back.add(1);
            }
        }
    }

    /// Puts what went over the link to the account. The time.
    fn account(&mut self, traffic: Traffic) -> Duration {
        let (now, wall_ms) = (self.shared.clock.monotonic(), self.shared.clock.wall_ms());
        self.gate.spent(now, wall_ms, traffic, self.uplink.take_carried_bytes());
        self.shared.note_uplink(now);
        now
    }

    /// One exchange. `None` if the time to stop came first: what was begun is left.
    async fn send(&mut self, version: Version, retries: u32) -> Option<Outcome> {
        let exchange = self.uplink.send(self.body.as_bytes(), version.headers(), retries);
        or(async { Some(exchange.await) }, out_of_time(&self.shared, self.index)).await
    }
}

async fn draining(shared: &Shared, index: usize) {
    while shared.drain_until.get().is_none() {
        shared.senders[index].wait().await;
    }
}

async fn out_of_time<T>(shared: &Shared, index: usize) -> Option<T> {
    draining(shared, index).await;
    if let Some(until) = shared.drain_until.get() {
        shared.sleep_until(until).await;
    }
    None
}
