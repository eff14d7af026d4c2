//! A file with several mistakes is told of all of them, and of none twice.

use super::*;

fn told(text: &str) -> String {
    read_text(text).expect_err(text).to_string()
}

/// Each section, each entry and each key is read, whatever is wrong before it.
#[test]
fn every_mistake_of_a_file_is_told_in_the_order_of_its_lines() {
    let text = "\
[global]
scrape_interval = 15
scrape_timeout = 'x'
[[scrape_configs]]
job_name = ''
scheme = 'ftp'
scrape_interval = '1x'
static_configs = [{ targets = ['a b', 'ok:1', 3] }]
relabel_configs = [{ action = 'kep' }, { regex = '(' }]
basic_auth = { user = 'x' }
[[scrape_configs]]
job_name = 'b'
metrics_path = 'metrics'
[[remote_write]]
url = 'a'
remote_timeout = 3
queue_config = { capacity = 0, min_backof = '1s' }
tls_config = { min_version = 'TLS9' }
[buffer]
size = '1'
write_budget = 'x'
[status]
listen = 'x'
[limit]
";
    let lines: Vec<String> =
        told(text).lines().map(|line| line.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "n.toml:2 global.scrape_interval",
        "n.toml:3 global.scrape_timeout",
        "n.toml:5 scrape_configs.job_name",
        "n.toml:6 scrape_configs.scheme",
        "n.toml:7 scrape_configs.scrape_interval",
        "n.toml:8 scrape_configs.static_configs.targets",
        "n.toml:9 scrape_configs.relabel_configs.action",
        "n.toml:9 scrape_configs.relabel_configs.regex",
        "n.toml:10 scrape_configs.basic_auth.user",
        "n.toml:13 scrape_configs.metrics_path",
        "n.toml:15 remote_write.url",
        "n.toml:16 remote_write.remote_timeout",
        "n.toml:17 remote_write.queue_config.min_backof",
        "n.toml:17 remote_write.queue_config.capacity",
        "n.toml:18 remote_write.tls_config.min_version",
        "n.toml:19 buffer.path",
        "n.toml:20 buffer.size",
        "n.toml:21 buffer.write_budget",
        "n.toml:23 status.listen",
        "n.toml:24 limit",
    ];
    assert_eq!(lines, expected);
}

/// How values go together is looked at only once each of them is one.
#[test]
fn one_mistake_is_told_once() {
    for (text, lines) in [
        ("[global]\nscrape_interval = 'x'\nscrape_timeout = '90s'", 1),
        ("[buffer]\npath = 'r'\ncommit_interval = 'x'\ncommit_interval_max = '1s'", 1),
        ("[buffer]\npath = 'r'\nsize = '1'\nsegment_size = '1GiB'", 1),
        ("[buffer]\npth = 'r'", 1),
        ("[[scrape_configs]]\njob = 'a'", 1),
        (
            "[[scrape_configs]]\njob_name = 'a'\nrelabel_configs = [{ regex = 1 }]\nstatic_configs = [{ targets = ['http://a'] }]",
            1,
        ),
        (
            "[[scrape_configs]]\njob_name = 'a'\n[[scrape_configs]]\njob_name = 'a'\n[[scrape_configs]]\njob_name = 'a'",
            2,
        ),
        ("[uplink]\nmax_bytes_per_day = '5GiB'\nmax_bytes_per_month = 'x'", 1),
    ] {
        assert_eq!(told(text).lines().count(), lines, "{text}\n{}", told(text));
    }
}

/// Of a file that is no configuration at all, nobody reads more.
#[test]
fn no_more_than_a_hundred_mistakes_are_told() {
    let text: String = (0..500).map(|index| format!("key{index} = 1\n")).collect();
    assert_eq!(told(&text).lines().count(), crate::limits::CONFIG_MISTAKES_MAX);
}

#[test]
fn what_is_hardly_meant_is_warned_of() {
    let config = valid(
        r#"
        [[scrape_configs]]
        job_name = "a"
        basic_auth = { password = "hunter2" }
        static_configs = [{ targets = ["node", "[::1]", "a:1", "[::1]:1", "unix:///run/x.sock"] }]
        [[scrape_configs]]
        job_name = "rules"
        static_configs = [{ targets = ["node"] }]
        relabel_configs = [{ source_labels = ["__address__"], target_label = "__address__", replacement = "$1:9100" }]
        [[remote_write]]
        name = "slow"
        url = "http://a"
        queue_config = { batch_send_deadline = "1m" }
        [buffer]
        path = "ring"
        "#,
    );
    let lines = config.warnings();
    let starts = [
        "scrape_configs \"a\": basic_auth has a password and no username",
        "scrape_configs \"a\": target \"node\" has no port, so port 80 is asked",
        "scrape_configs \"a\": target \"[::1]\" has no port",
        "remote_write \"slow\": every sample is written to flash before it is sent",
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:?}");
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start) && !line.contains("hunter2"), "{line}");
    }
}

/// Prometheus takes a limit of 0, with a unit or without, for none.
#[test]
fn a_limit_of_zero_needs_no_unit() {
    for zero in ["0", "'0'", "'0B'"] {
        let text = format!(
            "global.body_size_limit = {zero}\nscrape_configs = [{{ job_name = 'a', body_size_limit = {zero} }}]"
        );
        let config = valid(&text);
        assert_eq!((config.global.page.body_size_bytes_limit, config.jobs[0].page.body_size_bytes_limit), (0, 0));
    }
}
