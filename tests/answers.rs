//! The built agent and the answers of its receiver: what is delivered, what is kept, what is dropped, and that each is counted.

mod support;

use std::time::{Duration, Instant};
use support::prometheus::{Prometheus, written_headers};
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A scrape every 100 ms of one exporter.
fn config(exporter: &Server, receiver: &Prometheus, endpoint: &str) -> String {
    format!(
        "[global]\nscrape_interval = '100ms'\nscrape_timeout = '100ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = ['{}'] }}]\n\
         [[remote_write]]\nurl = '{}'\nname = 'r'\n{endpoint}\n\
         queue_config = {{ batch_send_deadline = '100ms', max_backoff = '200ms' }}\n\
         [buffer]\npath = 'ring'\nsize = '1MiB'\nsegment_size = '16KiB'\n[status]\nlisten = '127.0.0.1:0'\n[uplink]\nspread = '0s'\n",
        exporter.address,
        receiver.url()
    )
}

/// Two series, whose values are the number of the scrape.
fn counting_exporter() -> Server {
    exporter(|n| format!("n {n}\nother {n}\n"))
}

fn dropped(agent: &Agent, cause: &str) -> u64 {
    let metrics = get(&agent.status_address(), "/metrics");
    let start = format!("narthex_samples_dropped_total{{endpoint=\"r\",cause=\"{cause}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("{start} is not in {metrics}")).parse().unwrap()
}

fn wait_for(receiver: &Prometheus, number: u64) {
    eventually(&format!("scrape {number} at the receiver"), PATIENCE, || {
        (receiver.values("n{").last() >= Some(&number)).then_some(())
    });
}

/// All scrapes up to the last one that arrived.
fn assert_complete(receiver: &Prometheus) {
    for series in ["n{", "other{"] {
        let values = receiver.values(series);
        assert!(values.iter().copied().eq(0..values.len() as u64), "{series} has {values:?}");
    }
}

/// While something else answered 2xx in the place of a receiver of 2.0, everything that it was sent was lost, and none of it counted.
#[test]
fn a_2xx_that_does_not_count_is_no_delivery_once_2_0_was_confirmed() {
    let json = "Content-Type: application/json\r\n";
    let impostors = [
        respond("200 OK", "Content-Type: text/plain\r\n", b"ok"),
        respond("200 OK", json, b"{\"error\":\"unauthorized\"}"),
        respond("204 No Content", "", b""),
        respond("200 OK", "Content-Type: text/plain\r\n", b"<!DOCTYPE html><html><title>log in</title>"),
    ];
    let (folder, exporter, receiver) = (tempfile::tempdir().unwrap(), counting_exporter(), Prometheus::start());
    let agent = Agent::start(folder.path(), &config(&exporter, &receiver, ""));
    wait_for(&receiver, 2);
    for impostor in impostors {
        let (before, held) = (exporter.requests(), receiver.samples_held());
        receiver.answer_with(move |_| Some(impostor.clone()));
        eventually("five scrapes", PATIENCE, || (exporter.requests() > before + 5).then_some(()));
        receiver.behave();
        eventually("the samples of that time", PATIENCE, || (receiver.samples_held() > held + 40).then_some(()));
    }
    assert!(receiver.came().iter().all(|request| request.is_v2), "2.0 throughout");
    assert_complete(&receiver);
    assert_eq!((dropped(&agent, "rejected"), dropped(&agent, "not_written")), (0, 0));
    assert!(agent.log().contains("without a count of what was written"), "{}", agent.log());
    assert!(agent.stop().0.success());
}

/// That 2.0 was confirmed is known after a kill, too: a portal that answers at boot gets nothing.
#[test]
fn that_2_0_was_confirmed_outlives_the_process() {
    let (folder, exporter, receiver) = (tempfile::tempdir().unwrap(), counting_exporter(), Prometheus::start());
    let config = config(&exporter, &receiver, "");
    let agent = Agent::start(folder.path(), &config);
    wait_for(&receiver, 3);
    assert!(agent.stop().0.success());
    let (came, delivered) = (receiver.came().len(), receiver.values("n{").len());
    receiver.answer_with(|_| Some(respond("204 No Content", "", b"")));
    let agent = Agent::start(folder.path(), &config);
    eventually("three answers", PATIENCE, || (receiver.came().len() > came + 3).then_some(()));
    receiver.behave();
    wait_for(&receiver, delivered as u64 + 5);
    assert!(receiver.came().iter().all(|request| request.is_v2), "2.0 throughout");
    assert_complete(&receiver);
    assert!(agent.stop().0.success());
}

/// With 1.0 an answer tells nothing but its kind.
#[test]
fn a_2xx_of_another_kind_than_before_is_no_delivery_with_1_0() {
    let (folder, exporter, receiver) = (tempfile::tempdir().unwrap(), counting_exporter(), Prometheus::start());
    let agent =
        Agent::start(folder.path(), &config(&exporter, &receiver, "protobuf_message = 'prometheus.WriteRequest'"));
    wait_for(&receiver, 2);
    for body in ["ok", "{\"status\":\"error\"}", " <html>"] {
        let (before, held) = (exporter.requests(), receiver.samples_held());
        receiver.answer_with(move |_| Some(respond("200 OK", "", body.as_bytes())));
        eventually("five scrapes", PATIENCE, || (exporter.requests() > before + 5).then_some(()));
        receiver.behave();
        eventually("the samples of that time", PATIENCE, || (receiver.samples_held() > held + 40).then_some(()));
    }
    assert_complete(&receiver);
    assert_eq!(dropped(&agent, "rejected"), 0);
    assert!(agent.stop().0.success());
}

/// Expired credentials and wrong routes used to burn the backlog, and the rest of it at the stop.
#[test]
fn a_4xx_that_says_nothing_of_the_samples_keeps_them() {
    let faults =
        ["401 Unauthorized", "403 Forbidden", "404 Not Found", "405 Method Not Allowed", "407 Proxy", "451 No"];
    let (folder, exporter, receiver) = (tempfile::tempdir().unwrap(), counting_exporter(), Prometheus::start());
    let config = config(&exporter, &receiver, "");
    let mut stopped_at = Vec::new();
    for fault in faults {
        let (came, held) = (receiver.came().len(), receiver.samples_held());
        receiver.answer_with(move |_| Some(respond(fault, "", b"no")));
        let agent = Agent::start(folder.path(), &config);
        eventually("two attempts", PATIENCE, || (receiver.came().len() >= came + 2).then_some(()));
        assert_eq!(dropped(&agent, "rejected"), 0, "{fault}");
        agent.wait_for_log("not delivered, will retry: HTTP 4");
        assert!(agent.log().contains("(check "), "it says what to do: {}", agent.log());
        let at_stop = receiver.came().len();
        let (status, took) = agent.stop();
        assert!(status.success() && took < Duration::from_secs(2), "{took:?}");
        stopped_at.push(exporter.requests() as u64);
        assert!(receiver.came().len() <= at_stop + 1, "nothing is sent that would only be refused");
        assert_eq!(receiver.samples_held(), held);
    }
    receiver.behave();
    let agent = Agent::start(folder.path(), &config);
    let last = exporter.requests() as u64 + 3;
    wait_for(&receiver, last);
    // A scrape that is under way at a stop is no sample.
    let values = receiver.values("n{");
    let is_missing = |number: &u64| !values.contains(number) && !stopped_at.contains(&(number + 1));
    let missing: Vec<u64> = (0..last).filter(is_missing).collect();
    assert!(missing.is_empty(), "{missing:?} are missing");
    assert!(agent.stop().0.success());
}

#[test]
fn give_up_on_drops_at_once_as_prometheus_does() {
    let (folder, exporter, receiver) = (tempfile::tempdir().unwrap(), counting_exporter(), Prometheus::start());
    receiver.answer_with(|_| Some(respond("401 Unauthorized", "", b"no")));
    let agent = Agent::start(folder.path(), &config(&exporter, &receiver, "give_up_on = [401, 403]"));
    eventually("dropped samples", PATIENCE, || (dropped(&agent, "rejected") > 20).then_some(()));
    receiver.behave();
    eventually("samples", PATIENCE, || (receiver.samples_held() > 20).then_some(()));
    assert!(agent.stop().0.success());
}

/// One old sample among 500 series with two scrapes in a request: the whole request was sent again in halves, and samples that the
/// receiver had were reported as dropped.
#[test]
fn what_a_receiver_of_2_0_wrote_in_part_is_not_sent_again() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Prometheus::start());
    let exporter = exporter(|n| (0..500).map(|i| format!("n{{i=\"{i}\"}} {n}\n")).collect());
    let config = config(&exporter, &receiver, "");
    // A sample of one series that is newer than all that will come of it.
    let poisoned = format!("n{{i=\"7\",instance=\"{}\",job=\"test\"}}", exporter.address);
    receiver.held.lock().unwrap().entry(poisoned.clone()).or_default().insert(i64::MAX, 0.0);
    let agent = Agent::start(folder.path(), &config);
    eventually("three thousand samples", PATIENCE, || (receiver.samples_held() > 3000).then_some(()));
    let log = agent.log();
    let address = agent.status_address();
    assert!(log.contains("out of order sample"), "{log}");
    assert!(agent.stop().0.success());
    drop(address);
    let mut times: Vec<(String, i64)> = Vec::new();
    for request in receiver.came() {
        times.extend(request.series.iter().flat_map(|(text, samples)| samples.iter().map(|(t, _)| (text.clone(), *t))));
    }
    let sent = times.len();
    times.sort_unstable();
    times.dedup();
    assert_eq!(sent, times.len(), "nothing was sent twice");
    let held = receiver.held.lock().unwrap();
    assert_eq!(held[&poisoned].len(), 1);
    assert!(
        held.iter()
            .filter(|(text, _)| text.starts_with("n{") && **text != poisoned)
            .all(|(_, samples)| samples.len() >= 5)
    );
}

/// Of a partial write what was not written is counted, no more and no less.
#[test]
fn a_partial_write_counts_what_was_not_written() {
    let (folder, exporter, receiver) = (tempfile::tempdir().unwrap(), counting_exporter(), Prometheus::start());
    let mut is_first = true;
    receiver.answer_with(move |incoming| {
        let headers = written_headers(incoming.samples() - 2);
        std::mem::take(&mut is_first).then(|| respond("400 Bad Request", &headers, b"out of bounds"))
    });
    let agent = Agent::start(folder.path(), &config(&exporter, &receiver, ""));
    let begun = Instant::now();
    wait_for(&receiver, 5);
    assert!(begun.elapsed() < PATIENCE);
    assert_eq!(dropped(&agent, "rejected"), 2);
    assert!(agent.stop().0.success());
}

/// A receiver that refused everything with 400 got the whole backlog, in halves, and none of it was kept.
#[test]
fn a_receiver_that_refuses_everything_gets_few_requests_and_everything_once_it_is_mended() {
    for message in ["auto", "prometheus.WriteRequest"] {
        let (folder, exporter, receiver) = (tempfile::tempdir().unwrap(), counting_exporter(), Prometheus::start());
        receiver.answer_with(|_| Some(respond("400 Bad Request", &written_headers(0), b"no such tenant")));
        let endpoint = format!("protobuf_message = '{message}'");
        let agent = Agent::start(folder.path(), &config(&exporter, &receiver, &endpoint));
        agent.wait_for_log("the receiver refuses every request");
        let scraped = exporter.requests();
        eventually("thirty scrapes", PATIENCE, || (exporter.requests() > scraped + 30).then_some(()));
        let came = receiver.came().len();
        assert!(came < 50, "{came} requests");
        assert_eq!((dropped(&agent, "rejected"), receiver.samples_held()), (0, 0));
        receiver.behave();
        wait_for(&receiver, exporter.requests() as u64 + 2);
        assert_complete(&receiver);
        assert_eq!(dropped(&agent, "rejected"), 0);
        assert!(agent.stop().0.success());
    }
}

/// A request that alone is refused is counted when the next one is accepted, and with 2.0 never sent again.
#[test]
fn a_poisoned_request_holds_up_nothing() {
    let (folder, exporter, receiver) = (tempfile::tempdir().unwrap(), counting_exporter(), Prometheus::start());
    receiver.answer_with(|incoming| {
        (incoming.number == 3).then(|| respond("400 Bad Request", &written_headers(0), b"label value too long"))
    });
    let agent = Agent::start(folder.path(), &config(&exporter, &receiver, ""));
    eventually("ten scrapes", PATIENCE, || (receiver.values("n{").len() > 10).then_some(()));
    let poisoned = receiver.came()[3].samples() as u64;
    assert_eq!(dropped(&agent, "rejected"), poisoned);
    assert!(agent.stop().0.success());
    let all = receiver.came();
    let times = |number: usize| all[number].series.iter().flat_map(|(text, s)| s.iter().map(move |(t, _)| (text, *t)));
    assert!(times(3).all(|sample| (4..all.len()).all(|number| times(number).all(|other| other != sample))));
}

/// At a limit of 1,000 bytes a body 4.8 times the bytes were sent.
#[test]
fn the_size_that_a_receiver_takes_is_learned() {
    let (folder, receiver) = (tempfile::tempdir().unwrap(), Prometheus::start());
    let exporter = exporter(|n| {
        let mut random = fastrand::Rng::with_seed(n as u64);
        (0..300).map(|i| format!("n{{i=\"{i}\"}} {}\n", random.f64())).collect()
    });
    receiver.answer_with(|incoming| {
        (incoming.body_bytes > 1000).then(|| respond("413 Request Entity Too Large", "", b"too large"))
    });
    let agent = Agent::start(folder.path(), &config(&exporter, &receiver, ""));
    eventually("fifty bodies that pass", PATIENCE, || {
        (receiver.came().iter().filter(|request| request.body_bytes <= 1000).count() > 50).then_some(())
    });
    let refused_at_first = receiver.came().iter().filter(|request| request.body_bytes > 1000).count();
    assert!(refused_at_first < 10, "{refused_at_first}");
    let came = receiver.came().len();
    eventually("fifty more", PATIENCE, || (receiver.came().len() > came + 50).then_some(()));
    assert!(receiver.came()[came..].iter().all(|request| request.body_bytes <= 1000), "the size is known");
    assert_eq!(dropped(&agent, "rejected"), 0);
    assert!(agent.stop().0.success());
}

/// What had been delivered before a kill was refused as out of order, sent again sample by sample, and counted as lost.
#[test]
fn what_was_delivered_before_a_kill_is_counted_as_repeated() {
    let (folder, exporter, receiver) = (tempfile::tempdir().unwrap(), counting_exporter(), Prometheus::start());
    let config = config(&exporter, &receiver, "protobuf_message = 'prometheus.WriteRequest'")
        .replace("[buffer]\n", "[buffer]\ncommit_interval = '0s'\n");
    receiver.answer_with(|_| Some(respond("503 Service Unavailable", "", b"")));
    let agent = Agent::start(folder.path(), &config);
    eventually("ten scrapes", PATIENCE, || (exporter.requests() > 10).then_some(()));
    receiver.behave();
    wait_for(&receiver, 8);
    agent.kill();
    let (came, delivered) = (receiver.came().len(), receiver.values("n{").len() as u64);
    // A later time of each series: what is sent again is out of order whatever was acknowledged.
    let agent = Agent::start(folder.path(), &config);
    wait_for(&receiver, delivered + 5);
    assert_eq!(dropped(&agent, "rejected"), 0);
    assert!(receiver.came().len() < came + 60, "{} requests", receiver.came().len() - came);
    assert!(agent.stop().0.success());
}
