//! What a target answers: the pages of a script, and the server that deals them out.
//!
//! ```text
//!  GET /case/17   User-Agent ─► who asks ─► (who, case) has been here n times ─► answer n of the script
//! ```
//!
//! Each agent so sees the same sequence whenever it comes. Before the start signal every answer is a 503 that does not
//! count; after the script's end it is a 404 for good. Connections end with their answer: on a kept one, Go's client asks
//! again by itself when it is closed, and one scrape would be two.

use crate::receiver::Who;
use crate::support::{Request, Server, respond};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

/// One answer, byte by byte.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// What it is meant to try, for whoever reads of a difference.
    pub about: String,
    /// Before the first byte.
    pub delay: Duration,
    pub bytes: Vec<u8>,
    /// The answer at the address that `bytes` redirect to.
    pub behind_redirect: Option<Vec<u8>>,
}

pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Answer {
    pub fn page(about: impl Into<String>, content_type: &str, body: &[u8]) -> Answer {
        Answer::new(about, "200 OK", &format!("Content-Type: {content_type}\r\n"), body)
    }

    pub fn new(about: impl Into<String>, status: &str, headers: &str, body: &[u8]) -> Answer {
        Answer { about: about.into(), bytes: respond(status, headers, body), ..Answer::default() }
    }
}

/// What an agent asked with, without what differs between products.
pub type Asked = Vec<String>;

/// How far one agent has come with one target.
#[derive(Clone, Default)]
pub struct Progress {
    /// Scrapes before the start signal.
    pub early: usize,
    /// One entry for each scrape since.
    pub asked: Vec<Asked>,
    /// One for each redirect that was followed.
    pub asked_behind: Vec<Asked>,
}

#[derive(Default)]
struct State {
    started: bool,
    progress: BTreeMap<(Who, usize), Progress>,
    scripts: Arc<Vec<Vec<Answer>>>,
}

pub struct Targets {
    pub server: Server,
    state: Arc<Mutex<State>>,
}

impl Targets {
    pub fn start() -> Targets {
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        let server = Server::start(move |_, request| answer(&shared, &request));
        Targets { server, state }
    }

    /// From now on each (agent, case) gets the answers of that case's script in turn.
    pub fn begin(&self, scripts: Vec<Vec<Answer>>) {
        let mut state = self.state.lock().unwrap();
        state.scripts = Arc::new(scripts);
        state.started = true;
    }

    pub fn progress(&self, who: Who, case: usize) -> Progress {
        self.state.lock().unwrap().progress.get(&(who, case)).cloned().unwrap_or_default()
    }
}

fn answer(state: &Mutex<State>, request: &Request) -> Vec<u8> {
    // A proxy is asked for the whole URL.
    let url = request.head.split(' ').nth(1).unwrap_or("");
    let path = url.strip_prefix("http://").and_then(|rest| rest.find('/').map(|at| &rest[at..])).unwrap_or(url);
    let mut parts = path.trim_start_matches('/').split(['/', '?']);
    let who = if is_prometheus(&request.head) { Who::Prometheus } else { Who::Narthex };
    match (parts.next(), parts.next().map(str::parse)) {
        (Some("case"), Some(Ok(case))) => scrape(state, who, case, request),
        (Some("moved"), Some(Ok(case))) => {
            let number: Option<usize> = parts.next().and_then(|number| number.parse().ok());
            let mut state = state.lock().unwrap();
            state.progress.entry((who, case)).or_default().asked_behind.push(asked(&request.head));
            let scripts = state.scripts.clone();
            drop(state);
            let moved = number.and_then(|number| scripts[case].get(number)?.behind_redirect.clone());
            moved.unwrap_or_else(nothing)
        }
        _ => nothing(),
    }
}

fn scrape(state: &Mutex<State>, who: Who, case: usize, request: &Request) -> Vec<u8> {
    let (scripts, number) = {
        let mut state = state.lock().unwrap();
        let started = state.started;
        let progress = state.progress.entry((who, case)).or_default();
        if !started {
            progress.early += 1;
            return respond("503 Service Unavailable", "", b"");
        }
        progress.asked.push(asked(&request.head));
        let number = progress.asked.len() - 1;
        (state.scripts.clone(), number)
    };
    let Some(answer) = scripts[case].get(number) else { return nothing() };
    sleep(answer.delay);
    answer.bytes.clone()
}

fn nothing() -> Vec<u8> {
    respond("404 Not Found", "", b"")
}

fn is_prometheus(head: &str) -> bool {
    head.lines().any(|line| line.to_ascii_lowercase().starts_with("user-agent: prometheus/"))
}

/// The request's line, then its headers by name.
fn asked(head: &str) -> Asked {
    let mut lines = head.lines().filter(|line| !line.is_empty());
    let request = lines.next().unwrap_or("").to_string();
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let name = name.to_ascii_lowercase();
        (!NOT_COMPARED.contains(&name.as_str())).then(|| format!("{name}:{value}"))
    });
    let mut asked: Asked = headers.collect();
    asked.sort();
    asked.insert(0, request);
    asked
}

/// What names a product, or its connections, and the page that redirected, which only Go tells.
const NOT_COMPARED: [&str; 4] = ["user-agent", "host", "connection", "referer"];
