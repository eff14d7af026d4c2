//! The samples of one page, in order, until it is known whether the page can be taken.
//!
//! Decides which samples of a page count: the first of each series, and of those that carry times of their own, all
//! that are newer than what went before. What it refuses is counted by cause.

use super::cache::Place;
use super::extras::GatheredExtras;
use super::metadata::MetadataHash;
use crate::limits::{PAGE_SAMPLES_PER_SERIES_MAX, SAMPLE_AHEAD_MAX_MS};
use crate::model::{Histogram, OwnTimestamp, PageOptions};
use std::collections::HashMap;
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
    /// Those of them of which a later sample was taken.
    late: Vec<u32>,
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
            late: Vec::new(),
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
            metadata_hash: None,
            report_len,
        }
    }

    /// Whether `sample_limit` allows this sample. Prometheus counts each that it tries to append: not the second of a
    /// series without times, but those that are refused for their time. One that is not allowed still counts as scraped.
    pub fn has_room_for(&mut self, place: Place, own_ms: Option<i64>) -> bool {
        let appends = own_ms.is_some() || self.is_first(place);
        let Some(room) = self.room.as_mut().filter(|_| appends) else { return true };
        self.past_limit = *room == 0;
        *room = room.saturating_sub(1);
        self.counts.after_relabeling += u64::from(self.past_limit);
        !self.past_limit
    }

    /// More samples came than `sample_limit` allows.
    pub fn is_past_limit(&self) -> bool {
        self.past_limit
    }

    /// A sample without a time of its own. `newest_ms` is that of the newest sample on earlier pages, if it can be ahead.
    pub fn add(&mut self, place: Place, value: f64, newest_ms: Option<i64>) {
        self.counts.after_relabeling += 1;
        if !self.is_first(place) {
            self.counts.duplicate += 1;
        } else if newest_ms.is_some_and(|newest_ms| newest_ms >= self.timestamp_ms) {
            self.counts.out_of_order += 1;
            self.refuse(place, value);
        } else {
            self.accept(place, value);
        }
    }

    /// A sample, or histogram and its sum, to which the page gives a time. `newest_ms` is that of the newest sample on earlier pages.
    pub fn add_at(
        &mut self,
        place: Place,
        (sample, histogram): (f64, Option<Rc<Histogram>>),
        at_ms: i64,
        newest_ms: Option<i64>,
    ) -> Result<(), TooManyRepeats> {
        self.counts.after_relabeling += 1;
        if (place.position as usize) < self.report_len {
            self.counts.duplicate += 1;
            return Ok(());
        }
        let first = self.is_first(place);
        let newest_ms = if first { newest_ms } else { self.newest_on_page(place.position).max(newest_ms) };
        let cause = if at_ms > self.newest_allowed_ms {
            Some(&mut self.counts.out_of_bounds)
        } else if newest_ms == Some(at_ms) {
            Some(&mut self.counts.duplicate)
        } else if at_ms <= newest_ms.unwrap_or(BEFORE_ANY_MS) {
            Some(&mut self.counts.out_of_order)
        } else {
            None
        };
        match cause {
            Some(count) => {
                *count += 1;
                if first {
                    self.refuse(place, sample);
                }
            }
            None if first => {
                self.own_timestamps.push(OwnTimestamp { index: place.position, timestamp_ms: at_ms });
                self.accept(place, sample);
            }
            None => {
                self.repeat(Repeat { position: place.position, value: sample, timestamp_ms: at_ms, histogram })?;
                if self.is_refused(place.position) && !self.late.contains(&place.position) {
                    self.late.push(place.position);
                }
                if let Some(index) = self.untaken.iter().position(|untaken| *untaken == place.position) {
                    self.untaken.remove(index);
                    self.counts.series_added += 1;
                }
            }
        }
        Ok(())
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
            false => self.is_refused(position) || self.own_index(position).is_some(),
        }
    }

    /// How many series are.
    pub fn untracked_len(&self) -> usize {
        match self.tracks_own {
            true => self.refused.len() - self.late.len(),
            false => self.refused.len() + self.own_timestamps.len(),
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
        self.counts.series_added += u64::from(!place.known);
        self.values.push(value);
    }

    fn is_first(&self, place: Place) -> bool {
        place.position as usize == self.values.len()
    }

    fn is_refused(&self, position: u32) -> bool {
        self.refused.binary_search(&position).is_ok()
    }

    fn own_index(&self, position: u32) -> Option<usize> {
        self.own_timestamps.binary_search_by_key(&position, |own| own.index).ok()
    }
}
