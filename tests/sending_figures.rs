//! What sending costs, on recorded node-exporter pages: bytes on the wire, the agent's processor time and memory.
//!
//! `NARTHEX_PAGES=folder cargo sending-figures`
//!
//! The agent under test is the one that is built along, or the program that `NARTHEX_BINARY` names. Its processor time is its
//! own, so that the receiver, which is in this process, and whatever else runs here count little.

#[path = "sending_figures/pages.rs"]
mod pages;
#[path = "sending_figures/receiver.rs"]
mod receiver;

use narthex::config;
use narthex::counters::EndpointCounters;
use narthex::dns::Resolver;
use narthex::model::{ScrapeBatch, Window};
use narthex::remote_write::{Action, Body, Content, Encoder, EndpointOptions, Queue, Uplink, Version};
use receiver::Counts;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const V1: &str = "prometheus.WriteRequest";
const V2: &str = "io.prometheus.write.v2.Request";

/// Two pages of 512 samples, every 15 s.
const DAY_TARGETS: usize = 2;
const DAY_TIMES: usize = 24 * 3600 / 15;

#[test]
#[ignore = "needs recorded pages and a release build"]
fn a_days_backlog_of_a_thousand_series() {
    let pages = pages::recorded();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let full = folder.path().join("full");
    let samples =
        pages::fill_ring(&configure(folder.path(), "http://localhost", V2, ""), &pages, DAY_TARGETS, DAY_TIMES);
    std::fs::rename(folder.path().join("ring"), &full).unwrap();
    let ring_bytes = std::fs::metadata(&full).unwrap().len();
    println!("{samples} samples of {DAY_TIMES} scrapes of {DAY_TARGETS} targets, a ring of {} MiB", ring_bytes >> 20);
    for (message, tls) in [(V1, false), (V2, false), (V2, true)] {
        std::fs::copy(&full, folder.path().join("ring")).unwrap();
        let (url, counts) = receiver::start(tls.then_some(folder.path()));
        let config = configure(folder.path(), &url, message, "");
        let usage = drain(&config, &counts, samples);
        let idle = Agent::start(&config);
        std::thread::sleep(Duration::from_secs(3));
        let idle_kib = idle.kib("VmRSS");
        let (rate, more_kib) = (samples as f64 / usage.processor.as_secs_f64(), usage.resident_max_kib - idle_kib);
        println!(
            "{message}{}: {rate:.0} samples/s of processor time, {:.0} samples/s; at most {} KiB resident, {more_kib} more than idle; {}",
            if tls { " over TLS" } else { "" },
            samples as f64 / usage.took.as_secs_f64(),
            usage.resident_max_kib,
            wire(&counts),
        );
        assert!(rate > 1e6 && (tls || more_kib * 1024 < 2_000_000), "{rate} samples/s, {more_kib} KiB");
    }
}

#[test]
#[ignore = "needs recorded pages"]
fn wire_bytes_of_a_backlog() {
    let pages = pages::recorded();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let full = folder.path().join("full");
    for targets in [1, 10] {
        let config = configure(folder.path(), "http://localhost", V2, "");
        let samples = pages::fill_ring(&config, &pages, targets, pages.len() / 10);
        std::fs::rename(folder.path().join("ring"), &full).unwrap();
        println!("{samples} samples of {} scrapes of {targets} targets", pages.len() / 10);
        for tls in [false, true] {
            for message in [V1, V2] {
                for most in [500, 1000, 2000, 5000, 10_000] {
                    std::fs::copy(&full, folder.path().join("ring")).unwrap();
                    let (url, counts) = receiver::start(tls.then_some(folder.path()));
                    let queue = format!("queue_config.max_samples_per_send = {most}");
                    drain(&configure(folder.path(), &url, message, &queue), &counts, samples);
                    println!(
                        "{message}{}, {most} samples a request: {}",
                        if tls { " over TLS" } else { "" },
                        wire(&counts)
                    );
                    let promised = if message == V1 { 5.0 } else { 4.5 };
                    assert!(most < 2000 || counts.bytes_a_sample() <= promised, "{}", counts.bytes_a_sample());
                }
            }
        }
    }
}

/// Requests as they are made of so many scrapes at a time: what `batch_send_deadline` is about.
#[test]
#[ignore = "needs recorded pages"]
fn bytes_by_samples_of_each_series() {
    let pages = pages::recorded();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    for targets in [1, 10] {
        let mut batches = Vec::new();
        // A whole number of windows of each size, so that all are made of the same samples.
        let times = pages.len() / 10 / 60 * 60;
        pages::scrape(&pages, targets, times, Rc::default(), |batch, _| batches.push(Rc::new(batch)));
        for (message, version) in [(V1, Version::V1), (V2, Version::V2)] {
            for together in [1, 2, 4, 10, 30] {
                let (url, counts) = receiver::start(None);
                let config = config::load(&configure(folder.path(), &url, message, "")).unwrap();
                let mut sender = Sender::new(&config.endpoints[0], version);
                batches.chunks(together * targets).for_each(|window| sender.send(window.to_vec()));
                println!("{targets} targets, {message}: {}", wire(&counts));
            }
        }
    }
}

/// Makes requests of windows and sends them, as an endpoint's task does.
struct Sender {
    version: Version,
    queue: Queue,
    encoder: Encoder,
    body: Body,
    uplink: Uplink,
}

impl Sender {
    fn new(options: &EndpointOptions, version: Version) -> Sender {
        Sender {
            version,
            queue: Queue::new("figures", &options.queue, options.message, 0),
            encoder: Encoder::new(Content::default()),
            body: Body::default(),
            uplink: Uplink::new(options, Resolver::new()).unwrap(),
        }
    }

    fn send(&mut self, batches: Vec<Rc<ScrapeBatch>>) {
        let counters = EndpointCounters::default();
        self.queue.offer(Window { batches, ..Window::default() });
        while let Action::Send(attempt) = self.queue.poll(Duration::ZERO) {
            let sent = self.encoder.encode(self.version, attempt.batches, attempt.request, &mut self.body);
            let outcome = smol::block_on(self.uplink.send(self.body.as_bytes(), self.version.headers(), 0));
            self.queue.on_outcome(Duration::ZERO, &sent, &outcome, &counters);
        }
        assert_eq!((counters.retries.get(), counters.requests.get() > 0), (0, true));
    }
}

fn configure(folder: &Path, url: &str, message: &str, more: &str) -> PathBuf {
    let file = folder.join("narthex.toml");
    let trust = if url.starts_with("https") { "tls_config.ca_file = 'ca.pem'" } else { "" };
    let text = format!(
        "[[scrape_configs]]\njob_name = 'none'\nscrape_interval = '1d'\nstatic_configs = [{{ targets = ['127.0.0.1:1'] }}]\n\
         [[remote_write]]\nname = 'r'\nurl = '{url}'\nprotobuf_message = '{message}'\n{trust}\n{more}\n\
         [buffer]\npath = 'ring'\n"
    );
    std::fs::write(&file, text).unwrap();
    file
}

/// What an agent took to send its backlog.
struct Usage {
    processor: Duration,
    took: Duration,
    resident_max_kib: u64,
}

fn drain(config: &Path, counts: &Arc<Counts>, samples: u64) -> Usage {
    let agent = Agent::start(config);
    let patience = Instant::now() + Duration::from_secs(600);
    while counts.samples.load(Ordering::Relaxed) < samples {
        assert!(Instant::now() < patience, "{} of {samples} samples came", counts.samples.load(Ordering::Relaxed));
        std::thread::sleep(Duration::from_millis(5));
    }
    let (processor, resident_max_kib) = (agent.processor(), agent.kib("VmHWM"));
    let (first, last) = counts.times.lock().unwrap().unwrap();
    Usage { processor, took: last - first, resident_max_kib }
}

fn wire(counts: &Counts) -> String {
    let of = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed) as f64;
    let samples = of(&counts.samples);
    format!(
        "{:.1} samples a series in {} requests: {:.2} bytes a sample in bodies, {:.2} with all that is sent, {:.2} with answers",
        samples / of(&counts.series),
        of(&counts.requests),
        of(&counts.body_bytes) / samples,
        counts.bytes_a_sample(),
        (of(&counts.received_bytes) + of(&counts.answered_bytes)) / samples,
    )
}

/// The built agent, ended with SIGTERM.
struct Agent(Child);

impl Agent {
    fn start(config: &Path) -> Agent {
        let binary = std::env::var_os("NARTHEX_BINARY").unwrap_or(env!("CARGO_BIN_EXE_narthex").into());
        let mut command = Command::new(binary);
        command.args(["run", "--log-level", "warn", "--config"]).arg(config);
        Agent(command.stdin(Stdio::null()).spawn().unwrap())
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).unwrap()
    }

    /// User and system time so far.
    fn processor(&self) -> Duration {
        const TICK: Duration = Duration::from_millis(10);
        let stat = self.proc("stat");
        let after_name = stat.rsplit_once(')').unwrap().1;
        let ticks: u32 =
            after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u32>().unwrap()).sum();
        TICK * ticks
    }

    fn kib(&self, key: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        _ = Command::new("kill").arg(self.0.id().to_string()).status();
        _ = self.0.wait();
    }
}
