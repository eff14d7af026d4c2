//! What was discovered becomes a target, or is dropped: Prometheus's `PopulateLabels`.
//!
//! ```text
//!  discovered   __address__  __meta_*  group labels
//!  + defaults   job  __scheme__  __metrics_path__  __scrape_interval__  __scrape_timeout__  __param_*
//!  ─► rules ─► checks ─► Target: labels without __*, instance if none; address, path, params, interval, timeout from __*
//! ```

use super::{Rules, Verdict};
use crate::model::{
    LabelsBuilder, LabelsError, Params, SOCKET_HOST, SOCKET_PREFIX, Scheme, Target, format_duration, parse_duration,
};
use std::fmt;
use std::time::Duration;

const ADDRESS: &str = "__address__";
const SCHEME: &str = "__scheme__";
const METRICS_PATH: &str = "__metrics_path__";
const SCRAPE_INTERVAL: &str = "__scrape_interval__";
const SCRAPE_TIMEOUT: &str = "__scrape_timeout__";
/// The path of a socket to connect to instead of the address.
const UNIX_SOCKET: &str = "__unix_socket__";

const PARAM_PREFIX: &str = "__param_";

const CONVERT_CLASSIC: &str = "__convert_classic_histograms_to_nhcb__";
const CLASSIC_TOO: &str = "__always_scrape_classic_histograms__";
const NATIVE: &str = "__scrape_native_histograms__";

/// What a job gives each of its targets that does not bring its own.
#[derive(Clone, Copy, Debug)]
pub struct TargetDefaults<'j> {
    pub job_name: &'j str,
    pub scheme: Scheme,
    pub metrics_path: &'j str,
    pub params: &'j Params,
    pub interval: Duration,
    pub timeout: Duration,
    /// `scrape_native_histograms`
    pub native_histograms: bool,
    /// `always_scrape_classic_histograms`
    pub classic_histograms_too: bool,
    /// `relabel_configs`.
    pub rules: &'j Rules,
}

/// What became of something that was discovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Populated {
    Target(Target),
    /// The rules dropped it: to be counted, not to be scraped.
    Dropped,
}

/// Why there is no target, though no rule dropped it. Texts are as the rules left them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PopulateError {
    NoAddress,
    AddressInvalid(String),
    /// `__unix_socket__`
    SocketNotAbsolute(String),
    SchemeUnknown(String),
    /// `__scrape_interval__` or `__scrape_timeout__` is not a duration, or zero.
    DurationInvalid {
        label: &'static str,
        value: String,
    },
    TimeoutTooLong {
        timeout: String,
        interval: String,
    },
    /// Prometheus lets rules switch native histograms for one target; here they are the job's.
    HistogramSwitch(&'static str),
    Labels(LabelsError),
}

impl fmt::Display for PopulateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PopulateError::NoAddress => write!(f, "no address; let relabel_configs leave one in {ADDRESS}"),
            PopulateError::AddressInvalid(address) => {
                write!(
                    f,
                    "{address:?} is not a valid hostname; write host or host:port, and the path in {METRICS_PATH}"
                )
            }
            PopulateError::SocketNotAbsolute(path) => {
                write!(f, "{path:?} in {UNIX_SOCKET} is not an absolute path; write one such as \"/run/exporter.sock\"")
            }
            PopulateError::SchemeUnknown(scheme) => {
                write!(f, "{scheme:?} in {SCHEME} is not a scheme; write \"http\" or \"https\"")
            }
            PopulateError::DurationInvalid { label, value } => {
                write!(f, "{value:?} in {label} is not a duration that can be; write one such as \"15s\"")
            }
            PopulateError::TimeoutTooLong { timeout, interval } => {
                write!(f, "scrape timeout cannot be greater than scrape interval ({timeout:?} > {interval:?}); ")?;
                write!(f, "let {SCRAPE_TIMEOUT} be shorter or {SCRAPE_INTERVAL} longer")
            }
            PopulateError::HistogramSwitch(label) => {
                write!(f, "{label} can't differ from the job's setting; let relabel_configs leave it as it is")
            }
            PopulateError::Labels(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PopulateError {}

impl From<LabelsError> for PopulateError {
    fn from(error: LabelsError) -> Self {
        PopulateError::Labels(error)
    }
}

/// Makes a target of what discovery knows of it: `__address__`, `__meta_*`, and the labels of its group where it has none of
/// its own by that name.
pub fn populate(mut discovered: LabelsBuilder, defaults: &TargetDefaults<'_>) -> Result<Populated, PopulateError> {
    let labels = &mut discovered;
    discovered_labels(labels, defaults);
    if defaults.rules.apply(labels)? == Verdict::Drop {
        return Ok(Populated::Dropped);
    }
    let text = |name| labels.get(name).unwrap_or_default().to_owned();
    let address = check_address(text(ADDRESS))?;
    let written = (text(SCRAPE_INTERVAL), text(SCRAPE_TIMEOUT));
    let (interval, timeout) = timing(&written.0, &written.1)?;
    let is_usual = (format_duration(interval), format_duration(timeout)) == written;
    let durations_as_written = (!is_usual).then(|| Box::new(written));
    for (label, setting) in histogram_switches(defaults) {
        let value = text(label);
        if !value.is_empty() && parse_bool(&value) != Some(setting) {
            return Err(PopulateError::HistogramSwitch(label));
        }
    }
    let scheme = text(SCHEME);
    let scheme = Scheme::parse(&scheme).ok_or(PopulateError::SchemeUnknown(scheme))?;
    let socket = text(UNIX_SOCKET);
    let (metrics_path, params) = (text(METRICS_PATH), params_of(labels, defaults.params));
    labels.retain(|name| !name.starts_with("__"));
    if labels.get("instance").is_none() {
        labels.set("instance", &address);
    }
    let labels = labels.build()?;
    let (address, socket) = match address.strip_prefix(SOCKET_PREFIX) {
        Some(path) => (SOCKET_HOST.into(), if socket.is_empty() { path.into() } else { socket }),
        None => (address, socket),
    };
    let socket = if socket.is_empty() { None } else { Some(check_socket(socket)?) };
    Ok(Populated::Target(Target {
        scheme,
        address,
        socket,
        metrics_path,
        params,
        labels,
        interval,
        timeout,
        durations_as_written,
    }))
}

/// Adds what the job gives where a target does not bring its own: what rules see first.
pub fn discovered_labels(labels: &mut LabelsBuilder, defaults: &TargetDefaults<'_>) {
    let mut set = |name: &str, value: &str| {
        if labels.get(name).is_none() {
            labels.set(name, value);
        }
    };
    set("job", defaults.job_name);
    set(SCRAPE_INTERVAL, &format_duration(defaults.interval));
    set(SCRAPE_TIMEOUT, &format_duration(defaults.timeout));
    set(METRICS_PATH, defaults.metrics_path);
    set(SCHEME, defaults.scheme.name());
    for (label, setting) in histogram_switches(defaults) {
        set(label, if setting { "true" } else { "false" });
    }
    for (name, values) in defaults.params {
        if let Some(first) = values.first() {
            set(&format!("{PARAM_PREFIX}{name}"), first);
        }
    }
}

/// Addresses that can't be reached fail when they are scraped, as in Prometheus. A socket's path is the one with slashes.
fn check_address(address: String) -> Result<String, PopulateError> {
    match () {
        _ if address.is_empty() => Err(PopulateError::NoAddress),
        _ if address.contains('/') && !address.starts_with("unix:///") => Err(PopulateError::AddressInvalid(address)),
        _ => Ok(address),
    }
}

/// The path of a socket is absolute: where a relative one leads depends on the folder that the agent was started in.
fn check_socket(path: String) -> Result<Box<str>, PopulateError> {
    if path.starts_with('/') { Ok(path.into()) } else { Err(PopulateError::SocketNotAbsolute(path)) }
}

fn timing(interval: &str, timeout: &str) -> Result<(Duration, Duration), PopulateError> {
    let parse = |label, text: &str| match parse_duration(text) {
        // Prometheus counts nanoseconds in 63 bits.
        Ok(duration) if !duration.is_zero() && duration.as_nanos() <= i64::MAX as u128 => Ok(duration),
        _ => Err(PopulateError::DurationInvalid { label, value: text.into() }),
    };
    let times = (parse(SCRAPE_INTERVAL, interval)?, parse(SCRAPE_TIMEOUT, timeout)?);
    match times.1 > times.0 {
        true => Err(PopulateError::TimeoutTooLong { timeout: timeout.into(), interval: interval.into() }),
        false => Ok(times),
    }
}

fn histogram_switches(defaults: &TargetDefaults<'_>) -> [(&'static str, bool); 3] {
    [(CONVERT_CLASSIC, false), (CLASSIC_TOO, defaults.classic_histograms_too), (NATIVE, defaults.native_histograms)]
}

/// Go's `strconv.ParseBool`.
fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The job's parameters; the first value of each is the label's, if that is left.
fn params_of(labels: &LabelsBuilder, configured: &Params) -> Params {
    let mut params = configured.clone();
    for (name, value) in labels.iter() {
        let Some(name) = name.strip_prefix(PARAM_PREFIX) else { continue };
        let values = params.entry(name.into()).or_default();
        match values.first_mut() {
            Some(first) => value.clone_into(first),
            None => values.push(value.into()),
        }
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NameScheme;
    use crate::relabel::{Rule, RuleOptions};

    fn replace(source: &str, target: &str, replacement: &str) -> RuleOptions {
        RuleOptions {
            source_labels: Some(vec![source.into()]),
            target_label: target.into(),
            replacement: replacement.into(),
            ..RuleOptions::default()
        }
    }

    fn outcome(discovered: &[(&str, &str)], rules: Vec<RuleOptions>) -> Result<Populated, PopulateError> {
        let params = Params::from([("module".into(), vec!["http".into(), "second".into()]), ("none".into(), vec![])]);
        let rules: Rules = rules.into_iter().map(|options| Rule::new(options, NameScheme::Utf8).unwrap()).collect();
        let defaults = TargetDefaults {
            job_name: "probe",
            scheme: Scheme::Http,
            metrics_path: "/probe",
            params: &params,
            interval: Duration::from_secs(93_600),
            timeout: Duration::from_secs(10),
            native_histograms: false,
            classic_histograms_too: true,
            rules: &rules,
        };
        populate(discovered.iter().copied().collect(), &defaults)
    }

    fn target(discovered: &[(&str, &str)], rules: Vec<RuleOptions>) -> Target {
        match outcome(discovered, rules) {
            Ok(Populated::Target(target)) => target,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_target_gets_what_its_job_gives() {
        let target = target(&[("__address__", "h:1"), ("__meta_x", "1"), ("site", "north"), ("empty", "")], vec![]);
        assert_eq!(target.url(), "http://h:1/probe?module=http&module=second");
        assert_eq!(target.labels.to_string(), r#"{instance="h:1", job="probe", site="north"}"#);
        assert_eq!((target.interval.as_secs(), target.timeout.as_secs()), (93_600, 10));
    }

    #[test]
    fn labels_and_rules_decide_where_and_how_often() {
        let discovered = [
            ("__address__", "http://site.example/a b"),
            ("__param_module", "tcp"),
            ("__scrape_interval__", "1m30s"),
            ("__scheme__", "https"),
            ("job", "own"),
        ];
        let rules = vec![
            replace("__address__", "__param_target", "$1"),
            replace("__param_target", "instance", "$1"),
            replace("missing", "__address__", "prober:9115"),
            replace("__scrape_interval__", "every", "$1"),
            replace("__scrape_timeout__", "__scrape_timeout__", "1m$1"),
            replace("__tmp", "__tmp", "x"),
            replace("__tmp", "tmp", "$1"),
            replace("missing", "__metrics_path__", ""),
        ];
        let target = target(&discovered, rules);
        let labels = r#"{every="1m30s", instance="http://site.example/a b", job="own", tmp="x"}"#;
        assert_eq!(target.labels.to_string(), labels);
        let url = "https://prober:9115?module=tcp&module=second&target=http%3A%2F%2Fsite.example%2Fa+b";
        assert_eq!(target.url(), url);
        assert_eq!((target.interval.as_secs(), target.timeout.as_secs()), (90, 70));
    }

    /// `Host` header and TLS server name were `localhost` whatever the address said, so that a virtual host was not found.
    #[test]
    fn a_socket_is_connected_to_and_the_address_is_asked_for() {
        let of = |discovered: &[(&str, &str)]| {
            let target = target(discovered, vec![]);
            let instance = target.labels.get("instance").unwrap_or_default().to_owned();
            (target.url(), target.socket.unwrap_or_default().into_string(), instance)
        };
        let texts = |url: &str, socket: &str, instance: &str| (url.into(), socket.into(), instance.into());
        let params = "?module=http&module=second";
        assert_eq!(
            of(&[("__address__", "vhost.example:8080"), ("__unix_socket__", "/run/x.sock")]),
            texts(&format!("http://vhost.example:8080/probe{params}"), "/run/x.sock", "vhost.example:8080")
        );
        assert_eq!(
            of(&[("__address__", "unix:///run/x.sock")]),
            texts(&format!("http://localhost/probe{params}"), "/run/x.sock", "unix:///run/x.sock")
        );
    }

    #[test]
    fn durations_are_kept_as_the_labels_have_them() {
        let written = |interval: &str| {
            let target = target(&[("__address__", "h"), ("__scrape_interval__", interval)], vec![]);
            target.durations_as_written.map(|texts| *texts)
        };
        assert_eq!(written("1m30s"), None);
        assert_eq!(written("90s"), Some(("90s".into(), "10s".into())));
    }

    #[test]
    fn dropped_targets_are_told_from_broken_ones() {
        let drop = RuleOptions {
            action: super::super::Action::Drop,
            source_labels: Some(vec!["__scrape_interval__".into(), "__scrape_timeout__".into()]),
            regex: Some("1d2h;10s".into()),
            ..RuleOptions::default()
        };
        assert_eq!(outcome(&[("__address__", "h:1")], vec![drop]), Ok(Populated::Dropped));
        for (discovered, error) in [
            (&[][..], "no address"),
            (&[("__address__", "h:1/x")], "\"h:1/x\" is not a valid hostname"),
            (
                &[("__address__", "h"), ("__unix_socket__", "x.sock")],
                "\"x.sock\" in __unix_socket__ is not an absolute path",
            ),
            (&[("__address__", "h"), ("__scheme__", "ftp")], "\"ftp\" in __scheme__"),
            (&[("__address__", "h"), ("__scrape_interval__", "0")], "\"0\" in __scrape_interval__"),
            (&[("__address__", "h"), ("__scrape_timeout__", "1x")], "\"1x\" in __scrape_timeout__"),
            (&[("__address__", "h"), ("__scrape_interval__", "300y")], "\"300y\" in __scrape_interval__"),
            (&[("__address__", "h"), ("__scrape_interval__", "9s")], "scrape timeout cannot be greater"),
            (&[("__address__", "h"), ("__scrape_native_histograms__", "true")], "__scrape_native_histograms__ can"),
            (
                &[("__address__", "h"), ("__always_scrape_classic_histograms__", "no")],
                "__always_scrape_classic_histograms__ can",
            ),
        ] {
            let found = outcome(discovered, vec![]).unwrap_err().to_string();
            assert!(found.starts_with(error), "{found}");
        }
        assert!(outcome(&[("__address__", "h"), ("__always_scrape_classic_histograms__", "T")], vec![]).is_ok());
    }
}
