//! A fleet that returns after an outage, in virtual time: ten thousand agents, each with the queue, backoff and gate that a
//! device has, against one receiver that takes so much a second and answers 429 to the rest.
//!
//! ```text
//!  heap of times ─► agent: Queue ─► Gate ─► receiver ─► answer ─► Queue, Gate
//!                                              └─► requests of each second ─► figures, docs/fleet.svg
//! ```
//!
//! `cargo test` runs a tenth of it. All of it, and the plot:
//! `cargo test --lib sim::fleet -- --ignored --nocapture`.

mod plot;

use crate::counters::Counters;
use crate::model::{Class, LabelsBuilder, ScrapeBatch, SeriesTable, Window};
use crate::remote_write::{
    Action, Answer, Failure, FailureKind, Gate, Meter, Outcome, ProtobufMessage, Queue, QueueOptions, RateOptions,
    Sent, Traffic, UplinkOptions, Version,
};
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const SERIES: usize = 500;
const INTERVAL: Duration = Duration::from_secs(60);
const BACKLOG_SCRAPES: usize = 60;
/// So much of the outage is played: failures have made waits as long as they get by then.
const OUTAGE: Duration = Duration::from_secs(40);
const LATENCY: Duration = Duration::from_millis(80);
const BYTES_PER_SAMPLE: u64 = 3;
const REQUEST_OVERHEAD_BYTES: u64 = 700;
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// 2026-11-21.
const WALL_MS: i64 = 1_795_219_200_000;

/// Why all of them return at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The receiver, or the way to it, was gone for an hour; all devices ran on.
    Receiver,
    /// The devices' power was gone; they start in the same moment, with an hour of samples on flash.
    Power,
}

/// What one run came to.
struct Run {
    /// Requests that reached the receiver in each second after it is back.
    requests: Vec<u32>,
    refused: u64,
    /// When the last backlog was delivered, after the receiver came back.
    drained: Duration,
}

impl Run {
    fn peak(&self) -> u32 {
        self.requests.iter().copied().max().unwrap_or(0)
    }
}

/// Takes so much a second, and what it saved up in one.
struct Receiver {
    up_from: Duration,
    requests_per_second: f64,
    bytes_per_second: f64,
    requests_left: f64,
    bytes_left: f64,
    at: Duration,
    run: Run,
}

impl Receiver {
    fn answer(&mut self, now: Duration, bytes: u64) -> Outcome {
        if now < self.up_from {
            let failure = Failure { kind: FailureKind::Connect, text: "down".into() };
            return Outcome { bytes_sent: 0, result: Err(failure) };
        }
        let second = (now - self.up_from).as_secs() as usize;
        self.run.requests.resize(self.run.requests.len().max(second + 1), 0);
        self.run.requests[second] += 1;
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.at = now;
        self.requests_left = (self.requests_left + passed * self.requests_per_second).min(self.requests_per_second);
        self.bytes_left = (self.bytes_left + passed * self.bytes_per_second).min(self.bytes_per_second);
        let answer = if self.requests_left >= 1.0 && self.bytes_left >= bytes as f64 {
            self.requests_left -= 1.0;
            self.bytes_left -= bytes as f64;
            Answer { status: 204, ..Answer::default() }
        } else {
            self.run.refused += 1;
            // By a proxy before it, or by itself.
            match self.run.refused % 2 {
                0 => Answer { status: 503, ..Answer::default() },
                _ => Answer { status: 429, retry_after: Some(RETRY_AFTER), ..Answer::default() },
            }
        };
        Outcome { bytes_sent: bytes, result: Ok(answer) }
    }
}

struct Agent {
    queue: Queue,
    gate: Gate,
    /// An hour of scrapes waits.
    has_backlog: bool,
    is_draining: bool,
    next_scrape: Duration,
    /// What was sent, how it will go, and when that is known.
    under_way: Option<(Sent, u64, Outcome)>,
}

/// Batches that all agents share.
struct Scrapes {
    backlog: Vec<Rc<ScrapeBatch>>,
}

impl Scrapes {
    fn new() -> Scrapes {
        let table = SeriesTable::new();
        let name = |i: usize| LabelsBuilder::from_iter([("__name__", "m"), ("i", i.to_string().as_str())]);
        let series: Rc<[_]> = (0..SERIES).map(|i| table.intern(&name(i).build().expect("valid"))).collect();
        let batch = |minute: usize| ScrapeBatch {
            target: 0,
            timestamp_ms: WALL_MS + minute as i64 * 60_000,
            series: series.clone(),
            values: vec![minute as f64; SERIES],
            own_timestamps: Vec::new(),
            extras: None,
        };
        Scrapes { backlog: (0..BACKLOG_SCRAPES).map(|minute| Rc::new(batch(minute))).collect() }
    }

    fn window(&self, scrapes: usize) -> Window {
        Window { batches: self.backlog[..scrapes].to_vec(), ..Window::default() }
    }
}

impl Agent {
    fn new(number: usize, agents: usize, cause: Cause, spread: Duration) -> Agent {
        let (seed, options) = (number as u64, QueueOptions::default());
        let meter =
            Meter::new(UplinkOptions { spread: Some(spread), ..UplinkOptions::default() }, [Class::Normal], None);
        let meter = Rc::new(RefCell::new(meter));
        let started = if cause == Cause::Power { OUTAGE } else { Duration::ZERO };
        let gate = Gate::new(RateOptions::default(), meter, options.batch_send_deadline, started, seed);
        let queue = Queue::new("cloud", &options, ProtobufMessage::Always(Version::V1), seed);
        let next_scrape = started + INTERVAL.mul_f64(number as f64 / agents as f64);
        Agent { queue, gate, has_backlog: true, is_draining: false, next_scrape, under_way: None }
    }

    /// Goes as far as it can at this time. The time at which it goes on.
    fn step(&mut self, now: Duration, receiver: &mut Receiver, scrapes: &Scrapes, counters: &Counters) -> Duration {
        let traffic = Traffic::Samples { class: Class::Normal, is_backlog: self.is_draining };
        if let Some((sent, bytes, outcome)) = self.under_way.take() {
            self.gate.spent(now, WALL_MS, traffic, bytes);
            self.gate.ended(now, LATENCY, &outcome);
            self.queue.on_outcome(now, &sent, &outcome, counters.endpoint(0));
        }
        loop {
            match self.queue.poll(now) {
                Action::NeedWindow if self.has_backlog => {
                    (self.has_backlog, self.is_draining) = (false, true);
                    self.queue.offer(scrapes.window(BACKLOG_SCRAPES));
                }
                Action::NeedWindow => {
                    let send_at = self.next_scrape + QueueOptions::default().batch_send_deadline;
                    if send_at > now {
                        return send_at;
                    }
                    // What came while the backlog went is one more window.
                    let waiting = 1 + ((now - send_at).as_nanos() / INTERVAL.as_nanos()) as usize;
                    self.next_scrape += INTERVAL * waiting as u32;
                    self.queue.offer(scrapes.window(waiting.min(BACKLOG_SCRAPES)));
                }
                Action::Finished { .. } => {
                    if std::mem::take(&mut self.is_draining) {
                        receiver.run.drained = now.saturating_sub(receiver.up_from);
                    }
                }
                Action::Wait { until } => return until,
                Action::Send(attempt) => {
                    let samples = attempt.request.samples() as u64;
                    let bytes = samples * BYTES_PER_SAMPLE + REQUEST_OVERHEAD_BYTES;
                    if let Some(at) = self.gate.ready_at(now, WALL_MS, traffic, bytes) {
                        return at;
                    }
                    let sent = Sent { samples, ..Sent::default() };
                    self.under_way = Some((sent, bytes, receiver.answer(now, bytes)));
                    return now + LATENCY;
                }
            }
        }
    }
}

/// Plays until every backlog is delivered, and a little longer.
fn play(agents: usize, cause: Cause, spread: Duration) -> Run {
    // A tenth of a request a second for each device: six times what they all send when nothing is wrong.
    let requests_per_second = agents as f64 / 10.0;
    let mut receiver = Receiver {
        up_from: OUTAGE,
        requests_per_second,
        bytes_per_second: requests_per_second * 8000.0,
        requests_left: 0.0,
        bytes_left: 0.0,
        at: OUTAGE,
        run: Run { requests: Vec::new(), refused: 0, drained: Duration::ZERO },
    };
    let (scrapes, counters) = (Scrapes::new(), Counters::default());
    let mut fleet: Vec<Agent> = (0..agents).map(|number| Agent::new(number, agents, cause, spread)).collect();
    let start = if cause == Cause::Power { OUTAGE } else { Duration::ZERO };
    let mut due: BinaryHeap<Reverse<(Duration, usize)>> = (0..agents).map(|number| Reverse((start, number))).collect();
    let mut draining = agents;
    while let Some(Reverse((now, number))) = due.pop() {
        let was_drained = is_drained(&fleet[number]);
        let next = fleet[number].step(now, &mut receiver, &scrapes, &counters);
        draining -= usize::from(!was_drained && is_drained(&fleet[number]));
        if draining > 0 || now < receiver.up_from + receiver.run.drained + 20 * SECOND {
            due.push(Reverse((next.max(now), number)));
        }
    }
    let dropped = counters.endpoint(0).dropped_total();
    assert_eq!(dropped, 0, "nothing is lost");
    receiver.run
}

fn is_drained(agent: &Agent) -> bool {
    !agent.has_backlog && !agent.is_draining
}

/// What is compared: without anything but the backoff's own jitter, with the default, and as a large fleet may want it.
const SPREADS: [(&str, Duration); 3] = [
    ("none", Duration::ZERO),
    ("spread = \"5s\"", Duration::from_secs(5)),
    ("spread = \"5m\"", Duration::from_secs(300)),
];

fn print(cause: Cause, name: &str, run: &Run, agents: usize) {
    println!(
        "| {cause:?} | {name} | {} | {:.1} | {} | {:.0} s |",
        run.peak(),
        f64::from(run.peak()) / (agents as f64 / 10.0),
        run.refused,
        run.drained.as_secs_f64()
    );
}

/// How many times the peak has to be less with the default, and with five minutes.
fn assert_gain(cause: Cause, [at_once, by_default, spread]: [u32; 3]) {
    let (gain, most) = if cause == Cause::Power { (5, 20) } else { (1, 5) };
    assert!(at_once >= gain * by_default && at_once >= most * spread, "{cause:?} {at_once} {by_default} {spread}");
}

/// A tenth of the fleet, and of what its receiver takes.
#[test]
fn a_fleet_that_returns_does_not_stampede() {
    for cause in [Cause::Receiver, Cause::Power] {
        let peaks = SPREADS.map(|(name, spread)| {
            let run = play(1000, cause, spread);
            print(cause, name, &run, 1000);
            run.peak()
        });
        assert_gain(cause, peaks);
    }
}

#[test]
#[ignore = "half a minute; writes docs/fleet.svg"]
fn ten_thousand_agents() {
    const AGENTS: usize = 10_000;
    println!("| after an outage of | | peak, requests/s | of what the receiver takes | refused | drained after |");
    println!("|---|---|---|---|---|---|");
    let mut plots = Vec::new();
    for cause in [Cause::Receiver, Cause::Power] {
        let runs = SPREADS.map(|(name, spread)| {
            let run = play(AGENTS, cause, spread);
            print(cause, name, &run, AGENTS);
            (name, run)
        });
        assert_gain(cause, runs.each_ref().map(|(_, run)| run.peak()));
        plots.push((cause, runs));
    }
    let svg = plot::draw(&plots, AGENTS as f64 / 10.0);
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/fleet.svg"), svg).expect("docs can be written");
}
