//! What metrics are, for receivers of 1.0: requests of their own, on a schedule of their own. (2.0 has it beside each series.)
//!
//! ```text
//!  every send_interval: Collect ─► families ─► requests, one at a time ─► on_outcome ─┬─ delivered, refused: the next one
//!                                                  ▲                                  └─ retry: the same, after a wait
//!                                                  └── until the next interval, which starts anew ────┘
//! ```
//!
//! Follows `MetadataWatcher` and `AppendWatcherMetadata` of Prometheus, but that a request is given up when the next interval comes.
//! Knows no socket and no clock, and nothing of samples: these never wait for it.

use super::backoff::Backoff;
use super::body::{Body, BodyWriter};
use super::options::QueueOptions;
use super::protocol::Version;
use super::retry::{Outcome, Verdict, classify};
use super::v1;
use crate::counters::EndpointCounters;
use crate::model::MetricFamily;
use std::rc::Rc;
use std::time::Duration;

/// `metadata_config`, with Prometheus's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataOptions {
    pub send: bool,
    pub send_interval: Duration,
    /// Families in one request.
    pub max_samples_per_send: usize,
}

impl Default for MetadataOptions {
    /// Prometheus's `DefaultMetadataConfig`, but that nothing is sent: it costs bytes on links that cost money.
    fn default() -> Self {
        MetadataOptions { send: false, send_interval: Duration::from_secs(60), max_samples_per_send: 2000 }
    }
}

/// One endpoint's. Times are of the monotonic clock.
pub struct MetadataQueue {
    send_interval: Duration,
    /// In one request.
    families_max: usize,
    bytes_max: Option<usize>,
    /// Statuses of 4xx.
    give_up_on: Vec<u16>,
    backoff: Backoff,
    next_interval_at: Duration,
    /// What is left to be sent of this interval.
    families: Vec<Rc<MetricFamily>>,
    retries: u32,
    not_before: Duration,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum MetadataAction<'a> {
    /// Nothing, before this time.
    Wait { until: Duration },
    /// `offer` all families that there are, or none if the endpoint is to have none now.
    Collect,
    /// Send these and tell `on_outcome` how it went. `retries` is how often exactly this failed before.
    Send { families: &'a [Rc<MetricFamily>], retries: u32 },
}

impl MetadataQueue {
    /// `seed` is to differ between devices. The first interval starts now, and is sent at its end.
    pub fn new(options: &MetadataOptions, queue: &QueueOptions, now: Duration, seed: u64) -> Self {
        MetadataQueue {
            send_interval: options.send_interval,
            families_max: options.max_samples_per_send,
            bytes_max: queue.max_bytes_per_send,
            give_up_on: queue.all_given_up(),
            backoff: Backoff::new(queue.min_backoff, queue.max_backoff, seed),
            next_interval_at: now.saturating_add(options.send_interval),
            families: Vec::new(),
            retries: 0,
            not_before: Duration::ZERO,
        }
    }

    pub fn poll(&self, now: Duration) -> MetadataAction<'_> {
        if now >= self.next_interval_at {
            return MetadataAction::Collect;
        }
        let families = &self.families[..self.families.len().min(self.families_max)];
        match now < self.not_before {
            _ if families.is_empty() => MetadataAction::Wait { until: self.next_interval_at },
            true => MetadataAction::Wait { until: self.not_before.min(self.next_interval_at) },
            false => MetadataAction::Send { families, retries: self.retries },
        }
    }

    /// When what has not been sent is given up.
    pub fn next_interval_at(&self) -> Duration {
        self.next_interval_at
    }

    /// Takes the families of the next interval. What is left of the one before is given up, and counted.
    pub fn offer(&mut self, now: Duration, families: Vec<Rc<MetricFamily>>, counters: &EndpointCounters) {
        counters.metadata_failed.add(self.families.len() as u64);
        self.families = families;
        self.retries = 0;
        // An interval that was slept through is left out.
        while self.next_interval_at <= now {
            self.next_interval_at += self.send_interval;
        }
    }

    /// Whether the request that `poll` gave may go out with a body of so many bytes. If not, `poll` gives half as many families from
    /// now on.
    pub fn takes_body(&mut self, body_bytes: usize) -> bool {
        let families = self.families.len().min(self.families_max);
        let is_too_large = families > 1 && self.bytes_max.is_some_and(|bytes_max| body_bytes > bytes_max);
        if is_too_large {
            self.families_max = families / 2;
        }
        !is_too_large
    }

    /// Tells how the request that `poll` gave went, and counts it. True if it was delivered.
    pub fn on_outcome(&mut self, now: Duration, outcome: &Outcome, counters: &EndpointCounters) -> bool {
        counters.requests.add(1);
        counters.bytes_sent.add(outcome.bytes_sent);
        let sent = self.families.len().min(self.families_max);
        let (count, is_delivered) = match classify(&outcome.result, Version::V1, &self.give_up_on) {
            Verdict::Delivered => (&counters.metadata_sent, true),
            Verdict::Refused | Verdict::TooLarge | Verdict::GivenUp | Verdict::PartlyWritten(_) => {
                (&counters.metadata_failed, false)
            }
            Verdict::Retry { after } | Verdict::Hold { after } => {
                counters.retries.add(1);
                self.retries = self.retries.saturating_add(1);
                self.not_before = now + after + self.backoff.next_wait();
                return false;
            }
        };
        count.add(sent as u64);
        self.families.drain(..sent);
        self.retries = 0;
        self.backoff.reset();
        is_delivered
    }
}

/// Writes requests of 1.0 that hold metadata alone.
pub struct MetadataEncoder(BodyWriter);

impl Default for MetadataEncoder {
    fn default() -> Self {
        MetadataEncoder(BodyWriter::new())
    }
}

impl MetadataEncoder {
    /// Puts the request into `body`, in place of what was in it.
    pub fn encode(&mut self, families: &[Rc<MetricFamily>], body: &mut Body) {
        self.0.begin(body);
        families.iter().for_each(|family| self.0.append(body, |out| v1::put_metadata(out, family)));
        self.0.finish(body);
    }
}

#[cfg(test)]
mod tests;
