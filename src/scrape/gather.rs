//! The samples of one page, in order, until it is known whether the page can be taken.
//!
//! Decides which samples of a page count: the first of each series, and of those that carry times of their own, all
//! that are newer than what went before. What it refuses is counted by cause.

use super::cache::Place;
use super::extras::GatheredExtras;
use super::metadata::MetadataHash;
use crate::limits::{PAGE_SAMPLES_PER_SERIES_MAX, SAMPLE_AHEAD_MAX_MS};
use crate::model::{Histogram, OwnTimestamp, PageOptions};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Where Prometheus's storage has a series begin: what is no newer than that is out of order.
const BEFORE_ANY_MS: i64 = i64::MIN;

/// What a scrape reports of the samples on its page, with Prometheus's meaning of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SampleCounts {
    /// `scrape_samples_scraped`.
    pub scraped: u64,
    /// `scrape_samples_post_metric_relabeling`: refused samples are still counted here.
    pub after_relabeling: u64,
    /// `scrape_series_added`.
    pub series_added: u64,
    pub duplicate: u64,
    pub out_of_order: u64,
    pub out_of_bounds: u64,
    /// Samples of new series that `limits.max_series` did not allow.
    pub past_max_series: u64,
}

/// A further sample of a series that the batch already has one of.
#[derive(Clone, Debug, PartialEq)]
pub struct Repeat {
    pub position: u32,
    pub value: f64,
    pub timestamp_ms: i64,
    pub histogram: Option<Rc<Histogram>>,
}

pub struct Gathered {
    /// One for each position given out, those of the report series first.
    pub values: Vec<f64>,
    pub own_timestamps: Vec<OwnTimestamp>,
    /// Positions in `values` whose sample was refused, in order.
    pub refused: Vec<u32>,
    /// Those of them, in order, that are new and had no sample taken: they stay new.
    pub untaken: Vec<u32>,
    /// Those of them that Prometheus knows by another text of the page.
    known_otherwise: HashSet<u32>,
    /// Those of them of which a later sample was taken.
    late: HashSet<u32>,
    /// Positions whose first sample was refused or has a time of its own, and of which one without was taken later.
    late_untimed: HashSet<u32>,
    /// Of series that come more than once; each inner list holds a series once and becomes a batch of its own.
    pub repeats: Vec<Vec<Repeat>>,
    pub counts: SampleCounts,
    pub extras: GatheredExtras,
    /// If somebody wants to know what the page says of its metrics.
    pub metadata_hash: Option<MetadataHash>,
    /// Lines whose series relabelling drops.
    pub dropped: usize,
    /// Newest sample and number of samples of the series in `repeats`.
    repeated: HashMap<u32, (i64, usize)>,
    /// Of all samples to which the page gives no time.
    pub timestamp_ms: i64,
    newest_allowed_ms: i64,
    /// Whether series with times of their own are followed for staleness like any other.
    tracks_own: bool,
    /// Samples that may still be taken; `None` without a limit.
    room: Option<usize>,
    past_limit: bool,
    /// A native histogram has more buckets than it may. The page has failed, but it is read to its end, and no series is added.
    pub past_bucket_limit: bool,
    /// Positions below are the report series': what the page says of them is refused.
    report_len: usize,
}

/// One series comes more than [`PAGE_SAMPLES_PER_SERIES_MAX`] times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRepeats;

impl Gathered {
    /// For a page scraped at `timestamp_ms` and complete at `now_ms`, with about `capacity` series.
    pub fn new(options: &PageOptions, report_len: usize, capacity: usize, timestamp_ms: i64, now_ms: i64) -> Self {
        let mut values = Vec::with_capacity(capacity);
        values.resize(report_len, 0.0);
        Gathered {
            values,
            own_timestamps: Vec::new(),
            refused: Vec::new(),
            untaken: Vec::new(),
            known_otherwise: HashSet::new(),
            late: HashSet::new(),
            late_untimed: HashSet::new(),
            repeats: Vec::new(),
            counts: SampleCounts::default(),
            extras: GatheredExtras::default(),
            dropped: 0,
            repeated: HashMap::new(),
            timestamp_ms,
            newest_allowed_ms: now_ms.saturating_add(SAMPLE_AHEAD_MAX_MS),
            tracks_own: options.track_timestamps_staleness,
            room: Some(options.sample_limit).filter(|limit| *limit > 0),
            past_limit: false,
            past_bucket_limit: false,
            metadata_hash: None,
            report_len,
        }
    }

    /// Whether `sample_limit` allows one more sample. Prometheus counts each that it tries to append, those that are refused for
    /// their time among them. One that is not allowed still counts as scraped.
    pub fn has_room(&mut self) -> bool {
        let Some(room) = self.room.as_mut() else { return true };
        if *room > 0 {
            *room -= 1;
            return true;
        }
        self.pass_limit();
        false
    }

    /// `sample_limit` allows no further sample.
    pub fn is_full(&self) -> bool {
        self.room == Some(0)
    }

    /// One came all the same.
    pub fn pass_limit(&mut self) {
        self.past_limit = true;
        self.counts.after_relabeling += 1;
    }

    /// More samples came than `sample_limit` allows.
    pub fn is_past_limit(&self) -> bool {
        self.past_limit
    }

    /// This is a native histogram with more buckets than it may have. Prometheus does not try to append it.
    pub fn pass_bucket_limit(&mut self, place: Place, value: f64) {
        self.past_bucket_limit = true;
        self.counts.after_relabeling += 1;
        if self.is_first(place) {
            self.refuse(place, value);
        }
    }

    /// The sample is of a new series and `limits.max_series` allows no more. The page is taken without it.
    pub fn pass_max_series(&mut self) {
        if self.has_room() {
            self.counts.after_relabeling += 1;
            self.counts.past_max_series += 1;
        }
    }

    pub fn count_duplicate(&mut self) {
        self.counts.after_relabeling += 1;
        self.counts.duplicate += 1;
    }

    /// The first sample of a series, without a time of its own; what came before of this series, if anything, is older.
    pub fn add_first(&mut self, place: Place, value: f64) {
        self.counts.after_relabeling += 1;
        self.accept(place, value);
    }

    /// A sample, or histogram and its sum, and the time that the page gives it, if any. `newest_ms` is that of the newest sample
    /// on earlier pages. Tells whether it is taken.
    pub fn add(
        &mut self,
        place: Place,
        (value, histogram): (f64, Option<Rc<Histogram>>),
        own_ms: Option<i64>,
        newest_ms: Option<i64>,
    ) -> Result<bool, TooManyRepeats> {
        let position = place.position;
        if (position as usize) < self.report_len {
            self.count_duplicate();
            return Ok(false);
        }
        self.counts.after_relabeling += 1;
        let timestamp_ms = own_ms.unwrap_or(self.timestamp_ms);
        let first = self.is_first(place);
        let newest_ms = if first { newest_ms } else { self.newest_on_page(position).max(newest_ms) };
        if let Some(count) = self.cause_to_refuse(timestamp_ms, newest_ms) {
            *count += 1;
            if first {
                self.refuse(place, value);
            } else if place.known {
                self.known_otherwise.insert(position);
            }
            return Ok(false);
        }
        if first {
            self.own_timestamps.extend(own_ms.map(|timestamp_ms| OwnTimestamp { index: position, timestamp_ms }));
            self.accept(place, value);
            return Ok(true);
        }
        self.repeat(Repeat { position, value, timestamp_ms, histogram })?;
        self.counts.series_added += u64::from(!self.is_cached(place) && !self.past_bucket_limit);
        if let Ok(index) = self.untaken.binary_search(&position) {
            self.untaken.remove(index);
        }
        if self.is_refused(position) {
            self.late.insert(position);
        }
        if own_ms.is_none() {
            self.late_untimed.insert(position);
        }
        Ok(true)
    }

    /// What counts it if a sample of this time can't follow the newest of its series.
    fn cause_to_refuse(&mut self, timestamp_ms: i64, newest_ms: Option<i64>) -> Option<&mut u64> {
        if timestamp_ms > self.newest_allowed_ms {
            Some(&mut self.counts.out_of_bounds)
        } else if newest_ms == Some(timestamp_ms) {
            Some(&mut self.counts.duplicate)
        } else if timestamp_ms <= newest_ms.unwrap_or(BEFORE_ANY_MS) {
            Some(&mut self.counts.out_of_order)
        } else {
            None
        }
    }

    /// Whether Prometheus's cache has the text by now: a sample of it was taken, on an earlier page or before on this one.
    fn is_cached(&self, place: Place) -> bool {
        place.known || place.again && self.untaken.binary_search(&place.position).is_err()
    }

    /// Whether it is a duplicate if it has no time, whatever else the page says of its series. Prometheus does not try to append
    /// those.
    pub fn is_said_again(&self, place: Place) -> bool {
        place.again && self.is_cached(place)
    }

    /// The page is at its end.
    pub fn settle(&mut self) {
        let known_otherwise = std::mem::take(&mut self.known_otherwise);
        self.untaken.retain(|position| !known_otherwise.contains(position));
    }

    /// Puts another sample behind those of the same series.
    pub fn repeat(&mut self, sample: Repeat) -> Result<(), TooManyRepeats> {
        let (newest_ms, count) = self.repeated.entry(sample.position).or_default();
        if *count == PAGE_SAMPLES_PER_SERIES_MAX {
            return Err(TooManyRepeats);
        }
        if self.repeats.len() == *count {
            self.repeats.push(Vec::new());
        }
        *newest_ms = sample.timestamp_ms;
        self.repeats[*count].push(sample);
        *count += 1;
        Ok(())
    }

    /// Whether the series at this position is not followed for staleness: its sample has a time of its own, or was refused
    /// for that.
    pub fn is_untracked(&self, position: u32) -> bool {
        match self.tracks_own {
            true => self.is_refused(position) && !self.late.contains(&position),
            false => {
                let is_timed = self.is_refused(position) || self.own_index(position).is_some();
                is_timed && !self.late_untimed.contains(&position)
            }
        }
    }

    /// How many series are.
    pub fn untracked_len(&self) -> usize {
        match self.tracks_own {
            true => self.refused.len() - self.late.len(),
            false => self.refused.len() + self.own_timestamps.len() - self.late_untimed.len(),
        }
    }

    /// The time of the newest sample taken at this position, if any was.
    pub fn newest_on_page(&self, position: u32) -> Option<i64> {
        if let Some((newest_ms, _)) = self.repeated.get(&position) {
            return Some(*newest_ms);
        }
        match self.own_index(position) {
            Some(index) => Some(self.own_timestamps[index].timestamp_ms),
            None if self.is_refused(position) => None,
            None => Some(self.timestamp_ms),
        }
    }

    /// The sample keeps its place on the page all the same.
    fn refuse(&mut self, place: Place, value: f64) {
        self.refused.push(place.position);
        self.values.push(value);
        if !place.known {
            self.untaken.push(place.position);
        }
    }

    fn accept(&mut self, place: Place, value: f64) {
        self.counts.series_added += u64::from(!place.known && !self.past_bucket_limit);
        self.values.push(value);
    }

    pub fn is_first(&self, place: Place) -> bool {
        place.position as usize == self.values.len()
    }

    fn is_refused(&self, position: u32) -> bool {
        self.refused.binary_search(&position).is_ok()
    }

    fn own_index(&self, position: u32) -> Option<usize> {
        self.own_timestamps.binary_search_by_key(&position, |own| own.index).ok()
    }
}
