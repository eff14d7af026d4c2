//! Configurations of jobs, in Prometheus's own words.

use crate::agents::Era;
use crate::cases::CASE_LABEL;
use crate::values::{once_in, pick};
use fastrand::Rng;
use serde_json::{Value, json};

/// A `scrape_configs` entry with one target, which is scraped whatever else it says.
pub fn job(rng: &mut Rng, number: usize, address: &str, era: Era) -> Value {
    let mut labels = json!({CASE_LABEL: number.to_string()});
    for (name, value) in [
        ("site", "north"),
        ("version", "1"),
        ("a", "target"),
        ("exported_job", "t"),
        ("instance", "named"),
        ("__meta_x", "Meta X"),
    ] {
        if once_in(rng, 5) {
            labels[name] = value.into();
        }
    }
    let mut job = json!({
        "job_name": format!("job-{number}"),
        "metrics_path": format!("/case/{number}"),
        "static_configs": [{"targets": [address], "labels": labels}],
    });
    let mut set = |rng: &mut Rng, many: u32, key: &str, value: Value| {
        if once_in(rng, many) {
            job[key] = value;
        }
    };
    set(rng, 3, "honor_labels", true.into());
    set(rng, 6, "params", json!({"module": ["a b", "é&="], "x": [""]}));
    let (label_limit, name_limit, value_limit) = (rng.u32(6..10), rng.u32(8..25), rng.u32(8..40));
    set(rng, 12, "label_limit", label_limit.into());
    set(rng, 12, "label_name_length_limit", name_limit.into());
    set(rng, 12, "label_value_length_limit", value_limit.into());
    let rules =
        |rng: &mut Rng, rule: fn(&mut Rng) -> Value| (0..1 + rng.usize(..3)).map(|_| rule(rng)).collect::<Vec<_>>();
    let sample_rule = match era {
        Era::Two => sample_rule_for_two,
        Era::Three => sample_rule,
    };
    let (of_target, of_samples) = (rules(rng, target_rule), rules(rng, sample_rule));
    set(rng, 4, "relabel_configs", of_target.into());
    set(rng, 3, "metric_relabel_configs", of_samples.into());
    let (sample_limit, body_limit) = (rng.u32(5..40), rng.u32(200..3000));
    set(rng, 12, "sample_limit", sample_limit.into());
    set(rng, 12, "body_size_limit", format!("{body_limit}B").into());
    set(rng, 6, "honor_timestamps", false.into());
    http_client(rng, &mut set, address, era);
    if era == Era::Three {
        set(rng, 6, "track_timestamps_staleness", true.into());
        set(rng, 6, "enable_compression", false.into());
        set(rng, 4, "extra_scrape_metrics", true.into());
        let fallback =
            pick(rng, &["PrometheusText0.0.4", "PrometheusText1.0.0", "OpenMetricsText1.0.0", "OpenMetricsText0.0.1"]);
        set(rng, 5, "fallback_scrape_protocol", fallback.into());
        let protocols = ["PrometheusText0.0.4", "OpenMetricsText1.0.0", "OpenMetricsText0.0.1", "PrometheusText1.0.0"];
        let first = rng.usize(..protocols.len());
        set(rng, 6, "scrape_protocols", protocols[first..].into());
        let scheme = pick(rng, &["allow-utf-8", "underscores", "dots", "values"]);
        let names_anything = scheme == "allow-utf-8";
        set(rng, 12, "metric_name_escaping_scheme", scheme.into());
        // Both refuse names that may hold anything to be asked for where they are invalid.
        set(
            rng,
            if names_anything { 1 } else { 6 },
            "metric_name_validation_scheme",
            if names_anything { "utf8" } else { "legacy" }.into(),
        );
    }
    job
}

/// What targets see of the client.
fn http_client(rng: &mut Rng, set: &mut impl FnMut(&mut Rng, u32, &str, Value), address: &str, era: Era) {
    match rng.u32(..12) {
        0 => set(rng, 1, "basic_auth", json!({"username": "ü", "password": "p:w d"})),
        1 => set(rng, 1, "basic_auth", json!({"username": "name only"})),
        2 => set(rng, 1, "authorization", json!({"credentials": "token"})),
        3 => set(rng, 1, "authorization", json!({"type": "Digest", "credentials": "a=b"})),
        _ => {}
    }
    set(rng, 12, "follow_redirects", false.into());
    // The targets' own server, which takes such requests too.
    set(rng, 12, "proxy_url", format!("http://{address}").into());
    if era == Era::Three {
        let headers = json!({"X-Tenant": {"values": ["north", "south"]}, "x-key": {"secrets": ["s"], "values": ["v"]}});
        set(rng, 12, "http_headers", headers);
    }
}

/// How the native histograms of a job's pages are taken.
pub fn native_histograms(rng: &mut Rng, job: &mut Value) {
    let mut set = |rng: &mut Rng, many: u32, key: &str, value: Value| {
        if once_in(rng, many) {
            job[key] = value;
        }
    };
    let are_scraped = !once_in(rng, 4);
    set(rng, 1, "scrape_native_histograms", are_scraped.into());
    set(rng, 3, "always_scrape_classic_histograms", true.into());
    let buckets = rng.u32(1..16);
    set(rng, 4, "native_histogram_bucket_limit", buckets.into());
    let factor = [1.005, 1.1, 1.5, 4.0, 300.0][rng.usize(..5)];
    set(rng, 4, "native_histogram_min_bucket_factor", factor.into());
    set(rng, 4, "fallback_scrape_protocol", "PrometheusProto".into());
    set(rng, 4, "scrape_protocols", json!(["PrometheusProto", "OpenMetricsText1.0.0"]));
}

const REGEXES: &[&str] = &[
    "",
    ".*",
    "(.*)",
    "(.+)",
    "a",
    "a|b",
    "(a)|(b)",
    "[a-z]+",
    "(?i)GET",
    "(.*)_(.*)",
    "([^_]*)_?(.*)",
    "(?P<first>.).*",
    "^a$",
    "a$|^b",
    "\\w+",
    "\\d*",
    "(?s).*",
    "(?:x|y)+",
    "[[:alpha:]]+_.*",
    "a{1,3}",
    "é.*",
    "(..)(.*)",
    "job-(\\d+)",
    ".*total.*",
    "[^a-m].*",
    "(?U)(.+)(.*)",
];

const REPLACEMENTS: &[&str] = &[
    "$1",
    "${1}",
    "$1$2",
    "${2}-$1",
    "x",
    "",
    "$0",
    "$3",
    "$first",
    "${first}!",
    "$$1",
    "$",
    "${",
    "$1x",
    "${1}x",
    "a b",
    "é$1",
    "$2_$1",
];

const SOURCES: &[&str] =
    &["__name__", "a", "b", "B", "mode", "cpu", "job", "instance", "le", "quantile", "site", "version", "missing"];

/// Labels that rules may set: not the case's own.
const TARGETS: &[&str] = &["a", "b", "new", "site", "mode", "__tmp", "job", "le", "version"];

fn sources(rng: &mut Rng) -> Vec<&'static str> {
    (0..1 + rng.usize(..2)).map(|_| SOURCES[rng.usize(..SOURCES.len())]).collect()
}

fn sample_rule(rng: &mut Rng) -> Value {
    let mut rule = match rng.u32(..16) {
        0..4 => json!({"source_labels": sources(rng), "target_label": pick(rng, TARGETS)}),
        4 => {
            json!({"action": "keep", "source_labels": ["__name__"], "regex": pick(rng, &["[a-m].*", ".*total.*", "(?:.*_)?.*[^t]", "[^_:].+"])})
        }
        5 | 6 => json!({"action": "drop", "source_labels": sources(rng)}),
        7 => {
            json!({"action": "labelmap", "regex": pick(rng, &["(mode|cpu)", "([aB])", "x_(.*)", "(.)_1"]), "replacement": pick(rng, &["mapped_$1", "a", "$1_2"])})
        }
        8 => {
            json!({"action": "labeldrop", "regex": pick(rng, &["a|b|B", "mode", "[m-s].*", "le", "exported_.*", "__.*x"])})
        }
        9 => json!({"action": "labelkeep", "regex": "__name__|zz_case|job|instance|[aBm].*"}),
        10 => {
            json!({"action": "hashmod", "source_labels": sources(rng), "target_label": pick(rng, TARGETS), "modulus": 1 + rng.u32(..1000)})
        }
        11 => {
            json!({"action": pick(rng, &["lowercase", "uppercase"]), "source_labels": sources(rng), "target_label": pick(rng, TARGETS)})
        }
        12 => {
            json!({"action": pick(rng, &["keepequal", "dropequal"]), "source_labels": sources(rng), "target_label": pick(rng, TARGETS)})
        }
        13 => json!({"source_labels": ["__name__"], "target_label": "__name__"}),
        14 => json!({"target_label": pick(rng, TARGETS), "replacement": pick(rng, &["set", "", "$1"])}),
        _ => {
            json!({"source_labels": ["mode"], "target_label": pick(rng, &["x_$1", "${1}_l", "$1"]), "regex": "([a-z]+)", "replacement": "v"})
        }
    };
    let is_plain = ["keepequal", "dropequal", "lowercase", "uppercase"].iter().any(|action| rule["action"] == *action);
    if rule["source_labels"].is_array() && !is_plain {
        vary(rng, &mut rule);
    }
    rule
}

/// Without what Prometheus 3 changed: names of any characters come of names, and `.` matches newlines.
fn sample_rule_for_two(rng: &mut Rng) -> Value {
    loop {
        let rule = sample_rule(rng);
        let makes_names = rule["target_label"].as_str().is_some_and(|label| label == "__name__" || label.contains('$'));
        // The group is called `1_2`, so the label has no name.
        let makes_no_name = rule["action"] == "labelmap" && rule["replacement"] == "$1_2";
        if !makes_names && !makes_no_name && rule["separator"] != "\n" {
            return rule;
        }
    }
}

/// Fills in what is still left to its default.
fn vary(rng: &mut Rng, rule: &mut Value) {
    if rule["regex"].is_null() && !once_in(rng, 4) {
        rule["regex"] = pick(rng, REGEXES).into();
    }
    if rule["action"].is_null() && !once_in(rng, 3) {
        rule["replacement"] = pick(rng, REPLACEMENTS).into();
    }
    if once_in(rng, 4) {
        rule["separator"] = pick(rng, &["", "-", ";;", "\n"]).into();
    }
}

/// Rules that leave the target's address, path and case alone.
fn target_rule(rng: &mut Rng) -> Value {
    match rng.u32(..9) {
        0 => {
            json!({"source_labels": ["__address__"], "target_label": "instance", "regex": "(.*):.*", "replacement": "$1:port"})
        }
        1 => json!({"source_labels": ["__meta_x", "job"], "target_label": pick(rng, TARGETS), "separator": "/"}),
        2 => json!({"action": "labelmap", "regex": "__meta_(.+)", "replacement": pick(rng, &["m_$1", "$1"])}),
        3 => {
            json!({"action": "hashmod", "source_labels": ["__address__", "job"], "target_label": "shard", "modulus": 7})
        }
        4 => json!({"action": "drop", "source_labels": ["job"], "regex": "nothing"}),
        5 => json!({"action": "labeldrop", "regex": "site|version"}),
        6 => json!({"target_label": "__param_from", "replacement": "rule $1"}),
        7 => json!({"action": "lowercase", "source_labels": ["__meta_x"], "target_label": "low"}),
        _ => {
            json!({"source_labels": ["__metrics_path__", "__scheme__", "__scrape_interval__", "__scrape_timeout__"], "target_label": "all"})
        }
    }
}
