//! What an endpoint's senders share of its gate: whether a request may go, and what it took.

use super::Shared;
use crate::clock::Clock;
use crate::remote_write::{EndpointOptions, Gate, Traffic, Turns};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What the uplink's account is remembered by.
pub(super) const METER_KEY: &str = "uplink";

impl Shared {
    /// The gate of one endpoint's lanes.
    pub(super) fn turns_of(&self, options: &EndpointOptions) -> Rc<RefCell<Turns>> {
        let (now, deadline) = (self.clock.monotonic(), options.queue.batch_send_deadline);
        let gate = Gate::new(options.rates, self.meter.clone(), deadline, now, fastrand::u64(..));
        Rc::new(RefCell::new(Turns::new(gate)))
    }

    /// See [`Turns::ready_at`]. Says in the log what there is to be said of budgets.
    pub(super) fn ready_at(
        &self,
        turns: &RefCell<Turns>,
        lane: usize,
        traffic: Traffic,
        bytes: u64,
    ) -> Option<Duration> {
        let (now, wall_ms) = (self.clock.monotonic(), self.clock.wall_ms());
        let ready_at = turns.borrow_mut().ready_at(lane, now, wall_ms, traffic, bytes);
        self.meter.borrow_mut().take_lines().iter().for_each(|line| log::warn!("{line}"));
        ready_at
    }

    /// Puts what went over the link to the account, in place of what was set aside. The time.
    pub(super) fn account(
        &self,
        turns: &RefCell<Turns>,
        traffic: Traffic,
        reserved_bytes: u64,
        carried_bytes: u64,
    ) -> Duration {
        let (now, wall_ms) = (self.clock.monotonic(), self.clock.wall_ms());
        turns.borrow_mut().spent(now, wall_ms, traffic, reserved_bytes, carried_bytes);
        self.note_uplink(now);
        now
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
}
