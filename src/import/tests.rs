//! What becomes of configurations of Prometheus.

use super::*;
use proptest::prelude::*;

fn imported(yaml: &str) -> Imported {
    import(yaml.as_bytes(), Path::new("/etc/prometheus")).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

/// Lines and keys of what is left out.
fn left_out(yaml: &str) -> Vec<(usize, String)> {
    imported(yaml).left_out.into_iter().map(|item| (item.line, item.key)).collect()
}

/// Keys and values that mean the same in both.
const SAME_IN_YAML: &str = r#"
global:
  scrape_interval: 15s
  external_labels: {site: north, rack: 7, device: "${DEVICE}"}
scrape_configs:
  - job_name: node
    scrape_timeout: 5s
    scheme: https
    tls_config: {ca_file: ca.pem, insecure_skip_verify: no}
    basic_auth:
      username: 1234
      password_file: /run/password
    static_configs:
      - targets: ["a:1", b:2]
        labels: {on: yes}
      - targets: [c]
remote_write:
  - url: http://receiver/write
    headers: {X-Scope-OrgID: 7}
    queue_config: {max_samples_per_send: 500, max_backoff: 1m, capacity: 2500, retry_on_http_429: on, sample_age_limit: 2h}
"#;

const SAME_IN_TOML: &str = r#"[global]
scrape_interval = "15s"

[global.external_labels]
site = "north"
rack = "7"
device = "${DEVICE}"

[[scrape_configs]]
job_name = "node"
scrape_timeout = "5s"
scheme = "https"

[scrape_configs.tls_config]
ca_file = "/etc/prometheus/ca.pem"
insecure_skip_verify = false

[scrape_configs.basic_auth]
username = "1234"
password_file = "/run/password"

[[scrape_configs.static_configs]]
targets = [
    "a:1",
    "b:2",
]

[scrape_configs.static_configs.labels]
on = "yes"

[[scrape_configs.static_configs]]
targets = ["c"]

[[remote_write]]
url = "http://receiver/write"

[remote_write.headers]
X-Scope-OrgID = "7"

[remote_write.queue_config]
max_samples_per_send = 500
max_backoff = "1m"
capacity = 2500
retry_on_http_429 = true
sample_age_limit = "2h"

[remote_write.metadata_config]
send = true

[buffer]
path = "/var/lib/narthex/ring"
"#;

#[test]
fn what_prometheus_calls_the_same_is_carried_over_as_it_is() {
    let Imported { toml, left_out } = imported(SAME_IN_YAML);
    assert_eq!(left_out, []);
    assert_eq!(toml, SAME_IN_TOML);
}

#[test]
fn what_has_another_name_is_renamed() {
    let yaml = "scrape_configs:\n- job_name: a\n  authorization:\n  bearer_token_file: token\n  params:\nremote_write:\n- url: http://a\n- url: http://a\n";
    let Imported { toml, left_out } = imported(yaml);
    assert_eq!(left_out, []);
    assert!(toml.contains("[scrape_configs.authorization]\ncredentials_file = \"/etc/prometheus/token\"\n"), "{toml}");
    assert!(toml.contains("[[remote_write]]\nurl = \"http://a\"\nname = \"remote-write-2\"\n"), "{toml}");
}

/// Prometheus's default is to send it, Narthex's is not to.
#[test]
fn metadata_is_sent_where_prometheus_would() {
    for (yaml, toml) in [
        ("", "[remote_write.metadata_config]\nsend = true\n"),
        ("  metadata_config:\n", "[remote_write.metadata_config]\nsend = true\n"),
        (
            "  metadata_config: {send_interval: 5m}\n",
            "[remote_write.metadata_config]\nsend_interval = \"5m\"\nsend = true\n",
        ),
        ("  metadata_config: {send: false}\n", "[remote_write.metadata_config]\nsend = false\n"),
    ] {
        let imported = imported(&format!("remote_write:\n- url: http://a\n{yaml}"));
        assert_eq!(imported.left_out, []);
        assert!(imported.toml.contains(toml), "{}", imported.toml);
    }
}

#[test]
fn what_can_not_be_carried_over_is_named_with_its_line_and_the_rest_is_carried() {
    let yaml = r#"global:
  evaluation_interval: 1m
rule_files: [rules.yml]
scrape_configs:
  - job_name: a
    scrape_interval: 1x
    consul_sd_configs:
      - server: localhost:8500
    static_configs:
      - targets:
          - a:1
          - http://b:2/metrics
  - scheme: http
alerting: {alertmanagers: []}
"#;
    let imported = imported(yaml);
    let told: Vec<_> = imported.left_out.iter().map(|item| (item.line, item.key.as_str(), item.is_harmless)).collect();
    let expected = [
        (2, "global.evaluation_interval", true),
        (3, "rule_files", false),
        (6, "scrape_configs.scrape_interval", false),
        (7, "scrape_configs.consul_sd_configs", false),
        (12, "scrape_configs.static_configs.targets", false),
        (13, "scrape_configs.job_name", false),
        (14, "alerting", false),
    ];
    assert_eq!(told, expected);
    let expected =
        "[global]\n\n[[scrape_configs]]\njob_name = \"a\"\n\n[[scrape_configs.static_configs]]\ntargets = [\"a:1\"]\n";
    assert_eq!(imported.toml, expected);
}

#[test]
fn no_secret_is_told_of() {
    let yaml = "scrape_configs:\n- job_name: a\n  basic_auth: {username: u, password: hunter2, password_ref: hunter2}\n  proxy_url: socks5://u:hunter2@p\n  authorization: hunter2\n";
    for item in imported(yaml).left_out {
        assert!(!item.reason.contains("hunter2") && !item.key.contains("hunter2"), "{item:?}");
    }
    assert_eq!(left_out(yaml).len(), 3, "{:?}", left_out(yaml));
}

#[test]
fn what_is_no_configuration_is_refused() {
    assert_eq!(import(b"\xff", Path::new("/")).unwrap_err(), ImportError::NotUtf8);
    let large = vec![b'#'; CONFIG_BYTES_MAX as usize + 1];
    assert_eq!(import(&large, Path::new("/")).unwrap_err(), ImportError::TooLarge);
    assert!(matches!(import(b"- a", Path::new("/")), Err(ImportError::Yaml(_))));
    let keys: String = (0..=IMPORT_LEFT_OUT_MAX).map(|i| format!("k{i}: 1\n")).collect();
    assert_eq!(import(keys.as_bytes(), Path::new("/")).unwrap_err(), ImportError::TooMuchLeftOut);
    assert_eq!(imported("").toml, "");
}

/// Lines in which most words mean something to Prometheus.
fn likely_yaml() -> impl Strategy<Value = String> {
    let words = "global scrape_configs remote_write static_configs targets labels job_name url basic_auth tls_config \
                 relabel_configs regex headers http_headers values params - : { } [ ] , ' \" & * << | > ~ 15s 1 yes a:1 http://a";
    let words: Vec<&str> = words.split_whitespace().collect();
    let line = (0..4usize, prop::collection::vec(prop::sample::select(words), 0..6));
    prop::collection::vec(line.prop_map(|(depth, words)| format!("{}{}", "  ".repeat(depth), words.join(" "))), 0..12)
        .prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn whatever_comes_out_loads(text in prop_oneof![any::<String>(), likely_yaml()]) {
        match import(text.as_bytes(), Path::new("/etc")) {
            Ok(imported) => {
                let loaded = config::parse_in(&imported.toml, Path::new("n.toml"), &|_| Some("set".into()));
                prop_assert!(loaded.is_ok(), "{:?}", imported.toml);
            }
            Err(error) => prop_assert!(!error.to_string().contains(['\n', '\r']), "{}", error),
        }
    }
}
