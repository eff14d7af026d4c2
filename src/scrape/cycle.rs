//! One target's scrapes as a state machine: a page or its absence goes in, a batch comes out.
//!
//! ```text
//!  page whole         samples + markers of series gone         up 1
//!  page empty         markers of all series                    up 1
//!  page broken        markers of all series                    up 0    samples counted up to the break
//!  past sample_limit  markers of all series                    up 0    all samples counted
//!  no page            markers of all series                    up 0
//! ```
//!
//! The rules are those of Prometheus's `scrapeAndReport`, `append` and `endOfRunStaleness`, but for the first three differences of
//! `docs/differences.md`: where Prometheus would hand its storage two samples of one series for one time.
//!
//! Refuses to know where a page came from and what becomes of the batch.

use super::ScrapeOptions;
use super::cache::{Cache, Made, Place, Taken, Walk};
use super::content_type::Format;
use super::entry::{Entry, Sample};
use super::extras::{LastExtras, check_histogram, narrowed_histogram};
use super::gather::{Gathered, Repeat, SampleCounts, TooManyRepeats};
use super::metadata::{Collector, MetadataHash};
use super::page_error::PageError;
use super::parser::Parser;
use super::protobuf::HistogramForms;
use super::report::{DURATION_PLACE, Report, report_names};
use super::sample_labels::{SampleLabelsError, report_labels, sample_labels};
use super::times::Times;
use crate::counters::Counters;
use crate::limits::SERIES_PER_PAGE_MAX;
use crate::model::{
    Extras, Histogram, Labels, LabelsError, LiveSeries, MetadataTable, OwnTimestamp, ScrapeBatch, Series, SeriesTable,
    Target, stale_nan,
};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// What one scrape yields.
#[derive(Debug)]
pub struct CycleResult {
    pub batch: ScrapeBatch,
    /// Further samples of series that stand in `batch`, to be taken after it, in order; mostly none.
    pub more: Vec<ScrapeBatch>,
    /// Why the page was not taken.
    pub error: Option<PageError>,
    /// Samples of new series that the page has and `batch` has not: `limits.max_series` allows no more.
    pub past_max_series: u64,
}

impl CycleResult {
    /// Reports this as the scrape's duration: known only once the page was read, which Prometheus counts too.
    pub fn with_duration(mut self, duration: Duration) -> CycleResult {
        // The report comes first in each batch.
        self.batch.values[DURATION_PLACE] = duration.as_secs_f64();
        self
    }
}

pub struct Cycle {
    number: u32,
    target: Rc<Target>,
    options: ScrapeOptions,
    table: Rc<SeriesTable>,
    /// Those in the cache.
    live: LiveSeries,
    counters: Rc<Counters>,
    cache: Cache,
    /// Of the page that the cache holds: what one format calls a series is none in another.
    cached_format: Format,
    report: Rc<[Series]>,
    /// The last page was taken whole: what the cache lists is what exists.
    alive: bool,
    scraped_once: bool,
    /// Positions of the cache's list that are not followed for staleness, in order: the page gives their times.
    untracked: Vec<u32>,
    last_extras: LastExtras,
    times: Times,
    /// There if somebody wants it.
    metadata: Option<Collector>,
}

impl Cycle {
    /// Fails if the target's own labels leave no room for a metric's name.
    pub fn new(
        number: u32,
        target: Rc<Target>,
        options: ScrapeOptions,
        table: Rc<SeriesTable>,
        counters: Rc<Counters>,
    ) -> Result<Cycle, LabelsError> {
        let report =
            report_names(&options.page).iter().map(|name| Ok(table.intern(&report_labels(name, &target.labels)?)));
        let report: Rc<[Series]> = report.collect::<Result<Vec<_>, LabelsError>>()?.into();
        Ok(Cycle {
            number,
            target,
            options,
            live: LiveSeries::new(table.clone()),
            table,
            counters,
            cache: Cache::new(report.clone()),
            cached_format: Format::Text,
            report,
            alive: false,
            scraped_once: false,
            untracked: Vec::new(),
            last_extras: LastExtras::default(),
            times: Times::default(),
            metadata: None,
        })
    }

    /// What pages say of their metrics is to be put there.
    pub fn with_metadata(self, table: Rc<MetadataTable>) -> Cycle {
        let collector = Collector::new(table, self.number, self.target.clone());
        Cycle { metadata: Some(collector), ..self }
    }

    /// Ends a scrape that began at `timestamp_ms` and whose page took so long to arrive. `page` is `None` if none arrived.
    pub fn complete(&mut self, page: Option<(&[u8], Format)>, timestamp_ms: i64, duration: Duration) -> CycleResult {
        let Some((page, format)) = page else { return self.complete_without_page(0, None, timestamp_ms, duration) };
        let report = Report { up: true, duration, counts: SampleCounts::default(), body_size_bytes: page.len() as i64 };
        let result = match page {
            [] => self.without_samples(&report, timestamp_ms, None),
            page => self.with_page(page, format, report, timestamp_ms),
        };
        self.end(result, true)
    }

    /// Ends a scrape that yielded no page that could be read. `body_size_bytes` is what it reports of the page's size.
    pub fn complete_without_page(
        &mut self,
        body_size_bytes: i64,
        error: Option<PageError>,
        timestamp_ms: i64,
        duration: Duration,
    ) -> CycleResult {
        let report = Report { up: false, duration, counts: SampleCounts::default(), body_size_bytes };
        let result = self.without_samples(&report, timestamp_ms, error);
        self.end(result, false)
    }

    fn end(&mut self, result: CycleResult, arrived: bool) -> CycleResult {
        self.scraped_once = true;
        self.counters.scrapes.add(1);
        if !arrived || result.error.is_some() {
            self.counters.scrapes_failed.add(1);
        }
        result
    }

    /// How many series all targets together may have.
    pub fn series_max(&self) -> usize {
        self.table.series_max()
    }

    pub fn has_scraped(&self) -> bool {
        self.scraped_once
    }

    /// Staleness markers for all that exists, report series included. `None` if there never was a scrape.
    pub fn end_of_run(&mut self, timestamp_ms: i64) -> Option<ScrapeBatch> {
        if !std::mem::take(&mut self.scraped_once) {
            return None;
        }
        let (series, mut values) = self.markers(timestamp_ms);
        values.fill(stale_nan());
        self.alive = false;
        Some(self.batch(timestamp_ms, series, values))
    }

    fn with_page(&mut self, page: &[u8], format: Format, mut report: Report, timestamp_ms: i64) -> CycleResult {
        let now_ms = timestamp_ms.saturating_add(report.duration.as_millis() as i64);
        let capacity = self.cache.list().len();
        let mut gathered = Gathered::new(&self.options.page, self.report.len(), capacity, timestamp_ms, now_ms);
        gathered.metadata_hash = self.metadata.as_ref().map(|_| MetadataHash::default());
        let mut walk = self.cache.walk();
        let mut outcome = self.gather(page, format, &mut walk, &mut gathered);
        gathered.settle();
        let changed = match outcome {
            Ok(()) => walk.finish(gathered.values.len()),
            Err(_) => walk.abandon(),
        };
        if outcome.is_ok() {
            let list = changed.as_ref().map_or(&self.cache.list()[..], |page| page.list());
            match self.find_gone(list, changed.is_some(), &mut gathered) {
                Ok(gone) => {
                    report.counts = gathered.counts;
                    self.times.follow(self.cache.list(), list, &gathered, self.report.len(), &gone);
                    self.cache.replace(changed, &self.table);
                    self.live.set(self.cache.held());
                    self.cached_format = format;
                    if let Some(metadata) = &mut self.metadata {
                        metadata.follow(gathered.metadata_hash.take(), page, format);
                    }
                    return self.with_samples(&report, timestamp_ms, gathered, gone);
                }
                Err(error) => outcome = Err(error.into()),
            }
        }
        self.cache.remember(changed, &gathered.untaken);
        self.live.set(self.cache.held());
        report.up = false;
        report.counts = gathered.counts;
        self.without_samples(&report, timestamp_ms, outcome.err())
    }

    fn gather(
        &self,
        page: &[u8],
        format: Format,
        walk: &mut Walk<'_>,
        gathered: &mut Gathered,
    ) -> Result<(), PageError> {
        let natives = &self.options.page.native_histograms;
        let forms = HistogramForms { native: natives.scraped, classic_too: natives.classic_too };
        let mut parser = Parser::new(page, format, forms);
        let in_step = format == self.cached_format;
        while let Some(entry) = parser.next(walk.expected().filter(|_| in_step))? {
            let Entry::Sample(sample) = entry else {
                gathered.metadata_hash.iter_mut().for_each(|hash| hash.note(&entry));
                continue;
            };
            gathered.counts.scraped += 1;
            if gathered.is_past_limit() {
                // The page has failed, but it is counted to its end.
                let is_kept = match walk.keeps(sample.series.raw) {
                    Some(is_kept) => is_kept,
                    None => self.labels_of(&sample).map_or_else(unless_repeated, |labels| Ok(labels.is_some()))?,
                };
                gathered.counts.after_relabeling += u64::from(is_kept);
                continue;
            }
            self.take(&sample, walk, gathered)?;
        }
        match gathered.is_past_limit() {
            true => Err(PageError::SampleLimit(self.options.page.sample_limit)),
            false if gathered.past_bucket_limit => Err(PageError::BucketLimit(natives.bucket_limit)),
            false => Ok(()),
        }
    }

    fn take(&self, sample: &Sample<'_>, walk: &mut Walk<'_>, gathered: &mut Gathered) -> Result<(), PageError> {
        let taken = gathered.values.len();
        let past_max_series = gathered.counts.past_max_series as usize;
        if taken - self.report.len() + gathered.dropped + past_max_series == SERIES_PER_PAGE_MAX {
            return Err(PageError::TooManySeries);
        }
        let taken = walk.take(&sample.series, sample.expected, taken, |added| self.make_series(sample, added));
        let taken = match taken {
            Err(error) if gathered.is_full() => {
                unless_repeated(error)?;
                gathered.pass_limit();
                return Ok(());
            }
            taken => taken?,
        };
        let on_walk = match taken {
            Taken::At(place) => place,
            Taken::Dropped => {
                gathered.dropped += 1;
                return Ok(());
            }
            Taken::Refused => {
                gathered.pass_max_series();
                return Ok(());
            }
        };
        let place = Place { known: on_walk.known && !self.times.is_untaken(walk.series(on_walk)), ..on_walk };
        let own_ms = sample.timestamp_ms.filter(|_| self.options.page.honor_timestamps);
        if own_ms.is_none() && gathered.is_said_again(place) {
            gathered.count_duplicate();
            return Ok(());
        }
        let Ok(histogram) = narrowed_histogram(&self.options.page.native_histograms, sample) else {
            gathered.pass_bucket_limit(place, sample.value);
            return Ok(());
        };
        if !gathered.has_room() {
            walk.forget(on_walk);
            return Ok(());
        }
        if let Err(error) = histogram.as_deref().map_or(Ok(()), |histogram| check_histogram(&sample.series, histogram))
        {
            walk.forget(on_walk);
            return Err(error);
        }
        let is_first = gathered.is_first(place);
        let is_taken = self.add((sample.value, histogram.clone()), own_ms, place, walk, gathered)?;
        if sample.is_plain() || !is_taken {
            return Ok(());
        }
        let timestamp_ms = own_ms.unwrap_or(gathered.timestamp_ms);
        let at = (place.position, walk.series(place));
        gathered.extras.take(&self.last_extras, at, sample, Some(histogram).filter(|_| is_first), timestamp_ms)
    }

    /// Whether the sample is taken.
    fn add(
        &self,
        (value, histogram): (f64, Option<Rc<Histogram>>),
        own_ms: Option<i64>,
        place: Place,
        walk: &Walk<'_>,
        gathered: &mut Gathered,
    ) -> Result<bool, TooManyRepeats> {
        if own_ms.is_none() && gathered.is_first(place) && !self.times.are_given() {
            gathered.add_first(place, value);
            return Ok(true);
        }
        let newest_ms = self.times.newest_ms(walk.series(place), place.known);
        gathered.add(place, (value, histogram), own_ms, newest_ms)
    }

    /// `added` series were made for this page before.
    fn make_series(&self, sample: &Sample<'_>, added: usize) -> Result<Made, PageError> {
        let Some(labels) = self.labels_of(sample)? else { return Ok(Made::Dropped) };
        Ok(if self.live.has_room(added) { Made::Series(self.table.intern(&labels)) } else { Made::Refused })
    }

    /// `None` if relabelling drops it.
    fn labels_of(&self, sample: &Sample<'_>) -> Result<Option<Labels>, PageError> {
        sample_labels(&sample.series, &self.target.labels, &self.options.rules)
            .map_err(|cause| PageError::labels(&sample.series, cause))
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
        let same_untracked = gathered.untracked_len() == self.untracked.len()
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
                None if self.times.allow(series, gathered.timestamp_ms) => gone.push(series.clone()),
                None => {}
                Some(position) if gathered.is_untracked(*position) => {
                    let timestamp_ms = gathered.timestamp_ms;
                    let newest_ms = gathered.newest_on_page(*position).max(self.times.newest_ms(series, true));
                    if newest_ms.is_none_or(|newest_ms| newest_ms < timestamp_ms) {
                        let (position, value, histogram) = (*position, stale_nan(), None);
                        gathered.repeat(Repeat { position, value, timestamp_ms, histogram })?;
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
        self.untracked.clear();
        let timed = gathered.own_timestamps.iter().map(|own| own.index).chain(gathered.refused.iter().copied());
        self.untracked.extend(timed.filter(|position| gathered.is_untracked(*position)));
        self.untracked.sort_unstable();
        self.count(&gathered.counts);
        let past_max_series = gathered.counts.past_max_series;
        self.report_into(report, &mut gathered.values);
        let list = self.cache.list().clone();
        let more = gathered.repeats.iter().map(|repeats| self.repeats_batch(&list, repeats)).collect();
        let Gathered { mut values, mut own_timestamps, refused, extras, .. } = gathered;
        // Refused samples are not in the batch.
        let place_in_batch = |position: u32| {
            let before = refused.binary_search(&position).err()?;
            Some(position - before as u32)
        };
        let extras = extras.finish(&mut self.last_extras, &list, place_in_batch);
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
        (batch.own_timestamps, batch.extras) = (own_timestamps, extras);
        CycleResult { batch, more, error: None, past_max_series }
    }

    fn without_samples(&mut self, report: &Report, timestamp_ms: i64, error: Option<PageError>) -> CycleResult {
        let (series, mut values) = self.markers(timestamp_ms);
        if self.alive {
            self.times.end(&series[self.report.len()..], timestamp_ms);
        }
        self.report_into(report, &mut values);
        self.alive = false;
        CycleResult { batch: self.batch(timestamp_ms, series, values), more: Vec::new(), error, past_max_series: 0 }
    }

    fn report_into(&self, report: &Report, values: &mut [f64]) {
        let reported = report.values(&self.target, &self.options.page);
        let reports = self.report.len();
        values[..reports].copy_from_slice(&reported[..reports]);
    }

    /// The report series and each series that exists, with a staleness marker for each.
    fn markers(&self, timestamp_ms: i64) -> (Rc<[Series]>, Vec<f64>) {
        let all_tracked = self.untracked.is_empty() && !self.times.are_given();
        let list = match (self.alive, all_tracked) {
            (false, _) => self.report.clone(),
            (true, true) => self.cache.list().clone(),
            (true, false) => {
                let tracked = self.cache.list().iter().zip(0u32..);
                let tracked = tracked.filter(|(series, position)| {
                    self.untracked.binary_search(position).is_err() && self.times.allow(series, timestamp_ms)
                });
                tracked.map(|(series, _)| series.clone()).collect()
            }
        };
        let values = vec![stale_nan(); list.len()];
        (list, values)
    }

    fn count(&self, counts: &SampleCounts) {
        self.counters.samples_duplicate.add(counts.duplicate);
        self.counters.samples_out_of_order.add(counts.out_of_order);
        self.counters.samples_out_of_bounds.add(counts.out_of_bounds);
        self.counters.samples_past_max_series.add(counts.past_max_series);
    }

    fn repeats_batch(&self, list: &[Series], repeats: &[Repeat]) -> ScrapeBatch {
        let series = repeats.iter().map(|repeat| list[repeat.position as usize].clone()).collect();
        let values = repeats.iter().map(|repeat| repeat.value).collect();
        let own =
            repeats.iter().zip(0..).map(|(repeat, index)| OwnTimestamp { index, timestamp_ms: repeat.timestamp_ms });
        let newest_ms = repeats.iter().map(|repeat| repeat.timestamp_ms).max().unwrap_or_default();
        let histograms = repeats.iter().zip(0..).filter_map(|(repeat, at)| Some((at, repeat.histogram.clone()?)));
        let extras = Extras { histograms: histograms.collect(), ..Extras::default() };
        let extras = (!extras.is_empty()).then(|| Box::new(extras));
        ScrapeBatch { own_timestamps: own.collect(), extras, ..self.batch(newest_ms, series, values) }
    }

    fn batch(&self, timestamp_ms: i64, series: Rc<[Series]>, values: Vec<f64>) -> ScrapeBatch {
        ScrapeBatch { target: self.number, timestamp_ms, series, values, own_timestamps: Vec::new(), extras: None }
    }
}

/// Prometheus holds samples to `sample_limit` before it looks whether a label comes twice: past it, such a series is counted.
fn unless_repeated(error: PageError) -> Result<bool, PageError> {
    match error {
        PageError::Labels { cause: SampleLabelsError::Limit(LabelsError::Repeated(_)), .. } => Ok(true),
        other => Err(other),
    }
}
