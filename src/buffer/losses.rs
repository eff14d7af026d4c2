//! Samples that the buffer loses: counted at once, and told in the log when it begins and then seldom, with their sum. A
//! full ring evicts segment after segment for as long as an outage lasts, and must not fill the log with it.

use super::followers::EndpointLanes;
use crate::counters::{Counters, DropCause};
use crate::model::Lost;
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
    id: u64,
    by_cause: [Untold; DropCause::ALL.len()],
}

#[derive(Default)]
struct Untold {
    lost: Cell<Lost>,
    told_at: Cell<Option<Duration>>,
}

impl Losses {
    pub fn new(counters: Rc<Counters>, endpoints: &[EndpointLanes]) -> Losses {
        let endpoint =
            |lanes: &EndpointLanes| Endpoint { name: lanes.name.clone(), id: lanes.id(), by_cause: Default::default() };
        Losses { counters, endpoints: endpoints.iter().map(endpoint).collect() }
    }

    pub fn count(&self, endpoint: usize, cause: DropCause, lost: Lost) {
        self.counters.endpoint(endpoint).drop_samples(cause, lost.samples);
        let untold = &self.endpoints[endpoint].by_cause[cause as usize].lost;
        let mut sum = untold.get();
        sum.add(lost);
        untold.set(sum);
    }

    /// Samples counted so far, all endpoints and causes together, those included that the buffer did not lose itself.
    pub fn total(&self) -> u64 {
        (0..self.endpoints.len()).map(|index| self.counters.endpoint(index).dropped_total()).sum()
    }

    /// The ring's numbers for the endpoints, in the order of their counters.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.endpoints.iter().map(|endpoint| endpoint.id)
    }

    /// Writes what is due to the log; `now` is of the monotonic clock.
    pub fn tell(&self, now: Duration) {
        self.due(now).for_each(|line| log::error!("{line}"));
    }

    /// Writes everything to the log that was not told so far.
    pub fn tell_all(&self) {
        self.endpoints.iter().flat_map(|endpoint| &endpoint.by_cause).for_each(|untold| untold.told_at.set(None));
        self.tell(Duration::ZERO);
    }

    fn due(&self, now: Duration) -> impl Iterator<Item = String> {
        let pairs = self.endpoints.iter().flat_map(|endpoint| DropCause::ALL.map(|cause| (endpoint, cause)));
        pairs.filter_map(move |(endpoint, cause)| {
            let untold = &endpoint.by_cause[cause as usize];
            let is_too_soon = untold.told_at.get().is_some_and(|told_at| now < told_at.saturating_add(REPEAT_INTERVAL));
            if untold.lost.get().samples == 0 || is_too_soon {
                return None;
            }
            untold.told_at.set(Some(now));
            Some(line(&endpoint.name, untold.lost.take(), cause))
        })
    }
}

/// What is said of samples that were lost.
pub(super) fn line(endpoint: &str, lost: Lost, cause: DropCause) -> String {
    format!("remote_write {endpoint:?}: {lost} {}", text_of(cause))
}

fn text_of(cause: DropCause) -> &'static str {
    match cause {
        DropCause::RingFull => "evicted: the ring is full; make buffer.size larger to outlast longer outages",
        DropCause::RingDamaged => {
            "dropped: they can't be read back from the ring; check the storage that buffer.path is on"
        }
        DropCause::StageFull => {
            "dropped: memory is full and the flash refuses writes; check the storage that buffer.path is on"
        }
        DropCause::Resized => "evicted: the ring's new size has no room for them; make buffer.size larger",
        DropCause::WriteBudget => "dropped: buffer.write_budget is used up; make it larger, or scrape less",
        DropCause::TooLarge => "dropped: their labels fit into no segment; make buffer.segment_size larger",
        DropCause::Rejected => "dropped: the receiver rejected them",
        DropCause::Repeated => "repeated after a restart: the receiver has them",
        DropCause::NotWritten => "dropped: the receiver says that it did not write them",
        DropCause::TooOld => "dropped: older than sample_age_limit",
        DropCause::HistogramsOff => {
            "dropped: native histograms are not sent; set send_native_histograms = true to send them"
        }
        DropCause::Uncommitted => {
            "dropped: at the stop they were in memory only, and the flash refuses writes; \
             check the storage that buffer.path is on"
        }
        DropCause::Several => "dropped by several causes",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TimeRange;

    #[test]
    fn losses_are_told_at_once_and_then_summed_up() {
        let counters = Rc::<Counters>::default();
        let losses = Losses::new(counters.clone(), &["a", "b"].map(EndpointLanes::from));
        let mut lines = Vec::new();
        for second in 0..1200 {
            losses.count(1, DropCause::RingFull, Lost::new(3, TimeRange::at(1000 * second)));
            lines.extend(losses.due(Duration::from_secs(second as u64)));
        }
        let starts = [
            "remote_write \"b\": 3 samples from 1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z evicted: the ring is full",
            "remote_write \"b\": 1800 samples from 1970-01-01T00:00:01Z to 1970-01-01T00:10:00Z evicted",
        ];
        assert_eq!(lines.len(), starts.len(), "{lines:?}");
        assert!(lines.iter().zip(starts).all(|(line, start)| line.starts_with(start)), "{lines:?}");
        assert_eq!(counters.endpoint(1).dropped(DropCause::RingFull), 3600);
    }
}
