//! What the tasks share. They have one thread; each lets go of what it has borrowed before it waits.

use super::endings::Endings;
use super::notify::Notify;
use super::opening::RingOpener;
use crate::buffer::Buffer;
use crate::clock::{Clock, SystemClock};
use crate::counters::Counters;
use crate::model::ScrapeBatch;
use crate::remote_write::{EndpointOptions, Gate, Meter, Protocol, Traffic, Turns};
use crate::ring::Storage;
use crate::wear::WearMeter;
use smol::Timer;
use smol::channel::Receiver;
use smol::future::or;
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

/// What the uplink's account is remembered by.
pub(super) const METER_KEY: &str = "uplink";

/// What the tasks share.
pub(super) struct Shared {
    pub clock: SystemClock,
    /// The shortest of all jobs.
    pub scrape_interval: Duration,
    pub counters: Rc<Counters>,
    pub buffer: RefCell<Buffer<Storage>>,
    /// Opens the ring later, if it can't be opened at the start.
    pub opener: RingOpener,
    pub wear: RefCell<WearMeter>,
    pub endings: Endings,
    /// Of all endpoints together.
    pub meter: Rc<RefCell<Meter>>,
    /// The time of the next commit may have changed.
    pub committer: Notify,
    /// There may be something to send, for each sender.
    pub senders: Vec<Notify>,
    /// How often a link, an address or a route came up.
    pub links_up: Cell<u64>,
    /// What each endpoint is sent, and what its lanes have found out of that.
    pub protocols: Vec<Rc<RefCell<Protocol>>>,
    /// Once the agent stops: when senders give up. On the monotonic clock.
    pub drain_until: Cell<Option<Duration>>,
}

impl Shared {
    /// Takes a scrape into the buffer and tells who has to know.
    pub fn take(&self, batches: impl IntoIterator<Item = ScrapeBatch>) {
        let now = self.clock.monotonic();
        for batch in batches {
            self.endings.note(&batch);
            self.buffer.borrow_mut().push(batch, now);
        }
        let commit_first = self.buffer.borrow().commits_at_once(now);
        if !commit_first {
            self.senders.iter().for_each(Notify::wake);
        }
        self.committer.wake();
    }

    /// Remembers what the uplink has carried: with what is written anyway, unless so much came together that it is worth a write.
    fn note_uplink(&self, now: Duration) {
        let mut meter = self.meter.borrow_mut();
        if !meter.is_metered() {
            return;
        }
        let mut buffer = self.buffer.borrow_mut();
        buffer.remember(METER_KEY, &meter.note());
        if meter.take_note_due() {
            buffer.write_note(now);
            self.committer.wake();
        }
    }

    /// Puts what went over an endpoint's link to the account, in place of what was set aside.
    pub fn account(
        &self,
        turns: &RefCell<Turns>,
        (now, wall_ms): (Duration, i64),
        traffic: Traffic,
        reserved_bytes: u64,
        carried_bytes: u64,
    ) {
        let mut turns = turns.borrow_mut();
        turns.spent(now, wall_ms, traffic, reserved_bytes, carried_bytes);
        if turns.is_waited_for() {
            self.senders.iter().for_each(Notify::wake);
        }
        self.note_uplink(now);
    }

    /// The gate of one endpoint's lanes.
    pub fn turns_of(&self, options: &EndpointOptions) -> Rc<RefCell<Turns>> {
        let (now, deadline) = (self.clock.monotonic(), options.queue.batch_send_deadline);
        let gate = Gate::new(options.rates, self.meter.clone(), deadline, now, fastrand::u64(..));
        Rc::new(RefCell::new(Turns::new(gate)))
    }

    /// Sleeps until this time of the monotonic clock.
    pub async fn sleep_until(&self, at: Duration) {
        Timer::at(self.clock.instant(at)).await;
    }
}

/// Goes on with `work` unless the order to stop comes first.
pub(super) async fn unless_stopped<T>(stopping: &Receiver<Infallible>, work: impl Future<Output = T>) -> Option<T> {
    let stopped = async {
        // Nothing is ever sent: the channel closes.
        _ = stopping.recv().await;
        None
    };
    or(async { Some(work.await) }, stopped).await
}
