//! An endpoint's task: wait for samples, make requests of them, send, acknowledge.

use super::Shared;
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::model::Window;
use crate::remote_write::v1::{self, Body, Encoder};
use crate::remote_write::{Action, EndpointOptions, Outcome, Queue, QueueOptions, Uplink, send_at};
use smol::future::or;
use std::rc::Rc;
use std::time::Duration;

/// How long a failed read of the ring waits for the next attempt, whatever is scraped meanwhile.
const READ_RETRY: Duration = Duration::from_secs(5);

/// Runs until the agent stops and then until everything is delivered, the receiver fails, or the time is up.
pub(super) async fn send_until_drained(shared: Rc<Shared>, index: usize, options: EndpointOptions, uplink: Uplink) {
    let mut sender = Sender {
        queue: Queue::new(&options.name, &options.queue, fastrand::u64(..)),
        encoder: Encoder::new(options.external_labels),
        body: Body::default(),
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
    queue: Queue,
    encoder: Encoder,
    body: Body,
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
                Offer::Window(window) => self.queue.offer(window),
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
                let retries = attempt.retries;
                if retries == 0 {
                    self.encoder.encode(attempt.batches, attempt.request, &mut self.body);
                }
                let Some(outcome) = self.send(retries).await else { return Step::End };
                let counters = self.shared.counters.endpoint(self.index);
                self.queue.on_outcome(self.shared.clock.monotonic(), &outcome, counters);
            }
        }
        Step::GoOn
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

    /// One exchange. `None` if the time to stop came first: what was begun is left.
    async fn send(&mut self, retries: u32) -> Option<Outcome> {
        let exchange = self.uplink.send(self.body.as_bytes(), &v1::HEADERS, retries);
        or(async { Some(exchange.await) }, out_of_time(&self.shared, self.index)).await
    }
}

async fn out_of_time<T>(shared: &Shared, index: usize) -> Option<T> {
    while shared.drain_until.get().is_none() {
        shared.senders[index].wait().await;
    }
    if let Some(until) = shared.drain_until.get() {
        shared.sleep_until(until).await;
    }
    None
}
