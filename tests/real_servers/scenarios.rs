//! What the agent is put through.

use crate::agent::Agent;
use crate::bench::{Bench, Uplink};
use crate::compare::{Delivery, check, check_same};
use crate::pages::Exporter;
use crate::process::{now_ms, wait_for};
use crate::series::Stored;
use crate::staleness::check_gaps;
use crate::story::Story;
use std::thread::sleep;
use std::time::{Duration, Instant};

const DRAIN_MAX: Duration = Duration::from_secs(60);
/// A receiver that has something as new as this has caught up.
const FRESH_MS: i64 = 5000;

/// VictoriaMetrics shows a sample about a second after it took it, on a slow machine later.
const SETTLING: Duration = seconds(3);
const SETTLING_MAX: Duration = seconds(15);

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Both uplinks are gone for 30 s, and the agent is killed while they are.
#[test]
#[ignore = "needs Debian's prometheus, prometheus-node-exporter and victoria-metrics"]
fn an_outage_and_a_kill_lose_nothing_that_was_committed() {
    let commit_interval = seconds(2);
    let mut bench = Bench::new(commit_interval, "auto");
    let mut agent = bench.start_agent();
    run_for(seconds(10), &mut agent);
    wait_until_fresh(&bench, &mut agent);

    let outage = Instant::now();
    bench.prometheus.front.cut_between_requests();
    bench.victoria.front.cut_between_requests();
    run_for(seconds(12), &mut agent);
    assert!(bench.ring_bytes_written() > 0, "nothing is on flash 12 s into the outage");
    let killed_ms = agent.kill();
    drop(agent);
    sleep(seconds(2));
    let mut agent = bench.start_agent();
    run_for(seconds(30).saturating_sub(outage.elapsed()), &mut agent);
    bench.prometheus.front.restore();
    bench.victoria.front.restore();

    let mut story = Story {
        commit_interval_ms: commit_interval.as_millis() as i64,
        killed_ms: Some(killed_ms),
        stopped_ms: now_ms(),
    };
    wait_until_drained(&bench, &mut agent, &story);
    run_for(seconds(4), &mut agent);
    bench.wait_between_scrapes();
    story.stopped_ms = agent.stop();
    check_both(&bench, &story, Delivery::ExactlyOnce);
}

/// VictoriaMetrics is gone for 20 s, first without an answer, then with a refusal. Prometheus must not notice.
#[test]
#[ignore = "needs Debian's prometheus, prometheus-node-exporter and victoria-metrics"]
fn one_endpoint_down_holds_back_none() {
    const LAG_MS_MAX: i64 = 7000;
    let commit_interval = seconds(2);
    let mut bench = Bench::new(commit_interval, "auto");
    let mut agent = bench.start_agent();
    run_for(seconds(3), &mut agent);
    wait_until_fresh(&bench, &mut agent);

    let watch_prometheus = |bench: &Bench, agent: &mut Agent, down: &str| {
        let until = Instant::now() + seconds(10);
        while Instant::now() < until {
            agent.assert_running();
            for exporter in &bench.exporters {
                let lag_ms = bench.prometheus.lag_ms(exporter.job).unwrap();
                let job = exporter.job;
                assert!(lag_ms <= LAG_MS_MAX, "VictoriaMetrics {down}: Prometheus is {lag_ms} ms behind on job {job}");
            }
            sleep(Duration::from_millis(250));
        }
    };
    bench.victoria.front.black_hole();
    watch_prometheus(&bench, &mut agent, "does not answer");
    bench.victoria.front.cut();
    watch_prometheus(&bench, &mut agent, "refuses");
    let gap_ms = bench.victoria.lag_ms("node").unwrap();
    assert!(gap_ms > 15_000, "VictoriaMetrics got samples {gap_ms} ms ago: its uplink was not down");
    bench.victoria.front.restore();

    let mut story =
        Story { commit_interval_ms: commit_interval.as_millis() as i64, killed_ms: None, stopped_ms: now_ms() };
    wait_until_drained(&bench, &mut agent, &story);
    bench.wait_between_scrapes();
    story.stopped_ms = agent.stop();
    check_both(&bench, &story, Delivery::AtLeastOnce);
}

/// While both receivers take what they get, flash is left alone. The window is wide enough for a slow machine.
#[test]
#[ignore = "needs Debian's prometheus, prometheus-node-exporter and victoria-metrics"]
fn a_healthy_uplink_writes_no_flash() {
    let commit_interval = seconds(8);
    // What auto finds out is kept in the ring: a small write a day.
    let bench = Bench::new(commit_interval, "prometheus.WriteRequest");
    let mut agent = bench.start_agent();
    run_for(seconds(15), &mut agent);
    wait_until_fresh(&bench, &mut agent);
    assert_eq!(bench.ring_bytes_written(), 0, "bytes of the ring were written though both uplinks are up");
    bench.wait_between_scrapes();
    let stopped_ms = agent.stop();
    let story = Story { commit_interval_ms: commit_interval.as_millis() as i64, killed_ms: None, stopped_ms };
    check_both(&bench, &story, Delivery::ExactlyOnce);
}

fn run_for(time: Duration, agent: &mut Agent) {
    sleep(time);
    agent.assert_running();
}

/// Until both receivers have had several pages of both jobs, the newest of them just now.
fn wait_until_fresh(bench: &Bench, agent: &mut Agent) {
    wait_for(DRAIN_MAX, || {
        agent.assert_running();
        for (uplink, exporter) in pairs(bench) {
            let (product, job) = (uplink.receiver.product, exporter.job);
            let (numbers, newest_ms) = uplink.pages_held(job);
            if numbers.len() < 3 || newest_ms.is_none_or(|newest_ms| now_ms() - newest_ms > FRESH_MS) {
                return Err(format!("{product:?} has pages {numbers:?} of job {job}, the newest at {newest_ms:?}"));
            }
        }
        Ok(())
    });
}

/// Until both receivers have every page that was served before `story.stopped_ms`, and something new.
fn wait_until_drained(bench: &Bench, agent: &mut Agent, story: &Story) {
    wait_until_fresh(bench, agent);
    wait_for(DRAIN_MAX, || {
        agent.assert_running();
        for (uplink, exporter) in pairs(bench) {
            let (product, job) = (uplink.receiver.product, exporter.job);
            let held = uplink.pages_held(job).0;
            let due =
                exporter.served().pages.into_iter().filter(|page| story.must_arrive(page)).map(|page| page.number);
            let missing: Vec<_> = due.filter(|number| !held.contains(number)).collect();
            if missing.len() > uplink.failed_scrapes(job) {
                return Err(format!("{product:?} lacks pages {missing:?} of job {job}"));
            }
        }
        Ok(())
    });
}

fn pairs(bench: &Bench) -> impl Iterator<Item = (&Uplink, &Exporter)> {
    bench.uplinks().into_iter().flat_map(|uplink| bench.exporters.iter().map(move |exporter| (uplink, exporter)))
}

/// After the stop: all values, all gaps, in both receivers.
fn check_both(bench: &Bench, story: &Story, to_victoria: Delivery) {
    sleep(SETTLING);
    let settled = Instant::now();
    let mut reports = compare_both(bench, story, to_victoria);
    while !reports.is_empty() && settled.elapsed() < SETTLING_MAX {
        sleep(SETTLING);
        reports = compare_both(bench, story, to_victoria);
    }
    assert!(reports.is_empty(), "SIGTERM was at {}\n{}", story.stopped_ms, reports.join("\n"));
}

/// A paragraph for each view in which something is wrong.
fn compare_both(bench: &Bench, story: &Story, to_victoria: Delivery) -> Vec<String> {
    let mut reports = Vec::new();
    let mut of_prometheus = Stored::new();
    for exporter in &bench.exporters {
        let job = exporter.job;
        let (prometheus, complaints) = check(&bench.prometheus, exporter, story, Delivery::ExactlyOnce);
        reports.extend(complaints.report(&format!("Prometheus, job {job}")));
        let (victoria, complaints) = check(&bench.victoria, exporter, story, to_victoria);
        reports.extend(complaints.report(&format!("VictoriaMetrics, job {job}")));
        reports.extend(check_same(&prometheus, &victoria).report(&format!("The receivers differ on job {job}")));
        of_prometheus.extend(prometheus);
        // What was marked stale is gone at once; without marks it would be there for five minutes.
        let (up, later_ms) = (format!("up{{job=\"{job}\"}}"), now_ms() + 2000);
        if bench.prometheus.receiver.count_at(&up, later_ms) > 0 {
            reports.push(format!("after the stop, at {later_ms}, Prometheus still gives {up}"));
        }
    }
    let gaps = check_gaps(&bench.prometheus, &bench.exporters[1].served(), &of_prometheus, story);
    reports.extend(gaps.report("Prometheus's view of a series that comes and goes"));
    reports
}
