//! One target's scrapes as a state machine: a page or its absence goes in, a batch comes out.
//!
//! ```text
//!  page whole         samples + markers of series gone         up 1
//!  page empty         markers of all series                    up 1
//!  page broken        markers of all series                    up 0    samples counted up to the break
//!  no page            markers of all series                    up 0
//! ```
//!
//! The rules are those of Prometheus's `scrapeAndReport`, `append` and `endOfRunStaleness`, with three differences, all
//! where Prometheus would hand its storage two samples of one series for one time: a page's own `up` (and its like) never
//! stands in for ours; two texts that mean one series are duplicates even when first seen; and a page that breaks in the
//! middle makes all series stale at once (Prometheus leaves out those that it met before the break).
//!
//! Refuses to know where a page came from and what becomes of the batch.

use super::cache::{Cache, Walk};
use super::content_type::Format;
use super::entry::{Entry, Sample};
use super::gather::{Gathered, Repeat, SampleCounts, TooManyRepeats};
use super::page_error::PageError;
use super::parser::Parser;
use super::sample_labels::{report_labels, sample_labels};
use crate::counters::Counters;
use crate::limits::SERIES_PER_PAGE_MAX;
use crate::model::{LabelsError, OwnTimestamp, ScrapeBatch, Series, SeriesTable, Target, stale_nan};
use crate::relabel::SampleRules;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// The series that each scrape reports, in the order of [`Report::values`].
const REPORT_NAMES: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// What one scrape yields.
#[derive(Debug)]
pub struct CycleResult {
    pub batch: ScrapeBatch,
    /// Further samples of series that stand in `batch`, to be taken after it, in order; mostly none.
    pub more: Vec<ScrapeBatch>,
    /// Why the page was not taken.
    pub error: Option<PageError>,
}

pub struct Cycle {
    number: u32,
    target: Rc<Target>,
    rules: Rc<SampleRules>,
    table: Rc<SeriesTable>,
    counters: Rc<Counters>,
    cache: Cache,
    report: Rc<[Series]>,
    /// The last page was taken whole: what the cache lists is what exists.
    alive: bool,
    scraped_once: bool,
    /// Positions of the cache's list that are not followed for staleness, in order: the page gives their times.
    untracked: Vec<u32>,
    /// Newest sample of each series whose times the page gives.
    newest_ms: HashMap<Series, i64>,
}

impl Cycle {
    /// Fails if the target's own labels leave no room for a metric's name.
    pub fn new(
        number: u32,
        target: Rc<Target>,
        rules: Rc<SampleRules>,
        table: Rc<SeriesTable>,
        counters: Rc<Counters>,
    ) -> Result<Cycle, LabelsError> {
        let report = REPORT_NAMES.iter().map(|name| Ok(table.intern(&report_labels(name, &target.labels)?)));
        let report: Rc<[Series]> = report.collect::<Result<Vec<_>, LabelsError>>()?.into();
        Ok(Cycle {
            number,
            target,
            rules,
            table,
            counters,
            cache: Cache::new(report.clone()),
            report,
            alive: false,
            scraped_once: false,
            untracked: Vec::new(),
            newest_ms: HashMap::new(),
        })
    }

    /// Ends a scrape that began at `timestamp_ms` and took so long. `page` is `None` if none arrived.
    pub fn complete(&mut self, page: Option<(&[u8], Format)>, timestamp_ms: i64, duration: Duration) -> CycleResult {
        self.scraped_once = true;
        self.counters.scrapes.add(1);
        let report = Report { up: page.is_some(), duration, counts: SampleCounts::default() };
        let result = match page {
            None | Some(([], _)) => self.without_samples(&report, timestamp_ms, None),
            Some((page, format)) => self.with_page(Parser::new(page, format), report, timestamp_ms),
        };
        if page.is_none() || result.error.is_some() {
            self.counters.scrapes_failed.add(1);
        }
        result
    }

    pub fn has_scraped(&self) -> bool {
        self.scraped_once
    }

    /// Staleness markers for all that exists, report series included. `None` if there never was a scrape.
    pub fn end_of_run(&mut self, timestamp_ms: i64) -> Option<ScrapeBatch> {
        if !std::mem::take(&mut self.scraped_once) {
            return None;
        }
        let (series, mut values) = self.markers();
        values.fill(stale_nan());
        self.alive = false;
        Some(self.batch(timestamp_ms, series, values))
    }

    fn with_page(&mut self, parser: Parser<'_>, mut report: Report, timestamp_ms: i64) -> CycleResult {
        let now_ms = timestamp_ms.saturating_add(report.duration.as_millis() as i64);
        let capacity = self.cache.list().len();
        let mut gathered = Gathered::new(self.report.len(), capacity, timestamp_ms, now_ms);
        let mut walk = self.cache.walk();
        let mut outcome = self.gather(parser, &mut walk, &mut gathered);
        let changed = match outcome {
            Ok(()) => walk.finish(gathered.values.len()),
            Err(_) => walk.abandon(),
        };
        if outcome.is_ok() {
            let list = changed.as_ref().map_or(&self.cache.list()[..], |page| page.list());
            match self.find_gone(list, changed.is_some(), &mut gathered) {
                Ok(gone) => {
                    report.counts = gathered.counts;
                    self.cache.replace(changed);
                    return self.with_samples(&report, timestamp_ms, gathered, gone);
                }
                Err(error) => outcome = Err(error.into()),
            }
        }
        self.cache.remember(changed);
        report.up = false;
        report.counts = gathered.counts;
        self.without_samples(&report, timestamp_ms, outcome.err())
    }

    fn gather(&self, mut parser: Parser<'_>, walk: &mut Walk<'_>, gathered: &mut Gathered) -> Result<(), PageError> {
        let mut dropped = 0;
        while let Some(entry) = parser.next(walk.expected())? {
            let Entry::Sample(sample) = entry else { continue };
            gathered.counts.scraped += 1;
            let taken = gathered.values.len();
            if taken - self.report.len() + dropped == SERIES_PER_PAGE_MAX {
                return Err(PageError::TooManySeries);
            }
            let make = || self.make_series(&sample);
            let Some(place) = walk.take(&sample.series, sample.expected, taken, make)? else {
                dropped += 1;
                continue;
            };
            match sample.timestamp_ms {
                None => gathered.add(place, sample.value),
                Some(at_ms) => {
                    let series = walk.series(place);
                    gathered.add_at(place, sample.value, at_ms, self.newest_ms.get(series).copied())?;
                }
            }
        }
        Ok(())
    }

    /// `None` if relabelling drops it.
    fn make_series(&self, sample: &Sample<'_>) -> Result<Option<Series>, PageError> {
        let labels = sample_labels(&sample.series, &self.target.labels, &self.rules)
            .map_err(|cause| PageError::labels(sample.series.raw, cause))?;
        Ok(labels.map(|labels| self.table.intern(&labels)))
    }

    /// Series of the last page that this one no longer follows. Those that it lists all the same, with a time of their
    /// own, get their marker as a repeat.
    fn find_gone(
        &self,
        list: &[Series],
        changed: bool,
        gathered: &mut Gathered,
    ) -> Result<Vec<Series>, TooManyRepeats> {
        let mut gone = Vec::new();
        let untracked_now = gathered.own_timestamps.len() + gathered.refused.len();
        let same_untracked = untracked_now == self.untracked.len()
            && self.untracked.iter().all(|position| gathered.is_untracked(*position));
        if !self.alive || !changed && same_untracked {
            return Ok(gone);
        }
        let positions: HashMap<&Series, u32> = list.iter().zip(0..).collect();
        for (series, was) in self.cache.list().iter().zip(0u32..).skip(self.report.len()) {
            if self.untracked.binary_search(&was).is_ok() {
                continue;
            }
            match positions.get(series) {
                None => gone.push(series.clone()),
                Some(position) if gathered.is_untracked(*position) => {
                    let timestamp_ms = gathered.timestamp_ms;
                    if gathered.newest_on_page(*position).is_none_or(|newest_ms| newest_ms < timestamp_ms) {
                        gathered.repeat(Repeat { position: *position, value: stale_nan(), timestamp_ms })?;
                    }
                }
                Some(_) => {}
            }
        }
        Ok(gone)
    }

    fn with_samples(
        &mut self,
        report: &Report,
        timestamp_ms: i64,
        mut gathered: Gathered,
        gone: Vec<Series>,
    ) -> CycleResult {
        self.alive = true;
        self.follow_times(&gathered);
        self.count(&gathered.counts);
        gathered.values[..REPORT_NAMES.len()].copy_from_slice(&report.values());
        let list = self.cache.list().clone();
        let more = gathered.repeats.iter().map(|repeats| self.repeats_batch(&list, repeats)).collect();
        let Gathered { mut values, mut own_timestamps, refused, .. } = gathered;
        let mut series = list;
        if !refused.is_empty() || !gone.is_empty() {
            let kept = |position: &u32| refused.binary_search(position).is_err();
            let positions: Vec<u32> = (0..values.len() as u32).filter(kept).collect();
            values = positions.iter().map(|position| values[*position as usize]).collect();
            values.resize(values.len() + gone.len(), stale_nan());
            series = positions.iter().map(|position| series[*position as usize].clone()).chain(gone).collect();
            for own in &mut own_timestamps {
                own.index -= refused.partition_point(|position| *position < own.index) as u32;
            }
        }
        let mut batch = self.batch(timestamp_ms, series, values);
        batch.own_timestamps = own_timestamps;
        CycleResult { batch, more, error: None }
    }

    fn without_samples(&mut self, report: &Report, timestamp_ms: i64, error: Option<PageError>) -> CycleResult {
        let (series, mut values) = self.markers();
        values[..REPORT_NAMES.len()].copy_from_slice(&report.values());
        self.alive = false;
        CycleResult { batch: self.batch(timestamp_ms, series, values), more: Vec::new(), error }
    }

    /// The report series and each series that exists, with a staleness marker for each.
    fn markers(&self) -> (Rc<[Series]>, Vec<f64>) {
        let list = match (self.alive, self.untracked.is_empty()) {
            (false, _) => self.report.clone(),
            (true, true) => self.cache.list().clone(),
            (true, false) => {
                let tracked = self.cache.list().iter().zip(0u32..);
                let tracked = tracked.filter(|(_, position)| self.untracked.binary_search(position).is_err());
                tracked.map(|(series, _)| series.clone()).collect()
            }
        };
        let values = vec![stale_nan(); list.len()];
        (list, values)
    }

    /// Remembers which series of the page just taken carry times of their own, and how far these have come.
    fn follow_times(&mut self, gathered: &Gathered) {
        self.untracked.clear();
        if gathered.own_timestamps.is_empty() && gathered.refused.is_empty() {
            self.newest_ms.clear();
            return;
        }
        self.untracked
            .extend(gathered.own_timestamps.iter().map(|own| own.index).chain(gathered.refused.iter().copied()));
        self.untracked.sort_unstable();
        let list = self.cache.list();
        let mut newest_ms = HashMap::with_capacity(self.untracked.len());
        for position in &self.untracked {
            let series = &list[*position as usize];
            let newest = gathered.newest_on_page(*position).or_else(|| self.newest_ms.get(series).copied());
            newest_ms.extend(newest.map(|newest| (series.clone(), newest)));
        }
        self.newest_ms = newest_ms;
    }

    fn count(&self, counts: &SampleCounts) {
        self.counters.samples_duplicate.add(counts.duplicate);
        self.counters.samples_out_of_order.add(counts.out_of_order);
        self.counters.samples_out_of_bounds.add(counts.out_of_bounds);
    }

    fn repeats_batch(&self, list: &[Series], repeats: &[Repeat]) -> ScrapeBatch {
        let series = repeats.iter().map(|repeat| list[repeat.position as usize].clone()).collect();
        let values = repeats.iter().map(|repeat| repeat.value).collect();
        let own =
            repeats.iter().zip(0..).map(|(repeat, index)| OwnTimestamp { index, timestamp_ms: repeat.timestamp_ms });
        let newest_ms = repeats.iter().map(|repeat| repeat.timestamp_ms).max().unwrap_or_default();
        ScrapeBatch { own_timestamps: own.collect(), ..self.batch(newest_ms, series, values) }
    }

    fn batch(&self, timestamp_ms: i64, series: Rc<[Series]>, values: Vec<f64>) -> ScrapeBatch {
        ScrapeBatch { target: self.number, timestamp_ms, series, values, own_timestamps: Vec::new(), extras: None }
    }
}

/// What a scrape says of itself.
struct Report {
    up: bool,
    duration: Duration,
    counts: SampleCounts,
}

impl Report {
    fn values(&self) -> [f64; REPORT_NAMES.len()] {
        let SampleCounts { scraped, after_relabeling, series_added, .. } = self.counts;
        let up = if self.up { 1.0 } else { 0.0 };
        [up, self.duration.as_secs_f64(), scraped as f64, after_relabeling as f64, series_added as f64]
    }
}
