//! A receiver that answers as Prometheus 3 does: statuses, headers, texts, what it writes of a request and what not; and a script that
//! may answer in its place.
#![allow(dead_code)]

use super::{Request, Samples, Server, respond, series_text};
use narthex::remote_write::messages;
use prost::Message;
use std::sync::{Arc, Mutex};

#[path = "../../src/remote_write/messages_v2.rs"]
mod messages_v2;

/// A request that came.
#[derive(Clone)]
pub struct Incoming {
    /// Requests before it.
    pub number: usize,
    pub is_v2: bool,
    pub body_bytes: usize,
    /// Texts of series, and their samples.
    pub series: Vec<(String, Vec<(i64, f64)>)>,
}

impl Incoming {
    pub fn samples(&self) -> usize {
        self.series.iter().map(|(_, samples)| samples.len()).sum()
    }

    pub fn has(&self, series: &str) -> bool {
        self.series.iter().any(|(text, _)| text.starts_with(series))
    }
}

type Script = Box<dyn FnMut(&Incoming) -> Option<Vec<u8>> + Send>;

pub struct Prometheus {
    pub server: Server,
    pub held: Arc<Mutex<Samples>>,
    came: Arc<Mutex<Vec<Incoming>>>,
    script: Arc<Mutex<Script>>,
}

impl Prometheus {
    pub fn start() -> Prometheus {
        let held = Arc::<Mutex<Samples>>::default();
        let came = Arc::<Mutex<Vec<Incoming>>>::default();
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let (to_hold, to_take_down, to_ask) = (held.clone(), came.clone(), script.clone());
        let server = Server::start(move |_, request| {
            let incoming = {
                let mut came = to_take_down.lock().unwrap();
                let incoming = read(came.len(), &request);
                came.push(incoming.clone());
                incoming
            };
            let scripted = (to_ask.lock().unwrap())(&incoming);
            scripted.unwrap_or_else(|| store(&mut to_hold.lock().unwrap(), &incoming))
        });
        Prometheus { server, held, came, script }
    }

    /// What it answers from now on; `None`: as Prometheus does.
    pub fn answer_with(&self, script: impl FnMut(&Incoming) -> Option<Vec<u8>> + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    pub fn behave(&self) {
        self.answer_with(|_| None);
    }

    pub fn url(&self) -> String {
        self.server.url("/api/v1/write")
    }

    pub fn came(&self) -> Vec<Incoming> {
        self.came.lock().unwrap().clone()
    }

    /// Values of one series, staleness markers aside, by the start of its text.
    pub fn values(&self, series: &str) -> Vec<u64> {
        let held = self.held.lock().unwrap();
        let values = held.iter().find(|(text, _)| text.starts_with(series)).map(|(_, samples)| samples.values());
        values.into_iter().flatten().filter(|value| !value.is_nan()).map(|value| *value as u64).collect()
    }

    pub fn samples_held(&self) -> usize {
        self.held.lock().unwrap().values().map(|samples| samples.len()).sum()
    }
}

fn read(number: usize, request: &Request) -> Incoming {
    let is_v2 = request.head.contains("proto=io.prometheus.write.v2.Request");
    let plain = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
    let series = if is_v2 { read_v2(&plain) } else { read_v1(&plain) };
    Incoming { number, is_v2, body_bytes: request.body.len(), series }
}

fn read_v1(plain: &[u8]) -> Vec<(String, Vec<(i64, f64)>)> {
    let message = messages::WriteRequest::decode(plain).unwrap();
    let samples = |samples: &[messages::Sample]| samples.iter().map(|s| (s.timestamp, s.value)).collect();
    message.timeseries.iter().map(|series| (series_text(&series.labels), samples(&series.samples))).collect()
}

fn read_v2(plain: &[u8]) -> Vec<(String, Vec<(i64, f64)>)> {
    let message = messages_v2::Request::decode(plain).unwrap();
    let symbol = |at: u32| message.symbols[at as usize].clone();
    let label = |pair: &[u32]| messages::Label { name: symbol(pair[0]), value: symbol(pair[1]) };
    let one = |series: &messages_v2::TimeSeries| {
        let labels: Vec<_> = series.labels_refs.chunks(2).map(label).collect();
        (series_text(&labels), series.samples.iter().map(|s| (s.timestamp, s.value)).collect())
    };
    message.timeseries.iter().map(one).collect()
}

/// `writeHandler` of `storage/remote/write_handler.go`: 1.0 is rolled back as a whole, 2.0 is written as far as it can be.
fn store(held: &mut Samples, incoming: &Incoming) -> Vec<u8> {
    let mut changed = held.clone();
    let (mut written, mut errors) = (0, Vec::new());
    for (text, samples) in &incoming.series {
        let series = changed.entry(text.clone()).or_default();
        for (time, value) in samples {
            let last = series.last_key_value();
            let error = match last {
                Some((last, _)) if time < last => "out of order sample",
                Some((last, known)) if time == last && known.to_bits() != value.to_bits() => {
                    "duplicate sample for timestamp"
                }
                _ => {
                    series.insert(*time, *value);
                    written += 1;
                    continue;
                }
            };
            errors.push(if incoming.is_v2 { format!("{error} for series {text}") } else { error.into() });
        }
    }
    if incoming.is_v2 || errors.is_empty() {
        *held = changed;
    }
    let headers = if incoming.is_v2 { written_headers(written) } else { String::new() };
    match errors.first() {
        None => respond("204 No Content", &headers, b""),
        Some(first) => {
            let text = if incoming.is_v2 { errors.join("\n") } else { first.clone() } + "\n";
            let headers = format!("Content-Type: text/plain; charset=utf-8\r\n{headers}");
            respond("400 Bad Request", &headers, text.as_bytes())
        }
    }
}

pub fn written_headers(samples: usize) -> String {
    format!(
        "X-Prometheus-Remote-Write-Samples-Written: {samples}\r\nX-Prometheus-Remote-Write-Histograms-Written: 0\r\n\
         X-Prometheus-Remote-Write-Exemplars-Written: 0\r\n"
    )
}
