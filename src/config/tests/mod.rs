//! What the reader makes of valid files, of files as such, and of anything at all.

mod all_mistakes;
mod discovery;
mod http_client;
mod mistakes;
mod queue;
mod relabelling;
#[cfg(feature = "sigv4")]
mod sigv4;
mod syntax;
mod uplink;

use super::*;
use crate::http_client::HttpClientOptions;
use crate::model::{EscapingScheme, PageOptions, Scheme, ScrapeProtocol, Secret};
use crate::remote_write::QueueOptions;
use proptest::prelude::*;
use std::path::PathBuf;
use std::time::Duration;

/// A file in which every key is used.
const FULL: &str = include_str!("full.toml");

const FILE: &str = "/etc/narthex/narthex.toml";

fn environment(name: &str) -> Option<String> {
    [("DEVICE", "gw-17"), ("EMPTY", "")].iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_string())
}

fn read_text(text: &str) -> Result<Config, ConfigErrors> {
    read(Source::new(text, Path::new("n.toml"), Path::new("/etc/narthex"), &environment))
}

fn valid(text: &str) -> Config {
    read_text(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn a_small_file_gets_prometheus_defaults() {
    let config = valid(
        r#"
        [[scrape_configs]]
        job_name = "node"
        static_configs = [{ targets = ["127.0.0.1:9100"], labels = { site = "north", gone = "" } }]

        [[remote_write]]
        url = "https://metrics.example/api/v1/write"

        [buffer]
        path = "ring"
        "#,
    );
    let [job] = &config.jobs[..] else { panic!("one job") };
    assert_eq!((job.interval, job.timeout), (Duration::from_secs(60), Duration::from_secs(10)));
    assert_eq!((job.scheme, job.metrics_path.as_str()), (Scheme::Http, "/metrics"));
    assert_eq!(*job.page, PageOptions::default());
    assert_eq!(job.static_configs[0].labels, [("site".to_string(), "north".to_string())]);
    let [endpoint] = &config.endpoints[..] else { panic!("one endpoint") };
    assert_eq!((endpoint.name.as_str(), endpoint.timeout), ("metrics.example", Duration::from_secs(30)));
    assert_eq!((&endpoint.http, &endpoint.queue), (&HttpClientOptions::default(), &QueueOptions::default()));
    let buffer = config.buffer.unwrap();
    assert_eq!(buffer.path, Path::new("/etc/narthex/ring"));
    assert_eq!((buffer.size_bytes, buffer.segment_size_bytes), (64 << 20, 1 << 20));
    assert_eq!(buffer.commit_interval, Duration::from_secs(30));
    assert_eq!((buffer.commit_interval_max, buffer.write_budget), (Duration::from_secs(600), None));
    assert_eq!((buffer.erase_block_bytes, buffer.rated_cycles), (None, None));
}

#[test]
fn an_empty_file_is_valid_and_does_nothing() {
    let config = valid("");
    assert_eq!(config.global, GlobalOptions::default());
    assert!(config.jobs.is_empty() && config.endpoints.is_empty() && config.buffer.is_none());
    assert!(valid("remote_write = []").buffer.is_none());
}

#[test]
fn an_inherited_timeout_is_cut_to_the_interval_as_in_prometheus() {
    for (global, job, timeout_ms) in [
        ("", "", 10_000),
        ("scrape_interval = '5s'", "", 5_000),
        ("scrape_timeout = '40s'", "scrape_interval = '30s'", 30_000),
        ("scrape_timeout = '40s'", "", 40_000),
        ("", "scrape_interval = '300ms'", 300),
        ("scrape_interval = '5s'", "scrape_interval = '1m'\nscrape_timeout = '1m'", 60_000),
    ] {
        let config = valid(&format!("[global]\n{global}\n[[scrape_configs]]\njob_name = 'a'\n{job}"));
        assert_eq!(config.jobs[0].timeout, Duration::from_millis(timeout_ms), "{global} {job}");
    }
}

#[test]
fn jobs_inherit_what_is_said_of_pages_as_in_prometheus() {
    let page = |global: &str, job: &str| {
        let config = valid(&format!("[global]\n{global}\n[[scrape_configs]]\njob_name = 'a'\n{job}"));
        (*config.jobs[0].page).clone()
    };
    let defaults = PageOptions::default();
    let names = |page: PageOptions| page.protocols.into_iter().map(ScrapeProtocol::name).collect::<Vec<_>>().join(" ");
    let text = "scrape_protocols = ['PrometheusText0.0.4']";
    for (global, job, protocols) in [
        ("", "", "OpenMetricsText1.0.0 OpenMetricsText0.0.1 PrometheusText1.0.0 PrometheusText0.0.4"),
        (text, "", "PrometheusText0.0.4"),
        (text, "scrape_protocols = ['OpenMetricsText1.0.0']", "OpenMetricsText1.0.0"),
        (text, "scrape_native_histograms = true", "PrometheusText0.0.4"),
        (
            "scrape_native_histograms = true",
            "",
            "PrometheusProto OpenMetricsText1.0.0 OpenMetricsText0.0.1 PrometheusText1.0.0 PrometheusText0.0.4",
        ),
    ] {
        assert_eq!(names(page(global, job)), protocols, "{global} {job}");
    }
    let limits = "sample_limit = 5\nbody_size_limit = '1KiB'";
    for (global, job, sample_limit, body_size_bytes_limit) in [
        ("", "", 0, 0),
        (limits, "", 5, 1024),
        (limits, "sample_limit = 0\nbody_size_limit = '0B'", 5, 1024),
        (limits, "sample_limit = 7\nbody_size_limit = '1B'", 7, 1),
    ] {
        let expected = PageOptions { sample_limit, body_size_bytes_limit, ..defaults.clone() };
        assert_eq!(page(global, job), expected, "{global} {job}");
    }
    let job = page("extra_scrape_metrics = true\nmetric_name_escaping_scheme = 'dots'", "");
    assert_eq!((job.extra_metrics, job.escaping_scheme), (true, EscapingScheme::Dots));
    let legacy = "metric_name_validation_scheme = 'legacy'";
    for (global, job, escaping) in [
        ("", "", "allow-utf-8"),
        ("", legacy, "underscores"),
        (legacy, "", "underscores"),
        (legacy, "metric_name_validation_scheme = 'utf8'", "allow-utf-8"),
        ("metric_name_escaping_scheme = 'values'", legacy, "underscores"),
        ("metric_name_escaping_scheme = 'values'", "", "values"),
        (legacy, "metric_name_escaping_scheme = 'dots'", "dots"),
    ] {
        assert_eq!(page(global, job).escaping_scheme.name(), escaping, "{global} {job}");
    }
    assert!(!page("extra_scrape_metrics = true", "extra_scrape_metrics = false").extra_metrics);
    let (legacy, utf8) = ("metric_name_validation_scheme = 'legacy'", "metric_name_validation_scheme = 'utf8'");
    let dots = "metric_name_escaping_scheme = 'dots'";
    for (global, job, expected) in [
        (legacy, "", EscapingScheme::Underscores),
        ("", legacy, EscapingScheme::Underscores),
        (legacy, utf8, EscapingScheme::AllowUtf8),
        (dots, utf8, EscapingScheme::AllowUtf8),
        (dots, legacy, EscapingScheme::Underscores),
        (dots, "", EscapingScheme::Dots),
        (legacy, dots, EscapingScheme::Dots),
    ] {
        assert_eq!(page(global, job).escaping_scheme, expected, "{global} / {job}");
    }
}

#[test]
fn external_labels_take_environment_variables_as_in_prometheus() {
    for (written, read) in [
        ("$DEVICE", "gw-17"),
        ("${DEVICE}", "gw-17"),
        ("a-$DEVICE-b", "a-gw-17-b"),
        ("${DEVICE}x$DEVICE", "gw-17xgw-17"),
        ("5$$", "5$"),
        ("$$DEVICE", "$DEVICE"),
    ] {
        let config = valid(&format!("[global.external_labels]\ndevice = '{written}'\n__replica__ = 'a'"));
        assert_eq!(config.global.external_labels.get("device"), Some(read), "{written}");
    }
}

#[test]
fn an_endpoint_is_named_by_its_url_unless_it_has_a_name() {
    let names = |urls: [&str; 2]| {
        let tables = urls.map(|url| format!("[[remote_write]]\nurl = '{url}'\n")).concat();
        valid(&format!("{tables}[buffer]\npath = 'ring'")).endpoints.into_iter().map(|e| e.name).collect::<Vec<_>>()
    };
    let forth = names(["http://a/", "http://b/"]);
    let back = names(["http://b/", "http://a/"]);
    assert_eq!(forth, [back[1].clone(), back[0].clone()]);
    assert_ne!(forth[0], forth[1]);
}

#[test]
fn the_effective_configuration_is_shown_whole_with_secrets_masked() {
    let shown = valid(FULL).to_toml();
    assert_eq!(shown, include_str!("effective.toml"));
    assert!(!shown.contains("hunter2") && !format!("{:?}", valid(FULL)).contains("hunter2"));
}

#[test]
fn the_effective_configuration_gives_the_same_again() {
    for text in [FULL, "", "[[scrape_configs]]\njob_name = 'a'\n", "[buffer]\npath = '/x'"] {
        let (config, shown) = (valid(text), valid(text).to_toml());
        let again = valid(&shown.replace(Secret::MASK, "hunter2"));
        assert_eq!(format!("{again:?}"), format!("{config:?}"));
        assert_eq!(again.to_toml(), shown);
        for (a, b) in again.endpoints.iter().zip(&config.endpoints) {
            assert_eq!(a.http, b.http);
        }
    }
}

#[test]
fn relative_paths_start_from_the_files_directory() {
    let text = "buffer.path = 'ring'";
    let path_of = |file: &str| parse(text, Path::new(file)).unwrap().buffer.unwrap().path;
    assert_eq!(path_of(FILE), Path::new("/etc/narthex/ring"));
    assert_eq!(path_of("narthex.toml"), Path::new("ring"));
    let absolute = parse("buffer.path = '/dev/sda3'", Path::new(FILE)).unwrap();
    assert_eq!(absolute.buffer.unwrap().path, Path::new("/dev/sda3"));
}

#[test]
fn a_file_that_is_named_relatively_gives_absolute_paths() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("narthex.toml"), "buffer.path = 'ring'").unwrap();
    let up: PathBuf = std::env::current_dir().unwrap().components().skip(1).map(|_| "..").collect();
    let relative = up.join(directory.path().strip_prefix("/").unwrap()).join("narthex.toml");
    let ring = load(&relative).unwrap().buffer.unwrap().path;
    assert!(relative.is_relative() && ring.is_absolute(), "{} {}", relative.display(), ring.display());
    assert!(ring.ends_with(directory.path().strip_prefix("/").unwrap().join("ring")));
}

#[test]
fn files_that_can_not_be_read_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("narthex.toml");
    let message = || load(&file).unwrap_err().to_string().replace(&format!("{}/", directory.path().display()), "");
    assert_eq!(
        message(),
        "narthex.toml: cannot be read (No such file or directory (os error 2)); name a file that this user may read"
    );
    std::fs::write(&file, b"# a\n# b\n\xff").unwrap();
    assert_eq!(message(), "narthex.toml:3: is not UTF-8 text; save the file as UTF-8");
    std::fs::write(&file, "#".repeat(CONFIG_BYTES_MAX as usize + 1)).unwrap();
    assert_eq!(message(), "narthex.toml: is larger than 1MiB; a configuration may not be");
    std::fs::write(&file, "#".repeat(CONFIG_BYTES_MAX as usize)).unwrap();
    assert!(load(&file).is_ok());
    assert!(load(directory.path()).unwrap_err().to_string().contains("cannot be read (Is a directory"));
}

#[test]
fn a_file_with_a_secret_may_be_written_by_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("narthex.toml");
    for (password, mode, refused) in [
        ("password = 'hunter2'", 0o600, false),
        ("password = 'hunter2'", 0o644, false),
        ("password = 'hunter2'", 0o620, true),
        ("password = 'hunter2'", 0o602, true),
        ("password_file = '/run/password'", 0o666, false),
    ] {
        let auth = format!("basic_auth = {{ username = 'u', {password} }}");
        std::fs::write(&file, format!("buffer.path = 'a'\n[[remote_write]]\nurl = 'http://a'\n{auth}")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let shown = file.display();
        let line =
            format!("{shown}: holds a secret, but others may write to it (mode {mode:04o}); run chmod go-w {shown}");
        assert_eq!(load(&file).err().map(|error| error.to_string()), refused.then_some(line), "{password} {mode:o}");
    }
}

/// Text in which each word is likely to mean something to the reader.
fn likely_text() -> impl Strategy<Value = String> {
    let words = "[ ] [[ ]] { } = , . \n ' \" global buffer scrape_configs remote_write static_configs targets labels url path \
                 size job_name scrape_interval basic_auth password $ ${ 'a' '15s' 'http://a' '64MiB' 1 -1 0x 1.5 true ü \u{0}";
    let words: Vec<&str> = words.split(' ').collect();
    prop::collection::vec(prop::sample::select(words), 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_every_error_is_one_line(
        text in prop_oneof![
            any::<String>(),
            likely_text(),
            // The full file with a piece of it replaced.
            (0..FULL.len(), 0..40usize, likely_text()).prop_map(|(at, len, new)| {
                let end = (at + len).min(FULL.len());
                let (before, after) = (&FULL.as_bytes()[..at], &FULL.as_bytes()[end..]);
                String::from_utf8_lossy(&[before, new.as_bytes(), after].concat()).into_owned()
            }),
        ]
    ) {
        match read_text(&text) {
            Ok(config) => {
                let again = read_text(&config.to_toml().replace(Secret::MASK, "x"));
                prop_assert_eq!(format!("{:?}", again.unwrap()), format!("{config:?}"));
            }
            Err(errors) => {
                for error in errors.iter() {
                    prop_assert!(!error.to_string().contains(['\n', '\r']), "{}", error);
                }
            }
        }
    }
}
