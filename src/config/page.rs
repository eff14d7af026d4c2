//! How pages are asked for and taken: the part of `[global]` and of each job that is about the pages themselves.

use super::error::ConfigError;
use super::reader::{Table, Value, quoted};
use crate::model::{EscapingScheme, NameScheme, NativeHistogramOptions, PageOptions, ScrapeProtocol};

const PROTOCOLS_EXAMPLE: &str = "[\"OpenMetricsText1.0.0\", \"PrometheusText0.0.4\"]";

const ESCAPING_KEY: &str = "metric_name_escaping_scheme";

/// The most that a limit may be: it is kept in floating point numbers, which hold each whole number up to here.
const LIMIT_MAX: usize = 1 << 31;

/// What jobs inherit. Limits of 0 are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GlobalPageOptions {
    /// `None`: it depends on whether a job scrapes native histograms.
    pub protocols: Option<Vec<ScrapeProtocol>>,
    /// `None`: it depends on which names a job allows.
    pub escaping_scheme: Option<EscapingScheme>,
    pub body_size_bytes_limit: u64,
    pub sample_limit: usize,
    pub extra_metrics: bool,
    pub native_histograms: bool,
    pub classic_histograms_too: bool,
}

/// `scheme` is what the table's names are held to.
pub(super) fn read_global_page(table: &Table) -> Result<GlobalPageOptions, ConfigError> {
    table.source.noted(refuse_nhcb(table));
    Ok(GlobalPageOptions {
        protocols: table.get_or("scrape_protocols", None, |value| read_protocols(value).map(Some))?,
        escaping_scheme: table.get_or(ESCAPING_KEY, None, |value| read_escaping(value).map(Some))?,
        body_size_bytes_limit: table.get_or("body_size_limit", 0, Value::size_limit)?,
        sample_limit: table.get_or("sample_limit", 0, |value| value.limit(LIMIT_MAX))?,
        extra_metrics: table.get_or("extra_scrape_metrics", false, Value::flag)?,
        native_histograms: table.get_or("scrape_native_histograms", false, Value::flag)?,
        classic_histograms_too: table.get_or("always_scrape_classic_histograms", false, Value::flag)?,
    })
}

/// A limit of 0 in a job is none of its own: it takes the global one, as in Prometheus. `names` are those that the job
/// allows.
pub(super) fn read_page(
    table: &Table,
    global: &GlobalPageOptions,
    names: NameScheme,
) -> Result<PageOptions, ConfigError> {
    table.source.noted(refuse_nhcb(table));
    let or_global = |own: u64, inherited: u64| if own == 0 { inherited } else { own };
    let native_histograms = read_native_histograms(table, global)?;
    let defaults = PageOptions::default();
    let inherited = match &global.protocols {
        Some(inherited) => inherited.clone(),
        None if native_histograms.scraped => ScrapeProtocol::PROTO_FIRST.to_vec(),
        None => defaults.protocols,
    };
    let protocols = table.get_or("scrape_protocols", inherited, read_protocols)?;
    let body_size_bytes_limit = table.get_or("body_size_limit", 0, Value::size_limit)?;
    let sample_limit = table.get_or("sample_limit", 0, |value| value.limit(LIMIT_MAX))?;
    Ok(PageOptions {
        protocols,
        fallback_protocol: table.get_or("fallback_scrape_protocol", None, |value| read_protocol(value).map(Some))?,
        escaping_scheme: table.source.noted(read_job_escaping(table, global, names)).unwrap_or_default(),
        compression: table.get_or("enable_compression", defaults.compression, Value::flag)?,
        body_size_bytes_limit: or_global(body_size_bytes_limit, global.body_size_bytes_limit),
        sample_limit: or_global(sample_limit as u64, global.sample_limit as u64) as usize,
        honor_timestamps: table.get_or("honor_timestamps", defaults.honor_timestamps, Value::flag)?,
        track_timestamps_staleness: table.get_or("track_timestamps_staleness", false, Value::flag)?,
        extra_metrics: table.get_or("extra_scrape_metrics", global.extra_metrics, Value::flag)?,
        native_histograms,
    })
}

fn read_native_histograms(table: &Table, global: &GlobalPageOptions) -> Result<NativeHistogramOptions, ConfigError> {
    Ok(NativeHistogramOptions {
        scraped: table.get_or("scrape_native_histograms", global.native_histograms, Value::flag)?,
        classic_too: table.get_or("always_scrape_classic_histograms", global.classic_histograms_too, Value::flag)?,
        bucket_limit: table.get_or("native_histogram_bucket_limit", 0, |value| value.limit(LIMIT_MAX))?,
        min_bucket_factor: table.get_or("native_histogram_min_bucket_factor", 0.0, |value| value.factor("1.1"))?,
    })
}

/// The key may stand where it asks for nothing.
fn refuse_nhcb(table: &Table) -> Result<(), ConfigError> {
    const KEY: &str = "convert_classic_histograms_to_nhcb";
    match table.get(KEY) {
        Some(value) if value.flag()? => Err(value.error(
            "is not supported, since the buckets of a page would have to be held until its end; classic histograms \
             are sent as they are: write false",
        )),
        _ => Ok(()),
    }
}

fn read_protocols(value: &Value) -> Result<Vec<ScrapeProtocol>, ConfigError> {
    let mut protocols = Vec::new();
    for item in value.list(PROTOCOLS_EXAMPLE)? {
        let protocol = read_protocol(&item)?;
        if protocols.contains(&protocol) {
            return Err(item.error(format_args!("{} stands twice; write it once", quoted(protocol.name()))));
        }
        protocols.push(protocol);
    }
    if protocols.is_empty() {
        return Err(value.error(format_args!("is empty; write a list such as {PROTOCOLS_EXAMPLE}")));
    }
    Ok(protocols)
}

fn read_protocol(value: &Value) -> Result<ScrapeProtocol, ConfigError> {
    let name = value.text("\"PrometheusText0.0.4\"")?;
    let names = ScrapeProtocol::PROTO_FIRST.map(ScrapeProtocol::name).join(", ");
    ScrapeProtocol::parse(name)
        .ok_or_else(|| value.error(format_args!("{} is not a protocol; write one of {names}", quoted(name))))
}

/// A job that says which names it allows, but not how others are escaped, does not inherit that either.
fn read_job_escaping(
    table: &Table,
    global: &GlobalPageOptions,
    names: NameScheme,
) -> Result<EscapingScheme, ConfigError> {
    let fitting = match names {
        NameScheme::Utf8 => EscapingScheme::AllowUtf8,
        NameScheme::Legacy => EscapingScheme::Underscores,
    };
    let inherited = global.escaping_scheme.filter(|_| table.get("metric_name_validation_scheme").is_none());
    let scheme = table.get_or(ESCAPING_KEY, inherited.unwrap_or(fitting), read_escaping)?;
    if scheme == EscapingScheme::AllowUtf8 && names == NameScheme::Legacy && table.is_clean() {
        let problem = "asks for names that metric_name_validation_scheme \"legacy\" forbids; write \"underscores\"";
        return Err(table.error(ESCAPING_KEY, problem));
    }
    Ok(scheme)
}

fn read_escaping(value: &Value) -> Result<EscapingScheme, ConfigError> {
    let name = value.text("\"allow-utf-8\"")?;
    let names = EscapingScheme::ALL.map(EscapingScheme::name).join(", ");
    EscapingScheme::parse(name)
        .ok_or_else(|| value.error(format_args!("{} is not an escaping scheme; write one of {names}", quoted(name))))
}
