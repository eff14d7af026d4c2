//! The one receiver that both agents write to: Remote-Write 1.0, told apart by the path, kept in the order of arrival.
//!
//! Refuses to know what is right: it keeps what it is given, value by value in bits. Its messages are its own, so that the
//! agent's encoding is not checked against itself.

use crate::support::{Server, respond};
use prost::Message;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Who sent something, or asked for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Narthex,
    Prometheus,
}

/// Names and values, `__name__` included, in the order in which they were sent.
pub type Labels = Vec<(String, String)>;

/// Every sample of each series, in the order of arrival; exemplars apart, under [`EXEMPLARS`].
pub type Received = BTreeMap<Labels, Vec<Sample>>;

#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub at_ms: i64,
    pub value: Value,
}

#[derive(Clone)]
pub enum Value {
    /// The bits of a float: a NaN is not any NaN.
    Float(u64),
    /// A native histogram as it was sent.
    Histogram(Box<Histogram>),
    /// An exemplar of the series: labels, value in bits.
    Exemplar(Labels, u64),
}

/// The last label of what holds a series' exemplars. No series has a label without a value.
pub const EXEMPLARS: &str = "(exemplars)";

pub const STALE_BITS: u64 = 0x7ff0_0000_0000_0002;

impl Value {
    /// Whether it says that the series ended.
    pub fn is_stale(&self) -> bool {
        match self {
            Value::Float(bits) => *bits == STALE_BITS,
            Value::Histogram(histogram) => histogram.sum.to_bits() == STALE_BITS,
            Value::Exemplar(..) => false,
        }
    }
}

/// To the bit: a NaN is itself.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Float(one), Value::Float(other)) => one == other,
            (Value::Histogram(one), Value::Histogram(other)) => one.encode_to_vec() == other.encode_to_vec(),
            (Value::Exemplar(labels, bits), Value::Exemplar(other_labels, other_bits)) => {
                (labels, bits) == (other_labels, other_bits)
            }
            _ => false,
        }
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            _ if self.is_stale() => f.write_str("stale"),
            Value::Float(bits) if f64::from_bits(*bits).is_nan() => write!(f, "NaN {bits:#x}"),
            Value::Float(bits) => write!(f, "{:?}", f64::from_bits(*bits)),
            Value::Histogram(histogram) => histogram.fmt(f),
            Value::Exemplar(labels, bits) => write!(f, "exemplar {labels:?} {:?}", f64::from_bits(*bits)),
        }
    }
}

pub struct Receiver {
    server: Server,
    received: Arc<Mutex<BTreeMap<Who, Received>>>,
}

impl Receiver {
    pub fn start() -> Receiver {
        let received: Arc<Mutex<BTreeMap<Who, Received>>> = Arc::default();
        let kept = received.clone();
        let server = Server::start(move |_, request| {
            let who = if request.head.starts_with("POST /narthex ") { Who::Narthex } else { Who::Prometheus };
            let bytes =
                snap::raw::Decoder::new().decompress_vec(&request.body).expect("a body in snappy's block format");
            let message = WriteRequest::decode(&bytes[..]).expect("a prometheus.WriteRequest");
            keep(kept.lock().unwrap().entry(who).or_default(), message);
            respond("204 No Content", "", b"")
        });
        Receiver { server, received }
    }

    pub fn url(&self, who: Who) -> String {
        self.server.url(match who {
            Who::Narthex => "/narthex",
            Who::Prometheus => "/prometheus",
        })
    }

    /// What has come from one of them until now.
    pub fn received(&self, who: Who) -> Received {
        self.received.lock().unwrap().get(&who).cloned().unwrap_or_default()
    }
}

fn keep(received: &mut Received, message: WriteRequest) {
    for series in message.timeseries {
        let labels: Labels = series.labels.into_iter().map(|label| (label.name, label.value)).collect();
        // In an order of their own: how they stand between the samples is each queue's matter.
        if !series.exemplars.is_empty() {
            let labels = [&labels[..], &[(EXEMPLARS.into(), String::new())]].concat();
            received.entry(labels).or_default().extend(series.exemplars.into_iter().map(Sample::from));
        }
        let kept = received.entry(labels).or_default();
        let floats = series.samples.into_iter().map(|sample| (sample.at_ms, Value::Float(sample.value.to_bits())));
        let histograms = series.histograms.into_iter().map(|h| (h.at_ms, Value::Histogram(Box::new(h))));
        kept.extend(floats.chain(histograms).map(|(at_ms, value)| Sample { at_ms, value }));
    }
    received.retain(|_, samples| !samples.is_empty());
}

impl From<Exemplar> for Sample {
    fn from(exemplar: Exemplar) -> Sample {
        let labels = exemplar.labels.into_iter().map(|label| (label.name, label.value)).collect();
        Sample { at_ms: exemplar.at_ms, value: Value::Exemplar(labels, exemplar.value.to_bits()) }
    }
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<FloatSample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<Exemplar>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct FloatSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    at_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    at_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    #[prost(oneof = "Count", tags = "1, 2")]
    pub count: Option<Count>,
    #[prost(double, tag = "3")]
    pub sum: f64,
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    #[prost(oneof = "ZeroCount", tags = "6, 7")]
    pub zero_count: Option<ZeroCount>,
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "10")]
    pub negative_counts: Vec<f64>,
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<Span>,
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    #[prost(double, repeated, tag = "13")]
    pub positive_counts: Vec<f64>,
    #[prost(int32, tag = "14")]
    pub reset_hint: i32,
    #[prost(int64, tag = "15")]
    pub at_ms: i64,
    #[prost(double, repeated, tag = "16")]
    pub custom_values: Vec<f64>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Count {
    #[prost(uint64, tag = "1")]
    Int(u64),
    #[prost(double, tag = "2")]
    Float(f64),
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ZeroCount {
    #[prost(uint64, tag = "6")]
    Int(u64),
    #[prost(double, tag = "7")]
    Float(f64),
}

#[derive(Clone, PartialEq, Message)]
pub struct Span {
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    #[prost(uint32, tag = "2")]
    pub length: u32,
}
