//! One target's cycle: fetch a page, read it, hand out a batch.
//!
//! ```text
//!  schedule ─ when          fetch ─► parser ─► cache ─► gather ─► cycle ─► ScrapeBatch
//!  (timers are agent's)              text     series    which     staleness,
//!                                             in step   samples   report series
//!                                             with the  count
//!                                             last page
//! ```
//!
//! [`Scraper`] is the whole; all of it but `fetch` is pure. It refuses to know where targets come from and who
//! takes the batches. Each format has a parser behind `parser`, chosen by `content_type`; relabelling goes into
//! `sample_labels`, limits into `gather`.

mod body;
mod cache;
mod content_type;
mod cycle;
mod entry;
mod exemplar;
mod extras;
mod fetch;
mod fetch_error;
mod gather;
mod go_float;
mod gunzip;
mod metadata;
mod negotiation;
mod openmetrics;
mod page_error;
mod parser;
mod protobuf;
mod protobuf_error;
mod protobuf_metric;
mod protobuf_series;
mod report;
mod resolution;
mod sample_labels;
mod schedule;
mod series_text;
mod start_timestamp;
mod text;
mod text_error;
mod times;
mod wire;

#[cfg(test)]
mod client_model;
#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod cycle_tests;
#[cfg(test)]
mod extras_tests;
#[cfg(test)]
mod fetch_tests;
#[cfg(test)]
mod max_series_tests;
#[cfg(test)]
mod openmetrics_tests;
#[cfg(test)]
mod protobuf_tests;
#[cfg(test)]
mod several_texts_tests;
#[cfg(test)]
mod text_tests;

pub use body::{Body, FetchLimits};
pub use content_type::{ContentTypeError, Format};
pub use cycle::{Cycle, CycleResult};
pub use entry::{Entry, NORMAL_NAN_BITS, Native, Sample};
pub use exemplar::{Exemplar, ExemplarText};
pub use fetch::{Fetched, Fetcher};
pub use fetch_error::FetchError;
pub use gunzip::{Gunzip, GunzipError};
pub use metadata::reported_families;
pub use openmetrics::OpenMetricsParser;
pub use page_error::PageError;
pub use parser::Parser;
pub use protobuf::{HistogramForms, ProtobufParser};
pub use protobuf_error::ProtobufError;
pub use resolution::{TooManyBuckets, limit as limit_buckets, schema_of_factor};
pub use sample_labels::SampleLabelsError;
pub use schedule::{Schedule, offset_seed};
pub use series_text::{MetricType, SeriesText};
pub use text::TextParser;
pub use text_error::TextError;

use crate::clock::Clock;
use crate::counters::Counters;
use crate::http_client::HttpClient;
use crate::model::{LabelsError, MetadataTable, PageOptions, ScrapeBatch, SeriesTable, Target};
use crate::relabel::SampleRules;
use std::fmt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// Why a scrape ended with `up` 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScrapeError {
    /// No page arrived.
    Fetch(FetchError),
    /// It could not be taken.
    Page(PageError),
    /// The job has more targets than it may, so that none of them is scraped.
    TargetLimit { targets: usize, limit: usize },
}

impl fmt::Display for ScrapeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ScrapeError::Fetch(error) => error.fmt(f),
            ScrapeError::Page(error) => error.fmt(f),
            ScrapeError::TargetLimit { targets, limit } => {
                write!(f, "target_limit exceeded (number of targets: {targets}, limit: {limit}); ")?;
                f.write_str("raise it, or drop targets with relabel_configs")
            }
        }
    }
}

impl std::error::Error for ScrapeError {}

impl ScrapeError {
    /// Whether a job that has so many targets may scrape them; see [`Scraper::refuse`].
    pub fn of_target_count(targets: usize, limit: Option<usize>) -> Option<ScrapeError> {
        limit.filter(|limit| targets > *limit).map(|limit| ScrapeError::TargetLimit { targets, limit })
    }
}

/// What one scrape yields, failed or not.
#[derive(Debug)]
pub struct ScrapeResult {
    pub batch: ScrapeBatch,
    /// Further samples of series that stand in `batch`: pages that give one series several times, each with a time of its
    /// own. To be taken after `batch`, in order; mostly none.
    pub more: Vec<ScrapeBatch>,
    pub error: Option<ScrapeError>,
    pub past_max_series: Option<PastMaxSeries>,
    pub duration: Duration,
}

/// Samples that a scrape leaves out because they are of new series and the targets have as many series as they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PastMaxSeries {
    pub samples: u64,
    pub series_max: usize,
}

impl fmt::Display for PastMaxSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PastMaxSeries { samples, series_max } = self;
        write!(
            f,
            "limits.max_series: dropped {samples} samples of new series, since all targets together have {series_max} \
             series; raise limits.max_series, or expose fewer series"
        )
    }
}

/// How a job's targets are scraped; cloning copies pointers.
#[derive(Clone, Debug, Default)]
pub struct ScrapeOptions {
    /// How pages are asked for and taken.
    pub page: Rc<PageOptions>,
    /// From what a page exposes to samples.
    pub rules: Rc<SampleRules>,
}

/// Scrapes one target, again and again.
pub struct Scraper {
    cycle: Cycle,
    fetcher: Fetcher,
}

impl Scraper {
    /// `number` is the target's within this process; see [`ScrapeBatch::target`]. Targets of one scrape configuration
    /// share a `client` and `rules`. Fails if the target's own labels are past the limits as soon as a metric's name joins them.
    pub fn new(
        target: Rc<Target>,
        number: u32,
        options: ScrapeOptions,
        table: Rc<SeriesTable>,
        counters: Rc<Counters>,
        client: Rc<HttpClient>,
    ) -> Result<Scraper, LabelsError> {
        let page = options.page.clone();
        let limits = FetchLimits { body_size_bytes_limit: page.body_size_bytes_limit, ..FetchLimits::default() };
        let fetcher = Fetcher::new(target.url(), target.timeout, page, limits, client);
        let fetcher = match &target.socket {
            Some(path) => fetcher.over_socket(Path::new(&**path)),
            None => fetcher,
        };
        Ok(Scraper { cycle: Cycle::new(number, target, options, table, counters)?, fetcher })
    }

    /// What pages say of their metrics is to be put there.
    pub fn with_metadata(self, table: Rc<MetadataTable>) -> Scraper {
        Scraper { cycle: self.cycle.with_metadata(table), ..self }
    }

    /// One scrape, whose samples get `timestamp_ms` unless the page says otherwise. Takes no longer than the target's
    /// timeout.
    pub async fn scrape(&mut self, clock: &dyn Clock, timestamp_ms: i64) -> ScrapeResult {
        let started = clock.monotonic();
        let fetched = self.fetcher.fetch().await;
        let took = || clock.monotonic().saturating_sub(started);
        let arrived_after = took();
        let (result, fetch_error) = match fetched {
            Ok(Fetched { page, format: Ok(format) }) => {
                (self.cycle.complete(Some((page, format)), timestamp_ms, arrived_after), None)
            }
            Ok(Fetched { page, format: Err(error) }) => {
                let (bytes, error) = (page.len() as i64, Some(PageError::ContentType(error)));
                (self.cycle.complete_without_page(bytes, error, timestamp_ms, arrived_after), None)
            }
            Err(error) => {
                let bytes = if error.is_size_limit() { -1 } else { 0 };
                let result = self.cycle.complete_without_page(bytes, None, timestamp_ms, arrived_after);
                (result, Some(ScrapeError::Fetch(error)))
            }
        };
        self.fetcher.release();
        let duration = took();
        let CycleResult { batch, more, error, past_max_series: samples } = result.with_duration(duration);
        let past_max_series = (samples > 0).then(|| PastMaxSeries { samples, series_max: self.cycle.series_max() });
        let error = error.map(ScrapeError::Page).or(fetch_error);
        ScrapeResult { batch, more, error, past_max_series, duration }
    }

    /// Whether there is anything to end.
    pub fn has_scraped(&self) -> bool {
        self.cycle.has_scraped()
    }

    /// A scrape that failed before it began, for this reason.
    pub fn refuse(&mut self, reason: ScrapeError, timestamp_ms: i64) -> ScrapeResult {
        let CycleResult { batch, more, .. } = self.cycle.complete(None, timestamp_ms, Duration::ZERO);
        ScrapeResult { batch, more, error: Some(reason), past_max_series: None, duration: Duration::ZERO }
    }

    /// Staleness markers for all series of the target, for when it is scraped no more. `None` if there was no scrape.
    pub fn end_of_run(&mut self, timestamp_ms: i64) -> Option<ScrapeBatch> {
        self.cycle.end_of_run(timestamp_ms)
    }
}
