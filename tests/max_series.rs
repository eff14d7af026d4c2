//! `limits.max_series` through the built agent: which series count, and what becomes of those that are too many.

mod support;

use std::fs;
use std::time::Duration;
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn config(max_series: usize, exporters: &[&Server], receiver: &Receiver) -> String {
    let targets: Vec<String> = exporters.iter().map(|server| server.address.to_string()).collect();
    format!(
        "[global]\nscrape_interval = '100ms'\nscrape_timeout = '100ms'\n\
         [[scrape_configs]]\njob_name = 'test'\n\
         static_configs = [{{ targets = {targets:?} }}]\n\
         [[remote_write]]\nurl = 'http://{}/'\nname = 'r'\nqueue_config = {{ batch_send_deadline = '200ms', max_backoff = '500ms' }}\n\
         [buffer]\npath = 'ring'\nsize = '4MiB'\nsegment_size = '256KiB'\ncommit_interval = '300ms'\n\
         [limits]\nmax_series = {max_series}\n[status]\nlisten = '127.0.0.1:0'\n",
        receiver.address()
    )
}

fn metric(status: &str, line: &str) -> Option<u64> {
    let page = get(status, "/metrics");
    page.lines().find_map(|shown| shown.strip_prefix(line)?.trim().parse().ok())
}

/// The dictionary of the open segment used to count: a page of 512 series, ten of them new each time, a limit of 2,048 and an
/// outage of 180 s made every scrape fail, also after the backlog was delivered, until the agent was started again.
#[test]
fn series_that_came_and_went_in_an_outage_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let fixed: String = (0..50).map(|i| format!("fixed{{i=\"{i}\"}} 1\n")).collect();
    let exporter = exporter(move |n| {
        let new: String = (0..10).map(|i| format!("new{{i=\"{n}-{i}\"}} 1\n")).collect();
        format!("{fixed}{new}n {n}\n")
    });
    let mut receiver = Receiver::start();
    let agent = Agent::start(folder.path(), &config(100, &[&exporter], &receiver));
    let status = agent.status_address();
    let address = receiver.go_away();
    eventually("sixty scrapes in an outage", PATIENCE, || (exporter.requests() > 60).then_some(()));
    receiver.back_at(address);
    let drained = exporter.requests();
    eventually("scrapes after the outage", PATIENCE, || {
        (receiver.series("n{").values().last() > Some(&(drained as f64 + 20.0))).then_some(())
    });
    assert_eq!(metric(&status, "narthex_samples_refused_total{cause=\"max_series\"}"), Some(0));
}

/// A page past the limit used to fail as a whole, and so did the pages of targets with not one series more than before.
#[test]
fn past_the_limit_the_target_that_grows_is_scraped_without_its_new_series() {
    let folder = tempfile::tempdir().unwrap();
    let steady = exporter(|n| format!("steady {n}\n"));
    let growing = exporter(|n| {
        let more: String = (0..n * 5).map(|i| format!("more{{i=\"{i}\"}} 1\n")).collect();
        format!("growing {n}\n{more}")
    });
    let receiver = Receiver::start();
    let agent = Agent::start(folder.path(), &config(20, &[&steady, &growing], &receiver));
    let status = agent.status_address();
    let instance = growing.address.to_string();
    let of_target = format!(
        "narthex_target_samples_refused_total{{scrape_pool=\"test\",instance=\"{instance}\",cause=\"max_series\"}}"
    );
    eventually("refused samples", PATIENCE, || metric(&status, &of_target).filter(|count| *count > 100));
    let then = (steady.requests(), growing.requests());
    eventually("later scrapes of both at the receiver", PATIENCE, || {
        let newest = |name| receiver.series(name).values().last().copied().unwrap_or(0.0) as usize;
        (newest("steady{") > then.0 + 3 && newest("growing{") > then.1 + 3).then_some(())
    });
    let taken_at = *receiver.series("growing{").keys().last().unwrap();
    assert_eq!(receiver.series(&format!("up{{instance=\"{instance}\"")).get(&taken_at), Some(&1.0));
    let taken = receiver.samples.lock().unwrap().keys().filter(|series| series.starts_with("more{")).count();
    assert!((1..20).contains(&taken), "{taken} of its further series");
    let page = get(&status, "/metrics");
    assert_eq!(page.matches("narthex_target_samples_refused_total{").count(), 1, "{page}");
    let line = format!("scrape of http://{instance}/metrics: limits.max_series: dropped ");
    assert!(agent.log().contains(&line), "the log names the target");
}

#[test]
fn the_command_scrape_tells_what_it_leaves_out() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = exporter(|_| "a 1\nb 1\nc 1\n".into());
    let file = folder.path().join("n.toml");
    fs::write(&file, config(2, &[&exporter], &Receiver::start())).unwrap();
    let output = narthex(&["scrape", "--config", file.to_str().unwrap()]);
    let (samples, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1));
    assert!(samples.contains("b{") && !samples.contains("c{"), "{samples}");
    assert!(told.contains("limits.max_series: dropped 1 samples of new series"), "{told}");
}
