//! `narthex check` and `narthex scrape` as a user runs them, on good input and on bad.

mod support;

use narthex::config::parse_in;
use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::*;

/// Runs `narthex scrape --format json` on one page: exit code, stdout, stderr.
fn scrape(exporter: &Server) -> (i32, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    let address = exporter.address;
    let text = format!(
        "[global]\nscrape_interval = '2s'\nscrape_timeout = '2s'\n[[scrape_configs]]\njob_name = 'j'\nstatic_configs = [{{ targets = ['{address}'] }}]\n"
    );
    fs::write(&file, text).unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap(), "--format", "json"]);
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(&address.to_string(), "ADDRESS");
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn value_of(json_lines: &str, series: &str) -> Option<String> {
    let line = json_lines.lines().find(|line| line.contains(&format!("\"__name__\":\"{series}\"")))?;
    let parsed: serde_json::Value = serde_json::from_str(line).unwrap();
    Some(parsed["value"].as_str().unwrap().to_string())
}

#[test]
fn scrape_prints_what_would_be_stored() {
    let page = "# HELP t A temperature.\n# TYPE t gauge\nt{room=\"a\\\"b\",instance=\"mine\"} 21.5\nnan NaN\ninf +Inf\nold 1 1700000000000\n";
    let (code, out, error) = scrape(&exporter(move |_| page.into()));
    assert_eq!((code, error.as_str()), (0, ""));
    let first: serde_json::Value =
        serde_json::from_str(out.lines().find(|line| line.contains("21.5")).unwrap()).unwrap();
    let labels = serde_json::json!({
        "__name__": "t", "exported_instance": "mine", "instance": "ADDRESS", "job": "j", "room": "a\"b"
    });
    assert_eq!((&first["labels"], &first["value"]), (&labels, &serde_json::json!("21.5")));
    let values = ["nan", "inf", "old", "up", "scrape_samples_scraped"].map(|series| value_of(&out, series).unwrap());
    assert_eq!(values, ["NaN", "+Inf", "1", "1", "4"]);
    assert!(out.lines().any(|line| line.contains("\"timestamp_ms\":1700000000000")), "{out}");
}

/// Targets and series as relabelling leaves them: what is asked for, and what would be stored.
#[test]
fn scrape_shows_relabelled_targets_and_series() {
    let prober = Server::start(|_, request| {
        let first_line = request.head.lines().next().unwrap_or_default().to_owned();
        assert_eq!(first_line, "GET /probe?module=http_2xx&target=https%3A%2F%2Fsite.example%2F HTTP/1.1");
        page("go_x 1\nprobe_success{instance=\"own\",noise=\"1\"} 1\n")
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    let text = format!(
        r#"
        [[scrape_configs]]
        job_name = "probe"
        metrics_path = "/probe"
        params = {{ module = ["http_2xx"] }}
        static_configs = [{{ targets = ["https://site.example/", "spare"] }}]
        relabel_configs = [
            {{ action = "drop", source_labels = ["__address__"], regex = "spare" }},
            {{ source_labels = ["__address__"], target_label = "__param_target" }},
            {{ source_labels = ["__param_target"], regex = "https://([^/]+)/", target_label = "instance" }},
            {{ target_label = "__address__", replacement = "{}" }},
        ]
        metric_relabel_configs = [
            {{ action = "drop", source_labels = ["__name__"], regex = "go_.*" }},
            {{ action = "labeldrop", regex = "noise" }},
        ]
        "#,
        prober.address
    );
    fs::write(&file, text).unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap()]);
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{error}");
    let series = "probe_success{exported_instance=\"own\",instance=\"site.example\",job=\"probe\"} 1 ";
    assert!(out.lines().any(|line| line.starts_with(series)), "{out}");
    let counted =
        |name: &str| out.lines().find(|line| line.starts_with(name)).unwrap().split(' ').nth(1).map(str::to_owned);
    assert_eq!(counted("scrape_samples_scraped{").as_deref(), Some("2"));
    assert_eq!(counted("scrape_samples_post_metric_relabeling{").as_deref(), Some("1"));
    assert_eq!(out.lines().count(), 6, "{out}");
}

/// Go connects to this device where a target is a port alone.
#[test]
fn a_target_may_be_a_port_alone() {
    let exporter = exporter(|_| "n 1\n".into());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    let target = format!(":{}", exporter.address.port());
    let text = format!(
        "[[scrape_configs]]\njob_name = 'j'\nbody_size_limit = 0\nstatic_configs = [{{ targets = ['{target}'] }}]\n"
    );
    fs::write(&file, text).unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap()]);
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{error}");
    assert!(out.lines().any(|line| line.starts_with(&format!("n{{instance=\"{target}\",job=\"j\"}} 1 "))), "{out}");
}

#[test]
fn more_targets_than_target_limit_fail_every_scrape() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    let text =
        "[[scrape_configs]]\njob_name = 'j'\ntarget_limit = 1\nstatic_configs = [{ targets = ['a:1', 'b:1'] }]\n";
    fs::write(&file, text).unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap()]);
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(error.matches("target_limit exceeded (number of targets: 2, limit: 1)").count(), 2, "{error}");
    assert_eq!(
        out.lines().filter(|line| line.starts_with("up{")).filter(|line| line.contains("} 0 ")).count(),
        2,
        "{out}"
    );
}

/// Each kind of bad page fails its own scrape with a line that says why; what is stored of it is `up` 0 and its like.
#[test]
fn bad_pages_fail_with_a_clear_line() {
    let endless_line = "a".repeat(1 << 20);
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("binary", page_of(&[0x7f, b'E', b'L', b'F', 2, 1, 1, 0xff, 0xfe].repeat(100)), "line 1"),
        ("half a line", page("n 1\nhalf{a=\"b"), "line 2"),
        ("one endless line", page(&endless_line), "longer than"),
        ("no value", page("n\n"), "line 1"),
        ("an error", respond("503 Service Unavailable", "", b"not yet"), "HTTP status 503 Service Unavailable"),
        ("a web page", respond("200 OK", "Content-Type: text/html\r\n", b"<html>"), "text/html"),
        (
            "cut short",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\nn 1\n".to_vec(),
            "ended before",
        ),
    ];
    for (name, answer, expected) in cases {
        let (code, out, error) = scrape(&Server::start(move |_, _| answer.clone()));
        assert_eq!(code, 1, "{name}: {out}");
        assert!(error.contains(expected) && error.lines().count() == 1, "{name}: {error}");
        assert_eq!((value_of(&out, "up").as_deref(), out.lines().count()), (Some("0"), 5), "{name}: {out}");
    }
}

fn page_of(body: &[u8]) -> Vec<u8> {
    respond("200 OK", "Content-Type: text/plain; version=0.0.4\r\n", body)
}

#[test]
fn an_endless_page_is_given_up_at_the_limit() {
    let endless = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n".iter().copied();
    let body: Vec<u8> = endless.chain(b"endless_series 1\n".repeat(2 << 20)).collect();
    let (code, out, error) = scrape(&Server::start(move |_, _| body.clone()));
    assert_eq!(code, 1);
    assert!(error.contains("larger than 16777216 bytes"), "{error}");
    assert_eq!(value_of(&out, "up").as_deref(), Some("0"));
}

#[test]
fn of_duplicate_series_the_first_counts() {
    let (code, out, _) = scrape(&exporter(|_| "n 1\nn 2\nm 3\n".into()));
    assert_eq!(code, 0);
    assert_eq!((value_of(&out, "n").as_deref(), value_of(&out, "m").as_deref()), (Some("1"), Some("3")));
    assert_eq!(out.lines().filter(|line| line.contains("\"__name__\":\"n\"")).count(), 1);
    assert_eq!(value_of(&out, "scrape_samples_post_metric_relabeling").as_deref(), Some("3"), "as Prometheus counts");
}

#[test]
fn a_target_that_never_answers_takes_its_timeout_and_no_more() {
    let silent = Server::start(|_, _| {
        sleep(Duration::from_secs(3600));
        vec![]
    });
    let begun = Instant::now();
    let (code, out, error) = scrape(&silent);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!((code, value_of(&out, "up").as_deref()), (1, Some("0")));
    assert!(error.contains("timed out after 2s"), "{error}");
}

#[test]
fn check_shows_the_effective_configuration_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    let text = "[buffer]\npath = 'ring'\n[[remote_write]]\nurl = 'https://metrics.example/api/v1/write'\n\
                basic_auth = { username = 'me', password = 'hunter2' }\n\
                [[scrape_configs]]\njob_name = 'j'\nstatic_configs = [{ targets = [':9100'] }]\n";
    fs::write(&file, text).unwrap();
    let output = narthex(&["check", file.to_str().unwrap()]);
    let shown = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(shown.contains("password = \"<secret>\"") && !shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("max_samples_per_send = 2000") && shown.contains("commit_interval = \"30s\""), "{shown}");
}

#[test]
fn check_says_what_is_wrong_where_and_what_to_write_instead() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    for (text, expected) in [
        ("[global]\nscrape_intervall = '15s'\n", "n.toml:2: global.scrape_intervall"),
        ("[global]\nscrape_interval = 15\n", "n.toml:2: global.scrape_interval"),
        ("[buffer]\npath = 'ring'\nsize = '1KiB'\n", "n.toml:3: buffer.size"),
        ("[global\n", "n.toml:1"),
        ("[[scrape_configs]]\njob_name = node\n", "n.toml:2: is not TOML: a text needs quotes"),
        ("global:\n  scrape_interval: 15s\n", "n.toml > narthex.toml"),
        (
            "[buffer]\npath = 'r'\ndirectory = 'x'\n",
            "the nearest are size, path, erase_block, and docs/configuration.md has them all",
        ),
    ] {
        fs::write(&file, text).unwrap();
        let output = narthex(&["check", file.to_str().unwrap()]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{text}");
        assert!(error.contains(expected) && error.lines().count() == 1, "{text}: {error}");
    }
    let output = narthex(&["check", "/nowhere/n.toml"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("/nowhere/n.toml"));
}

#[test]
fn every_configuration_in_the_documents_is_valid() {
    for document in ["README.md", "docs/configuration.md", "docs/discovery.md", "docs/sending.md", "docs/status.md"] {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
        let examples: Vec<&str> =
            text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
        assert!(!examples.is_empty(), "{document}");
        for example in examples {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("narthex.toml");
            // Files that examples name are nowhere: the text alone is valid.
            let read = parse_in(example, &file, &|_| Some("gateway-7".into()));
            assert!(read.is_ok(), "{document}: {}", read.unwrap_err());
        }
    }
}

#[test]
fn what_a_url_asks_for_is_in_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("n.toml");
    for url in [
        "host/write?token=hunter2",
        "https://ho st/write?token=hunter2",
        "https://host:99999/write?token=hunter2",
        "https://host/write?token=hunter2#",
        "https://user:hunter2@host/write",
        "https://host/write?token=hunter2\" twice",
    ] {
        fs::write(&file, format!("[buffer]\npath = 'ring'\n[[remote_write]]\nurl = \"{url}\"\n")).unwrap();
        for command in [&["check"][..], &["run", "--config"]] {
            let output = narthex(&[command, &[file.to_str().unwrap()]].concat());
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{url}: {error}");
            assert!(error.contains(":4:") && !error.contains("hunter2"), "{error}");
        }
    }
}
