//! The built agent, killed at random moments with the uplink down and up: what the receiver has at the end is held against
//! what the exporter served and against what was on flash at each kill.
//!
//! `cargo test --test kill` kills ten times for each commit interval, `cargo kills` two hundred times. A failure prints the
//! seed; `KILL_SEED=n` takes it up again, as far as the scheduler lets it.

mod support;

use narthex::buffer::Buffer;
use narthex::config;
use narthex::counters::Counters;
use narthex::model::SeriesTable;
use narthex::remote_write::messages::WriteRequest;
use narthex::ring::FileMedium;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use support::*;

const SERIES: usize = 20;
const INTERVAL: Duration = Duration::from_millis(100);

/// The commit interval of 300 ms, a scrape in flight, and a sync that a busy machine is slow with.
const COMMITTED_WITHIN: Duration = Duration::from_millis(1000);

/// From a receiver's answer to the acknowledgement that the next frame carries, on a slow machine.
const ANSWER_TIME: Duration = Duration::from_millis(250);

#[test]
fn ten_kills_lose_nothing_that_was_committed() {
    kill_again_and_again(10, "300ms");
}

#[test]
fn ten_kills_with_a_commit_for_each_scrape_lose_at_most_the_one_in_flight() {
    kill_again_and_again(10, "0s");
}

#[test]
#[ignore = "takes minutes: cargo kills"]
fn two_hundred_kills_lose_nothing_that_was_committed() {
    kill_again_and_again(200, "300ms");
}

#[test]
#[ignore = "takes minutes: cargo kills"]
fn two_hundred_kills_with_a_commit_for_each_scrape_lose_at_most_the_one_in_flight() {
    kill_again_and_again(200, "0s");
}

fn kill_again_and_again(kills: usize, commit_interval: &str) {
    let seed = std::env::var("KILL_SEED").ok().map_or_else(|| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("KILL_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().unwrap();
    let (exporter, receiver) = (Exporter::start(), KeepingReceiver::start());
    let mut lives = Vec::new();
    for life in 0..kills {
        receiver.is_up.store(random.bool(), Ordering::SeqCst);
        let agent = Agent::start(folder.path(), &config_text(&exporter, &receiver, commit_interval, life));
        let longest_ms = *random.choice(&[400, 400, 400, 1500, 1500, 3000]).unwrap();
        let span = Duration::from_millis(random.u64(..longest_ms));
        if random.bool() {
            // The uplink comes or goes in the middle of it.
            let before = span.mul_f64(random.f64());
            thread::sleep(before);
            receiver.is_up.fetch_xor(true, Ordering::SeqCst);
            thread::sleep(span - before);
        } else {
            thread::sleep(span);
        }
        let killed = Instant::now();
        agent.kill();
        let committed = pages_on_flash(folder.path());
        lives.push(Life { killed, committed });
    }
    receiver.is_up.store(true, Ordering::SeqCst);
    let last_start = exporter.served();
    let agent = Agent::start(folder.path(), &config_text(&exporter, &receiver, commit_interval, kills));
    eventually("five pages after the last start", Duration::from_secs(60), || {
        receiver.pages().last_key_value().filter(|(_, page)| **page > last_start as u64 + 5).map(|_| ())
    });
    assert!(agent.stop().0.success());
    let account = Account { exporter: &exporter, receiver: &receiver, lives: &lives };
    account.nothing_is_invented();
    account.nothing_committed_is_missing();
    account.what_is_missing_was_in_memory_at_a_kill(commit_interval);
    account.repeats_are_those_whose_acknowledgement_a_kill_took();
    account.print();
}

/// One run of the agent, up to its kill.
struct Life {
    killed: Instant,
    /// Scrapes that were on flash when it was dead, and not known to be delivered: their times, and the pages of those that
    /// did not fail.
    committed: BTreeMap<i64, Option<u64>>,
}

fn config_text(exporter: &Exporter, receiver: &KeepingReceiver, commit_interval: &str, life: usize) -> String {
    format!(
        "[global]\nscrape_interval = '{interval}ms'\nscrape_timeout = '{interval}ms'\n\
         [[scrape_configs]]\njob_name = 'test'\nmetrics_path = '/{life}'\nstatic_configs = [{{ targets = ['{target}'] }}]\n\
         [[remote_write]]\nurl = '{url}'\nname = 'r0'\nremote_timeout = '5s'\n\
         queue_config = {{ batch_send_deadline = '50ms', max_backoff = '200ms' }}\n\
         [buffer]\npath = 'ring'\nsize = '2MiB'\nsegment_size = '32KiB'\ncommit_interval = '{commit_interval}'\n",
        interval = INTERVAL.as_millis(),
        target = exporter.server.address,
        url = receiver.server.url(&format!("/write/{life}")),
    )
}

/// What a start would find that the endpoint lacks: times and pages, read from a copy, as the agent itself reads it.
fn pages_on_flash(folder: &Path) -> BTreeMap<i64, Option<u64>> {
    let mut pages = BTreeMap::new();
    let copy = folder.join("copy");
    if std::fs::copy(folder.join("ring"), &copy).is_err() {
        // Killed before it made the ring.
        return pages;
    }
    let text = std::fs::read_to_string(folder.join("narthex.toml")).unwrap();
    let options = config::parse(&text, &folder.join("narthex.toml")).unwrap().buffer.unwrap();
    let (medium, _) = FileMedium::open(&copy, options.layout()).unwrap();
    let (table, counters) = (Rc::<SeriesTable>::default(), Rc::<Counters>::default());
    let opened = Buffer::open(medium, options.layout(), options.commit_interval, &["r0"], table, counters.clone());
    let mut buffer = opened.unwrap().0;
    while let Some(window) = buffer.window(0).unwrap() {
        for batch in &window.batches {
            let mut samples = batch.series.iter().zip(&batch.values);
            let page = samples.find(|(series, value)| series.get("__name__") == Some("n") && !value.is_nan());
            pages.insert(batch.timestamp_ms, page.map(|(_, value)| *value as u64));
        }
        buffer.ack(0, window.next_record, Duration::ZERO);
    }
    assert_eq!(counters.endpoint(0).dropped_total(), 0, "a kill damages nothing");
    pages
}

/// Pages `n`, each served once.
struct Exporter {
    server: Server,
    served: Arc<Mutex<Vec<Served>>>,
}

/// When a page was served, and to which run of the agent.
struct Served {
    at: Instant,
    wall_ms: i64,
    life: usize,
}

impl Exporter {
    fn start() -> Exporter {
        let served = Arc::<Mutex<Vec<Served>>>::default();
        let kept = served.clone();
        let server = Server::start(move |_, request| {
            let mut served = kept.lock().unwrap();
            let n = served.len() as u64;
            served.push(Served { at: Instant::now(), wall_ms: wall_ms(), life: life_of(&request, "/") });
            let others: Vec<String> = (0..SERIES).map(|i| format!("m{{i=\"{i}\"}} {}\n", value(n, i))).collect();
            page(&format!("n {n}\n{}", others.concat()))
        });
        Exporter { server, served }
    }

    fn served(&self) -> usize {
        self.served.lock().unwrap().len()
    }
}

/// The number of the run, which its configuration put into the paths of its requests.
fn life_of(request: &Request, before: &str) -> usize {
    let path = request.head.split(' ').nth(1).unwrap();
    path.strip_prefix(before).unwrap().parse().unwrap()
}

/// What series `i` is on page `n`.
fn value(n: u64, i: usize) -> f64 {
    ((n * 7919 + i as u64) as f64).sin()
}

fn wall_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// One time that a sample arrived: by which run of the agent it was sent.
#[derive(Clone, Copy)]
struct Arrival {
    value: f64,
    life: usize,
    at: Instant,
}

type Arrivals = BTreeMap<(String, i64), Vec<Arrival>>;

/// A receiver that keeps every arrival of every sample, and hangs up on everybody while the uplink is down.
struct KeepingReceiver {
    server: Server,
    is_up: Arc<AtomicBool>,
    arrivals: Arc<Mutex<Arrivals>>,
}

impl KeepingReceiver {
    fn start() -> KeepingReceiver {
        let (is_up, arrivals) = (Arc::new(AtomicBool::new(true)), Arc::<Mutex<Arrivals>>::default());
        let (up, kept) = (is_up.clone(), arrivals.clone());
        let server = Server::start(move |_, request| {
            if !up.load(Ordering::SeqCst) {
                return Vec::new();
            }
            let life = life_of(&request, "/write/");
            let bytes = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
            let message = WriteRequest::decode(&bytes[..]).unwrap();
            let mut arrivals = kept.lock().unwrap();
            for series in message.timeseries {
                let name = name_of(&series.labels);
                for sample in series.samples {
                    let arrival = Arrival { value: sample.value, life, at: Instant::now() };
                    arrivals.entry((name.clone(), sample.timestamp)).or_default().push(arrival);
                }
            }
            respond("204 No Content", "", b"")
        });
        KeepingReceiver { server, is_up, arrivals }
    }

    /// Numbers of the pages that arrived, by time.
    fn pages(&self) -> BTreeMap<i64, u64> {
        let arrivals = self.arrivals.lock().unwrap();
        let of_n = arrivals.iter().filter(|((name, _), arrived)| name == "n" && !arrived[0].value.is_nan());
        of_n.map(|((_, time), arrived)| (*time, arrived[0].value as u64)).collect()
    }
}

/// `n`, `up`, `m7`.
fn name_of(labels: &[narthex::remote_write::messages::Label]) -> String {
    let value = |name: &str| labels.iter().find(|label| label.name == name).map_or("", |label| label.value.as_str());
    format!("{}{}", value("__name__"), value("i"))
}

struct Account<'t> {
    exporter: &'t Exporter,
    receiver: &'t KeepingReceiver,
    lives: &'t [Life],
}

impl Account<'_> {
    fn nothing_is_invented(&self) {
        let (pages, served) = (self.receiver.pages(), self.exporter.served.lock().unwrap());
        let numbers: Vec<u64> = pages.values().copied().collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "each page has one time: {numbers:?}");
        for (time, page) in &pages {
            let served_ms = served[*page as usize].wall_ms;
            assert!((-5..2000).contains(&(served_ms - time)), "page {page} of {served_ms} is dated {time}");
        }
        for ((name, time), arrived) in &*self.receiver.arrivals.lock().unwrap() {
            let same = arrived.iter().all(|arrival| arrival.value.to_bits() == arrived[0].value.to_bits());
            assert!(same, "{name} at {time} arrived with different values");
            if let Some(i) = name.strip_prefix('m').and_then(|i| i.parse().ok()) {
                match pages.get(time) {
                    Some(page) => assert_eq!(arrived[0].value, value(*page, i), "{name} of page {page}"),
                    None => assert_eq!(arrived[0].value.to_bits(), narthex::model::STALE_NAN_BITS, "{name} at {time}"),
                }
            }
        }
    }

    fn nothing_committed_is_missing(&self) {
        let pages = self.receiver.pages();
        let arrivals = self.receiver.arrivals.lock().unwrap();
        for (number, life) in self.lives.iter().enumerate() {
            for (time, page) in &life.committed {
                let Some(page) = page else { continue };
                assert_eq!(pages.get(time), Some(page), "page {page} was on flash at kill {number}");
                for i in 0..SERIES {
                    assert!(arrivals.contains_key(&(format!("m{i}"), *time)), "m{i} of page {page}");
                }
            }
        }
    }

    /// Pages that were served to a run that was killed, and never arrived.
    fn missing(&self) -> BTreeSet<usize> {
        let arrived: BTreeSet<usize> = self.receiver.pages().into_values().map(|page| page as usize).collect();
        let served = self.exporter.served.lock().unwrap();
        let pages =
            (0..).zip(&*served).filter(|(page, served)| served.life < self.lives.len() && !arrived.contains(page));
        pages.map(|(page, _)| page).collect()
    }

    /// Scrapes that failed for want of time: a page was served, and `up` is 0.
    fn failed_scrapes(&self) -> usize {
        let arrivals = self.receiver.arrivals.lock().unwrap();
        arrivals.iter().filter(|((name, _), arrived)| name == "up" && arrived[0].value == 0.0).count()
    }

    fn what_is_missing_was_in_memory_at_a_kill(&self, commit_interval: &str) {
        let missing = self.missing();
        let served = self.exporter.served.lock().unwrap();
        let mut unexplained = Vec::new();
        for page in &missing {
            let Served { at, life, .. } = served[*page];
            // What arrives, and what is on flash, is without a gap: after a page that is missing no other of its run came.
            let mut later = (page + 1..served.len()).filter(|later| served[*later].life == life);
            let before_kill = self.lives[life].killed.saturating_duration_since(at);
            let is_explained = match commit_interval {
                "0s" => later.next().is_none(),
                _ => later.all(|later| missing.contains(&later)) && before_kill < COMMITTED_WITHIN,
            };
            if !is_explained {
                unexplained.push((page, life, before_kill));
            }
        }
        let failed = self.failed_scrapes();
        assert!(
            unexplained.len() <= failed,
            "missing (page, run, before kill): {unexplained:?}; {failed} failed scrapes"
        );
    }

    fn repeats_are_those_whose_acknowledgement_a_kill_took(&self) {
        let served = self.exporter.served.lock().unwrap();
        for ((name, time), arrived) in &*self.receiver.arrivals.lock().unwrap() {
            let lives: BTreeSet<usize> = arrived.iter().map(|arrival| arrival.life).collect();
            assert_eq!(lives.len(), arrived.len(), "{name} at {time} was sent twice by one run");
            for arrival in arrived.iter().filter(|arrival| Some(&arrival.life) != lives.last()) {
                let on_flash = &self.lives[arrival.life].committed;
                assert!(on_flash.contains_key(time), "{name} at {time} was not on flash, and sent again");
                // A frame of a scrape that came after the answer carries the acknowledgement.
                let later =
                    on_flash.values().flatten().find(|page| served[**page as usize].at > arrival.at + ANSWER_TIME);
                assert_eq!(later, None, "{name} at {time} was sent again, although a later page is on flash");
            }
        }
    }

    fn print(&self) {
        let (missing, failed) = (self.missing().len(), self.failed_scrapes());
        let committed: BTreeSet<i64> = self.lives.iter().flat_map(|life| life.committed.keys().copied()).collect();
        let arrivals = self.receiver.arrivals.lock().unwrap();
        let repeated = arrivals.values().filter(|arrived| arrived.len() > 1).count();
        println!(
            "{} kills, {} pages served, {} scrapes on flash at a kill, {missing} pages lost from memory, {failed} scrapes failed; \
             {} samples arrived, {repeated} of them more than once",
            self.lives.len(),
            self.exporter.served(),
            committed.len(),
            arrivals.len(),
        );
    }
}
