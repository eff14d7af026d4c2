//! The built agent's account: every sample that was scraped arrives, or is counted by endpoint and cause, over restarts and kills.

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use support::*;

const PATIENCE: Duration = Duration::from_secs(90);
const SERIES: u64 = 300;
/// What each scrape adds, and what a stop writes once more: the page's `n`, and the five series that tell of the scrape.
const SAMPLES_PER_SCRAPE: u64 = SERIES + 6;
/// A commit interval of 300 ms, a scrape in flight, and what a busy machine adds.
const SCRAPES_IN_MEMORY: u64 = 8;

/// Values that no codec makes small; each says which scrape it is of.
fn noisy_exporter() -> Server {
    exporter(|n| {
        let line = |i: u64| format!("m{{i=\"{i}\"}} {}\n", (n as f64 * 7919.0 + i as f64).sin());
        format!("n {n}\n{}", (0..SERIES).map(line).collect::<String>())
    })
}

fn config(target: &Server, receivers: &[(&Receiver, &str)], buffer: &str) -> String {
    let mut text = format!(
        "[global]\nscrape_interval = '150ms'\nscrape_timeout = '150ms'\n[status]\nlisten = '127.0.0.1:0'\n\
         [uplink]\nspread = '0s'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n",
        target.address
    );
    for (i, (receiver, options)) in receivers.iter().enumerate() {
        text += &format!(
            "[[remote_write]]\nurl = 'http://{}/'\nname = 'r{i}'\nprotobuf_message = 'prometheus.WriteRequest'\n{options}\n\
             queue_config = {{ batch_send_deadline = '100ms', max_backoff = '300ms', max_samples_per_send = 500 }}\n",
            receiver.address()
        );
    }
    text + &format!("[buffer]\npath = 'ring'\nsize = '64KiB'\nsegment_size = '4KiB'\n{buffer}\n")
}

/// Lets so many requests through, and answers 503 to all others.
fn accept_only(receiver: &Receiver, requests: usize) -> Arc<AtomicUsize> {
    let accepted = Arc::new(AtomicUsize::new(0));
    let counted = accepted.clone();
    receiver.answer_with(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        seen if seen < requests => None,
        _ => Some(respond("503 Service Unavailable", "", b"")),
    });
    accepted
}

fn metric(page: &str, start: &str) -> u64 {
    let values = page.lines().filter(|line| line.starts_with(start)).filter_map(|line| line.rsplit(' ').next());
    values.map(|value| value.parse::<u64>().unwrap()).sum()
}

fn wait_for_pages(exporter: &Server, pages: usize) {
    let from = exporter.requests();
    eventually("scrapes", PATIENCE, || (exporter.requests() >= from + pages).then_some(()));
}

/// Samples that the agent has taken in, while no scrape is under way.
fn accepted(agent: &Agent, exporter: &Server, before: usize) -> u64 {
    let address = agent.status_address();
    eventually("a pause between scrapes", PATIENCE, || {
        let page = get(&address, "/metrics");
        let ended = metric(&page, "narthex_scrapes_total ");
        (ended as usize == exporter.requests() - before).then(|| metric(&page, "narthex_samples_accepted_total "))
    })
}

fn samples_at(receiver: &Receiver) -> u64 {
    receiver.samples.lock().unwrap().values().map(|samples| samples.len() as u64).sum()
}

/// `ring info` of the agent's ring.
fn ring_info(folder: &Path) -> String {
    let (ring, config) = (folder.join("ring"), folder.join("narthex.toml"));
    let shown = narthex(&["ring", "info", ring.to_str().unwrap(), "--config", config.to_str().unwrap()]);
    String::from_utf8(shown.stdout).unwrap()
}

/// What the ring counts as lost for an endpoint.
fn counted_in_ring(folder: &Path, endpoint: &str) -> u64 {
    let info = ring_info(folder);
    let start = format!("samples lost      {endpoint}: ");
    let causes = info.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_default().to_owned();
    causes.split(", ").filter_map(|cause| cause.split(' ').next()?.parse::<u64>().ok()).sum()
}

/// Samples that were scraped: at the least, and at the most where a scrape was under way when the agent ended.
#[derive(Default)]
struct Scraped {
    least: u64,
    most: u64,
}

impl Scraped {
    /// Ends an agent with SIGTERM, upon which it writes staleness markers.
    fn stop(&mut self, agent: Agent, exporter: &Server, before: usize) {
        let (accepted, requests) = (accepted(&agent, exporter, before), exporter.requests());
        agent.stop();
        let late = (exporter.requests() - requests) as u64 + 1;
        self.least += accepted + SAMPLES_PER_SCRAPE;
        self.most += accepted + late * SAMPLES_PER_SCRAPE;
    }

    /// Ends an agent with SIGKILL, which takes what was in memory only.
    fn kill(&mut self, agent: Agent, exporter: &Server, before: usize) {
        let (accepted, requests) = (accepted(&agent, exporter, before), exporter.requests());
        agent.kill();
        self.least += accepted.saturating_sub(SCRAPES_IN_MEMORY * SAMPLES_PER_SCRAPE);
        self.most += accepted + (exporter.requests() - requests) as u64 * SAMPLES_PER_SCRAPE;
    }
}

/// Senders held windows as large as all of a small ring. What the ring evicted meanwhile was counted nowhere when the agent stopped:
/// of 67,162 samples that were lost, none was counted.
#[test]
fn what_a_full_ring_evicts_is_counted_over_restarts_and_kills() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, plain, live) = (noisy_exporter(), Receiver::start(), Receiver::start());
    let receivers = [(&plain, ""), (&live, "catch_up = 'live_first'")];
    let text = config(&exporter, &receivers, "commit_interval = '300ms'");
    let mut scraped = Scraped::default();

    let agent = Agent::start(folder.path(), &text);
    eventually("samples at both", PATIENCE, || (samples_at(&plain).min(samples_at(&live)) > 1000).then_some(()));
    accept_only(&plain, 0);
    accept_only(&live, 0);
    wait_for_pages(&exporter, 20);
    scraped.stop(agent, &exporter, 0);

    let before = exporter.requests();
    let agent = Agent::start(folder.path(), &text);
    wait_for_pages(&exporter, 10);
    // Some requests of a window arrive, the others do not, and the ring evicts what they were made of.
    let some = accept_only(&plain, 3);
    eventually("some requests", PATIENCE, || (some.load(Ordering::SeqCst) > 3).then_some(()));
    wait_for_pages(&exporter, 16);
    scraped.stop(agent, &exporter, before);
    let counted = ["r0", "r1"].map(|endpoint| counted_in_ring(folder.path(), endpoint));
    assert!(
        counted.iter().all(|counted| *counted > 3 * SAMPLES_PER_SCRAPE),
        "{counted:?}\n{}",
        ring_info(folder.path())
    );

    let before = exporter.requests();
    let agent = Agent::start(folder.path(), &text);
    let page = get(&agent.status_address(), "/metrics");
    let shown = metric(&page, "narthex_samples_dropped_total{endpoint=\"r0\",cause=\"ring_full\"}");
    assert_eq!(shown, counted[0], "the count goes on");
    accept_only(&plain, usize::MAX);
    accept_only(&live, usize::MAX);
    let drained = |receiver: &Receiver| receiver.series("n{").values().any(|n| *n as usize >= before + 2);
    eventually("the drain", PATIENCE, || (drained(&plain) && drained(&live)).then_some(()));
    eventually("all in the ring", PATIENCE, || {
        (ring_info(folder.path()).matches("has everything").count() == 2).then_some(())
    });
    scraped.stop(agent, &exporter, before);
    for (receiver, endpoint) in [(&plain, "r0"), (&live, "r1")] {
        let (arrived, lost) = (samples_at(receiver), counted_in_ring(folder.path(), endpoint));
        let (least, most) = (scraped.least, scraped.most);
        assert!(
            (least..=most).contains(&(arrived + lost)),
            "{endpoint}: {arrived} arrived, {lost} counted of {least} to {most}"
        );
    }
}

#[test]
fn a_kill_in_an_outage_costs_no_count_but_what_was_in_memory_only() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, receiver) = (noisy_exporter(), Receiver::start());
    let text = config(&exporter, &[(&receiver, "")], "commit_interval = '300ms'");
    let mut scraped = Scraped::default();
    let agent = Agent::start(folder.path(), &text);
    eventually("samples", PATIENCE, || (samples_at(&receiver) > 1000).then_some(()));
    accept_only(&receiver, 0);
    wait_for_pages(&exporter, 24);
    scraped.kill(agent, &exporter, 0);
    assert!(counted_in_ring(folder.path(), "r0") > 2 * SAMPLES_PER_SCRAPE, "{}", ring_info(folder.path()));

    let before = exporter.requests();
    let agent = Agent::start(folder.path(), &text);
    accept_only(&receiver, usize::MAX);
    let drained = || receiver.series("n{").values().any(|n| *n as usize >= before + 2).then_some(());
    eventually("the drain", PATIENCE, drained);
    scraped.stop(agent, &exporter, before);
    let (arrived, lost) = (samples_at(&receiver), counted_in_ring(folder.path(), "r0"));
    let (least, most) = (scraped.least, scraped.most);
    assert!((least..=most).contains(&(arrived + lost)), "{arrived} arrived, {lost} counted of {least} to {most}");
}

/// Acknowledgements alone were written 30 seconds later: a device that lost its power in these sent the whole backlog again.
#[test]
fn a_kill_soon_after_a_backlog_has_drained_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, receiver) = (noisy_exporter(), Receiver::start());
    let text = config(&exporter, &[(&receiver, "")], "commit_interval = '300ms'").replace("64KiB", "1MiB");
    accept_only(&receiver, 0);
    let agent = Agent::start(folder.path(), &text);
    wait_for_pages(&exporter, 15);
    agent.kill();

    let before = exporter.requests();
    let text = text.replace("commit_interval = '300ms'", "commit_interval = '30s'");
    let agent = Agent::start(folder.path(), &text);
    accept_only(&receiver, usize::MAX);
    let has_arrived = |number: usize| receiver.series("n{").values().any(|n| *n as usize >= number).then_some(());
    eventually("the drain", PATIENCE, || has_arrived(before));
    eventually("the acknowledgement", Duration::from_secs(10), || {
        ring_info(folder.path()).contains("has everything").then_some(())
    });
    agent.kill();
    let before = exporter.requests();
    let agent = Agent::start(folder.path(), &text);
    eventually("samples after the kill", PATIENCE, || has_arrived(before + 3));
    assert_eq!(receiver.repeats.load(Ordering::SeqCst), 0, "samples were sent twice");
    agent.stop();
}

/// The log said that "samples in memory only are lost", and not how many of which times.
#[test]
fn a_stop_with_flash_that_refuses_writes_says_what_is_lost_of_each_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let ring = folder.path().join("ring");
    let made = narthex(&["ring", "format", ring.to_str().unwrap(), "--size", "64KiB", "--segment-size", "4KiB"]);
    assert!(made.status.success(), "{made:?}");
    let (exporter, down, up) = (noisy_exporter(), Receiver::start(), Receiver::start());
    accept_only(&down, 0);
    let text = config(&exporter, &[(&down, ""), (&up, "")], "commit_interval = '300ms'");
    // From here on every write to a file fails.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_narthex")]);
    let agent = Agent::start_by(shell, folder.path(), &text);
    wait_for_pages(&exporter, 5);
    let accepted = accepted(&agent, &exporter, 0);
    let (status, log) = agent.terminate();
    assert!(!status.success(), "samples were lost");
    let line = log.lines().find(|line| line.contains("in memory only")).unwrap_or_else(|| panic!("{log}"));
    let (start, rest) = line.split_once(" samples from ").expect("a number");
    let lost: u64 = start.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(lost >= accepted, "{lost} of {accepted}: {line}");
    assert!(start.contains("remote_write \"r0\": ") && rest.contains(" to 20") && rest.contains("Z dropped"), "{line}");
    let is_loss = |line: &str| line.contains("remote_write \"r1\": ") && line.contains("dropped");
    assert!(!log.lines().any(is_loss), "the other endpoint lost nothing: {log}");
}
