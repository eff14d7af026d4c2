//! The built agent on a link that costs money: rates are kept, budgets are kept over restarts, and what waits stays in the ring.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Two hundred series whose values nothing makes small: a request has some kilobytes.
fn noisy_exporter() -> Server {
    exporter(|n| {
        let mut random = fastrand::Rng::with_seed(n as u64);
        (0..200).map(|i| format!("noise{{i=\"{i}\"}} {}\n", random.f64())).collect()
    })
}

/// A receiver that takes everything, and the bytes of requests and answers so far.
fn counting_receiver() -> (Server, Arc<AtomicUsize>) {
    let bytes = Arc::<AtomicUsize>::default();
    let counted = bytes.clone();
    let server = Server::start(move |_, request| {
        let answer = respond("204 No Content", "", b"");
        counted.fetch_add(request.head.len() + request.body.len() + answer.len(), Ordering::SeqCst);
        answer
    });
    (server, bytes)
}

fn config(exporter: &Server, receiver: &Server, endpoint: &str, uplink: &str) -> String {
    format!(
        "[global]\nscrape_interval = '100ms'\nscrape_timeout = '100ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = '{}'\nprotobuf_message = 'prometheus.WriteRequest'\n{endpoint}\n\
         queue_config = {{ batch_send_deadline = '100ms' }}\n\
         [buffer]\npath = 'ring'\nsize = '4MiB'\nsegment_size = '64KiB'\ncommit_interval = '1s'\n\
         [uplink]\n{uplink}\n",
        exporter.address,
        receiver.url("/")
    )
}

fn start(folder: &Path, config: &str) -> Agent {
    Agent::start(folder, config)
}

#[test]
fn a_rate_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, (receiver, bytes)) = (noisy_exporter(), counting_receiver());
    let begun = Instant::now();
    let agent = start(folder.path(), &config(&exporter, &receiver, "max_bytes_per_second = '8KiB'", ""));
    eventually("32 KiB", PATIENCE, || (bytes.load(Ordering::SeqCst) > 32 * 1024).then_some(()));
    let seconds = begun.elapsed().as_secs_f64();
    // One second's worth at the start, and one request that was more than there was room for.
    let allowed = 8192.0 * (seconds + 1.0) + 60_000.0;
    assert!((bytes.load(Ordering::SeqCst) as f64) < allowed && seconds > 1.5, "{bytes:?} bytes in {seconds:.1} s");
    agent.kill();
}

/// Its account is in the ring, though nothing was ever written there but at the end.
#[test]
fn a_days_budget_is_kept_over_restarts_and_what_waits_stays() {
    let folder = tempfile::tempdir().unwrap();
    let (exporter, (receiver, bytes)) = (noisy_exporter(), counting_receiver());
    let config = config(&exporter, &receiver, "", "max_bytes_per_day = '64KiB'");
    let agent = start(folder.path(), &config);
    agent.wait_for_log("max_bytes_per_day 64KiB has no room for samples of class normal until");
    assert!(bytes.load(Ordering::SeqCst) <= 64 * 1024, "{bytes:?}");
    assert!(agent.stop().0.success());
    let spent = bytes.load(Ordering::SeqCst);
    assert!(spent > 16 * 1024 && spent <= 64 * 1024, "{spent}");

    let agent = start(folder.path(), &config);
    agent.wait_for_log("has no room for samples of class normal until");
    let scraped = exporter.requests();
    eventually("ten more scrapes", PATIENCE, || (exporter.requests() > scraped + 10).then_some(()));
    assert_eq!(agent.log().matches("has no room").count(), 1, "it is told once");
    assert!(agent.stop().0.success());
    // What is left of the budget may have had room for a smaller request.
    assert!(bytes.load(Ordering::SeqCst) <= 64 * 1024, "{bytes:?}");
    let info = narthex(&["ring", "info", folder.path().join("ring").to_str().unwrap()]);
    assert!(String::from_utf8(info.stdout).unwrap().contains("lacks"), "what was not sent waits in the ring");
}

#[test]
fn outside_its_window_only_what_matters_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let exporter = noisy_exporter();
    let ((first, urgent), (second, other)) = (counting_receiver(), counting_receiver());
    // A window that opens in two hours, whatever the time is.
    let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let (from, until) = ((now_s / 3600 + 2) % 24, (now_s / 3600 + 3) % 24);
    let uplink = format!("windows = ['{from:02}:00-{until:02}:00']");
    let endpoint =
        format!("priority = 'high'\nname = 'urgent'\n[[remote_write]]\nurl = '{}'\nname = 'other'", second.url("/"));
    let agent = start(folder.path(), &config(&exporter, &first, &endpoint, &uplink));
    eventually("ten requests", PATIENCE, || (first.requests() > 10).then_some(()));
    assert!(agent.stop().0.success());
    assert!(urgent.load(Ordering::SeqCst) > 0);
    assert_eq!(other.load(Ordering::SeqCst), 0);
}

/// Requests of metadata, which have a connection of their own, used to pass by the uplink's account.
#[test]
fn metadata_is_put_to_account_and_leaves_the_rest_of_the_day_to_samples() {
    let folder = tempfile::tempdir().unwrap();
    let (receiver, bytes) = counting_receiver();
    let exporter = exporter(|n| {
        let help = |i: u64| fastrand::Rng::with_seed(i).u128(..);
        let family = |i| format!("# HELP m{i} {:x}{:x}\n# TYPE m{i} gauge\nm{i} {n}\n", help(i), help(i + 100));
        (0..100).map(family).collect()
    });
    let endpoint = "metadata_config = { send = true, send_interval = '100ms' }";
    let agent = start(folder.path(), &config(&exporter, &receiver, endpoint, "max_bytes_per_day = '128KiB'"));
    agent.wait_for_log("max_bytes_per_day 128KiB has no room for metadata until");
    let scraped = exporter.requests();
    eventually("ten more scrapes", PATIENCE, || (exporter.requests() > scraped + 10).then_some(()));
    assert!(agent.stop().0.success());
    assert!(bytes.load(Ordering::SeqCst) <= 128 * 1024, "{bytes:?}");
}

/// Requests of metadata once passed no gate: they went out at any time, and no budget knew of them.
#[test]
fn outside_its_window_no_metadata_is_sent_either() {
    let (folder, exporter) =
        (tempfile::tempdir().unwrap(), exporter(|_| "# HELP n A number.\n# TYPE n gauge\nn 1\n".into()));
    let (receiver, _) = counting_receiver();
    let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let (from, until) = ((now_s / 3600 + 2) % 24, (now_s / 3600 + 3) % 24);
    let windows = format!("windows = ['{from:02}:00-{until:02}:00']");
    let endpoint = "metadata_config = { send = true, send_interval = '100ms' }";
    let agent = start(folder.path(), &config(&exporter, &receiver, endpoint, &windows));
    eventually("thirty scrapes", PATIENCE, || (exporter.requests() > 30).then_some(()));
    assert!(agent.stop().0.success());
    assert_eq!(receiver.requests(), 0);
}

/// What had to wait for the rate when the agent stopped was given up at once, though it could have gone in time.
#[test]
fn a_stop_waits_for_the_rate_as_long_as_there_is_time() {
    let (folder, exporter, receiver) =
        (tempfile::tempdir().unwrap(), exporter(|n| format!("n {n}\n")), Receiver::start());
    // Every request has to wait.
    let config = config(&exporter, receiver.server.as_ref().unwrap(), "max_bytes_per_second = '2KiB'", "");
    let agent = start(folder.path(), &config);
    eventually("forty scrapes", PATIENCE, || (receiver.series("n{").len() > 40).then_some(()));
    let (status, took) = agent.stop();
    assert!(status.success() && took < Duration::from_secs(4), "{took:?}");
    assert!(receiver.series("n{").values().any(|value| value.is_nan()), "the staleness marker arrived");
}
