//! When a request may go: what the link costs and carries, and what a receiver can stand, against what waits.
//!
//! ```text
//!  request ─► rate     bytes a second, and of the backlog alone     of one endpoint ┐
//!             pace     jitter at the start, a ramp after an outage  of one endpoint ├─► now, or at what time
//!             meter    bytes a day and a month, hours of the day    of the uplink   ┘
//! ```
//!
//! Pure: it is given both clocks and the bytes, and told what was spent. Refuses to know sockets, and where what waits is kept.

mod calendar;
mod hours;
mod meter;
mod pace;
mod rate;
mod turns;

pub use hours::Hours;
pub use meter::{Meter, UplinkOptions};
pub use turns::Turns;

use super::retry::{Answer, Outcome};
use crate::model::Class;
use pace::{Ended, Pace};
use rate::Rate;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What a request takes beside its body, as long as nothing is known of it: headers both ways, and TLS records around them.
const EXCHANGE_BYTES: u64 = 700;

/// A device that is alone is not to be delayed visibly.
const SPREAD_BY_DEFAULT_MAX: Duration = Duration::from_secs(5);

/// An endpoint's `max_bytes_per_second` and `backlog_max_bytes_per_second`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateOptions {
    pub bytes_per_second: Option<u64>,
    pub backlog_bytes_per_second: Option<u64>,
}

/// What a request is made of, what goes first first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Traffic {
    /// `is_backlog`: they are older than [`backlog_age`].
    Samples { class: Class, is_backlog: bool },
    /// What metrics are. It comes again at the next interval, so that it has the hours of the class low, and the least of budgets.
    Metadata,
}

impl Traffic {
    fn is_backlog(self) -> bool {
        matches!(self, Traffic::Samples { is_backlog: true, .. })
    }
}

/// Samples are backlog once they are twice as old as what is live can be, memory and a full deadline included.
pub fn backlog_age(commit_interval: Duration, batch_send_deadline: Duration) -> Duration {
    2 * commit_interval.max(batch_send_deadline).max(Duration::from_secs(15))
}

/// Bytes that a request with a body of this size is likely to take, both ways.
pub fn estimated_bytes(body_bytes: usize) -> u64 {
    body_bytes as u64 + EXCHANGE_BYTES
}

/// One endpoint's. Times are of the monotonic clock, `wall_ms` of the wall clock.
pub struct Gate {
    rate: Option<Rate>,
    backlog_rate: Option<Rate>,
    pace: Pace,
    meter: Rc<RefCell<Meter>>,
}

impl Gate {
    /// Where no `spread` is configured, it is the endpoint's `batch_send_deadline`, and at most five seconds. `seed` is to differ
    /// between devices.
    pub fn new(
        rates: RateOptions,
        meter: Rc<RefCell<Meter>>,
        batch_send_deadline: Duration,
        now: Duration,
        seed: u64,
    ) -> Gate {
        let spread = meter.borrow().spread().unwrap_or(batch_send_deadline.min(SPREAD_BY_DEFAULT_MAX));
        Gate {
            rate: rates.bytes_per_second.map(|rate| Rate::new(rate, now)),
            backlog_rate: rates.backlog_bytes_per_second.map(|rate| Rate::new(rate, now)),
            pace: Pace::new(spread, now, seed),
            meter,
        }
    }

    /// `None`: a request of about so many bytes may go now. Else it is to be asked again at that time, and not before.
    pub fn ready_at(&self, now: Duration, wall_ms: i64, traffic: Traffic, bytes: u64) -> Option<Duration> {
        let backlog_rate = self.backlog_rate.as_ref().filter(|_| traffic.is_backlog());
        let by_rate = [&self.rate.as_ref(), &backlog_rate].map(|rate| rate.and_then(|rate| rate.ready_at(now, bytes)));
        let by_meter = self.meter.borrow_mut().ready_at(now, wall_ms, traffic, bytes);
        let waits = by_rate.into_iter().chain([by_meter, self.pace.ready_at(now)]);
        waits.flatten().max()
    }

    /// When the endpoint's rate lets a request go that waits for nothing else. `None`: it waits for other things, or for nothing.
    pub fn rate_ready_at(&self, now: Duration, wall_ms: i64, traffic: Traffic, bytes: u64) -> Option<Duration> {
        let ready_at = self.rate.as_ref()?.ready_at(now, bytes).unwrap_or(now);
        let backlog_rate = self.backlog_rate.as_ref().filter(|_| traffic.is_backlog());
        let is_free = backlog_rate.is_none_or(|rate| rate.ready_at(now, bytes).is_none())
            && self.pace.ready_at(now).is_none()
            && self.meter.borrow_mut().ready_at(now, wall_ms, traffic, bytes).is_none();
        is_free.then_some(ready_at)
    }

    /// Sets bytes of the rates aside for a request that goes now.
    pub fn reserve(&mut self, now: Duration, traffic: Traffic, bytes: u64) {
        let backlog_rate = self.backlog_rate.as_mut().filter(|_| traffic.is_backlog());
        self.rate.iter_mut().chain(backlog_rate).for_each(|rate| rate.spent(now, bytes));
    }

    /// Gives back what was [set aside](Self::reserve).
    pub fn give_back(&mut self, now: Duration, traffic: Traffic, bytes: u64) {
        let backlog_rate = self.backlog_rate.as_mut().filter(|_| traffic.is_backlog());
        self.rate.iter_mut().chain(backlog_rate).for_each(|rate| rate.give_back(now, bytes));
    }

    /// A request took so many bytes, whatever became of it.
    pub fn spent(&mut self, now: Duration, wall_ms: i64, traffic: Traffic, bytes: u64) {
        let backlog_rate = self.backlog_rate.as_mut().filter(|_| traffic.is_backlog());
        self.rate.iter_mut().chain(backlog_rate).for_each(|rate| rate.spent(now, bytes));
        self.meter.borrow_mut().spent(wall_ms, bytes);
    }

    /// A request was answered, or not, after so long.
    pub fn ended(&mut self, now: Duration, took: Duration, outcome: &Outcome) {
        let how = match &outcome.result {
            Err(_) => Ended::Unreachable,
            Ok(Answer { status: 429, .. }) => Ended::TooMany,
            Ok(_) if outcome.says_not_now() => Ended::Refused,
            Ok(_) => Ended::Done { bytes: outcome.bytes_sent, took },
        };
        self.pace.ended(now, how);
    }

    /// The agent stops: what is done for the fleet's sake alone is over.
    pub fn hurry(&mut self) {
        self.pace.hurry();
    }
}

#[cfg(test)]
mod tests;
