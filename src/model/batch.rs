//! What one scrape yields, and what an endpoint is handed of it.

use super::extras::Extras;
use super::histogram::Histogram;
use super::lost::TimeRange;
use super::series::Series;
use std::rc::Rc;

/// Prometheus's staleness marker: one particular NaN, told from others by its bits.
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

pub fn stale_nan() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

pub fn is_stale(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// All samples of one scrape of one target. `series` and `values` have the same length.
///
/// Scrapes of an unchanged page share one list: whoever compares two lists may compare the pointers first.
#[derive(Clone, Debug)]
pub struct ScrapeBatch {
    /// Number of the target within this process; batches of one target resemble each other.
    pub target: u32,
    /// Time of all samples but those in `own_timestamps`.
    pub timestamp_ms: i64,
    pub series: Rc<[Series]>,
    pub values: Vec<f64>,
    /// Samples to which the page gave a time of their own, in order of `index`. Mostly empty.
    pub own_timestamps: Vec<OwnTimestamp>,
    /// What some samples have besides their values. `None` where no sample has anything.
    pub extras: Option<Box<Extras>>,
}

/// See [`ScrapeBatch::own_timestamps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnTimestamp {
    /// Position in `series` and `values`.
    pub index: u32,
    pub timestamp_ms: i64,
}

impl ScrapeBatch {
    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Time of the sample at this position.
    pub fn timestamp_ms_at(&self, index: usize) -> i64 {
        match self.own_timestamps.binary_search_by_key(&(index as u32), |own| own.index) {
            Ok(found) => self.own_timestamps[found].timestamp_ms,
            Err(_) => self.timestamp_ms,
        }
    }

    /// From its oldest sample to its newest.
    pub fn times(&self) -> TimeRange {
        let own = self.own_timestamps.iter().map(|own| TimeRange::at(own.timestamp_ms));
        let all_own = self.own_timestamps.len() == self.values.len();
        let common = Some(TimeRange::at(self.timestamp_ms)).filter(|_| !all_own || self.is_empty());
        own.chain(common).reduce(TimeRange::and).unwrap_or(TimeRange::at(self.timestamp_ms))
    }

    /// The samples at these positions, in order, as samples of other series: one of `series` for each.
    pub fn select(&self, positions: &[u32], series: Rc<[Series]>) -> ScrapeBatch {
        let own = self.own_timestamps.iter().filter_map(|own| {
            let index = positions.binary_search(&own.index).ok()? as u32;
            Some(OwnTimestamp { index, ..*own })
        });
        let extras = self.extras.as_ref().map(|extras| Box::new(extras.select(positions)));
        ScrapeBatch {
            target: self.target,
            timestamp_ms: self.timestamp_ms,
            series,
            values: positions.iter().map(|position| self.values[*position as usize]).collect(),
            own_timestamps: own.collect(),
            extras: extras.filter(|extras| !extras.is_empty()),
        }
    }

    /// Memory that the extras take.
    pub fn extras_bytes(&self) -> usize {
        self.extras.as_ref().map_or(0, |extras| extras.held_bytes())
    }

    /// Histogram of the sample at this position, if it is one.
    pub fn histogram_at(&self, index: usize) -> Option<&Rc<Histogram>> {
        self.extras.as_ref()?.histogram_at(index)
    }
}

/// Consecutive batches that one endpoint lacks, oldest first. When all of them were delivered or refused for good,
/// the endpoint has acknowledged every record before `next_record`.
#[derive(Clone, Debug, Default)]
pub struct Window {
    pub batches: Vec<Rc<ScrapeBatch>>,
    /// The number of each batch's record.
    pub records: Vec<u64>,
    pub next_record: u64,
    /// Memory that the batches' extras take.
    pub extras_bytes: usize,
}

impl Window {
    /// Takes a record in, the next one.
    pub fn push(&mut self, record: u64, batch: Rc<ScrapeBatch>) {
        self.extras_bytes += batch.extras_bytes();
        self.batches.push(batch);
        self.records.push(record);
        self.next_record = record + 1;
    }

    pub fn samples(&self) -> usize {
        self.batches.iter().map(|batch| batch.len()).sum()
    }
}
