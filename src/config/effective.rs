//! The configuration as it is in effect: each default written out, each secret masked, in the file's own form.

use super::Config;
use super::discovery::{DnsSd, FileSd, HttpSd, MdnsSd};
use super::effective_http::HttpClient;
use super::labels::escape_external_label;
use super::messages::protobuf_message_name;
use super::metadata::ShownMetadata;
use super::page_effective::{GlobalPage, Page};
use super::queue::ShownQueue;
use super::relabel::ShownRule;
use super::samples::SampleDefaults;
use super::uplink::{ShownRates, ShownUplink};
use crate::buffer::BufferOptions;
use crate::discovery::{JobOptions, StaticConfig};
use crate::model::{Params, format_duration, format_size};
use crate::remote_write::EndpointOptions;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The file's sections, in the order in which they are shown.
#[derive(Serialize)]
pub(super) struct Effective<'c> {
    global: Global<'c>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scrape_configs: Vec<ScrapeConfig<'c>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remote_write: Vec<RemoteWrite<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buffer: Option<Buffer>,
    limits: Limits,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    uplink: ShownUplink,
}

#[derive(Serialize)]
struct Status {
    listen: String,
}

#[derive(Serialize)]
struct Limits {
    max_series: usize,
}

#[derive(Serialize)]
struct Global<'c> {
    scrape_interval: String,
    scrape_timeout: String,
    #[serde(flatten)]
    samples: Samples,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    external_labels: BTreeMap<&'c str, String>,
    #[serde(flatten)]
    page: GlobalPage,
}

/// Limits that are none are left out.
#[derive(Serialize)]
struct Samples {
    metric_name_validation_scheme: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_name_length_limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_value_length_limit: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_limit: Option<usize>,
}

#[derive(Serialize)]
struct ScrapeConfig<'c> {
    job_name: &'c str,
    scrape_interval: String,
    scrape_timeout: String,
    metrics_path: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'c Params>,
    scheme: &'c str,
    honor_labels: bool,
    #[serde(flatten)]
    samples: Samples,
    #[serde(flatten)]
    page: Page,
    #[serde(flatten)]
    http: HttpClient<'c>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    static_configs: Vec<Targets<'c>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    file_sd_configs: Vec<FileSd>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dns_sd_configs: Vec<DnsSd<'c>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    http_sd_configs: Vec<HttpSd<'c>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mdns_sd_configs: Vec<MdnsSd<'c>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relabel_configs: Vec<ShownRule<'c>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metric_relabel_configs: Vec<ShownRule<'c>>,
}

#[derive(Serialize)]
struct Targets<'c> {
    targets: &'c [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'c str, &'c str>,
}

#[derive(Serialize)]
struct RemoteWrite<'c> {
    url: &'c str,
    /// `None` if the configuration gives it none.
    name: Option<&'c str>,
    remote_timeout: String,
    protobuf_message: &'c str,
    send_exemplars: bool,
    send_native_histograms: bool,
    catch_up: &'c str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    give_up_on: &'c [u16],
    metadata_config: ShownMetadata,
    #[serde(flatten)]
    rates: ShownRates,
    queue_config: ShownQueue,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'c str, &'c str>,
    #[serde(flatten)]
    http: HttpClient<'c>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    write_relabel_configs: Vec<ShownRule<'c>>,
}

#[derive(Serialize)]
struct Buffer {
    path: String,
    size: String,
    segment_size: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    erase_block: Option<String>,
    program_unit: String,
    commit_interval: String,
    commit_interval_max: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    write_budget: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rated_cycles: Option<u32>,
}

impl<'c> From<&'c Config> for Effective<'c> {
    fn from(config: &'c Config) -> Self {
        let external = config.global.external_labels.iter();
        Effective {
            global: Global {
                scrape_interval: format_duration(config.global.scrape_interval),
                scrape_timeout: format_duration(config.global.scrape_timeout),
                external_labels: external.map(|(name, value)| (name, escape_external_label(value))).collect(),
                samples: Samples::from(&config.global.samples),
                page: GlobalPage::from(&config.global.page),
            },
            scrape_configs: config.jobs.iter().map(ScrapeConfig::from).collect(),
            remote_write: config.endpoints.iter().map(RemoteWrite::from).collect(),
            buffer: config.buffer.as_ref().map(Buffer::from),
            limits: Limits { max_series: config.limits.series_max },
            status: config.status.map(|status| Status { listen: status.listen.to_string() }),
            uplink: ShownUplink::from(&config.uplink),
        }
    }
}

impl<'c> From<&'c JobOptions> for ScrapeConfig<'c> {
    fn from(job: &'c JobOptions) -> Self {
        ScrapeConfig {
            job_name: &job.job_name,
            scrape_interval: format_duration(job.interval),
            scrape_timeout: format_duration(job.timeout),
            metrics_path: &job.metrics_path,
            params: (!job.params.is_empty()).then_some(&job.params),
            scheme: job.scheme.name(),
            honor_labels: job.samples.honor_labels,
            samples: Samples::from(&SampleDefaults {
                scheme: job.samples.scheme,
                label_limits: job.samples.limits,
                target_limit: job.target_limit,
            }),
            page: Page::from(&*job.page),
            http: HttpClient::from(&job.http),
            static_configs: job.static_configs.iter().map(Targets::from).collect(),
            file_sd_configs: job.discovery.file.iter().map(FileSd::from).collect(),
            dns_sd_configs: job.discovery.dns.iter().map(DnsSd::from).collect(),
            http_sd_configs: job.discovery.http.iter().map(HttpSd::from).collect(),
            mdns_sd_configs: job.discovery.mdns.iter().map(MdnsSd::from).collect(),
            relabel_configs: job.relabel.iter().map(ShownRule::from).collect(),
            metric_relabel_configs: job.samples.rules.iter().map(ShownRule::from).collect(),
        }
    }
}

impl From<&SampleDefaults> for Samples {
    fn from(samples: &SampleDefaults) -> Self {
        Samples {
            metric_name_validation_scheme: samples.scheme.name(),
            label_limit: samples.label_limits.count,
            label_name_length_limit: samples.label_limits.name_bytes,
            label_value_length_limit: samples.label_limits.value_bytes,
            target_limit: samples.target_limit,
        }
    }
}

impl<'c> From<&'c StaticConfig> for Targets<'c> {
    fn from(config: &'c StaticConfig) -> Self {
        let labels = config.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Targets { targets: &config.targets, labels }
    }
}

impl<'c> From<&'c EndpointOptions> for RemoteWrite<'c> {
    fn from(endpoint: &'c EndpointOptions) -> Self {
        RemoteWrite {
            url: &endpoint.url,
            name: (endpoint.name == endpoint.ring_key).then_some(endpoint.name.as_str()),
            remote_timeout: format_duration(endpoint.timeout),
            protobuf_message: protobuf_message_name(endpoint.message),
            send_exemplars: endpoint.content.send_exemplars,
            send_native_histograms: endpoint.content.send_native_histograms,
            catch_up: endpoint.catch_up.name(),
            give_up_on: &endpoint.queue.give_up_on,
            metadata_config: ShownMetadata::from(&endpoint.metadata),
            rates: ShownRates::from(endpoint),
            queue_config: ShownQueue::from(&endpoint.queue),
            write_relabel_configs: endpoint.write_relabel.iter().map(ShownRule::from).collect(),
            headers: endpoint.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            http: HttpClient::from(&endpoint.http),
        }
    }
}

impl From<&BufferOptions> for Buffer {
    fn from(buffer: &BufferOptions) -> Self {
        Buffer {
            path: shown_path(&buffer.path),
            size: format_size(buffer.size_bytes),
            segment_size: format_size(buffer.segment_size_bytes),
            erase_block: buffer.erase_block_bytes.map(format_size),
            program_unit: format_size(u64::from(buffer.program_unit_bytes)),
            commit_interval: format_duration(buffer.commit_interval),
            commit_interval_max: format_duration(buffer.commit_interval_max),
            write_budget: buffer.write_budget.map(|budget| budget.to_string()),
            rated_cycles: buffer.rated_cycles,
        }
    }
}

fn shown_path(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
