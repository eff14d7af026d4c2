//! `[global]` and `[[scrape_configs]]`.

use super::address::{check_metrics_path, check_target};
use super::discovery::read_discovery;
use super::error::ConfigError;
use super::http_client::read_http_client;
use super::keys;
use super::labels::{read_external_labels, read_target_labels};
use super::page::{GlobalPageOptions, read_global_page, read_page};
use super::reader::{Table, Value, quoted, quoted_duration};
use super::relabel::read_rules;
use super::samples::{SampleDefaults, read_params, read_sample_defaults, read_sample_rules};
use crate::discovery::{JobOptions, StaticConfig};
use crate::limits::TARGETS_MAX;
use crate::model::{Labels, Params, Scheme};
use crate::relabel::{PopulateError, populate};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

const TARGET_EXAMPLE: &str = "\"127.0.0.1:9100\"";
const TARGETS_EXAMPLE: &str = "[\"127.0.0.1:9100\"]";

/// `[global]`: what jobs and endpoints fall back to.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalOptions {
    pub scrape_interval: Duration,
    /// At most `scrape_interval`.
    pub scrape_timeout: Duration,
    pub external_labels: Labels,
    pub samples: SampleDefaults,
    pub page: GlobalPageOptions,
}

impl Default for GlobalOptions {
    /// Prometheus's `DefaultGlobalConfig`.
    fn default() -> Self {
        GlobalOptions {
            scrape_interval: Duration::from_secs(60),
            scrape_timeout: Duration::from_secs(10),
            external_labels: Labels::default(),
            samples: SampleDefaults::default(),
            page: GlobalPageOptions::default(),
        }
    }
}

pub(super) fn read_global(document: &Table) -> Result<GlobalOptions, ConfigError> {
    let defaults = GlobalOptions::default();
    let Some(table) = document.table("global", &keys::GLOBAL)? else { return Ok(defaults) };
    let timing = table.source.noted(read_timing(&table, &defaults));
    let (scrape_interval, scrape_timeout) = timing.unwrap_or((defaults.scrape_interval, defaults.scrape_timeout));
    let samples = read_sample_defaults(&table, &defaults.samples)?;
    let external_labels = table.get_or("external_labels", defaults.external_labels, read_external_labels)?;
    if let Some((name, _)) = external_labels.iter().find(|(name, _)| !samples.scheme.allows_label(name)) {
        let problem =
            format_args!("{} is not a label's name in the scheme legacy; write letters, digits and _", quoted(name));
        table.source.noted::<()>(Err(table.error("external_labels", problem)));
    }
    let page = table.source.noted(read_global_page(&table)).unwrap_or_default();
    Ok(GlobalOptions { scrape_interval, scrape_timeout, external_labels, samples, page })
}

pub(super) fn read_jobs(document: &Table, global: &GlobalOptions) -> Result<Vec<JobOptions>, ConfigError> {
    let mut jobs = Vec::new();
    let (mut names, mut targets) = (HashMap::new(), 0);
    for table in document.tables("scrape_configs", &keys::SCRAPE_CONFIG)? {
        let Some(job) = table.source.noted(read_job(&table, global, &mut targets)) else { continue };
        if job.job_name.is_empty() {
            continue;
        }
        if let Some(first) = names.insert(job.job_name.clone(), table.get("job_name")).flatten() {
            let (name, line) = (quoted(&job.job_name), first.line());
            let problem = format!("{name} is the job on line {line} too; give each job its own name");
            table.source.noted::<()>(Err(table.error("job_name", problem)));
        }
        jobs.push(job);
    }
    Ok(jobs)
}

/// Adds the targets that the job lists to `targets`.
fn read_job(table: &Table, global: &GlobalOptions, targets: &mut usize) -> Result<JobOptions, ConfigError> {
    let job_name = table.source.noted(read_job_name(table)).unwrap_or_default();
    let timing = table.source.noted(read_timing(table, global));
    let (interval, timeout) = timing.unwrap_or((global.scrape_interval, global.scrape_timeout));
    let samples = read_sample_defaults(table, &global.samples)?;
    let mut job = JobOptions {
        job_name,
        metrics_path: table.get_or("metrics_path", "/metrics".into(), read_metrics_path)?,
        params: table.get_or("params", Params::new(), read_params)?,
        scheme: table.get_or("scheme", Scheme::Http, read_scheme)?,
        interval,
        timeout,
        http: read_http_client(table)?,
        relabel: read_rules(table, "relabel_configs", samples.scheme),
        target_limit: samples.target_limit,
        samples: Rc::new(read_sample_rules(table, &samples)?),
        page: Rc::new(table.source.noted(read_page(table, &global.page, samples.scheme)).unwrap_or_default()),
        static_configs: Vec::new(),
        discovery: table.source.noted(read_discovery(table)).unwrap_or_default(),
    };
    // What relabelling makes of an address is seen when it is scraped, as in Prometheus.
    let has_rules = |value: Value| value.list("[]").is_ok_and(|mut rules| rules.next().is_some());
    let checked_scheme = (!table.get("relabel_configs").is_some_and(has_rules)).then_some(job.scheme);
    let mut static_configs = Vec::new();
    for static_config in table.tables("static_configs", &keys::STATIC_CONFIG)? {
        let read = read_static_config(&static_config, checked_scheme, targets);
        let Some(read) = table.source.noted(read) else { continue };
        // One at a time, so that an error stands at the line of the one that has it.
        job.static_configs = vec![read];
        if table.is_clean() {
            table.source.noted(check_targets(&job).map_err(|error| match error {
                PopulateError::Labels(_) => {
                    static_config.error("labels", format_args!("{error}; write fewer or shorter ones"))
                }
                _ => static_config.error("targets", error),
            }));
        }
        static_configs.append(&mut job.static_configs);
    }
    job.static_configs = static_configs;
    Ok(job)
}

fn read_job_name(table: &Table) -> Result<String, ConfigError> {
    let name = table.require("job_name", "\"node\"")?;
    match name.text("\"node\"")? {
        "" => Err(name.error("is empty; write a name such as \"node\"")),
        text => Ok(text.into()),
    }
}

/// Whether what the job lists itself comes to targets.
fn check_targets(job: &JobOptions) -> Result<(), PopulateError> {
    let defaults = job.target_defaults();
    let groups = job.static_groups();
    groups.iter().flat_map(|group| group.discovered()).try_for_each(|labels| populate(labels, &defaults).map(drop))
}

/// Interval and timeout. A timeout that is written must fit the interval; one that is inherited is cut to it.
fn read_timing(table: &Table, inherited: &GlobalOptions) -> Result<(Duration, Duration), ConfigError> {
    let interval = table.get_or("scrape_interval", inherited.scrape_interval, Value::nonzero_duration)?;
    let Some(value) = table.get("scrape_timeout") else {
        return Ok((interval, inherited.scrape_timeout.min(interval)));
    };
    let timeout = value.nonzero_duration()?;
    if timeout > interval && table.is_clean() {
        let (timeout, interval) = (quoted_duration(timeout), quoted_duration(interval));
        return Err(value.error(format_args!("{timeout} is longer than the scrape_interval; write at most {interval}")));
    }
    Ok((interval, timeout))
}

fn read_metrics_path(value: &Value) -> Result<String, ConfigError> {
    let path = value.text("\"/metrics\"")?;
    check_metrics_path(path).map_err(|problem| value.error(problem))?;
    Ok(path.into())
}

fn read_scheme(value: &Value) -> Result<Scheme, ConfigError> {
    match value.text("\"http\" or \"https\"")? {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        other => Err(value.error(format_args!("{} is not a scheme; write \"http\" or \"https\"", quoted(other)))),
    }
}

/// Addresses are checked if there is a scheme to ask them by.
fn read_static_config(
    table: &Table,
    checked_scheme: Option<Scheme>,
    count: &mut usize,
) -> Result<StaticConfig, ConfigError> {
    let mut targets = Vec::new();
    for value in table.require("targets", TARGETS_EXAMPLE)?.list(TARGETS_EXAMPLE)? {
        let Some(address) = table.source.noted(value.text(TARGET_EXAMPLE)) else { continue };
        if let Some(scheme) = checked_scheme {
            table.source.noted(check_target(address, scheme).map_err(|problem| value.error(problem)));
        }
        *count += 1;
        if *count > TARGETS_MAX {
            return Err(value.error(format_args!("is target {count}; list at most {TARGETS_MAX} in all jobs together")));
        }
        targets.push(address.into());
    }
    let labels = table.get_or("labels", Vec::new(), read_target_labels)?;
    Ok(StaticConfig { targets, labels })
}
