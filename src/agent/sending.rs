//! A lane's task: wait for samples, make requests of them, send, acknowledge.

use super::Shared;
use super::backlog_report::backlog_reporter;
use super::notify::Notify;
use super::trouble::Trouble;
use crate::buffer::SenderRole;
use crate::clock::Clock;
use crate::model::{Class, Labels, MetadataTable, Window};
use crate::remote_write::{
    Action, Body, ClassFilter, Encoder, EndpointOptions, Outcome, Queue, QueueOptions, Sent, Traffic, Turns, Uplink,
    Version, WriteRelabeling, backlog_age, estimated_bytes, send_at,
};
use smol::future::{or, yield_now};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long a failed read of the ring waits for the next attempt, whatever is scraped meanwhile.
const READ_RETRY: Duration = Duration::from_secs(5);

/// One lane's task, or one of the two that a lane may have.
pub(super) struct Sender {
    shared: Rc<Shared>,
    /// Of the buffer's senders.
    index: usize,
    /// Of the endpoint, for the log.
    name: String,
    role: SenderRole,
    options: QueueOptions,
    /// Of the endpoint's lanes together.
    turns: Rc<RefCell<Turns>>,
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
    /// Requests were larger than is configured.
    was_grown: bool,
    /// What the ring's note knows by it: what was found out of the receiver's protocol.
    memory_key: String,
    reading: Trouble,
    /// After a failed read of the ring.
    read_not_before: Duration,
    /// What of [`Shared::links_up`] it has heard.
    links_up: u64,
}

#[derive(PartialEq, Eq)]
enum Step {
    GoOn,
    End,
}

/// What became of a request before the gate.
enum Passed {
    /// It may go, and these bytes are set aside for it.
    Yes(Traffic, u64),
    /// Something in it has become too old while it waited.
    TooOld,
    NoTime,
}

/// What there is to send.
enum Offer {
    Window(Window),
    At(Duration),
    Nothing,
}

impl Sender {
    pub fn new(
        shared: Rc<Shared>,
        index: usize,
        role: SenderRole,
        options: &EndpointOptions,
        uplink: Uplink,
        turns: Rc<RefCell<Turns>>,
        metadata: Option<Rc<MetadataTable>>,
    ) -> Sender {
        let filter = role.class.map(|class| ClassFilter { class, default: options.priority });
        let relabeling = WriteRelabeling::new(&options.write_relabel, &options.content.external_labels, filter);
        let commit_interval = shared.buffer.borrow().commit_interval();
        let backlog_age = backlog_age(commit_interval, options.queue.batch_send_deadline);
        // Rules are applied after external labels, which are in the series then.
        let mut content = options.content.clone();
        if relabeling.is_some() {
            content.external_labels = Labels::default();
        }
        let mut encoder = Encoder::new(content);
        if let Some(table) = metadata {
            encoder.send_metadata(table);
        }
        Sender {
            relabeling,
            queue: Queue::new(&options.name, &options.queue, options.message, fastrand::u64(..))
                .with_protocol(shared.protocols[role.endpoint].clone())
                .with_rates(&options.rates)
                .with_backlog(backlog_reporter(shared.clone(), index, role.endpoint))
                .with_start(shared.clock.wall_ms()),
            name: options.name.clone(),
            options: options.queue.clone(),
            turns,
            class: role.class.unwrap_or(options.priority),
            backlog_age,
            oldest_ms: 0,
            encoder,
            // With another url it is another receiver.
            memory_key: format!("protocol {} {}", options.ring_key, options.url),
            body: Body::default(),
            sent: Sent::default(),
            uplink,
            was_grown: false,
            reading: Trouble::default(),
            read_not_before: Duration::ZERO,
            links_up: 0,
            shared,
            index,
            role,
        }
    }

    /// Runs until the agent stops and then until everything is delivered, the receiver fails, or the time is up.
    pub async fn send_until_drained(mut self) {
        self.recall();
        while self.step().await == Step::GoOn {
            // A backlog of which nothing is to be sent goes by without any other pause.
            yield_now().await;
        }
    }

    async fn step(&mut self) -> Step {
        let now = self.shared.clock.monotonic();
        let drain_until = self.shared.drain_until.get();
        let is_draining = drain_until.is_some();
        if drain_until.is_some_and(|until| now >= until) {
            return Step::End;
        }
        let links_up = self.shared.links_up.get();
        if std::mem::replace(&mut self.links_up, links_up) != links_up {
            self.queue.on_link_up(now);
        }
        match self.queue.poll(now) {
            Action::NeedWindow => match self.next_window(now, is_draining) {
                Offer::Window(window) => {
                    self.oldest_ms = window.batches.first().map_or(0, |batch| batch.timestamp_ms);
                    let window = self.relabelled(window);
                    self.queue.offer(window);
                    self.give_back();
                    self.settle();
                }
                Offer::At(_) | Offer::Nothing if is_draining => return Step::End,
                Offer::At(at) => self.wait(Some(at)).await,
                Offer::Nothing if self.queue.ahead().is_some() => {
                    let until = self.queue.on_nothing_ahead(now);
                    self.wait(until).await;
                }
                Offer::Nothing => {
                    self.rest();
                    self.wait(None).await;
                }
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
                let oldest_ms = self.options.oldest_ms(self.shared.clock.wall_ms());
                if retries == 0 || self.sent.oldest_ms.is_some_and(|of_body| of_body < oldest_ms) {
                    self.encoder.leave_out_before(oldest_ms);
                    self.sent = self.encoder.encode(version, attempt.batches, attempt.request, &mut self.body);
                    if !self.queue.takes_body(now, self.body.as_bytes().len()) {
                        return Step::GoOn;
                    }
                }
                if self.sent.is_empty() {
                    let counters = self.shared.counters.endpoint(self.role.endpoint);
                    self.queue.on_nothing_to_send(now, &self.sent, counters);
                    self.settle();
                    return Step::GoOn;
                }
                return self.exchange(version, retries).await;
            }
        }
        Step::GoOn
    }

    /// Sends what is in the body, once it may go.
    async fn exchange(&mut self, version: Version, retries: u32) -> Step {
        let (traffic, reserved_bytes) = match self.pass_gate().await {
            Passed::Yes(traffic, reserved_bytes) => (traffic, reserved_bytes),
            Passed::TooOld => return Step::GoOn,
            Passed::NoTime => return Step::End,
        };
        let sent_at = self.shared.clock.monotonic();
        let outcome = self.send(version, retries).await;
        let now = self.account(traffic, reserved_bytes);
        let Some(outcome) = outcome else { return Step::End };
        let took = now.saturating_sub(sent_at);
        self.turns.borrow_mut().ended(now, took, &outcome);
        self.queue.on_exchange(now, took, &outcome);
        let counters = self.shared.counters.endpoint(self.role.endpoint);
        self.queue.on_outcome(now, &self.sent, &outcome, counters);
        self.settle();
        self.remember();
        Step::GoOn
    }

    /// Tells the buffer what of the window is still to be delivered: if the ring evicts that meanwhile, it may be lost.
    fn settle(&self) {
        self.shared.buffer.borrow_mut().settle(self.index, self.queue.unfinished());
    }

    /// Goes on with the version that an earlier process found out.
    fn recall(&mut self) {
        let (buffer, clock) = (self.shared.buffer.borrow(), &self.shared.clock);
        if let Some(memory) = buffer.remembered(&self.memory_key) {
            let mut protocol = self.shared.protocols[self.role.endpoint].borrow_mut();
            protocol.recall(clock.monotonic(), clock.wall_ms(), memory);
        }
    }

    fn remember(&mut self) {
        let (now, wall_ms) = (self.shared.clock.monotonic(), self.shared.clock.wall_ms());
        let memory = self.shared.protocols[self.role.endpoint].borrow_mut().take_memory(now, wall_ms);
        if let Some(memory) = memory {
            let mut buffer = self.shared.buffer.borrow_mut();
            buffer.remember(&self.memory_key, &memory.bytes);
            if memory.is_worth_a_write {
                buffer.write_note(now);
                self.shared.committer.wake();
            }
        }
    }

    fn relabelled(&mut self, window: Window) -> Window {
        let Some(relabeling) = &mut self.relabeling else { return window };
        let (window, dropped) = relabeling.apply(window);
        self.shared.counters.endpoint(self.role.endpoint).samples_relabelled_away.add(dropped as u64);
        window
    }

    /// Lets go what a backlog's sender needs only while there is one.
    fn rest(&mut self) {
        self.queue.rest();
        self.give_back();
        if self.role.is_backlog {
            self.body = Body::default();
            self.relabeling.iter_mut().for_each(WriteRelabeling::rest);
        }
    }

    /// Lets go what grown requests took, once there are none any more.
    fn give_back(&mut self) {
        if std::mem::replace(&mut self.was_grown, self.queue.is_grown()) && !self.was_grown {
            self.body = Body::default();
            self.encoder.rest();
            self.uplink.rest();
        }
    }

    /// Until then, or until something changes.
    async fn wait(&self, until: Option<Duration>) {
        let changed = self.shared.senders[self.index].wait();
        match until {
            Some(until) => or(self.shared.sleep_until(until), changed).await,
            None => changed.await,
        }
    }

    fn next_window(&mut self, now: Duration, is_draining: bool) -> Offer {
        if now < self.read_not_before {
            return Offer::At(self.read_not_before);
        }
        let mut buffer = self.shared.buffer.borrow_mut();
        let ahead = self.queue.ahead();
        if ahead.is_none() && buffer.divide(self.index, now) {
            log::debug!("remote_write {:?}: new samples go ahead of the backlog", self.name);
            self.shared.senders.iter().for_each(Notify::wake);
        }
        let waiting = buffer.waiting(self.index);
        if !waiting.has_backlog && !is_draining && ahead.is_none() {
            let interval = self.shared.scrape_interval;
            match waiting.oldest.and_then(|oldest| send_at(&self.options, interval, waiting.samples, oldest)) {
                None => return Offer::Nothing,
                Some(at) if at > now => return Offer::At(at),
                Some(_) => {}
            }
        }
        let window = match ahead {
            Some(from) => buffer.window_ahead(self.index, from),
            None => buffer.window(self.index),
        };
        match window {
            Ok(window) => {
                if let Some(line) = self.reading.succeeded(now) {
                    log::info!("remote_write {:?}: the backlog can be read: {line}", self.name);
                }
                window.map_or(Offer::Nothing, Offer::Window)
            }
            Err(error) => {
                if let Some(line) = self.reading.failed(now, &error) {
                    log::error!("remote_write {:?}: cannot read the backlog: {line}", self.name);
                }
                self.read_not_before = now + READ_RETRY;
                Offer::At(self.read_not_before)
            }
        }
    }

    /// Waits until the request may go. When the agent stops, the fleet need not be spared any more, but the link must.
    async fn pass_gate(&mut self) -> Passed {
        let (shared, bytes) = (self.shared.clone(), estimated_bytes(self.body.as_bytes().len()));
        let mut is_counted = false;
        loop {
            let (now, wall_ms) = (shared.clock.monotonic(), shared.clock.wall_ms());
            let drain_until = shared.drain_until.get();
            if drain_until.is_some() {
                self.turns.borrow_mut().hurry();
            }
            let is_old = wall_ms.saturating_sub(self.oldest_ms) > self.backlog_age.as_millis() as i64;
            let traffic = Traffic::Samples { class: self.class, is_backlog: self.role.is_backlog || is_old };
            let ready_at = self.turns.borrow_mut().ready_at(self.index, now, wall_ms, traffic, bytes);
            shared.meter.borrow_mut().take_lines().iter().for_each(|line| log::warn!("{line}"));
            let Some(at) = ready_at else { return self.passed(traffic, bytes, now, wall_ms) };
            if drain_until.is_some_and(|until| at > until) {
                self.turns.borrow_mut().leave(self.index);
                return Passed::NoTime;
            }
            // Or until another lane has ended, which may have taken less than was set aside for it.
            self.wait(Some(at)).await;
            if !std::mem::replace(&mut is_counted, true) {
                shared.counters.endpoint(self.role.endpoint).requests_held_back.add(1);
            }
        }
    }

    /// The request may go, unless something in it has become too old meanwhile.
    fn passed(&mut self, traffic: Traffic, reserved_bytes: u64, now: Duration, wall_ms: i64) -> Passed {
        let oldest_ms = self.options.oldest_ms(wall_ms);
        if self.sent.oldest_ms.is_some_and(|of_body| of_body < oldest_ms) {
            self.turns.borrow_mut().spent(now, wall_ms, traffic, reserved_bytes, 0);
            return Passed::TooOld;
        }
        Passed::Yes(traffic, reserved_bytes)
    }

    /// Puts what went over the link to the account, in place of what was set aside. The time.
    fn account(&mut self, traffic: Traffic, reserved_bytes: u64) -> Duration {
        let (now, wall_ms) = (self.shared.clock.monotonic(), self.shared.clock.wall_ms());
        let carried_bytes = self.uplink.take_carried_bytes();
        self.shared.account(&self.turns, (now, wall_ms), traffic, reserved_bytes, carried_bytes);
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

#[cfg(test)]
mod tests;
