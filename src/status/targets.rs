//! `/api/v1/targets`, in the form that Prometheus's HTTP API gives it.
//!
//! `state` (`active`, `dropped` or `any`) and `scrapePool` choose, as there. `globalUrl` repeats `scrapeUrl`: a device is told
//! no other name of itself.

use crate::model::Target;
use serde::Serialize;
use std::cell::{Ref, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

/// Labels as discovered, `__address__` and `__meta_*` among them.
pub type LabelPairs = Rc<[(Box<str>, Box<str>)]>;

/// What is known of one scrape configuration's targets.
#[derive(Default)]
pub struct PoolTargets {
    pub job_name: String,
    pub active: Vec<ActiveTarget>,
    /// The first of those that relabelling dropped.
    pub dropped: Vec<LabelPairs>,
    /// All that it dropped.
    pub dropped_count: usize,
}

pub struct ActiveTarget {
    pub target: Rc<Target>,
    pub discovered: LabelPairs,
    /// None before the first scrape has ended.
    pub last: Rc<RefCell<Option<LastScrape>>>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct LastScrape {
    pub at: SystemTime,
    pub duration: Duration,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// Samples of all scrapes so far that were dropped because they are of new series and `limits.max_series` allows no more.
    pub samples_past_max_series: u64,
}

#[derive(Serialize)]
struct Envelope<T> {
    status: &'static str,
    data: T,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'p> {
    active_targets: Vec<Active<'p>>,
    dropped_targets: Vec<Dropped<'p>>,
    dropped_target_counts: Option<BTreeMap<&'p str, usize>>,
}

type Labels<'p> = BTreeMap<&'p str, &'p str>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Active<'p> {
    discovered_labels: Labels<'p>,
    labels: Labels<'p>,
    scrape_pool: &'p str,
    scrape_url: String,
    global_url: String,
    last_error: String,
    last_scrape: String,
    /// In seconds.
    last_scrape_duration: f64,
    health: &'static str,
    scrape_interval: String,
    scrape_timeout: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dropped<'p> {
    discovered_labels: Labels<'p>,
    scrape_pool: &'p str,
}

/// The answer to this query. As in Prometheus, an unknown state matches nothing.
pub(super) fn render(query: &str, pools: &[RefCell<PoolTargets>]) -> String {
    let state = parameter(query, "state").to_ascii_lowercase();
    let wanted = parameter(query, "scrapePool");
    let is = |states: &[&str]| states.contains(&state.as_str());
    let mut sorted: Vec<Ref<PoolTargets>> = pools.iter().map(|pool| pool.borrow()).collect();
    sorted.sort_by(|a, b| a.job_name.cmp(&b.job_name));

    let mut shown = Shown::default();
    let chosen = || sorted.iter().filter(|pool| wanted.is_empty() || pool.job_name == wanted);
    if is(&["", "any", "active"]) {
        shown.active_targets = chosen().flat_map(|pool| pool.active.iter().map(|active| active.show(pool))).collect();
    }
    if is(&["", "any", "dropped"]) {
        shown.dropped_target_counts =
            Some(sorted.iter().map(|pool| (pool.job_name.as_str(), pool.dropped_count)).collect());
        shown.dropped_targets = chosen()
            .flat_map(|pool| {
                let show = |labels| Dropped { discovered_labels: pairs(labels), scrape_pool: &pool.job_name };
                pool.dropped.iter().map(show)
            })
            .collect();
    }
    let envelope = Envelope { status: "success", data: shown };
    // Maps with text keys, texts and finite numbers: all of it is JSON.
    serde_json::to_string(&envelope).expect("targets are always JSON")
}

impl ActiveTarget {
    fn show<'p>(&'p self, pool: &'p PoolTargets) -> Active<'p> {
        let ActiveTarget { target, discovered, last } = self;
        let last = last.borrow();
        let (scrape_interval, scrape_timeout) = target.shown_durations();
        let (last_scrape, health) = match &*last {
            None => ("0001-01-01T00:00:00Z".into(), "unknown"),
            Some(LastScrape { at, error, .. }) => {
                let at = humantime::format_rfc3339_millis(*at).to_string();
                (at, if error.is_none() { "up" } else { "down" })
            }
        };
        Active {
            discovered_labels: pairs(discovered),
            labels: target.labels.iter().collect(),
            scrape_pool: &pool.job_name,
            scrape_url: target.escaped_url(),
            global_url: target.escaped_url(),
            last_error: last.as_ref().and_then(|last| last.error.clone()).unwrap_or_default(),
            last_scrape,
            last_scrape_duration: last.as_ref().map_or(0.0, |last| last.duration.as_secs_f64()),
            health,
            scrape_interval,
            scrape_timeout,
        }
    }
}

fn pairs(labels: &LabelPairs) -> Labels<'_> {
    labels.iter().map(|(name, value)| (&**name, &**value)).collect()
}

/// The first value of a query's parameter, empty if there is none.
fn parameter(query: &str, name: &str) -> String {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| percent_decoded(value)).unwrap_or_default()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped =
            (*first == b'%').then(|| tail.get(..2)).flatten().and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        rest = if decoded.is_some() { &tail[2..] } else { tail };
        bytes.push(decoded.unwrap_or(if *first == b'+' { b' ' } else { *first }));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabelsBuilder, Params, Scheme};
    use std::time::UNIX_EPOCH;

    fn discovered(pairs: &[(&str, &str)]) -> LabelPairs {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn pool(job_name: &str, last: Option<LastScrape>) -> RefCell<PoolTargets> {
        let target = Target {
            scheme: Scheme::Http,
            address: "127.0.0.1:9100".into(),
            metrics_path: "/metrics".into(),
            params: Params::new(),
            labels: [("instance", "127.0.0.1:9100"), ("job", job_name)]
                .into_iter()
                .collect::<LabelsBuilder>()
                .build()
                .unwrap(),
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            socket: None,
            durations_as_written: None,
        };
        let labels = discovered(&[("__address__", "127.0.0.1:9100"), ("__meta_x", "say \"x\"")]);
        let active = ActiveTarget { target: Rc::new(target), discovered: labels, last: Rc::new(RefCell::new(last)) };
        let dropped = vec![discovered(&[("__address__", "h:1")])];
        RefCell::new(PoolTargets { job_name: job_name.into(), active: vec![active], dropped, dropped_count: 3 })
    }

    #[test]
    fn targets_are_shown_as_prometheus_shows_them() {
        let failed = LastScrape {
            at: UNIX_EPOCH + Duration::from_millis(1_763_720_000_250),
            duration: Duration::from_millis(1500),
            error: Some("no route".into()),
            samples_past_max_series: 0,
        };
        let expected = r#"{"status":"success","data":{"activeTargets":[{"discoveredLabels":{"__address__":"127.0.0.1:9100","__meta_x":"say \"x\""},"labels":{"instance":"127.0.0.1:9100","job":"node"},"scrapePool":"node","scrapeUrl":"http://127.0.0.1:9100/metrics","globalUrl":"http://127.0.0.1:9100/metrics","lastError":"no route","lastScrape":"2025-11-21T10:13:20.250Z","lastScrapeDuration":1.5,"health":"down","scrapeInterval":"15s","scrapeTimeout":"10s"}],"droppedTargets":[{"discoveredLabels":{"__address__":"h:1"},"scrapePool":"node"}],"droppedTargetCounts":{"node":3}}}"#;
        assert_eq!(render("", &[pool("node", Some(failed))]), expected);
    }

    #[test]
    fn a_query_chooses() {
        let well = LastScrape { at: UNIX_EPOCH, duration: Duration::ZERO, error: None, samples_past_max_series: 0 };
        let pools = [pool("b c", None), pool("a", Some(well))];
        let counts = |query: &str| {
            let shown = render(query, &pools);
            let count = |what| shown.matches(what).count();
            (
                count("\"health\":\"up\""),
                count("\"health\":\"unknown\""),
                count("{\"discoveredLabels\":{\"__address__\":\"h:1\"}"),
            )
        };
        assert_eq!(counts(""), (1, 1, 2));
        assert_eq!(counts("state=any"), (1, 1, 2));
        assert_eq!(counts("state=ACTIVE"), (1, 1, 0));
        assert_eq!(counts("state=dropped"), (0, 0, 2));
        assert_eq!(counts("state=neither"), (0, 0, 0));
        assert_eq!(counts("state=active&scrapePool=a"), (1, 0, 0));
        assert_eq!(counts("scrapePool=b+c&state=active"), (0, 1, 0));
        assert_eq!(counts("scrapePool=b%20c"), (0, 1, 1));
        assert_eq!(counts("scrapePool=%zz%"), (0, 0, 0));
    }
}
