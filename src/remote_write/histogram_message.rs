//! A native histogram as both messages have it: the fields of `prompb.Histogram` are those of `writev2.Histogram`.

use super::wire::{put_double, put_message, put_number, put_present_double, put_present_number, put_varint, zigzag};
use crate::model::{Histogram, HistogramCounts, Span};

mod field {
    pub const COUNT_INT: u32 = 1;
    pub const COUNT_FLOAT: u32 = 2;
    pub const SUM: u32 = 3;
    pub const SCHEMA: u32 = 4;
    pub const ZERO_THRESHOLD: u32 = 5;
    pub const ZERO_COUNT_INT: u32 = 6;
    pub const ZERO_COUNT_FLOAT: u32 = 7;
    /// Spans, deltas and counts of the negative side; then of the positive one.
    pub const SIDES: [[u32; 3]; 2] = [[8, 9, 10], [11, 12, 13]];
    pub const RESET_HINT: u32 = 14;
    pub const TIMESTAMP: u32 = 15;
    pub const CUSTOM_VALUES: u32 = 16;
    pub const START_TIMESTAMP: u32 = 17;
    pub const SPAN_OFFSET: u32 = 1;
    pub const SPAN_LENGTH: u32 = 2;
}

/// `start_ms` is zero where it is not known, and always so in 1.0, which has no such field.
pub fn put_histogram(out: &mut Vec<u8>, histogram: &Histogram, timestamp_ms: i64, start_ms: i64) {
    match &histogram.counts {
        HistogramCounts::Integer(counts) => put_present_number(out, field::COUNT_INT, counts.count),
        HistogramCounts::Float(counts) => put_present_double(out, field::COUNT_FLOAT, counts.count),
    }
    put_double(out, field::SUM, histogram.sum);
    put_number(out, field::SCHEMA, zigzag(i64::from(histogram.schema)));
    put_double(out, field::ZERO_THRESHOLD, histogram.zero_threshold);
    match &histogram.counts {
        HistogramCounts::Integer(counts) => {
            put_present_number(out, field::ZERO_COUNT_INT, counts.zero_count);
            put_integers(out, field::SIDES[0], &histogram.negative_spans, &counts.negative);
            put_integers(out, field::SIDES[1], &histogram.positive_spans, &counts.positive);
        }
        HistogramCounts::Float(counts) => {
            put_present_double(out, field::ZERO_COUNT_FLOAT, counts.zero_count);
            put_floats(out, field::SIDES[0], &histogram.negative_spans, &counts.negative);
            put_floats(out, field::SIDES[1], &histogram.positive_spans, &counts.positive);
        }
    }
    put_number(out, field::RESET_HINT, histogram.reset_hint as u64);
    put_number(out, field::TIMESTAMP, timestamp_ms as u64);
    put_doubles(out, field::CUSTOM_VALUES, &histogram.custom_values);
    put_number(out, field::START_TIMESTAMP, start_ms as u64);
}

fn put_integers(out: &mut Vec<u8>, [spans_field, deltas_field, _]: [u32; 3], spans: &[Span], deltas: &[i64]) {
    put_spans(out, spans_field, spans);
    if !deltas.is_empty() {
        put_message(out, deltas_field, |out| deltas.iter().for_each(|delta| put_varint(out, zigzag(*delta))));
    }
}

fn put_floats(out: &mut Vec<u8>, [spans_field, _, counts_field]: [u32; 3], spans: &[Span], counts: &[f64]) {
    put_spans(out, spans_field, spans);
    put_doubles(out, counts_field, counts);
}

fn put_spans(out: &mut Vec<u8>, field: u32, spans: &[Span]) {
    for span in spans {
        put_message(out, field, |out| {
            put_number(out, field::SPAN_OFFSET, zigzag(i64::from(span.offset)));
            put_number(out, field::SPAN_LENGTH, u64::from(span.length));
        });
    }
}

fn put_doubles(out: &mut Vec<u8>, field: u32, values: &[f64]) {
    if !values.is_empty() {
        put_message(out, field, |out| {
            values.iter().for_each(|value| out.extend_from_slice(&value.to_bits().to_le_bytes()));
        });
    }
}
