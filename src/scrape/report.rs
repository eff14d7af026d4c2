//! What each scrape reports of itself: `up` and its like, with Prometheus's figures.

use super::gather::SampleCounts;
use crate::model::{PageOptions, Target};
use std::time::Duration;

/// The series that each scrape reports, in the order of [`Report::values`].
const REPORT_NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];

/// Where `scrape_duration_seconds` is among them.
pub const DURATION_PLACE: usize = 1;
const _: () = assert!(matches!(REPORT_NAMES[DURATION_PLACE].as_bytes(), b"scrape_duration_seconds"));

/// The last of them, which are reported only if they are asked for.
const EXTRA_REPORTS: usize = 3;

/// The names of what each scrape reports.
pub fn report_names(options: &PageOptions) -> &'static [&'static str] {
    &REPORT_NAMES[..REPORT_NAMES.len() - if options.extra_metrics { 0 } else { EXTRA_REPORTS }]
}

/// What a scrape says of itself.
pub struct Report {
    pub up: bool,
    pub duration: Duration,
    pub counts: SampleCounts,
    /// Inflated; -1 if it was larger than it may be, 0 if there was none.
    pub body_size_bytes: i64,
}

impl Report {
    /// In the order of [`report_names`], all of them.
    pub fn values(&self, target: &Target, options: &PageOptions) -> [f64; REPORT_NAMES.len()] {
        let SampleCounts { scraped, after_relabeling, series_added, .. } = self.counts;
        let up = if self.up { 1.0 } else { 0.0 };
        [
            up,
            self.duration.as_secs_f64(),
            scraped as f64,
            after_relabeling as f64,
            series_added as f64,
            target.timeout.as_secs_f64(),
            options.sample_limit as f64,
            self.body_size_bytes as f64,
        ]
    }
}
