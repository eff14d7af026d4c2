//! Every sample accepted, delivered or given up, with its cause. One instance, shared by the tasks of the one thread.

use crate::limits::{ENDPOINTS_MAX, LOSS_CAUSES_MAX};
use crate::model::SEVERAL_CAUSES;
use std::cell::Cell;

/// Why a sample was given up. Each cause has a counter of its own for each endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropCause {
    /// The ring was full and its oldest segment had to make room.
    RingFull,
    /// A segment or frame on flash could not be read back.
    RingDamaged,
    /// The flash refused writes for so long that the memory set aside was full.
    StageFull,
    /// The ring was given another size or segment size, and not everything that it held has room in the new one.
    Resized,
    /// One series' labels do not fit into a segment of the ring.
    TooLarge,
    /// `write_budget` left no room to write the sample within `commit_interval_max`.
    WriteBudget,
    /// The receiver refused the sample for good (400, 409, 413, 415, 422, a status of `give_up_on`; 429 without `retry_on_http_429` only).
    Rejected,
    /// The receiver refused the sample as out of order or duplicate just after a restart: an earlier process had delivered it.
    Repeated,
    /// The receiver answered 2xx and said that it wrote fewer samples than it was sent.
    NotWritten,
    /// The sample is a native histogram and the endpoint has no `send_native_histograms`.
    HistogramsOff,
    /// The sample was older than `sample_age_limit` when it was to be sent.
    TooOld,
    /// The agent stopped while the flash refused writes, and the sample was in memory only.
    Uncommitted,
    /// An earlier process counted it, and the ring had no room to keep the causes of the endpoint apart.
    Several,
}

impl DropCause {
    pub const ALL: [DropCause; 13] = [
        DropCause::RingFull,
        DropCause::RingDamaged,
        DropCause::StageFull,
        DropCause::Resized,
        DropCause::TooLarge,
        DropCause::WriteBudget,
        DropCause::Rejected,
        DropCause::Repeated,
        DropCause::NotWritten,
        DropCause::HistogramsOff,
        DropCause::TooOld,
        DropCause::Uncommitted,
        DropCause::Several,
    ];

    /// Number of the cause in rings: the same in every version of Narthex (docs/FORMAT.md has the table).
    pub const fn number(self) -> usize {
        match self {
            DropCause::RingFull => 0,
            DropCause::RingDamaged => 1,
            DropCause::StageFull => 2,
            DropCause::Resized => 3,
            DropCause::TooLarge => 4,
            DropCause::WriteBudget => 5,
            DropCause::Rejected => 6,
            DropCause::NotWritten => 7,
            DropCause::HistogramsOff => 8,
            DropCause::TooOld => 9,
            DropCause::Uncommitted => 10,
            DropCause::Repeated => 11,
            DropCause::Several => SEVERAL_CAUSES,
        }
    }

    /// The cause with this number; `None` if only a later version knows it.
    pub fn of_number(number: usize) -> Option<DropCause> {
        DropCause::ALL.into_iter().find(|cause| cause.number() == number)
    }

    /// The value of the label `cause` in metrics, and the word in logs.
    pub fn name(self) -> &'static str {
        match self {
            DropCause::RingFull => "ring_full",
            DropCause::RingDamaged => "ring_damaged",
            DropCause::StageFull => "stage_full",
            DropCause::Resized => "resized",
            DropCause::TooLarge => "too_large",
            DropCause::WriteBudget => "write_budget",
            DropCause::Rejected => "rejected",
            DropCause::Repeated => "repeated",
            DropCause::NotWritten => "not_written",
            DropCause::HistogramsOff => "native_histograms_off",
            DropCause::TooOld => "too_old",
            DropCause::Uncommitted => "uncommitted",
            DropCause::Several => "several",
        }
    }
}

/// A monotonically increasing count.
#[derive(Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    pub fn add(&self, n: u64) {
        self.0.set(self.0.get().wrapping_add(n));
    }

    pub fn get(&self) -> u64 {
        self.0.get()
    }
}

/// What happened to the samples of one endpoint.
#[derive(Default)]
pub struct EndpointCounters {
    /// Samples in requests that the receiver answered with 2xx.
    pub samples_delivered: Counter,
    /// Samples that `write_relabel_configs` dropped, as they were asked to.
    pub samples_relabelled_away: Counter,
    /// Requests sent, retries included.
    pub requests: Counter,
    /// Requests that failed and were or will be sent again.
    pub retries: Counter,
    /// Requests that had to wait for the byte rate, the uplink's budget or hours, or for the fleet's sake.
    pub requests_held_back: Counter,
    /// Requests whose answer tells of other counts than were sent.
    pub written_differs: Counter,
    /// Families of metrics that the receiver was told what they are, by requests of 1.0.
    pub metadata_sent: Counter,
    /// Families of which it was not: the receiver refused them, or the next interval came before they were delivered.
    pub metadata_failed: Counter,
    /// Compressed bodies sent, retries included, in bytes.
    pub bytes_sent: Counter,
    dropped: [Counter; DropCause::ALL.len()],
}

impl EndpointCounters {
    pub fn drop_samples(&self, cause: DropCause, samples: u64) {
        self.dropped[cause as usize].add(samples);
    }

    pub fn dropped(&self, cause: DropCause) -> u64 {
        self.dropped[cause as usize].get()
    }

    /// Samples given up, all causes together.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(Counter::get).sum()
    }
}

/// All counts of one agent.
#[derive(Default)]
pub struct Counters {
    /// Scrapes that ended, well or not.
    pub scrapes: Counter,
    /// Scrapes that ended with `up` 0.
    pub scrapes_failed: Counter,
    /// Targets that were discovered and are none, because of their address or labels; each time that targets are looked at.
    pub targets_invalid: Counter,
    /// Targets that were left out because there are too many; each time that targets are looked at.
    pub targets_left_out: Counter,
    /// Samples that entered the buffer, report series and staleness markers included.
    pub samples_accepted: Counter,
    /// Samples of a page that were refused: a duplicate of the same series with the same time.
    pub samples_duplicate: Counter,
    /// Samples of a page that were refused: the page dated them before a sample of the same series that went ahead of them.
    pub samples_out_of_order: Counter,
    /// Samples of a page that were refused: the page dated them further ahead of the clock than Prometheus allows.
    pub samples_out_of_bounds: Counter,
    /// Samples of a page that were refused: they are of new series, and `limits.max_series` allows no more.
    pub samples_past_max_series: Counter,
    /// Samples written to the ring.
    pub samples_committed: Counter,
    /// Bytes of encoded samples among [`flash_bytes_written`](Self::flash_bytes_written).
    pub flash_payload_bytes: Counter,
    /// Bytes programmed to flash, padding and headers included: `narthex_flash_bytes_written_total`.
    pub flash_bytes_written: Counter,
    /// Program calls made to the medium: `narthex_flash_programs_total`.
    pub flash_programs: Counter,
    /// Segments opened, for each of which the erase blocks of its slot were given up: `narthex_flash_erases_total`.
    pub flash_erases: Counter,
    /// Syncs of the medium: `narthex_flash_syncs_total`.
    pub flash_syncs: Counter,
    endpoints: [EndpointCounters; ENDPOINTS_MAX],
}

impl Counters {
    /// The counts of the endpoint with this index in the configuration.
    pub fn endpoint(&self, index: usize) -> &EndpointCounters {
        &self.endpoints[index]
    }
}

const _: () = assert!(DropCause::ALL.len() <= LOSS_CAUSES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_number_of_its_own_in_rings() {
        let mut numbers: Vec<usize> = DropCause::ALL.iter().map(|cause| cause.number()).collect();
        assert!(numbers.iter().all(|number| *number < LOSS_CAUSES_MAX));
        assert!(DropCause::ALL.iter().all(|cause| DropCause::of_number(cause.number()) == Some(*cause)));
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), DropCause::ALL.len());
    }
}
