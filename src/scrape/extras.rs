//! What samples of one page have besides values, until it is known whether the page can be taken: native histograms, narrowed to
//! what is wanted and validated, exemplars that are new, start timestamps.
//!
//! ```text
//!  native histogram ─► min_bucket_factor ─► bucket_limit ─► validate ─┐
//!  exemplar ─► labels ─► not the last one of its series ──────────────┼─► Extras of the batch
//!  start timestamp ───────────────────────────────────────────────────┘   shared with the last one where they are the same
//! ```
//!
//! An exemplar is new if it differs from the last one of its series, as in Prometheus's agent; one without a time of its own has its
//! sample's, and is the same as before if labels and value are. One that is older than the last one is passed over too: a native
//! histogram shows its exemplars again on each page, and receivers refuse what is out of order. So is one that can't be stored.

use super::entry::Sample;
use super::exemplar::Exemplar as PageExemplar;
use super::page_error::PageError;
use super::resolution::{TooManyBuckets, limit, schema_of_factor};
use super::series_text::SeriesText;
use crate::limits::{BATCH_EXTRAS_BYTES_MAX, EXEMPLAR_LABEL_CHARS_MAX, HISTOGRAM_BUCKETS_MAX};
use crate::model::{Exemplar, Extras, Histogram, LabelsBuilder, NativeHistogramOptions, Series, StartTimestamps};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// What a target's last page had, for the next one.
#[derive(Default)]
pub struct LastExtras {
    exemplars: HashMap<Series, LastExemplar>,
    starts: StartTimestamps,
}

#[derive(Clone)]
struct LastExemplar {
    exemplar: Rc<Exemplar>,
    has_time: bool,
    /// Its labels as the page wrote them.
    raw: Box<[u8]>,
}

/// Of one page.
#[derive(Default)]
pub struct GatheredExtras {
    extras: Extras,
    starts: Vec<(u32, i64)>,
    exemplars: HashMap<Series, LastExemplar>,
    bytes: usize,
}

/// The histogram of this sample with as many buckets as are wanted; `None` if the sample is none.
pub fn narrowed_histogram(
    options: &NativeHistogramOptions,
    sample: &Sample<'_>,
) -> Result<Option<Rc<Histogram>>, TooManyBuckets> {
    let Some(native) = &sample.native else { return Ok(None) };
    let mut histogram = native.histogram.clone();
    let schema_max = schema_of_factor(options.min_bucket_factor);
    let is_limited = options.bucket_limit > 0 && histogram.buckets() > options.bucket_limit;
    if is_limited || histogram.schema > schema_max {
        limit(Rc::make_mut(&mut histogram), schema_max, options.bucket_limit)?;
    }
    Ok(Some(histogram))
}

/// Whether it can be stored.
pub fn check_histogram(series: &SeriesText<'_>, histogram: &Histogram) -> Result<(), PageError> {
    histogram.validate().map_err(|cause| PageError::histogram(series, cause))?;
    if histogram.buckets() > HISTOGRAM_BUCKETS_MAX { Err(PageError::TooManyExtras) } else { Ok(()) }
}

impl GatheredExtras {
    /// Takes what belongs to a sample that was taken, at a position of the page's list. `histogram` is `None` for one that is not
    /// the first of its position: of that, only exemplars count.
    pub fn take(
        &mut self,
        last: &LastExtras,
        (position, series): (u32, &Series),
        sample: &Sample<'_>,
        histogram: Option<Option<Rc<Histogram>>>,
        timestamp_ms: i64,
    ) -> Result<(), PageError> {
        let is_new = histogram.is_some();
        if let Some(histogram) = histogram.flatten() {
            self.bytes += 16 + histogram.held_bytes();
            self.extras.histograms.push((position, histogram));
        }
        if let Some(start_ms) = sample.start_timestamp_ms.filter(|_| is_new) {
            self.bytes += size_of::<(u32, i64)>();
            self.starts.push((position, start_ms));
        }
        let natives = sample.native.map_or(&[][..], |native| native.exemplars);
        if sample.exemplar.is_some() || !natives.is_empty() {
            self.take_exemplars(last, (position, series), sample.exemplar.iter().chain(natives), timestamp_ms);
        }
        if self.bytes > BATCH_EXTRAS_BYTES_MAX { Err(PageError::TooManyExtras) } else { Ok(()) }
    }

    fn take_exemplars<'e, 'p: 'e>(
        &mut self,
        last: &LastExtras,
        (position, series): (u32, &Series),
        given: impl Iterator<Item = &'e PageExemplar<'p>> + Clone,
        timestamp_ms: i64,
    ) {
        let newest = self.exemplars.get(series).or_else(|| last.exemplars.get(series));
        if newest.is_some_and(|newest| given.clone().all(|given| newest.covers_unread(given))) {
            return;
        }
        let mut newest = newest.cloned();
        let read = |given: &PageExemplar<'_>| {
            let exemplar = read_exemplar(given, timestamp_ms)?;
            let (has_time, raw) = (given.timestamp_ms.is_some(), given.labels.raw.into());
            Some(LastExemplar { exemplar: Rc::new(exemplar), has_time, raw })
        };
        let mut found: Vec<LastExemplar> = given.filter_map(read).collect();
        found.sort_by(|a, b| {
            let (a, b) = (&a.exemplar, &b.exemplar);
            let by_value = || a.timestamp_ms.cmp(&b.timestamp_ms).then(a.value.total_cmp(&b.value));
            by_value().then_with(|| a.labels.iter().cmp(b.labels.iter()))
        });
        for new in found {
            if !newest.as_ref().is_some_and(|newest| newest.covers(&new)) {
                self.bytes += 16 + new.exemplar.held_bytes();
                self.extras.exemplars.push((position, new.exemplar.clone()));
                newest = Some(new);
            }
        }
        if let Some(newest) = newest {
            self.exemplars.insert(series.clone(), newest);
        }
    }

    /// The batch's extras, if it has any. `list` is the page's; `position_in_batch` tells where a position of it stands in the
    /// batch, if it does.
    pub fn finish(
        self,
        last: &mut LastExtras,
        list: &[Series],
        position_in_batch: impl Fn(u32) -> Option<u32>,
    ) -> Option<Box<Extras>> {
        last.exemplars.extend(self.exemplars);
        if last.exemplars.len() > list.len() {
            let listed: HashSet<&Series> = list.iter().collect();
            last.exemplars.retain(|series, _| listed.contains(series));
        }
        let mut extras = self.extras;
        let moved = |at: u32| position_in_batch(at);
        extras.histograms.retain_mut(|(at, _)| moved(*at).map(|new| *at = new).is_some());
        extras.exemplars.retain_mut(|(at, _)| moved(*at).map(|new| *at = new).is_some());
        extras.exemplars.sort_by_key(|(at, _)| *at);
        let mut starts = self.starts;
        starts.retain_mut(|(at, _)| moved(*at).map(|new| *at = new).is_some());
        if last.starts.as_slice() != &starts[..] {
            last.starts = StartTimestamps::from(&starts[..]);
        }
        extras.start_timestamps = last.starts.clone();
        (!extras.is_empty()).then(|| Box::new(extras))
    }
}

impl LastExemplar {
    /// The same, by what the page wrote: an exemplar that comes again is not read again.
    fn covers_unread(&self, given: &PageExemplar<'_>) -> bool {
        let own_ms = self.has_time.then_some(self.exemplar.timestamp_ms);
        let is_older = given.timestamp_ms.is_some_and(|at_ms| at_ms < self.exemplar.timestamp_ms);
        let is_same =
            || given.timestamp_ms == own_ms && given.value == self.exemplar.value && *given.labels.raw == *self.raw;
        is_older || is_same()
    }

    /// Whether the other is this one, or older. Without times of their own, two are the same whenever they were scraped.
    fn covers(&self, other: &LastExemplar) -> bool {
        let (a, b) = (&self.exemplar, &other.exemplar);
        let same_time = a.timestamp_ms == b.timestamp_ms || !self.has_time && !other.has_time;
        other.has_time && b.timestamp_ms < a.timestamp_ms || a.labels == b.labels && a.value == b.value && same_time
    }
}

/// `None` where Prometheus would not store it: a name comes twice, or names and values are too long together.
fn read_exemplar(given: &PageExemplar<'_>, timestamp_ms: i64) -> Option<Exemplar> {
    let pairs = given.labels.labels()?;
    let mut builder = LabelsBuilder::new();
    let mut chars = 0;
    for (name, value) in pairs.into_iter().filter(|(_, value)| !value.is_empty()) {
        chars += name.chars().count() + value.chars().count();
        if name.is_empty() || builder.get(name).is_some() || chars > EXEMPLAR_LABEL_CHARS_MAX {
            return None;
        }
        builder.set(name, value);
    }
    let labels = builder.build().ok()?;
    Some(Exemplar { labels, value: given.value, timestamp_ms: given.timestamp_ms.unwrap_or(timestamp_ms) })
}
