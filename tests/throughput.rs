//! The built agent between exporters and a receiver that is slow to answer, or was away: whether it keeps up, and how soon it
//! catches up.
//!
//! What the ignored ones measure is in docs/figures.md: `cargo throughput-figures`.

mod support;

use narthex::remote_write::messages::WriteRequest;
use prost::Message;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};
use support::*;

const PATIENCE: Duration = Duration::from_secs(60);
/// Of each page.
const SERIES: usize = 512;

/// Pages whose values are the number of the scrape.
fn exporters(count: usize) -> Vec<Server> {
    let page = |n: usize| (0..SERIES).map(|i| format!("m{{i=\"{i}\"}} {n}\n")).collect();
    (0..count).map(|_| exporter(page)).collect()
}

fn scraped(exporters: &[Server]) -> usize {
    exporters.iter().map(Server::requests).sum::<usize>() * SERIES
}

/// A receiver that answers after a while, or is away, and what it has been sent.
struct Slow {
    server: Server,
    is_away: Arc<AtomicBool>,
    samples: Arc<AtomicUsize>,
    largest_bytes: Arc<AtomicUsize>,
    first_request: Arc<Mutex<Option<Instant>>>,
}

impl Slow {
    fn start(answer_after: Duration) -> Slow {
        let (is_away, first_request) = (Arc::<AtomicBool>::default(), Arc::<Mutex<Option<Instant>>>::default());
        let (samples, largest_bytes) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let shared = (is_away.clone(), samples.clone(), largest_bytes.clone(), first_request.clone());
        let server = Server::start(move |_, request| {
            let (is_away, samples, largest_bytes, first_request) = &shared;
            if is_away.load(Ordering::SeqCst) {
                return respond("503 Service Unavailable", "", b"");
            }
            first_request.lock().unwrap().get_or_insert_with(Instant::now);
            sleep(answer_after);
            largest_bytes.fetch_max(request.body.len(), Ordering::SeqCst);
            let plain = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
            let message = WriteRequest::decode(&plain[..]).unwrap();
            let of_pages = message.timeseries.iter().filter(|series| series.labels.iter().any(|l| l.value == "m"));
            samples.fetch_add(of_pages.map(|series| series.samples.len()).sum(), Ordering::SeqCst);
            respond("204 No Content", "", b"")
        });
        Slow { server, is_away, samples, largest_bytes, first_request }
    }

    fn samples(&self) -> usize {
        self.samples.load(Ordering::SeqCst)
    }

    fn back(&self) -> Instant {
        *self.first_request.lock().unwrap() = None;
        self.is_away.store(false, Ordering::SeqCst);
        Instant::now()
    }
}

fn start(folder: &Path, interval: &str, exporters: &[Server], receiver: &Slow, more: &str) -> Agent {
    let targets: Vec<String> = exporters.iter().map(|server| format!("'{}'", server.address)).collect();
    let config = format!(
        "[global]\nscrape_interval = '{interval}'\nscrape_timeout = '{interval}'\n\
         [[scrape_configs]]\njob_name = 'test'\nstatic_configs = [{{ targets = [{}] }}]\n\
         [[remote_write]]\nurl = '{}'\nprotobuf_message = 'prometheus.WriteRequest'\n\
         [buffer]\npath = 'ring'\nsize = '64MiB'\n{more}",
        targets.join(", "),
        receiver.server.url("/")
    );
    Agent::start(folder, &config)
}

/// One request at a time, of 2,000 samples each, used to be all that a receiver whose answers take long got: 5,000 samples a
/// second here, of the 10,000 that are scraped, and the backlog grew without end.
#[test]
fn slow_answers_hold_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let (exporters, receiver) = (exporters(4), Slow::start(Duration::from_millis(400)));
    let agent = start(folder.path(), "200ms", &exporters, &receiver, "[uplink]\nspread = '0s'\n");
    eventually("twenty scrapes of each target", PATIENCE, || (scraped(&exporters) >= 80 * SERIES).then_some(()));
    let then = scraped(&exporters);
    // Two answers and a scrape.
    let soon = Instant::now();
    eventually("all of them at the receiver", PATIENCE, || (receiver.samples() >= then).then_some(()));
    let behind = scraped(&exporters) - receiver.samples().min(scraped(&exporters));
    assert!(behind <= 3 * 10_240, "{behind} samples behind, after {:?}", soon.elapsed());
    assert!(receiver.largest_bytes.load(Ordering::SeqCst) < 256 * 1024);
    agent.kill();
}

/// The ramp that spares a receiver whose fleet returns used to be of twenty requests, and longer after each refusal: four times as
/// long where the receiver had answered 503 before. So a device that was alone took more than a minute to send what waited.
#[test]
fn a_receiver_that_is_back_gets_what_waits_within_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let (exporters, receiver) = (exporters(3), Slow::start(Duration::ZERO));
    receiver.is_away.store(true, Ordering::SeqCst);
    let agent = start(folder.path(), "200ms", &exporters, &receiver, "[uplink]\nspread = '2s'\n");
    eventually("three refusals", PATIENCE, || (receiver.server.requests() >= 3).then_some(()));
    let waiting = scraped(&exporters);
    receiver.back();
    eventually("a request", PATIENCE, || *receiver.first_request.lock().unwrap());
    // 1.2 seconds at most, where it was twenty.
    eventually("what waited", Duration::from_secs(6), || (receiver.samples() >= waiting).then_some(()));
    agent.kill();
}

/// Two seconds an answer, 5,120 samples a second, all defaults.
#[test]
#[ignore = "a minute and a half; prints figures: cargo throughput-figures"]
fn five_thousand_samples_a_second_with_two_seconds_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (exporters, receiver) = (exporters(10), Slow::start(Duration::from_secs(2)));
    let agent = start(folder.path(), "1s", &exporters, &receiver, "");
    println!("| second | scraped | at the receiver | behind | largest request, bytes |");
    println!("|---|---|---|---|---|");
    let mut behind = 0;
    for second in 1..=9 {
        sleep(Duration::from_secs(10));
        let (scraped, arrived) = (scraped(&exporters), receiver.samples());
        behind = scraped.saturating_sub(arrived);
        let bytes = receiver.largest_bytes.load(Ordering::SeqCst);
        println!("| {}0 | {scraped} | {arrived} | {behind} | {bytes} |", second);
    }
    // A backlog that grows has a hundred thousand by then.
    assert!(behind < 10 * 5120, "{behind}");
    agent.kill();
}

/// Ten targets at a second, 90 seconds of 503, all defaults: counted from when the receiver is back.
#[test]
#[ignore = "two minutes a time; prints figures: cargo throughput-figures"]
fn ninety_seconds_of_outage_are_made_up_for_in_ten() {
    println!("| run | waiting | first request after | all there after |");
    println!("|---|---|---|---|");
    for run in 1..=5 {
        let folder = tempfile::tempdir().unwrap();
        let (exporters, receiver) = (exporters(10), Slow::start(Duration::ZERO));
        let agent = start(folder.path(), "1s", &exporters, &receiver, "");
        eventually("the first requests", PATIENCE, || (receiver.samples() > 10 * 5 * SERIES).then_some(()));
        sleep(Duration::from_secs(5));
        receiver.is_away.store(true, Ordering::SeqCst);
        sleep(Duration::from_secs(90));
        let (back, waiting) = (receiver.back(), scraped(&exporters));
        let behind = waiting - receiver.samples();
        eventually("what waited", PATIENCE, || (receiver.samples() >= waiting).then_some(()));
        let all = back.elapsed().as_secs_f64();
        let first = receiver.first_request.lock().unwrap().expect("requests came") - back;
        println!("| {run} | {behind} | {:.1} s | {all:.1} s |", first.as_secs_f64());
        assert!(all < 10.0, "{all}");
        agent.kill();
    }
}
