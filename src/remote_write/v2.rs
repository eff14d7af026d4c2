//! `io.prometheus.write.v2.Request` of Remote-Write 2.0 (`prompb/io/prometheus/write/v2/types.proto`).
//!
//! Texts are written once, as symbols, and labels name them by number. The symbols are put before the series, as receivers
//! that read a request as it comes expect; so series are held until all symbols are known, which takes few bytes.

use super::encoder::{Message, Points};
use super::histogram_message::put_histogram;
use super::symbols::Symbols;
use super::v1::type_number;
use super::wire::{put_bytes, put_double, put_message, put_number, put_varint};
use crate::model::{Exemplar, Histogram, MetricFamily};

/// The headers that tell a receiver what the body is.
pub const HEADERS: [(&str, &str); 3] = [
    ("Content-Encoding", "snappy"),
    ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
    ("X-Prometheus-Remote-Write-Version", "2.0.0"),
];

mod field {
    pub const REQUEST_SYMBOLS: u32 = 4;
    pub const REQUEST_TIMESERIES: u32 = 5;
    pub const SERIES_LABELS_REFS: u32 = 1;
    pub const SERIES_SAMPLES: u32 = 2;
    pub const SERIES_HISTOGRAMS: u32 = 3;
    pub const SERIES_EXEMPLARS: u32 = 4;
    pub const SERIES_METADATA: u32 = 5;
    pub const METADATA_TYPE: u32 = 1;
    pub const METADATA_HELP_REF: u32 = 3;
    pub const METADATA_UNIT_REF: u32 = 4;
    pub const SAMPLE_VALUE: u32 = 1;
    pub const SAMPLE_TIMESTAMP: u32 = 2;
    pub const SAMPLE_START_TIMESTAMP: u32 = 3;
    pub const EXEMPLAR_LABELS_REFS: u32 = 1;
    pub const EXEMPLAR_VALUE: u32 = 2;
    pub const EXEMPLAR_TIMESTAMP: u32 = 3;
}

#[derive(Default)]
pub struct V2 {
    symbols: Symbols,
    series: Vec<u8>,
}

impl V2 {
    /// Gives memory back.
    pub fn rest(&mut self) {
        *self = V2::default();
    }

    /// Forgets the symbols of the request before.
    pub fn begin(&mut self) {
        self.symbols.clear();
    }

    /// The first is empty, as the specification asks.
    pub fn symbols(&self) -> impl Iterator<Item = &[u8]> {
        self.symbols.iter()
    }

    pub fn put_symbol(out: &mut Vec<u8>, symbol: &[u8]) {
        put_bytes(out, field::REQUEST_SYMBOLS, symbol);
    }

    fn put_refs<'a>(&mut self, out: &mut Vec<u8>, field: u32, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut labels = labels.peekable();
        if labels.peek().is_some() {
            put_message(out, field, |out| {
                for text in labels.flat_map(|(name, value)| [name, value]) {
                    put_varint(out, u64::from(self.symbols.number_of(text.as_bytes())));
                }
            });
        }
    }
}

impl Message for V2 {
    fn put_sample(&mut self, out: &mut Vec<u8>, timestamp_ms: i64, value: f64, start_ms: i64) {
        put_message(out, field::SERIES_SAMPLES, |out| {
            put_double(out, field::SAMPLE_VALUE, value);
            put_number(out, field::SAMPLE_TIMESTAMP, timestamp_ms as u64);
            put_number(out, field::SAMPLE_START_TIMESTAMP, start_ms as u64);
        });
    }

    fn put_histogram(&mut self, out: &mut Vec<u8>, histogram: &Histogram, timestamp_ms: i64, start_ms: i64) {
        put_message(out, field::SERIES_HISTOGRAMS, |out| put_histogram(out, histogram, timestamp_ms, start_ms));
    }

    fn put_exemplar(&mut self, out: &mut Vec<u8>, exemplar: &Exemplar) {
        put_message(out, field::SERIES_EXEMPLARS, |out| {
            self.put_refs(out, field::EXEMPLAR_LABELS_REFS, exemplar.labels.iter());
            put_double(out, field::EXEMPLAR_VALUE, exemplar.value);
            put_number(out, field::EXEMPLAR_TIMESTAMP, exemplar.timestamp_ms as u64);
        });
    }

    fn put_series<'a>(
        &mut self,
        out: &mut Vec<u8>,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        points: &Points,
        family: Option<&MetricFamily>,
    ) {
        let mut series = std::mem::take(&mut self.series);
        series.clear();
        self.put_refs(&mut series, field::SERIES_LABELS_REFS, labels);
        series.extend_from_slice(&points.samples);
        series.extend_from_slice(&points.exemplars);
        if let Some(family) = family {
            put_message(&mut series, field::SERIES_METADATA, |out| {
                put_number(out, field::METADATA_TYPE, type_number(family.metric_type));
                put_number(out, field::METADATA_HELP_REF, u64::from(self.symbols.number_of(family.help().as_bytes())));
                put_number(out, field::METADATA_UNIT_REF, u64::from(self.symbols.number_of(family.unit().as_bytes())));
            });
        }
        put_bytes(out, field::REQUEST_TIMESERIES, &series);
        self.series = series;
    }
}
