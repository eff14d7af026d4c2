//! A Remote-Write receiver that keeps every arrival and answers as it is told: well, late, in halves, or as something else.

use super::account::{Arrival, Series, page_number};
use super::http::{Connection, Request, Server, reset, response, trickle};
use super::lab_clock::LabClock;
use super::wire;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Which messages a receiver knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// 1.0 alone: 2.0 is answered with 415.
    V1,
    V2,
}

/// How requests are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All is taken, and said so.
    Take,
    /// As Prometheus without a window for samples out of order: 400 for a request with such samples, of which 2.0 takes the
    /// others, and 1.0 nothing.
    Strict,
    /// Nothing is taken, and the answer is a 2xx all the same.
    Impostor(Impostor),
    /// Nothing is taken.
    Status(u16),
    /// Nothing is taken; 429 or 503 with this `Retry-After`.
    RetryAfter { status: u16, seconds: u64 },
    /// 400 for a request that has the series 0 of every sixteenth page: 2.0 takes the others, 1.0 nothing.
    Poison,
    /// 413 above so many bytes.
    Limit { bytes: usize },
    /// 2.0: the second half is taken, where the samples of pages are, with 400 and the Written headers that say so.
    Half400,
    /// All is taken, and answered after so long.
    Slow { ms: u64 },
    /// All is taken, and the answer comes byte by byte.
    Trickle { ms: u64 },
    /// All is taken, and the connection closes in the middle of the answer.
    Truncated,
    /// Nothing is taken; the connection is reset.
    Reset,
    /// All is taken; the connection is reset.
    TakeAndReset,
    /// Nothing is taken; the connection closes.
    HangUp,
}

/// Who answers in a receiver's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Impostor {
    OkText,
    JsonError,
    Empty204,
    Html,
    HtmlWithoutType,
}

struct State {
    answer: Answer,
    arrivals: Vec<Arrival>,
    /// Newest time of each series, and its value.
    newest: BTreeMap<Series, (i64, f64)>,
    has_moved: bool,
}

pub struct Receiver {
    speaks: Speaks,
    clock: LabClock,
    timeout: Duration,
    server: Option<Server>,
    moved_to: Option<Server>,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    /// `timeout` is the agent's: an answer that takes longer confirms nothing.
    pub fn start(speaks: Speaks, timeout: Duration, clock: LabClock) -> Receiver {
        let (arrivals, newest) = (Vec::new(), BTreeMap::new());
        let state = State { answer: Answer::Take, arrivals, newest, has_moved: false };
        let state = Arc::new(Mutex::new(state));
        let mut receiver = Receiver { speaks, clock, timeout, server: None, moved_to: None, state };
        let handler = receiver.handler(true);
        receiver.server = Some(Server::start(move |request, stream| handler.handle(request, stream)));
        receiver
    }

    pub fn address(&self) -> SocketAddr {
        self.server.as_ref().expect("the receiver listens").address
    }

    /// Moves to another address of the loopback, with its port and its samples; at the old one 503 is answered from now on.
    pub fn move_to(&mut self, ip: [u8; 4]) {
        let address = (ip, self.address().port()).into();
        let handler = self.handler(false);
        self.state.lock().unwrap().has_moved = true;
        self.moved_to = Some(Server::start_at(address, move |request, stream| handler.handle(request, stream)));
    }

    fn handler(&self, is_first: bool) -> Handler {
        let (speaks, clock, timeout, state) = (self.speaks, self.clock, self.timeout, self.state.clone());
        Handler { speaks, clock, timeout, state, is_first }
    }

    pub fn answer_by(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        self.state.lock().unwrap().arrivals.clone()
    }
}

struct Handler {
    speaks: Speaks,
    clock: LabClock,
    timeout: Duration,
    state: Arc<Mutex<State>>,
    /// At the address that the receiver had first.
    is_first: bool,
}

/// What is taken of a request, and what is answered.
struct Verdict {
    /// How many samples of the request are taken, in its order, but for those that are refused.
    takes: Vec<bool>,
    status: u16,
    headers: String,
    body: &'static [u8],
}

impl Handler {
    fn handle(&self, request: &Request, stream: &mut TcpStream) -> Connection {
        let begun_ms = self.clock.now_ms();
        if !request.head.starts_with("POST ") {
            return answer(stream, &response("405 Method Not Allowed", "", b""), Connection::Keep).1;
        }
        let Some(life) = life_of(request, self.clock.lab()) else { return Connection::Close };
        let how = {
            let state = self.state.lock().unwrap();
            if self.is_first && state.has_moved { Answer::Status(503) } else { state.answer }
        };
        if self.speaks == Speaks::V1 && wire::is_v2(&request.head) && is_the_receivers(how) {
            return answer(stream, &response("415 Unsupported Media Type", "", b"only 1.0"), Connection::Keep).1;
        }
        let samples = wire::samples(&request.head, &request.body);
        let verdict = self.judge(how, &samples, request);
        let taken = self.take(&samples, &verdict, begun_ms, life);
        let (is_answered, connection) = send(how, stream, &verdict);
        let answered_ms = self.clock.now_ms();
        let took = Duration::from_millis((answered_ms - begun_ms) as u64);
        if is_answered && took < self.timeout.mul_f64(0.8) {
            let mut state = self.state.lock().unwrap();
            state.arrivals[taken].iter_mut().for_each(|arrival| arrival.answered_ms = Some(answered_ms));
        }
        connection
    }

    fn judge(&self, how: Answer, samples: &[wire::Sample], request: &Request) -> Verdict {
        let is_v2 = wire::is_v2(&request.head);
        let all = |is_taken: bool| vec![is_taken; samples.len()];
        let verdict = |takes: Vec<bool>, status: u16, body: &'static [u8]| {
            let written = takes.iter().filter(|is_taken| **is_taken).count();
            let headers = match is_v2 && (status < 300 || status == 400) {
                true => written_headers(written),
                false => String::new(),
            };
            Verdict { takes, status, headers, body }
        };
        match how {
            Answer::Impostor(impostor) => impostor_verdict(impostor, all(false)),
            Answer::Status(status) => Verdict { takes: all(false), status, headers: String::new(), body: b"not now" },
            Answer::RetryAfter { status, seconds } => {
                Verdict { takes: all(false), status, headers: format!("Retry-After: {seconds}\r\n"), body: b"later" }
            }
            Answer::Limit { bytes } if request.body.len() > bytes => verdict(all(false), 413, b"too large"),
            Answer::Poison if samples.iter().any(is_poison) => {
                let takes = samples.iter().map(|sample| is_v2 && !is_poison(sample)).collect();
                verdict(takes, 400, b"a sample is poison")
            }
            Answer::Half400 if is_v2 && samples.len() > 1 => {
                let takes = (0..samples.len()).map(|at| at >= samples.len() / 2).collect();
                verdict(takes, 400, b"half of it")
            }
            Answer::Strict => {
                let takes = self.in_order(samples);
                match takes.iter().all(|is_taken| *is_taken) {
                    true => verdict(takes, 204, b""),
                    false => verdict(if is_v2 { takes } else { all(false) }, 400, b"out of order sample"),
                }
            }
            Answer::Reset | Answer::HangUp => verdict(all(false), 500, b""),
            _ => verdict(all(true), 204, b""),
        }
    }

    /// Which samples are no older than the newest of their series.
    fn in_order(&self, samples: &[wire::Sample]) -> Vec<bool> {
        let mut newest = self.state.lock().unwrap().newest.clone();
        let is_in_order = |sample: &wire::Sample| {
            let series = series_of(sample);
            match newest.get(&series) {
                Some((time, value)) if sample.timestamp_ms == *time => value.to_bits() == sample.value.to_bits(),
                Some((time, _)) if sample.timestamp_ms < *time => false,
                _ => newest.insert(series, (sample.timestamp_ms, sample.value)).is_none_or(|_| true),
            }
        };
        samples.iter().map(is_in_order).collect()
    }

    /// Notes what is taken: where in the arrivals.
    fn take(&self, samples: &[wire::Sample], verdict: &Verdict, at_ms: i64, life: usize) -> std::ops::Range<usize> {
        let mut state = self.state.lock().unwrap();
        let from = state.arrivals.len();
        for (sample, _) in samples.iter().zip(&verdict.takes).filter(|(_, is_taken)| **is_taken) {
            let series = series_of(sample);
            let newest = state.newest.entry(series.clone()).or_insert((i64::MIN, 0.0));
            if sample.timestamp_ms >= newest.0 {
                *newest = (sample.timestamp_ms, sample.value);
            }
            let (timestamp_ms, value) = (sample.timestamp_ms, sample.value);
            state.arrivals.push(Arrival { series, timestamp_ms, value, at_ms, life, answered_ms: None });
        }
        from..state.arrivals.len()
    }
}

/// Which life of this lab's device sent a request; `None` if another lab's did, which had this port before.
fn life_of(request: &Request, lab: u64) -> Option<usize> {
    let names_it = |line: &str| line.to_ascii_lowercase().strip_prefix("x-life: ").map(str::to_owned);
    let line = request.head.lines().find_map(names_it)?;
    line.trim().strip_prefix(&format!("{lab} "))?.parse().ok()
}

/// Whether the receiver itself answers.
fn is_the_receivers(how: Answer) -> bool {
    !matches!(how, Answer::Impostor(_) | Answer::Status(_) | Answer::RetryAfter { .. } | Answer::Reset | Answer::HangUp)
}

fn written_headers(samples: usize) -> String {
    format!(
        "X-Prometheus-Remote-Write-Samples-Written: {samples}\r\n\
         X-Prometheus-Remote-Write-Histograms-Written: 0\r\n\
         X-Prometheus-Remote-Write-Exemplars-Written: 0\r\n"
    )
}

fn impostor_verdict(impostor: Impostor, takes: Vec<bool>) -> Verdict {
    let (status, headers, body): (u16, &str, &'static [u8]) = match impostor {
        Impostor::OkText => (200, "Content-Type: text/plain\r\n", b"ok"),
        Impostor::JsonError => {
            (200, "Content-Type: application/json\r\n", b"{\"status\":\"error\",\"error\":\"no route\"}")
        }
        Impostor::Empty204 => (204, "", b""),
        Impostor::Html => (200, "Content-Type: text/html\r\n", b"<!DOCTYPE html><html><body>Log in</body></html>"),
        Impostor::HtmlWithoutType => (200, "", b"<!DOCTYPE html><html><body>Log in</body></html>"),
    };
    Verdict { takes, status, headers: headers.into(), body }
}

/// Sends the answer: whether all of it, and what becomes of the connection.
fn send(how: Answer, stream: &mut TcpStream, verdict: &Verdict) -> (bool, Connection) {
    let status = format!("{} Answer", verdict.status);
    let bytes = match verdict.status {
        204 => format!("HTTP/1.1 {status}\r\n{}\r\n", verdict.headers).into_bytes(),
        _ => response(&status, &verdict.headers, verdict.body),
    };
    match how {
        Answer::HangUp => (false, Connection::Close),
        Answer::Reset | Answer::TakeAndReset => {
            reset(stream);
            (false, Connection::Close)
        }
        Answer::Truncated => {
            _ = stream.write_all(&bytes[..bytes.len() / 2]);
            (false, Connection::Close)
        }
        Answer::Slow { ms } => {
            thread::sleep(Duration::from_millis(ms));
            answer(stream, &bytes, Connection::Keep)
        }
        Answer::Trickle { ms } => match trickle(stream, &bytes, Duration::from_millis(ms)) {
            Ok(()) => (true, Connection::Keep),
            Err(_) => (false, Connection::Close),
        },
        _ => answer(stream, &bytes, Connection::Keep),
    }
}

fn answer(stream: &mut TcpStream, bytes: &[u8], then: Connection) -> (bool, Connection) {
    match stream.write_all(bytes) {
        Ok(()) => (true, then),
        Err(_) => (false, Connection::Close),
    }
}

fn series_of(sample: &wire::Sample) -> Series {
    let target = sample.label("number").parse().expect("the lab labels each target with its number");
    match sample.label("__name__") {
        "lab" => Series::Lab { target, series: sample.label("series").parse().expect("a series is a number") },
        name => Series::Report { target, name: name.into() },
    }
}

fn is_poison(sample: &wire::Sample) -> bool {
    let is_of_such_a_page = page_number(sample.value).is_some_and(|number| number.is_multiple_of(16));
    matches!(series_of(sample), Series::Lab { series: 0, .. }) && is_of_such_a_page
}
