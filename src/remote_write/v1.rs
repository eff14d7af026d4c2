//! `prometheus.WriteRequest` of Remote-Write 1.0 (`prompb/remote.proto`, `prompb/types.proto`), in proto3.

use super::encoder::{Message, Points};
use super::histogram_message::put_histogram;
use super::wire::{put_bytes, put_double, put_message, put_number};
use crate::model::{Exemplar, Histogram, MetricFamily, MetricType};

/// The headers that tell a receiver what the body is.
pub const HEADERS: [(&str, &str); 3] = [
    ("Content-Encoding", "snappy"),
    ("Content-Type", "application/x-protobuf"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

mod field {
    pub const REQUEST_TIMESERIES: u32 = 1;
    pub const REQUEST_METADATA: u32 = 3;
    pub const METADATA_TYPE: u32 = 1;
    pub const METADATA_FAMILY_NAME: u32 = 2;
    pub const METADATA_HELP: u32 = 4;
    pub const METADATA_UNIT: u32 = 5;
    pub const SERIES_LABELS: u32 = 1;
    pub const SERIES_SAMPLES: u32 = 2;
    pub const SERIES_EXEMPLARS: u32 = 3;
    pub const SERIES_HISTOGRAMS: u32 = 4;
    pub const LABEL_NAME: u32 = 1;
    pub const LABEL_VALUE: u32 = 2;
    pub const SAMPLE_VALUE: u32 = 1;
    pub const SAMPLE_TIMESTAMP: u32 = 2;
    pub const EXEMPLAR_LABELS: u32 = 1;
    pub const EXEMPLAR_VALUE: u32 = 2;
    pub const EXEMPLAR_TIMESTAMP: u32 = 3;
}

#[derive(Default)]
pub struct V1 {
    series: Vec<u8>,
}

impl Message for V1 {
    fn put_sample(&mut self, out: &mut Vec<u8>, timestamp_ms: i64, value: f64, _start_ms: i64) {
        put_message(out, field::SERIES_SAMPLES, |out| {
            put_double(out, field::SAMPLE_VALUE, value);
            put_number(out, field::SAMPLE_TIMESTAMP, timestamp_ms as u64);
        });
    }

    fn put_histogram(&mut self, out: &mut Vec<u8>, histogram: &Histogram, timestamp_ms: i64, _start_ms: i64) {
        put_message(out, field::SERIES_HISTOGRAMS, |out| put_histogram(out, histogram, timestamp_ms, 0));
    }

    fn put_exemplar(&mut self, out: &mut Vec<u8>, exemplar: &Exemplar) {
        put_message(out, field::SERIES_EXEMPLARS, |out| {
            exemplar.labels.iter().for_each(|(name, value)| put_label(out, field::EXEMPLAR_LABELS, name, value));
            put_double(out, field::EXEMPLAR_VALUE, exemplar.value);
            put_number(out, field::EXEMPLAR_TIMESTAMP, exemplar.timestamp_ms as u64);
        });
    }

    fn put_series<'a>(
        &mut self,
        out: &mut Vec<u8>,
        labels: impl Iterator<Item = (&'a str, &'a str)>,
        points: &Points,
        _family: Option<&MetricFamily>,
    ) {
        self.series.clear();
        labels.for_each(|(name, value)| put_label(&mut self.series, field::SERIES_LABELS, name, value));
        let parts = match points.has_histograms {
            false => [&points.samples, &points.exemplars],
            true => [&points.exemplars, &points.samples],
        };
        parts.iter().for_each(|part| self.series.extend_from_slice(part));
        put_bytes(out, field::REQUEST_TIMESERIES, &self.series);
    }
}

/// One family, as an item of a request.
pub fn put_metadata(out: &mut Vec<u8>, family: &MetricFamily) {
    put_message(out, field::REQUEST_METADATA, |out| {
        put_number(out, field::METADATA_TYPE, type_number(family.metric_type));
        put_text(out, field::METADATA_FAMILY_NAME, family.name());
        put_text(out, field::METADATA_HELP, family.help());
        put_text(out, field::METADATA_UNIT, family.unit());
    });
}

/// The number of a type in 1.0 and 2.0.
pub fn type_number(metric_type: MetricType) -> u64 {
    match metric_type {
        MetricType::Unknown => 0,
        MetricType::Counter => 1,
        MetricType::Gauge => 2,
        MetricType::Histogram => 3,
        MetricType::GaugeHistogram => 4,
        MetricType::Summary => 5,
        MetricType::Info => 6,
        MetricType::StateSet => 7,
    }
}

/// One that is left out if it is empty.
fn put_text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        put_bytes(out, field, text.as_bytes());
    }
}

fn put_label(out: &mut Vec<u8>, field: u32, name: &str, value: &str) {
    put_message(out, field, |out| {
        put_bytes(out, field::LABEL_NAME, name.as_bytes());
        put_bytes(out, field::LABEL_VALUE, value.as_bytes());
    });
}
