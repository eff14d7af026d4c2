//! Targets whose values say which page they are of, and whose pages may be late, cut, wrong, growing or missing.

use super::account::{Asked, Page, value};
use super::http::{Connection, Request, Server, response};
use super::lab_clock::LabClock;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How a target answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Whole,
    /// After this time.
    Late {
        ms: u64,
    },
    /// The connection closes in the middle of the page.
    Cut,
    /// A line that is none.
    Wrong,
    Status500,
    /// The connection closes without an answer.
    HangsUp,
}

/// Which series a page has: `live` ones, of which `new_each_page` were not on the page before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Growth {
    pub live: u64,
    pub new_each_page: u64,
}

/// What may be changed while it serves.
struct State {
    answer: Answer,
    growth: Growth,
    first_series: u64,
    /// Of every page, whole or not.
    pages: u64,
    whole: Vec<Page>,
    asked: Vec<Asked>,
}

pub struct Exporter {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Exporter {
    /// `target` is its index in the lab.
    pub fn start(target: usize, growth: Growth, clock: LabClock) -> Exporter {
        let state =
            State { answer: Answer::Whole, growth, first_series: 0, pages: 0, whole: Vec::new(), asked: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let served = state.clone();
        let server = Server::start(move |request, stream| serve(target, &clock, &served, request, stream));
        Exporter { server, state }
    }

    pub fn address(&self) -> String {
        self.server.address.to_string()
    }

    pub fn answer_by(&self, answer: Answer) {
        self.state.lock().unwrap().answer = answer;
    }

    /// When it was asked for a page.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// Whole pages so far.
    pub fn pages(&self) -> Vec<Page> {
        self.state.lock().unwrap().whole.clone()
    }
}

fn serve(
    target: usize,
    clock: &LabClock,
    state: &Mutex<State>,
    request: &Request,
    stream: &mut TcpStream,
) -> Connection {
    if !request.head.starts_with(&format!("GET /{} ", clock.lab())) {
        // A device of another lab, which had this port before.
        return Connection::Close;
    }
    let begun_ms = clock.now_ms();
    let (answer, mut page) = {
        let mut state = state.lock().unwrap();
        let number = state.pages;
        state.pages += 1;
        state.asked.push(Asked { target, at_ms: begun_ms });
        if number > 0 {
            state.first_series += state.growth.new_each_page;
        }
        let series = state.first_series..state.first_series + state.growth.live;
        (state.answer, Page { target, number, series, begun_ms, ended_ms: begun_ms })
    };
    let text = text(&page);
    let whole = response("200 OK", "Content-Type: text/plain; version=0.0.4\r\n", text.as_bytes());
    let bytes = match answer {
        Answer::Whole => whole,
        Answer::Late { ms } => {
            thread::sleep(Duration::from_millis(ms));
            whole
        }
        Answer::Cut => whole[..whole.len() / 2].to_vec(),
        Answer::Wrong => response("200 OK", "Content-Type: text/plain\r\n", format!("{text}no value\n").as_bytes()),
        Answer::Status500 => response("500 Internal Server Error", "", b"out of order"),
        Answer::HangsUp => return Connection::Close,
    };
    let is_written = stream.write_all(&bytes).is_ok();
    if is_written && matches!(answer, Answer::Whole | Answer::Late { .. }) {
        page.ended_ms = clock.now_ms();
        state.lock().unwrap().whole.push(page);
    }
    if answer == Answer::Cut { Connection::Close } else { Connection::Keep }
}

fn text(page: &Page) -> String {
    let mut text = String::from("# TYPE lab gauge\n");
    for series in page.series.clone() {
        _ = writeln!(text, "lab{{series=\"{series}\"}} {}", value(page.number, series));
    }
    text
}
