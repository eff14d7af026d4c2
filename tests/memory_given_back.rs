//! What an outage adds to the built agent's memory, and that the system gets it back.

mod support;

use std::fs;
use std::time::{Duration, Instant};
use support::*;

const PATIENCE: Duration = Duration::from_secs(120);

/// An agent with `targets` targets of `series` series each.
struct Trial {
    targets: usize,
    series: usize,
    interval: &'static str,
    commit_interval: &'static str,
    /// Pages of each target in the outage.
    outage_pages: usize,
    /// How long the memory may take to go back.
    limit: Duration,
}

impl Trial {
    fn config(&self, exporter: &Server, receiver: &Receiver) -> String {
        let (address, interval, commit_interval) = (exporter.address, self.interval, self.commit_interval);
        let targets: Vec<String> =
            (0..self.targets).map(|i| format!("{{ targets = ['{address}'], labels = {{ t = '{i}' }} }}")).collect();
        format!(
            "[global]\nscrape_interval = '{interval}'\nscrape_timeout = '{interval}'\n\
             [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{}]\n\
             [[remote_write]]\nurl = 'http://{}/'\nname = 'r'\nprotobuf_message = 'prometheus.WriteRequest'\n\
             queue_config = {{ batch_send_deadline = '1s', max_backoff = '500ms' }}\n[uplink]\nspread = '0s'\n\
             [buffer]\npath = 'ring'\nsize = '64MiB'\ncommit_interval = '{commit_interval}'\n",
            targets.join(", "),
            receiver.address()
        )
    }

    fn run(&self) {
        let folder = tempfile::tempdir().unwrap();
        let series = self.series;
        let exporter = exporter(move |n| (0..series).map(|i| format!("m{{i=\"{i}\"}} {n}\n")).collect());
        let mut receiver = Receiver::start();
        // What arrives is counted here by its requests alone: the test's own memory is not to grow.
        receiver.answer_with(|_| Some(respond("204 No Content", "", b"")));
        let agent = Agent::start(folder.path(), &self.config(&exporter, &receiver));
        let pages = |count: usize| {
            let until = exporter.requests() + count * self.targets;
            eventually("pages", PATIENCE, || (exporter.requests() >= until).then_some(()));
        };
        pages(3);
        let delivered = resident(&agent);
        let address = receiver.go_away();
        pages(self.outage_pages);
        let outage = resident(&agent);
        receiver.back_at(address);
        agent.wait_for_log("delivered again");
        let begun = Instant::now();
        // What is freed and not given back stays resident: glibc alone gives back a twentieth.
        let most = resident(&agent).max(outage);
        let allowed = most - most / 10;
        let afterwards =
            eventually("memory that goes back", self.limit, || Some(resident(&agent)).filter(|kib| *kib <= allowed));
        println!(
            "resident KiB: {delivered} delivered, {outage} in an outage, {most} at most, {afterwards} {:?} after the receiver came back",
            begun.elapsed()
        );
    }
}

/// Memory of the agent that is not of a file, in KiB.
fn resident(agent: &Agent) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    let anonymous =
        status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")?.parse().ok());
    anonymous.unwrap()
}

/// The codec of the open segment, its frames and the free memory of the heap used to stay for good.
#[test]
fn memory_of_an_outage_goes_back_to_the_system() {
    let trial = Trial {
        targets: 10,
        series: 3000,
        interval: "1s",
        commit_interval: "200ms",
        outage_pages: 3,
        limit: Duration::from_secs(60),
    };
    trial.run();
}

/// As long and as large as it was measured at first: `cargo memory-figures`.
#[test]
#[ignore = "takes four minutes"]
fn memory_of_two_hundred_targets_goes_back_within_a_minute() {
    let trial = Trial {
        targets: 200,
        series: 507,
        interval: "5s",
        commit_interval: "30s",
        outage_pages: 24,
        limit: Duration::from_secs(60),
    };
    trial.run();
}
