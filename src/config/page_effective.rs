//! What [`super::page`] reads, in the file's own form again.

use super::page::GlobalPageOptions;
use crate::model::{EscapingScheme, PageOptions, ScrapeProtocol, format_size};
use serde::Serialize;

/// The part of `[global]`.
#[derive(Serialize)]
pub(super) struct GlobalPage {
    #[serde(skip_serializing_if = "Option::is_none")]
    scrape_protocols: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric_name_escaping_scheme: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_size_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_limit: Option<usize>,
    extra_scrape_metrics: bool,
    scrape_native_histograms: bool,
    always_scrape_classic_histograms: bool,
}

/// The part of a job.
#[derive(Serialize)]
pub(super) struct Page {
    scrape_protocols: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback_scrape_protocol: Option<&'static str>,
    metric_name_escaping_scheme: &'static str,
    enable_compression: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_size_limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_limit: Option<usize>,
    honor_timestamps: bool,
    track_timestamps_staleness: bool,
    extra_scrape_metrics: bool,
    scrape_native_histograms: bool,
    always_scrape_classic_histograms: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_histogram_bucket_limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_histogram_min_bucket_factor: Option<f64>,
}

impl From<&GlobalPageOptions> for GlobalPage {
    fn from(options: &GlobalPageOptions) -> Self {
        GlobalPage {
            scrape_protocols: options.protocols.as_deref().map(names),
            metric_name_escaping_scheme: options.escaping_scheme.map(EscapingScheme::name),
            body_size_limit: shown_size(options.body_size_bytes_limit),
            sample_limit: shown_limit(options.sample_limit),
            extra_scrape_metrics: options.extra_metrics,
            scrape_native_histograms: options.native_histograms,
            always_scrape_classic_histograms: options.classic_histograms_too,
        }
    }
}

impl From<&PageOptions> for Page {
    fn from(options: &PageOptions) -> Self {
        let native = &options.native_histograms;
        Page {
            scrape_protocols: names(&options.protocols),
            fallback_scrape_protocol: options.fallback_protocol.map(ScrapeProtocol::name),
            metric_name_escaping_scheme: options.escaping_scheme.name(),
            enable_compression: options.compression,
            body_size_limit: shown_size(options.body_size_bytes_limit),
            sample_limit: shown_limit(options.sample_limit),
            honor_timestamps: options.honor_timestamps,
            track_timestamps_staleness: options.track_timestamps_staleness,
            extra_scrape_metrics: options.extra_metrics,
            scrape_native_histograms: native.scraped,
            always_scrape_classic_histograms: native.classic_too,
            native_histogram_bucket_limit: shown_limit(native.bucket_limit),
            native_histogram_min_bucket_factor: Some(native.min_bucket_factor).filter(|factor| *factor > 0.0),
        }
    }
}

fn names(protocols: &[ScrapeProtocol]) -> Vec<&'static str> {
    protocols.iter().map(|protocol| protocol.name()).collect()
}

fn shown_size(limit: u64) -> Option<String> {
    (limit > 0).then(|| format_size(limit))
}

fn shown_limit(limit: usize) -> Option<usize> {
    Some(limit).filter(|limit| *limit > 0)
}
