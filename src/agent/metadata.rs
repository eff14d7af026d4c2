//! An endpoint's second task: what metrics are, told on a schedule of its own to a receiver of 1.0.
//!
//! ```text
//!  families ─► body ─► gate ─► uplink     each interval, after all samples that wait at the gate
//!                        └── or the next interval comes: given up
//! ```
//!
//! What comes of it is kept from the pace of samples: a receiver that refuses metadata alone slows nothing.

use super::shared::{Shared, unless_stopped};
use super::trouble::Trouble;
use crate::clock::Clock;
use crate::model::MetadataTable;
use crate::remote_write::{
    Body, EndpointOptions, MetadataAction, MetadataEncoder, MetadataQueue, Traffic, Turns, Uplink, Version,
    estimated_bytes,
};
use smol::channel::Receiver;
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;

pub(super) struct Telling {
    shared: Rc<Shared>,
    /// Of the endpoint.
    index: usize,
    name: String,
    table: Rc<MetadataTable>,
    queue: MetadataQueue,
    encoder: MetadataEncoder,
    /// Of the endpoint's lanes together.
    turns: Rc<RefCell<Turns>>,
    uplink: Uplink,
    trouble: Trouble,
    /// Bytes that are set aside for the request that is under way.
    reserved_bytes: Option<u64>,
}

impl Telling {
    pub fn new(
        shared: Rc<Shared>,
        index: usize,
        options: &EndpointOptions,
        table: Rc<MetadataTable>,
        uplink: Uplink,
        turns: Rc<RefCell<Turns>>,
    ) -> Telling {
        let now = shared.clock.monotonic();
        Telling {
            shared,
            index,
            name: options.name.clone(),
            table,
            queue: MetadataQueue::new(&options.metadata, &options.queue, now, fastrand::u64(..)),
            encoder: MetadataEncoder::default(),
            turns,
            uplink,
            trouble: Trouble::default(),
            reserved_bytes: None,
        }
    }

    /// Until the agent stops. A request that is under way then is left, and what it took is put to account.
    pub async fn tell_until(mut self, stopping: Receiver<Infallible>) {
        let telling = async {
            loop {
                self.step().await;
            }
        };
        unless_stopped::<()>(&stopping, telling).await;
        if let Some(reserved_bytes) = self.reserved_bytes {
            self.account(reserved_bytes);
        }
    }

    async fn step(&mut self) {
        let (now, counters) = (self.shared.clock.monotonic(), self.shared.counters.endpoint(self.index));
        let (body, retries) = match self.queue.poll(now) {
            MetadataAction::Wait { until } => return self.shared.sleep_until(until).await,
            MetadataAction::Collect => {
                // 2.0 has it beside each series.
                let is_v1 = self.shared.protocols[self.index].borrow().version(now) == Version::V1;
                let families = if is_v1 { self.table.families() } else { Vec::new() };
                return self.queue.offer(now, families, counters);
            }
            MetadataAction::Send { families, retries } => {
                // Not kept: there is nothing to send for most of the time.
                let mut body = Body::default();
                self.encoder.encode(families, &mut body);
                (body, retries)
            }
        };
        if !self.queue.takes_body(body.as_bytes().len()) {
            return;
        }
        let Some(reserved_bytes) = self.pass_gate(estimated_bytes(body.as_bytes().len())).await else { return };
        self.reserved_bytes = Some(reserved_bytes);
        let outcome = self.uplink.send(body.as_bytes(), Version::V1.headers(), retries).await;
        self.reserved_bytes = None;
        let now = self.account(reserved_bytes);
        let counters = self.shared.counters.endpoint(self.index);
        let line = match self.queue.on_outcome(now, &outcome, counters) {
            true => self.trouble.succeeded(now),
            false => self.trouble.failed(now, &outcome),
        };
        if let Some(line) = line {
            log::warn!("remote_write {:?}: metadata: {line}", self.name);
        }
    }

    /// Waits until the request may go, and gives what was set aside for it; `None`: the next interval came first.
    async fn pass_gate(&mut self, bytes: u64) -> Option<u64> {
        let (shared, gives_up_at) = (&self.shared, self.queue.next_interval_at());
        let mut is_counted = false;
        while shared.clock.monotonic() < gives_up_at {
            let (now, wall_ms) = (shared.clock.monotonic(), shared.clock.wall_ms());
            let ready_at = self.turns.borrow_mut().ready_beside_at(now, wall_ms, Traffic::Metadata, bytes);
            shared.meter.borrow_mut().take_lines().iter().for_each(|line| log::warn!("{line}"));
            let Some(at) = ready_at else { return Some(bytes) };
            if !std::mem::replace(&mut is_counted, true) {
                shared.counters.endpoint(self.index).requests_held_back.add(1);
            }
            shared.sleep_until(at.min(gives_up_at)).await;
        }
        None
    }

    fn account(&self, reserved_bytes: u64) -> Duration {
        let (now, wall_ms) = (self.shared.clock.monotonic(), self.shared.clock.wall_ms());
        let carried_bytes = self.uplink.take_carried_bytes();
        self.shared.account(&self.turns, (now, wall_ms), Traffic::Metadata, reserved_bytes, carried_bytes);
        now
    }
}
