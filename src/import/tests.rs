//! What becomes of configurations of Prometheus.

use super::*;
use proptest::prelude::*;

const FILE: &str = "/etc/prometheus/prometheus.yml";

fn no_files(_: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, String> {
    Ok(Vec::new())
}

fn imported(yaml: &str) -> Imported {
    import(yaml.as_bytes(), FILE.as_ref(), &no_files).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
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
    let Imported { toml, left_out, .. } = imported(SAME_IN_YAML);
    assert_eq!(left_out, []);
    assert_eq!(toml, SAME_IN_TOML);
}

#[test]
fn what_has_another_name_is_renamed() {
    let yaml = "scrape_configs:\n- job_name: a\n  authorization:\n  bearer_token_file: token\n  params:\nremote_write:\n- url: http://a\n- url: http://a\n";
    let Imported { toml, left_out, .. } = imported(yaml);
    assert_eq!(left_out, []);
    assert!(toml.contains("[scrape_configs.authorization]\ncredentials_file = \"/etc/prometheus/token\"\n"), "{toml}");
    assert!(toml.contains("[[remote_write]]\nurl = \"http://a\"\nname = \"remote-write-2\"\n"), "{toml}");
}

/// Prometheus's default is to send it, Narthex's is not to.
#[test]
fn metadata_is_sent_where_prometheus_would() {
    for (yaml, toml) in [
        ("", "[remote_write.metadata_config]\nsend = true\n"),
        // The zero value of its type.
        ("  metadata_config:\n", "[remote_write.metadata_config]\nsend = false\n"),
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
        (3, "rule_files, alerting", true),
        (6, "scrape_configs.scrape_interval", false),
        (7, "scrape_configs.consul_sd_configs", false),
        (12, "scrape_configs.static_configs.targets", false),
        (13, "scrape_configs.job_name", false),
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
    assert_eq!(import(b"\xff", FILE.as_ref(), &no_files).unwrap_err(), ImportError::NotUtf8);
    let large = vec![b'#'; CONFIG_BYTES_MAX as usize + 1];
    assert_eq!(import(&large, FILE.as_ref(), &no_files).unwrap_err(), ImportError::TooLarge);
    assert!(matches!(import(b"- a", FILE.as_ref(), &no_files), Err(ImportError::Yaml(_))));
    let keys: String = (0..=IMPORT_LEFT_OUT_MAX).map(|i| format!("k{i}: 1\n")).collect();
    assert_eq!(import(keys.as_bytes(), FILE.as_ref(), &no_files).unwrap_err(), ImportError::TooMuchLeftOut);
    assert_eq!(imported("").toml, "");
}

/// A key without a value has the zero value of its type in Prometheus, whatever is the default.
#[test]
fn a_key_without_a_value_means_what_it_means_in_prometheus() {
    for (yaml, toml) in [
        ("honor_timestamps:", "honor_timestamps = false\n"),
        ("enable_compression: ~", "enable_compression = false\n"),
        ("follow_redirects: null", "follow_redirects = false\n"),
        ("metrics_path:", "metrics_path = \"/\"\n"),
        ("static_configs: [{targets: }]", "targets = []\n"),
        ("metric_relabel_configs: [{action: keep, source_labels: [a], regex: }]", "regex = \"\"\n"),
        ("metric_relabel_configs: [{source_labels: [a], target_label: b, separator: }]", "separator = \"\"\n"),
        ("metric_relabel_configs: [{source_labels: [a], target_label: b, replacement: }]", "replacement = \"\"\n"),
    ] {
        let imported = imported(&format!("scrape_configs:\n- job_name: a\n  {yaml}\n"));
        assert_eq!(imported.left_out, [], "{yaml}");
        assert!(imported.toml.contains(toml), "{yaml}\n{}", imported.toml);
    }
    for (yaml, key) in [
        ("scheme:", "scrape_configs.scheme"),
        ("dns_sd_configs: [{names: [a], type: , port: 1}]", "scrape_configs.dns_sd_configs.type"),
        ("scrap_interval:", "scrape_configs.scrap_interval"),
        ("metric_relabel_configs: [{action: }]", "scrape_configs.metric_relabel_configs.action"),
    ] {
        let found = left_out(&format!("scrape_configs:\n- job_name: a\n  {yaml}\n"));
        assert_eq!(found, [(3, key.into())], "{yaml}");
    }
    for (yaml, key) in [
        ("queue_config:", "remote_write.queue_config"),
        ("protobuf_message:", "remote_write.protobuf_message"),
        ("remote_timeout:", "remote_write.remote_timeout"),
        ("queue_config: {capacity: }", "remote_write.queue_config.capacity"),
    ] {
        let found = left_out(&format!("remote_write:\n- url: http://a\n  {yaml}\n"));
        assert_eq!(found, [(3, key.into())], "{yaml}");
    }
}

#[test]
fn values_are_read_as_go_reads_them() {
    for (yaml, toml) in [
        ("sample_limit: 010", "sample_limit = 8\n"),
        ("sample_limit: 0x1F", "sample_limit = 31\n"),
        ("sample_limit: 0b11", "sample_limit = 3\n"),
        ("sample_limit: 1_000", "sample_limit = 1000\n"),
        ("sample_limit: 1e3", "sample_limit = 1000\n"),
        ("body_size_limit: 0", "body_size_limit = \"0\"\n"),
        ("metrics_path: a", "metrics_path = \"/a\"\n"),
        ("metrics_path: !!binary L2FiYw==", "metrics_path = \"/abc\"\n"),
        ("relabel_configs: [{modulus: 0, source_labels: [a], target_label: b}]", "target_label = \"b\"\n"),
        ("static_configs:\n  - targets: [\n    ':9100'\n  ]", "targets = [\":9100\"]\n"),
        ("static_configs:\t[{targets:\t[a:1\t]}]", "targets = [\"a:1\"]\n"),
    ] {
        let imported = imported(&format!("scrape_configs:\n- job_name: a\n  {yaml}\n"));
        assert_eq!(imported.left_out, [], "{yaml}");
        assert!(imported.toml.contains(toml) && !imported.toml.contains("modulus"), "{yaml}\n{}", imported.toml);
    }
}

/// What can't do without a key that was refused goes with it, on the line of the key.
#[test]
fn one_cause_is_told_once() {
    let job = "scrape_configs:\n- job_name: a\n";
    for (yaml, key, said) in [
        ("remote_write:\n- url: nonsense\n", "remote_write.url", "its whole entry of remote_write is left out"),
        (&format!("{job}- job_name: a\n"), "scrape_configs.job_name", "its whole entry of scrape_configs is left out"),
        (
            &format!("{job}  http_sd_configs: [{{url: x}}]\n"),
            "scrape_configs.http_sd_configs.url",
            "its whole entry of",
        ),
        (&format!("{job}-\n"), "scrape_configs", "an entry is empty"),
        (
            &format!("{job}  static_configs: [{{targets: [a:1], labels: {{site:x}}}}]\n"),
            "labels.site:x",
            "a space after the colon: site: x",
        ),
        (
            &format!("{job}  scrape_classic_histograms: true\n"),
            "scrape_configs.scrape_classic_histograms",
            "did you mean always_scrape_classic_histograms?",
        ),
        (
            &format!("{job}  docker_sd_configs: [{{host: x}}]\n"),
            "scrape_configs.docker_sd_configs",
            "does not ask this interface",
        ),
    ] {
        let imported = imported(yaml);
        let [item] = &imported.left_out[..] else { panic!("{yaml}\n{:?}", imported.left_out) };
        assert!(item.key == key && item.reason.contains(said) && !item.is_harmless, "{yaml}\n{item:?}");
        assert!(!imported.toml.contains("remote_write ="), "{}", imported.toml);
    }
}

#[test]
fn who_sends_nothing_is_told() {
    assert!(imported("scrape_configs:\n- job_name: a\n").hint.unwrap().contains("add [[remote_write]]"));
    assert!(imported("remote_write:\n- url: nonsense\n").hint.is_some());
    assert_eq!(imported("remote_write:\n- url: http://a\n").hint, None);
}

#[test]
fn comments_go_where_what_they_are_about_goes() {
    let yaml = "# Of all.\n\nglobal:\n  # How often.\n  scrape_interval: 15s # not carried\n# Machines.\n# Two of them.\nscrape_configs:\n  # The first.\n  - job_name: a\n    # Where.\n    static_configs:\n    - targets:\n      # here\n      - a:1\n      - b:1\n";
    let toml = "# Of all.\n[global]\n# How often.\nscrape_interval = \"15s\"\n\n# The first.\n[[scrape_configs]]\njob_name = \"a\"\n\n\
                [[scrape_configs.static_configs]]\ntargets = [\n# here\n    \"a:1\",\n    \"b:1\",\n]\n";
    assert_eq!(imported(yaml).toml, toml);
}

/// Their jobs become jobs of the whole, with paths from their own folders.
#[test]
fn scrape_config_files_are_read() {
    let read = |pattern: &Path| match pattern.to_str() {
        Some("/etc/prometheus/jobs/*.yml") => Ok(vec![
            (
                "/etc/prometheus/jobs/a.yml".into(),
                b"# Of b.\nscrape_configs:\n- job_name: b\n  basic_auth: {username: u, password_file: pw}\n".to_vec(),
            ),
            (
                "/etc/prometheus/jobs/b.yml".into(),
                b"scrape_configs:\n- job_name: c\n  scheme: ftp\nglobal: {}\n".to_vec(),
            ),
            ("/etc/prometheus/jobs/c.yml".into(), b"- a".to_vec()),
        ]),
        Some("/etc/prometheus/denied.yml") => Err("denied".into()),
        _ => Ok(Vec::new()),
    };
    let yaml = "scrape_config_files: ['jobs/*.yml', none.yml, denied.yml]\nscrape_configs:\n- job_name: a\n";
    let imported = import(yaml.as_bytes(), FILE.as_ref(), &read).unwrap();
    let told: Vec<_> = imported.left_out.iter().map(|item| (item.file, item.line, item.key.as_str())).collect();
    let expected = [
        (0, 1, "scrape_config_files"),
        (0, 1, "scrape_config_files"),
        (2, 3, "scrape_configs.scheme"),
        (2, 4, "scrape_config_files"),
        (3, 1, "scrape_config_files"),
    ];
    assert_eq!(told, expected, "{:?}", imported.left_out);
    assert_eq!(imported.files[2], Path::new("/etc/prometheus/jobs/b.yml"));
    let jobs: Vec<&str> = imported.toml.lines().filter_map(|line| line.strip_prefix("job_name = ")).collect();
    assert_eq!(jobs, ["\"a\"", "\"b\"", "\"c\""]);
    assert!(imported.toml.contains("password_file = \"/etc/prometheus/jobs/pw\"\n"), "{}", imported.toml);
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
        match import(text.as_bytes(), FILE.as_ref(), &no_files) {
            Ok(imported) => {
                let loaded = config::parse_in(&imported.toml, Path::new("n.toml"), &|_| Some("set".into()));
                prop_assert!(loaded.is_ok(), "{:?}", imported.toml);
            }
            Err(error) => prop_assert!(!error.to_string().contains(['\n', '\r']), "{}", error),
        }
    }
}
