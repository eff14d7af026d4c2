//! What a scrape configuration says of its targets.

use super::dns::DnsSdOptions;
use super::file::FileSdOptions;
use super::group::{Group, Pairs};
use super::http::HttpSdOptions;
use super::mdns::MdnsSdOptions;
use crate::http_client::HttpClientOptions;
use crate::model::{PageOptions, Params, Scheme};
use crate::relabel::{Rules, SampleRules, TargetDefaults};
use std::borrow::Cow;
use std::rc::Rc;
use std::time::Duration;

/// One `[[scrape_configs]]`.
#[derive(Clone, Debug)]
pub struct JobOptions {
    /// Becomes the label `job`.
    pub job_name: String,
    /// Starts with `/`.
    pub metrics_path: String,
    /// URL parameters of each scrape.
    pub params: Params,
    pub scheme: Scheme,
    pub interval: Duration,
    /// At most `interval`.
    pub timeout: Duration,
    /// How its targets are asked.
    pub http: HttpClientOptions,
    /// `relabel_configs`: from what is discovered to targets.
    pub relabel: Rules,
    /// More targets than this, and each scrape of the job fails.
    pub target_limit: Option<usize>,
    /// From what targets expose to samples.
    pub samples: Rc<SampleRules>,
    /// How pages are asked for and taken.
    pub page: Rc<PageOptions>,
    pub static_configs: Vec<StaticConfig>,
    pub discovery: DiscoveryOptions,
}

/// The places besides the configuration where a job's targets are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiscoveryOptions {
    pub file: Vec<FileSdOptions>,
    pub dns: Vec<DnsSdOptions>,
    pub http: Vec<HttpSdOptions>,
    pub mdns: Vec<MdnsSdOptions>,
}

impl DiscoveryOptions {
    pub fn is_empty(&self) -> bool {
        self.file.is_empty() && self.dns.is_empty() && self.http.is_empty() && self.mdns.is_empty()
    }
}

/// One `static_configs` entry: targets that share labels.
#[derive(Clone, Debug, Default)]
pub struct StaticConfig {
    /// `host` or `host:port`.
    pub targets: Vec<String>,
    pub labels: Vec<(String, String)>,
}

impl JobOptions {
    /// What [`crate::relabel::populate`] needs to know of the job.
    pub fn target_defaults(&self) -> TargetDefaults<'_> {
        TargetDefaults {
            job_name: &self.job_name,
            scheme: self.scheme,
            metrics_path: &self.metrics_path,
            params: &self.params,
            interval: self.interval,
            timeout: self.timeout,
            native_histograms: self.page.native_histograms.scraped,
            classic_histograms_too: self.page.native_histograms.classic_too,
            rules: &self.relabel,
        }
    }

    /// Whether there may ever be a target.
    pub fn lists_something(&self) -> bool {
        !self.discovery.is_empty() || self.static_configs.iter().any(|config| !config.targets.is_empty())
    }

    /// The groups that the configuration itself lists.
    pub fn static_groups(&self) -> Vec<Group> {
        let group = |(index, config): (usize, &StaticConfig)| {
            let labels: Pairs = config.labels.iter().map(|(n, v)| (Cow::Owned(n.clone()), v.clone())).collect();
            Group { source: index.to_string(), ..Group::of_addresses(config.targets.iter().cloned(), labels) }
        };
        self.static_configs.iter().enumerate().map(group).collect()
    }
}
