//! Samples that the buffer gives up: counted at once, and told in the log when it begins and then seldom, with their sum. A
//! full ring gives up segment after segment for as long as an outage lasts, and must not fill the log with it.

use crate::counters::{Counters, DropCause};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// How often one endpoint's losses of one cause are spoken of.
const REPEAT_INTERVAL: Duration = Duration::from_secs(600);

pub(super) struct Losses {
    counters: Rc<Counters>,
    endpoints: Vec<Endpoint>,
}

struct Endpoint {
    name: String,
    by_cause: [Untold; DropCause::ALL.len()],
}

#[derive(Default)]
struct Untold {
    samples: Cell<u64>,
    told_at: Cell<Option<Duration>>,
}

impl Losses {
    pub fn new(counters: Rc<Counters>, endpoints: impl Iterator<Item = String>) -> Losses {
        let endpoint = |name| Endpoint { name, by_cause: Default::default() };
        Losses { counters, endpoints: endpoints.map(endpoint).collect() }
    }

    pub fn count(&self, endpoint: usize, cause: DropCause, samples: u64) {
        self.counters.endpoint(endpoint).drop_samples(cause, samples);
        let untold = &self.endpoints[endpoint].by_cause[cause as usize].samples;
        untold.set(untold.get() + samples);
    }

    /// Writes what is due to the log; `now` is of the monotonic clock.
    pub fn tell(&self, now: Duration) {
        self.due(now).for_each(|line| log::error!("{line}"));
    }

    fn due(&self, now: Duration) -> impl Iterator<Item = String> {
        let pairs = self.endpoints.iter().flat_map(|endpoint| DropCause::ALL.map(|cause| (endpoint, cause)));
        pairs.filter_map(move |(endpoint, cause)| {
            let untold = &endpoint.by_cause[cause as usize];
            let is_too_soon = untold.told_at.get().is_some_and(|told_at| now < told_at.saturating_add(REPEAT_INTERVAL));
            if untold.samples.get() == 0 || is_too_soon {
                return None;
            }
            untold.told_at.set(Some(now));
            Some(format!("remote_write {:?}: {} samples {}", endpoint.name, untold.samples.take(), text_of(cause)))
        })
    }
}

fn text_of(cause: DropCause) -> &'static str {
    match cause {
        DropCause::RingFull => "given up, as the ring is full; make buffer.size larger to outlast longer outages",
        DropCause::RingDamaged => "could not be read back from the ring; check the storage that buffer.path is on",
        DropCause::StageFull => {
            "given up, as memory is full and the flash takes no writes; check the storage that buffer.path is on"
        }
        DropCause::Resized => "given up, as the ring's new size has no room for them; make buffer.size larger",
        DropCause::WriteBudget => "given up, as buffer.write_budget is used up; make it larger, or scrape less",
        DropCause::TooLarge => "given up, as their labels fit into no segment; make buffer.segment_size larger",
        DropCause::Rejected => "refused by the receiver",
        DropCause::NotWritten => "not written by the receiver, as it says",
        DropCause::TooOld => "older than sample_age_limit",
        DropCause::HistogramsOff => "native histograms and not sent; set send_native_histograms = true to send them",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_told_at_once_and_then_summed_up() {
        let counters = Rc::<Counters>::default();
        let losses = Losses::new(counters.clone(), ["a", "b"].map(str::to_owned).into_iter());
        let mut lines = Vec::new();
        for second in (0..1200).map(Duration::from_secs) {
            losses.count(1, DropCause::RingFull, 3);
            lines.extend(losses.due(second));
        }
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].starts_with("remote_write \"b\": 3 samples given up"), "{lines:?}");
        assert!(lines[1].starts_with("remote_write \"b\": 1800 samples given up"), "{lines:?}");
        assert_eq!(counters.endpoint(1).dropped(DropCause::RingFull), 3600);
    }
}
